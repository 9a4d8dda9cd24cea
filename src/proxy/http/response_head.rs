//! A response's head: what it means, and how the client gets it.

use std::time::Duration;

use crate::config::model::{AddHeader, HalfClose, Redirect};
use crate::http::answer::reason;
use crate::http::connection::Options;
use crate::http::fields::{Field, Known};
use crate::http::framing::{self, Body, Framing};
use crate::http::head::{self, HeadScan, ResponseHead, Version};
use crate::http::rewrite::{Persistence, ResponseOut, SetFields};
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::http::download::{Coding, Phase};
use crate::proxy::http::exchange::Exchange;
use crate::proxy::http::link::Link;
use crate::proxy::http::own_answer::Replaced;
use crate::proxy::http::step::Step;
use crate::proxy::http::stop::Stop;
use crate::proxy::http::upload::RELAY_BUFFER;
use crate::proxy::http::variables::Scope;
use crate::transport::flow::Flow;
use crate::transport::tunnel::Tunnel;
use crate::upstream::group::Pick;
use crate::upstream::retry::Failure;

/// What a response head is.
enum Judged {
    Bad,
    Interim,
    Begun,
    Upgraded,
    Moves(u16, Pick),
    Replaced(Replaced),
}

impl<N: Net> Exchange<N> {
    /// Takes a whole head: a response that can be passed on begins, or something else happens.
    pub(in crate::proxy) fn take_head(
        &mut self,
        length: usize,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<Step, Stop> {
        let mut raw = std::mem::take(&mut self.download.raw);
        let mut places = std::mem::take(&mut context.scratch.places);
        let judged = match head::parse_response(&raw.bytes()[..length], &mut places) {
            Ok(head) => self.judge(&head, &raw.bytes()[..length], client, context),
            Err(_) => Judged::Bad,
        };
        context.scratch.places = places;
        raw.consume(length);
        self.download.raw = raw;
        match judged {
            Judged::Interim => {
                context.io.buffers.settle(&mut self.download.raw);
                self.download.phase = Phase::AwaitingHead { scan: HeadScan::default() };
                let limits = self.head_limits();
                Ok(limits.map_or(Step::Moved, |it| self.download.digest(it, &mut self.attempts)))
            }
            Judged::Begun => {
                self.upload.stop_recording(&mut context.io.buffers);
                Ok(self.download.begun(&mut self.attempts, &mut context.io))
            }
            Judged::Upgraded => {
                self.become_tunnel(client, context);
                Ok(Step::Moved)
            }
            Judged::Bad => Ok(Step::Failed(Failure::BadHead)),
            Judged::Moves(status, next) => Err(self.move_on(status, next, client, context)),
            Judged::Replaced(replaced) => Err(self.replace(replaced, client, context)),
        }
    }

    fn judge(
        &mut self,
        head: &ResponseHead<'_>,
        bytes: &[u8],
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Judged {
        let Ok(options) = Options::of(head.fields) else { return Judged::Bad };
        if head.status < 200 {
            return self.judge_interim(head, options, context);
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
        self.attempts.answered(head.status, context.io.now);
        if context.servers.keeps_response_heads(self.generation) {
            context.io.buffers.clear(&mut self.download.head_received);
            context.io.buffers.append(&mut self.download.head_received, bytes);
        }
        if intercepts && self.error_page(head.status).is_some() {
            return Judged::Replaced(replaced(head));
        }
        self.write_head(head, options, framing, client, context);
        Judged::Begun
    }

    /// 1xx: passed on to those who know it. RFC 9110, section 15.2.
    fn judge_interim(
        &mut self,
        head: &ResponseHead<'_>,
        options: Options,
        context: &mut Context<N>,
    ) -> Judged {
        self.download.interim += 1;
        let framed = !matches!(framing::declared(head.fields, head.version), Ok(None));
        if framed || self.download.interim > MAX_INTERIM || head.version == Version::Http10 {
            return Judged::Bad;
        }
        if head.status == 101 {
            return self.judge_upgrade(head, options, context);
        }
        let repeated = head.status == 100 && std::mem::replace(&mut self.download.continued, true);
        if self.request.version == Version::Http11 && !repeated {
            self.write_interim(head, options, None, context);
        }
        Judged::Interim
    }

    /// The server may change the protocol if it was asked to, and has heard all of the request.
    fn judge_upgrade(
        &mut self,
        head: &ResponseHead<'_>,
        options: Options,
        context: &mut Context<N>,
    ) -> Judged {
        let upgrade = head.fields.values(Known::Upgrade).next();
        if !self.download.asked_upgrade || !self.upload.is_sent() || upgrade.is_none() {
            return Judged::Bad;
        }
        self.attempts.answered(head.status, context.io.now);
        self.download.status = head.status;
        let written = self.write_interim(head, options, upgrade, context);
        if context.servers.keeps_response_heads(self.generation) {
            let out = self.download.out.bytes();
            context.io.buffers.append(&mut self.download.head_sent, &out[out.len() - written..]);
        }
        Judged::Upgraded
    }

    /// Whatever both sides say from now on passes unread, behind what is in hand.
    fn become_tunnel(&mut self, client: &mut Client<N>, context: &mut Context<N>) {
        let Some(group) = self.proxy().map(|proxy| proxy.group) else { return };
        let (now, pool) = (context.io.now, &mut context.io.buffers);
        let up = Flow::beginning_with(std::mem::take(&mut client.input));
        let mut down = Flow::beginning_with(std::mem::take(&mut self.download.raw));
        down.prepend(self.download.out.bytes(), pool);
        pool.clear(&mut self.download.out);
        self.upload.stop_recording(pool);
        let tunnel = Tunnel::new(up, down, RELAY_BUFFER, HalfClose::Passed, now);
        self.download.phase = Phase::Tunnel(Box::new(tunnel));
        if let Link::Open { pick, .. } = &mut self.link {
            context.servers.succeed_early(self.generation, group, pick, &mut context.io);
        }
    }

    /// Writes the head of an answer before the final one, or of a change of the protocol. Returns
    /// how many bytes it has.
    fn write_interim(
        &mut self,
        head: &ResponseHead<'_>,
        options: Options,
        upgrade: Option<&[u8]>,
        context: &mut Context<N>,
    ) -> usize {
        let mut out = std::mem::take(&mut context.scratch.head);
        ResponseOut {
            status: head.status,
            reason: head.reason,
            fields: head.fields,
            options,
            hide: &[],
            add: &SetFields::default(),
            framing: Framing::None,
            persistence: Persistence::Implied,
            keep_alive: None,
            upgrade,
        }
        .write(&mut out, |_, _| false);
        self.download.say(&out, &mut context.io.buffers);
        let written = out.len();
        out.clear();
        context.scratch.head = out;
        written
    }

    /// Writes the final head for the client, and knows from then on how the body is passed on.
    fn write_head(
        &mut self,
        head: &ResponseHead<'_>,
        options: Options,
        framing: Framing,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) {
        let (out_framing, coding) = self.passing(head, framing);
        let framed = out_framing != Framing::UntilClose;
        let status = self.status_shown(head.status);
        self.download.keeps_client = framed && self.may_keep_client(client, context);
        self.download.status = status;
        let is_location = |field: Field<'_>| field.name.eq_ignore_ascii_case(b"location");
        if self.page.is_some() && head.fields.iter().any(is_location) {
            self.forget_location();
        }
        let Some(proxy) = self.proxy() else { return };
        let mut add = std::mem::take(&mut context.scratch.set);
        let mut out = std::mem::take(&mut context.scratch.head);
        let replaced = status != head.status;
        let reason = if replaced { reason(status).as_bytes() } else { head.reason };
        let (persistence, keep_alive) = (self.persistence(), self.keep_alive());
        self.compose(status, client, context, &mut add, &mut out, |add, scope, out| {
            ResponseOut {
                status,
                reason,
                fields: head.fields,
                options,
                hide: &proxy.hide_headers,
                add,
                framing: out_framing,
                persistence,
                keep_alive,
                upgrade: None,
            }
            .write(out, |url, out| redirect(&proxy.redirects, scope, url, out));
        });
        self.say_head(&out, context);
        out.clear();
        out.shrink_to(crate::proxy::http::request_head::KEPT_SCRATCH);
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
    pub(in crate::proxy) fn may_keep_client(
        &self,
        client: &Client<N>,
        context: &Context<N>,
    ) -> bool {
        let settings = self.settings();
        self.request.is_persistent()
            && self.upload.body.is_done()
            && !context.servers.draining
            && settings.keepalive_timeout.is_some()
            && client.facts.requests < settings.keepalive_requests
            && context.io.now - client.facts.accepted < settings.keepalive_time
    }

    /// What the client is told about its connection.
    pub(in crate::proxy) fn persistence(&self) -> Persistence {
        match (self.download.keeps_client, self.request.version) {
            (false, _) => Persistence::Close,
            (true, Version::Http10) => Persistence::KeepAlive,
            (true, Version::Http11) if self.keep_alive().is_some() => Persistence::KeepAlive,
            (true, Version::Http11) => Persistence::Implied,
        }
    }

    /// Appends a final head as `write` has it with the fields to add. Their values may ask for what
    /// it says without them.
    pub(in crate::proxy) fn compose(
        &self,
        status: u16,
        client: &Client<N>,
        context: &mut Context<N>,
        add: &mut SetFields,
        out: &mut Vec<u8>,
        write: impl Fn(&SetFields, &Scope<'_>, &mut Vec<u8>),
    ) {
        let mut without = std::mem::take(&mut context.scratch.text);
        let mut scope = self.scope(client, context);
        add.clear();
        if context.servers.keeps_response_heads(self.generation) {
            without.clear();
            write(add, &scope, &mut without);
            scope.answer.head = &without;
        }
        self.fill_added(status, &scope, add);
        write(add, &scope, out);
        context.scratch.text = without;
    }

    /// Evaluates `add_header`, and what is left of an answer that a page takes the place of.
    fn fill_added(&self, status: u16, scope: &Scope<'_>, add: &mut SetFields) {
        let settings = self.settings();
        for header in settings.add_headers.iter().filter(|header| applies(header, status)) {
            add.add(&header.name, |out| scope.write(&header.value, out));
        }
        let Some(page) = &self.page else { return };
        for challenge in &page.challenges {
            add.add(b"WWW-Authenticate", |out| out.extend_from_slice(challenge));
        }
        if let Some(location) = &page.location {
            add.add(b"Location", |out| out.extend_from_slice(location));
        }
    }

    /// Sends a final head.
    pub(in crate::proxy) fn say_head(&mut self, head: &[u8], context: &mut Context<N>) {
        if context.servers.keeps_response_heads(self.generation) {
            context.io.buffers.clear(&mut self.download.head_sent);
            context.io.buffers.append(&mut self.download.head_sent, head);
        }
        self.download.say(head, &mut context.io.buffers);
    }

    /// The value of the client's `Keep-Alive: timeout=`, if it is to be told.
    pub(in crate::proxy) fn keep_alive(&self) -> Option<Duration> {
        self.settings().keepalive_header.filter(|_| self.download.keeps_client)
    }
}

/// What is left of an answer that a page takes the place of: RFC 9110, section 11.6.1, wants a
/// challenge in each 401.
fn replaced(head: &ResponseHead<'_>) -> Replaced {
    let challenges = head
        .fields
        .iter()
        .filter(|field| head.status == 401 && field.name.eq_ignore_ascii_case(b"www-authenticate"));
    let challenges = challenges.map(|field| field.value.into()).collect();
    Replaced { status: head.status, challenges, location: None }
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
