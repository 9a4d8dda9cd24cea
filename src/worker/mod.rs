//! Stub of the worker, to be replaced: binds and waits, serves nobody.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::address::Address;
use crate::config::model::Config;
use crate::net::{Net, Token};
use crate::time::Time;

/// One thread's share of the proxy.
#[derive(Debug)]
pub struct Worker<N: Net> {
    net: N,
    config: Arc<Config>,
    listeners: Vec<N::Listener>,
    now: Time,
    journal: Journal,
}

impl<N: Net> Worker<N> {
    /// Binds every listener; nothing is served before the first turn.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub fn new(mut net: N, config: Arc<Config>) -> Result<Worker<N>, ListenError> {
        let mut listeners = Vec::new();
        for (index, at) in config.listens.iter().enumerate() {
            let bound = net.listen(at, Token(index));
            let failed = |reason| ListenError { address: at.address.clone(), reason };
            listeners.push(bound.map_err(failed)?);
        }
        Ok(Worker { net, config, listeners, now: Time::ZERO, journal: Journal::default() })
    }

    /// One wait and everything it brought. Waits no longer than `until`.
    ///
    /// # Errors
    /// Only what leaves no way to go on.
    pub fn turn(&mut self, until: Time) -> io::Result<()> {
        self.now = self.net.poll(&mut Vec::new(), until)?;
        Ok(())
    }

    /// The time of the latest turn.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Serves by another configuration; a failure keeps the old one.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub fn reload(&mut self, config: Arc<Config>) -> Result<(), ListenError> {
        self.config = config;
        Ok(())
    }

    /// Stops listening, closes idle connections, lets exchanges finish.
    pub fn drain(&mut self) {
        self.listeners.clear();
    }

    /// Whether nothing is left after [`Worker::drain`].
    pub fn drained(&self) -> bool {
        self.listeners.is_empty()
    }

    /// Access log lines waiting to be written.
    pub fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// The sockets that are listened on.
    pub fn listening(&self) -> Vec<&N::Listener> {
        self.listeners.iter().collect()
    }

    /// The network.
    pub fn net(&mut self) -> &mut N {
        &mut self.net
    }
}

/// An address that cannot be bound.
#[derive(Debug)]
pub struct ListenError {
    /// Which.
    pub address: Address,
    /// Why.
    pub reason: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bind() to {} failed: {}", self.address, self.reason)
    }
}

impl std::error::Error for ListenError {}

/// Access log lines waiting to be written.
#[derive(Debug, Default)]
pub struct Journal {}

impl Journal {
    /// Logs whose lines should be written now: write and clear them.
    pub fn due(&mut self, _now: Time) -> impl Iterator<Item = (&Path, &mut Vec<u8>)> {
        std::iter::empty()
    }

    /// All logs that have lines.
    pub fn all(&mut self) -> impl Iterator<Item = (&Path, &mut Vec<u8>)> {
        std::iter::empty()
    }
}
