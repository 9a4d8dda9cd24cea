//! How a worker announces itself over HTTP/1.1.
//!
//! A coordinator announces itself in the same way; that must not reach another coordinator, which
//! would take it for a worker.

use super::json::{JsonReader, JsonString, JsonToken};

/// What a body of `PUT /v1/announcement/{node}` announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// A node that does not say that it is a coordinator.
    Worker,
    /// A node with a service whose property `coordinator` is `true`.
    Coordinator,
    /// Longer than [`BODY`], or not a whole JSON object: it may be either.
    Unreadable,
}

impl Announced {
    /// Reads `{environment, nodeId, pool, location, services: [{id, type, properties}]}`.
    pub fn read(body: &[u8]) -> Announced {
        if body.len() > BODY {
            return Announced::Unreadable;
        }
        let (mut json, mut rest, mut path) = (JsonReader::default(), body, Path::default());
        let mut announced = Announced::Worker;
        loop {
            match json.next(&mut rest) {
                Ok(JsonToken::End) => return announced,
                Ok(token) if path.says_coordinator(token, json.depth()) => {
                    announced = Announced::Coordinator;
                }
                Ok(_) => {}
                Err(_) => return Announced::Unreadable,
            }
        }
    }
}

/// Where a reader is on the way to the properties of a service.
#[derive(Debug, Default)]
struct Path {
    /// How many of the open containers lead there: the announcement, `services`, one of them, its
    /// `properties`.
    followed: u32,
    key: Key,
}

/// What the next value is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    /// An item of an array, or a member that leads nowhere.
    #[default]
    Other,
    Services,
    Properties,
    Coordinator,
}

impl Path {
    /// Follows a token, behind which so many containers are open. Whether it says that the node is a
    /// coordinator.
    fn says_coordinator(&mut self, token: JsonToken<'_>, depth: u32) -> bool {
        let key = std::mem::take(&mut self.key);
        let is_here = key == Key::Coordinator && depth == PROPERTIES && self.followed == depth;
        match token {
            JsonToken::Key(name) => {
                self.key = Key::of(name);
                false
            }
            JsonToken::Object | JsonToken::Array => {
                let leads = matches!(
                    (depth, key, token),
                    (1, _, _)
                        | (2, Key::Services, JsonToken::Array)
                        | (3, Key::Other, JsonToken::Object)
                        | (PROPERTIES, Key::Properties, JsonToken::Object)
                );
                if leads && self.followed + 1 == depth {
                    self.followed = depth;
                }
                false
            }
            JsonToken::Close => {
                self.followed = self.followed.min(depth);
                false
            }
            JsonToken::String(text) => is_here && is_true(text),
            JsonToken::Bool(value) => is_here && value,
            JsonToken::Number | JsonToken::Null | JsonToken::End => false,
        }
    }
}

impl Key {
    fn of(name: JsonString<'_>) -> Key {
        let known = [
            ("services", Key::Services),
            ("properties", Key::Properties),
            ("coordinator", Key::Coordinator),
        ];
        let found = known.into_iter().find(|(known, _)| name.is(known));
        found.map_or(Key::Other, |(_, key)| key)
    }
}

/// As Java reads a Boolean: in any case.
fn is_true(text: JsonString<'_>) -> bool {
    let decoded = text.decode(&mut [0; 4]).map(|text| text.eq_ignore_ascii_case(b"true"));
    decoded == Some(true)
}

/// The worker's URI in a body of `POST /v1/announce`, by which the announcement is kept. `None` if it
/// is not one, or longer than [`URI`].
pub fn announced_uri(body: &[u8]) -> Option<&[u8]> {
    let uri = body.trim_ascii();
    let is_uri = !uri.is_empty() && uri.iter().all(u8::is_ascii_graphic);
    (is_uri && uri.len() <= URI).then_some(uri)
}

/// Bytes of a body: a worker with hundreds of catalogs has some tens of kilobytes.
pub const BODY: usize = 1 << 20;
/// Bytes of a worker's URI.
pub const URI: usize = 1 << 10;
/// Containers that are open where the properties of a service stand.
const PROPERTIES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn body(services: &str) -> String {
        format!(
            r#"{{"environment":"test","nodeId":"n-1","pool":"general","location":"/n-1","services":{services}}}"#
        )
    }

    #[test]
    fn a_node_says_in_a_property_whether_it_is_a_coordinator() {
        use Announced::{Coordinator, Worker};
        for (services, expected) in [
            ("[]", Worker),
            (r#"[{"id":"1","type":"trino","properties":{"coordinator":"false"}}]"#, Worker),
            (r#"[{"id":"1","type":"trino","properties":{"coordinator":"true"}}]"#, Coordinator),
            (r#"[{"properties":{"a":"b","coordinator":"TRUE","c":"d"},"id":"1"}]"#, Coordinator),
            (r#"[{"properties":{"coordinator":true}}]"#, Coordinator),
            (r#"[{"properties":{"coordinat\u006fr":"tru\u0065"}}]"#, Coordinator),
            (r#"[{"properties":{}},{"properties":{"coordinator":"true"}}]"#, Coordinator),
            (
                r#"[{"properties":{"coordinator":"true"}},{"properties":{"coordinator":"false"}}]"#,
                { Coordinator },
            ),
            (r#"[{"properties":{"coordinator":"true","coordinator":"false"}}]"#, Coordinator),
            (r#"[[],1,{"properties":{"coordinator":"true"}}]"#, Coordinator),
            (r#"[{"properties":{"coordinator":"yes"}}]"#, Worker),
            (r#"[{"properties":{"coordinator":null}}]"#, Worker),
            (r#"[{"properties":{"coordinator":["true"]}}]"#, Worker),
            (r#"[{"properties":{"a":{"coordinator":"true"}}}]"#, Worker),
            (r#"[{"properties":{"a":{}},"coordinator":"true"}]"#, Worker),
            (r#"[{"properties":[{"coordinator":"true"}]}]"#, Worker),
            (r#"[{"coordinator":"true"}]"#, Worker),
            (r#"[[{"properties":{"coordinator":"true"}}]]"#, Worker),
            (r#"{"properties":{"coordinator":"true"}}"#, Worker),
            (r#"[],"a":[{"properties":{"coordinator":"true"}}]"#, Worker),
        ] {
            assert_eq!(Announced::read(body(services).as_bytes()), expected, "{services}");
        }
        assert_eq!(Announced::read(b"{}"), Worker);
    }

    #[test]
    fn a_body_that_is_not_whole_is_unreadable() {
        let whole = body(r#"[{"properties":{"coordinator":"true"}}]"#);
        for end in 0..whole.len() {
            assert_eq!(Announced::read(&whole.as_bytes()[..end]), Announced::Unreadable, "{end}");
        }
        for text in ["[]", "a", "{} {}", "{\"a\":}"] {
            assert_eq!(Announced::read(text.as_bytes()), Announced::Unreadable, "{text}");
        }
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(16), "]".repeat(16));
        assert_eq!(Announced::read(deep.as_bytes()), Announced::Unreadable);
        let padded = |length: usize| whole.clone() + &" ".repeat(length - whole.len());
        assert_eq!(Announced::read(padded(BODY).as_bytes()), Announced::Coordinator);
        assert_eq!(Announced::read(padded(BODY + 1).as_bytes()), Announced::Unreadable);
    }

    #[test]
    fn a_uri_is_kept_without_the_blanks_around_it() {
        for body in ["http://10.0.0.1:8080", " http://10.0.0.1:8080\r\n"] {
            assert_eq!(announced_uri(body.as_bytes()), Some(&b"http://10.0.0.1:8080"[..]));
        }
        for body in ["", " ", "http://a\nhttp://b", "http://a b", "http://\u{e4}", "a\0b"] {
            assert_eq!(announced_uri(body.as_bytes()), None, "{body}");
        }
        assert!(announced_uri(&[b'a'; URI]).is_some());
        assert_eq!(announced_uri(&[b'a'; URI + 1]), None);
    }
}
