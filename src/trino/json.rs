//! JSON as a row of tokens. RFC 8259.
//!
//! Builds no tree and allocates nothing; a text may end anywhere and go on with more bytes later.
//! What the grammar forbids is an error, and so is nesting below [`DEPTH`]. Only an object is read:
//! Trino answers with nothing else.

use std::str::Chars;

/// Follows a text from token to token.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonReader {
    place: Place,
    /// How many containers are open.
    depth: u32,
    /// A bit for each open container, the innermost lowest: whether it is an object.
    objects: u32,
}

/// What may come next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// The outermost object.
    #[default]
    Start,
    /// A key, or the end of an object that is empty.
    FirstKey,
    /// A value, or the end of an array that is empty.
    FirstItem,
    /// The value of a key.
    Value,
    /// A comma and what follows it, or the end of the container.
    AfterValue,
    /// Blanks.
    End,
}

/// What a text consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonToken<'a> {
    /// An object begins.
    Object,
    /// An array begins.
    Array,
    /// The innermost object or array ends.
    Close,
    /// The name of a member, with the colon behind it.
    Key(JsonString<'a>),
    /// A string as a value.
    String(JsonString<'a>),
    /// A number.
    Number,
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// The outermost object has ended, and only blanks follow so far.
    End,
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// The bytes end within a token or before it.
    Unfinished,
    /// The bytes are not the JSON that is read here, whatever follows them.
    Broken,
}

impl JsonReader {
    /// How many objects and arrays are open.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Takes the next token from the front of `bytes`. If it is unfinished, reader and bytes are as
    /// before: ask again with more bytes behind them.
    ///
    /// # Errors
    /// The bytes hold no whole token, or do not begin with one.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<JsonToken<'a>, NoToken> {
        let (mut reader, mut rest) = (*self, *bytes);
        let token = reader.step(&mut rest)?;
        (*self, *bytes) = (reader, rest);
        Ok(token)
    }

    fn step<'a>(&mut self, rest: &mut &'a [u8]) -> Result<JsonToken<'a>, NoToken> {
        skip_blanks(rest);
        match self.place {
            Place::Start if first(rest)? == b'{' => self.value(rest),
            Place::Start => Err(NoToken::Broken),
            Place::FirstKey if first(rest)? == b'}' => Ok(self.close(rest)),
            Place::FirstKey => self.key(rest),
            Place::FirstItem if first(rest)? == b']' => Ok(self.close(rest)),
            Place::FirstItem | Place::Value => self.value(rest),
            Place::AfterValue => self.after_value(rest),
            Place::End if rest.is_empty() => Ok(JsonToken::End),
            Place::End => Err(NoToken::Broken),
        }
    }

    fn after_value<'a>(&mut self, rest: &mut &'a [u8]) -> Result<JsonToken<'a>, NoToken> {
        let in_object = self.objects & 1 == 1;
        match (first(rest)?, in_object) {
            (b',', _) => {
                advance(rest, 1);
                skip_blanks(rest);
                if in_object { self.key(rest) } else { self.value(rest) }
            }
            (b'}', true) | (b']', false) => Ok(self.close(rest)),
            (_, true | false) => Err(NoToken::Broken),
        }
    }

    fn key<'a>(&mut self, rest: &mut &'a [u8]) -> Result<JsonToken<'a>, NoToken> {
        let name = string(rest)?;
        skip_blanks(rest);
        if first(rest)? != b':' {
            return Err(NoToken::Broken);
        }
        advance(rest, 1);
        self.place = Place::Value;
        Ok(JsonToken::Key(name))
    }

    fn value<'a>(&mut self, rest: &mut &'a [u8]) -> Result<JsonToken<'a>, NoToken> {
        let begins = first(rest)?;
        if matches!(begins, b'{' | b'[') {
            return self.open(rest, begins == b'{');
        }
        let token = match begins {
            b'"' => JsonToken::String(string(rest)?),
            b't' => word(rest, b"true", JsonToken::Bool(true))?,
            b'f' => word(rest, b"false", JsonToken::Bool(false))?,
            b'n' => word(rest, b"null", JsonToken::Null)?,
            b'-' | b'0'..=b'9' => number(rest)?,
            _ => return Err(NoToken::Broken),
        };
        self.place = Place::AfterValue;
        Ok(token)
    }

    fn open<'a>(&mut self, rest: &mut &'a [u8], object: bool) -> Result<JsonToken<'a>, NoToken> {
        if self.depth == DEPTH {
            return Err(NoToken::Broken);
        }
        advance(rest, 1);
        self.depth += 1;
        self.objects = self.objects << 1 | u32::from(object);
        self.place = if object { Place::FirstKey } else { Place::FirstItem };
        Ok(if object { JsonToken::Object } else { JsonToken::Array })
    }

    fn close<'a>(&mut self, rest: &mut &'a [u8]) -> JsonToken<'a> {
        advance(rest, 1);
        self.depth -= 1;
        self.objects >>= 1;
        self.place = if self.depth == 0 { Place::End } else { Place::AfterValue };
        JsonToken::Close
    }
}

/// What stands between the quotes of a string, checked but not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonString<'a>(&'a str);

impl JsonString<'_> {
    /// Whether the string means this text.
    pub fn is(self, text: &str) -> bool {
        self.chars().eq(text.chars())
    }

    /// Writes what the string means to the front of `into`; `None` if it does not fit.
    pub fn decode(self, into: &mut [u8]) -> Option<&[u8]> {
        let mut length = 0;
        for c in self.chars() {
            let place = into.get_mut(length..length + c.len_utf8())?;
            c.encode_utf8(place);
            length += c.len_utf8();
        }
        Some(&into[..length])
    }

    fn chars(self) -> impl Iterator<Item = char> {
        let mut rest = self.0.chars();
        std::iter::from_fn(move || character(&mut rest).expect("checked when it was read"))
    }
}

/// The next character of a string; `Ok(None)` at its end.
fn character(rest: &mut Chars<'_>) -> Result<Option<char>, NoToken> {
    let c = match rest.next() {
        Some('\\') => escaped(rest)?,
        Some(c) if c < ' ' => return Err(NoToken::Broken),
        other => return Ok(other),
    };
    Ok(Some(c))
}

/// The character that an escape stands for, its `\` having been read.
fn escaped(rest: &mut Chars<'_>) -> Result<char, NoToken> {
    let c = match rest.next().ok_or(NoToken::Broken)? {
        c @ ('"' | '\\' | '/') => c,
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return unicode(rest),
        _ => return Err(NoToken::Broken),
    };
    Ok(c)
}

/// Four hexadecimal digits, or eight in two escapes: a pair of surrogates.
fn unicode(rest: &mut Chars<'_>) -> Result<char, NoToken> {
    let unit = hexadecimal(rest)?;
    let code = if (0xd800..0xdc00).contains(&unit) {
        let follows = rest.next() == Some('\\') && rest.next() == Some('u');
        let low = if follows { hexadecimal(rest)? } else { 0 };
        if !(0xdc00..0xe000).contains(&low) {
            return Err(NoToken::Broken);
        }
        0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
    } else {
        unit
    };
    char::from_u32(code).ok_or(NoToken::Broken)
}

fn hexadecimal(rest: &mut Chars<'_>) -> Result<u32, NoToken> {
    let mut value = 0;
    for _ in 0..4 {
        let digit = rest.next().and_then(|c| c.to_digit(16)).ok_or(NoToken::Broken)?;
        value = value << 4 | digit;
    }
    Ok(value)
}

/// Takes a string from the front of `rest`.
fn string<'a>(rest: &mut &'a [u8]) -> Result<JsonString<'a>, NoToken> {
    if first(rest)? != b'"' {
        return Err(NoToken::Broken);
    }
    let inside = &rest[1..];
    let mut end = 0;
    loop {
        let found = inside.get(end..).and_then(|behind| memchr::memchr2(b'"', b'\\', behind));
        end += found.ok_or(NoToken::Unfinished)?;
        if inside[end] == b'"' {
            break;
        }
        end += b"\\x".len();
    }
    let text = std::str::from_utf8(&inside[..end]).map_err(|_| NoToken::Broken)?;
    let mut chars = text.chars();
    while character(&mut chars)?.is_some() {}
    advance(rest, end + b"\"\"".len());
    Ok(JsonString(text))
}

/// Takes a word from the front of `rest`, which begins with its first letter.
fn word<'a>(
    rest: &mut &[u8],
    word: &[u8],
    meaning: JsonToken<'a>,
) -> Result<JsonToken<'a>, NoToken> {
    if rest.starts_with(word) {
        advance(rest, word.len());
        Ok(meaning)
    } else if word.starts_with(rest) {
        Err(NoToken::Unfinished)
    } else {
        Err(NoToken::Broken)
    }
}

/// Takes a number from the front of `rest`: `[ "-" ] int [ "." 1*DIGIT ] [ "e" [ sign ] 1*DIGIT ]`.
/// It is whole once a byte follows that cannot be part of it.
fn number<'a>(rest: &mut &[u8]) -> Result<JsonToken<'a>, NoToken> {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let end = rest.iter().position(|byte| !is_part(byte)).ok_or(NoToken::Unfinished)?;
    let text = &rest[..end];
    let (integer, text) = digits(text.strip_prefix(b"-").unwrap_or(text));
    let (fraction, text) = match text {
        [b'.', text @ ..] => digits(text),
        [..] => (&b"0"[..], text),
    };
    let (exponent, text) = match text {
        [b'e' | b'E', b'+' | b'-', text @ ..] | [b'e' | b'E', text @ ..] => digits(text),
        [..] => (&b"0"[..], text),
    };
    let led_by_zero = integer.len() > 1 && integer[0] == b'0';
    let lacks_digits = [integer, fraction, exponent].into_iter().any(<[u8]>::is_empty);
    if led_by_zero || lacks_digits || !text.is_empty() {
        return Err(NoToken::Broken);
    }
    advance(rest, end);
    Ok(JsonToken::Number)
}

/// The digits at the front, and what follows them.
pub(super) fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn first(rest: &[u8]) -> Result<u8, NoToken> {
    rest.first().copied().ok_or(NoToken::Unfinished)
}

fn skip_blanks(rest: &mut &[u8]) {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let end = rest.iter().position(|byte| !is_blank(byte)).unwrap_or(rest.len());
    advance(rest, end);
}

fn advance(rest: &mut &[u8], count: usize) {
    *rest = &rest[count..];
}

/// Containers within one another. The deepest that Trino writes and we read to the end, an
/// announcement, has four.
pub const DEPTH: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens of a text that is whole, each in short; `None` if it is broken or unfinished.
    fn tokens(text: &[u8]) -> Option<Vec<String>> {
        let (mut reader, mut rest, mut found) = (JsonReader::default(), text, Vec::new());
        loop {
            let token = reader.next(&mut rest).ok()?;
            if token == JsonToken::End {
                return Some(found);
            }
            found.push(short(token));
        }
    }

    fn short(token: JsonToken<'_>) -> String {
        let decoded = |string: JsonString<'_>| {
            let mut room = [0; 64];
            String::from_utf8(string.decode(&mut room).unwrap().to_vec()).unwrap()
        };
        match token {
            JsonToken::Object => "{".into(),
            JsonToken::Array => "[".into(),
            JsonToken::Close => "end".into(),
            JsonToken::Key(name) => format!("{}:", decoded(name)),
            JsonToken::String(text) => format!("'{}'", decoded(text)),
            JsonToken::Number => "number".into(),
            JsonToken::Bool(value) => value.to_string(),
            JsonToken::Null => "null".into(),
            JsonToken::End => "End".into(),
        }
    }

    /// The tokens of a text that comes in two pieces.
    fn split(text: &[u8], cut: usize) -> Option<Vec<String>> {
        let (mut reader, mut rest, mut found) = (JsonReader::default(), &text[..cut], Vec::new());
        let mut is_whole = false;
        loop {
            match (reader.next(&mut rest), is_whole) {
                (Ok(JsonToken::End), true) => return Some(found),
                (Ok(JsonToken::End) | Err(NoToken::Unfinished), false) => {
                    rest = &text[cut - rest.len()..];
                    is_whole = true;
                }
                (Ok(token), _) => found.push(short(token)),
                (Err(_), _) => return None,
            }
        }
    }

    #[test]
    fn a_text_is_a_row_of_tokens_however_it_is_split() {
        for (text, expected) in [
            ("{}", "{ end"),
            (" {\r\n}\t", "{ end"),
            (r#"{"a":1}"#, "{ a: number end"),
            (r#"{"a" : [ ] , "b" : { } }"#, "{ a: [ end b: { end end"),
            (r#"{"a":[1,-0,0.5,1e5,-1.25E-10,true,false,null]}"#, {
                "{ a: [ number number number number number true false null end end"
            }),
            (r#"{"a":"b","":""}"#, "{ a: 'b' : '' end"),
            (r#"{"\u0061":"\"\\\/"}"#, r#"{ a: '"\/' end"#),
            (r#"{"a":"\u00e4\ud83d\ude00ä😀"}"#, "{ a: 'ä😀ä😀' end"),
            (r#"{"a":[[{"b":[]}],2]}"#, "{ a: [ [ { b: [ end end end number end end"),
            (r#"{"a":1,"a":2}"#, "{ a: number a: number end"),
        ] {
            let text = text.as_bytes();
            assert_eq!(tokens(text).map(|found| found.join(" ")).as_deref(), Some(expected));
            for cut in 0..=text.len() {
                assert_eq!(split(text, cut), tokens(text), "{cut}");
            }
        }
    }

    #[test]
    fn escapes_of_control_characters_are_decoded() {
        let mut rest = &br#"{"\b\f\n\r\t\u0000":0}"#[..];
        let mut reader = JsonReader::default();
        assert_eq!(reader.next(&mut rest), Ok(JsonToken::Object));
        let Ok(JsonToken::Key(name)) = reader.next(&mut rest) else { panic!("{rest:?}") };
        assert!(name.is("\x08\x0c\n\r\t\0"));
        assert_eq!(name.decode(&mut [0; 5]), None);
        assert_eq!(name.decode(&mut [0; 6]), Some(&b"\x08\x0c\n\r\t\0"[..]));
    }

    #[test]
    fn what_the_grammar_forbids_is_broken_however_it_is_split() {
        for text in [
            "[]",
            "1",
            "\"a\"",
            "<html>",
            "{a:1}",
            "{'a':1}",
            "{,}",
            "{\"a\"}",
            "{\"a\" 1}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1 2}",
            "{\"a\":[1,]}",
            "{\"a\":[,1]}",
            "{\"a\":[1}}",
            "{\"a\":{]}",
            "{\"a\":tru }",
            "{\"a\":truex}",
            "{\"a\":True}",
            "{\"a\":nul}",
            "{\"a\":01}",
            "{\"a\":-}",
            "{\"a\":+1}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":1e}",
            "{\"a\":1e+}",
            "{\"a\":1-2}",
            "{\"a\":NaN}",
            "{} {}",
            "{}x",
            "{\"a\nb\":1}",
            "{\"\\x\":1}",
            "{\"\\u12g4\":1}",
            "{\"\\ud800\":1}",
            "{\"\\ud800\\u0041\":1}",
            "{\"\\udc00\":1}",
            "{\"\\ud800x\":1}",
            "\u{feff}{}",
        ] {
            assert!(is_broken(text.as_bytes()), "{text}");
        }
        assert!(is_broken(b"{\"\xff\":1}"));
        assert!(is_broken(b"{\"\xed\xa0\x80\":1}"));
    }

    /// Whether the whole text is broken, and no piece from its front a whole text.
    fn is_broken(text: &[u8]) -> bool {
        let (mut reader, mut rest) = (JsonReader::default(), text);
        let why = loop {
            match reader.next(&mut rest) {
                Ok(JsonToken::End) => return false,
                Ok(_) => {}
                Err(why) => break why,
            }
        };
        why == NoToken::Broken && (0..=text.len()).all(|cut| split(text, cut).is_none())
    }

    #[test]
    fn a_text_that_ends_early_is_unfinished() {
        let text = br#"{"a":[true,12,"b\u0063"],"d":null}"#;
        for cut in 0..text.len() {
            let (mut reader, mut rest) = (JsonReader::default(), &text[..cut]);
            let why = loop {
                if let Err(why) = reader.next(&mut rest) {
                    break why;
                }
            };
            assert_eq!(why, NoToken::Unfinished, "{cut}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| {
            let inner = depth - 1;
            [&b"{\"a\":"[..], &b"[".repeat(inner), &b"]".repeat(inner), b"}"].concat()
        };
        assert!(tokens(&nested(DEPTH as usize)).is_some());
        assert!(is_broken(&nested(DEPTH as usize + 1)));
    }
}
