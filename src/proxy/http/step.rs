//! What a pump reports, and only the exchange acts on.

use crate::http::refusal::Refusal;
use crate::upstream::retry::Failure;

/// What came of moving bytes in one direction.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing can be moved now.
    Idle,
    /// Something was.
    Moved,
    /// A whole response head of this length is in hand.
    Head(usize),
    /// The last byte of the response is in hand.
    Done,
    /// The server, or the way to it, failed.
    Failed(Failure),
    /// The request cannot be served any further.
    Refused(Refusal),
    /// The client left.
    ClientGone,
}

impl Step {
    /// Whether anything moved, where that is all there is to say.
    pub fn of(moved: bool) -> Step {
        if moved { Step::Moved } else { Step::Idle }
    }
}
