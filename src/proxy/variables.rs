//! What `$variables` stand for at one moment of an exchange.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use super::account::{Account, Attempt};
use super::client::Facts;
use super::context::location;
use super::exchange::Page;
use super::opening::Announced;
use super::request::Request;
use super::route::Site;
use crate::address::Address;
use crate::config::model::{Action, Config, Escape, LogFormat, ProxyPass};
use crate::config::template::{Part, Template, Variable};
use crate::http::fields::Fields;
use crate::http::head::{self, Version};
use crate::http::target::{host_and_port, normalise};
use crate::time::{Time, WallTime};

/// Everything that a variable may ask for.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The place in it.
    pub site: Site,
    /// The request.
    pub request: &'a Request,
    /// The page that is asked for in its place.
    pub page: Option<&'a Page>,
    /// The client.
    pub client: &'a Facts,
    /// Its address, or that of whom it speaks for.
    pub remote: &'a Address,
    /// The attempts.
    pub account: &'a Account,
    /// The answer.
    pub answer: Answered<'a>,
    /// When the request began.
    pub started: Time,
    /// The time it is.
    pub now: Time,
    /// The same on the wall clock.
    pub wall: WallTime,
}

/// What the client was sent.
#[derive(Clone, Copy, Default)]
pub struct Answered<'a> {
    /// The status; 0 before there is one.
    pub status: u16,
    /// Bytes sent.
    pub sent: u64,
    /// Of these, bytes of the body.
    pub body: u64,
    /// The head that was sent, if it was kept.
    pub head: &'a [u8],
    /// The head that the server sent, if it was kept.
    pub upstream_head: &'a [u8],
}

impl Scope<'_> {
    /// Appends a template's value.
    pub fn write(&self, template: &Template, out: &mut Vec<u8>) {
        for part in &template.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Variable(variable) => drop(self.value(variable, out)),
            }
        }
    }

    /// Appends a log line.
    pub fn write_line(&self, format: &LogFormat, out: &mut Vec<u8>) {
        write_line(format, out, |variable, value| self.value(variable, value));
    }

    /// Appends a variable's value; none where it has none.
    fn value(&self, variable: &Variable, out: &mut Vec<u8>) -> Option<()> {
        match variable {
            Variable::Host => self.host(out),
            // RFC 6265, section 5.4: pairs of cookies are joined otherwise than lists.
            Variable::Http(name) if **name == *"cookie" => {
                self.field_of_request(name, b"; ", out)?;
            }
            Variable::Http(name) => self.field_of_request(name, b", ", out)?,
            Variable::ProxyHost => out.extend_from_slice(self.proxy()?.host.as_bytes()),
            Variable::ProxyPort => out.extend_from_slice(self.proxy()?.port.as_bytes()),
            Variable::ProxyAddXForwardedFor => {
                if self.field_of_request("x_forwarded_for", b", ", out).is_some() {
                    out.extend_from_slice(b", ");
                }
                ip(self.remote, out);
            }
            Variable::RemoteAddr => ip(self.remote, out),
            Variable::RemotePort => show(self.remote.port()?, out),
            Variable::RealipRemoteAddr => ip(&self.client.peer, out),
            Variable::RealipRemotePort => show(self.client.peer.port()?, out),
            Variable::ProxyProtocolAddr => show(self.announced()?.source.ip(), out),
            Variable::ProxyProtocolPort => show(self.announced()?.source.port(), out),
            Variable::ProxyProtocolServerAddr => show(self.announced()?.destination.ip(), out),
            Variable::ProxyProtocolServerPort => show(self.announced()?.destination.port(), out),
            Variable::RemoteUser => self.user(out)?,
            Variable::ServerAddr => ip(&self.client.local, out),
            Variable::ServerPort => show(self.client.local.port()?, out),
            Variable::ServerName => self.server_name(out),
            Variable::Scheme => out.extend_from_slice(b"http"),
            Variable::Request => out.extend_from_slice(self.request.line()),
            Variable::RequestMethod => out.extend_from_slice(self.request.at(&self.request.method)),
            Variable::RequestUri => self.request_uri(out),
            Variable::Uri => self.uri(out)?,
            Variable::Args => out.extend_from_slice(self.query()?),
            Variable::Arg(name) => out.extend_from_slice(self.argument(name)?),
            Variable::IsArgs => out.extend_from_slice(self.is_args()),
            Variable::ServerProtocol => out.extend_from_slice(match self.request.version {
                Version::Http10 => b"HTTP/1.0",
                Version::Http11 => b"HTTP/1.1",
            }),
            Variable::Status => {
                let _ = write!(out, "{:03}", self.answer.status);
            }
            Variable::BodyBytesSent => show(self.answer.body, out),
            Variable::BytesSent => show(self.answer.sent, out),
            Variable::RequestLength => {
                show(self.request.head.len() as u64 + self.body_received(), out)
            }
            Variable::RequestTime => show(Seconds(self.now - self.started), out),
            Variable::RequestId => self.request_id(out),
            Variable::TimeLocal => super::journal::time_local(self.wall, out),
            Variable::TimeIso8601 => super::journal::time_iso8601(self.wall, out),
            Variable::Msec => show(Seconds(Duration::from_nanos(self.wall.0)), out),
            Variable::Pid => show(std::process::id(), out),
            Variable::Connection => show(self.client.number, out),
            Variable::ConnectionRequests => show(self.client.requests, out),
            Variable::SentHttp(name) => field_of_response(self.answer.head, name, out)?,
            Variable::UpstreamHttp(name) => {
                field_of_response(self.answer.upstream_head, name, out)?
            }
            Variable::UpstreamAddr => self.each(out, |attempt| Some(self.server_of(attempt)))?,
            Variable::UpstreamStatus => self.each(out, |attempt| attempt.status)?,
            Variable::UpstreamConnectTime => {
                self.each(out, |attempt| attempt.connect.map(Seconds))?
            }
            Variable::UpstreamHeaderTime => {
                self.each(out, |attempt| attempt.header.map(Seconds))?
            }
            Variable::UpstreamResponseTime => self.each(out, |attempt| {
                let so_far = self.now - attempt.began;
                Some(Seconds(attempt.response.unwrap_or(so_far)))
            })?,
            Variable::UpstreamResponseLength => self.each(out, |attempt| Some(attempt.length))?,
            Variable::UpstreamBytesSent => self.each(out, |attempt| Some(attempt.sent))?,
            Variable::UpstreamBytesReceived => self.each(out, |attempt| Some(attempt.received))?,
            // Of `stream {}` only: the file is refused before.
            Variable::Protocol
            | Variable::BytesReceived
            | Variable::SessionTime
            | Variable::UpstreamFirstByteTime
            | Variable::UpstreamSessionTime => return None,
        }
        Some(())
    }

    fn announced(&self) -> Option<&Announced> {
        self.client.announced.as_deref()
    }

    fn proxy(&self) -> Option<&ProxyPass> {
        match &location(self.config, self.site)?.action {
            Action::Proxy(proxy) => Some(proxy),
            Action::Return(_) | Action::NotFound => None,
        }
    }

    fn host(&self, out: &mut Vec<u8>) {
        match self.request.host() {
            Some(host) => out.extend(host.iter().map(u8::to_ascii_lowercase)),
            None => self.server_name(out),
        }
    }

    /// Appends `scheme://$host[:port]` with the port that the client named.
    pub fn write_origin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"http://");
        self.host(out);
        let authority = self.request.authority().unwrap_or_default();
        if let (_, Some(port)) = host_and_port(authority) {
            out.push(b':');
            out.extend_from_slice(port);
        }
    }

    fn server_name(&self, out: &mut Vec<u8>) {
        if let Some(name) = self.config.virtual_servers[self.site.server.0].names.first() {
            out.extend_from_slice(name.written().as_bytes());
        }
    }

    fn request_uri(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.request.missing);
        out.extend_from_slice(self.request.at(&self.request.path));
    }

    fn uri(&self, out: &mut Vec<u8>) -> Option<()> {
        if let Some(page) = self.page {
            out.extend_from_slice(&page.path);
            return Some(());
        }
        let (path, _) = self.request.path_and_query();
        let path = if path.is_empty() { b"/" } else { path };
        let start = out.len();
        let merge = self.config.virtual_servers[self.site.server.0].limits.merge_slashes;
        normalise(path, merge, out).map_err(|_| out.truncate(start)).ok()
    }

    fn argument(&self, name: &str) -> Option<&[u8]> {
        let arguments = self.query()?.split(|&b| b == b'&');
        arguments.into_iter().find_map(|argument| {
            let (key, rest) = argument.split_at_checked(name.len())?;
            let value = rest.strip_prefix(b"=")?;
            key.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        })
    }

    fn is_args(&self) -> &'static [u8] {
        match self.query() {
            Some([_, ..]) => b"?",
            Some([]) | None => b"",
        }
    }

    fn query(&self) -> Option<&[u8]> {
        match self.page {
            Some(page) => page.query.as_deref(),
            None => self.request.path_and_query().1,
        }
    }

    fn body_received(&self) -> u64 {
        self.account.body_received
    }

    fn request_id(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "{:032x}", self.client.request_id());
    }

    /// The name in `Authorization: Basic`.
    fn user(&self, out: &mut Vec<u8>) -> Option<()> {
        let mut value = Vec::new();
        self.field_of_request("authorization", b", ", &mut value)?;
        let (scheme, credentials) = value.split_at_checked(b"Basic ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        let decoded = base64(crate::http::fields::trim(credentials))?;
        let name = decoded.split(|&b| b == b':').next()?;
        out.extend_from_slice(name);
        Some(())
    }

    fn field_of_request(&self, name: &str, between: &[u8], out: &mut Vec<u8>) -> Option<()> {
        self.request.field(name, between, out)
    }

    /// Appends one value an attempt, `-` where it has none.
    fn each<T: Display>(
        &self,
        out: &mut Vec<u8>,
        value: impl Fn(&Attempt) -> Option<T>,
    ) -> Option<()> {
        each(self.account, out, value)
    }

    fn server_of(&self, attempt: &Attempt) -> String {
        server_of(self.config, attempt)
    }
}

/// Appends a log line, asking for each variable's value.
pub(super) fn write_line(
    format: &LogFormat,
    out: &mut Vec<u8>,
    value: impl Fn(&Variable, &mut Vec<u8>) -> Option<()>,
) {
    let mut text = Vec::new();
    for part in &format.line.parts {
        match part {
            Part::Text(text) => out.extend_from_slice(text),
            Part::Variable(variable) => {
                text.clear();
                let found = value(variable, &mut text).is_some();
                match format.escape {
                    Escape::Default if !found => out.push(b'-'),
                    Escape::Default => escape_default(&text, out),
                    Escape::Json => escape_json(&text, out),
                    Escape::None => out.extend_from_slice(&text),
                }
            }
        }
    }
}

/// Appends one value an attempt, `-` where it has none.
pub(super) fn each<T: Display>(
    account: &Account,
    out: &mut Vec<u8>,
    value: impl Fn(&Attempt) -> Option<T>,
) -> Option<()> {
    for (index, attempt) in account.attempts.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        match value(attempt) {
            Some(value) => show(value, out),
            None => out.push(b'-'),
        }
    }
    (!account.attempts.is_empty()).then_some(())
}

/// The address of an attempt's server; the group's name where there was none.
pub(super) fn server_of(config: &Config, attempt: &Attempt) -> String {
    let group = &config.groups[attempt.group.0];
    match attempt.server {
        Some(server) => group.servers[server.0].address.to_string(),
        None => group.name.to_string(),
    }
}

/// Appends a value as text.
pub(super) fn show(value: impl Display, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(out, "{value}");
}

/// A duration in seconds with milliseconds.
pub(super) struct Seconds(pub(super) Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0.as_secs(), self.0.subsec_millis())
    }
}

/// Appends an address without its port.
pub(super) fn ip(address: &Address, out: &mut Vec<u8>) {
    match address {
        Address::Inet(at) => show(at.ip(), out),
        Address::Unix(_) => out.extend_from_slice(b"unix:"),
    }
}

/// Appends the values of all lines whose name is `name` with `_` for `-`.
pub(super) fn join_fields(
    fields: Fields<'_>,
    name: &str,
    between: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut found = None;
    for field in fields.iter().filter(|field| is_named(field.name, name)) {
        if found.is_some() {
            out.extend_from_slice(between);
        }
        out.extend_from_slice(field.value);
        found = Some(());
    }
    found
}

fn is_named(field: &[u8], variable: &str) -> bool {
    let plain = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    field.len() == variable.len() && field.iter().copied().map(plain).eq(variable.bytes())
}

fn field_of_response(head: &[u8], name: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut places = Vec::new();
    let head = head::parse_response(head, &mut places).ok()?;
    join_fields(head.fields, name, b", ", out)
}

fn escape_default(value: &[u8], out: &mut Vec<u8>) {
    for &byte in value {
        if matches!(byte, b'"' | b'\\') || !(b' '..0x7f).contains(&byte) {
            let _ = write!(out, "\\x{byte:02X}");
        } else {
            out.push(byte);
        }
    }
}

fn escape_json(value: &[u8], out: &mut Vec<u8>) {
    for &byte in value {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..=31 => {
                let _ = write!(out, "\\u{byte:04X}");
            }
            _ => out.push(byte),
        }
    }
}

/// RFC 4648, section 4; padding may be missing.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for &byte in text.iter().take_while(|&&byte| byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_match_variables() {
        assert!(is_named(b"X-Forwarded-For", "x_forwarded_for"));
        assert!(!is_named(b"X-Forwarded", "x_forwarded_for"));
    }

    #[test]
    fn log_values_cannot_break_their_line() {
        let mut out = Vec::new();
        escape_default(b"a\"b\\c\n\xff", &mut out);
        assert_eq!(out, b"a\\x22b\\x5Cc\\x0A\\xFF");
        out.clear();
        escape_json(b"a\"\\\n\x01", &mut out);
        assert_eq!(out, b"a\\\"\\\\\\n\\u0001");
    }

    #[test]
    fn basic_credentials_are_decoded() {
        assert_eq!(base64(b"YWxpY2U6c2VjcmV0").as_deref(), Some(&b"alice:secret"[..]));
        assert_eq!(base64(b"YQ==").as_deref(), Some(&b"a"[..]));
        assert_eq!(base64(b"Y!"), None);
    }
}
