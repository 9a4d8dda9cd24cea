//! What sessions work with and none of them owns.

use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::config::model::{Config, LogId};
use crate::http::fields::Place;
use crate::http::rewrite::SetFields;
use crate::net::{Connect, Net};
use crate::proxy::log::access_log::AccessLines;
use crate::proxy::log::limited_log::LimitedLog;
use crate::proxy::servers::Servers;
use crate::recycle::Vectors;
use crate::time::Time;
use crate::transport::dial::Dial;
use crate::transport::io::{Io, Owner};
use crate::transport::pipe::Policy;
use crate::upstream::retry::Failure;

/// Shared by all sessions of one worker.
pub struct Context<N: Net> {
    /// Sockets, time and storage.
    pub io: Io<N>,
    /// Configurations, groups and idle connections.
    pub servers: Servers<N>,
    /// Access log lines.
    pub access_lines: AccessLines,
    /// What became of requests whose server failed, told within limits.
    pub limited_log: LimitedLog,
    /// Storage that is used within one call and empty between calls.
    pub scratch: Scratch,
    /// Storage for the places of fields.
    pub places: Vectors<Place>,
    /// Make request ids unguessable and different in every process.
    pub keys: RandomState,
}

/// Reused storage.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A head being written.
    pub head: Vec<u8>,
    /// Fields to set in it.
    pub set: SetFields,
    /// Fields of an answer of our own.
    pub own: SetFields,
    /// A path or a value being made.
    pub text: Vec<u8>,
    /// Where the fields of a response's head stand.
    pub places: Vec<Place>,
}

impl Scratch {
    /// Empties [`Scratch::head`] for the next one; what a large one took is given back.
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
            keys: RandomState::new(),
        };
        context.adopt(config);
        context
    }

    /// Makes `config` the newest.
    pub fn adopt(&mut self, config: Arc<Config>) {
        self.io.buffers.set_limit(config.process.buffer_memory);
        let policy = if config.process.splice { Policy::Splice } else { Policy::Copy };
        self.io.pipes.set_policy(policy);
        self.servers.adopt(config, &mut self.access_lines, &mut self.io);
    }

    /// Begins to connect to a server: at the expense of an idle connection, if there is no room.
    ///
    /// # Errors
    /// As [`Dial::begin`].
    pub fn dial(
        &mut self,
        to: &Address,
        how: &Connect,
        timeout: Duration,
        owner: Owner,
    ) -> Result<Dial<N>, Option<Failure>> {
        let dialled = Dial::begin(to, how, timeout, owner, &mut self.io);
        if !matches!(dialled, Err(None)) {
            return dialled;
        }
        // An idle connection to another server is worth less than this one, and so is an idle
        // client, which the worker closes for what is taken from the reserve.
        if self.servers.close_one_idle(&mut self.io) || self.io.reserve.spend() {
            return Dial::begin(to, how, timeout, owner, &mut self.io);
        }
        dialled
    }

    /// Adds an access log line, which `write` appends.
    pub fn log(&mut self, generation: u64, log: LogId, write: impl FnOnce(&mut Vec<u8>)) {
        let place = self.servers.log_place(generation, log);
        self.access_lines.line(place, self.io.now, write);
    }

    /// When something is due that no event announces.
    pub fn next_alarm(&self) -> Time {
        self.servers.next_alarm().min(self.access_lines.next_due()).min(self.limited_log.next_due())
    }
}

/// Storage for heads that is kept from one to the next.
const KEPT_HEAD: usize = 64 << 10;
