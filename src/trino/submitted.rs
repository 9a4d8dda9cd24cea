//! The id of a query in the answer to its statement.
//!
//! Up to 476 this is where a coordinator's own id shows first. The answer begins with the id, so that
//! its first bytes are enough.

use super::json::{JsonReader, JsonToken, NoToken};
use super::query_id::QueryId;

/// What the bytes of an answer to `POST /v1/statement` say so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// The query has this id.
    Id(QueryId),
    /// The id has not come yet: read again with more bytes. An answer that ends here has none.
    More,
    /// There is no id in the first [`WINDOW`] bytes, or this is no answer of Trino's.
    No,
}

impl Submitted {
    /// Reads an answer from its first byte on; all that follow the first [`WINDOW`] are ignored.
    pub fn read(body: &[u8]) -> Submitted {
        let (mut json, mut rest) = (JsonReader::default(), &body[..body.len().min(WINDOW)]);
        let mut is_id = false;
        loop {
            let token = match json.next(&mut rest) {
                Ok(token) => token,
                Err(NoToken::Unfinished) if body.len() < WINDOW => return Submitted::More,
                Err(NoToken::Unfinished | NoToken::Broken) => return Submitted::No,
            };
            match token {
                JsonToken::String(text) if is_id => {
                    let id = text.decode(&mut [0; WINDOW]).and_then(QueryId::parse);
                    return id.map_or(Submitted::No, Submitted::Id);
                }
                JsonToken::Key(name) => is_id = json.depth() == 1 && name.is("id"),
                _ if is_id => return Submitted::No,
                JsonToken::End => return Submitted::No,
                JsonToken::Object
                | JsonToken::Array
                | JsonToken::Close
                | JsonToken::String(_)
                | JsonToken::Number
                | JsonToken::Bool(_)
                | JsonToken::Null => {}
            }
        }
    }
}

/// The path of the `nextUri` in an answer to `POST /v1/statement`, without its query: `None` if it is
/// not in these bytes.
pub fn next_path(body: &[u8]) -> Option<Box<[u8]>> {
    let (mut json, mut rest) = (JsonReader::default(), body);
    let mut is_next = false;
    loop {
        match json.next(&mut rest).ok()? {
            JsonToken::String(text) if is_next => {
                let mut decoded = [0; WINDOW];
                let uri = text.decode(&mut decoded)?;
                return path(uri).map(Box::from);
            }
            JsonToken::Key(name) => is_next = json.depth() == 1 && name.is("nextUri"),
            JsonToken::End => return None,
            JsonToken::Object
            | JsonToken::Array
            | JsonToken::Close
            | JsonToken::String(_)
            | JsonToken::Number
            | JsonToken::Bool(_)
            | JsonToken::Null => is_next = false,
        }
    }
}

/// The path of an absolute URI, without its query.
fn path(uri: &[u8]) -> Option<&[u8]> {
    let authority = memchr::memmem::find(uri, b"://")? + b"://".len();
    let path = &uri[authority + memchr::memchr(b'/', &uri[authority..])?..];
    Some(&path[..memchr::memchr(b'?', path).unwrap_or(path.len())])
}

/// Bytes of an answer that are read: the id is the first member, and of fixed length; a few URIs
/// follow.
pub const WINDOW: usize = 2 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// What the first bytes say; read byte by byte, and what is decided stays so.
    fn read(body: &str) -> String {
        let body = body.as_bytes();
        let mut decided = Submitted::More;
        for end in 0..=body.len() {
            let now = Submitted::read(&body[..end]);
            assert!(decided == Submitted::More || now == decided, "{end}: {now:?}");
            decided = now;
        }
        format!("{decided:?}")
    }

    const ID: &str = "20211202_151305_00000_3cki7";

    #[test]
    fn the_id_is_found_however_the_answer_is_split() {
        for body in [
            r#"{"id":"ID","infoUri":"http://a/ui/query.html?ID","nextUri":"http://a/v1/statement/queued/ID/x/1","stats":{"state":"QUEUED"},"warnings":[]}"#,
            r#" { "id" : "ID" "#,
            r#"{"\u0069d":"ID"}"#,
            r#"{"a":[{"id":"x"}],"id":"ID"}"#,
            r#"{"id":"ID"broken"#,
        ] {
            assert_eq!(read(&body.replace("ID", ID)), format!("Id({ID})"), "{body}");
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
            assert_eq!(read(&body.replace("ID", ID)), "No", "{body}");
        }
    }

    #[test]
    fn the_id_has_to_be_in_the_window() {
        let padded = |end: usize| {
            let behind = format!("\"id\":\"{ID}\"");
            format!("{{{}{behind},\"a\":1}}", " ".repeat(end - behind.len() - 1))
        };
        assert_eq!(read(&padded(WINDOW)), format!("Id({ID})"));
        assert_eq!(read(&padded(WINDOW + 1)), "No");
        assert_eq!(read(&format!("{{\"{}", "a".repeat(WINDOW - 3))), "More");
        assert_eq!(read(&format!("{{\"{}", "a".repeat(WINDOW))), "No");
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
            let found = next_path(body.as_bytes());
            let found = found.map(|path| String::from_utf8_lossy(&path).into_owned());
            assert_eq!(found.as_deref(), expected, "{body}");
        }
    }
}
