//! A tunnel: bytes and FINs pass both ways unread, for TCP and for HTTP after a 101.
//!
//! Small amounts are copied through a buffer. A direction whose sender fills the buffer with one
//! read uses a pipe until the sender pauses.

use super::flow::Flow;
use super::io::Io;
use super::socket::{Moved, Socket};
use crate::config::model::HalfClose;
use crate::net::Net;
use crate::time::Time;

/// Both directions between a client and a server.
pub struct Tunnel<N: Net> {
    /// Client to server.
    pub up: Direction<N>,
    /// Server to client.
    pub down: Direction<N>,
    /// Limit for the buffered bytes of each direction.
    room: usize,
    half_close: HalfClose,
    /// When bytes last moved, in either direction.
    pub since: Time,
}

/// One direction.
pub struct Direction<N: Net> {
    flow: Flow<N>,
    rate: Rate,
    end: End,
    /// Bytes received from the sender.
    pub received: u64,
    /// Bytes that the receiver took.
    pub delivered: u64,
}

/// How fast bytes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    /// They fit the buffer.
    Buffered,
    /// More arrived at once than the buffer holds: a pipe is worth it.
    Bulk,
}

/// The progress of a direction's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The sender is still open.
    Open,
    /// The sender sent its FIN; bytes may still be buffered.
    Seen,
    /// The FIN was passed on to the receiver.
    Told,
    /// The sender's connection broke; bytes may still be buffered.
    Broken,
    /// The receiver takes no more bytes.
    Refused,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Both sides sent their FIN, or one did and the configuration says that this is enough.
    Whole,
    /// A connection broke. [`Tunnel::pass`] has armed the resets that show it.
    Cut,
}

impl<N: Net> Tunnel<N> {
    /// A tunnel that holds only the bytes its directions begin with.
    pub fn new(
        up: Direction<N>,
        down: Direction<N>,
        room: usize,
        half_close: HalfClose,
        now: Time,
    ) -> Tunnel<N> {
        Tunnel { up, down, room, half_close, since: now }
    }

    /// Tries each direction once. Returns whether anything moved.
    ///
    /// # Errors
    /// The tunnel is over, and both sockets must be closed.
    pub fn pass(
        &mut self,
        client: &mut Socket<N>,
        server: &mut Socket<N>,
        io: &mut Io<N>,
    ) -> Result<bool, Closed> {
        let up = self.up.pass(client, server, self.room, io);
        let down = self.down.pass(server, client, self.room, io);
        if up || down {
            self.since = io.now;
        }
        match self.closed() {
            Some(closed) => {
                if closed == Closed::Cut {
                    self.cut(client, server);
                }
                Err(closed)
            }
            None => Ok(up || down),
        }
    }

    /// Arms a reset for each side that was not sent a FIN: a part must not look like the whole.
    /// Call it before closing the sockets.
    pub fn cut(&self, client: &mut Socket<N>, server: &mut Socket<N>) {
        if self.up.end != End::Told {
            server.reset_on_close();
        }
        if self.down.end != End::Told {
            client.reset_on_close();
        }
    }

    fn closed(&self) -> Option<Closed> {
        let (up, down) = (self.up.end, self.down.end);
        if self.up.is_broken() || self.down.is_broken() || down == End::Refused {
            return Some(Closed::Cut);
        }
        match (up, down) {
            (End::Told, End::Told) => Some(Closed::Whole),
            // The server stopped reading, but its response up to its FIN was passed on.
            (End::Refused, End::Told) => Some(Closed::Cut),
            (End::Told, _) | (_, End::Told) if self.half_close == HalfClose::EndsBoth => {
                Some(Closed::Whole)
            }
            (End::Open | End::Seen | End::Told | End::Broken | End::Refused, _) => None,
        }
    }

    /// Returns all storage.
    pub fn release(&mut self, io: &mut Io<N>) {
        self.up.flow.release(io);
        self.down.flow.release(io);
    }
}

impl<N: Net> Direction<N> {
    /// A direction that begins with the bytes in `flow`, all received from the sender.
    pub fn new(flow: Flow<N>) -> Direction<N> {
        let received = flow.len() as u64;
        Direction::behind(flow, received)
    }

    /// A direction that begins with the bytes in `flow`, of which `received` came from the sender.
    pub fn behind(mut flow: Flow<N>, received: u64) -> Direction<N> {
        flow.accept_all();
        Direction { flow, rate: Rate::Buffered, end: End::Open, received, delivered: 0 }
    }

    /// Tries to read once and to write once. At most `room` bytes are buffered, besides those in a
    /// pipe. Returns whether anything moved.
    fn pass(
        &mut self,
        from: &mut Socket<N>,
        to: &mut Socket<N>,
        room: usize,
        io: &mut Io<N>,
    ) -> bool {
        let taken = self.take((from, to), room, io);
        let given = self.give(to, io);
        taken || given
    }

    fn take(
        &mut self,
        (from, to): (&mut Socket<N>, &Socket<N>),
        room: usize,
        io: &mut Io<N>,
    ) -> bool {
        let full = self.flow.len() >= room || self.flow.is_piping();
        if self.end != End::Open || !from.is_readable() || full {
            return false;
        }
        let spliced = match self.rate {
            Rate::Bulk if self.flow.is_empty() => self.flow.splice((from, to), u64::MAX, io),
            Rate::Bulk | Rate::Buffered => None,
        };
        let moved = spliced.unwrap_or_else(|| self.read(from, room, io));
        match moved {
            Moved::Bytes(count) => self.received += count as u64,
            // A reset is reported only once: an event may have reported it before this read.
            Moved::End if !from.is_broken() => self.end = End::Seen,
            Moved::End | Moved::Failed(_) => self.end = End::Broken,
            Moved::Wait => self.rate = Rate::Buffered,
        }
        !matches!(moved, Moved::Wait) || from.is_readable()
    }

    fn read(&mut self, from: &mut Socket<N>, room: usize, io: &mut Io<N>) -> Moved {
        let was_empty = self.flow.is_empty();
        let moved = self.flow.read(from, room, io);
        self.flow.accept_all();
        let bulk = was_empty && self.flow.is_full() && !self.flow.is_empty();
        self.rate = if bulk { Rate::Bulk } else { Rate::Buffered };
        moved
    }

    fn give(&mut self, to: &mut Socket<N>, io: &mut Io<N>) -> bool {
        let moved = match self.flow.is_piping() {
            true => self.flow.drain(to, io.now),
            false if self.flow.is_pending() => self.flow.write(to, [&[], &[]]),
            false => return self.tell(to),
        };
        match moved {
            Moved::Bytes(count) => {
                self.delivered += count as u64;
                let copied = count.min(self.flow.len());
                self.flow.consume(copied, &mut io.buffers);
                self.tell(to);
                true
            }
            Moved::Wait => false,
            Moved::End | Moved::Failed(_) => {
                self.flow.release(io);
                self.end = End::Refused;
                true
            }
        }
    }

    /// Passes on the FIN, once no bytes are left before it and there is room for what precedes it.
    fn tell(&mut self, to: &mut Socket<N>) -> bool {
        if self.end != End::Seen || self.flow.is_pending() {
            return false;
        }
        let is_told = to.finish_writing();
        if is_told {
            self.end = End::Told;
        }
        is_told
    }

    /// Whether the sender's connection broke and all its bytes were passed on.
    fn is_broken(&self) -> bool {
        self.end == End::Broken && !self.flow.is_pending()
    }
}
