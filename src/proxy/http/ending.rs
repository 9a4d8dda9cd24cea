//! What becomes of the client's connection once an exchange is over.

/// The mildest first. An exchange begins with the first and only ever falls: whatever speaks against
/// keeping the connection stays true.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// The client may send its next request.
    Keep,
    /// It is closed once the client has had a chance to read the answer.
    Linger,
    /// The same for a request that was refused: not for long.
    LingerBriefly,
    /// It is closed: nothing more is to be said, or the framing shows what is missing.
    Close,
    /// It is reset: the response is not whole, and only that shows it.
    Reset,
    /// It is reset: the client took or sent nothing for too long.
    TimedOut,
    /// It is closed: the client left.
    ClientLeft,
}

impl Ending {
    /// Falls to `other`, unless it is there or lower.
    pub fn fall(&mut self, other: Ending) {
        *self = (*self).max(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_only_falls() {
        let mut ending = Ending::Keep;
        for (next, expected) in [
            (Ending::Keep, Ending::Keep),
            (Ending::LingerBriefly, Ending::LingerBriefly),
            (Ending::Linger, Ending::LingerBriefly),
            (Ending::Reset, Ending::Reset),
            (Ending::Close, Ending::Reset),
            (Ending::ClientLeft, Ending::ClientLeft),
            (Ending::TimedOut, Ending::ClientLeft),
        ] {
            ending.fall(next);
            assert_eq!(ending, expected);
        }
    }
}
