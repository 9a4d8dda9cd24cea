//! Hostile requests and their expected results: one table for the tests of HTTP's rules, for the
//! comparison with nginx, and for the fuzzers, which start from its bytes.
//!
//! The rules are RFC 9110 and RFC 9112. A row where nginx is laxer names the section.

/// A request, the status from us and from nginx, and why they differ. 0 means no answer.
#[derive(Clone, Copy, Debug)]
pub struct Hostile {
    pub name: &'static str,
    /// The bytes before `bytes`: empty, except for chunks.
    head: &'static str,
    pub bytes: &'static [u8],
    pub ours: u16,
    pub nginx: u16,
    pub why: Option<&'static str>,
}

impl Hostile {
    /// The whole request.
    pub fn request(&self) -> Vec<u8> {
        [self.head.as_bytes(), self.bytes].concat()
    }

    /// Whether it may reach the server, because it is odd but allowed.
    pub fn passes(&self) -> bool {
        self.ours < 400
    }
}

const fn same(name: &'static str, bytes: &'static [u8], status: u16) -> Hostile {
    Hostile { name, head: "", bytes, ours: status, nginx: status, why: None }
}

const fn differs(
    name: &'static str,
    bytes: &'static [u8],
    ours: u16,
    nginx: u16,
    why: &'static str,
) -> Hostile {
    Hostile { name, head: "", bytes, ours, nginx, why: Some(why) }
}

/// All rows.
pub fn all() -> Vec<Hostile> {
    [HEADS, HOSTS, FRAMINGS, &after_a_head(CHUNKS)].concat()
}

/// Rows for the bytes after a head that announces chunks, with that head.
pub fn after_a_head(rows: &[Hostile]) -> Vec<Hostile> {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    rows.iter().map(|row| Hostile { head, ..*row }).collect()
}

const LINE_END: &str =
    "RFC 9112, 2.2: only CRLF ends a line; what else ends one for the next parser is a way in";
const SPACES: &str = "RFC 9112, 3: single spaces; leniency may be a way to smuggle";
const DROPPED: &str = "RFC 9112, 5: nginx drops the line, and the server never learns of it";
const CONTROL: &str =
    "RFC 9110, 5.5: such values are invalid, and dangerous where they are printed";
const EMPTY_LINES: &str = "RFC 9112, 2.2: at least one is passed over; eight are enough";
const VERSION: &str = "not a version in use: RFC 9110, 15.6.6";
const HOST: &str = "RFC 9112, 3.2: an invalid Host is refused";
const EXPECTATION: &str = "RFC 9110, 10.1.1: 417 is the answer to it";
const TRAILERS: &str = "RFC 9112, 7.1.2: trailers are fields";

/// Malformed heads.
pub const HEADS: &[Hostile] = &[
    differs("bare line feeds", b"GET / HTTP/1.1\nHost: a\n\n", 400, 200, LINE_END),
    differs("a bare line feed after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, 200, LINE_END),
    differs("a bare line feed after a field", b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, 200, LINE_END),
    differs("a bare line feed between fields", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\nC: d\r\n\r\n", 400, 200, LINE_END),
    differs("a bare line feed in place of the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, 200, LINE_END),
    same("a bare carriage return in a value", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", 400),
    same("a field behind a bare carriage return", b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
    differs("a carriage return before a line end", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\r\n\r\n", 400, 200, LINE_END),
    same("a NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n", 400),
    differs("a control character in a value", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x01c\r\n\r\n", 400, 200, CONTROL),
    differs("a control character as a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", 400, 200, CONTROL),
    differs("nine empty lines first", b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200, EMPTY_LINES),
    differs("ten empty lines first", b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200, EMPTY_LINES),
    differs("two spaces after the method", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200, SPACES),
    differs("two spaces before the version", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200, SPACES),
    differs("a space at the end of the line", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, 200, SPACES),
    same("a space before the method", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a tab in the request line", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a DEL in the target", b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    differs("a fragment", b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200, "RFC 9112, 3.2: a target has no fragment; nginx drops it, and the server would see another one"),
    differs("a lowercase method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 200, 400, "RFC 9110, 9.1: methods are case-sensitive tokens, and unknown ones are for the server to refuse"),
    same("a method that is no token", b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a method alone", b"GET\r\nHost: a\r\n\r\n", 400),
    differs("HTTP/0.9", b"GET /\r\n", 400, 0, "a status says more than a closed connection"),
    differs("version 0.9", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, 400, VERSION),
    same("version 1", b"GET / HTTP/1\r\nHost: a\r\n\r\n", 400),
    differs("version 1.10", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, 200, "RFC 9112, 2.3: a digit, a dot and a digit"),
    differs("version 1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, 200, VERSION),
    same("version 2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    differs("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, 400, "it names its version: RFC 9110, 15.6.6"),
    same("a lowercase version", b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    differs("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405, 400, "the method is known and not served: RFC 9110, 15.5.6"),
    same("TRACE", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    same("* without OPTIONS", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a relative target", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    differs("another scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200, "this is no proxy for other schemes: RFC 9112, 3.2.2"),
    same("no authority in the target", b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("userinfo in the target", b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a port that is none in the target", b"GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a path above the root", b"GET /../a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("an encoded NUL", b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a broken escape", b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    same("a space before the colon", b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400),
    same("a folded line", b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400),
    same("a space before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    same("a field without a name", b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
    differs("a field without a colon", b"GET / HTTP/1.1\r\nHost: a\r\nAbc\r\n\r\n", 400, 200, DROPPED),
    differs("a name with a parenthesis", b"GET / HTTP/1.1\r\nHost: a\r\nA(: b\r\n\r\n", 400, 200, DROPPED),
    differs("a name with a high byte", b"GET / HTTP/1.1\r\nHost: a\r\n\xe4: b\r\n\r\n", 400, 200, DROPPED),
    differs("a name with a letter beyond ASCII", b"GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa9: b\r\n\r\n", 400, 200, DROPPED),
    differs("an unknown expectation", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: cake\r\nContent-Length: 1\r\n\r\nx", 417, 200, EXPECTATION),
    differs("an expectation without a body", b"GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", 417, 200, EXPECTATION),
    differs("two expectations", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nExpect: cake\r\nContent-Length: 1\r\n\r\nx", 417, 400, EXPECTATION),
];

/// Heads that do not name exactly one valid host.
pub const HOSTS: &[Hostile] = &[
    same("no Host", b"GET / HTTP/1.1\r\n\r\n", 400),
    same("a space behind Host", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    same("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    same("two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 400),
    same("a Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    same("a list of Hosts", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    differs("a Host with userinfo", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, 200, HOST),
    same("a Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    differs("a Host with an open bracket", b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, 200, HOST),
    differs(
        "a Host in brackets that is no address",
        b"GET / HTTP/1.1\r\nHost: [a.b]\r\n\r\n",
        400,
        200,
        HOST,
    ),
    differs("a Host with two ports", b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400, 200, HOST),
    differs(
        "a Host with a port that is none",
        b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
        400,
        200,
        HOST,
    ),
    same(
        "a Host with a path behind an absolute target",
        b"GET http://b/ HTTP/1.1\r\nHost: a/b\r\n\r\n",
        400,
    ),
    same("an absolute target without a Host", b"GET http://b/ HTTP/1.1\r\n\r\n", 400),
];

/// Heads that do not say clearly where their body ends.
pub const FRAMINGS: &[Hostile] = &[
    same("two lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
    same("two different lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\naa", 400),
    same("a list of lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx", 400),
    same("a signed length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", 400),
    same("a negative length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na", 400),
    same("a hexadecimal length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx", 400),
    same("a length with a space", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\na", 400),
    same("a length with a fraction", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1.0\r\n\r\na", 400),
    same("an empty length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nx", 400),
    same("a length beyond 63 bits", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\nx", 400),
    same("a length that wraps", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na", 400),
    same("a length and chunks", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    same("chunks and a length", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    same("two codings", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    same("gzip", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    same("gzip, chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    same("nothing, chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 501),
    same("chunked with a parameter", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 501),
    same("chunked in quotes", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 501),
    differs("chunked behind a vertical tab", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, 501, "a control character in a value, before anything else"),
    same("identity", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501),
    same("an empty coding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 501),
    same("chunks in HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
];

/// Bytes after a head with `Transfer-Encoding: chunked`, in a request or a response, that are not
/// valid chunks. The statuses are those for a request.
pub const CHUNKS: &[Hostile] = &[
    same("a signed chunk size", b"+1\r\na\r\n0\r\n\r\n", 400),
    same("a negative chunk size", b"-1\r\na\r\n0\r\n\r\n", 400),
    same("a chunk size with 0x", b"0x1\r\na\r\n0\r\n\r\n", 400),
    same("a chunk size with an underscore", b"1_0\r\na\r\n0\r\n\r\n", 400),
    same("a chunk size behind a space", b" 1\r\na\r\n0\r\n\r\n", 400),
    differs(
        "a chunk size before a space",
        b"1 \r\na\r\n0\r\n\r\n",
        400,
        200,
        "RFC 9112, 7.1: no space there; parsers that trim it disagree with those that do not",
    ),
    same("an empty chunk line", b"\r\n", 400),
    same("an extension without a size", b";a\r\na\r\n0\r\n\r\n", 400),
    same("a chunk size that is no number", b"g\r\na\r\n0\r\n\r\n", 400),
    same("a chunk size beyond 63 bits", b"8000000000000000\r\na\r\n0\r\n\r\n", 400),
    same("a chunk size that wraps", b"10000000000000001\r\na\r\n0\r\n\r\n", 400),
    differs("a chunk line with a bare line feed", b"1\na\r\n0\r\n\r\n", 400, 200, LINE_END),
    same("a chunk line with a bare carriage return", b"1\rb\r\na\r\n0\r\n\r\n", 400),
    differs("chunk data before a bare line feed", b"1\r\na\n0\r\n\r\n", 400, 200, LINE_END),
    same("chunk data without a line end", b"1\r\na0\r\n\r\n", 400),
    same("other bytes in place of a line end", b"1\r\naXX0\r\n\r\n", 400),
    same("data that is longer than its chunk", b"1\r\nab\r\n0\r\n\r\n", 400),
    differs("a trailer without a colon", b"1\r\na\r\n0\r\nno colon\r\n\r\n", 400, 200, TRAILERS),
    differs(
        "a trailer with a space before its colon",
        b"1\r\na\r\n0\r\nX : y\r\n\r\n",
        400,
        200,
        TRAILERS,
    ),
    differs("a folded trailer", b"0\r\nA: b\r\n c\r\n\r\n", 400, 200, TRAILERS),
    differs("an extension that a bare line feed ends", b"1;a\na\r\n0\r\n\r\n", 400, 200, LINE_END),
    same("an extension with a bare line feed", b"1;a\nb\r\na\r\n0\r\n\r\n", 400),
    same("an extension with a bare carriage return", b"1;a\rb\r\na\r\n0\r\n\r\n", 400),
    differs(
        "an extension with an open quote",
        b"1;a=\"b\r\na\r\n0\r\n\r\n",
        400,
        200,
        "RFC 9112, 7.1.1: a quoted string ends before its line does",
    ),
];
