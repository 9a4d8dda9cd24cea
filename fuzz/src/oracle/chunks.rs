//! A chunked body, read by RFC 9112, section 7.1.

use super::field::{Field, is_text, is_token};

/// A chunked body, as far as it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunks {
    /// In order, without the last, empty one.
    pub chunks: Vec<Chunk>,
    /// How it ends.
    pub end: End,
    /// Bytes of extensions and trailer lines.
    pub extra: usize,
    /// The longest size or trailer line, finished or not, without its end.
    pub longest: usize,
}

/// One chunk that is not the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The size as written.
    pub size: Vec<u8>,
    /// The data that has come.
    pub data: Vec<u8>,
}

/// How the reading of a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its last octet; so many it has.
    Whole(usize),
    /// Behind the last chunk, within the trailers.
    Trailers,
    /// Before that.
    Unfinished,
    /// With what cannot be chunks.
    Broken,
}

impl Chunks {
    /// All data that has come.
    pub fn data(&self) -> Vec<u8> {
        self.chunks.iter().flat_map(|chunk| chunk.data.iter().copied()).collect()
    }

    /// The canonical spelling: nothing but sizes without leading zeros, and data. Of an unfinished
    /// body, all that its bytes settle.
    pub fn canonical(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for chunk in &self.chunks {
            text.extend_from_slice(without_zeros(&chunk.size));
            text.extend_from_slice(b"\r\n");
            text.extend_from_slice(&chunk.data);
            if value(&chunk.size) == Some(chunk.data.len() as u64) {
                text.extend_from_slice(b"\r\n");
            }
        }
        match self.end {
            End::Whole(_) => text.extend_from_slice(b"0\r\n\r\n"),
            End::Trailers => text.extend_from_slice(b"0\r\n"),
            End::Unfinished | End::Broken => {}
        }
        text
    }

    /// Whether what is not data is beyond any reading of "about 4 KiB per line, 16 KiB in total".
    pub fn surely_too_large(&self) -> bool {
        self.longest > LINE + SLACK || self.extra > EXTRA + SLACK
    }

    /// Whether what is not data may be held to be too large.
    pub fn perhaps_too_large(&self) -> bool {
        self.longest > LINE - SLACK || self.extra > EXTRA - SLACK
    }

    fn size_line(&mut self, line: &[u8]) -> Option<u64> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extensions) = line.split_at(digits);
        self.extra += extensions.len();
        let size_value = value(size)?;
        if !are_extensions(extensions) {
            return None;
        }
        if size_value > 0 {
            self.chunks.push(Chunk { size: size.to_vec(), data: Vec::new() });
        }
        Some(size_value)
    }
}

/// Reads what should begin with a chunked body.
pub fn read(bytes: &[u8]) -> Chunks {
    let mut chunks = Chunks { chunks: Vec::new(), end: End::Unfinished, extra: 0, longest: 0 };
    let mut rest = bytes;
    loop {
        let size = match line(rest, &mut chunks.longest) {
            Line::Whole(text) => {
                rest = &rest[text.len() + 2..];
                chunks.size_line(text)
            }
            Line::Unfinished => return chunks,
            Line::Broken => None,
        };
        let Some(size) = size else { return Chunks { end: End::Broken, ..chunks } };
        if size == 0 {
            return trailers(bytes.len(), rest, chunks);
        }
        let available = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
        let (data, behind) = rest.split_at(available);
        chunks.chunks.last_mut().expect("just pushed").data = data.to_vec();
        match behind {
            [b'\r', b'\n', behind @ ..] => rest = behind,
            [] | [b'\r'] => return chunks,
            _ => return Chunks { end: End::Broken, ..chunks },
        }
    }
}

fn trailers(total: usize, mut rest: &[u8], mut chunks: Chunks) -> Chunks {
    loop {
        chunks.end = match line(rest, &mut chunks.longest) {
            Line::Whole(b"") => End::Whole(total - rest.len() + 2),
            Line::Whole(text) if Field::read(text).is_ok() => {
                chunks.extra += text.len() + 2;
                rest = &rest[text.len() + 2..];
                continue;
            }
            Line::Unfinished => End::Trailers,
            Line::Whole(_) | Line::Broken => End::Broken,
        };
        return chunks;
    }
}

enum Line<'a> {
    Whole(&'a [u8]),
    Unfinished,
    /// A bare CR or LF.
    Broken,
}

fn line<'a>(bytes: &'a [u8], longest: &mut usize) -> Line<'a> {
    let text: &[u8] = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    *longest = text.len().max(*longest);
    match &bytes[text.len()..] {
        [b'\r', b'\n', ..] => Line::Whole(text),
        [] | [b'\r'] => Line::Unfinished,
        _ => Line::Broken,
    }
}

/// `1*HEXDIG` below 2^63.
fn value(size: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(without_zeros(size)).ok()?;
    u64::from_str_radix(digits, 16).ok().filter(|value| *value < 1 << 63)
}

/// Without the leading zeros that are not the number itself.
fn without_zeros(mut size: &[u8]) -> &[u8] {
    while size.len() > 1 && size[0] == b'0' {
        size = &size[1..];
    }
    size
}

/// `*( ";" token [ "=" ( token / quoted-string ) ] )`.
fn are_extensions(text: &[u8]) -> bool {
    let Some(parts) = outside_quotes(text, b';') else { return false };
    let Some((before, extensions)) = parts.split_first() else { return true };
    before.is_empty()
        && extensions.iter().all(|extension| {
            let parts = outside_quotes(extension, b'=').unwrap_or_default();
            match parts[..] {
                [name] => is_token(name),
                [name, value] => is_token(name) && (is_token(value) || is_quoted_string(value)),
                _ => false,
            }
        })
}

/// Splits at a separator that is not inside a quoted string; none if a quote is left open.
fn outside_quotes(text: &[u8], separator: u8) -> Option<Vec<&[u8]>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            other if *other == separator && !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted).then_some(parts)
}

/// RFC 9110, section 5.6.4.
fn is_quoted_string(text: &[u8]) -> bool {
    let [b'"', inside @ .., b'"'] = text else { return false };
    let mut escaped = false;
    for byte in inside {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return false,
            _ => {}
        }
    }
    !escaped && is_text(inside)
}

/// Bytes of a size or trailer line.
const LINE: usize = 4 << 10;
/// Bytes of extensions and trailers.
const EXTRA: usize = 16 << 10;
/// What "about" means.
const SLACK: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_bodies_are_read_to_their_end() {
        for (text, data, canonical) in [
            ("0\r\n\r\nrest", "", "0\r\n\r\n"),
            ("5\r\nhello\r\n0\r\n\r\nrest", "hello", "5\r\nhello\r\n0\r\n\r\n"),
            (
                "00A;a;b=c;d=\"e;\\\"=\"\r\n0123456789\r\n000;x\r\nA: b\r\n\r\nrest",
                "0123456789",
                "A\r\n0123456789\r\n0\r\n\r\n",
            ),
        ] {
            let chunks = read(text.as_bytes());
            assert_eq!(chunks.end, End::Whole(text.len() - "rest".len()), "{text:?}");
            assert_eq!(chunks.data(), data.as_bytes(), "{text:?}");
            assert_eq!(chunks.canonical(), canonical.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn what_may_go_on_is_unfinished() {
        for text in
            ["", "5", "5\r", "5;x", "5\r\nhel", "5\r\nhello", "5\r\nhello\r", "5\r\nhello\r\n"]
        {
            assert_eq!(read(text.as_bytes()).end, End::Unfinished, "{text:?}");
        }
        assert_eq!(read(b"0\r\nA: b\r\n").end, End::Trailers);
    }

    #[test]
    fn anything_else_is_broken() {
        for text in [
            "\r\n",
            "+1\r\n",
            "-1\r\n",
            "0x1\r\n",
            "1_0\r\n",
            " 1\r\n",
            "1 \r\n",
            ";a\r\n",
            "g\r\n",
            "1\n",
            "1\rx",
            "1\r\nab\r\n",
            "1\r\na\n",
            "8000000000000000\r\n",
            "1;\r\n",
            "1; a\r\n",
            "1;a=\r\n",
            "1;a=\"b\r\n",
            "1;a=\"b\"c\r\n",
            "1;a=b=c\r\n",
            "1;a\"b\"\r\n",
            "1;a=\"\\\"\r\n",
            "0\r\nA b\r\n",
            "0\r\n A: b\r\n",
            "0\r\nA : b\r\n",
            "0\r\n: b\r\n",
            "0\r\nA: b\n",
        ] {
            assert_eq!(read(text.as_bytes()).end, End::Broken, "{text:?}");
        }
        assert_eq!(read(b"7fffffffffffffff\r\nx").data(), b"x");
        assert_eq!(read(b"00000000000000000000000001\r\nx").data(), b"x");
    }

    #[test]
    fn what_is_not_data_is_counted() {
        let long = read(format!("1;{}", "a".repeat(5000)).as_bytes());
        assert!(long.surely_too_large() && long.end == End::Unfinished);
        let many = read(format!("1;{}\r\nx\r\n", "a".repeat(2000)).repeat(9).as_bytes());
        assert!(many.surely_too_large());
        assert!(!read(b"1;a\r\nx\r\n0\r\n\r\n").perhaps_too_large());
    }
}
