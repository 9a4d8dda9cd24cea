//! A client's connection that speaks HTTP/1.1: one exchange after another.

use std::sync::Arc;
use std::time::Duration;

use crate::buffer::Buffer;
use crate::config::model::{Lingering, LocationSettings, VirtualServerId};
use crate::http::h2_preface::{self, Preface};
use crate::http::head::{HeadError, HeadLimits, HeadScan, empty_lines};
use crate::net::{Event, Net};
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::http::exchange::{Exchange, Progress};
use crate::proxy::http::linger::Linger;
use crate::proxy::http::request::{Refusal, Request};
use crate::proxy::http::route::{head_limits, settings, tunnel_of};
use crate::proxy::http::stop::{Ending, Stop};
use crate::proxy::log::limited_log::Topic;
use crate::proxy::next::{CloseReason, Expendable, Next};
use crate::proxy::servers::News;
use crate::proxy::shared::Shared;
use crate::recycle::Boxed;
use crate::time::Time;
use crate::transport::socket::Moved;

/// An HTTP session.
pub struct HttpSession<N: Net> {
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
    Serving(Boxed<Exchange<N>>),
    /// The client speaks HTTP/2, which this server carries on unread.
    HandingOver(VirtualServerId),
    /// Everything is said; what the client still sends is dropped, so that the answer is not
    /// destroyed by a reset. RFC 9112, section 9.6.
    Lingering(Linger),
}

impl<N: Net> HttpSession<N> {
    /// A session with a client that has asked nothing yet.
    pub fn new(client: &Client<N>, context: &Context<N>) -> HttpSession<N> {
        let timeout = limits(client, context).map(|(_, timeout)| timeout);
        let deadline = context.io.now + timeout.unwrap_or_default();
        HttpSession { stage: Stage::Idle { deadline, skipped: 0 } }
    }

    /// Notes an event of the server's socket.
    pub fn note_upstream(&mut self, event: &Event) {
        match &mut self.stage {
            Stage::Serving(exchange) => exchange.note_upstream(event),
            Stage::Idle { .. }
            | Stage::ReadingHead { .. }
            | Stage::HandingOver(_)
            | Stage::Lingering(_) => {}
        }
    }

    /// The moment by which something has to have happened.
    pub fn deadline(&self) -> Time {
        match &self.stage {
            Stage::Idle { deadline, .. } | Stage::ReadingHead { deadline, .. } => *deadline,
            Stage::Lingering(linger) => linger.deadline,
            Stage::Serving(exchange) => exchange.deadline(),
            Stage::HandingOver(_) => Time::NEVER,
        }
    }

    /// Whether nothing has been asked that is not answered.
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle { .. })
    }

    /// What is lost if it goes because there is no room; `None` if it may not go.
    pub fn expendable(&self) -> Option<Expendable> {
        match &self.stage {
            Stage::Idle { .. } => Some(Expendable::Idle),
            Stage::Lingering(_) => Some(Expendable::Lingering),
            Stage::ReadingHead { began, .. } => Some(Expendable::Head { began: *began }),
            Stage::Serving(_) | Stage::HandingOver(_) => None,
        }
    }

    /// Refuses the head that is being read, if there is one.
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

    /// The server whose `h2c_tunnel` carries the connection on: it begins with HTTP/2's preface.
    pub fn speaks_http2(&self) -> Option<VirtualServerId> {
        match &self.stage {
            Stage::HandingOver(server) => Some(*server),
            Stage::Idle { .. }
            | Stage::ReadingHead { .. }
            | Stage::Serving(_)
            | Stage::Lingering(_) => None,
        }
    }

    /// Why it is to be closed if what is going on began with this configuration or an older one.
    pub fn outlives(&mut self, generation: u64, client: &mut Client<N>) -> Option<CloseReason> {
        match &mut self.stage {
            Stage::Serving(exchange) => exchange.outlives(generation, client),
            // What follows is served by the newest.
            Stage::Idle { .. }
            | Stage::ReadingHead { .. }
            | Stage::HandingOver(_)
            | Stage::Lingering(_) => None,
        }
    }

    /// Does everything that can be done now.
    pub fn run(&mut self, client: &mut Client<N>, shared: &mut Shared<N>) -> Next {
        for _ in 0..STAGES_A_RUN {
            let step = match &mut self.stage {
                Stage::Idle { .. } | Stage::ReadingHead { .. } => self.read_head(client, shared),
                Stage::Serving(exchange) => {
                    let progress = exchange.run(client, &mut shared.context);
                    self.after(progress, client, shared)
                }
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
            // Neither owes the other anything: an orderly end.
            Stage::Idle { .. } | Stage::Lingering(_) => Next::Close(CloseReason::Done),
            Stage::HandingOver(_) => Next::Again,
            Stage::ReadingHead { .. } => {
                let why = "The request head did not come in time.";
                self.refuse_head(Refusal { status: 408, why }, client, shared)
            }
            Stage::Serving(exchange) => {
                let progress = exchange.expire(client, &mut shared.context);
                self.after(progress, client, shared).unwrap_or_else(|| self.run(client, shared))
            }
        }
    }

    /// Whether what happened to a server makes this session go elsewhere.
    pub fn is_moved_by(&self, news: &News) -> bool {
        match &self.stage {
            Stage::Serving(exchange) => exchange.is_moved_by(news),
            Stage::Idle { .. }
            | Stage::ReadingHead { .. }
            | Stage::HandingOver(_)
            | Stage::Lingering(_) => false,
        }
    }

    /// Goes elsewhere.
    pub fn shift(&mut self, client: &mut Client<N>, shared: &mut Shared<N>) -> Next {
        let progress = match &mut self.stage {
            Stage::Serving(exchange) => match exchange.server_fell(client, &mut shared.context) {
                Stop::Turned => exchange.run(client, &mut shared.context),
                Stop::Over(ending) => Progress::Over(ending),
            },
            Stage::Idle { .. }
            | Stage::ReadingHead { .. }
            | Stage::HandingOver(_)
            | Stage::Lingering(_) => Progress::Wait,
        };
        self.after(progress, client, shared).unwrap_or_else(|| self.run(client, shared))
    }

    /// Ends what is going on; the client's connection is closed next.
    pub fn close(self, reason: CloseReason, client: &mut Client<N>, shared: &mut Shared<N>) {
        if let Stage::Serving(exchange) = self.stage {
            finish(exchange, client, shared);
        }
        match reason {
            // A client that only half closed, and reads on, must not take a part for the whole.
            CloseReason::Cut | CloseReason::TimedOut | CloseReason::ClientLeft => {
                client.socket.reset_on_close();
            }
            CloseReason::Done | CloseReason::Evicted => {}
        }
    }

    /// Goes on after an exchange was called; none: there is more to do.
    fn after(
        &mut self,
        progress: Progress,
        client: &mut Client<N>,
        shared: &mut Shared<N>,
    ) -> Option<Next> {
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
        finish(exchange, client, shared);
        let settings = settings(&config, site);
        let on = settings.lingering_close == Lingering::On;
        match ending {
            Ending::Keep => {
                let timeout = settings.keepalive_timeout.unwrap_or_default();
                let deadline = shared.context.io.now + timeout;
                self.stage = Stage::Idle { deadline, skipped: 0 };
                None
            }
            // Nothing was announced and nothing came that was not read: nothing can be destroyed.
            Ending::Linger if whole && on && is_silent(client) => {
                Some(Next::Close(CloseReason::Done))
            }
            Ending::Linger => {
                self.begin_lingering(client, settings, settings.lingering_time, &mut shared.context)
            }
            Ending::LingerBriefly => {
                self.begin_lingering(client, settings, REFUSED_LINGER, &mut shared.context)
            }
            Ending::Close => Some(Next::Close(CloseReason::Done)),
            Ending::Reset => Some(Next::Close(CloseReason::Cut)),
            Ending::ClientLeft => Some(Next::Close(CloseReason::ClientLeft)),
            Ending::TimedOut => Some(Next::Close(CloseReason::TimedOut)),
        }
    }

    fn begin_lingering(
        &mut self,
        client: &mut Client<N>,
        settings: &LocationSettings,
        time: Duration,
        context: &mut Context<N>,
    ) -> Option<Next> {
        context.io.buffers.clear(&mut client.input);
        match settings.lingering_close {
            Lingering::Off => Some(Next::Close(CloseReason::Done)),
            Lingering::On | Lingering::Always => {
                let (timeout, now) = (settings.lingering_timeout, context.io.now);
                let socket = &mut client.socket;
                self.stage = Stage::Lingering(Linger::begin(time, timeout, socket, now));
                None
            }
        }
    }

    /// Reads until a head is whole; none: a request is being served now.
    fn read_head(&mut self, client: &mut Client<N>, shared: &mut Shared<N>) -> Option<Next> {
        loop {
            if let Some(result) = self.scan_head(client, shared) {
                return result;
            }
            if !client.socket.is_readable() {
                shared.context.io.buffers.settle(&mut client.input);
                return Some(Next::Wait);
            }
            // Others have to make room for a head of an ordinary size, within limits.
            let buffers = &shared.context.io.buffers;
            let large = client.input.len() >= LARGE_HEAD || buffers.is_overdrawn();
            if client.input.len() >= FIRST_READ && large && buffers.is_exhausted() {
                let began = self.began(shared.context.io.now);
                let why = "The proxy has no memory for a head of this size now.";
                return self.refuse(began, Refusal { status: 503, why }, client, shared);
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

    /// When the head being read began.
    fn began(&self, now: Time) -> Time {
        if let Stage::ReadingHead { began, .. } = self.stage { began } else { now }
    }

    /// Looks at the bytes in hand: `Some` when the stage has changed or the session is over.
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
        match (preface, tunnel(client, &shared.context)) {
            (Preface::Part, Some(_)) => return None,
            (Preface::Whole, Some(server)) => {
                self.stage = Stage::HandingOver(server);
                return Some(Some(Next::Again));
            }
            (Preface::No | Preface::Part | Preface::Whole, _) => {}
        }
        if let Stage::Idle { skipped, .. } = &mut self.stage {
            let empty = match empty_lines(client.input.bytes()) {
                Ok(empty) if *skipped + empty <= MAX_SKIPPED => empty,
                Ok(_) | Err(_) => {
                    let refusal = HeadError::EmptyLines.into();
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
                let mut request = Request::broken(
                    take_head(length, client, &mut shared.context),
                    shared.context.places.take(),
                );
                let read = request.read();
                Some(self.serve(request, read, began, client, shared))
            }
            Err(e) => Some(self.refuse(began, e.into(), client, shared)),
        }
    }

    /// Answers instead of serving; what is in hand is dropped but for the first line.
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
        self.serve(Request::broken(head, Vec::new()), Err(refusal), began, client, shared)
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
            let carries = tunnel(client, &shared.context).is_some();
            shared.context.limited_log.write(
                shared.context.io.now,
                Topic::Clients,
                log::Level::Warn,
                || {
                    let peer = &client.facts.peer;
                    let why = if carries {
                        "\"h2c_tunnel\" carries on only what a connection begins with"
                    } else {
                        "\"h2c_tunnel on\" carries it on"
                    };
                    format!("{peer} speaks HTTP/2 and is refused: {why}")
                },
            );
        }
        let begun = Exchange::new(request, read, began, client, &mut shared.context);
        let Some((exchange, begun)) = begun else {
            return Some(Next::Close(CloseReason::Evicted));
        };
        self.stage = Stage::Serving(shared.exchanges.put(exchange));
        match begun {
            Ok(()) => None,
            Err(ending) => self.after(Progress::Over(ending), client, shared),
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

/// Moves the head's bytes into a buffer of their own.
fn take_head<N: Net>(length: usize, client: &mut Client<N>, context: &mut Context<N>) -> Buffer {
    let mut head = Buffer::default();
    context.io.buffers.append(&mut head, &client.input.bytes()[..length]);
    client.input.consume(length);
    context.io.buffers.settle(&mut client.input);
    head
}

/// Whether the client has sent nothing that is known of and was not used.
fn is_silent<N: Net>(client: &Client<N>) -> bool {
    client.input.is_empty() && !client.socket.is_readable()
}

fn finish<N: Net>(mut exchange: Boxed<Exchange<N>>, client: &Client<N>, shared: &mut Shared<N>) {
    exchange.finish(client, &mut shared.context);
    shared.exchanges.clear(exchange);
}

/// Storage for the first read of a head: enough for all but a few.
const FIRST_READ: usize = 4 << 10;
/// A head that goes before others when memory is short.
const LARGE_HEAD: usize = 64 << 10;
/// Empty lines before one request, in bytes.
const MAX_SKIPPED: usize = crate::http::head::MAX_EMPTY_LINES * 2;
/// Stages one session may go through before the others get a turn.
const STAGES_A_RUN: usize = 16;
/// How much of a refused request's first line is kept for the log.
const KEPT_OF_REFUSED: usize = 4 << 10;
/// How long a refused client may go on sending into nothing.
const REFUSED_LINGER: Duration = Duration::from_secs(1);
