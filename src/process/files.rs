//! Files that the process appends to or leaves behind: logs and the pid file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::ProcessError;
use crate::config::model::{AccessLog, PidFile};

/// Opens a log file for appending; creates it where there is none. The standard streams are
/// meant by their paths even where they cannot be opened by them (sockets, other owners).
///
/// # Errors
/// Whatever the system says, with the path.
pub fn open_log(path: &Path) -> Result<File, ProcessError> {
    let opened = match path.to_str() {
        Some("/dev/stdout") => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        Some("/dev/stderr") => io::stderr().as_fd().try_clone_to_owned().map(File::from),
        Some(_) | None => OpenOptions::new().append(true).create(true).mode(0o644).open(path),
    };
    opened.map_err(|reason| ProcessError::Open { path: path.into(), reason })
}

/// Whether the standard error stream goes to a file or another device than a terminal.
pub fn stderr_is_file() -> bool {
    let stderr = io::stderr();
    let kind = stderr.as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    let is_file = |kind: fs::FileType| kind.is_file() || kind.is_char_device();
    !stderr.is_terminal() && kind.is_ok_and(|kind| is_file(kind.file_type()))
}

/// Access logs, open.
#[derive(Debug, Default)]
pub struct AccessLogs {
    files: Vec<LogFile>,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    state: LogState,
}

#[derive(Debug)]
enum LogState {
    Open(File),
    /// Opening or writing failed, and that has been said; lines are lost until it works again.
    Failing(Option<File>),
}

impl AccessLogs {
    /// Opens all logs of a configuration.
    ///
    /// # Errors
    /// The first that cannot be opened.
    pub fn open(logs: &[AccessLog]) -> Result<AccessLogs, ProcessError> {
        let mut files = Vec::new();
        for log in logs {
            let state = LogState::Open(open_log(&log.path)?);
            files.push(LogFile { path: log.path.clone(), state });
        }
        Ok(AccessLogs { files })
    }

    /// Opens all files again, which may have been renamed; one that cannot be opened is kept.
    pub fn reopen(&mut self) {
        for file in &mut self.files {
            match open_log(&file.path) {
                Ok(opened) => file.state = LogState::Open(opened),
                Err(error) => log::error!("{error}"),
            }
        }
    }

    /// Writes lines to a log and clears them, whether or not it worked. A log of an earlier
    /// configuration, which an old request may still have, is opened for it.
    pub fn write(&mut self, path: &Path, lines: &mut Vec<u8>) {
        let index = self.files.iter().position(|file| file.path == path);
        let index = index.unwrap_or_else(|| {
            let state = match open_log(path) {
                Ok(file) => LogState::Open(file),
                Err(error) => {
                    log::error!("{error}");
                    LogState::Failing(None)
                }
            };
            self.files.push(LogFile { path: path.into(), state });
            self.files.len() - 1
        });
        if let Some(file) = self.files.get_mut(index) {
            file.write(lines);
        }
        lines.clear();
    }
}

impl LogFile {
    fn write(&mut self, lines: &[u8]) {
        self.state = match std::mem::replace(&mut self.state, LogState::Failing(None)) {
            LogState::Open(mut file) => match file.write_all(lines) {
                Ok(()) => LogState::Open(file),
                Err(reason) => {
                    let path = self.path.display();
                    log::error!("cannot write to \"{path}\": {reason}; lines are lost");
                    LogState::Failing(Some(file))
                }
            },
            LogState::Failing(Some(mut file)) => match file.write_all(lines) {
                Ok(()) => LogState::Open(file),
                Err(_) => LogState::Failing(Some(file)),
            },
            LogState::Failing(None) => LogState::Failing(None),
        };
    }
}

/// A pid file that has been written.
#[derive(Debug)]
pub struct WrittenPid {
    path: PathBuf,
}

impl WrittenPid {
    /// Writes the process id where the configuration wants it.
    ///
    /// # Errors
    /// When a path that was asked for cannot be written; for the default one, that is only logged.
    pub fn write(pid: &PidFile) -> Result<Option<WrittenPid>, ProcessError> {
        let (PidFile::Default(path) | PidFile::At(path)) = pid else { return Ok(None) };
        match (fs::write(path, format!("{}\n", std::process::id())), pid) {
            (Ok(()), _) => Ok(Some(WrittenPid { path: path.clone() })),
            (Err(reason), PidFile::Default(path)) => {
                log::warn!("cannot write \"{}\": {reason}; \"-s\" will not work", path.display());
                Ok(None)
            }
            (Err(reason), PidFile::At(_) | PidFile::Off) => {
                Err(ProcessError::Open { path: path.clone(), reason })
            }
        }
    }

    /// Whether it is the file that the configuration wants.
    pub fn is(&self, pid: &PidFile) -> bool {
        match pid {
            PidFile::Default(path) | PidFile::At(path) => *path == self.path,
            PidFile::Off => false,
        }
    }

    /// Removes it.
    pub fn remove(self) {
        if let Err(reason) = fs::remove_file(&self.path) {
            log::warn!("cannot remove \"{}\": {reason}", self.path.display());
        }
    }
}

/// The process id in a pid file.
///
/// # Errors
/// When it cannot be read or holds none.
pub fn read_pid(path: &Path) -> Result<i32, ProcessError> {
    let unreadable = |reason| ProcessError::Open { path: path.into(), reason };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    match text.trim().parse() {
        Ok(pid) if pid > 0 => Ok(pid),
        Ok(_) | Err(_) => Err(ProcessError::NoPid(path.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn lines_are_appended_and_cleared_and_survive_a_rename() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let log = AccessLog { path: path.clone(), buffer: 1, flush: Duration::ZERO };
        let mut logs = AccessLogs::open(&[log]).unwrap();
        let mut lines = b"1\n".to_vec();
        logs.write(&path, &mut lines);
        assert_eq!(lines, b"");
        fs::rename(&path, dir.path().join("b.log")).unwrap();
        logs.reopen();
        logs.write(&path, &mut b"2\n".to_vec());
        assert_eq!(fs::read(&path).unwrap(), b"2\n");
        assert_eq!(fs::read(dir.path().join("b.log")).unwrap(), b"1\n");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_not_fatal() {
        let mut logs = AccessLogs::default();
        let mut lines = b"1\n".to_vec();
        logs.write(Path::new("/dev/full"), &mut lines);
        logs.write(Path::new("/no/such/dir/a.log"), &mut b"1\n".to_vec());
        assert_eq!(lines, b"");
    }

    #[test]
    fn a_pid_file_is_written_read_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pid");
        let written = WrittenPid::write(&PidFile::At(path.clone())).unwrap().unwrap();
        assert_eq!(read_pid(&path).unwrap(), i32::try_from(std::process::id()).unwrap());
        written.remove();
        assert!(read_pid(&path).is_err());
        fs::write(&path, "0").unwrap();
        assert!(matches!(read_pid(&path), Err(ProcessError::NoPid(_))));
        let nowhere = dir.path().join("none/a.pid");
        assert!(WrittenPid::write(&PidFile::At(nowhere.clone())).is_err());
        assert!(WrittenPid::write(&PidFile::Default(nowhere)).unwrap().is_none());
    }
}
