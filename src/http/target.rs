//! Request targets and hosts. RFC 9112, section 3.2; RFC 3986, section 3.2.2.
//!
//! A target is passed on unchanged. It is decoded and normalised only to choose a location.

use std::net::Ipv6Addr;

use super::fields::alphanumerics_and;
use super::head::is_target_byte;

/// The parts of a request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The authority of an absolute-form target; it overrides `Host`.
    pub authority: Option<&'a [u8]>,
    /// Path and query as sent: `/a?b`, `*`, or in absolute-form possibly empty or `?b`.
    pub path: &'a [u8],
    /// The prefix that `path` needs when sent on: nothing, `/`, or `*` for `OPTIONS` of a whole
    /// server. RFC 9112, section 3.2.4.
    pub missing: &'static [u8],
}

/// A target that is invalid or that this proxy does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetError;

impl<'a> Target<'a> {
    /// Parses a target, for any method but `CONNECT`.
    ///
    /// # Errors
    /// Neither origin-form, absolute-form with a plain authority, nor `*` with `OPTIONS`.
    pub fn parse(method: &[u8], target: &'a [u8]) -> Result<Target<'a>, TargetError> {
        if target.starts_with(b"/") || (target == b"*" && method == b"OPTIONS") {
            return Ok(Target { authority: None, path: target, missing: b"" });
        }
        let rest = after_scheme(target).ok_or(TargetError)?;
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() || !is_host(authority) || host_and_port(authority).0.is_empty() {
            return Err(TargetError);
        }
        let missing: &[u8] = match path {
            [] if method == b"OPTIONS" => b"*",
            [] | [b'?', ..] => b"/",
            [..] => b"",
        };
        Ok(Target { authority: Some(authority), path, missing })
    }

    /// The path as sent, and the query without `?`.
    pub fn split(&self) -> (&'a [u8], Option<&'a [u8]>) {
        match memchr::memchr(b'?', self.path) {
            Some(at) => (&self.path[..at], Some(&self.path[at + 1..])),
            None => (self.path, None),
        }
    }
}

fn after_scheme(target: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// Whether `value` is `uri-host [ ":" *DIGIT ]`; it may be empty.
pub fn is_host(value: &[u8]) -> bool {
    let (host, port) = host_and_port(value);
    let host_ok = match host {
        [b'[', b'v' | b'V', inside @ .., b']'] => is_future_address(inside),
        [b'[', inside @ .., b']'] => is_address(inside),
        name => is_reg_name(name),
    };
    host_ok && port.is_none_or(|port| port.iter().all(u8::is_ascii_digit))
}

/// Splits `host:port` at the colon that is not inside brackets.
pub fn host_and_port(value: &[u8]) -> (&[u8], Option<&[u8]>) {
    let after_bracket = match value {
        [b'[', ..] => memchr::memchr(b']', value).map_or(0, |at| at + 1),
        [..] => 0,
    };
    // Hosts are short.
    match value[after_bracket..].iter().position(|&byte| byte == b':') {
        Some(at) => (&value[..after_bracket + at], Some(&value[after_bracket + at + 1..])),
        None => (value, None),
    }
}

/// `IPv6address`.
fn is_address(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// `IPvFuture` after its `v`: `1*HEXDIG "." 1*( unreserved / sub-delims / ":" )`.
fn is_future_address(text: &[u8]) -> bool {
    let Some(dot) = memchr::memchr(b'.', text) else { return false };
    let (version, address) = (&text[..dot], &text[dot + 1..]);
    !version.is_empty()
        && version.iter().all(u8::is_ascii_hexdigit)
        && !address.is_empty()
        && address.iter().all(|&byte| is_name_byte(byte) || byte == b':')
}

fn is_reg_name(mut name: &[u8]) -> bool {
    loop {
        let plain = name.iter().position(|&byte| !is_name_byte(byte)).unwrap_or(name.len());
        name = match &name[plain..] {
            [] => return true,
            [b'%', a, b, rest @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest,
            [..] => return false,
        };
    }
}

/// `unreserved / sub-delims`.
fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[usize::from(byte)]
}

/// Letters, digits and these marks.
const NAME_BYTES: [bool; 256] = alphanumerics_and(b"-._~!$&'()*+,;=");

/// Appends to `out` the path that locations are matched against: decoded, dot segments resolved
/// and, if `merge_slashes`, slashes merged.
///
/// # Errors
/// A `%` that is not followed by two hexadecimal digits, an encoded NUL, or a path above the root.
pub fn normalise(path: &[u8], merge_slashes: bool, out: &mut Vec<u8>) -> Result<(), TargetError> {
    let start = out.len();
    let mut rest = path;
    loop {
        let (byte, after) = match rest {
            [] => break,
            [b'%', high, low, after @ ..] => (decode(*high, *low).ok_or(TargetError)?, after),
            [b'%', ..] => return Err(TargetError),
            [byte, after @ ..] => (*byte, after),
        };
        rest = after;
        if byte == b'/' {
            let resolved = resolve_dots(out, start)?;
            if resolved || (merge_slashes && out[start..].last() == Some(&b'/')) {
                continue;
            }
        }
        out.push(byte);
    }
    resolve_dots(out, start).map(drop)
}

/// Resolves a last segment `.` or `..` of `out[start..]`, which then ends with the slash of the
/// directory it names.
fn resolve_dots(out: &mut Vec<u8>, start: usize) -> Result<bool, TargetError> {
    let path = &out[start..];
    if let Some(directory) = path.strip_suffix(b"/.") {
        let slash = directory.len();
        out.truncate(start + slash + 1);
        Ok(true)
    } else if let Some(below) = path.strip_suffix(b"/..") {
        let slash = memchr::memrchr(b'/', below).ok_or(TargetError)?;
        out.truncate(start + slash + 1);
        Ok(true)
    } else {
        Ok(false)
    }
}

fn decode(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let byte = u8::try_from(digit(high)? << 4 | digit(low)?).ok()?;
    (byte != 0).then_some(byte)
}

/// Appends a decoded path to `out`, escaping the bytes that a path must not contain.
pub fn escape(path: &[u8], out: &mut Vec<u8>) {
    escape_those(|byte| !byte.is_ascii_graphic() || b"#%?".contains(&byte), path, out);
}

/// Appends the value of a query argument, escaped so that it stays one value when the query is
/// parsed.
pub fn escape_argument(value: &[u8], out: &mut Vec<u8>) {
    escape_those(|byte| !byte.is_ascii_graphic() || b"#%&+;".contains(&byte), value, out);
}

/// Appends a configured part of a query: delimiters stay, bytes that a target must not contain are
/// escaped.
pub fn escape_query(text: &[u8], out: &mut Vec<u8>) {
    escape_those(|byte| !is_target_byte(byte), text, out);
}

/// Appends a URL for a `Location`: bytes that would end it are escaped, all others stay.
pub fn escape_url(url: &[u8], out: &mut Vec<u8>) {
    escape_those(|byte| byte <= b' ' || byte == 0x7f, url, out);
}

fn escape_those(which: impl Fn(u8) -> bool, bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if which(byte) {
            out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        } else {
            out.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The authority, and the target that is sent on.
    fn parse(method: &str, target: &'static str) -> Option<(Option<&'static str>, String)> {
        let parsed = Target::parse(method.as_bytes(), target.as_bytes()).ok()?;
        let text = |bytes: &'static [u8]| std::str::from_utf8(bytes).unwrap();
        Some((parsed.authority.map(text), [text(parsed.missing), text(parsed.path)].concat()))
    }

    #[test]
    fn targets_come_in_three_forms() {
        for (method, target, authority, sent) in [
            ("GET", "/a//b/../c?d", None, "/a//b/../c?d"),
            ("GET", "http://a:80/b", Some("a:80"), "/b"),
            ("GET", "HTTPS://[::1]?q", Some("[::1]"), "/?q"),
            ("GET", "http://a", Some("a"), "/"),
            ("OPTIONS", "*", None, "*"),
            ("OPTIONS", "http://a", Some("a"), "*"),
            ("OPTIONS", "http://a?q", Some("a"), "/?q"),
        ] {
            assert_eq!(parse(method, target), Some((authority, sent.into())), "{target}");
        }
    }

    #[test]
    fn other_targets_are_refused() {
        for target in [
            "*",
            "a",
            "a:80",
            "ftp://a/",
            "http:///",
            "http://u@a/",
            "http://a:b/",
            "http://:80/",
            "http://[::1/",
            "http:/a",
            "?a",
        ] {
            assert_eq!(parse("GET", target), None, "{target}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port() {
        for host in ["", "a", "trino_a:8080", "A.b-c", "1.2.3.4:", "[::1]", "[::1]:80", "a%20b"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a b", "a, b", "u@a", "a/b", "a:b", "a:80:80", "[::1", "::1]", "[]", "a%2", "a%zz",
            "[::1]x", "[::1]:8a", "a\\b", "\u{e4}", "a?b", "a#b", "<a>", "\"a\"",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    /// Found by the fuzz target `request_head`, which took `[a.b]` for no host.
    #[test]
    fn brackets_hold_an_address() {
        for host in ["[::]", "[1:2::3.4.5.6]", "[1:2:3:4:5:6:7::]", "[v1F.a:b]:80", "[V0.~]"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "[a.b]",
            "[1.2.3.4]",
            "[1]",
            "[::1::]",
            "[1:2:3:4:5:6:7:8::]",
            "[12345::]",
            "[fe80::1%25en0]",
            "[v.a]",
            "[v1.]",
            "[v1a]",
            "[vg.a]",
            "[v1.a[]",
            "[+1::]",
            "[::1 ]",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    fn normal(path: &str) -> Option<String> {
        let mut out = b"x".to_vec();
        normalise(path.as_bytes(), true, &mut out).ok()?;
        Some(String::from_utf8(out[1..].to_vec()).unwrap())
    }

    #[test]
    fn paths_are_normalised_as_nginx_does() {
        for (path, expected) in [
            ("/", "/"),
            ("/a%2fb", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("//a///b", "/a/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a/b/../../c", "/c"),
            ("/...", "/..."),
            ("/a/.b", "/a/.b"),
            ("/a/..b", "/a/..b"),
            ("/%41", "/A"),
            ("/a%20b", "/a b"),
        ] {
            assert_eq!(normal(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn paths_above_the_root_and_broken_escapes_are_refused() {
        for path in [
            "/..",
            "/../a",
            "/a/../../b",
            "/%2e%2e/",
            "/%00",
            "/%",
            "/%4",
            "/%zz",
            "/a/%2e%2e%2f..",
        ] {
            assert_eq!(normal(path), None, "{path}");
        }
    }

    #[test]
    fn slashes_are_kept_apart_on_demand() {
        let mut out = Vec::new();
        normalise(b"//a//../b", false, &mut out).unwrap();
        assert_eq!(out, b"//a/b");
    }

    #[test]
    fn escaping_makes_a_path_sendable() {
        let mut out = Vec::new();
        escape("/a b?c#d%\u{e4}".as_bytes(), &mut out);
        assert_eq!(out, b"/a%20b%3Fc%23d%25%C3%A4");
    }

    #[test]
    fn a_url_keeps_everything_but_what_would_end_it() {
        let mut out = Vec::new();
        escape_url("http://a/b%20?c=\u{e4}&d\r\nX: y".as_bytes(), &mut out);
        assert_eq!(out, "http://a/b%20?c=\u{e4}&d%0D%0AX:%20y".as_bytes());
    }
}
