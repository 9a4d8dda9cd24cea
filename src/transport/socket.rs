//! A stream and its known readiness.
//!
//! Registered once, edge-triggered: the system reports a readiness only once. It is remembered
//! until the stream returns `WouldBlock`, or a short read has shown that it is drained.

use std::io::{self, ErrorKind, IoSlice};

use crate::net::{Event, Net, Stream, Token};

/// A registered stream.
pub struct Socket<N: Net> {
    stream: N::Stream,
    /// Its token; `u32` because there are many sockets.
    token: u32,
    readable: bool,
    writable: bool,
    end: PeerEnd,
    /// The connection failed.
    broken: bool,
    /// Urgent data splits the readable bytes: a short read does not mean that all are read.
    split: bool,
}

/// What is known about the peer's FIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerEnd {
    /// Nothing.
    Unknown,
    /// Announced, somewhere after the unread bytes. No further edge will come for it.
    Told,
    /// Announced, and ignored on purpose.
    Overlooked,
}

/// The outcome of a read or a write.
#[derive(Debug)]
pub enum Moved {
    /// Number of bytes, at least one.
    Bytes(usize),
    /// The peer's orderly end; reads only.
    End,
    /// Nothing possible until the next event.
    Wait,
    /// The connection is broken.
    Failed(io::Error),
}

impl<N: Net> Socket<N> {
    /// A stream registered under `token`. Both directions are tried at first.
    pub fn new(stream: N::Stream, token: Token) -> Socket<N> {
        Socket {
            stream,
            token: token.0 as u32,
            readable: true,
            writable: true,
            end: PeerEnd::Unknown,
            broken: false,
            split: false,
        }
    }

    /// A stream that is still connecting.
    pub fn connecting(stream: N::Stream, token: Token) -> Socket<N> {
        Socket {
            stream,
            token: token.0 as u32,
            readable: false,
            writable: false,
            end: PeerEnd::Unknown,
            broken: false,
            split: false,
        }
    }

    /// Its token in events.
    pub fn token(&self) -> Token {
        Token(self.token as usize)
    }

    /// Records an event.
    pub fn note(&mut self, event: &Event) {
        self.readable |= event.readable || event.read_closed;
        self.writable |= event.writable;
        if (event.read_closed || event.broken) && self.end == PeerEnd::Unknown {
            self.end = PeerEnd::Told;
        }
        self.broken |= event.broken;
        self.split |= event.urgent;
    }

    /// Whether a read may return something.
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// Whether the peer's FIN is known, perhaps after unread bytes.
    pub fn is_ending(&self) -> bool {
        self.end == PeerEnd::Told
    }

    /// Whether the connection is known to have failed. Received bytes may still be readable.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Stops treating the peer's FIN as a departure; it is still read in order.
    pub fn overlook_ending(&mut self) {
        if self.end == PeerEnd::Told {
            self.end = PeerEnd::Overlooked;
        }
    }

    /// Reads into `into`, which must not be empty.
    pub fn read(&mut self, into: &mut [u8]) -> Moved {
        assert!(!into.is_empty(), "a read of nothing would look like the end");
        if !self.readable {
            return Moved::Wait;
        }
        match retried(|| self.stream.read(into)) {
            Ok(0) => Moved::End,
            Ok(count) => {
                self.readable = count == into.len() || self.end != PeerEnd::Unknown || self.split;
                Moved::Bytes(count)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.drained();
                Moved::Wait
            }
            Err(e) => Moved::Failed(e),
        }
    }

    /// Writes the slices in order, as far as the stream accepts them.
    pub fn write(&mut self, from: &[IoSlice<'_>]) -> Moved {
        if !self.writable {
            return Moved::Wait;
        }
        match retried(|| self.stream.write_vectored(from)) {
            Ok(0) => Moved::Failed(ErrorKind::WriteZero.into()),
            Ok(count) => Moved::Bytes(count),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.writable = false;
                Moved::Wait
            }
            Err(e) => Moved::Failed(e),
        }
    }

    /// Moves bytes into an empty pipe. If the socket is still readable after [`Moved::Wait`], a
    /// read may return something.
    pub fn splice_in(&mut self, into: &mut N::Pipe, most: usize) -> Moved {
        assert!(most > 0, "a read of nothing would look like the end");
        if !self.readable {
            return Moved::Wait;
        }
        match retried(|| self.stream.splice_in(into, most)) {
            Ok(0) => Moved::End,
            // A short splice does not mean the stream is drained: the pipe may have been full.
            Ok(count) => Moved::Bytes(count),
            // Only a read gets past urgent data, so the socket stays readable until one is tried.
            Err(e) if e.kind() == ErrorKind::WouldBlock && self.split => Moved::Wait,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.drained();
                Moved::Wait
            }
            Err(e) => Moved::Failed(e),
        }
    }

    /// Moves bytes out of a pipe that holds some.
    pub fn splice_out(&mut self, from: &mut N::Pipe, most: usize) -> Moved {
        if !self.writable {
            return Moved::Wait;
        }
        match retried(|| self.stream.splice_out(from, most)) {
            Ok(0) => Moved::Failed(ErrorKind::WriteZero.into()),
            Ok(count) => Moved::Bytes(count),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.writable = false;
                Moved::Wait
            }
            Err(e) => Moved::Failed(e),
        }
    }

    /// Clears the readiness: nothing is left to read.
    fn drained(&mut self) {
        self.readable = false;
        self.split = false;
        // The announced FIN is not there: the true one will bring an edge.
        self.end = PeerEnd::Unknown;
    }

    /// Whether a connect has finished; asked only after an event.
    ///
    /// # Errors
    /// The reason of the failure.
    pub fn connected(&mut self) -> io::Result<bool> {
        if !self.writable && !self.readable {
            return Ok(false);
        }
        let connected = self.stream.connected()?;
        self.writable = connected;
        self.readable &= connected;
        Ok(connected)
    }

    /// Sends a FIN.
    pub fn finish_writing(&mut self) {
        // A broken connection needs no FIN.
        let _ = self.stream.shutdown_write();
    }

    /// Makes the next close a reset.
    pub fn reset_on_close(&mut self) {
        self.stream.reset_on_close();
    }

    /// Sets `TCP_NODELAY`.
    pub fn set_nodelay(&mut self, on: bool) {
        self.stream.set_nodelay(on);
    }
}

/// Retries an interrupted call a few times: non-blocking calls are rarely interrupted.
fn retried(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    for _ in 0..INTERRUPTIONS {
        match call() {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
    call()
}

const INTERRUPTIONS: usize = 3;
