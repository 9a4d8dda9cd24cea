//! A second reading of statements: what Trino could change by running one, by its grammar and without
//! hurry. What Trino refuses changes nothing.

/// A lexeme of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A keyword, a name or a number, in capitals.
    Word(String),
    /// What a string says.
    Text(String),
    /// A name in quotes.
    Quoted(String),
    Mark(char),
}

/// Whether a statement could change something. `fields` are those of its prepared statements.
pub fn may_write(text: &[u8], fields: &[&[u8]]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return true };
    // A text in another language stands between `$$` in some versions, in the others it is no SQL.
    [false, true].into_iter().any(|dollars| writes(text, Some(fields), dollars))
}

/// Whether a text could. Without `fields` it is not allowed to execute another one.
fn writes(text: &str, fields: Option<&[&[u8]]>, dollars: bool) -> bool {
    let Some(tokens) = tokens(text, dollars) else { return true };
    let has_routine = tokens.contains(&word("FUNCTION"));
    let mut statements = tokens.split(|token| *token == Token::Mark(';'));
    let first = statements.next().unwrap_or_default();
    let goes_on = |rest: &[Token]| {
        let is_label = rest.get(1) == Some(&Token::Mark(':'));
        !is_label && (begins_write(rest) || (!has_routine && !rest.is_empty()))
    };
    passes_through(&tokens) || statement(first, fields) || statements.any(goes_on)
}

/// Whether a text that another statement executes could.
fn runs(text: &str) -> bool {
    [false, true].into_iter().any(|dollars| writes(text, None, dollars))
}

fn statement(tokens: &[Token], fields: Option<&[&[u8]]>) -> bool {
    let Some((first, rest)) = tokens.split_first() else { return true };
    let Token::Word(keyword) = first else { return query(tokens) };
    match keyword.as_str() {
        "SHOW" | "DESCRIBE" | "DESC" => false,
        "EXPLAIN" => explain(rest, fields),
        "EXECUTE" => execute(rest, fields),
        _ => query(tokens),
    }
}

/// `ANALYZE` may run a statement, or be a statement that is planned.
fn explain(tokens: &[Token], fields: Option<&[&[u8]]>) -> bool {
    match tokens {
        [analyze, rest @ ..] if *analyze == word("ANALYZE") => {
            let verbose = rest.first() == Some(&word("VERBOSE"));
            let run = if verbose { &rest[1..] } else { rest };
            statement(run, fields)
        }
        [explain, rest @ ..] if *explain == word("EXPLAIN") => self::explain(rest, fields),
        [Token::Mark('('), ..] => {
            let behind = behind_parenthesis(tokens);
            behind.is_none_or(|behind| {
                ["ANALYZE", "EXPLAIN"].iter().any(|it| behind.first() == Some(&word(it)))
            })
        }
        [] => true,
        [..] => false,
    }
}

fn execute(tokens: &[Token], fields: Option<&[&[u8]]>) -> bool {
    let Some(fields) = fields else { return true };
    match tokens {
        [immediate, Token::Text(text), rest @ ..] if *immediate == word("IMMEDIATE") => {
            !(rest.is_empty() || rest.first() == Some(&word("USING"))) || runs(text)
        }
        [name @ (Token::Word(_) | Token::Quoted(_)), ..] => {
            let is_it = |known: &str| match name {
                Token::Word(name) => known.to_ascii_uppercase() == *name,
                Token::Quoted(name) => known == name,
                Token::Text(_) | Token::Mark(_) => false,
            };
            let pairs = fields.iter().flat_map(|field| field.split(|byte| *byte == b','));
            let mut texts = pairs.filter_map(|pair| {
                let pair = std::str::from_utf8(pair).ok()?;
                let (name, text) = pair.split_once('=')?;
                is_it(&decoded(name.trim())?).then(|| decoded(text.trim()))?
            });
            // Which of several counts is not looked at: none of them may write.
            texts.any(|text| runs(&text))
        }
        [..] => true,
    }
}

/// What is URL-encoded, if it is that.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            other => *other,
        });
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether what should be a query is one, but for what stands between its first words and its end.
fn query(tokens: &[Token]) -> bool {
    let begins = tokens.iter().position(|token| *token != Token::Mark('('));
    let Some(begins) = begins else { return true };
    let [first, rest @ ..] = &tokens[begins..] else { return true };
    let is_write = tokens.iter().any(|token| RESERVED.iter().any(|it| *token == word(it)));
    if is_write {
        return true;
    }
    if *first == word("WITH") {
        return main_of_with(rest).is_some_and(|main| begins_write(main));
    }
    !["SELECT", "VALUES", "TABLE"].iter().any(|it| *first == word(it))
}

/// What follows the named queries: `[RECURSIVE] name [(…)] AS (…), …`.
fn main_of_with(mut tokens: &[Token]) -> Option<&[Token]> {
    if tokens.first() == Some(&word("RECURSIVE")) {
        tokens = &tokens[1..];
    }
    loop {
        tokens = tokens.get(1..)?;
        if tokens.first() == Some(&Token::Mark('(')) {
            tokens = behind_parenthesis(tokens)?;
        }
        if tokens.first() != Some(&word("AS")) {
            return None;
        }
        tokens = behind_parenthesis(&tokens[1..])?;
        if tokens.first() != Some(&Token::Mark(',')) {
            return Some(tokens);
        }
        tokens = &tokens[1..];
    }
}

/// What follows the parenthesis that the tokens begin with.
fn behind_parenthesis(tokens: &[Token]) -> Option<&[Token]> {
    if tokens.first() != Some(&Token::Mark('(')) {
        return None;
    }
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth -= 1,
            Token::Word(_) | Token::Text(_) | Token::Quoted(_) | Token::Mark(_) => {}
        }
        if depth == 0 {
            return Some(&tokens[at + 1..]);
        }
    }
    None
}

fn begins_write(tokens: &[Token]) -> bool {
    let first = tokens.first();
    RESERVED.iter().chain(&NOT_RESERVED).any(|it| first == Some(&word(it)))
}

/// Whether a function is called that hands its text to another database.
fn passes_through(tokens: &[Token]) -> bool {
    tokens.windows(2).any(|two| match two {
        [Token::Word(name) | Token::Quoted(name), Token::Mark('(')] => {
            ["QUERY", "RAW_QUERY", "PROCEDURE"].contains(&name.to_uppercase().as_str())
        }
        _ => false,
    })
}

fn word(text: &str) -> Token {
    Token::Word(text.to_owned())
}

/// The lexemes; `None` if something is not closed or is no part of any.
fn tokens(text: &str, dollars: bool) -> Option<Vec<Token>> {
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        match chars[at] {
            ' ' | '\t' | '\r' | '\n' => at += 1,
            '-' if next == '-' => {
                while at < chars.len() && chars[at] != '\r' && chars[at] != '\n' {
                    at += 1;
                }
            }
            '/' if next == '*' => {
                at += 2;
                while !(chars.get(at) == Some(&'*') && chars.get(at + 1) == Some(&'/')) {
                    if at >= chars.len() {
                        return None;
                    }
                    at += 1;
                }
                at += 2;
            }
            quote @ ('\'' | '"' | '`') => {
                let mut inside = String::new();
                at += 1;
                loop {
                    let c = *chars.get(at)?;
                    at += 1;
                    if c == quote && chars.get(at) == Some(&quote) {
                        at += 1;
                    } else if c == quote {
                        break;
                    }
                    inside.push(c);
                }
                let is_string = quote == '\'';
                found.push(if is_string { Token::Text(inside) } else { Token::Quoted(inside) });
            }
            c if c.is_ascii_alphanumeric() || c == '_' => {
                let mut name = String::new();
                while at < chars.len() && (chars[at].is_ascii_alphanumeric() || chars[at] == '_') {
                    name.push(chars[at].to_ascii_uppercase());
                    at += 1;
                }
                found.push(Token::Word(name));
            }
            '$' if next == '$' && dollars => {
                let behind: String = chars[at + 2..].iter().collect();
                let (inside, _) = behind.split_once("$$")?;
                at += 4 + inside.chars().count();
                found.push(Token::Text(inside.to_owned()));
            }
            '{' if next == '-' => {
                found.push(Token::Mark('{'));
                at += 2;
            }
            c if c.is_ascii_graphic() => {
                found.push(Token::Mark(c));
                at += 1;
            }
            _ => return None,
        }
    }
    Some(found)
}

/// What writes begin with or hold, and is never a name.
const RESERVED: [&str; 6] = ["INSERT", "DELETE", "CREATE", "DROP", "ALTER", "INTO"];

/// What else begins a write.
const NOT_RESERVED: [&str; 4] = ["UPDATE", "MERGE", "TRUNCATE", "CALL"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_seen_behind_all_that_may_stand_before_it() {
        for (text, expected) in [
            ("SELECT 1", false),
            ("(VALUES ';')", false),
            ("WITH a (b) AS (SELECT 1), c AS (TABLE d) SELECT 1", false),
            ("EXPLAIN (TYPE IO) INSERT INTO t VALUES 1", false),
            ("EXECUTE a", false),
            ("EXECUTE \"a\"", false),
            ("EXECUTE IMMEDIATE 'SELECT ''a'''", false),
            ("/* SELECT */ INSERT INTO t VALUES 1", true),
            ("WITH a AS (SELECT 1) UPDATE t SET b = 1", true),
            ("EXPLAIN ANALYZE VERBOSE CALL p()", true),
            ("EXECUTE IMMEDIATE 'CALL p()'", true),
            ("EXECUTE b USING 1", true),
            ("SELECT 1; CALL p()", true),
            ("SELECT * FROM TABLE(c.system.\"query\" /**/ ('a'))", true),
        ] {
            let fields: [&[u8]; 2] = [b"a=SELECT+1", b"c=SELECT+1, b=CALL+p%28%29"];
            assert_eq!(may_write(text.as_bytes(), &fields), expected, "{text}");
        }
    }
}
