//! The answer to a statement: what stands on its pages, as a coordinator writes and a client reads it.

use std::fmt::Write as _;
use std::ops::Range;

use super::scenario::Statement;

/// How many rows the answer to a statement has in all.
pub(crate) fn rows_of(statement: Statement, number: u32) -> u32 {
    match statement {
        Statement::Select => number * 7 % 10,
        // How many rows were written.
        Statement::Insert | Statement::Create => 1,
        Statement::Begin | Statement::Commit => 0,
    }
}

/// The member `columns`; `variant` is empty but for a coordinator that sees other tables.
pub(crate) fn columns(number: u32, variant: &str) -> String {
    format!(
        "\"columns\":[{{\"name\":\"n{number}{variant}\",\"type\":\"bigint\"}},\
         {{\"name\":\"row\",\"type\":\"bigint\"}}],"
    )
}

/// The member `data` with these rows of a statement; nothing without rows.
pub(crate) fn data(number: u32, rows: Range<u32>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = "\"data\":[".to_owned();
    for (place, row) in rows.enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let _ = write!(text, "{comma}[{number},{row}]");
    }
    text + "],"
}

/// The columns that a page shows.
pub(crate) fn columns_on(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("\"columns\":[")?;
    rest.split(']').next()
}

/// The rows on a page, each with the number of its statement and its own.
pub(crate) fn rows_on(text: &str) -> Vec<(u32, u32)> {
    let Some((_, rest)) = text.split_once("\"data\":[") else { return Vec::new() };
    let rows = rest.split("]]").next().unwrap_or_default();
    let row = |text: &str| {
        let (number, row) = text.trim_start_matches('[').split_once(',')?;
        Some((number.parse().ok()?, row.parse().ok()?))
    };
    // What is no row is one of a statement that there is not.
    rows.split("],").map(|text| row(text).unwrap_or((u32::MAX, u32::MAX))).collect()
}

/// The value of a JSON member that is a string; empty without one.
pub(crate) fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.split_once(&format!("\"{name}\":\""));
    found.map_or("", |(_, rest)| rest.split('"').next().unwrap_or_default())
}

/// The path of `nextUri`; empty without one.
pub(crate) fn next_path(text: &str) -> &str {
    let uri = value(text, "nextUri");
    // The proxy says how its client has come.
    let path = uri.strip_prefix("http://a").or_else(|| uri.strip_prefix("https://a"));
    path.unwrap_or_default()
}
