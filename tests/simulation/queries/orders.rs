//! What an operator has ordered, and what follows for the servers.

use switchover::time::Time;

/// All orders, first things first. Each is given when the one before it is answered.
#[derive(Default)]
pub(crate) struct Orders {
    all: Vec<Given>,
}

/// An order for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Promote(usize),
    Drain(usize),
}

#[derive(Clone, Copy, Debug)]
struct Given {
    order: Order,
    asked: Time,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It may be carried out or not.
    Open,
    CarriedOut(Time),
    Refused,
}

/// A server that has been promoted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promoted {
    pub(crate) place: usize,
    /// When it was asked for.
    pub(crate) asked: Time,
}

impl Orders {
    pub(crate) fn begin(&mut self, order: Order, now: Time) {
        self.all.push(Given { order, asked: now, fate: Fate::Open });
    }

    pub(crate) fn end(&mut self, is_carried_out: bool, now: Time) {
        let last = self.all.last_mut().expect("it was begun");
        last.fate = if is_carried_out { Fate::CarriedOut(now) } else { Fate::Refused };
    }

    /// Whether a server may take no new work.
    pub(crate) fn may_be_drained(&self, place: usize) -> bool {
        let last = self.all.iter().rev().find_map(|given| match (given.order, given.fate) {
            (Order::Drain(it), Fate::Open | Fate::CarriedOut(_)) if it == place => Some(true),
            (Order::Promote(it), Fate::CarriedOut(_)) if it == place => Some(false),
            (Order::Drain(_) | Order::Promote(_), _) => None,
        });
        last.unwrap_or(false)
    }

    /// Since when a server has to take no new work, if so.
    pub(crate) fn drained(&self, place: usize) -> Option<Time> {
        let last = self.all.iter().rev().find_map(|given| match (given.order, given.fate) {
            (Order::Drain(it), Fate::CarriedOut(since)) if it == place => Some(Some(since)),
            (Order::Promote(it), Fate::Open | Fate::CarriedOut(_)) if it == place => Some(None),
            (Order::Drain(_) | Order::Promote(_), _) => None,
        });
        last.flatten()
    }

    /// Whether a server may be the one that was promoted last, unless it has failed since.
    pub(crate) fn may_be_promoted(&self, place: usize) -> bool {
        let last = self.all.iter().rev().find_map(|given| match (given.order, given.fate) {
            (Order::Promote(it), Fate::Open | Fate::CarriedOut(_)) if it == place => Some(true),
            (Order::Promote(_), Fate::CarriedOut(_)) => Some(false),
            (Order::Drain(it), Fate::CarriedOut(_)) if it == place => Some(false),
            (Order::Drain(_) | Order::Promote(_), _) => None,
        });
        last.unwrap_or(false)
    }

    /// The server that was surely promoted at `from`, and is still at `to` unless it has failed.
    pub(crate) fn promoted(&self, from: Time, to: Time) -> Option<Promoted> {
        let mut drained = Vec::new();
        for given in self.all.iter().rev().filter(|given| given.asked <= to) {
            match (given.order, given.fate) {
                (_, Fate::Refused) => {}
                (Order::Drain(place), Fate::Open | Fate::CarriedOut(_)) => drained.push(place),
                (Order::Promote(place), Fate::CarriedOut(done)) if done <= from => {
                    let promoted = Promoted { place, asked: given.asked };
                    return Some(promoted).filter(|_| !drained.contains(&place));
                }
                (Order::Promote(_), Fate::Open | Fate::CarriedOut(_)) => return None,
            }
        }
        None
    }

    /// Whether an order may have been carried out between.
    pub(crate) fn any_between(&self, from: Time, to: Time) -> bool {
        self.all.iter().any(|given| {
            given.asked <= to
                && match given.fate {
                    Fate::Open => true,
                    Fate::CarriedOut(done) => done >= from,
                    Fate::Refused => false,
                }
        })
    }
}
