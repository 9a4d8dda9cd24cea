//! What a session tells its worker to do next, and what the worker may take from it.

use crate::time::Time;

/// What a session needs after it was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// To wait for an event or its deadline.
    Wait,
    /// Another call once the other sessions have had a turn: no event announces the work that is
    /// left.
    Again,
    /// To be closed.
    Close(CloseReason),
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Nothing is left to send.
    Done,
    /// The client left, or its connection broke.
    ClientLeft,
    /// The client was silent, or took no bytes, for too long.
    TimedOut,
    /// The server cut a response short; the client must be able to tell.
    Cut,
    /// The worker needs room, or stops.
    Evicted,
}

/// A session that may be closed to make room: no server is involved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expendable {
    /// No request is waiting for a response.
    Idle {
        /// When the last answer ended, or the client was accepted.
        since: Time,
    },
    /// The answer is sent, and the client has had a moment to read it.
    Lingering,
    /// A request has begun, and its head is incomplete.
    Head {
        /// When its first byte came.
        began: Time,
    },
}
