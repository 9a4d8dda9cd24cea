//! What follows for a request to a group, before a server is asked.

use super::link::Place;
use crate::http::refusal::Refusal;
use crate::time::Time;
use crate::trino::kept::Loss;
use crate::trino::query_id::QueryId;
use crate::upstream::group::ServerId;

/// What follows for a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Way {
    /// A server is asked.
    Ask,
    /// It waits for a server, or for news of its query.
    Hold {
        /// Until then, at most.
        until: Time,
        /// Whether it takes a place in the group's queue.
        place: Place,
    },
    /// It is refused.
    Refuse(Refusal),
    /// It is answered.
    Tell(Told),
}

/// What the client of a query is told in place of a coordinator's answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// The query is lost.
    Lost {
        /// The query.
        id: QueryId,
        /// The server that ran it, if one did.
        server: Option<ServerId>,
        /// Why it does not go on elsewhere.
        loss: Loss,
    },
    /// The query waits, and is asked for at this path next.
    Waits(QueryId, Box<[u8]>),
    /// The query has ended well.
    Finished(QueryId),
    /// The query goes on as another one, as this answer says.
    Moved(Box<[u8]>),
    /// It is cancelled.
    Cancelled,
}
