//! A client's connection that speaks HTTP/1.1: one exchange after another.

use std::sync::Arc;
use std::time::Duration;

use super::client::Client;
use super::complaints::Topic;
use super::context::Context;
use super::exchange::{Exchange, Progress};
use super::linger::Linger;
use super::next::{CloseReason, Next};
use super::opening::{Opened, open};
use super::request::{Refusal, Request};
use super::route::{head_limits, settings, tunnel_of};
use super::servers::News;
use super::shared::Shared;
use super::stop::{Ending, Stop};
use super::transit::{Route, Transit};
use crate::buffer::Buffer;
use crate::config::model::{Lingering, Listen, LocationSettings, VirtualServerId};
use crate::http::h2_preface::{self, Preface};
use crate::http::head::{HeadError, HeadLimits, HeadScan, empty_lines};
use crate::net::{Event, Net};
use crate::planted::{self, Bug};
use crate::recycle::Boxed;
use crate::time::Time;
use crate::transport::socket::Moved;

/// An HTTP session.
pub struct HttpSession<N: Net> {
    client: Client<N>,
    stage: Stage<N>,
}

enum Stage<N: Net> {
    /// The connection begins with a PROXY header, which is not whole.
    Opening { deadline: Time },
    /// Between requests: holds no buffer and no server.
    Idle {
        /// When the client will have waited for too long.
        deadline: Time,
        /// Empty lines passed over, in bytes.
        skipped: usize,
    },
    /// A request has begun.
    ReadingHead { scan: HeadScan, began: Time, deadline: Time },
    /// A request is being served.
    Serving(Boxed<Exchange<N>>),
    /// The client speaks HTTP/2, which passes unread.
    Carrying(Box<Transit<N>>),
    /// Everything is said; what the client still sends is dropped, so that the answer is not
    /// destroyed by a reset. RFC 9112, section 9.6.
    Lingering(Linger),
}

impl<N: Net> HttpSession<N> {
    /// A session with a client that was just accepted.
    pub fn new(client: Client<N>, listen: &Listen, context: &Context<N>) -> HttpSession<N> {
        let deadline = first_deadline(&client, context);
        let stage = if listen.proxy_protocol {
            Stage::Opening { deadline }
        } else {
            Stage::Idle { deadline, skipped: 0 }
        };
        HttpSession { client, stage }
    }

    /// Notes an event of the client's socket.
    pub fn note_client(&mut self, event: &Event) {
        self.client.socket.note(event);
    }

    /// Notes an event of the server's socket.
    pub fn note_upstream(&mut self, event: &Event) {
        match &mut self.stage {
            Stage::Serving(exchange) => exchange.note_upstream(event),
            Stage::Carrying(transit) => transit.note_upstream(event),
            Stage::Opening { .. }
            | Stage::Idle { .. }
            | Stage::ReadingHead { .. }
            | Stage::Lingering(_) => {}
        }
    }

    /// The moment by which something has to have happened.
    pub fn deadline(&self) -> Time {
        match &self.stage {
            Stage::Opening { deadline }
            | Stage::Idle { deadline, .. }
            | Stage::ReadingHead { deadline, .. } => *deadline,
            Stage::Lingering(linger) => linger.deadline,
            Stage::Serving(exchange) => exchange.deadline(),
            Stage::Carrying(transit) => transit.deadline(),
        }
    }

    /// Whether nothing has been asked that is not answered.
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Opening { .. } | Stage::Idle { .. })
    }

    /// Whether it is a tunnel whose owner comes again when it is closed.
    pub fn comes_again(&self) -> bool {
        matches!(&self.stage, Stage::Carrying(transit) if transit.comes_again())
    }

    /// Goes over to the newest configuration, if it is such a tunnel and its server stays. Whether it
    /// did.
    pub fn adopt_newest(&mut self, context: &mut Context<N>) -> bool {
        match &mut self.stage {
            Stage::Carrying(transit) => transit.adopt_newest(&self.client, context),
            Stage::Opening { .. }
            | Stage::Idle { .. }
            | Stage::ReadingHead { .. }
            | Stage::Serving(_)
            | Stage::Lingering(_) => false,
        }
    }

    /// Does everything that can be done now.
    pub fn run(&mut self, shared: &mut Shared<N>) -> Next {
        for _ in 0..STAGES_A_RUN {
            let step = match &mut self.stage {
                Stage::Opening { .. } => self.open(&mut shared.context),
                Stage::Carrying(transit) => {
                    Some(transit.run(&mut self.client, &mut shared.context))
                }
                Stage::Idle { .. } | Stage::ReadingHead { .. } => self.read_head(shared),
                Stage::Serving(exchange) => {
                    let progress = exchange.run(&mut self.client, &mut shared.context);
                    self.after(progress, shared)
                }
                Stage::Lingering(linger) => {
                    Some(linger.run(&mut self.client.socket, &mut shared.context.io))
                }
            };
            if let Some(next) = step {
                return next;
            }
        }
        Next::Again
    }

    /// Acts on the deadline, if it has passed.
    pub fn expire(&mut self, shared: &mut Shared<N>) -> Next {
        if self.deadline() > shared.context.io.now && !planted::is(Bug::AlarmBelieved) {
            return Next::Wait;
        }
        match &mut self.stage {
            // Neither owes the other anything: an orderly end.
            Stage::Opening { .. } | Stage::Idle { .. } | Stage::Lingering(_) => {
                Next::Close(CloseReason::Done)
            }
            Stage::Carrying(transit) => transit.expire(&mut self.client, &mut shared.context),
            Stage::ReadingHead { began, .. } => {
                let (began, why) = (*began, "The request head did not come in time.");
                self.refuse(began, Refusal { status: 408, why }, shared);
                self.run(shared)
            }
            Stage::Serving(exchange) => {
                let progress = exchange.expire(&mut self.client, &mut shared.context);
                self.after(progress, shared).unwrap_or_else(|| self.run(shared))
            }
        }
    }

    /// The listener that the client came through.
    pub fn listener(&self) -> u32 {
        self.client.facts.listener
    }

    /// Whether what happened to a server makes this session go elsewhere.
    pub fn is_moved_by(&self, news: &News) -> bool {
        match &self.stage {
            Stage::Serving(exchange) => exchange.is_moved_by(news),
            Stage::Carrying(transit) => transit.is_moved_by(news),
            Stage::Opening { .. }
            | Stage::Idle { .. }
            | Stage::ReadingHead { .. }
            | Stage::Lingering(_) => false,
        }
    }

    /// Goes elsewhere.
    pub fn shift(&mut self, shared: &mut Shared<N>) -> Next {
        let progress = match &mut self.stage {
            Stage::Serving(exchange) => {
                match exchange.server_fell(&mut self.client, &mut shared.context) {
                    Stop::Turned => exchange.run(&mut self.client, &mut shared.context),
                    Stop::Over(ending) => Progress::Over(ending),
                }
            }
            Stage::Carrying(transit) => {
                return transit.shift(&mut self.client, &mut shared.context);
            }
            Stage::Opening { .. }
            | Stage::Idle { .. }
            | Stage::ReadingHead { .. }
            | Stage::Lingering(_) => Progress::Wait,
        };
        self.after(progress, shared).unwrap_or_else(|| self.run(shared))
    }

    /// Ends the session: closes what is open and gives back what was lent.
    pub fn close(mut self, reason: CloseReason, shared: &mut Shared<N>) {
        let idle = Stage::Idle { deadline: Time::NEVER, skipped: 0 };
        match std::mem::replace(&mut self.stage, idle) {
            Stage::Serving(exchange) => self.finish(exchange, shared),
            Stage::Carrying(transit) => transit.finish(&mut self.client, &mut shared.context),
            Stage::Opening { .. }
            | Stage::Idle { .. }
            | Stage::ReadingHead { .. }
            | Stage::Lingering(_) => {}
        }
        match reason {
            // A client that only half closed, and reads on, must not take a part for the whole.
            CloseReason::Cut | CloseReason::TimedOut | CloseReason::ClientLeft => {
                self.client.socket.reset_on_close();
            }
            CloseReason::Done | CloseReason::Evicted => {}
        }
        shared.context.io.buffers.clear(&mut self.client.input);
        shared.context.io.close(self.client.socket);
    }

    /// Goes on after an exchange was called; none: there is more to do.
    fn after(&mut self, progress: Progress, shared: &mut Shared<N>) -> Option<Next> {
        let ending = match progress {
            Progress::Wait => return Some(Next::Wait),
            Progress::Again => return Some(Next::Again),
            Progress::Over(ending) => ending,
        };
        let idle = Stage::Idle { deadline: Time::NEVER, skipped: 0 };
        let Stage::Serving(exchange) = std::mem::replace(&mut self.stage, idle) else {
            return Some(Next::Close(CloseReason::Done));
        };
        let config = Arc::clone(&exchange.config);
        let site = exchange.site;
        let whole = exchange.upload.body.is_done();
        self.finish(exchange, shared);
        let settings = settings(&config, site);
        let on = settings.lingering_close == Lingering::On;
        match ending {
            Ending::Keep => self.keep(settings, &mut shared.context),
            // Nothing was announced and nothing came that was not read: nothing can be destroyed.
            Ending::Linger if whole && on && self.is_silent() => {
                Some(Next::Close(CloseReason::Done))
            }
            Ending::Linger => {
                self.begin_lingering(settings, settings.lingering_time, &mut shared.context)
            }
            Ending::LingerBriefly => {
                self.begin_lingering(settings, REFUSED_LINGER, &mut shared.context)
            }
            Ending::Close => Some(Next::Close(CloseReason::Done)),
            Ending::Reset => Some(Next::Close(CloseReason::Cut)),
            Ending::ClientLeft => Some(Next::Close(CloseReason::ClientLeft)),
            Ending::TimedOut => Some(Next::Close(CloseReason::TimedOut)),
        }
    }

    fn finish(&self, mut exchange: Boxed<Exchange<N>>, shared: &mut Shared<N>) {
        exchange.finish(&self.client, &mut shared.context);
        shared.exchanges.clear(exchange);
    }

    /// Whether the client has sent nothing that is known of and was not used.
    fn is_silent(&self) -> bool {
        self.client.input.is_empty() && !self.client.socket.is_readable()
    }

    fn keep(&mut self, settings: &LocationSettings, context: &mut Context<N>) -> Option<Next> {
        let late = planted::is(Bug::KeepaliveDeadlineKept);
        let since = if late { self.client.facts.accepted } else { context.io.now };
        let deadline = since + settings.keepalive_timeout.unwrap_or_default();
        self.stage = Stage::Idle { deadline, skipped: 0 };
        planted::is(Bug::RestOfInputForgotten).then_some(Next::Wait)
    }

    fn begin_lingering(
        &mut self,
        settings: &LocationSettings,
        time: Duration,
        context: &mut Context<N>,
    ) -> Option<Next> {
        context.io.buffers.clear(&mut self.client.input);
        match settings.lingering_close {
            Lingering::On if planted::is(Bug::LingeringLeftOut) => {
                Some(Next::Close(CloseReason::Done))
            }
            Lingering::Off => Some(Next::Close(CloseReason::Done)),
            Lingering::On | Lingering::Always => {
                let (timeout, now) = (settings.lingering_timeout, context.io.now);
                let socket = &mut self.client.socket;
                self.stage = Stage::Lingering(Linger::begin(time, timeout, socket, now));
                None
            }
        }
    }

    /// Reads until a head is whole; none: a request is being served now.
    fn read_head(&mut self, shared: &mut Shared<N>) -> Option<Next> {
        loop {
            if let Some(result) = self.scan_head(shared) {
                return result;
            }
            let client = &mut self.client;
            if !client.socket.is_readable() {
                shared.context.io.buffers.settle(&mut client.input);
                return Some(Next::Wait);
            }
            if client.input.len() >= FIRST_READ && shared.context.io.buffers.is_exhausted() {
                let began = self.began(shared.context.io.now);
                let why = "The proxy has no memory for a head of this size now.";
                return self.refuse(began, Refusal { status: 503, why }, shared);
            }
            let client = &mut self.client;
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

    /// When the head being read began.
    fn began(&self, now: Time) -> Time {
        match &self.stage {
            Stage::ReadingHead { began, .. } => *began,
            Stage::Opening { .. }
            | Stage::Idle { .. }
            | Stage::Serving(_)
            | Stage::Carrying(_)
            | Stage::Lingering(_) => now,
        }
    }

    /// Looks at the bytes in hand: `Some` when the stage has changed or the session is over.
    fn scan_head(&mut self, shared: &mut Shared<N>) -> Option<Option<Next>> {
        if self.client.input.is_empty() {
            return None;
        }
        let Some((limits, timeout)) = limits(&self.client, &shared.context) else {
            return Some(Some(Next::Close(CloseReason::Evicted)));
        };
        let is_new = matches!(self.stage, Stage::Idle { skipped: 0, .. });
        let preface = match self.client.facts.requests {
            0 if is_new => h2_preface::look(self.client.input.bytes()),
            _ => Preface::No,
        };
        match (preface, tunnel(&self.client, &shared.context)) {
            (Preface::Part, Some(_)) => return None,
            (Preface::Whole, Some(server)) => {
                let transit =
                    Transit::new(Route::H2c(server), None, &self.client, &mut shared.context);
                self.stage = Stage::Carrying(Box::new(transit));
                return Some(None);
            }
            (Preface::No | Preface::Part | Preface::Whole, _) => {}
        }
        if let Stage::Idle { skipped, .. } = &mut self.stage {
            let empty = match empty_lines(self.client.input.bytes()) {
                Ok(empty) if *skipped + empty <= MAX_SKIPPED => empty,
                Ok(_) | Err(_) => {
                    let refusal = HeadError::EmptyLines.into();
                    return Some(self.refuse(shared.context.io.now, refusal, shared));
                }
            };
            *skipped += empty;
            self.client.input.consume(empty);
            if matches!(self.client.input.bytes(), [] | [b'\r']) {
                return None;
            }
            let (began, deadline) = (shared.context.io.now, shared.context.io.now + timeout);
            self.stage = Stage::ReadingHead { scan: HeadScan::default(), began, deadline };
        }
        let Stage::ReadingHead { scan, began, .. } = &mut self.stage else { return Some(None) };
        let began = *began;
        match scan.request_end(self.client.input.bytes(), limits) {
            Ok(None) => None,
            Ok(Some(length)) => {
                let mut request = Request::broken(
                    self.take_head(length, &mut shared.context),
                    shared.context.places.take(),
                );
                let read = request.read();
                Some(self.serve(request, read, began, shared))
            }
            Err(e) => Some(self.refuse(began, e.into(), shared)),
        }
    }

    /// Reads the PROXY header that the connection begins with.
    fn open(&mut self, context: &mut Context<N>) -> Option<Next> {
        match open(&mut self.client, context) {
            Opened::Waits => Some(Next::Wait),
            Opened::Never => Some(Next::Close(CloseReason::ClientLeft)),
            Opened::Yes => {
                let deadline = first_deadline(&self.client, context);
                self.stage = Stage::Idle { deadline, skipped: 0 };
                None
            }
        }
    }

    /// Moves the head's bytes into a buffer of their own.
    fn take_head(&mut self, length: usize, context: &mut Context<N>) -> Buffer {
        let mut head = Buffer::default();
        context.io.buffers.append(&mut head, &self.client.input.bytes()[..length]);
        self.client.input.consume(length);
        context.io.buffers.settle(&mut self.client.input);
        head
    }

    /// Answers instead of serving; what is in hand is dropped but for the first line.
    fn refuse(&mut self, began: Time, refusal: Refusal, shared: &mut Shared<N>) -> Option<Next> {
        let bytes = self.client.input.bytes();
        let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len()).min(KEPT_OF_REFUSED);
        let head = self.take_head(line, &mut shared.context);
        shared.context.io.buffers.clear(&mut self.client.input);
        self.serve(Request::broken(head, Vec::new()), Err(refusal), began, shared)
    }

    fn serve(
        &mut self,
        request: Request,
        read: Result<(), Refusal>,
        began: Time,
        shared: &mut Shared<N>,
    ) -> Option<Next> {
        self.client.facts.requests += 1;
        self.client.socket.overlook_ending();
        if read.is_err() && request.line() == h2_preface::LINE {
            let carries = tunnel(&self.client, &shared.context).is_some();
            shared.context.complaints.tell(
                shared.context.io.now,
                Topic::Clients,
                log::Level::Warn,
                || {
                    let peer = &self.client.facts.peer;
                    let why = if carries {
                        "\"h2c_tunnel\" carries on only what a connection begins with"
                    } else {
                        "\"h2c_tunnel on\" carries it on"
                    };
                    format!("{peer} speaks HTTP/2 and is refused: {why}")
                },
            );
        }
        let begun = Exchange::new(request, read, began, &mut self.client, &mut shared.context);
        let Some((exchange, begun)) = begun else {
            return Some(Next::Close(CloseReason::Evicted));
        };
        self.stage = Stage::Serving(shared.exchanges.put(exchange));
        match begun {
            Ok(()) => None,
            Err(ending) => self.after(Progress::Over(ending), shared),
        }
    }
}

/// The server whose `h2c_tunnel` carries connections on that come in where this one did.
fn tunnel<N: Net>(client: &Client<N>, context: &Context<N>) -> Option<VirtualServerId> {
    tunnel_of(context.servers.config(), context.servers.listen(client.facts.listener)?)
}

/// How large heads may be, and how long they may take.
fn limits<N: Net>(client: &Client<N>, context: &Context<N>) -> Option<(HeadLimits, Duration)> {
    let listen = context.servers.listen(client.facts.listener)?;
    let limits = head_limits(context.servers.config(), listen)?;
    let line = limits.large_buffer_size;
    let total = limits.large_buffers * limits.large_buffer_size;
    Some((HeadLimits { line, total }, limits.header_timeout))
}

/// When a client that was just accepted will have been silent for too long.
fn first_deadline<N: Net>(client: &Client<N>, context: &Context<N>) -> Time {
    context.io.now + limits(client, context).map(|(_, timeout)| timeout).unwrap_or_default()
}

/// Storage for the first read of a head: enough for all but a few.
const FIRST_READ: usize = 4 << 10;
/// Empty lines before one request, in bytes.
const MAX_SKIPPED: usize = crate::http::head::MAX_EMPTY_LINES * 2;
/// Stages one session may go through before the others get a turn.
const STAGES_A_RUN: usize = 16;
/// How much of a refused request's first line is kept for the log.
const KEPT_OF_REFUSED: usize = 4 << 10;
/// How long a refused client may go on sending into nothing.
const REFUSED_LINGER: Duration = Duration::from_secs(1);
