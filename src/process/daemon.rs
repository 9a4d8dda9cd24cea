//! `daemon on`: the process goes on in the background, while the one that was started waits for its
//! word that it serves, and ends with the status that this deserves.
//!
//! Must be used while there is one thread. What fails in the background is said there, on the
//! streams of the one that waits; they are let go with the word.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::time::Duration;

use fork::Fork;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook_mio::v1_0::Signals;

use super::{ProcessError, system};

/// Which of the two processes this is.
pub(super) enum Side {
    /// The one that was started.
    Foreground(Child),
    /// The one that serves, and the signals that had come before it was another process.
    Background(Word, Vec<i32>),
}

/// The other process, until it has given its word.
pub(super) struct Child {
    pid: i32,
    word: PipeReader,
}

/// The word, until it is given.
pub(super) struct Word(PipeWriter);

/// Makes the process two; the one in the background has no terminal. Each needs signals of its own
/// then: what wakes one of them up is shared, and would be taken by either.
///
/// # Errors
/// When the system has no process or descriptor left.
pub(super) fn split(signals: &mut Signals) -> io::Result<Side> {
    let (reader, writer) = io::pipe()?;
    let earlier = signals.pending().collect();
    match fork::fork()? {
        Fork::Parent(pid) => Ok(Side::Foreground(Child { pid, word: reader })),
        Fork::Child => {
            fork::setsid()?;
            Ok(Side::Background(Word(writer), earlier))
        }
    }
}

impl Word {
    /// Lets the streams go, to `/dev/null`, and then the other process.
    ///
    /// # Errors
    /// When there is no `/dev/null`.
    pub(super) fn give(mut self) -> io::Result<()> {
        fork::redirect_stdio()?;
        // Where the other process was killed meanwhile, this one is what was asked for all the same.
        let _ = self.0.write_all(b"1");
        Ok(())
    }
}

impl Child {
    /// Waits for the word. Signals that come meanwhile are the child's.
    ///
    /// # Errors
    /// The child ended without it.
    pub(super) fn wait(mut self, signals: &mut Signals) -> Result<(), ProcessError> {
        let failed = |reason| ProcessError::System { what: "waiting for the background", reason };
        loop {
            self.pass_on(signals);
            let mut word = [PollFd::new(&self.word, PollFlags::IN)];
            match poll(&mut word, Some(&LOOK_AT_SIGNALS)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => break,
                Err(reason) => return Err(failed(reason.into())),
            }
        }
        match self.word.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => {
                self.pass_on(signals);
                return Ok(());
            }
            Err(reason) => return Err(failed(reason)),
        }
        let status = fork::waitpid(self.pid).map_err(failed)?;
        let signal = fork::WIFSIGNALED(status).then(|| fork::WTERMSIG(status));
        Err(ProcessError::Background { signal })
    }

    fn pass_on(&self, signals: &mut Signals) {
        for signal in signals.pending() {
            // It may have ended just now: then so does the wait.
            let _ = system::kill(self.pid, signal);
        }
    }
}

/// A signal may come just before the wait begins.
const LOOK_AT_SIGNALS: Timespec =
    Timespec { tv_sec: 0, tv_nsec: Duration::from_millis(100).as_nanos() as i64 };
