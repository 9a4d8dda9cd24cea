//! A strict HTTP/1.1 reader for tests: accepts what the RFC allows, and keeps every byte as
//! received.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::sync::{Arc, Mutex};

use super::wire::Wire;

/// A complete request or response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The first line, without its end.
    pub start: String,
    /// Names and values in order, as received.
    pub fields: Vec<(String, String)>,
    /// The head as received, including the empty line.
    pub head: Vec<u8>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Empty,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Message {
    pub fn status(&self) -> u16 {
        self.try_status().expect("a status line")
    }

    fn try_status(&self) -> Option<u16> {
        self.start.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }

    /// The only value of this name, in any case; panics if there are several.
    pub fn field(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} came twice: {}", self.head_text());
        all.first().copied()
    }

    /// All values of this name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let of_name = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.fields.iter().filter(of_name).map(|(_, value)| value.as_str()).collect()
    }

    /// The fields as sorted lines, because the order of different names does not matter.
    pub fn sorted_fields(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.fields.iter().map(|(n, v)| format!("{n}: {v}")).collect();
        lines.sort();
        lines
    }

    pub fn head_text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The framing that the fields announce. A length together with a coding is an error.
    pub fn framing(&self, without: Framing) -> io::Result<Framing> {
        match (self.all("Transfer-Encoding").as_slice(), self.all("Content-Length").as_slice()) {
            ([], []) => Ok(without),
            (["chunked"], []) => Ok(Framing::Chunked),
            ([], [length]) => {
                length.parse().map(Framing::Length).map_err(|_| wrong("a length", length))
            }
            (coding, length) => Err(wrong("ambiguous framing", &format!("{coding:?} {length:?}"))),
        }
    }
}

/// Everything that a reader has received so far.
pub type Tape = Arc<Mutex<Vec<u8>>>;

/// Bytes kept on a tape. Whatever a test compares is shorter.
const TAPE_LIMIT: usize = 8 << 20;

/// Reads messages from a wire, and records what it reads on a tape.
#[derive(Debug)]
pub struct Reader {
    taped: BufReader<Taped>,
}

#[derive(Debug)]
struct Taped {
    wire: Arc<Wire>,
    tape: Tape,
}

impl Read for Taped {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = (&*self.wire).read(into)?;
        let mut tape = self.tape.lock().expect("no reader panics");
        if tape.len() < TAPE_LIMIT {
            tape.extend_from_slice(&into[..n]);
        }
        Ok(n)
    }
}

impl Reader {
    pub fn new(wire: Arc<Wire>, tape: Tape) -> Reader {
        Reader { taped: BufReader::new(Taped { wire, tape }) }
    }

    /// The next head; `None` if the peer closes instead.
    pub fn head(&mut self) -> io::Result<Option<Message>> {
        let mut message = Message::default();
        loop {
            let line = self.line(&mut message.head)?;
            match line {
                None if message.head.is_empty() => return Ok(None),
                None => return Err(ErrorKind::UnexpectedEof.into()),
                Some(line) if message.start.is_empty() => message.start = line,
                Some(line) if line.is_empty() => return Ok(Some(message)),
                Some(line) => {
                    let (name, value) =
                        line.split_once(':').ok_or_else(|| wrong("a field", &line))?;
                    message
                        .fields
                        .push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
                }
            }
        }
    }

    fn line(&mut self, keep: &mut Vec<u8>) -> io::Result<Option<String>> {
        let start = keep.len();
        if self.taped.read_until(b'\n', keep)? == 0 {
            return Ok(None);
        }
        match keep[start..].strip_suffix(b"\r\n") {
            Some(line) => Ok(Some(String::from_utf8_lossy(line).into_owned())),
            None if keep.ends_with(b"\n") => Err(wrong("a line", "a bare LF")),
            None => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Reads the body after a head. A body cut short is `UnexpectedEof`.
    pub fn body(&mut self, framing: Framing) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        match framing {
            Framing::Empty => {}
            Framing::Length(length) => self.exactly(length, &mut body)?,
            Framing::UntilClose => {
                self.taped.read_to_end(&mut body)?;
            }
            Framing::Chunked => while self.chunk(&mut body)? {},
        }
        Ok(body)
    }

    fn exactly(&mut self, length: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let n = self.taped.by_ref().take(length).read_to_end(into)?;
        if n as u64 == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    fn chunk(&mut self, body: &mut Vec<u8>) -> io::Result<bool> {
        let size = self.chunk_size()?;
        self.exactly(size, body)?;
        self.chunk_end(size)
    }

    fn chunk_size(&mut self) -> io::Result<u64> {
        let size = self.line(&mut Vec::new())?.ok_or(ErrorKind::UnexpectedEof)?;
        u64::from_str_radix(&size, 16).map_err(|_| wrong("a chunk size", &size))
    }

    /// Reads the rest of a chunk after its data; false after the last chunk.
    fn chunk_end(&mut self, size: u64) -> io::Result<bool> {
        // After data comes an empty line; after the last chunk come trailers and an empty line.
        loop {
            let line = self.line(&mut Vec::new())?.ok_or(ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                return Ok(size > 0);
            }
            if size > 0 {
                return Err(wrong("the end of a chunk", &line));
            }
        }
    }

    /// Hands over the next `length` bytes piece by piece, and keeps none.
    pub fn each_piece(&mut self, length: u64, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let here = self.taped.fill_buf()?;
            if here.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let n = here.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(&here[..n]);
            self.taped.consume(n);
            left -= n as u64;
        }
        Ok(())
    }

    /// Hands over the next chunk piece by piece; false after the last one.
    pub fn each_chunk_piece(&mut self, take: impl FnMut(&[u8])) -> io::Result<bool> {
        let size = self.chunk_size()?;
        self.each_piece(size, take)?;
        self.chunk_end(size)
    }

    pub fn exact(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.taped.read_exact(into)
    }

    /// A complete request; `None` if the client closes instead.
    pub fn request(&mut self) -> io::Result<Option<Message>> {
        let Some(mut message) = self.head()? else { return Ok(None) };
        message.body = self.body(message.framing(Framing::Empty)?)?;
        Ok(Some(message))
    }

    /// A complete response; `bodiless` if it answers a HEAD.
    pub fn response(&mut self, bodiless: Bodiless) -> io::Result<Option<Message>> {
        let Some(mut message) = self.head()? else { return Ok(None) };
        let status = message.try_status().ok_or_else(|| wrong("a status line", &message.start))?;
        let framing = match (bodiless, status) {
            (Bodiless::Yes, _) | (_, 100..=199 | 204 | 304) => Framing::Empty,
            (Bodiless::No, _) => message.framing(Framing::UntilClose)?,
        };
        message.body = self.body(framing)?;
        Ok(Some(message))
    }

    /// Everything until the peer closes.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        self.body(Framing::UntilClose)
    }

    /// At least one byte, at most as many as `into` holds; 0 at the end.
    pub fn some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.taped.read(into)
    }

    /// Bytes that have arrived but belong to no message yet.
    pub fn ahead(&self) -> &[u8] {
        self.taped.buffer()
    }
}

/// Whether a response has no body, whatever its fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodiless {
    Yes,
    No,
}

fn wrong(what: &str, found: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("expected {what}, found {found:?}"))
}
