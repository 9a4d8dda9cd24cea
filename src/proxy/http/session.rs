//! A client's connection that speaks HTTP/1.1, with one exchange after another.

use std::sync::Arc;
use std::time::Duration;

use super::admission::admit;
use super::asked::Asked;
use super::ending::Ending;
use super::exchange::Exchange;
use super::h2c;
use super::linger::Linger;
use super::request::Request;
use super::route::{head_limits, settings};
use super::transition::ExchangeEvent;
use super::turn::Over;
use super::upload::Upload;
use crate::buffer::Buffer;
use crate::config::model::{Lingering, LocationSettings, VirtualServerId};
use crate::http::framing::{Body, Framing};
use crate::http::h2_preface::{self, Preface};
use crate::http::head::{HeadError, HeadLimits, HeadScan, empty_lines};
use crate::http::refusal::Refusal;
use crate::net::{Event, Net};
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::news::News;
use crate::proxy::next::{CloseReason, Expendable, Next};
use crate::proxy::shared::Shared;
use crate::recycle::Boxed;
use crate::time::Time;
use crate::transport::socket::Moved;
use crate::upstream::group::At;

/// An HTTP session.
pub struct HttpSession<N: Net> {
    stage: Stage<N>,
}

enum Stage<N: Net> {
    /// Between requests: holds no buffer and no server.
    Idle {
        /// When the last answer ended, or the client was accepted.
        since: Time,
        /// When the client has waited too long.
        deadline: Time,
        /// Bytes of empty lines skipped.
        skipped: usize,
    },
    /// A request has begun, and its head is incomplete.
    ReadingHead { scan: HeadScan, began: Time, deadline: Time },
    /// A request is being served.
    Serving(Boxed<Exchange<N>>),
    /// Bytes pass unread from now on, in a tunnel that another session type runs.
    HandingOver(Handover<N>),
    /// The answer is sent. Bytes that still arrive are dropped, because a reset could destroy the
    /// answer before it is read. RFC 9112, section 9.6.
    Lingering(Linger),
}

impl<N: Net> Stage<N> {
    /// Replaces a stage that is taken out.
    const IDLE: Stage<N> = Stage::Idle { since: Time::NEVER, deadline: Time::NEVER, skipped: 0 };
}

/// A connection that stops being an HTTP session.
pub enum Handover<N: Net> {
    /// The client speaks HTTP/2, and this server's `h2c_tunnel` takes it.
    H2c(VirtualServerId),
    /// Both sides of an exchange agreed on another protocol.
    Upgraded(Boxed<Exchange<N>>),
}

impl<N: Net> HttpSession<N> {
    /// A session whose client has not sent anything yet.
    pub fn new(client: &Client<N>, context: &Context<N>) -> HttpSession<N> {
        let timeout = limits(client, context).map(|(_, timeout)| timeout);
        let deadline = context.io.now + timeout.unwrap_or_default();
        HttpSession { stage: Stage::Idle { since: client.facts.accepted, deadline, skipped: 0 } }
    }

    /// Notes an event of the server's socket.
    pub fn note_upstream(&mut self, event: &Event) {
        if let Stage::Serving(exchange) | Stage::HandingOver(Handover::Upgraded(exchange)) =
            &mut self.stage
        {
            exchange.note_upstream(event);
        }
    }

    /// When something must have happened at the latest.
    pub fn deadline(&self) -> Time {
        match &self.stage {
            Stage::Idle { deadline, .. } | Stage::ReadingHead { deadline, .. } => *deadline,
            Stage::Lingering(linger) => linger.deadline,
            Stage::Serving(exchange) => exchange.deadline(),
            Stage::HandingOver(_) => Time::NEVER,
        }
    }

    /// Whether no request is waiting for a response.
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle { .. })
    }

    /// What closing it to make room would lose; `None` if it must not be closed.
    pub fn expendable(&self) -> Option<Expendable> {
        match &self.stage {
            Stage::Idle { since, .. } => Some(Expendable::Idle { since: *since }),
            Stage::Lingering(_) => Some(Expendable::Lingering),
            Stage::ReadingHead { began, .. } => Some(Expendable::Head { began: *began }),
            Stage::Serving(_) | Stage::HandingOver(_) => None,
        }
    }

    /// Refuses the head that is being read; closes the connection if there is none.
    pub fn refuse_head(
        &mut self,
        refusal: Refusal,
        client: &mut Client<N>,
        shared: &mut Shared<N>,
    ) -> Next {
        let Stage::ReadingHead { began, .. } = self.stage else {
            return Next::Close(CloseReason::Evicted);
        };
        self.refuse(began, refusal, client, shared).unwrap_or_else(|| self.run(client, shared))
    }

    /// Takes what is handed over, if anything is, which ends this session.
    pub fn hand_over(&mut self) -> Option<Handover<N>> {
        if !matches!(self.stage, Stage::HandingOver(_)) {
            return None;
        }
        match std::mem::replace(&mut self.stage, Stage::IDLE) {
            Stage::HandingOver(handover) => Some(handover),
            Stage::Idle { .. }
            | Stage::ReadingHead { .. }
            | Stage::Serving(_)
            | Stage::Lingering(_) => None,
        }
    }

    /// Why it must be closed if its current work began with this configuration or an older one.
    pub fn outlives(&self, generation: u64) -> Option<CloseReason> {
        // Without an exchange, the next request will use the newest configuration.
        let began_with = self.exchange()?.asked.generation;
        (began_with <= generation).then_some(CloseReason::Cut)
    }

    /// Does everything that can be done now.
    pub fn run(&mut self, client: &mut Client<N>, shared: &mut Shared<N>) -> Next {
        for _ in 0..STAGES_A_RUN {
            let step = match &mut self.stage {
                Stage::Idle { .. } | Stage::ReadingHead { .. } => self.read_head(client, shared),
                Stage::Serving(_) => self.relay(client, shared),
                Stage::HandingOver(_) => return Next::Again,
                Stage::Lingering(linger) => {
                    Some(linger.run(&mut client.socket, &mut shared.context.io))
                }
            };
            if let Some(next) = step {
                return next;
            }
        }
        Next::Again
    }

    /// Acts on the deadline, which has passed.
    pub fn expire(&mut self, client: &mut Client<N>, shared: &mut Shared<N>) -> Next {
        match &mut self.stage {
            // Neither side waits for the other: an orderly end.
            Stage::Idle { .. } | Stage::Lingering(_) => Next::Close(CloseReason::Done),
            Stage::HandingOver(_) => Next::Again,
            Stage::ReadingHead { .. } => self.refuse_head(Refusal::HeadTimedOut, client, shared),
            Stage::Serving(exchange) => match exchange.expired(shared.context.io.now) {
                Some(event) => self.react(event, client, shared),
                None => Next::Wait,
            },
        }
    }

    /// Runs rounds of the exchange while bytes move, up to the limit for one turn.
    fn relay(&mut self, client: &mut Client<N>, shared: &mut Shared<N>) -> Option<Next> {
        let Stage::Serving(exchange) = &mut self.stage else { return None };
        for _ in 0..shared.context.io.tuning.relay_rounds {
            match exchange.round(client, &mut shared.context) {
                Ok(true) => {}
                Ok(false) => return Some(Next::Wait),
                Err(over) => return self.after(over, client, shared),
            }
        }
        Some(Next::Again)
    }

    /// Passes an event to the exchange.
    fn react(
        &mut self,
        event: ExchangeEvent,
        client: &mut Client<N>,
        shared: &mut Shared<N>,
    ) -> Next {
        let Stage::Serving(exchange) = &mut self.stage else { return Next::Wait };
        let next = match exchange.react(event, client, &mut shared.context) {
            Ok(()) => None,
            Err(over) => self.after(over, client, shared),
        };
        next.unwrap_or_else(|| self.run(client, shared))
    }

    fn exchange(&self) -> Option<&Exchange<N>> {
        if let Stage::Serving(exchange) = &self.stage { Some(exchange) } else { None }
    }

    /// Whether a server's change makes this session move to another server.
    pub fn is_moved_by(&self, news: &News) -> bool {
        self.exchange().is_some_and(|exchange| exchange.is_moved_by(news))
    }

    /// Whether bytes of this server have come since then.
    pub fn has_heard(&self, at: At, since: Time) -> bool {
        self.exchange().is_some_and(|exchange| exchange.has_heard(at, since))
    }

    /// Moves to another server.
    pub fn shift(&mut self, client: &mut Client<N>, shared: &mut Shared<N>) -> Next {
        match self.exchange().map(Exchange::moved) {
            Some(event) => self.react(event, client, shared),
            None => Next::Wait,
        }
    }

    /// Ends the exchange. The caller closes the client's connection next.
    pub fn close(self, reason: CloseReason, client: &mut Client<N>, shared: &mut Shared<N>) {
        if let Stage::Serving(exchange) | Stage::HandingOver(Handover::Upgraded(exchange)) =
            self.stage
        {
            finish(exchange, client, shared);
        }
        match reason {
            // A client that only half closed still reads, and must not take a part for the whole.
            CloseReason::Cut | CloseReason::TimedOut | CloseReason::ClientLeft => {
                client.socket.reset_on_close();
            }
            CloseReason::Done | CloseReason::Evicted => {}
        }
    }

    /// What the session does next after an exchange is over; `None` if it keeps running.
    fn after(
        &mut self,
        over: Over,
        client: &mut Client<N>,
        shared: &mut Shared<N>,
    ) -> Option<Next> {
        let Stage::Serving(exchange) = std::mem::replace(&mut self.stage, Stage::IDLE) else {
            return Some(Next::Close(CloseReason::Done));
        };
        let ending = match over {
            Over::Ended(ending) => ending,
            Over::Upgraded => {
                self.stage = Stage::HandingOver(Handover::Upgraded(exchange));
                return Some(Next::Again);
            }
        };
        let config = Arc::clone(&exchange.asked.config);
        let site = exchange.asked.site;
        let whole = exchange.has_received();
        finish(exchange, client, shared);
        let settings = settings(&config, site);
        let on = settings.lingering_close == Lingering::On;
        match ending {
            Ending::Keep => {
                let timeout = settings.keepalive_timeout.unwrap_or_default();
                let since = shared.context.io.now;
                let deadline = since + timeout;
                self.stage = Stage::Idle { since, deadline, skipped: 0 };
                None
            }
            // Everything the client sent is read, and nothing follows it: a close destroys no
            // answer.
            Ending::Linger if whole && on && is_silent(client) && client.socket.say_end() => {
                Some(Next::Close(CloseReason::Done))
            }
            Ending::Linger => self.linger(settings.lingering_time, settings, client, shared),
            Ending::LingerBriefly => self.linger(REFUSED_LINGER, settings, client, shared),
            Ending::Close => {
                client.socket.leave_end_unsaid();
                Some(Next::Close(CloseReason::Done))
            }
            Ending::Reset => Some(Next::Close(CloseReason::Cut)),
            Ending::ClientLeft => Some(Next::Close(CloseReason::ClientLeft)),
            Ending::TimedOut => Some(Next::Close(CloseReason::TimedOut)),
        }
    }

    /// Ends our side of the connection, and waits up to `time` for the client to close.
    fn linger(
        &mut self,
        time: Duration,
        settings: &LocationSettings,
        client: &mut Client<N>,
        shared: &mut Shared<N>,
    ) -> Option<Next> {
        shared.context.io.buffers.clear(&mut client.input);
        if settings.lingering_close == Lingering::Off && client.socket.say_end() {
            return Some(Next::Close(CloseReason::Done));
        }
        let (timeout, now) = (settings.lingering_timeout, shared.context.io.now);
        self.stage = Stage::Lingering(Linger::begin(time, timeout, &mut client.socket, now));
        None
    }

    /// Reads until a head is complete. `None` if a request is being served now.
    fn read_head(&mut self, client: &mut Client<N>, shared: &mut Shared<N>) -> Option<Next> {
        loop {
            if let Some(result) = self.scan_head(client, shared) {
                return result;
            }
            if !client.socket.is_readable() {
                shared.context.io.buffers.settle(&mut client.input);
                return Some(Next::Wait);
            }
            // For a head of ordinary size, other sessions must make room, within limits.
            let buffers = &shared.context.io.buffers;
            let large = client.input.len() >= LARGE_HEAD || buffers.is_overdrawn();
            if client.input.len() >= FIRST_READ && large && buffers.is_exhausted() {
                let began = self.began(shared.context.io.now);
                return self.refuse(began, Refusal::NoMemoryForHead, client, shared);
            }
            let capacity = (client.input.len() + 1).max(FIRST_READ);
            shared.context.io.buffers.make_room(&mut client.input, capacity);
            match client.socket.read(client.input.room()) {
                Moved::Bytes(count) => client.input.filled(count),
                Moved::Wait => {
                    shared.context.io.buffers.settle(&mut client.input);
                    return Some(Next::Wait);
                }
                Moved::End | Moved::Failed(_) => return Some(Next::Close(CloseReason::Done)),
            }
        }
    }

    fn began(&self, now: Time) -> Time {
        if let Stage::ReadingHead { began, .. } = self.stage { began } else { now }
    }

    /// Scans the buffered bytes: `Some` if the stage has changed or the session is over.
    fn scan_head(
        &mut self,
        client: &mut Client<N>,
        shared: &mut Shared<N>,
    ) -> Option<Option<Next>> {
        if client.input.is_empty() {
            return None;
        }
        let Some((limits, timeout)) = limits(client, &shared.context) else {
            return Some(Some(Next::Close(CloseReason::Evicted)));
        };
        let is_new = matches!(self.stage, Stage::Idle { skipped: 0, .. });
        let preface = match client.facts.requests {
            0 if is_new => h2_preface::look(client.input.bytes()),
            _ => Preface::No,
        };
        if preface != Preface::No
            && let Some(server) = h2c::tunnel(client, &mut shared.context)
        {
            if preface == Preface::Part {
                return None;
            }
            self.stage = Stage::HandingOver(Handover::H2c(server));
            return Some(Some(Next::Again));
        }
        if let Stage::Idle { skipped, .. } = &mut self.stage {
            let empty = match empty_lines(client.input.bytes()) {
                Ok(empty) if *skipped + empty <= MAX_SKIPPED => empty,
                Ok(_) | Err(_) => {
                    let refusal = Refusal::Head(HeadError::EmptyLines);
                    return Some(self.refuse(shared.context.io.now, refusal, client, shared));
                }
            };
            *skipped += empty;
            client.input.consume(empty);
            if matches!(client.input.bytes(), [] | [b'\r']) {
                return None;
            }
            let (began, deadline) = (shared.context.io.now, shared.context.io.now + timeout);
            self.stage = Stage::ReadingHead { scan: HeadScan::default(), began, deadline };
        }
        let Stage::ReadingHead { scan, began, .. } = &mut self.stage else { return Some(None) };
        let began = *began;
        match scan.request_end(client.input.bytes(), limits) {
            Ok(None) => None,
            Ok(Some(length)) => {
                let head = take_head(length, client, &mut shared.context);
                let (request, read) = Request::read(head, shared.context.places.take());
                Some(self.serve(request, read, began, client, shared))
            }
            Err(e) => Some(self.refuse(began, Refusal::Head(e), client, shared)),
        }
    }

    /// Answers with a refusal. Of the buffered bytes, only the first line is kept, for the log.
    fn refuse(
        &mut self,
        began: Time,
        refusal: Refusal,
        client: &mut Client<N>,
        shared: &mut Shared<N>,
    ) -> Option<Next> {
        let bytes = client.input.bytes();
        let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len()).min(KEPT_OF_REFUSED);
        let head = take_head(line, client, &mut shared.context);
        shared.context.io.buffers.clear(&mut client.input);
        self.serve(Request::unread(head), Err(refusal), began, client, shared)
    }

    fn serve(
        &mut self,
        request: Request,
        read: Result<(), Refusal>,
        began: Time,
        client: &mut Client<N>,
        shared: &mut Shared<N>,
    ) -> Option<Next> {
        client.facts.requests += 1;
        client.socket.overlook_ending();
        if read.is_err() && request.line() == h2_preface::LINE {
            h2c::say_refused(client, &mut shared.context);
        }
        let Some(asked) = Asked::place(request, read, began, client, &shared.context) else {
            return Some(Next::Close(CloseReason::Evicted));
        };
        let terms = asked.virtual_server().tls.as_ref();
        let read = read.and_then(|()| admit(client.facts.tls(), terms));
        let framing = if read.is_ok() { asked.request.framing } else { Framing::None };
        let (input, now) = (std::mem::take(&mut client.input), shared.context.io.now);
        let upload = Upload::new(Body::new(framing), input, now);
        let mut exchange = shared.exchanges.put(Exchange::new(asked, upload, now));
        let begun = exchange.begin(read, client, &mut shared.context);
        self.stage = Stage::Serving(exchange);
        begun.err().and_then(|over| self.after(over, client, shared))
    }
}

/// The limits for the size of a head, and the time it may take.
fn limits<N: Net>(client: &Client<N>, context: &Context<N>) -> Option<(HeadLimits, Duration)> {
    let listen = context.servers.listen(client.facts.listener)?;
    let limits = head_limits(context.servers.config(), listen)?;
    let line = limits.large_buffer_size;
    let total = limits.large_buffers * limits.large_buffer_size;
    Some((HeadLimits { line, total }, limits.header_timeout))
}

/// Moves the head into a buffer of its own.
fn take_head<N: Net>(length: usize, client: &mut Client<N>, context: &mut Context<N>) -> Buffer {
    let mut head = Buffer::default();
    context.io.buffers.append(&mut head, &client.input.bytes()[..length]);
    client.input.consume(length);
    context.io.buffers.settle(&mut client.input);
    head
}

/// Whether the client is not known to have sent any unused bytes.
fn is_silent<N: Net>(client: &Client<N>) -> bool {
    client.input.is_empty() && !client.socket.is_readable()
}

fn finish<N: Net>(
    mut exchange: Boxed<Exchange<N>>,
    client: &mut Client<N>,
    shared: &mut Shared<N>,
) {
    exchange.finish(client, &mut shared.context);
    shared.exchanges.clear(exchange);
}

/// Storage for the first read of a head: enough for most heads.
const FIRST_READ: usize = 4 << 10;
/// Heads of at least this size are the first to be refused when memory is short.
const LARGE_HEAD: usize = 64 << 10;
/// Bytes of empty lines allowed before a request.
const MAX_SKIPPED: usize = crate::http::head::MAX_EMPTY_LINES * 2;
/// Stages that one session may go through before other sessions get a turn.
const STAGES_A_RUN: usize = 16;
/// Bytes of a refused request's first line kept for the log.
const KEPT_OF_REFUSED: usize = 4 << 10;
/// How long the bytes of a refused client are read and dropped.
const REFUSED_LINGER: Duration = Duration::from_secs(1);
