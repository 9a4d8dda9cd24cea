//! What changes about the servers of a group.

use super::ids::ServerId;
use super::retry::Failure;
use crate::time::Time;

/// A change of a server's state that the operator wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is out.
    WentDown {
        /// The failure that took it out.
        why: Failure,
        /// When it is checked next.
        until: Time,
    },
    /// It accepts connections again: the next request is its trial.
    OnTrial,
    /// It serves again.
    CameBack,
    /// It accepts connections, but is starting: it takes no queries yet.
    Starting,
    /// It is ready again. `failback` says when it takes new work.
    Ready,
    /// It has been ready for as long as `failback` asks, and takes new work.
    Returned,
    /// An operator drained it: it takes no new work.
    Drained,
    /// It has nothing left to do, since it was drained or another one promoted.
    Emptied,
    /// New work goes to it.
    BecameActive {
        /// The server that was active before.
        instead_of: ServerId,
        /// The reason.
        why: Why,
    },
}

/// Why another server became active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The active one was no longer ready.
    Failover,
    /// A server before the active one in order is ready again.
    Failback,
    /// An operator promoted it.
    Promotion,
}

/// Why a server cannot be promoted or drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is out, starting or marked `down`.
    NotReady,
    /// No other server is ready.
    LastOne,
}
