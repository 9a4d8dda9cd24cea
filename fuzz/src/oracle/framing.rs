//! What frames a body. RFC 9112, section 6.

use super::field::{Field, values};
use super::{Fault, Version};

/// What the framing fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// There are none.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// Reads the framing fields.
///
/// # Errors
/// Everything that is wrong with them.
pub fn declared(fields: &[Field], version: Version) -> Result<Declared, Vec<Fault>> {
    let lengths = values(fields, "content-length");
    let codings = values(fields, "transfer-encoding");
    let mut faults = Vec::new();
    if lengths.len() > 1 || lengths.iter().any(|value| length(value).is_none()) {
        faults.push(Fault::Length);
    }
    if codings.len() > 1 || codings.iter().any(|value| !value.eq_ignore_ascii_case(b"chunked")) {
        faults.push(Fault::Coding);
    }
    if !codings.is_empty() && version == Version::Old {
        faults.push(Fault::OldCoding);
    }
    if !lengths.is_empty() && !codings.is_empty() {
        faults.push(Fault::TwoFramings);
    }
    match (lengths.first().and_then(|value| length(value)), codings.first()) {
        _ if !faults.is_empty() => Err(faults),
        (Some(length), _) => Ok(Declared::Length(length)),
        (None, Some(_)) => Ok(Declared::Chunked),
        (None, None) => Ok(Declared::Nothing),
    }
}

/// `1*DIGIT` that fits 63 bits.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let zeros = value.iter().take_while(|digit| **digit == b'0').count();
    let digits = std::str::from_utf8(&value[zeros..]).expect("digits are ASCII");
    // Any number of twenty digits or more is too large.
    let number: u128 =
        if digits.len() < 20 { format!("0{digits}").parse().ok()? } else { return None };
    u64::try_from(number).ok().filter(|number| *number < 1 << 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Declared, Vec<Fault>> {
        let fields: Vec<Field> =
            lines.iter().map(|line| Field::read(line.as_bytes()).expect("a field")).collect();
        declared(&fields, Version::Current)
    }

    #[test]
    fn a_length_is_one_plain_number() {
        for (value, expected) in [("0", 0), ("0007", 7), ("9223372036854775807", i64::MAX as u64)] {
            assert_eq!(
                read(&[&format!("Content-Length: {value}")]),
                Ok(Declared::Length(expected))
            );
        }
        for value in
            ["", "+1", "-1", "1 1", "1,1", "1, 1", "0x1", "1.0", "9223372036854775808", "1\x0c"]
        {
            let line = Field::new(b"Content-Length", value.as_bytes());
            assert_eq!(declared(&[line], Version::Current), Err(vec![Fault::Length]), "{value:?}");
        }
        assert_eq!(read(&["Content-Length: 1", "content-length: 1"]), Err(vec![Fault::Length]));
    }

    #[test]
    fn chunked_is_the_only_coding() {
        assert_eq!(read(&["Transfer-Encoding: \tChunked "]), Ok(Declared::Chunked));
        for value in
            ["gzip", "gzip, chunked", ",chunked", "chunked;a=1", "\"chunked\"", "", "\u{a0}chunked"]
        {
            let line = format!("Transfer-Encoding: {value}");
            assert_eq!(read(&[&line]), Err(vec![Fault::Coding]), "{value:?}");
        }
        let line = "Transfer-Encoding: chunked";
        assert_eq!(read(&[line, line]), Err(vec![Fault::Coding]));
        let old = [Field::new(b"Transfer-Encoding", b"chunked")];
        assert_eq!(declared(&old, Version::Old), Err(vec![Fault::OldCoding]));
    }

    #[test]
    fn a_length_and_a_coding_are_one_too_many() {
        let lines = ["Content-Length: 1", "Transfer-Encoding: chunked"];
        assert_eq!(read(&lines), Err(vec![Fault::TwoFramings]));
        assert_eq!(read(&["Content_Length: 1"]), Ok(Declared::Nothing));
    }
}
