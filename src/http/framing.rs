//! Where a message body ends.
//!
//! Sees bytes, never sockets. Anything a second parser could read differently is an
//! error: a proxy that guesses is how requests get smuggled. RFC 9112, section 6.

use super::chunked::{ChunkError, ChunkScanner, Keep, Scan};
use super::fields::{Fields, Known};
use super::head::{RequestHead, ResponseHead, Version};

/// How a message delimits its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// This many bytes.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// The connection's orderly end; responses only.
    UntilClose,
}

/// Why the end of a body is uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// An invalid length, or more than one length or coding.
    Malformed,
    /// Both a length and a coding: guessing would permit request smuggling.
    Ambiguous,
    /// A transfer coding other than `chunked`.
    UnknownCoding,
    /// A transfer coding in HTTP/1.0, which has none.
    CodedInHttp10,
}

impl FramingError {
    /// The status for refusing a request.
    pub fn status(self) -> u16 {
        match self {
            FramingError::UnknownCoding => 501,
            FramingError::Malformed | FramingError::Ambiguous | FramingError::CodedInHttp10 => 400,
        }
    }
}

/// How the body of a request ends.
///
/// # Errors
/// If the end is uncertain.
pub fn of_request(head: &RequestHead<'_>) -> Result<Framing, FramingError> {
    Ok(declared(head.fields, head.version)?.unwrap_or(Framing::None))
}

/// How the body of a final response ends; `to_head` if the request was a `HEAD`.
///
/// # Errors
/// If the fields are contradictory, even if there is no body.
pub fn of_response(head: &ResponseHead<'_>, to_head: bool) -> Result<Framing, FramingError> {
    let declared = declared(head.fields, head.version)?;
    let bodiless = to_head || matches!(head.status, 100..=199 | 204 | 304);
    Ok(if bodiless { Framing::None } else { declared.unwrap_or(Framing::UntilClose) })
}

/// The framing that the fields declare; `None` if they declare none.
///
/// # Errors
/// If the end is uncertain.
pub fn declared(fields: Fields<'_>, version: Version) -> Result<Option<Framing>, FramingError> {
    let mut declared = None;
    for (known, value) in fields.known() {
        let framing = match known {
            Known::ContentLength => Framing::Length(length(value).ok_or(FramingError::Malformed)?),
            Known::TransferEncoding => coding(value, version)?,
            Known::Connection
            | Known::Expect
            | Known::Host
            | Known::Http2Settings
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Te
            | Known::Upgrade => continue,
        };
        match (declared.replace(framing), framing) {
            (None, _) => {}
            (Some(Framing::Length(_)), Framing::Length(_))
            | (Some(Framing::Chunked), Framing::Chunked) => return Err(FramingError::Malformed),
            (Some(_), _) => return Err(FramingError::Ambiguous),
        }
    }
    Ok(declared)
}

fn coding(value: &[u8], version: Version) -> Result<Framing, FramingError> {
    if version == Version::Http10 {
        Err(FramingError::CodedInHttp10)
    } else if value.eq_ignore_ascii_case(b"chunked") {
        Ok(Framing::Chunked)
    } else {
        Err(FramingError::UnknownCoding)
    }
}

/// `1*DIGIT` below 2^63.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |sum, &digit| {
        let digit = char::from(digit).to_digit(10)?;
        let sum = sum.checked_mul(10)?.checked_add(u64::from(digit))?;
        (sum <= MAX_LENGTH).then_some(sum)
    })
}

/// Tracks one body through its bytes.
#[derive(Debug)]
pub enum Body {
    /// The body has ended.
    Done,
    /// Bytes still to come.
    Length(u64),
    /// The chunked coding.
    Chunked(ChunkScanner),
    /// All bytes up to the connection's end.
    UntilClose,
}

impl Body {
    /// A body at its start.
    pub fn new(framing: Framing) -> Body {
        match framing {
            Framing::None | Framing::Length(0) => Body::Done,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(ChunkScanner::default()),
            Framing::UntilClose => Body::UntilClose,
        }
    }

    /// Whether the whole body has been seen; never true for one that ends with its connection.
    pub fn is_done(&self) -> bool {
        matches!(self, Body::Done)
    }

    /// How many of the next bytes belong to this body, whatever they are.
    pub fn unread(&self) -> u64 {
        match self {
            Body::Done => 0,
            Body::Length(left) => *left,
            Body::Chunked(scanner) => scanner.unread(),
            Body::UntilClose => u64::MAX,
        }
    }

    /// Passes bytes without looking at them: at most [`Body::unread`].
    pub fn pass_unread(&mut self, count: u64) {
        assert!(count <= self.unread(), "passed bytes that have to be scanned");
        match self {
            Body::Length(left) if *left == count => *self = Body::Done,
            Body::Length(left) => *left -= count,
            Body::Chunked(scanner) => scanner.pass_unread(count),
            Body::Done | Body::UntilClose => {}
        }
    }

    /// Finds which of the next bytes belong to this body: see [`ChunkScanner::scan`].
    ///
    /// # Errors
    /// A malformed chunk.
    pub fn scan(&mut self, bytes: &mut [u8], keep: Keep) -> Result<Scan, ChunkError> {
        let available = bytes.len();
        let all = |count| Scan { kept: count, consumed: count };
        match self {
            Body::Done => Ok(all(0)),
            Body::UntilClose => Ok(all(available)),
            Body::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
                *left -= count as u64;
                if *left == 0 {
                    *self = Body::Done;
                }
                Ok(all(count))
            }
            Body::Chunked(scanner) => {
                let scan = scanner.scan(bytes, keep)?;
                if scanner.is_done() {
                    *self = Body::Done;
                }
                Ok(scan)
            }
        }
    }
}

/// The longest body: what a signed 64-bit number holds, as programs downstream may use one.
const MAX_LENGTH: u64 = i64::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::lines;

    fn framing(fields: &[(&str, &str)]) -> Result<Framing, FramingError> {
        let (bytes, places) = lines(fields);
        let declared = declared(Fields::new(&bytes, &places), Version::Http11);
        declared.map(|framing| framing.unwrap_or(Framing::None))
    }

    #[test]
    fn a_length_is_a_plain_decimal_number() {
        assert_eq!(framing(&[("content-length", "0")]), Ok(Framing::Length(0)));
        assert_eq!(framing(&[("CONTENT-LENGTH", "007")]), Ok(Framing::Length(7)));
        let most = "9223372036854775807";
        assert_eq!(framing(&[("Content-Length", most)]), Ok(Framing::Length(i64::MAX as u64)));
        for bad in [
            "",
            "+1",
            "-1",
            "1 1",
            "1,1",
            "0x1",
            "1.0",
            "1a",
            "9223372036854775808",
            "1\t1",
            "18446744073709551617",
            "\u{0661}",
            "99999999999999999999999999",
        ] {
            assert_eq!(
                framing(&[("Content-Length", bad)]),
                Err(FramingError::Malformed),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn two_framings_are_one_too_many() {
        let (length, chunked) = (("Content-Length", "5"), ("Transfer-Encoding", "chunked"));
        assert_eq!(framing(&[length, length]), Err(FramingError::Malformed));
        assert_eq!(framing(&[chunked, chunked]), Err(FramingError::Malformed));
        assert_eq!(framing(&[length, chunked]), Err(FramingError::Ambiguous));
        assert_eq!(framing(&[chunked, length]), Err(FramingError::Ambiguous));
    }

    #[test]
    fn chunked_is_the_only_coding() {
        assert_eq!(framing(&[("Transfer-Encoding", "CHUNKED")]), Ok(Framing::Chunked));
        for bad in [
            "",
            "gzip",
            "gzip, chunked",
            ",chunked",
            "chunked,",
            "chunked;a=b",
            "\"chunked\"",
            "chunked chunked",
            "\u{b}chunked",
            "\u{a0}chunked",
            "identity",
            "xchunked",
        ] {
            let refused = framing(&[("Transfer-Encoding", bad)]);
            assert_eq!(refused, Err(FramingError::UnknownCoding), "{bad:?}");
        }
    }

    #[test]
    fn http_1_0_knows_no_coding() {
        let (bytes, places) = lines(&[("Transfer-Encoding", "chunked")]);
        let declared = declared(Fields::new(&bytes, &places), Version::Http10);
        assert_eq!(declared, Err(FramingError::CodedInHttp10));
    }

    #[test]
    fn look_alikes_frame_nothing() {
        let fields = [("Content_Length", "5"), ("Transfer_Encoding", "chunked"), ("Length", "1")];
        assert_eq!(framing(&fields), Ok(Framing::None));
    }

    #[test]
    fn some_answers_never_have_a_body() {
        let answer =
            |status, fields| ResponseHead { version: Version::Http11, status, reason: b"", fields };
        let (bytes, places) = lines(&[("Content-Length", "5")]);
        let (length, nothing) = (Fields::new(&bytes, &places), Fields::default());
        for (status, to_head, fields, expected) in [
            (200, false, length, Framing::Length(5)),
            (200, true, length, Framing::None),
            (204, false, length, Framing::None),
            (304, false, length, Framing::None),
            (200, false, nothing, Framing::UntilClose),
            (200, true, nothing, Framing::None),
        ] {
            assert_eq!(of_response(&answer(status, fields), to_head), Ok(expected));
        }
    }

    #[test]
    fn a_counted_body_takes_no_byte_too_many() {
        let mut body = Body::new(Framing::Length(5));
        let scan = body.scan(&mut [b'x'; 3], Keep::Framing).unwrap();
        assert_eq!((scan.consumed, body.is_done()), (3, false));
        let scan = body.scan(&mut [b'x'; 3], Keep::Framing).unwrap();
        assert_eq!((scan.consumed, scan.kept, body.is_done()), (2, 2, true));
    }
}
