//! The program as its operator knows it: its name, its voice on stderr, and how it reads its file.

use std::fmt;
use std::io::{self, Write};

use crate::config::model::PidFile;
use crate::config::{self, ConfigError, Loaded, Main, Source};

/// Loads a configuration. One made from options has a pid file only if `-g` sets it.
pub(super) fn load(source: &Source) -> Result<Loaded, ConfigError> {
    let mut loaded = config::load(source)?;
    if let (Main::Text { .. }, PidFile::Default(_)) = (&source.main, &loaded.config.process.pid) {
        loaded.config.process.pid = PidFile::Off;
    }
    Ok(loaded)
}

/// Prints one line for the operator on stderr. A closed stream is not an error.
pub(super) fn say(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Name and version, as in nginx's `-v`.
pub(super) const VERSION: &str = concat!("switchover/", env!("CARGO_PKG_VERSION"));
