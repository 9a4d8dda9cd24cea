//! A strict reader of the HTTP/1.1 that the proxy writes.
//!
//! Shares no code with the proxy's parsers, so that it does not share their mistakes. The proxy
//! writes everything in exactly one spelling, so anything else is a flaw.

/// Reads a sequence of messages from one direction of a connection.
#[derive(Debug)]
pub struct Reader {
    side: Side,
    buffer: Vec<u8>,
    stage: ReaderStage,
}

/// The side whose messages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Requests that the proxy sends to servers.
    Requests,
    /// Answers that the proxy sends to clients.
    Answers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReaderStage {
    Head,
    Sized(usize),
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    Trailers,
    UntilClose,
    /// The message is complete; its end has not been returned yet.
    Ended,
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The head; after a status 1xx another head follows.
    Head(Head),
    /// Some bytes of the body, without framing.
    Body(Vec<u8>),
    /// The message is complete.
    End,
}

/// A message's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Method, target and version, or version, status and reason.
    pub start: [String; 3],
    /// Names in lowercase, and values.
    pub fields: Vec<(String, String)>,
    /// The body's framing.
    pub framing: BodyEnd,
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// No body.
    Nothing,
    /// This many bytes.
    Sized(usize),
    /// By the last chunk.
    Chunked,
    /// By the connection's end.
    UntilClose,
}

/// A rule that the proxy broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw(pub &'static str);

impl Head {
    /// The value of a field that must occur once.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str())
    }

    /// The number in a field that must occur once.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.field(name)?.parse().ok()
    }

    /// An answer's status.
    pub fn status(&self) -> u16 {
        self.start[1].parse().unwrap_or(0)
    }

    /// Whether `Connection` holds exactly this word.
    pub fn connection(&self, word: &str) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case(word))
    }

    fn count(&self, name: &str) -> usize {
        self.fields.iter().filter(|field| field.0 == name).count()
    }
}

impl Reader {
    /// A reader at the first byte.
    pub fn new(side: Side) -> Reader {
        Reader { side, buffer: Vec::new(), stage: ReaderStage::Head }
    }

    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether the reader is between messages.
    pub fn is_between(&self) -> bool {
        self.stage == ReaderStage::Head && self.buffer.is_empty()
    }

    /// Whether the connection's end would complete the current message.
    pub fn ends_with_connection(&self) -> bool {
        self.stage == ReaderStage::UntilClose
    }

    /// The next piece, if enough bytes have arrived. `to_head` says that the request was a HEAD.
    ///
    /// # Errors
    /// The rule that the bytes break.
    pub fn next(&mut self, to_head: bool) -> Result<Option<Piece>, Flaw> {
        loop {
            let before = (self.stage, self.buffer.len());
            let piece = match self.stage {
                ReaderStage::Head => self.head(to_head)?.map(Piece::Head),
                ReaderStage::Sized(left) => self.body(left, ReaderStage::Sized, ReaderStage::Ended),
                ReaderStage::Chunk(left) => {
                    self.body(left, ReaderStage::Chunk, ReaderStage::ChunkEnd)
                }
                ReaderStage::UntilClose => {
                    self.body(usize::MAX, |_| ReaderStage::UntilClose, ReaderStage::Ended)
                }
                ReaderStage::ChunkSize => self.chunk_size()?,
                ReaderStage::ChunkEnd => self.chunk_end()?,
                ReaderStage::Trailers => self.trailer()?,
                ReaderStage::Ended => {
                    self.stage = ReaderStage::Head;
                    Some(Piece::End)
                }
            };
            if piece.is_some() || before == (self.stage, self.buffer.len()) {
                return Ok(piece);
            }
        }
    }

    fn body(
        &mut self,
        left: usize,
        more: impl Fn(usize) -> ReaderStage,
        over: ReaderStage,
    ) -> Option<Piece> {
        let count = left.min(self.buffer.len());
        self.stage = if count == left { over } else { more(left - count) };
        (count > 0).then(|| Piece::Body(self.buffer.drain(..count).collect()))
    }

    /// One line without its CRLF, if complete.
    fn line(&mut self) -> Result<Option<String>, Flaw> {
        let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
        line.pop();
        if line.pop() != Some(b'\r') {
            return Err(Flaw("a bare LF"));
        }
        if line.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
            return Err(Flaw("a control character"));
        }
        // Bytes beyond ASCII are allowed in values and targets; they stay as they are.
        Ok(Some(line.into_iter().map(char::from).collect()))
    }

    fn chunk_size(&mut self) -> Result<Option<Piece>, Flaw> {
        let Some(line) = self.line()? else { return Ok(None) };
        let canonical = line.bytes().all(|byte| byte.is_ascii_hexdigit())
            && (line == "0" || !line.starts_with('0'));
        let size = usize::from_str_radix(&line, 16).ok().filter(|_| canonical);
        let size = size.ok_or(Flaw("a chunk size in an odd spelling"))?;
        self.stage = if size == 0 { ReaderStage::Trailers } else { ReaderStage::Chunk(size) };
        Ok(None)
    }

    fn chunk_end(&mut self) -> Result<Option<Piece>, Flaw> {
        if self.buffer.len() < 2 {
            return Ok(None);
        }
        if self.buffer[..2] != *b"\r\n" {
            return Err(Flaw("no CRLF behind a chunk"));
        }
        self.buffer.drain(..2);
        self.stage = ReaderStage::ChunkSize;
        Ok(None)
    }

    fn trailer(&mut self) -> Result<Option<Piece>, Flaw> {
        let Some(line) = self.line()? else { return Ok(None) };
        if line.is_empty() {
            self.stage = ReaderStage::Ended;
            return Ok(None);
        }
        let (name, _) = field(&line)?;
        if ["content-length", "transfer-encoding", "host"].contains(&name.as_str()) {
            return Err(Flaw("a framing or routing field in the trailers"));
        }
        Ok(None)
    }

    fn head(&mut self, to_head: bool) -> Result<Option<Head>, Flaw> {
        let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
            // A bare LF must not stay unnoticed in an unfinished line.
            let bare = self.buffer.windows(2).any(|two| two[1] == b'\n' && two[0] != b'\r');
            return if bare { Err(Flaw("a bare LF")) } else { Ok(None) };
        };
        debug_assert!(end < self.buffer.len());
        let start = start_line(&self.line()?.expect("a whole head is here"))?;
        let mut fields = Vec::new();
        loop {
            let line = self.line()?.expect("a whole head is here");
            if line.is_empty() {
                break;
            }
            fields.push(field(&line)?);
        }
        let mut head = Head { start, fields, framing: BodyEnd::Nothing };
        head.framing = self.framing(&head, to_head)?;
        self.stage = match head.framing {
            BodyEnd::Nothing if self.side == Side::Answers && head.status() < 200 => {
                ReaderStage::Head
            }
            BodyEnd::Nothing => ReaderStage::Ended,
            BodyEnd::Sized(length) => ReaderStage::Sized(length),
            BodyEnd::Chunked => ReaderStage::ChunkSize,
            BodyEnd::UntilClose => ReaderStage::UntilClose,
        };
        Ok(Some(head))
    }

    fn framing(&self, head: &Head, to_head: bool) -> Result<BodyEnd, Flaw> {
        for name in ["keep-alive", "proxy-connection", "te", "upgrade", "x-hop"] {
            if head.count(name) > 0 {
                return Err(Flaw("a hop-by-hop field was passed on"));
            }
        }
        for name in ["content-length", "transfer-encoding", "host", "connection"] {
            if head.count(name) > 1 {
                return Err(Flaw("a field that may stand only once stands twice"));
            }
        }
        if !head.connection("close")
            && !head.connection("keep-alive")
            && head.count("connection") > 0
        {
            return Err(Flaw("Connection names something else than close or keep-alive"));
        }
        let bodiless = match self.side {
            Side::Requests => {
                check_request(head)?;
                false
            }
            Side::Answers => {
                check_answer(head)?;
                to_head || matches!(head.status(), 100..200 | 204 | 304)
            }
        };
        let length = head.field("content-length").map(length).transpose()?;
        match (head.field("transfer-encoding"), length) {
            (Some(_), Some(_)) => Err(Flaw("both a length and chunks")),
            (Some("chunked"), None) if bodiless => Ok(BodyEnd::Nothing),
            (Some("chunked"), None) => Ok(BodyEnd::Chunked),
            (Some(_), None) => Err(Flaw("a transfer coding other than chunked")),
            (None, Some(_)) if bodiless => Ok(BodyEnd::Nothing),
            (None, Some(length)) => Ok(BodyEnd::Sized(length)),
            (None, None) if bodiless || self.side == Side::Requests => Ok(BodyEnd::Nothing),
            (None, None) => Ok(BodyEnd::UntilClose),
        }
    }
}

fn start_line(line: &str) -> Result<[String; 3], Flaw> {
    let mut words = line.splitn(3, ' ').map(str::to_owned);
    match (words.next(), words.next(), words.next()) {
        (Some(first), Some(second), Some(third)) if !first.is_empty() && !second.is_empty() => {
            Ok([first, second, third])
        }
        _ => Err(Flaw("a start line without its three parts")),
    }
}

fn field(line: &str) -> Result<(String, String), Flaw> {
    let (name, value) = line.split_once(':').ok_or(Flaw("a field without a colon"))?;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Err(Flaw("a field name that is no token"));
    }
    Ok((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
}

fn length(value: &str) -> Result<usize, Flaw> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (value == "0" || !value.starts_with('0'));
    value.parse().ok().filter(|_| canonical).ok_or(Flaw("a length in an odd spelling"))
}

fn check_request(head: &Head) -> Result<(), Flaw> {
    if head.start[2] != "HTTP/1.1" {
        return Err(Flaw("a request of another version than 1.1"));
    }
    if !head.start[1].starts_with('/') && head.start[1] != "*" {
        return Err(Flaw("a target that is not in origin form"));
    }
    if head.count("host") != 1 {
        return Err(Flaw("a request without exactly one Host"));
    }
    Ok(())
}

fn check_answer(head: &Head) -> Result<(), Flaw> {
    if head.start[0] != "HTTP/1.1" {
        return Err(Flaw("an answer of another version than 1.1"));
    }
    let status = &head.start[1];
    if status.len() != 3 || !(100..600).contains(&head.status()) {
        return Err(Flaw("a status that is none"));
    }
    let framed = head.count("content-length") + head.count("transfer-encoding") > 0;
    if framed && (head.status() < 200 || head.status() == 204) {
        return Err(Flaw("a framing field where no body can be"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads bytes whole and split at every position; the results must be equal. Bodies are joined.
    fn check(side: Side, to_head: bool, bytes: &str) -> Result<String, Flaw> {
        let whole = read(side, to_head, &[bytes.as_bytes()]);
        for at in 0..bytes.len() {
            let (first, second) = bytes.as_bytes().split_at(at);
            assert_eq!(read(side, to_head, &[first, second]), whole, "split at {at}");
        }
        whole
    }

    fn read(side: Side, to_head: bool, parts: &[&[u8]]) -> Result<String, Flaw> {
        let mut reader = Reader::new(side);
        let mut story = String::new();
        for part in parts {
            reader.push(part);
            while let Some(piece) = reader.next(to_head)? {
                match piece {
                    Piece::Head(head) => story.push_str(&format!("[{:?}]", head.framing)),
                    Piece::Body(bytes) => story.push_str(&String::from_utf8_lossy(&bytes)),
                    Piece::End => story.push('.'),
                }
            }
        }
        Ok(story)
    }

    #[test]
    fn messages_follow_each_other() {
        let two = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n\
                   PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(check(Side::Requests, false, two).unwrap(), "[Nothing].[Sized(3)]abc.");
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(check(Side::Answers, false, interim).unwrap(), "[Nothing][Sized(1)]x.");
    }

    #[test]
    fn chunks_are_joined_and_trailers_skipped() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       3\r\nabc\r\nA\r\n0123456789\r\n0\r\nA: b\r\n\r\n";
        assert_eq!(check(Side::Answers, false, chunked).unwrap(), "[Chunked]abc0123456789.");
    }

    #[test]
    fn an_answer_to_head_ends_with_its_head() {
        let bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(check(Side::Answers, true, bytes).unwrap(), "[Nothing].");
    }

    #[test]
    fn an_answer_without_framing_lasts_until_the_close() {
        let bytes = "HTTP/1.1 200 OK\r\n\r\nall of it";
        assert_eq!(check(Side::Answers, false, bytes).unwrap(), "[UntilClose]all of it");
    }

    #[test]
    fn whatever_the_proxy_must_not_write_is_a_flaw() {
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "Content-Length: 01\r\n\r\na",
            "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "Transfer-Encoding: gzip\r\n\r\n",
            "Keep-Alive: timeout=5\r\n\r\n",
            "Connection: x-foo\r\n\r\n",
            "A : b\r\n\r\n",
            "A\r\n\r\n",
            "A: b\n\r\n\r\n",
            "A: \u{1}\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n03\r\nabc\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n0\r\nHost: a\r\n\r\n",
        ] {
            let answer = format!("HTTP/1.1 200 OK\r\n{fields}");
            assert!(check(Side::Answers, false, &answer).is_err(), "{fields:?}");
        }
        for request in [
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\r\nHost: a\r\n\r\n",
        ] {
            assert!(check(Side::Requests, false, request).is_err(), "{request:?}");
        }
    }
}
