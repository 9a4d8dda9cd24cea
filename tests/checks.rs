//! Servers that are asked in the background whether they are well, and what that spares clients.

#![allow(clippy::disallowed_methods, reason = "these tests measure real time")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Proxy, Upstream, get, ok, post, wait_until};

/// Checks often enough for a test.
const OFTEN: &str = "health_check interval=20ms timeout=300ms uri=/up;";

/// A primary and a backup in a group with these directives.
fn pair(primary: &Upstream, backup: &Upstream, directives: &str) -> Proxy {
    let conf = "upstream group { server {primary}; server {backup} backup; {directives} }
        server { listen {listen}; location / { proxy_pass http://group; } }";
    let values: [(&str, &dyn std::fmt::Display); 3] =
        [("primary", primary), ("backup", backup), ("directives", &directives)];
    Proxy::start(conf, &values)
}

/// A server that answers checks with a status that the test may change, and all else with a name.
fn checked(name: &str, status: &Arc<AtomicU16>) -> Upstream {
    let (name, status) = (ok(name), Arc::clone(status));
    Upstream::playing(move |connection| {
        while let Some(request) = connection.read_request()? {
            if request.head_text().starts_with("GET /up ") {
                let status = status.load(Ordering::SeqCst);
                connection.send(format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n"))?;
            } else {
                connection.send(&name)?;
            }
        }
        Ok(())
    })
}

/// Asks until this server answers.
fn wait_for(proxy: &Proxy, name: &str) {
    wait_until(name, || proxy.client().ask(get("/")).text() == name);
}

#[test]
fn a_failing_check_moves_requests_and_a_passing_one_brings_them_back() {
    let well = Arc::new(AtomicU16::new(200));
    let (primary, backup) = (checked("a", &well), Upstream::named("b"));
    let proxy = pair(&primary, &backup, OFTEN);
    assert_eq!(proxy.client().ask(get("/")).text(), "a");
    for bad in [500, 404, 503] {
        well.store(bad, Ordering::SeqCst);
        wait_for(&proxy, "b");
        well.store(302, Ordering::SeqCst);
        wait_for(&proxy, "a");
    }
}

#[test]
fn checks_use_one_connection_and_say_who_asks() {
    let well = Arc::new(AtomicU16::new(204));
    let (primary, backup) = (checked("a", &well), Upstream::named("b"));
    let _proxy = pair(&primary, &backup, OFTEN);
    let request = primary.wait_for_request(20);
    assert_eq!(primary.connections(), 1);
    assert_eq!(request.field("User-Agent"), Some("switchover"));
    assert_eq!(request.field("Host"), Some(&*primary.address()));
    assert_eq!(request.all("Connection"), Vec::<&str>::new());
}

#[test]
fn a_server_that_closes_after_each_answer_is_checked_on_new_connections() {
    let primary = Upstream::answering_and_closing("HTTP/1.1 200 a\r\nContent-Length: 1\r\n\r\na");
    let backup = Upstream::named("b");
    let proxy = pair(&primary, &backup, OFTEN);
    primary.wait_for_connections(10);
    assert_eq!(proxy.client().ask(get("/")).text(), "a");
}

#[test]
fn a_server_that_stops_answering_loses_what_waits_for_it_and_may_be_repeated() {
    let (primary, backup) = (Upstream::silent(), Upstream::named("b"));
    let proxy = pair(&primary, &backup, "health_check interval=20ms timeout=500ms uri=/up;");
    let (mut reader, mut writer) = (proxy.client(), proxy.client());
    let start = Instant::now();
    reader.send(get("/"));
    writer.send(post("/", "insert"));
    assert_eq!(reader.read_response().text(), "b");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(writer.is_silent_for(Duration::from_millis(300)), "it may not be repeated");
    assert_eq!(proxy.client().ask(get("/")).text(), "b");
}

#[test]
fn a_server_whose_answers_flow_is_not_out_because_its_check_is_slow() {
    let primary = Upstream::playing(|connection| {
        let Some(request) = connection.read_request()? else { return Ok(()) };
        if request.head_text().starts_with("GET /up ") {
            return connection.wait_for_end();
        }
        connection.send("HTTP/1.1 200 a\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for _ in 0..60 {
            connection.send("1\r\na\r\n")?;
            thread::park_timeout(Duration::from_millis(20));
        }
        connection.send("0\r\n\r\n")
    });
    let backup = Upstream::named("b");
    let proxy = pair(&primary, &backup, "health_check interval=20ms timeout=200ms uri=/up;");
    let mut slow = proxy.client();
    slow.send(get("/"));
    // Several checks have timed out by now.
    primary.wait_for_connections(4);
    let mut other = proxy.client();
    other.send(get("/"));
    assert_eq!(slow.read_response().text(), "a".repeat(60));
    assert_eq!(other.read_response().text(), "a".repeat(60));
}

#[test]
fn a_long_dripping_or_endless_answer_to_a_check_harms_nothing() {
    let long = "x".repeat(10_000_000);
    let answers: [Vec<u8>; 3] = [
        format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\n\r\n{long}", long.len()).into(),
        b"HTTP/1.1 200 x\r\n\r\nendless".to_vec(),
        b"HTTP/1.1 200 x\r\nX: half a head".to_vec(),
    ];
    for (answer, served_by) in answers.into_iter().zip(["a", "b", "b"]) {
        let primary = Upstream::playing(move |connection| {
            while let Some(request) = connection.read_request()? {
                if request.head_text().starts_with("GET /up ") {
                    connection.send(&answer)?;
                    return connection.wait_for_end();
                }
                connection.send(ok("a"))?;
            }
            Ok(())
        });
        let backup = Upstream::named("b");
        let proxy = pair(&primary, &backup, OFTEN);
        primary.wait_for_connections(3);
        wait_for(&proxy, served_by);
    }
}

#[test]
fn with_failback_manual_a_primary_stays_away_until_it_is_needed() {
    let well = Arc::new(AtomicU16::new(200));
    let mut backup = Upstream::refusing("b");
    backup.start();
    let primary = checked("a", &well);
    let proxy = pair(&primary, &backup, &format!("{OFTEN} failback manual;"));
    well.store(500, Ordering::SeqCst);
    wait_for(&proxy, "b");
    well.store(200, Ordering::SeqCst);
    proxy.wait_for_log(&["is ready"]);
    for _ in 0..10 {
        assert_eq!(proxy.client().ask(get("/")).text(), "b");
    }
    backup.stop();
    wait_for(&proxy, "a");
}

#[test]
fn connections_of_stream_are_checked_by_connecting() {
    let mut primary = Upstream::refusing("a");
    primary.start();
    let backup = Upstream::named("b");
    let conf = "daemon off; pid {dir}/proxy.pid; error_log stderr info;
        stream { upstream group { server {primary}; server {backup} backup;
            health_check interval=20ms; }
        server { listen {listen}; proxy_pass group; } }";
    let proxy = Proxy::start_whole(conf, &[("primary", &primary), ("backup", &backup)]);
    assert_eq!(proxy.client().ask(get("/")).text(), "a");
    primary.stop();
    proxy.wait_for_log(&["it is down"]);
    assert_eq!(proxy.client().ask(get("/")).text(), "b");
    primary.start();
    proxy.wait_for_log(&["is up again"]);
    assert_eq!(proxy.client().ask(get("/")).text(), "a");
}

#[test]
fn connections_of_stream_are_checked_over_http_where_that_is_written() {
    let status = Arc::new(AtomicU16::new(200));
    let (primary, backup) = (checked("a", &status), Upstream::named("b"));
    let conf = "daemon off; pid {dir}/proxy.pid; error_log stderr info;
        stream { upstream group { server {primary}; server {backup} backup;
            health_check interval=20ms uri=/up; }
        server { listen {listen}; proxy_pass group; } }";
    let proxy = Proxy::start_whole(conf, &[("primary", &primary), ("backup", &backup)]);
    assert_eq!(proxy.client().ask(get("/")).text(), "a");
    status.store(503, Ordering::SeqCst);
    wait_for(&proxy, "b");
    status.store(200, Ordering::SeqCst);
    wait_for(&proxy, "a");
}
