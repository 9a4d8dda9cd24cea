//! The values that a single word can have: times, sizes, numbers, switches, addresses.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

/// A time: `3`, `3s`, `1m30s`, `500ms`, `1h 30m`, `75d`; a bare number is in seconds.
///
/// Units must be in falling order, each at most once, as in nginx.
///
/// # Errors
/// Any other text, or more milliseconds than a `u64` holds.
pub fn time(text: &str) -> Result<Duration, ValueError> {
    let bad = || ValueError::Time(text.into());
    let mut total: u64 = 0;
    let mut units_left: &[(&str, u64)] = &UNITS;
    let mut rest = text;
    while !rest.is_empty() {
        let (value, behind) = leading_number(rest).ok_or_else(bad)?;
        let unit_end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let scale = if unit.is_empty() {
            units_left = &[];
            1000
        } else {
            let place = units_left.iter().position(|(name, _)| *name == unit).ok_or_else(bad)?;
            let (_, scale) = units_left.get(place).ok_or_else(bad)?;
            units_left = units_left.get(place + 1..).unwrap_or_default();
            *scale
        };
        total = value.checked_mul(scale).and_then(|v| total.checked_add(v)).ok_or_else(bad)?;
        rest = behind.trim_start_matches(' ');
        if unit.is_empty() && !rest.is_empty() {
            return Err(bad());
        }
    }
    if text.is_empty() { Err(bad()) } else { Ok(Duration::from_millis(total)) }
}

/// Units of time and their milliseconds.
const UNITS: [(&str, u64); 8] = [
    ("y", 365 * 86_400_000),
    ("M", 30 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, behind) = text.split_at(end);
    Some((digits.parse().ok()?, behind))
}

/// A size in bytes: `8192`, `8k`, `1m`, `2g`.
///
/// # Errors
/// Any other text, or more bytes than a `u64` holds.
pub fn size(text: &str) -> Result<u64, ValueError> {
    let bad = || ValueError::Size(text.into());
    let (value, unit) = leading_number(text).ok_or_else(bad)?;
    let scale: u64 = match unit {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return Err(bad()),
    };
    value.checked_mul(scale).ok_or_else(bad)
}

/// A number without a sign.
///
/// # Errors
/// Any other text, or more than a `u64` holds.
pub fn number(text: &str) -> Result<u64, ValueError> {
    match leading_number(text) {
        Some((value, "")) => Ok(value),
        Some(_) | None => Err(ValueError::Number(text.into())),
    }
}

/// `on` or `off`, in upper or lower case, as in nginx.
///
/// # Errors
/// Any other text.
pub fn switch(text: &str) -> Result<bool, ValueError> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(ValueError::Switch(text.into())),
    }
}

/// An address before its name is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnresolvedAddress {
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `HOST`, `HOST:PORT`.
    Inet(Host, Option<u16>),
}

/// The host of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// `*`.
    Any,
    /// An IPv4 address, or an IPv6 address in brackets.
    Ip(IpAddr),
    /// A name to resolve.
    Name(String),
}

/// An address to connect to or to listen on: `HOST`, `HOST:PORT`, `[::1]:80`, `*:80`, `unix:/path`.
///
/// # Errors
/// An empty host or path, or an invalid port.
pub fn place(text: &str) -> Result<UnresolvedAddress, ValueError> {
    let bad = || ValueError::Address(text.into());
    if text.contains("://") {
        return Err(bad());
    }
    if let Some(path) = text.strip_prefix("unix:") {
        let fits = !path.is_empty() && path.len() < UNIX_PATH_LIMIT;
        return if fits {
            Ok(UnresolvedAddress::Unix(path.into()))
        } else {
            Err(ValueError::Path(text.into()))
        };
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (inner, behind) = inner.split_once(']').ok_or_else(bad)?;
            let ip: Ipv6Addr = inner.parse().map_err(|_| bad())?;
            let port = match behind.strip_prefix(':') {
                Some(port) => Some(port),
                None if behind.is_empty() => None,
                None => return Err(bad()),
            };
            (Host::Ip(ip.into()), port)
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            (named_host(host).ok_or_else(bad)?, port)
        }
    };
    let port = match port {
        Some(digits) => Some(port_number(digits).ok_or_else(|| ValueError::Port(digits.into()))?),
        None => None,
    };
    Ok(UnresolvedAddress::Inet(host, port))
}

/// The address of a `listen`: like [`place`], or a bare port.
///
/// # Errors
/// Like [`place`].
pub fn listen_place(text: &str) -> Result<UnresolvedAddress, ValueError> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let port = port_number(text).ok_or_else(|| ValueError::Port(text.into()))?;
        return Ok(UnresolvedAddress::Inet(Host::Any, Some(port)));
    }
    let (_, port) = text.rsplit_once(':').unwrap_or(("", text));
    if is_port_range(port) && !text.starts_with("unix:") {
        return Err(ValueError::PortRange(text.into()));
    }
    place(text)
}

/// Bytes of a path in the system's unix socket address.
const UNIX_PATH_LIMIT: usize = 108;

fn port_number(digits: &str) -> Option<u16> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// Whether a text is a range such as `8000-8010`.
fn is_port_range(text: &str) -> bool {
    text.split_once('-')
        .is_some_and(|(first, last)| port_number(first).is_some() && port_number(last).is_some())
}

fn named_host(text: &str) -> Option<Host> {
    if text == "*" {
        return Some(Host::Any);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(Host::Ip(ip));
    }
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && !"/*[]{};\"'?#@$\\".contains(c);
    (!text.is_empty() && text.chars().all(fits)).then(|| Host::Name(text.into()))
}

/// Why a word is not a valid value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// Not a time.
    Time(String),
    /// Not a size.
    Size(String),
    /// Not a number.
    Number(String),
    /// Neither `on` nor `off`.
    Switch(String),
    /// Not an address.
    Address(String),
    /// Not a port.
    Port(String),
    /// A range of ports.
    PortRange(String),
    /// Not a path of a unix socket.
    Path(String),
}

impl ValueError {
    /// What to do about the error.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            ValueError::Time(_) => "write \"3s\", \"500ms\" or \"1m30s\"; a bare number is seconds",
            ValueError::Size(_) => "write bytes, or \"8k\", \"1m\", \"2g\"",
            ValueError::Number(_) => return None,
            ValueError::Switch(_) => "write \"on\" or \"off\"",
            ValueError::Address(_) => "write HOST, HOST:PORT, [IPV6]:PORT or unix:PATH",
            ValueError::Port(_) => "ports are numbers up to 65535",
            ValueError::PortRange(_) => "write one \"listen\" for each port",
            ValueError::Path(_) => "a socket's path has 1 to 107 bytes",
        };
        Some(help.into())
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueError::Time(text) => write!(f, "\"{text}\" is not a time"),
            ValueError::Size(text) => write!(f, "\"{text}\" is not a size"),
            ValueError::Number(text) => write!(f, "\"{text}\" is not a number"),
            ValueError::Switch(text) => write!(f, "\"{text}\" is neither \"on\" nor \"off\""),
            ValueError::Address(text) => write!(f, "\"{text}\" is not an address"),
            ValueError::Port(text) => write!(f, "\"{text}\" is not a port"),
            ValueError::PortRange(text) => {
                write!(f, "ranges of ports, such as \"{text}\", are not supported by switchover")
            }
            ValueError::Path(text) => write!(f, "\"{text}\" is not the path of a unix socket"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_falling_units() {
        for (text, millis) in [
            ("3", Some(3000)),
            ("3s", Some(3000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("1m30", Some(90_000)),
            ("1h 30m", Some(5_400_000)),
            ("75d", Some(75 * 86_400_000)),
            ("1y1M1w", Some((365 + 30 + 7) * 86_400_000)),
            ("0", Some(0)),
            ("", None),
            ("s", None),
            ("1s1m", None),
            ("1s1s", None),
            ("1 1", None),
            ("-1", None),
            ("1.5s", None),
            ("1x", None),
            ("99999999999999999999", None),
            ("9999999999999999999y", None),
        ] {
            assert_eq!(time(text).ok(), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_units() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("8192", Some(8192)),
            ("8k", Some(8192)),
            ("1M", Some(1 << 20)),
            ("2g", Some(2 << 30)),
            ("", None),
            ("k", None),
            ("1kb", None),
            ("-1", None),
            ("99999999999999g", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn places_are_hosts_with_ports_or_sockets() {
        let ip = |text: &str| Host::Ip(text.parse().unwrap());
        let name = |text: &str| Host::Name(text.into());
        for (text, expected) in [
            ("a", Some(UnresolvedAddress::Inet(name("a"), None))),
            ("a:80", Some(UnresolvedAddress::Inet(name("a"), Some(80)))),
            ("127.0.0.1:1", Some(UnresolvedAddress::Inet(ip("127.0.0.1"), Some(1)))),
            ("[::1]:80", Some(UnresolvedAddress::Inet(ip("::1"), Some(80)))),
            ("[::1]", Some(UnresolvedAddress::Inet(ip("::1"), None))),
            ("*:80", Some(UnresolvedAddress::Inet(Host::Any, Some(80)))),
            ("unix:/a", Some(UnresolvedAddress::Unix("/a".into()))),
            ("unix:", None),
            ("", None),
            (":80", None),
            ("a:", None),
            ("a:+1", None),
            ("a:65536", None),
            ("a/b", None),
            ("[::1", None),
            ("[::1]x", None),
            ("::1", None),
        ] {
            assert_eq!(place(text).ok(), expected, "{text}");
        }
        assert_eq!(listen_place("80").ok(), Some(UnresolvedAddress::Inet(Host::Any, Some(80))));
        assert_eq!(listen_place("65536").ok(), None);
    }
}
