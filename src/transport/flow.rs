//! One direction of a tunnel: bytes that pass unread, and the end that follows them.
//!
//! Small amounts are copied through a buffer. A direction that fills its buffer with one read
//! continues through a pipe until its sender pauses.

use std::io::IoSlice;

use super::io::Io;
use super::pipe::Piped;
use super::socket::{Moved, Socket};
use crate::buffer::{Buffer, BufferPool};
use crate::net::Net;

/// One direction.
pub struct Flow<N: Net> {
    /// Bytes received and not yet delivered. They go before those in the pipe.
    buffer: Buffer,
    way: Way<N>,
    end: End,
    /// Bytes received from the sender.
    pub received: u64,
    /// Bytes delivered to the receiver.
    pub delivered: u64,
}

/// How bytes are moved.
enum Way<N: Net> {
    /// Through the buffer.
    Copied,
    /// Through the buffer, but the last read filled it.
    Bulk,
    /// Through a pipe.
    Spliced(Piped<N>),
}

/// How far the end of a direction has progressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The sender may send more.
    Open,
    /// The sender has finished; some bytes may be undelivered.
    Seen,
    /// The end has been passed on to the receiver.
    Told,
    /// The sender's connection broke; some bytes may be undelivered.
    Broken,
    /// The receiver accepts no more bytes.
    Refused,
}

impl<N: Net> Flow<N> {
    /// A direction that delivers `first` before everything else; these bytes count as received.
    pub fn beginning_with(first: Buffer) -> Flow<N> {
        Flow {
            received: first.len() as u64,
            buffer: first,
            way: Way::Copied,
            end: End::Open,
            delivered: 0,
        }
    }

    /// Inserts our own bytes before everything undelivered. They do not count as received.
    pub fn prepend(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        let mut all = Buffer::default();
        pool.append(&mut all, bytes);
        pool.append(&mut all, self.buffer.bytes());
        pool.clear(&mut self.buffer);
        self.buffer = all;
    }

    /// Tries to read once and to write once, with at most `room` undelivered bytes outside the
    /// pipe. Returns whether anything moved.
    pub fn pass(
        &mut self,
        from: &mut Socket<N>,
        to: &mut Socket<N>,
        room: usize,
        io: &mut Io<N>,
    ) -> bool {
        let taken = self.take(from, room, io);
        let given = self.give(to, io);
        taken || given
    }

    fn take(&mut self, from: &mut Socket<N>, room: usize, io: &mut Io<N>) -> bool {
        if self.end != End::Open || !from.is_readable() || self.buffer.len() >= room {
            return false;
        }
        if matches!(self.way, Way::Bulk) && self.buffer.is_empty() {
            let pipe = io.pipes.take(&mut io.net);
            self.way = pipe.map_or(Way::Copied, Way::Spliced);
        }
        let moved = match &mut self.way {
            Way::Spliced(piped) if piped.held() > 0 => return false,
            Way::Spliced(piped) => piped.fill(from, u64::MAX),
            Way::Copied | Way::Bulk => {
                let was_empty = self.buffer.is_empty();
                io.buffers.make_room(&mut self.buffer, room);
                let moved = from.read(self.buffer.room());
                if let Moved::Bytes(count) = moved {
                    self.buffer.filled(count);
                    let full = was_empty && self.buffer.free() == 0;
                    self.way = if full { Way::Bulk } else { Way::Copied };
                }
                io.buffers.settle(&mut self.buffer);
                moved
            }
        };
        match moved {
            Moved::Bytes(count) => self.received += count as u64,
            // A reset is reported only once, and an event may have reported it before this read.
            Moved::End if !from.is_broken() => self.end = End::Seen,
            Moved::End | Moved::Failed(_) => self.end = End::Broken,
            Moved::Wait => {}
        }
        if !matches!(moved, Moved::Bytes(_)) {
            self.leave_pipe(io);
        }
        !matches!(moved, Moved::Wait) || from.is_readable()
    }

    fn give(&mut self, to: &mut Socket<N>, io: &mut Io<N>) -> bool {
        let moved = match &mut self.way {
            _ if !self.buffer.is_empty() => to.write(&[IoSlice::new(self.buffer.bytes())]),
            Way::Spliced(piped) if piped.held() > 0 => piped.drain(to),
            Way::Spliced(_) | Way::Copied | Way::Bulk => return self.tell(to),
        };
        match moved {
            Moved::Bytes(count) => {
                self.delivered += count as u64;
                self.buffer.consume(count.min(self.buffer.len()));
                io.buffers.settle(&mut self.buffer);
                self.tell(to);
                true
            }
            Moved::Wait => false,
            Moved::End | Moved::Failed(_) => {
                self.release(io);
                self.end = End::Refused;
                true
            }
        }
    }

    /// Passes the end on once no undelivered bytes precede it.
    fn tell(&mut self, to: &mut Socket<N>) -> bool {
        if self.end != End::Seen || self.is_pending() {
            return false;
        }
        to.finish_writing();
        self.end = End::Told;
        true
    }

    /// How far its end has progressed; ask once nothing moves any more.
    pub fn end(&self) -> End {
        self.end
    }

    /// Whether any bytes are undelivered.
    pub fn is_pending(&self) -> bool {
        let piped = matches!(&self.way, Way::Spliced(piped) if piped.held() > 0);
        piped || !self.buffer.is_empty()
    }

    /// Returns all storage.
    pub fn release(&mut self, io: &mut Io<N>) {
        io.buffers.clear(&mut self.buffer);
        self.leave_pipe(io);
    }

    fn leave_pipe(&mut self, io: &mut Io<N>) {
        if let Way::Spliced(piped) = std::mem::replace(&mut self.way, Way::Copied) {
            io.pipes.give(piped);
        }
    }
}
