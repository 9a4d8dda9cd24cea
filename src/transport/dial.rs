//! Connecting to a server, and what a connect that failed says of it.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use rustix::io::Errno;

use super::io::{Io, Owner};
use super::socket::Socket;
use crate::address::Address;
use crate::net::{Connect, Event, Net};
use crate::time::Time;
use crate::upstream::retry::Failure;

/// A connection that is being made.
pub struct Dial<N: Net> {
    socket: Socket<N>,
    deadline: Time,
}

/// How far a dial has come.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// The server has not answered.
    Pending,
    /// The connection stands.
    Open,
    /// The server refused it, or took too long.
    Failed(Failure),
}

impl<N: Net> Dial<N> {
    /// Begins to connect; the server has `timeout` to answer.
    ///
    /// # Errors
    /// What a connect that fails at once says of the server; `None` when we lack descriptors, ports
    /// or memory.
    pub fn begin(
        to: &Address,
        how: &Connect,
        timeout: Duration,
        owner: Owner,
        io: &mut Io<N>,
    ) -> Result<Dial<N>, Option<Failure>> {
        let socket = io.connect(to, how, owner).map_err(|e| failure_of(&e))?;
        Ok(Dial { socket, deadline: io.now + timeout })
    }

    /// Finds out how far it is. After [`Dialled::Open`] the socket is ready for use.
    pub fn poll(&mut self, now: Time) -> Dialled {
        match self.socket.connected() {
            Ok(true) => Dialled::Open,
            Ok(false) if self.deadline <= now => Dialled::Failed(Failure::ConnectTimedOut),
            Ok(false) => Dialled::Pending,
            // We lack nothing for a connect under way: what it met is the server's.
            Err(e) => Dialled::Failed(failure_of(&e).unwrap_or(Failure::Unreachable)),
        }
    }

    /// When the server will have taken too long.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// Notes an event of the socket.
    pub fn note(&mut self, event: &Event) {
        self.socket.note(event);
    }

    /// The socket: to be used once it is open, or to be closed.
    pub fn into_socket(self) -> Socket<N> {
        self.socket
    }
}

/// What a failed connect says of the server; `None` when we lack descriptors, ports or memory.
pub fn failure_of(error: &Error) -> Option<Failure> {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    if Errno::from_io_error(error).is_some_and(|code| exhausted.contains(&code)) {
        return None;
    }
    if error.kind() == ErrorKind::AddrNotAvailable {
        return Some(Failure::NoLocalAddress);
    }
    let refused = error.kind() == ErrorKind::ConnectionRefused;
    let timed_out = error.kind() == ErrorKind::TimedOut;
    Some(match (refused, timed_out) {
        (true, _) => Failure::Refused,
        (_, true) => Failure::ConnectTimedOut,
        (false, false) => Failure::Unreachable,
    })
}
