//! Heads as they leave the proxy: parsed first, then written in exactly one spelling.
//!
//! Hop-by-hop fields are dropped, framing and `Host` are rewritten, and configured fields replace
//! the sender's whatever their case or number. RFC 9110, section 7.6; RFC 9112, section 6.

use std::time::Duration;

use super::connection::{NamedFields, Options};
use super::fields::{Field, Fields, Known, Place, value_end};
use super::framing::Framing;
use super::head::{Version, is_target_byte};

/// Evaluated fields to set; an empty value removes the field.
#[derive(Debug, Default)]
pub struct SetFields {
    lines: Vec<u8>,
    places: Vec<Place>,
}

impl SetFields {
    /// Removes all fields but keeps the storage.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.places.clear();
    }

    /// Adds a field whose value `write` appends. Control characters, which could end the line
    /// early, become spaces.
    pub fn add(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.lines.len();
        self.lines.extend_from_slice(name);
        self.lines.extend_from_slice(b": ");
        let mut from = self.lines.len();
        write(&mut self.lines);
        while let Some(at) = value_end(&self.lines[from..]) {
            self.lines[from + at] = b' ';
            from += at + 1;
        }
        self.lines.extend_from_slice(b"\r\n");
        self.places.push(Place::of_line(&self.lines, start, name.len(), self.lines.len()));
    }

    /// Removes the fields that `is_meant` names.
    pub fn remove(&mut self, is_meant: impl Fn(&Field<'_>) -> bool) {
        let SetFields { lines, places } = self;
        places.retain(|place| {
            let one = std::slice::from_ref(place);
            !Fields::new(lines, one).iter().any(|field| is_meant(&field))
        });
    }

    /// The fields in order.
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(&self.lines, &self.places)
    }

    /// The last value set for a known field.
    pub fn value(&self, which: Known) -> Option<&[u8]> {
        self.fields().values(which).last()
    }
}

/// What the `Connection` field says about keeping the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing: the version's default applies.
    Implied,
    /// `Connection: close`.
    Close,
    /// `Connection: keep-alive`, for HTTP/1.0.
    KeepAlive,
}

/// A request head to write.
#[derive(Debug)]
pub struct RequestOut<'a> {
    /// The method, as received.
    pub method: &'a [u8],
    /// The target to request.
    pub target: &'a [u8],
    /// The version to use.
    pub version: Version,
    /// The fields received.
    pub fields: Fields<'a>,
    /// The options of their `Connection` lines.
    pub options: Options,
    /// Configured fields, which replace received ones.
    pub set: &'a SetFields,
    /// The `Host` if `set` has none or an empty one: HTTP/1.1 requires exactly one.
    pub host: &'a [u8],
    /// The body's framing.
    pub framing: Framing,
    /// Send `Expect: 100-continue`.
    pub expect: bool,
    /// The protocol to upgrade to.
    pub upgrade: Option<&'a [u8]>,
    /// Pass on fields with an underscore in their names.
    pub underscores: bool,
    /// Whether the connection to the server persists.
    pub persistence: Persistence,
}

impl RequestOut<'_> {
    /// Appends the head.
    pub fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(self.target.iter().copied().all(is_target_byte), "whatever made it");
        out.extend_from_slice(self.method);
        out.push(b' ');
        out.extend_from_slice(self.target);
        out.extend_from_slice(match self.version {
            Version::Http10 => b" HTTP/1.0\r\n",
            Version::Http11 => b" HTTP/1.1\r\n",
        });
        let host = self.set.value(Known::Host).filter(|host| !host.is_empty());
        line(out, b"Host", host.unwrap_or(self.host));
        set(out, self.set, |set| set.known != Some(Known::Host));
        let named = self.options.names_fields.then(|| NamedFields::of(self.fields));
        let passes = |field: &Field<'_>| self.passes(field, named.as_ref());
        self.fields.iter().filter(passes).for_each(|field| copy(out, &field));
        framing(out, self.framing);
        if self.expect {
            out.extend_from_slice(b"Expect: 100-continue\r\n");
        }
        match self.upgrade {
            Some(protocol) => upgrade(out, protocol),
            None => persistence(out, self.persistence),
        }
        out.extend_from_slice(b"\r\n");
    }

    fn passes(&self, field: &Field<'_>, named: Option<&NamedFields<'_>>) -> bool {
        let name = field.name;
        let is_ours = is_remade(field) || matches!(field.known, Some(Known::Expect | Known::Host));
        if is_ours || self.set.fields().have_name_of(field) {
            return false;
        }
        let named = named.is_some_and(|named| named.has(name));
        (self.underscores || !name.contains(&b'_')) && !named
    }
}

/// A response head to write.
#[derive(Debug)]
pub struct ResponseOut<'a> {
    /// The status.
    pub status: u16,
    /// The reason phrase.
    pub reason: &'a [u8],
    /// The fields received.
    pub fields: Fields<'a>,
    /// The options of their `Connection` lines.
    pub options: Options,
    /// Lowercase names of fields to remove.
    pub hide: &'a [Box<[u8]>],
    /// Fields to add.
    pub add: &'a SetFields,
    /// The body's framing; `Framing::None` writes no framing field.
    pub framing: Framing,
    /// Whether the client's connection persists.
    pub persistence: Persistence,
    /// How long the client may idle: sent in `Keep-Alive: timeout=`.
    pub keep_alive: Option<Duration>,
    /// The protocol that both sides agreed on, for 101.
    pub upgrade: Option<&'a [u8]>,
}

impl ResponseOut<'_> {
    /// Appends the head. `redirect` may replace the URL of `Location` or `Refresh`: it then appends
    /// the new one and returns `true`.
    pub fn write(&self, out: &mut Vec<u8>, mut redirect: impl FnMut(&[u8], &mut Vec<u8>) -> bool) {
        status_line(out, self.status, self.reason);
        let named = self.options.names_fields.then(|| NamedFields::of(self.fields));
        for field in self.fields.iter().filter(|field| self.passes(field, named.as_ref())) {
            let Some(at) = url_position(&field) else {
                copy(out, &field);
                continue;
            };
            let (before, url) = field.value.split_at(at);
            out.extend_from_slice(field.name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(before);
            if !redirect(url, out) {
                out.extend_from_slice(url);
            }
            out.extend_from_slice(b"\r\n");
        }
        set(out, self.add, |_| true);
        framing(out, self.framing);
        match self.upgrade {
            Some(protocol) => upgrade(out, protocol),
            None => persistence(out, self.persistence),
        }
        if let Some(timeout) = self.keep_alive {
            out.extend_from_slice(b"Keep-Alive: timeout=");
            decimal(out, timeout.as_secs());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    fn passes(&self, field: &Field<'_>, named: Option<&NamedFields<'_>>) -> bool {
        let hidden = self.hide.iter().any(|hidden| hidden.eq_ignore_ascii_case(field.name));
        let named = named.is_some_and(|named| named.has(field.name));
        !is_remade(field) && !hidden && !named
    }
}

/// The position of the URL in a `Location` or `Refresh`.
fn url_position(field: &Field<'_>) -> Option<usize> {
    if field.name.eq_ignore_ascii_case(b"location") {
        return Some(0);
    }
    if !field.name.eq_ignore_ascii_case(b"refresh") {
        return None;
    }
    let at = field.value.windows(4).position(|part| part.eq_ignore_ascii_case(b"url="))?;
    Some(at + 4)
}

/// Fields that describe one hop or the framing: only the proxy writes them.
fn is_remade(field: &Field<'_>) -> bool {
    match field.known {
        Some(
            Known::Connection
            | Known::ContentLength
            | Known::Http2Settings
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Te
            | Known::TransferEncoding
            | Known::Upgrade,
        ) => true,
        Some(Known::Expect | Known::Host) | None => false,
    }
}

/// Appends the set fields that are not empty and that `which` accepts.
fn set(out: &mut Vec<u8>, set: &SetFields, which: impl Fn(&Field<'_>) -> bool) {
    let set = set.fields().iter().filter(|set| !set.value.is_empty() && !is_remade(set));
    set.filter(which).for_each(|set| copy(out, &set));
}

/// Appends a field in the one spelling that leaves the proxy, which most fields already have.
fn copy(out: &mut Vec<u8>, field: &Field<'_>) {
    if field.is_plain() {
        out.extend_from_slice(field.line);
    } else {
        line(out, field.name, field.value);
    }
}

/// Appends a status line.
pub fn status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Appends one field line.
pub fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends the framing field, if one is needed.
pub fn framing(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::None | Framing::UntilClose => {}
    }
}

/// Appends the `Connection` field, if one is needed.
pub fn persistence(out: &mut Vec<u8>, persistence: Persistence) {
    match persistence {
        Persistence::Implied => {}
        Persistence::Close => out.extend_from_slice(b"Connection: close\r\n"),
        Persistence::KeepAlive => out.extend_from_slice(b"Connection: keep-alive\r\n"),
    }
}

fn upgrade(out: &mut Vec<u8>, protocol: &[u8]) {
    line(out, b"Upgrade", protocol);
    out.extend_from_slice(b"Connection: upgrade\r\n");
}

/// Appends a number.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
    if number < 10 {
        return out.push(b'0' + number as u8);
    }
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{parse_request, parse_response};

    fn set(fields: &[(&str, &str)]) -> SetFields {
        let mut set = SetFields::default();
        for (name, value) in fields {
            set.add(name.as_bytes(), |out| out.extend_from_slice(value.as_bytes()));
        }
        set
    }

    fn request(text: &str, set: &SetFields, framing: Framing) -> String {
        let mut places = Vec::new();
        let head = parse_request(text.as_bytes(), &mut places).unwrap();
        let mut out = Vec::new();
        RequestOut {
            method: head.method,
            target: head.target,
            version: Version::Http11,
            fields: head.fields,
            options: Options::of(head.fields).unwrap(),
            set,
            host: b"fallback",
            framing,
            expect: false,
            upgrade: None,
            underscores: false,
            persistence: Persistence::Implied,
        }
        .write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hop_by_hop_fields_end_at_the_proxy() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\n\
            x-hop: 1\r\nProxy-Connection: x\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\
            Transfer-Encoding: chunked\r\nX_Under: 1\r\nAccept: b\r\nAccept: c\r\nEmpty:\r\n\r\n";
        let expected = "GET / HTTP/1.1\r\nHost: b\r\nAccept: b\r\nAccept: c\r\nEmpty: \r\n\
            Transfer-Encoding: chunked\r\n\r\n";
        assert_eq!(request(text, &set(&[("Host", "b")]), Framing::Chunked), expected);
    }

    #[test]
    fn set_fields_replace_every_line_of_their_name() {
        let text = "GET / HTTP/1.1\r\nHOST: evil\r\nx-real-ip: 1\r\nX-Real-IP: 2\r\nAccept: b\r\n\
            Connection: X-Real-IP\r\n\r\n";
        let set =
            set(&[("Host", "good"), ("X-Real-IP", "9"), ("Accept", ""), ("Content-Length", "7")]);
        let expected = "GET / HTTP/1.1\r\nHost: good\r\nX-Real-IP: 9\r\n\r\n";
        assert_eq!(request(text, &set, Framing::None), expected);
    }

    #[test]
    fn exactly_one_host_leaves_whatever_came_and_was_set() {
        for (received, set_to, sent) in [
            ("Host: a\r\n", &[][..], "fallback"),
            ("Connection: Host\r\nHost: a\r\n", &[("Host", "")], "fallback"),
            ("", &[("hOST", "b")], "b"),
            ("Host: a\r\n", &[("Host", "b"), ("Host", "c")], "c"),
        ] {
            let text = format!("GET / HTTP/1.1\r\n{received}\r\n");
            let expected = format!("GET / HTTP/1.1\r\nHost: {sent}\r\n\r\n");
            assert_eq!(request(&text, &set(set_to), Framing::None), expected, "{received}");
        }
    }

    #[test]
    fn a_length_is_written_in_canonical_decimal() {
        let text = "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0010\r\n\r\n";
        let expected = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
        assert_eq!(request(text, &set(&[("Host", "a")]), Framing::Length(10)), expected);
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let set = set(&[("X-A", "b\r\nX-Evil: 1")]);
        let written = request("GET / HTTP/1.0\r\n\r\n", &set, Framing::None);
        assert_eq!(written, "GET / HTTP/1.1\r\nHost: fallback\r\nX-A: b  X-Evil: 1\r\n\r\n");
    }

    #[test]
    fn an_answer_keeps_its_fields_and_gets_its_redirects_rewritten() {
        let text = "HTTP/1.1 302 Found\r\nDate: x\r\nServer: y\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
            Location: http://trino/ui\r\nRefresh: 5; URL=http://trino/x\r\nX-Accel-Redirect: /z\r\n\
            Connection: close, x-hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nContent-Length: 3\r\n\r\n";
        let mut places = Vec::new();
        let head = parse_response(text.as_bytes(), &mut places).unwrap();
        let mut out = Vec::new();
        let hide = [b"x-accel-redirect".to_vec().into_boxed_slice()];
        ResponseOut {
            status: head.status,
            reason: head.reason,
            fields: head.fields,
            options: Options::of(head.fields).unwrap(),
            hide: &hide,
            add: &set(&[("X-Added", "1"), ("X-Empty", "")]),
            framing: Framing::Chunked,
            persistence: Persistence::Close,
            keep_alive: None,
            upgrade: None,
        }
        .write(&mut out, |url, out| {
            let rest = url.strip_prefix(b"http://trino/");
            rest.inspect(|rest| out.extend([b"/", *rest].concat())).is_some()
        });
        let expected = "HTTP/1.1 302 Found\r\nDate: x\r\nServer: y\r\nSet-Cookie: a\r\n\
            Set-Cookie: b\r\nLocation: /ui\r\nRefresh: 5; URL=/x\r\nX-Added: 1\r\n\
            Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn numbers_are_written_in_full() {
        let mut out = Vec::new();
        for number in [0, 7, 10, u64::MAX] {
            decimal(&mut out, number);
            out.push(b' ');
        }
        assert_eq!(out, b"0 7 10 18446744073709551615 ");
    }
}
