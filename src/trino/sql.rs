//! The lexemes of a statement, and what can be learned from them.
//!
//! Blanks and comments separate lexemes and are none: `--` ends at a line feed or a carriage return,
//! `/* */` does not nest, and there is no `#`. Trino's SqlBase.g4. Each byte is looked at once. What
//! stands between two `$$` (a body in Python, in the newest versions) is read as any other text.

use super::query_id::QueryId;

/// The lexemes of a text, in order.
#[derive(Clone, Copy, Debug)]
pub struct SqlLexer<'a> {
    rest: &'a [u8],
}

/// A part of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlLexeme<'a> {
    /// A keyword, a name or a number.
    Word(&'a [u8]),
    /// What stands between single quotes, with its quotes still doubled.
    String(&'a [u8]),
    /// What stands between double quotes or backquotes, with those still doubled.
    Name(&'a [u8]),
    /// `=>`.
    Arrow,
    /// Any other byte.
    Mark(u8),
}

impl SqlLexeme<'_> {
    /// Whether it is this word, in any case.
    pub fn is(self, word: &str) -> bool {
        matches!(self, SqlLexeme::Word(text) if text.eq_ignore_ascii_case(word.as_bytes()))
    }
}

impl<'a> SqlLexer<'a> {
    /// Begins with the first lexeme of a text.
    pub fn new(text: &'a [u8]) -> SqlLexer<'a> {
        SqlLexer { rest: text }
    }

    /// What is left once there are no more lexemes: nothing, or a string, a name or a comment that is
    /// not closed.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes this many bytes.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        taken
    }

    /// Skips blanks and comments, up to a comment that is not closed.
    fn skip_blanks(&mut self) {
        loop {
            let length = match self.rest {
                [b' ' | b'\t' | b'\r' | b'\n', ..] => 1,
                [b'-', b'-', line @ ..] => {
                    2 + memchr::memchr2(b'\r', b'\n', line).unwrap_or(line.len())
                }
                [b'/', b'*', inside @ ..] => match memchr::memmem::find(inside, b"*/") {
                    Some(end) => b"/**/".len() + end,
                    None => return,
                },
                [..] => return,
            };
            self.take(length);
        }
    }

    /// Takes what stands between two `quote`s, the first of which is next; a doubled one is part of
    /// it. `None` if the text ends before the second.
    fn quoted(&mut self, quote: u8) -> Option<&'a [u8]> {
        let inside = &self.rest[1..];
        let mut end = 0;
        loop {
            end += memchr::memchr(quote, inside.get(end..)?)?;
            if inside.get(end + 1) != Some(&quote) {
                break;
            }
            end += 2;
        }
        self.take(end + 2);
        Some(&inside[..end])
    }
}

impl<'a> Iterator for SqlLexer<'a> {
    type Item = SqlLexeme<'a>;

    /// The next lexeme. A string, name or comment that is not closed is the end.
    fn next(&mut self) -> Option<SqlLexeme<'a>> {
        self.skip_blanks();
        match *self.rest.first()? {
            b'\'' => self.quoted(b'\'').map(SqlLexeme::String),
            quote @ (b'"' | b'`') => self.quoted(quote).map(SqlLexeme::Name),
            byte if is_word_byte(byte) => {
                let end = self.rest.iter().position(|byte| !is_word_byte(*byte));
                Some(SqlLexeme::Word(self.take(end.unwrap_or(self.rest.len()))))
            }
            b'=' if self.rest.starts_with(b"=>") => {
                self.take(2);
                Some(SqlLexeme::Arrow)
            }
            b'/' if self.rest.starts_with(b"/*") => None,
            // One lexeme of a row pattern: in `{--` the comment does not begin at the first hyphen.
            b'{' if self.rest.starts_with(b"{-") => {
                self.take(2);
                Some(SqlLexeme::Mark(b'{'))
            }
            byte => {
                self.take(1);
                Some(SqlLexeme::Mark(byte))
            }
        }
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The query that a statement kills: `kill_query('…')` or `kill_query(query_id => '…'`. If several
/// stand there, the first.
pub fn killed(statement: &[u8]) -> Option<QueryId> {
    let mut seen = Seen::Nothing;
    for lexeme in SqlLexer::new(statement) {
        seen = match (seen, lexeme) {
            (Seen::Call, SqlLexeme::Mark(b'(')) => Seen::Parenthesis,
            (Seen::Parenthesis, lexeme) if lexeme.is("query_id") => Seen::Argument,
            (Seen::Argument, SqlLexeme::Arrow) => Seen::Arrow,
            (Seen::Parenthesis | Seen::Arrow, SqlLexeme::String(text)) => {
                if let Some(id) = QueryId::parse(text) {
                    return Some(id);
                }
                Seen::Nothing
            }
            (_, lexeme) if lexeme.is("kill_query") => Seen::Call,
            (
                Seen::Nothing | Seen::Call | Seen::Parenthesis | Seen::Argument | Seen::Arrow,
                SqlLexeme::Word(_)
                | SqlLexeme::String(_)
                | SqlLexeme::Name(_)
                | SqlLexeme::Arrow
                | SqlLexeme::Mark(_),
            ) => Seen::Nothing,
        };
    }
    None
}

/// How much of a call of `kill_query` ends with the last lexeme.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Nothing,
    /// `kill_query`
    Call,
    /// `kill_query(`
    Parenthesis,
    /// `kill_query(query_id`
    Argument,
    /// `kill_query(query_id =>`
    Arrow,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "20211202_151305_00000_3cki7";

    fn lexemes(text: &str) -> String {
        let short = |lexeme| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            match lexeme {
                SqlLexeme::Word(word) => text(word),
                SqlLexeme::String(inside) => format!("'{}'", text(inside)),
                SqlLexeme::Name(inside) => format!("\"{}\"", text(inside)),
                SqlLexeme::Arrow => "=>".into(),
                SqlLexeme::Mark(byte) => char::from(byte).into(),
            }
        };
        SqlLexer::new(text.as_bytes()).map(short).collect::<Vec<String>>().join(" ")
    }

    #[test]
    fn a_text_is_a_row_of_lexemes() {
        for (text, expected) in [
            ("", ""),
            (" \t\r\n", ""),
            ("SELECT 1", "SELECT 1"),
            ("a_1.b(c=>'d')", "a_1 . b ( c => 'd' )"),
            ("a= >b", "a = > b"),
            ("a--b\nc", "a c"),
            ("a--b\rc", "a c"),
            ("a--b", "a"),
            ("a - - b", "a - - b"),
            ("a/*b*/c", "a c"),
            ("a/* /* */c*/", "a c * /"),
            ("a/*/b*/c", "a c"),
            ("a/*b", "a"),
            ("a # b", "a # b"),
            ("{- a -} b", "{ a - } b"),
            ("{--a 'b' --c", "{ - a 'b'"),
            ("'a''b' ''", "'a''b' ''"),
            ("'--a' '/*' \"'\" `'`", "'--a' '/*' \"'\" \"'\""),
            ("\"a\"\"b\"c", "\"a\"\"b\" c"),
            ("a 'b", "a"),
            ("a 'b''", "a"),
        ] {
            assert_eq!(lexemes(text), expected, "{text}");
        }
    }

    #[test]
    fn a_call_kills_the_query_that_it_names() {
        for text in [
            "CALL system.runtime.kill_query('ID')",
            "CALL system.runtime.kill_query(query_id => 'ID', message => 'too slow')",
            "call SYSTEM.RUNTIME.KILL_QUERY ( Query_Id=>'ID' )",
            "CALL system.runtime.kill_query/* ( */(-- '\n'ID','')",
            "kill_query kill_query('ID')",
            "kill_query('a') kill_query('ID')",
            "kill_query(query_id kill_query('ID') kill_query('20200101_000000_00000_aaaaa')",
        ] {
            let found = killed(text.replace("ID", ID).as_bytes());
            assert_eq!(found.map(|id| id.to_string()).as_deref(), Some(ID), "{text}");
        }
    }

    #[test]
    fn nothing_else_kills_a_query() {
        for text in [
            "",
            "SELECT 1",
            "kill_query",
            "kill_query(",
            "kill_query('ID",
            "kill_query 'ID'",
            "kill_query(ID)",
            "kill_query(\"ID\")",
            "kill_query('ID ')",
            "kill_query('''ID')",
            "kill_query(query_id 'ID')",
            "kill_query(query_id = > 'ID')",
            "kill_query(message => 'ID')",
            "kill_query((('ID')))",
            "my_kill_query('ID')",
            "kill_query2('ID')",
            "\"kill_query\"('ID')",
            "SELECT 'kill_query(''ID'')'",
            "SELECT 1 -- kill_query('ID')",
            "/* kill_query('ID') */ SELECT 1",
            "SELECT \" kill_query('ID') \"",
        ] {
            assert_eq!(killed(text.replace("ID", ID).as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_closed_is_left() {
        for (text, rest) in [
            ("a", ""),
            ("a -- b", ""),
            ("a /**/ ", ""),
            ("a 'b", "'b"),
            ("a 'b''", "'b''"),
            ("a \"b ", "\"b "),
            ("`", "`"),
            ("a /* b */ /* c", "/* c"),
            ("a /*/", "/*/"),
        ] {
            let mut lexer = SqlLexer::new(text.as_bytes());
            while lexer.next().is_some() {}
            assert_eq!(lexer.rest(), rest.as_bytes(), "{text}");
        }
    }

    #[test]
    fn a_statement_of_a_megabyte_is_read_once() {
        for part in ["kill_query(query_id=>", "kill_query/*", "''", "--", "'a'", "/**/"] {
            let text = part.repeat(1_000_000 / part.len());
            assert_eq!(killed(text.as_bytes()), None, "{part}");
        }
    }
}
