//! The network a worker runs on: mio in production, a simulated one in tests.
//!
//! Everything that waits or knows the time stands behind [`Net`]. Readiness is edge-triggered:
//! a socket is registered once, for both directions, and an event says only that trying again may
//! be worth it. Events may be stale, doubled or early.

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use crate::address::Address;
use crate::config::model::Listen;
use crate::time::{Time, WallTime};

pub mod os;
pub mod pipe;
#[cfg(feature = "sim")]
pub mod sim;

/// Names a socket in events. Chosen by whoever registers the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub usize);

/// What may have become possible on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose socket.
    pub token: Token,
    /// A read may give bytes, an end or an error.
    pub readable: bool,
    /// A write may take bytes, or a connect has come to its end.
    pub writable: bool,
    /// The peer has finished sending (its FIN or RST is here, perhaps behind bytes not yet read).
    pub read_closed: bool,
    /// The connection failed.
    pub broken: bool,
    /// TCP's urgent data has come: a read ends before it, however much follows.
    pub urgent: bool,
}

/// Sockets, readiness and time.
pub trait Net {
    /// A listening socket. Dropping it stops listening.
    type Listener;
    /// A connected or connecting socket. Dropping it closes it; no event of it comes afterwards
    /// that was not already in the batch being handled.
    type Stream: Stream<Pipe = Self::Pipe>;
    /// A pipe that bytes pass through from stream to stream without entering the process.
    /// Dropping it loses what is in it.
    type Pipe;

    /// Binds and registers a listening socket.
    ///
    /// # Errors
    /// Whatever the system says: the address in use, not local, not permitted.
    fn listen(&mut self, at: &Listen, token: Token) -> io::Result<Self::Listener>;

    /// Takes one waiting connection: the stream, the client's address and the address it reached.
    /// Not registered yet: see [`Net::watch`].
    ///
    /// # Errors
    /// `WouldBlock` when none waits; others (out of descriptors, aborted) as the system says.
    fn accept(&mut self, from: &Self::Listener) -> io::Result<Accepted<Self::Stream>>;

    /// Begins to connect. The outcome comes as an event; ask [`Stream::connected`] then.
    ///
    /// # Errors
    /// A connect that fails at once, or no socket to be had.
    fn connect(&mut self, to: &Address, how: &Connect) -> io::Result<Self::Stream>;

    /// Makes a pipe.
    ///
    /// # Errors
    /// `Unsupported` where there are none, else what is lacking now.
    fn pipe(&mut self) -> io::Result<Self::Pipe>;

    /// Registers a stream, once, for both directions.
    ///
    /// # Errors
    /// Whatever the system says.
    fn watch(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()>;

    /// Waits for events until the moment `until` and puts them into `events`, which is emptied
    /// first. Returns the time it is now, never earlier than before. May return early with none.
    ///
    /// # Errors
    /// Only what leaves no way to go on.
    fn poll(&mut self, events: &mut Vec<Event>, until: Time) -> io::Result<Time>;

    /// What the wall clock showed at `at`, for log lines.
    fn wall(&self, at: Time) -> WallTime;
}

/// A connection just taken from a listener.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The connection.
    pub stream: S,
    /// The client's address.
    pub peer: Address,
    /// The address that the client reached.
    pub local: Address,
}

/// How to connect.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connect {
    /// The local address to connect from.
    pub bind: Option<SocketAddr>,
    /// `SO_KEEPALIVE`.
    pub keepalive: bool,
}

/// One connection's bytes. Never blocks: `WouldBlock` says to wait for an event.
pub trait Stream {
    /// What [`Net::pipe`] makes.
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

    /// Writes from the slices in order; returns how many bytes were taken.
    ///
    /// # Errors
    /// `WouldBlock`, or the connection's failure.
    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Whether a connect has come to its end: `Ok(false)` while it goes on.
    ///
    /// # Errors
    /// The reason why it failed.
    fn connected(&mut self) -> io::Result<bool>;

    /// Sends the orderly end; reading stays possible.
    ///
    /// # Errors
    /// As the system says; a connection that is gone already is no reason to act.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Makes the coming close abortive: the peer gets a reset, so that it cannot take a cut
    /// answer for a whole one.
    fn reset_on_close(&mut self);

    /// `TCP_NODELAY`; nothing on sockets that are not TCP.
    fn set_nodelay(&mut self, on: bool);
}
