//! Where messages go: stderr by `simple_logger`, files (stderr too, if it is one) by lines like
//! nginx's.
//!
//! Lines for files gather in memory until [`flush`], which the main loop calls once a turn.
//! The `log` crate wants a static; it is the only one, and it stays in this file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;
use time::{OffsetDateTime, UtcOffset};

use super::ProcessError;
use super::files;
use super::system;
use crate::config::model::{ErrorLog, LogSink};

/// The one logger.
static LOGGER: Logger = Logger { sinks: Mutex::new(Sinks::none()) };

/// Passes each record to every sink whose level lets it through.
struct Logger {
    sinks: Mutex<Sinks>,
}

/// Open places for messages, not yet in use: see [`install`].
pub struct Sinks {
    stderr: Option<Stderr>,
    files: Vec<FileSink>,
    /// Asking for it fails while there are several threads; the last answer is kept.
    offset: UtcOffset,
}

struct Stderr {
    level: LevelFilter,
    logger: SimpleLogger,
}

struct FileSink {
    level: LevelFilter,
    path: PathBuf,
    file: File,
    waiting: Vec<u8>,
    state: Writing,
}

/// Whether the latest write worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Works,
    /// And that has been said.
    Fails,
}

/// Opens all error logs, creating files that do not exist.
///
/// # Errors
/// The first file that cannot be opened.
pub fn open(logs: &[ErrorLog]) -> Result<Sinks, ProcessError> {
    let offset = lock().offset;
    let mut sinks = Sinks { offset, ..Sinks::none() };
    sinks.look_at_clock();
    for log in logs {
        match &log.to {
            // `simple_logger` panics where a write fails, as on a disk that is full.
            LogSink::Stderr if files::stderr_is_file() => {
                sinks.files.push(FileSink::open(log.level, Path::new(STDERR))?);
            }
            LogSink::Stderr => sinks.stderr = Some(Stderr::new(log.level, sinks.offset)),
            LogSink::File(path) => sinks.files.push(FileSink::open(log.level, path)?),
        }
    }
    Ok(sinks)
}

/// Uses these sinks from now on.
pub fn install(sinks: Sinks) {
    flush();
    let file_levels = sinks.files.iter().map(|sink| sink.level);
    let levels = file_levels.chain(sinks.stderr.iter().map(|stderr| stderr.level));
    log::set_max_level(levels.max().unwrap_or(LevelFilter::Off));
    *lock() = sinks;
    // Fails only if this logger is the one already.
    let _ = log::set_logger(&LOGGER);
}

/// Writes what waits for files.
pub fn flush() {
    lock().flush();
}

/// Opens all files again, which may have been renamed.
///
/// # Errors
/// The first file that cannot be opened. Those that cannot be are kept as they were.
pub fn reopen() -> Result<(), ProcessError> {
    let mut sinks = lock();
    sinks.flush();
    sinks.look_at_clock();
    let mut failed = None;
    for sink in &mut sinks.files {
        match files::open_log(&sink.path) {
            Ok(file) => (sink.file, sink.state) = (file, Writing::Works),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Whether messages of that level appear on stderr.
pub fn shows_on_stderr(level: Level) -> bool {
    let sinks = lock();
    let on_file = |sink: &FileSink| sink.path == Path::new(STDERR) && level <= sink.level;
    sinks.stderr.as_ref().is_some_and(|stderr| level <= stderr.level)
        || sinks.files.iter().any(on_file)
}

/// Lets a panic leave its message in the files too.
pub fn note_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Whoever panics may hold the lock; then there is nothing to be done.
        if let Ok(mut sinks) = LOGGER.sinks.try_lock() {
            sinks.gather(Level::Error, &info.to_string().replace('\n', " "));
            sinks.flush();
        }
        usual(info);
    }));
}

/// A thread that panicked while it held the lock has left no broken state.
fn lock() -> MutexGuard<'static, Sinks> {
    LOGGER.sinks.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let mut sinks = lock();
        if let Some(stderr) = sinks.stderr.as_ref().filter(|sink| record.level() <= sink.level) {
            // `simple_logger` panics where stderr cannot be written to.
            if !system::stderr_is_broken() {
                stderr.logger.log(record);
            }
        }
        if sinks.files.iter().any(|sink| record.level() <= sink.level) {
            sinks.gather(record.level(), &record.args().to_string());
        }
    }

    fn flush(&self) {
        flush();
    }
}

impl Stderr {
    fn new(level: LevelFilter, offset: UtcOffset) -> Stderr {
        let logger = SimpleLogger::new().with_level(level).with_utc_offset(offset);
        Stderr { level, logger }
    }
}

impl Sinks {
    const fn none() -> Sinks {
        Sinks { stderr: None, files: Vec::new(), offset: UtcOffset::UTC }
    }

    /// Asks for the local offset, which may have changed with the season.
    fn look_at_clock(&mut self) {
        self.offset = UtcOffset::local_offset_at(utc_now()).unwrap_or(self.offset);
    }

    fn gather(&mut self, level: Level, message: &str) {
        let line = line(utc_now().to_offset(self.offset), level, message);
        for sink in self.files.iter_mut().filter(|sink| level <= sink.level) {
            sink.waiting.extend_from_slice(line.as_bytes());
            if sink.waiting.len() > WAITING_LIMIT {
                sink.write();
            }
        }
    }

    fn flush(&mut self) {
        for sink in &mut self.files {
            if !sink.waiting.is_empty() {
                sink.write();
            }
        }
    }
}

impl FileSink {
    fn open(level: LevelFilter, path: &Path) -> Result<FileSink, ProcessError> {
        let file = files::open_log(path)?;
        let path = path.to_path_buf();
        Ok(FileSink { level, path, file, waiting: Vec::new(), state: Writing::Works })
    }

    fn write(&mut self) {
        let written = self.file.write_all(&self.waiting);
        self.waiting.clear();
        match (written, self.state) {
            (Ok(()), _) => self.state = Writing::Works,
            (Err(_), Writing::Fails) => {}
            (Err(reason), Writing::Works) => {
                self.state = Writing::Fails;
                let path = self.path.display();
                super::say(format_args!("switchover: cannot write to \"{path}\": {reason}"));
            }
        }
    }
}

/// `2026/11/22 20:05:23 [warn] 1234#0: message`
fn line(at: OffsetDateTime, level: Level, message: &str) -> String {
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let month = u8::from(month);
    let level = level.as_str().to_ascii_lowercase();
    let pid = std::process::id();
    format!(
        "{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02} [{level}] {pid}#0: {message}\n"
    )
}

#[allow(clippy::disallowed_methods)] // the logger is where the wall clock is read
fn utc_now() -> OffsetDateTime {
    SystemTime::now().into()
}

/// What the standard error stream is called where it is a file.
const STDERR: &str = "/dev/stderr";
/// Bytes that may wait for one file within a turn.
const WAITING_LIMIT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn lines_look_like_those_of_nginx() {
        let at = datetime!(2026-11-02 08:05:03 UTC);
        let expected = format!("2026/11/02 08:05:03 [warn] {}#0: a\n", std::process::id());
        assert_eq!(line(at, Level::Warn, "a"), expected);
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
        sinks.flush();
        assert_eq!(read("info").lines().count(), 2);
        assert!(read("warn").ends_with("#0: b\n") && read("warn").lines().count() == 1);
    }
}
