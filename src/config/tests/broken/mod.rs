//! Broken files, each with the whole diagnostic that an operator sees; a file for each family of
//! directives.

mod control;
mod directives;
mod health;
mod listen;
mod location;
mod log;
mod syntax;
mod upstream;
mod values;

use crate::config::parse_text;

/// A text is refused with exactly this diagnostic.
#[track_caller]
pub(super) fn refused(text: &str, expected: &str) {
    match parse_text("a.conf", text.as_bytes()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => assert_eq!(error.to_string(), expected.trim_matches('\n'), "\n{text}"),
    }
}
