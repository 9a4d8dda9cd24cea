//! The response on its way to the client: a server's head and body, or the proxy's own answer.

use super::awaited::{Awaited, Wanted};
use super::held::{BodyCoding, Held};
use super::response_head::{Coding, CutShown, Left, Passing};
use super::step::Step;
use super::transition::DownloadState;
use super::upload::{RELAY_BUFFER, Taker};
use super::variables::Answered;
use crate::buffer::{Buffer, BufferPool};
use crate::http::chunked::Keep;
use crate::http::framing::{Body, Framing};
use crate::http::head::{HeadLimits, HeadScan};
use crate::http::refusal::Refusal;
use crate::net::Net;
use crate::proxy::generation::Seen;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::time::Time;
use crate::transport::flow::Flow;
use crate::transport::io::Io;
use crate::transport::socket::{Moved, Socket};
use crate::trino::rows::AnswerScan;
use crate::upstream::retry::Failure;

/// The state of the response's direction.
pub struct Download<N: Net> {
    /// The progress of the response.
    phase: Phase,
    /// Bytes from the server.
    flow: Flow<N>,
    /// Our own bytes, sent before those of the flow: heads and answers.
    out: Buffer,
    /// Whether the client still receives the response.
    audience: Audience,
    /// The status for the client; 0 until it is known.
    pub status: u16,
    /// Bytes sent to the client.
    pub sent: u64,
    /// Bytes of heads among those.
    head_length: u64,
    /// A copy of the head that was sent, if variables may read it.
    head_sent: Buffer,
    /// A copy of the head that was received, if variables may read it.
    head_received: Buffer,
    /// Whether the client was sent a 100.
    pub continued: bool,
    /// What keeps the answer back, if it is.
    held: Option<Box<Held>>,
}

/// The progress of a response.
enum Phase {
    /// Its head is incomplete.
    Head(Awaited),
    /// Its body is being passed on.
    Body(Passing),
    /// The response is complete or cut: nothing more is read from the server.
    Ended,
}

/// Whether the client still receives the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// It does.
    Present,
    /// It left, but the server is to finish: its bytes are dropped.
    Gone,
}

impl<N: Net> Download<N> {
    /// A response without a byte.
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
            held: None,
        }
    }

    /// The progress of the response, as [`super::transition`] sees it.
    pub fn state(&self) -> DownloadState {
        match &self.phase {
            Phase::Head(awaited) if awaited.interim == 0 && self.flow.is_empty() => {
                DownloadState::Untouched
            }
            Phase::Head(_) => DownloadState::Awaited,
            Phase::Body(_) if self.is_held() => DownloadState::Awaited,
            Phase::Body(_) => DownloadState::Body,
            Phase::Ended => DownloadState::Ended,
        }
    }

    /// The state of a response whose final head has not been accepted.
    pub fn awaited(&mut self) -> Option<&mut Awaited> {
        match &mut self.phase {
            Phase::Head(awaited) => Some(awaited),
            Phase::Body(_) | Phase::Ended => None,
        }
    }

    /// Whether the current server was asked to switch protocols and has not answered.
    pub fn awaits_upgrade(&self) -> bool {
        matches!(&self.phase, Phase::Head(awaited) if awaited.wanted == Wanted::Upgrade)
    }

    /// Whether bytes wait to be sent to the client.
    pub fn is_pending(&self) -> bool {
        !self.is_held() && (!self.out.is_empty() || self.flow.is_pending())
    }

    /// Whether the answer is kept back.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether the client was sent everything.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended) && !self.is_pending()
    }

    /// Whether the client left before the end.
    pub fn is_client_gone(&self) -> bool {
        self.audience == Audience::Gone
    }

    /// When bytes last moved.
    pub fn since(&self) -> Time {
        self.flow.since
    }

    /// What variables may read of the response.
    pub fn answered(&self) -> Answered<'_> {
        Answered {
            status: self.status,
            sent: self.sent,
            body: self.sent.saturating_sub(self.head_length),
            head: self.head_sent.bytes(),
            upstream_head: self.head_received.bytes(),
        }
    }

    /// Drops everything that would go to the client from now on.
    pub fn drop_audience(&mut self) {
        self.audience = Audience::Gone;
    }

    /// Discards what a failed attempt brought.
    pub fn start_over(&mut self, pool: &mut BufferPool, now: Time) {
        self.flow.drop_ready(pool);
        self.flow.drop_unread(pool);
        if let Some(held) = self.held.take() {
            let (out, of_heads) = held.before;
            self.out.truncate(out);
            self.head_length = of_heads;
        }
        self.phase = Phase::Head(Awaited::default());
        // Bytes that the client does not take, such as an earlier 100, still count as its silence.
        if !self.is_pending() {
            self.flow.since = now;
        }
    }

    /// Sets what the server of a new attempt is asked for.
    pub fn want(&mut self, wanted: Wanted) {
        if let Phase::Head(awaited) = &mut self.phase {
            awaited.wanted = wanted;
        }
    }

    /// Adds a head for the client, and keeps a copy if variables may read it.
    pub fn say(&mut self, head: &[u8], seen: Seen, pool: &mut BufferPool) {
        pool.append(&mut self.out, head);
        if seen == Seen::ByValues {
            pool.clear(&mut self.head_sent);
            pool.append(&mut self.head_sent, head);
        }
        self.head_length += head.len() as u64;
    }

    /// Adds the body of our own answer, which completes it.
    pub fn say_body(&mut self, body: &[u8], pool: &mut BufferPool) {
        pool.append(&mut self.out, body);
        self.phase = Phase::Ended;
    }

    /// Keeps a copy of the received head, because variables may read it.
    pub fn keep_received(&mut self, head: &[u8], pool: &mut BufferPool) {
        pool.clear(&mut self.head_received);
        pool.append(&mut self.head_received, head);
    }

    /// Keeps the answer back from its head on, which is still to be said.
    pub fn hold(&mut self, framing: Framing, coding: BodyCoding) {
        let before = (self.out.len(), self.head_length);
        self.held = Some(Box::new(Held::new(framing, coding, before)));
    }

    /// What the answer says that is kept back, and whether it is whole.
    pub fn held(&self) -> Option<(&AnswerScan, bool)> {
        let Phase::Body(passing) = &self.phase else { return None };
        Some((self.held.as_ref()?.scan(), passing.body.is_done()))
    }

    /// Passes on what was kept back.
    pub fn let_go(&mut self) -> Step {
        self.held = None;
        self.step_of_body()
    }

    /// Takes out the buffer, which begins with a complete head.
    pub fn take_head(&mut self) -> Buffer {
        self.flow.take_buffer()
    }

    /// Puts back the bytes after a head that was taken out.
    pub fn put_back(&mut self, rest: Buffer) {
        self.flow.put_back(rest);
    }

    /// The flow for a tunnel: our own pending bytes, then what the server has sent. Also returns
    /// the length of the latter.
    pub fn take_flow(&mut self, pool: &mut BufferPool, now: Time) -> (Flow<N>, u64) {
        let mut flow = std::mem::replace(&mut self.flow, Flow::new(Buffer::default(), now));
        let received = flow.len() as u64;
        flow.prepend(self.out.bytes(), pool);
        pool.clear(&mut self.out);
        (flow, received)
    }

    /// Returns all storage.
    pub fn release(&mut self, io: &mut Io<N>) {
        for buffer in [&mut self.out, &mut self.head_sent, &mut self.head_received] {
            io.buffers.clear(buffer);
        }
        self.flow.release(io);
    }
}

impl<N: Net> Download<N> {
    /// Reads from the server if there is room, and interprets the bytes.
    pub fn pump(
        &mut self,
        taker: Taker,
        limits: HeadLimits,
        (server, client): (&mut Socket<N>, &Socket<N>),
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
                match self.splice((server, client), attempts, io) {
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
                // While the client takes no bytes, its silence is timed, whatever the server sends.
                if !self.is_pending() {
                    self.flow.since = io.now;
                }
                attempts.received(count, io.now);
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

    /// Reads bytes that must be interpreted, if there is room.
    fn read(&mut self, server: &mut Socket<N>, io: &mut Io<N>) -> Result<Moved, Step> {
        let (awaited, held) = (matches!(self.phase, Phase::Head(_)), self.is_held());
        if !server.is_readable() || (!awaited && !held && self.flow.len() >= RELAY_BUFFER) {
            return Err(Step::Idle);
        }
        if self.flow.len() >= RELAY_BUFFER && io.buffers.is_exhausted() {
            return Err(match held {
                true => Step::Held,
                false => Step::Refused(Refusal::NoMemoryForResponse),
            });
        }
        // One that is kept back may become long.
        let capacity = if held { RELAY_BUFFER.max(2 * self.flow.len()) } else { RELAY_BUFFER };
        Ok(self.flow.read(server, capacity, io))
    }

    /// Moves bytes of the body into a pipe. `None` if they must be read.
    fn splice(
        &mut self,
        (server, client): (&mut Socket<N>, &Socket<N>),
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
        let moved = self.flow.splice((server, client), expected, io);
        if let Some(Moved::Bytes(count)) = moved {
            body.pass_unread(count as u64);
            attempts.received(count, io.now);
            attempts.of_body(count);
        }
        moved
    }

    /// Interprets the bytes in the buffer.
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

    /// Continues after an interim response: interprets the bytes that follow it.
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

    /// The final head is accepted: passes on the body, beginning with the bytes that came with the
    /// head.
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

    /// Accepts the bytes of the body for the client.
    fn digest_body(&mut self, attempts: &mut AttemptLog) -> Step {
        let Phase::Body(Passing { body, coding, .. }) = &mut self.phase else { return Step::Moved };
        let keep = match coding {
            Coding::AsIs => Keep::Framing,
            Coding::DataOnly | Coding::Chunks => Keep::Data,
        };
        let Ok(scan) = body.scan(self.flow.unread_mut(), keep) else {
            return Step::Failed(Failure::BadResponse);
        };
        if let Some(held) = &mut self.held {
            held.see(&self.flow.unread()[..scan.kept]);
        }
        self.flow.accept(scan.kept, scan.consumed);
        attempts.of_body(scan.kept);
        self.step_of_body()
    }

    fn step_of_body(&self) -> Step {
        let Phase::Body(passing) = &self.phase else { return Step::Moved };
        let is_done = passing.body.is_done();
        let held = self.held.as_ref();
        match is_done {
            _ if held.is_some_and(|held| held.is_ripe(is_done, self.flow.len())) => Step::Held,
            true => Step::Done,
            false => Step::Moved,
        }
    }

    /// Wraps the `count` bytes that were read in a chunk.
    fn chunk(&mut self, count: usize, attempts: &mut AttemptLog, io: &mut Io<N>) {
        if count == 0 {
            return;
        }
        attempts.of_body(count);
        self.flow.append_chunk(&io.scratch[..count], &mut io.buffers);
    }

    /// Handles the server's FIN.
    fn server_ended(&mut self, taker: Taker, server: &Socket<N>, io: &mut Io<N>) -> Step {
        // A reset is reported only once. If a write or an event reported it, this read looks like
        // an orderly end.
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

    /// The response is complete. Returns whether the server's connection can be reused.
    pub fn complete(&mut self, pool: &mut BufferPool) -> Left {
        let Phase::Body(passing) = std::mem::replace(&mut self.phase, Phase::Ended) else {
            return Left::Spent;
        };
        let surplus = !self.flow.unread().is_empty();
        self.flow.drop_unread(pool);
        if surplus { Left::Spent } else { passing.leaves }
    }

    /// Ends the response early: what was already read still goes to the client. Returns how the
    /// client can tell.
    pub fn cut(&mut self, pool: &mut BufferPool) -> CutShown {
        self.flow.drop_unread(pool);
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Body(passing) => passing.cut,
            Phase::Head(_) | Phase::Ended => CutShown::ByReset,
        }
    }

    /// Writes pending bytes to the client.
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
