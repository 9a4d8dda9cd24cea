//! What sessions work with and none of them owns.

use std::hash::RandomState;
use std::io;
use std::sync::Arc;

use crate::address::Address;
use crate::config::model::Config;
use crate::http::fields::Place;
use crate::http::rewrite::SetFields;
use crate::net::{Connect, Net};
use crate::proxy::log::access_log::AccessLines;
use crate::proxy::log::limited_log::LimitedLog;
use crate::proxy::servers::Servers;
use crate::recycle::Vectors;
use crate::time::Time;
use crate::transport::dial::failure_of_connect;
use crate::transport::io::{Io, Owner};
use crate::transport::pipe::Policy;
use crate::transport::socket::Socket;

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
    /// As [`Io::connect`].
    pub fn connect(&mut self, to: &Address, how: &Connect, owner: Owner) -> io::Result<Socket<N>> {
        let connected = self.io.connect(to, how, owner);
        let lacks_room = connected.as_ref().is_err_and(|e| failure_of_connect(e).is_none());
        // An idle connection to another server is worth less than this one, and so is an idle
        // client, which the worker closes for what is taken from the reserve.
        let mut makes_room =
            || self.servers.close_one_idle(&mut self.io) || self.io.reserve.spend();
        if lacks_room && makes_room() {
            return self.io.connect(to, how, owner);
        }
        connected
    }

    /// When something is due that no event announces.
    pub fn next_alarm(&self) -> Time {
        self.servers.next_alarm().min(self.access_lines.next_due()).min(self.limited_log.next_due())
    }
}
