//! What is known of the coordinators of one group, and of their workers.

use super::coordinator::Coordinators;
use super::profile::Profiles;
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
}

impl Cluster {
    /// So many coordinators, of which nothing is known.
    pub fn new(servers: usize) -> Cluster {
        Cluster {
            coordinators: Coordinators::new(servers),
            transactions: Transactions::default(),
            profiles: Profiles::new(servers),
            roster: Roster::default(),
        }
    }

    /// `servers` coordinators, with what `old` knows of those that it keeps: `index` says where an
    /// old one is now. What they said of themselves they will say again.
    pub fn carried_over(
        old: &Cluster,
        servers: usize,
        index: impl Fn(usize) -> Option<usize>,
    ) -> Cluster {
        Cluster {
            coordinators: Coordinators::carried_over(&old.coordinators, servers, &index),
            transactions: Transactions::carried_over(&old.transactions, &index),
            profiles: Profiles::new(servers),
            roster: old.roster.clone(),
        }
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
