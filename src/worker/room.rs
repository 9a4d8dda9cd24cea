//! Room for clients: which sessions go when connections, descriptors or memory run short.
//!
//! Only sessions go of which nothing is at a server: those that are idle, those that
//! are still sending a head, and those that have said everything. The one that has stood still for longest goes first,
//! so that a client in good standing is never among the first; where memory is short, the one with the
//! largest head. Finding them takes a look at all sessions, which finds many at a time and is not
//! repeated at once: it costs nothing while there is room, and little for each client that comes while
//! there is none.

use std::cmp::Reverse;

use slab::Slab;

use super::{Entry, Worker};
use crate::net::Net;
use crate::planted::{self, Bug};
use crate::proxy::next::{CloseReason, Expendable, Next};
use crate::time::Time;

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// Connections or descriptors.
    Sockets,
    /// Storage for buffers.
    Memory,
}

/// Sessions that may go, found with one look at all of them.
pub(super) struct Victims {
    lack: Lack,
    /// The next one last.
    found: Vec<Victim>,
    /// There were more than these.
    more: bool,
    /// What was found is good enough until then.
    fresh_until: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Victim {
    rank: Rank,
    key: usize,
}

/// The largest, where size counts; then what has stood still for longest.
type Rank = (Reverse<usize>, Time);

impl Victims {
    pub(super) fn new(lack: Lack) -> Victims {
        Victims { lack, found: Vec::new(), more: false, fresh_until: Time::ZERO }
    }

    /// The session that is to go next; none where there is none, as far as is known.
    fn next<N: Net>(&mut self, sessions: &Slab<Entry<N>>, now: Time) -> Option<usize> {
        if now >= self.fresh_until {
            self.look(sessions, now);
        }
        loop {
            while let Some(victim) = self.found.pop() {
                let rank = sessions.get(victim.key).and_then(|entry| self.rank(entry));
                // It may have gone on since, or be another one by now.
                if rank.is_some_and(|(_, since)| since == victim.rank.1) {
                    return Some(victim.key);
                }
            }
            if !self.more {
                return None;
            }
            self.look(sessions, now);
        }
    }

    fn look<N: Net>(&mut self, sessions: &Slab<Entry<N>>, now: Time) {
        let mut found = std::mem::take(&mut self.found);
        found.clear();
        found.extend(
            sessions
                .iter()
                .filter_map(|(key, entry)| Some(Victim { rank: self.rank(entry)?, key })),
        );
        self.more = found.len() > BATCH;
        if self.more {
            found.select_nth_unstable(BATCH);
            found.truncate(BATCH);
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        self.found = found;
        self.fresh_until = now + LOOK * u32::try_from(sessions.len()).unwrap_or(u32::MAX);
    }

    /// How early it goes; none where it may not go, or would not help.
    fn rank<N: Net>(&self, entry: &Entry<N>) -> Option<Rank> {
        // What stands in the queue has just been heard of: it may be a request.
        if entry.queued {
            return None;
        }
        let (class, held) = entry.session.expendable()?;
        let since = match class {
            Expendable::Idle => entry.idle_since,
            // Its answer is on its way, and it ends by itself: only where nothing else can go.
            Expendable::Lingering => Time::NEVER,
            Expendable::Head { began } => began,
        };
        match (self.lack, class) {
            (Lack::Sockets, _) => Some((Reverse(0), since)),
            (Lack::Memory, Expendable::Head { .. }) if held > ORDINARY_HEAD => {
                Some((Reverse(held), since))
            }
            (Lack::Memory, _) => None,
        }
    }
}

impl<N: Net> Worker<N> {
    /// Says how many sockets the process may hold: fewer than `worker_connections`, perhaps.
    pub fn allow_sockets(&mut self, sockets: usize) {
        self.sockets = sockets;
    }

    /// Sees to it that one more client can be served, besides those that have just come and may all
    /// want a server. False: nothing can go now.
    pub(super) fn make_room(&mut self, fresh: usize) -> bool {
        if self.shared.context.io.buffers.is_exhausted() {
            self.listeners.pause(self.shared.context.io.now, "worker_buffer_memory is used up");
            return false;
        }
        let connections = self.shared.context.servers.config().process.worker_connections;
        let what = match self.sockets < connections {
            true => "the limit of open files is too low for worker_connections",
            false => "worker_connections are not enough",
        };
        let most = connections.min(self.sockets);
        // Each turn but the last closes a connection.
        while self.shared.context.io.owners.len() + fresh + SOCKETS_A_SESSION > most {
            if !self.make_way(what) {
                return false;
            }
        }
        true
    }

    /// Closes one connection, so that another can be had: an idle one to a server, else the session
    /// that has stood still for longest. False, and accepting pauses: nothing can go now.
    pub(super) fn make_way(&mut self, what: &str) -> bool {
        if self.shared.context.servers.close_one_idle(&mut self.shared.context.io) {
            return true;
        }
        let now = self.shared.context.io.now;
        let Some(key) = self.victims_for_sockets.next(&self.sessions, now) else {
            self.listeners.pause(now, what);
            return false;
        };
        self.listeners.tell(now, &format!("{what}: idle and slow clients are closed"));
        self.close_for_room(key);
        true
    }

    /// What the session called last has taken beyond all limits comes from others.
    pub(super) fn relieve(&mut self) {
        while self.shared.context.io.buffers.is_exhausted() && !planted::is(Bug::LargeHeadsStay) {
            let now = self.shared.context.io.now;
            let Some(key) = self.victims_for_memory.next(&self.sessions, now) else { break };
            let what = "worker_buffer_memory is used up: clients with large heads are refused";
            self.listeners.tell(now, what);
            let next = self.sessions[key].session.refuse(&mut self.shared);
            self.follow(key, next);
        }
        for _ in 0..GO_AT_ONCE {
            if !self.shared.context.io.reserve.is_short() {
                break;
            }
            let now = self.shared.context.io.now;
            let Some(key) = self.victims_for_sockets.next(&self.sessions, now) else { break };
            self.listeners.tell(now, "no descriptor is left: idle and slow clients are closed");
            self.close_for_room(key);
            self.shared.context.io.fill_reserve();
        }
    }

    /// A head that is being sent is refused in words, as far as its client can hear them at once.
    fn close_for_room(&mut self, key: usize) {
        match self.sessions[key].session.refuse(&mut self.shared) {
            Next::Wait | Next::Again => self.close(key, CloseReason::Evicted),
            Next::Close(reason) => self.close(key, reason),
        }
    }
}

/// Storage that is left to every head: it is not what uses up the memory.
const ORDINARY_HEAD: usize = 4 << 10;
/// Sessions that go for the reserve before the next session is called: a pipe takes two descriptors.
const GO_AT_ONCE: usize = 4;
/// Sessions that are found with one look.
const BATCH: usize = 64;
/// How long what was found is good enough, for each session that was looked at.
const LOOK: std::time::Duration = std::time::Duration::from_micros(1);
/// Descriptors that a session may need: its client's and its server's.
const SOCKETS_A_SESSION: usize = 2;
