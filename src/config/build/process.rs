//! The main context and `events {}`.

use crate::config::build::block::{Block, at, first, others, unsupported};
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::build::remark::Remark;
use crate::config::diagnostic::Fault;
use crate::config::model::{Control, ErrorLog, LogSink, PidFile, Process, StateFile, User};
use crate::config::text::tree::Directive;
use crate::config::text::value::{self, UnresolvedAddress};

/// How the process runs.
pub(super) fn process(builder: &mut Builder, main: Block<'_>) -> Process {
    let events = main.one("events").map_or(Block(&[]), Block::of);
    builder.keep(main.switch("master_process"));
    let workers = worker_processes(builder, main);
    builder.keep(workers);
    let mut process = Process {
        pid: match main.word("pid") {
            None => PidFile::Default(builder.around.prefix.join("switchover.pid")),
            Some(word) if word.text == "off" => PidFile::Off,
            Some(word) => PidFile::At(builder.path(word)),
        },
        control: Control::Off,
        state: StateFile::Off,
        error_logs: error_logs(builder, main),
        daemon: false,
        user: main.one("user").map(|directive| User {
            name: first(directive).text.clone(),
            group: others(directive).first().map(|word| word.text.clone()),
        }),
        rlimit_nofile: builder.keep(main.number("worker_rlimit_nofile", 1, u64::MAX)).flatten(),
        shutdown_timeout: builder.keep(main.time("worker_shutdown_timeout")).flatten(),
        worker_connections: WORKER_CONNECTIONS,
        splice: true,
        buffer_memory: BUFFER_MEMORY,
    };
    let control = control(builder, main, &process.pid);
    process.control = builder.keep(control).unwrap_or(Control::Off);
    process.state = state(builder, main, &process.control);
    builder.set(&mut process.daemon, main.switch("daemon"));
    builder.set(&mut process.splice, main.switch("splice"));
    let connections = events.number("worker_connections", 8, 10_000_000);
    builder.set(&mut process.worker_connections, connections);
    let memory = events.size("worker_buffer_memory", LEAST_MEMORY, u64::MAX);
    builder.set(&mut process.buffer_memory, memory);
    process
}

/// `control`, by default beside the pid file.
fn control(builder: &Builder, main: Block<'_>, pid: &PidFile) -> Result<Control, Fault> {
    let Some(word) = main.word("control") else {
        return Ok(match pid {
            PidFile::Default(pid) => Control::Default(pid.with_file_name(SOCKET)),
            PidFile::At(pid) => Control::Default(pid.with_file_name(SOCKET)),
            PidFile::Off => Control::Off,
        });
    };
    if word.text == "off" {
        return Ok(Control::Off);
    }
    if !word.text.starts_with("unix:") {
        let allowed = "unix:PATH, off";
        return at(word, BuildError::Choice { found: word.text.clone(), allowed });
    }
    match value::place(&word.text).map_err(|e| Fault::new(word.at, e))? {
        UnresolvedAddress::Unix(path) => Ok(Control::At(builder.around.prefix.join(path))),
        UnresolvedAddress::Inet(..) => unreachable!("it begins with unix:"),
    }
}

/// `state`, by default beside the control socket.
fn state(builder: &Builder, main: Block<'_>, control: &Control) -> StateFile {
    match (main.word("state"), control) {
        (Some(word), _) if word.text == "off" => StateFile::Off,
        (Some(word), _) => StateFile::At(builder.path(word)),
        (None, Control::Default(socket) | Control::At(socket)) => {
            StateFile::Default(socket.with_file_name(STATE))
        }
        (None, Control::Off) => StateFile::Off,
    }
}

fn worker_processes(builder: &mut Builder, main: Block<'_>) -> Result<(), Fault> {
    let Some(word) = main.word("worker_processes") else { return Ok(()) };
    if word.text != "auto" && main.number("worker_processes", 1, 100_000)? != Some(1_u32) {
        builder.remark(word.at, Remark::OneWorker);
    }
    Ok(())
}

/// The `error_log`s of all contexts: a log line does not know which server it concerns.
fn error_logs(builder: &mut Builder, main: Block<'_>) -> Vec<ErrorLog> {
    let mut logs = Vec::new();
    gather_error_logs(builder, main, Depth::Main, &mut logs);
    if logs.is_empty() {
        let to = builder.around.error_log.clone();
        logs.push(ErrorLog { to, level: log::LevelFilter::Info });
    }
    logs
}

fn gather_error_logs(
    builder: &mut Builder,
    block: Block<'_>,
    depth: Depth,
    logs: &mut Vec<ErrorLog>,
) {
    for directive in block.all() {
        match directive.name.as_str() {
            "error_log" => {
                if depth == Depth::Inside {
                    builder.remark(directive.at, Remark::ErrorLogEverywhere);
                }
                if let Some(log) = builder.keep(error_log(builder, directive)) {
                    add_error_log(logs, log);
                }
            }
            "http" | "stream" | "server" | "location" => {
                gather_error_logs(builder, Block::of(directive), Depth::Inside, logs);
            }
            _ => {}
        }
    }
}

fn error_log(builder: &Builder, directive: &Directive) -> Result<ErrorLog, Fault> {
    let path = first(directive);
    let to = match path.text.as_str() {
        "stderr" => LogSink::Stderr,
        text if text.starts_with("syslog:") || text.starts_with("memory:") => {
            return unsupported(path, "messages go to files or stderr");
        }
        "" => {
            return at(path, BuildError::Choice { found: String::new(), allowed: "PATH, stderr" });
        }
        _ => LogSink::File(builder.path(path)),
    };
    let level = match others(directive).first() {
        None => log::LevelFilter::Warn,
        Some(word) => match word.text.as_str() {
            "debug" => log::LevelFilter::Debug,
            "info" | "notice" => log::LevelFilter::Info,
            "warn" => log::LevelFilter::Warn,
            "error" | "crit" | "alert" | "emerg" => log::LevelFilter::Error,
            other => {
                let allowed = "debug, info, notice, warn, error, crit, alert, emerg";
                return at(word, BuildError::Choice { found: other.into(), allowed });
            }
        },
    };
    Ok(ErrorLog { to, level })
}

/// Whether the search is inside a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Main,
    Inside,
}

/// Adds a log. If it already exists, the more verbose level applies.
fn add_error_log(logs: &mut Vec<ErrorLog>, log: ErrorLog) {
    match logs.iter_mut().find(|known| known.to == log.to) {
        Some(known) => known.level = known.level.max(log.level),
        None => logs.push(log),
    }
}

/// Name of the default control socket.
const SOCKET: &str = "switchover.sock";
/// Name of the default state file.
const STATE: &str = "switchover.state";
/// Default for `worker_connections` (nginx: 512, too few when each session needs two sockets).
const WORKER_CONNECTIONS: usize = 16384;
/// Default for `worker_buffer_memory`, in bytes: four thousand busy sessions, or a hundred of
/// Trino's largest heads.
const BUFFER_MEMORY: usize = 256 << 20;
/// The least `worker_buffer_memory`, in bytes: a few requests must always fit.
const LEAST_MEMORY: u64 = 1 << 20;
