//! The response on its way to the client: head, body, and the proxy's own answers.

use std::io::IoSlice;
use std::io::Write as _;

use super::client::Client;
use super::complaints::Topic;
use super::context::Context;
use super::exchange::{Exchange, Link};
use super::request::Refusal;
use super::route::location_of;
use super::servers::At;
use super::stop::Stop;
use super::upload::{RELAY_BUFFER, Taker};
use crate::buffer::{Buffer, BufferPool};
use crate::http::chunked::Keep;
use crate::http::framing::Body;
use crate::http::head::{HeadLimits, HeadScan};
use crate::net::Net;
use crate::planted::{self, Bug};
use crate::time::Time;
use crate::transport::io::Io;
use crate::transport::pipe::Piped;
use crate::transport::pool::Connection;
use crate::transport::socket::Moved;
use crate::transport::tunnel::Tunnel;
use crate::upstream::group::Verdict;
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

impl<N: Net> Exchange<N> {
    /// Reads from the server if there is room. Whether anything moved.
    pub(super) fn receive(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Stop> {
        let coding = match &self.download.phase {
            Phase::Tunnel(_) | Phase::Ended { .. } => return Ok(false),
            Phase::Body { coding, .. } => Some(*coding),
            Phase::AwaitingHead { .. } => None,
        };
        if let Some(moved) = self.receive_bulk(client, context)? {
            return Ok(moved);
        }
        let Link::Open { connection, .. } = &mut self.link else { return Ok(false) };
        let download = &mut self.download;
        let awaiting = matches!(download.phase, Phase::AwaitingHead { .. });
        let in_hand = if awaiting { download.out.len() } else { download.raw.len() };
        if !connection.socket.is_readable() || in_hand >= RELAY_BUFFER {
            return Ok(false);
        }
        let moved = match coding {
            Some(Coding::Chunks) if download.is_pending() => return Ok(false),
            Some(Coding::Chunks) => {
                context.io.scratch.resize(RELAY_BUFFER, 0);
                connection.socket.read(&mut context.io.scratch)
            }
            Some(Coding::AsIs | Coding::DataOnly) | None => {
                if download.raw.len() >= RELAY_BUFFER && context.io.buffers.is_exhausted() {
                    let why = "The proxy has no memory for a response head of this size now.";
                    return Err(self.give_up(Refusal { status: 503, why }, client, context));
                }
                let capacity = (download.raw.len() + 1).max(RELAY_BUFFER);
                context.io.buffers.make_room(&mut download.raw, capacity);
                connection.socket.read(download.raw.room())
            }
        };
        match moved {
            Moved::Bytes(count) => {
                // While the client takes nothing its silence counts, whatever the server says.
                if !download.is_pending() {
                    download.since = context.io.now;
                }
                if let Some(attempt) = self.account.current() {
                    attempt.received += count as u64;
                }
                match coding {
                    Some(Coding::Chunks) => self.chunk(count, context),
                    Some(Coding::AsIs | Coding::DataOnly) | None => {
                        self.download.raw.filled(count);
                        self.digest(client, context)?;
                    }
                }
                Ok(true)
            }
            Moved::Wait => {
                context.io.buffers.settle(&mut download.raw);
                Ok(false)
            }
            Moved::End => {
                context.io.buffers.settle(&mut download.raw);
                self.server_ended(client, context)?;
                Ok(true)
            }
            Moved::Failed(_) => {
                context.io.buffers.settle(&mut download.raw);
                Err(match self.download.phase {
                    Phase::AwaitingHead { .. } => self.fail(Failure::Reset, client, context),
                    Phase::Body { .. } if planted::is(Bug::RetriedAfterFirstByte) => {
                        self.fail(Failure::Reset, client, context)
                    }
                    Phase::Body { .. } | Phase::Tunnel(_) | Phase::Ended { .. } => {
                        self.cut(context)
                    }
                })
            }
        }
    }

    /// Makes sense of the bytes in hand.
    fn digest(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Result<(), Stop> {
        // Each turn but the last takes an interim response, and those are counted.
        loop {
            match &mut self.download.phase {
                Phase::AwaitingHead { scan } => {
                    let bytes = self.download.raw.bytes();
                    let proxy = match &location_of(&self.config, self.site).map(|at| &at.action) {
                        Some(crate::config::model::Action::Proxy(proxy)) => proxy,
                        Some(_) | None => return Ok(()),
                    };
                    let limits = HeadLimits { line: proxy.head_limit, total: proxy.head_limit };
                    match scan.end(bytes, limits) {
                        Err(_) => return Err(self.fail(Failure::BadHead, client, context)),
                        Ok(None) => return Ok(()),
                        Ok(Some(length)) => self.take_head(length, client, context)?,
                    }
                }
                Phase::Body { .. } => {
                    return self.digest_body(context);
                }
                Phase::Tunnel(_) | Phase::Ended { .. } => return Ok(()),
            }
        }
    }

    /// The body's part of what came with the head, or its end if there is none.
    pub(super) fn begun(&mut self, context: &mut Context<N>) -> Result<(), Stop> {
        match &self.download.phase {
            Phase::Body { coding: Coding::Chunks, .. } => {
                let raw = std::mem::take(&mut self.download.raw);
                context.io.scratch.clear();
                context.io.scratch.extend_from_slice(raw.bytes());
                self.download.raw = raw;
                context.io.buffers.clear(&mut self.download.raw);
                let count = context.io.scratch.len();
                self.chunk(count, context);
            }
            Phase::Body { .. } => return self.digest_body(context),
            Phase::Tunnel(_) | Phase::AwaitingHead { .. } | Phase::Ended { .. } => {}
        }
        Ok(())
    }

    /// Finds out which bytes in hand may go to the client.
    fn digest_body(&mut self, context: &mut Context<N>) -> Result<(), Stop> {
        let download = &mut self.download;
        let Phase::Body { body, coding, .. } = &mut download.phase else { return Ok(()) };
        let keep = match coding {
            Coding::AsIs => Keep::Framing,
            Coding::DataOnly | Coding::Chunks => Keep::Data,
        };
        let bytes = &mut download.raw.bytes_mut()[download.ready..];
        let Ok(scan) = body.scan(bytes, keep) else { return Err(self.cut(context)) };
        let done = body.is_done();
        download.raw.cut(download.ready + scan.kept, download.ready + scan.consumed);
        download.ready += scan.kept;
        if let Some(attempt) = self.account.current() {
            attempt.length += scan.kept as u64;
        }
        if done {
            self.response_complete(context);
        }
        Ok(())
    }

    /// Puts `count` bytes that were read into a chunk.
    fn chunk(&mut self, count: usize, context: &mut Context<N>) {
        if count == 0 {
            return;
        }
        if let Some(attempt) = self.account.current() {
            attempt.length += count as u64;
        }
        let mut line = [0; 20];
        let mut rest = &mut line[..];
        // 16 digits are enough for any count.
        let _ = write!(rest, "{count:x}\r\n");
        let length = 20 - rest.len();
        let (pool, raw) = (&mut context.io.buffers, &mut self.download.raw);
        pool.append(raw, &line[..length]);
        pool.append(raw, &context.io.scratch[..count]);
        pool.append(raw, b"\r\n");
        self.download.ready = raw.len();
    }

    /// The last byte of the response is in hand: the server may serve others.
    pub(super) fn response_complete(&mut self, context: &mut Context<N>) {
        let Phase::Body { framed, persistent, .. } = self.download.phase else { return };
        let surplus = self.download.raw.len() > self.download.ready;
        self.download.raw.truncate(self.download.ready);
        self.download.phase = Phase::Ended { whole: true, framed };
        self.account.ended(None, context.io.now);
        let Link::Open { connection, pick, reusable, .. } =
            std::mem::replace(&mut self.link, Link::None)
        else {
            return;
        };
        let server = pick.server;
        self.conclude(pick, Verdict::Succeeded, context);
        let persistent = persistent || planted::is(Bug::ClosingConnectionPooled);
        let surplus = surplus && !planted::is(Bug::SurplusPooled);
        let sent = self.upload.is_sent() || planted::is(Bug::HalfSentConnectionPooled);
        let clean = reusable && persistent && !surplus && sent;
        match self.proxy().map(|proxy| proxy.group).filter(|_| clean) {
            Some(group) => {
                if let Some(connection) = silent(connection, context) {
                    let at = At { generation: self.generation, group, server };
                    context.servers.keep(at, connection, &mut context.io);
                }
            }
            None => context.io.close(connection.socket),
        }
    }

    /// The server sent its orderly end.
    pub(super) fn server_ended(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Stop> {
        // A reset is told only once: a write, or an event, may have been told of it before this
        // read, which then looks like an orderly end.
        let reset = match &self.link {
            Link::Open { connection, .. } => connection.socket.is_broken(),
            Link::Connecting { .. } | Link::None => false,
        };
        let reset = reset || self.upload.taker == Taker::Broken;
        match &mut self.download.phase {
            Phase::AwaitingHead { .. } => Err(self.fail(Failure::Closed, client, context)),
            Phase::Body { body: Body::UntilClose, .. } if reset => Err(self.cut(context)),
            Phase::Body { body: Body::UntilClose, coding, .. } => {
                if *coding == Coding::Chunks && !planted::is(Bug::LastChunkLost) {
                    context.io.buffers.append(&mut self.download.raw, b"0\r\n\r\n");
                    self.download.ready = self.download.raw.len();
                }
                self.response_complete(context);
                Ok(())
            }
            Phase::Body { .. } if planted::is(Bug::CutTakenForWhole) => {
                self.response_complete(context);
                Ok(())
            }
            Phase::Body { .. } => Err(self.cut(context)),
            Phase::Tunnel(_) | Phase::Ended { .. } => Ok(()),
        }
    }

    /// The response ends before its end: the client gets what is in hand, and has to see it.
    pub(super) fn cut(&mut self, context: &mut Context<N>) -> Stop {
        let framed = match &self.download.phase {
            Phase::Body { framed, .. } => *framed,
            Phase::Tunnel(_) | Phase::AwaitingHead { .. } | Phase::Ended { .. } => false,
        };
        context.complaints.tell(context.io.now, Topic::Servers, log::Level::Warn, || {
            let (from, request) = (self.server_words(), self.request_words());
            format!("{from}: the answer to {request} is cut short")
        });
        self.download.raw.truncate(self.download.ready);
        self.download.phase = Phase::Ended { whole: false, framed };
        self.drop_link(context);
        Stop::Turned
    }

    /// Writes to the client what may go. Whether anything moved.
    pub(super) fn deliver(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Stop> {
        let download = &mut self.download;
        if !download.is_pending() {
            return Ok(false);
        }
        if download.is_piping() {
            return self.deliver_bulk(client, context);
        }
        let (out, body) = (download.out.bytes(), &download.raw.bytes()[..download.ready]);
        let moved = match (out, body) {
            _ if self.unheard => Moved::Bytes(out.len() + body.len()),
            (only, []) | ([], only) => client.socket.write(&[IoSlice::new(only)]),
            (out, body) => client.socket.write(&[IoSlice::new(out), IoSlice::new(body)]),
        };
        match moved {
            Moved::Bytes(count) => {
                download.sent += count as u64;
                download.since = context.io.now;
                let of_out = count.min(download.out.len());
                download.out.consume(of_out);
                download.raw.consume(count - of_out);
                download.ready -= count - of_out;
                context.io.buffers.settle(&mut download.out);
                context.io.buffers.settle(&mut download.raw);
                Ok(true)
            }
            Moved::Wait => Ok(false),
            Moved::End | Moved::Failed(_) => self.client_left().map(|()| true),
        }
    }
}

/// The connection, if its server has said nothing beyond its response. Only a socket that is not
/// known to be drained has to be asked.
fn silent<N: Net>(
    mut connection: Connection<N>,
    context: &mut Context<N>,
) -> Option<Connection<N>> {
    if !connection.socket.is_readable() {
        return Some(connection);
    }
    match connection.socket.read(&mut [0; 1]) {
        Moved::Wait => Some(connection),
        Moved::Bytes(_) | Moved::End | Moved::Failed(_) => {
            context.io.close(connection.socket);
            None
        }
    }
}
