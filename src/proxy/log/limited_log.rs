//! Log lines about single requests and servers, at a limited rate.

use std::fmt;
use std::time::Duration;

use crate::config::model::{Group, Server};
use crate::proxy::log::seldom::Seldom;
use crate::time::Time;
use crate::upstream::group::ServerId;
use crate::upstream::retry::Failure;

/// Log lines about single requests. A few per second are written and the rest only counted, so that
/// an outage under load does not bury the lines that matter. Each topic and level has its own
/// limit. Lines below the log's level do not count.
#[derive(Debug, Default)]
pub struct LimitedLog {
    budgets: [[Budget; LEVELS.len()]; TOPICS.len()],
    /// Lines about what lasts.
    pub seldom: Seldom,
}

/// The subject of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A server failed a request.
    Servers,
    /// A client was refused for what it sent.
    Clients,
    /// The proxy lacks descriptors or memory.
    Resources,
}

/// The lines of one topic and level in the current second.
#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    /// When the current second began.
    since: Time,
    told: usize,
    withheld: usize,
}

impl LimitedLog {
    /// Writes a line, unless this second's limit for the topic and level is reached.
    pub fn write(
        &mut self,
        now: Time,
        topic: Topic,
        level: log::Level,
        what: impl FnOnce() -> String,
    ) {
        if level > log::max_level() {
            return;
        }
        let budget = self.budget(topic, level, now);
        if budget.told < TOLD_A_SECOND {
            budget.told += 1;
            log::log!(level, "{}", what());
        } else {
            budget.withheld += 1;
        }
    }

    /// Logs that a server failed and that the attempt moves to `next`. Without `next`, `words` say
    /// what happens instead; they also name the request or the client. If one verdict moves many
    /// requests, they are only counted.
    pub fn failure(
        &mut self,
        now: Time,
        group: &Group,
        (server, failure): (ServerId, Failure),
        next: Option<ServerId>,
        words: impl FnOnce() -> (String, String),
    ) {
        if failure == Failure::MarkedDown && next.is_some() {
            return self.count(now);
        }
        let level = if next.is_some() { log::Level::Info } else { log::Level::Warn };
        self.write(now, Topic::Servers, level, || {
            let (whose, otherwise) = words();
            let (name, at) = (&group.name, ServerWords(&group.servers[server.0]));
            let becomes = match next {
                Some(next) => format!("moves to {}", ServerWords(&group.servers[next.0])),
                None => otherwise,
            };
            format!("upstream \"{name}\": {at} {}; {whose} {becomes}", failure.words())
        });
    }

    /// Counts a request like one that was already logged.
    pub fn count(&mut self, now: Time) {
        if log::Level::Info <= log::max_level() {
            self.budget(Topic::Servers, log::Level::Info, now).withheld += 1;
        }
    }

    /// Logs the number of counted lines, once their second is over.
    pub fn sum_up(&mut self, now: Time) {
        if self.next_due() > now {
            return;
        }
        for topic in TOPICS {
            for level in LEVELS {
                self.budget(topic, level, now);
            }
        }
    }

    /// When there is a number to log.
    pub fn next_due(&self) -> Time {
        let due = |budget: &Budget| budget.since + Duration::from_secs(1);
        let withheld = self.budgets.iter().flatten().filter(|budget| budget.withheld > 0);
        withheld.map(due).min().unwrap_or(Time::NEVER)
    }

    /// The budget of a topic and level for this second. Sums up the previous second first.
    fn budget(&mut self, topic: Topic, level: log::Level, now: Time) -> &mut Budget {
        let place = LEVELS.iter().position(|known| *known == level).unwrap_or(LEVELS.len() - 1);
        let budget = &mut self.budgets[topic as usize][place];
        if now - budget.since >= Duration::from_secs(1) {
            if budget.withheld > 0 {
                log::log!(level, "and {} more {}", budget.withheld, topic.words());
            }
            *budget = Budget { since: now, told: 0, withheld: 0 };
        }
        budget
    }
}

impl Topic {
    fn words(self) -> &'static str {
        match self {
            Topic::Servers => "requests whose server failed",
            Topic::Clients => "clients that were turned away",
            Topic::Resources => "connections that could not be made",
        }
    }
}

const TOPICS: [Topic; 3] = [Topic::Servers, Topic::Clients, Topic::Resources];
const LEVELS: [log::Level; 3] = [log::Level::Error, log::Level::Warn, log::Level::Info];
/// Lines about single requests per second, for each topic and level.
const TOLD_A_SECOND: usize = 10;

/// A server in log lines: its address, and its name if that differs.
pub struct ServerWords<'a>(pub &'a Server);

impl fmt::Display for ServerWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.0.address.to_string();
        if *address == *self.0.name {
            f.write_str(&address)
        } else {
            write!(f, "{address} ({})", self.0.name)
        }
    }
}
