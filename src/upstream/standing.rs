//! How a server stands, for the operator.

use std::time::Duration;

use super::retry::Failure;

/// What an operator may know of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it takes new work.
    pub state: ServerState,
    /// How long it has been so, if that is known.
    pub lasting: Option<Duration>,
    /// The failure that took it out, if it is out.
    pub why: Option<Failure>,
}

/// Whether a server takes new work, or what keeps it from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// It does.
    Ready,
    /// It is starting.
    Starting,
    /// It failed.
    Out,
    /// The operator drained it.
    Drained,
    /// The file marks it `down`.
    Down,
}

impl ServerState {
    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            ServerState::Ready => "ready",
            ServerState::Starting => "starting",
            ServerState::Out => "out",
            ServerState::Drained => "drained",
            ServerState::Down => "down",
        }
    }
}
