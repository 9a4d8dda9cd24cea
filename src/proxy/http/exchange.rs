//! One request and its response, from the head to the last byte.
//!
//! Two directions move independently: the request ([`Upload`]) and the response ([`Download`]).
//! Between them stands the [`Link`] to the server of the current attempt. Nothing of a response
//! reaches the client before its head is whole and accepted; until then another server may be asked.

use std::sync::Arc;

use crate::address::Address;
use crate::config::model::{Action, Config, LocationSettings, ProxyPass};
use crate::http::head::HeadLimits;
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::http::download::{Download, Phase};
use crate::proxy::http::link::Link;
use crate::proxy::http::page::Page;
use crate::proxy::http::request::Request;
use crate::proxy::http::route::{Site, location_of, settings};
use crate::proxy::http::step::Step;
use crate::proxy::http::stop::{Ending, Stop};
use crate::proxy::http::upload::{RELAY_BUFFER, Taker, Upload};
use crate::proxy::http::variables::{Answered, Scope};
use crate::proxy::log::attempt_log::AttemptLog;
use crate::proxy::next::CloseReason;
use crate::proxy::servers::{At, News};
use crate::time::Time;
use crate::transport::socket::Moved;
use crate::upstream::group::{Pick, Tried, Verdict};
use crate::upstream::retry::Failure;

/// One request being served.
pub struct Exchange<N: Net> {
    /// The configuration that it began with.
    pub(in crate::proxy) config: Arc<Config>,
    /// Its number.
    pub(in crate::proxy) generation: u64,
    /// The place in it.
    pub(in crate::proxy) site: Site,
    /// The request.
    pub(in crate::proxy) request: Request,
    /// When its first byte came.
    pub(in crate::proxy) started: Time,
    /// The server's side.
    pub(in crate::proxy) link: Link<N>,
    /// Towards the server.
    pub(in crate::proxy) upload: Upload<N>,
    /// Towards the client.
    pub(in crate::proxy) download: Download<N>,
    /// What was tried.
    pub(in crate::proxy) attempts: AttemptLog,
    /// Servers that were tried.
    pub(in crate::proxy) tried: Tried,
    /// When the first attempt began.
    pub(in crate::proxy) first_attempt: Time,
    /// Attempts that used up a try.
    pub(in crate::proxy) tries: u32,
    /// The client's address, where somebody speaks for it who may.
    pub(in crate::proxy) remote: Option<Address>,
    /// The page asked for in place of an error.
    pub(in crate::proxy) page: Option<Box<Page>>,
}

/// What an exchange wants after it was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// An event, or its deadline.
    Wait,
    /// To be called again after others.
    Again,
    /// Nothing: it is over.
    Over(Ending),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Connect,
    ServerTakes,
    ClientSends,
    ServerAnswers,
    ClientTakes,
    Tunnel,
}

impl<N: Net> Exchange<N> {
    /// Moves everything that can be moved.
    pub fn run(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Progress {
        for _ in 0..context.io.tuning.relay_rounds {
            match self.round(client, context) {
                Ok(true) | Err(Stop::Turned) => {}
                Ok(false) => return Progress::Wait,
                Err(Stop::Over(ending)) => return Progress::Over(ending),
            }
        }
        Progress::Again
    }

    /// Tries each direction once. Whether anything moved.
    fn round(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Result<bool, Stop> {
        if self.is_tunnel() {
            return self.relay(client, context);
        }
        self.look_for_client(client, context)?;
        let mut moved = self.connect(client, context)?;
        moved |= self.send(client, context)?;
        moved |= self.receive(client, context)?;
        moved |= self.deliver(client, context)?;
        if self.download.is_over() {
            return Err(self.ending(client, context).into());
        }
        Ok(moved)
    }

    /// Moves bytes through the tunnel that the exchange has become. Whether any moved.
    fn relay(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Result<bool, Stop> {
        let Phase::Tunnel(tunnel) = &mut self.download.phase else { return Ok(false) };
        let Link::Open { connection, .. } = &mut self.link else {
            return Err(Ending::Close.into());
        };
        // Who has to see a reset gets one by the tunnel's own doing.
        let passed = tunnel.pass(&mut client.socket, &mut connection.socket, &mut context.io);
        passed.map_err(|_| Ending::Close.into())
    }

    /// Moves the request towards the server. Whether anything moved.
    fn send(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Result<bool, Stop> {
        if self.upload.is_sent() {
            return Ok(false);
        }
        let broken = self.upload.taker == Taker::Broken;
        if !self.upload.sent && !broken && self.link.is_spoilt() {
            return Err(self.fail(Failure::Closed, client, context));
        }
        let most = self.settings().max_body;
        let Link::Open { connection, .. } = &mut self.link else { return Ok(false) };
        let (server, attempts) = (&mut connection.socket, &mut self.attempts);
        let step = self.upload.pump(most, client, server, attempts, &mut context.io);
        self.act(step, client, context)
    }

    /// Moves the response from the server. Whether anything moved.
    fn receive(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Result<bool, Stop> {
        if !self.link.is_readable() {
            return Ok(false);
        }
        let Some(limits) = self.head_limits() else { return Ok(false) };
        let taker = self.upload.taker;
        let Link::Open { connection, .. } = &mut self.link else { return Ok(false) };
        let (server, attempts) = (&mut connection.socket, &mut self.attempts);
        let step = self.download.pump(taker, limits, server, attempts, &mut context.io);
        self.act(step, client, context)
    }

    /// Moves the response to the client. Whether anything moved.
    fn deliver(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Result<bool, Stop> {
        let step = self.download.deliver(client, &mut context.io);
        self.act(step, client, context)
    }

    /// Acts on what a pump reports. Whether anything moved.
    #[inline(always)] // several times a round, and hardly ever is there anything to be done
    fn act(
        &mut self,
        step: Step,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Stop> {
        match step {
            Step::Idle => Ok(false),
            Step::Moved => Ok(true),
            Step::Head(_)
            | Step::Done
            | Step::Failed(_)
            | Step::Refused(_)
            | Step::Cut
            | Step::ClientGone => self.turn(step, client, context),
        }
    }

    /// The same for what changes the exchange's way.
    #[inline(never)]
    fn turn(
        &mut self,
        step: Step,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Stop> {
        let mut step = step;
        loop {
            match step {
                Step::Idle => return Ok(false),
                Step::Moved => return Ok(true),
                // Each turn but the last takes an interim response, and those are counted.
                Step::Head(length) => step = self.take_head(length, client, context)?,
                Step::Done => {
                    self.response_complete(context);
                    return Ok(true);
                }
                Step::Failed(failure) => return Err(self.fail(failure, client, context)),
                Step::Refused(refusal) => return Err(self.give_up(refusal, client, context)),
                Step::Cut => return Err(self.cut(context)),
                Step::ClientGone => return self.client_left().map(|()| true),
            }
        }
    }

    /// How large a response's head may be; `None` where no server is asked.
    pub(in crate::proxy) fn head_limits(&self) -> Option<HeadLimits> {
        let limit = self.proxy()?.head_limit;
        Some(HeadLimits { line: limit, total: limit })
    }

    /// Finds out whether a client that is said to have left has done so: its late answer must
    /// reach nobody, and the server should not go on for nothing.
    fn look_for_client(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Stop> {
        if self.download.client_gone {
            return Ok(());
        }
        if client.socket.is_broken() {
            return self.client_left();
        }
        // A refusal is told to the end: what was refused had come before the client's end did.
        if !client.socket.is_ending() || !self.upload.body.is_done() || self.download.refused {
            return Ok(());
        }
        while client.input.len() < RELAY_BUFFER {
            context.io.buffers.make_room(&mut client.input, RELAY_BUFFER);
            match client.socket.read(client.input.room()) {
                Moved::Bytes(count) => client.input.filled(count),
                Moved::Wait => break,
                Moved::End | Moved::Failed(_) => {
                    context.io.buffers.settle(&mut client.input);
                    return self.client_left();
                }
            }
        }
        context.io.buffers.settle(&mut client.input);
        Ok(())
    }

    /// The client left: so does the exchange, unless it was told not to mind.
    pub(in crate::proxy) fn client_left(&mut self) -> Result<(), Stop> {
        let ignored = self.proxy().is_some_and(|proxy| proxy.ignore_client_abort);
        if ignored && self.upload.body.is_done() {
            self.download.client_gone = true;
            return Ok(());
        }
        Err(Ending::ClientLeft.into())
    }

    /// How a response that has been delivered leaves the client's connection.
    fn ending(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Ending {
        self.drop_link(context);
        if self.download.client_gone {
            return Ending::ClientLeft;
        }
        let in_step = self.upload.body.is_done();
        match self.download.phase {
            Phase::Ended { whole: false, framed: true } => Ending::Close,
            Phase::Ended { whole: false, framed: false } => Ending::Reset,
            _ if self.download.keeps_client && in_step && !context.servers.draining => {
                // Body bytes that no server wanted any more must not become the next request.
                client.input.consume(self.upload.ready);
                self.upload.ready = 0;
                context.io.buffers.settle(&mut client.input);
                Ending::Keep
            }
            _ if self.download.refused => Ending::LingerBriefly,
            Phase::Ended { .. }
            | Phase::AwaitingHead { .. }
            | Phase::Body { .. }
            | Phase::Tunnel(_) => Ending::Linger,
        }
    }

    /// The moment by which something has to have happened.
    pub fn deadline(&self) -> Time {
        self.waits().map(|(deadline, _)| deadline).min().unwrap_or(Time::NEVER)
    }

    /// Acts on a deadline that has passed.
    pub fn expire(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Progress {
        let first = self.waits().min_by_key(|&(deadline, _)| deadline);
        let Some((_, waiting)) = first.filter(|&(deadline, _)| deadline <= context.io.now) else {
            return Progress::Wait;
        };
        let stop = match waiting {
            Waiting::Connect => self.fail(Failure::ConnectTimedOut, client, context),
            Waiting::ServerTakes => self.server_stalls(Failure::SendTimedOut, client, context),
            Waiting::ServerAnswers => self.server_stalls(Failure::ReadTimedOut, client, context),
            Waiting::ClientSends => self.client_is_silent(client, context),
            Waiting::ClientTakes => Ending::TimedOut.into(),
            Waiting::Tunnel => {
                if let (Phase::Tunnel(tunnel), Link::Open { connection, .. }) =
                    (&self.download.phase, &mut self.link)
                {
                    tunnel.cut(&mut client.socket, &mut connection.socket);
                }
                Ending::Close.into()
            }
        };
        match stop {
            Stop::Turned => self.run(client, context),
            Stop::Over(ending) => Progress::Over(ending),
        }
    }

    /// Everything that is waited for, with its deadline.
    fn waits(&self) -> impl Iterator<Item = (Time, Waiting)> {
        [self.wait_of_link(), self.wait_of_download()].into_iter().flatten()
    }

    fn wait_of_link(&self) -> Option<(Time, Waiting)> {
        let proxy = self.proxy()?;
        if let Phase::Tunnel(tunnel) = &self.download.phase {
            return Some((tunnel.since + proxy.read_timeout, Waiting::Tunnel));
        }
        match &self.link {
            Link::None => None,
            Link::Connecting { deadline, .. } => Some((*deadline, Waiting::Connect)),
            Link::Open { .. } if self.upload.is_over() => None,
            Link::Open { .. } if self.upload.is_pending() => {
                Some((self.upload.since + proxy.send_timeout, Waiting::ServerTakes))
            }
            Link::Open { .. } => {
                Some((self.upload.since + self.settings().body_timeout, Waiting::ClientSends))
            }
        }
    }

    fn wait_of_download(&self) -> Option<(Time, Waiting)> {
        if self.is_tunnel() {
            return None;
        }
        if self.download.is_pending() {
            return Some((
                self.download.since + self.settings().send_timeout,
                Waiting::ClientTakes,
            ));
        }
        let proxy = self.proxy()?;
        match &self.link {
            Link::Open { .. } if self.upload.is_over() => {
                let since = self.download.since.max(self.upload.since);
                Some((since + proxy.read_timeout, Waiting::ServerAnswers))
            }
            Link::Open { .. } | Link::Connecting { .. } | Link::None => None,
        }
    }

    /// Settings of the location, or of the server outside of all.
    pub(in crate::proxy) fn settings(&self) -> &LocationSettings {
        settings(&self.config, self.site)
    }

    /// How the location asks servers, if it does.
    pub(in crate::proxy) fn proxy(&self) -> Option<&ProxyPass> {
        match &location_of(&self.config, self.site)?.action {
            Action::Proxy(proxy) => Some(proxy),
            Action::Return(_) | Action::NotFound => None,
        }
    }

    /// Whether bytes pass unread.
    pub(in crate::proxy) fn is_tunnel(&self) -> bool {
        matches!(self.download.phase, Phase::Tunnel(_))
    }

    /// What variables stand for now.
    pub(in crate::proxy) fn scope<'a>(
        &'a self,
        client: &'a Client<N>,
        context: &Context<N>,
    ) -> Scope<'a> {
        Scope {
            config: &self.config,
            site: self.site,
            request: &self.request,
            page: self.page.as_deref(),
            client: &client.facts,
            remote: self.remote.as_ref().unwrap_or(&client.facts.peer),
            keys: context.keys.clone(),
            attempts: &self.attempts,
            answer: Answered {
                status: self.download.status,
                sent: self.download.sent,
                body: self.download.sent.saturating_sub(self.download.head_length),
                head: self.download.head_sent.bytes(),
                upstream_head: self.download.head_received.bytes(),
            },
            started: self.started,
            now: context.io.now,
            wall: context.io.net.wall(context.io.now),
        }
    }

    /// Whether the connect under way goes to this server.
    pub fn is_moved_by(&self, news: &News) -> bool {
        match (&self.link, self.proxy(), news) {
            (Link::Connecting { pick, .. }, Some(proxy), News::Out(at)) => {
                let (generation, group) = (self.generation, proxy.group);
                *at == At { generation, group, server: pick.server }
            }
            (Link::Connecting { .. } | Link::Open { .. } | Link::None, _, _) => false,
        }
    }

    /// Why it is to be closed if it began with this configuration or an older one: `None` if not.
    pub fn outlives(&mut self, generation: u64, client: &mut Client<N>) -> Option<CloseReason> {
        if self.generation > generation {
            return None;
        }
        if let (Phase::Tunnel(tunnel), Link::Open { connection, .. }) =
            (&self.download.phase, &mut self.link)
        {
            tunnel.cut(&mut client.socket, &mut connection.socket);
            return Some(CloseReason::Done);
        }
        Some(CloseReason::Cut)
    }

    /// Notes an event of the server's socket.
    pub fn note_upstream(&mut self, event: &crate::net::Event) {
        if let Some(socket) = self.link.socket() {
            socket.note(event);
        }
    }

    /// Closes the connection to the server, if there is one; it is not to be blamed.
    pub(in crate::proxy) fn drop_link(&mut self, context: &mut Context<N>) {
        self.end_link(Verdict::Abandoned, context);
    }

    /// Closes the connection to the server with a verdict.
    pub(in crate::proxy) fn end_link(&mut self, verdict: Verdict, context: &mut Context<N>) {
        let (mut socket, pick) = match std::mem::replace(&mut self.link, Link::None) {
            Link::None => return,
            Link::Connecting { socket, pick, .. } => (socket, pick),
            Link::Open { connection, pick, .. } => (connection.socket, pick),
        };
        // A server that is about to switch would take our end for all that the client has to say.
        let switches = self.download.asked_upgrade
            && matches!(self.download.phase, Phase::AwaitingHead { .. });
        if switches {
            socket.reset_on_close();
        }
        context.io.close(socket);
        self.conclude(pick, verdict, context);
    }

    /// Gives a server back with a verdict.
    pub(in crate::proxy) fn conclude(
        &mut self,
        pick: Pick,
        verdict: Verdict,
        context: &mut Context<N>,
    ) {
        if let Some(group) = self.proxy().map(|proxy| proxy.group) {
            context.servers.conclude(self.generation, group, pick, verdict, &mut context.io);
        }
    }

    /// Writes the log lines and gives everything back that is not the exchange's own.
    pub fn finish(&mut self, client: &Client<N>, context: &mut Context<N>) {
        self.account_for_tunnel(context);
        self.drop_link(context);
        let now = context.io.now;
        self.attempts.ended(None, now);
        self.log(client, context);
        self.upload.release(&mut context.io);
        self.download.release(&mut context.io);
        context.io.buffers.clear(&mut self.request.head);
        context.places.give(std::mem::take(&mut self.request.places));
    }
}
