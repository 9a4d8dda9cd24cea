//! nginx's words: splits a file's bytes into words, `;`, `{` and `}`, each with its place.
//!
//! Follows `ngx_conf_read_token` byte by byte: a quote or a comment starts only where a word may
//! begin, `}` inside a word belongs to it, and `\` makes the next byte literal.

use std::fmt;

/// A place in a file: where something begins, and its width on its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index of the file among those loaded.
    pub file: usize,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters, at least 1.
    pub width: usize,
}

/// A word with quotes and escapes undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The text.
    pub text: String,
    /// Its place, including quotes.
    pub at: Span,
}

/// A lexeme of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lexeme {
    /// A name or an argument.
    Word(Word),
    /// `;`
    Semicolon(Span),
    /// `{`
    Open(Span),
    /// `}`
    Close(Span),
}

/// Reads lexemes from a file's bytes.
#[derive(Debug)]
pub struct Lexer<'a> {
    bytes: &'a [u8],
    position: usize,
    /// The place of `position`, with a width of 1.
    here: Span,
    /// Whether a quote has just closed: only a space, `;` or `{` may follow.
    after_quote: bool,
}

impl<'a> Lexer<'a> {
    /// Starts at the first byte of a file.
    pub fn new(file: usize, bytes: &'a [u8]) -> Lexer<'a> {
        let here = Span { file, line: 1, column: 1, width: 1 };
        Lexer { bytes, position: 0, here, after_quote: false }
    }

    /// The place reached so far.
    pub fn here(&self) -> Span {
        self.here
    }

    /// The next lexeme, or `None` at the end.
    ///
    /// # Errors
    /// A quote that is never closed or is directly followed by a word, or a word that is not UTF-8.
    pub fn lexeme(&mut self) -> Result<Option<Lexeme>, (Span, LexerError)> {
        let follows = |byte: u8| is_blank(byte) || byte == b';' || byte == b'{';
        if std::mem::take(&mut self.after_quote) && !self.peek().is_none_or(follows) {
            return Err((self.here, LexerError::AfterQuote));
        }
        self.skip_blanks();
        let at = self.here;
        let Some(first) = self.peek() else { return Ok(None) };
        let lexeme = match first {
            b';' => Lexeme::Semicolon(at),
            b'{' => Lexeme::Open(at),
            b'}' => Lexeme::Close(at),
            b'"' | b'\'' => return self.quoted(first).map(|word| Some(Lexeme::Word(word))),
            _ => return self.bare().map(|word| Some(Lexeme::Word(word))),
        };
        self.advance();
        Ok(Some(lexeme))
    }

    fn skip_blanks(&mut self) {
        let mut comment = false;
        while let Some(byte) = self.peek() {
            comment = (comment && byte != b'\n') || byte == b'#';
            if !comment && !is_blank(byte) {
                return;
            }
            self.advance();
        }
    }

    fn bare(&mut self) -> Result<Word, (Span, LexerError)> {
        let (start, begin) = (self.position, self.here);
        let mut variable = false;
        while let Some(byte) = self.peek() {
            let in_variable = byte == b'{' && variable;
            if (is_blank(byte) || byte == b';' || byte == b'{') && !in_variable {
                break;
            }
            variable = byte == b'$' || in_variable;
            self.advance();
            if byte == b'\\' {
                self.advance();
            }
        }
        self.word(start, self.position, begin)
    }

    fn quoted(&mut self, quote: u8) -> Result<Word, (Span, LexerError)> {
        let begin = self.here;
        self.advance();
        let start = self.position;
        while let Some(byte) = self.peek() {
            let end = self.position;
            self.advance();
            if byte == quote {
                self.after_quote = true;
                return self.word(start, end, begin);
            }
            if byte == b'\\' {
                self.advance();
            }
        }
        Err((begin, LexerError::OpenQuote))
    }

    fn word(&self, start: usize, end: usize, begin: Span) -> Result<Word, (Span, LexerError)> {
        let at = Span { width: self.width_since(begin, start), ..begin };
        let raw = self.bytes.get(start..end).unwrap_or_default();
        match String::from_utf8(unescape(raw)) {
            Ok(text) => Ok(Word { text, at }),
            Err(_) => Err((at, LexerError::NotUtf8)),
        }
    }

    /// The width in characters from `begin` to here, or to the end of its line.
    fn width_since(&self, begin: Span, start: usize) -> usize {
        if self.here.line == begin.line {
            return (self.here.column - begin.column).max(1);
        }
        let raw = self.bytes.get(start..self.position).unwrap_or_default();
        let line = raw.split(|b| *b == b'\n').next().unwrap_or_default();
        line.iter().filter(|b| !is_continuation(**b)).count().max(1)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn advance(&mut self) {
        let Some(byte) = self.peek() else { return };
        self.position += 1;
        if byte == b'\n' {
            self.here.line += 1;
            self.here.column = 1;
        } else if !self.peek().is_some_and(is_continuation) {
            self.here.column += 1;
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether a byte continues a UTF-8 character.
fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// Removes the backslash of `\"`, `\'`, `\\`, `\t`, `\r` and `\n`; others stay.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        let escaped = match (byte, rest.peek()) {
            (b'\\', Some(next @ (b'"' | b'\'' | b'\\'))) => Some(*next),
            (b'\\', Some(b't')) => Some(b'\t'),
            (b'\\', Some(b'r')) => Some(b'\r'),
            (b'\\', Some(b'n')) => Some(b'\n'),
            _ => None,
        };
        if escaped.is_some() {
            rest.next();
        }
        plain.push(escaped.unwrap_or(byte));
    }
    plain
}

/// Why bytes do not form a lexeme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexerError {
    /// A quote that is never closed.
    OpenQuote,
    /// Text directly after a closing quote.
    AfterQuote,
    /// A word that is not UTF-8.
    NotUtf8,
}

impl LexerError {
    /// What to do about the error.
    pub fn help(self) -> Option<String> {
        match self {
            LexerError::OpenQuote => {
                Some("close the quote; inside it, write a quote as \\\"".into())
            }
            LexerError::AfterQuote => {
                Some("put a space or a \";\" behind the quote, or quote the whole word".into())
            }
            LexerError::NotUtf8 => None,
        }
    }
}

impl fmt::Display for LexerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LexerError::OpenQuote => "this quote is never closed",
            LexerError::AfterQuote => "a closing quote must be followed by a space, \";\" or \"{\"",
            LexerError::NotUtf8 => "this word is not UTF-8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lexemes of a text, with words in brackets.
    fn lexemes(text: &str) -> String {
        let mut lexer = Lexer::new(0, text.as_bytes());
        let mut seen = String::new();
        loop {
            match lexer.lexeme() {
                Ok(Some(Lexeme::Word(word))) => seen += &format!("[{}]", word.text),
                Ok(Some(Lexeme::Semicolon(_))) => seen.push(';'),
                Ok(Some(Lexeme::Open(_))) => seen.push('{'),
                Ok(Some(Lexeme::Close(_))) => seen.push('}'),
                Ok(None) => return seen,
                Err((at, error)) => return format!("{seen}{}:{}:{error:?}", at.line, at.column),
            }
        }
    }

    #[test]
    fn words_end_at_blanks_semicolons_and_braces() {
        assert_eq!(lexemes("a b;c{d e;}"), "[a][b];[c]{[d][e];}");
        assert_eq!(lexemes("a\tb\r\n;"), "[a][b];");
        assert_eq!(lexemes(""), "");
    }

    #[test]
    fn a_closing_brace_inside_a_word_is_part_of_it() {
        assert_eq!(lexemes("a b} ;"), "[a][b}];");
    }

    #[test]
    fn quotes_keep_blanks_and_open_only_at_the_start_of_a_word() {
        assert_eq!(lexemes("a 'b c;' \"d'e\";"), "[a][b c;][d'e];");
        assert_eq!(lexemes("a b\"c d\";"), "[a][b\"c][d\"];");
        assert_eq!(lexemes("a '';"), "[a][];");
    }

    #[test]
    fn escapes_are_undone_as_nginx_does() {
        assert_eq!(lexemes(r#"a "x\"y" \t\n\\ \d \;;"#), "[a][x\"y][\t\n\\][\\d][\\;];");
    }

    #[test]
    fn comments_begin_only_where_a_word_could() {
        assert_eq!(lexemes("a # b ;\n c#d;#end"), "[a][c#d];");
        assert_eq!(lexemes("# ä #\n#\n"), "");
    }

    #[test]
    fn braces_of_a_variable_belong_to_its_word() {
        assert_eq!(lexemes("a ${host}:1 x${b}{c;}"), "[a][${host}:1][x${b}]{[c];}");
    }

    #[test]
    fn columns_count_characters_and_widths_include_quotes() {
        let mut lexer = Lexer::new(0, "ä 'öü'\n  z".as_bytes());
        let mut spans = Vec::new();
        while let Ok(Some(Lexeme::Word(word))) = lexer.lexeme() {
            spans.push((word.at.line, word.at.column, word.at.width));
        }
        assert_eq!(spans, [(1, 1, 1), (1, 3, 4), (2, 3, 1)]);
    }

    #[test]
    fn broken_quotes_and_words_are_errors_at_their_place() {
        assert_eq!(lexemes("a\n 'b c"), "[a]2:2:OpenQuote");
        assert_eq!(lexemes("a \"b\"c"), "[a][b]1:6:AfterQuote");
        assert_eq!(lexemes("a \"b\\"), "[a]1:3:OpenQuote");
        let mut lexer = Lexer::new(0, b"# \xff\n \xfc;");
        assert!(matches!(lexer.lexeme(), Err((_, LexerError::NotUtf8))));
    }
}
