//! Bytes in one direction: copied through a buffer, or moved through a pipe.
//!
//! The bytes at the front of the buffer are ready to be sent. Those after them are unread: the
//! protocol has not examined them yet. Examining takes a buffer, so nothing is spliced while the
//! buffer holds bytes.

use std::io::{IoSlice, Write as _};

use super::io::Io;
use super::pipe::Piped;
use super::socket::{Moved, Socket};
use crate::buffer::{Buffer, BufferPool};
use crate::net::Net;
use crate::time::Time;

/// Bytes between a sender and a receiver.
pub struct Flow<N: Net> {
    buffer: Buffer,
    /// How many bytes at the buffer's front are ready.
    ready: usize,
    /// A pipe, used only while the buffer is empty.
    piped: Option<Piped<N>>,
    /// When bytes last moved.
    pub since: Time,
}

impl<N: Net> Flow<N> {
    /// A flow whose buffer holds unread bytes.
    pub fn new(buffer: Buffer, now: Time) -> Flow<N> {
        Flow { buffer, ready: 0, piped: None, since: now }
    }

    /// The bytes that are ready to be sent.
    pub fn ready(&self) -> &[u8] {
        &self.buffer.bytes()[..self.ready]
    }

    /// The bytes that have not been examined.
    pub fn unread(&self) -> &[u8] {
        &self.buffer.bytes()[self.ready..]
    }

    /// The unread bytes, to be changed in place.
    pub fn unread_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.bytes_mut()[self.ready..]
    }

    /// How many bytes the buffer holds.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the buffer holds no byte.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Whether the last read filled the buffer: there may be more to read.
    pub fn is_full(&self) -> bool {
        self.buffer.free() == 0
    }

    /// Whether bytes wait to be sent.
    pub fn is_pending(&self) -> bool {
        self.ready > 0 || self.is_piping()
    }

    /// Whether the pipe holds bytes, which are sent before any others.
    pub fn is_piping(&self) -> bool {
        self.piped.as_ref().is_some_and(|piped| piped.held() > 0)
    }

    /// Of the first `consumed` unread bytes, makes the first `kept` ready and drops the others.
    pub fn accept(&mut self, kept: usize, consumed: usize) {
        self.buffer.cut(self.ready + kept, self.ready + consumed);
        self.ready += kept;
    }

    /// Makes everything in the buffer ready.
    pub fn accept_all(&mut self) {
        self.ready = self.buffer.len();
    }

    /// Adds ready bytes at the end.
    pub fn append(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        pool.append(&mut self.buffer, bytes);
        self.accept_all();
    }

    /// Adds ready bytes in a chunk of their own. RFC 9112, section 7.1.
    pub fn append_chunk(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        let mut line = [0; 20];
        let mut rest = &mut line[..];
        // 16 digits fit any count.
        let _ = write!(rest, "{:x}\r\n", bytes.len());
        let length = 20 - rest.len();
        for part in [&line[..length], bytes, b"\r\n"] {
            self.append(part, pool);
        }
    }

    /// Puts our own bytes before everything in the buffer, and makes all of it ready.
    pub fn prepend(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        let mut all = Buffer::default();
        pool.append(&mut all, bytes);
        pool.append(&mut all, self.buffer.bytes());
        pool.clear(&mut self.buffer);
        self.buffer = all;
        self.accept_all();
    }

    /// Drops the unread bytes, and frees the storage if nothing is left.
    pub fn drop_unread(&mut self, pool: &mut BufferPool) {
        self.buffer.truncate(self.ready);
        pool.settle(&mut self.buffer);
    }

    /// Drops the first `count` unread bytes. No bytes may be ready.
    pub fn skip(&mut self, count: usize, pool: &mut BufferPool) {
        assert!(self.ready == 0, "bytes that may go on would be dropped");
        self.buffer.consume(count);
        pool.settle(&mut self.buffer);
    }

    /// Drops the ready bytes.
    pub fn drop_ready(&mut self, pool: &mut BufferPool) {
        let ready = std::mem::take(&mut self.ready);
        self.skip(ready, pool);
    }

    /// Reads once into the buffer, which gets storage for `capacity` bytes.
    pub fn read(&mut self, from: &mut Socket<N>, capacity: usize, io: &mut Io<N>) -> Moved {
        let capacity = capacity.max(self.buffer.len() + 1);
        io.buffers.make_room(&mut self.buffer, capacity);
        let moved = from.read(self.buffer.room());
        match moved {
            Moved::Bytes(count) => self.buffer.filled(count),
            Moved::Wait | Moved::End | Moved::Failed(_) => io.buffers.settle(&mut self.buffer),
        }
        moved
    }

    /// Moves up to `most` bytes, which need no examining, into a pipe. Call it only while the
    /// buffer is empty. `None` if they must be read instead.
    pub fn splice(
        &mut self,
        (from, to): (&mut Socket<N>, &Socket<N>),
        most: u64,
        io: &mut Io<N>,
    ) -> Option<Moved> {
        if !from.can_splice() || !to.can_splice() {
            return None;
        }
        if self.piped.is_none() {
            self.piped = io.pipes.take(&mut io.net);
        }
        let moved = self.piped.as_mut()?.fill(from, most);
        if let Moved::Bytes(_) = moved {
            self.since = io.now;
            return Some(moved);
        }
        self.leave_pipe(io);
        // The pipe took nothing although bytes are there: only a read makes progress.
        match moved {
            Moved::Wait if from.is_readable() => None,
            Moved::Wait | Moved::End | Moved::Failed(_) | Moved::Bytes(_) => Some(moved),
        }
    }

    /// Writes `ahead`, then the ready bytes. [`Flow::consume`] must be told how many were written.
    pub fn write(&self, to: &mut Socket<N>, ahead: [&[u8]; 2]) -> Moved {
        let mut slices = [IoSlice::new(&[]); 3];
        let mut count = 0;
        for part in ahead.into_iter().chain([self.ready()]).filter(|part| !part.is_empty()) {
            slices[count] = IoSlice::new(part);
            count += 1;
        }
        to.write(&slices[..count])
    }

    /// Writes what the pipe holds.
    pub fn drain(&mut self, to: &mut Socket<N>, now: Time) -> Moved {
        let Some(piped) = &mut self.piped else { return Moved::Wait };
        let moved = piped.drain(to);
        if let Moved::Bytes(_) = moved {
            self.since = now;
        }
        moved
    }

    /// Removes `count` ready bytes that were written.
    pub fn consume(&mut self, count: usize, pool: &mut BufferPool) {
        self.ready -= count;
        self.buffer.consume(count);
        pool.settle(&mut self.buffer);
    }

    /// Returns the pipe; bytes in it are lost.
    pub fn leave_pipe(&mut self, io: &mut Io<N>) {
        if let Some(piped) = self.piped.take() {
            io.pipes.give(piped);
        }
    }

    /// Takes out the buffer with everything in it.
    pub fn take_buffer(&mut self) -> Buffer {
        self.ready = 0;
        std::mem::take(&mut self.buffer)
    }

    /// Puts back the rest of a buffer that was taken out, as unread bytes.
    pub fn put_back(&mut self, buffer: Buffer) {
        self.buffer = buffer;
    }

    /// Returns all storage.
    pub fn release(&mut self, io: &mut Io<N>) {
        self.ready = 0;
        io.buffers.clear(&mut self.buffer);
        self.leave_pipe(io);
    }
}
