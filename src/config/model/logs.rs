//! Where log lines go, and how access logs are written.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::model::ids::{FormatId, LogId};
use crate::config::model::template::Template;

/// One `error_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorLog {
    /// The destination of its lines.
    pub to: LogSink,
    /// The least severe level that passes.
    pub level: log::LevelFilter,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LogSink {
    /// The standard error stream.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}

/// `access_log PATH [FORMAT]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTo {
    /// The file.
    pub log: LogId,
    /// The format of its lines.
    pub format: FormatId,
}

/// A file that access log lines go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// The file's path; `/dev/stdout` and `/dev/stderr` are paths too.
    pub path: PathBuf,
    /// `buffer=`: bytes collected before a write.
    pub buffer: usize,
    /// `flush=`: how long a line may wait.
    pub flush: Duration,
}

/// `log_format NAME [escape=…] STRING …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFormat {
    /// Its name; `combined` always exists.
    pub name: Box<str>,
    /// How variables' values are escaped.
    pub escape: Escape,
    /// The line, without its newline.
    pub line: Template,
}

/// How a variable's value is made safe for a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// `"`, `\` and bytes below 32 or above 126 as `\xXX`; a missing value as `-`.
    Default,
    /// As in a JSON string; a missing value is empty.
    Json,
    /// Not escaped.
    None,
}
