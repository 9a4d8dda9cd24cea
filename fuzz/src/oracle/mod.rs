//! A second reading of RFC 9110 and RFC 9112: slow, plain, and without a line of the proxy's.
//!
//! The proxy stops at the first thing that is wrong; this collects everything that is, each with
//! the statuses that the rules allow for it. So neither need agree on what to look at first.

pub mod chunks;
pub mod field;
pub mod forward;
pub mod framing;
pub mod host;
pub mod lines;
pub mod request;
pub mod response;
pub mod statement;
pub mod trino;

/// What bytes that should begin with a head amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<H> {
    /// A legal head of so many bytes, the empty lines before it included.
    Accepted {
        /// What it says.
        head: H,
        /// Where it ends.
        length: usize,
        /// What the rules allow to refuse but do not ask to.
        doubts: Vec<Fault>,
    },
    /// It has to be refused, with a status of one of these.
    Refused(Vec<Fault>),
    /// The head goes on. One of these may be held against it already.
    Unfinished(Vec<Fault>),
}

/// What is wrong with a head, by the rule it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 1.1: a bare CR, a bare LF or a NUL.
    LineEnd,
    /// 1.2: too many empty lines before the request.
    EmptyLines,
    /// 1.3, 6.1: not the syntax of a first line.
    FirstLine,
    /// 1.4: another version.
    Version,
    /// 1.4: no version.
    NoVersion,
    /// 1.5: a method that is not served.
    Method,
    /// 1.5: not a form of target.
    Target,
    /// 1.6 promises to pass UTF-8 on, but nothing about other octets.
    TargetNotUtf8,
    /// 1.7, 6.2: not the syntax of a field.
    Field,
    /// 1.8: too few, too many or no host.
    Host,
    /// 1.9: the first line is too long.
    LongFirstLine,
    /// 1.9: another line, the head or the number of its fields is too large.
    TooLarge,
    /// 2.1: not one plain length.
    Length,
    /// 2.2: not one coding, or another than `chunked`.
    Coding,
    /// 2.2: a coding in HTTP/1.0.
    OldCoding,
    /// 2.3: a length and a coding.
    TwoFramings,
    /// 4.3: an expectation other than `100-continue`.
    Expectation,
    /// 6.1: no space behind the status.
    NoReason,
    /// The `Connection` lines are together longer than a kibibyte.
    LongConnection,
}

impl Fault {
    /// What a request may be refused with because of it.
    pub fn statuses(self) -> &'static [u16] {
        match self {
            Fault::LineEnd
            | Fault::EmptyLines
            | Fault::FirstLine
            | Fault::Target
            | Fault::TargetNotUtf8
            | Fault::Field
            | Fault::Host
            | Fault::Length
            | Fault::OldCoding
            | Fault::TwoFramings
            | Fault::NoReason => &[400],
            Fault::Version => &[505],
            Fault::NoVersion => &[400, 505],
            Fault::Method => &[405, 501],
            Fault::LongFirstLine => &[414],
            Fault::TooLarge => &[400, 431],
            Fault::Coding => &[400, 501],
            Fault::Expectation => &[417],
            Fault::LongConnection => &[431],
        }
    }
}

/// Whether one of these faults explains the status.
pub fn explain(faults: &[Fault], status: u16) -> bool {
    faults.iter().any(|fault| fault.statuses().contains(&status))
}

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// One line, without its end, in bytes.
    pub line: usize,
    /// All lines with their ends, in bytes.
    pub total: usize,
    /// The number of fields.
    pub fields: usize,
}

impl Limits {
    /// Any size at all.
    pub const NONE: Limits = Limits { line: usize::MAX, total: usize::MAX, fields: usize::MAX };
}

/// The versions that are spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Old,
    /// HTTP/1.1.
    Current,
}

impl Version {
    /// Reads `HTTP/1.0` or `HTTP/1.1`.
    pub fn read(text: &[u8]) -> Result<Version, Fault> {
        match text {
            b"HTTP/1.0" => Ok(Version::Old),
            b"HTTP/1.1" => Ok(Version::Current),
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Fault::Version),
            _ => Err(Fault::NoVersion),
        }
    }
}
