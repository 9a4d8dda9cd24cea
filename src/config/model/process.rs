//! What the process needs: pid file, user, limits.

use std::path::PathBuf;
use std::time::Duration;

use super::logs::ErrorLog;

/// The main context and `events {}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// `pid`: where the process id is written.
    pub pid: PidFile,
    /// `control` (ours): where the operator's commands are taken.
    pub control: Control,
    /// `state` (ours): where promotions and drains are kept for the next start.
    pub state: StateFile,
    /// `error_log`, all of them: each takes the lines its level lets pass. Never empty.
    pub error_logs: Vec<ErrorLog>,
    /// `daemon`: detach from the terminal once all listeners are bound.
    pub daemon: bool,
    /// `user`: the user to become once all listeners are bound, if started as root.
    pub user: Option<User>,
    /// `worker_rlimit_nofile`: the limit on open descriptors to request.
    pub rlimit_nofile: Option<u64>,
    /// `worker_shutdown_timeout`: the most time a graceful stop may take.
    pub shutdown_timeout: Option<Duration>,
    /// `worker_connections`: sockets open at a time, including those to servers.
    pub worker_connections: usize,
    /// `splice` (ours): bulk bytes pass through kernel pipes, if the system has them.
    pub splice: bool,
    /// `worker_buffer_memory` (ours): bytes that all buffered heads and bodies may take together
    /// before large ones are refused and no more clients are accepted.
    pub buffer_memory: usize,
}

/// Where the process id is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PidFile {
    /// Not configured; failing to write it is only a warning.
    Default(PathBuf),
    /// `pid PATH`: failing to write it is an error.
    At(PathBuf),
    /// `pid off`.
    Off,
}

/// Where the operator's commands are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Not configured: a unix socket beside the pid file; failing to listen is only a warning.
    Default(PathBuf),
    /// `control unix:PATH`: failing to listen is an error.
    At(PathBuf),
    /// `control off`, or there is no pid file.
    Off,
}

/// Where promotions and drains are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateFile {
    /// Not configured: beside the control socket.
    Default(PathBuf),
    /// `state FILE`.
    At(PathBuf),
    /// `state off`, or there is no control socket.
    Off,
}

impl Process {
    /// Does without a pid file, and what stands beside it, unless the configuration asks for them.
    pub fn omit_default_files(&mut self) {
        let PidFile::Default(_) = self.pid else { return };
        self.pid = PidFile::Off;
        let Control::Default(_) = self.control else { return };
        self.control = Control::Off;
        if let StateFile::Default(_) = self.state {
            self.state = StateFile::Off;
        }
    }
}

/// `user NAME [GROUP]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// The group's name; `None` for the user's own group.
    pub group: Option<String>,
}
