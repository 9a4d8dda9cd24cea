//! What follows for a request about a query: decided by what it asks, by what is known of the query,
//! and by whether its coordinator can answer.

use super::coordinator::Ownership;
use super::kept::Loss;
use super::known::{Known, Path};

/// What a request wants of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    /// The next part of its answer.
    Poll,
    /// That it stays alive.
    Heartbeat,
    /// Its end.
    Cancel,
    /// Anything else.
    Other,
}

/// What a request asks of a query, as far as its answer matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// The next part of its answer: no row of it was delivered, and its statement is kept.
    Undelivered,
    /// The last part, which says only once more that it has ended well.
    Acknowledges,
    /// Anything else.
    Other,
}

impl Asks {
    /// What is asked of a query, by what is known of it.
    pub fn of(matter: Matter, known: Known<'_>, path: Path) -> Asks {
        match (matter, known, path) {
            (Matter::Poll, Known::Runs, _) => Asks::Undelivered,
            (Matter::Poll, Known::Finished, Path::Next) => Asks::Acknowledges,
            (_, _, _) => Asks::Other,
        }
    }
}

/// What follows for a request about a query.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// A coordinator is asked.
    Ask,
    /// It waits as long as a poll does, and is told to ask again then.
    Hold,
    /// It waits as long as any request does.
    Wait,
    /// It is refused.
    Refuse,
    /// The statement is submitted again, and it waits for that. If it may not be, it is told why.
    Resubmit,
    /// It is told that the query is lost, and why.
    Lost(Loss),
    /// It is told that the query has ended well.
    Finished,
    /// It is told as which query it goes on: the answer to its submission.
    Moved(Box<[u8]>),
    /// It is told that the query is cancelled.
    Cancelled,
}

impl Decision {
    /// What follows from what is known of the query; `None` if its coordinator has to be looked at.
    pub fn by_stage(matter: Matter, known: Known<'_>, path: Path) -> Option<Decision> {
        match (known, matter, path) {
            (Known::Waits, Matter::Poll, Path::Next) => Some(Decision::Hold),
            (Known::Waits, Matter::Cancel, Path::Next) => Some(Decision::Cancelled),
            // What it goes by is known once it is submitted.
            (Known::Waits, Matter::Cancel, Path::Other) => Some(Decision::Wait),
            (Known::Waits, Matter::Heartbeat, _) => Some(Decision::Refuse),
            (Known::Moved(_, answer), Matter::Poll, Path::Next) if !answer.is_empty() => {
                Some(Decision::Moved(answer.into()))
            }
            (Known::Moved(..), Matter::Poll, Path::Other) => Some(Decision::Lost(Loss::NotKept)),
            (Known::Lost(loss), Matter::Poll, Path::Next) => Some(Decision::Lost(loss)),
            (Known::Lost(_), Matter::Cancel, _) => Some(Decision::Cancelled),
            // It was not asked for in time.
            (Known::Forgotten, Matter::Poll, _) => Some(Decision::Lost(Loss::Waited)),
            (_, _, _) => None,
        }
    }

    /// What follows from whether the coordinator of the query can answer. One that will not answer in
    /// time counts as dead.
    pub fn by_owner(matter: Matter, asks: Asks, owner: Ownership) -> Decision {
        match (owner, matter, asks) {
            (Ownership::Alive(_), _, _) => Decision::Ask,
            // One that is asked for its last answer again may not have had it.
            (Ownership::Dead(_), _, Asks::Acknowledges) => Decision::Finished,
            (Ownership::Dead(_), Matter::Poll, _) => Decision::Resubmit,
            (Ownership::Dead(_), Matter::Cancel, _) => Decision::Cancelled,
            (Ownership::Dead(_), Matter::Heartbeat, _) => Decision::Refuse,
            (Ownership::Dead(_), Matter::Other, _) => Decision::Ask,
            // Its server is no longer in the file.
            (Ownership::Unknown, _, Asks::Undelivered) => Decision::Resubmit,
            (Ownership::Unknown, _, _) => Decision::Ask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trino::query_id::{CoordinatorId, QueryId};

    const MATTERS: [Matter; 4] = [Matter::Poll, Matter::Heartbeat, Matter::Cancel, Matter::Other];

    fn said(decision: Option<Decision>) -> String {
        decision.map_or("-".to_owned(), |it| format!("{it:?}"))
    }

    #[test]
    fn every_matter_in_every_stage() {
        let other = QueryId::made_up(b"20261130_103000", 1, CoordinatorId::of_number(7));
        // At the next path: a poll, a heartbeat, a cancel, anything else; then at another one.
        let table = [
            (Known::Nothing, "- - - -", "- - - -"),
            (Known::Forgotten, "Lost(Waited) - - -", "Lost(Waited) - - -"),
            (Known::Runs, "- - - -", "- - - -"),
            (Known::Waits, "Hold Refuse Cancelled -", "- Refuse Wait -"),
            (Known::Moved(other, b"{}"), "Moved([123, 125]) - - -", "Lost(NotKept) - - -"),
            (Known::Moved(other, b""), "- - - -", "Lost(NotKept) - - -"),
            (Known::Finished, "- - - -", "- - - -"),
            (Known::Lost(Loss::Repeated), "Lost(Repeated) - Cancelled -", "- - Cancelled -"),
        ];
        for (known, next, elsewhere) in table {
            for (path, expected) in [(Path::Next, next), (Path::Other, elsewhere)] {
                let all = MATTERS.map(|matter| said(Decision::by_stage(matter, known, path)));
                assert_eq!(all.join(" "), expected, "{known:?} {path:?}");
            }
        }
    }

    #[test]
    fn every_matter_by_every_owner() {
        let (alive, dead) = (Ownership::Alive(1), Ownership::Dead(1));
        // A poll, a heartbeat, a cancel, anything else.
        let table = [
            (Known::Nothing, Path::Other, alive, "Ask Ask Ask Ask"),
            (Known::Nothing, Path::Other, dead, "Resubmit Refuse Cancelled Ask"),
            (Known::Nothing, Path::Other, Ownership::Unknown, "Ask Ask Ask Ask"),
            (Known::Runs, Path::Next, alive, "Ask Ask Ask Ask"),
            (Known::Runs, Path::Next, dead, "Resubmit Refuse Cancelled Ask"),
            (Known::Runs, Path::Other, dead, "Resubmit Refuse Cancelled Ask"),
            (Known::Runs, Path::Next, Ownership::Unknown, "Resubmit Ask Ask Ask"),
            (Known::Finished, Path::Next, alive, "Ask Ask Ask Ask"),
            (Known::Finished, Path::Next, dead, "Finished Refuse Cancelled Ask"),
            (Known::Finished, Path::Other, dead, "Resubmit Refuse Cancelled Ask"),
            (Known::Finished, Path::Next, Ownership::Unknown, "Ask Ask Ask Ask"),
        ];
        for (known, path, owner, expected) in table {
            let all = MATTERS.map(|matter| {
                let asks = Asks::of(matter, known, path);
                said(Some(Decision::by_owner(matter, asks, owner)))
            });
            assert_eq!(all.join(" "), expected, "{known:?} {path:?} {owner:?}");
        }
    }
}
