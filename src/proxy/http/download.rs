//! The response on its way to the client: head, body, and the proxy's own answers.

use std::io::Write as _;

use super::response_head::{Coding, CutShown, Left, Passing};
use super::step::Step;
use super::transition::DownloadState;
use super::upload::{RELAY_BUFFER, Taker};
use super::variables::Answered;
use crate::buffer::{Buffer, BufferPool};
use crate::http::chunked::Keep;
use crate::http::framing::Body;
use crate::http::head::{HeadLimits, HeadScan};
use crate::http::refusal::Refusal;
use crate::net::Net;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::proxy::servers::Seen;
use crate::time::Time;
use crate::transport::flow::Flow;
use crate::transport::io::Io;
use crate::transport::socket::{Moved, Socket};
use crate::upstream::retry::Failure;

/// The state of the response's direction.
pub struct Download<N: Net> {
    /// How far it is.
    phase: Phase,
    /// Bytes from the server.
    flow: Flow<N>,
    /// Bytes of our own that go before these: heads, answers.
    out: Buffer,
    /// Whether the client reads what is delivered.
    audience: Audience,
    /// The status for the client; 0 before there is one.
    pub status: u16,
    /// Bytes the client has got.
    pub sent: u64,
    /// Bytes of heads among them.
    head_length: u64,
    /// The head that was sent, if a log line may ask for it.
    head_sent: Buffer,
    /// The head that was received, likewise.
    head_received: Buffer,
    /// The client has had its 100.
    pub continued: bool,
}

/// How far a response is.
enum Phase {
    /// Its head is not whole.
    Head(Awaited),
    /// Its body is being passed on.
    Body(Passing),
    /// The server has nothing more to say.
    Ended,
}

/// A response that has not begun.
#[derive(Debug, Default)]
pub struct Awaited {
    /// The search for the end of its head.
    scan: HeadScan,
    /// Interim responses before it.
    pub interim: u32,
    /// What the server was asked for.
    pub wanted: Wanted,
}

/// What a server is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// A response.
    #[default]
    Response,
    /// A change of the protocol, or a response.
    Upgrade,
}

/// Whether the client reads what is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// It does.
    Present,
    /// It left, but the server is to finish: what the server says is dropped.
    Gone,
}

impl<N: Net> Download<N> {
    /// No byte of a response yet.
    pub fn new(now: Time) -> Download<N> {
        Download {
            phase: Phase::Head(Awaited::default()),
            flow: Flow::new(Buffer::default(), now),
            out: Buffer::default(),
            audience: Audience::Present,
            status: 0,
            sent: 0,
            head_length: 0,
            head_sent: Buffer::default(),
            head_received: Buffer::default(),
            continued: false,
        }
    }

    /// How far the response is, for what follows from an event.
    pub fn state(&self) -> DownloadState {
        match &self.phase {
            Phase::Head(awaited) if awaited.interim == 0 && self.flow.is_empty() => {
                DownloadState::Untouched
            }
            Phase::Head(_) => DownloadState::Awaited,
            Phase::Body(_) => DownloadState::Body,
            Phase::Ended => DownloadState::Ended,
        }
    }

    /// The response, if it has not begun.
    pub fn awaited(&mut self) -> Option<&mut Awaited> {
        match &mut self.phase {
            Phase::Head(awaited) => Some(awaited),
            Phase::Body(_) | Phase::Ended => None,
        }
    }

    /// Whether the current server may change the protocol, and has not answered.
    pub fn awaits_upgrade(&self) -> bool {
        matches!(&self.phase, Phase::Head(awaited) if awaited.wanted == Wanted::Upgrade)
    }

    /// Whether bytes wait for the client to take them.
    pub fn is_pending(&self) -> bool {
        !self.out.is_empty() || self.flow.is_pending()
    }

    /// Whether the client has got everything there is.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended) && !self.is_pending()
    }

    /// Whether the client left before the end.
    pub fn is_client_gone(&self) -> bool {
        self.audience == Audience::Gone
    }

    /// The last time that bytes moved.
    pub fn since(&self) -> Time {
        self.flow.since
    }

    /// What variables tell of it.
    pub fn answered(&self) -> Answered<'_> {
        Answered {
            status: self.status,
            sent: self.sent,
            body: self.sent.saturating_sub(self.head_length),
            head: self.head_sent.bytes(),
            upstream_head: self.head_received.bytes(),
        }
    }

    /// Drops from now on what would go to the client.
    pub fn drop_audience(&mut self) {
        self.audience = Audience::Gone;
    }

    /// Forgets what a failed attempt brought.
    pub fn start_over(&mut self, pool: &mut BufferPool, now: Time) {
        self.flow.drop_ready(pool);
        self.flow.drop_unread(pool);
        self.phase = Phase::Head(Awaited::default());
        // What the client was given before and does not take, a 100 perhaps, still counts as its silence.
        if !self.is_pending() {
            self.flow.since = now;
        }
    }

    /// The server of a new attempt is asked for this.
    pub fn want(&mut self, wanted: Wanted) {
        if let Phase::Head(awaited) = &mut self.phase {
            awaited.wanted = wanted;
        }
    }

    /// Adds a head for the client, and keeps a copy of it where values may ask for it.
    pub fn say(&mut self, head: &[u8], seen: Seen, pool: &mut BufferPool) {
        pool.append(&mut self.out, head);
        if seen == Seen::ByValues {
            pool.clear(&mut self.head_sent);
            pool.append(&mut self.head_sent, head);
        }
        self.head_length += head.len() as u64;
    }

    /// Adds the body of an answer of our own, which is whole then.
    pub fn say_body(&mut self, body: &[u8], pool: &mut BufferPool) {
        pool.append(&mut self.out, body);
        self.phase = Phase::Ended;
    }

    /// Keeps a copy of the head that was received, because values may ask for it.
    pub fn keep_received(&mut self, head: &[u8], pool: &mut BufferPool) {
        pool.clear(&mut self.head_received);
        pool.append(&mut self.head_received, head);
    }

    /// Takes out a whole head of this length, with all bytes behind it.
    pub fn take_head(&mut self) -> Buffer {
        self.flow.take_buffer()
    }

    /// Puts back what follows a head that was taken out.
    pub fn put_back(&mut self, rest: Buffer) {
        self.flow.put_back(rest);
    }

    /// The flow for a tunnel: what is in hand of our own goes before what the server has sent,
    /// whose length is returned.
    pub fn take_flow(&mut self, pool: &mut BufferPool, now: Time) -> (Flow<N>, u64) {
        let mut flow = std::mem::replace(&mut self.flow, Flow::new(Buffer::default(), now));
        let received = flow.len() as u64;
        flow.prepend(self.out.bytes(), pool);
        pool.clear(&mut self.out);
        (flow, received)
    }

    /// Gives all storage back.
    pub fn release(&mut self, io: &mut Io<N>) {
        for buffer in [&mut self.out, &mut self.head_sent, &mut self.head_received] {
            io.buffers.clear(buffer);
        }
        self.flow.release(io);
    }
}

impl<N: Net> Download<N> {
    /// Reads from the server if there is room, and makes sense of what is in hand.
    pub fn pump(
        &mut self,
        taker: Taker,
        limits: HeadLimits,
        server: &mut Socket<N>,
        attempts: &mut AttemptLog,
        io: &mut Io<N>,
    ) -> Step {
        let moved = match &self.phase {
            Phase::Ended => return Step::Idle,
            Phase::Head(_) if self.out.len() >= RELAY_BUFFER => return Step::Idle,
            Phase::Body(Passing { coding: Coding::Chunks, .. }) if self.is_pending() => {
                return Step::Idle;
            }
            Phase::Body(Passing { coding: Coding::Chunks, .. }) => {
                if !server.is_readable() {
                    return Step::Idle;
                }
                io.scratch.resize(RELAY_BUFFER, 0);
                server.read(&mut io.scratch)
            }
            Phase::Body(Passing { coding: Coding::AsIs, .. }) => {
                match self.splice(server, attempts, io) {
                    Some(Moved::Bytes(_)) => return self.step_of_body(),
                    Some(moved) => moved,
                    None => match self.read(server, io) {
                        Ok(moved) => moved,
                        Err(step) => return step,
                    },
                }
            }
            Phase::Head(_) | Phase::Body(_) => match self.read(server, io) {
                Ok(moved) => moved,
                Err(step) => return step,
            },
        };
        match moved {
            Moved::Bytes(count) => {
                // While the client takes nothing its silence counts, whatever the server says.
                if !self.is_pending() {
                    self.flow.since = io.now;
                }
                attempts.received(count);
                match &self.phase {
                    Phase::Body(Passing { coding: Coding::Chunks, .. }) => {
                        self.chunk(count, attempts, io);
                        Step::Moved
                    }
                    Phase::Head(_) | Phase::Body(_) | Phase::Ended => self.digest(limits, attempts),
                }
            }
            Moved::Wait => Step::Idle,
            Moved::End => self.server_ended(taker, server, io),
            Moved::Failed(_) => Step::Failed(Failure::Reset),
        }
    }

    /// Reads bytes that are to be looked at, if there is room.
    fn read(&mut self, server: &mut Socket<N>, io: &mut Io<N>) -> Result<Moved, Step> {
        let awaited = matches!(self.phase, Phase::Head(_));
        if !server.is_readable() || (!awaited && self.flow.len() >= RELAY_BUFFER) {
            return Err(Step::Idle);
        }
        if self.flow.len() >= RELAY_BUFFER && io.buffers.is_exhausted() {
            return Err(Step::Refused(Refusal::NoMemoryForResponse));
        }
        Ok(self.flow.read(server, RELAY_BUFFER, io))
    }

    /// Moves bytes of the body into a pipe, if so many are still to come that it is worth it.
    /// `None`: they are to be read.
    fn splice(
        &mut self,
        server: &mut Socket<N>,
        attempts: &mut AttemptLog,
        io: &mut Io<N>,
    ) -> Option<Moved> {
        let Phase::Body(Passing { body, .. }) = &mut self.phase else { return None };
        if self.flow.is_piping() {
            return Some(Moved::Wait);
        }
        let in_hand = !self.out.is_empty() || !self.flow.is_empty();
        let expected = body.unread();
        if in_hand || self.audience == Audience::Gone || expected < io.tuning.splice_from {
            self.flow.leave_pipe(io);
            return None;
        }
        let moved = self.flow.splice(server, expected, io);
        if let Some(Moved::Bytes(count)) = moved {
            body.pass_unread(count as u64);
            attempts.received(count);
            attempts.of_body(count);
        }
        moved
    }

    /// Makes sense of the bytes in hand.
    pub fn digest(&mut self, limits: HeadLimits, attempts: &mut AttemptLog) -> Step {
        match &mut self.phase {
            Phase::Head(awaited) => match awaited.scan.end(self.flow.unread(), limits) {
                Err(_) => Step::Failed(Failure::BadResponse),
                Ok(None) => Step::Moved,
                Ok(Some(length)) => Step::Head(length),
            },
            Phase::Body(_) => self.digest_body(attempts),
            Phase::Ended => Step::Moved,
        }
    }

    /// An interim response was passed on: what follows it is looked at next.
    pub fn after_interim(
        &mut self,
        limits: HeadLimits,
        attempts: &mut AttemptLog,
        pool: &mut BufferPool,
    ) -> Step {
        self.flow.drop_ready(pool);
        if let Phase::Head(awaited) = &mut self.phase {
            awaited.scan = HeadScan::default();
        }
        self.digest(limits, attempts)
    }

    /// The final head has been accepted: the body follows, and what came of it with the head.
    pub fn begin(&mut self, passing: Passing, attempts: &mut AttemptLog, io: &mut Io<N>) -> Step {
        let coding = passing.coding;
        self.phase = Phase::Body(passing);
        match coding {
            Coding::Chunks => {
                io.scratch.clear();
                io.scratch.extend_from_slice(self.flow.unread());
                self.flow.drop_unread(&mut io.buffers);
                let count = io.scratch.len();
                self.chunk(count, attempts, io);
                Step::Moved
            }
            Coding::AsIs | Coding::DataOnly => self.digest_body(attempts),
        }
    }

    /// Finds out which bytes in hand may go to the client.
    fn digest_body(&mut self, attempts: &mut AttemptLog) -> Step {
        let Phase::Body(Passing { body, coding, .. }) = &mut self.phase else { return Step::Moved };
        let keep = match coding {
            Coding::AsIs => Keep::Framing,
            Coding::DataOnly | Coding::Chunks => Keep::Data,
        };
        let Ok(scan) = body.scan(self.flow.unread_mut(), keep) else {
            return Step::Failed(Failure::BadResponse);
        };
        self.flow.accept(scan.kept, scan.consumed);
        attempts.of_body(scan.kept);
        self.step_of_body()
    }

    fn step_of_body(&self) -> Step {
        match &self.phase {
            Phase::Body(passing) if passing.body.is_done() => Step::Done,
            Phase::Head(_) | Phase::Body(_) | Phase::Ended => Step::Moved,
        }
    }

    /// Puts `count` bytes that were read into a chunk.
    fn chunk(&mut self, count: usize, attempts: &mut AttemptLog, io: &mut Io<N>) {
        if count == 0 {
            return;
        }
        attempts.of_body(count);
        let mut line = [0; 20];
        let mut rest = &mut line[..];
        // 16 digits are enough for any count.
        let _ = write!(rest, "{count:x}\r\n");
        let length = 20 - rest.len();
        self.flow.append(&line[..length], &mut io.buffers);
        self.flow.append(&io.scratch[..count], &mut io.buffers);
        self.flow.append(b"\r\n", &mut io.buffers);
    }

    /// The server sent its orderly end.
    fn server_ended(&mut self, taker: Taker, server: &Socket<N>, io: &mut Io<N>) -> Step {
        // A reset is told only once: a write, or an event, may have been told of it before this
        // read, which then looks like an orderly end.
        let reset = server.is_broken() || matches!(taker, Taker::Broken(_));
        match &self.phase {
            Phase::Body(Passing { body: Body::UntilClose, coding, .. }) if !reset => {
                if *coding == Coding::Chunks {
                    self.flow.append(b"0\r\n\r\n", &mut io.buffers);
                }
                Step::Done
            }
            Phase::Head(_) | Phase::Body(_) => Step::Failed(Failure::Closed),
            Phase::Ended => Step::Moved,
        }
    }

    /// The response is whole: what it leaves of its server's connection.
    pub fn complete(&mut self, pool: &mut BufferPool) -> Left {
        let Phase::Body(passing) = std::mem::replace(&mut self.phase, Phase::Ended) else {
            return Left::Spent;
        };
        let surplus = !self.flow.unread().is_empty();
        self.flow.drop_unread(pool);
        if surplus { Left::Spent } else { passing.leaves }
    }

    /// The response ends before its end: the client gets what is in hand. How it can tell.
    pub fn cut(&mut self, pool: &mut BufferPool) -> CutShown {
        self.flow.drop_unread(pool);
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Body(passing) => passing.cut,
            Phase::Head(_) | Phase::Ended => CutShown::ByReset,
        }
    }

    /// Writes to the client what may go.
    pub fn deliver(&mut self, client: &mut Socket<N>, io: &mut Io<N>) -> Step {
        if !self.is_pending() {
            return Step::Idle;
        }
        let piping = self.flow.is_piping();
        let moved = match self.audience {
            Audience::Gone => {
                self.flow.leave_pipe(io);
                Moved::Bytes(self.out.len() + self.flow.ready().len())
            }
            Audience::Present if piping => self.flow.drain(client, io.now),
            Audience::Present => self.flow.write(client, [self.out.bytes(), &[]]),
        };
        match moved {
            Moved::Bytes(count) => {
                self.sent += count as u64;
                if !piping {
                    self.flow.since = io.now;
                    let of_out = count.min(self.out.len());
                    self.out.consume(of_out);
                    io.buffers.settle(&mut self.out);
                    self.flow.consume(count - of_out, &mut io.buffers);
                }
                Step::Moved
            }
            Moved::Wait => Step::Idle,
            Moved::End | Moved::Failed(_) => Step::ClientGone,
        }
    }
}
