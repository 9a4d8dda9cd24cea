//! One direction of a tunnel: bytes that pass unread, and the end behind them.

use std::io::IoSlice;

use super::socket::{Moved, Socket};
use crate::buffer::{Buffer, BufferPool};
use crate::net::Net;

/// One direction.
#[derive(Debug, Default)]
pub struct Flow {
    /// Bytes that came and have not gone on.
    buffer: Buffer,
    end: End,
    /// Bytes that came from the sender.
    pub received: u64,
    /// Bytes that the receiver took.
    pub delivered: u64,
}

/// How far the end of a direction has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Its sender goes on.
    #[default]
    Open,
    /// Its sender has finished; bytes may still be in hand.
    Seen,
    /// Its receiver has been told.
    Told,
    /// Its sender's connection broke; bytes may still be in hand.
    Broken,
    /// Its receiver takes nothing any more.
    Refused,
}

impl Flow {
    /// A direction in which `first` goes before everything else; its bytes count as received.
    pub fn beginning_with(first: Buffer) -> Flow {
        Flow { received: first.len() as u64, buffer: first, ..Flow::default() }
    }

    /// Puts bytes of our own before everything that has not gone on. They are not counted as
    /// received.
    pub fn prepend(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        let mut all = Buffer::default();
        pool.append(&mut all, bytes);
        pool.append(&mut all, self.buffer.bytes());
        pool.clear(&mut self.buffer);
        self.buffer = all;
    }

    /// Tries to read once and to write once; no more than `room` bytes are in hand at a time.
    /// Whether anything moved.
    pub fn pass<N: Net>(
        &mut self,
        from: &mut Socket<N>,
        to: &mut Socket<N>,
        room: usize,
        pool: &mut BufferPool,
    ) -> bool {
        let taken = self.take(from, room, pool);
        let given = self.give(to, pool);
        taken || given
    }

    fn take<N: Net>(&mut self, from: &mut Socket<N>, room: usize, pool: &mut BufferPool) -> bool {
        if self.end != End::Open || !from.is_readable() || self.buffer.len() >= room {
            return false;
        }
        pool.make_room(&mut self.buffer, room);
        match from.read(self.buffer.room()) {
            Moved::Bytes(count) => {
                self.buffer.filled(count);
                self.received += count as u64;
            }
            Moved::End => self.end = End::Seen,
            Moved::Failed(_) => self.end = End::Broken,
            Moved::Wait => {
                pool.settle(&mut self.buffer);
                return false;
            }
        }
        pool.settle(&mut self.buffer);
        true
    }

    fn give<N: Net>(&mut self, to: &mut Socket<N>, pool: &mut BufferPool) -> bool {
        if self.buffer.is_empty() {
            return self.tell(to);
        }
        match to.write(&[IoSlice::new(self.buffer.bytes())]) {
            Moved::Bytes(count) => {
                self.buffer.consume(count);
                self.delivered += count as u64;
                pool.settle(&mut self.buffer);
                self.tell(to);
                true
            }
            Moved::Wait => false,
            Moved::End | Moved::Failed(_) => {
                pool.clear(&mut self.buffer);
                self.end = End::Refused;
                true
            }
        }
    }

    /// Passes on the end, once nothing is in front of it.
    fn tell<N: Net>(&mut self, to: &mut Socket<N>) -> bool {
        if self.end != End::Seen || !self.buffer.is_empty() {
            return false;
        }
        to.finish_writing();
        self.end = End::Told;
        true
    }

    /// How far its end has come, for who asks once nothing moves any more.
    pub fn end(&self) -> End {
        self.end
    }

    /// Whether bytes wait for the receiver to take them.
    pub fn is_pending(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Gives all storage back.
    pub fn release(&mut self, pool: &mut BufferPool) {
        pool.clear(&mut self.buffer);
    }
}
