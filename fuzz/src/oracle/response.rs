//! A response head, read by RFC 9112, sections 4 to 6.

use super::field::{Field, is_text};
use super::framing::{self, Declared};
use super::lines::{self, Before, Lines};
use super::{Fault, Limits, Reading, Version};

/// What a legal response head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The version.
    pub version: Version,
    /// 100 to 599.
    pub status: u16,
    /// May be empty.
    pub reason: Vec<u8>,
    /// In order.
    pub fields: Vec<Field>,
    /// What the framing fields say.
    pub declared: Declared,
}

/// How the body of a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    Nothing,
    /// After so many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

impl Response {
    /// How the body ends, if the request was a `HEAD` or not. RFC 9112, section 6.3.
    pub fn body(&self, to_head: bool) -> Body {
        match (self.status, self.declared) {
            (100..=199 | 204 | 304, _) => Body::Nothing,
            _ if to_head => Body::Nothing,
            (_, Declared::Length(length)) => Body::Length(length),
            (_, Declared::Chunked) => Body::Chunked,
            (_, Declared::Nothing) => Body::UntilClose,
        }
    }
}

/// Reads what should begin with a response head.
pub fn read(bytes: &[u8], limits: Limits) -> Reading<Response> {
    let (lines, length, mut faults) = match lines::split(bytes, Before::Nothing, limits) {
        Lines::Whole { lines, length, faults } => (lines, length, faults),
        Lines::Refused(faults) => return Reading::Refused(faults),
        Lines::Unfinished(faults) => return Reading::Unfinished(faults),
    };
    let mut fields = Vec::new();
    for line in &lines[1..] {
        match Field::read(line) {
            Ok(field) => fields.push(field),
            Err(fault) => faults.push(fault),
        }
    }
    let Some((version, status, reason)) = status_line(lines[0]) else {
        faults.push(Fault::FirstLine);
        return Reading::Refused(faults);
    };
    let declared = framing::declared(&fields, version).unwrap_or_else(|found| {
        faults.extend(found);
        Declared::Nothing
    });
    if !faults.is_empty() {
        return Reading::Refused(faults);
    }
    let doubts = if reason.is_none() { vec![Fault::NoReason] } else { Vec::new() };
    let reason = reason.unwrap_or_default().to_vec();
    let head = Response { version, status, reason, fields, declared };
    Reading::Accepted { head, length, doubts }
}

/// `HTTP/1.0|1 SP 3DIGIT SP reason`; the reason with its space may be missing.
fn status_line(line: &[u8]) -> Option<(Version, u16, Option<&[u8]>)> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let version = Version::read(words.next()?).ok()?;
    let digits = words.next()?;
    if digits.len() != 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let status = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let reason = words.next();
    let legal = (100..=599).contains(&status) && reason.is_none_or(is_text);
    legal.then_some((version, status, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Reading<Response> {
        read(text.as_bytes(), Limits { line: 4096, total: 4096, fields: 1000 })
    }

    #[track_caller]
    fn accepted(text: &str) -> Response {
        match check(text) {
            Reading::Accepted { head, .. } => head,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn status_lines_have_one_spelling() {
        let head = accepted("HTTP/1.0 404 Not \u{e4} here\r\n\r\n");
        assert_eq!((head.version, head.status), (Version::Old, 404));
        assert_eq!(head.reason, "Not \u{e4} here".as_bytes());
        assert_eq!(accepted("HTTP/1.1 200 \r\n\r\n").reason, b"");
        assert_eq!(accepted("HTTP/1.1 200\r\n\r\n").reason, b"");
        for line in [
            "",
            "HTTP/2 200 x",
            "HTTP/1.2 200 x",
            "http/1.1 200 x",
            "HTTP/1.1 20 x",
            "HTTP/1.1 99",
            "HTTP/1.1 600 x",
            "HTTP/1.1  200 x",
            "HTTP/1.1 2000 x",
            "HTTP/1.1 200 \x7f",
            "hello",
            "HTTP/1.1 +20 x",
            "HTTP/1.1 099 x",
            "HTTP/1.1\t200 x",
        ] {
            let reading = check(&format!("{line}\r\n\r\n"));
            assert_eq!(reading, Reading::Refused(vec![Fault::FirstLine]), "{line:?}");
        }
    }

    #[test]
    fn empty_lines_before_a_response_are_not_skipped() {
        assert!(matches!(check("\r\nHTTP/1.1 200 OK\r\n\r\n"), Reading::Refused(_)));
    }

    #[test]
    fn bodies_end_as_declared_or_with_the_connection() {
        let counted = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(accepted(counted).body(false), Body::Length(5));
        assert_eq!(accepted(counted).body(true), Body::Nothing);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(accepted(chunked).body(false), Body::Chunked);
        assert_eq!(accepted("HTTP/1.1 200 OK\r\n\r\n").body(false), Body::UntilClose);
        for status in [100, 199, 204, 304] {
            let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n");
            assert_eq!(accepted(&text).body(false), Body::Nothing);
        }
        let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(check(old), Reading::Refused(vec![Fault::OldCoding]));
    }
}
