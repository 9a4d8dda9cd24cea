//! Hostile answers: a malformed one is a 502, and bytes nobody asked for reach nobody.

mod common;

use common::hostile::CHUNKS;
use common::{Client, Connection, Proxy, Upstream, accept_as_laxer, gate, get, nginx_differs, ok};

/// Answers that must become a 502.
const BAD_ANSWERS: &[&str] = &[
    "",
    "hello\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na",
    "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\na",
    "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\na",
    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551617\r\n\r\na",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello",
];

#[test]
fn malformed_answers_become_502() {
    let mut failures = Vec::new();
    for answer in BAD_ANSWERS {
        let server = Upstream::answering_and_closing(*answer);
        let proxy = Proxy::before(&server, "");
        let mut client = proxy.client();
        client.send(get("/"));
        match client.try_read_response() {
            Ok(got) if got.status() == 502 => {}
            other => failures.push(format!("{answer:?}: {:?}", other.map(|got| got.start))),
        }
    }
    assert!(failures.is_empty() || accept_as_laxer(&failures), "{}", failures.join("\n"));
}

#[test]
fn malformed_answer_chunks_never_look_whole() {
    let mut failures = Vec::new();
    for row in CHUNKS {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let server = Upstream::answering_and_closing([head, row.bytes].concat());
        let proxy = Proxy::before(&server, "");
        let mut client = proxy.client();
        client.send(get("/"));
        let whole = client.try_read_response().is_ok_and(|answer| answer.status() != 502);
        if whole {
            failures.push(format!("{} looks whole: {:?}", row.name, client.seen()));
        }
    }
    assert!(failures.is_empty() || accept_as_laxer(&failures), "{}", failures.join("\n"));
}

#[test]
fn an_endless_head_is_a_502() {
    let server = Upstream::playing(|connection: &mut Connection| {
        connection.read_request()?;
        connection.send("HTTP/1.1 200 OK\r\n")?;
        // Bounded, should the proxy swallow everything: 8 MiB.
        for _ in 0..8192 {
            connection.send(format!("X: {}\r\n", "y".repeat(1020)))?;
        }
        Ok(())
    });
    let proxy = Proxy::before(
        &server,
        "proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;",
    );
    assert_eq!(proxy.client().ask(get("/")).status(), 502);
}

#[test]
fn endless_interim_answers_are_a_502() {
    if nginx_differs("takes the first for the final answer") {
        return;
    }
    let server = Upstream::playing(|connection: &mut Connection| {
        connection.read_request()?;
        for _ in 0..10_000 {
            connection.send("HTTP/1.1 103 Early Hints\r\n\r\n")?;
        }
        connection.wait_for_end()
    });
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send(get("/"));
    let end = (0..1000).find_map(|_| match client.try_read_response() {
        Ok(answer) if answer.status() == 103 => None,
        other => Some(other.map(|answer| answer.status())),
    });
    assert!(matches!(end, Some(Ok(502))), "{end:?}");
}

/// A server that sends `surplus` behind its answer, then answers the next connection properly.
fn check_surplus(answer: &'static str) {
    let server = Upstream::playing(move |connection| {
        while connection.read_request()?.is_some() {
            connection.send(answer)?;
        }
        Ok(())
    });
    let proxy = Proxy::before(&server, "");
    for n in 1..4 {
        let mut client: Client = proxy.client();
        let got = client.ask(get("/"));
        assert_eq!((got.status(), got.text().as_str()), (200, "a"), "{answer:?}");
        // The connection with bytes nobody asked for is dropped, not reused.
        server.wait_until_left_alone();
        assert_eq!(server.connections(), n, "{answer:?}");
    }
}

#[test]
fn bytes_behind_an_answer_reach_nobody() {
    check_surplus(
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    );
    check_surplus(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nHTTP/1.1 200 evil\r\n\r\n",
    );
}

#[test]
fn a_pooled_connection_that_speaks_unasked_is_dropped() {
    let (answered, wait) = gate();
    let server = Upstream::playing(move |connection| {
        connection.read_request()?;
        connection.send(ok("a"))?;
        wait()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")?;
        connection.wait_for_end()
    });
    let proxy = Proxy::before(&server, "");
    for n in 1..4 {
        assert_eq!(proxy.client().ask(get("/")).text(), "a");
        answered.send(()).unwrap();
        server.wait_until_left_alone();
        assert_eq!(server.connections(), n);
    }
}

#[test]
fn a_body_that_should_not_be_there_is_cut_off() {
    if nginx_differs("keeps the connection") {
        return;
    }
    let server = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read_head().status(), 200);
    server.wait_until_left_alone();
    assert_eq!(client.ask(get("/")).text(), "evil");
    assert_eq!(server.connections(), 2);
}
