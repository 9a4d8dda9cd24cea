//! What Trino, its workers and its clients write is read as a JSON library and a slow reading of SQL
//! read it, and an answer that comes in pieces as one that comes whole.
//!
//! The first byte of the input says what the rest is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use miniz_oxide::deflate::compress_to_vec;
use switchover::trino::announcement::{Announced, announced_uri};
use switchover::trino::answer_body::AnswerBody;
use switchover::trino::info::{self, Info};
use switchover::trino::json::DEPTH;
use switchover::trino::query_id::{CoordinatorId, QueryId};
use switchover::trino::request::{Purpose, is_trinos};
use switchover::trino::rows::{AnswerScan, Carries, QueryError, QueryState, URI};
use switchover::trino::sql;
use switchover::trino::statement::Repeat;
use switchover_fuzz::feed::cuts;
use switchover_fuzz::oracle::statement::may_write;
use switchover_fuzz::oracle::trino::{Json, NUMBER, is_coordinator, is_query_id, killed, number};

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    match kind {
        b'i' => check_info(rest),
        b'a' => check_announcement(rest),
        b's' => check_submitted(rest),
        b'k' => check_killed(rest),
        b'q' => check_id(rest),
        b'r' => check_request(rest),
        b't' => check_statement(rest),
        b'w' => check_rows(rest),
        b'z' => check_gzip(rest),
        _ => {}
    }
});

/// An object that is within the proxy's bounds. Texts that the library reads in its own way are left
/// out.
fn object(text: &[u8]) -> Option<Json> {
    let json = Json::read(text).filter(Json::is_object)?;
    (json.depth() <= DEPTH as usize).then_some(json)
}

/// Whether the library could take an object of the text for a number.
fn is_special(text: &[u8]) -> bool {
    text.windows(NUMBER.len()).any(|part| part == NUMBER.as_bytes())
}

fn check_info(body: &[u8]) {
    let found = Info::read(body);
    if body.len() > info::BODY {
        assert_eq!(found, None);
        return;
    }
    if is_special(body) {
        return;
    }
    let Some(json) = object(body) else { return assert_eq!(found, None) };
    let versions: Vec<&Json> =
        json.all("nodeVersion").into_iter().flat_map(|it| it.all("version")).collect();
    let is_double =
        ["starting", "coordinator", "coordinatorId", "uptime", "nodeVersion", "environment"]
            .iter()
            .any(|name| json.all(name).len() > 1)
            || versions.len() > 1;
    let boolean = |name| match json.all(name)[..] {
        [Json::Bool(value)] => Some(*value),
        _ => None,
    };
    let coordinator =
        if json.all("coordinator").is_empty() { Some(true) } else { boolean("coordinator") };
    let (Some(starting), Some(coordinator), false) = (boolean("starting"), coordinator, is_double)
    else {
        return assert_eq!(found, None);
    };
    let found = found.expect("it says all that it must");
    assert_eq!((found.starting, found.coordinator), (starting, coordinator));
    let text = |name| json.all(name).first().and_then(|it| it.text()).map(str::to_owned);
    let short = |text: Option<String>| text.filter(|text| text.len() <= 64);
    let id = found.coordinator_id.map(|id| id.to_string());
    assert_eq!(id, text("coordinatorId").filter(|text| is_coordinator(text)));
    let kept = |text: Option<info::ShortText>| text.map(|text| text.as_str().to_owned());
    assert_eq!(kept(found.environment), short(text("environment")));
    let version = versions.first().and_then(|it| it.text()).map(str::to_owned);
    assert_eq!(kept(found.version), short(version));
    if found.uptime.is_some() {
        assert!(text("uptime").is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit())));
    }
}

fn check_announcement(body: &[u8]) {
    let _ = announced_uri(body);
    let found = Announced::read(body);
    if is_special(body) {
        return;
    }
    let Some(json) = object(body) else { return assert_eq!(found, Announced::Unreadable) };
    let services = json.all("services").into_iter().flat_map(Json::items);
    let properties = services.flat_map(|service| service.all("properties"));
    let says_so = |it: &Json| match it {
        Json::Bool(value) => *value,
        Json::Text(text) => text.eq_ignore_ascii_case("true"),
        Json::Object(_) | Json::Array(_) | Json::Other => false,
    };
    let is_coordinator = properties.flat_map(|it| it.all("coordinator")).any(says_so);
    let expected = if is_coordinator { Announced::Coordinator } else { Announced::Worker };
    assert_eq!(found, expected);
}

/// The answer to a statement says what a JSON library finds in it, whole and in any two parts; what is
/// known once remains so.
fn check_submitted(body: &[u8]) {
    let said = |scan: &AnswerScan| (scan.id(), scan.next_path().map(<[u8]>::to_vec));
    let mut whole = AnswerScan::default();
    whole.feed(body);
    let (id, next) = said(&whole);
    for cut in cuts(body.len()) {
        let mut split = AnswerScan::default();
        split.feed(&body[..cut]);
        let before = said(&split);
        assert!(before.0.is_none() || before.0 == id, "{cut}");
        assert!(before.1.is_none() || before.1 == next, "{cut}");
        split.feed(&body[cut..]);
        assert_eq!(said(&split), (id, next.clone()), "{cut}");
    }
    let Some(json) = Json::read(body).filter(|it| it.is_object() && !is_special(body)) else {
        return;
    };
    if carries(&json) == Carries::Unknown || is_double(&json) {
        return;
    }
    let text = |name| json.all(name).first().and_then(|it| it.text()).map(str::to_owned);
    assert_eq!(id.map(|id| id.to_string()), text("id").filter(|text| is_query_id(text)));
    let is_uri = |uri: &String| uri.len() <= URI && uri.bytes().all(|it| it.is_ascii_graphic());
    let uri = text("nextUri").filter(is_uri).unwrap_or_default();
    let path = uri.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    let path = path.map(|(_, path)| format!("/{}", path.split('?').next().unwrap_or_default()));
    assert_eq!(next.as_deref(), path.as_ref().map(String::as_bytes));
}

fn check_killed(statement: &[u8]) {
    let Ok(statement) = std::str::from_utf8(statement) else {
        let _ = sql::killed(statement);
        return;
    };
    let found = sql::killed(statement.as_bytes()).map(|id| id.to_string());
    assert_eq!(found, killed(statement));
}

fn check_id(text: &[u8]) {
    let (query, coordinator) = (QueryId::parse(text), CoordinatorId::parse(text));
    let text = String::from_utf8_lossy(text);
    assert_eq!(
        (query.is_some(), coordinator.is_some()),
        (is_query_id(&text), is_coordinator(&text))
    );
    if let Some(id) = query {
        assert_eq!(id.to_string(), text);
        assert_eq!(QueryId::parse(id.as_bytes()), Some(id));
        assert_eq!(id.coordinator().to_string(), text[22..]);
    }
}

/// A request names a query only if the id stands in it, between delimiters.
fn check_request(line: &[u8]) {
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    let (path, query) = (parts.next().unwrap_or_default(), parts.next());
    let purpose = Purpose::of(method, path, query);
    if let Some(id) = purpose.query() {
        let names_it = |part: &[u8]| part == id.as_bytes();
        let place = target.split(|byte| b"/?&.".contains(byte)).position(names_it);
        assert!(place.is_some(), "{purpose:?}");
    }
    match purpose {
        Purpose::Statement
        | Purpose::Poll(_)
        | Purpose::Heartbeat(_)
        | Purpose::Cancel(_)
        | Purpose::CancelStage(_)
        | Purpose::Announcement { .. }
        | Purpose::Withdrawal { .. }
        | Purpose::UriAnnouncement => assert!(is_trinos(path), "{purpose:?}"),
        Purpose::Query(_) | Purpose::Other => {}
    }
    if path.windows(2).any(|two| two == b"//") || path.contains(&b'%') {
        assert_eq!((purpose, is_trinos(path)), (Purpose::Other, false));
    }
}

/// Nothing that could change something may run twice. Bytes above ASCII stand for whole words, so that a
/// change of a byte makes another statement; a NUL begins the next field of prepared statements.
fn check_statement(input: &[u8]) {
    let mut text = Vec::new();
    for byte in input {
        match VOCABULARY.get(usize::from(*byte).wrapping_sub(0x80)) {
            Some(word) => text.extend_from_slice(word),
            None => text.push(*byte),
        }
    }
    let mut parts = text.split(|byte| *byte == 0);
    let statement = parts.next().unwrap_or_default();
    let fields: Vec<&[u8]> = parts.collect();
    let repeat = Repeat::of(statement, fields.iter().copied());
    if repeat == Repeat::Twice {
        assert!(!may_write(statement, &fields), "{}", String::from_utf8_lossy(&text));
    }
}

/// All that an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    carries: Carries,
    is_whole: bool,
    has_columns: bool,
    next_uri: Option<Vec<u8>>,
    state: Option<QueryState>,
    error: Option<QueryError>,
    has_update_type: bool,
}

impl Said {
    fn of(scan: &AnswerScan) -> Said {
        Said {
            carries: scan.carries(),
            is_whole: scan.is_whole(),
            has_columns: scan.columns().is_some(),
            next_uri: scan.next_uri().map(<[u8]>::to_vec),
            state: scan.state(),
            error: scan.error(),
            has_update_type: scan.has_update_type(),
        }
    }
}

fn fed<'a>(mut body: AnswerBody, parts: impl IntoIterator<Item = &'a [u8]>) -> AnswerBody {
    for part in parts {
        let before = body.scan().carries();
        let now = body.feed(part);
        let is_final = matches!(before, Carries::Rows | Carries::Unknown);
        assert!(!is_final || now == before, "{before:?} became {now:?}");
    }
    body
}

/// An answer says the same whole, in parts and gzipped, and what a JSON library finds in it.
fn check_rows(text: &[u8]) {
    let whole = fed(AnswerBody::plain(), [text]);
    let (said, columns) = (Said::of(whole.scan()), whole.scan().columns());
    let assert_same = |body: AnswerBody| {
        assert_eq!((Said::of(body.scan()), body.scan().columns()), (said.clone(), columns));
    };
    assert_same(fed(AnswerBody::plain(), text.chunks(1)));
    // Byte by byte is every split at once; of splits in two, some.
    for cut in cuts(text.len()).skip(text.len() % 16).step_by(16) {
        assert_same(fed(AnswerBody::plain(), [&text[..cut], &text[cut..]]));
    }
    let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &compress_to_vec(text, 1)].concat();
    assert_same(fed(AnswerBody::gzip(), [&gzip[..]]));
    assert_same(fed(AnswerBody::gzip(), gzip.chunks(7)));
    if is_special(text) {
        return;
    }
    let Some(json) = Json::read(text).filter(Json::is_object) else { return };
    match carries(&json) {
        Carries::Rows if is_double(&json) => {
            assert_eq!((said.carries, said.is_whole), (Carries::Rows, false));
        }
        carries @ (Carries::Rows | Carries::NoRows) => {
            assert_eq!(said, said_whole(carries, &json, text));
        }
        carries @ (Carries::Unknown | Carries::Undecided) => assert_eq!(said.carries, carries),
    }
}

/// What a whole answer says.
fn said_whole(carries: Carries, json: &Json, text: &[u8]) -> Said {
    let of = |outer| json.all(outer).first().copied();
    let inner = |outer, inner| of(outer).and_then(|it| it.all(inner).first().copied());
    let is_uri = |uri: &&str| {
        (1..=URI).contains(&uri.len()) && uri.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let uri = of("nextUri").and_then(Json::text).filter(is_uri);
    let message = inner("error", "message").and_then(Json::text).unwrap_or_default();
    let is_empty = message.contains("nodes is empty");
    let error = of("error").map(|_| match (number(text, ["error", "errorCode"]), is_empty) {
        (Some(65_548), _) => QueryError::StartingUp,
        (Some(65_541), _) => QueryError::NoNodes,
        (Some(65_536), true) => QueryError::NodesEmpty,
        _ => QueryError::Other,
    });
    Said {
        carries,
        is_whole: true,
        has_columns: of("columns").is_some(),
        next_uri: uri.map(|uri| uri.as_bytes().to_vec()),
        state: inner("stats", "state").and_then(Json::text).map(state),
        error,
        has_update_type: of("updateType").is_some(),
    }
}

/// Members that are read, and those of members.
const NAMES: [&str; 7] = ["id", "nextUri", "columns", "data", "stats", "error", "updateType"];
const INNER: [(&str, &str); 3] =
    [("stats", "state"), ("error", "message"), ("error", "errorCode")];

/// Whether a member that is read is there twice.
fn is_double(json: &Json) -> bool {
    let is_twice = |(outer, inner): &(&str, &str)| {
        json.all(outer).into_iter().any(|value| value.all(inner).len() > 1)
    };
    NAMES.iter().any(|name| json.all(name).len() > 1) || INNER.iter().any(is_twice)
}

/// What the members say, in their order.
fn carries(json: &Json) -> Carries {
    let mut seen = Vec::new();
    for (name, value) in json.members() {
        let is_twice = |(outer, inner)| outer == name && value.all(inner).len() > 1;
        if name == "data" {
            return Carries::Rows;
        } else if seen.contains(&name) || INNER.into_iter().any(is_twice) {
            return Carries::Unknown;
        } else if NAMES.contains(&name.as_str()) {
            seen.push(name);
        }
    }
    let has_stats = seen.iter().any(|name| *name == "stats");
    if has_stats { Carries::NoRows } else { Carries::Unknown }
}

fn state(text: &str) -> QueryState {
    match text {
        "QUEUED" => QueryState::Queued,
        "FINISHED" => QueryState::Finished,
        "FAILED" => QueryState::Failed,
        _ => QueryState::Running,
    }
}

/// A gzipped body of any bytes is read in parts as it is whole: as one that carries rows, or not.
fn check_gzip(body: &[u8]) {
    let may_carry = |body: AnswerBody| {
        let scan = body.scan();
        match scan.carries() {
            Carries::Rows | Carries::Unknown => None,
            Carries::Undecided | Carries::NoRows => Some((Said::of(scan), scan.columns())),
        }
    };
    let whole = may_carry(fed(AnswerBody::gzip(), [body]));
    assert_eq!(may_carry(fed(AnswerBody::gzip(), body.chunks(1))), whole);
    let (front, back) = body.split_at(body.len() / 2);
    assert_eq!(may_carry(fed(AnswerBody::gzip(), [front, back])), whole);
}

/// What statements consist of.
const VOCABULARY: [&[u8]; 78] = [
    b"SELECT ",
    b"VALUES ",
    b"TABLE ",
    b"WITH ",
    b"(",
    b")",
    b"SHOW ",
    b"DESCRIBE ",
    b"DESC ",
    b"EXPLAIN ",
    b"ANALYZE ",
    b"VERBOSE ",
    b"(TYPE IO) ",
    b"EXECUTE ",
    b"IMMEDIATE ",
    b"USING ",
    b"INSERT ",
    b"INTO ",
    b"DELETE ",
    b"FROM ",
    b"UPDATE ",
    b"SET ",
    b"MERGE ",
    b"CALL ",
    b"CREATE ",
    b"DROP ",
    b"ALTER ",
    b"TRUNCATE ",
    b"GRANT ",
    b"COMMIT ",
    b"RECURSIVE ",
    b"AS ",
    b"FUNCTION ",
    b"SESSION ",
    b"RETURN ",
    b"BEGIN ",
    b"END ",
    b"LOOP ",
    b"query",
    b"raw_query",
    b"procedure",
    b"\"query\"",
    b"`query`",
    b"\"QUERY\"",
    b"system.",
    b"'",
    b"''",
    b"\"",
    b"`",
    b"--",
    b"/*",
    b"*/",
    b"\n",
    b"\r",
    b";",
    b",",
    b":",
    b"$$",
    b"$",
    b"{-",
    b"-}",
    b"=>",
    b"=",
    b"+",
    b"%20",
    b"%27",
    b"%2C",
    b"%",
    b"a",
    b"b",
    b"A",
    b"1",
    b"\xc3\xa4",
    b"\xff",
    b"\xc2\xa0",
    b"select ",
    b"U&'",
    b"$zstd:",
];
