//! Which server holds which transaction: only it knows of it.

use std::collections::VecDeque;

/// The transactions that were started last.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    started: VecDeque<(Box<[u8]>, usize)>,
}

impl Transactions {
    /// A server has started a transaction.
    pub fn started(&mut self, id: &[u8], server: usize) {
        if id.is_empty() || id.len() > LENGTH || self.owner(id) == Some(server) {
            return;
        }
        self.started.retain(|(known, _)| **known != *id);
        if self.started.len() == KEPT {
            self.started.pop_front();
        }
        self.started.push_back((id.into(), server));
    }

    /// What `old` knows of the servers that are kept: `index` says where an old server is now.
    pub fn carried_over(
        old: &Transactions,
        index: impl Fn(usize) -> Option<usize>,
    ) -> Transactions {
        let kept =
            old.started.iter().filter_map(|(id, server)| Some((id.clone(), index(*server)?)));
        Transactions { started: kept.collect() }
    }

    /// The server that holds a transaction, if that is known.
    pub fn owner(&self, id: &[u8]) -> Option<usize> {
        // Most are asked for soon after they have started.
        let known = self.started.iter().rev().find(|(known, _)| **known == *id);
        known.map(|(_, server)| *server)
    }

    /// The process at a server's address is gone, and its transactions with it.
    pub fn lost(&mut self, server: usize) {
        self.started.retain(|(_, owner)| *owner != server);
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
        transactions.started(b"a", 0);
        transactions.started(b"b", 1);
        let moved = Transactions::carried_over(&transactions, |server| server.checked_sub(1));
        assert_eq!((moved.owner(b"a"), moved.owner(b"b")), (None, Some(0)));
        transactions.started(b"a", 0);
        assert_eq!([b"a", b"b", b"c"].map(|id| transactions.owner(id)), [Some(0), Some(1), None]);
        transactions.lost(0);
        assert_eq!([b"a", b"b"].map(|id| transactions.owner(id)), [None, Some(1)]);
    }

    #[test]
    fn only_the_last_ones_and_short_ids_are_kept() {
        let mut transactions = Transactions::default();
        for id in 0..KEPT + 1 {
            transactions.started(id.to_string().as_bytes(), 0);
        }
        assert_eq!((transactions.owner(b"0"), transactions.owner(b"1")), (None, Some(0)));
        transactions.started(&[b'x'; LENGTH + 1], 0);
        assert_eq!(transactions.started.len(), KEPT);
    }
}
