//! A client's connection that speaks HTTP/1.1: one exchange after another.

use std::sync::Arc;

use super::client::{Client, Facts};
use super::context::{Context, Fallen};
use super::exchange::{Ending, Exchange, Progress};
use super::request::{Refusal, Request};
use super::session::{CloseReason, Next};
use super::socket::{Moved, Socket};
use crate::buffer::Buffer;
use crate::config::model::{self, Lingering, LocationSettings};
use crate::http::head::{HeadLimits, HeadScan, empty_lines};
use crate::net::{Event, Net};
use crate::time::Time;

/// An HTTP session.
pub struct HttpSession<N: Net> {
    client: Client<N>,
    stage: Stage<N>,
}

enum Stage<N: Net> {
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
    Serving(Box<Exchange<N>>),
    /// Everything is said; what the client still sends is dropped, so that the answer is not
    /// destroyed by a reset. RFC 9112, section 9.6.
    Lingering { until: Time, deadline: Time, timeout: std::time::Duration },
}

impl<N: Net> HttpSession<N> {
    /// A session with a client that was just accepted.
    pub fn new(socket: Socket<N>, facts: Facts, context: &Context<N>) -> HttpSession<N> {
        let client = Client { socket, input: Buffer::default(), nodelay: true, facts };
        let timeout = settings(&client, context).map(|(limits, _)| limits.header_timeout);
        let deadline = context.now + timeout.unwrap_or_default();
        HttpSession { client, stage: Stage::Idle { deadline, skipped: 0 } }
    }

    /// Notes an event of the client's socket.
    pub fn note_client(&mut self, event: &Event) {
        self.client.socket.note(event);
    }

    /// Notes an event of the server's socket.
    pub fn note_upstream(&mut self, event: &Event) {
        if let Stage::Serving(exchange) = &mut self.stage {
            exchange.note_upstream(event);
        }
    }

    /// The moment by which something has to have happened.
    pub fn deadline(&self) -> Time {
        match &self.stage {
            Stage::Idle { deadline, .. }
            | Stage::ReadingHead { deadline, .. }
            | Stage::Lingering { deadline, .. } => *deadline,
            Stage::Serving(exchange) => exchange.deadline(),
        }
    }

    /// Whether nothing has been asked that is not answered.
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle { .. })
    }

    /// Does everything that can be done now.
    pub fn run(&mut self, context: &mut Context<N>) -> Next {
        for _ in 0..STAGES_A_RUN {
            let step = match &mut self.stage {
                Stage::Idle { .. } | Stage::ReadingHead { .. } => self.read_head(context),
                Stage::Serving(exchange) => {
                    let progress = exchange.run(&mut self.client, context);
                    self.after(progress, context)
                }
                Stage::Lingering { .. } => self.linger(context),
            };
            if let Some(next) = step {
                return next;
            }
        }
        Next::Again
    }

    /// Acts on the deadline, if it has passed.
    pub fn expire(&mut self, context: &mut Context<N>) -> Next {
        if self.deadline() > context.now {
            return Next::Wait;
        }
        match &mut self.stage {
            // Neither owes the other anything: an orderly end.
            Stage::Idle { .. } | Stage::Lingering { .. } => Next::Close(CloseReason::Done),
            Stage::ReadingHead { began, .. } => {
                let (began, why) = (*began, "The request head did not come in time.");
                self.refuse(began, Refusal { status: 408, why }, context);
                self.run(context)
            }
            Stage::Serving(exchange) => {
                let progress = exchange.expire(&mut self.client, context);
                self.after(progress, context).unwrap_or_else(|| self.run(context))
            }
        }
    }

    /// The listener that the client came through.
    pub fn listener(&self) -> usize {
        self.client.facts.listener
    }

    /// Whether a connect to this server is under way.
    pub fn is_connecting_to(&self, fallen: &Fallen) -> bool {
        match &self.stage {
            Stage::Serving(exchange) => exchange.is_connecting_to(fallen),
            Stage::Idle { .. } | Stage::ReadingHead { .. } | Stage::Lingering { .. } => false,
        }
    }

    /// A server went down: a connect that is still under way to it goes elsewhere.
    pub fn server_fell(&mut self, fallen: &Fallen, context: &mut Context<N>) -> Next {
        let Stage::Serving(exchange) = &mut self.stage else { return Next::Wait };
        if !exchange.is_connecting_to(fallen) {
            return Next::Wait;
        }
        let progress = match exchange.server_fell(&mut self.client, context) {
            Ok(()) => exchange.run(&mut self.client, context),
            Err(ending) => Progress::Over(ending),
        };
        self.after(progress, context).unwrap_or_else(|| self.run(context))
    }

    /// Ends the session: closes what is open and gives back what was lent.
    pub fn close(mut self, reason: CloseReason, context: &mut Context<N>) {
        let idle = Stage::Idle { deadline: Time::NEVER, skipped: 0 };
        if let Stage::Serving(exchange) = std::mem::replace(&mut self.stage, idle) {
            exchange.finish(&self.client, context);
        }
        match reason {
            // A client that only half closed, and reads on, must not take a part for the whole.
            CloseReason::Cut | CloseReason::TimedOut | CloseReason::ClientLeft => {
                self.client.socket.reset_on_close();
            }
            CloseReason::Done | CloseReason::Evicted => {}
        }
        context.buffers.clear(&mut self.client.input);
        context.close(self.client.socket);
    }

    /// Goes on after an exchange was called; none: there is more to do.
    fn after(&mut self, progress: Progress, context: &mut Context<N>) -> Option<Next> {
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
        exchange.finish(&self.client, context);
        let settings = super::context::settings(&config, site);
        let on = settings.lingering_close == Lingering::On;
        match ending {
            Ending::Keep => self.keep(settings, context),
            // Nothing was announced and nothing came that was not read: nothing can be destroyed.
            Ending::Linger if whole && on && self.is_silent() => {
                Some(Next::Close(CloseReason::Done))
            }
            Ending::Linger => self.begin_lingering(settings, settings.lingering_time, context),
            Ending::LingerBriefly => self.begin_lingering(settings, REFUSED_LINGER, context),
            Ending::Close => Some(Next::Close(CloseReason::Done)),
            Ending::Reset => Some(Next::Close(CloseReason::Cut)),
            Ending::ClientLeft => Some(Next::Close(CloseReason::ClientLeft)),
            Ending::TimedOut => Some(Next::Close(CloseReason::TimedOut)),
        }
    }

    /// Whether the client has sent nothing that is known of and was not used.
    fn is_silent(&self) -> bool {
        self.client.input.is_empty() && !self.client.socket.is_readable()
    }

    fn keep(&mut self, settings: &LocationSettings, context: &mut Context<N>) -> Option<Next> {
        let deadline = context.now + settings.keepalive_timeout.unwrap_or_default();
        self.stage = Stage::Idle { deadline, skipped: 0 };
        None
    }

    fn begin_lingering(
        &mut self,
        settings: &LocationSettings,
        time: std::time::Duration,
        context: &mut Context<N>,
    ) -> Option<Next> {
        context.buffers.clear(&mut self.client.input);
        match settings.lingering_close {
            Lingering::Off => Some(Next::Close(CloseReason::Done)),
            Lingering::On | Lingering::Always => {
                let until = context.now + time;
                let deadline = until.min(context.now + settings.lingering_timeout);
                self.client.socket.finish_writing();
                let timeout = settings.lingering_timeout;
                self.stage = Stage::Lingering { until, deadline, timeout };
                None
            }
        }
    }

    fn linger(&mut self, context: &mut Context<N>) -> Option<Next> {
        let Stage::Lingering { until, deadline, timeout } = &mut self.stage else { return None };
        context.scratch.bulk.resize(super::upload::RELAY_BUFFER, 0);
        for _ in 0..DISCARDED_READS {
            match self.client.socket.read(&mut context.scratch.bulk) {
                Moved::Bytes(_) => *deadline = (*until).min(context.now + *timeout),
                Moved::Wait => return Some(Next::Wait),
                Moved::End | Moved::Failed(_) => return Some(Next::Close(CloseReason::Done)),
            }
        }
        Some(Next::Again)
    }

    /// Reads until a head is whole; none: a request is being served now.
    fn read_head(&mut self, context: &mut Context<N>) -> Option<Next> {
        loop {
            if let Some(result) = self.scan_head(context) {
                return result;
            }
            let client = &mut self.client;
            if !client.socket.is_readable() {
                context.buffers.settle(&mut client.input);
                return Some(Next::Wait);
            }
            if client.input.len() >= FIRST_READ && context.buffers.is_exhausted() {
                let began = self.began(context.now);
                let why = "The proxy has no memory for a head of this size now.";
                return self.refuse(began, Refusal { status: 503, why }, context);
            }
            let client = &mut self.client;
            let capacity = (client.input.len() + 1).max(FIRST_READ);
            context.buffers.make_room(&mut client.input, capacity);
            match client.socket.read(client.input.room()) {
                Moved::Bytes(count) => client.input.filled(count),
                Moved::Wait => {
                    context.buffers.settle(&mut client.input);
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
            Stage::Idle { .. } | Stage::Serving(_) | Stage::Lingering { .. } => now,
        }
    }

    /// Looks at the bytes in hand: `Some` when the stage has changed or the session is over.
    fn scan_head(&mut self, context: &mut Context<N>) -> Option<Option<Next>> {
        if self.client.input.is_empty() {
            return None;
        }
        let Some((limits, _)) = settings(&self.client, context) else {
            return Some(Some(Next::Close(CloseReason::Evicted)));
        };
        let (timeout, limits) = (limits.header_timeout, head_limits(limits));
        if let Stage::Idle { skipped, .. } = &mut self.stage {
            let bytes = self.client.input.bytes();
            match empty_lines(bytes) {
                Ok(empty) if *skipped + empty <= MAX_SKIPPED => {
                    *skipped += empty;
                    self.client.input.consume(empty);
                }
                Ok(_) => return Some(self.refuse(context.now, empty_lines_refused(), context)),
                Err(e) => return Some(self.refuse(context.now, e.into(), context)),
            }
            if matches!(self.client.input.bytes(), [] | [b'\r']) {
                return None;
            }
            let (began, deadline) = (context.now, context.now + timeout);
            self.stage = Stage::ReadingHead { scan: HeadScan::default(), began, deadline };
        }
        let Stage::ReadingHead { scan, began, .. } = &mut self.stage else { return Some(None) };
        let began = *began;
        match scan.request_end(self.client.input.bytes(), limits) {
            Ok(None) => None,
            Ok(Some(length)) => {
                let mut request = Request::broken(self.take_head(length, context));
                let read = request.read();
                Some(self.serve(request, read, began, context))
            }
            Err(e) => Some(self.refuse(began, e.into(), context)),
        }
    }

    /// Moves the head's bytes into a buffer of their own.
    fn take_head(&mut self, length: usize, context: &mut Context<N>) -> Buffer {
        let mut head = Buffer::default();
        context.buffers.append(&mut head, &self.client.input.bytes()[..length]);
        self.client.input.consume(length);
        context.buffers.settle(&mut self.client.input);
        head
    }

    /// Answers instead of serving; what is in hand is dropped but for the first line.
    fn refuse(&mut self, began: Time, refusal: Refusal, context: &mut Context<N>) -> Option<Next> {
        let bytes = self.client.input.bytes();
        let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len()).min(KEPT_OF_REFUSED);
        let head = self.take_head(line, context);
        context.buffers.clear(&mut self.client.input);
        self.serve(Request::broken(head), Err(refusal), began, context)
    }

    fn serve(
        &mut self,
        request: Request,
        read: Result<(), Refusal>,
        began: Time,
        context: &mut Context<N>,
    ) -> Option<Next> {
        self.client.facts.requests += 1;
        self.client.socket.overlook_ending();
        let begun = Exchange::new(request, read, began, &mut self.client, context);
        let Some((exchange, begun)) = begun else {
            return Some(Next::Close(CloseReason::Evicted));
        };
        self.stage = Stage::Serving(Box::new(exchange));
        match begun {
            Ok(()) => None,
            Err(ending) => self.after(Progress::Over(ending), context),
        }
    }
}

/// The settings that apply before a virtual server is chosen: those of the listener's default.
fn settings<'a, N: Net>(
    client: &Client<N>,
    context: &'a Context<N>,
) -> Option<(&'a model::HeadLimits, &'a LocationSettings)> {
    let listen = context.listen(client.facts.listener)?;
    let server = &context.config().virtual_servers[listen.default_server.0];
    Some((&server.limits, &server.outside))
}

fn head_limits(limits: &model::HeadLimits) -> HeadLimits {
    HeadLimits {
        line: limits.large_buffer_size,
        total: limits.large_buffers * limits.large_buffer_size,
    }
}

fn empty_lines_refused() -> Refusal {
    crate::http::head::HeadError::EmptyLines.into()
}

/// Storage for the first read of a head: enough for all but a few.
const FIRST_READ: usize = 4 << 10;
/// Empty lines before one request, in bytes.
const MAX_SKIPPED: usize = crate::http::head::MAX_EMPTY_LINES * 2;
/// Stages one session may go through before the others get a turn.
const STAGES_A_RUN: usize = 16;
/// Reads of bytes that nobody wants before the others get a turn.
const DISCARDED_READS: usize = 8;
/// How much of a refused request's first line is kept for the log.
const KEPT_OF_REFUSED: usize = 4 << 10;
/// How long a refused client may go on sending into nothing.
const REFUSED_LINGER: std::time::Duration = std::time::Duration::from_secs(1);
