//! Listening sockets: which are ready, and when accepting must pause.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::config::model::{Config, Listen, Purpose};
use crate::net::{Accepted, Net, Token};
use crate::proxy::context::Context;
use crate::proxy::log::seldom::Seldom;
use crate::time::Time;
use crate::transport::dial::failure_of;
use crate::transport::io::Owner;

/// All listeners. Each keeps its index while the worker lives.
pub(super) struct Listeners<N: Net> {
    all: Vec<Option<Listening<N>>>,
    /// Accepting pauses until then, or until a session closes.
    paused: Option<Time>,
    /// Messages logged recently, and when.
    told: Seldom,
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

/// Tells the operator that commands are not taken at the default place.
pub fn no_commands(address: &Address, reason: &io::Error) -> String {
    format!(
        "cannot listen on {address}: {reason}; \"promote\", \"drain\" and \"status\" will not work: \
         write \"control unix:PATH\" or \"control off\""
    )
}

/// We lack descriptors or memory to accept a connection; the system's message.
pub(super) struct Lacking(pub(super) String);

struct Listening<N: Net> {
    socket: N::Listener,
    token: Token,
    address: Address,
    /// The local address of the latest connection, which most have in common.
    local: Arc<Address>,
    is_for_commands: bool,
    /// Whether connections may wait without another edge to announce them.
    ready: bool,
}

impl<N: Net> Listeners<N> {
    pub(super) fn new() -> Listeners<N> {
        Listeners { all: Vec::new(), paused: None, told: Seldom::default() }
    }

    /// Listens as `config` says: keeps existing listeners, binds new ones, closes those no longer
    /// named.
    ///
    /// # Errors
    /// The first listener that cannot be bound; nothing has changed then.
    pub(super) fn adopt(
        &mut self,
        config: &Config,
        context: &mut Context<N>,
    ) -> Result<(), ListenError> {
        let mut serves: Vec<Option<usize>> = vec![None; self.all.len()];
        let mut fresh = Vec::new();
        for (index, listen) in config.listens.iter().enumerate() {
            if let Some(known) = self.find(listen) {
                serves[known] = Some(index);
                continue;
            }
            let place = self.all.len() + fresh.len();
            let token = Token(context.io.owners.insert(Owner::Listener(place as u32)));
            match context.io.net.listen(listen, token) {
                Ok(socket) => {
                    let address = listen.address.clone();
                    fresh.push(Some(Listening {
                        socket,
                        token,
                        local: Arc::new(address.clone()),
                        address,
                        is_for_commands: listen.purpose.is_commands(),
                        ready: true,
                    }));
                    serves.push(Some(index));
                }
                Err(reason) if listen.purpose == Purpose::CommandsIfPossible => {
                    context.io.owners.remove(token.0);
                    let address = &listen.address;
                    log::warn!("{}", no_commands(address, &reason));
                }
                Err(reason) => {
                    context.io.owners.remove(token.0);
                    for listener in fresh.into_iter().flatten() {
                        context.io.owners.remove(listener.token.0);
                    }
                    return Err(ListenError { address: listen.address.clone(), reason });
                }
            }
        }
        self.all.append(&mut fresh);
        for (place, _) in serves.iter().enumerate().filter(|(_, serves)| serves.is_none()) {
            if let Some(listener) = self.all[place].take() {
                context.io.owners.remove(listener.token.0);
            }
        }
        context.servers.listens = serves;
        Ok(())
    }

    /// The listener for an address. One for commands never becomes one for clients, nor the other
    /// way round: its file has another mode.
    fn find(&self, listen: &Listen) -> Option<usize> {
        let same = |listener: &Option<Listening<N>>| {
            listener.as_ref().is_some_and(|listener| {
                listener.address == listen.address
                    && listener.is_for_commands == listen.purpose.is_commands()
            })
        };
        self.all.iter().position(same)
    }

    /// Closes all listeners.
    pub(super) fn close(&mut self, context: &mut Context<N>) {
        for listener in self.all.iter_mut().filter_map(Option::take) {
            context.io.owners.remove(listener.token.0);
        }
    }

    /// All listening sockets.
    pub(super) fn sockets(&self) -> Vec<&N::Listener> {
        self.all.iter().flatten().map(|listener| &listener.socket).collect()
    }

    /// Records an event.
    pub(super) fn note(&mut self, place: u32) {
        if let Some(listener) = self.all.get_mut(place as usize).and_then(Option::as_mut) {
            listener.ready = true;
        }
    }

    /// The first listener at or after index `from` that may have a connection to accept.
    pub(super) fn next_ready(&mut self, from: usize, now: Time) -> Option<usize> {
        if self.paused.is_some_and(|until| now < until) {
            return None;
        }
        self.paused = None;
        let is_ready = |place: &usize| self.all[*place].as_ref().is_some_and(|it| it.ready);
        (from..self.all.len()).find(is_ready)
    }

    /// Whether connections may wait that no event will announce.
    pub(super) fn are_waiting(&self) -> bool {
        self.paused.is_none() && self.all.iter().flatten().any(|listener| listener.ready)
    }

    /// When accepting resumes after a pause.
    pub(super) fn deadline(&self) -> Time {
        self.paused.unwrap_or(Time::NEVER)
    }

    /// Accepts one connection; `None` if none waits.
    ///
    /// # Errors
    /// We lack descriptors or memory. For any other failure accepting pauses.
    pub(super) fn accept(
        &mut self,
        place: usize,
        context: &mut Context<N>,
    ) -> Result<Option<Accepted<N::Stream>>, Lacking> {
        let Some(listener) = self.all.get_mut(place).and_then(Option::as_mut) else {
            return Ok(None);
        };
        match context.io.net.accept(&listener.socket) {
            Ok(accepted) => return Ok(Some(accepted)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => listener.ready = false,
            // The client gave up while waiting, or a signal came: try the next one.
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {
            }
            Err(e) if failure_of(&e).is_none() => return Err(Lacking(e.to_string())),
            Err(e) => self.pause(context.io.now, &e.to_string()),
        }
        Ok(None)
    }

    /// The local address of a connection just accepted, in the form that sessions keep: there are
    /// many of them, so it is shared.
    pub(super) fn shared_local(&mut self, place: usize, local: Address) -> Arc<Address> {
        let Some(listener) = self.all.get_mut(place).and_then(Option::as_mut) else {
            return Arc::new(local);
        };
        if *listener.local != local {
            listener.local = Arc::new(local);
        }
        Arc::clone(&listener.local)
    }

    /// Pauses accepting for a while.
    pub(super) fn pause(&mut self, now: Time, why: &str) {
        self.tell(now, &format!("{why}: accepting pauses"));
        self.paused = Some(now + PAUSE);
    }

    /// Resumes accepting: a session closed, so there may be room again.
    pub(super) fn resume(&mut self) {
        self.paused = None;
    }

    /// Logs an error, at most once a minute.
    pub(super) fn tell(&mut self, now: Time, what: &str) {
        self.told.tell(now, log::Level::Error, what);
    }
}

/// How long accepting pauses if no session closes before.
const PAUSE: Duration = Duration::from_millis(100);
