//! The files of access logs.

use std::path::{Path, PathBuf};

use super::error::ProcessError;
use super::port::{STDERR, STDOUT};
use super::sink::Sink;
use crate::config::model::AccessLog;
use crate::time::Time;

/// The open access logs.
#[derive(Debug, Default)]
pub struct AccessLogs {
    sinks: Vec<Sink>,
    /// Logs of an earlier configuration that could not be opened; each was reported once.
    missing: Vec<PathBuf>,
}

impl AccessLogs {
    /// Opens all logs of a configuration.
    ///
    /// # Errors
    /// The first file that cannot be opened.
    pub fn open(logs: &[AccessLog]) -> Result<AccessLogs, ProcessError> {
        let sinks = logs.iter().map(|log| Sink::open(&log.path)).collect::<Result<_, _>>()?;
        Ok(AccessLogs { sinks, missing: Vec::new() })
    }

    /// Uses these logs from now on. Waiting lines of earlier logs are kept.
    pub fn install(&mut self, new: AccessLogs) {
        let earlier = std::mem::replace(self, new);
        for old in earlier.sinks {
            match self.sinks.iter_mut().find(|sink| sink.path() == old.path()) {
                Some(sink) => sink.take_over(old),
                None if old.is_settled() => {}
                None => self.sinks.push(old),
            }
        }
    }

    /// Reopens all files, which may have been renamed. If one cannot be opened, the old one stays.
    pub fn reopen(&mut self) {
        self.missing.clear();
        for sink in &mut self.sinks {
            if let Err(error) = sink.reopen() {
                log::error!("{error}");
            }
        }
    }

    /// Releases the streams that were standard before the process went into the background.
    pub fn leave_streams(&mut self) {
        let streams = [Path::new(STDOUT), Path::new(STDERR)];
        for sink in self.sinks.iter_mut().filter(|sink| streams.contains(&sink.path())) {
            // The standard streams are `/dev/null` now.
            let _ = sink.reopen();
        }
    }

    /// Writes lines to a log and clears them, whether or not that worked. If an old request still
    /// uses a log of an earlier configuration, it is opened on demand.
    pub fn write(&mut self, path: &Path, lines: &mut Vec<u8>, now: Time) {
        if let Some(sink) = self.sink(path) {
            sink.write(lines, now);
            report_changes(sink);
        }
        lines.clear();
    }

    /// Writes waiting lines as far as there is room. Returns when to call this again at the latest.
    pub fn flush(&mut self, now: Time) -> Time {
        for sink in &mut self.sinks {
            sink.flush(now);
            report_changes(sink);
        }
        self.sinks.iter().map(Sink::next_try).min().unwrap_or(Time::NEVER)
    }

    /// Writes waiting lines before the process ends; waits a short time for room.
    pub fn finish(&mut self) {
        for sink in &mut self.sinks {
            sink.finish();
            report_changes(sink);
        }
    }

    fn sink(&mut self, path: &Path) -> Option<&mut Sink> {
        let known = self.sinks.iter().position(|sink| sink.path() == path);
        if known.is_none() && !self.missing.iter().any(|missing| missing == path) {
            match Sink::open(path) {
                Ok(sink) => self.sinks.push(sink),
                Err(error) => {
                    log::error!("{error}");
                    self.missing.push(path.into());
                }
            }
            return self.sinks.last_mut().filter(|sink| sink.path() == path);
        }
        self.sinks.get_mut(known?)
    }
}

fn report_changes(sink: &mut Sink) {
    if let Some(change) = sink.change() {
        log::error!("{}", change.line(sink.path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    #[test]
    fn lines_are_appended_and_cleared_and_survive_a_rename() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let log = AccessLog { path: path.clone(), buffer: 1, flush: Duration::ZERO };
        let mut logs = AccessLogs::open(&[log]).unwrap();
        let mut lines = b"1\n".to_vec();
        logs.write(&path, &mut lines, Time::ZERO);
        assert_eq!(lines, b"");
        fs::rename(&path, dir.path().join("b.log")).unwrap();
        logs.reopen();
        logs.write(&path, &mut b"2\n".to_vec(), Time::ZERO);
        assert_eq!(fs::read(&path).unwrap(), b"2\n");
        assert_eq!(fs::read(dir.path().join("b.log")).unwrap(), b"1\n");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_not_fatal() {
        let mut logs = AccessLogs::default();
        let mut lines = b"1\n".to_vec();
        logs.write(Path::new("/dev/full"), &mut lines, Time::ZERO);
        logs.write(Path::new("/no/such/dir/a.log"), &mut b"1\n".to_vec(), Time::ZERO);
        assert_eq!(lines, b"");
    }
}
