//! What is known of a query.

use super::kept::Loss;
use super::query_id::QueryId;

/// What is known of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// Nothing but what its id says.
    Nothing,
    /// It was made up here, and nothing more is known of it.
    Forgotten,
    /// A coordinator runs it, and its statement is kept.
    Runs,
    /// It waits to be submitted.
    Waits,
    /// It goes on as this query; the answer to its submission.
    Moved(QueryId, &'a [u8]),
    /// It has ended well, as its client knows. It is asked for once more, at its next path.
    Finished,
    /// It cannot go on.
    Lost(Loss),
}

/// Where a query is asked for: only a request for the path of the next poll may have the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Where its client was told to ask next, or before that.
    Next,
    /// Elsewhere.
    Other,
}
