//! Hostile requests: each gets its status, and nothing of it passes.
//!
//! The rules are RFC 9110 and RFC 9112, stricter than nginx: with nginx under test only the rows
//! it agrees with are checked, which `PROXY_UNDER_TEST` prints as skipped.

mod common;

use std::collections::HashSet;
use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use common::hostile::{self, Hostile};
use common::{Proxy, Upstream, accept_as_laxer, get, nginx_differs, wait_until};

/// Sends each request, followed by one that must never be processed, and sees to it that the answer
/// is that of the table, that the connection ends and that nothing reaches the server.
fn check_all(table: &[Hostile]) {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let failures: Vec<String> = table
        .iter()
        .filter_map(|row| {
            let wrong = check(&proxy, &server, row).err()?;
            Some(format!("{}: {wrong}", row.name))
        })
        .collect();
    assert!(failures.is_empty() || accept_as_laxer(&failures), "{}", failures.join("\n"));
}

fn check(proxy: &Proxy, server: &Upstream, row: &Hostile) -> Result<(), String> {
    let before = server.requests().len();
    let mut client = proxy.client();
    let next = if row.passes() { Vec::new() } else { get("/never") };
    client.send([row.request(), next].concat());
    let answer = client.try_read_response().map_err(|why| why.to_string())?;
    if answer.status() != row.ours {
        return Err(format!("{} instead of {}", answer.status(), row.ours));
    }
    if row.passes() {
        return Ok(());
    }
    client.finish_sending();
    if !client.is_closed() {
        return Err("the connection goes on".to_owned());
    }
    // Whatever the server got whole, it got before this one.
    proxy.client().ask(get("/last"));
    match &server.requests()[before..] {
        [last] if last.start.contains("/last") => Ok(()),
        passed => Err(format!("passed: {:?}", passed[0].head_text())),
    }
}

#[test]
fn malformed_heads_are_refused() {
    check_all(hostile::HEADS);
}

#[test]
fn every_request_names_exactly_one_valid_host() {
    check_all(hostile::HOSTS);
}

#[test]
fn ambiguous_request_framing_is_refused() {
    check_all(hostile::FRAMINGS);
}

#[test]
fn malformed_request_chunks_are_refused_and_never_complete() {
    check_all(&hostile::after_a_head(hostile::CHUNKS));
}

/// What each fuzz target begins with; `fuzz/run` names the directory.
#[test]
fn each_hostile_request_is_a_seed_of_its_own() {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let seeds = env::var_os("SEEDS").map_or(temporary.path().to_owned(), PathBuf::from);
    for (target, start, rows) in [
        ("request_head", b"".as_slice(), hostile::all()),
        // The ones keep the world quiet but for a stranger, who sends the rest.
        ("session", b"111111111111111111111111111111\xff", hostile::all()),
        ("body_framing", b"C", hostile::CHUNKS.to_vec()),
    ] {
        let directory = seeds.join(target);
        fs::create_dir(&directory).expect("a directory that is empty");
        let mut known = HashSet::new();
        for row in rows {
            let seed = [start, &row.request()].concat();
            let file = directory.join(row.name.replace([' ', '/'], "-"));
            let written = File::create_new(file).and_then(|mut file| file.write_all(&seed));
            written.unwrap_or_else(|why| panic!("{}: {why}", row.name));
            assert!(known.insert(seed), "{} stands in the table twice", row.name);
        }
    }
}

#[test]
fn chunk_extensions_zeros_and_trailers_do_not_travel() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
                   0005;name=\"v;\\\"\";x\r\nhello\r\n000\r\nContent-Length: 3\r\nX-Trailer: t\r\n\r\n";
    assert_eq!(proxy.client().ask(request).status(), 200);
    let got = server.wait_for_request(1);
    assert_eq!(
        (
            got.text().as_str(),
            got.field("X-Trailer"),
            got.field("Content-Length").is_none_or(|l| l == "5")
        ),
        ("hello", None, true)
    );
    let bytes = String::from_utf8(server.received().concat()).unwrap();
    assert!(!bytes.contains("name=") && !bytes.contains("Content-Length: 3"), "{bytes}");
}

#[test]
fn look_alikes_frame_nothing() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n",
    );
    assert_eq!(client.read_response().status(), 200);
    assert_eq!(client.ask(get("/next")).status(), 200);
    assert_eq!(server.wait_for_request(2).start, "GET /next HTTP/1.1");
}

#[test]
fn fields_that_connection_may_not_name_stay() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(
        &server,
        "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;",
    );
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nX-Forwarded-For: 6.6.6.6\r\n\
                   Connection: Host, Content-Length, Transfer-Encoding, X-Forwarded-For\r\n\r\nbody";
    assert_eq!(proxy.client().ask(request).status(), 200);
    let got = server.wait_for_request(1);
    assert_eq!(
        (got.field("Host"), got.field("X-Forwarded-For"), got.text().as_str()),
        (Some("a"), Some("127.0.0.1"), "body")
    );
}

#[test]
fn heads_beyond_the_limits_are_refused_while_they_come() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let long = "x".repeat(9000);
    let mut table = vec![
        (format!("GET /{long}"), [414, 414]),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}"), [431, 400]),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{}",
                format!("X: {}\r\n", "y".repeat(7000)).repeat(6)
            ),
            [431, 400],
        ),
    ];
    if !nginx_differs("knows no limit to the number of fields") {
        table.push((
            format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(3000)),
            [431, 400],
        ));
    }
    for (request, statuses) in table {
        let mut client = proxy.client();
        client.send(&request);
        let status = client.read_response().status();
        assert!(statuses.contains(&status), "{status} for {}…", &request[..40]);
        client.finish_sending();
        assert!(client.is_closed());
    }
    assert!(server.got_nothing());
}

#[test]
fn a_few_empty_lines_before_a_request_are_skipped() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    assert_eq!(client.ask([b"\r\n\r\n".as_slice(), &get("/")].concat()).status(), 200);
    assert_eq!(client.ask([b"\r\n".as_slice(), &get("/")].concat()).status(), 200);
}

#[test]
fn a_head_split_anywhere_means_the_same() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let request =
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for at in 1..request.len() {
        let mut client = proxy.client();
        client.send(&request[..at]);
        client.send(&request[at..]);
        assert_eq!(client.read_response().status(), 200, "split at {at}");
    }
    assert!(server.requests().iter().all(|request| request.text() == "hello"));
}

#[test]
fn a_client_that_stalls_in_its_head_is_told_so_or_left() {
    let server = Upstream::named("a");
    let conf = "server { listen {listen}; client_header_timeout 1s; location / { proxy_pass http://{server}; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost");
    match client.try_read_response() {
        Ok(answer) => assert_eq!(answer.status(), 408),
        Err(why) => {
            assert!([ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].contains(&why.kind()))
        }
    }
    assert!(server.got_nothing());
}

#[test]
fn an_idle_client_is_left_after_the_keepalive_timeout() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "keepalive_timeout 1s;");
    let mut client = proxy.client();
    client.ask(get("/"));
    assert!(client.is_closed());
}

#[test]
fn a_client_that_stalls_in_its_body_loses_its_server_too() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "client_body_timeout 1s;");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    wait_until("the half to arrive", || server.received().concat().ends_with(b"half"));
    client.read_to_end();
    server.wait_until_left_alone();
    assert!(server.requests().is_empty());
}
