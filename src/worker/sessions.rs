//! The sessions of a worker: which of them run next, when their alarms ring, how they end.

use slab::Slab;

use super::listeners::Listeners;
use super::timers::Timers;
use crate::net::{Accepted, Net};
use crate::proxy::context::Context;
use crate::proxy::next::{CloseReason, Next};
use crate::proxy::session::Session;
use crate::proxy::shared::Shared;
use crate::time::Time;

/// All sessions, with what a call of one may touch: what they share, and the listeners, which
/// accept again once a session has closed.
pub(super) struct Sessions<N: Net> {
    pub(super) shared: Shared<N>,
    pub(super) listeners: Listeners<N>,
    pub(super) entries: Slab<Entry<N>>,
    timers: Timers,
    /// Sessions to run in this turn, or in the next one if they asked for it.
    queue: Vec<usize>,
    /// Storage for the queue of the current turn.
    running: Vec<usize>,
    /// Connections accepted so far.
    accepted: u64,
}

pub(super) struct Entry<N: Net> {
    pub(super) session: Session<N>,
    /// Whether the session is in the queue.
    pub(super) queued: bool,
    /// When its one live alarm rings.
    alarm: Time,
}

/// An alarm that rings.
pub(super) enum Alarm {
    /// It is the live one of this session.
    Of(usize),
    /// It has been set again since, or its session has closed.
    Stale,
}

impl<N: Net> Sessions<N> {
    pub(super) fn new(shared: Shared<N>) -> Sessions<N> {
        Sessions {
            shared,
            listeners: Listeners::new(),
            entries: Slab::new(),
            timers: Timers::new(),
            queue: Vec::new(),
            running: Vec::new(),
            accepted: 0,
        }
    }

    /// Alarms that are set, including stale ones.
    pub(super) fn alarms(&self) -> usize {
        self.timers.count()
    }

    /// When the first alarm rings.
    pub(super) fn deadline(&self) -> Time {
        self.timers.next()
    }

    /// Whether sessions wait to run that no event will announce.
    pub(super) fn are_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The keys of all sessions.
    pub(super) fn keys(&self) -> Vec<usize> {
        self.entries.iter().map(|(key, _)| key).collect()
    }

    /// Makes a session of a connection that the listener with this index has accepted. Returns
    /// whether it could.
    pub(super) fn admit(&mut self, accepted: Accepted<N::Stream>, listener: usize) -> bool {
        let entry = self.entries.vacant_entry();
        let key = entry.key();
        let (number, keys) = (self.accepted + 1, (listener as u32, key as u32));
        let Accepted { stream, peer, local } = accepted;
        let local = self.listeners.shared_local(listener, local);
        let context = &mut self.shared.context;
        let Some(session) = Session::accept(stream, (peer, local), keys, number, context) else {
            return false;
        };
        self.accepted = number;
        entry.insert(Entry { session, queued: false, alarm: Time::NEVER });
        self.enqueue(key);
        true
    }

    /// Queues a session to run, if it is still there.
    pub(super) fn enqueue(&mut self, key: usize) -> Option<&mut Session<N>> {
        let entry = self.entries.get_mut(key)?;
        if !entry.queued {
            entry.queued = true;
            self.queue.push(key);
        }
        Some(&mut entry.session)
    }

    /// Takes the queue; [`Sessions::give_queue_back`] returns its storage.
    pub(super) fn take_queue(&mut self) -> Vec<usize> {
        std::mem::replace(&mut self.queue, std::mem::take(&mut self.running))
    }

    /// Keeps the storage of a queue that is done.
    pub(super) fn give_queue_back(&mut self, done: Vec<usize>) {
        self.running = done;
    }

    /// Takes a session out of the queue; `false` if it has closed since.
    pub(super) fn unqueue(&mut self, key: usize) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        entry.queued = false;
        true
    }

    /// Takes one alarm that is due.
    pub(super) fn take_alarm(&mut self) -> Option<Alarm> {
        let (time, key) = self.timers.take_due(self.shared.context.io.now)?;
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.alarm == time) else {
            return Some(Alarm::Stale);
        };
        entry.alarm = Time::NEVER;
        Some(Alarm::Of(key))
    }

    /// Calls a session, and carries out what it asks for.
    pub(super) fn call(
        &mut self,
        key: usize,
        what: impl FnOnce(&mut Session<N>, &mut Shared<N>) -> Next,
    ) {
        match what(&mut self.entries[key].session, &mut self.shared) {
            Next::Wait => self.arm(key),
            Next::Again => {
                self.arm(key);
                self.enqueue(key);
            }
            Next::Close(reason) => self.close(key, reason),
        }
    }

    fn arm(&mut self, key: usize) {
        let entry = &mut self.entries[key];
        let deadline = entry.session.deadline();
        if deadline < entry.alarm {
            entry.alarm = deadline;
            self.timers.set(deadline, key);
        }
        let entries = &self.entries;
        self.timers.compact(entries.len(), |time, key| {
            entries.get(key).is_some_and(|entry| entry.alarm == time)
        });
    }

    pub(super) fn close(&mut self, key: usize, reason: CloseReason) {
        let entry = self.entries.remove(key);
        entry.session.close(reason, &mut self.shared);
        self.listeners.resume();
        // The last of many sessions closed: free the slab and the heap. All alarms and queued turns
        // are stale.
        if self.entries.is_empty() && self.entries.capacity() > KEPT {
            self.entries = Slab::new();
            self.timers = Timers::new();
            self.shared.context.io.give_back();
        }
    }

    /// Closes all sessions of which this is true.
    pub(super) fn evict(&mut self, which: impl Fn(&mut Session<N>, &mut Context<N>) -> bool) {
        for key in self.keys() {
            if which(&mut self.entries[key].session, &mut self.shared.context) {
                self.close(key, CloseReason::Evicted);
            }
        }
    }

    /// Closes exchanges of this or an older configuration; returns the number of sessions closed.
    pub(super) fn close_older(&mut self, generation: u64) -> usize {
        let keys = self.keys();
        let before = keys.len();
        for key in keys {
            if let Some(reason) = self.entries[key].session.outlives(generation) {
                self.close(key, reason);
            }
        }
        before - self.entries.len()
    }
}

/// Capacity for sessions that is kept when there are none.
const KEPT: usize = 1024;
