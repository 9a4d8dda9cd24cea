//! Where a head ends and what it contains. RFC 9112, sections 2 to 5.
//!
//! First the end is searched line by line, each byte once; only a whole head is parsed. Lines end
//! in CRLF only: anything else that a parser might take for a line end is an error.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use super::fields::{Fields, Place, is_token, is_value};

/// A protocol version that the proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// A whole, well-formed request head, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method, as sent.
    pub method: &'a [u8],
    /// The target, as sent.
    pub target: &'a [u8],
    /// The version.
    pub version: Version,
    /// The fields in order.
    pub fields: Fields<'a>,
}

/// A whole, well-formed response head.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The version.
    pub version: Version,
    /// 100 to 599.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub reason: &'a [u8],
    /// The fields in order.
    pub fields: Fields<'a>,
}

/// Why a head is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// Not the syntax of a head.
    Malformed,
    /// A version this proxy does not speak.
    Version,
    /// The first line is longer than allowed.
    FirstLineTooLong,
    /// Another line, the whole head or the number of fields exceeds its limit.
    TooLarge,
    /// More empty lines before a request than are sent by accident.
    EmptyLines,
}

impl HeadError {
    /// The status for refusing a request.
    pub fn status(self) -> u16 {
        match self {
            HeadError::Malformed | HeadError::EmptyLines => 400,
            HeadError::Version => 505,
            HeadError::FirstLineTooLong => 414,
            HeadError::TooLarge => 431,
        }
    }
}

/// Limits on the size of a head, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// One line, without its line end.
    pub line: usize,
    /// The whole head.
    pub total: usize,
}

/// Finds the end of a head in bytes that arrive piece by piece. Heads are short enough for 32-bit
/// positions.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    searched: u32,
    line: u32,
    lines: u32,
}

impl HeadScan {
    /// Searches the bytes received since the head began. `Some(length)` once it is whole.
    ///
    /// # Errors
    /// A malformed line end or an exceeded limit, as soon as it is certain.
    pub fn end(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, HeadError> {
        while let Some(line) = self.line(bytes, limits)? {
            if line.is_empty() {
                return Ok(Some(self.line as usize));
            }
        }
        Ok(None)
    }

    /// Like [`HeadScan::end`], for a request. Its first line is checked as soon as it is whole,
    /// because a client of another protocol may wait for an answer before it sends more.
    ///
    /// # Errors
    /// As for [`HeadScan::end`], and an invalid request line.
    pub fn request_end(
        &mut self,
        bytes: &[u8],
        limits: HeadLimits,
    ) -> Result<Option<usize>, HeadError> {
        let is_new = self.lines == 0;
        let end = self.end(bytes, limits);
        // The first line of a whole head is checked when the head is parsed.
        if is_new && self.lines > 0 && !matches!(end, Ok(Some(_))) {
            check_request_line(first_line(bytes))?;
        }
        end
    }

    /// The next line without its end, if it is whole.
    fn line<'a>(
        &mut self,
        bytes: &'a [u8],
        limits: HeadLimits,
    ) -> Result<Option<&'a [u8]>, HeadError> {
        let (searched, begin) = (self.searched as usize, self.line as usize);
        let Some(at) = memchr::memchr(b'\n', bytes.get(searched..).unwrap_or(&[])) else {
            self.searched = bytes.len() as u32;
            self.check_line((bytes.len() - begin).saturating_sub(1), limits)?;
            match self.lines {
                // The first line may be too long, which is certain only at its end.
                0 => {}
                _ => self.check_total(bytes.len(), limits)?,
            }
            return Ok(None);
        };
        let newline = searched + at;
        // Limits are checked first, so that the error does not depend on how the bytes were split.
        let line = &bytes[begin..newline];
        self.check_line(line.len().saturating_sub(1), limits)?;
        self.check_total(newline + 1, limits)?;
        let Some((b'\r', line)) = line.split_last() else { return Err(HeadError::Malformed) };
        self.searched = newline as u32 + 1;
        self.line = self.searched;
        self.lines += 1;
        Ok(Some(line))
    }

    fn check_line(&self, length: usize, limits: HeadLimits) -> Result<(), HeadError> {
        match self.lines {
            0 if length > limits.line => Err(HeadError::FirstLineTooLong),
            _ if length > limits.line => Err(HeadError::TooLarge),
            lines if lines as usize > MAX_FIELDS + 1 => Err(HeadError::TooLarge),
            _ => Ok(()),
        }
    }

    fn check_total(&self, length: usize, limits: HeadLimits) -> Result<(), HeadError> {
        if length > limits.total { Err(HeadError::TooLarge) } else { Ok(()) }
    }
}

/// Length of the empty lines (CRLF) at the start of `bytes`.
///
/// # Errors
/// More than [`MAX_EMPTY_LINES`].
pub fn empty_lines(bytes: &[u8]) -> Result<usize, HeadError> {
    let lines = bytes.chunks_exact(2).take_while(|pair| pair == b"\r\n").count();
    if lines > MAX_EMPTY_LINES { Err(HeadError::EmptyLines) } else { Ok(lines * 2) }
}

/// Parses a whole head, as delimited by [`HeadScan`]; writes the positions of its fields to
/// `places`.
///
/// # Errors
/// Any deviation from the syntax.
pub fn parse_request<'a>(
    bytes: &'a [u8],
    places: &'a mut Vec<Place>,
) -> Result<RequestHead<'a>, HeadError> {
    let mut slots = slots();
    let mut request = httparse::Request::new(&mut []);
    let parsed = ParserConfig::default()
        .parse_request_with_uninit_headers(&mut request, bytes, &mut slots)
        .map_err(|e| {
            refuse(e, || check_request_line(first_line(bytes)) == Err(HeadError::Version))
        })?;
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(HeadError::Malformed);
    };
    // httparse tolerates blanks and line ends outside the syntax: no byte may be left over.
    let line = method.len() + target.len() + " ".len() * 2 + "HTTP/1.1".len();
    let exact = parsed == Status::Complete(bytes.len())
        && bytes.starts_with(method.as_bytes())
        && bytes.get(line..).is_some_and(|rest| rest.starts_with(LINE_END));
    if !exact || !target.bytes().all(is_target_byte) || !is_token(method.as_bytes()) {
        return Err(HeadError::Malformed);
    }
    Ok(RequestHead {
        method: method.as_bytes(),
        target: target.as_bytes(),
        version: version(minor),
        fields: places_of(bytes, request.headers, places)?,
    })
}

/// Parses a whole head, as delimited by [`HeadScan`]; writes the positions of its fields to
/// `places`.
///
/// # Errors
/// Any deviation from the syntax, and a status outside 100 to 599.
pub fn parse_response<'a>(
    bytes: &'a [u8],
    places: &'a mut Vec<Place>,
) -> Result<ResponseHead<'a>, HeadError> {
    let line = first_line(bytes);
    let mut slots = slots();
    let mut response = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, bytes, &mut slots)
        .map_err(|e| refuse(e, || false))?;
    let (Some(minor), Some(status)) = (response.version, response.code) else {
        return Err(HeadError::Malformed);
    };
    let reason = match line.get("HTTP/1.1 200".len()..) {
        Some([b' ', reason @ ..]) => reason,
        Some([]) => &[],
        Some(_) | None => return Err(HeadError::Malformed),
    };
    if parsed != Status::Complete(bytes.len())
        || !(100..=599).contains(&status)
        || !is_value(reason)
    {
        return Err(HeadError::Malformed);
    }
    let fields = places_of(bytes, response.headers, places)?;
    Ok(ResponseHead { version: version(minor), status, reason, fields })
}

/// Room for parsed fields, uninitialised on the caller's stack.
fn slots<'a>() -> [MaybeUninit<Header<'a>>; MAX_FIELDS] {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

/// Records the positions of the fields: each line extends to the next one's name, the last one to
/// the empty line.
fn places_of<'a>(
    bytes: &'a [u8],
    fields: &[Header<'_>],
    places: &'a mut Vec<Place>,
) -> Result<Fields<'a>, HeadError> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(HeadError::TooLarge);
    }
    places.clear();
    let start = |field: &Header<'_>| field.name.as_ptr().addr() - bytes.as_ptr().addr();
    for (index, field) in fields.iter().enumerate() {
        // httparse has checked every byte of both, exactly as we would: see the tests.
        debug_assert!(is_token(field.name.as_bytes()) && is_value(field.value));
        let end = fields.get(index + 1).map_or(bytes.len() - LINE_END.len(), start);
        places.push(Place::of_line(bytes, start(field), field.name.len(), end));
    }
    Ok(Fields::new(bytes, places))
}

fn refuse(error: httparse::Error, version_unknown: impl Fn() -> bool) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooLarge,
        httparse::Error::Version if version_unknown() => HeadError::Version,
        httparse::Error::Version
        | httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token => HeadError::Malformed,
    }
}

/// Distinguishes a request line, one with an unsupported version, and noise.
fn check_request_line(line: &[u8]) -> Result<(), HeadError> {
    let mut words = line.split(|&b| b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HeadError::Malformed);
    };
    if !is_token(method) || target.is_empty() || !target.iter().copied().all(is_target_byte) {
        return Err(HeadError::Malformed);
    }
    match version {
        b"HTTP/1.0" | b"HTTP/1.1" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(HeadError::Version)
        }
        _ => Err(HeadError::Malformed),
    }
}

fn first_line(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end])
}

/// Whether `byte` is allowed in a request's target.
pub fn is_target_byte(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && byte != b'#'
}

fn version(minor: u8) -> Version {
    if minor == 0 { Version::Http10 } else { Version::Http11 }
}

/// Fields in one head: more than any program sends, and a limit on searches by name.
pub const MAX_FIELDS: usize = 1000;
/// Empty lines skipped before a request: some old clients end a body with one.
pub const MAX_EMPTY_LINES: usize = 8;
const LINE_END: &[u8] = b"\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { line: 64, total: 256 };

    /// Feeds `text` whole and split at every byte; the answer must be the same.
    fn scan(text: &str) -> Result<Option<usize>, HeadError> {
        let bytes = text.as_bytes();
        let whole = HeadScan::default().end(bytes, LIMITS);
        let mut one_by_one = HeadScan::default();
        let mut last = Ok(None);
        for end in 1..=bytes.len() {
            last = one_by_one.end(&bytes[..end], LIMITS);
            if last != Ok(None) {
                break;
            }
        }
        assert_eq!(whole, last, "split differently: {text:?}");
        whole
    }

    fn request(text: &str) -> Result<(String, String, Version, usize), HeadError> {
        let mut places = Vec::new();
        let head = parse_request(text.as_bytes(), &mut places)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((text(head.method), text(head.target), head.version, head.fields.len()))
    }

    fn status(text: &str) -> Result<u16, HeadError> {
        parse_response(text.as_bytes(), &mut Vec::new()).map(|head| head.status)
    }

    /// Whether a request and a response may have this field; both must agree.
    fn may_have_field(name: &[u8], value: &[u8]) -> bool {
        let lines = ["GET / HTTP/1.1", "HTTP/1.1 200 OK"];
        let [request, response] = lines.map(|line| {
            [line.as_bytes(), b"\r\n", name, b":", value, b"\r\nB: c\r\n\r\n"].concat()
        });
        let mut places = Vec::new();
        let asked = parse_request(&request, &mut places).is_ok_and(|head| head.fields.len() == 2);
        let mut places = Vec::new();
        let answered =
            parse_response(&response, &mut places).is_ok_and(|head| head.fields.len() == 2);
        assert_eq!(asked, answered, "{:?}", response.escape_ascii().to_string());
        asked
    }

    /// The parser takes many bytes at once, and other steps for the last ones: every length counts.
    #[test]
    fn fields_are_checked_byte_by_byte_as_rfc_9110_has_it() {
        for length in (1..=40).chain([63, 64, 65]) {
            for at in [0, length / 2, length - 1] {
                for byte in 0..=255 {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    // A line feed ends the line; what follows is another field, or none.
                    let ends_line = byte == b'\n';
                    let splits = byte == b':' && at > 0;
                    if !splits {
                        assert_eq!(may_have_field(&text, b"v"), is_token(&text), "{byte} {at}");
                    }
                    if !ends_line {
                        assert_eq!(may_have_field(b"n", &text), is_value(&text), "{byte} {at}");
                    }
                }
            }
        }
        assert!(!may_have_field(b"", b"v") && may_have_field(b"n", b""));
    }

    #[test]
    fn a_head_ends_at_its_first_empty_line() {
        assert_eq!(scan("GET / HTTP/1.1\r\nA: b\r\n\r\nrest"), Ok(Some(24)));
        assert_eq!(scan("GET / HTTP/1.1\r\nA: b\r\n"), Ok(None));
        assert_eq!(scan("\r\n"), Ok(Some(2)));
    }

    #[test]
    fn a_bare_line_feed_is_no_line_end() {
        assert_eq!(scan("GET / HTTP/1.1\n\n"), Err(HeadError::Malformed));
        assert_eq!(scan("GET / HTTP/1.1\r\nA: b\n\r\n"), Err(HeadError::Malformed));
        assert_eq!(scan("\n"), Err(HeadError::Malformed));
    }

    #[test]
    fn limits_act_while_the_head_is_still_coming() {
        let long = "x".repeat(70);
        assert_eq!(scan(&long), Err(HeadError::FirstLineTooLong));
        assert_eq!(scan(&format!("GET / HTTP/1.1\r\n{long}")), Err(HeadError::TooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}", "A: bcdefgh\r\n".repeat(30));
        assert_eq!(scan(&many), Err(HeadError::TooLarge));
    }

    #[test]
    fn a_line_may_be_exactly_as_long_as_the_limit() {
        let line = "x".repeat(64);
        assert_eq!(scan(&format!("{line}\r\n\r\n")), Ok(Some(68)));
        assert_eq!(scan(&format!("{line}x\r\n\r\n")), Err(HeadError::FirstLineTooLong));
    }

    /// Found by the fuzz target `request_head`: with all bytes at once, the bare LF was met first.
    #[test]
    fn a_line_is_too_long_before_its_end_is_wrong() {
        let long = "x".repeat(66);
        assert_eq!(scan(&format!("{long}\n")), Err(HeadError::FirstLineTooLong));
        assert_eq!(scan(&format!("GET / HTTP/1.1\r\n{long}\n")), Err(HeadError::TooLarge));
        assert_eq!(scan(&format!("{}\n", "x".repeat(65))), Err(HeadError::Malformed));
    }

    /// Found by the fuzz target `request_head`, with one buffer for the whole head.
    #[test]
    fn a_first_line_is_too_long_before_the_head_is_too_large() {
        let limits = HeadLimits { line: 64, total: 64 };
        let bytes = "x".repeat(70).into_bytes();
        let mut scan = HeadScan::default();
        assert_eq!(scan.end(&bytes[..65], limits), Ok(None));
        assert_eq!(scan.end(&bytes, limits), Err(HeadError::FirstLineTooLong));
    }

    #[test]
    fn a_head_may_be_exactly_as_large_as_the_limit() {
        let fields = format!("{}\r\n", "x".repeat(58)).repeat(4);
        assert_eq!(scan(&format!("{}\r\n{fields}\r\n", "x".repeat(12))), Ok(Some(256)));
        let larger = format!("{}\r\n{fields}\r\n", "x".repeat(13));
        assert_eq!(scan(&larger), Err(HeadError::TooLarge));
    }

    #[test]
    fn a_plain_request_is_read_as_it_stands() {
        let expected = ("GET".into(), "/a?b".into(), Version::Http11, 1);
        assert_eq!(request("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"), Ok(expected));
        let expected = ("x-Y!".into(), "*".into(), Version::Http10, 0);
        assert_eq!(request("x-Y! * HTTP/1.0\r\n\r\n"), Ok(expected));
    }

    #[test]
    fn request_lines_have_one_spelling() {
        for line in [
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            " GET / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET\t/ HTTP/1.1",
            "GET /\x7f HTTP/1.1",
            "GET /#a HTTP/1.1",
            "GET /a b HTTP/1.1",
            "G@T / HTTP/1.1",
            "GET /",
            "GET / ",
            "GET / http/1.1",
            "GET / HTTP/1.11",
            "GET / HTTP/1,1",
            "GET / HTTPS/1.1",
            "GET / HTTP/ 1.1",
            "",
        ] {
            let text = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(request(&text).err(), Some(HeadError::Malformed), "{line:?}");
        }
    }

    #[test]
    fn other_versions_are_told_apart_from_noise() {
        for line in ["GET / HTTP/2.0", "GET / HTTP/0.9", "GET / HTTP/1.2", "PRI * HTTP/2.0"] {
            assert_eq!(
                request(&format!("{line}\r\n\r\n")).err(),
                Some(HeadError::Version),
                "{line}"
            );
        }
    }

    /// Found by the fuzz target `request_head`: the line seemed to end with its bare CR.
    #[test]
    fn a_version_with_a_bare_carriage_return_is_noise() {
        let refused = request("GET / HTTP/2.1\rA: b\r\n\r\n").err();
        assert_eq!(refused, Some(HeadError::Malformed));
    }

    #[test]
    fn fields_have_one_spelling() {
        for field in [
            "Host : a",
            " Host: a",
            "\tHost: a",
            ": a",
            "Host",
            "Ho st: a",
            "H\u{f6}st: a",
            "A: b\r\n c",
            "A: b\0c",
            "A: b\rc",
            "A: b\x7fc",
            "A(: b",
            "A: b\x0bc",
        ] {
            let text = format!("GET / HTTP/1.1\r\nX: y\r\n{field}\r\n\r\n");
            assert_eq!(request(&text).err(), Some(HeadError::Malformed), "{field:?}");
            let text = format!("HTTP/1.1 200 OK\r\nX: y\r\n{field}\r\n\r\n");
            assert_eq!(status(&text).err(), Some(HeadError::Malformed), "{field:?}");
        }
    }

    #[test]
    fn values_may_be_empty_and_hold_any_other_byte() {
        let mut places = Vec::new();
        let bytes = b"GET /\xc3\xa4 HTTP/1.1\r\nA:\r\nB: \t x\ty\xff \t\r\n\r\n";
        let head = parse_request(bytes, &mut places).unwrap();
        assert_eq!(head.target, b"/\xc3\xa4");
        let values: Vec<_> = head.fields.iter().map(|field| field.value).collect();
        assert_eq!(values, [&b""[..], b"x\ty\xff"]);
    }

    #[test]
    fn too_many_fields_are_too_large() {
        let text = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(request(&text).err(), Some(HeadError::TooLarge));
        let text = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS));
        assert!(request(&text).is_ok());
    }

    #[test]
    fn status_lines_have_one_spelling() {
        assert_eq!(status("HTTP/1.1 200 OK\r\n\r\n"), Ok(200));
        assert_eq!(status("HTTP/1.0 404\r\n\r\n"), Ok(404));
        assert_eq!(status("HTTP/1.1 599 \r\n\r\n"), Ok(599));
        for line in [
            "HTTP/1.1 099 x",
            "HTTP/1.1 600 x",
            "HTTP/1.1 20 x",
            "HTTP/1.1 2000 x",
            "HTTP/1.1  200 x",
            "HTTP/2 200 x",
            "HTTP/1.1 200\tx",
            "ICY 200 OK",
            " HTTP/1.1 200 OK",
            "HTTP/1.1 200 \x01",
            "",
        ] {
            let text = format!("{line}\r\nA: b\r\n\r\n");
            assert_eq!(status(&text).err(), Some(HeadError::Malformed), "{line:?}");
        }
    }

    #[test]
    fn a_first_line_that_is_none_is_refused_before_the_head_is_whole() {
        let scan = |text: &str| HeadScan::default().request_end(text.as_bytes(), LIMITS);
        assert_eq!(scan("GET / HTTP/1.1\r\nA"), Ok(None));
        assert_eq!(scan("GET /"), Ok(None));
        assert_eq!(scan("GET /\r\n"), Err(HeadError::Malformed));
        assert_eq!(scan("\x16\x03\x01\r\n"), Err(HeadError::Malformed));
        assert_eq!(scan("PRI * HTTP/2.0\r\n"), Err(HeadError::Version));
    }

    #[test]
    fn empty_lines_before_a_request_are_counted() {
        assert_eq!(empty_lines(b"\r\n\r\nGET"), Ok(4));
        assert_eq!(empty_lines(b"\r"), Ok(0));
        assert_eq!(empty_lines("\r\n".repeat(8).as_bytes()), Ok(16));
        assert_eq!(empty_lines("\r\n".repeat(9).as_bytes()), Err(HeadError::EmptyLines));
    }
}
