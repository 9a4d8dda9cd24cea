//! The values of `$variables` at one moment of an exchange.

use std::hash::RandomState;
use std::io::Write;
use std::time::Duration;

use crate::address::Address;
use crate::config::model::template::{Part, Template, Variable};
use crate::config::model::{Action, Config, HeadLimits, LocationSettings, LogFormat, ProxyPass};
use crate::http::head::{self, Version};
use crate::http::target::{host_and_port, normalise};
use crate::proxy::client::Facts;
use crate::proxy::http::page::Page;
use crate::proxy::http::request::{HeadSpan, Request};
use crate::proxy::http::route::{Site, location_of, settings};
use crate::proxy::log::attempt_log::{AttemptLog, each, server_of};
use crate::proxy::log::format::{ip, number, seconds, show, time_iso8601, time_local, write_line};
use crate::proxy::log::of_tls::of_tls;
use crate::time::{Time, WallTime};
use crate::tls::Handshake;
use crate::transport::proxy_protocol::ProxiedFrom;

/// Everything that a variable may read.
#[derive(Clone)]
pub struct RequestScope<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The site in it.
    pub site: Site,
    /// The request.
    pub request: &'a Request,
    /// The page requested in place of an answer.
    pub page: Option<&'a Page>,
    /// The client.
    pub client: &'a Facts,
    /// The client's address: its own, or the one that a trusted peer names.
    pub remote: &'a Address,
    /// Random keys for `$request_id`: unguessable, and different in every process.
    pub keys: RandomState,
    /// The attempts so far.
    pub attempts: &'a AttemptLog,
    /// The answer.
    pub answer: Answered<'a>,
    /// When the request began.
    pub started: Time,
    /// The current time.
    pub now: Time,
    /// The current time on the wall clock.
    pub wall: WallTime,
}

/// What the client was sent.
#[derive(Clone, Copy, Default)]
pub struct Answered<'a> {
    /// The status; 0 until it is known.
    pub status: u16,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes of the body among those.
    pub body: u64,
    /// The head that was sent, if it was kept.
    pub head: &'a [u8],
    /// The head that the server sent, if it was kept.
    pub upstream_head: &'a [u8],
}

impl RequestScope<'_> {
    /// Appends the value of a template.
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

    /// Appends a variable's value; `None` if it has none.
    pub(in crate::proxy) fn value(&self, variable: &Variable, out: &mut Vec<u8>) -> Option<()> {
        match variable {
            Variable::Host => self.host(out),
            // RFC 9112, section 3.2.2: the target's host replaces the one in `Host`.
            Variable::Http(name) if **name == *"host" => {
                out.extend_from_slice(self.request.authority()?);
            }
            // RFC 6265, section 5.4: cookies are joined with `; `, unlike lists.
            Variable::Http(name) if **name == *"cookie" => {
                self.request.field(name, b"; ", out)?;
            }
            Variable::Http(name) => {
                let underscores = self.limits().underscores;
                let is_meant = |field: &[u8]| {
                    is_named(field, name) && (underscores || memchr::memchr(b'_', field).is_none())
                };
                self.request.fields().join(is_meant, b", ", out)?;
            }
            Variable::ProxyHost => out.extend_from_slice(self.proxy()?.host.as_bytes()),
            Variable::ProxyPort => out.extend_from_slice(self.proxy()?.port.as_bytes()),
            Variable::ProxyAddXForwardedFor => {
                if self.request.field("x-forwarded-for", b", ", out).is_some() {
                    out.extend_from_slice(b", ");
                }
                ip(self.remote, out);
            }
            Variable::RemoteAddr => ip(self.remote, out),
            Variable::RemotePort => number(self.remote.port()?, out),
            Variable::RealipRemoteAddr => ip(&self.client.peer, out),
            Variable::RealipRemotePort => number(self.client.peer.port()?, out),
            Variable::ProxyProtocolAddr => show(self.proxied()?.source.ip(), out),
            Variable::ProxyProtocolPort => number(self.proxied()?.source.port(), out),
            Variable::ProxyProtocolServerAddr => show(self.proxied()?.destination.ip(), out),
            Variable::ProxyProtocolServerPort => number(self.proxied()?.destination.port(), out),
            Variable::RemoteUser => self.user(out)?,
            Variable::ServerAddr => ip(&self.client.local, out),
            Variable::ServerPort => number(self.client.local.port()?, out),
            Variable::ServerName => self.name_of_server(out),
            Variable::Scheme => out.extend_from_slice(self.scheme()),
            Variable::Tls(of) => of_tls(*of, self.client.tls(), out)?,
            Variable::Request => out.extend_from_slice(self.request.line()),
            Variable::RequestMethod => out.extend_from_slice(self.known(self.request.method)?),
            Variable::RequestUri => {
                self.known(self.request.target)?;
                out.extend_from_slice(self.request.missing);
                out.extend_from_slice(self.request.at(self.request.path));
            }
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
            Variable::BodyBytesSent => number(self.answer.body, out),
            Variable::BytesSent => number(self.answer.sent, out),
            Variable::RequestLength => {
                number(self.request.head.len() as u64 + self.attempts.body_received, out)
            }
            Variable::RequestTime => seconds(self.now - self.started, out),
            Variable::RequestId => {
                let _ = write!(out, "{:032x}", self.client.request_id(&self.keys));
            }
            Variable::TimeLocal => time_local(self.wall, out),
            Variable::TimeIso8601 => time_iso8601(self.wall, out),
            Variable::Msec => seconds(Duration::from_nanos(self.wall.0), out),
            Variable::Pid => number(std::process::id(), out),
            Variable::Connection => number(self.client.number, out),
            Variable::ConnectionRequests => number(self.client.requests, out),
            Variable::SentHttp(name) => field_of_response(self.answer.head, name, out)?,
            Variable::UpstreamHttp(name) => {
                field_of_response(self.answer.upstream_head, name, out)?
            }
            Variable::UpstreamAddr => {
                each(self.attempts, out, Some, |of, out| server_of(self.config, of, out))?
            }
            Variable::UpstreamStatus => each(self.attempts, out, |of| of.status, number)?,
            Variable::UpstreamConnectTime => each(self.attempts, out, |of| of.connect, seconds)?,
            Variable::UpstreamHeaderTime => each(self.attempts, out, |of| of.header, seconds)?,
            Variable::UpstreamResponseTime => each(self.attempts, out, |of| of.response, seconds)?,
            Variable::UpstreamResponseLength => {
                each(self.attempts, out, |of| Some(of.length), number)?
            }
            Variable::UpstreamBytesSent => each(self.attempts, out, |of| Some(of.sent), number)?,
            Variable::UpstreamBytesReceived => {
                each(self.attempts, out, |of| Some(of.received), number)?
            }
            // Only for `stream {}`: loading refuses them here.
            Variable::Protocol
            | Variable::BytesReceived
            | Variable::PrereadServerName
            | Variable::PrereadProtocols
            | Variable::SessionTime
            | Variable::UpstreamFirstByteTime
            | Variable::UpstreamSessionTime => return None,
        }
        Some(())
    }

    fn proxied(&self) -> Option<&ProxiedFrom> {
        self.client.proxied()
    }

    fn proxy(&self) -> Option<&ProxyPass> {
        match &location_of(self.config, self.site)?.action {
            Action::Proxy(proxy) => Some(proxy),
            Action::Return(_) | Action::Control | Action::NotFound => None,
        }
    }

    fn host(&self, out: &mut Vec<u8>) {
        match self.request.host() {
            Some(host) => out.extend(host.iter().map(u8::to_ascii_lowercase)),
            None => self.name_of_server(out),
        }
    }

    /// Appends the scheme and authority at which the client sees Trino: those of a proxy before this
    /// one, if it says so, as Trino reads them.
    pub fn write_seen_origin(&self, out: &mut Vec<u8>) {
        let forwarded = |name: &str, out: &mut Vec<u8>| {
            let mut value = Vec::new();
            let found = self.request.field(name, b",", &mut value);
            let first = value.split(|&byte| byte == b',').next().unwrap_or_default();
            out.extend_from_slice(first.trim_ascii());
            found.filter(|()| !first.trim_ascii().is_empty())
        };
        let (mut scheme, mut host) = (Vec::new(), Vec::new());
        if forwarded("X-Forwarded-Proto", &mut scheme).is_none() {
            scheme.extend_from_slice(self.scheme());
        }
        if forwarded("X-Forwarded-Host", &mut host).is_none() {
            match self.request.authority() {
                Some(authority) => host.extend_from_slice(authority),
                None => show(&self.client.local, &mut host),
            }
        }
        out.extend_from_slice(&scheme);
        out.extend_from_slice(b"://");
        out.extend_from_slice(&host);
    }

    fn scheme(&self) -> &'static [u8] {
        match self.client.tls() {
            Some(Handshake::Agreed(_)) => b"https",
            Some(Handshake::Missing) | None => b"http",
        }
    }

    /// Appends `$scheme://$host[:port]` with the port that the client used.
    pub fn write_origin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.scheme());
        out.extend_from_slice(b"://");
        // The name of a virtual server may be empty or a wildcard.
        if self.request.host().is_none() {
            return show(&self.client.local, out);
        }
        self.host(out);
        let authority = self.request.authority().unwrap_or_default();
        if let (_, Some(port)) = host_and_port(authority) {
            out.push(b':');
            out.extend_from_slice(port);
        }
    }

    fn name_of_server(&self, out: &mut Vec<u8>) {
        if let Some(name) = self.config.virtual_servers[self.site.server.0].names.first() {
            out.extend_from_slice(name.written().as_bytes());
        }
    }

    /// The settings of the site.
    pub fn settings(&self) -> &LocationSettings {
        settings(self.config, self.site)
    }

    /// The limits for heads in the virtual server.
    pub fn limits(&self) -> &HeadLimits {
        &self.config.virtual_servers[self.site.server.0].limits
    }

    /// A part of the request line; `None` if the line could not be parsed.
    fn known(&self, part: HeadSpan) -> Option<&[u8]> {
        Some(self.request.at(part)).filter(|bytes| !bytes.is_empty())
    }

    /// Appends the decoded path: empty if it is invalid, `None` if there is none.
    fn uri(&self, out: &mut Vec<u8>) -> Option<()> {
        if let Some(page) = self.page {
            out.extend_from_slice(&page.path);
            return Some(());
        }
        self.known(self.request.target)?;
        let (path, _) = self.request.path_and_query();
        let path = if path.is_empty() { b"/" } else { path };
        let start = out.len();
        if normalise(path, self.limits().merge_slashes, out).is_err() {
            out.truncate(start);
        }
        Some(())
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

    /// Appends the user name in `Authorization: Basic`.
    fn user(&self, out: &mut Vec<u8>) -> Option<()> {
        let mut value = Vec::new();
        self.request.field("authorization", b", ", &mut value)?;
        let (scheme, credentials) = value.split_at_checked(b"Basic ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        let decoded = base64(crate::http::fields::trim(credentials))?;
        let name = decoded.split(|&b| b == b':').next()?;
        out.extend_from_slice(name);
        Some(())
    }
}

/// Whether a variable's name stands for this field: in lowercase, with `_` for `-`.
fn is_named(field: &[u8], variable: &str) -> bool {
    let plain = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    field.len() == variable.len() && field.iter().copied().map(plain).eq(variable.bytes())
}

fn field_of_response(head: &[u8], name: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut places = Vec::new();
    let head = head::parse_response(head, &mut places).ok()?;
    head.fields.join(|field| is_named(field, name), b", ", out)
}

/// Decodes base64: RFC 4648, section 4. Padding may be missing.
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
    fn basic_credentials_are_decoded() {
        assert_eq!(base64(b"YWxpY2U6c2VjcmV0").as_deref(), Some(&b"alice:secret"[..]));
        assert_eq!(base64(b"YQ==").as_deref(), Some(&b"a"[..]));
        assert_eq!(base64(b"Y!"), None);
    }
}
