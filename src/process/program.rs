//! The program as its operator knows it: its name, and its voice on stderr.

use std::fmt;
use std::io::{self, Write};

/// Prints one line for the operator on stderr. A closed stream is not an error.
pub(super) fn say(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Name and version, as in nginx's `-v`.
pub(super) const VERSION: &str = concat!("switchover/", env!("CARGO_PKG_VERSION"));
