//! `uri-host [ ":" *DIGIT ]`. RFC 3986, section 3.2.2.

/// Whether the whole text is a host with at most one port; it may be empty.
pub fn is_host(text: &[u8]) -> bool {
    let (host, port) = take_apart(text);
    let host_is_one = match host {
        [b'[', inside @ .., b']'] => is_ip_6(inside) || is_ip_future(inside),
        name => is_name(name),
    };
    host_is_one && port.is_none_or(|port| port.iter().all(u8::is_ascii_digit))
}

/// Whether the text is a host, perhaps with a port, that an absolute-form target may name.
pub fn is_authority(text: &[u8]) -> bool {
    is_host(text) && !take_apart(text).0.is_empty()
}

/// The port stands behind the last colon, unless that colon is inside the brackets.
fn take_apart(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !text[colon..].contains(&b']') => (&text[..colon], Some(&text[colon + 1..])),
        Some(_) | None => (text, None),
    }
}

/// `*( unreserved / pct-encoded / sub-delims )`.
fn is_name(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        let escape = name[at] == b'%'
            && name.get(at + 1).is_some_and(u8::is_ascii_hexdigit)
            && name.get(at + 2).is_some_and(u8::is_ascii_hexdigit);
        match name[at] {
            b'%' if escape => at += 3,
            byte if is_unreserved(byte) || is_sub_delimiter(byte) => at += 1,
            _ => return false,
        }
    }
    true
}

/// `IPv6address`: eight groups, or fewer with one `::` for the others.
fn is_ip_6(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    match text.split_once("::") {
        None => groups(text, true) == Some(8),
        Some((before, after)) => {
            let before = if before.is_empty() { Some(0) } else { groups(before, false) };
            let after = if after.is_empty() { Some(0) } else { groups(after, true) };
            before.zip(after).is_some_and(|(before, after)| before + after <= 7)
        }
    }
}

/// How many groups stand here; the last two may be written as an IPv4 address.
fn groups(text: &str, may_end_in_ip_4: bool) -> Option<usize> {
    let parts: Vec<&str> = text.split(':').collect();
    let (last, others) = parts.split_last()?;
    let is_group =
        |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
    if !others.iter().all(|part| is_group(part)) {
        return None;
    }
    if is_group(last) {
        Some(parts.len())
    } else if may_end_in_ip_4 && is_ip_4(last) {
        Some(parts.len() + 1)
    } else {
        None
    }
}

fn is_ip_4(text: &str) -> bool {
    let is_octet = |part: &str| part.parse::<u8>().is_ok_and(|octet| octet.to_string() == part);
    text.split('.').count() == 4 && text.split('.').all(is_octet)
}

/// `"v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )`.
fn is_ip_future(text: &[u8]) -> bool {
    let [b'v' | b'V', rest @ ..] = text else { return false };
    let Some(dot) = rest.iter().position(|byte| *byte == b'.') else { return false };
    let (version, address) = (&rest[..dot], &rest[dot + 1..]);
    let fits = |byte: &u8| is_unreserved(*byte) || is_sub_delimiter(*byte) || *byte == b':';
    !version.is_empty()
        && version.iter().all(u8::is_ascii_hexdigit)
        && !address.is_empty()
        && address.iter().all(fits)
}

fn is_unreserved(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~')
}

fn is_sub_delimiter(byte: u8) -> bool {
    b"!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_a_port() {
        for host in [
            "",
            "a",
            "a:",
            "a:80",
            "A_b.c-d",
            "1.2.3.4:5",
            "[::]",
            "[::1]:80",
            "[1::]",
            "a%2fb",
            "[1:2:3:4:5:6:7:8]",
            "[1:2:3:4:5:6:7::]",
            "[::1.2.3.4]",
            "[v1.a:b]",
            ":80",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "u@a",
            "a/b",
            "a, b",
            "a b",
            "a:80:80",
            "a:x",
            "[::1",
            "::1]",
            "[]",
            "[:]",
            "[::1]x",
            "[::1]:x",
            "[1]",
            "[:1]",
            "[1:]",
            "[1::2::3]",
            "[1:2:3:4:5:6:7:8:9]",
            "[12345::]",
            "[1:2:3:4:5:6:7:8::]",
            "[::1.2.3]",
            "[::1.2.3.256]",
            "[1.2.3.4::]",
            "[v.a]",
            "[v1.]",
            "[fe80::1%25en0]",
            "[g::]",
            "a%2",
            "a%",
            "\u{e4}",
            "[[::1]]",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn an_authority_names_a_host() {
        assert!(is_authority(b"a:80") && is_authority(b"[::1]"));
        assert!(!is_authority(b"") && !is_authority(b":80"));
    }
}
