//! Which server of a group owns the queries of which coordinator.
//!
//! A coordinator chooses its id when its process starts. A server may bear one after another, and a
//! coordinator may move to another address. An id is dead once its process is known to be gone; a
//! new id of a server does not prove that if its process has run for longer, as two may answer at one
//! address.

use std::time::Duration;

use super::query_id::CoordinatorId;
use crate::time::Time;

/// The coordinators of a group of servers, which are named by their index.
#[derive(Clone, Debug)]
pub struct Coordinators {
    servers: Vec<Vec<Sighting>>,
}

/// An id that a server said it bears. Those of one server are in the order of `seen`.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    id: CoordinatorId,
    /// When the server last said so.
    seen: Time,
    life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Alive,
    Dead,
}

/// The server that a coordinator's queries belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This server runs them, as far as is known.
    Alive(usize),
    /// This server ran them: that process is gone.
    Dead(usize),
    /// No server of the group was seen to bear the id, or too many others after it.
    Unknown,
}

impl Coordinators {
    /// A group of so many servers, of which nothing is known.
    pub fn new(servers: usize) -> Coordinators {
        Coordinators { servers: vec![Vec::new(); servers] }
    }

    /// A group of `servers`, with what `old` knows of those that it keeps: `index` says where an old
    /// server is now.
    pub fn carried_over(
        old: &Coordinators,
        servers: usize,
        index: impl Fn(usize) -> Option<usize>,
    ) -> Coordinators {
        let mut new = Coordinators::new(servers);
        for (server, sightings) in old.servers.iter().enumerate() {
            let kept = index(server).and_then(|now| new.servers.get_mut(now));
            if let Some(kept) = kept.filter(|kept| kept.is_empty()) {
                kept.clone_from(sightings);
            }
        }
        new
    }

    /// A server said at `seen` that it bears this id, in `/v1/info` or with the id of a query. One
    /// that was another server's has moved, and one that was believed dead is alive.
    pub fn learn(&mut self, server: usize, id: CoordinatorId, seen: Time) {
        for sightings in &mut self.servers {
            sightings.retain(|sighting| sighting.id != id);
        }
        let sightings = &mut self.servers[server];
        if sightings.len() == IDS {
            sightings.remove(0);
        }
        sightings.push(Sighting { id, seen, life: Life::Alive });
    }

    /// The process that answers at a server's address began at this moment, or later: ids that were
    /// last seen before are dead. Returns whether any was alive until now.
    pub fn process_began(&mut self, server: usize, moment: Time) -> bool {
        let mut is_news = false;
        for sighting in &mut self.servers[server] {
            if sighting.seen < moment {
                is_news |= sighting.life == Life::Alive;
                sighting.life = Life::Dead;
            }
        }
        is_news
    }

    /// Whether the process that a server bore last has been replaced by one that says `id` when it is
    /// asked at `asked`, and that began at `began` or later: the other one was last seen before that.
    pub fn is_replaced(
        &self,
        server: usize,
        id: CoordinatorId,
        asked: Time,
        began: Option<Time>,
    ) -> bool {
        self.servers[server].last().is_some_and(|last| {
            let is_later = began.is_none_or(|began| last.seen <= began + PRECISION);
            last.id != id && last.seen < asked && is_later
        })
    }

    /// The server that a coordinator's queries belong to.
    pub fn owner(&self, id: CoordinatorId) -> Ownership {
        let mut servers = self.servers.iter().enumerate();
        let found = servers.find_map(|(server, sightings)| {
            let sighting = sightings.iter().find(|sighting| sighting.id == id)?;
            Some(match sighting.life {
                Life::Alive => Ownership::Alive(server),
                Life::Dead => Ownership::Dead(server),
            })
        });
        found.unwrap_or(Ownership::Unknown)
    }

    /// The id that a server bears: the last one it said, unless that is dead.
    pub fn known(&self, server: usize) -> Option<CoordinatorId> {
        let last = self.servers[server].last()?;
        (last.life == Life::Alive).then_some(last.id)
    }
}

/// Ids that are kept of one server: a coordinator that restarts all the time has no more queries of
/// its eighth last process.
const IDS: usize = 8;
/// How much earlier a process may seem to have begun: a check's timeout, and what rounds an uptime
/// within the first hour.
pub const PRECISION: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> CoordinatorId {
        CoordinatorId::parse(text.as_bytes()).unwrap()
    }

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    /// What may be known of the id `aaaaa`, of server 0, at second 10.
    #[derive(Clone, Copy, Debug)]
    enum Before {
        Unknown,
        Alive,
        Dead,
        /// Server 0 said another id since.
        Replaced,
    }

    impl Before {
        const ALL: [Before; 4] = [Before::Unknown, Before::Alive, Before::Dead, Before::Replaced];

        fn build(self) -> Coordinators {
            let mut group = Coordinators::new(3);
            match self {
                Before::Unknown => {}
                Before::Alive => group.learn(0, id("aaaaa"), at(10)),
                Before::Dead => {
                    group.learn(0, id("aaaaa"), at(10));
                    group.process_began(0, at(11));
                }
                Before::Replaced => {
                    group.learn(0, id("aaaaa"), at(10));
                    group.learn(0, id("bbbbb"), at(11));
                }
            }
            group
        }
    }

    #[test]
    fn every_event_in_every_state() {
        use Ownership::{Alive, Dead, Unknown};
        type Event = (&'static str, fn(&mut Coordinators), [Ownership; 4]);
        // The owner of `aaaaa` afterwards, for each of `Before::ALL`.
        let table: [Event; 8] = [
            ("nothing", |_| {}, [Unknown, Alive(0), Dead(0), Alive(0)]),
            ("learn 0", |g| g.learn(0, id("aaaaa"), at(20)), [Alive(0); 4]),
            ("learn 1", |g| g.learn(1, id("aaaaa"), at(20)), [Alive(1); 4]),
            ("learn another", |g| g.learn(0, id("ccccc"), at(20)), {
                [Unknown, Alive(0), Dead(0), Alive(0)]
            }),
            (
                "began before",
                |g| _ = g.process_began(0, at(9)),
                [Unknown, Alive(0), Dead(0), Alive(0)],
            ),
            (
                "began then",
                |g| _ = g.process_began(0, at(10)),
                [Unknown, Alive(0), Dead(0), Alive(0)],
            ),
            (
                "began after",
                |g| _ = g.process_began(0, at(15)),
                [Unknown, Dead(0), Dead(0), Dead(0)],
            ),
            (
                "others",
                |g| {
                    g.process_began(1, at(15));
                },
                [Unknown, Alive(0), Dead(0), Alive(0)],
            ),
        ];
        for (name, event, expected) in table {
            for (before, expected) in Before::ALL.into_iter().zip(expected) {
                let mut group = before.build();
                event(&mut group);
                assert_eq!(group.owner(id("aaaaa")), expected, "{before:?}, {name}");
            }
        }
    }

    #[test]
    fn a_server_bears_the_last_id_that_it_said() {
        let known = |before: Before| before.build().known(0);
        assert_eq!(known(Before::Unknown), None);
        assert_eq!(known(Before::Alive), Some(id("aaaaa")));
        assert_eq!(known(Before::Dead), None);
        assert_eq!(known(Before::Replaced), Some(id("bbbbb")));
    }

    #[test]
    fn another_id_replaces_the_last_one_unless_its_process_ran_beside_it() {
        // What is known, the id, when it was asked for, when its process began.
        let table = [
            (Before::Unknown, "bbbbb", 20, Some(15), false),
            (Before::Alive, "aaaaa", 20, Some(15), false),
            (Before::Alive, "bbbbb", 20, Some(15), true),
            (Before::Alive, "bbbbb", 20, Some(8), true),
            (Before::Alive, "bbbbb", 20, Some(7), false),
            (Before::Alive, "bbbbb", 20, None, true),
            (Before::Alive, "bbbbb", 10, Some(15), false),
            (Before::Replaced, "aaaaa", 20, None, true),
        ];
        for (before, text, asked, began, expected) in table {
            let is_replaced = before.build().is_replaced(0, id(text), at(asked), began.map(at));
            assert_eq!(is_replaced, expected, "{before:?} {text} {asked} {began:?}");
        }
    }

    #[test]
    fn an_id_that_is_seen_after_the_process_began_stays_alive() {
        let mut group = Coordinators::new(1);
        group.learn(0, id("aaaaa"), at(10));
        group.learn(0, id("aaaaa"), at(20));
        group.process_began(0, at(15));
        assert_eq!(group.owner(id("aaaaa")), Ownership::Alive(0));
    }

    #[test]
    fn the_oldest_of_too_many_ids_is_forgotten() {
        let mut group = Coordinators::new(1);
        let ids = ["aaaaa", "bbbbb", "ccccc", "ddddd", "eeeee", "fffff", "ggggg", "hhhhh"];
        for (second, text) in (0..).zip(ids) {
            group.learn(0, id(text), at(second));
        }
        // Seen again, the first is not the oldest any more.
        group.learn(0, id("aaaaa"), at(20));
        group.learn(0, id("iiiii"), at(21));
        assert_eq!(group.owner(id("bbbbb")), Ownership::Unknown);
        assert_eq!(group.owner(id("aaaaa")), Ownership::Alive(0));
        assert_eq!(group.owner(id("ccccc")), Ownership::Alive(0));
        assert_eq!(group.known(0), Some(id("iiiii")));
    }

    #[test]
    fn a_reload_keeps_what_is_known_of_the_servers_that_stay() {
        let mut old = Coordinators::new(4);
        for (server, text) in ["aaaaa", "bbbbb", "ccccc", "ddddd"].into_iter().enumerate() {
            old.learn(server, id(text), at(1));
        }
        old.process_began(1, at(2));
        // The third server is gone, the fourth has the same address as the first.
        let new =
            Coordinators::carried_over(&old, 2, |server| [Some(1), Some(0), None, Some(1)][server]);
        assert_eq!(new.owner(id("aaaaa")), Ownership::Alive(1));
        assert_eq!(new.owner(id("bbbbb")), Ownership::Dead(0));
        assert_eq!(new.owner(id("ccccc")), Ownership::Unknown);
        assert_eq!(new.owner(id("ddddd")), Ownership::Unknown);
    }
}
