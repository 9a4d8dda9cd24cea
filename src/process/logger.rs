//! Error logs, in nginx's format, or in the journal's if stderr is connected to it.
//!
//! Lines are collected until [`flush`], which the main loop calls once per turn. The `log` crate
//! requires a static; it is the only one, and it stays in this file.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};
use time::{OffsetDateTime, UtcOffset};

use super::error::ProcessError;
use super::port::{self, STDERR};
use super::sink::{Sink, SinkChange};
use crate::config::model::{ErrorLog, LogSink};
use crate::time::Time;

/// The one logger.
static LOGGER: Logger = Logger { sinks: Mutex::new(Sinks::none()) };

/// Passes each record to every sink whose level lets it through.
struct Logger {
    sinks: Mutex<Sinks>,
}

/// Open sinks that are not yet in use: see [`install`].
pub struct Sinks {
    all: Vec<ErrorSink>,
    /// The local offset. It cannot be read while there are several threads, so the last value is
    /// kept.
    offset: UtcOffset,
    /// When [`flush`] was last called.
    now: Time,
}

struct ErrorSink {
    level: LevelFilter,
    style: Style,
    sink: Sink,
}

/// The prefix of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Date, level and process, as in nginx.
    Dated,
    /// A priority: the journal adds the rest.
    Priority,
}

/// Opens all error logs, creating files that do not exist.
///
/// # Errors
/// The first file that cannot be opened.
pub fn open(logs: &[ErrorLog]) -> Result<Sinks, ProcessError> {
    let Sinks { offset, now, .. } = *lock();
    let mut sinks = Sinks { offset, now, ..Sinks::none() };
    sinks.look_at_clock();
    for log in logs {
        let path = match &log.to {
            LogSink::Stderr => Path::new(STDERR),
            LogSink::File(path) => path,
        };
        sinks.all.push(ErrorSink::open(log.level, path)?);
    }
    Ok(sinks)
}

/// Uses these sinks from now on. Waiting lines of earlier sinks are kept.
pub fn install(new: Sinks) {
    let mut sinks = lock();
    let earlier = std::mem::replace(&mut *sinks, new);
    for mut old in earlier.all {
        match sinks.all.iter_mut().find(|log| log.sink.path() == old.sink.path()) {
            Some(log) => log.sink.take_over(old.sink),
            None if old.sink.is_settled() => {}
            None => {
                old.level = LevelFilter::Off;
                sinks.all.push(old);
            }
        }
    }
    log::set_max_level(sinks.level());
    // Fails only if this logger is already set.
    let _ = log::set_logger(&LOGGER);
}

/// Writes waiting lines as far as there is room. Returns when to call this again at the latest.
pub fn flush(now: Time) -> Time {
    lock().flush(now)
}

/// Writes waiting lines before the process ends; waits a short time for room.
pub fn finish() {
    lock().finish();
}

/// Reopens all files, which may have been renamed.
///
/// # Errors
/// The first file that cannot be opened. Such files stay open as they were.
pub fn reopen() -> Result<(), ProcessError> {
    let mut sinks = lock();
    sinks.look_at_clock();
    let mut failed = None;
    for sink in &mut sinks.all {
        if let Err(error) = sink.sink.reopen() {
            failed = failed.or(Some(error));
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Releases the stream that was standard error before the process went into the background.
pub fn leave_stderr() {
    for log in lock().all.iter_mut().filter(|log| log.is_stderr()) {
        // The standard error stream is `/dev/null` now.
        let _ = log.sink.reopen();
    }
}

/// Whether messages of this level appear on stderr.
pub fn shows_on_stderr(level: Level) -> bool {
    lock().all.iter().any(|sink| sink.is_stderr() && level <= sink.level)
}

/// Prints a message for the operator on stderr, whatever logs there are. Waits a short time for
/// room.
pub fn say_on_stderr(text: &str) {
    if let Some(mut stderr) = stderr_with(text) {
        stderr.finish();
    }
}

/// Makes a panic leave its message in all logs and on stderr.
pub fn note_panics() {
    std::panic::set_hook(Box::new(|info| {
        let trace = Backtrace::capture();
        let text = match trace.status() == BacktraceStatus::Captured {
            true => format!("{info}\n{trace}"),
            false => info.to_string(),
        };
        // The panicking thread may hold the lock; then only stderr is left.
        let told = LOGGER.sinks.try_lock().is_ok_and(|mut sinks| {
            sinks.gather(Level::Error, &text);
            sinks.finish();
            sinks.all.iter().any(ErrorSink::is_stderr)
        });
        if !told {
            say_on_stderr(&text);
        }
    }));
}

/// A thread that panicked while it held the lock left no inconsistent state.
fn lock() -> MutexGuard<'static, Sinks> {
    LOGGER.sinks.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let mut sinks = lock();
        if record.level() <= sinks.level() {
            sinks.gather(record.level(), &record.args().to_string());
        }
    }

    fn flush(&self) {
        finish();
    }
}

impl Sinks {
    const fn none() -> Sinks {
        Sinks { all: Vec::new(), offset: UtcOffset::UTC, now: Time::ZERO }
    }

    /// The most verbose level of all logs.
    fn level(&self) -> LevelFilter {
        self.all.iter().map(|sink| sink.level).max().unwrap_or(LevelFilter::Off)
    }

    /// Reads the local offset, which may have changed with daylight saving time.
    fn look_at_clock(&mut self) {
        self.offset = UtcOffset::local_offset_at(utc_now()).unwrap_or(self.offset);
    }

    fn gather(&mut self, level: Level, message: &str) {
        let at = utc_now().to_offset(self.offset);
        for log in self.all.iter_mut().filter(|log| level <= log.level) {
            log.push(at, level, message, self.now);
        }
    }

    fn flush(&mut self, now: Time) -> Time {
        self.now = now;
        self.all.iter_mut().for_each(|log| log.sink.flush(now));
        if self.report_changes() {
            self.all.iter_mut().for_each(|log| log.sink.flush(now));
        }
        // A log of an earlier configuration is closed once its last lines are written.
        self.all.retain(|log| log.level > LevelFilter::Off || !log.sink.is_settled());
        self.all.iter().map(|log| log.sink.next_try()).min().unwrap_or(Time::NEVER)
    }

    fn finish(&mut self) {
        self.all.iter_mut().for_each(|log| log.sink.finish());
        if self.report_changes() {
            self.all.iter_mut().for_each(|log| log.sink.finish());
        }
    }

    /// Reports a failing log in the other logs, and a recovered one in all. Returns whether there
    /// was anything to report.
    fn report_changes(&mut self) -> bool {
        let changes: Vec<(usize, SinkChange)> = self
            .all
            .iter_mut()
            .enumerate()
            .filter_map(|(place, log)| Some((place, log.sink.change()?)))
            .collect();
        for (place, change) in &changes {
            let Some(subject) = self.all.get(*place) else { continue };
            let message = change.line(subject.sink.path());
            let at = utc_now().to_offset(self.offset);
            for (other, log) in self.all.iter_mut().enumerate() {
                if other != *place || matches!(change, SinkChange::Works { .. }) {
                    log.push(at, Level::Error, &message, self.now);
                }
            }
            if !self.all.iter().any(ErrorSink::is_stderr)
                && let Some(mut stderr) = stderr_with(&format!("switchover: {message}"))
            {
                stderr.flush(self.now);
            }
        }
        !changes.is_empty()
    }
}

impl ErrorSink {
    fn open(level: LevelFilter, path: &Path) -> Result<ErrorSink, ProcessError> {
        let sink = Sink::open(path)?;
        let journal = path == Path::new(STDERR) && port::stderr_is_journal();
        let style = if journal { Style::Priority } else { Style::Dated };
        Ok(ErrorSink { level, style, sink })
    }

    fn push(&mut self, at: OffsetDateTime, level: Level, message: &str, now: Time) {
        self.sink.push(self.style.line(at, level, message).as_bytes(), now);
    }

    fn is_stderr(&self) -> bool {
        self.sink.path() == Path::new(STDERR)
    }
}

impl Style {
    /// `2026/11/22 20:05:23 [warn] 1234#0: message`, or `<4>message`.
    fn line(self, at: OffsetDateTime, level: Level, message: &str) -> String {
        let message = message.replace('\n', " ");
        match self {
            Style::Priority => format!("<{}>{message}\n", priority(level)),
            Style::Dated => {
                let (year, month, day) = at.to_calendar_date();
                let (hour, minute, second) = at.to_hms();
                let month = u8::from(month);
                let level = level.as_str().to_ascii_lowercase();
                let pid = std::process::id();
                format!(
                    "{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02} \
                     [{level}] {pid}#0: {message}\n"
                )
            }
        }
    }
}

/// The priorities of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// The standard error stream, with a message waiting to be written.
fn stderr_with(text: &str) -> Option<Sink> {
    let mut stderr = Sink::open(Path::new(STDERR)).ok()?;
    let journal = port::stderr_is_journal();
    for line in text.lines() {
        let priority =
            if journal { format!("<{}>", priority(Level::Error)) } else { String::new() };
        stderr.push(format!("{priority}{line}\n").as_bytes(), Time::ZERO);
    }
    Some(stderr)
}

#[allow(clippy::disallowed_methods)] // the logger is where the wall clock is read
fn utc_now() -> OffsetDateTime {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn lines_look_like_those_of_nginx_or_of_the_journal() {
        let at = datetime!(2026-11-02 08:05:03 UTC);
        let expected = format!("2026/11/02 08:05:03 [warn] {}#0: a b\n", std::process::id());
        assert_eq!(Style::Dated.line(at, Level::Warn, "a\nb"), expected);
        assert_eq!(Style::Priority.line(at, Level::Error, "a\nb"), "<3>a b\n");
        assert_eq!(Style::Priority.line(at, Level::Debug, "a"), "<7>a\n");
    }

    #[test]
    fn files_exist_from_the_start_and_get_lines_of_their_levels() {
        let dir = tempfile::tempdir().unwrap();
        let log = |name: &str, level| ErrorLog { to: LogSink::File(dir.path().join(name)), level };
        let logs = [log("warn", LevelFilter::Warn), log("info", LevelFilter::Info)];
        let mut sinks = open(&logs).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("warn"), "");
        sinks.gather(Level::Info, "a");
        sinks.gather(Level::Warn, "b");
        assert_eq!(sinks.flush(Time::ZERO), Time::NEVER);
        assert_eq!(read("info").lines().count(), 2);
        assert!(read("warn").ends_with("#0: b\n") && read("warn").lines().count() == 1);
    }

    #[test]
    fn a_log_that_fails_is_told_in_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let log =
            |path: &Path| ErrorLog { to: LogSink::File(path.into()), level: LevelFilter::Warn };
        let mut sinks = open(&[log(Path::new("/dev/full")), log(&path)]).unwrap();
        sinks.gather(Level::Warn, "a");
        assert!(sinks.flush(Time::ZERO) > Time::ZERO);
        let text = std::fs::read_to_string(&path).unwrap();
        let told: Vec<&str> = text.lines().filter_map(|line| line.split("#0: ").nth(1)).collect();
        let [first, second] = told.as_slice() else { panic!("{text}") };
        assert!(*first == "a" && second.starts_with("cannot write to \"/dev/full\": No space"));
    }
}
