//! Which server holds which transaction: only it knows of it.

use std::collections::VecDeque;

use crate::time::Time;

/// What stands for no transaction.
pub const NONE: &[u8] = b"NONE";

/// The transactions that were started last.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    started: VecDeque<Started>,
}

/// A transaction that a server has started.
#[derive(Clone, Debug)]
struct Started {
    id: Box<[u8]>,
    server: usize,
    /// When it said so last.
    seen: Time,
}

impl Transactions {
    /// A server said at `seen` that it has started a transaction.
    pub fn started(&mut self, id: &[u8], server: usize, seen: Time) {
        if id.is_empty() || id.len() > LENGTH || id.eq_ignore_ascii_case(NONE) {
            return;
        }
        let mut known = self.started.iter_mut().rev();
        if let Some(known) = known.find(|it| *it.id == *id && it.server == server) {
            known.seen = seen;
            return;
        }
        self.started.retain(|it| *it.id != *id);
        if self.started.len() == KEPT {
            self.started.pop_front();
        }
        self.started.push_back(Started { id: id.into(), server, seen });
    }

    /// What `old` knows of the servers that are kept: `index` says where an old server is now.
    pub fn carried_over(
        old: &Transactions,
        index: impl Fn(usize) -> Option<usize>,
    ) -> Transactions {
        let kept = old.started.iter().filter_map(|it| {
            let server = index(it.server)?;
            Some(Started { server, ..it.clone() })
        });
        Transactions { started: kept.collect() }
    }

    /// The server that holds a transaction, if that is known.
    pub fn owner(&self, id: &[u8]) -> Option<usize> {
        // Most are asked for soon after they have started.
        let known = self.started.iter().rev().find(|it| *it.id == *id);
        known.map(|it| it.server)
    }

    /// The process at a server's address began at this moment, or later: transactions that were
    /// started before are gone. Returns whether there were any.
    pub fn lost(&mut self, server: usize, moment: Time) -> bool {
        let before = self.started.len();
        self.started.retain(|it| it.server != server || it.seen >= moment);
        self.started.len() < before
    }
}

/// Transactions that are kept: clients rarely start any.
const KEPT: usize = 1000;
/// Bytes of an id: Trino's are UUIDs.
const LENGTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_belongs_to_its_server_until_that_is_lost() {
        let mut transactions = Transactions::default();
        let at = Time::from_nanos;
        transactions.started(b"a", 0, at(1));
        transactions.started(b"b", 1, at(1));
        let moved = Transactions::carried_over(&transactions, |server| server.checked_sub(1));
        assert_eq!((moved.owner(b"a"), moved.owner(b"b")), (None, Some(0)));
        transactions.started(b"a", 0, at(3));
        assert_eq!([b"a", b"b", b"c"].map(|id| transactions.owner(id)), [Some(0), Some(1), None]);
        assert!(!transactions.lost(0, at(3)), "it was started since");
        assert!(transactions.lost(0, at(4)) && !transactions.lost(0, at(4)));
        assert_eq!([b"a", b"b"].map(|id| transactions.owner(id)), [None, Some(1)]);
    }

    #[test]
    fn what_stands_for_no_transaction_is_none() {
        let mut transactions = Transactions::default();
        transactions.started(b"none", 0, Time::ZERO);
        assert_eq!(transactions.owner(b"none"), None);
    }

    #[test]
    fn only_the_last_ones_and_short_ids_are_kept() {
        let mut transactions = Transactions::default();
        for id in 0..KEPT + 1 {
            transactions.started(id.to_string().as_bytes(), 0, Time::ZERO);
        }
        assert_eq!((transactions.owner(b"0"), transactions.owner(b"1")), (None, Some(0)));
        transactions.started(&[b'x'; LENGTH + 1], 0, Time::ZERO);
        assert_eq!(transactions.started.len(), KEPT);
    }
}
