//! What is known of the coordinators of one group, and of their workers.

use super::coordinator::Coordinators;
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
        }
    }

    /// `servers` coordinators, with what `old` knows of those that it keeps: `index` says where an
    /// old one is now. What they said of themselves they will say again.
    pub fn carried_over(
        old: &Cluster,
        servers: usize,
        index: impl Fn(usize) -> Option<usize>,
        now: Time,
    ) -> Cluster {
        let mut asked = vec![now; servers];
        for (server, moment) in old.asked.iter().enumerate() {
            if let Some(kept) = index(server).and_then(|place| asked.get_mut(place)) {
                *kept = *moment;
            }
        }
        Cluster {
            asked,
            coordinators: Coordinators::carried_over(&old.coordinators, servers, &index),
            transactions: Transactions::carried_over(&old.transactions, &index),
            profiles: Profiles::new(servers),
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

    /// When a query of a server was last asked for, or since when that would be known.
    pub fn asked(&self, server: usize) -> Time {
        self.asked[server]
    }

    /// The process at a server's address began at this moment, or later, or there is none: those
    /// before are gone, with their queries and transactions. Returns whether that is new.
    pub fn process_began(&mut self, server: usize, moment: Time) -> bool {
        let is_news = self.coordinators.process_began(server, moment);
        if is_news {
            self.transactions.lost(server);
        }
        is_news
    }
}
