//! Possible faults, in families that a seed switches on or off.
//!
//! Each family has a budget of strikes: a run in which everything fails all the time shows nothing
//! about the proxy between failures.

use super::rng::Rng;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Family {
    /// A read returns less than has arrived; an event for the rest follows.
    PartialReads,
    /// A write accepts less than there is room for; an event follows.
    PartialWrites,
    /// Bytes travel in small segments.
    Fragments,
    /// Socket buffers of a few dozen bytes.
    SmallBuffers,
    /// Connections with latencies of many milliseconds.
    SlowLinks,
    /// An event reports something as possible that is not.
    SpuriousEvents,
    /// An event is delivered again by the next wait.
    DoubledEvents,
    /// Events are held back, and delivered in any order with later ones.
    BatchedEvents,
    /// A wait delivers only some of the events; the others come with the next.
    SplitBatches,
    /// Events report only what changed, not everything that is possible.
    NarrowEvents,
    /// A wait returns early without events, or late.
    InexactWaits,
    /// A connect fails within the call.
    ConnectFailsAtOnce,
    /// Accepting fails: no descriptor is left, or the connection is already gone.
    AcceptFails,
    /// The network resets a connection after some bytes of one direction.
    ResetAfter,
    /// A reset discards what the peer has received but not read.
    ResetDiscards,
    /// A server's machine refuses connections for a while.
    Refuses,
    /// A server's machine drops every packet for a while.
    GoesDark,
    /// A server dies with all its connections and is started again later.
    Dies,
    /// A server accepts and reads but does not answer, or stops in the middle of an answer.
    Hangs,
    /// An answer ends, by FIN or RST, before it is whole.
    CutsAnswers,
    /// Answers that break the rules.
    MalformedAnswers,
    /// A server answers before it has read the request's body.
    EarlyAnswers,
    /// A server closes idle connections at any time.
    IdleCloses,
    /// A server sends unsolicited bytes on an idle connection.
    UnsolicitedBytes,
    /// A peer sends a few bytes at a time.
    SlowDrip,
    /// A peer stops reading for a while.
    StalledReaders,
    /// A client stops in the middle of its request.
    StalledSenders,
    /// A client leaves in the middle of an exchange.
    ClientsLeave,
    /// A client sends its FIN after its requests, and waits for the answers.
    HalfCloses,
    /// A stranger comes and sends arbitrary bytes.
    Strangers,
}

impl Family {
    /// All families.
    pub const ALL: [Family; 30] = [
        Family::PartialReads,
        Family::PartialWrites,
        Family::Fragments,
        Family::SmallBuffers,
        Family::SlowLinks,
        Family::SpuriousEvents,
        Family::DoubledEvents,
        Family::BatchedEvents,
        Family::SplitBatches,
        Family::NarrowEvents,
        Family::InexactWaits,
        Family::ConnectFailsAtOnce,
        Family::AcceptFails,
        Family::ResetAfter,
        Family::ResetDiscards,
        Family::Refuses,
        Family::GoesDark,
        Family::Dies,
        Family::Hangs,
        Family::CutsAnswers,
        Family::MalformedAnswers,
        Family::EarlyAnswers,
        Family::IdleCloses,
        Family::UnsolicitedBytes,
        Family::SlowDrip,
        Family::StalledReaders,
        Family::StalledSenders,
        Family::ClientsLeave,
        Family::HalfCloses,
        Family::Strangers,
    ];

    /// It strikes once in this many chances, and at most this often in a run.
    fn odds(self) -> (u32, u32) {
        match self {
            Family::PartialReads | Family::PartialWrites => (4, 400),
            Family::Fragments => (2, 600),
            Family::SmallBuffers | Family::SlowLinks => (2, 100),
            Family::SpuriousEvents | Family::DoubledEvents => (6, 200),
            Family::BatchedEvents | Family::SplitBatches => (4, 400),
            Family::NarrowEvents => (2, u32::MAX),
            Family::InexactWaits => (8, 100),
            Family::ConnectFailsAtOnce => (8, 4),
            Family::AcceptFails => (6, 6),
            Family::ResetAfter => (8, 6),
            Family::ResetDiscards => (1, u32::MAX),
            Family::Refuses | Family::GoesDark | Family::Dies => (2, 4),
            Family::Hangs | Family::CutsAnswers | Family::MalformedAnswers => (8, 6),
            Family::EarlyAnswers => (6, 20),
            Family::IdleCloses => (3, 20),
            Family::UnsolicitedBytes => (4, 6),
            Family::SlowDrip | Family::StalledReaders => (5, 6),
            Family::StalledSenders => (2, 6),
            Family::ClientsLeave => (8, 8),
            Family::HalfCloses => (6, 8),
            Family::Strangers => (2, 4),
        }
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The families that are on in a run, and how often each may still strike.
#[derive(Clone, Debug)]
pub struct Faults {
    on: u32,
    left: [u32; Family::ALL.len()],
    /// Chances to skip before a strike that is not random.
    spared: Option<u32>,
}

impl Faults {
    /// No faults.
    pub fn none() -> Faults {
        Faults::only(&[])
    }

    /// Only faults of these families.
    pub fn only(families: &[Family]) -> Faults {
        let on = families.iter().fold(0, |on, family| on | family.bit());
        Faults { on, left: Family::ALL.map(|family| family.odds().1), spared: None }
    }

    /// One family strikes once, at its nth chance, counted from 0.
    pub fn once(family: Family, nth: u32) -> Faults {
        Faults { left: [1; Family::ALL.len()], spared: Some(nth), ..Faults::only(&[family]) }
    }

    /// Whether the family's budget is used up.
    pub fn is_spent(&self, family: Family) -> bool {
        self.left[family as usize] == 0
    }

    /// A random half of the families.
    pub fn random(rng: &mut Rng) -> Faults {
        let families: Vec<Family> = Family::ALL.into_iter().filter(|_| rng.one_in(2)).collect();
        Faults::only(&families)
    }

    /// Whether the family is on.
    pub fn has(&self, family: Family) -> bool {
        self.on & family.bit() != 0
    }

    /// Whether the family strikes at this chance.
    pub fn strike(&mut self, family: Family, rng: &mut Rng) -> bool {
        let left = &mut self.left[family as usize];
        let may = self.on & family.bit() != 0 && *left > 0;
        let strikes = may
            && match &mut self.spared {
                None => rng.one_in(family.odds().0),
                Some(0) => true,
                Some(spared) => {
                    *spared -= 1;
                    false
                }
            };
        *left -= u32::from(strikes);
        strikes
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        self.on = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_a_place_of_its_own() {
        for (place, family) in Family::ALL.into_iter().enumerate() {
            assert_eq!(family as usize, place);
        }
    }

    #[test]
    fn a_single_strike_comes_at_its_place() {
        let mut faults = Faults::once(Family::ResetAfter, 2);
        let mut rng = Rng::new(3);
        assert!(!faults.strike(Family::Hangs, &mut rng));
        let struck: Vec<bool> =
            (0..5).map(|_| faults.strike(Family::ResetAfter, &mut rng)).collect();
        assert_eq!(struck, [false, false, true, false, false]);
        assert!(faults.is_spent(Family::ResetAfter));
    }

    #[test]
    fn a_family_strikes_no_more_often_than_its_budget() {
        let mut faults = Faults::only(&[Family::ResetAfter]);
        let mut rng = Rng::new(3);
        let struck = (0..10_000).filter(|_| faults.strike(Family::ResetAfter, &mut rng)).count();
        assert_eq!(struck, 6);
        assert!((0..100).all(|_| !faults.strike(Family::Hangs, &mut rng)));
    }
}
