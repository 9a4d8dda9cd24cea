//! The response on its way to the client: head, body, and the proxy's own answers.

use std::io::IoSlice;
use std::io::Write as _;

use crate::buffer::{Buffer, BufferPool};
use crate::http::chunked::Keep;
use crate::http::framing::Body;
use crate::http::head::{HeadLimits, HeadScan};
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::http::request::Refusal;
use crate::proxy::http::step::Step;
use crate::proxy::http::upload::{RELAY_BUFFER, Taker};
use crate::proxy::log::attempt_log::AttemptLog;
use crate::time::Time;
use crate::transport::io::Io;
use crate::transport::pipe::Piped;
use crate::transport::socket::{Moved, Socket};
use crate::transport::tunnel::Tunnel;
use crate::upstream::retry::Failure;

/// The state of the response's direction.
pub struct Download<N: Net> {
    /// How far it is.
    pub phase: Phase<N>,
    /// Bytes from the server.
    pub raw: Buffer,
    /// How many of these, at the front, may go to the client.
    pub ready: usize,
    /// Where bytes of a long body pass; empty while there are others in hand.
    pub piped: Option<Piped<N>>,
    /// Bytes of our own that go before these: heads, answers.
    pub out: Buffer,
    /// The status for the client; 0 before there is one.
    pub status: u16,
    /// Bytes the client has got.
    pub sent: u64,
    /// Bytes of heads among them.
    pub head_length: u64,
    /// The head that was sent, if a log line may ask for it.
    pub head_sent: Buffer,
    /// The head that was received, likewise.
    pub head_received: Buffer,
    /// The client's connection carries another request if nothing comes in between.
    pub keeps_client: bool,
    /// The answer refuses the request: whatever else the client sends is not wanted.
    pub refused: bool,
    /// The server was asked to upgrade.
    pub asked_upgrade: bool,
    /// The client has had its 100.
    pub continued: bool,
    /// The client left, but the server is to finish: what it says is dropped.
    pub client_gone: bool,
    /// Interim responses so far.
    pub interim: u32,
    /// The last time that bytes moved.
    pub since: Time,
}

/// How far a response is.
pub enum Phase<N: Net> {
    /// Its head is not whole.
    AwaitingHead {
        /// The search for its end.
        scan: HeadScan,
    },
    /// Its body is being passed on.
    Body {
        /// What is still to come.
        body: Body,
        /// How it is passed on.
        coding: Coding,
        /// Whether the client can tell by the framing that it is not whole.
        framed: bool,
        /// Whether the server goes on after it.
        persistent: bool,
    },
    /// Bytes pass both ways and neither side is read for meaning.
    Tunnel(Box<Tunnel<N>>),
    /// The server has nothing more to say.
    Ended {
        /// It said all that it had announced.
        whole: bool,
        /// As above.
        framed: bool,
    },
}

/// How a body is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// In the framing it came in.
    AsIs,
    /// Its data alone, for a client that does not know chunks.
    DataOnly,
    /// In chunks, for want of a length.
    Chunks,
}

impl<N: Net> Download<N> {
    /// No byte of a response yet.
    pub fn new(now: Time) -> Download<N> {
        Download {
            phase: Phase::AwaitingHead { scan: HeadScan::default() },
            raw: Buffer::default(),
            ready: 0,
            piped: None,
            out: Buffer::default(),
            status: 0,
            sent: 0,
            head_length: 0,
            head_sent: Buffer::default(),
            head_received: Buffer::default(),
            keeps_client: false,
            refused: false,
            asked_upgrade: false,
            continued: false,
            client_gone: false,
            interim: 0,
            since: now,
        }
    }

    /// Whether the current server has sent no byte.
    pub fn is_untouched(&self) -> bool {
        matches!(self.phase, Phase::AwaitingHead { .. }) && self.raw.is_empty() && self.interim == 0
    }

    /// Whether bytes wait for the client to take them.
    pub fn is_pending(&self) -> bool {
        !self.out.is_empty() || self.ready > 0 || self.is_piping()
    }

    /// Whether the client has to be given what is in the pipe before anything else.
    pub fn is_piping(&self) -> bool {
        self.piped.as_ref().is_some_and(|piped| piped.held() > 0)
    }

    /// Whether the client has got everything there is.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. }) && !self.is_pending()
    }

    /// Forgets what a failed attempt brought.
    pub fn start_over(&mut self, pool: &mut BufferPool, now: Time) {
        pool.clear(&mut self.raw);
        self.ready = 0;
        self.interim = 0;
        self.phase = Phase::AwaitingHead { scan: HeadScan::default() };
        // What the client was given before and does not take, a 100 perhaps, is still its affair.
        if !self.is_pending() {
            self.since = now;
        }
    }

    /// Adds bytes of our own.
    pub fn say(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        pool.append(&mut self.out, bytes);
        self.head_length += bytes.len() as u64;
    }

    /// Gives all storage back.
    pub fn release(&mut self, io: &mut Io<N>) {
        for buffer in [&mut self.raw, &mut self.out, &mut self.head_sent, &mut self.head_received] {
            io.buffers.clear(buffer);
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
        let coding = match &self.phase {
            Phase::Tunnel(_) | Phase::Ended { .. } => return Step::Idle,
            Phase::Body { coding, .. } => Some(*coding),
            Phase::AwaitingHead { .. } => None,
        };
        if let Some(step) = self.receive_bulk(taker, server, attempts, io) {
            return step;
        }
        let awaiting = matches!(self.phase, Phase::AwaitingHead { .. });
        let in_hand = if awaiting { self.out.len() } else { self.raw.len() };
        if !server.is_readable() || in_hand >= RELAY_BUFFER {
            return Step::Idle;
        }
        let moved = match coding {
            Some(Coding::Chunks) if self.is_pending() => return Step::Idle,
            Some(Coding::Chunks) => {
                io.scratch.resize(RELAY_BUFFER, 0);
                server.read(&mut io.scratch)
            }
            Some(Coding::AsIs | Coding::DataOnly) | None => {
                if self.raw.len() >= RELAY_BUFFER && io.buffers.is_exhausted() {
                    let why = "The proxy has no memory for a response head of this size now.";
                    return Step::Refused(Refusal { status: 503, why });
                }
                let capacity = (self.raw.len() + 1).max(RELAY_BUFFER);
                io.buffers.make_room(&mut self.raw, capacity);
                server.read(self.raw.room())
            }
        };
        match moved {
            Moved::Bytes(count) => {
                // While the client takes nothing its silence counts, whatever the server says.
                if !self.is_pending() {
                    self.since = io.now;
                }
                attempts.received(count);
                match coding {
                    Some(Coding::Chunks) => {
                        self.chunk(count, attempts, io);
                        Step::Moved
                    }
                    Some(Coding::AsIs | Coding::DataOnly) | None => {
                        self.raw.filled(count);
                        self.digest(limits, attempts)
                    }
                }
            }
            Moved::Wait => {
                io.buffers.settle(&mut self.raw);
                Step::Idle
            }
            Moved::End => {
                io.buffers.settle(&mut self.raw);
                self.server_ended(taker, server, io)
            }
            Moved::Failed(_) => {
                io.buffers.settle(&mut self.raw);
                match self.phase {
                    Phase::AwaitingHead { .. } => Step::Failed(Failure::Reset),
                    Phase::Body { .. } | Phase::Tunnel(_) | Phase::Ended { .. } => Step::Cut,
                }
            }
        }
    }

    /// Makes sense of the bytes in hand.
    pub fn digest(&mut self, limits: HeadLimits, attempts: &mut AttemptLog) -> Step {
        match &mut self.phase {
            Phase::AwaitingHead { scan } => match scan.end(self.raw.bytes(), limits) {
                Err(_) => Step::Failed(Failure::BadHead),
                Ok(None) => Step::Moved,
                Ok(Some(length)) => Step::Head(length),
            },
            Phase::Body { .. } => self.digest_body(attempts),
            Phase::Tunnel(_) | Phase::Ended { .. } => Step::Moved,
        }
    }

    /// The body's part of what came with the head, or its end if there is none.
    pub fn begun(&mut self, attempts: &mut AttemptLog, io: &mut Io<N>) -> Step {
        match &self.phase {
            Phase::Body { coding: Coding::Chunks, .. } => {
                io.scratch.clear();
                io.scratch.extend_from_slice(self.raw.bytes());
                io.buffers.clear(&mut self.raw);
                let count = io.scratch.len();
                self.chunk(count, attempts, io);
                Step::Moved
            }
            Phase::Body { .. } => self.digest_body(attempts),
            Phase::Tunnel(_) | Phase::AwaitingHead { .. } | Phase::Ended { .. } => Step::Moved,
        }
    }

    /// Finds out which bytes in hand may go to the client.
    fn digest_body(&mut self, attempts: &mut AttemptLog) -> Step {
        let Phase::Body { body, coding, .. } = &mut self.phase else { return Step::Moved };
        let keep = match coding {
            Coding::AsIs => Keep::Framing,
            Coding::DataOnly | Coding::Chunks => Keep::Data,
        };
        let Ok(scan) = body.scan(&mut self.raw.bytes_mut()[self.ready..], keep) else {
            return Step::Cut;
        };
        let done = body.is_done();
        self.raw.cut(self.ready + scan.kept, self.ready + scan.consumed);
        self.ready += scan.kept;
        attempts.of_body(scan.kept);
        if done { Step::Done } else { Step::Moved }
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
        io.buffers.append(&mut self.raw, &line[..length]);
        io.buffers.append(&mut self.raw, &io.scratch[..count]);
        io.buffers.append(&mut self.raw, b"\r\n");
        self.ready = self.raw.len();
    }

    /// The server sent its orderly end.
    pub(in crate::proxy) fn server_ended(
        &mut self,
        taker: Taker,
        server: &Socket<N>,
        io: &mut Io<N>,
    ) -> Step {
        // A reset is told only once: a write, or an event, may have been told of it before this
        // read, which then looks like an orderly end.
        let reset = server.is_broken() || taker == Taker::Broken;
        match &mut self.phase {
            Phase::AwaitingHead { .. } => Step::Failed(Failure::Closed),
            Phase::Body { body: Body::UntilClose, .. } if reset => Step::Cut,
            Phase::Body { body: Body::UntilClose, coding, .. } => {
                if *coding == Coding::Chunks {
                    io.buffers.append(&mut self.raw, b"0\r\n\r\n");
                    self.ready = self.raw.len();
                }
                Step::Done
            }
            Phase::Body { .. } => Step::Cut,
            Phase::Tunnel(_) | Phase::Ended { .. } => Step::Moved,
        }
    }

    /// The response is complete: what it leaves of its server's connection.
    pub fn complete(&mut self) -> Left {
        let Phase::Body { framed, persistent, .. } = self.phase else { return Left::Nothing };
        let surplus = self.raw.len() > self.ready;
        self.raw.truncate(self.ready);
        self.phase = Phase::Ended { whole: true, framed };
        if persistent && !surplus { Left::Clean } else { Left::Spent }
    }

    /// The response ends before its end: the client gets what is in hand, and has to see it.
    pub fn cut(&mut self) {
        let framed = match &self.phase {
            Phase::Body { framed, .. } => *framed,
            Phase::Tunnel(_) | Phase::AwaitingHead { .. } | Phase::Ended { .. } => false,
        };
        self.raw.truncate(self.ready);
        self.phase = Phase::Ended { whole: false, framed };
    }

    /// Writes to the client what may go.
    pub fn deliver(&mut self, client: &mut Client<N>, io: &mut Io<N>) -> Step {
        if !self.is_pending() {
            return Step::Idle;
        }
        if self.is_piping() {
            return self.deliver_bulk(client, io);
        }
        let (out, body) = (self.out.bytes(), &self.raw.bytes()[..self.ready]);
        let moved = match (out, body) {
            _ if self.client_gone => Moved::Bytes(out.len() + body.len()),
            (only, []) | ([], only) => client.socket.write(&[IoSlice::new(only)]),
            (out, body) => client.socket.write(&[IoSlice::new(out), IoSlice::new(body)]),
        };
        match moved {
            Moved::Bytes(count) => {
                self.sent += count as u64;
                self.since = io.now;
                let of_out = count.min(self.out.len());
                self.out.consume(of_out);
                self.raw.consume(count - of_out);
                self.ready -= count - of_out;
                io.buffers.settle(&mut self.out);
                io.buffers.settle(&mut self.raw);
                Step::Moved
            }
            Moved::Wait => Step::Idle,
            Moved::End | Moved::Failed(_) => Step::ClientGone,
        }
    }
}

/// What a complete response leaves of its server's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// There was no response.
    Nothing,
    /// It can carry another request.
    Clean,
    /// It is closed, or bytes are left on it.
    Spent,
}
