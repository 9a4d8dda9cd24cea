//! Hostile requests: each gets its status, and nothing of it passes.
//!
//! The rules are RFC 9110 and RFC 9112, stricter than nginx: with nginx under test only the rows
//! it agrees with are checked, which `PROXY_UNDER_TEST` prints as skipped.

mod common;

use std::io::ErrorKind;

use common::{BAD_CHUNKS, Proxy, Upstream, accept_as_laxer, get, nginx_differs, wait_until};

/// A request that must be refused, and the statuses that refuse it.
struct Hostile(&'static str, &'static [u16]);

/// Sends the request, followed by one that must never be processed.
fn check_refused(proxy: &Proxy, Hostile(request, statuses): &Hostile) -> Result<(), String> {
    let mut client = proxy.client();
    client.send([request.as_bytes(), &get("/never")].concat());
    let answer = client.try_read_response().map_err(|why| format!("{request:?}: {why}"))?;
    if !statuses.contains(&answer.status()) {
        return Err(format!("{request:?}: {} instead of {statuses:?}", answer.status()));
    }
    client.finish_sending();
    if client.is_closed() { Ok(()) } else { Err(format!("{request:?}: the connection goes on")) }
}

/// The requests that the server got whole and should not have.
fn passed(server: &Upstream, proxy: &Proxy) -> Vec<String> {
    // Whatever it got, it got before this one.
    proxy.client().ask(get("/last"));
    let all = server.requests();
    let wrong = all.iter().filter(|request| !request.start.contains("/last"));
    wrong.map(|request| format!("passed: {:?}", request.head_text())).collect()
}

fn check_all_refused(table: &[Hostile]) {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let mut failures: Vec<String> =
        table.iter().filter_map(|hostile| check_refused(&proxy, hostile).err()).collect();
    failures.extend(passed(&server, &proxy));
    assert!(failures.is_empty() || accept_as_laxer(&failures), "{}", failures.join("\n"));
}

#[test]
fn malformed_heads_are_refused() {
    check_all_refused(&[
        Hostile("GET / HTTP/1.1\nHost: a\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a\r\n\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", &[400]),
        Hostile(
            "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[400],
        ),
        Hostile("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", &[400]),
        Hostile(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET /\r\n", &[400]),
        Hostile("GET / HTTP/2.0\r\nHost: a\r\n\r\n", &[505, 400]),
        Hostile("GET / HTTP/1.2\r\nHost: a\r\n\r\n", &[505]),
        Hostile("GET / HTTP/0.9\r\nHost: a\r\n\r\n", &[505, 400]),
        Hostile("GET / http/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.10\r\nHost: a\r\n\r\n", &[400, 505]),
        Hostile("GET / HTTP/1\r\nHost: a\r\n\r\n", &[400, 505]),
        Hostile("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", &[405, 501, 400]),
        Hostile("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", &[405, 501]),
        Hostile("GET * HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET a HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\n Host: a\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a\r\nX(Y): b\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: b\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", &[400]),
    ]);
}

#[test]
fn every_request_names_exactly_one_valid_host() {
    check_all_refused(&[
        Hostile("GET / HTTP/1.1\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", &[400]),
        Hostile("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", &[400]),
        Hostile("GET http://b/ HTTP/1.1\r\nHost: a/b\r\n\r\n", &[400]),
        Hostile("GET http://b/ HTTP/1.1\r\n\r\n", &[400]),
    ]);
}

#[test]
fn ambiguous_request_framing_is_refused() {
    check_all_refused(&[
        Hostile(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            &[400],
        ),
        Hostile(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\naa",
            &[400],
        ),
        Hostile("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na", &[400]),
        Hostile("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", &[400]),
        Hostile("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na", &[400]),
        Hostile("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na", &[400]),
        Hostile("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\na", &[400]),
        Hostile("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1.0\r\n\r\na", &[400]),
        Hostile("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\na", &[400]),
        Hostile(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\na",
            &[400, 413],
        ),
        Hostile(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na",
            &[400, 413],
        ),
        Hostile("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", &[400, 501]),
        Hostile(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            &[400, 501],
        ),
        Hostile(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
            &[400, 501],
        ),
        Hostile(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
            &[400, 501],
        ),
        Hostile(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
            &[400, 501],
        ),
        Hostile(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
            &[400, 501],
        ),
        Hostile("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", &[400, 501]),
        Hostile("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", &[400, 501]),
        Hostile(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400, 501],
        ),
        Hostile(
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        Hostile(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
        ),
        Hostile(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            &[400],
        ),
    ]);
}

#[test]
fn malformed_request_chunks_are_refused_and_never_complete() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let requests: Vec<String> = BAD_CHUNKS.iter().map(|body| format!("{head}{body}")).collect();
    let mut failures = Vec::new();
    for request in requests {
        let mut client = proxy.client();
        client.send([request.as_bytes(), &get("/never")].concat());
        let status = client.try_read_response().map(|answer| answer.status());
        client.finish_sending();
        match status {
            Ok(400) if client.is_closed() => {}
            other => failures.push(format!("{request:?}: {other:?}")),
        }
    }
    failures.extend(passed(&server, &proxy));
    assert!(failures.is_empty() || accept_as_laxer(&failures), "{}", failures.join("\n"));
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
fn other_expectations_are_refused_or_passed_on() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let status =
        proxy.client().ask("GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n").status();
    assert!([417, 200].contains(&status), "{status}");
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
