//! A stream and its known readiness.
//!
//! Registered once, edge-triggered: the system reports a readiness only once. It is remembered
//! until the stream returns `WouldBlock`, or a short read has shown that it is drained. What a
//! connection over TLS carries is read and written as if it were plain.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use crate::net::{Event, Net, Stream, Token};
use crate::tls::{Agreed, ServerTerms, Session, Shaken};

/// A registered stream.
pub struct Socket<N: Net> {
    stream: N::Stream,
    /// TLS on the stream.
    tls: Option<Session>,
    /// Its token; `u32` because there are many sockets.
    token: u32,
    readable: bool,
    writable: bool,
    end: PeerEnd,
    /// The connection failed.
    broken: bool,
    /// Urgent data splits the readable bytes: a short read does not mean that all are read.
    split: bool,
    /// Whether `TCP_NODELAY` is set: every stream begins with it.
    nodelay: bool,
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
            tls: None,
            token: token.0 as u32,
            readable: true,
            writable: true,
            end: PeerEnd::Unknown,
            broken: false,
            split: false,
            nodelay: true,
        }
    }

    /// A stream that is still connecting, to shake hands then if it is to carry TLS.
    pub fn connecting(stream: N::Stream, tls: Option<Session>, token: Token) -> Socket<N> {
        Socket {
            stream,
            tls,
            token: token.0 as u32,
            readable: false,
            writable: false,
            end: PeerEnd::Unknown,
            broken: false,
            split: false,
            nodelay: true,
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

    /// Awaits a client's TLS handshake, of which these bytes are read already.
    pub fn expect_tls(&mut self, early: &[u8]) {
        self.tls = Session::accepting(early);
        // The handshake reads what no event has announced yet, and may hold more than it needs.
        self.readable = true;
    }

    /// Goes on with a TLS handshake, if there is one. `terms` are those of the server with the name
    /// that a client asks for. After [`Shaken::Plain`] the socket has no TLS.
    pub fn shake_hands(
        &mut self,
        terms: impl FnOnce(Option<&str>) -> Option<ServerTerms>,
    ) -> Shaken {
        let Some(tls) = &mut self.tls else { return Shaken::Done };
        let shaken = tls.shake(&mut Raw::<N>::new(&mut self.stream), terms);
        if let Shaken::Plain(_) = shaken {
            self.tls = None;
        }
        shaken
    }

    /// What was agreed upon in a TLS handshake.
    pub fn agreed(&self) -> Option<Agreed> {
        self.tls.as_ref()?.agreed()
    }

    /// Whether bytes may go through a pipe.
    pub fn can_splice(&self) -> bool {
        self.tls.is_none()
    }

    /// Reads into `into`, which must not be empty.
    pub fn read(&mut self, into: &mut [u8]) -> Moved {
        assert!(!into.is_empty(), "a read of nothing would look like the end");
        if !self.readable {
            return Moved::Wait;
        }
        let Socket { stream, tls, .. } = self;
        let (read, is_drained) = match tls {
            None => {
                let read = retried(|| stream.read(into));
                let is_short = matches!(read, Ok(count) if count < into.len());
                (read, is_short)
            }
            Some(tls) => {
                let mut raw = Raw::<N>::new(stream);
                let read = tls.read(&mut raw, into);
                (read, raw.is_drained && tls.is_drained())
            }
        };
        match read {
            Ok(0) => Moved::End,
            Ok(count) => {
                self.readable = !is_drained || self.end != PeerEnd::Unknown || self.split;
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
        let Socket { stream, tls, .. } = self;
        let written = match tls {
            None => retried(|| stream.write_vectored(from)),
            Some(tls) => tls.write(&mut Raw::<N>::new(stream), from),
        };
        match written {
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

    /// Whether a connect, and the TLS handshake that follows it, has finished; asked only after an
    /// event.
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
        let Some(tls) = self.tls.as_mut().filter(|_| connected) else { return Ok(connected) };
        match tls.shake(&mut Raw::<N>::new(&mut self.stream), |_| None) {
            Shaken::Waits => Ok(false),
            Shaken::Done => {
                self.readable = true;
                Ok(true)
            }
            Shaken::Failed(e) => Err(e),
            Shaken::Plain(_) => Err(ErrorKind::InvalidData.into()),
        }
    }

    /// Sends a FIN; over TLS, says before that nothing more comes. Returns whether that is done: if
    /// not, the stream is full, and it is to be called again after the next event.
    #[must_use]
    pub fn finish_writing(&mut self) -> bool {
        if !self.say_end() {
            return false;
        }
        // A broken connection needs no FIN.
        let _ = self.stream.shutdown_write();
        true
    }

    /// Over TLS, says that nothing more is sent, before the connection is closed in order. Returns
    /// whether that is said, as above.
    #[must_use]
    pub fn say_end(&mut self) -> bool {
        let Socket { stream, tls, .. } = self;
        tls.as_mut().is_none_or(|tls| tls.finish(&mut Raw::<N>::new(stream)))
    }

    /// Over TLS, leaves unsaid that nothing more is sent: what was sent is not all.
    pub fn leave_end_unsaid(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.leave();
        }
    }

    /// Makes the next close a reset.
    pub fn reset_on_close(&mut self) {
        self.leave_end_unsaid();
        self.stream.reset_on_close();
    }

    /// Sets `TCP_NODELAY` if it differs.
    pub fn set_nodelay(&mut self, on: bool) {
        if on != self.nodelay {
            self.stream.set_nodelay(on);
            self.nodelay = on;
        }
    }
}

/// A stream, as readers and writers of records use it.
struct Raw<'a, N: Net> {
    stream: &'a mut N::Stream,
    /// Whether the last read left nothing behind.
    is_drained: bool,
}

impl<N: Net> Raw<'_, N> {
    fn new(stream: &mut N::Stream) -> Raw<'_, N> {
        Raw { stream, is_drained: false }
    }
}

impl<N: Net> Read for Raw<'_, N> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = retried(|| self.stream.read(into));
        self.is_drained = matches!(read, Ok(count) if count < into.len());
        read
    }
}

impl<N: Net> Write for Raw<'_, N> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        retried(|| self.stream.write_vectored(from))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
