//! The request on its way to a server: head, replayed bytes, body.
//!
//! What was written is kept in the replay buffer while it may have to be written again.

use super::step::Step;
use crate::buffer::{Buffer, BufferPool};
use crate::http::chunked::Keep;
use crate::http::framing::Body;
use crate::http::refusal::Refusal;
use crate::net::Net;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::time::Time;
use crate::transport::flow::Flow;
use crate::transport::io::Io;
use crate::transport::socket::{Moved, Socket};

/// The state of the request's direction.
pub struct Upload<N: Net> {
    /// What of the body is still to come from the client.
    body: Body,
    /// The body's bytes, and behind them what the client has sent after it.
    flow: Flow<N>,
    /// What is left of the head for the current server.
    head: Buffer,
    /// Body bytes that were written to any server.
    replay: Replay,
    /// How many of these the current server has got again.
    resent: usize,
    /// What goes to servers.
    extent: Extent,
    /// How the server of the current attempt takes it.
    taker: Taker,
}

/// What goes to servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// The head and the body.
    Whole,
    /// The head alone: a page is asked for in place of an error. The rest of the body must not be
    /// taken for anything else.
    HeadOnly,
}

/// How the server of the current attempt takes the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taker {
    /// It may take more.
    Listening(Got),
    /// Its connection broke. A response may still be there to be read.
    Broken(Got),
}

/// What the current server has got of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// No byte.
    Nothing,
    /// Some bytes, perhaps all.
    Bytes,
}

/// A bounded copy of what was written, so that it can be written to another server.
#[derive(Debug)]
enum Replay {
    /// Everything so far, while it is no longer than `limit`.
    Whole { bytes: Buffer, limit: usize },
    /// Not everything any more, or never wanted: nothing can be repeated once a byte is gone.
    Lost,
}

impl Replay {
    fn record(&mut self, written: &[u8], pool: &mut BufferPool) {
        let Replay::Whole { bytes, limit } = self else { return };
        if bytes.len() + written.len() <= *limit && !pool.is_exhausted() {
            pool.append(bytes, written);
        } else {
            self.forget(pool);
        }
    }

    /// Gives up what is kept.
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
    /// A request whose body has not been looked at; `input` is what the client sent behind the head.
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

    /// Keeps what is written from now on, up to so many bytes.
    pub fn record(&mut self, limit: usize, pool: &mut BufferPool) {
        self.replay.forget(pool);
        self.replay = Replay::Whole { bytes: Buffer::default(), limit };
        self.resent = 0;
    }

    /// Whether all that was sent before can be sent again.
    pub fn is_replayable(&self) -> bool {
        matches!(self.replay, Replay::Whole { .. })
    }

    /// How the server of the current attempt takes it.
    pub fn taker(&self) -> Taker {
        self.taker
    }

    /// Whether the current server has got a byte.
    pub fn has_begun(&self) -> bool {
        matches!(self.taker, Taker::Listening(Got::Bytes) | Taker::Broken(Got::Bytes))
    }

    /// Whether the client has sent the whole body.
    pub fn is_received(&self) -> bool {
        self.body.is_done()
    }

    /// Whether bytes wait for the server to take them.
    pub fn is_pending(&self) -> bool {
        !self.head.is_empty() || self.resent < self.replay.bytes().len() || self.flow.is_pending()
    }

    /// Whether the server has got the whole request.
    pub fn is_sent(&self) -> bool {
        (self.body.is_done() || self.extent == Extent::HeadOnly) && !self.is_pending()
    }

    /// Whether nothing more of it will move towards the server.
    pub fn is_over(&self) -> bool {
        matches!(self.taker, Taker::Broken(_)) || self.is_sent()
    }

    /// The last time that bytes moved.
    pub fn since(&self) -> Time {
        self.flow.since
    }

    /// A response has begun: nothing is repeated from now on. The copy goes once the current
    /// server has got all of it.
    pub fn stop_recording(&mut self, pool: &mut BufferPool) {
        if self.resent == self.replay.bytes().len() {
            self.replay.forget(pool);
            self.resent = 0;
        } else if let Replay::Whole { limit, .. } = &mut self.replay {
            *limit = 0;
        }
    }

    /// Starts again from the first byte, for another server that is sent this head.
    pub fn rewind(&mut self, head: &[u8], pool: &mut BufferPool, now: Time) {
        pool.clear(&mut self.head);
        pool.append(&mut self.head, head);
        self.resent = 0;
        self.taker = Taker::Listening(Got::Nothing);
        self.flow.since = now;
    }

    /// Drops the body bytes that no server wanted, so that they do not become the next request.
    pub fn skip_ready(&mut self, pool: &mut BufferPool) {
        self.flow.drop_ready(pool);
    }

    /// The flow, with what the client has sent so far.
    pub fn take_flow(&mut self, pool: &mut BufferPool, now: Time) -> Flow<N> {
        self.stop_recording(pool);
        std::mem::replace(&mut self.flow, Flow::new(Buffer::default(), now))
    }

    /// Gives all storage back, but for what the client has sent, which is returned.
    pub fn release(&mut self, io: &mut Io<N>) -> Buffer {
        io.buffers.clear(&mut self.head);
        self.replay.forget(&mut io.buffers);
        self.flow.leave_pipe(io);
        self.flow.take_buffer()
    }

    /// Reads what has come from a client that is said to have left: whether it has.
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

    /// Moves the request towards the server, with a body of no more than `most` bytes.
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
        // What has come of the body leaves with the head, in one write.
        if self.extent == Extent::Whole && !self.body.is_done() {
            match self.take_body(most, client, attempts, io) {
                Ok(taken) => moved = taken,
                Err(step) => return step,
            }
        }
        Step::of(self.write(server, attempts, io) || moved)
    }

    /// Writes what is in hand. Whether anything moved.
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
                // The server may have answered before it closed: reading tells.
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

    /// Reads more of the body if there is room for it. Whether anything moved.
    fn take_body(
        &mut self,
        most: Option<u64>,
        client: &mut Socket<N>,
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
        let spliced = match self.may_splice() && expected >= io.tuning.splice_from {
            true => self.flow.splice(client, expected, io),
            false => {
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

    /// Whether nothing is in hand that goes first, and nothing has to be kept.
    fn may_splice(&self) -> bool {
        self.flow.is_empty() && !self.is_pending() && !self.is_replayable()
    }

    /// Finds out which of the bytes in hand belong to the body.
    fn scan_body(&mut self, most: Option<u64>, attempts: &mut AttemptLog) -> Result<(), Step> {
        let Ok(scan) = self.body.scan(self.flow.unread_mut(), Keep::Framing) else {
            return Err(Step::Refused(Refusal::BadChunks));
        };
        self.flow.accept(scan.kept, scan.consumed);
        count_body(scan.consumed as u64, most, attempts)
    }

    /// Drops what is in hand of a body that is not wanted any more, so that the client's connection
    /// can be kept if that was all. No server gets any of it from now on.
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

    /// The rest of the body goes nowhere: a page is asked for, which gets none.
    pub fn divert(&mut self, io: &mut Io<N>) {
        self.discard(io);
        self.extent = Extent::HeadOnly;
    }
}

/// Counts bytes of the body, which may turn out to be too long.
fn count_body(bytes: u64, most: Option<u64>, attempts: &mut AttemptLog) -> Result<(), Step> {
    attempts.body_received += bytes;
    if most.is_some_and(|most| attempts.body_received > most) {
        return Err(Step::Refused(Refusal::BodyTooLarge));
    }
    Ok(())
}

/// Bytes of a body that may be in hand at one time, in each direction.
pub const RELAY_BUFFER: usize = 16 << 10;
