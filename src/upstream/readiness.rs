//! Whether a coordinator takes queries, as its own checks tell.

use std::time::Duration;

use super::check::Report;
use crate::time::Time;

/// What is known of a server beyond its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing: connections alone tell.
    Unknown,
    /// Nothing since it was out: it may have been started anew.
    Absent,
    /// It is starting.
    Starting,
    /// It has started, but does not know itself as a worker yet.
    Settling {
        /// When it will.
        until: Time,
    },
    /// It is ready.
    Ready,
}

impl Readiness {
    /// What a check says.
    pub fn told(self, report: Report, now: Time) -> Readiness {
        match (report, self) {
            (Report::Ready, _) => Readiness::Ready,
            (Report::NewlyReady, Readiness::Absent | Readiness::Starting) => {
                Readiness::Settling { until: now + SETTLING }
            }
            (Report::NewlyReady, Readiness::Settling { until }) if until > now => self,
            (Report::NewlyReady, _) => Readiness::Ready,
            (Report::Starting, _) => Readiness::Starting,
            (Report::Silent, _) => Readiness::Unknown,
            (Report::Failed(_) | Report::Postponed, _) => self,
        }
    }

    /// Whether an answer with this status says that it takes no statements now.
    pub fn refuses_statements(self, status: u16) -> bool {
        matches!(status, 502..=504) || status == 500 && self == Readiness::Starting
    }

    /// Whether it takes queries, as far as this tells.
    pub fn takes_queries(self, now: Time) -> bool {
        match self {
            Readiness::Unknown | Readiness::Absent | Readiness::Ready => true,
            Readiness::Settling { until } => until <= now,
            Readiness::Starting => false,
        }
    }

    /// When the clock alone changes that.
    pub fn next_change(self, now: Time) -> Time {
        match self {
            Readiness::Settling { until } if until > now => until,
            Readiness::Unknown
            | Readiness::Absent
            | Readiness::Starting
            | Readiness::Settling { .. }
            | Readiness::Ready => Time::NEVER,
        }
    }
}

/// How long a coordinator up to version 476 fails every query after it says that it has started:
/// 4.5 s were measured with 435, under load.
const SETTLING: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::retry::Failure;

    #[test]
    fn every_report_in_every_state() {
        use Readiness::{Absent, Ready, Starting, Unknown};
        let now = Time::from_nanos(1_000_000_000);
        let early = Readiness::Settling { until: now + Duration::from_secs(1) };
        let over = Readiness::Settling { until: now };
        let fresh = Readiness::Settling { until: now + SETTLING };
        let states = [Unknown, Absent, Starting, early, over, Ready];
        let table = [
            (Report::Ready, [Ready; 6]),
            (Report::NewlyReady, [Ready, fresh, fresh, early, Ready, Ready]),
            (Report::Starting, [Starting; 6]),
            (Report::Silent, [Unknown; 6]),
            (Report::Failed(Failure::Refused), states),
            (Report::Postponed, states),
        ];
        for (report, after) in table {
            assert_eq!(states.map(|state| state.told(report, now)), after, "{report:?}");
        }
        let takes = states.map(|state| state.takes_queries(now));
        assert_eq!(takes, [true, true, false, false, true, true]);
        let next = states.map(|state| state.next_change(now));
        let never = Time::NEVER;
        let due = now + Duration::from_secs(1);
        assert_eq!(next, [never, never, never, due, never, never]);
    }
}
