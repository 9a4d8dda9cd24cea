//! The worker: the listeners, sessions and timers of one thread, on one network.
//!
//! A turn waits once, then does everything that became possible: records events, acts on deadlines,
//! accepts, runs the sessions concerned. Events are recorded before anything runs, so that a reused
//! token cannot inherit a stale event within a turn.

mod checks;
mod listeners;
mod room;
pub mod timers;

use std::fmt;
use std::io;
use std::sync::Arc;

use slab::Slab;

use crate::address::Address;
use crate::config::model::Config;
use crate::net::{Event, Net};

use crate::proxy::context::Context;
pub use crate::proxy::log::access_log::AccessLines;
use crate::proxy::next::{CloseReason, Next};
use crate::proxy::session::Session;
use crate::proxy::shared::Shared;
use crate::recycle::Boxes;
use crate::time::Time;
use crate::transport::io::Owner;
pub use crate::transport::io::Tuning;

use checks::Checks;
use listeners::{Lacking, Listeners};
use room::{Lack, Victims};
use timers::Timers;

/// The state of one thread.
pub struct Worker<N: Net> {
    shared: Shared<N>,
    /// Connections accepted so far.
    accepted: u64,
    sessions: Slab<Entry<N>>,
    listeners: Listeners<N>,
    checks: Checks<N>,
    timers: Timers,
    /// Sessions to run in this turn, or in the next one if they asked for it.
    queue: Vec<usize>,
    /// Storage for the queue of the current turn.
    running: Vec<usize>,
    events: Vec<Event>,
    /// Sockets that the process may open.
    sockets: usize,
    victims_for_sockets: Victims,
    victims_for_memory: Victims,
}

struct Entry<N: Net> {
    session: Session<N>,
    /// Whether the session is in the queue.
    queued: bool,
    /// When its one live alarm rings.
    alarm: Time,
    /// Since when it has been idle; `Time::NEVER` while it works.
    idle_since: Time,
}

/// A listener that could not be set up.
#[derive(Debug)]
pub struct ListenError {
    /// The listener's address.
    pub address: Address,
    /// The reason.
    pub reason: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bind() to {} failed: {}", self.address, self.reason)
    }
}

impl std::error::Error for ListenError {}

/// The resources a worker holds, for leak checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Client connections.
    pub sessions: usize,
    /// Tokens of sockets, including listeners.
    pub tokens: usize,
    /// Idle connections to servers.
    pub idle_upstreams: usize,
    /// Background connections to servers.
    pub checks: usize,
    /// Buffers that have storage.
    pub buffers_held: usize,
    /// Bytes of that storage.
    pub buffer_bytes: usize,
    /// Pipes in use.
    pub pipes_out: usize,
    /// Alarms that are set.
    pub alarms: usize,
}

impl<N: Net> Worker<N> {
    /// Binds every listener; nothing is served before the first turn.
    ///
    /// # Errors
    /// The first listener that cannot be bound.
    pub fn new(net: N, config: Arc<Config>) -> Result<Worker<N>, ListenError> {
        let mut worker = Worker {
            shared: Shared { context: Context::new(net, config), exchanges: Boxes::default() },
            accepted: 0,
            sessions: Slab::new(),
            listeners: Listeners::new(),
            checks: Checks::new(),
            timers: Timers::new(),
            queue: Vec::new(),
            running: Vec::new(),
            events: Vec::new(),
            sockets: usize::MAX,
            victims_for_sockets: Victims::new(Lack::Sockets),
            victims_for_memory: Victims::new(Lack::Memory),
        };
        let config = Arc::clone(worker.shared.context.servers.config());
        worker.listeners.adopt(&config, &mut worker.shared.context)?;
        Ok(worker)
    }

    /// Waits once, at most until `until`, and handles everything that became possible.
    ///
    /// # Errors
    /// A failure after which the loop cannot continue.
    pub fn turn(&mut self, until: Time) -> io::Result<()> {
        let until = self.next_wake(until);
        let mut events = std::mem::take(&mut self.events);
        self.shared.context.io.now = self.shared.context.io.net.poll(&mut events, until)?;
        for event in &events {
            self.note(event);
        }
        self.events = events;
        self.shared.context.servers.expire_idle(&mut self.shared.context.io);
        self.close_outlived();
        self.checks.run(&mut self.shared.context);
        self.expire_sessions();
        self.accept();
        self.run_queue();
        self.spread_verdicts();
        self.checks.begin(&mut self.shared.context);
        self.shared.context.limited_log.sum_up(self.shared.context.io.now);
        self.shared.context.io.fill_reserve();
        self.shared.context.servers.retire();
        Ok(())
    }

    /// The time of the latest turn.
    pub fn now(&self) -> Time {
        self.shared.context.io.now
    }

    /// Makes `config` the configuration for new requests. Exchanges in flight keep theirs.
    ///
    /// # Errors
    /// A new listener cannot be bound; then nothing changes.
    pub fn reload(&mut self, config: Arc<Config>) -> Result<(), ListenError> {
        self.listeners.adopt(&config, &mut self.shared.context)?;
        self.shared.context.adopt(config);
        self.checks.abandon(&mut self.shared.context);
        self.close_sessions(|worker, key| {
            let session = &mut worker.sessions[key].session;
            // Tunnels that follow their group would not learn of changes in a newer configuration's
            // group.
            if session.is_recallable() {
                return !session.adopt_newest(&mut worker.shared.context);
            }
            let context = &worker.shared.context;
            session.is_idle() && context.servers.listen(session.listener()).is_none()
        });
        Ok(())
    }

    /// Stops listening and closes idle connections; exchanges in flight continue to their end.
    pub fn drain(&mut self) {
        self.shared.context.servers.draining = true;
        self.listeners.close(&mut self.shared.context);
        self.shared.context.servers.close_idle(&mut self.shared.context.io);
        self.checks.abandon(&mut self.shared.context);
        self.close_sessions(|worker, key| worker.sessions[key].session.may_go());
    }

    /// Closes everything at once; interrupted transfers are visibly cut.
    pub fn stop(&mut self) {
        self.drain();
        self.close_older(u64::MAX);
    }

    /// Whether all sessions have ended after [`Worker::drain`].
    pub fn drained(&self) -> bool {
        self.shared.context.servers.draining && self.sessions.is_empty()
    }

    /// Access log lines waiting to be written.
    pub fn access_lines(&mut self) -> &mut AccessLines {
        &mut self.shared.context.access_lines
    }

    /// The listening sockets.
    pub fn listening(&self) -> Vec<&N::Listener> {
        self.listeners.sockets()
    }

    /// Changes how bytes are moved.
    pub fn tune(&mut self, tuning: Tuning) {
        self.shared.context.io.tuning = tuning;
    }

    /// The network.
    pub fn net(&mut self) -> &mut N {
        &mut self.shared.context.io.net
    }

    /// The resources held now.
    pub fn census(&self) -> Census {
        Census {
            sessions: self.sessions.len(),
            tokens: self.shared.context.io.owners.len(),
            idle_upstreams: self.shared.context.servers.idle(),
            checks: self.checks.len(),
            buffers_held: self.shared.context.io.buffers.held(),
            buffer_bytes: self.shared.context.io.buffers.held_bytes(),
            pipes_out: self.shared.context.io.pipes.out(),
            alarms: self.timers.count(),
        }
    }

    /// When the next thing is due that no event will announce.
    fn next_wake(&self, until: Time) -> Time {
        if !self.queue.is_empty() || self.listeners.are_waiting() {
            return self.shared.context.io.now;
        }
        let alarms = self.timers.next().min(self.checks.deadline()).min(self.listeners.deadline());
        until.min(alarms).min(self.shared.context.next_alarm())
    }

    fn note(&mut self, event: &Event) {
        let Some(&owner) = self.shared.context.io.owners.get(event.token.0) else { return };
        match owner {
            Owner::Listener(listener) => self.listeners.note(listener),
            Owner::Client(key) => {
                if let Some(entry) = self.sessions.get_mut(key as usize) {
                    entry.session.note_client(event);
                    self.enqueue(key as usize);
                }
            }
            Owner::Upstream(key) => {
                if let Some(entry) = self.sessions.get_mut(key as usize) {
                    entry.session.note_upstream(event);
                    self.enqueue(key as usize);
                }
            }
            // Anything but room to write: an end, an error, or unexpected bytes.
            Owner::Idle { group, key } => {
                if event.readable || event.read_closed || event.broken {
                    let Shared { context, .. } = &mut self.shared;
                    context.servers.drop_idle(group, key, &mut context.io);
                }
            }
            Owner::Check(key) => self.checks.note(key, event),
        }
    }

    fn enqueue(&mut self, key: usize) {
        let entry = &mut self.sessions[key];
        if !entry.queued {
            entry.queued = true;
            self.queue.push(key);
        }
    }

    fn run_queue(&mut self) {
        let mut running = std::mem::replace(&mut self.queue, std::mem::take(&mut self.running));
        for key in running.drain(..) {
            let Some(entry) = self.sessions.get_mut(key) else { continue };
            entry.queued = false;
            let next = entry.session.run(&mut self.shared);
            self.follow(key, next);
            self.relieve();
        }
        self.running = running;
    }

    /// Carries out what a session asked for when it was called.
    fn follow(&mut self, key: usize, next: Next) {
        match next {
            Next::Wait => self.arm(key),
            Next::Again => {
                self.arm(key);
                self.enqueue(key);
            }
            Next::Close(reason) => self.close(key, reason),
        }
    }

    fn arm(&mut self, key: usize) {
        let entry = &mut self.sessions[key];
        let deadline = entry.session.deadline();
        if deadline < entry.alarm {
            entry.alarm = deadline;
            self.timers.set(deadline, key);
        }
        entry.idle_since = match entry.session.is_idle() {
            true => entry.idle_since.min(self.shared.context.io.now),
            false => Time::NEVER,
        };
        let sessions = &self.sessions;
        self.timers.compact(sessions.len(), |time, key| {
            sessions.get(key).is_some_and(|entry| entry.alarm == time)
        });
    }

    fn close(&mut self, key: usize, reason: CloseReason) {
        let entry = self.sessions.remove(key);
        entry.session.close(reason, &mut self.shared);
        self.listeners.resume();
        // The last of many sessions closed: free the slab and the heap. All alarms and queued turns
        // are stale.
        if self.sessions.is_empty() && self.sessions.capacity() > KEPT_SESSIONS {
            self.sessions = Slab::new();
            self.timers = Timers::new();
            self.shared.context.io.give_back();
        }
    }

    fn close_sessions(&mut self, which: impl Fn(&mut Worker<N>, usize) -> bool) {
        let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            if which(self, key) {
                self.close(key, CloseReason::Evicted);
            }
        }
    }

    /// Closes sessions that outlived `worker_shutdown_timeout` of their configuration.
    fn close_outlived(&mut self) {
        while let Some(generation) =
            self.shared.context.servers.outlived(self.shared.context.io.now)
        {
            let closed = self.close_older(generation);
            if closed > 0 {
                log::warn!(
                    "worker_shutdown_timeout is over: {closed} clients of an old configuration are cut"
                );
            }
        }
    }

    /// Closes exchanges of this or an older configuration; returns the number of sessions closed.
    fn close_older(&mut self, generation: u64) -> usize {
        let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
        let before = keys.len();
        for key in keys {
            if let Some(reason) = self.sessions[key].session.outlives(generation) {
                self.close(key, reason);
            }
        }
        before - self.sessions.len()
    }

    fn expire_sessions(&mut self) {
        // An alarm set again for a past moment rings in the next turn, so that no session can keep
        // the others waiting.
        for _ in 0..self.timers.count() {
            let Some((time, key)) = self.timers.take_due(self.shared.context.io.now) else { break };
            let Some(entry) = self.sessions.get_mut(key).filter(|entry| entry.alarm == time) else {
                continue;
            };
            entry.alarm = Time::NEVER;
            let next = entry.session.expire(&mut self.shared);
            self.follow(key, next);
            self.relieve();
        }
    }

    /// Applies one verdict to all sessions: those still connecting to a server that went down move
    /// on at once, and tunnels that follow their group are closed if another server is active.
    fn spread_verdicts(&mut self) {
        // Moving on may take further servers out; each can go down only once per turn.
        while let Some(news) = self.shared.context.servers.news.pop() {
            let keys: Vec<usize> = self.sessions.iter().map(|(key, _)| key).collect();
            for key in keys {
                let Some(entry) = self.sessions.get_mut(key) else { continue };
                if entry.session.is_moved_by(&news) {
                    let next = entry.session.shift(&mut self.shared);
                    self.follow(key, next);
                    self.relieve();
                }
            }
        }
    }

    fn accept(&mut self) {
        let (mut next, mut fresh) = (0, 0);
        while let Some(listener) = self.listeners.next_ready(next, self.shared.context.io.now) {
            next = listener + 1;
            for _ in 0..ACCEPTS_A_TURN {
                if !self.make_room(fresh) {
                    break;
                }
                let accepted = match self.listeners.accept(listener, &mut self.shared.context) {
                    Ok(Some(accepted)) => accepted,
                    Ok(None) => break,
                    Err(Lacking(what)) if self.make_way(&what) => continue,
                    Err(Lacking(_)) => break,
                };
                let entry = self.sessions.vacant_entry();
                let key = entry.key();
                let (number, keys) = (self.accepted + 1, (listener as u32, key as u32));
                let context = &mut self.shared.context;
                let Some(session) = Session::accept(accepted, keys, number, context) else {
                    break;
                };
                self.accepted = number;
                entry.insert(Entry {
                    session,
                    queued: false,
                    alarm: Time::NEVER,
                    idle_since: Time::NEVER,
                });
                self.enqueue(key);
                fresh += 1;
            }
        }
    }
}

/// Connections accepted from one listener before the sessions get a turn.
const ACCEPTS_A_TURN: usize = 64;
/// Capacity for sessions that is kept when there are none.
const KEPT_SESSIONS: usize = 1024;
