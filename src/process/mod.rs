//! The process around the worker: arguments, logs, pid file, user, signals.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use signal_hook::consts::{SIGQUIT, SIGTERM, SIGUSR1};

use crate::config::model::PidFile;
use crate::config::{self, ConfigError, Loaded, Main, Notice, Source};
use crate::worker::ListenError;
use arguments::{ArgumentError, Dump, Signal, Talk, Task};
use rehearsal::Rehearsal;

pub mod access_logs;
pub mod arguments;
mod daemon;
pub mod logger;
pub mod pid;
pub mod port;
mod rehearsal;
pub mod reloads;
mod serve;
pub mod sink;
pub mod system;

/// Runs the task of the command line; the first argument is the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = match arguments::parse(args, Path::exists) {
        Ok(task) => perform(task),
        Err(error) => Err(ProcessError::Arguments(error)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Reports why the process ends: in the logs, and on stderr if no log goes there.
fn report(error: &ProcessError) {
    // A diagnostic of the configuration has several lines and needs no program name.
    let name = match error {
        ProcessError::Background { signal: None } => return,
        ProcessError::Config(error) | ProcessError::TestFailed { error, .. } => {
            log::error!("{}", error.brief());
            ""
        }
        ProcessError::Arguments(_)
        | ProcessError::CannotStart { .. }
        | ProcessError::Listen(_)
        | ProcessError::Open { .. }
        | ProcessError::NoPid(_)
        | ProcessError::PidOff
        | ProcessError::Kill { .. }
        | ProcessError::Reload { .. }
        | ProcessError::User { .. }
        | ProcessError::Background { signal: Some(_) }
        | ProcessError::System { .. } => {
            log::error!("{error}");
            "switchover: "
        }
    };
    logger::finish();
    if !logger::shows_on_stderr(log::Level::Error) {
        logger::say_on_stderr(&format!("{name}{error}"));
    }
}

fn perform(task: Task) -> Result<(), ProcessError> {
    match task {
        Task::Run(source) => serve::serve(source),
        Task::Test { source, dump, talk } => test(&source, dump, talk),
        Task::Signal(source, signal) => tell(&source, signal),
        Task::Version => {
            say(format_args!("switchover version: {VERSION}"));
            Ok(())
        }
        Task::Features => {
            say(format_args!("switchover version: {VERSION}\nfeatures: {FEATURES}"));
            Ok(())
        }
        Task::Help => {
            // A reader that closes the stream early has seen enough.
            let _ = write!(io::stdout(), "switchover version: {VERSION}\n{}", arguments::HELP);
            Ok(())
        }
    }
}

/// Loads a configuration. One made from options has a pid file only if `-g` sets it.
fn load(source: &Source) -> Result<Loaded, ConfigError> {
    let mut loaded = config::load(source)?;
    if let (Main::Text { .. }, PidFile::Default(_)) = (&source.main, &loaded.config.process.pid) {
        loaded.config.process.pid = PidFile::Off;
    }
    Ok(loaded)
}

/// Reports whether a configuration is valid, in nginx's words.
fn test(source: &Source, dump: Dump, talk: Talk) -> Result<(), ProcessError> {
    let name = shown(source);
    let loaded =
        load(source).map_err(|error| ProcessError::TestFailed { name: name.clone(), error })?;
    let rehearsal = Rehearsal::of(&loaded.config);
    if talk == Talk::All {
        loaded.notices.iter().for_each(say_notice);
        rehearsal.warnings.iter().for_each(|w| say(format_args!("switchover: [warn] {w}")));
        say(format_args!("switchover: the configuration file {name} syntax is ok"));
    }
    if !rehearsal.errors.is_empty() {
        rehearsal.errors.iter().for_each(|error| say(format_args!("switchover: {error}")));
        return Err(ProcessError::CannotStart { name });
    }
    if talk == Talk::All {
        say(format_args!("switchover: configuration file {name} test is successful"));
    }
    if dump == Dump::All {
        let mut out = io::stdout().lock();
        for file in &loaded.files {
            // A reader that closes the stream early has seen enough.
            let _ = writeln!(out, "# configuration file {}:", file.path.display());
            let _ = out.write_all(&file.text);
            let _ = writeln!(out);
        }
    }
    Ok(())
}

fn say_notice(notice: &Notice) {
    let level = notice.level.as_str().to_ascii_lowercase();
    say(format_args!("switchover: [{level}] {notice}"));
}

/// Signals the process whose pid file the configuration names.
fn tell(source: &Source, signal: Signal) -> Result<(), ProcessError> {
    let loaded = load(source).map_err(ProcessError::Config)?;
    let path = match loaded.config.process.pid {
        PidFile::Default(path) | PidFile::At(path) => path,
        PidFile::Off => return Err(ProcessError::PidOff),
    };
    let pid = pid::read_pid(&path)?;
    let number = match signal {
        Signal::Stop => SIGTERM,
        Signal::Quit => SIGQUIT,
        Signal::Reload => return reloads::reload(pid, &path),
        Signal::Reopen => SIGUSR1,
    };
    system::kill(pid, number).map_err(|reason| ProcessError::Kill { pid, reason })
}

/// The name of a configuration in messages.
fn shown(source: &Source) -> String {
    match &source.main {
        Main::File(path) => path.display().to_string(),
        Main::Text { name, .. } => name.clone(),
    }
}

/// Prints one line for the operator on stderr. A closed stream is not an error.
fn say(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Name and version, as in nginx's `-v`.
const VERSION: &str = concat!("switchover/", env!("CARGO_PKG_VERSION"));
/// What `-V` reports about this build.
const FEATURES: &str = match cfg!(target_os = "linux") {
    true => "http stream proxy_protocol h2c_tunnel splice",
    false => "http stream proxy_protocol h2c_tunnel",
};

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
