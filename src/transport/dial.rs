//! Connecting to a server, and what a failed connect says about the server.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use rustix::io::Errno;

use super::io::{Io, Owner};
use super::socket::Socket;
use crate::config::model::Server;
use crate::net::{Connect, Event, Net};
use crate::time::Time;
use crate::tls::TlsFailure;
use crate::upstream::retry::Failure;

/// A connect under way.
pub struct Dial<N: Net> {
    socket: Socket<N>,
    deadline: Time,
}

/// The state of a dial.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// The server has not answered.
    Pending,
    /// The connection is open.
    Open,
    /// The connect failed or timed out.
    Failed(Failure),
}

impl<N: Net> Dial<N> {
    /// Begins to connect; the server has `timeout` to answer.
    ///
    /// # Errors
    /// What a connect that fails at once says about the server; `None` if we lack descriptors or
    /// memory.
    pub fn begin(
        to: &Server,
        how: &Connect,
        timeout: Duration,
        owner: Owner,
        io: &mut Io<N>,
    ) -> Result<Dial<N>, Option<Failure>> {
        let socket = io.connect(to, how, owner).map_err(|e| failure_of(&e))?;
        Ok(Dial { socket, deadline: io.now + timeout })
    }

    /// Polls the connect. After [`Dialled::Open`] the socket is ready for use.
    pub fn poll(&mut self, now: Time) -> Dialled {
        match self.socket.connected() {
            Ok(true) => Dialled::Open,
            Ok(false) if self.deadline <= now => Dialled::Failed(Failure::ConnectTimedOut),
            Ok(false) => Dialled::Pending,
            // The connect has begun, so we lacked nothing: blame the server.
            Err(e) => Dialled::Failed(failure_of(&e).unwrap_or(Failure::Unreachable)),
        }
    }

    /// When the connect times out.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// Notes an event of the socket.
    pub fn note(&mut self, event: &Event) {
        self.socket.note(event);
    }

    /// The socket: to be used if open, else to be closed.
    pub fn into_socket(self) -> Socket<N> {
        self.socket
    }
}

/// What a failed connect says about the server; `None` if we lack descriptors or memory.
pub fn failure_of(error: &Error) -> Option<Failure> {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    if Errno::from_io_error(error).is_some_and(|code| exhausted.contains(&code)) {
        return None;
    }
    if error.kind() == ErrorKind::AddrNotAvailable {
        return Some(Failure::NoLocalAddress);
    }
    if let Some(failure) = TlsFailure::of(error) {
        return Some(Failure::Handshake(failure));
    }
    let refused = error.kind() == ErrorKind::ConnectionRefused;
    let timed_out = error.kind() == ErrorKind::TimedOut;
    Some(match (refused, timed_out) {
        (true, _) => Failure::Refused,
        (_, true) => Failure::ConnectTimedOut,
        (false, false) => Failure::Unreachable,
    })
}
