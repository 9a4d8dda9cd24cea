//! `daemon on`: the process continues in the background. The foreground process waits until it
//! reports that it serves, and exits with a matching status.
//!
//! Must be used while there is one thread. The background process reports errors on the streams it
//! shares with the foreground, and releases them once it serves.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::time::Duration;

use fork::Fork;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook_mio::v1_0::Signals;

use super::error::ProcessError;
use super::system;

/// Which of the two processes this is.
pub(super) enum Role {
    /// The process that was started.
    Foreground(Child),
    /// The process that serves, with the signals that arrived before the split.
    Background(Readiness, Vec<i32>),
}

/// The background process, until it reports that it serves.
pub(super) struct Child {
    pid: i32,
    readiness: PipeReader,
}

/// The report that this process serves, until it is given.
pub(super) struct Readiness(PipeWriter);

/// Splits the process in two; the background process has no terminal. Each then needs its own
/// signals: the descriptor that wakes them up is shared, and either would consume it.
///
/// # Errors
/// If the system has no process or descriptor left.
pub(super) fn split(signals: &mut Signals) -> io::Result<Role> {
    let (reader, writer) = io::pipe()?;
    let earlier = signals.pending().collect();
    match fork::fork()? {
        Fork::Parent(pid) => Ok(Role::Foreground(Child { pid, readiness: reader })),
        Fork::Child => {
            fork::setsid()?;
            Ok(Role::Background(Readiness(writer), earlier))
        }
    }
}

impl Readiness {
    /// Redirects the streams to `/dev/null`, then releases the foreground process.
    ///
    /// # Errors
    /// If there is no `/dev/null`.
    pub(super) fn give(mut self) -> io::Result<()> {
        fork::redirect_stdio()?;
        // If the foreground process was killed meanwhile, this one serves all the same.
        let _ = self.0.write_all(b"1");
        Ok(())
    }
}

impl Child {
    /// Waits for the report. Signals that arrive meanwhile go to the child.
    ///
    /// # Errors
    /// If the child ends without reporting.
    pub(super) fn wait(mut self, signals: &mut Signals) -> Result<(), ProcessError> {
        let failed = |reason| ProcessError::System { what: "waiting for the background", reason };
        loop {
            self.pass_on(signals);
            let mut readiness = [PollFd::new(&self.readiness, PollFlags::IN)];
            match poll(&mut readiness, Some(&LOOK_AT_SIGNALS)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => break,
                Err(reason) => return Err(failed(reason.into())),
            }
        }
        match self.readiness.read(&mut [0]) {
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
            // The child may have just ended; then the wait ends too.
            let _ = system::kill(self.pid, signal);
        }
    }
}

/// How often to check for signals: one may arrive just before the wait begins.
const LOOK_AT_SIGNALS: Timespec =
    Timespec { tv_sec: 0, tv_nsec: Duration::from_millis(100).as_nanos() as i64 };
