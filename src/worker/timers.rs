//! Alarms: a lazy heap.
//!
//! A session has one live alarm. A deadline that moves later costs nothing: the alarm rings early
//! and is set again. One that moves earlier leaves a stale entry behind, which is recognised when
//! it rings. Stale entries are swept out before there are many.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Time;

/// The alarms of all sessions.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Time, usize)>>,
}

impl Timers {
    /// No alarms.
    pub fn new() -> Timers {
        Timers::default()
    }

    /// Sets an alarm for the session `key`.
    pub fn set(&mut self, at: Time, key: usize) {
        if at < Time::NEVER {
            self.heap.push(Reverse((at, key)));
        }
    }

    /// When the first alarm rings.
    pub fn next(&self) -> Time {
        self.heap.peek().map_or(Time::NEVER, |Reverse((at, _))| *at)
    }

    /// Takes one alarm that is due.
    pub fn take_due(&mut self, now: Time) -> Option<(Time, usize)> {
        if self.next() > now {
            return None;
        }
        self.heap.pop().map(|Reverse(alarm)| alarm)
    }

    /// Sweeps out stale entries if there are many more entries than sessions.
    pub fn compact(&mut self, sessions: usize, is_live: impl Fn(Time, usize) -> bool) {
        if self.heap.len() > COMPACT_FACTOR * sessions + COMPACT_FLOOR {
            self.heap.retain(|Reverse((at, key))| is_live(*at, *key));
        }
    }

    /// Number of entries, including stale ones.
    pub fn count(&self) -> usize {
        self.heap.len()
    }
}

/// Entries per session, on average, before stale ones are swept out.
const COMPACT_FACTOR: usize = 4;
/// Sweeping is not worthwhile below this number of entries.
const COMPACT_FLOOR: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_ring_in_order_and_not_early() {
        let mut timers = Timers::new();
        let at = Time::from_nanos;
        for (time, key) in [(5, 1), (3, 2), (9, 3)] {
            timers.set(at(time), key);
        }
        timers.set(Time::NEVER, 4);
        assert_eq!((timers.next(), timers.count()), (at(3), 3));
        assert_eq!(timers.take_due(at(2)), None);
        assert_eq!(timers.take_due(at(5)), Some((at(3), 2)));
        assert_eq!(timers.take_due(at(5)), Some((at(5), 1)));
        assert_eq!(timers.take_due(at(5)), None);
    }

    #[test]
    fn stale_entries_are_swept_out_before_they_are_many() {
        let mut timers = Timers::new();
        for time in 0..200 {
            timers.set(Time::from_nanos(time), 0);
            timers.compact(1, |at, _| at == Time::from_nanos(time));
            assert!(timers.count() <= COMPACT_FLOOR + COMPACT_FACTOR);
        }
    }
}
