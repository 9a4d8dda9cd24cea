//! What a pump reports, and only the exchange acts on.

use crate::proxy::http::request::Refusal;
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
    /// The server failed before it had answered.
    Failed(Failure),
    /// The request cannot be served any further.
    Refused(Refusal),
    /// The response ends before its end.
    Cut,
    /// The client is gone.
    ClientGone,
}

impl Step {
    /// Whether anything moved, where that is all there is to say.
    pub fn of(moved: bool) -> Step {
        if moved { Step::Moved } else { Step::Idle }
    }
}
