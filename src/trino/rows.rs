//! What an answer to a statement or a poll says: whether it carries rows, and how the query does.
//!
//! Trino writes `data` before `stats`, and only where there are rows. The body may come in parts of any
//! size, of which nothing is kept but `nextUri`. Whatever is not clearly an answer without rows has to
//! be taken for one with rows. A member that is read here and stands there twice makes it unknown. What
//! stands around rows is read too: it may say that they are the last.

use std::hash::{DefaultHasher, Hasher};

use super::json_pieces::{JsonPiece, JsonPieces};
use super::query_id::QueryId;

/// Reads an answer from its first byte on.
#[derive(Clone, Debug, Default)]
pub struct AnswerScan {
    json: JsonPieces,
    /// How many bytes were read.
    length: usize,
    carries: Carries,
    behind: Behind,
    /// The member of the outermost object whose value is being read.
    outer: Option<Member>,
    /// The member of that value whose value is being read.
    inner: Option<Member>,
    reading: Reading,
    /// A bit for each member that there was.
    seen: u16,
    /// The last name, or the state.
    word: Word<12>,
    id: Word<ID>,
    columns: ColumnsHasher,
    next_uri: Vec<u8>,
    state: Option<QueryState>,
    error: ErrorReader,
}

/// What is known of an answer's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carries {
    /// Neither `data` nor `stats` has come: feed more. An answer that ends here is unknown.
    #[default]
    Undecided,
    /// It carries rows, or is too long to say. Feeding the rest tells how the query does.
    Rows,
    /// It carries no rows. Feeding the rest tells how the query does, and turns this into one of the
    /// other two if the rest is not as it should be.
    NoRows,
    /// It is no answer of Trino's, or a broken one. Nothing more is read.
    Unknown,
}

/// What stands around rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Behind {
    /// It is as it should be so far.
    #[default]
    Sound,
    /// It is not. Nothing more is read.
    Broken,
}

/// The state of a query, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryState {
    /// `QUEUED`.
    Queued,
    /// Any state between the others.
    Running,
    /// `FINISHED`.
    Finished,
    /// `FAILED`.
    Failed,
}

/// The error of a query, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// `SERVER_STARTING_UP`: the query never began.
    StartingUp,
    /// `NO_NODES_AVAILABLE`.
    NoNodes,
    /// `GENERIC_INTERNAL_ERROR` with `nodes is empty`: no nodes are available, up to 476.
    NodesEmpty,
    /// Any other.
    Other,
}

/// A digest of the columns of an answer, to the byte. Two answers have the same columns if theirs are
/// equal: by chance it is wrong once in 2^64 times, and coordinators have no reason to forge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    hash: u64,
    length: u32,
}

impl AnswerScan {
    /// Reads on, and says what is known now.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Carries {
        bytes = &bytes[..bytes.len().min(LIMIT - self.length)];
        while !self.is_done() && !bytes.is_empty() {
            let before = bytes;
            let piece = self.json.next(&mut bytes);
            let used = &before[..before.len() - bytes.len()];
            self.length += used.len();
            if self.outer == Some(Member::Columns) {
                self.columns.add(used);
            }
            match piece {
                Ok(Some(piece)) => self.take(piece),
                Ok(None) => {}
                Err(_) => self.fail(),
            }
        }
        if self.length == LIMIT && self.carries == Carries::Undecided {
            self.carries = Carries::Rows;
        }
        self.carries
    }

    /// Gives up: what would follow cannot be read.
    pub fn give_up(&mut self) -> Carries {
        self.fail();
        self.carries
    }

    /// The answer is not as it should be. One with rows remains so.
    fn fail(&mut self) {
        match self.carries {
            Carries::Rows => self.behind = Behind::Broken,
            Carries::Undecided | Carries::NoRows | Carries::Unknown => {
                self.carries = Carries::Unknown;
            }
        }
    }

    /// What is known of its rows.
    pub fn carries(&self) -> Carries {
        self.carries
    }

    /// Whether nothing more is read.
    pub fn is_done(&self) -> bool {
        let is_broken = self.carries == Carries::Unknown || self.behind == Behind::Broken;
        is_broken || self.length == LIMIT
    }

    /// Whether all of the answer was read. Until then any of the following may be missing.
    pub fn is_whole(&self) -> bool {
        self.json.is_whole() && self.behind == Behind::Sound
    }

    /// The id of the query, which comes first.
    pub fn id(&self) -> Option<QueryId> {
        let is_read = self.outer != Some(Member::Id);
        self.id.text().filter(|_| is_read).and_then(QueryId::parse)
    }

    /// Its columns, once they are read.
    pub fn columns(&self) -> Option<Columns> {
        let is_read = self.has(Member::Columns) && self.outer != Some(Member::Columns);
        is_read.then(|| self.columns.finish())
    }

    /// Where to ask again, if it is a text of at most [`URI`] bytes, all of which may stand in a URI.
    pub fn next_uri(&self) -> Option<&[u8]> {
        let is_read = !self.next_uri.is_empty() && self.outer != Some(Member::NextUri);
        let is_uri = self.next_uri.len() <= URI && self.next_uri.iter().all(u8::is_ascii_graphic);
        (is_read && is_uri).then_some(&self.next_uri)
    }

    /// The path of that, without its query, if it is an absolute URI.
    pub fn next_path(&self) -> Option<&[u8]> {
        path(self.next_uri()?)
    }

    /// The state of the query.
    pub fn state(&self) -> Option<QueryState> {
        self.state
    }

    /// Why it failed.
    pub fn error(&self) -> Option<QueryError> {
        self.has(Member::Error).then(|| self.error.finish())
    }

    /// Whether the statement changes something.
    pub fn has_update_type(&self) -> bool {
        self.has(Member::UpdateType)
    }

    fn has(&self, member: Member) -> bool {
        self.seen & member.bit() != 0
    }

    fn take(&mut self, piece: JsonPiece<'_>) {
        match piece {
            JsonPiece::KeyBegins => {
                self.word = Word::default();
                self.reading = Reading::Word;
            }
            JsonPiece::KeyEnds => self.begin_member(),
            JsonPiece::StringBegins => self.begin_string(),
            JsonPiece::Text(text) => self.add(text),
            JsonPiece::Char(c) => self.add(c.encode_utf8(&mut [0; 4]).as_bytes()),
            JsonPiece::Atom(text) if self.is_at(Member::ErrorCode) => self.error.add_code(text),
            JsonPiece::StringEnds => {
                if self.is_at(Member::State) {
                    self.state = Some(self.word.state());
                }
                self.end_value();
            }
            JsonPiece::Close if self.json.is_whole() => {
                if self.carries == Carries::Undecided {
                    self.fail();
                }
            }
            JsonPiece::Close => self.end_value(),
            JsonPiece::Open if self.is_in_data() => self.json.skip(),
            JsonPiece::Open | JsonPiece::Atom(_) => {}
        }
    }

    /// Whether rows have just begun.
    fn is_in_data(&self) -> bool {
        self.outer == Some(Member::Data) && self.json.depth() == 2
    }

    /// Whether the value of this member is being read, and not what is within it.
    fn is_at(&self, member: Member) -> bool {
        match self.json.depth() {
            1 => self.outer == Some(member),
            2 => self.inner == Some(member),
            _ => false,
        }
    }

    /// A name has been read, its value follows.
    fn begin_member(&mut self) {
        self.reading = Reading::Nothing;
        let member = match (self.json.depth(), self.outer) {
            (1, _) => {
                self.outer = self.word.member(&OUTER);
                self.inner = None;
                self.outer
            }
            (2, Some(Member::Stats)) => {
                self.inner = self.word.member(&OF_STATS);
                self.inner
            }
            (2, Some(Member::Error)) => {
                self.inner = self.word.member(&OF_ERROR);
                self.inner
            }
            (_, _) => None,
        };
        let Some(member) = member else { return };
        match (member, self.carries) {
            _ if self.has(member) => {
                // What it said before stands.
                self.outer = None;
                self.fail();
            }
            (Member::Data, _) => self.carries = Carries::Rows,
            (Member::Stats, Carries::Undecided) => self.carries = Carries::NoRows,
            (_, _) => {}
        }
        self.seen |= member.bit();
    }

    fn begin_string(&mut self) {
        self.reading = if self.is_at(Member::NextUri) {
            Reading::NextUri
        } else if self.is_at(Member::Id) {
            Reading::Id
        } else if self.is_at(Member::State) {
            self.word = Word::default();
            Reading::Word
        } else if self.is_at(Member::Message) {
            Reading::Message
        } else {
            Reading::Nothing
        };
    }

    /// Adds a part of the string that is being read.
    fn add(&mut self, text: &[u8]) {
        match self.reading {
            Reading::Nothing => {}
            Reading::Word => self.word.add(text),
            Reading::Id => self.id.add(text),
            // One byte more says that it is too long.
            Reading::NextUri => {
                let room = URI + 1 - self.next_uri.len();
                self.next_uri.extend_from_slice(&text[..text.len().min(room)]);
            }
            Reading::Message => self.error.add_message(text),
        }
    }

    /// A string, an object or an array has ended.
    fn end_value(&mut self) {
        self.reading = Reading::Nothing;
        match self.json.depth() {
            1 => self.outer = None,
            2 => self.inner = None,
            _ => {}
        }
    }
}

/// The path of an absolute URI, without its query.
fn path(uri: &[u8]) -> Option<&[u8]> {
    let authority = memchr::memmem::find(uri, b"://")? + b"://".len();
    let path = &uri[authority + memchr::memchr(b'/', &uri[authority..])?..];
    Some(&path[..memchr::memchr(b'?', path).unwrap_or(path.len())])
}

/// What the string that is being read is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    /// Nothing.
    #[default]
    Nothing,
    /// A name, or the state.
    Word,
    Id,
    NextUri,
    Message,
}

/// The members that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Id,
    NextUri,
    Columns,
    Data,
    Stats,
    /// Of `stats`.
    State,
    Error,
    /// Of `error`.
    Message,
    /// Of `error`.
    ErrorCode,
    UpdateType,
}

impl Member {
    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A short text, complete unless it is longer than this has room.
#[derive(Clone, Copy, Debug)]
struct Word<const ROOM: usize> {
    bytes: [u8; ROOM],
    /// Of the text, if it has room.
    length: u8,
}

impl<const ROOM: usize> Default for Word<ROOM> {
    fn default() -> Word<ROOM> {
        Word { bytes: [0; ROOM], length: 0 }
    }
}

impl<const ROOM: usize> Word<ROOM> {
    fn add(&mut self, text: &[u8]) {
        let (begin, end) = (usize::from(self.length), usize::from(self.length) + text.len());
        if let Some(room) = self.bytes.get_mut(begin..end) {
            room.copy_from_slice(text);
        }
        self.length = u8::try_from(end).unwrap_or(u8::MAX);
    }

    fn text(&self) -> Option<&[u8]> {
        self.bytes.get(..usize::from(self.length))
    }

    fn is(&self, text: &str) -> bool {
        self.text() == Some(text.as_bytes())
    }

    fn member(&self, known: &[(&str, Member)]) -> Option<Member> {
        known.iter().find(|(name, _)| self.is(name)).map(|(_, member)| *member)
    }

    fn state(&self) -> QueryState {
        if self.is("QUEUED") {
            QueryState::Queued
        } else if self.is("FINISHED") {
            QueryState::Finished
        } else if self.is("FAILED") {
            QueryState::Failed
        } else {
            QueryState::Running
        }
    }
}

/// Takes the digest of columns. SipHash, from std: it is compared within one process only, and does not
/// depend on how a text is split.
#[derive(Clone, Debug, Default)]
struct ColumnsHasher {
    hasher: DefaultHasher,
    length: u32,
}

impl ColumnsHasher {
    fn add(&mut self, bytes: &[u8]) {
        self.hasher.write(bytes);
        self.length += u32::try_from(bytes.len()).expect("within the limit");
    }

    fn finish(&self) -> Columns {
        Columns { hash: self.hasher.finish(), length: self.length }
    }
}

/// Reads an error.
#[derive(Clone, Copy, Debug, Default)]
struct ErrorReader {
    code: u32,
    /// How much of [`NODES_EMPTY`] the message ends with, or all of it once it was there.
    matched: u8,
}

impl ErrorReader {
    fn add_code(&mut self, text: &[u8]) {
        for &byte in text {
            // What is no number of 32 bits is none of the known ones.
            let digit = char::from(byte).to_digit(10);
            let more = digit.and_then(|it| self.code.checked_mul(10)?.checked_add(it));
            self.code = more.unwrap_or(u32::MAX);
        }
    }

    fn add_message(&mut self, text: &[u8]) {
        for &byte in text {
            // The first letter stands nowhere else in it: what does not go on can only begin anew.
            self.matched = match NODES_EMPTY.get(usize::from(self.matched)) {
                None => return,
                Some(next) if *next == byte => self.matched + 1,
                Some(_) => u8::from(byte == NODES_EMPTY[0]),
            };
        }
    }

    fn finish(&self) -> QueryError {
        match self.code {
            65_548 => QueryError::StartingUp,
            65_541 => QueryError::NoNodes,
            65_536 if usize::from(self.matched) == NODES_EMPTY.len() => QueryError::NodesEmpty,
            _ => QueryError::Other,
        }
    }
}

const OUTER: [(&str, Member); 7] = [
    ("id", Member::Id),
    ("nextUri", Member::NextUri),
    ("columns", Member::Columns),
    ("data", Member::Data),
    ("stats", Member::Stats),
    ("error", Member::Error),
    ("updateType", Member::UpdateType),
];
const OF_STATS: [(&str, Member); 1] = [("state", Member::State)];
const OF_ERROR: [(&str, Member); 2] =
    [("message", Member::Message), ("errorCode", Member::ErrorCode)];

/// In the message of a coordinator that is not in its own list of nodes.
const NODES_EMPTY: &[u8] = b"nodes is empty";

/// Bytes of the id of a query.
const ID: usize = "20211202_151305_00000_3cki7".len();
/// Bytes of an answer that are read. Only columns may be long before `data` and `stats`.
pub const LIMIT: usize = 2 << 20;
/// Bytes of `nextUri` that are kept: Trino's have some 150, and the address that the client used.
pub const URI: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn scan<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> AnswerScan {
        let mut scan = AnswerScan::default();
        for part in parts {
            let before = scan.carries();
            let now = scan.feed(part);
            assert_eq!(now, scan.carries());
            let is_final = matches!(before, Carries::Rows | Carries::Unknown);
            assert!(!is_final || now == before, "{before:?} became {now:?}");
        }
        scan
    }

    /// All that an answer says: the same whole, in two parts of all sizes, and byte by byte.
    fn read(text: &str) -> AnswerScan {
        let text = text.as_bytes();
        let whole = scan([text]);
        for cut in 0..=text.len() {
            assert_same(&scan([&text[..cut], &text[cut..]]), &whole);
        }
        assert_same(&scan(text.chunks(1)), &whole);
        whole
    }

    fn assert_same(one: &AnswerScan, other: &AnswerScan) {
        assert_eq!((said(one), rest_said(one)), (said(other), rest_said(other)));
        assert_eq!((one.columns(), one.id()), (other.columns(), other.id()));
    }

    /// In short: rows, whole, state, error, `nextUri`, `updateType`.
    fn said(scan: &AnswerScan) -> String {
        if scan.carries() == Carries::Rows {
            let next = scan.next_uri().map(|uri| format!(" {}", String::from_utf8_lossy(uri)));
            return format!("Rows{}", next.unwrap_or_default());
        }
        format!("{:?}{}", scan.carries(), rest_said(scan))
    }

    /// The same, but for the rows.
    fn rest_said(scan: &AnswerScan) -> String {
        let mut said = String::new();
        if scan.is_whole() {
            said += " whole";
        }
        if let Some(state) = scan.state() {
            said += &format!(" {state:?}");
        }
        if let Some(error) = scan.error() {
            said += &format!(" {error:?}");
        }
        if scan.has(Member::NextUri) {
            let uri = scan.next_uri().unwrap_or(b"?");
            said += &format!(" {}", String::from_utf8_lossy(uri));
        }
        if scan.has_update_type() {
            said += " updates";
        }
        said
    }

    #[test]
    fn an_answer_carries_rows_if_data_comes_before_stats() {
        for (text, expected) in [
            ("", "Undecided"),
            ("{", "Undecided"),
            (r#"{"id":"a","columns":[{"name":"data"}],"#, "Undecided"),
            (
                r#"{"id":"a","nextUri":"b","columns":[],"data":[[1]],"stats":{"state":"RUNNING"}}"#,
                { "Rows b" },
            ),
            (r#"{"data":{"encoding":"json+zstd","segments":[]}"#, "Rows"),
            (r#"{"\u0064ata":[[1]]}"#, "Rows"),
            (r#"{"\u0064\u0061\u0074\u0061" :"#, "Rows"),
            (r#"{"data":null,"stats":{}}"#, "Rows"),
            (r#"{"data""#, "Rows"),
            (r#"{"data":broken"#, "Rows"),
            (r#"{"stats":{},"data":[[1]]}"#, "Rows"),
            (r#"{"stats":{}}"#, "NoRows whole"),
            (r#"{"stats":"#, "NoRows"),
            (r#"{"\u0073tats":{}}"#, "NoRows whole"),
            (r#"{"id":"data","stats":{"data":1}}"#, "NoRows whole"),
            (r#"{"a":{"data":1},"b":[{"data":[]}],"stats":{}}"#, "NoRows whole"),
            (r#"{"a":"\",\"data\":\"","stats":{}}"#, "NoRows whole"),
            (r#"{"a":"\\","data":1}"#, "Rows"),
            (r#"{"a":"\\\",\"data\":1","stats":{}}"#, "NoRows whole"),
            (r#"{"dat":1,"dataa":2,"Data":3,"data\u0000":4,"":5,"stats":{}}"#, "NoRows whole"),
            (r#"{"updateCountData":1,"a very long name of a member":2,"stats":{}}"#, {
                "NoRows whole"
            }),
        ] {
            assert_eq!(said(&read(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_unknown() {
        for text in [
            "<html>",
            "[]",
            "[{\"data\":1}]",
            "null",
            "Service Unavailable",
            "{}",
            r#"{"id":"a"}"#,
            r#"{"id":"a"}{"data":1}"#,
            r#"{"id":"a",}"#,
            r#"{"id":"a""data":1}"#,
            r#"{"stats":{}"data":1}"#,
            r#"{"stats":{}}x"#,
            r#"{"stats":{}]"#,
            r#"{"a":[}],"stats":{}}"#,
            r#"{"stats":{},"stats":{}}"#,
            r#"{"stats":{"state":"FAILED","state":"FINISHED"}}"#,
            r#"{"stats":{},"error":{"errorCode":1,"errorCode":65548}}"#,
            r#"{"nextUri":"a","nextUri":"b","stats":{}}"#,
            r#"{"columns":[],"columns":[],"stats":{}}"#,
            "\u{1f}\u{8b}",
        ] {
            assert_eq!(read(text).carries(), Carries::Unknown, "{text}");
        }
    }

    #[test]
    fn the_rest_of_an_answer_says_how_the_query_does() {
        for (text, expected) in [
            (r#"{"id":"a","nextUri":"http://a/1","stats":{"state":"QUEUED","queued":true}}"#, {
                "NoRows whole Queued http://a/1"
            }),
            (
                r#"{"stats":{"queued":false,"state":"FINISHED"},"warnings":[],"updateType":"INSERT"}"#,
                { "NoRows whole Finished updates" },
            ),
            (r#"{"stats":{"state":"WAITING_FOR_RESOURCES"}}"#, "NoRows whole Running"),
            (r#"{"stats":{"state":"FINISHING"}}"#, "NoRows whole Running"),
            (r#"{"stats":{"state":"FINISHED"#, "NoRows"),
            (r#"{"stats":{"state":"FINISHED","#, "NoRows Finished"),
            (r#"{"stats":{"state":{"state":"FINISHED"}}}"#, "NoRows whole"),
            (r#"{"stats":{"rootStage":{"state":"FINISHED"}}}"#, "NoRows whole"),
            (r#"{"stats":{"rootStage":{"subStages":[{"state":"FINISHED"}]},"state":"FAILED"}}"#, {
                "NoRows whole Failed"
            }),
            (r#"{"stats":[{"state":"FINISHED"}],"a":{"state":"FINISHED"}}"#, "NoRows whole"),
            (r#"{"stats":{"state":["FINISHED"]}}"#, "NoRows whole"),
            (r#"{"stats":{"state":null}}"#, "NoRows whole"),
            (r#"{"stats":{"st\u0061te":"FINI\u0053HED"}}"#, "NoRows whole Finished"),
            (r#"{"stats":{},"updateType":null}"#, "NoRows whole updates"),
            (r#"{"stats":{},"a":{"updateType":"b"}}"#, "NoRows whole"),
            (r#"{"nextUri":"a b","stats":{}}"#, "NoRows whole ?"),
            (r#"{"nextUri":"a\n","stats":{}}"#, "NoRows whole ?"),
            (r#"{"nextUri":"ä","stats":{}}"#, "NoRows whole ?"),
            (r#"{"nextUri":["a"],"stats":{}}"#, "NoRows whole ?"),
            (r#"{"nextUri":"http:\/\/a\u002f1","stats":{}}"#, "NoRows whole http://a/1"),
            (r#"{"a":{"nextUri":"b"},"stats":{}}"#, "NoRows whole"),
        ] {
            assert_eq!(said(&read(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_stands_around_rows_says_whether_they_are_the_last() {
        for (text, expected) in [
            (r#"{"nextUri":"a","data":[[1,"]}"],[{"b":"\\"}]],"stats":{"state":"FINISHED"}}"#, {
                " whole Finished a"
            }),
            (
                r#"{"data":[["\\",{"stats":{"state":"FAILED"}},"\\\\",null]],"stats":{"state":"FINISHED"},"nextUri":"a"}"#,
                { " whole Finished a" },
            ),
            (r#"{"data":{"segments":[{"uri":"b"}]},"stats":{"state":"RUNNING"},"nextUri":"a"}"#, {
                " whole Running a"
            }),
            (r#"{"stats":{"state":"FINISHED"},"nextUri":"a","data":[[1]]}"#, " whole Finished a"),
            (r#"{"data":[[1]],"stats":{"state":"FINISHED"},"updateType":"A"}"#, {
                " whole Finished updates"
            }),
            (r#"{"data":[[1]],"stats":{"state":"FAILED"},"error":{"errorCode":1}}"#, {
                " whole Failed Other"
            }),
            (r#"{"data":[[1]],"stats":{"rootStage":{"state":"FINISHED"}}}"#, " whole"),
            (r#"{"data":[["stats"]],"a":{"state":"FINISHED"}}"#, " whole"),
            (r#"{"nextUri":"a","data":[[1]],"stats":{"state":"FINISHED"}"#, " Finished a"),
            (r#"{"nextUri":"a","data":[[1]],"stats":{"state":"FINISHED"}}x"#, " Finished a"),
            (r#"{"nextUri":"a","data":[[1]},"stats":{"state":"FINISHED"}}"#, " a"),
            (r#"{"nextUri":"a","data":[[1]],"data":[],"stats":{"state":"FINISHED"}}"#, " a"),
            (r#"{"data":[],"stats":{"state":"FINISHED"},"stats":{"state":"RUNNING"}}"#, {
                " Finished"
            }),
            (r#"{"data":[[1}],"stats":{"state":"FINISHED"}}"#, " whole Finished"),
            (r#"{"data":1 2,"stats":{"state":"FINISHED"}}"#, ""),
        ] {
            let scan = read(text);
            assert_eq!(scan.carries(), Carries::Rows, "{text}");
            assert_eq!(rest_said(&scan), expected, "{text}");
        }
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            let text = format!("{{\"data\":{open}{close},\"stats\":{{\"state\":\"FINISHED\"}}}}");
            rest_said(&scan([text.as_bytes()]))
        };
        assert_eq!(nested(500), " whole Finished");
        assert_eq!(nested(5000), " whole Finished");
    }

    const QUERY: &str = "20211202_151305_00000_3cki7";

    #[test]
    fn the_id_is_found_however_the_answer_is_split() {
        for body in [
            r#"{"id":"ID","infoUri":"http://a/ui/query.html?ID","nextUri":"http://a/v1/statement/queued/ID/x/1","stats":{"state":"QUEUED"},"warnings":[]}"#,
            r#" { "id" : "ID" "#,
            r#"{"\u0069d":"ID"}"#,
            r#"{"a":[{"id":"x"}],"id":"ID"}"#,
            r#"{"id":"ID"broken"#,
        ] {
            let id = read(&body.replace("ID", QUERY)).id().map(|id| id.to_string());
            assert_eq!(id.as_deref(), Some(QUERY), "{body}");
        }
    }

    #[test]
    fn an_answer_without_an_id_is_noticed() {
        for body in [
            "Service Unavailable",
            "<html>",
            "{}",
            "[]",
            r#"{"a":{"id":"ID"}}"#,
            r#"{"id":["ID"]}"#,
            r#"{"id":{"id":"ID"}}"#,
            r#"{"id":null,"id":"ID"}"#,
            r#"{"id":"query"}"#,
            r#"{"id":"ID2"}"#,
            r#"{id:"ID"}"#,
        ] {
            assert_eq!(read(&body.replace("ID", QUERY)).id(), None, "{body}");
        }
    }

    #[test]
    fn the_path_of_the_next_poll_is_read() {
        for (body, expected) in [
            (
                r#"{"id":"ID","nextUri":"http://a:8080/v1/statement/queued/x/1"}"#,
                Some("/v1/statement/queued/x/1"),
            ),
            (r#"{"nextUri":"https:\/\/a\/v1?b=c""#, Some("/v1")),
            (r#"{"a":{"nextUri":"http://a/b"}}"#, None),
            (r#"{"nextUri":"/b"}"#, None),
            (r#"{"nextUri":"http://a"}"#, None),
            (r#"{"nextUri":1}"#, None),
            (r#"{"nextUri":"http://a/b"#, None),
        ] {
            let scan = read(body);
            let found = scan.next_path().map(String::from_utf8_lossy);
            assert_eq!(found.as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn an_error_is_known_by_its_code_and_message() {
        for (error, expected) in [
            (r#""message":"a","errorCode":65548,"errorName":"b""#, "StartingUp"),
            (r#""errorCode":65541"#, "NoNodes"),
            (r#""errorCode": 65541 , "message":"a""#, "NoNodes"),
            (r#""message":"nodes is empty","errorCode":65536"#, "NodesEmpty"),
            (r#""errorCode":65536,"message":"no nonodes is em, nodes i\u0073 empty""#, {
                "NodesEmpty"
            }),
            (r#""message":"nodes is emp","errorCode":65536"#, "Other"),
            (r#""message":"nodes is empty","errorCode":1"#, "Other"),
            (r#""failureInfo":{"message":"nodes is empty"},"errorCode":65536"#, "Other"),
            (r#""message":["nodes is empty"],"errorCode":65536"#, "Other"),
            (r#""message":"nodes is ","a":"empty","errorCode":65536"#, "Other"),
            (r#""errorCode":"65548""#, "Other"),
            (r#""errorCode":[65548]"#, "Other"),
            (r#""errorCode":165548"#, "Other"),
            (r#""errorCode":-65548"#, "Other"),
            (r#""errorCode":65548.0"#, "Other"),
            (r#""errorCode":4295032844"#, "Other"),
            (r#""errorCode":null,"a":65548"#, "Other"),
            (r#""a":{"errorCode":65548}"#, "Other"),
            ("", "Other"),
        ] {
            let text = format!("{{\"stats\":{{\"state\":\"FAILED\"}},\"error\":{{{error}}}}}");
            assert_eq!(said(&read(&text)), format!("NoRows whole Failed {expected}"), "{text}");
        }
        assert_eq!(said(&read(r#"{"stats":{},"error":null}"#)), "NoRows whole Other");
    }

    #[test]
    fn columns_are_compared_to_the_byte() {
        let columns = |columns: &str| read(columns).columns();
        let one = columns(r#"{"id":"a","columns":[{"name":"b","type":"c"}],"data":[[1]]}"#);
        assert!(one.is_some());
        for same in [
            r#"{"id":"d","columns":[{"name":"b","type":"c"}],"stats":{}}"#,
            r#"{"columns":[{"name":"b","type":"c"}] , "data":"#,
            r#"{"a":{"columns":[1]},"columns":[{"name":"b","type":"c"}]"#,
        ] {
            assert_eq!(columns(same), one, "{same}");
        }
        for other in [
            r#"{"columns":[{"name":"b","type":"d"}],"data":[[1]]}"#,
            r#"{"columns":[{"name":"b","type":"c"},{"name":"b"}],"data":[[1]]}"#,
            r#"{"columns":[],"data":[[1]]}"#,
        ] {
            let other = columns(other);
            assert!(other.is_some() && other != one);
        }
        for none in [
            r#"{"data":[[1]]}"#,
            r#"{"columns":[{"name":"b","type":"c"}"#,
            r#"{"a":{"columns":[{"name":"b","type":"c"}]},"stats":{}}"#,
        ] {
            assert_eq!(columns(none), None, "{none}");
        }
    }

    #[test]
    fn nothing_is_read_beyond_the_limit() {
        let columns = format!("{{\"columns\":[\"{}", "a".repeat(LIMIT));
        let mut scan = AnswerScan::default();
        assert_eq!(scan.feed(&columns.as_bytes()[..LIMIT - 1]), Carries::Undecided);
        assert_eq!(scan.feed(b"aaa"), Carries::Rows);
        let stats = format!("{{\"stats\":{{\"state\":\"FAILED\",\"a\":\"{}", "a".repeat(LIMIT));
        let mut scan = AnswerScan::default();
        assert_eq!(scan.feed(stats.as_bytes()), Carries::NoRows);
        assert!(scan.is_done() && !scan.is_whole());
        assert_eq!(scan.feed(b"\"},\"data\":[[1]]}"), Carries::NoRows);
        assert_eq!(scan.state(), Some(QueryState::Failed));
    }

    #[test]
    fn what_is_kept_is_small() {
        let uri =
            |length: usize| format!("{{\"nextUri\":\"{}\",\"stats\":{{}}}}", "a".repeat(length));
        let scan_of = |text: &str| scan([text.as_bytes()]);
        assert_eq!(scan_of(&uri(URI)).next_uri().map(<[u8]>::len), Some(URI));
        let longer = scan_of(&uri(LIMIT / 2));
        assert!(longer.has(Member::NextUri) && longer.next_uri().is_none());
        assert!(longer.next_uri.capacity() <= 2 * URI);
        assert!(size_of::<AnswerScan>() <= 256, "{}", size_of::<AnswerScan>());
    }

    #[test]
    fn a_long_string_that_drips_in_is_read_once() {
        let text = format!("{{\"columns\":[\"{}\"],\"stats\":{{}}}}", "\\u0061".repeat(300_000));
        let dripped = scan(text.as_bytes().chunks(1));
        assert_eq!(said(&dripped), "NoRows whole");
        assert_same(&dripped, &scan([text.as_bytes()]));
    }
}
