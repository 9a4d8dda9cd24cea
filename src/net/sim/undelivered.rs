//! The worker's undelivered events, as data.

use super::end::EndId;
use crate::net::{Event, Token};
use crate::time::Time;

/// Events that the worker has not received yet.
#[derive(Debug)]
pub(super) struct Undelivered {
    /// In the order of their first causes.
    pub(super) pending: Vec<Pending>,
    /// When the first of them may be delivered.
    pub(super) deliver_at: Time,
    /// Delivered again by the next wait.
    pub(super) repeats: Vec<Event>,
}

impl Default for Undelivered {
    fn default() -> Undelivered {
        Undelivered { pending: Vec::new(), deliver_at: Time::NEVER, repeats: Vec::new() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    End(EndId),
    Listener(Token),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) subject: Subject,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) spurious: bool,
}

/// What may have become possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Readable,
    Writable,
    Both,
}
