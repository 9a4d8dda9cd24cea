//! The response on its way to the client: head, body, and the proxy's own answers.

use std::io::IoSlice;
use std::io::Write as _;
use std::time::Duration;

use super::client::Client;
use super::context::{Context, location};
use super::exchange::{Ending, Exchange, Link};
use super::pool::Connection;
use super::request::Refusal;
use super::socket::Moved;
use super::tunnel::{End, Tunnel};
use super::upload::RELAY_BUFFER;
use super::variables::Scope;
use crate::buffer::{Buffer, BufferPool};
use crate::config::model::{AddHeader, ErrorPageStatus, Redirect};
use crate::http::chunked::Keep;
use crate::http::connection::Options;
use crate::http::fields::{Known, known};
use crate::http::framing::{self, Body, Framing};
use crate::http::head::{self, HeadLimits, HeadScan, ResponseHead, Version};
use crate::http::rewrite::{Persistence, ResponseOut, SetFields};
use crate::net::Net;
use crate::time::Time;
use crate::upstream::group::Verdict;
use crate::upstream::retry::Failure;

/// The state of the response's direction.
#[derive(Debug)]
pub struct Download {
    /// How far it is.
    pub phase: Phase,
    /// Bytes from the server.
    pub raw: Buffer,
    /// How many of these, at the front, may go to the client.
    pub ready: usize,
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
#[derive(Debug)]
pub enum Phase {
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
    Tunnel(Tunnel),
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

/// What a response head is.
enum Judged {
    Bad,
    Interim,
    Begun,
    Moves(u16, crate::upstream::group::Pick),
    Replaced(u16),
}

impl Download {
    /// No byte of a response yet.
    pub fn new(now: Time) -> Download {
        Download {
            phase: Phase::AwaitingHead { scan: HeadScan::default() },
            raw: Buffer::default(),
            ready: 0,
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
        !self.out.is_empty() || self.ready > 0
    }

    /// Whether the client has got everything there is.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. }) && !self.is_pending()
    }

    /// Forgets what a failed attempt brought.
    pub fn start_over(&mut self, pool: &mut BufferPool, now: Time) {
        pool.clear(&mut self.raw);
        self.ready = 0;
        self.phase = Phase::AwaitingHead { scan: HeadScan::default() };
        self.since = now;
    }

    /// Adds bytes of our own.
    pub fn say(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        pool.append(&mut self.out, bytes);
        self.head_length += bytes.len() as u64;
    }

    /// Gives all storage back.
    pub fn release(&mut self, pool: &mut BufferPool) {
        for buffer in [&mut self.raw, &mut self.out, &mut self.head_sent, &mut self.head_received] {
            pool.clear(buffer);
        }
    }
}

impl<N: Net> Exchange<N> {
    /// Reads from the server if there is room. Whether anything moved.
    pub(super) fn receive(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Ending> {
        let coding = match &self.download.phase {
            Phase::Tunnel(Tunnel { down: End::Seen | End::Told, .. }) | Phase::Ended { .. } => {
                return Ok(false);
            }
            Phase::Body { coding, .. } => Some(*coding),
            Phase::AwaitingHead { .. } | Phase::Tunnel(_) => None,
        };
        let Link::Open { connection, .. } = &mut self.link else { return Ok(false) };
        let download = &mut self.download;
        let awaiting = matches!(download.phase, Phase::AwaitingHead { .. });
        if !connection.socket.is_readable() || (download.raw.len() >= RELAY_BUFFER && !awaiting) {
            return Ok(false);
        }
        let moved = match coding {
            Some(Coding::Chunks) if download.is_pending() => return Ok(false),
            Some(Coding::Chunks) => {
                context.scratch.bulk.resize(RELAY_BUFFER, 0);
                connection.socket.read(&mut context.scratch.bulk)
            }
            Some(Coding::AsIs | Coding::DataOnly) | None => {
                if download.raw.len() >= RELAY_BUFFER && context.buffers.is_exhausted() {
                    let why = "The proxy has no memory for a response head of this size now.";
                    return self
                        .give_up(Refusal { status: 503, why }, client, context)
                        .map(|()| true);
                }
                let capacity = (download.raw.len() + 1).max(RELAY_BUFFER);
                context.buffers.make_room(&mut download.raw, capacity);
                connection.socket.read(download.raw.room())
            }
        };
        match moved {
            Moved::Bytes(count) => {
                download.since = context.now;
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
                context.buffers.settle(&mut download.raw);
                Ok(false)
            }
            Moved::End => {
                context.buffers.settle(&mut download.raw);
                self.server_ended(client, context)?;
                Ok(true)
            }
            Moved::Failed(_) => {
                context.buffers.settle(&mut download.raw);
                match self.download.phase {
                    Phase::AwaitingHead { .. } => self.fail(Failure::Reset, client, context)?,
                    Phase::Body { .. } | Phase::Tunnel(_) | Phase::Ended { .. } => {
                        self.cut(context)
                    }
                }
                Ok(true)
            }
        }
    }

    /// Makes sense of the bytes in hand.
    fn digest(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Result<(), Ending> {
        // Each turn but the last takes an interim response, and those are counted.
        loop {
            match &mut self.download.phase {
                Phase::AwaitingHead { scan } => {
                    let bytes = self.download.raw.bytes();
                    let proxy = match &location(&self.config, self.site).map(|at| &at.action) {
                        Some(crate::config::model::Action::Proxy(proxy)) => proxy,
                        Some(_) | None => return Ok(()),
                    };
                    let limits = HeadLimits { line: proxy.head_limit, total: proxy.head_limit };
                    match scan.end(bytes, limits) {
                        Err(_) => return self.fail(Failure::BadHead, client, context),
                        Ok(None) => return Ok(()),
                        Ok(Some(length)) => self.take_head(length, client, context)?,
                    }
                }
                Phase::Body { .. } => {
                    self.digest_body(context);
                    return Ok(());
                }
                Phase::Tunnel(_) => {
                    self.download.ready = self.download.raw.len();
                    return Ok(());
                }
                Phase::Ended { .. } => return Ok(()),
            }
        }
    }

    fn take_head(
        &mut self,
        length: usize,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Ending> {
        let mut raw = std::mem::take(&mut self.download.raw);
        let judged = {
            let mut slots = head::slots();
            match head::parse_response(&raw.bytes()[..length], &mut slots) {
                Ok(head) => self.judge(&head, &raw.bytes()[..length], client, context),
                Err(_) => Judged::Bad,
            }
        };
        raw.consume(length);
        self.download.raw = raw;
        match judged {
            Judged::Interim => {
                context.buffers.settle(&mut self.download.raw);
                self.download.phase = Phase::AwaitingHead { scan: HeadScan::default() };
                Ok(())
            }
            Judged::Begun => {
                self.upload.replay.forget(&mut context.buffers);
                self.begun(context);
                Ok(())
            }
            Judged::Bad => self.fail(Failure::BadHead, client, context),
            Judged::Moves(status, next) => self.move_on(status, next, client, context),
            Judged::Replaced(status) => self.replace(status, client, context),
        }
    }

    fn judge(
        &mut self,
        head: &ResponseHead<'_>,
        bytes: &[u8],
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Judged {
        if head.status < 200 {
            return self.judge_interim(head, context);
        }
        let to_head = self.request.is_head;
        let Ok(framing) = framing::of_response(head, to_head) else { return Judged::Bad };
        let Some(proxy) = self.proxy() else { return Judged::Bad };
        let intercepts = proxy.intercept_errors && self.page.is_none();
        let listed = proxy.next.statuses.lists(head.status);
        if let Some(next) =
            listed.then(|| self.next_after(Failure::Status(head.status), context)).flatten()
        {
            return Judged::Moves(head.status, next);
        }
        self.account.answered(head.status, context.now);
        if intercepts && self.error_page(head.status).is_some() {
            return Judged::Replaced(head.status);
        }
        if context.keeps_response_heads(self.generation) {
            context.buffers.append(&mut self.download.head_received, bytes);
        }
        self.write_head(head, framing, client, context);
        Judged::Begun
    }

    /// 1xx: passed on to those who know it. RFC 9110, section 15.2.
    fn judge_interim(&mut self, head: &ResponseHead<'_>, context: &mut Context<N>) -> Judged {
        self.download.interim += 1;
        let framed = !matches!(framing::declared(head.fields, head.version), Ok(None));
        if framed || self.download.interim > MAX_INTERIM || head.version == Version::Http10 {
            return Judged::Bad;
        }
        if head.status == 101 {
            return self.judge_upgrade(head, context);
        }
        let repeated = head.status == 100 && std::mem::replace(&mut self.download.continued, true);
        if self.request.version == Version::Http11 && !repeated {
            self.write_interim(head, None, context);
        }
        Judged::Interim
    }

    fn judge_upgrade(&mut self, head: &ResponseHead<'_>, context: &mut Context<N>) -> Judged {
        let is_upgrade =
            |f: &&httparse::Header<'_>| known(f.name.as_bytes()) == Some(Known::Upgrade);
        let Some(protocol) = head.fields.iter().find(is_upgrade) else { return Judged::Bad };
        if !self.download.asked_upgrade {
            return Judged::Bad;
        }
        self.account.answered(head.status, context.now);
        self.download.status = 101;
        self.write_interim(head, Some(protocol.value), context);
        self.download.phase = Phase::Tunnel(Tunnel::default());
        self.upload.body = Body::UntilClose;
        Judged::Begun
    }

    fn write_interim(
        &mut self,
        head: &ResponseHead<'_>,
        upgrade: Option<&[u8]>,
        context: &mut Context<N>,
    ) {
        let mut out = std::mem::take(&mut context.scratch.head);
        ResponseOut {
            status: head.status,
            reason: head.reason,
            fields: head.fields,
            options: Options::of(head.fields),
            hide: &[],
            add: &SetFields::default(),
            framing: Framing::None,
            persistence: Persistence::Implied,
            keep_alive: None,
            upgrade,
        }
        .write(&mut out, |_, _| false);
        self.download.say(&out, &mut context.buffers);
        out.clear();
        context.scratch.head = out;
    }

    /// Writes the final head for the client, and knows from then on how the body is passed on.
    fn write_head(
        &mut self,
        head: &ResponseHead<'_>,
        framing: Framing,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) {
        let options = Options::of(head.fields);
        let (out_framing, coding) = self.passing(head, framing);
        let framed = out_framing != Framing::UntilClose;
        let status = match &self.page {
            Some(page) => match page.tells {
                ErrorPageStatus::Original => page.original,
                ErrorPageStatus::OfPage => head.status,
                ErrorPageStatus::Fixed(status) => status,
            },
            None => head.status,
        };
        self.download.keeps_client = framed && self.may_keep_client(client, context);
        self.download.status = status;
        let Some(proxy) = self.proxy() else { return };
        let mut add = std::mem::take(&mut context.scratch.set);
        let mut out = std::mem::take(&mut context.scratch.head);
        let scope = self.scope(client, context);
        self.fill_added(status, &scope, &mut add);
        let reason = if status == head.status { head.reason } else { b"" };
        ResponseOut {
            status,
            reason,
            fields: head.fields,
            options,
            hide: &proxy.hide_headers,
            add: &add,
            framing: out_framing,
            persistence: self.persistence(),
            keep_alive: self.keep_alive(),
            upgrade: None,
        }
        .write(&mut out, |url, out| redirect(&proxy.redirects, &scope, url, out));
        if context.keeps_response_heads(self.generation) {
            context.buffers.append(&mut self.download.head_sent, &out);
        }
        self.download.say(&out, &mut context.buffers);
        out.clear();
        out.shrink_to(super::attempt::KEPT_SCRATCH);
        (context.scratch.head, context.scratch.set) = (out, add);
        let persistent = options.persistent(head.version);
        self.download.phase = Phase::Body { body: Body::new(framing), coding, framed, persistent };
    }

    /// How a body that came in `framing` goes to this client.
    fn passing(&self, head: &ResponseHead<'_>, framing: Framing) -> (Framing, Coding) {
        let old = self.request.version == Version::Http10;
        match framing {
            Framing::Length(length) => (Framing::Length(length), Coding::AsIs),
            Framing::Chunked if old => (Framing::UntilClose, Coding::DataOnly),
            Framing::Chunked => (Framing::Chunked, Coding::AsIs),
            Framing::UntilClose if old => (Framing::UntilClose, Coding::AsIs),
            Framing::UntilClose => (Framing::Chunked, Coding::Chunks),
            // The fields say what the body would have been: kept for HEAD and 304.
            Framing::None if head.status == 204 => (Framing::None, Coding::AsIs),
            Framing::None => match framing::declared(head.fields, head.version) {
                Ok(Some(Framing::Chunked)) if old => (Framing::None, Coding::AsIs),
                Ok(Some(declared)) => (declared, Coding::AsIs),
                Ok(None) | Err(_) => (Framing::None, Coding::AsIs),
            },
        }
    }

    /// Whether the client's connection may carry another request after this one.
    pub(super) fn may_keep_client(&self, client: &Client<N>, context: &Context<N>) -> bool {
        let settings = self.settings();
        self.request.is_persistent()
            && self.upload.body.is_done()
            && !context.draining
            && settings.keepalive_timeout.is_some()
            && client.facts.requests < settings.keepalive_requests
            && context.now - client.facts.accepted < settings.keepalive_time
    }

    /// What the client is told about its connection.
    pub(super) fn persistence(&self) -> Persistence {
        match (self.download.keeps_client, self.request.version) {
            (false, _) => Persistence::Close,
            (true, Version::Http10) => Persistence::KeepAlive,
            (true, Version::Http11) => Persistence::Implied,
        }
    }

    /// Evaluates `add_header` and the like for an answer with this status.
    pub(super) fn fill_added(&self, status: u16, scope: &Scope<'_>, add: &mut SetFields) {
        add.clear();
        let settings = self.settings();
        for header in settings.add_headers.iter().filter(|header| applies(header, status)) {
            add.add(&header.name, |out| scope.write(&header.value, out));
        }
    }

    /// The value of the client's `Keep-Alive: timeout=`, if it is to be told.
    pub(super) fn keep_alive(&self) -> Option<Duration> {
        self.settings().keepalive_header.filter(|_| self.download.keeps_client)
    }

    /// The body's part of what came with the head, or its end if there is none.
    fn begun(&mut self, context: &mut Context<N>) {
        match &self.download.phase {
            Phase::Body { coding: Coding::Chunks, .. } => {
                let raw = std::mem::take(&mut self.download.raw);
                context.scratch.bulk.clear();
                context.scratch.bulk.extend_from_slice(raw.bytes());
                self.download.raw = raw;
                context.buffers.clear(&mut self.download.raw);
                let count = context.scratch.bulk.len();
                self.chunk(count, context);
            }
            Phase::Body { .. } => self.digest_body(context),
            Phase::Tunnel(_) => self.download.ready = self.download.raw.len(),
            Phase::AwaitingHead { .. } | Phase::Ended { .. } => {}
        }
    }

    /// Finds out which bytes in hand may go to the client.
    fn digest_body(&mut self, context: &mut Context<N>) {
        let download = &mut self.download;
        let Phase::Body { body, coding, .. } = &mut download.phase else { return };
        let keep = match coding {
            Coding::AsIs => Keep::Framing,
            Coding::DataOnly | Coding::Chunks => Keep::Data,
        };
        let bytes = &mut download.raw.bytes_mut()[download.ready..];
        let Ok(scan) = body.scan(bytes, keep) else { return self.cut(context) };
        let done = body.is_done();
        download.raw.cut(download.ready + scan.kept, download.ready + scan.consumed);
        download.ready += scan.kept;
        if let Some(attempt) = self.account.current() {
            attempt.length += scan.kept as u64;
        }
        if done {
            self.response_complete(context);
        }
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
        let (pool, raw) = (&mut context.buffers, &mut self.download.raw);
        pool.append(raw, &line[..length]);
        pool.append(raw, &context.scratch.bulk[..count]);
        pool.append(raw, b"\r\n");
        self.download.ready = raw.len();
    }

    /// The last byte of the response is in hand: the server may serve others.
    fn response_complete(&mut self, context: &mut Context<N>) {
        let Phase::Body { framed, persistent, .. } = self.download.phase else { return };
        let surplus = self.download.raw.len() > self.download.ready;
        self.download.raw.truncate(self.download.ready);
        self.download.phase = Phase::Ended { whole: true, framed };
        self.account.ended(None, context.now);
        let Link::Open { connection, pick, reusable, .. } =
            std::mem::replace(&mut self.link, Link::None)
        else {
            return;
        };
        let server = pick.server;
        self.conclude(pick, Verdict::Succeeded, context);
        let clean = reusable && persistent && !surplus && self.upload.is_sent();
        match self.proxy().map(|proxy| proxy.group).filter(|_| clean) {
            Some(group) => {
                if let Some(connection) = silent(connection, context) {
                    context.keep(self.generation, group, server, connection);
                }
            }
            None => context.close(connection.socket),
        }
    }

    /// The server sent its orderly end.
    fn server_ended(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Ending> {
        match &mut self.download.phase {
            Phase::AwaitingHead { .. } => self.fail(Failure::Closed, client, context),
            Phase::Body { body: Body::UntilClose, coding, .. } => {
                if *coding == Coding::Chunks {
                    context.buffers.append(&mut self.download.raw, b"0\r\n\r\n");
                    self.download.ready = self.download.raw.len();
                }
                self.response_complete(context);
                Ok(())
            }
            Phase::Tunnel(tunnel) => {
                tunnel.down = End::Seen;
                Ok(())
            }
            Phase::Body { .. } => {
                self.cut(context);
                Ok(())
            }
            Phase::Ended { .. } => Ok(()),
        }
    }

    /// The response ends before its end: the client gets what is in hand, and has to see it.
    pub(super) fn cut(&mut self, context: &mut Context<N>) {
        let framed = match &self.download.phase {
            Phase::Body { framed, .. } => *framed,
            Phase::Tunnel(_) | Phase::AwaitingHead { .. } | Phase::Ended { .. } => false,
        };
        log::info!("a response was cut short by its server; {} ends", self.request_words());
        self.download.raw.truncate(self.download.ready);
        self.download.phase = Phase::Ended { whole: false, framed };
        self.drop_link(context);
    }

    /// Writes to the client what may go. Whether anything moved.
    pub(super) fn deliver(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Ending> {
        let download = &mut self.download;
        if !download.is_pending() {
            return Ok(false);
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
                download.since = context.now;
                let of_out = count.min(download.out.len());
                download.out.consume(of_out);
                download.raw.consume(count - of_out);
                download.ready -= count - of_out;
                context.buffers.settle(&mut download.out);
                context.buffers.settle(&mut download.raw);
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
            context.close(connection.socket);
            None
        }
    }
}

/// Statuses that `add_header` applies to without `always`.
fn applies(header: &AddHeader, status: u16) -> bool {
    header.always || matches!(status, 200 | 201 | 204 | 206 | 301..=304 | 307 | 308)
}

/// `proxy_redirect`: appends what becomes of `url`, if a prefix fits.
fn redirect(redirects: &[Redirect], scope: &Scope<'_>, url: &[u8], out: &mut Vec<u8>) -> bool {
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for redirect in redirects {
        from.clear();
        scope.write(&redirect.from, &mut from);
        let Some(rest) = url.strip_prefix(&from[..]) else { continue };
        scope.write(&redirect.to, &mut to);
        to.extend_from_slice(rest);
        if to.starts_with(b"/") {
            scope.write_origin(out);
        }
        out.extend(to.iter().filter(|&&byte| crate::http::fields::is_value_byte(byte)));
        return true;
    }
    false
}

/// Interim responses that one exchange may bring.
const MAX_INTERIM: u32 = 64;
