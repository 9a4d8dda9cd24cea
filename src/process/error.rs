//! Why the process cannot start, or cannot carry out its task.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::arguments::ArgumentError;
use super::control::ControlError;
use crate::config::ConfigError;
use crate::worker::ListenError;

/// Why the process cannot start, or cannot carry out its task.
#[derive(Debug)]
pub enum ProcessError {
    /// The command line is invalid.
    Arguments(ArgumentError),
    /// The configuration is invalid.
    Config(ConfigError),
    /// The configuration is invalid, and was only to be tested.
    TestFailed {
        /// Its name in messages.
        name: String,
        /// What is wrong.
        error: ConfigError,
    },
    /// Something else that a start needs is missing, and was only to be tested; reported already.
    CannotStart {
        /// The configuration's name in messages.
        name: String,
    },
    /// An address that cannot be bound.
    Listen(ListenError),
    /// A log or pid file that cannot be opened.
    Open {
        /// Its path.
        path: PathBuf,
        /// The reason.
        reason: io::Error,
    },
    /// A pid file without a process id.
    NoPid(PathBuf),
    /// `pid off`, or a configuration without a file: no process can be signalled.
    PidOff,
    /// A command to a running process that was not carried out.
    Control(ControlError),
    /// A process that cannot be signalled.
    Kill {
        /// Its process id.
        pid: i32,
        /// The reason.
        reason: io::Error,
    },
    /// A reload of another process that failed.
    Reload {
        /// Its process id.
        pid: i32,
        /// The reason.
        why: String,
    },
    /// A user or group that is not found, or that the process cannot change to.
    User {
        /// Its name.
        name: String,
        /// The reason.
        reason: io::Error,
    },
    /// The background process ended before it served.
    Background {
        /// The signal that ended it; `None` if it exited and reported the reason itself.
        signal: Option<i32>,
    },
    /// A system call failed that the process cannot do without.
    System {
        /// Its purpose.
        what: &'static str,
        /// The reason.
        reason: io::Error,
    },
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = Path::display;
        match self {
            ProcessError::Config(error) => write!(f, "{error}"),
            ProcessError::TestFailed { name, error } => {
                write!(f, "{error}\nswitchover: configuration file {name} test failed")
            }
            ProcessError::CannotStart { name } => {
                write!(f, "configuration file {name} test failed")
            }
            ProcessError::Arguments(error @ ArgumentError::NoFile(_)) => write!(f, "{error}"),
            ProcessError::Arguments(error) => write!(f, "{error}; -h shows the options"),
            ProcessError::Listen(error) => write!(f, "{error}"),
            ProcessError::Open { path, reason } => {
                write!(f, "cannot open \"{}\": {reason}", show(path))
            }
            ProcessError::NoPid(path) => write!(f, "\"{}\" holds no process id", show(path)),
            ProcessError::PidOff => {
                f.write_str("there is no pid file to find the process by; -g 'pid FILE;' names one")
            }
            ProcessError::Control(error) => write!(f, "{error}"),
            ProcessError::Kill { pid, reason } => {
                write!(f, "cannot signal process {pid}: {reason}")
            }
            ProcessError::Reload { pid, why } => {
                write!(f, "process {pid} has not reloaded: {why}")
            }
            ProcessError::User { name, reason } if reason.kind() == io::ErrorKind::NotFound => {
                write!(f, "user \"{name}\": there is no such user or group")
            }
            ProcessError::User { name, reason } => write!(f, "user \"{name}\": {reason}"),
            ProcessError::Background { signal: Some(signal) } => {
                write!(f, "signal {signal} ended the process in the background")
            }
            ProcessError::Background { signal: None } => {
                f.write_str("the process in the background did not start")
            }
            ProcessError::System { what, reason } => write!(f, "{what} failed: {reason}"),
        }
    }
}

impl From<ListenError> for ProcessError {
    fn from(error: ListenError) -> ProcessError {
        ProcessError::Listen(error)
    }
}
