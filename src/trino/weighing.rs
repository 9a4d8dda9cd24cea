//! What an answer says of a query of which no row was delivered, and whether its client may have it.

use std::time::Duration;

use super::kept::{Loss, PAUSE};
use super::known::Known;
use super::ledger::Ledger;
use super::query_id::QueryId;
use super::rows::{AnswerScan, Carries, QueryError, QueryState};
use crate::time::Time;

/// The coordinator that gives an answer, as far as is known.
#[derive(Clone, Copy, Debug)]
pub struct Answerer {
    /// Its version.
    pub release: Option<u32>,
    /// How long it has been ready, if it was not always.
    pub ready: Option<Duration>,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighed {
    /// It is passed on.
    Passes,
    /// It is dropped: its client waits until the query goes on elsewhere.
    Waits,
    /// It is dropped: the query cannot go on.
    Lost(Loss),
}

/// Weighs an answer to a poll of a query, which has come as far as `scan` has read it, and takes note
/// of it.
pub fn weigh(
    ledger: &mut Ledger,
    id: QueryId,
    (scan, is_whole): (&AnswerScan, bool),
    Answerer { release, ready }: Answerer,
    now: Time,
) -> Weighed {
    // It goes on elsewhere: whatever this coordinator still says is dropped.
    if matches!(ledger.look(id), Known::Waits | Known::Moved(..)) {
        return Weighed::Waits;
    }
    if let Some(columns) = scan.columns()
        && !ledger.see_columns(id, columns)
    {
        ledger.give_up(id, Loss::Differs);
        return Weighed::Lost(Loss::Differs);
    }
    // What stands behind `data` or `stats` is known of a whole answer only.
    let is_whole = is_whole && scan.is_whole();
    let is_finished = scan.state() == Some(QueryState::Finished) && scan.error().is_none();
    let is_last = is_finished && release.is_some_and(|it| it >= DRAINED);
    if scan.carries() != Carries::NoRows || !is_whole {
        match scan.next_path().filter(|_| is_whole && is_last) {
            Some(next) => ledger.finished(id, next),
            None => ledger.remove(id),
        }
        return Weighed::Passes;
    }
    let is_new = ready.is_some_and(|ready| ready < NEW);
    let may_restart = match scan.error() {
        Some(QueryError::StartingUp) => true,
        Some(QueryError::NoNodes | QueryError::NodesEmpty) => is_new && ledger.may_run_twice(id),
        Some(QueryError::Other) | None => false,
    };
    if may_restart && ledger.restart(id, now, now + PAUSE) {
        return Weighed::Waits;
    }
    if scan.has_update_type() {
        ledger.forbid(id);
    }
    match scan.next_path() {
        Some(_) if scan.error().is_some() => ledger.remove(id),
        Some(next) if is_last => ledger.finished(id, next),
        Some(next) => ledger.told_next(id, next),
        None => ledger.remove(id),
    }
    Weighed::Passes
}

/// From this version on, a query that is `FINISHED` has handed out all rows. Before, some may still be
/// to come.
const DRAINED: u32 = 391;
/// A coordinator that has been ready for so long has all of its workers.
const NEW: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::trino::kept::Statement;
    use crate::trino::known::Path;
    use crate::trino::query_id::CoordinatorId;
    use crate::trino::statement::Repeat;

    const NOW: Time = Time::ZERO;

    fn id() -> QueryId {
        QueryId::made_up(b"20261130_103000", 1, CoordinatorId::of_number(7))
    }

    /// A query that runs, and has begun.
    fn ledger(repeat: Repeat) -> Ledger {
        let mut ledger = Ledger::new(CoordinatorId::of_number(9));
        let request = Zeroizing::new(Box::from(&b"POST"[..]));
        let statement = Statement { request, repeat, columns: None };
        ledger.keep(id(), Box::from(&b"/1"[..]), statement, 1000, NOW);
        ledger.begun(id());
        ledger
    }

    fn scan(answer: &str) -> AnswerScan {
        let mut scan = AnswerScan::default();
        scan.feed(answer.as_bytes());
        scan
    }

    /// What becomes of an answer, what is known of the query then, and where it is asked for next.
    fn said(ledger: &mut Ledger, answer: (&str, bool), by: Answerer) -> String {
        let weighed = weigh(ledger, id(), (&scan(answer.0), answer.1), by, NOW);
        let next = match ledger.path(id(), b"/2") {
            Path::Next => " /2",
            Path::Other => "",
        };
        format!("{weighed:?} {:?}{next}", ledger.look(id()))
    }

    const ROWS: &str = r#"{"nextUri":"http://a/2","data":[[1]],"stats":{"state":"RUNNING"}}"#;
    const LAST_ROWS: &str = r#"{"nextUri":"http://a/2","data":[[1]],"stats":{"state":"FINISHED"}}"#;
    const ROWLESS: &str = r#"{"nextUri":"http://a/2","stats":{"state":"RUNNING"}}"#;
    const FINISHED: &str = r#"{"nextUri":"http://a/2","stats":{"state":"FINISHED"}}"#;
    const END: &str = r#"{"stats":{"state":"FINISHED"}}"#;
    const UPDATE: &str = r#"{"nextUri":"http://a/2","stats":{},"updateType":"INSERT"}"#;

    fn failed(code: u32, message: &str) -> String {
        format!(r#"{{"stats":{{}},"error":{{"errorCode":{code},"message":"{message}"}}}}"#)
    }

    #[test]
    fn every_answer_of_every_coordinator() {
        let newest = Answerer { release: Some(483), ready: Some(Duration::from_secs(29)) };
        let lasting = Answerer { ready: Some(Duration::from_secs(30)), ..newest };
        let oldest = Answerer { release: Some(390), ready: None };
        let unknown = Answerer { release: None, ready: None };
        let (starting, no_nodes) = (failed(65_548, ""), failed(65_541, ""));
        let (empty, other) = (failed(65_536, "nodes is empty"), failed(65_536, "x"));
        let (passes, waits) = ("Passes Nothing", "Waits Waits");
        let table = [
            ((ROWLESS, true), newest, "Passes Runs /2", "Passes Runs /2"),
            ((ROWLESS, false), newest, passes, passes),
            ((&ROWLESS[..40], true), newest, passes, passes),
            ((ROWS, true), newest, passes, passes),
            ((LAST_ROWS, true), newest, "Passes Finished /2", "Passes Finished /2"),
            ((LAST_ROWS, false), newest, passes, passes),
            ((LAST_ROWS, true), oldest, passes, passes),
            ((LAST_ROWS, true), unknown, passes, passes),
            ((FINISHED, true), newest, "Passes Finished /2", "Passes Finished /2"),
            ((FINISHED, true), oldest, "Passes Runs /2", "Passes Runs /2"),
            ((END, true), newest, passes, passes),
            ((UPDATE, true), newest, "Passes Runs /2", "Passes Runs /2"),
            ((&starting, true), oldest, waits, waits),
            ((&no_nodes, true), newest, waits, passes),
            ((&no_nodes, true), lasting, passes, passes),
            ((&no_nodes, true), unknown, passes, passes),
            ((&empty, true), newest, waits, passes),
            ((&other, true), newest, passes, passes),
        ];
        for (answer, by, twice, once) in table {
            for (repeat, expected) in [(Repeat::Twice, twice), (Repeat::Once, once)] {
                let said = said(&mut ledger(repeat), answer, by);
                assert_eq!(said, expected, "{answer:?} {by:?} {repeat:?}");
            }
        }
    }

    #[test]
    fn what_an_answer_shows_stays_so() {
        let by = Answerer { release: Some(483), ready: None };
        let mut updates = ledger(Repeat::Twice);
        assert_eq!(said(&mut updates, (UPDATE, true), by), "Passes Runs /2");
        assert_eq!(updates.lose(id(), b"/2", NOW), Err(Loss::MayHaveChanged));
        let columns = |name: &str| {
            ROWLESS.replace("\"stats\"", &format!("\"columns\":[\"{name}\"],\"stats\""))
        };
        let mut told = ledger(Repeat::Twice);
        assert_eq!(said(&mut told, (&columns("a"), true), by), "Passes Runs /2");
        assert_eq!(said(&mut told, (&columns("a"), true), by), "Passes Runs /2");
        let differs = "Lost(Differs) Lost(Differs) /2";
        assert_eq!(said(&mut told, (&columns("b"), true), by), differs);
    }

    #[test]
    fn a_query_that_goes_on_elsewhere_hears_nothing_more() {
        let by = Answerer { release: Some(483), ready: None };
        let mut ledger = ledger(Repeat::Twice);
        ledger.lose(id(), b"/1", NOW).unwrap();
        assert_eq!(said(&mut ledger, (ROWS, true), by), "Waits Waits");
    }
}
