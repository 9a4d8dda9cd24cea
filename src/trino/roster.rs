//! The workers of a group of coordinators, by their last announcements.
//!
//! A coordinator keeps an announcement for 30 s, and so does this: one that was out gets all of
//! them when it comes back, so that it knows every worker before it is needed.

use std::time::Duration;

use crate::time::Time;

/// The last announcement of each worker.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    workers: Vec<Worker>,
    /// Bytes of all announcements.
    bytes: usize,
    /// When the last one came, if any did.
    last: Option<Time>,
}

#[derive(Clone, Debug)]
struct Worker {
    /// Its id, or its URI.
    name: Box<[u8]>,
    /// The whole request.
    announcement: Box<[u8]>,
    seen: Time,
}

impl Roster {
    /// A worker has announced itself with this request. One that is too many is not kept.
    pub fn announced(&mut self, name: &[u8], announcement: &[u8], now: Time) {
        self.last = Some(now);
        self.withdrawn(name);
        self.expire(now);
        let bytes = self.bytes + announcement.len();
        if self.workers.len() < WORKERS && bytes <= BYTES {
            self.bytes = bytes;
            self.workers.push(Worker {
                name: name.into(),
                announcement: announcement.into(),
                seen: now,
            });
        }
    }

    /// A worker has taken its announcement back.
    pub fn withdrawn(&mut self, name: &[u8]) {
        self.keep(|worker| *worker.name != *name);
    }

    /// Drops announcements that coordinators have dropped too.
    pub fn expire(&mut self, now: Time) {
        self.keep(|worker| now - worker.seen < LASTING);
    }

    /// The announcements that are still valid.
    pub fn announcements(&mut self, now: Time) -> impl Iterator<Item = &[u8]> {
        self.expire(now);
        self.workers.iter().map(|worker| &*worker.announcement)
    }

    /// How many workers there are.
    pub fn count(&mut self, now: Time) -> usize {
        self.expire(now);
        self.workers.len()
    }

    /// Whether a worker has announced itself lately.
    pub fn is_in_use(&self, now: Time) -> bool {
        self.last.is_some_and(|last| now - last < LASTING)
    }

    fn keep(&mut self, which: impl Fn(&Worker) -> bool) {
        self.workers.retain(which);
        self.bytes = self.workers.iter().map(|worker| worker.announcement.len()).sum();
    }
}

/// How long an announcement lasts: `discovery.max-age`, and what 477 and later keep.
const LASTING: Duration = Duration::from_secs(30);
/// Workers of one group.
const WORKERS: usize = 10_000;
/// Bytes of their announcements: some tens of kilobytes each at most, some hundred on the whole.
const BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    fn all(roster: &mut Roster, now: u64) -> Vec<&[u8]> {
        roster.announcements(at(now)).collect()
    }

    #[test]
    fn each_worker_has_one_announcement_until_it_expires_or_is_withdrawn() {
        let mut roster = Roster::default();
        roster.announced(b"a", b"1", at(1));
        roster.announced(b"b", b"2", at(5));
        roster.announced(b"a", b"3", at(9));
        assert_eq!(all(&mut roster, 10), [b"2", b"3"]);
        assert_eq!(all(&mut roster, 35), [b"3"]);
        assert!(roster.is_in_use(at(38)) && !roster.is_in_use(at(39)));
        roster.withdrawn(b"a");
        assert_eq!(all(&mut roster, 36), [b""; 0]);
        assert_eq!(roster.bytes, 0);
    }

    #[test]
    fn many_and_large_announcements_are_bounded() {
        let mut roster = Roster::default();
        for worker in 0..WORKERS + 5 {
            roster.announced(worker.to_string().as_bytes(), b"x", at(1));
        }
        assert_eq!(roster.workers.len(), WORKERS);
        let mut roster = Roster::default();
        let large = vec![0; BYTES / 4];
        for worker in 0..9 {
            roster.announced(worker.to_string().as_bytes(), &large, at(1));
        }
        assert_eq!((roster.workers.len(), roster.bytes), (4, BYTES));
    }
}
