//! The pid file: how signals find the process.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::ProcessError;
use super::system::open_flags;
use crate::config::model::PidFile;

/// A pid file that has been written.
#[derive(Debug)]
pub struct WrittenPid {
    path: PathBuf,
    mark: Mark,
}

/// Distinguishes a file that this process wrote from one that another process wrote later. That
/// process may write into the same file, and even have the same id in another container.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

impl WrittenPid {
    /// Writes the process id to the configured file.
    ///
    /// # Errors
    /// If a configured path cannot be written; for the default path that is only logged.
    pub fn write(pid: &PidFile) -> Result<Option<WrittenPid>, ProcessError> {
        let (PidFile::Default(path) | PidFile::At(path)) = pid else { return Ok(None) };
        match (write(path), pid) {
            (Ok(mark), _) => Ok(Some(WrittenPid { path: path.clone(), mark })),
            (Err(reason), PidFile::Default(path)) => {
                log::warn!("cannot write \"{}\": {reason}; \"-s\" will not work", path.display());
                Ok(None)
            }
            (Err(reason), PidFile::At(_) | PidFile::Off) => {
                Err(ProcessError::Open { path: path.clone(), reason })
            }
        }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is the configured file.
    pub fn is(&self, pid: &PidFile) -> bool {
        match pid {
            PidFile::Default(path) | PidFile::At(path) => *path == self.path,
            PidFile::Off => false,
        }
    }

    /// Removes it, unless it is another process's by now.
    pub fn remove(self) {
        if !self.is_ours() {
            return;
        }
        if let Err(reason) = fs::remove_file(&self.path) {
            log::warn!("cannot remove \"{}\": {reason}", self.path.display());
        }
    }

    fn is_ours(&self) -> bool {
        let same = fs::metadata(&self.path).is_ok_and(|found| Mark::of(&found) == self.mark);
        same && read_pid(&self.path).is_ok_and(|pid| u32::try_from(pid) == Ok(std::process::id()))
    }
}

impl Mark {
    fn of(file: &Metadata) -> Mark {
        let (device, inode) = (file.dev(), file.ino());
        Mark { device, inode, modified: (file.mtime(), file.mtime_nsec()) }
    }
}

fn write(path: &Path) -> io::Result<Mark> {
    let mut options = OpenOptions::new();
    // A FIFO is an error at once: nothing here may wait for its reader.
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(open_flags(OFlags::NONBLOCK))
        .open(path)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())?;
    Ok(Mark::of(&file.metadata()?))
}

/// The process id in a pid file.
///
/// # Errors
/// When it cannot be read or holds none.
pub fn read_pid(path: &Path) -> Result<i32, ProcessError> {
    let unreadable = |reason| ProcessError::Open { path: path.into(), reason };
    let text = read_small(path).map_err(unreadable)?;
    match text.trim().parse() {
        Ok(pid) if pid > 0 => Ok(pid),
        Ok(_) | Err(_) => Err(ProcessError::NoPid(path.into())),
    }
}

/// Reads the beginning of a file that should be small: no more than that, as a device may never
/// end. Does not wait for a FIFO's writer.
///
/// # Errors
/// Any error of the system.
pub(super) fn read_small(path: &Path) -> io::Result<String> {
    let file =
        OpenOptions::new().read(true).custom_flags(open_flags(OFlags::NONBLOCK)).open(path)?;
    let mut text = Vec::new();
    file.take(SMALL).read_to_end(&mut text)?;
    String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// More than a process id or a one-line reload outcome needs, in bytes.
const SMALL: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use std::fs::File;

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

    #[test]
    fn what_is_no_file_is_neither_waited_for_nor_read_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        assert!(WrittenPid::write(&PidFile::At(path.clone())).is_err());
        assert!(read_pid(&path).is_err());
        assert!(matches!(read_pid(Path::new("/dev/zero")), Err(ProcessError::NoPid(_))));
    }

    #[test]
    fn a_pid_file_that_another_process_has_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pid");
        let write = || WrittenPid::write(&PidFile::At(path.clone())).unwrap().unwrap();
        let ours = write();
        fs::write(&path, "1\n").unwrap();
        ours.remove();
        assert_eq!(read_pid(&path).unwrap(), 1);
        // The same id in another file of the same name, as from another container.
        let ours = write();
        fs::remove_file(&path).unwrap();
        let (_kept, theirs) = (File::create(dir.path().join("b")).unwrap(), write());
        ours.remove();
        assert!(read_pid(&path).is_ok());
        theirs.remove();
        assert!(read_pid(&path).is_err());
    }
}
