//! The state file: promotions and drains, for the next start.
//!
//! A thread writes it, because waiting for the disk takes long, and a failover changes it too: the
//! loop only hands over the new text. A file that cannot be understood is kept under another name
//! before the first write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rustix::fs::OFlags;

use super::system::open_flags;
use crate::admin::kept::{self, Kept};
use crate::config::model::StateFile;

/// The state file, and what it holds.
#[derive(Debug)]
pub struct StateOnDisk {
    /// Its path; `None` if nothing is kept.
    path: Option<PathBuf>,
    /// What it holds, or will hold once the thread is done.
    kept: Vec<Kept>,
    /// Whether `kept` is to be written.
    work: Work,
    /// The thread that writes.
    writer: Option<JoinHandle<io::Result<()>>>,
    /// Whether what the file holds is not ours, or not whole.
    contents: Contents,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    None,
    Due,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contents {
    Ours,
    Unknown,
}

impl StateOnDisk {
    /// Reads the file. One that cannot be read or understood is reported and left as it is.
    pub fn open(file: &StateFile) -> StateOnDisk {
        let path = path(file);
        let (kept, contents) = match path.as_deref().map(read) {
            None => (Vec::new(), Contents::Ours),
            Some(Ok(kept)) => (kept, Contents::Ours),
            Some(Err(why)) => {
                log::warn!("{why}: promotions and drains of before are forgotten");
                (Vec::new(), Contents::Unknown)
            }
        };
        StateOnDisk { path, kept, work: Work::None, writer: None, contents }
    }

    /// What the file holds.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// Has this written, if it is new.
    pub fn keep(&mut self, kept: Vec<Kept>) {
        if self.path.is_some() && kept != self.kept {
            self.kept = kept;
            self.work = Work::Due;
        }
        self.advance();
    }

    /// Continues in another file, if the configuration names one.
    pub fn move_to(&mut self, file: &StateFile) {
        let path = path(file);
        if path != self.path {
            self.finish();
            self.path = path;
            // The old file stays: the next start may be with the old configuration.
            self.kept = Vec::new();
            self.contents = Contents::Ours;
        }
    }

    /// Whether a thread is writing: [`StateOnDisk::advance`] is to be called again soon.
    pub fn is_busy(&self) -> bool {
        self.writer.is_some()
    }

    /// Reports what the thread has done, and starts it if there is more to write.
    pub fn advance(&mut self) {
        if self.writer.as_ref().is_some_and(|writer| !writer.is_finished()) {
            return;
        }
        self.join();
        if self.work == Work::None {
            return;
        }
        let Some(path) = self.path.clone() else { return };
        let (kept, contents) = (self.kept.clone(), self.contents);
        let write = move || write(&path, &kept, contents);
        match std::thread::Builder::new().spawn(write) {
            Ok(writer) => self.writer = Some(writer),
            Err(reason) => self.report(&reason),
        }
        self.work = Work::None;
        self.contents = Contents::Ours;
    }

    /// Writes what is still to be written, and waits for it.
    pub fn finish(&mut self) {
        self.join();
        self.advance();
        self.join();
    }

    fn join(&mut self) {
        match self.writer.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(reason))) => self.report(&reason),
            Some(Err(_)) => self.report(&io::Error::other("the writing thread panicked")),
        }
    }

    fn report(&self, reason: &io::Error) {
        let path = self.path.as_deref().unwrap_or(Path::new("")).display();
        log::warn!(
            "cannot write \"{path}\": {reason}; promotions and drains do not survive a restart: \
             let the user of the process write there, or write \"state FILE\" or \"state off\""
        );
    }
}

fn path(file: &StateFile) -> Option<PathBuf> {
    match file {
        StateFile::Default(path) | StateFile::At(path) => Some(path.clone()),
        StateFile::Off => None,
    }
}

/// Reads a state file; a missing one is empty. The error says what is wrong where.
fn read(path: &Path) -> Result<Vec<Kept>, String> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(reason) if reason.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(reason) => return Err(format!("cannot read \"{}\": {reason}", path.display())),
    };
    kept::read(&text).map_err(|line| {
        format!("\"{}\", line {}, is not of a state file", path.display(), line.number)
    })
}

/// Reads no more than the largest state file, and does not wait for a FIFO's writer.
fn read_text(path: &Path) -> io::Result<String> {
    let file =
        OpenOptions::new().read(true).custom_flags(open_flags(OFlags::NONBLOCK)).open(path)?;
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text)?;
    String::from_utf8(text).map_err(|_| ErrorKind::InvalidData.into())
}

/// Replaces the file as a whole: at any moment it is the old one or the new one.
fn write(path: &Path, kept: &[Kept], contents: Contents) -> io::Result<()> {
    if contents == Contents::Unknown {
        fs::rename(path, with_ending(path, ".broken"))?;
    }
    let new = with_ending(path, ".new");
    match fs::remove_file(&new) {
        Ok(()) => {}
        Err(reason) if reason.kind() == ErrorKind::NotFound => {}
        Err(reason) => return Err(reason),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(kept::write(kept).as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// More than a state file needs, in bytes.
const LARGEST: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::admin::kept::Deed;
    use crate::config::model::Layer;

    fn kept() -> Vec<Kept> {
        let (upstream, address) = ("u".into(), "10.0.0.1:1".into());
        vec![Kept { upstream, layer: Layer::Http, address, deed: Deed::Drained }]
    }

    #[test]
    fn what_is_kept_is_there_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::At(dir.path().join("a.state"));
        let mut state = StateOnDisk::open(&file);
        state.keep(Vec::new());
        state.finish();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "there was nothing to keep");
        state.keep(kept());
        state.finish();
        assert_eq!(StateOnDisk::open(&file).kept(), kept());
        let mode = fs::metadata(dir.path().join("a.state")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        state.keep(Vec::new());
        state.finish();
        assert_eq!(StateOnDisk::open(&file).kept(), []);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_broken_file_is_put_aside_before_it_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.state");
        fs::write(&path, "# x\nwhat\n").unwrap();
        let said = read(&path).unwrap_err();
        assert!(said.contains("a.state\", line 2,"), "{said}");
        let mut state = StateOnDisk::open(&StateFile::Default(path.clone()));
        assert_eq!(state.kept(), []);
        state.keep(Vec::new());
        state.finish();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# x\nwhat\n");
        state.keep(kept());
        state.finish();
        assert_eq!(fs::read_to_string(dir.path().join("a.state.broken")).unwrap(), "# x\nwhat\n");
        assert_eq!(StateOnDisk::open(&StateFile::Default(path)).kept(), kept());
    }

    #[test]
    fn what_is_no_file_is_neither_waited_for_nor_read_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        assert_eq!(read(&path), Ok(Vec::new()));
        assert!(read(Path::new("/dev/zero")).is_err());
        assert!(read(dir.path()).is_err());
    }
}
