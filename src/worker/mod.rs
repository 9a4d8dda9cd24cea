//! The worker: the listeners, sessions and timers of one thread, on one network.
//!
//! A turn waits once, then does everything that became possible: records events, acts on deadlines,
//! accepts, runs the sessions concerned. Events are recorded before anything runs, so that a reused
//! token cannot inherit a stale event within a turn.

mod listeners;
mod room;
mod sessions;
pub mod timers;

use std::io;
use std::sync::Arc;

use crate::admin::kept::Kept;
use crate::config::model::Config;
use crate::net::{Event, Net};
use crate::proxy::announcements::Copies;
use crate::proxy::checks::Checks;
use crate::proxy::context::Context;
pub use crate::proxy::log::access_log::AccessLines;
use crate::proxy::next::Next;
use crate::proxy::orders;
use crate::proxy::session::Session;
use crate::proxy::shared::Shared;
use crate::proxy::submissions::Submissions;
use crate::recycle::Boxes;
use crate::time::Time;
use crate::transport::io::Owner;
pub use crate::transport::io::Tuning;

use listeners::Lacking;
pub use listeners::{ListenError, no_commands};
use room::Room;
use sessions::{Alarm, Sessions};

/// The state of one thread.
pub struct Worker<N: Net> {
    sessions: Sessions<N>,
    checks: Checks<N>,
    copies: Copies<N>,
    submissions: Submissions<N>,
    room: Room,
    events: Vec<Event>,
}

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
        let shared = Shared { context: Context::new(net, config), exchanges: Boxes::default() };
        let mut sessions = Sessions::new(shared);
        let Shared { context, .. } = &mut sessions.shared;
        let config = Arc::clone(context.servers.config());
        sessions.listeners.adopt(&config, context)?;
        Ok(Worker {
            sessions,
            checks: Checks::default(),
            copies: Copies::default(),
            submissions: Submissions::default(),
            room: Room::new(),
            events: Vec::new(),
        })
    }

    /// Waits once, at most until `until`, and handles everything that became possible.
    ///
    /// # Errors
    /// A failure after which the loop cannot continue.
    pub fn turn(&mut self, until: Time) -> io::Result<()> {
        let until = self.next_wake(until);
        let mut events = std::mem::take(&mut self.events);
        let io = &mut self.context().io;
        io.now = io.net.poll(&mut events, until)?;
        for event in &events {
            self.note(event);
        }
        self.events = events;
        let context = self.context();
        context.servers.expire_idle(&mut context.io);
        context.servers.look_at_clock(&mut context.io);
        self.close_outlived();
        let Sessions { shared, entries, .. } = &mut self.sessions;
        self.checks.run(&mut shared.context, |at, since| {
            entries.iter().any(|(_, entry)| entry.session.has_heard(at, since))
        });
        self.expire_sessions();
        self.accept();
        self.run_queue();
        self.submissions.run(&mut self.sessions.shared.context);
        self.spread_verdicts();
        self.work_in_background();
        let context = &mut self.sessions.shared.context;
        context.limited_log.sum_up(context.io.now);
        context.io.fill_reserve();
        context.servers.retire();
        Ok(())
    }

    /// Begins checks, copies and submissions, as long as there are sessions that may need what they bring.
    fn work_in_background(&mut self) {
        let drained = self.drained();
        let context = &mut self.sessions.shared.context;
        if drained {
            self.checks.abandon(context);
            self.copies.abandon(context);
            self.submissions.abandon(context);
        } else {
            self.checks.begin(context);
            self.copies.run(context);
            self.submissions.begin(context);
        }
    }

    fn context(&mut self) -> &mut Context<N> {
        &mut self.sessions.shared.context
    }

    /// The time of the latest turn.
    pub fn now(&self) -> Time {
        self.sessions.shared.context.io.now
    }

    /// Makes `config` the configuration for new requests. Exchanges in flight keep theirs.
    ///
    /// # Errors
    /// A new listener cannot be bound; then nothing changes.
    pub fn reload(&mut self, config: Arc<Config>) -> Result<(), ListenError> {
        let context = &mut self.sessions.shared.context;
        self.sessions.listeners.adopt(&config, context)?;
        context.adopt(config);
        self.checks.abandon(context);
        self.copies.abandon(context);
        self.submissions.abandon(context);
        self.sessions.evict(|session, context| {
            // Tunnels that follow their group would not learn of changes in a newer configuration's
            // group.
            if session.is_recallable() {
                return !session.adopt_newest(context);
            }
            session.is_idle() && context.servers.listen(session.listener()).is_none()
        });
        Ok(())
    }

    /// Stops listening and closes idle connections; exchanges in flight continue to their end.
    pub fn drain(&mut self) {
        let context = &mut self.sessions.shared.context;
        context.servers.draining = true;
        self.sessions.listeners.close(context);
        context.servers.close_idle(&mut context.io);
        self.sessions.evict(|session, _| session.may_go());
    }

    /// Closes everything at once; interrupted transfers are visibly cut.
    pub fn stop(&mut self) {
        self.drain();
        self.sessions.close_older(u64::MAX);
        self.work_in_background();
    }

    /// Whether all sessions have ended after [`Worker::drain`].
    pub fn drained(&self) -> bool {
        self.sessions.shared.context.servers.draining && self.sessions.entries.is_empty()
    }

    /// Promotes and drains servers as was commanded before the program was started.
    pub fn restore(&mut self, kept: &[Kept]) {
        let Context { servers, io, .. } = self.context();
        orders::restore(kept, servers, io);
    }

    /// The promotions and drains in force, if they may have changed since the last call.
    pub fn changed_deeds(&mut self) -> Option<Vec<Kept>> {
        let servers = &mut self.context().servers;
        std::mem::take(&mut servers.deeds_changed).then(|| orders::kept(servers))
    }

    /// Access log lines waiting to be written.
    pub fn access_lines(&mut self) -> &mut AccessLines {
        &mut self.context().access_lines
    }

    /// The listening sockets.
    pub fn listening(&self) -> Vec<&N::Listener> {
        self.sessions.listeners.sockets()
    }

    /// Changes how bytes are moved.
    pub fn tune(&mut self, tuning: Tuning) {
        self.context().io.tuning = tuning;
    }

    /// Sets how many sockets the process may open, if fewer than `worker_connections`.
    pub fn allow_sockets(&mut self, sockets: usize) {
        self.room.allow_sockets(sockets);
    }

    /// The network.
    pub fn net(&mut self) -> &mut N {
        &mut self.context().io.net
    }

    /// The resources held now.
    pub fn census(&self) -> Census {
        let Context { io, servers, .. } = &self.sessions.shared.context;
        Census {
            sessions: self.sessions.entries.len(),
            tokens: io.owners.len(),
            idle_upstreams: servers.idle(),
            checks: self.checks.count()
                + self.copies.under_way.count()
                + self.submissions.under_way.count(),
            buffers_held: io.buffers.held(),
            buffer_bytes: io.buffers.held_bytes(),
            pipes_out: io.pipes.out(),
            alarms: self.sessions.alarms(),
        }
    }

    /// When the next thing is due that no event will announce.
    fn next_wake(&self, until: Time) -> Time {
        let Sessions { shared, listeners, .. } = &self.sessions;
        if self.sessions.are_queued() || listeners.are_waiting() {
            return shared.context.io.now;
        }
        let probes = self.checks.under_way.deadline();
        let probes = probes.min(self.copies.under_way.deadline());
        let probes = probes.min(self.submissions.under_way.deadline());
        let alarms = self.sessions.deadline().min(listeners.deadline()).min(probes);
        until.min(alarms).min(shared.context.next_alarm())
    }

    fn note(&mut self, event: &Event) {
        let Some(&owner) = self.context().io.owners.get(event.token.0) else { return };
        match owner {
            Owner::Listener(listener) => self.sessions.listeners.note(listener),
            Owner::Client(key) => {
                if let Some(session) = self.sessions.enqueue(key as usize) {
                    session.note_client(event);
                }
            }
            Owner::Upstream(key) => {
                if let Some(session) = self.sessions.enqueue(key as usize) {
                    session.note_upstream(event);
                }
            }
            // Anything but room to write: an end, an error, or unexpected bytes.
            Owner::Idle { group, key } => {
                if event.readable || event.read_closed || event.broken {
                    let context = self.context();
                    context.servers.drop_idle(group, key, &mut context.io);
                }
            }
            Owner::Check(key) => self.checks.under_way.note(key, event),
            Owner::KeptCheck(key) => self.checks.note_kept(key, event),
            Owner::Copy(key) => self.copies.under_way.note(key, event),
            Owner::Submission(key) => self.submissions.under_way.note(key, event),
        }
    }

    fn run_queue(&mut self) {
        let mut queue = self.sessions.take_queue();
        for key in queue.drain(..) {
            if self.sessions.unqueue(key) {
                self.call(key, Session::run);
            }
        }
        self.sessions.give_queue_back(queue);
    }

    /// Calls a session, and reclaims from others what the call took beyond the limits.
    fn call(&mut self, key: usize, what: impl FnOnce(&mut Session<N>, &mut Shared<N>) -> Next) {
        self.sessions.call(key, what);
        self.room.relieve(&mut self.sessions);
    }

    /// Closes sessions that outlived `worker_shutdown_timeout` of their configuration.
    fn close_outlived(&mut self) {
        let now = self.now();
        while let Some(generation) = self.context().servers.outlived(now) {
            let closed = self.sessions.close_older(generation);
            if closed > 0 {
                log::warn!(
                    "worker_shutdown_timeout is over: {closed} clients of an old configuration are cut"
                );
            }
        }
    }

    fn expire_sessions(&mut self) {
        // An alarm set again for a past moment rings in the next turn, so that no session can keep
        // the others waiting.
        for _ in 0..self.sessions.alarms() {
            match self.sessions.take_alarm() {
                Some(Alarm::Of(key)) => self.call(key, Session::expire),
                Some(Alarm::Stale) => {}
                None => break,
            }
        }
    }

    /// Applies one verdict to all sessions: those still connecting to a server that went down move
    /// on at once, and tunnels that follow their group are closed if another server is active.
    fn spread_verdicts(&mut self) {
        // Moving on may take further servers out; each can go down only once per turn.
        while let Some(news) = self.context().servers.news.pop() {
            for key in self.sessions.keys() {
                let entry = self.sessions.entries.get(key);
                if entry.is_some_and(|entry| entry.session.is_moved_by(&news)) {
                    self.call(key, Session::shift);
                }
            }
        }
    }

    fn accept(&mut self) {
        let (now, mut next, mut fresh) = (self.now(), 0, 0);
        while let Some(listener) = self.sessions.listeners.next_ready(next, now) {
            next = listener + 1;
            for _ in 0..ACCEPTS_A_TURN {
                if !self.room.make_room(fresh, &mut self.sessions) {
                    break;
                }
                let Sessions { listeners, shared, .. } = &mut self.sessions;
                let accepted = match listeners.accept(listener, &mut shared.context) {
                    Ok(Some(accepted)) => accepted,
                    Ok(None) => break,
                    Err(Lacking(what)) if self.room.make_way(&what, &mut self.sessions) => continue,
                    Err(Lacking(_)) => break,
                };
                if !self.sessions.admit(accepted, listener) {
                    break;
                }
                fresh += 1;
            }
        }
    }
}

/// Connections accepted from one listener before the sessions get a turn.
const ACCEPTS_A_TURN: usize = 64;
