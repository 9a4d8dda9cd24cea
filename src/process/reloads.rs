//! Outcomes of reloads, for `-s reload`, which waits for them: a one-line file beside the pid file.
//!
//! `1234 2 2 ok`: process 1234 has begun two reloads and ended two, the last successfully. A signal
//! carries no answer, and several signals may become one reload; but a reload that begins after the
//! line was read sees whatever the operator wrote before.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::event::{Timespec, poll};
use signal_hook::consts::SIGHUP;

use super::error::ProcessError;
use super::pid::read_small;
use super::system;

/// This process's file. It stays open, because only root may be able to reopen it.
#[derive(Debug)]
pub struct Reloads {
    path: PathBuf,
    file: File,
    told: Told,
}

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    begun: u64,
    ended: u64,
    /// The outcome of the last finished reload, even while another one runs.
    outcome: String,
}

impl Reloads {
    /// Creates the file that belongs to a pid file, and replaces one left by another process.
    ///
    /// # Errors
    /// Any error of the system.
    pub fn create(pid_file: &Path) -> io::Result<Reloads> {
        Reloads::continued(pid_file, Told { begun: 0, ended: 0, outcome: WELL.into() })
    }

    fn continued(pid_file: &Path, told: Told) -> io::Result<Reloads> {
        let path = beside(pid_file);
        let _ = fs::remove_file(&path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
        let reloads = Reloads { path, file, told };
        reloads.write()?;
        Ok(reloads)
    }

    /// Notes that a reload begins.
    pub fn begin(&mut self) {
        self.told.begun += 1;
        self.tell();
    }

    /// Notes the outcome of a reload: `Err` holds the reason of a failure.
    pub fn end(&mut self, outcome: &Result<(), String>) {
        self.told.ended = self.told.begun;
        self.told.outcome = outcome.as_ref().err().map_or(WELL, String::as_str).replace('\n', " ");
        self.tell();
    }

    /// Continues in the file that belongs to another pid file.
    ///
    /// # Errors
    /// Like [`Reloads::create`]; the old file stays in use.
    pub fn move_to(&mut self, pid_file: &Path) -> io::Result<()> {
        let moved = Reloads::continued(pid_file, self.told.clone())?;
        std::mem::replace(self, moved).remove();
        Ok(())
    }

    /// Removes the file, unless it belongs to another process by now.
    pub fn remove(self) {
        let place = |found: fs::Metadata| (found.dev(), found.ino());
        if let (Ok(ours), Ok(found)) = (self.file.metadata(), fs::metadata(&self.path))
            && place(ours) == place(found)
        {
            // In a directory of root's the file stays; it names a process that no longer exists.
            let _ = fs::remove_file(&self.path);
        }
    }

    fn tell(&self) {
        if let Err(reason) = self.write() {
            log::warn!("cannot write \"{}\": {reason}", self.path.display());
        }
    }

    fn write(&self) -> io::Result<()> {
        let Told { begun, ended, outcome } = &self.told;
        let line = format!("{} {begun} {ended} {outcome}\n", std::process::id());
        self.file.write_all_at(line.as_bytes(), 0)?;
        self.file.set_len(line.len() as u64)
    }
}

/// Makes a process reload, and waits for the outcome.
///
/// # Errors
/// The reload failed, the process cannot be signalled or has ended, or the outcome is unknown.
pub fn reload(pid: i32, pid_file: &Path) -> Result<(), ProcessError> {
    let path = beside(pid_file);
    let before = Told::by(pid, &path);
    system::kill(pid, SIGHUP).map_err(|reason| ProcessError::Kill { pid, reason })?;
    let Some(before) = before else {
        super::program::say(format_args!(
            "switchover: process {pid} does not report how its reload ends: see its log"
        ));
        return Ok(());
    };
    let failed = |why| Err(ProcessError::Reload { pid, why });
    for _ in 0..ROUNDS {
        if let Some(seen) = Told::by(pid, &path)
            && seen.ended > before.begun
        {
            return if seen.outcome == WELL { Ok(()) } else { failed(seen.outcome) };
        }
        if system::kill(pid, 0).is_err() {
            return failed("it has ended".into());
        }
        // A signal may end the wait early; there are many rounds.
        let _ = poll(&mut [], Some(&ROUND));
    }
    failed("no report of it within a minute: see its log".into())
}

impl Told {
    /// Reads the file of another process.
    fn by(pid: i32, path: &Path) -> Option<Told> {
        let text = read_small(path).ok()?;
        let mut words = text.split_once('\n')?.0.splitn(4, ' ');
        let whose: i32 = words.next()?.parse().ok()?;
        let (begun, ended) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let outcome = words.next()?.into();
        (whose == pid).then_some(Told { begun, ended, outcome })
    }
}

fn beside(pid_file: &Path) -> PathBuf {
    let mut name = pid_file.as_os_str().to_owned();
    name.push(".reload");
    name.into()
}

/// The outcome of a successful reload.
const WELL: &str = "ok";
/// How often the file is read: for a minute, because names may take long to resolve.
const ROUNDS: u32 = 3000;
const ROUND: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_has_begun_and_how_the_last_one_ended() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("a.pid");
        let pid = i32::try_from(std::process::id()).unwrap();
        let seen = |pid_file: &Path, pid| {
            Told::by(pid, &beside(pid_file)).map(|seen| (seen.begun, seen.ended, seen.outcome))
        };
        assert_eq!(seen(&pid_file, pid), None);
        let mut reloads = Reloads::create(&pid_file).unwrap();
        assert_eq!(seen(&pid_file, pid), Some((0, 0, "ok".into())));
        assert_eq!(seen(&pid_file, pid + 1), None);
        reloads.begin();
        assert_eq!(seen(&pid_file, pid), Some((1, 0, "ok".into())));
        reloads.end(&Err("a long\nreason".into()));
        assert_eq!(seen(&pid_file, pid), Some((1, 1, "a long reason".into())));
        reloads.begin();
        assert_eq!(seen(&pid_file, pid), Some((2, 1, "a long reason".into())));
        let other = dir.path().join("b.pid");
        reloads.move_to(&other).unwrap();
        reloads.end(&Ok(()));
        assert_eq!((seen(&pid_file, pid), seen(&other, pid)), (None, Some((2, 2, "ok".into()))));
        let newer = Reloads::create(&other).unwrap();
        reloads.remove();
        assert_eq!(seen(&other, pid), Some((0, 0, "ok".into())));
        newer.remove();
        assert_eq!(seen(&other, pid), None);
    }
}
