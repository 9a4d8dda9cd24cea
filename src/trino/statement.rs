//! Whether a statement may run twice.
//!
//! Its first words tell what it is; then no lexeme of it may speak against that. Only what surely
//! reads may run twice: what is malformed, unknown or in doubt may not. Trino's SqlBase.g4, 364 to 483.

use super::sql::{SqlLexeme, SqlLexer};

/// How often a statement may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It only reads: it may be submitted again if its coordinator dies in the middle of it.
    Twice,
    /// It may change something, or nothing is known of it: it may be submitted again if it has not
    /// begun.
    Once,
    /// It belongs to a transaction: only the coordinator that has taken it can run it.
    InTransaction,
}

impl Repeat {
    /// Judges a statement outside of a transaction; `prepared` are the values of its `X-Trino-Prepared-Statement` fields.
    pub fn of<'a>(text: &[u8], prepared: impl Iterator<Item = &'a [u8]>) -> Repeat {
        let only_reads = match Opening::of(text) {
            Opening::Immediate(inner) => is_sound(text, Fate::Runs) && reads(&unquoted(inner)),
            Opening::Prepared(name) => is_sound(text, Fate::Runs) && prepared_reads(name, prepared),
            Opening::Query | Opening::Description | Opening::Other => reads(text),
        };
        if only_reads { Repeat::Twice } else { Repeat::Once }
    }
}

/// Whether a statement only reads. One that executes another is not followed: Trino refuses it inside of
/// `EXECUTE`.
fn reads(text: &[u8]) -> bool {
    match Opening::of(text) {
        Opening::Query => is_sound(text, Fate::Runs),
        Opening::Description => is_sound(text, Fate::Told),
        Opening::Immediate(_) | Opening::Prepared(_) | Opening::Other => false,
    }
}

/// What the first words make of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening<'a> {
    /// A query, which runs.
    Query,
    /// `SHOW`, `DESCRIBE` or `EXPLAIN`: nothing that stands in it runs.
    Description,
    /// `EXECUTE IMMEDIATE` of this text, whose quotes are still doubled.
    Immediate(&'a [u8]),
    /// `EXECUTE` of what was prepared under this name.
    Prepared(&'a [u8]),
    /// Another statement, or none.
    Other,
}

impl<'a> Opening<'a> {
    fn of(text: &'a [u8]) -> Opening<'a> {
        let mut lexer = SqlLexer::new(text);
        loop {
            let Some(first) = lexer.next() else { return Opening::Other };
            if is_any(first, &["SELECT", "VALUES", "TABLE", "WITH"]) {
                return Opening::Query;
            } else if first == SqlLexeme::Mark(b'(') {
                return Opening::in_parentheses(lexer);
            } else if is_any(first, &["SHOW", "DESCRIBE", "DESC"]) {
                return Opening::Description;
            } else if first.is("EXECUTE") {
                return Opening::executed(lexer).unwrap_or(Opening::Other);
            } else if !first.is("EXPLAIN") {
                return Opening::Other;
            } else if let Some(analyzed) = following(lexer, "ANALYZE") {
                lexer = following(analyzed, "VERBOSE").unwrap_or(analyzed);
            } else {
                return Opening::explained(lexer);
            }
        }
    }

    /// What follows one or several parentheses has to be a query.
    fn in_parentheses(mut lexer: SqlLexer<'a>) -> Opening<'a> {
        let first = lexer.find(|lexeme| *lexeme != SqlLexeme::Mark(b'('));
        let is_query = first.is_some_and(|it| is_any(it, &["SELECT", "VALUES", "TABLE", "WITH"]));
        if is_query { Opening::Query } else { Opening::Other }
    }

    /// `EXPLAIN [(options)] statement`. A parenthesis may open a query as well, which is planned too.
    fn explained(mut lexer: SqlLexer<'a>) -> Opening<'a> {
        let first = lexer.next();
        let statement = if first == Some(SqlLexeme::Mark(b'(')) {
            skip_parenthesis(&mut lexer).then(|| lexer.next())
        } else {
            first.map(Some)
        };
        // Behind options these can only begin a statement that is planned. Refusing that costs little,
        // should they ever mean more.
        let is_doubtful = |it| is_any(it, &["EXPLAIN", "ANALYZE", "VERBOSE"]);
        match statement {
            Some(statement) if !statement.is_some_and(is_doubtful) => Opening::Description,
            Some(_) | None => Opening::Other,
        }
    }

    /// `EXECUTE name [USING …]` or `EXECUTE IMMEDIATE 'text' [USING …]`. `None`: something else.
    fn executed(mut lexer: SqlLexer<'a>) -> Option<Opening<'a>> {
        let opening = match lexer.next()? {
            word @ SqlLexeme::Word(name) => {
                let mut behind = lexer;
                match behind.next() {
                    Some(SqlLexeme::String(text)) if word.is("IMMEDIATE") => {
                        lexer = behind;
                        Opening::Immediate(text)
                    }
                    Some(_) | None => Opening::Prepared(name),
                }
            }
            // A doubled quote would have to be made one; such names are rare.
            SqlLexeme::Name(name) if !name.contains(&b'"') => Opening::Prepared(name),
            SqlLexeme::Name(_) | SqlLexeme::String(_) | SqlLexeme::Arrow | SqlLexeme::Mark(_) => {
                return None;
            }
        };
        let is_whole = lexer.next().is_none_or(|it| it.is("USING"));
        is_whole.then_some(opening)
    }
}

/// What becomes of the text of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Runs,
    /// It is described or planned.
    Told,
}

/// Whether all of a text is lexemes of one statement, and none of them may change anything.
fn is_sound(text: &[u8], fate: Fate) -> bool {
    if text.contains(&0) || std::str::from_utf8(text).is_err() {
        return false;
    }
    let mut lexer = SqlLexer::new(text);
    let (mut before, mut has_routine) = (None, false);
    while let Some(lexeme) = lexer.next() {
        has_routine |= lexeme.is("FUNCTION");
        let fits = match lexeme {
            SqlLexeme::Word(_) if fate == Fate::Told => true,
            SqlLexeme::Word(_) if before == Some(SqlLexeme::Mark(b')')) => {
                !is_any(lexeme, &WRITES) && !is_any(lexeme, &BEGIN_WRITES)
            }
            SqlLexeme::Word(_) => !is_any(lexeme, &WRITES),
            SqlLexeme::Mark(b'(') => !before.is_some_and(passes_through),
            SqlLexeme::Mark(b';') => is_end(lexer) || (has_routine && is_step(lexer)),
            // `$$` begins a text in another language in some versions, and is no SQL in the others.
            SqlLexeme::Mark(b'$') => before != Some(lexeme),
            SqlLexeme::Mark(byte) => byte.is_ascii_graphic(),
            SqlLexeme::String(_) | SqlLexeme::Name(_) | SqlLexeme::Arrow => true,
        };
        if !fits {
            return false;
        }
        before = Some(lexeme);
    }
    lexer.rest().is_empty()
}

/// Whether a name in front of a parenthesis calls, or may call, a table function that hands its text
/// to another database. An escape in a name could hide such a name.
fn passes_through(name: SqlLexeme<'_>) -> bool {
    match name {
        SqlLexeme::Word(text) | SqlLexeme::Name(text) => {
            let is_it = |known: &&str| text.eq_ignore_ascii_case(known.as_bytes());
            PASS_THROUGH.iter().any(is_it) || text.contains(&b'\\')
        }
        SqlLexeme::String(_) | SqlLexeme::Arrow | SqlLexeme::Mark(_) => false,
    }
}

/// Whether nothing follows.
fn is_end(mut lexer: SqlLexer<'_>) -> bool {
    lexer.next().is_none()
}

/// Whether what follows a semicolon goes on with the body of a routine.
fn is_step(mut lexer: SqlLexer<'_>) -> bool {
    let Some(first) = lexer.next() else { return false };
    let is_word = matches!(first, SqlLexeme::Word(_));
    is_any(first, &STEPS) || (is_word && lexer.next() == Some(COLON))
}

/// Skips up to the end of a parenthesis that was opened, if it has one.
fn skip_parenthesis(lexer: &mut SqlLexer<'_>) -> bool {
    let mut depth = 1;
    for lexeme in lexer {
        if lexeme == SqlLexeme::Mark(b'(') {
            depth += 1;
        } else if lexeme == SqlLexeme::Mark(b')') {
            depth -= 1;
        }
        if depth == 0 {
            return true;
        }
    }
    false
}

/// What follows this word, if it is next.
fn following<'a>(mut lexer: SqlLexer<'a>, word: &str) -> Option<SqlLexer<'a>> {
    lexer.next().is_some_and(|lexeme| lexeme.is(word)).then_some(lexer)
}

fn is_any(lexeme: SqlLexeme<'_>, words: &[&str]) -> bool {
    words.iter().any(|word| lexeme.is(word))
}

/// Whether there are statements prepared under a name, and all of them only read. The case of a name
/// counts in Trino; here it does not, as all that could be meant are looked at.
fn prepared_reads<'a>(name: &[u8], fields: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut is_known = false;
    for pair in fields.flat_map(|field| field.split(|byte| *byte == b',')) {
        let pair = pair.trim_ascii();
        if pair.is_empty() {
            continue;
        }
        let Some(equals) = memchr::memchr(b'=', pair) else { return false };
        let Some(key) = url_decoded(pair[..equals].trim_ascii()) else { return false };
        if key.eq_ignore_ascii_case(name) {
            is_known = true;
            let text = url_decoded(pair[equals + 1..].trim_ascii());
            if !text.is_some_and(|text| reads(&text)) {
                return false;
            }
        }
    }
    is_known
}

/// A text as Java's `URLDecoder` reads it; `None` if it has to be refused.
fn url_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let (mut decoded, mut bytes) = (Vec::with_capacity(text.len()), text.iter());
    while let Some(&byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hexadecimal(*bytes.next()?)? << 4 | hexadecimal(*bytes.next()?)?,
            b'=' => return None,
            byte => byte,
        });
    }
    Some(decoded)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// A string with each doubled quote made one.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let (mut single, mut is_second) = (Vec::with_capacity(text.len()), false);
    for &byte in text {
        is_second = byte == b'\'' && !is_second;
        if !is_second {
            single.push(byte);
        }
    }
    single
}

/// Reserved words that stand in writes, and in no query without quotes around them.
const WRITES: [&str; 6] = ["ALTER", "CREATE", "DELETE", "DROP", "INSERT", "INTO"];

/// Words that begin writes and may be names elsewhere. Trino has no write that begins with `WITH`; if it
/// had, they would stand behind the last parenthesis of that.
const BEGIN_WRITES: [&str; 4] = ["CALL", "MERGE", "TRUNCATE", "UPDATE"];

/// Table functions of connectors that run what they are given elsewhere: those of JDBC and others,
/// Elasticsearch and OpenSearch, SQL Server.
const PASS_THROUGH: [&str; 3] = ["query", "raw_query", "procedure"];

/// What the statements in the body of a routine begin with, and what goes on with one of them.
const STEPS: [&str; 16] = [
    "BEGIN", "CASE", "DECLARE", "ELSE", "ELSEIF", "END", "IF", "ITERATE", "LEAVE", "LOOP",
    "REPEAT", "RETURN", "SET", "UNTIL", "WHEN", "WHILE",
];

/// What follows a label.
const COLON: SqlLexeme<'static> = SqlLexeme::Mark(b':');

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Repeat {
        Repeat::of(text.as_bytes(), [].into_iter())
    }

    #[test]
    fn what_only_reads_may_run_twice() {
        for text in [
            "SELECT 1",
            "select 1",
            "SeLeCt 1",
            "SELECT",
            " \t\r\nSELECT 1\n",
            "SELECT 1;",
            "SELECT 1 ; -- end",
            "/* a */ SELECT 1",
            "/* /* */ SELECT 1",
            "/**/SELECT/**/1/**/",
            "-- INSERT\nSELECT 1",
            "-- INSERT\rSELECT 1",
            "--\nSELECT 1--",
            "SELECT 1 -- ; DROP TABLE t",
            "SELECT 1 /* ; DROP TABLE t */",
            "SELECT '; DROP TABLE t' FROM \"INSERT INTO\"",
            "SELECT 'it''s', 'ä', U&'\\00e4', X'00' FROM \"a\"\"b\"",
            "SELECT a[1] || b, -c % 2 <> 3 FROM t WHERE x -> y AND z = ?",
            "SELECT * FROM a.b.c FOR VERSION AS OF 1",
            "SELECT x FROM UNNEST(ARRAY[1]) AS t (x)",
            "SELECT * FROM TABLE(sequence(1, 10))",
            "SELECT * FROM TABLE(system.table_changes(schema_name => 'a'))",
            "SELECT update, merge(x), call, \"delete\" FROM t",
            "SELECT query, t.query FROM query",
            "SELECT query /* */ , (query) FROM t",
            "SELECT my_query(1), queryx(1), query_range(2)",
            "SELECT 'query(' || \"query (\"",
            "SELECT query -- (\nFROM t",
            "SELECT * FROM t MATCH_RECOGNIZE (PATTERN (A {- B -} C$))",
            "VALUES 1, 2",
            "values (1)",
            "TABLE t",
            "table a.b.c",
            "(SELECT 1)",
            "((SELECT 1) UNION (SELECT 2)) LIMIT 1",
            "( ( /* a */ ( VALUES 1 ) ) )",
            "(TABLE t)",
            "(WITH a AS (SELECT 1) TABLE a)",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "WITH RECURSIVE a (n) AS (VALUES 1) SELECT n FROM a",
            "with query AS (SELECT 1) SELECT * FROM query",
            "WITH SESSION a = 1 SELECT 1",
            "WITH FUNCTION f(x int) RETURNS int RETURN x + 1 SELECT f(1)",
            "WITH FUNCTION f() RETURNS int BEGIN DECLARE a int; SET a = 1; RETURN a; END SELECT f()",
            "WITH FUNCTION f() RETURNS int BEGIN IF a THEN RETURN 1; ELSEIF b THEN RETURN 2; ELSE \
             RETURN 3; END IF; WHILE c DO SET d = 1; END WHILE; RETURN 0; END SELECT f()",
            "WITH FUNCTION f() RETURNS int BEGIN SET a = 0; top: LOOP LEAVE top; END LOOP; \
             REPEAT SET a = 2; UNTIL a > 1 END REPEAT; RETURN a; END SELECT f()",
            "WITH FUNCTION f() RETURNS int BEGIN CASE x WHEN 1 THEN RETURN 1; WHEN 2 THEN RETURN 2; \
             END CASE; BEGIN RETURN 1; END; END SELECT f();",
            "SHOW TABLES",
            "show catalogs",
            "SHOW CREATE TABLE t",
            "SHOW STATS FOR (SELECT 1)",
            "SHOW SESSION LIKE 'a%'",
            "SHOW",
            "DESCRIBE t",
            "describe input a",
            "DESCRIBE OUTPUT a",
            "DESC t",
            "EXPLAIN SELECT 1",
            "explain (select 1)",
            "EXPLAIN ((SELECT 1)) UNION SELECT 2",
            "EXPLAIN INSERT INTO t VALUES 1",
            "EXPLAIN CREATE TABLE t AS SELECT 1",
            "EXPLAIN DELETE FROM t",
            "EXPLAIN MERGE INTO t USING s ON a WHEN MATCHED THEN DELETE",
            "EXPLAIN DROP TABLE t",
            "EXPLAIN CALL p()",
            "EXPLAIN EXECUTE a",
            "EXPLAIN (TYPE LOGICAL) INSERT INTO t VALUES 1",
            "EXPLAIN (TYPE IO, FORMAT JSON) DELETE FROM t",
            "EXPLAIN /* ANALYZE */ (TYPE VALIDATE) -- ANALYZE\nUPDATE t SET a = 1",
            "EXPLAIN SELECT analyze FROM t",
            "EXPLAIN ANALYZE SELECT 1",
            "EXPLAIN/**/ANALYZE--\nVERBOSE\tSELECT 1",
            "explain analyze (select 1)",
            "EXPLAIN ANALYZE VERBOSE ((SELECT 1))",
            "EXPLAIN ANALYZE WITH a AS (SELECT 1) TABLE a",
            "EXPLAIN ANALYZE VALUES 1",
            "EXPLAIN ANALYZE SHOW TABLES",
            "EXPLAIN ANALYZE EXPLAIN INSERT INTO t VALUES 1",
            "EXECUTE IMMEDIATE 'SELECT 1'",
            "execute immediate'select ? ' using 1, 'b'",
            "EXECUTE /* a */ IMMEDIATE -- b\n 'SELECT ''a'', ''; DROP''' USING 'INSERT'",
            "EXECUTE IMMEDIATE 'SELECT 1 -- it''s' USING (SELECT 1)",
            "EXECUTE IMMEDIATE '((VALUES 1))'",
            "EXECUTE IMMEDIATE 'EXPLAIN INSERT INTO t VALUES 1'",
            "EXECUTE IMMEDIATE 'EXPLAIN ANALYZE SELECT 1'",
            "EXECUTE IMMEDIATE 'SHOW TABLES'",
            "EXPLAIN ANALYZE EXECUTE IMMEDIATE 'SELECT 1'",
            "EXPLAIN EXECUTE IMMEDIATE 'DELETE FROM t'",
        ] {
            assert_eq!(of(text), Repeat::Twice, "{text}");
        }
    }

    #[test]
    fn what_may_change_something_may_not() {
        for text in [
            "INSERT INTO t VALUES 1",
            "insert into t select 1",
            "/* SELECT */ INSERT INTO t SELECT 1",
            "-- a\nDELETE FROM t",
            "-- SELECT\rUPDATE t SET a = 1",
            "MERGE INTO t USING s ON a WHEN MATCHED THEN DELETE",
            "TRUNCATE TABLE t",
            "CREATE TABLE t AS SELECT 1",
            "CREATE OR REPLACE VIEW v AS SELECT 1",
            "DROP TABLE t",
            "ALTER TABLE t EXECUTE optimize",
            "CALL system.runtime.kill_query('a')",
            "ANALYZE t",
            "REFRESH MATERIALIZED VIEW v",
            "COMMENT ON TABLE t IS 'a'",
            "GRANT SELECT ON t TO u",
            "REVOKE SELECT ON t FROM u",
            "DENY SELECT ON t TO u",
            "USE a.b",
            "SET SESSION a = 1",
            "RESET SESSION a",
            "PREPARE a FROM SELECT 1",
            "DEALLOCATE PREPARE a",
            "START TRANSACTION",
            "COMMIT",
            "ROLLBACK",
            "(INSERT INTO t VALUES 1)",
            "((DELETE FROM t))",
            "(EXPLAIN SELECT 1)",
            "(SHOW TABLES)",
            "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
            "WITH a AS (SELECT 1) DELETE FROM t",
            "WITH a AS (SELECT 1) UPDATE t SET a = 1",
            "SELECT * FROM FINAL TABLE (INSERT INTO t VALUES 1)",
            "SELECT 1 INTO t",
            "EXPLAIN ANALYZE INSERT INTO t VALUES 1",
            "explain analyze delete from t",
            "EXPLAIN ANALYZE UPDATE t SET a = 1",
            "EXPLAIN ANALYZE MERGE INTO t USING s ON a WHEN MATCHED THEN DELETE",
            "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1",
            "EXPLAIN ANALYZE CALL p()",
            "EXPLAIN ANALYZE VERBOSE INSERT INTO t VALUES 1",
            "EXPLAIN--\nANALYZE/* SELECT */VERBOSE INSERT INTO t VALUES 1",
            "EXPLAIN ANALYZE (INSERT INTO t VALUES 1)",
            "EXPLAIN ANALYZE ANALYZE t",
            "EXPLAIN ANALYZE EXPLAIN ANALYZE INSERT INTO t VALUES 1",
            "EXPLAIN EXPLAIN ANALYZE INSERT INTO t VALUES 1",
            "EXPLAIN VERBOSE ANALYZE INSERT INTO t VALUES 1",
            "EXPLAIN (TYPE IO, FORMAT JSON) ANALYZE INSERT INTO t VALUES 1",
            "EXPLAIN (TYPE IO) ANALYZE t",
            "EXPLAIN ANALYZE (TYPE IO) SELECT 1",
            "EXPLAIN (TYPE IO",
            "EXPLAIN",
            "EXPLAIN ANALYZE",
            "EXPLAIN ANALYZE VERBOSE",
            "EXPLAIN ANALYZE t",
            "EXECUTE IMMEDIATE 'INSERT INTO t VALUES 1'",
            "EXECUTE IMMEDIATE 'EXECUTE a'",
            "EXECUTE IMMEDIATE 'EXECUTE IMMEDIATE ''SELECT 1'''",
            "EXECUTE IMMEDIATE 'SELECT 1; DROP TABLE t'",
            "EXECUTE IMMEDIATE 'SELECT ''a'",
            "EXECUTE IMMEDIATE 'SELECT 1' INSERT",
            "EXECUTE IMMEDIATE 'SELECT 1' 'SELECT 2'",
            "EXECUTE IMMEDIATE 'SELECT ''''; -- ''",
            "EXECUTE IMMEDIATE U&'SELECT 1'",
            "EXECUTE IMMEDIATE \"SELECT 1\"",
            "EXECUTE IMMEDIATE 'SELECT * FROM TABLE(c.system.query(query => ''DELETE''))'",
            "EXECUTE IMMEDIATE 'SELECT ?' USING (SELECT a FROM TABLE(c.system.query('b')))",
            "EXECUTE IMMEDIATE ''",
            "EXECUTE IMMEDIATE",
            "EXECUTE 'SELECT 1'",
            "EXECUTE",
            "EXPLAIN ANALYZE EXECUTE IMMEDIATE 'DELETE FROM t'",
            "SELECT * FROM TABLE(c.system.query(query => 'DELETE FROM t'))",
            "SELECT * FROM TABLE(\"c\".\"system\".\"query\"(query => ''))",
            "SELECT * FROM TABLE ( c . system . QUERY ( query => '' ) )",
            "select * from table(c.system.Raw_Query(index => 'a'))",
            "SELECT * FROM TABLE(c.system.\"RAW_query\"(''))",
            "SELECT * FROM TABLE(c.system.query/* ( */--\n('a'))",
            "SELECT * FROM TABLE(c.system.`query`('a'))",
            "SELECT * FROM TABLE(c.system.U&\"\\0071uery\"('a'))",
            "SELECT * FROM TABLE(c.system.procedure(query => 'EXECUTE p'))",
            "SELECT * FROM t AS query (a, b)",
            "WITH a AS (SELECT * FROM TABLE(c.system.query('a'))) SELECT 1",
            "WITH FUNCTION f() RETURNS int RETURN 1 SELECT * FROM TABLE(c.system.query('a'))",
            "WITH SESSION a = 1 SELECT * FROM TABLE(c.system.query('a'))",
            "EXPLAIN SELECT * FROM TABLE(c.system.query('a'))",
            "EXPLAIN ANALYZE SELECT * FROM TABLE(c.system.query('a'))",
            "TABLE query('a')",
            "WITH FUNCTION f() RETURNS int LANGUAGE PYTHON AS $$ it's $$ SELECT query('a') -- '",
            "SELECT {--query('a') 'b'\n query('c')",
            "",
            " ",
            "-- SELECT 1",
            "/* SELECT 1",
            "/* a */",
            ";",
            "; SELECT 1",
            "SELECT 1; SELECT 2",
            "SELECT 1; INSERT INTO t VALUES 1",
            "SELECT 1;;",
            "SELECT 1; /* a",
            "SELECT 1; RETURN 2",
            "WITH FUNCTION f() RETURNS int RETURN 1 SELECT f(); CALL p()",
            "WITH FUNCTION f() RETURNS int BEGIN RETURN 1; CALL p(); END SELECT f()",
            "SELECT 1 /* a",
            "SELECT 1 /*/",
            "SELECT 'a",
            "SELECT 'a''",
            "SELECT \"a",
            "SELECT `a",
            "SELECT\u{a0}1",
            "\u{feff}SELECT 1",
            "SELECT\x0b1",
            "SELECT\x0c1",
            "SELECT ä",
            "SELECT 1\0",
            "SELECT '\0'",
            "SELECT \x1b",
            "SELECT2",
            "_SELECT 1",
            "SELECTION",
            "\"SELECT\" 1",
            "'SELECT' 1",
            "`SELECT` 1",
            "# SELECT 1",
            "{SELECT 1}",
            "()",
            "(",
            "( 'SELECT' )",
            "1",
            "ſELECT 1",
        ] {
            assert_eq!(of(text), Repeat::Once, "{text}");
        }
        assert_eq!(Repeat::of(b"SELECT '\xff'", [].into_iter()), Repeat::Once);
        assert_eq!(Repeat::of(b"SELECT 1 -- \xc3", [].into_iter()), Repeat::Once);
    }

    #[test]
    fn a_prepared_statement_is_judged_by_its_text() {
        for (text, fields, repeat) in [
            ("EXECUTE a", &["a=SELECT+1"][..], Repeat::Twice),
            ("execute a using 1, (2)", &["a=SELECT+%3F%2C%20%3f"], Repeat::Twice),
            ("EXECUTE \"a b\"", &["a+b=SELECT%0A1"], Repeat::Twice),
            ("EXECUTE \"a=b\"", &["a%3Db=SELECT+1"], Repeat::Twice),
            ("EXECUTE a", &["b=DELETE+FROM+t, a=VALUES+1"], Repeat::Twice),
            ("EXECUTE a", &["b=DELETE+FROM+t", " a = VALUES+1 ,"], Repeat::Twice),
            ("EXECUTE a", &["", ",,", "a=%2F%2A+%2A%2FSELECT+%27it%27%27s%27"], Repeat::Twice),
            ("EXECUTE a", &["A=SELECT+1"], Repeat::Twice),
            ("EXECUTE a", &["a=SELECT+1", "A=SHOW+TABLES"], Repeat::Twice),
            ("EXECUTE immediate", &["immediate=SELECT+1"], Repeat::Twice),
            ("EXECUTE immediate USING 'a'", &["immediate=SELECT+1"], Repeat::Twice),
            ("EXPLAIN ANALYZE EXECUTE a", &["a=SELECT+1"], Repeat::Twice),
            ("EXPLAIN EXECUTE a", &["a=DELETE+FROM+t"], Repeat::Twice),
            ("SELECT 1", &["a=DELETE+FROM+t", "%"], Repeat::Twice),
            ("EXECUTE a", &[], Repeat::Once),
            ("EXECUTE a", &["b=SELECT+1"], Repeat::Once),
            ("EXECUTE a", &["a=DELETE+FROM+t"], Repeat::Once),
            ("EXECUTE a", &["a=DELETE+FROM+t", "a=SELECT+1"], Repeat::Once),
            ("EXECUTE a", &["a=SELECT+1,A=DELETE+FROM+t"], Repeat::Once),
            ("EXECUTE a", &["%61=DELETE+FROM+t,a=SELECT+1"], Repeat::Once),
            ("EXECUTE a", &["a=$zstd:KLUv"], Repeat::Once),
            ("EXECUTE a", &["a=%24zstd%3AKLUv"], Repeat::Once),
            ("EXECUTE a", &["a="], Repeat::Once),
            ("EXECUTE a", &["a"], Repeat::Once),
            ("EXECUTE a", &["a=SELECT+1", "b"], Repeat::Once),
            ("EXECUTE a", &["a=SELECT+1=1"], Repeat::Once),
            ("EXECUTE a", &["a=SELECT+%"], Repeat::Once),
            ("EXECUTE a", &["a=SELECT+%2"], Repeat::Once),
            ("EXECUTE a", &["a=SELECT+%+2"], Repeat::Once),
            ("EXECUTE a", &["a=SELECT+%00"], Repeat::Once),
            ("EXECUTE a", &["a=SELECT+%27%ff%27"], Repeat::Once),
            ("EXECUTE a", &["%zz=SELECT+1", "a=SELECT+1"], Repeat::Once),
            ("EXECUTE a", &["a=EXECUTE+a"], Repeat::Once),
            ("EXECUTE a", &["a=EXECUTE+IMMEDIATE+%27SELECT+1%27"], Repeat::Once),
            ("EXECUTE a", &["a=SELECT+%2A+FROM+TABLE(c.system.query(%27%27))"], Repeat::Once),
            ("EXECUTE \"a\"\"b\"", &["a%22b=SELECT+1"], Repeat::Once),
            ("EXECUTE a.b", &["a=SELECT+1"], Repeat::Once),
            ("EXECUTE a 'b'", &["a=SELECT+1"], Repeat::Once),
            ("EXECUTE a; DELETE", &["a=SELECT+1"], Repeat::Once),
            ("EXECUTE a USING query(1)", &["a=SELECT+1"], Repeat::Once),
            ("EXPLAIN ANALYZE EXECUTE a", &["a=DELETE+FROM+t"], Repeat::Once),
            ("EXECUTE ä", &["ä=SELECT+1"], Repeat::Once),
        ] {
            let fields = fields.iter().map(|field| field.as_bytes());
            assert_eq!(Repeat::of(text.as_bytes(), fields), repeat, "{text}");
        }
    }

    #[test]
    fn a_statement_of_a_megabyte_is_read_once() {
        for part in [
            "(",
            "SELECT ",
            "EXPLAIN ",
            "EXPLAIN ANALYZE ",
            "EXECUTE ",
            "EXECUTE IMMEDIATE '",
            "'",
            "''",
            "--",
            "/**/",
            "/*",
            "\"",
            ";",
            "; ",
            "FUNCTION;a",
            "EXPLAIN (",
            "$",
        ] {
            let text = part.repeat(1_000_000 / part.len());
            let _ = of(&text);
            let _ = of(&format!("SELECT FUNCTION {text}"));
            let _ = of(&format!("EXECUTE IMMEDIATE '{text}'"));
            let field = format!("a=SELECT+1,{text}");
            let _ = Repeat::of(b"EXECUTE a", [field.as_bytes()].into_iter());
        }
    }
}
