//! What operators are told of single requests and of servers.

use std::fmt;
use std::time::Duration;

use crate::config::model::Server;
use crate::time::Time;

/// Log lines about single requests: some each second are told, the others only counted, so that an
/// outage under load does not bury the lines that matter.
#[derive(Debug, Default)]
pub struct Complaints {
    /// When the current second began.
    since: Time,
    told: usize,
    withheld: usize,
}

impl Complaints {
    /// Tells of one request, unless enough was told in this second.
    pub fn tell(&mut self, now: Time, level: log::Level, what: impl FnOnce() -> String) {
        self.sum_up(now);
        if self.told < TOLD_A_SECOND {
            self.told += 1;
            log::log!(level, "{}", what());
        } else {
            self.withheld += 1;
        }
    }

    /// Counts a request that shares another one's fate, which was told.
    pub fn count(&mut self, now: Time) {
        self.sum_up(now);
        self.withheld += 1;
    }

    /// Says how many were only counted, once their second is over.
    pub fn sum_up(&mut self, now: Time) {
        if now - self.since < Duration::from_secs(1) {
            return;
        }
        if self.withheld > 0 {
            log::warn!("and {} more requests whose server failed", self.withheld);
        }
        *self = Complaints { since: now, told: 0, withheld: 0 };
    }

    /// When there is something to be said.
    pub fn next_due(&self) -> Time {
        if self.withheld > 0 { self.since + Duration::from_secs(1) } else { Time::NEVER }
    }
}

/// Lines about single requests in one second.
const TOLD_A_SECOND: usize = 10;

/// A server in log lines: its address, and its name where that is another.
pub struct Named<'a>(pub &'a Server);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.0.address.to_string();
        if *address == *self.0.name {
            f.write_str(&address)
        } else {
            write!(f, "{address} ({})", self.0.name)
        }
    }
}
