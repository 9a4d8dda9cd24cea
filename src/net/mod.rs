//! The network a worker runs on: mio in production, a simulated one in tests.
//!
//! Everything that waits or knows the time is behind [`Net`]. Readiness is edge-triggered: a socket
//! is registered once, for both directions, and an event says only that a retry may succeed. Events
//! may be stale, doubled or early.

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use crate::address::Address;
use crate::config::model::Listen;
use crate::time::{Time, WallTime};

pub mod os;
#[cfg(feature = "sim")]
pub mod sim;

/// Names a socket in events. Chosen by the code that registers the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub usize);

/// What may have become possible on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The token of the socket.
    pub token: Token,
    /// A read may return bytes, an end or an error.
    pub readable: bool,
    /// A write may accept bytes, or a connect has finished.
    pub writable: bool,
    /// The peer has finished sending (its FIN or RST is here, perhaps after unread bytes).
    pub read_closed: bool,
    /// The connection failed.
    pub broken: bool,
    /// TCP urgent data has arrived: a read stops before it, even if more bytes follow.
    pub urgent: bool,
}

/// Sockets, readiness and time.
pub trait Net {
    /// A listening socket. Dropping it stops listening.
    type Listener;
    /// A connected or connecting socket. Dropping it closes it; afterwards it has no events except
    /// those in the batch being handled.
    type Stream: Stream<Pipe = Self::Pipe>;
    /// A pipe that carries bytes between streams without copying them into the process. Dropping it
    /// discards its contents.
    type Pipe;

    /// Binds and registers a listening socket.
    ///
    /// # Errors
    /// Any error of the system: the address is in use, not local, or not permitted.
    fn listen(&mut self, at: &Listen, token: Token) -> io::Result<Self::Listener>;

    /// Accepts one waiting connection: the stream, the client's address and the address it
    /// connected to. Not registered yet: see [`Net::watch`].
    ///
    /// # Errors
    /// `WouldBlock` if none waits; any other error of the system (no descriptor, aborted).
    fn accept(&mut self, from: &Self::Listener) -> io::Result<Accepted<Self::Stream>>;

    /// Begins to connect. An event announces the outcome; ask [`Stream::connected`] then.
    ///
    /// # Errors
    /// A connect that fails at once, or no socket available.
    fn connect(&mut self, to: &Address, how: &Connect) -> io::Result<Self::Stream>;

    /// Creates a pipe.
    ///
    /// # Errors
    /// `Unsupported` if the system has no pipes, else any error of the system.
    fn pipe(&mut self) -> io::Result<Self::Pipe>;

    /// Registers a stream, once, for both directions.
    ///
    /// # Errors
    /// Any error of the system.
    fn watch(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()>;

    /// Waits for events until `until` and puts them into `events`, which is cleared first. Returns
    /// the current time, never earlier than before. May return early without events.
    ///
    /// # Errors
    /// A failure after which the loop cannot continue.
    fn poll(&mut self, events: &mut Vec<Event>, until: Time) -> io::Result<Time>;

    /// The wall clock's time at `at`, for log lines.
    fn wall(&self, at: Time) -> WallTime;
}

/// A connection just accepted.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The connection.
    pub stream: S,
    /// The client's address.
    pub peer: Address,
    /// The address the client connected to.
    pub local: Address,
}

/// Options of a connect.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connect {
    /// The local address to connect from.
    pub bind: Option<SocketAddr>,
    /// `SO_KEEPALIVE`.
    pub keepalive: bool,
}

/// One connection's bytes. Never blocks: after `WouldBlock`, wait for an event.
pub trait Stream {
    /// The type that [`Net::pipe`] creates.
    type Pipe;

    /// Moves at most `most` bytes into an empty pipe; 0 is the orderly end.
    ///
    /// # Errors
    /// `WouldBlock`, or the connection's failure.
    fn splice_in(&mut self, into: &mut Self::Pipe, most: usize) -> io::Result<usize>;

    /// Moves at most `most` bytes out of a pipe that holds some.
    ///
    /// # Errors
    /// `WouldBlock`, or the connection's failure.
    fn splice_out(&mut self, from: &mut Self::Pipe, most: usize) -> io::Result<usize>;

    /// Reads into the buffer; 0 is the orderly end.
    ///
    /// # Errors
    /// `WouldBlock`, or the connection's failure.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes the slices in order; returns the number of bytes accepted.
    ///
    /// # Errors
    /// `WouldBlock`, or the connection's failure.
    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Whether a connect has finished: `Ok(false)` while it continues.
    ///
    /// # Errors
    /// The reason of its failure.
    fn connected(&mut self) -> io::Result<bool>;

    /// Sends a FIN; reading remains possible.
    ///
    /// # Errors
    /// Any error of the system. Callers ignore a connection that is already broken.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Makes the next close abortive: the peer gets a reset, so that it cannot take a cut response
    /// for a whole one.
    fn reset_on_close(&mut self);

    /// Sets `TCP_NODELAY`; no effect on sockets that are not TCP.
    fn set_nodelay(&mut self, on: bool);
}
