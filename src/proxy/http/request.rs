//! A request whose head was checked, with the places of its important parts.

use crate::buffer::Buffer;
use crate::http::connection::Options;
use crate::http::fields::{Fields, Known, Place};
use crate::http::framing::{self, Framing};
use crate::http::head::{self, RequestHead, Version};
use crate::http::refusal::Refusal;
use crate::http::target::{Target, TargetError, host_and_port, is_host};
use crate::upstream::retry::is_idempotent;

/// A request. Spans refer to the bytes of its head.
#[derive(Debug)]
pub struct Request {
    /// The head as received. Of a refused head, possibly only the first line.
    pub head: Buffer,
    /// The places of its fields.
    pub places: Vec<Place>,
    /// The method.
    pub method: HeadSpan,
    /// The target as received; empty if invalid.
    pub target: HeadSpan,
    /// Path and query as received.
    pub path: HeadSpan,
    /// The length of the path in it: a query follows.
    path_length: u32,
    /// The prefix that `path` needs when sent on: see [`Target::missing`].
    pub missing: &'static [u8],
    /// The host with its port: from the target, or else from `Host`.
    pub authority: Option<HeadSpan>,
    /// The version.
    pub version: Version,
    /// The options in `Connection`.
    pub options: Options,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether it is a `HEAD`, whose response has no body.
    pub is_head: bool,
    /// Whether repeating it does no harm.
    pub idempotent: bool,
    /// Whether the client waits for a 100 before it sends the body.
    pub expects_continue: bool,
    /// The protocol it asks to switch to.
    pub upgrade: Option<HeadSpan>,
}

/// The place of a part of a head. `u32` is enough for every head within the limits.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadSpan {
    start: u32,
    end: u32,
}

impl Request {
    /// Reads a complete head, using `places` as storage for the places of its fields. A refused
    /// request keeps what is known about it, for the log lines.
    pub fn read(head: Buffer, places: Vec<Place>) -> (Request, Result<(), Refusal>) {
        let mut request = Request::of_line(head, places);
        let read = request.interpret();
        (request, read)
    }

    /// A request of which only the first line is known, at most.
    pub fn unread(line: Buffer) -> Request {
        Request::of_line(line, Vec::new())
    }

    fn of_line(head: Buffer, places: Vec<Place>) -> Request {
        Request {
            head,
            places,
            method: HeadSpan::default(),
            target: HeadSpan::default(),
            path: HeadSpan::default(),
            path_length: 0,
            missing: b"",
            authority: None,
            version: Version::Http11,
            options: Options { close: true, ..Options::default() },
            framing: Framing::None,
            is_head: false,
            idempotent: false,
            expects_continue: false,
            upgrade: None,
        }
    }

    fn interpret(&mut self) -> Result<(), Refusal> {
        let bytes = self.head.bytes();
        let parsed = match head::parse_request(bytes, &mut self.places) {
            Ok(parsed) => parsed,
            Err(e) => {
                self.places.clear();
                return Err(Refusal::Head(e));
            }
        };
        self.method = span(bytes, parsed.method);
        self.target = span(bytes, parsed.target);
        self.version = parsed.version;
        self.is_head = parsed.method == b"HEAD";
        self.idempotent = is_idempotent(parsed.method);
        let target = Target::parse(parsed.method, parsed.target);
        match target {
            Ok(target) => {
                self.path = span(bytes, target.path);
                self.path_length = target.split().0.len() as u32;
                self.missing = target.missing;
            }
            Err(_) => self.target = HeadSpan::default(),
        }
        let details = Details::of(bytes, &parsed, target)?;
        self.authority = details.authority;
        self.options = details.options;
        self.framing = details.framing;
        self.expects_continue = details.expects_continue;
        self.upgrade = details.upgrade;
        Ok(())
    }

    /// The fields; empty if the head was refused as malformed.
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(self.head.bytes(), &self.places)
    }

    /// The bytes at a place.
    pub fn at(&self, span: HeadSpan) -> &[u8] {
        &self.head.bytes()[span.start as usize..span.end as usize]
    }

    /// Appends the values of all lines of the field `name`, separated by `between`; `None` if there
    /// is no such field. `_` and `-` are different in names.
    pub fn field(&self, name: &str, between: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let is_meant = |field: &[u8]| field.eq_ignore_ascii_case(name.as_bytes());
        self.fields().join(is_meant, between, out)
    }

    /// The host with its port, as received: from the target, or else from `Host`.
    pub fn authority(&self) -> Option<&[u8]> {
        self.authority.map(|span| self.at(span))
    }

    /// The host without its port, as received; `None` if missing or empty.
    pub fn host(&self) -> Option<&[u8]> {
        let (host, _) = host_and_port(self.authority()?);
        let host = host.strip_suffix(b".").unwrap_or(host);
        (!host.is_empty()).then_some(host)
    }

    /// The path as received, and the query without its `?`.
    pub fn path_and_query(&self) -> (&[u8], Option<&[u8]>) {
        let (path, query) = self.at(self.path).split_at(self.path_length as usize);
        (path, query.get(b"?".len()..))
    }

    /// The first line.
    pub fn line(&self) -> &[u8] {
        let bytes = self.head.bytes();
        &bytes[..memchr::memchr2(b'\r', b'\n', bytes).unwrap_or(bytes.len())]
    }

    /// Whether the client wants to keep its connection open.
    pub fn is_persistent(&self) -> bool {
        self.options.persistent(self.version)
    }
}

/// The parts of a well-formed head, interpreted.
struct Details {
    authority: Option<HeadSpan>,
    options: Options,
    framing: Framing,
    expects_continue: bool,
    upgrade: Option<HeadSpan>,
}

impl Details {
    fn of(
        bytes: &[u8],
        head: &RequestHead<'_>,
        target: Result<Target<'_>, TargetError>,
    ) -> Result<Details, Refusal> {
        if matches!(head.method, b"CONNECT" | b"TRACE") {
            return Err(Refusal::Method);
        }
        let target = target.map_err(|_| Refusal::Target)?;
        let host = host(head)?;
        let framing = framing::of_request(head).map_err(Refusal::Framing)?;
        let options = Options::of(head.fields).map_err(|_| Refusal::ConnectionTooLong)?;
        let expects = expects_continue(head)?;
        let upgrade = head.fields.values(Known::Upgrade).next().filter(|value| !value.is_empty());
        let may_upgrade =
            options.upgrade && head.version == Version::Http11 && framing == Framing::None;
        Ok(Details {
            authority: target.authority.or(host).map(|authority| span(bytes, authority)),
            options,
            framing,
            expects_continue: expects && framing != Framing::None,
            upgrade: upgrade.filter(|_| may_upgrade).map(|value| span(bytes, value)),
        })
    }
}

/// The only `Host`. An error if missing in HTTP/1.1, repeated or invalid: RFC 9112, section 3.2.
fn host<'a>(head: &RequestHead<'a>) -> Result<Option<&'a [u8]>, Refusal> {
    let mut hosts = head.fields.values(Known::Host);
    match (hosts.next(), hosts.next()) {
        (None, _) if head.version == Version::Http11 => Err(Refusal::NoHost),
        (None, _) => Ok(None),
        (Some(host), None) if is_host(host) => Ok(Some(host)),
        (Some(_), None) => Err(Refusal::BadHost),
        (Some(_), Some(_)) => Err(Refusal::SeveralHosts),
    }
}

/// HTTP/1.0 has no expectations. In HTTP/1.1, each line must be `100-continue`.
fn expects_continue(head: &RequestHead<'_>) -> Result<bool, Refusal> {
    if head.version == Version::Http10 {
        return Ok(false);
    }
    let mut expectations = head.fields.values(Known::Expect).peekable();
    let expects = expectations.peek().is_some();
    if expectations.all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        Ok(expects)
    } else {
        Err(Refusal::Expectation)
    }
}

/// The place of `part` in `whole`, of which it is a slice.
fn span(whole: &[u8], part: &[u8]) -> HeadSpan {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    assert!(start + part.len() <= whole.len(), "a part lies inside of the whole");
    HeadSpan { start: start as u32, end: (start + part.len()) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::BufferPool;

    fn read(text: &str) -> (Request, Option<u16>) {
        let mut head = Buffer::default();
        BufferPool::default().append(&mut head, text.as_bytes());
        let (request, read) = Request::read(head, Vec::new());
        let refused = read.err().map(Refusal::status);
        (request, refused)
    }

    #[test]
    fn the_places_of_a_request() {
        let (request, refused) = read(
            "GET http://B.c:81?x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ws\r\n\r\n",
        );
        assert_eq!(refused, None);
        assert_eq!(
            (request.host(), request.authority()),
            (Some(&b"B.c"[..]), Some(&b"B.c:81"[..]))
        );
        assert_eq!((request.missing, request.at(request.path)), (&b"/"[..], &b"?x"[..]));
        assert_eq!(request.at(request.upgrade.unwrap()), b"ws");
        assert!(request.idempotent && request.is_persistent());
    }

    /// The `*` is sent on, although the head does not contain it.
    #[test]
    fn options_of_a_whole_server_asks_for_an_asterisk() {
        let (request, refused) = read("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(refused, None);
        assert_eq!((request.missing, request.at(request.path)), (&b"*"[..], &b""[..]));
    }

    #[test]
    fn statuses_of_refused_heads() {
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
            ("GET http://a/ HTTP/1.1\r\nHost: u@b\r\n\r\n", 400),
            ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                400,
            ),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: cake\r\n\r\n", 417),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\
                 Expect: cake\r\n\r\n",
                417,
            ),
            ("GET / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n", 417),
        ] {
            assert_eq!(read(text).1, Some(status), "{text}");
        }
    }

    #[test]
    fn a_refused_request_still_has_its_path() {
        for text in ["GET /a HTTP/1.1\r\n\r\n", "TRACE http://a:b@c/a HTTP/1.1\r\nHost: a\r\n\r\n"]
        {
            let (request, refused) = read(text);
            assert!(refused.is_some());
            let expected: &[u8] = if text.starts_with("GET") { b"/a" } else { b"" };
            assert_eq!(request.at(request.path), expected, "{text}");
        }
    }

    #[test]
    fn connection_options_beyond_the_bound_are_refused() {
        let at_most = "a,".repeat(511) + "a";
        for (options, status) in [(&*at_most, None), (&format!("{at_most},"), Some(431))] {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {options}\r\n\r\n");
            assert_eq!(read(&text).1, status);
        }
    }

    #[test]
    fn a_host_may_be_empty_and_missing_in_http_1_0() {
        assert_eq!(read("GET / HTTP/1.1\r\nHost:\r\n\r\n").1, None);
        assert_eq!(read("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").1, None);
    }
}
