//! Field names that mean something to a proxy, and the characters that fields are made of.

/// Fields that the proxy reads, remakes or removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// `Connection`.
    Connection,
    /// `Content-Length`.
    ContentLength,
    /// `Expect`.
    Expect,
    /// `Host`.
    Host,
    /// `HTTP2-Settings`.
    Http2Settings,
    /// `Keep-Alive`.
    KeepAlive,
    /// `Proxy-Connection`.
    ProxyConnection,
    /// `TE`.
    Te,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Upgrade`.
    Upgrade,
}

/// Which known field `name` is, in any case.
pub fn known(name: &[u8]) -> Option<Known> {
    let (expected, known): (&[u8], Known) = match name.len() {
        2 => (b"te", Known::Te),
        4 => (b"host", Known::Host),
        6 => (b"expect", Known::Expect),
        7 => (b"upgrade", Known::Upgrade),
        10 if name[0] | 0x20 == b'c' => (b"connection", Known::Connection),
        10 => (b"keep-alive", Known::KeepAlive),
        14 if name[0] | 0x20 == b'c' => (b"content-length", Known::ContentLength),
        14 => (b"http2-settings", Known::Http2Settings),
        16 => (b"proxy-connection", Known::ProxyConnection),
        17 => (b"transfer-encoding", Known::TransferEncoding),
        _ => return None,
    };
    name.eq_ignore_ascii_case(expected).then_some(known)
}

/// RFC 9110, section 5.6.2: what methods and field names are made of.
pub fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether `bytes` is a token: one `tchar` or more.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_tchar)
}

/// Whether `byte` may stand in a field's value: no control character but the tab.
pub fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// `bytes` without spaces and tabs at both ends.
pub fn trim(bytes: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let start = bytes.iter().position(|b| !blank(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !blank(b)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_known_in_any_case_and_no_others() {
        for (name, expected) in [
            ("CONNECTION", Some(Known::Connection)),
            ("Content-Length", Some(Known::ContentLength)),
            ("content_length", None),
            ("hOSt", Some(Known::Host)),
            ("Keep-Alive", Some(Known::KeepAlive)),
            ("HTTP2-Settings", Some(Known::Http2Settings)),
            ("proxy-connection", Some(Known::ProxyConnection)),
            ("TE", Some(Known::Te)),
            ("Transfer-Encoding", Some(Known::TransferEncoding)),
            ("upgrade", Some(Known::Upgrade)),
            ("Expect", Some(Known::Expect)),
            ("", None),
            ("X-Host", None),
        ] {
            assert_eq!(known(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn trimming_takes_blanks_only() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b"\x0ba"), b"\x0ba");
        assert_eq!(trim(b" \t"), b"");
    }
}
