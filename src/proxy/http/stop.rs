//! What the callees of an exchange tell their callers when they end what these were about to go on with.

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client may send its next request.
    Keep,
    /// The connection is closed once the client has had a chance to read the answer.
    Linger,
    /// The same for a request that was refused: not for long.
    LingerBriefly,
    /// Nothing more is to be said.
    Close,
    /// The response is not whole, and only a reset can show it.
    Reset,
    /// The client left.
    ClientLeft,
    /// The client took or sent nothing for too long.
    TimedOut,
}

/// Why a callee of the exchange did not do what it was called for: what the caller holds of it is
/// void, whatever it was about to do next.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The exchange is over.
    Over(Ending),
    /// It goes on in another way: with an answer of our own, another attempt, or a cut answer.
    Turned,
}

impl From<Ending> for Stop {
    fn from(ending: Ending) -> Stop {
        Stop::Over(ending)
    }
}

impl Stop {
    /// What a way that was just begun leaves the caller of the earlier one with.
    pub fn behind(begun: Result<(), Stop>) -> Stop {
        begun.err().unwrap_or(Stop::Turned)
    }
}
