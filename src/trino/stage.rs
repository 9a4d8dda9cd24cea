//! Where a query is, as far as its statement may be needed.

use std::time::Duration;

use super::kept::{Loss, Statement};
use super::query_id::QueryId;
use super::statement::Repeat;
use crate::time::Time;

/// What is known of a query.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) stage: Stage,
    /// The path of the next poll: only a request for it may have the answer.
    pub(super) next: Box<[u8]>,
    /// The path of the one before, which is asked again if its answer was lost on the way.
    pub(super) before: Box<[u8]>,
    /// When it was last asked for.
    pub(super) asked: Time,
    /// How often it was submitted again.
    pub(super) again: Again,
}

impl Entry {
    pub(super) fn new(stage: Stage, next: Box<[u8]>, asked: Time, again: Again) -> Entry {
        Entry { stage, next, before: Box::default(), asked, again }
    }

    /// Whether the client of a query that waits has left: it is answered every second.
    pub(super) fn is_left(&self, now: Time) -> bool {
        now - self.asked > LEFT
    }

    /// Whether the statement of a query that runs, but has not begun, may be submitted again.
    pub(super) fn may_begin_again(&self) -> bool {
        matches!(&self.stage, Stage::Runs { statement, .. }
            if statement.repeat != Repeat::InTransaction && self.again.free < FREE)
    }

    pub(super) fn is_asked_at(&self, path: &[u8]) -> bool {
        *self.next == *path || *self.before == *path
    }
}

/// How often a query was submitted again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Again {
    /// After it had begun.
    pub(super) counted: u32,
    /// Before it had begun.
    pub(super) free: u32,
}

/// Where a query is.
#[derive(Debug)]
pub(super) enum Stage {
    /// A coordinator runs it, and no row of its answer is delivered.
    Runs { statement: Statement, begun: Begun },
    /// It waits until it is submitted.
    Waits {
        statement: Statement,
        since: Time,
        /// From when on it is to be submitted: never, while it is being submitted.
        from: Time,
    },
    /// It goes on as another query. The answer to its submission is kept for as long as a client may
    /// ask for it again.
    Moved { to: QueryId, answer: Box<[u8]> },
    /// It has ended well: only that its client knows is still to be acknowledged.
    Finished,
    /// It cannot go on.
    Lost(Loss),
}

/// Whether a coordinator may have begun to run a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// It was never polled, so that it has not begun.
    No,
    /// It may have.
    Maybe,
}

impl Stage {
    /// Takes out the statement, if there is one: another stage has to follow.
    pub(super) fn take_statement(&mut self) -> Option<Statement> {
        match std::mem::replace(self, Stage::Lost(Loss::NotKept)) {
            Stage::Runs { statement, .. } | Stage::Waits { statement, .. } => Some(statement),
            other @ (Stage::Moved { .. } | Stage::Finished | Stage::Lost(_)) => {
                *self = other;
                None
            }
        }
    }
}

/// How often a query is submitted again that had not begun.
pub(super) const FREE: u32 = 5;
/// Without a poll for so long.
const LEFT: Duration = Duration::from_secs(30);
