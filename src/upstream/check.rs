//! Active checks of one server: when the next one is due, and what the results add up to.

use crate::config::model::CheckRules;
use crate::time::Time;

use super::health::CHECK_INTERVAL;
use super::retry::Failure;

/// The active checks of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    turn: Turn,
    /// When the last one ended.
    ended: Time,
    /// Checks in a row that failed.
    failed: u32,
    /// Checks in a row that passed.
    passed: u32,
}

/// Checks of one server follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The next one is due.
    Due(Time),
    /// One is under way.
    UnderWay,
}

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The server is ready.
    Ready,
    /// A coordinator without an id says that it is ready. It has not run for long, and was not ready
    /// before: it fails every query for some seconds more if it has just started.
    NewlyReady,
    /// The server is starting.
    Starting,
    /// The server answered, but the answer says nothing about it.
    Silent,
    /// The check failed.
    Failed(Failure),
    /// We lacked descriptors or memory for the check.
    Postponed,
}

/// What the checks so far add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The server is there.
    Passed,
    /// The server is out.
    Failed(Failure),
    /// The server answers; connections alone tell whether it is well.
    Answered,
    /// Nothing yet.
    Unclear,
}

impl Checks {
    /// None was made; the first is due at once.
    pub const FRESH: Checks =
        Checks { turn: Turn::Due(Time::ZERO), ended: Time::ZERO, failed: 0, passed: 0 };

    /// When the next check is due; `Time::NEVER` while one is under way.
    pub fn due(self) -> Time {
        match self.turn {
            Turn::Due(due) => due,
            Turn::UnderWay => Time::NEVER,
        }
    }

    /// A check begins.
    pub fn began(&mut self) {
        self.turn = Turn::UnderWay;
    }

    /// A request failed: looks at the server at once, but not time and again.
    pub fn hasten(&mut self, now: Time) {
        if let Turn::Due(due) = &mut self.turn {
            *due = now.max(self.ended + CHECK_INTERVAL).min(*due);
        }
    }

    /// The check under way was given up without a result; the next is due at once.
    pub fn interrupted(&mut self) {
        self.turn = Turn::Due(Time::ZERO);
    }

    /// A check ended.
    pub fn ended(&mut self, report: Report, rules: &CheckRules, now: Time) -> Evidence {
        self.turn = Turn::Due(now + rules.interval);
        self.ended = now;
        match report {
            Report::Ready | Report::NewlyReady | Report::Starting => {
                self.failed = 0;
                self.passed = self.passed.saturating_add(1);
                match self.passed >= rules.passes {
                    true => Evidence::Passed,
                    false => Evidence::Unclear,
                }
            }
            Report::Failed(failure) => {
                self.passed = 0;
                self.failed = self.failed.saturating_add(1);
                // Nothing listens there: more checks would not say more.
                if failure == Failure::Refused || self.failed >= rules.fails {
                    return Evidence::Failed(failure);
                }
                self.turn = Turn::Due(now);
                Evidence::Unclear
            }
            Report::Silent => {
                (self.failed, self.passed) = (0, 0);
                Evidence::Answered
            }
            Report::Postponed => {
                self.turn = Turn::Due(now + CHECK_INTERVAL);
                Evidence::Unclear
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::model::Asks;

    const REFUSED: Report = Report::Failed(Failure::Refused);
    const SLOW: Report = Report::Failed(Failure::ReadTimedOut);

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// Reports at intervals of a second to checks with `fails=2 passes=2`.
    fn evidence(reports: &[Report]) -> Vec<Evidence> {
        let rules = CheckRules { fails: 2, passes: 2, ..CheckRules::of(Asks::Connection) };
        let mut checks = Checks::FRESH;
        let ended = |(second, report): (usize, &Report)| {
            checks.began();
            checks.ended(*report, &rules, at(1000 * second as u64))
        };
        reports.iter().enumerate().map(ended).collect()
    }

    #[test]
    fn results_count_only_in_a_row() {
        use Evidence::{Answered, Failed, Passed, Unclear};
        use Report::{Ready, Silent, Starting};
        let slow = Failed(Failure::ReadTimedOut);
        let refused = Failed(Failure::Refused);
        let table: [(&[Report], &[Evidence]); 6] = [
            (&[Ready, Ready, Ready], &[Unclear, Passed, Passed]),
            (&[Ready, SLOW, Ready, Starting], &[Unclear, Unclear, Unclear, Passed]),
            (&[SLOW, SLOW, SLOW], &[Unclear, slow, slow]),
            (&[SLOW, Silent, SLOW], &[Unclear, Answered, Unclear]),
            (&[REFUSED, Ready, Ready], &[refused, Unclear, Passed]),
            (&[Report::Postponed, SLOW, SLOW], &[Unclear, Unclear, slow]),
        ];
        for (reports, expected) in table {
            assert_eq!(evidence(reports), expected, "{reports:?}");
        }
    }

    #[test]
    fn a_check_is_due_after_the_interval_and_a_failed_one_is_repeated_at_once() {
        let rules = CheckRules { interval: Duration::from_millis(500), ..CheckRules::of_trino() };
        let mut checks = Checks::FRESH;
        let table = [
            (Report::Ready, 1500),
            (Report::Silent, 1500),
            (SLOW, 1000),
            (SLOW, 1500),
            (REFUSED, 1500),
            (Report::Postponed, 1100),
        ];
        for (report, due) in table {
            checks.began();
            assert_eq!(checks.due(), Time::NEVER, "one at a time");
            let _ = checks.ended(report, &rules, at(1000));
            assert_eq!(checks.due(), at(due), "{report:?}");
        }
    }

    #[test]
    fn a_failed_request_hastens_the_next_check_but_not_the_one_under_way() {
        let mut checks = Checks::FRESH;
        checks.began();
        checks.hasten(at(7));
        assert_eq!(checks.due(), Time::NEVER);
        let _ = checks.ended(Report::Ready, &CheckRules::of_trino(), at(1000));
        checks.hasten(at(1200));
        assert_eq!(checks.due(), at(1200));
        checks.hasten(at(1300));
        assert_eq!(checks.due(), at(1200));
        checks.began();
        let _ = checks.ended(Report::Ready, &CheckRules::of_trino(), at(2000));
        checks.hasten(at(2001));
        assert_eq!(checks.due(), at(2100), "not time and again");
    }
}
