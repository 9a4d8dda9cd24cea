//! The process around the worker: arguments, logs, pid file, user, signals.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use signal_hook::consts::{SIGQUIT, SIGTERM, SIGUSR1};

use crate::config::model::PidFile;
use crate::config::{Main, Notice, Source, load};
use arguments::{Dump, Signal, Talk, Task};
use control::Order;
pub use error::ProcessError;
use program::{VERSION, say};
use rehearsal::Rehearsal;

pub mod access_logs;
pub mod arguments;
pub mod control;
mod daemon;
pub mod error;
pub mod logger;
pub mod pid;
pub mod port;
mod program;
mod rehearsal;
pub mod reloads;
mod serve;
pub mod sink;
pub mod state;
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
        | ProcessError::Control(_)
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
        Task::Order(source, order) => command(&source, &order),
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

/// Gives a command to the process whose control socket the configuration names.
fn command(source: &Source, order: &Order) -> Result<(), ProcessError> {
    let loaded = load(source).map_err(ProcessError::Config)?;
    let say = |text: &str| {
        // A reader that closes the stream early has seen enough.
        let _ = io::stdout().write_all(text.as_bytes());
        let _ = io::stdout().flush();
    };
    control::carry_out(order, &loaded.config.process.control, say).map_err(ProcessError::Control)
}

/// The name of a configuration in messages.
fn shown(source: &Source) -> String {
    match &source.main {
        Main::File(path) => path.display().to_string(),
        Main::Text { name, .. } => name.clone(),
    }
}

/// What `-V` reports about this build.
const FEATURES: &str = match cfg!(target_os = "linux") {
    true => "http stream proxy_protocol h2c_tunnel splice",
    false => "http stream proxy_protocol h2c_tunnel",
};
