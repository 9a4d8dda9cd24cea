//! What is known of the coordinators of one group, and of their workers.

use std::time::Duration;

use super::coordinator::{Coordinators, PRECISION};
use super::info::Info;
use super::profile::Profiles;
use super::query_id::QueryId;
use super::roster::Roster;
use super::transactions::Transactions;
use crate::time::Time;

/// Coordinators that stand for one another; they are named by their index.
#[derive(Debug)]
pub struct Cluster {
    /// Which of them runs which queries.
    pub coordinators: Coordinators,
    /// Which of them holds which transaction.
    pub transactions: Transactions,
    /// What they say of themselves.
    pub profiles: Profiles,
    /// The workers that announce themselves to them.
    pub roster: Roster,
    /// When a query of each of them was last asked for, as far as is known: one may have been until
    /// it was known.
    asked: Vec<Time>,
    /// The process of each of them that was ready last.
    ready: Vec<Option<Ready>>,
}

/// A process that was ready. When it began may be a moment before the clock's first.
#[derive(Clone, Copy, Debug)]
struct Ready {
    /// When it was asked.
    asked: Time,
    /// How long it had run by then.
    uptime: Duration,
}

impl Cluster {
    /// So many coordinators, of which nothing is known until `now`.
    pub fn new(servers: usize, now: Time) -> Cluster {
        Cluster {
            coordinators: Coordinators::new(servers),
            transactions: Transactions::default(),
            profiles: Profiles::new(servers),
            roster: Roster::default(),
            asked: vec![now; servers],
            ready: vec![None; servers],
        }
    }

    /// `servers` coordinators, with what `old` knows of those that it keeps: `index` says where an
    /// old one is now.
    pub fn carried_over(
        old: &Cluster,
        servers: usize,
        index: impl Fn(usize) -> Option<usize>,
        now: Time,
    ) -> Cluster {
        let mut asked = vec![now; servers];
        let mut ready = vec![None; servers];
        for place in 0..old.asked.len() {
            if let Some(kept) = index(place).filter(|kept| *kept < servers) {
                (asked[kept], ready[kept]) = (old.asked[place], old.ready[place]);
            }
        }
        Cluster {
            asked,
            ready,
            coordinators: Coordinators::carried_over(&old.coordinators, servers, &index),
            transactions: Transactions::carried_over(&old.transactions, &index),
            profiles: Profiles::carried_over(&old.profiles, servers, &index),
            roster: old.roster.clone(),
        }
    }

    /// A server runs this query, and was just asked for it.
    pub fn runs(&mut self, server: usize, id: QueryId, now: Time) {
        self.coordinators.learn(server, id.coordinator(), now);
        self.note_asked(server, now);
    }

    /// A query of a server is asked for.
    pub fn note_asked(&mut self, server: usize, now: Time) {
        self.asked[server] = now;
    }

    /// A query is asked for that any server may run whose coordinator is not known.
    pub fn note_unknown(&mut self, now: Time) {
        for server in 0..self.asked.len() {
            if self.coordinators.known(server).is_none() {
                self.note_asked(server, now);
            }
        }
    }

    /// When a query of a server was last asked for, or since when that would be known.
    pub fn asked(&self, server: usize) -> Time {
        self.asked[server]
    }

    /// A server is ready whose process has run for `uptime`. It was asked at `asked`.
    pub fn note_ready(&mut self, server: usize, uptime: Duration, asked: Time) {
        self.ready[server] = Some(Ready { asked, uptime });
    }

    /// Whether a server may not know itself as a worker yet, of which `info` says that it has started:
    /// it runs for a short time, and its process was not ready before. It was asked at `asked`.
    pub fn is_new(&self, server: usize, info: &Info, asked: Time) -> bool {
        let is_known = info.uptime.zip(self.ready[server]).is_some_and(|(uptime, known)| {
            let (one, other) = (known.asked + uptime, asked + known.uptime);
            // One of both is zero.
            (one - other) + (other - one) <= PRECISION
        });
        info.uptime.is_none_or(|uptime| uptime < NEW) && !is_known
    }

    /// The process at a server's address began at this moment, or later, or there is none: those
    /// before are gone, with their queries and transactions. Returns whether that is new.
    pub fn process_began(&mut self, server: usize, moment: Time) -> bool {
        let are_queries_lost = self.coordinators.process_began(server, moment);
        let are_transactions_lost = self.transactions.lost(server, moment);
        are_queries_lost || are_transactions_lost
    }
}

/// A coordinator that has run for so long has long known itself as a worker.
const NEW: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    fn info(uptime: &str) -> Info {
        let text = format!("{{\"starting\":false,\"uptime\":\"{uptime}\"}}");
        Info::read(text.as_bytes()).expect("it is well formed")
    }

    #[test]
    fn only_a_process_that_was_not_ready_before_is_new() {
        // When the one that was ready began, what it says at second 1000, and whether it is new.
        let table = [
            (None, "5.00s", true),
            (None, "4.99m", true),
            (None, "5.00m", false),
            (None, "3.00d", false),
            (None, "soon", true),
            (Some(995), "5.00s", false),
            (Some(993), "5.00s", false),
            (Some(996), "5.00s", false),
            (Some(900), "1.67m", false),
            (Some(990), "5.00s", true),
            (Some(100), "5.00s", true),
            (Some(0), "30.00m", false),
            (Some(995), "soon", true),
        ];
        for (began, uptime, expected) in table {
            let mut cluster = Cluster::new(2, Time::ZERO);
            if let Some(began) = began {
                cluster.note_ready(1, Duration::ZERO, at(began));
            }
            let cluster =
                Cluster::carried_over(&cluster, 1, |server| server.checked_sub(1), Time::ZERO);
            assert_eq!(cluster.is_new(0, &info(uptime), at(1000)), expected, "{began:?} {uptime}");
        }
    }

    #[test]
    fn a_process_that_began_before_the_proxy_is_known_again() {
        let mut cluster = Cluster::new(1, Time::ZERO);
        cluster.note_ready(0, Duration::from_secs(60), at(5));
        assert!(!cluster.is_new(0, &info("1.25m"), at(20)));
        assert!(cluster.is_new(0, &info("10.00s"), at(20)));
    }

    #[test]
    fn a_process_that_begins_with_the_proxy_is_not_the_one_before() {
        for uptime in [60, 3 * 86_400] {
            let mut cluster = Cluster::new(1, Time::ZERO);
            cluster.note_ready(0, Duration::from_secs(uptime), at(0));
            for began in [0, 1, 2] {
                let said = format!("{}.00s", 20 - began);
                assert!(cluster.is_new(0, &info(&said), at(20)), "{uptime} {began}");
            }
        }
    }

    #[test]
    fn transactions_are_lost_with_their_process_though_no_query_of_it_is_known() {
        let mut cluster = Cluster::new(2, Time::ZERO);
        cluster.transactions.started(b"a", 0, at(10));
        cluster.transactions.started(b"b", 1, at(10));
        assert!(!cluster.process_began(0, at(10)));
        assert_eq!(cluster.transactions.owner(b"a"), Some(0));
        assert!(cluster.process_began(0, at(11)));
        assert_eq!(["a", "b"].map(|id| cluster.transactions.owner(id.as_bytes())), [None, Some(1)]);
    }
}
