//! The request on its way to a server: head, replayed bytes, body.
//!
//! What was written is kept in the replay buffer while it may have to be written again.

use std::io::IoSlice;

use crate::buffer::{Buffer, BufferPool};
use crate::http::chunked::Keep;
use crate::http::framing::Body;
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::http::request::Refusal;
use crate::proxy::http::step::Step;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::time::Time;
use crate::transport::io::Io;
use crate::transport::pipe::Piped;
use crate::transport::socket::{Moved, Socket};

/// The state of the request's direction.
pub struct Upload<N: Net> {
    /// What of the body is still to come from the client.
    pub body: Body,
    /// Bytes at the front of the client's input that are body and not yet written.
    pub ready: usize,
    /// Where bytes of a long body pass; empty while there are others in hand.
    pub piped: Option<Piped<N>>,
    /// What is left of the head for the current server.
    pub head: Buffer,
    /// Body bytes that were written to any server.
    pub replay: Replay,
    /// How many of these the current server has got again.
    pub resent: usize,
    /// Whether the current server has got any byte.
    pub sent: bool,
    /// Whether the body goes on to the server.
    pub taker: Taker,
    /// The last time that bytes moved.
    pub since: Time,
}

/// Who takes the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taker {
    /// The server of the current attempt.
    Server,
    /// Nobody any more: the connection broke. A response may still be there to be read.
    Broken,
    /// Nobody: a page is asked for in place of an error, and the rest of the body must not be
    /// taken for anything else.
    Unwanted,
}

/// A bounded copy of what was written, so that it can be written to another server.
#[derive(Debug)]
pub enum Replay {
    /// Everything so far.
    Whole {
        /// The bytes.
        bytes: Buffer,
        /// How many there may be.
        limit: usize,
    },
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
    pub fn forget(&mut self, pool: &mut BufferPool) {
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
    /// A request whose body has not been looked at.
    pub fn new(body: Body, now: Time) -> Upload<N> {
        Upload {
            body,
            ready: 0,
            piped: None,
            head: Buffer::default(),
            replay: Replay::Lost,
            resent: 0,
            sent: false,
            taker: Taker::Server,
            since: now,
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

    /// Whether bytes wait for the server to take them.
    pub fn is_pending(&self) -> bool {
        let copied =
            !self.head.is_empty() || self.resent < self.replay.bytes().len() || self.ready > 0;
        copied || self.is_piping()
    }

    /// Whether the server has to be given what is in the pipe before anything else.
    pub fn is_piping(&self) -> bool {
        self.piped.as_ref().is_some_and(|piped| piped.held() > 0)
    }

    /// Whether the server has got the whole request.
    pub fn is_sent(&self) -> bool {
        (self.body.is_done() || self.taker == Taker::Unwanted) && !self.is_pending()
    }

    /// Whether nothing more of it will move towards the server.
    pub fn is_over(&self) -> bool {
        self.taker == Taker::Broken || self.is_sent()
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

    /// Starts again from the first byte, for another server.
    pub fn rewind(&mut self, pool: &mut BufferPool, now: Time) {
        pool.clear(&mut self.head);
        self.resent = 0;
        self.sent = false;
        if self.taker == Taker::Broken {
            self.taker = Taker::Server;
        }
        self.since = now;
    }

    /// Gives all storage back.
    pub fn release(&mut self, io: &mut Io<N>) {
        io.buffers.clear(&mut self.head);
        self.replay.forget(&mut io.buffers);
        self.drop_pipe(io);
    }

    /// Gives the pipe back; what is in it reaches nobody.
    pub fn drop_pipe(&mut self, io: &mut Io<N>) {
        if let Some(piped) = self.piped.take() {
            io.pipes.give(piped);
        }
    }
}

impl<N: Net> Upload<N> {
    /// Moves the request towards the server, with a body of no more than `most` bytes.
    pub fn pump(
        &mut self,
        most: Option<u64>,
        client: &mut Client<N>,
        server: &mut Socket<N>,
        attempts: &mut AttemptLog,
        io: &mut Io<N>,
    ) -> Step {
        if self.taker == Taker::Broken {
            return Step::Idle;
        }
        let mut moved = false;
        // What has come of the body leaves with the head, in one write.
        if !self.body.is_done() && self.taker == Taker::Server {
            match self.take_body(most, client, attempts, io) {
                Ok(taken) => moved = taken,
                Err(step) => return step,
            }
        }
        Step::of(self.write(client, server, attempts, io) || moved)
    }

    /// Writes what is in hand. Whether anything moved.
    fn write(
        &mut self,
        client: &mut Client<N>,
        server: &mut Socket<N>,
        attempts: &mut AttemptLog,
        io: &mut Io<N>,
    ) -> bool {
        if !self.is_pending() {
            return false;
        }
        if self.is_piping() {
            return self.send_bulk(server, attempts, io);
        }
        let head = self.head.bytes();
        let replay = &self.replay.bytes()[self.resent..];
        let body = &client.input.bytes()[..self.ready];
        let moved = match (head, replay, body) {
            (head, [], []) => server.write(&[IoSlice::new(head)]),
            ([], [], body) => server.write(&[IoSlice::new(body)]),
            (head, replay, body) => {
                server.write(&[IoSlice::new(head), IoSlice::new(replay), IoSlice::new(body)])
            }
        };
        match moved {
            Moved::Bytes(count) => {
                self.note_written(count, client, attempts, io);
                true
            }
            Moved::Wait => false,
            Moved::End | Moved::Failed(_) => {
                // The server may have answered before it closed: reading tells.
                self.taker = Taker::Broken;
                true
            }
        }
    }

    fn note_written(
        &mut self,
        count: usize,
        client: &mut Client<N>,
        attempts: &mut AttemptLog,
        io: &mut Io<N>,
    ) {
        self.sent = true;
        self.since = io.now;
        attempts.sent(count);
        let of_head = count.min(self.head.len());
        self.head.consume(of_head);
        io.buffers.settle(&mut self.head);
        let again = (count - of_head).min(self.replay.bytes().len() - self.resent);
        self.resent += again;
        let fresh = count - of_head - again;
        if fresh > 0 {
            self.replay.record(&client.input.bytes()[..fresh], &mut io.buffers);
            self.resent = self.replay.bytes().len();
            self.ready -= fresh;
            client.input.consume(fresh);
            io.buffers.settle(&mut client.input);
        }
    }

    /// Reads more of the body if there is room for it. Whether anything moved.
    fn take_body(
        &mut self,
        most: Option<u64>,
        client: &mut Client<N>,
        attempts: &mut AttemptLog,
        io: &mut Io<N>,
    ) -> Result<bool, Step> {
        if client.input.len() > self.ready {
            let before = (self.ready, client.input.len());
            self.scan_body(most, client, attempts)?;
            if before != (self.ready, client.input.len()) || self.body.is_done() {
                return Ok(true);
            }
        }
        if let Some(moved) = self.take_bulk(most, client, attempts, io)? {
            return Ok(moved);
        }
        if client.input.len() >= RELAY_BUFFER || !client.socket.is_readable() {
            return Ok(false);
        }
        io.buffers.make_room(&mut client.input, RELAY_BUFFER);
        match client.socket.read(client.input.room()) {
            Moved::Bytes(count) => {
                client.input.filled(count);
                if !self.is_pending() {
                    self.since = io.now;
                }
                Ok(true)
            }
            Moved::Wait => {
                io.buffers.settle(&mut client.input);
                Ok(false)
            }
            Moved::End | Moved::Failed(_) => Err(Step::ClientGone),
        }
    }

    /// Finds out which of the bytes in hand belong to the body.
    fn scan_body(
        &mut self,
        most: Option<u64>,
        client: &mut Client<N>,
        attempts: &mut AttemptLog,
    ) -> Result<(), Step> {
        let bytes = &mut client.input.bytes_mut()[self.ready..];
        let Ok(scan) = self.body.scan(bytes, Keep::Framing) else {
            let why = "The body is not made of chunks.";
            return Err(Step::Refused(Refusal { status: 400, why }));
        };
        client.input.cut(self.ready + scan.kept, self.ready + scan.consumed);
        self.ready += scan.kept;
        count_body(scan.consumed as u64, most, attempts)
    }

    /// Drops what is in hand of a body that is not wanted any more, so that the client's connection
    /// can be kept if that was all. No server gets any of it from now on.
    pub fn discard(&mut self, client: &mut Client<N>, io: &mut Io<N>) {
        self.drop_pipe(io);
        self.replay.forget(&mut io.buffers);
        self.resent = 0;
        loop {
            client.input.consume(self.ready);
            self.ready = 0;
            let before = client.input.len();
            let Ok(scan) = self.body.scan(client.input.bytes_mut(), Keep::Data) else {
                self.body = Body::UntilClose;
                break;
            };
            client.input.consume(scan.consumed);
            if scan.consumed == 0 || client.input.len() == before {
                break;
            }
        }
        io.buffers.settle(&mut client.input);
    }
}

/// Counts bytes of the body, which may turn out to be too long.
pub(in crate::proxy) fn count_body(
    bytes: u64,
    most: Option<u64>,
    attempts: &mut AttemptLog,
) -> Result<(), Step> {
    attempts.body_received += bytes;
    if most.is_some_and(|most| attempts.body_received > most) {
        let why = "The body is larger than allowed.";
        return Err(Step::Refused(Refusal { status: 413, why }));
    }
    Ok(())
}

/// Bytes of a body that may be in hand at one time, in each direction.
pub const RELAY_BUFFER: usize = 16 << 10;
