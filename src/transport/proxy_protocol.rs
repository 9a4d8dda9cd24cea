//! The PROXY header: a peer's statement about which client its connection carries.
//!
//! Sees bytes, never sockets. Source: <https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt>.

use std::net::SocketAddr;

use proxy_header::{Error, ParseConfig, ProxiedAddress, ProxyHeader};

use crate::address::Address;
use crate::config::model::ProxyProtocol;

/// The addresses in a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxiedFrom {
    /// The client's address.
    pub source: SocketAddr,
    /// The address the client connected to.
    pub destination: SocketAddr,
}

/// The result of the search for a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The beginning of a header, so far.
    Part,
    /// A complete header of this length; `None` for LOCAL and UNKNOWN.
    Header(Option<ProxiedFrom>, usize),
    /// No header.
    Nothing,
}

/// Looks for a header at the front of `bytes`.
pub fn find(bytes: &[u8]) -> Found {
    // The parser waits for more bytes even if the first one rules a header out.
    let begins = |signature: &[u8]| bytes.iter().zip(signature).all(|(byte, sign)| byte == sign);
    if !begins(V1) && !begins(V2) {
        return Found::Nothing;
    }
    if bytes.starts_with(V1) && !may_be_v1(bytes) {
        return Found::Nothing;
    }
    if bytes.starts_with(V2) && !speaks_for_a_client(bytes) {
        return skipped(bytes);
    }
    let how = ParseConfig { include_tlvs: false, allow_v1: true, allow_v2: true };
    match ProxyHeader::parse(bytes, how) {
        Ok((header, length)) => {
            let proxied = header
                .proxied_address()
                .map(|of| ProxiedFrom { source: of.source, destination: of.destination });
            Found::Header(proxied, length)
        }
        Err(Error::BufferTooShort) => Found::Part,
        Err(_) => Found::Nothing,
    }
}

/// Whether a version 2 header may name a TCP client, as far as the bytes tell. All others are
/// skipped, whatever their addresses (section 2.2: LOCAL, and unknown families).
fn speaks_for_a_client(bytes: &[u8]) -> bool {
    match bytes.get(V2.len()..V2.len() + 2) {
        Some([0x21, family]) => matches!(family, 0x11 | 0x21),
        // Another version or command, which the parser rejects.
        Some([command, _]) => *command != 0x20,
        Some(_) | None => true,
    }
}

/// A version 2 header that names no client, skipped by its length field.
fn skipped(bytes: &[u8]) -> Found {
    let Some(&[high, low]) = bytes.get(V2.len() + 2..V2.len() + 4) else { return Found::Part };
    let length = V2.len() + 4 + usize::from(u16::from_be_bytes([high, low]));
    match length {
        _ if length > LONGEST => Found::Nothing,
        _ if bytes.len() < length => Found::Part,
        _ => Found::Header(None, length),
    }
}

/// Whether this may be the start of a version 1 line: no longer than any valid line, and with ports
/// as the protocol writes them, where the parser accepts more forms.
fn may_be_v1(bytes: &[u8]) -> bool {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n") else {
        // The carriage return may be the last byte so far.
        return bytes.len() < LONGEST_V1;
    };
    let mut words = bytes[..end].split(|&byte| byte == b' ').skip(1);
    let family = words.next().unwrap_or_default();
    let is_port = |word: &[u8]| match word {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    end + b"\r\n".len() <= LONGEST_V1
        && (family == b"UNKNOWN" || words.skip(b"SD".len()).all(is_port))
}

/// The header that names the client at `source`, which connected to `destination`.
pub fn header(version: ProxyProtocol, source: &Address, destination: &Address) -> Vec<u8> {
    let header = match (source, destination) {
        (Address::Inet(source), Address::Inet(destination)) => {
            let (source, destination) = of_one_family(*source, *destination);
            ProxyHeader::with_address(ProxiedAddress::stream(source, destination))
        }
        // The protocol has unix addresses, but no form for an unnamed socket.
        (Address::Unix(_), _) | (_, Address::Unix(_)) => ProxyHeader::with_local(),
    };
    let mut out = Vec::new();
    let written = match version {
        ProxyProtocol::V1 => header.encode_v1(&mut out),
        ProxyProtocol::V2 => header.encode_v2(&mut out),
    };
    written.expect("it has no extensions, and memory is no limit");
    out
}

/// Both addresses in one family, as the header requires. They may differ if the client was named by
/// a peer; IPv4 is then mapped into IPv6 (RFC 4291, section 2.5.5.2).
fn of_one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let mapped = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
        SocketAddr::V6(_) => address,
    };
    if source.is_ipv4() == destination.is_ipv4() {
        (source, destination)
    } else {
        (mapped(source), mapped(destination))
    }
}

/// The start of version 1.
const V1: &[u8] = b"PROXY ";
/// The start of version 2.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header in bytes, with room for extensions.
pub const LONGEST: usize = 4 << 10;
/// The longest version 1 line in bytes, including its end: section 2.1 of the protocol.
const LONGEST_V1: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(source: &str, destination: &str) -> Option<ProxiedFrom> {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        Some(ProxiedFrom { source, destination })
    }

    /// Looks for a header in `bytes`, and checks that each proper prefix is incomplete.
    fn check(bytes: &[u8], expected: Option<ProxiedFrom>) {
        assert_eq!(find(bytes), Found::Header(expected, bytes.len()), "{bytes:?}");
        for length in 0..bytes.len() {
            assert_eq!(find(&bytes[..length]), Found::Part, "{length} of {bytes:?}");
        }
        let more = [bytes, b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(find(&more), Found::Header(expected, bytes.len()), "{bytes:?}");
    }

    #[test]
    fn both_versions_are_read_as_they_are_written() {
        for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
            for (from, to) in [("1.2.3.4:5", "6.7.8.9:80"), ("[::1]:5", "[2001:db8::2]:80")] {
                let address = |text: &str| Address::Inet(text.parse().unwrap());
                check(&header(version, &address(from), &address(to)), proxied(from, to));
            }
            let nobody = header(version, &Address::Unix("a".into()), &Address::Unix("b".into()));
            check(&nobody, None);
        }
    }

    #[test]
    fn the_text_is_that_of_the_protocol() {
        let address = |text: &str| Address::Inet(text.parse().unwrap());
        let text = header(ProxyProtocol::V1, &address("1.2.3.4:5"), &address("6.7.8.9:80"));
        assert_eq!(text, b"PROXY TCP4 1.2.3.4 6.7.8.9 5 80\r\n");
        let other = header(ProxyProtocol::V1, &address("[2001:db8::1]:4"), &address("6.7.8.9:80"));
        assert_eq!(other, b"PROXY TCP6 2001:db8::1 ::ffff:6.7.8.9 4 80\r\n");
        let unix = header(ProxyProtocol::V1, &Address::Unix("a".into()), &address("6.7.8.9:80"));
        assert_eq!(unix, b"PROXY UNKNOWN\r\n");
    }

    #[test]
    fn headers_of_version_2_that_name_no_client_over_tcp_are_skipped() {
        let header = |command: u8, family: u8, block: &[u8]| {
            let length = (block.len() as u16).to_be_bytes();
            [V2, &[command, family], &length, block].concat()
        };
        let addresses = [1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10];
        for bytes in [
            header(0x20, 0x11, &[1, 2, 3]),
            header(0x20, 0x00, &[]),
            header(0x21, 0x00, &addresses),
            header(0x21, 0x12, &addresses),
            header(0x21, 0x31, &[0; 216]),
            header(0x21, 0x41, &[]),
        ] {
            check(&bytes, None);
        }
        check(&header(0x21, 0x11, &addresses), proxied("1.2.3.4:9", "5.6.7.8:10"));
        assert_eq!(find(&header(0x22, 0x11, &addresses)), Found::Nothing);
        assert_eq!(find(&header(0x31, 0x11, &addresses)), Found::Nothing);
        assert_eq!(find(&header(0x20, 0x11, &[0; 5000])), Found::Nothing);
    }

    #[test]
    fn anything_else_is_no_header_from_its_first_wrong_byte_on() {
        for bytes in [
            &b"G"[..],
            b"PROXX",
            b"PROXYTCP4 1.2.3.4 6.7.8.9 5 80\r\n",
            b"PROXY TCP5 1.2.3.4 6.7.8.9 5 80\r\n",
            b"PROXY TCP4 1.2.3 6.7.8.9 5 80\r\n..",
            b"PROXY TCP4 1.2.3.4 6.7.8.9 5 800000\r\n",
            b"PROXY TCP4 1.2.3.4 6.7.8.9 +11 80\r\n",
            b"PROXY TCP4 1.2.3.4 6.7.8.9 0011 80\r\n",
            b"PROXY TCP4 1.2.3.4 6.7.8.9 11 080\r\n",
            b"PROXY TCP4 1.2.3.4 6.7.8.9 11 80 \r\n",
            b"PROXY TCP4 1.2.3.4 6.7.8.9 11 80 1\r\n",
            b"PROXY TCP4 1.2.3.4 6.7.8.9  11 80\r\n",
            b"PROXY TCP4 01.2.3.4 6.7.8.9 11 80\r\n",
            b"\r\n\r\n\0\r\nQUIT\r",
            b"\r\nGET",
        ] {
            assert_eq!(find(bytes), Found::Nothing, "{bytes:?}");
        }
        let endless = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
        assert_eq!(find(&endless), Found::Nothing);
        let unknown = |rest: usize| [b"PROXY UNKNOWN ", &*vec![b'x'; rest], b"\r\n"].concat();
        check(&unknown(107 - 16), None);
        assert_eq!(find(&unknown(108 - 16)), Found::Nothing);
    }
}
