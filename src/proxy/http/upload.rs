//! The request on its way to a server: the head, replayed bytes, then the rest of the body.
//!
//! Written bytes stay in the replay buffer for as long as they may be needed again.

use std::borrow::Cow;

use super::step::Step;
use crate::buffer::{Buffer, BufferPool};
use crate::http::chunked::Keep;
use crate::http::framing::{Body, Framing};
use crate::http::refusal::Refusal;
use crate::net::Net;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::time::Time;
use crate::transport::flow::Flow;
use crate::transport::io::Io;
use crate::transport::socket::{Moved, Socket};

/// The state of the request's direction.
pub struct Upload<N: Net> {
    /// The rest of the body, still to come from the client.
    body: Body,
    /// The bytes of the body, followed by what the client sent after it.
    flow: Flow<N>,
    /// The unsent rest of the head for the current server.
    head: Buffer,
    /// Bytes of the body that were written to any server.
    replay: Replay,
    /// How many of these were written to the current server.
    resent: usize,
    /// How much of the request is sent to servers.
    extent: Extent,
    /// The state of the current server's side.
    taker: Taker,
}

/// How much of the request is sent to servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// The head and the body.
    Whole,
    /// Only the head: an error page is requested. The rest of the body must not be mistaken for the
    /// next request.
    HeadOnly,
}

/// The state of the current server's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taker {
    /// It may take more.
    Listening(Got),
    /// Its connection broke. There may still be a response to read.
    Broken(Got),
}

/// How much of the request the current server has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// No byte.
    Nothing,
    /// Some bytes, possibly all.
    Bytes,
}

/// A bounded copy of the written bytes, for writing them to another server.
#[derive(Debug)]
enum Replay {
    /// Everything so far, while it is no longer than `limit`.
    Whole { bytes: Buffer, limit: usize },
    /// No complete copy: a request of which a byte was sent cannot be repeated.
    Lost,
}

impl Replay {
    fn record(&mut self, written: &[u8], pool: &mut BufferPool) {
        if !self.has_room(written.len(), pool) {
            return self.forget(pool);
        }
        if let Replay::Whole { bytes, .. } = self {
            pool.append(bytes, written);
        }
    }

    /// Whether so many more bytes can be kept.
    fn has_room(&self, more: usize, pool: &BufferPool) -> bool {
        match self {
            Replay::Whole { bytes, limit } => bytes.len() + more <= *limit && !pool.is_exhausted(),
            Replay::Lost => false,
        }
    }

    /// Drops the copy.
    fn forget(&mut self, pool: &mut BufferPool) {
        if let Replay::Whole { bytes, .. } = self {
            pool.clear(bytes);
        }
        *self = Replay::Lost;
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Replay::Whole { bytes, .. } => bytes.bytes(),
            Replay::Lost => &[],
        }
    }
}

impl<N: Net> Upload<N> {
    /// A request whose body has not been read; `input` is what the client sent after the head.
    pub fn new(body: Body, input: Buffer, now: Time) -> Upload<N> {
        Upload {
            body,
            flow: Flow::new(input, now),
            head: Buffer::default(),
            replay: Replay::Lost,
            resent: 0,
            extent: Extent::Whole,
            taker: Taker::Listening(Got::Nothing),
        }
    }

    /// Starts copying written bytes, up to `limit` of them.
    pub fn record(&mut self, limit: usize) {
        // A request that looks for a server again keeps what it has written.
        if !self.is_replayable() {
            self.replay = Replay::Whole { bytes: Buffer::default(), limit };
            self.resent = 0;
        }
    }

    /// Whether all bytes sent so far can be sent again.
    pub fn is_replayable(&self) -> bool {
        matches!(self.replay, Replay::Whole { .. })
    }

    /// The whole body in its framing, if all of it is read and kept.
    pub fn kept_body(&self) -> Option<&[u8]> {
        let is_whole = self.is_received() && self.flow.ready().is_empty();
        (is_whole && self.is_replayable()).then(|| self.replay.bytes())
    }

    /// Changes bytes of the kept body in place.
    pub fn change_body(&mut self, change: impl FnOnce(&mut [u8])) {
        if let Replay::Whole { bytes, .. } = &mut self.replay {
            change(bytes.bytes_mut());
        }
    }

    /// The whole body without its framing, if all of it is read and kept.
    pub fn text(&self, framing: Framing) -> Option<Cow<'_, [u8]>> {
        let bytes = self.kept_body()?;
        if framing != Framing::Chunked {
            return Some(Cow::Borrowed(bytes));
        }
        let mut copy = bytes.to_vec();
        let scan = Body::new(framing).scan(&mut copy, Keep::Data).ok()?;
        copy.truncate(scan.kept);
        Some(Cow::Owned(copy))
    }

    /// The state of the current server's side.
    pub fn taker(&self) -> Taker {
        self.taker
    }

    /// Whether the current server has received a byte.
    pub fn has_begun(&self) -> bool {
        matches!(self.taker, Taker::Listening(Got::Bytes) | Taker::Broken(Got::Bytes))
    }

    /// Whether the client has sent the whole body.
    pub fn is_received(&self) -> bool {
        self.body.is_done()
    }

    /// Whether bytes wait to be sent to the server.
    pub fn is_pending(&self) -> bool {
        !self.head.is_empty() || self.resent < self.replay.bytes().len() || self.flow.is_pending()
    }

    /// Whether the server has received the whole request.
    pub fn is_sent(&self) -> bool {
        (self.body.is_done() || self.extent == Extent::HeadOnly) && !self.is_pending()
    }

    /// Whether no more bytes will move to the server.
    pub fn is_over(&self) -> bool {
        matches!(self.taker, Taker::Broken(_)) || self.is_sent()
    }

    /// When bytes last moved.
    pub fn since(&self) -> Time {
        self.flow.since
    }

    /// A response has begun, so nothing will be repeated. Drops the copy once the current server
    /// has received all of it.
    pub fn stop_recording(&mut self, pool: &mut BufferPool) {
        if self.resent == self.replay.bytes().len() {
            self.replay.forget(pool);
            self.resent = 0;
        } else if let Replay::Whole { limit, .. } = &mut self.replay {
            *limit = 0;
        }
    }

    /// Starts again from the first byte, for another server, with the head written for it.
    pub fn rewind(&mut self, head: &[u8], pool: &mut BufferPool, now: Time) {
        pool.clear(&mut self.head);
        pool.append(&mut self.head, head);
        self.resent = 0;
        self.taker = Taker::Listening(Got::Nothing);
        self.flow.since = now;
    }

    /// Drops bytes of the body that no server took, so that they do not become the next request.
    pub fn skip_ready(&mut self, pool: &mut BufferPool) {
        self.flow.drop_ready(pool);
    }

    /// Takes out the flow, with what the client has sent so far.
    pub fn take_flow(&mut self, pool: &mut BufferPool, now: Time) -> Flow<N> {
        self.stop_recording(pool);
        std::mem::replace(&mut self.flow, Flow::new(Buffer::default(), now))
    }

    /// Returns all storage, except for the client's unused bytes, which are the result.
    pub fn release(&mut self, io: &mut Io<N>) -> Buffer {
        io.buffers.clear(&mut self.head);
        self.replay.forget(&mut io.buffers);
        self.flow.leave_pipe(io);
        self.flow.take_buffer()
    }

    /// Reads from a client whose FIN is pending. Returns whether it has left.
    pub fn look_for_end(&mut self, client: &mut Socket<N>, io: &mut Io<N>) -> bool {
        while self.flow.len() < RELAY_BUFFER {
            match self.flow.read(client, RELAY_BUFFER, io) {
                Moved::Bytes(_) => {}
                Moved::Wait => break,
                Moved::End | Moved::Failed(_) => return true,
            }
        }
        false
    }

    /// Moves the request to the server; the body may have up to `most` bytes.
    pub fn pump(
        &mut self,
        most: Option<u64>,
        client: &mut Socket<N>,
        server: &mut Socket<N>,
        attempts: &mut AttemptLog,
        io: &mut Io<N>,
    ) -> Step {
        if matches!(self.taker, Taker::Broken(_)) {
            return Step::Idle;
        }
        let mut moved = false;
        // Bytes of the body that have arrived are sent with the head, in one write.
        if self.extent == Extent::Whole && !self.body.is_done() {
            match self.take_body(most, (client, Some(server)), attempts, io) {
                Ok(taken) => moved = taken,
                Err(step) => return step,
            }
        }
        Step::of(self.write(server, attempts, io) || moved)
    }

    /// Reads the body, of which up to `most` bytes may come, before any server gets it: all of it,
    /// or as much as may be kept.
    pub fn read_ahead(
        &mut self,
        most: Option<u64>,
        client: &mut Socket<N>,
        attempts: &mut AttemptLog,
        io: &mut Io<N>,
    ) -> Step {
        let mut moved = false;
        loop {
            let ready = self.flow.ready().len();
            if !self.replay.has_room(ready, &io.buffers) {
                return Step::Collected;
            }
            self.replay.record(self.flow.ready(), &mut io.buffers);
            self.flow.consume(ready, &mut io.buffers);
            if self.body.is_done() {
                return Step::Collected;
            }
            match self.take_body(most, (client, None), attempts, io) {
                Ok(true) => moved = true,
                Ok(false) => return Step::of(moved),
                Err(step) => return step,
            }
            self.flow.since = io.now;
        }
    }

    /// Writes pending bytes. Returns whether anything moved.
    fn write(&mut self, server: &mut Socket<N>, attempts: &mut AttemptLog, io: &mut Io<N>) -> bool {
        if !self.is_pending() {
            return false;
        }
        let piping = self.flow.is_piping();
        let moved = match piping {
            true => self.flow.drain(server, io.now),
            false => {
                let replay = &self.replay.bytes()[self.resent..];
                self.flow.write(server, [self.head.bytes(), replay])
            }
        };
        match moved {
            Moved::Bytes(count) => {
                attempts.sent(count);
                self.taker = Taker::Listening(Got::Bytes);
                if !piping {
                    self.note_written(count, io);
                }
                true
            }
            Moved::Wait => false,
            Moved::End | Moved::Failed(_) => {
                // The server may have answered before it closed; a read will show.
                let (Taker::Listening(got) | Taker::Broken(got)) = self.taker;
                self.taker = Taker::Broken(got);
                self.flow.leave_pipe(io);
                true
            }
        }
    }

    fn note_written(&mut self, count: usize, io: &mut Io<N>) {
        self.flow.since = io.now;
        let of_head = count.min(self.head.len());
        self.head.consume(of_head);
        io.buffers.settle(&mut self.head);
        let again = (count - of_head).min(self.replay.bytes().len() - self.resent);
        self.resent += again;
        let fresh = count - of_head - again;
        if fresh > 0 {
            self.replay.record(&self.flow.ready()[..fresh], &mut io.buffers);
            self.resent = self.replay.bytes().len();
            self.flow.consume(fresh, &mut io.buffers);
        }
    }

    /// Reads more of the body if there is room, for the server if there is one yet. Returns whether
    /// anything moved.
    fn take_body(
        &mut self,
        most: Option<u64>,
        (client, server): (&mut Socket<N>, Option<&Socket<N>>),
        attempts: &mut AttemptLog,
        io: &mut Io<N>,
    ) -> Result<bool, Step> {
        if !self.flow.unread().is_empty() {
            let before = (self.flow.ready().len(), self.flow.len());
            self.scan_body(most, attempts)?;
            if before != (self.flow.ready().len(), self.flow.len()) || self.body.is_done() {
                return Ok(true);
            }
        }
        if self.flow.is_piping() {
            return Ok(false);
        }
        let expected = self.body.unread();
        let is_bulk = self.may_splice() && expected >= io.tuning.splice_from;
        let spliced = match server.filter(|_| is_bulk) {
            Some(server) => self.flow.splice((client, server), expected, io),
            None => {
                self.flow.leave_pipe(io);
                None
            }
        };
        match spliced {
            Some(Moved::Bytes(count)) => {
                self.body.pass_unread(count as u64);
                count_body(count as u64, most, attempts)?;
                return Ok(true);
            }
            Some(Moved::Wait) => return Ok(false),
            Some(Moved::End | Moved::Failed(_)) => return Err(Step::ClientGone),
            None => {}
        }
        if self.flow.len() >= RELAY_BUFFER || !client.is_readable() {
            return Ok(false);
        }
        match self.flow.read(client, RELAY_BUFFER, io) {
            Moved::Bytes(_) => {
                if !self.is_pending() {
                    self.flow.since = io.now;
                }
                Ok(true)
            }
            Moved::Wait => Ok(false),
            Moved::End | Moved::Failed(_) => Err(Step::ClientGone),
        }
    }

    /// Whether nothing must be sent first, and nothing must be copied.
    fn may_splice(&self) -> bool {
        self.flow.is_empty() && !self.is_pending() && !self.is_replayable()
    }

    /// Accepts the buffered bytes that belong to the body.
    fn scan_body(&mut self, most: Option<u64>, attempts: &mut AttemptLog) -> Result<(), Step> {
        let Ok(scan) = self.body.scan(self.flow.unread_mut(), Keep::Framing) else {
            return Err(Step::Refused(Refusal::BadChunks));
        };
        self.flow.accept(scan.kept, scan.consumed);
        count_body(scan.consumed as u64, most, attempts)
    }

    /// Drops the buffered bytes of a body that is not needed. If that was all of it, the client's
    /// connection can be kept. No server receives any of it from now on.
    pub fn discard(&mut self, io: &mut Io<N>) {
        self.flow.leave_pipe(io);
        self.replay.forget(&mut io.buffers);
        self.resent = 0;
        self.flow.drop_ready(&mut io.buffers);
        loop {
            let before = self.flow.len();
            let Ok(scan) = self.body.scan(self.flow.unread_mut(), Keep::Data) else {
                self.body = Body::UntilClose;
                break;
            };
            self.flow.skip(scan.consumed, &mut io.buffers);
            if self.flow.len() == before {
                break;
            }
        }
    }

    /// Sends no more of the body, because a request for an error page has none.
    pub fn divert(&mut self, io: &mut Io<N>) {
        self.discard(io);
        self.extent = Extent::HeadOnly;
    }
}

/// Counts bytes of the body, and refuses it if it is too long.
fn count_body(bytes: u64, most: Option<u64>, attempts: &mut AttemptLog) -> Result<(), Step> {
    attempts.body_received += bytes;
    if most.is_some_and(|most| attempts.body_received > most) {
        return Err(Step::Refused(Refusal::BodyTooLarge));
    }
    Ok(())
}

/// Bytes of a body that may be buffered in each direction.
pub const RELAY_BUFFER: usize = 16 << 10;
