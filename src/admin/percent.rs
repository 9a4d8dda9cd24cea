//! Percent-encoding of names in queries and in the state file. RFC 3986, section 2.1.

use std::fmt::Write;

/// Encodes everything but letters, digits and a few signs that names and addresses contain.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Decodes a text; `None` if an escape is incomplete, or the result is not UTF-8.
pub fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = text.iter();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if *byte == b'%' {
            let mut digit = || char::from(*bytes.next()?).to_digit(16);
            let value = digit()? << 4 | digit()?;
            out.push(u8::try_from(value).ok()?);
        } else {
            out.push(*byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for text in ["trino-a:8080", "[::1]:80", "unix:/a b%\n.sock", "ä", ""] {
            let encoded = encode(text);
            assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()), "{encoded}");
            assert_eq!(decode(encoded.as_bytes()).as_deref(), Some(text));
        }
        assert_eq!(encode("a b"), "a%20b");
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decode(broken.as_bytes()), None, "{broken}");
        }
    }
}
