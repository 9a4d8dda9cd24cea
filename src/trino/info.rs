//! What a coordinator says of itself: `GET /v1/info`, 364 to 483.
//!
//! `{"nodeVersion":{"version":"435"},"environment":"test","coordinator":true,"starting":false,
//! "uptime":"1.00m"}`; from 477 on with `nodeId`, `state` and `coordinatorId`. Anything that does
//! not say whether it is starting is no such answer.

use std::fmt;
use std::time::Duration;

use super::json::{JsonReader, JsonString, JsonToken, digits};
use super::query_id::CoordinatorId;
use crate::time::Time;

/// What `/v1/info` says. What is missing, or has a form that is not known, is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Whether statements fail because the server still starts.
    pub starting: bool,
    /// Whether the server is a coordinator. `false`: it is a worker, which takes no statements.
    pub coordinator: bool,
    /// What the ids of its queries end with; from 477 on.
    pub coordinator_id: Option<CoordinatorId>,
    /// The longest time that the process may have run when it answered. So it began no earlier than
    /// this long before it was *asked*; counting from the answer's arrival could be too late.
    pub uptime: Option<Duration>,
    /// Trino's version, if it is short.
    pub version: Option<ShortText>,
    /// The name of the environment, which workers have to share, if it is short.
    pub environment: Option<ShortText>,
}

impl Info {
    /// Reads the body of an answer. `None` if it is not a whole JSON object of at most [`BODY`]
    /// bytes, says twice what is read here, or does not say whether the server is starting.
    pub fn read(body: &[u8]) -> Option<Info> {
        if body.len() > BODY {
            return None;
        }
        let (mut json, mut rest, mut draft) = (JsonReader::default(), body, Draft::default());
        loop {
            let token = json.next(&mut rest).ok()?;
            if token == JsonToken::End {
                return draft.finish();
            }
            draft.add(token, json.depth())?;
        }
    }

    /// The earliest moment at which the process may have begun, if it was asked at `asked`.
    pub fn began(&self, asked: Time) -> Option<Time> {
        let uptime = u64::try_from(self.uptime?.as_nanos()).unwrap_or(u64::MAX);
        Some(Time::from_nanos(asked.as_nanos().saturating_sub(uptime)))
    }
}

/// What was read so far.
#[derive(Debug, Default)]
struct Draft {
    /// What the next value is of.
    member: Member,
    /// Whether the members that are read are those of `nodeVersion`.
    in_version: bool,
    /// A bit for each member that there was.
    seen: u8,
    starting: Option<bool>,
    coordinator: Option<bool>,
    coordinator_id: Option<CoordinatorId>,
    uptime: Option<Duration>,
    version: Option<ShortText>,
    environment: Option<ShortText>,
}

/// The members that are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Member {
    /// Any other, or none.
    #[default]
    Other,
    Starting,
    Coordinator,
    CoordinatorId,
    Uptime,
    NodeVersion,
    Version,
    Environment,
}

impl Member {
    fn of(name: JsonString<'_>, depth: u32, in_version: bool) -> Member {
        let known: &[(&str, Member)] = match depth {
            1 => &MEMBERS,
            2 if in_version => &[("version", Member::Version)],
            _ => &[],
        };
        let found = known.iter().find(|(known, _)| name.is(known));
        found.map_or(Member::Other, |(_, member)| *member)
    }

    fn bit(self) -> u8 {
        match self {
            Member::Other => 0,
            Member::Starting => 1,
            Member::Coordinator => 1 << 1,
            Member::CoordinatorId => 1 << 2,
            Member::Uptime => 1 << 3,
            Member::NodeVersion => 1 << 4,
            Member::Version => 1 << 5,
            Member::Environment => 1 << 6,
        }
    }
}

impl Draft {
    /// Adds a token, behind which so many objects and arrays are open. `None` if a member is there
    /// twice.
    fn add(&mut self, token: JsonToken<'_>, depth: u32) -> Option<()> {
        let member = std::mem::take(&mut self.member);
        match token {
            JsonToken::Key(name) => {
                self.member = Member::of(name, depth, self.in_version);
                if self.seen & self.member.bit() != 0 {
                    return None;
                }
                self.seen |= self.member.bit();
            }
            JsonToken::Object if depth == 2 => self.in_version = member == Member::NodeVersion,
            JsonToken::Close if depth == 1 => self.in_version = false,
            JsonToken::Bool(value) => self.add_bool(member, value),
            JsonToken::String(text) => self.add_text(member, text),
            JsonToken::Object
            | JsonToken::Array
            | JsonToken::Close
            | JsonToken::Number
            | JsonToken::Null
            | JsonToken::End => {}
        }
        Some(())
    }

    fn add_bool(&mut self, member: Member, value: bool) {
        match member {
            Member::Starting => self.starting = Some(value),
            Member::Coordinator => self.coordinator = Some(value),
            Member::Other
            | Member::CoordinatorId
            | Member::Uptime
            | Member::NodeVersion
            | Member::Version
            | Member::Environment => {}
        }
    }

    fn add_text(&mut self, member: Member, text: JsonString<'_>) {
        match member {
            Member::CoordinatorId => {
                self.coordinator_id = text.decode(&mut [0; TEXT]).and_then(CoordinatorId::parse);
            }
            Member::Uptime => self.uptime = text.decode(&mut [0; TEXT]).and_then(longest),
            Member::Version => self.version = ShortText::of(text),
            Member::Environment => self.environment = ShortText::of(text),
            Member::Other | Member::Starting | Member::Coordinator | Member::NodeVersion => {}
        }
    }

    /// A server that does not say whether it is a coordinator is one: workers do say so.
    fn finish(self) -> Option<Info> {
        let says_what_it_is = self.seen & Member::Coordinator.bit() != 0;
        Some(Info {
            starting: self.starting?,
            coordinator: if says_what_it_is { self.coordinator? } else { true },
            coordinator_id: self.coordinator_id,
            uptime: self.uptime,
            version: self.version,
            environment: self.environment,
        })
    }
}

/// The longest duration that airlift writes so: two decimals of the largest unit that fits, rounded.
fn longest(text: &[u8]) -> Option<Duration> {
    let (integer, rest) = digits(text);
    let (fraction, unit) = match rest {
        [b'.', rest @ ..] => digits(rest),
        [..] => (&b""[..], rest),
    };
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let lacks_digits = integer.is_empty() || (fraction.is_empty() && rest.len() > unit.len());
    if lacks_digits || integer.len() + fraction.len() > DIGITS {
        return None;
    }
    let digits = integer.iter().chain(fraction);
    let value = digits.fold(0u128, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    let parts = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    // Half of the last digit more; nanoseconds that begin count.
    let longest = ((2 * value + 1) * nanos).div_ceil(2 * parts);
    let seconds = u64::try_from(longest / NANOS).ok()?;
    Some(Duration::new(seconds, u32::try_from(longest % NANOS).ok()?))
}

/// A text of at most 64 bytes, kept in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShortText {
    /// Zero behind the text.
    bytes: [u8; TEXT],
    length: u8,
}

impl ShortText {
    /// `None` if the text is longer.
    fn of(text: JsonString<'_>) -> Option<ShortText> {
        let mut bytes = [0; TEXT];
        let length = u8::try_from(text.decode(&mut bytes)?.len()).ok()?;
        // What did not belong to the text was not written.
        Some(ShortText { bytes, length })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("it was a string")
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The members of the answer that are read.
const MEMBERS: [(&str, Member); 6] = [
    ("starting", Member::Starting),
    ("coordinator", Member::Coordinator),
    ("coordinatorId", Member::CoordinatorId),
    ("uptime", Member::Uptime),
    ("nodeVersion", Member::NodeVersion),
    ("environment", Member::Environment),
];

/// airlift's units, in nanoseconds.
const UNITS: [(&[u8], u128); 7] = [
    (b"ns", 1),
    (b"us", 1_000),
    (b"ms", 1_000_000),
    (b"s", NANOS),
    (b"m", 60 * NANOS),
    (b"h", 3_600 * NANOS),
    (b"d", 86_400 * NANOS),
];

const NANOS: u128 = 1_000_000_000;
/// Digits of a duration: as many days still fit into 128 bits.
const DIGITS: usize = 18;
/// Bytes of a text that is kept or understood: a version has some twenty.
const TEXT: usize = 64;
/// Bytes of a body: Trino's have some two hundred.
pub const BODY: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read, in short.
    fn read(body: &str) -> Option<String> {
        let info = Info::read(body.as_bytes())?;
        let starting = if info.starting { "starting" } else { "ready" };
        let role = if info.coordinator { "coordinator" } else { "worker" };
        let id = info.coordinator_id.map(|id| format!(" {id}")).unwrap_or_default();
        let version = info.version.map(|text| format!(" {}", text.as_str())).unwrap_or_default();
        let of = info.environment.map(|text| format!(" {}", text.as_str())).unwrap_or_default();
        let up = info.uptime.map(|uptime| format!(" {uptime:?}")).unwrap_or_default();
        Some(format!("{starting} {role}{id}{version}{of}{up}"))
    }

    const OLD: &str = r#"{"nodeVersion":{"version":"435"},"environment":"test","coordinator":true,"starting":false,"uptime":"59.32s"}"#;
    const NEW: &str = r#"{"nodeId":"a","state":"ACTIVE","nodeVersion":{"version":"478"},"environment":"test","coordinator":true,"coordinatorId":"3cki7","starting":true,"uptime":"1.00m"}"#;

    #[test]
    fn all_versions_are_understood() {
        for (body, expected) in [
            (OLD, "ready coordinator 435 test 59.325s"),
            (NEW, "starting coordinator 3cki7 478 test 60.3s"),
            (r#"{"starting":false,"coordinator":false}"#, "ready worker"),
            (r#" { "starting" : true } "#, "starting coordinator"),
            (r#"{"starting":false,"coordinatorId":null,"uptime":null}"#, "ready coordinator"),
            (r#"{"starting":false,"coordinatorId":"UPPER","uptime":"soon"}"#, "ready coordinator"),
            (r#"{"starting":false,"coordinatorId":7,"uptime":[1]}"#, "ready coordinator"),
            (r#"{"st\u0061rting":false,"coordinatorId":"3cki\u0037"}"#, "ready coordinator 3cki7"),
            (r#"{"starting":false,"environment":"\u00e4\"/"}"#, "ready coordinator \u{e4}\"/"),
            (r#"{"starting":false,"a":{"starting":true,"version":"1"}}"#, "ready coordinator"),
            (r#"{"starting":false,"nodeVersion":"435"}"#, "ready coordinator"),
            (r#"{"starting":false,"nodeVersion":[{"version":"435"}]}"#, "ready coordinator"),
            (r#"{"starting":false,"nodeVersion":{"a":{"version":"1"},"version":"2"}}"#, {
                "ready coordinator 2"
            }),
            (r#"{"starting":false,"nodeVersion":{},"version":"435"}"#, "ready coordinator"),
            (r#"{"starting":false,"a":1,"a":2}"#, "ready coordinator"),
        ] {
            assert_eq!(read(body).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn anything_else_is_no_such_answer() {
        for body in [
            "",
            "{}",
            "ACTIVE",
            "<html>",
            "[]",
            r#"{"starting":"false"}"#,
            r#"{"starting":null}"#,
            r#"{"starting":[false]}"#,
            r#"{"starting":{"starting":false}}"#,
            r#"{"starting":false,"coordinator":"true"}"#,
            r#"{"starting":false,"coordinator":null}"#,
            r#"{"starting":false,"starting":false}"#,
            r#"{"starting":false,"st\u0061rting":true}"#,
            r#"{"starting":false,"uptime":"1.00s","uptime":"1.00s"}"#,
            r#"{"starting":false,"nodeVersion":{"version":"1","version":"1"}}"#,
            r#"{"starting":false,}"#,
            r#"{"starting":false}{}"#,
            r#"{"a":{"starting":false}}"#,
        ] {
            assert_eq!(read(body), None, "{body}");
        }
        for body in [OLD, NEW] {
            for end in 0..body.len() {
                assert_eq!(read(&body[..end]), None, "{end}");
            }
        }
    }

    #[test]
    fn a_body_has_a_limit() {
        let padded = |length: usize| format!("{OLD}{}", " ".repeat(length - OLD.len()));
        assert!(read(&padded(BODY)).is_some());
        assert_eq!(read(&padded(BODY + 1)), None);
    }

    #[test]
    fn a_long_text_is_not_kept() {
        let environment = |length: usize| {
            let body = format!(r#"{{"starting":false,"environment":"{}"}}"#, "e".repeat(length));
            Info::read(body.as_bytes()).unwrap().environment
        };
        assert_eq!(environment(TEXT).map(|text| text.as_str().len()), Some(TEXT));
        assert_eq!(environment(TEXT + 1), None);
    }

    #[test]
    fn a_rounded_duration_is_the_longest_that_is_written_so() {
        for (text, nanos) in [
            ("59.32s", 59_325_000_000),
            ("1.00m", 60_300_000_000),
            ("2.5h", 9_180_000_000_000),
            ("3.00d", 259_632_000_000_000),
            ("12.00ms", 12_005_000),
            ("5us", 5_500),
            ("9ns", 10),
            ("0.00ns", 1),
            ("1.999999s", 1_999_999_500),
        ] {
            let expected = Some(Duration::from_nanos(nanos));
            assert_eq!(longest(text.as_bytes()), expected, "{text}");
        }
        assert!(longest(b"999999999999999999d").is_none());
        assert!(longest(b"9999999999999999.99s").is_some());
        for text in [
            "",
            "s",
            "1",
            "1.s",
            ".5s",
            "1.0",
            "1.0.0s",
            "-1s",
            "+1s",
            "1 s",
            "1.00S",
            "1e3s",
            "1,00s",
            "1.00min",
            "1.00ss",
            "9999999999999999999s",
        ] {
            assert_eq!(longest(text.as_bytes()), None, "{text}");
        }
    }
}
