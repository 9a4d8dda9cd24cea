//! `X-Forwarded-…` fields. From 451 on a coordinator answers 406 to each request with one, unless
//! `http-server.process-forwarded` tells it to read or to ignore them.

use zeroize::Zeroizing;

/// Whether a field's name is that of such a field.
pub fn is_forwarded(name: &[u8]) -> bool {
    name.get(..PREFIX.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
}

/// A whole request without such fields. It may hold credentials.
pub fn without_forwarded(request: &[u8]) -> Zeroizing<Box<[u8]>> {
    let end = memchr::memmem::find(request, b"\r\n\r\n").map_or(request.len(), |at| at + 2);
    let (head, body) = request.split_at(end);
    let mut out = Zeroizing::new(Vec::with_capacity(request.len()));
    for line in head.split_inclusive(|&byte| byte == b'\n').filter(|line| !is_forwarded(line)) {
        out.extend_from_slice(line);
    }
    out.extend_from_slice(body);
    Zeroizing::new(Box::from(&out[..]))
}

/// How their names begin.
const PREFIX: &[u8] = b"X-Forwarded-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        for name in ["X-Forwarded-For", "x-forwarded-proto", "X-FORWARDED-"] {
            assert!(is_forwarded(name.as_bytes()), "{name}");
        }
        for name in ["", "X-Forwarded", "Forwarded", "X-Real-IP", "XX-Forwarded-For"] {
            assert!(!is_forwarded(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn forwarded_fields_are_removed_from_the_head_alone() {
        let whole = b"POST / HTTP/1.1\r\nX-Forwarded-For: a\r\nHost: b\r\nx-forwarded-proto: c\r\n\
            \r\nX-Forwarded-For: d\n";
        let expected = b"POST / HTTP/1.1\r\nHost: b\r\n\r\nX-Forwarded-For: d\n";
        let request = without_forwarded(whole);
        assert_eq!(request.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}
