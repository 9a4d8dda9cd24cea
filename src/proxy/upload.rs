//! The request on its way to a server: head, replayed bytes, body.
//!
//! What was written is kept in the replay buffer while it may have to be written again.

use std::io::IoSlice;

use super::client::Client;
use super::context::Context;
use super::exchange::{Exchange, Link};
use super::request::Refusal;
use super::stop::{Ending, Stop};
use crate::buffer::{Buffer, BufferPool};
use crate::http::chunked::Keep;
use crate::http::framing::Body;
use crate::net::Net;
use crate::planted::{self, Bug};
use crate::time::Time;
use crate::transport::io::Io;
use crate::transport::pipe::Piped;
use crate::transport::socket::Moved;
use crate::upstream::retry::Failure;

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
        } else if !planted::is(Bug::ReplayOverflowUnnoticed) {
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
        if !planted::is(Bug::ReplayNotRewound) {
            self.resent = 0;
        }
        self.sent = false;
        if self.taker == Taker::Broken {
            self.taker = Taker::Server;
        }
        self.since = now;
    }

    /// Gives all storage back.
    pub fn release(&mut self, io: &mut Io<N>) {
        io.buffers.clear(&mut self.head);
        if !planted::is(Bug::BufferNotReturned) {
            self.replay.forget(&mut io.buffers);
        }
        self.drop_pipe(io);
    }

    /// Gives the pipe back; what is in it reaches nobody.
    pub fn drop_pipe(&mut self, io: &mut Io<N>) {
        if let Some(piped) = self.piped.take() {
            io.pipes.give(piped);
        }
    }
}

impl<N: Net> Exchange<N> {
    /// Moves the request towards the server. Whether anything moved.
    pub(super) fn send(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Stop> {
        match self.link {
            Link::Open { .. } if self.upload.taker != Taker::Broken => {}
            Link::Open { .. } | Link::Connecting { .. } | Link::None => return Ok(false),
        }
        if self.is_spoilt() {
            return Err(self.fail(Failure::Closed, client, context));
        }
        let mut moved = false;
        // What has come of the body leaves with the head, in one write.
        if !self.upload.body.is_done() && self.upload.taker == Taker::Server {
            moved |= self.take_body(client, context)?;
        }
        Ok(moved | self.write_request(client, context))
    }

    /// Whether something has happened on a connection from the pool before the request could be
    /// written to it: it is no better than one that was closed while it idled.
    fn is_spoilt(&self) -> bool {
        match &self.link {
            Link::Open { connection, reused: true, .. } if !self.upload.sent => {
                connection.socket.is_readable() || connection.socket.is_broken()
            }
            Link::Open { .. } | Link::Connecting { .. } | Link::None => false,
        }
    }

    /// Writes what is in hand.
    fn write_request(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> bool {
        let Link::Open { connection, .. } = &mut self.link else { return false };
        let upload = &mut self.upload;
        if !upload.is_pending() {
            return false;
        }
        if upload.is_piping() {
            return self.send_bulk(context);
        }
        let head = upload.head.bytes();
        let replay = &upload.replay.bytes()[upload.resent..];
        let body = &client.input.bytes()[..upload.ready];
        let moved = match (head, replay, body) {
            (head, [], []) => connection.socket.write(&[IoSlice::new(head)]),
            ([], [], body) => connection.socket.write(&[IoSlice::new(body)]),
            (head, replay, body) => {
                let all = [IoSlice::new(head), IoSlice::new(replay), IoSlice::new(body)];
                connection.socket.write(&all)
            }
        };
        match moved {
            Moved::Bytes(count) => {
                self.note_written(count, client, context);
                true
            }
            Moved::Wait => false,
            Moved::End | Moved::Failed(_) => {
                // The server may have answered before it closed: reading tells.
                self.upload.taker = Taker::Broken;
                true
            }
        }
    }

    fn note_written(&mut self, count: usize, client: &mut Client<N>, context: &mut Context<N>) {
        let upload = &mut self.upload;
        upload.sent = true;
        upload.since = context.io.now;
        if let Some(attempt) = self.account.current() {
            attempt.sent += count as u64;
        }
        let of_head = count.min(upload.head.len());
        upload.head.consume(of_head);
        context.io.buffers.settle(&mut upload.head);
        let again = (count - of_head).min(upload.replay.bytes().len() - upload.resent);
        upload.resent += again;
        let fresh = count - of_head - again;
        if fresh > 0 {
            upload.replay.record(&client.input.bytes()[..fresh], &mut context.io.buffers);
            upload.resent = upload.replay.bytes().len();
            upload.ready -= fresh;
            client.input.consume(fresh);
            context.io.buffers.settle(&mut client.input);
        }
    }

    /// Reads more of the body if there is room for it.
    fn take_body(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Stop> {
        if client.input.len() > self.upload.ready {
            let before = (self.upload.ready, client.input.len());
            match self.scan_body(client, context) {
                Err(Stop::Turned) if planted::is(Bug::RefusedBodyReadOn) => {}
                scanned => scanned?,
            }
            if before != (self.upload.ready, client.input.len()) || self.upload.body.is_done() {
                return Ok(true);
            }
        }
        if let Some(moved) = self.take_bulk(client, context)? {
            return Ok(moved);
        }
        if client.input.len() >= RELAY_BUFFER || !client.socket.is_readable() {
            return Ok(false);
        }
        context.io.buffers.make_room(&mut client.input, RELAY_BUFFER);
        match client.socket.read(client.input.room()) {
            Moved::Bytes(count) => {
                client.input.filled(count);
                if !self.upload.is_pending() {
                    self.upload.since = context.io.now;
                }
                Ok(true)
            }
            Moved::Wait => {
                context.io.buffers.settle(&mut client.input);
                Ok(false)
            }
            Moved::End | Moved::Failed(_) => Err(Ending::ClientLeft.into()),
        }
    }

    /// Finds out which of the bytes in hand belong to the body.
    pub(super) fn scan_body(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Stop> {
        let upload = &mut self.upload;
        let bytes = &mut client.input.bytes_mut()[upload.ready..];
        let Ok(scan) = upload.body.scan(bytes, Keep::Framing) else {
            let why = "The body is not made of chunks.";
            return Err(self.give_up(Refusal { status: 400, why }, client, context));
        };
        client.input.cut(upload.ready + scan.kept, upload.ready + scan.consumed);
        upload.ready += scan.kept;
        self.count_body(scan.consumed as u64, client, context)
    }

    /// Counts bytes of the body, which may turn out to be too long.
    pub(super) fn count_body(
        &mut self,
        bytes: u64,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Stop> {
        self.account.body_received += bytes;
        let limit = self.settings().max_body;
        if limit.is_some_and(|limit| self.account.body_received > limit) {
            let why = "The body is larger than allowed.";
            return Err(self.give_up(Refusal { status: 413, why }, client, context));
        }
        Ok(())
    }
}

/// Bytes of a body that may be in hand at one time, in each direction.
pub const RELAY_BUFFER: usize = 16 << 10;
