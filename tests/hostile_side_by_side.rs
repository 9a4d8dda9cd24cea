//! The same hostile requests through nginx and through us, side by side. Every difference is in the
//! table with its reason.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::path::{Path, PathBuf};

use common::{Proxy, Upstream, binary};

/// A request, our answer, nginx's answer, and the reason where they differ. 0: no answer.
struct Hostile {
    name: &'static str,
    request: &'static [u8],
    ours: u16,
    nginx: u16,
    why: Option<&'static str>,
}

const fn same(name: &'static str, request: &'static [u8], status: u16) -> Hostile {
    Hostile { name, request, ours: status, nginx: status, why: None }
}

const fn differs(
    name: &'static str,
    request: &'static [u8],
    ours: u16,
    nginx: u16,
    why: &'static str,
) -> Hostile {
    Hostile { name, request, ours, nginx, why: Some(why) }
}

const HOSTILE: &[Hostile] = &[
    differs("bare line feeds", b"GET / HTTP/1.1\nHost: a\n\n", 400, 200, "RFC 9112, 2.2: only CRLF ends a line; what else ends one for the next parser is a way in"),
    differs("a bare line feed in a field", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\nC: d\r\n\r\n", 400, 200, "RFC 9112, 2.2: only CRLF ends a line; what else ends one for the next parser is a way in"),
    same("a bare carriage return in a value", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", 400),
    same("a NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n", 400),
    differs("a control character in a value", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x01c\r\n\r\n", 400, 200, "RFC 9110, 5.5: such values are invalid, and dangerous to whoever prints them"),
    differs("nine empty lines first", b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200, "RFC 9112, 2.2: at least one is passed over; eight are enough"),
    differs("two spaces after the method", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200, "RFC 9112, 3: single spaces; leniency may be a way to smuggle"),
    differs("two spaces before the version", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200, "RFC 9112, 3: single spaces; leniency may be a way to smuggle"),
    differs("a space at the end of the line", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, 200, "RFC 9112, 3: single spaces; leniency may be a way to smuggle"),
    same("a tab in the request line", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    differs("a lowercase method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 200, 400, "RFC 9110, 9.1: methods are case-sensitive tokens, and unknown ones are for the server to refuse"),
    differs("a fragment", b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200, "RFC 9112, 3.2: a target has no fragment; nginx drops it, and the server would see another one"),
    same("a DEL in the target", b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    differs("HTTP/0.9", b"GET /\r\n", 400, 0, "a status says more than a closed connection"),
    differs("version 1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, 200, "not a version that anybody speaks: RFC 9110, 15.6.6"),
    same("version 2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    differs("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, 400, "it names its version: RFC 9110, 15.6.6"),
    same("a lowercase version", b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    differs("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405, 400, "the method is known and not served: RFC 9110, 15.5.6"),
    same("TRACE", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    same("* without OPTIONS", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a relative target", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    differs("another scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200, "this is no proxy for other schemes: RFC 9112, 3.2.2"),
    same("userinfo in the target", b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a path above the root", b"GET /../a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("an encoded NUL", b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a broken escape", b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a space before the colon", b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400),
    same("a folded line", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400),
    same("a field without a name", b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
    differs("a field without a colon", b"GET / HTTP/1.1\r\nHost: a\r\nAbc\r\n\r\n", 400, 200, "RFC 9112, 5: nginx drops the line, and the server never learns of it"),
    differs("a name with a parenthesis", b"GET / HTTP/1.1\r\nHost: a\r\nA(: b\r\n\r\n", 400, 200, "RFC 9112, 5: nginx drops the line, and the server never learns of it"),
    differs("a name with a high byte", b"GET / HTTP/1.1\r\nHost: a\r\n\xe4: b\r\n\r\n", 400, 200, "RFC 9112, 5: nginx drops the line, and the server never learns of it"),
    same("no Host", b"GET / HTTP/1.1\r\n\r\n", 400),
    same("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    same("a Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    differs("a Host with userinfo", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, 200, "RFC 9112, 3.2: an invalid Host is refused"),
    same("a Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    differs("a Host with a port that is none", b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, 200, "RFC 9112, 3.2: an invalid Host is refused"),
    same("two lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
    same("a list of lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx", 400),
    same("a signed length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", 400),
    same("a hexadecimal length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx", 400),
    same("an empty length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nx", 400),
    same("a length beyond 63 bits", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\nx", 400),
    same("a length and chunks", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    same("two codings", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    same("gzip, chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    same("identity", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501),
    differs("chunked behind a vertical tab", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, 501, "a control character in a value, before anything else"),
    same("chunks in HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    same("a chunk size with 0x", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n", 400),
    same("a signed chunk size", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n", 400),
    same("a chunk size behind a space", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 1\r\nx\r\n0\r\n\r\n", 400),
    differs("a chunk size before a space", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n", 400, 200, "RFC 9112, 7.1: no space there; parsers that trim it disagree with those that do not"),
    same("a chunk size that wraps", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n", 400),
    differs("a chunk line with a bare line feed", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n", 400, 200, "RFC 9112, 2.2: only CRLF ends a line; what else ends one for the next parser is a way in"),
    differs("an extension with a bare line feed", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nx\r\n0\r\n\r\n", 400, 200, "RFC 9112, 2.2: only CRLF ends a line; what else ends one for the next parser is a way in"),
    same("data that is longer than its chunk", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n", 400),
    same("chunk data without a line end", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx0\r\n\r\n", 400),
    differs("a malformed trailer", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA b\r\n\r\n", 400, 200, "RFC 9112, 7.1.2: trailers are fields"),
    differs("an expectation nobody knows", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: cake\r\nContent-Length: 1\r\n\r\nx", 417, 200, "RFC 9110, 10.1.1: 417 is the answer to it"),
];

/// The statuses that a proxy answers with, in the order of the table.
fn statuses(binary: &Path) -> Vec<u16> {
    let server = Upstream::named("a");
    let conf = "server { listen {listen}; location / { proxy_pass http://{server};
        proxy_request_buffering off; proxy_http_version 1.1; } }";
    let proxy = Proxy::start_other(binary, conf, &[("server", &server)]);
    let status = |hostile: &Hostile| {
        let mut client = proxy.client();
        // It may have been refused before its last byte.
        let _ = client.try_send(hostile.request);
        client.try_read_response().map_or(0, |answer| answer.status())
    };
    HOSTILE.iter().map(status).collect()
}

fn check(binary: &Path, expected: impl Fn(&Hostile) -> u16) {
    let wrong: Vec<String> = HOSTILE
        .iter()
        .zip(statuses(binary))
        .filter(|(hostile, status)| expected(hostile) != *status)
        .map(|(hostile, status)| {
            format!("{}: {status} instead of {}", hostile.name, expected(hostile))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_requests_get_the_status_of_the_table() {
    if common::is_nginx() {
        return;
    }
    check(&binary(), |hostile| hostile.ours);
}

#[test]
fn nginx_differs_where_the_table_says_so() {
    let places = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"];
    let Some(nginx) = places.iter().map(PathBuf::from).find(|file| file.is_file()) else {
        eprintln!("skipped: no nginx");
        return;
    };
    check(&nginx, |hostile| hostile.nginx);
}

#[test]
fn every_difference_has_its_reason() {
    for hostile in HOSTILE {
        assert_eq!(hostile.ours != hostile.nginx, hostile.why.is_some(), "{}", hostile.name);
    }
}
