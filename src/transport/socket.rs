//! A stream, and what is remembered of its readiness.
//!
//! Registered once, edge-triggered: no new edge comes for what is already known, so readiness is
//! kept until the stream itself says `WouldBlock`, or a short read has shown that it is drained.

use std::io::{self, ErrorKind, IoSlice};

use crate::net::{Event, Net, Stream, Token};
use crate::planted::{self, Bug};

/// A registered stream.
pub struct Socket<N: Net> {
    stream: N::Stream,
    /// Its token: half as wide as `usize`.
    token: u32,
    readable: bool,
    writable: bool,
    end: PeerEnd,
    /// The connection failed.
    broken: bool,
    /// Urgent data splits what is there to be read: a short read does not mean that all is read.
    split: bool,
}

/// What is known of the peer's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerEnd {
    /// Nothing.
    Unknown,
    /// It is said to stand somewhere behind the bytes not yet read. No edge will come for it.
    Told,
    /// The same, and nobody minds.
    Overlooked,
}

/// What a read or a write came to.
#[derive(Debug)]
pub enum Moved {
    /// So many bytes, at least one.
    Bytes(usize),
    /// The peer's orderly end; reads only.
    End,
    /// Nothing until an event.
    Wait,
    /// The connection is gone.
    Failed(io::Error),
}

impl<N: Net> Socket<N> {
    /// A stream that was registered with `token`. Both directions are worth a try at first.
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

    /// Its name in events.
    pub fn token(&self) -> Token {
        Token(self.token as usize)
    }

    /// Notes what an event says.
    pub fn note(&mut self, event: &Event) {
        self.readable |= event.readable || event.read_closed;
        self.writable |= event.writable;
        if (event.read_closed || event.broken) && self.end == PeerEnd::Unknown {
            self.end = PeerEnd::Told;
        }
        self.broken |= event.broken;
        self.split |= event.urgent;
    }

    /// Whether a read may give something.
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// Whether the peer is known to have finished, perhaps behind bytes not yet read.
    pub fn is_ending(&self) -> bool {
        self.end == PeerEnd::Told
    }

    /// Whether the connection failed, as far as is known. What was sent may still be there.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Makes nothing of it that the peer has finished; its end is still read in order.
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
                let ending =
                    self.end != PeerEnd::Unknown && !planted::is(Bug::EndBehindShortReadLost);
                self.readable = count == into.len() || ending || self.split;
                Moved::Bytes(count)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.drained();
                Moved::Wait
            }
            Err(e) => Moved::Failed(e),
        }
    }

    /// Writes the slices in order, as far as the stream takes them.
    pub fn write(&mut self, from: &[IoSlice<'_>]) -> Moved {
        if !self.writable {
            return Moved::Wait;
        }
        match retried(|| self.stream.write_vectored(from)) {
            Ok(0) => Moved::Failed(ErrorKind::WriteZero.into()),
            Ok(count) => {
                self.writable = !planted::is(Bug::WriteStopsWriting);
                Moved::Bytes(count)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.writable = false;
                Moved::Wait
            }
            Err(e) => Moved::Failed(e),
        }
    }

    /// Moves bytes into an empty pipe. Where it is still readable after [`Moved::Wait`], a read may
    /// give something all the same.
    pub fn splice_in(&mut self, into: &mut N::Pipe, most: usize) -> Moved {
        assert!(most > 0, "a read of nothing would look like the end");
        if !self.readable {
            return Moved::Wait;
        }
        match retried(|| self.stream.splice_in(into, most)) {
            Ok(0) => Moved::End,
            // However short, it may have been the pipe that had no room for more.
            Ok(count) => Moved::Bytes(count),
            // Only a read passes urgent data: it stays readable until one has been tried.
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

    /// Nothing is there to be read, whatever was said.
    fn drained(&mut self) {
        self.readable = false;
        self.split = false;
        // What was said of the end was wrong: the true one will bring an edge.
        self.end = PeerEnd::Unknown;
    }

    /// Whether a connect has come to its end; asked only after an event.
    ///
    /// # Errors
    /// The reason why it failed.
    pub fn connected(&mut self) -> io::Result<bool> {
        if !self.writable && !self.readable {
            return Ok(false);
        }
        let connected = self.stream.connected()?;
        self.writable = connected;
        self.readable &= connected;
        Ok(connected)
    }

    /// Sends the orderly end.
    pub fn finish_writing(&mut self) {
        // A connection that is gone already needs no end.
        let _ = self.stream.shutdown_write();
    }

    /// Makes the coming close a reset.
    pub fn reset_on_close(&mut self) {
        self.stream.reset_on_close();
    }

    /// `TCP_NODELAY`.
    pub fn set_nodelay(&mut self, on: bool) {
        self.stream.set_nodelay(on);
    }
}

/// Non-blocking calls are rarely interrupted; again, but not forever.
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
