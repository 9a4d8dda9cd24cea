//! A second reading of what Trino and its clients write, with a JSON library and without hurry.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON text with all members in order, also those that stand twice.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// An object.
    Object(Vec<(String, Json)>),
    /// An array.
    Array(Vec<Json>),
    /// A string.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// A number or `null`.
    Other,
}

impl Json {
    /// Reads a whole text.
    pub fn read(text: &[u8]) -> Option<Json> {
        serde_json::from_slice(text).ok()
    }

    /// How deep its containers are nested.
    pub fn depth(&self) -> usize {
        match self {
            Json::Object(members) => {
                1 + members.iter().map(|(_, it)| it.depth()).max().unwrap_or(0)
            }
            Json::Array(items) => 1 + items.iter().map(Json::depth).max().unwrap_or(0),
            Json::Text(_) | Json::Bool(_) | Json::Other => 0,
        }
    }

    /// The members of an object.
    pub fn members(&self) -> &[(String, Json)] {
        match self {
            Json::Object(members) => members,
            Json::Array(_) | Json::Text(_) | Json::Bool(_) | Json::Other => &[],
        }
    }

    /// The values of all members of that name.
    pub fn all(&self, name: &str) -> Vec<&Json> {
        self.members().iter().filter(|(key, _)| key == name).map(|(_, it)| it).collect()
    }

    /// The items of an array.
    pub fn items(&self) -> &[Json] {
        match self {
            Json::Array(items) => items,
            Json::Object(_) | Json::Text(_) | Json::Bool(_) | Json::Other => &[],
        }
    }

    /// A string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            Json::Object(_) | Json::Array(_) | Json::Bool(_) | Json::Other => None,
        }
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        matches!(self, Json::Object(_))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(Builder)
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Json::Array(all))
    }

    /// With its numbers of any size the library hands over a number as an object of this name.
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut all: Vec<(String, Json)> = Vec::new();
        while let Some(member) = members.next_entry()? {
            all.push(member);
        }
        let is_number = matches!(&all[..], [(name, _)] if name == NUMBER);
        Ok(if is_number { Json::Other } else { Json::Object(all) })
    }
}

/// The number at a path of names, if it is one of 64 bits without a sign.
pub fn number(text: &[u8], path: [&str; 2]) -> Option<u64> {
    let json: serde_json::Value = serde_json::from_slice(text).ok()?;
    path.iter().try_fold(&json, |inside, name| inside.get(name))?.as_u64()
}

/// How the library names a number. A text with this in it is read otherwise than it should be.
pub const NUMBER: &str = "$serde_json::private::Number";

/// Whether a text is an id of a query: `yyyyMMdd_HHmmss_iiiii_ccccc`.
pub fn is_query_id(text: &str) -> bool {
    let parts: Vec<&str> = text.split('_').collect();
    let [day, time, index, coordinator] = parts[..] else { return false };
    let is_number = |part: &str, length| part.len() == length && is_all(part, "0123456789");
    is_number(day, 8) && is_number(time, 6) && is_number(index, 5) && is_coordinator(coordinator)
}

/// Whether a text is an id of a coordinator.
pub fn is_coordinator(text: &str) -> bool {
    text.len() == 5 && is_all(text, "abcdefghijkmnpqrstuvwxyz23456789")
}

fn is_all(text: &str, of: &str) -> bool {
    text.chars().all(|c| of.contains(c))
}

/// The query that a statement kills: the text is first written without comments and with each string
/// as its place in a list, and then searched at every place.
pub fn killed(statement: &str) -> Option<String> {
    let (plain, strings) = plain(statement);
    let lower = plain.to_ascii_lowercase();
    (0..lower.len()).filter(|at| lower.is_char_boundary(*at)).find_map(|at| {
        let is_word_end = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if lower[..at].ends_with(is_word_end) {
            return None;
        }
        let rest = lower[at..].strip_prefix("kill_query")?.trim_start_matches(' ');
        let mut rest = rest.strip_prefix('(')?.trim_start_matches(' ');
        if let Some(named) = rest.strip_prefix("query_id") {
            rest = named.trim_start_matches(' ').strip_prefix("=>")?.trim_start_matches(' ');
        }
        let place = rest.strip_prefix('\'')?.split('\'').next()?;
        let text = strings.get(place.parse::<usize>().ok()?)?;
        is_query_id(text).then(|| text.clone())
    })
}

/// A statement with a space for each comment and blank, `'0'` for its first string and so on, and `"`
/// for each quoted name; up to a string or name that is not closed.
fn plain(statement: &str) -> (String, Vec<String>) {
    let (mut out, mut strings, mut rest) = (String::new(), Vec::new(), statement);
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("{-") {
            out.push_str("{-");
            rest = &rest[2..];
        } else if rest.starts_with("--") {
            rest = rest.find(['\r', '\n']).map_or("", |end| &rest[end..]);
            out.push(' ');
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, behind)| behind);
            out.push(' ');
        } else if matches!(c, '\'' | '"' | '`') {
            let Some((inside, behind)) = quoted(&rest[1..], c) else { break };
            if c == '\'' {
                out.push_str(&format!("'{}'", strings.len()));
                strings.push(inside);
            } else {
                out.push('"');
            }
            rest = behind;
        } else {
            out.push(if matches!(c, '\t' | '\r' | '\n') { ' ' } else { c });
            rest = &rest[c.len_utf8()..];
        }
    }
    (out, strings)
}

/// What stands before the closing quote, its doubled quotes made single, and what stands behind.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inside = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            inside.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            inside.push(quote);
        } else {
            return Some((inside, &text[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_found_outside_of_comments_and_strings() {
        let id = "20211202_151305_00000_3cki7";
        for (text, found) in [
            ("CALL kill_query('ID')", true),
            ("KILL_QUERY--\n(/**/Query_id =>\t'ID'", true),
            ("'kill_query(' kill_query('ID')", true),
            ("xkill_query('ID')", false),
            ("-- kill_query('ID')", false),
            ("'kill_query(''ID'')'", false),
        ] {
            assert_eq!(killed(&text.replace("ID", id)).is_some(), found, "{text}");
        }
    }

    #[test]
    fn members_stay_in_order_and_numbers_have_no_value() {
        let read = Json::read(br#"{"a":1e999,"a":["b",true,null,{}]}"#).unwrap();
        let array = Json::Array(vec![Json::Text("b".into()), Json::Bool(true), Json::Other, {
            Json::Object(Vec::new())
        }]);
        assert_eq!(read.all("a"), [&Json::Other, &array]);
        assert_eq!(read.depth(), 3);
    }
}
