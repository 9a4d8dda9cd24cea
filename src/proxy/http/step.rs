//! The report of a pump, on which only the exchange acts.

use crate::http::refusal::Refusal;
use crate::upstream::retry::Failure;

/// The result of trying to move bytes in one direction.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing can be moved now.
    Idle,
    /// Bytes moved.
    Moved,
    /// All of the request that can be kept is read.
    Collected,
    /// A complete response head of this length has been read.
    Head(usize),
    /// It is known what the answer says that is kept back, or it cannot be kept back any longer.
    Held,
    /// The last byte of the response has been read.
    Done,
    /// The server failed, or could not be reached.
    Failed(Failure),
    /// The request cannot be served any longer.
    Refused(Refusal),
    /// The client left.
    ClientGone,
}

impl Step {
    /// A report of nothing but whether bytes moved.
    pub fn of(moved: bool) -> Step {
        if moved { Step::Moved } else { Step::Idle }
    }
}
