//! How fast an actor sends or reads.

use std::time::Duration;

/// A habit of sending or reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as possible.
    AtOnce,
    /// Some bytes, then a pause, repeatedly.
    Drips {
        /// Bytes between two pauses.
        bytes: usize,
        /// How long a pause lasts.
        pause: Duration,
    },
    /// One long pause after some bytes.
    Stalls {
        /// Bytes before the pause.
        after: usize,
        /// How long it lasts.
        pause: Duration,
    },
}

/// The state of a pace.
#[derive(Debug)]
pub(super) struct Throttle {
    pace: Pace,
    credit: usize,
    paused: bool,
}

impl Throttle {
    pub(super) fn new(pace: Pace) -> Throttle {
        let credit = match pace {
            Pace::AtOnce => usize::MAX,
            Pace::Drips { bytes, .. } => bytes.max(1),
            Pace::Stalls { after, .. } => after,
        };
        Throttle { pace, credit, paused: false }
    }

    /// How many bytes may move now.
    pub(super) fn credit(&self) -> usize {
        self.credit
    }

    /// Records that bytes have moved.
    pub(super) fn spend(&mut self, count: usize) {
        if self.pace != Pace::AtOnce && self.credit != usize::MAX {
            self.credit -= count.min(self.credit);
        }
    }

    /// The pause that begins now, if any: [`Throttle::resume`] ends it.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        if self.credit > 0 || self.paused {
            return None;
        }
        self.paused = true;
        match self.pace {
            Pace::AtOnce => None,
            Pace::Drips { pause, .. } | Pace::Stalls { pause, .. } => Some(pause),
        }
    }

    pub(super) fn resume(&mut self) {
        self.paused = false;
        self.credit = match self.pace {
            Pace::Drips { bytes, .. } => bytes.max(1),
            Pace::AtOnce | Pace::Stalls { .. } => usize::MAX,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drip_pauses_after_each_portion_and_a_stall_only_once() {
        let pause = Duration::from_secs(1);
        let mut drip = Throttle::new(Pace::Drips { bytes: 2, pause });
        let mut stall = Throttle::new(Pace::Stalls { after: 2, pause });
        for throttle in [&mut drip, &mut stall] {
            assert_eq!(throttle.pause(), None);
            throttle.spend(2);
            assert_eq!(throttle.pause(), Some(pause));
            assert_eq!(throttle.pause(), None, "it has begun already");
            throttle.resume();
        }
        assert_eq!(drip.credit(), 2);
        assert_eq!(stall.credit(), usize::MAX);
    }
}
