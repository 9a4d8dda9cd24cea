//! One request and its response, from the head to the last byte, with all transitions.
//!
//! Two directions move independently: the request ([`Upload`]) and the response ([`Download`]).
//! Between them is the [`Link`] to the server of the current attempt. The pumps of both report what
//! they met as a [`Step`]; [`decide`] says what follows, and one loop does it: each transition
//! returns the next [`Turn`]. No byte of a final response reaches the client before its head is
//! complete and accepted; until then another server may be asked.

use std::sync::Arc;

use super::asked::Asked;
use super::control;
use super::download::Download;
use super::ending::Ending;
use super::error_page::{Leads, leads};
use super::judge::{Judge, Judged};
use super::link::{Afterwards, Closing, Link, Origin};
use super::own_answer::OwnAnswer;
use super::page::{Page, Replaced};
use super::queue::{self, Requester};
use super::reply::Reply;
use super::request_head::{self, Written};
use super::response_head::{CutShown, Left};
use super::route::{self, location_of};
use super::taken;
use super::transition::{ExchangeEvent, ExchangeState, Reaction, decide, refusal_of};
use super::turn::{Over, Turn};
use super::upload::Upload;
use super::variables::RequestScope;
use super::way::Way;
use crate::config::model::{Action, ProxyVersion};
use crate::http::framing::Framing;
use crate::http::refusal::Refusal;
use crate::net::Net;
use crate::proxy::attempts::{Attempts, Begun};
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::generation::Seen;
use crate::transport::io::Owner;
use crate::transport::pool::Connection;
use crate::upstream::group::{At, Pick, Verdict};
use crate::upstream::plan::Choice;
use crate::upstream::retry::Failure;

/// One request being served.
pub struct Exchange<N: Net> {
    /// The request and its site.
    pub asked: Asked,
    /// The attempts at servers.
    pub(super) attempts: Attempts,
    /// The connection to the server.
    pub(super) link: Link<N>,
    /// The direction to the server.
    pub(super) upload: Upload<N>,
    /// The direction to the client.
    pub(super) download: Download<N>,
    /// What happens to the client's connection afterwards.
    pub(super) ending: Ending,
}

impl<N: Net> Exchange<N> {
    /// Follows transitions until only bytes are left to move. The loop ends because each server is
    /// tried once and interim responses are limited.
    #[inline(never)]
    pub(super) fn turn(
        &mut self,
        turn: Turn,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Over> {
        let mut turn = turn;
        loop {
            turn = match turn {
                Turn::Rest => return Ok(()),
                Turn::End(over) => return Err(over),
                Turn::Serve => self.serve(client, context),
                Turn::Choose => self.choose(client, context),
                Turn::Look => self.look_again(client, context),
                Turn::Try(pick) => self.attempt(pick, client, context),
                Turn::Judge(length) => self.judge(length, client, context),
                Turn::Weigh => self.weigh(client, context),
                Turn::Answer(answer) => self.reply().answer(answer),
                Turn::Write(answer) => self.reply().write(&answer, client, context),
                Turn::Replace(replaced) => self.replace(replaced, client, context),
                Turn::Event(event) => match decide(self.state(), event) {
                    Reaction::Ignore => Turn::Rest,
                    Reaction::Resend => self.resend(client, context),
                    Reaction::Retry(failure) => self.retry(failure, client, context),
                    Reaction::GiveUp(failure) => self.give_up(failure, context),
                    Reaction::Refuse(refusal) => self.refuse(refusal, client, context),
                    Reaction::Cut => self.cut(context),
                    Reaction::Complete => self.complete(context),
                    Reaction::Leave => self.leave(),
                    Reaction::Stall => Turn::End(Over::Ended(Ending::TimedOut)),
                    Reaction::Look => Turn::Look,
                    Reaction::EndWait => self.end_wait(client, context),
                },
            }
        }
    }

    fn state(&self) -> ExchangeState {
        ExchangeState {
            link: self.link.state(),
            upload: self.asked.upload_state(&self.upload),
            download: self.download.state(),
        }
    }

    /// Finds the location, and applies its rules to the request.
    pub(super) fn enter(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Turn {
        let config = Arc::clone(&self.asked.config);
        let server = &config.virtual_servers[self.asked.site.server.0];
        match &server.answer {
            Some(answer) => self.reply().returned(answer, client, context),
            None => self.asked.find_location(client, &self.attempts.log, context),
        }
    }

    /// Does what the location says: ask servers, or answer.
    fn serve(&mut self, client: &Client<N>, context: &mut Context<N>) -> Turn {
        let config = Arc::clone(&self.asked.config);
        match location_of(&config, self.asked.site).map(|location| &location.action) {
            Some(Action::Proxy(_)) => self.ask(client, context),
            Some(Action::Return(answer)) => self.reply().returned(answer, client, context),
            Some(Action::Control) => Turn::Write(control::answer(&self.asked.request, context)),
            Some(Action::NotFound) | None => {
                let page = self.asked.page.as_ref();
                let status = page.map_or(404, |page| page.replaced.status);
                Turn::Answer(OwnAnswer::page(status, ""))
            }
        }
    }

    /// The parts that an answer of our own needs.
    fn reply(&mut self) -> Reply<'_, N> {
        Reply {
            asked: &mut self.asked,
            attempts: &self.attempts.log,
            upload: &mut self.upload,
            download: &mut self.download,
            ending: &mut self.ending,
        }
    }

    /// Gives up on servers and answers with a refusal.
    fn refuse(&mut self, refusal: Refusal, client: &Client<N>, context: &mut Context<N>) -> Turn {
        self.end_link(Verdict::Abandoned, context);
        self.download.start_over(&mut context.io.buffers, context.io.now);
        if refusal.ends_the_connection() {
            self.ending.fall(Ending::LingerBriefly);
            let (request, peer) = (self.asked.shown(), &client.facts.peer);
            log::debug!("{request} from {peer}: {}", refusal.words());
        }
        Turn::Answer(OwnAnswer::page(refusal.status(), refusal.words()))
    }

    /// Requests the page that replaces an answer.
    fn replace(
        &mut self,
        replaced: Replaced,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Turn {
        let leads = leads(&self.asked, replaced.status, &self.scope(client, context));
        // A server that is still linked has answered properly; only its answer is replaced.
        self.end_link(Verdict::Succeeded, context);
        self.download.start_over(&mut context.io.buffers, context.io.now);
        match leads {
            Leads::Elsewhere(answer) => Turn::Write(answer),
            Leads::To { path, query, tells } => {
                let locations = &self.asked.virtual_server().locations;
                self.asked.site.location = route::location(locations, &path);
                self.asked.page = Some(Box::new(Page { path, query, replaced, tells }));
                self.upload.divert(&mut context.io);
                Turn::Serve
            }
        }
    }

    /// Starts asking the servers of the location's group.
    fn ask(&mut self, client: &Client<N>, context: &mut Context<N>) -> Turn {
        match self.asked.direct(context) {
            Way::Ask => {}
            way @ (Way::Hold { .. } | Way::Refuse(_) | Way::Tell(_)) => {
                return self.follow(way, client, context);
            }
        }
        if let Some(limit) = self.asked.replay_limit() {
            self.upload.record(limit);
        }
        let proxy = self.asked.pass();
        if proxy.version == ProxyVersion::Http10 && self.asked.request.framing == Framing::Chunked {
            return Turn::refused(Refusal::LengthRequired);
        }
        if !self.asked.is_read_first(&self.upload) {
            return Turn::Choose;
        }
        self.link = Link::Collecting;
        if self.asked.request.expects_continue {
            self.say_continue(context);
        }
        Turn::Rest
    }

    /// Chooses the server of the first attempt.
    fn choose(&mut self, client: &Client<N>, context: &mut Context<N>) -> Turn {
        self.link = Link::None;
        if self.asked.is_outdated(&self.upload, context) {
            return Turn::Look;
        }
        self.asked.direct_statement(&mut self.upload, context);
        let words = self.asked.words_of_wait();
        match self.attempts.first(&self.asked.terms(), words, context) {
            Choice::Server(pick) => Turn::Try(pick),
            Choice::NoneFree | Choice::Exhausted => self.hold(Refusal::NoServer, client, context),
        }
    }

    /// Does what follows without a server.
    fn follow(&mut self, way: Way, client: &Client<N>, context: &mut Context<N>) -> Turn {
        match way {
            Way::Ask => return Turn::Serve,
            Way::Refuse(refusal) => return Turn::refused(refusal),
            Way::Hold { until, place } => {
                self.link = Link::Held { group: self.asked.group(), until, place };
            }
            Way::Tell(told) => {
                let requester = Requester { client, attempts: &self.attempts.log };
                return Turn::Write(queue::told(told, &self.asked, requester, context));
            }
        }
        Turn::Rest
    }

    /// Lets the request wait until a server is ready, if the group has a queue; else refuses it.
    fn hold(&mut self, refusal: Refusal, client: &Client<N>, context: &mut Context<N>) -> Turn {
        let requester = Requester { client, attempts: &self.attempts.log };
        let way = queue::enter(&self.asked, &self.upload, refusal, requester, context);
        self.follow(way, client, context)
    }

    /// Looks for a server again, after news of one or a reload.
    fn look_again(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Turn {
        self.end_link(Verdict::Abandoned, context);
        if self.asked.generation == context.servers.generation() || self.asked.page.is_some() {
            return Turn::Serve;
        }
        if !self.asked.renew(client, context) {
            return Turn::refused(Refusal::NoServer);
        }
        self.enter(client, context)
    }

    /// The request has waited as long as it may.
    fn end_wait(&mut self, client: &Client<N>, context: &mut Context<N>) -> Turn {
        self.end_link(Verdict::Abandoned, context);
        let way = queue::ended(&self.asked, context);
        self.follow(way, client, context)
    }

    /// Starts an attempt, on a pooled connection or a new one.
    fn attempt(&mut self, pick: Pick, client: &Client<N>, context: &mut Context<N>) -> Turn {
        let At { group, server } = pick.at;
        self.attempts.log.begin(group.id, Some(server), context.io.now);
        let bind = self.asked.pass().bind;
        let Some(mut connection) = context.servers.pool(group).take(server, bind) else {
            return self.dial(pick, client, context);
        };
        connection.requests += 1;
        let token = connection.socket.token();
        context.io.owners[token.0] = Owner::Upstream(client.facts.session);
        self.open(connection, pick, Origin::Pool, client, context);
        Turn::Rest
    }

    fn dial(&mut self, pick: Pick, client: &Client<N>, context: &mut Context<N>) -> Turn {
        let (terms, owner) = (self.asked.terms(), Owner::Upstream(client.facts.session));
        let words = || self.asked.words(Refusal::NoResources.status());
        match self.attempts.dial(pick, &terms, owner, words, context) {
            Begun::Dialling(dial, pick) => {
                self.link = Link::Connecting { dial, pick };
                Turn::Rest
            }
            Begun::Lacking => Turn::refused(Refusal::NoResources),
            Begun::Failed(pick, failure) => self.move_on(pick, failure, client, context),
        }
    }

    /// The connection is open: writes the head for this server, and rewinds the body.
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
        if let Some(id) = self.asked.direction.undelivered() {
            context.servers.ledger(pick.at.group).begun(id);
        }
        let forwarded = context.servers.group(pick.at.group).forwarded(pick.at.server);
        let towards = self.asked.towards(forwarded);
        let scope = self.scope(client, context);
        let written = request_head::write(self.asked.pass(), &scope, towards, &mut context.scratch);
        self.upload.rewind(&context.scratch.head, &mut context.io.buffers, now);
        context.scratch.clear_head();
        self.download.want(written.wanted);
        let Written { afterwards, forwarded, .. } = written;
        self.link = Link::Open { connection, pick, origin, afterwards, forwarded };
        if written.continues {
            self.say_continue(context);
        }
    }

    /// Tells the client to send the body, unless it was told.
    fn say_continue(&mut self, context: &mut Context<N>) {
        if !std::mem::replace(&mut self.download.continued, true) {
            let buffers = &mut context.io.buffers;
            self.download.say(b"HTTP/1.1 100 Continue\r\n\r\n", Seen::Never, buffers);
        }
    }

    /// Asks the same server again, on a new connection.
    fn resend(&mut self, client: &Client<N>, context: &mut Context<N>) -> Turn {
        let Some(pick) = self.close_link(context) else { return Turn::Rest };
        self.download.start_over(&mut context.io.buffers, context.io.now);
        self.dial(pick, client, context)
    }

    /// Retries after an attempt that failed before any byte of a final response reached the client.
    fn retry(&mut self, failure: Failure, client: &Client<N>, context: &mut Context<N>) -> Turn {
        match self.close_link(context) {
            Some(pick) => self.move_on(pick, failure, client, context),
            None => Turn::Rest,
        }
    }

    /// Blames the server, and asks another one if that is allowed.
    fn move_on(
        &mut self,
        pick: Pick,
        failure: Failure,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Turn {
        let (request, terms) = (self.asked.repeatable(&self.upload), self.asked.terms());
        let words = || self.asked.outlook(failure.status());
        let choice = self.attempts.failed(pick, failure, request, &terms, words, context);
        self.download.start_over(&mut context.io.buffers, context.io.now);
        match choice {
            Choice::Server(next) => Turn::Try(next),
            // The failure may have shown that the query is lost.
            Choice::NoneFree | Choice::Exhausted if self.asked.is_gone(context) => Turn::Serve,
            _ if self.asked.is_outdated(&self.upload, context) => Turn::Look,
            Choice::NoneFree | Choice::Exhausted => self.hold(refusal_of(failure), client, context),
        }
    }

    /// Asks another server, because the status says that this one does not answer; `None` if no other
    /// can be asked now.
    fn move_to(
        &mut self,
        failure: Failure,
        next: Option<Pick>,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Turn {
        let status = failure.status();
        self.attempts.log.answered(status, context.io.now);
        self.attempts.log.ended(Some(status), context.io.now);
        let next_server = next.as_ref().map(|next| next.at.server);
        let at = self.link.server();
        self.asked.say_failure(at, failure, next_server, &self.attempts, context);
        self.end_link(failure.into(), context);
        self.download.start_over(&mut context.io.buffers, context.io.now);
        match next {
            Some(next) => Turn::Try(next),
            None => self.hold(refusal_of(failure), client, context),
        }
    }

    /// The last byte of the response is read: frees the server for other requests.
    fn complete(&mut self, context: &mut Context<N>) -> Turn {
        let left = self.download.complete(&mut context.io.buffers);
        self.attempts.log.ended(None, context.io.now);
        let link = std::mem::replace(&mut self.link, Link::None);
        let Link::Open { connection, pick, afterwards, .. } = link else { return Turn::Rest };
        let at = pick.at;
        context.servers.conclude(pick, Verdict::Succeeded, &mut context.io);
        match (left, afterwards) {
            (Left::Clean, Afterwards::Pool) if self.upload.is_sent() => {
                context.servers.keep(at, connection, &mut context.io);
            }
            (Left::Clean | Left::Spent, _) => context.io.close(connection.socket),
        }
        Turn::Rest
    }

    /// Ends the response early. The client gets what was already read, and must see the cut.
    fn cut(&mut self, context: &mut Context<N>) -> Turn {
        self.asked.say_cut(self.link.server(), context);
        self.ending.fall(match self.download.cut(&mut context.io.buffers) {
            CutShown::ByFraming => Ending::Close,
            CutShown::ByReset => Ending::Reset,
        });
        self.end_link(Verdict::Abandoned, context);
        Turn::Rest
    }

    /// Answers for a pooled connection that failed when the request may not be sent again.
    fn give_up(&mut self, failure: Failure, context: &mut Context<N>) -> Turn {
        self.asked.say_failure(self.link.server(), failure, None, &self.attempts, context);
        Turn::refused(refusal_of(failure))
    }

    /// Closes the connection to the server, if there is one, with a verdict.
    pub(super) fn end_link(&mut self, verdict: Verdict, context: &mut Context<N>) {
        if let Some(pick) = self.close_link(context) {
            context.servers.conclude(pick, verdict, &mut context.io);
        }
    }

    /// Closes the connection to the server, and returns its pick, which still needs a verdict.
    fn close_link(&mut self, context: &mut Context<N>) -> Option<Pick> {
        // A server about to switch protocols would take a FIN as the end of the client's data.
        let upgrades = self.download.awaits_upgrade();
        self.link.close(if upgrades { Closing::ByReset } else { Closing::ByFin }, context)
    }

    fn scope<'a>(&'a self, client: &'a Client<N>, context: &Context<N>) -> RequestScope<'a> {
        self.asked.scope(client, &self.attempts.log, self.download.answered(), context)
    }

    /// The client left: ends the exchange, unless the server is to finish.
    fn leave(&mut self) -> Turn {
        let ignored = self.asked.proxy().is_some_and(|proxy| proxy.ignore_client_abort);
        if !ignored || !self.upload.is_received() {
            return Turn::End(Over::Ended(Ending::ClientLeft));
        }
        self.download.drop_audience();
        Turn::Rest
    }

    /// Parses and judges a complete head, and does what follows.
    fn judge(&mut self, length: usize, client: &Client<N>, context: &mut Context<N>) -> Turn {
        let judge = Judge {
            server: self.link.server(),
            forwarded: self.link.forwarded(),
            asked: &mut self.asked,
            attempts: &mut self.attempts,
            upload: &self.upload,
            download: &mut self.download,
            ending: &mut self.ending,
        };
        let judged = judge.look(length, client, context);
        let io = &mut context.io;
        match judged {
            Judged::Bad => Turn::Event(ExchangeEvent::Failed(Failure::BadResponse)),
            Judged::Upgraded => Turn::End(Over::Upgraded),
            Judged::Moves(failure, next) => self.move_to(failure, next, client, context),
            Judged::Replaced(replaced) => Turn::Replace(replaced),
            Judged::Unforwarded => self.resend(client, context),
            Judged::Lost(server) => {
                self.end_link(Verdict::Succeeded, context);
                self.download.start_over(&mut context.io.buffers, context.io.now);
                let way = self.asked.lost(server, context);
                self.follow(way, client, context)
            }
            Judged::Interim => {
                let (limits, log) = (self.asked.head_limits(), &mut self.attempts.log);
                Turn::of(self.download.after_interim(limits, log, &mut io.buffers))
            }
            Judged::Begun(passing) => {
                if !self.download.is_held() {
                    self.upload.stop_recording(&mut io.buffers);
                }
                Turn::of(self.download.begin(passing, &mut self.attempts.log, io))
            }
        }
    }

    /// Passes on an answer that was kept back, unless its query goes on elsewhere.
    fn weigh(&mut self, client: &Client<N>, context: &mut Context<N>) -> Turn {
        if let (Some(at), Some(held)) = (self.link.server(), self.download.held()) {
            if let Some(way) = self.asked.weigh(held, at, context) {
                self.end_link(Verdict::Succeeded, context);
                self.download.start_over(&mut context.io.buffers, context.io.now);
                return self.follow(way, client, context);
            }
            let requester = Requester { client, attempts: &self.attempts.log };
            taken::note(&self.asked, &self.upload, (held.0, at), requester, context);
        }
        self.upload.stop_recording(&mut context.io.buffers);
        Turn::of(self.download.let_go())
    }
}
