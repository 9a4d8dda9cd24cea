//! What is asked about a query beside its polls, and whether the answer is right.

use std::time::Duration;

use switchover::time::Time;

use super::client::{Query, Reply};
use super::ledger::{Ledger, back};
use super::scenario::Aside;

impl Query {
    /// What is asked about a query reaches its owner if that is well, and is answered by it.
    pub(super) fn judge_aside(
        &self,
        aside: Aside,
        reply: &Reply<'_>,
        since: Time,
        now: Time,
        ledger: &mut Ledger,
    ) {
        let status = match reply {
            Reply::Answer(head, _) => head.status(),
            Reply::Broken | Reply::Cut | Reply::Reset | Reply::Nothing => 0,
        };
        if aside == Aside::Repeat {
            return self.judge_repeat(reply, since, now, ledger);
        }
        if self.is_queued(ledger) {
            return self.judge_aside_of_queued(aside, status, (since, now), ledger);
        };
        let (expected, has_come) = match aside {
            Aside::Heartbeat | Aside::Look | Aside::Repeat => (200, true),
            Aside::CancelStage => (204, ledger.cut_down.contains(&self.plan.number)),
            Aside::Cancel | Aside::Kill => (204, ledger.cancelled.contains(&self.plan.number)),
        };
        // A proxy that begins anew does not know that it went by another id.
        let is_renamed =
            self.before.last().is_some_and(|it| ledger.is_proxy_restarted_since(it.at));
        let recent = back(since, UNNOTICED);
        let is_gone = self.is_owner_gone(recent, now, ledger);
        let is_due = self.is_owner_up(since, now, ledger) && !is_renamed;
        let is_answered = status == expected && has_come;
        // The end of a query that is gone is none the less acknowledged, and none waits for ever.
        let is_held = matches!(reply, Reply::Nothing);
        let is_unacknowledged = aside == Aside::Cancel && is_gone && status != expected;
        if is_due && !is_answered || is_unacknowledged && !is_renamed || is_held {
            let at = if has_come { "its coordinator" } else { "no coordinator" };
            self.accuse(&format!("its {aside:?} reaches {at} and {reply}"), now, ledger);
        }
    }

    /// The same poll gets the same answer.
    fn judge_repeat(&self, reply: &Reply<'_>, since: Time, now: Time, ledger: &mut Ledger) {
        let Some(before) = self.before.last() else { return };
        let is_same = matches!(reply, Reply::Answer(_, text) if **text == *before.text);
        // The answer may have been on its way when the proxy ended.
        let from = back(before.at.min(since), LATE);
        if !is_same && !ledger.is_proxy_restarted_since(from) {
            self.accuse(&format!("the poll of {} {reply} now", before.id), now, ledger);
        }
    }

    /// A statement that waits can be cancelled.
    fn judge_aside_of_queued(
        &self,
        aside: Aside,
        status: u16,
        (since, now): (Time, Time),
        ledger: &mut Ledger,
    ) {
        if self.is_proxy_another(ledger) {
            return;
        }
        match aside {
            Aside::Cancel if status == 204 => {
                ledger.submissions.dropped.insert(self.plan.number, now);
            }
            Aside::Cancel if status == 503 && self.is_taken_in_doubt(since, now, ledger) => {}
            Aside::Cancel => {
                self.accuse(&format!("its end is answered with {status}"), now, ledger)
            }
            Aside::Kill => {
                ledger.submissions.left.insert(self.plan.number, now);
            }
            Aside::Heartbeat | Aside::CancelStage | Aside::Look | Aside::Repeat => {}
        }
    }

    /// Whether a coordinator has taken it, of which its client has not heard, that was neither well
    /// nor known to be gone: its end waits for that one like any other query's.
    fn is_taken_in_doubt(&self, since: Time, now: Time, ledger: &Ledger) -> bool {
        let recent = back(since, UNNOTICED);
        let Some(last) = ledger.submissions.of(self.plan.number).last() else { return false };
        let is_in_doubt = ledger.process(&last.process).is_some_and(|it| match it.died {
            None => !ledger.was_up(it.place, recent, now),
            Some(died) => died >= recent || !ledger.answered_all(it.place, recent, now),
        });
        last.told.is_none() && last.at < since && is_in_doubt
    }
}

/// The time in which the proxy may not know of a change: an interval, two checks, and the time that
/// a poll waits.
const UNNOTICED: Duration = Duration::from_secs(5);
/// The time that an answer may be on its way.
const LATE: Duration = Duration::from_secs(1);
