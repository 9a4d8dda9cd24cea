//! One request and its response, from the head to the last byte: every transition of it.
//!
//! Two directions move independently: the request ([`Upload`]) and the response ([`Download`]).
//! Between them stands the [`Link`] to the server of the current attempt. The pumps of both report
//! what they met as a [`Step`]; [`decide`] says what follows from it, and one loop does it: each
//! transition returns the next [`Turn`]. Nothing of a response reaches the client before its head is whole
//! and accepted; until then another server may be asked.

use std::sync::Arc;

use super::asked::Asked;
use super::download::Download;
use super::ending::Ending;
use super::error_page::{Leads, leads};
use super::link::{Afterwards, Link, Origin};
use super::own_answer::{OwnAnswer, Returned};
use super::page::{Page, Replaced};
use super::response_head::{CutShown, Left};
use super::route::{self, Route, location_of, route};
use super::step::Step;
use super::transition::{Act, Event, LinkState, State, UploadState, decide, refusal_of};
use super::upload::Upload;
use crate::config::model::{Action, ErrorPageStatus, ProxyVersion, Return};
use crate::http::answer::is_redirect;
use crate::http::framing::Framing;
use crate::http::refusal::Refusal;
use crate::net::Net;
use crate::proxy::attempts::Attempts;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::log::limited_log::Topic;
use crate::time::Time;
use crate::upstream::group::{Pick, Verdict};
use crate::upstream::plan::Choice;
use crate::upstream::retry::{Failure, Repeatable, may_resend};

/// One request being served.
pub struct Exchange<N: Net> {
    /// What is asked for.
    pub asked: Asked,
    /// Which servers are asked.
    pub(super) attempts: Attempts,
    /// The server's side.
    pub(super) link: Link<N>,
    /// Towards the server.
    pub(super) upload: Upload<N>,
    /// Towards the client.
    pub(super) download: Download<N>,
    /// What becomes of the client's connection.
    pub(super) ending: Ending,
}

/// How an exchange is over.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The request is answered, or cannot be.
    Ended(Ending),
    /// Bytes pass unread from now on: [`Exchange::upgrade`].
    Upgraded,
}

/// What an exchange does next: each transition says what follows from it.
pub(super) enum Turn {
    /// Nothing but moving bytes.
    Rest,
    /// What the location says.
    Serve,
    /// An attempt at this server.
    Try(Pick),
    /// What [`decide`] says.
    Meet(Event),
    /// The response head of this length is read.
    Judge(usize),
    /// An answer instead of a server's: the `error_page` for its status, if there is one.
    Answer(OwnAnswer),
    /// This answer, whatever `error_page` says.
    Write(OwnAnswer),
    /// The `error_page` for a status.
    Replace(Replaced),
    /// Nothing any more.
    End(Over),
}

impl<N: Net> Exchange<N> {
    /// An exchange that has not begun. Takes over what the client has sent behind the head.
    pub fn new(asked: Asked, upload: Upload<N>, now: Time) -> Exchange<N> {
        Exchange {
            asked,
            attempts: Attempts::default(),
            link: Link::None,
            upload,
            download: Download::new(now),
            ending: Ending::Keep,
        }
    }

    /// Takes on the request, or the refusal of it.
    ///
    /// # Errors
    /// It is over already.
    pub fn begin(
        &mut self,
        read: Result<(), Refusal>,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Over> {
        let turn = match read {
            Ok(()) => self.enter(client, context),
            Err(refusal) => Turn::Meet(Event::Refused(refusal)),
        };
        self.turn(turn, client, context)
    }

    /// Something happened that no pump has met.
    ///
    /// # Errors
    /// It is over.
    pub fn meet(
        &mut self,
        event: Event,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Over> {
        self.turn(Turn::Meet(event), client, context)
    }

    /// Acts on what a pump reports. Whether anything moved.
    #[inline(always)] // several times a round, and hardly ever is there anything to be done
    pub(super) fn act(
        &mut self,
        step: Step,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Over> {
        match step {
            Step::Idle => Ok(false),
            Step::Moved => Ok(true),
            Step::Head(_) | Step::Done | Step::Failed(_) | Step::Refused(_) | Step::ClientGone => {
                self.turn(Turn::of(step), client, context).map(|()| true)
            }
        }
    }

    /// Does what a transition calls for, and what that calls for, until only bytes are to be moved.
    /// Each server is tried once, each interim response is counted: it ends.
    #[inline(never)]
    fn turn(
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
                Turn::Try(pick) => self.attempt(pick, client, context),
                Turn::Judge(length) => self.judge(length, client, context),
                Turn::Answer(answer) => self.answer(answer),
                Turn::Write(answer) => self.write(answer, client, context),
                Turn::Replace(replaced) => self.replace(replaced, client, context),
                Turn::Meet(event) => match decide(self.state(), event) {
                    Act::Ignore => Turn::Rest,
                    Act::Resend => self.resend(client, context),
                    Act::Retry(failure) => self.retry(failure, context),
                    Act::GiveUp(failure) => self.give_up(failure, context),
                    Act::Refuse(refusal) => self.refuse(refusal, client, context),
                    Act::Cut => self.cut(context),
                    Act::Complete => self.complete(context),
                    Act::Leave => self.leave(),
                    Act::Stall => Turn::End(Over::Ended(Ending::TimedOut)),
                },
            }
        }
    }

    fn state(&self) -> State {
        State {
            link: match &self.link {
                Link::None => LinkState::None,
                Link::Connecting { .. } => LinkState::Connecting,
                Link::Open { origin: Origin::Made, .. } => LinkState::Made,
                Link::Open { origin: Origin::Pool, .. } => LinkState::FromPool,
            },
            upload: match self.asked.proxy() {
                _ if !self.upload.has_begun() => UploadState::Unsent,
                Some(proxy) if may_resend(self.repeatable(), &proxy.next) => {
                    UploadState::Repeatable
                }
                Some(_) | None => UploadState::Spent,
            },
            download: self.download.state(),
        }
    }

    pub(super) fn repeatable(&self) -> Repeatable {
        Repeatable {
            idempotent: self.asked.request.idempotent,
            sent: self.upload.has_begun(),
            replayable: self.upload.is_replayable(),
        }
    }

    /// The place in the configuration: what answers, and by which rules.
    fn enter(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Turn {
        let config = Arc::clone(&self.asked.config);
        let server = &config.virtual_servers[self.asked.site.server.0];
        if let Some(answer) = &server.answer {
            return self.returned(answer, client, context);
        }
        match route(server, &self.asked.request, &mut context.scratch.text) {
            Route::OutOfTree => return Turn::Meet(Event::Refused(Refusal::OutOfTree)),
            Route::Redirect(url) => {
                let scope = self.scope(client, context);
                return Turn::Answer(OwnAnswer::redirect(301, &url, &scope));
            }
            Route::Location(location) => self.asked.site.location = location,
        }
        self.asked.find_remote(&client.facts);
        let settings = self.asked.settings();
        let limit = settings.max_body.unwrap_or(u64::MAX);
        if matches!(self.asked.request.framing, Framing::Length(length) if length > limit) {
            return Turn::Meet(Event::Refused(Refusal::BodyTooLarge));
        }
        client.set_nodelay(settings.tcp_nodelay);
        Turn::Serve
    }

    /// Does what the location says.
    fn serve(&mut self, client: &Client<N>, context: &mut Context<N>) -> Turn {
        let config = Arc::clone(&self.asked.config);
        match location_of(&config, self.asked.site).map(|location| &location.action) {
            Some(Action::Proxy(_)) => self.ask(context),
            Some(Action::Return(answer)) => self.returned(answer, client, context),
            Some(Action::NotFound) | None => {
                let page = self.asked.page.as_ref();
                let status = page.map_or(404, |page| page.replaced.status);
                Turn::Answer(OwnAnswer::page(status, ""))
            }
        }
    }

    /// Answers as `return` says.
    fn returned(&mut self, answer: &Return, client: &Client<N>, context: &Context<N>) -> Turn {
        let shown = self.asked.status_shown(answer.status);
        self.download.status = shown;
        match OwnAnswer::returned(answer, shown, &self.scope(client, context)) {
            Returned::Answer(answer) => Turn::Write(answer),
            Returned::Error(answer) => Turn::Answer(answer),
            Returned::Silence => {
                self.download.status = answer.status;
                Turn::End(Over::Ended(Ending::Close))
            }
        }
    }

    /// The request cannot be served.
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

    /// Answers, unless a page takes the answer's place.
    fn answer(&self, answer: OwnAnswer) -> Turn {
        if self.asked.error_page(answer.status).is_none() {
            return Turn::Write(answer);
        }
        Turn::Replace(Replaced { location: answer.location, ..Replaced::of(answer.status) })
    }

    /// Writes an answer. It is the response from then on.
    fn write(&mut self, answer: OwnAnswer, client: &Client<N>, context: &mut Context<N>) -> Turn {
        self.upload.discard(&mut context.io);
        self.settle_client(client, context);
        self.download.status = answer.status;
        if answer.location.is_some() {
            self.asked.forget_location();
        }
        let seen = context.servers.seen(self.asked.generation);
        let scope = self.scope(client, context);
        answer.write_head(scope, self.ending, seen, &mut context.scratch);
        self.say_head(seen, context);
        let body = answer.body(self.asked.request.is_head);
        self.download.say_body(body, &mut context.io.buffers);
        Turn::Rest
    }

    /// Asks for the page that takes the place of an answer.
    fn replace(
        &mut self,
        replaced: Replaced,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Turn {
        let scope = self.scope(client, context);
        let Some(found) = self.asked.error_page(replaced.status) else {
            return Turn::Write(OwnAnswer::page(replaced.status, ""));
        };
        let (tells, leads) = (found.tells, leads(&found.uri, &scope));
        let turn = match &leads {
            Leads::To(..) => Turn::Serve,
            Leads::Away(url) => {
                let status = match tells {
                    ErrorPageStatus::Fixed(fixed) if is_redirect(fixed) => fixed,
                    ErrorPageStatus::Fixed(_)
                    | ErrorPageStatus::Original
                    | ErrorPageStatus::OfPage => 302,
                };
                Turn::Write(OwnAnswer::redirect(status, url, &scope))
            }
            Leads::Nowhere => Turn::Write(OwnAnswer::page(replaced.status, "")),
        };
        // If a server is still linked, it gave an answer that only is not wanted.
        self.end_link(Verdict::Succeeded, context);
        self.download.start_over(&mut context.io.buffers, context.io.now);
        if let Leads::To(path, query) = leads {
            let locations = &self.asked.virtual_server().locations;
            self.asked.site.location = route::location(locations, &path);
            self.asked.page = Some(Box::new(Page { path, query, replaced, tells }));
            self.upload.divert(&mut context.io);
        }
        turn
    }

    /// The client's connection falls unless it may carry another request after this one.
    pub(super) fn settle_client(&mut self, client: &Client<N>, context: &Context<N>) {
        let may = self.asked.keeps_client(&client.facts, context.io.now);
        if !may || !self.upload.is_received() || context.servers.draining {
            self.ending.fall(Ending::Linger);
        }
    }

    /// Begins to ask the servers of the location's group.
    fn ask(&mut self, context: &mut Context<N>) -> Turn {
        let proxy = self.asked.pass();
        if self.asked.request.idempotent || proxy.next.non_idempotent {
            self.upload.record(proxy.replay_limit, &mut context.io.buffers);
        }
        if proxy.version == ProxyVersion::Http10 && self.asked.request.framing == Framing::Chunked {
            return Turn::Meet(Event::Refused(Refusal::LengthRequired));
        }
        let words = || self.asked.words(Refusal::NoServer.status());
        match self.attempts.first(&self.asked.terms(), words, context) {
            Choice::Server(pick) => Turn::Try(pick),
            Choice::NoneFree | Choice::Exhausted => Turn::Meet(Event::Refused(Refusal::NoServer)),
        }
    }

    /// Asks the same server again.
    fn resend(&mut self, client: &Client<N>, context: &mut Context<N>) -> Turn {
        let Some(pick) = self.close_link(context) else { return Turn::Rest };
        self.download.start_over(&mut context.io.buffers, context.io.now);
        self.dial(pick, client, context)
    }

    /// The attempt failed before a byte of a final response reached the client.
    fn retry(&mut self, failure: Failure, context: &mut Context<N>) -> Turn {
        match self.close_link(context) {
            Some(pick) => self.move_on(pick, failure, context),
            None => Turn::Rest,
        }
    }

    /// Blames the server, and tries elsewhere if that is allowed.
    pub(super) fn move_on(
        &mut self,
        pick: Pick,
        failure: Failure,
        context: &mut Context<N>,
    ) -> Turn {
        let (request, terms) = (self.repeatable(), self.asked.terms());
        let words = || self.asked.words(failure.status());
        let choice = self.attempts.failed(pick, failure, request, &terms, words, context);
        self.download.start_over(&mut context.io.buffers, context.io.now);
        match choice {
            Choice::Server(next) => Turn::Try(next),
            Choice::NoneFree | Choice::Exhausted => Turn::Meet(Event::Refused(refusal_of(failure))),
        }
    }

    /// A response with a listed status: the next server may do better.
    pub(super) fn move_to(&mut self, status: u16, next: Choice, context: &mut Context<N>) -> Turn {
        self.attempts.log.answered(status, context.io.now);
        self.attempts.log.ended(Some(status), context.io.now);
        self.say_failure(Failure::Status(status), &next, context);
        self.end_link(Failure::Status(status).into(), context);
        self.download.start_over(&mut context.io.buffers, context.io.now);
        match next {
            Choice::Server(next) => Turn::Try(next),
            Choice::NoneFree | Choice::Exhausted => {
                Turn::Meet(Event::Refused(Refusal::ServerFailed(status)))
            }
        }
    }

    /// A pooled connection failed, and the request may not be sent again.
    fn give_up(&mut self, failure: Failure, context: &mut Context<N>) -> Turn {
        self.say_failure(failure, &Choice::Exhausted, context);
        Turn::Meet(Event::Refused(refusal_of(failure)))
    }

    /// Tells the operator what happened at the server, and what becomes of the request.
    fn say_failure(&self, failure: Failure, choice: &Choice, context: &mut Context<N>) {
        if let Some(at) = self.link.server() {
            let words = || self.asked.words(failure.status());
            self.attempts.say(at, failure, choice, &self.asked.terms(), words, context);
        }
    }

    /// The last byte of the response is in hand: the server may serve others.
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

    /// The response ends before its end: the client gets what is in hand, and has to see it.
    fn cut(&mut self, context: &mut Context<N>) -> Turn {
        context.limited_log.write(context.io.now, Topic::Servers, log::Level::Warn, || {
            let (from, request) = (self.server_words(), self.asked.shown());
            format!("{from}: the answer to {request} is cut short")
        });
        self.ending.fall(match self.download.cut(&mut context.io.buffers) {
            CutShown::ByFraming => Ending::Close,
            CutShown::ByReset => Ending::Reset,
        });
        self.end_link(Verdict::Abandoned, context);
        Turn::Rest
    }

    /// The client left: so does the exchange, unless the server is to finish.
    fn leave(&mut self) -> Turn {
        let ignored = self.asked.proxy().is_some_and(|proxy| proxy.ignore_client_abort);
        if !ignored || !self.upload.is_received() {
            return Turn::End(Over::Ended(Ending::ClientLeft));
        }
        self.ending.fall(Ending::ClientLeft);
        self.download.drop_audience();
        Turn::Rest
    }

    /// How a response that has been delivered leaves the client's connection.
    pub(super) fn delivered(&mut self, context: &mut Context<N>) -> Ending {
        self.end_link(Verdict::Abandoned, context);
        if !self.upload.is_received() || context.servers.draining {
            self.ending.fall(Ending::Linger);
        }
        if self.ending == Ending::Keep {
            self.upload.skip_ready(&mut context.io.buffers);
        }
        self.ending
    }
}

impl Turn {
    /// What a step calls for.
    pub(super) fn of(step: Step) -> Turn {
        match step {
            Step::Idle | Step::Moved => Turn::Rest,
            Step::Head(length) => Turn::Judge(length),
            Step::Done => Turn::Meet(Event::Done),
            Step::Failed(failure) => Turn::Meet(Event::Failed(failure)),
            Step::Refused(refusal) => Turn::Meet(Event::Refused(refusal)),
            Step::ClientGone => Turn::Meet(Event::ClientGone),
        }
    }
}
