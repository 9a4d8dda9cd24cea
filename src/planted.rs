//! Slips to be planted, one at a time, so that the simulation shows that it would find them.
//!
//! A simulator proves nothing until it has found something. Each slip is one that is easily made
//! at the place where it is planted. Without the feature `planted`, and in every release build,
//! nothing of this is left: the question has one answer, which the compiler knows.

/// A slip, named by what it gets wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "planted", derive(Debug))]
pub enum Bug {
    /// A second attempt begins behind the bytes that the first one has sent.
    ReplayNotRewound,
    /// A body beyond the replay buffer's limit still counts as kept: the next server gets a part.
    ReplayOverflowUnnoticed,
    /// An exchange that ends does not give the replay buffer back.
    BufferNotReturned,
    /// A connection with octets behind the answer goes to the pool.
    SurplusPooled,
    /// A connection that its server is about to close goes to the pool.
    ClosingConnectionPooled,
    /// A connection with half a request on it goes to the pool.
    HalfSentConnectionPooled,
    /// A body that ended with its connection is passed on without the last chunk.
    LastChunkLost,
    /// An answer that ends before its length is taken for a whole one.
    CutTakenForWhole,
    /// A server that resets within the body has its request sent to another.
    RetriedAfterFirstByte,
    /// A client that leaves is counted as a failure of its server.
    AbortBlamedOnServer,
    /// A cut answer without framing ends like a whole one, by FIN.
    CutEndsInOrder,
    /// The rest of a body that nobody wanted is read as the next request.
    UnwantedBodyParsed,
    /// `proxy_read_timeout` runs while the request is still being sent.
    ReadTimeoutWhileSending,
    /// `proxy_connect_timeout` is not looked at.
    ConnectTimeoutIgnored,
    /// `send_timeout` is not looked at.
    SendTimeoutIgnored,
    /// `client_body_timeout` is not looked at.
    BodyTimeoutIgnored,
    /// A client that has left while it waited is not noticed.
    LeavingUnnoticed,
    /// A server that failed may be picked again for the same request.
    SameServerAgain,
    /// A pooled connection that turns out dead is a failure of its server.
    DeadPooledBlamed,
    /// A connection taken from the pool keeps its entry there as the owner of its events.
    OwnerNotChanged,
    /// The first 1xx ends the exchange.
    InterimTakenForFinal,
    /// 1xx is passed on to clients that do not know it.
    InterimToOldClient,
    /// Each server's 100 is passed on, not only the first.
    ContinueRepeated,
    /// Chunks are passed on to clients that do not know them.
    ChunksToOldClient,
    /// Pipelined bytes in hand wait for an event that does not come.
    RestOfInputForgotten,
    /// `keepalive_timeout` runs from when the client came, not from its last answer.
    KeepaliveDeadlineKept,
    /// An alarm is believed although its deadline has moved.
    AlarmBelieved,
    /// After the last answer the connection is closed at once, over the client's unread bytes.
    LingeringLeftOut,
    /// The token of a closed socket stays in use.
    TokenLeaked,
    /// Idle connections to servers are never too old.
    PoolNeverExpires,
    /// Whatever comes on an idle connection to a server leaves it in the pool.
    IdleEventsIgnored,
    /// An alarm that has rung is not set again.
    AlarmNotSetAgain,
    /// When accepting pauses, nothing is set to end the pause.
    PauseWithoutEnd,
    /// Servers that are out are never looked at again.
    ChecksNeverBegin,
    /// After a write the next one waits for an event.
    WriteStopsWriting,
    /// A short read hides the end that is known to stand behind it.
    EndBehindShortReadLost,
    /// A trial whose client leaves is never given back.
    TrialLeaked,
    /// A server on trial is never taken back.
    TrialWithoutEnd,
    /// A backup that serves is never left again.
    BackupsFirst,
    /// Every method may be repeated.
    PostRepeated,
    /// A timeout never moves a request to another server.
    TimeoutNeverMoves,
    /// The answer to a HEAD is taken to have a body.
    HeadBodyAwaited,
    /// A 304 is taken to have a body.
    NotModifiedBodyAwaited,
    /// A body with a length is one byte longer than it says.
    LengthOneMore,
    /// A chunk of which one byte is missing is taken for whole.
    ChunkEndsEarly,
    /// Fields that `Connection` names are passed on.
    HopByHopPassedOn,
    /// `Connection: close` is overheard.
    CloseOverheard,
    /// Draining leaves idle clients as they are.
    DrainForgetsIdle,
    /// A request that was refused within its body is read on, up to its client's end.
    RefusedBodyReadOn,
    /// A tunnel that is cut ends for its client like a whole one, by FIN.
    TunnelCutInOrder,
    /// A server that was asked to switch, and has not yet, is left by FIN.
    UpgradeLeftInOrder,
    /// Clients with large heads stay when memory is used up.
    LargeHeadsStay,
    /// The reserve of descriptors is given up, and nothing made of it.
    ReserveUnused,
    /// What began with an old configuration may go on for ever.
    OldOnesStay,
}

#[cfg(feature = "planted")]
impl Bug {
    /// All of them.
    pub const ALL: [Bug; 54] = [
        Bug::ReplayNotRewound,
        Bug::ReplayOverflowUnnoticed,
        Bug::BufferNotReturned,
        Bug::SurplusPooled,
        Bug::ClosingConnectionPooled,
        Bug::HalfSentConnectionPooled,
        Bug::LastChunkLost,
        Bug::CutTakenForWhole,
        Bug::RetriedAfterFirstByte,
        Bug::AbortBlamedOnServer,
        Bug::CutEndsInOrder,
        Bug::UnwantedBodyParsed,
        Bug::ReadTimeoutWhileSending,
        Bug::ConnectTimeoutIgnored,
        Bug::SendTimeoutIgnored,
        Bug::BodyTimeoutIgnored,
        Bug::LeavingUnnoticed,
        Bug::SameServerAgain,
        Bug::DeadPooledBlamed,
        Bug::OwnerNotChanged,
        Bug::InterimTakenForFinal,
        Bug::InterimToOldClient,
        Bug::ContinueRepeated,
        Bug::ChunksToOldClient,
        Bug::RestOfInputForgotten,
        Bug::KeepaliveDeadlineKept,
        Bug::AlarmBelieved,
        Bug::LingeringLeftOut,
        Bug::TokenLeaked,
        Bug::PoolNeverExpires,
        Bug::IdleEventsIgnored,
        Bug::AlarmNotSetAgain,
        Bug::PauseWithoutEnd,
        Bug::ChecksNeverBegin,
        Bug::WriteStopsWriting,
        Bug::EndBehindShortReadLost,
        Bug::TrialLeaked,
        Bug::TrialWithoutEnd,
        Bug::BackupsFirst,
        Bug::PostRepeated,
        Bug::TimeoutNeverMoves,
        Bug::HeadBodyAwaited,
        Bug::NotModifiedBodyAwaited,
        Bug::LengthOneMore,
        Bug::ChunkEndsEarly,
        Bug::HopByHopPassedOn,
        Bug::CloseOverheard,
        Bug::DrainForgetsIdle,
        Bug::RefusedBodyReadOn,
        Bug::TunnelCutInOrder,
        Bug::UpgradeLeftInOrder,
        Bug::LargeHeadsStay,
        Bug::ReserveUnused,
        Bug::OldOnesStay,
    ];
}

/// Whether this slip is to be made.
#[cfg(not(all(feature = "planted", debug_assertions)))]
#[inline(always)]
pub const fn is(_: Bug) -> bool {
    false
}

#[cfg(all(feature = "planted", debug_assertions))]
pub use selected::{is, plant};

#[cfg(all(feature = "planted", debug_assertions))]
mod selected {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this slip is to be made.
    pub fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Makes this thread's workers commit one slip from now on, or none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }
}
