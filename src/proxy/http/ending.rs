//! What happens to the client's connection after an exchange.

/// Ordered from mildest to harshest. An exchange begins with the mildest and only ever moves down:
/// a reason not to keep the connection stays valid.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// The client may send its next request.
    Keep,
    /// It is closed after the client has had time to read the answer.
    Linger,
    /// As `Linger`, but for a refused request, and only for a short time.
    LingerBriefly,
    /// It is closed: nothing is left to send, or the framing shows what is missing.
    Close,
    /// It is reset: the response is incomplete, and only a reset shows that.
    Reset,
    /// It is reset: the client took or sent no bytes for too long.
    TimedOut,
    /// It is closed: the client left.
    ClientLeft,
}

impl Ending {
    /// Moves down to `other`, unless already there or below.
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
