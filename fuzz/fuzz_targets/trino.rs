//! What Trino, its workers and its clients write is read as a JSON library and a slow reading of SQL
//! read it, and an answer that comes in pieces as one that comes whole.
//!
//! The first byte of the input says what the rest is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchover::trino::announcement::{Announced, announced_uri};
use switchover::trino::info::{self, Info};
use switchover::trino::json::DEPTH;
use switchover::trino::query_id::{CoordinatorId, QueryId};
use switchover::trino::request::{Purpose, is_trinos};
use switchover::trino::sql;
use switchover::trino::submitted::{Submitted, WINDOW};
use switchover_fuzz::oracle::trino::{Json, NUMBER, is_coordinator, is_query_id, killed};

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    match kind {
        b'i' => check_info(rest),
        b'a' => check_announcement(rest),
        b's' => check_submitted(rest),
        b'k' => check_killed(rest),
        b'q' => check_id(rest),
        b'r' => check_request(rest),
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

fn check_submitted(body: &[u8]) {
    let whole = Submitted::read(body);
    let mut decided = Submitted::More;
    for end in 0..=body.len().min(2 * WINDOW) {
        let now = Submitted::read(&body[..end]);
        assert!(decided == Submitted::More || now == decided, "{end}: {decided:?}, {now:?}");
        decided = now;
    }
    assert_eq!(decided, whole);
    if body.len() >= WINDOW || is_special(body) {
        return;
    }
    let Some(json) = object(body) else { return };
    let id = json.all("id").first().and_then(|it| it.text()).filter(|text| is_query_id(text));
    let expected = id.map_or(Submitted::No, |id| {
        Submitted::Id(QueryId::parse(id.as_bytes()).expect("it is an id"))
    });
    assert_eq!(whole, expected);
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
