//! The state of a worker that all of its sessions use.

use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::config::model::{Config, LogId, Server};
use crate::http::fields::Place;
use crate::http::rewrite::SetFields;
use crate::net::{Connect, Net};
use crate::proxy::accepted::Accepted;
use crate::proxy::log::access_log::AccessLines;
use crate::proxy::log::limited_log::LimitedLog;
use crate::proxy::servers::Servers;
use crate::recycle::Vectors;
use crate::time::Time;
use crate::transport::dial::Dial;
use crate::transport::io::{Io, Owner};
use crate::transport::pipe::Policy;
use crate::upstream::group::At;
use crate::upstream::retry::Failure;

/// Shared by all sessions of one worker.
pub struct Context<N: Net> {
    /// Sockets, time and storage.
    pub io: Io<N>,
    /// Configurations, groups and idle connections.
    pub servers: Servers<N>,
    /// Access log lines.
    pub access_lines: AccessLines,
    /// Log lines about single requests, at a limited rate.
    pub limited_log: LimitedLog,
    /// Buffers used within one call and empty between calls.
    pub scratch: Scratch,
    /// Recycled vectors for the places of fields.
    pub places: Vectors<Place>,
    /// Announcements accepted in this turn.
    pub announced: Vec<Accepted>,
    /// Requests of this turn that go to other servers too; their answers are not waited for.
    pub copies: Vec<(At, Zeroizing<Box<[u8]>>)>,
    /// Random keys for `$request_id`: unguessable, and different in every process.
    pub keys: RandomState,
}

/// Buffers that are reused to avoid allocation.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A head being written.
    pub head: Vec<u8>,
    /// Fields to set in that head.
    pub set: SetFields,
    /// Fields of one of the proxy's own answers.
    pub own: SetFields,
    /// A path or a value being built.
    pub text: Vec<u8>,
    /// The places of the fields in a response head.
    pub places: Vec<Place>,
}

impl Scratch {
    /// Empties [`Scratch::head`], and frees the memory of an unusually large head.
    pub fn clear_head(&mut self) {
        self.head.clear();
        self.head.shrink_to(KEPT_HEAD);
    }
}

impl<N: Net> Context<N> {
    /// A context whose first configuration is `config`.
    pub fn new(net: N, config: Arc<Config>) -> Context<N> {
        let mut context = Context {
            io: Io::new(net),
            servers: Servers::new(),
            access_lines: AccessLines::default(),
            limited_log: LimitedLog::default(),
            scratch: Scratch::default(),
            places: Vectors::default(),
            announced: Vec::new(),
            copies: Vec::new(),
            keys: RandomState::new(),
        };
        context.adopt(config);
        context
    }

    /// Makes `config` the newest configuration.
    pub fn adopt(&mut self, config: Arc<Config>) {
        self.io.buffers.set_limit(config.process.buffer_memory);
        let policy = if config.process.splice { Policy::Splice } else { Policy::Copy };
        self.io.pipes.set_policy(policy);
        self.servers.adopt(config, &mut self.access_lines, &mut self.io);
    }

    /// Starts connecting to a server. If we lack descriptors, closes an idle connection and tries
    /// again.
    ///
    /// # Errors
    /// As [`Dial::begin`].
    pub fn dial(
        &mut self,
        to: &Server,
        how: &Connect,
        timeout: Duration,
        owner: Owner,
    ) -> Result<Dial<N>, Option<Failure>> {
        let dialled = Dial::begin(to, how, timeout, owner, &mut self.io);
        if !matches!(dialled, Err(None)) {
            return dialled;
        }
        // This connection matters more than an idle connection to another server. It also matters
        // more than an idle client: the worker closes one to refill the reserve.
        if self.servers.close_one_idle(&mut self.io) || self.io.reserve.spend() {
            return Dial::begin(to, how, timeout, owner, &mut self.io);
        }
        dialled
    }

    /// Adds an access log line; `write` appends its text.
    pub fn log(&mut self, generation: u64, log: LogId, write: impl FnOnce(&mut Vec<u8>)) {
        let place = self.servers.log_place(generation, log);
        self.access_lines.line(place, self.io.now, write);
    }

    /// When the next action without a triggering event is due.
    pub fn next_alarm(&self) -> Time {
        let servers = self.servers.next_alarm(self.io.now);
        servers.min(self.access_lines.next_due()).min(self.limited_log.next_due())
    }
}

/// Capacity of the head buffer that is kept between heads.
const KEPT_HEAD: usize = 64 << 10;
