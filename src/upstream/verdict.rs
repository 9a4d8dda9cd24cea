//! What attempts show about their servers.

use super::retry::Failure;

/// What an attempt shows about its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It sent a whole response.
    Succeeded,
    /// It failed in this way, and is to blame.
    Failed(Failure),
    /// Nothing: the client left, or the failure is not the server's fault.
    Abandoned,
}

impl From<Failure> for Verdict {
    /// What a failed attempt says of its server.
    fn from(failure: Failure) -> Verdict {
        if failure.counts() {
            return Verdict::Failed(failure);
        }
        let is_answer = matches!(failure, Failure::Status(_) | Failure::Turned(_));
        if is_answer { Verdict::Succeeded } else { Verdict::Abandoned }
    }
}
