//! What sessions want of their worker, and what it may do with them.

use crate::time::Time;

/// What a session wants after it was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// An event, or its deadline.
    Wait,
    /// To be called again after the others have had their turn: no event will come for what is
    /// already in hand.
    Again,
    /// To be closed.
    Close(CloseReason),
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Everything that was to be said has been said.
    Done,
    /// The client left or its connection broke.
    ClientLeft,
    /// The client was silent, or took nothing, for too long.
    TimedOut,
    /// A response was cut short by its server: the client has to see it.
    Cut,
    /// Room is needed, or the worker stops.
    Evicted,
}

/// A session that may go where there is no room: nothing of it is at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expendable {
    /// Nothing was asked, or all is answered.
    Idle,
    /// All is said, and the client has had a moment to read it.
    Lingering,
    /// A request has begun, and its head is not whole.
    Head {
        /// When its first byte came.
        began: Time,
    },
}
