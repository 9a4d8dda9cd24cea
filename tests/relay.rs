//! One request, one answer: framing, persistence, interim answers, tunnels, pressure.
//!
//! Speaks only through bytes. What goes in and what must come out stand side by side.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use common::{
    Client, Connection, Framing, Proxy, Upstream, get, nginx_differs, ok, post, wait_until,
};

/// Answers each request with its own target and body.
fn echo(connection: &mut Connection) -> std::io::Result<()> {
    while let Some(request) = connection.read_request()? {
        let target = request.start.split(' ').nth(1).unwrap_or_default();
        connection.send(ok(&format!("{target} {}", request.text())))?;
    }
    Ok(())
}

#[test]
fn one_client_connection_carries_many_requests() {
    let server = Upstream::playing(echo);
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    for n in 0..20 {
        assert_eq!(client.ask(get(&format!("/{n}"))).text(), format!("/{n} "));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Upstream::playing(echo);
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    let burst: Vec<u8> = (0..30)
        .flat_map(|n| [get(&format!("/{n}")), post("/post", &n.to_string())].concat())
        .collect();
    client.send(burst);
    for n in 0..30 {
        assert_eq!(client.read_response().text(), format!("/{n} "));
        assert_eq!(client.read_response().text(), format!("/post {n}"));
    }
}

#[test]
fn requests_of_all_clients_share_one_pooled_server_connection() {
    let server = Upstream::playing(echo);
    let proxy = Proxy::before(&server, "");
    for _ in 0..5 {
        let mut client = proxy.client();
        client.ask(get("/"));
        client.ask(post("/", "body"));
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn keepalive_zero_pools_nothing() {
    if nginx_differs("1.22 refuses keepalive 0") {
        return;
    }
    let server = Upstream::playing(echo);
    let conf = "upstream group { server {server}; keepalive 0; }
        server { listen {listen}; location / { proxy_pass http://group; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    let mut client = proxy.client();
    client.ask(get("/"));
    client.ask(get("/"));
    assert_eq!(server.connections(), 2);
}

#[test]
fn http_1_0_is_closed_after_its_answer() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send("GET / HTTP/1.0\r\n\r\nGET /never HTTP/1.0\r\n\r\n");
    assert_eq!(client.read_response().text(), "a");
    assert!(client.is_closed());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn http_1_0_with_keep_alive_goes_on_and_is_told_so() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    for _ in 0..3 {
        let answer = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(
            answer.field("Connection").map(str::to_ascii_lowercase).as_deref(),
            Some("keep-alive")
        );
        assert_eq!(answer.text(), "a");
    }
}

#[test]
fn a_request_that_says_close_is_the_last_one() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send(
        [b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".as_slice(), &get("/never")]
            .concat(),
    );
    let answer = client.read_response();
    assert_eq!((answer.text().as_str(), answer.field("Connection")), ("a", Some("close")));
    assert!(client.is_closed());
    assert_eq!(server.requests().len(), 1);
}

/// Sends `request`, lets the server answer `answer`; checks the body, and whether it came chunked.
fn check_body(request: &str, answer: &str, body: &str, framing: Framing) {
    let server = Upstream::answering_and_closing(answer);
    let proxy = Proxy::before(&server, "");
    let got = proxy.client().ask(request);
    assert_eq!(got.text(), body, "{request:?} {answer:?}");
    assert_eq!(got.framing(Framing::UntilClose).unwrap(), framing, "{request:?} {answer:?}");
}

const NEW: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\n\r\n";

#[test]
fn a_length_stays_a_length() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    check_body(NEW, answer, "hello", Framing::Length(5));
    check_body(OLD, answer, "hello", Framing::Length(5));
}

#[test]
fn chunks_stay_chunks_unless_the_client_is_old() {
    let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    check_body(NEW, answer, "hello", Framing::Chunked);
    check_body(OLD, answer, "hello", Framing::UntilClose);
}

#[test]
fn a_body_that_ends_with_the_connection_becomes_chunks_unless_the_client_is_old() {
    let answer = "HTTP/1.1 200 OK\r\n\r\nhello";
    check_body(NEW, answer, "hello", Framing::Chunked);
    check_body(OLD, answer, "hello", Framing::UntilClose);
    check_body(NEW, "HTTP/1.0 200 OK\r\n\r\nhello", "hello", Framing::Chunked);
}

#[test]
fn a_request_body_keeps_its_framing() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.ask(post("/", "by length"));
    let first = server.wait_for_request(1);
    assert_eq!((first.text().as_str(), first.field("Content-Length")), ("by length", Some("9")));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nby \r\n");
    wait_until("the first chunk to arrive", || server.received().concat().ends_with(b"by \r\n"));
    client.ask("6\r\nchunks\r\n0\r\n\r\n");
    let second = server.wait_for_request(2);
    assert_eq!(
        (second.text().as_str(), second.field("Transfer-Encoding")),
        ("by chunks", Some("chunked"))
    );
}

#[test]
fn a_get_may_have_a_body() {
    let server = Upstream::playing(echo);
    let proxy = Proxy::before(&server, "");
    let answer = proxy.client().ask("GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(answer.text(), "/x body");
}

#[test]
fn a_head_gets_the_length_and_no_body() {
    let server = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.read_head().field("Content-Length"), Some("1000"));
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn answers_without_a_body_leave_the_connection_usable() {
    for status in ["204 No Content", "304 Not Modified"] {
        let server = Upstream::answering(format!("HTTP/1.1 {status}\r\nETag: \"x\"\r\n\r\n"));
        let proxy = Proxy::before(&server, "");
        let mut client = proxy.client();
        for _ in 0..2 {
            let answer = client.ask(get("/"));
            assert!(answer.start.ends_with(status), "{}", answer.start);
            assert_eq!(answer.field("Transfer-Encoding"), None);
        }
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn a_304_keeps_the_length_of_what_it_does_not_carry() {
    let server = Upstream::answering("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n");
    let proxy = Proxy::before(&server, "");
    assert_eq!(proxy.client().ask(get("/")).field("Content-Length"), Some("1000"));
}

#[test]
fn interim_answers_are_passed_on_before_the_final_one() {
    if nginx_differs("drops 103") {
        return;
    }
    let server = Upstream::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
    );
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    let first = client.ask(get("/"));
    assert_eq!((first.status(), first.field("Link")), (103, Some("</a>")));
    assert_eq!(client.read_response().field("Link"), Some("</b>"));
    assert_eq!(client.read_response().text(), "a");
}

#[test]
fn http_1_0_gets_no_interim_answer() {
    let server = Upstream::answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
    );
    if nginx_differs("takes a 100 for the final answer") {
        return;
    }
    let proxy = Proxy::before(&server, "");
    assert_eq!(proxy.client().ask(OLD).status(), 200);
}

#[test]
fn a_client_that_waits_for_100_gets_it_once_and_then_the_answer() {
    let server = Upstream::playing(|connection| {
        let head = connection.read_head()?;
        if head.field("Expect").is_some() {
            connection.send("HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = connection.read_body(head.framing(Framing::Empty)?)?;
        connection.send(ok(&String::from_utf8_lossy(&body)))
    });
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.read_response().status(), 100);
    client.send("body");
    let answer = client.read_response();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "body"));
}

#[test]
fn a_final_answer_instead_of_100_ends_the_connection_and_the_body_is_no_request() {
    let server = Upstream::playing(|connection| {
        connection.read_head()?;
        connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")?;
        connection.wait_for_end()
    });
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client
        .send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 500\r\n\r\n");
    let mut answer = client.read_response();
    if answer.status() == 100 {
        answer = client.read_response();
    }
    assert_eq!((answer.status(), answer.text().as_str()), (403, "no"));
    client.send(get("/smuggled"));
    assert!(client.is_closed());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_answer_that_comes_before_the_body_is_relayed_and_ends_the_connection() {
    let server = Upstream::playing(|connection| {
        connection.read_head()?;
        connection.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")?;
        connection.wait_for_end()
    });
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegun");
    let answer = client.read_response();
    assert_eq!((answer.status(), answer.text().as_str()), (413, "big"));
    client.send(get("/smuggled"));
    client.finish_sending();
    assert!(client.is_closed());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    let server = Upstream::playing(|connection| {
        connection.read_request()?;
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhi",
        )?;
        let mut bytes = [0; 1024];
        loop {
            let n = connection.read_some(&mut bytes)?;
            if n == 0 {
                return Ok(());
            }
            connection.send(&bytes[..n])?;
        }
    });
    let proxy = Proxy::before(
        &server,
        "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;",
    );
    let mut client = proxy.client();
    let answer =
        client.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!((answer.status(), answer.field("Upgrade")), (101, Some("echo")));
    assert_eq!(client.read_exactly(2), b"hi");
    for words in ["not HTTP", "GET / HTTP/1.1\r\n\r\n", "\0\r\n\u{7f}"] {
        client.send(words);
        assert_eq!(client.read_exactly(words.len()), words.as_bytes());
    }
    assert_eq!(server.wait_for_request(1).field("Upgrade"), Some("echo"));
    client.finish_sending();
    assert!(client.is_closed());
}

#[test]
fn an_upgrade_that_is_not_configured_is_an_ordinary_request() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n";
    assert_eq!(client.ask(request).text(), "a");
    assert_eq!(client.ask(get("/")).text(), "a");
    assert_eq!(server.wait_for_request(1).field("Upgrade"), None);
}

#[test]
fn both_sides_speak_ipv6() {
    let server = Upstream::playing_v6(|connection| connection.answer_all(&ok("six")));
    let port = common::Port::reserve_v6();
    let proxy = Proxy::start(
        "server { listen {port}; location / { proxy_pass http://{server}; } }",
        &[("port", &port.address()), ("server", &server)],
    );
    assert_eq!(Client::connect(port.address()).ask(get("/")).text(), "six");
    let host = server.wait_for_request(1);
    assert_eq!(host.field("Host"), Some(server.address().as_str()));
    drop(proxy);
}

#[test]
fn both_sides_speak_unix_sockets() {
    let server = Upstream::playing_unix(|c| c.answer_all(&ok("unix")));
    let proxy = Proxy::start(
        "upstream group { server {server}; keepalive 8; }
         server { listen unix:{dir}/front; location / { proxy_pass http://group; } }",
        &[("server", &server)],
    );
    let mut client = Client::connect_unix(&proxy.directory().join("front"));
    assert_eq!(client.ask(get("/")).text(), "unix");
    assert_eq!(client.ask(get("/")).text(), "unix");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_client_that_leaves_takes_its_server_connection_along() {
    let server = Upstream::silent();
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send(get("/"));
    server.wait_for_request(1);
    drop(client);
    server.wait_until_left_alone();
}

#[test]
fn a_request_that_never_completes_never_completes_at_the_server() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    wait_until("the first chunk to arrive", || server.received().concat().ends_with(b"hello\r\n"));
    drop(client);
    server.wait_until_left_alone();
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_slow_reader_slows_only_its_own_sender() {
    const TOTAL: usize = 64 << 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let (done, finished) = mpsc::channel();
    let server = Upstream::playing(move |connection| {
        let request = connection.read_request()?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        if request.start.contains("/quick") {
            return connection.send(ok("quick"));
        }
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {TOTAL}\r\n\r\n"))?;
        let block = vec![b'x'; 64 << 10];
        for _ in 0..TOTAL / block.len() {
            connection.send(&block)?;
            counter.fetch_add(block.len(), Ordering::SeqCst);
        }
        let _ = done.send(());
        Ok(())
    });
    let proxy =
        Proxy::before(&server, "proxy_buffering off; proxy_read_timeout 30s; send_timeout 30s;");
    let mut slow = proxy.client();
    slow.send(get("/slow"));
    wait_until("the answer to begin", || sent.load(Ordering::SeqCst) > 0);
    // Every quick answer is a turn of the proxy's loop in which the slow one could go on.
    for _ in 0..50 {
        assert_eq!(proxy.client().ask(get("/quick")).text(), "quick");
    }
    assert!(finished.try_recv().is_err(), "somebody keeps 64 MiB that nobody reads");
    assert!(proxy.peak_memory() < 16 << 10, "{} KiB", proxy.peak_memory());
    assert_eq!(slow.read_response().body.len(), TOTAL);
    finished.recv_timeout(common::PATIENCE).unwrap();
}

#[test]
fn an_answer_in_single_bytes_arrives_whole() {
    let server = Upstream::playing(|connection| {
        connection.read_request()?;
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        {
            connection.send([*byte])?;
        }
        connection.wait_for_end()
    });
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    for byte in get("/") {
        client.wire().as_ref().write_all(&[byte]).unwrap();
    }
    assert_eq!(client.read_response().text(), "hello");
}

#[test]
fn urgent_data_does_not_hold_up_a_request() {
    if nginx_differs("waits for what has come already") {
        return;
    }
    let server = Upstream::playing(echo);
    let proxy = Proxy::before(&server, "");
    for cut in [1, 20, 40] {
        let mut client = proxy.client();
        let request = get(&format!("/{}", "x".repeat(40)));
        client.send(&request[..cut]);
        client.wire().socket().send_out_of_band(b"!").unwrap();
        client.send(&request[cut..]);
        assert_eq!(client.read_response().status(), 200, "cut at {cut}");
    }
    // A body that goes through a pipe.
    let mut client = proxy.client();
    client.send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n");
    client.send(vec![b'x'; 200_000]);
    client.wire().socket().send_out_of_band(b"!").unwrap();
    client.send(vec![b'x'; 200_000]);
    assert_eq!(client.read_response().text().len(), "/p ".len() + 400_000);
}

#[test]
fn a_pooled_connection_serves_only_those_who_bind_to_its_address() {
    let server = Upstream::playing(|connection| {
        while connection.read_request()?.is_some() {
            let peer = connection.wire().socket().peer_addr()?.as_socket().expect("over TCP");
            connection.send(ok(&peer.ip().to_string()))?;
        }
        Ok(())
    });
    let conf = "upstream g { server {server}; keepalive 8; }
        server { listen {listen}; location /a { proxy_pass http://g; proxy_bind 127.0.0.2; }
            location /b { proxy_pass http://g; proxy_bind 127.0.0.3; }
            location / { proxy_pass http://g; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.ask(get("/a")).text(), "127.0.0.2");
        if !nginx_differs("takes any pooled connection") {
            assert_eq!(client.ask(get("/b")).text(), "127.0.0.3");
            assert_eq!(client.ask(get("/")).text(), "127.0.0.1");
        }
    }
    if !nginx_differs("takes any pooled connection") {
        assert_eq!(server.connections(), 3);
    }
}
