//! The health of one server: one function per event, and only events change it.

use std::time::Duration;

use crate::time::Time;

/// Whether a server may receive requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It may.
    Up {
        /// Failures counted since the first one.
        failures: u32,
        /// When the first of them happened.
        since: Time,
    },
    /// It may not, until a background connection is due.
    Down {
        /// When the background connection is due.
        until: Time,
    },
    /// The background connection is being made.
    Checking,
    /// The background connection succeeded: the next request is the trial.
    Due,
    /// One request is the trial. If it takes too long, another may try: a slow client says nothing
    /// about the server.
    Trial {
        /// Until then other requests avoid the server.
        until: Time,
    },
}

/// `max_fails` and `fail_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Failures within `fail_timeout` that take the server out; 0 for never.
    pub max_fails: u32,
    /// Also how long the server is out.
    pub fail_timeout: Duration,
}

impl Health {
    /// No failures yet.
    pub const FRESH: Health = Health::Up { failures: 0, since: Time::ZERO };

    /// A request failed, and the server is to blame.
    pub fn failed(self, rules: Rules, now: Time) -> Health {
        let down = Health::Down { until: now + rules.fail_timeout };
        match self {
            Health::Up { .. } if rules.max_fails == 0 => self,
            Health::Up { failures, since } => {
                let fresh = failures == 0 || now - since > rules.fail_timeout;
                let (failures, since) = if fresh { (1, now) } else { (failures + 1, since) };
                if failures >= rules.max_fails { down } else { Health::Up { failures, since } }
            }
            // The check in progress is newer evidence than a request sent long before.
            Health::Checking => self,
            Health::Down { .. } | Health::Due | Health::Trial { .. } => down,
        }
    }

    /// A whole response arrived.
    pub fn succeeded(self) -> Health {
        match self {
            Health::Trial { .. } => Health::FRESH,
            // The request was sent before the failure, which is newer evidence.
            Health::Up { .. } | Health::Down { .. } | Health::Checking | Health::Due => self,
        }
    }

    /// Whether the next request may be sent to the server.
    pub fn is_usable(self, now: Time) -> bool {
        match self {
            Health::Up { .. } | Health::Due => true,
            Health::Trial { until } => until <= now,
            Health::Down { .. } | Health::Checking => false,
        }
    }

    /// A request is sent to the server. Returns whether it is the trial, and the new state.
    pub fn tried(self, rules: Rules, now: Time) -> (bool, Health) {
        match self {
            Health::Trial { until } if until > now => (false, self),
            Health::Due | Health::Trial { .. } => {
                (true, Health::Trial { until: now + rules.fail_timeout })
            }
            Health::Up { .. } | Health::Down { .. } | Health::Checking => (false, self),
        }
    }

    /// The trial ended without a verdict: its client left, for example.
    pub fn trial_abandoned(self) -> Health {
        match self {
            Health::Trial { .. } => Health::Due,
            Health::Up { .. } | Health::Down { .. } | Health::Checking | Health::Due => self,
        }
    }

    /// When a background connection is due.
    pub fn check_due(self) -> Option<Time> {
        match self {
            Health::Down { until } => Some(until),
            Health::Up { .. } | Health::Checking | Health::Due | Health::Trial { .. } => None,
        }
    }

    /// The background connection is being made.
    pub fn check_began(self) -> Health {
        match self {
            Health::Down { .. } => Health::Checking,
            Health::Up { .. } | Health::Checking | Health::Due | Health::Trial { .. } => self,
        }
    }

    /// The background connection was accepted.
    pub fn check_succeeded(self) -> Health {
        match self {
            Health::Checking => Health::Due,
            Health::Up { .. } | Health::Down { .. } | Health::Due | Health::Trial { .. } => self,
        }
    }

    /// We had no descriptor or memory for the check; try again shortly.
    pub fn check_postponed(self, now: Time) -> Health {
        match self {
            Health::Checking => Health::Down { until: now + CHECK_INTERVAL },
            Health::Up { .. } | Health::Down { .. } | Health::Due | Health::Trial { .. } => self,
        }
    }

    /// Active checks passed: the outage is over, whatever `fail_timeout` says.
    pub fn checks_passed(self) -> Health {
        match self {
            Health::Up { .. } => self,
            Health::Down { .. } | Health::Checking | Health::Due | Health::Trial { .. } => {
                Health::FRESH
            }
        }
    }

    /// Active checks failed.
    pub fn checks_failed(self, rules: Rules, now: Time) -> Health {
        match self {
            Health::Up { .. } | Health::Checking | Health::Due | Health::Trial { .. } => {
                Health::Down { until: now + rules.fail_timeout }
            }
            Health::Down { .. } => self,
        }
    }

    /// An active check was answered in a way that says nothing but that the server is there. Like a
    /// background connection, that makes the next request the trial.
    pub fn check_answered(self, now: Time) -> Health {
        match self {
            Health::Down { until } if until <= now => Health::Due,
            Health::Up { .. }
            | Health::Down { .. }
            | Health::Checking
            | Health::Due
            | Health::Trial { .. } => self,
        }
    }

    /// The background connection failed: another `fail_timeout` begins.
    pub fn check_failed(self, rules: Rules, now: Time) -> Health {
        match self {
            Health::Checking => {
                Health::Down { until: now + rules.fail_timeout.max(CHECK_INTERVAL) }
            }
            Health::Up { .. } | Health::Down { .. } | Health::Due | Health::Trial { .. } => self,
        }
    }
}

/// The least time between two background connections, whatever `fail_timeout` is.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { max_fails: 2, fail_timeout: Duration::from_secs(3) };
    const TRIAL: Health = Health::Trial { until: at(12) };
    const DOWN: Health = Health::Down { until: at(20) };

    const fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    const fn up(failures: u32, since: u64) -> Health {
        Health::Up { failures, since: at(since) }
    }

    /// Every state with every event, at second 10.
    #[test]
    fn every_event_in_every_state() {
        let now = at(10);
        let out = Health::Down { until: at(13) };
        for (state, failed, succeeded, abandoned, began, good, bad) in [
            (up(0, 0), up(1, 10), up(0, 0), up(0, 0), up(0, 0), up(0, 0), up(0, 0)),
            (up(1, 8), out, up(1, 8), up(1, 8), up(1, 8), up(1, 8), up(1, 8)),
            (up(1, 6), up(1, 10), up(1, 6), up(1, 6), up(1, 6), up(1, 6), up(1, 6)),
            (DOWN, out, DOWN, DOWN, Health::Checking, DOWN, DOWN),
            (
                Health::Checking,
                Health::Checking,
                Health::Checking,
                Health::Checking,
                Health::Checking,
                Health::Due,
                out,
            ),
            (Health::Due, out, Health::Due, Health::Due, Health::Due, Health::Due, Health::Due),
            (TRIAL, out, Health::FRESH, Health::Due, TRIAL, TRIAL, TRIAL),
        ] {
            assert_eq!(state.failed(RULES, now), failed, "{state:?} failed");
            assert_eq!(state.succeeded(), succeeded, "{state:?} succeeded");
            assert_eq!(state.trial_abandoned(), abandoned, "{state:?} abandoned");
            assert_eq!(state.check_began(), began, "{state:?} check began");
            assert_eq!(state.check_succeeded(), good, "{state:?} check succeeded");
            assert_eq!(state.check_failed(RULES, now), bad, "{state:?} check failed");
        }
    }

    /// Every state with the results of active checks, at second 10 and at second 20.
    #[test]
    fn active_checks_in_every_state() {
        let out = Health::Down { until: at(13) };
        for (state, passed, failed, answered, answered_late) in [
            (up(0, 0), up(0, 0), out, up(0, 0), up(0, 0)),
            (up(1, 8), up(1, 8), out, up(1, 8), up(1, 8)),
            (DOWN, Health::FRESH, DOWN, DOWN, Health::Due),
            (Health::Checking, Health::FRESH, out, Health::Checking, Health::Checking),
            (Health::Due, Health::FRESH, out, Health::Due, Health::Due),
            (TRIAL, Health::FRESH, out, TRIAL, TRIAL),
        ] {
            assert_eq!(state.checks_passed(), passed, "{state:?} passed");
            assert_eq!(state.checks_failed(RULES, at(10)), failed, "{state:?} failed");
            assert_eq!(state.check_answered(at(10)), answered, "{state:?} answered");
            assert_eq!(state.check_answered(at(20)), answered_late, "{state:?} answered late");
        }
    }

    #[test]
    fn failures_count_only_within_fail_timeout() {
        let once = Health::FRESH.failed(RULES, at(1));
        assert_eq!(once.failed(RULES, at(4)), Health::Down { until: at(7) });
        assert_eq!(once.failed(RULES, at(5)), up(1, 5));
    }

    #[test]
    fn a_trial_that_takes_too_long_lets_another_one_try() {
        assert!(!TRIAL.is_usable(at(11)) && TRIAL.is_usable(at(12)));
        assert_eq!(TRIAL.tried(RULES, at(11)), (false, TRIAL), "joined");
        let again = Health::Trial { until: at(16) };
        assert_eq!(TRIAL.tried(RULES, at(13)), (true, again));
        assert_eq!(Health::Due.tried(RULES, at(13)), (true, again));
        assert_eq!(Health::FRESH.tried(RULES, at(13)), (false, Health::FRESH));
    }

    #[test]
    fn checks_are_never_made_without_a_pause() {
        let rules = Rules { fail_timeout: Duration::ZERO, ..RULES };
        let soon = Health::Down { until: at(1) + CHECK_INTERVAL };
        assert_eq!(Health::Checking.check_failed(rules, at(1)), soon);
        assert_eq!(Health::Checking.check_postponed(at(1)), soon);
        assert_eq!(DOWN.check_postponed(at(1)), DOWN);
    }

    #[test]
    fn max_fails_zero_never_takes_a_server_out() {
        let rules = Rules { max_fails: 0, ..RULES };
        assert_eq!(Health::FRESH.failed(rules, at(1)), Health::FRESH);
    }

    #[test]
    fn only_a_server_that_is_out_waits_for_a_check() {
        assert_eq!(DOWN.check_due(), Some(at(20)));
        assert_eq!(Health::Checking.check_due(), None);
        assert_eq!(Health::FRESH.check_due(), None);
    }
}
