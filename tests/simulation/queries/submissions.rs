//! How often and where each statement was submitted, and whether it may be again.

use std::collections::BTreeMap;
use std::time::Duration;

use switchover::time::Time;

use super::ledger::{Ledger, back};
use super::scenario::Statement;

/// All submissions of all statements that coordinators have taken.
#[derive(Default)]
pub(crate) struct Submissions {
    all: BTreeMap<u32, Vec<Submission>>,
    /// Statements of which their clients have rows.
    pub(crate) delivered: BTreeMap<u32, Time>,
    /// Statements that were cancelled before any coordinator had them.
    pub(crate) dropped: BTreeMap<u32, Time>,
    /// Statements whose clients have left before any coordinator had them.
    pub(crate) left: BTreeMap<u32, Time>,
}

/// A statement that a coordinator has taken.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) process: String,
    id: String,
    pub(crate) at: Time,
    /// Whether it is polled there, so that it runs.
    pub(crate) begun: Begun,
    /// Why its coordinator fails it.
    pub(crate) failure: Option<&'static str>,
    /// When its client was told of it.
    pub(crate) told: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    No,
    Yes,
}

impl Submissions {
    /// A coordinator has taken a statement as this query.
    pub(crate) fn note(
        &mut self,
        number: u32,
        (process, id): (&str, &str),
        failure: Option<&'static str>,
        now: Time,
    ) {
        let (process, id) = (process.to_owned(), id.to_owned());
        let submission = Submission { process, id, at: now, begun: Begun::No, failure, told: None };
        self.all.entry(number).or_default().push(submission);
    }

    /// The client of a statement is told that it runs as this query.
    pub(crate) fn tell(&mut self, number: u32, id: &str, now: Time) {
        if let Some(submission) = self.by_id(number, id) {
            submission.told.get_or_insert(now);
        }
    }

    /// A query is polled at its coordinator.
    pub(crate) fn begin(&mut self, number: u32, id: &str) {
        if let Some(submission) = self.by_id(number, id) {
            submission.begun = Begun::Yes;
        }
    }

    fn by_id(&mut self, number: u32, id: &str) -> Option<&mut Submission> {
        self.all.get_mut(&number)?.iter_mut().find(|it| it.id == id)
    }

    pub(crate) fn of(&self, number: u32) -> &[Submission] {
        self.all.get(&number).map_or(&[], Vec::as_slice)
    }

    /// The submission that made this query.
    pub(crate) fn find(&self, number: u32, id: &str) -> Option<&Submission> {
        self.of(number).iter().find(|it| it.id == id)
    }

    /// Whether the client was told of a later submission than that of this query.
    pub(crate) fn is_replaced(&self, number: u32, id: &str) -> Option<Time> {
        let later = self.of(number).iter().skip_while(|it| it.id != id).skip(1);
        later.filter_map(|it| it.told).min()
    }
}

impl Submission {
    /// Whether it ran, as far as its coordinator can tell.
    pub(crate) fn has_run(&self) -> bool {
        self.begun == Begun::Yes && self.failure.is_none()
    }
}

/// A statement comes to a coordinator, which may take it: was that right?
pub(crate) fn judge_submission(
    number: u32,
    (statement, is_alone): (Statement, bool),
    place: usize,
    now: Time,
    ledger: &mut Ledger,
) {
    let all = &ledger.submissions;
    // It may have lain there while the coordinator stood still.
    let is_prompt = ledger.was_up(place, back(now, UNDER_WAY * 2), now);
    let earlier = |times: &BTreeMap<u32, Time>, by: Duration| {
        is_prompt && times.get(&number).is_some_and(|at| *at + by < now)
    };
    let mut wrong = Vec::new();
    if all.delivered.contains_key(&number) {
        wrong.push("though its client has rows".to_owned());
    }
    if earlier(&all.dropped, UNDER_WAY) {
        wrong.push("though it was cancelled".to_owned());
    }
    if earlier(&all.left, LEFT) {
        wrong.push("though its client has left".to_owned());
    }
    let ran = all.of(number).iter().filter(|it| it.has_run()).count();
    let most = if statement.may_run_twice() && is_alone { 1 } else { 0 };
    if ran > most {
        wrong.push(format!("though it ran {ran} times"));
    }
    if all.of(number).len() > MOST {
        wrong.push("once too often".to_owned());
    }
    for submission in all.of(number) {
        let is_lost = submission.failure.is_some()
            || ledger.may_be_lost(&submission.process, submission.at, now);
        let may = match submission.told {
            // One whose transaction its coordinator does not know is like any other.
            Some(_) => is_lost && (is_alone || submission.failure.is_some()),
            None => is_lost || ledger.may_be_unheard(&submission.process, submission.at, now),
        };
        if !may {
            wrong.push(format!("though it runs as {}", submission.id));
        }
    }
    for what in wrong {
        ledger.accuse(now, format!("{number} is sent again {what}"));
    }
}

/// A statement that was cancelled while it waited does not run, even if it was on its way.
pub(crate) fn judge_cancelled(now: Time, ledger: &mut Ledger) {
    let all = &ledger.submissions;
    let runs = |submission: &Submission, dropped: Time| {
        let Submission { process, at, .. } = submission;
        let Some(owner) = ledger.process(process) else { return false };
        let cancelled = (*at).max(dropped) + ENDED;
        cancelled < now
            && ledger.was_up(owner.place, back(*at, BLINK), cancelled)
            && owner.died.is_none_or(|died| died > cancelled)
            && !ledger.was_reset(owner.place, back(*at, LATE), cancelled)
            && !ledger.is_proxy_new_since(back(*at, LATE))
    };
    let dropped = all.dropped.iter().filter(|(number, _)| !ledger.cancelled.contains(number));
    let wrong: Vec<String> = dropped
        .flat_map(|(number, at)| all.of(*number).iter().filter(move |it| runs(it, *at)))
        .map(|it| format!("{} goes on, but was cancelled before its client knew of it", it.id))
        .collect();
    for what in wrong {
        ledger.accuse(now, what);
    }
}

impl Ledger {
    /// Whether a query of this process counts as lost, from when it was submitted on.
    pub(crate) fn may_be_lost(&self, process: &str, since: Time, now: Time) -> bool {
        let Some(owner) = self.process(process) else { return false };
        let doubt = DOUBT.min(self.queue).saturating_sub(SLACK);
        owner.died.is_some() || self.was_gone_for(owner.place, doubt, back(since, UNNOTICED), now)
    }

    /// Whether an answer of this process may not have come.
    fn may_be_unheard(&self, process: &str, since: Time, now: Time) -> bool {
        let Some(owner) = self.process(process) else { return false };
        owner.died.is_some()
            || !self.was_up(owner.place, back(since, UNNOTICED), now)
            || self.was_reset(owner.place, back(since, LATE), now)
            || self.is_proxy_new_since(back(since, LATE))
    }
}

/// How long the owner of a query may be out before that is submitted again.
pub(crate) const DOUBT: Duration = Duration::from_secs(10);
/// The time by which the proxy may notice late that a place is well.
const SLACK: Duration = Duration::from_secs(1);
/// The time in which it may not know of a change.
const UNNOTICED: Duration = Duration::from_secs(5);
/// The time that an answer may take.
const LATE: Duration = Duration::from_millis(500);
/// The time that a submission may be under way.
const UNDER_WAY: Duration = Duration::from_millis(500);
/// The time in which the proxy may think that a place is out.
const BLINK: Duration = Duration::from_millis(2500);
/// When a query has ended that is cancelled as soon as it is submitted.
const ENDED: Duration = Duration::from_secs(2);
/// When a client has left that does not ask, and a margin.
const LEFT: Duration = Duration::from_millis(30_500);
/// A statement is submitted at most so often: five times before it begins, and once after that.
const MOST: usize = 6;
