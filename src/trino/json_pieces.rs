//! JSON as a row of pieces, for texts of any size that come in any parts.
//!
//! Holds nothing of the text and looks at each byte once, however long a string is. The structure is
//! checked as strictly as in [`super::json`], but for what is skipped; strings and numbers are not, which
//! cannot hide a key.
//! RFC 8259.

/// Follows a text from piece to piece.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonPieces {
    place: Place,
    /// How many containers are open.
    depth: u16,
    /// A bit for each open container, by its depth: whether it is an object.
    objects: [u64; DEPTH as usize / 64],
}

/// What may come next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// The outermost object.
    #[default]
    Start,
    /// A key, or the end of an object that is empty.
    FirstKey,
    /// A key.
    Key,
    /// A colon.
    Colon,
    /// A value, or the end of an array that is empty.
    FirstItem,
    /// A value.
    Value,
    /// The rest of a number or a word.
    Atom,
    /// The rest of a string.
    Text(Role),
    /// What follows a backslash.
    Escape(Role),
    /// Hexadecimal digits: those that are to come, and the value of those that were there.
    Unicode(Role, u8, u32),
    /// A comma, or the end of the container.
    AfterValue,
    /// What is skipped, in which so many containers are open.
    Skipped(u32),
    /// The rest of a string in it.
    SkippedText(u32),
    /// What follows a backslash in it.
    SkippedEscape(u32),
    /// Blanks.
    End,
}

/// What a string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Key,
    Value,
}

/// What a text consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonPiece<'a> {
    /// An object or an array begins.
    Open,
    /// The innermost object or array ends.
    Close,
    /// The name of a member begins: the texts and characters up to its end.
    KeyBegins,
    /// The name has ended; its value follows.
    KeyEnds,
    /// A string as a value begins.
    StringBegins,
    /// The string has ended.
    StringEnds,
    /// A part of a string, in which nothing is escaped.
    Text(&'a [u8]),
    /// A character that was escaped; half of a pair of surrogates is U+FFFD.
    Char(char),
    /// A part of a number, `true`, `false` or `null`.
    Atom(&'a [u8]),
}

/// The bytes are not the JSON that is read here, whatever follows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenJson;

impl JsonPieces {
    /// How many objects and arrays are open.
    pub fn depth(&self) -> u16 {
        self.depth
    }

    /// Whether the outermost object has ended.
    pub fn is_whole(&self) -> bool {
        self.place == Place::End
    }

    /// Skips what is left of the innermost container: the next piece is its end. Only strings and
    /// brackets are told apart there, which takes a quarter of the time.
    pub fn skip(&mut self) {
        self.place = Place::Skipped(0);
    }

    /// Takes the next piece from the front of `bytes`. `None`: all bytes are used up.
    ///
    /// # Errors
    /// The text is broken. Nothing is to be asked after that.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<JsonPiece<'a>>, BrokenJson> {
        while let Some(&first) = bytes.first() {
            let piece = match self.place {
                Place::Text(role) => self.text(role, bytes),
                Place::Escape(role) => self.escape(role, first, bytes)?,
                Place::Unicode(role, left, value) => {
                    let digit = char::from(first).to_digit(16).ok_or(BrokenJson)?;
                    take(bytes, 1);
                    self.unicode(role, left - 1, value << 4 | digit)
                }
                Place::Atom => self.atom(bytes),
                Place::Skipped(open) => self.skipped(open, bytes)?,
                Place::SkippedText(open) => {
                    let end = memchr::memchr2(b'"', b'\\', bytes);
                    self.place = match end.map(|end| bytes[end]) {
                        Some(b'"') => Place::Skipped(open),
                        Some(_) => Place::SkippedEscape(open),
                        None => Place::SkippedText(open),
                    };
                    take(bytes, end.map_or(bytes.len(), |end| end + 1));
                    None
                }
                Place::SkippedEscape(open) => {
                    self.place = Place::SkippedText(open);
                    take(bytes, 1);
                    None
                }
                _ if matches!(first, b' ' | b'\t' | b'\r' | b'\n') => {
                    take(bytes, 1);
                    None
                }
                Place::Start
                | Place::FirstKey
                | Place::Key
                | Place::Colon
                | Place::FirstItem
                | Place::Value
                | Place::AfterValue
                | Place::End => self.structure(first, bytes)?,
            };
            if piece.is_some() {
                return Ok(piece);
            }
        }
        Ok(None)
    }

    /// What the structure consists of: brackets, colons, commas and the beginnings of the rest.
    fn structure<'a>(
        &mut self,
        first: u8,
        bytes: &mut &'a [u8],
    ) -> Result<Option<JsonPiece<'a>>, BrokenJson> {
        let in_object = self.in_object();
        let piece = match (self.place, first) {
            (Place::Start, b'{') => Some(self.open(true)?),
            (Place::Value | Place::FirstItem, b'{' | b'[') => Some(self.open(first == b'{')?),
            (Place::FirstKey, b'}') | (Place::FirstItem, b']') => Some(self.close()),
            (Place::AfterValue, b'}') if in_object => Some(self.close()),
            (Place::AfterValue, b']') if !in_object => Some(self.close()),
            (Place::FirstKey | Place::Key, b'"') => {
                self.place = Place::Text(Role::Key);
                Some(JsonPiece::KeyBegins)
            }
            (Place::Value | Place::FirstItem, b'"') => {
                self.place = Place::Text(Role::Value);
                Some(JsonPiece::StringBegins)
            }
            (Place::Value | Place::FirstItem, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.place = Place::Atom;
                return Ok(self.atom(bytes));
            }
            (Place::Colon, b':') => {
                self.place = Place::Value;
                None
            }
            (Place::AfterValue, b',') => {
                self.place = if in_object { Place::Key } else { Place::Value };
                None
            }
            (_, _) => return Err(BrokenJson),
        };
        take(bytes, 1);
        Ok(piece)
    }

    /// Whether the innermost container is an object.
    fn in_object(&self) -> bool {
        let Some(inner) = self.depth.checked_sub(1).map(usize::from) else { return false };
        self.objects[inner / 64] >> (inner % 64) & 1 == 1
    }

    fn open<'a>(&mut self, object: bool) -> Result<JsonPiece<'a>, BrokenJson> {
        if self.depth == DEPTH {
            return Err(BrokenJson);
        }
        let (word, bit) = (usize::from(self.depth / 64), self.depth % 64);
        self.objects[word] = self.objects[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        self.place = if object { Place::FirstKey } else { Place::FirstItem };
        Ok(JsonPiece::Open)
    }

    fn close<'a>(&mut self) -> JsonPiece<'a> {
        self.depth -= 1;
        self.place = if self.depth == 0 { Place::End } else { Place::AfterValue };
        JsonPiece::Close
    }

    /// Skips up to a string or to the end of the container, in which so many others are open.
    fn skipped<'a>(
        &mut self,
        mut open: u32,
        bytes: &mut &'a [u8],
    ) -> Result<Option<JsonPiece<'a>>, BrokenJson> {
        let end = bytes.iter().position(|byte| {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' if open > 0 => open -= 1,
                b']' | b'}' | b'"' => return true,
                _ => {}
            }
            false
        });
        let last = end.map(|end| bytes[end]);
        take(bytes, end.map_or(bytes.len(), |end| end + 1));
        match (last, self.in_object()) {
            (None, _) => self.place = Place::Skipped(open),
            (Some(b'"'), _) => self.place = Place::SkippedText(open),
            (Some(b'}'), true) | (Some(b']'), false) => return Ok(Some(self.close())),
            (Some(_), true | false) => return Err(BrokenJson),
        }
        Ok(None)
    }

    /// A part of a string up to an escape, or its end.
    fn text<'a>(&mut self, role: Role, bytes: &mut &'a [u8]) -> Option<JsonPiece<'a>> {
        let end = memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
        if end > 0 {
            return Some(JsonPiece::Text(take(bytes, end)));
        }
        if take(bytes, 1) == b"\\" {
            self.place = Place::Escape(role);
            return None;
        }
        Some(match role {
            Role::Key => {
                self.place = Place::Colon;
                JsonPiece::KeyEnds
            }
            Role::Value => {
                self.place = Place::AfterValue;
                JsonPiece::StringEnds
            }
        })
    }

    fn escape<'a>(
        &mut self,
        role: Role,
        first: u8,
        bytes: &mut &'a [u8],
    ) -> Result<Option<JsonPiece<'a>>, BrokenJson> {
        let c = match first {
            b'"' | b'\\' | b'/' => char::from(first),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.place = Place::Unicode(role, 4, 0);
                take(bytes, 1);
                return Ok(None);
            }
            _ => return Err(BrokenJson),
        };
        self.place = Place::Text(role);
        take(bytes, 1);
        Ok(Some(JsonPiece::Char(c)))
    }

    /// Goes on behind a hexadecimal digit.
    fn unicode<'a>(&mut self, role: Role, left: u8, value: u32) -> Option<JsonPiece<'a>> {
        if left > 0 {
            self.place = Place::Unicode(role, left, value);
            return None;
        }
        self.place = Place::Text(role);
        Some(JsonPiece::Char(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)))
    }

    /// A part of a number or a word. It ends in front of a byte that cannot be part of one.
    fn atom<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<JsonPiece<'a>> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let end = bytes.iter().position(|byte| !is_part(byte)).unwrap_or(bytes.len());
        if end == 0 {
            self.place = Place::AfterValue;
            return None;
        }
        Some(JsonPiece::Atom(take(bytes, end)))
    }
}

/// Takes so many bytes from the front.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

/// Containers within one another. Trino nests two for each stage of a query, and three for each type
/// in a type; a query has 150 stages at most unless it is told otherwise.
pub const DEPTH: u16 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds what bytes consist of, each piece in short; `false` if they are broken.
    fn add(json: &mut JsonPieces, mut bytes: &[u8], found: &mut String) -> bool {
        loop {
            let piece = match json.next(&mut bytes) {
                Ok(Some(piece)) => piece,
                Ok(None) => return bytes.is_empty(),
                Err(BrokenJson) => return false,
            };
            match piece {
                JsonPiece::Open => found.push('<'),
                JsonPiece::Close => found.push('>'),
                JsonPiece::KeyBegins => found.push('{'),
                JsonPiece::KeyEnds => found.push_str("}:"),
                JsonPiece::StringBegins => found.push('('),
                JsonPiece::StringEnds => found.push(')'),
                JsonPiece::Text(text) | JsonPiece::Atom(text) => {
                    // A part may end within a character.
                    found.extend(text.iter().map(|byte| char::from(*byte)));
                }
                JsonPiece::Char(c) => found.push_str(&format!("\\{c}")),
            }
        }
    }

    /// The pieces of a text that comes in parts; `None` if it is broken or unfinished.
    fn pieces<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Option<String> {
        let (mut json, mut found) = (JsonPieces::default(), String::new());
        let is_sound = parts.into_iter().all(|part| add(&mut json, part, &mut found));
        (is_sound && json.is_whole()).then_some(found)
    }

    /// The pieces of a text, whole, in two parts of all sizes, and byte by byte.
    fn read(text: &[u8]) -> Option<String> {
        let whole = pieces([text]);
        for cut in 0..=text.len() {
            assert_eq!(pieces([&text[..cut], &text[cut..]]), whole, "{cut}");
        }
        assert_eq!(pieces(text.chunks(1)), whole);
        whole
    }

    #[test]
    fn a_text_is_a_row_of_pieces_however_it_is_split() {
        for (text, expected) in [
            ("{}", "<>"),
            (" {\r\n}\t", "<>"),
            (r#"{"a":1}"#, "<{a}:1>"),
            (r#"{"a" : [ ] , "b" : { } }"#, "<{a}:<>{b}:<>>"),
            (r#"{"a":[-0,1.5e+3 ,true,false,null]}"#, "<{a}:<-01.5e+3truefalsenull>>"),
            (r#"{"a":"b","":"","c":["d"]}"#, "<{a}:(b){}:(){c}:<(d)>>"),
            (r#"{"\u0061\"":"\\\/\n"}"#, "<{\\a\\\"}:(\\\\\\/\\\n)>"),
            (r#"{"\ud83d\ude00":"{]\"}"}"#, "<{\\\u{fffd}\\\u{fffd}}:({]\\\"})>"),
            (r#"{"a":[[{"b":[]}],2]}"#, "<{a}:<<<{b}:<>>>2>>"),
        ] {
            assert_eq!(read(text.as_bytes()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_broken_structure_is_noticed_however_it_is_split() {
        for text in [
            "[]",
            "1",
            "\"a\"",
            "<html>",
            "{a:1}",
            "{,}",
            "{\"a\"}",
            "{\"a\" 1}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1 2}",
            "{\"a\":1\"b\":2}",
            "{\"a\":[1,]}",
            "{\"a\":[,1]}",
            "{\"a\":[1}}",
            "{\"a\":{]}",
            "{\"a\":{1}}",
            "{\"a\":[\"b\":1]}",
            "{\"a\":True}",
            "{\"a\":+1}",
            "{} {}",
            "{}x",
            "{}\"",
            "{\"\\x\":1}",
            "{\"\\u12g4\":1}",
            "{\"a\":1",
            "{\"a",
            "{\"a\\",
            "{\"a\":\"b}",
            "{\"a\":\"b\\\"}",
            "\u{feff}{}",
            "",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    /// Whether the value of the first member of the outermost object is skipped, up to that one's end.
    fn skips(parts: &[&[u8]]) -> bool {
        let (mut json, mut ends) = (JsonPieces::default(), 0);
        for part in parts {
            let mut bytes = *part;
            while !bytes.is_empty() {
                match json.next(&mut bytes) {
                    Ok(Some(JsonPiece::Open)) if json.depth() == 2 => json.skip(),
                    Ok(Some(JsonPiece::Close)) => ends += 1,
                    Ok(_) => {}
                    Err(BrokenJson) => return false,
                }
            }
        }
        json.is_whole() && ends == 2
    }

    #[test]
    fn a_container_is_skipped_however_it_is_split() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(9000), "]".repeat(9000));
        for (text, expected) in [
            (r#"{"a":[]}"#, true),
            (r#"{"a":{} }"#, true),
            (r#"{"a":[[1,{"b":[]}],"]","\"]","\\"]}"#, true),
            (r#"{"a":{"b":"}","c\"}":[{}]}}"#, true),
            (r#"{"a":[,,1 "b":]}"#, true),
            (&deep, true),
            (r#"{"a":[}}"#, false),
            (r#"{"a":{]}"#, false),
            (r#"{"a":[[]}"#, false),
            (r#"{"a":["]}"#, false),
            (r#"{"a":["\\\"]}"#, false),
            (r#"{"a":[]]}"#, false),
        ] {
            let text = text.as_bytes();
            assert_eq!(skips(&[text]), expected, "{}", text.escape_ascii());
            for cut in 0..=text.len().min(99) {
                assert_eq!(skips(&[&text[..cut], &text[cut..]]), expected, "{cut}");
            }
            assert_eq!(skips(&text.chunks(1).collect::<Vec<_>>()), expected);
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| {
            let inner = depth - 1;
            let (open, close) = ("[".repeat(inner), "]".repeat(inner));
            pieces([format!("{{\"a\":{open}{close}}}").as_bytes()])
        };
        assert!(nested(usize::from(DEPTH)).is_some());
        assert!(nested(usize::from(DEPTH) + 1).is_none());
        let mixed = format!("{}1{}", "{\"a\":[".repeat(200), "]}".repeat(200));
        assert!(pieces([mixed.as_bytes()]).is_some());
        assert!(pieces([mixed.replacen("]}", "}]", 1).as_bytes()]).is_none());
    }
}
