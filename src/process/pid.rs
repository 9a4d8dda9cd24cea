//! The pid file: how signals find the process.

use std::fs;
use std::path::{Path, PathBuf};

use super::ProcessError;
use crate::config::model::PidFile;

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
