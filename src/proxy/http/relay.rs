//! The relay of one exchange: each direction is tried once a round, heads are judged, and whatever
//! is waited for has its deadline. What follows is decided in [`super::exchange`].

use super::asked::Asked;
use super::download::{Download, Wanted};
use super::ending::Ending;
use super::exchange::{Exchange, Over, Turn};
use super::link::{Link, Origin};
use super::page::Replaced;
use super::request_head;
use super::response_head::{self, CutShown, Final, Passing};
use super::step::Step;
use super::transition::Event;
use super::upload::RELAY_BUFFER;
use super::variables::Scope;
use crate::config::model::{HalfClose, ProxyPass};
use crate::http::connection::Options;
use crate::http::fields::Known;
use crate::http::framing;
use crate::http::head::{self, HeadLimits, ResponseHead, Version};
use crate::http::refusal::Refusal;
use crate::net::{Event as NetEvent, Net};
use crate::proxy::attempts::{Attempts, Begun};
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::log::limited_log::Named;
use crate::proxy::servers::{News, Seen};
use crate::time::Time;
use crate::transport::dial::Dialled;
use crate::transport::io::Owner;
use crate::transport::pool::Connection;
use crate::transport::tunnel::{Direction, Tunnel};
use crate::upstream::group::{At, Pick, Verdict};
use crate::upstream::plan::Choice;
use crate::upstream::retry::Failure;

/// What an exchange is when both sides have agreed on another protocol.
pub struct Upgraded<N: Net> {
    /// The request.
    pub asked: Asked,
    /// What was sent of the response.
    pub download: Download<N>,
    /// What was tried.
    pub attempts: Attempts,
    /// The connection to the server.
    pub connection: Connection<N>,
    /// The server.
    pub pick: Pick,
    /// What passes from now on.
    pub tunnel: Tunnel<N>,
}

/// What a response head is.
enum Judged {
    Bad,
    Interim,
    Begun(Passing),
    Upgraded,
    Moves(u16, Choice),
    Replaced(Replaced),
}

impl<N: Net> Exchange<N> {
    /// Asks a server: on a connection from the pool, or on a new one.
    pub(super) fn attempt(
        &mut self,
        pick: Pick,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Turn {
        let At { group, server } = pick.at;
        self.attempts.log.begin(group.id, Some(server), context.io.now);
        let bind = self.asked.pass().bind;
        let Some(mut connection) = context.servers.group(group).1.take(server, bind) else {
            return self.dial(pick, client, context);
        };
        connection.requests += 1;
        let token = connection.socket.token();
        context.io.owners[token.0] = Owner::Upstream(client.facts.session);
        self.open(connection, pick, Origin::Pool, client, context);
        Turn::Rest
    }

    pub(super) fn dial(
        &mut self,
        pick: Pick,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Turn {
        let (terms, owner) = (self.asked.terms(), Owner::Upstream(client.facts.session));
        let words = || self.asked.words(Refusal::NoResources.status());
        match self.attempts.dial(pick, &terms, owner, words, context) {
            Begun::Dialling(dial, pick) => {
                self.link = Link::Connecting { dial, pick };
                Turn::Rest
            }
            Begun::Lacking => Turn::Meet(Event::Refused(Refusal::NoResources)),
            Begun::Failed(pick, failure) => self.move_on(pick, failure, context),
        }
    }

    /// The connection stands: the head is written for its server, and the body begins anew.
    pub(super) fn open(
        &mut self,
        connection: Connection<N>,
        pick: Pick,
        origin: Origin,
        client: &Client<N>,
        context: &mut Context<N>,
    ) {
        let now = context.io.now;
        self.attempts.log.connected(now);
        let scope = self.scope(client, context);
        let written = request_head::write(self.asked.pass(), &scope, &mut context.scratch);
        self.upload.rewind(&context.scratch.head, &mut context.io.buffers, now);
        context.scratch.clear_head();
        self.download.want(written.wanted);
        self.link = Link::Open { connection, pick, origin, afterwards: written.afterwards };
        if written.continues && !self.download.continued {
            self.download.continued = true;
            let buffers = &mut context.io.buffers;
            self.download.say(b"HTTP/1.1 100 Continue\r\n\r\n", Seen::Never, buffers);
        }
    }

    /// Tries each direction once. Whether anything moved.
    ///
    /// # Errors
    /// It is over.
    pub fn round(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Over> {
        let step = self.look_for_client(client, context);
        let mut moved = self.act(step, client, context)?;
        let step = self.connect(client, context);
        moved |= self.act(step, client, context)?;
        let step = self.send(client, context);
        moved |= self.act(step, client, context)?;
        let step = self.receive(context);
        moved |= self.act(step, client, context)?;
        let step = self.download.deliver(&mut client.socket, &mut context.io);
        moved |= self.act(step, client, context)?;
        if self.download.is_over() {
            return Err(Over::Ended(self.delivered(context)));
        }
        Ok(moved)
    }

    /// Finds out whether a client that is said to have left has done so: its late answer must
    /// reach no other client, and the server should not go on for nothing.
    fn look_for_client(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Step {
        if self.download.is_unheard() {
            return Step::Idle;
        }
        if client.socket.is_broken() {
            return Step::ClientGone;
        }
        // A refusal is told to the end: what was refused had come before the client's end did.
        let is_refusal = self.ending == Ending::LingerBriefly;
        if !client.socket.is_ending() || !self.upload.is_received() || is_refusal {
            return Step::Idle;
        }
        match self.upload.look_for_end(&mut client.socket, &mut context.io) {
            true => Step::ClientGone,
            false => Step::Idle,
        }
    }

    /// Looks after a connect under way.
    fn connect(&mut self, client: &Client<N>, context: &mut Context<N>) -> Step {
        let Link::Connecting { dial, .. } = &mut self.link else { return Step::Idle };
        match dial.poll(context.io.now) {
            Dialled::Pending => return Step::Idle,
            Dialled::Failed(failure) => return Step::Failed(failure),
            Dialled::Open => {}
        }
        if let Some((socket, pick)) = self.link.take() {
            let (opened, bind) = (context.io.now, self.asked.pass().bind);
            let connection = Connection { socket, requests: 1, opened, bind };
            self.open(connection, pick, Origin::Made, client, context);
        }
        Step::Moved
    }

    /// Moves the request towards the server.
    fn send(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Step {
        if self.upload.is_over() {
            return Step::Idle;
        }
        if !self.upload.has_begun() && self.link.is_spoilt() {
            return Step::Failed(Failure::Closed);
        }
        let most = self.asked.settings().max_body;
        let Link::Open { connection, .. } = &mut self.link else { return Step::Idle };
        let (client, server) = (&mut client.socket, &mut connection.socket);
        self.upload.pump(most, client, server, &mut self.attempts.log, &mut context.io)
    }

    /// Moves the response from the server.
    fn receive(&mut self, context: &mut Context<N>) -> Step {
        if !self.link.is_readable() {
            return Step::Idle;
        }
        let (taker, limits) = (self.upload.taker(), head_limits(self.asked.pass()));
        let Link::Open { connection, .. } = &mut self.link else { return Step::Idle };
        let (server, attempts) = (&mut connection.socket, &mut self.attempts.log);
        self.download.pump(taker, limits, server, attempts, &mut context.io)
    }

    /// Takes a whole head: a response that can be passed on begins, or something else happens.
    pub(super) fn judge(
        &mut self,
        length: usize,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Turn {
        let mut raw = self.download.take_head();
        let mut places = std::mem::take(&mut context.scratch.places);
        let bytes = &raw.bytes()[..length];
        let judged = match head::parse_response(bytes, &mut places) {
            Ok(head) => self.judge_head(&head, bytes, client, context),
            Err(_) => Judged::Bad,
        };
        context.scratch.places = places;
        raw.consume(length);
        self.download.put_back(raw);
        let io = &mut context.io;
        match judged {
            Judged::Bad => Turn::Meet(Event::Failed(Failure::BadResponse)),
            Judged::Upgraded => Turn::End(Over::Upgraded),
            Judged::Moves(status, next) => self.move_to(status, next, context),
            Judged::Replaced(replaced) => Turn::Replace(replaced),
            Judged::Interim => {
                let limits = head_limits(self.asked.pass());
                Turn::of(self.download.after_interim(
                    limits,
                    &mut self.attempts.log,
                    &mut io.buffers,
                ))
            }
            Judged::Begun(passing) => {
                self.upload.stop_recording(&mut io.buffers);
                Turn::of(self.download.begin(passing, &mut self.attempts.log, io))
            }
        }
    }

    fn judge_head(
        &mut self,
        head: &ResponseHead<'_>,
        bytes: &[u8],
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Judged {
        let Ok(options) = Options::of(head.fields) else { return Judged::Bad };
        if head.status < 200 {
            return self.judge_interim(head, options, context);
        }
        let to_head = self.asked.request.is_head;
        let Ok(framing) = framing::of_response(head, to_head) else { return Judged::Bad };
        if self.asked.pass().next.statuses.lists(head.status) {
            let (failure, request) = (Failure::Status(head.status), self.repeatable());
            let next = self.attempts.next(failure, request, &self.asked.terms(), context);
            if let Choice::Server(_) = next {
                return Judged::Moves(head.status, next);
            }
        }
        self.attempts.log.answered(head.status, context.io.now);
        let seen = context.servers.seen(self.asked.generation);
        if seen == Seen::ByValues {
            self.download.keep_received(bytes, &mut context.io.buffers);
        }
        if self.asked.pass().intercept_errors && self.asked.error_page(head.status).is_some() {
            return Judged::Replaced(response_head::replaced(head));
        }
        let version = self.asked.request.version;
        let (out, passing) = response_head::passing(head, options, framing, version);
        if passing.cut == CutShown::ByReset {
            self.ending.fall(Ending::Linger);
        }
        self.settle_client(client, context);
        let status = self.asked.status_shown(head.status);
        self.download.status = status;
        if response_head::has_location(head) {
            self.asked.forget_location();
        }
        let scope = self.scope(client, context);
        Final::of(head, options, out, status, self.asked.pass()).write(
            scope,
            self.ending,
            seen,
            &mut context.scratch,
        );
        self.say_head(seen, context);
        Judged::Begun(passing)
    }

    /// 1xx: passed on to clients that know it. RFC 9110, section 15.2.
    fn judge_interim(
        &mut self,
        head: &ResponseHead<'_>,
        options: Options,
        context: &mut Context<N>,
    ) -> Judged {
        let Some(awaited) = self.download.awaited() else { return Judged::Bad };
        awaited.interim += 1;
        let (interim, wanted) = (awaited.interim, awaited.wanted);
        let framed = !matches!(framing::declared(head.fields, head.version), Ok(None));
        if framed || interim > MAX_INTERIM || head.version == Version::Http10 {
            return Judged::Bad;
        }
        let upgrade = head.fields.values(Known::Upgrade).next();
        if head.status == 101 {
            // The server may change the protocol if it was asked to, and has heard all of the request.
            if wanted == Wanted::Response || !self.upload.is_sent() || upgrade.is_none() {
                return Judged::Bad;
            }
            self.attempts.log.answered(head.status, context.io.now);
            self.download.status = head.status;
            response_head::write_interim(head, options, upgrade, &mut context.scratch.head);
            self.say_head(context.servers.seen(self.asked.generation), context);
            return Judged::Upgraded;
        }
        let repeated = head.status == 100 && std::mem::replace(&mut self.download.continued, true);
        if self.asked.request.version == Version::Http11 && !repeated {
            response_head::write_interim(head, options, None, &mut context.scratch.head);
            self.say_head(Seen::Never, context);
        }
        Judged::Interim
    }

    /// Sends the head in [`Scratch::head`], and empties that.
    pub(super) fn say_head(&mut self, seen: Seen, context: &mut Context<N>) {
        self.download.say(&context.scratch.head, seen, &mut context.io.buffers);
        context.scratch.clear_head();
    }

    /// The moment by which something has to have happened.
    pub fn deadline(&self) -> Time {
        self.waits().map(|(deadline, _)| deadline).min().unwrap_or(Time::NEVER)
    }

    /// What has happened if the deadline has passed.
    pub fn expired(&self, now: Time) -> Option<Event> {
        let first = self.waits().min_by_key(|&(deadline, _)| deadline);
        first.filter(|&(deadline, _)| deadline <= now).map(|(_, event)| event)
    }

    /// What is waited for: when it is too late, and what has happened then.
    fn waits(&self) -> impl Iterator<Item = (Time, Event)> {
        [self.wait_of_link(), self.wait_of_client()].into_iter().flatten()
    }

    fn wait_of_link(&self) -> Option<(Time, Event)> {
        let proxy = self.asked.proxy()?;
        let since = self.upload.since();
        match &self.link {
            Link::None => None,
            Link::Connecting { dial, .. } => {
                Some((dial.deadline(), Event::Failed(Failure::ConnectTimedOut)))
            }
            Link::Open { .. } if self.upload.is_over() => {
                // While the client takes nothing, the server is not asked for more.
                let since = self.download.since().max(since);
                let event = Event::Failed(Failure::ReadTimedOut);
                (!self.download.is_pending()).then_some((since + proxy.read_timeout, event))
            }
            Link::Open { .. } if self.upload.is_pending() => {
                Some((since + proxy.send_timeout, Event::Failed(Failure::SendTimedOut)))
            }
            Link::Open { .. } => {
                let timeout = self.asked.settings().body_timeout;
                Some((since + timeout, Event::Refused(Refusal::BodyTimedOut)))
            }
        }
    }

    fn wait_of_client(&self) -> Option<(Time, Event)> {
        let deadline = self.download.since() + self.asked.settings().send_timeout;
        self.download.is_pending().then_some((deadline, Event::ClientStalled))
    }

    /// Closes the connection to the server with a verdict, if there is one.
    pub(super) fn end_link(&mut self, verdict: Verdict, context: &mut Context<N>) {
        if let Some(pick) = self.close_link(context) {
            context.servers.conclude(pick, verdict, &mut context.io);
        }
    }

    /// Closes the connection to the server, which is returned for a verdict.
    pub(super) fn close_link(&mut self, context: &mut Context<N>) -> Option<Pick> {
        let (mut socket, pick) = self.link.take()?;
        // A server that is about to switch would take our end for all that the client has to say.
        if self.download.awaits_upgrade() {
            socket.reset_on_close();
        }
        context.io.close(socket);
        Some(pick)
    }

    pub(super) fn scope<'a>(&'a self, client: &'a Client<N>, context: &Context<N>) -> Scope<'a> {
        self.asked.scope(client, &self.attempts.log, self.download.answered(), context)
    }

    /// The group and the server of the current attempt in log lines.
    pub(super) fn server_words(&self) -> String {
        let Some(At { group, server }) = self.link.server() else { return "a server".to_owned() };
        let group = &self.asked.config.groups[group.id.0];
        format!("upstream \"{}\": {}", group.name, Named(&group.servers[server.0]))
    }

    /// Whether the connect under way goes to a server that is out now.
    pub fn is_moved_by(&self, news: &News) -> bool {
        match (&self.link, news) {
            (Link::Connecting { pick, .. }, News::Out(at)) => pick.at == *at,
            (Link::Connecting { .. } | Link::Open { .. } | Link::None, _) => false,
        }
    }

    /// Whether the client has sent the whole body.
    pub fn has_received(&self) -> bool {
        self.upload.is_received()
    }

    /// Notes an event of the server's socket.
    pub fn note_upstream(&mut self, event: &NetEvent) {
        self.link.note(event);
    }

    /// Takes it apart where bytes pass unread from now on, behind what is in hand. `None`: there is
    /// no server that agreed to it.
    pub fn upgrade(mut self, context: &mut Context<N>) -> Option<Upgraded<N>> {
        let link = std::mem::replace(&mut self.link, Link::None);
        let Link::Open { connection, mut pick, .. } = link else { return None };
        context.servers.succeed_early(&mut pick, &mut context.io);
        let (now, io) = (context.io.now, &mut context.io);
        let up = self.upload.take_flow(&mut io.buffers, now);
        self.upload.release(io);
        let (down, received) = self.download.take_flow(&mut io.buffers, now);
        let up = Direction::new(up);
        let down = Direction::behind(down, received);
        let tunnel = Tunnel::new(up, down, RELAY_BUFFER, HalfClose::Passed, now);
        let Exchange { asked, download, attempts, .. } = self;
        Some(Upgraded { asked, download, attempts, connection, pick, tunnel })
    }

    /// Writes the log lines and gives everything back that is not the exchange's own; the client
    /// gets back what it has sent.
    pub fn finish(&mut self, client: &mut Client<N>, context: &mut Context<N>) {
        self.end_link(Verdict::Abandoned, context);
        self.attempts.log.ended(None, context.io.now);
        if self.download.status == 0 {
            self.download.status = CLIENT_LEFT;
        }
        self.asked.log(client, &self.attempts.log, self.download.answered(), context);
        client.input = self.upload.release(&mut context.io);
        self.download.release(&mut context.io);
        self.asked.release(context);
    }
}

/// How large a response's head may be.
fn head_limits(proxy: &ProxyPass) -> HeadLimits {
    HeadLimits { line: proxy.head_limit, total: proxy.head_limit }
}

/// Interim responses that one exchange may bring.
const MAX_INTERIM: u32 = 64;
/// The status in log lines for a client that left before there was one. nginx's number.
const CLIENT_LEFT: u16 = 499;
