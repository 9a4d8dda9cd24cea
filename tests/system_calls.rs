//! What the kernel is asked to do for one request: counted by strace, where that is installed and
//! may look at a process.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use common::{Proxy, Upstream, get, ok, post, signal};

/// How often the proxy makes each system call while `act` runs; none where nobody can tell.
fn counted(proxy: &Proxy, act: impl FnOnce()) -> Option<BTreeMap<String, usize>> {
    let id = proxy.serving_id().to_string();
    let strace = Command::new("strace").args(["-f", "-p", &id]).stderr(Stdio::piped()).spawn();
    let Ok(mut strace) = strace else {
        eprintln!("skipped: strace is not installed");
        return None;
    };
    let mut trace = BufReader::new(strace.stderr.take().expect("piped"));
    let mut line = String::new();
    trace.read_line(&mut line).unwrap();
    if !line.contains("attached") {
        eprintln!("skipped: strace may not look at a process here: {}", line.trim());
        strace.wait().unwrap();
        return None;
    }
    act();
    signal(strace.id(), "INT");
    let mut rest = String::new();
    trace.read_to_string(&mut rest).unwrap();
    strace.wait().unwrap();
    let mut counts = BTreeMap::new();
    for (name, _) in rest.lines().filter_map(|line| line.split_once('(')) {
        let kind = match name.trim() {
            "sendto" | "writev" => "write",
            "recvfrom" => "read",
            "epoll_wait" | "restart_syscall" => "wait",
            other => other,
        };
        *counts.entry(kind.to_owned()).or_insert(0) += 1;
    }
    Some(counts)
}

/// Asserts that so many requests took no more of each call than told, and no other call.
fn check(counts: Option<BTreeMap<String, usize>>, requests: usize, most: &[(&str, usize)]) {
    let Some(counts) = counts else { return };
    for (name, count) in &counts {
        let each = most.iter().find(|(allowed, _)| allowed == name).map_or(0, |(_, each)| *each);
        // The wait that the proxy was in at first belongs to no request, nor does the one that it is
        // left in. Once in a while events come apart that mostly come together, and a client is
        // accepted before its request is there.
        let surplus = match &**name {
            "wait" => requests / 5,
            "read" => requests / 10,
            _ => 0,
        };
        assert!(*count <= each * requests + surplus, "{name} in {requests} requests: {counts:?}");
    }
}

/// For requests one after another on one connection, with another one to the server.
const KEPT: [(&str, usize); 3] = [("wait", 2), ("read", 2), ("write", 2)];

/// With connections kept on both sides, a request takes a wait, a read and a write each way.
fn check_kept(server: &Upstream, request: &[u8]) {
    let proxy = Proxy::before(server, HEADERS);
    let mut client = proxy.client();
    client.ask(request);
    let counts = counted(&proxy, || (0..REQUESTS).for_each(|_| drop(client.ask(request))));
    check(counts, REQUESTS, &KEPT);
}

#[test]
fn a_get_takes_a_wait_a_read_and_a_write_each_way() {
    check_kept(&Upstream::named("a"), &get("/"));
}

#[test]
fn so_does_a_post_with_its_body() {
    check_kept(&Upstream::named("a"), &post("/", &"x".repeat(2048)));
}

#[test]
fn so_does_an_answer_in_chunks() {
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = [head, &chunk, &chunk, "0\r\n\r\n"].concat();
    check_kept(&Upstream::answering(answer), &get("/"));
}

/// Accepting takes one call more that finds nobody; the client's connection is registered and
/// closed, and its end may come with a wait of its own. (Builds with debug assertions look at
/// descriptors before they close them.)
#[test]
fn a_connection_takes_four_calls_more() {
    let server = Upstream::answering(ok("a"));
    let proxy = Proxy::before(&server, HEADERS);
    proxy.client().ask(get("/"));
    let counts = counted(&proxy, || {
        for _ in 0..REQUESTS {
            let mut client = proxy.client();
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            client.read_to_end();
        }
    });
    let looks = usize::from(cfg!(debug_assertions));
    let more = [("wait", 3), ("accept4", 2), ("epoll_ctl", 1), ("close", 1), ("fcntl", looks)];
    let calls = [&KEPT[1..], &more].concat();
    check(counts, REQUESTS, &calls);
}

/// As the article's.
const HEADERS: &str = "proxy_set_header Host $host:$server_port;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
const REQUESTS: usize = 50;
