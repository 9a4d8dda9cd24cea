//! Room for clients: which sessions are closed if connections, descriptors or memory run short.
//!
//! Only sessions with nothing in progress at a server are closed: idle ones, those still sending a
//! head, and those that are lingering. The one that has stood still longest goes first, so that an
//! active client is never among the first; if memory is short, the one with the largest head. One
//! scan of all sessions finds many at a time and is not repeated at once: it costs nothing while
//! there is room, and little per client once there is none.

use std::cmp::Reverse;

use slab::Slab;

use super::sessions::{Entry, Sessions};
use crate::net::Net;
use crate::proxy::next::{CloseReason, Expendable, Next};
use crate::proxy::session::Session;
use crate::time::Time;

/// Makes room for clients by closing idle and slow ones.
pub(super) struct Room {
    /// Sockets that the process may open.
    sockets: usize,
    for_sockets: Victims,
    for_memory: Victims,
}

/// The resource that runs short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// Connections or descriptors.
    Sockets,
    /// Storage for buffers.
    Memory,
}

/// Sessions that may be closed, found in one scan.
struct Victims {
    lack: Lack,
    /// Candidates; the next to close is last.
    found: Vec<Victim>,
    /// Whether the scan found more candidates than it kept.
    more: bool,
    /// How long the result of the scan may be used.
    fresh_until: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Victim {
    rank: Rank,
    key: usize,
}

/// The largest first, if size counts; then the one that has stood still longest.
type Rank = (Reverse<usize>, Time);

impl Victims {
    fn new(lack: Lack) -> Victims {
        Victims { lack, found: Vec::new(), more: false, fresh_until: Time::ZERO }
    }

    /// The next session to close; `None` if no candidate is known.
    fn next<N: Net>(&mut self, sessions: &Slab<Entry<N>>, now: Time) -> Option<usize> {
        if now >= self.fresh_until {
            self.look(sessions, now);
        }
        loop {
            while let Some(victim) = self.found.pop() {
                let rank = sessions.get(victim.key).and_then(|entry| self.rank(entry));
                // The session may have become active since, or its key may belong to another one.
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

    /// The rank of a session; `None` if it may not be closed, or closing it would not help.
    fn rank<N: Net>(&self, entry: &Entry<N>) -> Option<Rank> {
        // An event for a queued session has just arrived: it may be a request.
        if entry.queued {
            return None;
        }
        let (class, held) = entry.session.expendable()?;
        let since = match class {
            Expendable::Idle { since } => since,
            // The response is on its way, and the session ends by itself: a last resort.
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

impl Room {
    pub(super) fn new() -> Room {
        Room {
            sockets: usize::MAX,
            for_sockets: Victims::new(Lack::Sockets),
            for_memory: Victims::new(Lack::Memory),
        }
    }

    /// Sets how many sockets the process may open, if fewer than `worker_connections`.
    pub(super) fn allow_sockets(&mut self, sockets: usize) {
        self.sockets = sockets;
    }

    /// Makes room for one more client, besides `fresh` ones that have just come and may each need a
    /// server. `false` if no session can be closed now.
    pub(super) fn make_room<N: Net>(&mut self, fresh: usize, sessions: &mut Sessions<N>) -> bool {
        if sessions.shared.context.io.buffers.is_exhausted() {
            sessions
                .listeners
                .pause(sessions.shared.context.io.now, "worker_buffer_memory is used up");
            return false;
        }
        let connections = sessions.shared.context.servers.config().process.worker_connections;
        let what = match self.sockets < connections {
            true => "the limit of open files is too low for worker_connections",
            false => "worker_connections are not enough",
        };
        let most = connections.min(self.sockets);
        // Each iteration but the last closes a connection.
        while sessions.shared.context.io.owners.len() + fresh + SOCKETS_A_SESSION > most {
            if !self.make_way(what, sessions) {
                return false;
            }
        }
        true
    }

    /// Closes one connection to free a descriptor: an idle one to a server, else the session that
    /// has stood still longest. `false`, with accepting paused, if there is none.
    pub(super) fn make_way<N: Net>(&mut self, what: &str, sessions: &mut Sessions<N>) -> bool {
        if sessions.shared.context.servers.close_one_idle(&mut sessions.shared.context.io) {
            return true;
        }
        let now = sessions.shared.context.io.now;
        let Some(key) = self.for_sockets.next(&sessions.entries, now) else {
            sessions.listeners.pause(now, what);
            return false;
        };
        sessions.listeners.tell(now, &format!("{what}: idle and slow clients are closed"));
        close_for_room(key, sessions);
        true
    }

    /// Reclaims from other sessions what the last call took beyond the limits.
    pub(super) fn relieve<N: Net>(&mut self, sessions: &mut Sessions<N>) {
        while sessions.shared.context.io.buffers.is_exhausted() {
            let now = sessions.shared.context.io.now;
            let Some(key) = self.for_memory.next(&sessions.entries, now) else { break };
            let what = "worker_buffer_memory is used up: clients with large heads are refused";
            sessions.listeners.tell(now, what);
            sessions.call(key, Session::refuse);
        }
        for _ in 0..GO_AT_ONCE {
            if !sessions.shared.context.io.reserve.is_short() {
                break;
            }
            let now = sessions.shared.context.io.now;
            let Some(key) = self.for_sockets.next(&sessions.entries, now) else { break };
            sessions.listeners.tell(now, "no descriptor is left: idle and slow clients are closed");
            close_for_room(key, sessions);
            sessions.shared.context.io.fill_reserve();
        }
    }
}

/// A session still sending its head gets an error response, as far as it can be written at once.
fn close_for_room<N: Net>(key: usize, sessions: &mut Sessions<N>) {
    match sessions.entries[key].session.refuse(&mut sessions.shared) {
        Next::Wait | Next::Again => sessions.close(key, CloseReason::Evicted),
        Next::Close(reason) => sessions.close(key, reason),
    }
}

/// Bytes of storage that each head may keep: ordinary heads do not exhaust the memory.
const ORDINARY_HEAD: usize = 4 << 10;
/// Sessions closed to refill the reserve before the next session runs: a pipe takes two
/// descriptors.
const GO_AT_ONCE: usize = 4;
/// Sessions kept from one scan.
const BATCH: usize = 64;
/// How long a scan's result may be used, per session scanned.
const LOOK: std::time::Duration = std::time::Duration::from_micros(1);
/// Descriptors that a session may need: one for its client and one for its server.
const SOCKETS_A_SESSION: usize = 2;
