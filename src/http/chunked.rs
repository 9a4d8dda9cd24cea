//! The chunked coding, byte for byte. RFC 9112, section 7.1.
//!
//! Bytes in canonical form pass unchanged. Any other legal form (leading zeros, extensions,
//! trailers) is rewritten in place, which only makes it shorter; anything else is an error. The
//! result does not depend on how the bytes were split.

use super::fields::{is_tchar, is_token, is_value, is_value_byte};

/// Which parts of a chunked body are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Sizes and data: the receiver understands chunks.
    Framing,
    /// Data only: the receiver does not understand chunks.
    Data,
}

/// The result of scanning some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Number of bytes at the front to pass on.
    pub kept: usize,
    /// Number of bytes at the front that need not be scanned again, including the kept ones.
    pub consumed: usize,
}

/// Not valid chunked syntax, or more extensions and trailers than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkError;

/// Tracks a chunked body through its bytes.
#[derive(Debug, Default)]
pub struct ChunkScanner {
    state: State,
    /// Bytes of extensions and trailers so far.
    extra: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Before or within a size line.
    #[default]
    Size,
    /// Bytes of data still to come.
    Data(u64),
    /// Before the line end after the data.
    DataEnd,
    /// After the last chunk.
    Trailers,
    /// After the empty line.
    Done,
}

impl ChunkScanner {
    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many of the next bytes are data.
    pub fn unread(&self) -> u64 {
        match self.state {
            State::Data(left) => left,
            State::Size | State::DataEnd | State::Trailers | State::Done => 0,
        }
    }

    /// Passes data without looking at it: at most [`ChunkScanner::unread`] bytes.
    pub fn pass_unread(&mut self, count: u64) {
        let left = self.unread() - count;
        if count > 0 {
            self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
        }
    }

    /// Scans the next bytes and moves those to pass on to the front, in place. Bytes that are not
    /// consumed (an unfinished line, or bytes after the body) must be passed in again, with more
    /// after them.
    ///
    /// # Errors
    /// As soon as the bytes cannot be chunks.
    pub fn scan(&mut self, bytes: &mut [u8], keep: Keep) -> Result<Scan, ChunkError> {
        let mut scan = Scan::default();
        while self.step(bytes, &mut scan, keep)? {}
        Ok(scan)
    }

    /// Scans one line or one run of data. `false` if more bytes are needed or the body has ended.
    fn step(&mut self, bytes: &mut [u8], scan: &mut Scan, keep: Keep) -> Result<bool, ChunkError> {
        match self.state {
            State::Size => self.size_line(bytes, scan, keep),
            State::Data(left) => Ok(self.data(left, bytes, scan)),
            State::DataEnd => self.data_end(bytes, scan, keep),
            State::Trailers => self.trailer_line(bytes, scan, keep),
            State::Done => Ok(false),
        }
    }

    fn size_line(
        &mut self,
        bytes: &mut [u8],
        scan: &mut Scan,
        keep: Keep,
    ) -> Result<bool, ChunkError> {
        let Some(line) = line(&bytes[scan.consumed..])? else { return Ok(false) };
        let digits = line.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(line.len());
        let (size, extensions) = line.split_at(digits);
        let zeros = size.iter().position(|&b| b != b'0').unwrap_or(size.len().saturating_sub(1));
        let value = hexadecimal(size)?;
        check_extensions(extensions)?;
        self.count_extra(extensions.len())?;
        let end = scan.consumed + line.len() + 2;
        match keep {
            Keep::Framing if zeros == 0 && extensions.is_empty() => {
                pass(bytes, scan, end - scan.consumed);
            }
            Keep::Framing => {
                let from = scan.consumed + zeros;
                bytes.copy_within(from..scan.consumed + digits, scan.kept);
                scan.kept += digits - zeros;
                bytes[scan.kept..scan.kept + 2].copy_from_slice(b"\r\n");
                scan.kept += 2;
            }
            Keep::Data => {}
        }
        scan.consumed = end;
        self.state = if value == 0 { State::Trailers } else { State::Data(value) };
        Ok(true)
    }

    fn data(&mut self, left: u64, bytes: &mut [u8], scan: &mut Scan) -> bool {
        let available = bytes.len() - scan.consumed;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(available);
        pass(bytes, scan, count);
        let left = left - count as u64;
        let whole = left == 0;
        self.state = if whole { State::DataEnd } else { State::Data(left) };
        whole
    }

    fn data_end(
        &mut self,
        bytes: &mut [u8],
        scan: &mut Scan,
        keep: Keep,
    ) -> Result<bool, ChunkError> {
        match &bytes[scan.consumed..] {
            [] | [b'\r'] => Ok(false),
            [b'\r', b'\n', ..] => {
                match keep {
                    Keep::Framing => pass(bytes, scan, 2),
                    Keep::Data => scan.consumed += 2,
                }
                self.state = State::Size;
                Ok(true)
            }
            [..] => Err(ChunkError),
        }
    }

    fn trailer_line(
        &mut self,
        bytes: &mut [u8],
        scan: &mut Scan,
        keep: Keep,
    ) -> Result<bool, ChunkError> {
        let Some(line) = line(&bytes[scan.consumed..])? else { return Ok(false) };
        let length = line.len() + 2;
        if line.is_empty() {
            self.state = State::Done;
            match keep {
                Keep::Framing => pass(bytes, scan, length),
                Keep::Data => scan.consumed += length,
            }
            return Ok(false);
        }
        check_trailer(line)?;
        self.count_extra(length)?;
        scan.consumed += length;
        Ok(true)
    }

    fn count_extra(&mut self, bytes: usize) -> Result<(), ChunkError> {
        self.extra += bytes;
        if self.extra > MAX_EXTRA { Err(ChunkError) } else { Ok(()) }
    }
}

/// Keeps the next `count` bytes.
fn pass(bytes: &mut [u8], scan: &mut Scan, count: usize) {
    if scan.kept != scan.consumed {
        bytes.copy_within(scan.consumed..scan.consumed + count, scan.kept);
    }
    scan.kept += count;
    scan.consumed += count;
}

/// The first line of `bytes` without its end; `None` while it is incomplete.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, ChunkError> {
    let window = &bytes[..bytes.len().min(MAX_LINE)];
    match memchr::memchr2(b'\r', b'\n', window) {
        Some(at) => match &bytes[at..] {
            [b'\r', b'\n', ..] => Ok(Some(&bytes[..at])),
            [b'\r'] => Ok(None),
            [..] => Err(ChunkError),
        },
        None if bytes.len() >= MAX_LINE => Err(ChunkError),
        None => Ok(None),
    }
}

/// `1*HEXDIG` below 2^63.
fn hexadecimal(digits: &[u8]) -> Result<u64, ChunkError> {
    if digits.is_empty() {
        return Err(ChunkError);
    }
    digits.iter().try_fold(0u64, |sum, &digit| {
        let digit = char::from(digit).to_digit(16).ok_or(ChunkError)?;
        if sum >> 59 != 0 { Err(ChunkError) } else { Ok(sum << 4 | u64::from(digit)) }
    })
}

/// `*( ";" token [ "=" ( token / quoted-string ) ] )`, without the blanks that RFC 9112 merely
/// tolerates.
fn check_extensions(mut rest: &[u8]) -> Result<(), ChunkError> {
    while let Some((&first, after)) = rest.split_first() {
        if first != b';' {
            return Err(ChunkError);
        }
        rest = token(after)?;
        if let Some((b'=', value)) = rest.split_first() {
            rest = match value.split_first() {
                Some((b'"', quoted)) => quoted_string(quoted)?,
                Some(_) | None => token(value)?,
            };
        }
    }
    Ok(())
}

/// The bytes after the token at the front.
fn token(bytes: &[u8]) -> Result<&[u8], ChunkError> {
    let end = bytes.iter().position(|&b| !is_tchar(b)).unwrap_or(bytes.len());
    if end == 0 { Err(ChunkError) } else { Ok(&bytes[end..]) }
}

/// The bytes after a quoted string whose opening quote has been consumed.
fn quoted_string(mut bytes: &[u8]) -> Result<&[u8], ChunkError> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', escaped, rest @ ..] if is_value_byte(*escaped) => rest,
            [b'\\', ..] | [] => return Err(ChunkError),
            [byte, rest @ ..] if is_value_byte(*byte) => rest,
            [..] => return Err(ChunkError),
        };
    }
}

fn check_trailer(line: &[u8]) -> Result<(), ChunkError> {
    let colon = memchr::memchr(b':', line).ok_or(ChunkError)?;
    let (name, value) = line.split_at(colon);
    if is_token(name) && is_value(value) { Ok(()) } else { Err(ChunkError) }
}

/// The longest size or trailer line in bytes, including its end.
const MAX_LINE: usize = 4 << 10;
/// Bytes of extensions and trailers in one body.
const MAX_EXTRA: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in pieces that end at `cuts`. Returns the kept bytes, and those left after the
    /// body; `None` if the body has not ended.
    fn feed(
        input: &[u8],
        cuts: &[usize],
        keep: Keep,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), ChunkError> {
        let mut scanner = ChunkScanner::default();
        let (mut kept, mut pending, mut from) = (Vec::new(), Vec::new(), 0);
        for &cut in cuts.iter().chain([&input.len()]) {
            pending.extend_from_slice(&input[from..cut]);
            from = cut;
            let scan = scanner.scan(&mut pending, keep)?;
            assert!(scan.kept <= scan.consumed);
            kept.extend_from_slice(&pending[..scan.kept]);
            pending.drain(..scan.consumed);
        }
        Ok((kept, scanner.is_done().then_some(pending)))
    }

    fn check(input: &str, keep: Keep) -> Result<(String, Option<String>), ChunkError> {
        let bytes = input.as_bytes();
        let whole = feed(bytes, &[], keep);
        for cut in 0..=bytes.len() {
            assert_eq!(feed(bytes, &[cut], keep), whole, "{input:?} split at {cut}");
        }
        let each: Vec<usize> = (0..bytes.len()).collect();
        assert_eq!(feed(bytes, &each, keep), whole, "{input:?} byte by byte");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        whole.map(|(kept, rest)| (text(kept), rest.map(text)))
    }

    #[test]
    fn canonical_chunks_pass_as_they_came() {
        let body = "5\r\nhello\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n";
        let rest = Some("GET".to_owned());
        assert_eq!(check(&format!("{body}GET"), Keep::Framing), Ok((body.into(), rest)));
    }

    #[test]
    fn other_spellings_are_written_anew() {
        let odd = "0005;a;b=c;d=\"e;\\\"\"\r\nhello\r\n000;x\r\nTrailer: dropped\r\n\r\n";
        let plain = "5\r\nhello\r\n0\r\n\r\n".to_owned();
        assert_eq!(check(odd, Keep::Framing), Ok((plain, Some(String::new()))));
    }

    #[test]
    fn data_alone_is_what_an_old_client_gets() {
        let body = "3;x\r\nabc\r\n02\r\nde\r\n0\r\nA: b\r\n\r\nrest";
        assert_eq!(check(body, Keep::Data), Ok(("abcde".into(), Some("rest".into()))));
    }

    #[test]
    fn an_unfinished_body_is_not_done() {
        for body in
            ["", "5", "5\r", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "0\r\n", "0\r\nA: b\r\n"]
        {
            assert!(matches!(check(body, Keep::Framing), Ok((_, None))), "{body:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for body in [
            "\r\n",
            ";a\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x5\r\n",
            "5 \r\n",
            " 5\r\n",
            "5_0\r\n",
            "g\r\n",
            "5\nhello",
            "5\rhello",
            "5\r\r\nhello",
            "5\r\nhello\n",
            "5\r\nhelloX\r\n",
            "5\r\nhello\rX",
            "8000000000000000\r\n",
            "ffffffffffffffff\r\n",
            "10000000000000000\r\n",
            "5;\r\n",
            "5; a\r\n",
            "5;a =b\r\n",
            "5;a=\r\n",
            "5;a=\"b\r\n",
            "5;a=\"b\"c\r\n",
            "5;a\0\r\n",
            "0\r\nA b\r\n",
            "0\r\n: b\r\n",
            "0\r\nA : b\r\n",
            "0\r\n A: b\r\n",
            "0\r\nA: \x01\r\n",
            "0\r\nA: b\n",
        ] {
            assert_eq!(check(body, Keep::Framing), Err(ChunkError), "{body:?}");
        }
    }

    #[test]
    fn leading_zeros_do_not_make_a_size_too_large() {
        let body = "000000000000000000000000005\r\nhello\r\n0\r\n\r\n";
        assert_eq!(check(body, Keep::Framing).unwrap().0, "5\r\nhello\r\n0\r\n\r\n");
        let body = "7fffffffffffffff\r\nx";
        assert_eq!(check(body, Keep::Framing).unwrap().0, body);
    }

    #[test]
    fn what_is_not_data_is_bounded_while_it_comes() {
        let long = format!("5;{}", "a".repeat(MAX_LINE));
        assert_eq!(feed(long.as_bytes(), &[], Keep::Framing), Err(ChunkError));
        let many = format!("1;{}\r\nx\r\n", "a".repeat(2000)).repeat(9);
        assert_eq!(feed(many.as_bytes(), &[], Keep::Framing), Err(ChunkError));
        let trailers = format!("0\r\n{}", format!("A: {}\r\n", "b".repeat(2000)).repeat(9));
        assert_eq!(feed(trailers.as_bytes(), &[], Keep::Framing), Err(ChunkError));
    }
}
