//! What has changed in a turn, and may move sessions.

use crate::trino::query_id::QueryId;
use crate::upstream::group::At;

/// A change of a server that can move sessions to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It is out: sessions that wait for it move on.
    Out {
        /// The server.
        at: At,
        /// The sessions that do.
        reach: Reach,
    },
    /// It was drained: tunnels that follow its group leave it.
    Drained(At),
    /// It takes new work again: sessions that went to a backup return.
    Back(At),
    /// Another server of the group is active: tunnels that follow it move there.
    ActiveMoved(At),
    /// The process that ran its queries is gone.
    Gone(At),
    /// It may take what waits for a server of its group.
    Ready(At),
    /// What became of the statement of this query.
    Submitted(QueryId),
    /// There is a newer configuration: what waits for a server looks for one there.
    Reloaded,
}

/// How far along a session may be to move on from a server that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It is still connecting.
    Connecting,
    /// It has no byte of an answer. Only where servers are checked: without checks, one failure
    /// takes a server out, which may concern that one connection only.
    Waiting,
}
