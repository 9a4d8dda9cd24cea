//! One try after another: pick a server, reuse a connection or make one, and judge what happens.

use crate::config::model::{self, ProxyVersion};
use crate::http::framing::Framing;
use crate::net::{Connect, Net};
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::http::download::{Left, Phase};
use crate::proxy::http::exchange::Exchange;
use crate::proxy::http::link::Link;
use crate::proxy::http::request::Refusal;
use crate::proxy::http::stop::Stop;
use crate::proxy::log::limited_log::{Named, Topic};
use crate::proxy::servers::At;
use crate::transport::dial::failure_of_connect;
use crate::transport::io::Owner;
use crate::transport::pool::Connection;
use crate::transport::socket::Moved;
use crate::upstream::group::{Pick, ServerId, Tried, Verdict};
use crate::upstream::retry::{Failure, Progress, Repeatable, may_move, may_resend};

impl<N: Net> Exchange<N> {
    /// Begins to ask the servers of the location's group.
    pub(in crate::proxy) fn ask(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Stop> {
        self.tried = Tried::default();
        self.tries = 0;
        self.first_attempt = context.io.now;
        let Some(proxy) = self.proxy() else { return Ok(()) };
        let (version, limit) = (proxy.version, proxy.replay_limit);
        if self.request.idempotent || proxy.next.non_idempotent {
            self.upload.record(limit, &mut context.io.buffers);
        }
        if version == ProxyVersion::Http10 && self.request.framing == Framing::Chunked {
            let why = "A body without a length cannot be passed on with proxy_http_version 1.0.";
            return Err(self.give_up(Refusal { status: 411, why }, client, context));
        }
        match self.pick(context) {
            Some(pick) => self.attempt(pick, client, context),
            None => Err(self.nobody(client, context)),
        }
    }

    fn pick(&mut self, context: &mut Context<N>) -> Option<Pick> {
        let group = self.proxy()?.group;
        let now = context.io.now;
        context.servers.group(self.generation, group).0.pick(self.tried, now)
    }

    /// Tries `pick`, and others after it while they fail at once.
    pub(in crate::proxy) fn attempt(
        &mut self,
        pick: Pick,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Stop> {
        let mut pick = pick;
        loop {
            self.tried.insert(pick.server);
            self.tries += 1;
            if let Some(group) = self.proxy().map(|proxy| proxy.group) {
                self.attempts.begin(group, Some(pick.server), context.io.now);
            }
            let Err((failed, failure)) = self.open(pick, client, context) else { return Ok(()) };
            match self.after_failed_open(failed, failure, context) {
                Ok(next) => pick = next,
                Err(refusal) => return Err(self.give_up(refusal, client, context)),
            }
        }
    }

    /// The server to try after one that could not even be begun with.
    fn after_failed_open(
        &mut self,
        failed: Pick,
        failure: Option<Failure>,
        context: &mut Context<N>,
    ) -> Result<Pick, Refusal> {
        let Some(failure) = failure else {
            self.conclude(failed, Verdict::Abandoned, context);
            context.limited_log.write(context.io.now, Topic::Resources, log::Level::Error, || {
                let request = self.request_words();
                format!("no descriptor or memory for a connection; {request} gets 502")
            });
            let why = "No connection can be made: the proxy is out of resources.";
            return Err(Refusal { status: 502, why });
        };
        let next = self.next_after(failure, context);
        self.tell_failure(failed.server, failure, next.as_ref(), context);
        self.conclude(failed, verdict_of(failure), context);
        self.attempts.ended(Some(failure.status()), context.io.now);
        if next.is_none() {
            self.note_if_others_are_out(failure, context);
        }
        next.ok_or(exhausted(failure))
    }

    /// Reuses a connection or begins a new one. An error without a failure is nobody's fault but
    /// our own.
    fn open(
        &mut self,
        pick: Pick,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), (Pick, Option<Failure>)> {
        let Some(proxy) = self.proxy() else { return Err((pick, None)) };
        let idle =
            context.servers.group(self.generation, proxy.group).1.take(pick.server, proxy.bind);
        let Some(mut connection) = idle else { return self.begin_connect(pick, client, context) };
        connection.requests += 1;
        let token = connection.socket.token();
        context.io.owners[token.0] = Owner::Upstream(client.facts.session);
        self.attempts.connected(context.io.now);
        self.link = Link::Open { connection, pick, reused: true, reusable: true };
        self.render(client, context);
        Ok(())
    }

    fn begin_connect(
        &mut self,
        pick: Pick,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), (Pick, Option<Failure>)> {
        let Some(proxy) = self.proxy() else { return Err((pick, None)) };
        let address = &self.config.groups[proxy.group.0].servers[pick.server.0].address;
        let how = Connect { bind: proxy.bind, keepalive: proxy.socket_keepalive };
        let deadline = context.io.now + proxy.connect_timeout;
        match context.connect(address, &how, Owner::Upstream(client.facts.session)) {
            Ok(socket) => {
                self.link = Link::Connecting { socket, pick, deadline };
                Ok(())
            }
            Err(e) => Err((pick, failure_of_connect(&e))),
        }
    }

    /// Looks after a connect under way. Whether it came to its end.
    pub(in crate::proxy) fn connect(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Stop> {
        let Link::Connecting { socket, .. } = &mut self.link else { return Ok(false) };
        match socket.connected() {
            Ok(false) => Ok(false),
            Ok(true) => {
                self.attempts.connected(context.io.now);
                if let Link::Connecting { socket, pick, .. } =
                    std::mem::replace(&mut self.link, Link::None)
                {
                    let (opened, bind) =
                        (context.io.now, self.proxy().and_then(|proxy| proxy.bind));
                    let connection = Connection { socket, requests: 1, opened, bind };
                    self.link = Link::Open { connection, pick, reused: false, reusable: true };
                }
                self.render(client, context);
                Ok(true)
            }
            Err(e) => {
                let failure = failure_of_connect(&e).unwrap_or(Failure::Unreachable);
                Err(self.fail(failure, client, context))
            }
        }
    }

    /// Another request found the server down that this one still connects to.
    pub fn server_fell(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Stop {
        self.fail(Failure::MarkedDown, client, context)
    }

    /// `proxy_send_timeout` or `proxy_read_timeout` has passed.
    pub(in crate::proxy) fn server_stalls(
        &mut self,
        failure: Failure,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Stop {
        match self.download.phase {
            Phase::AwaitingHead { .. } => self.fail(failure, client, context),
            Phase::Body { .. } | Phase::Tunnel(_) | Phase::Ended { .. } => self.cut(context),
        }
    }

    /// `client_body_timeout` has passed.
    pub(in crate::proxy) fn client_is_silent(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Stop {
        let why = "The body did not come in time.";
        self.give_up(Refusal { status: 408, why }, client, context)
    }

    /// The current attempt failed before a byte of a final response reached the client: blame,
    /// and try elsewhere if that is allowed.
    pub(in crate::proxy) fn fail(
        &mut self,
        failure: Failure,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Stop {
        let untouched = self.download.is_untouched();
        let reused = matches!(self.link, Link::Open { reused: true, .. });
        if reused && untouched && matches!(failure, Failure::Reset | Failure::Closed) {
            return self.resend(failure, client, context);
        }
        let Some(server) = self.server() else { return Stop::Turned };
        let next = self.next_after(failure, context);
        self.tell_failure(server, failure, next.as_ref(), context);
        self.end_link(verdict_of(failure), context);
        self.attempts.ended(Some(failure.status()), context.io.now);
        self.download.start_over(&mut context.io.buffers, context.io.now);
        match next {
            Some(next) => Stop::behind(self.attempt(next, client, context)),
            None => {
                self.note_if_others_are_out(failure, context);
                self.give_up(exhausted(failure), client, context)
            }
        }
    }

    /// The server may have closed this idle connection as it was picked: not its fault, and no
    /// try. The request goes again, to the same server, if it may.
    fn resend(
        &mut self,
        failure: Failure,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Stop {
        let may = self.proxy().is_some_and(|proxy| may_resend(self.repeatable(), &proxy.next));
        if !may {
            if let Some(server) = self.server() {
                self.tell_failure(server, failure, None, context);
            }
            self.drop_link(context);
            return self.give_up(exhausted(failure), client, context);
        }
        let Link::Open { connection, pick, .. } = std::mem::replace(&mut self.link, Link::None)
        else {
            return Stop::Turned;
        };
        context.io.close(connection.socket);
        self.download.start_over(&mut context.io.buffers, context.io.now);
        match self.begin_connect(pick, client, context) {
            Ok(()) => Stop::Turned,
            Err((failed, failure)) => match self.after_failed_open(failed, failure, context) {
                Ok(next) => Stop::behind(self.attempt(next, client, context)),
                Err(refusal) => self.give_up(refusal, client, context),
            },
        }
    }

    /// The server for the next attempt, if the request may be sent to another and there is one.
    pub(in crate::proxy) fn next_after(
        &mut self,
        failure: Failure,
        context: &mut Context<N>,
    ) -> Option<Pick> {
        let proxy = self.proxy()?;
        let progress =
            Progress { attempts: self.tries, elapsed: context.io.now - self.first_attempt };
        may_move(failure, self.repeatable(), progress, &proxy.next).then(|| self.pick(context))?
    }

    /// Adds a step without a server, which `$upstream_addr` shows as the group's name, where the
    /// request might have moved and the servers that are left cannot be picked.
    fn note_if_others_are_out(&mut self, failure: Failure, context: &Context<N>) {
        let Some(proxy) = self.proxy() else { return };
        let progress =
            Progress { attempts: self.tries, elapsed: context.io.now - self.first_attempt };
        let mut servers = self.config.groups[proxy.group.0].servers.iter().enumerate();
        let is_left = |(index, server): (usize, &model::Server)| {
            !server.down && !self.tried.contains(ServerId(index))
        };
        if may_move(failure, self.repeatable(), progress, &proxy.next) && servers.any(is_left) {
            let group = proxy.group;
            self.attempts.begin(group, None, context.io.now);
            self.attempts.ended(Some(502), context.io.now);
        }
    }

    fn repeatable(&self) -> Repeatable {
        Repeatable {
            idempotent: self.request.idempotent,
            sent: self.upload.sent,
            replayable: self.upload.is_replayable(),
        }
    }

    /// The server of the current attempt.
    pub(in crate::proxy) fn server(&self) -> Option<ServerId> {
        self.link.server()
    }

    /// The last byte of the response is in hand: the server may serve others.
    pub(in crate::proxy) fn response_complete(&mut self, context: &mut Context<N>) {
        let left = self.download.complete();
        if left == Left::Nothing {
            return;
        }
        self.attempts.ended(None, context.io.now);
        let Link::Open { connection, pick, reusable, .. } =
            std::mem::replace(&mut self.link, Link::None)
        else {
            return;
        };
        let server = pick.server;
        self.conclude(pick, Verdict::Succeeded, context);
        let clean = reusable && left == Left::Clean && self.upload.is_sent();
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

    /// The response ends before its end: the client gets what is in hand, and has to see it.
    pub(in crate::proxy) fn cut(&mut self, context: &mut Context<N>) -> Stop {
        context.limited_log.write(context.io.now, Topic::Servers, log::Level::Warn, || {
            let (from, request) = (self.server_words(), self.request_words());
            format!("{from}: the answer to {request} is cut short")
        });
        self.download.cut();
        self.drop_link(context);
        Stop::Turned
    }

    /// No server can be picked at all.
    fn nobody(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Stop {
        if let Some(group) = self.proxy().map(|proxy| proxy.group) {
            self.attempts.begin(group, None, context.io.now);
            self.attempts.ended(Some(502), context.io.now);
            let name = &self.config.groups[group.0].name;
            context.limited_log.write(context.io.now, Topic::Servers, log::Level::Warn, || {
                let request = self.request_words();
                format!("upstream \"{name}\": no server can take it; {request} gets 502")
            });
        }
        let why = "No server can take this request now.";
        self.give_up(Refusal { status: 502, why }, client, context)
    }

    /// Tells the operator what happened at a server, and what becomes of the request.
    pub(in crate::proxy) fn tell_failure(
        &self,
        server: ServerId,
        failure: Failure,
        next: Option<&Pick>,
        context: &mut Context<N>,
    ) {
        let Some(proxy) = self.proxy() else { return };
        if failure == Failure::MarkedDown && next.is_some() {
            return context.limited_log.count(context.io.now);
        }
        let group = &self.config.groups[proxy.group.0];
        let level = if next.is_some() { log::Level::Info } else { log::Level::Warn };
        context.limited_log.write(context.io.now, Topic::Servers, level, || {
            let (name, request) = (&group.name, self.request_words());
            let (at, words) = (Named(&group.servers[server.0]), failure.words());
            let becomes = match next {
                Some(next) => format!("moves to {}", Named(&group.servers[next.server.0])),
                None => format!("gets {}", failure.status()),
            };
            format!("upstream \"{name}\": {at} {words}; {request} {becomes}")
        });
    }

    /// The group and the server of the current attempt in log lines.
    pub(in crate::proxy) fn server_words(&self) -> String {
        let Some(proxy) = self.proxy() else { return String::new() };
        let group = &self.config.groups[proxy.group.0];
        match self.server() {
            Some(server) => {
                format!("upstream \"{}\": {}", group.name, Named(&group.servers[server.0]))
            }
            None => format!("upstream \"{}\"", group.name),
        }
    }

    /// A request in log lines: nothing in it can end the line.
    pub(in crate::proxy) fn request_words(&self) -> String {
        let line = self.request.line();
        let shown = line[..line.len().min(SHOWN_OF_LINE)].escape_ascii();
        format!("\"{shown}\"")
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

/// What a failed attempt says of its server.
pub(in crate::proxy) fn verdict_of(failure: Failure) -> Verdict {
    if failure.counts() { Verdict::Failed(failure) } else { Verdict::Abandoned }
}

/// The answer when the last failure leaves nothing to try.
fn exhausted(failure: Failure) -> Refusal {
    let why = match failure {
        Failure::Refused
        | Failure::ConnectTimedOut
        | Failure::Unreachable
        | Failure::NoLocalAddress
        | Failure::MarkedDown => "No server could be reached.",
        Failure::Reset | Failure::Closed => "The server closed the connection without a response.",
        Failure::SendTimedOut => "The server did not take the request in time.",
        Failure::ReadTimedOut => "The server did not respond in time.",
        Failure::BadHead => "The server sent something that is not a response.",
        Failure::Status(_) => "The server failed.",
    };
    Refusal { status: failure.status(), why }
}

/// How much of a request line log lines show.
const SHOWN_OF_LINE: usize = 200;
