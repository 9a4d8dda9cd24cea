//! A request, and the part of the configuration that answers it.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::ending::Ending;
use super::errand::{Errand, TRANSACTION, repeat_of};
use super::own_answer::OwnAnswer;
use super::page::Page;
use super::query::{self, Direction};
use super::real_ip;
use super::request::Request;
use super::request_head::{self, AnswerCoding, Towards};
use super::route::{Route, Site, default_server, location_of, route, settings, virtual_server};
use super::transition::UploadState;
use super::turn::Turn;
use super::upload::Upload;
use super::variables::{Answered, RequestScope};
use super::way::Way;
use crate::address::Address;
use crate::config::model::{
    Action, Config, ErrorPage, ErrorPageStatus, LocationSettings, ProxyPass, VirtualServer,
};
use crate::http::framing::Framing;
use crate::http::head::HeadLimits;
use crate::http::refusal::Refusal;
use crate::net::{Connect, Net};
use crate::proxy::attempts::{Asker, Terms};
use crate::proxy::client::{Client, Facts};
use crate::proxy::context::Context;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::time::Time;
use crate::trino::coordinator::Ownership;
use crate::trino::decision::Matter;
use crate::trino::kept::Statement;
use crate::trino::query_id::QueryId;
use crate::trino::rows::AnswerScan;
use crate::trino::sql;
use crate::trino::statement::Repeat;
use crate::trino::transactions::NONE;
use crate::upstream::group::{At, Forwarded, GroupAt, ServerId};
use crate::upstream::plan::Aim;
use crate::upstream::retry::{Failure, Progress, Repeatable, may_move, may_resend};

/// A request and its site in a configuration.
pub struct Asked {
    /// The configuration that the request began with.
    pub config: Arc<Config>,
    /// The number of that configuration.
    pub generation: u64,
    /// The site in it.
    pub site: Site,
    /// The request.
    pub request: Request,
    /// When its first byte came.
    pub started: Time,
    /// The client's address from the PROXY header or `real_ip_header`, if the peer is trusted.
    pub remote: Option<Address>,
    /// The error page requested in place of an answer.
    pub page: Option<Box<Page>>,
    /// What it asks of the group, if that is Trino's.
    pub errand: Errand,
    /// Where it goes in the group.
    pub direction: Direction,
}

impl Asked {
    /// Finds the site in the newest configuration for a request or its refusal; `None` if the
    /// listener no longer serves anything.
    pub fn place<N: Net>(
        request: Request,
        read: Result<(), Refusal>,
        started: Time,
        client: &Client<N>,
        context: &Context<N>,
    ) -> Option<Asked> {
        let config = Arc::clone(context.servers.config());
        let listen = context.servers.listen(client.facts.listener)?;
        let server = match read {
            Ok(()) => virtual_server(&config, listen, &request)?,
            Err(_) => default_server(listen)?,
        };
        let mut asked = Asked {
            generation: context.servers.generation(),
            config,
            site: Site { server, location: None },
            request,
            started,
            remote: None,
            page: None,
            errand: Errand::Plain,
            direction: Direction::default(),
        };
        asked.find_remote(&client.facts);
        Some(asked)
    }

    /// Settings of the location, or of the virtual server if there is no location.
    pub fn settings(&self) -> &LocationSettings {
        settings(&self.config, self.site)
    }

    /// The virtual server.
    pub fn virtual_server(&self) -> &VirtualServer {
        &self.config.virtual_servers[self.site.server.0]
    }

    /// The location's `proxy_pass`, if it has one.
    pub fn proxy(&self) -> Option<&ProxyPass> {
        match &location_of(&self.config, self.site)?.action {
            Action::Proxy(proxy) => Some(proxy),
            Action::Return(_) | Action::Control | Action::NotFound => None,
        }
    }

    /// The location's `proxy_pass`, which it has while a server is asked.
    pub fn pass(&self) -> &ProxyPass {
        self.proxy().expect("servers are asked for such locations only")
    }

    /// Moves to the newest configuration, of which the location is still to be found. Returns
    /// whether the listener still serves anything.
    pub fn renew<N: Net>(&mut self, client: &Client<N>, context: &Context<N>) -> bool {
        let config = Arc::clone(context.servers.config());
        let listen = context.servers.listen(client.facts.listener);
        let server = listen.and_then(|listen| virtual_server(&config, listen, &self.request));
        let Some(server) = server else { return false };
        self.config = config;
        self.generation = context.servers.generation();
        self.site = Site { server, location: None };
        true
    }

    /// Finds the location, and applies its rules to the request.
    pub fn find_location<N: Net>(
        &mut self,
        client: &mut Client<N>,
        attempts: &AttemptLog,
        context: &mut Context<N>,
    ) -> Turn {
        let config = Arc::clone(&self.config);
        let server = &config.virtual_servers[self.site.server.0];
        match route(server, &self.request, &mut context.scratch.text) {
            Route::OutOfTree => return Turn::refused(Refusal::OutOfTree),
            Route::Redirect(url) => {
                let scope = self.scope(client, attempts, Answered::default(), context);
                return Turn::Answer(OwnAnswer::redirect(301, &url, &scope));
            }
            Route::Location(location) => self.site.location = location,
        }
        self.find_remote(&client.facts);
        let settings = self.settings();
        let limit = settings.max_body.unwrap_or(u64::MAX);
        if matches!(self.request.framing, Framing::Length(length) if length > limit) {
            return Turn::refused(Refusal::BodyTooLarge);
        }
        client.socket.set_nodelay(settings.tcp_nodelay);
        Turn::Serve
    }

    /// Finds out what is asked of the group, and which server has to answer.
    pub fn direct<N: Net>(&mut self, context: &mut Context<N>) -> Way {
        if self.page.is_none() {
            self.errand = Errand::of(&self.request, self.group(), context);
        }
        let (way, direction) = match self.errand {
            Errand::Query { id, matter } => {
                let place = (self.group(), self.started);
                query::direct((id, matter), &self.request, place, context)
            }
            // It is read first, and the holder of its transaction may go meanwhile.
            Errand::Statement
            | Errand::Plain
            | Errand::Announcement
            | Errand::Withdrawal
            | Errand::Other => (Way::Ask, Direction::default()),
        };
        self.direction = direction;
        way
    }

    /// Whether it has to be read before a server is chosen: what a statement says decides.
    pub fn is_read_first<N: Net>(&self, upload: &Upload<N>) -> bool {
        self.errand == Errand::Statement && self.page.is_none() && !upload.is_received()
    }

    /// A statement goes to the holder of its transaction, or where the query runs that it kills.
    pub fn direct_statement<N: Net>(&mut self, upload: &mut Upload<N>, context: &mut Context<N>) {
        if self.errand != Errand::Statement {
            return;
        }
        if let Some(holder) = self.holder_of_transaction(context) {
            self.direction = Direction::to(Aim::Only(holder));
            return;
        }
        self.direction = Direction::default();
        let killed = upload.text(self.request.framing).and_then(|text| sql::killed(&text));
        let Some(id) = killed else { return };
        let current = context.servers.ledger(self.group()).current(id);
        if current != id {
            upload.change_body(|body| query::rename(body, id, current));
        }
        if let Ownership::Alive(server) = query::owner(current, self.group(), context) {
            self.direction = Direction::to(Aim::Only(ServerId(server)));
        }
    }

    /// The query of which its own coordinator knows nothing, and what was asked of it: another
    /// process answers at its address.
    pub fn unknown(&self, status: u16) -> Option<ServerId> {
        let Errand::Query { matter: Matter::Poll | Matter::Cancel, .. } = self.errand else {
            return None;
        };
        match self.direction.aim {
            Aim::Only(server) if matches!(status, 404 | 410) => Some(server),
            Aim::Only(_) | Aim::Active => None,
        }
    }

    /// The query that is asked for, by the id that it goes by, and what is asked of it.
    pub fn query(&self) -> Option<(QueryId, Matter)> {
        let Errand::Query { id, matter } = self.errand else { return None };
        let tracked = self.direction.tracked.as_ref();
        Some((tracked.map_or(id, |tracked| tracked.current), matter))
    }

    /// What follows when this server, which ran the query that is asked for, will not answer.
    pub fn lost<N: Net>(&self, server: ServerId, context: &mut Context<N>) -> Way {
        let Some((id, matter)) = self.query() else { return Way::Ask };
        let place = (self.group(), self.started);
        query::lost((id, matter), server, &self.request, place, context)
    }

    /// Weighs an answer of this server that is kept back. Returns what follows if it must not be
    /// passed on.
    pub fn weigh<N: Net>(
        &self,
        held: (&AnswerScan, bool),
        at: At,
        context: &mut Context<N>,
    ) -> Option<Way> {
        query::weigh(self.direction.undelivered()?, held, (at, self.started), context)
    }

    /// What the head for a server depends on.
    pub fn towards(&self, forwarded: Forwarded) -> Towards<'_> {
        let (path, _) = self.request.path_and_query();
        let coding = match self.errand {
            Errand::Statement => AnswerCoding::Identity,
            Errand::Query { .. } if !self.direction.is_followed() => AnswerCoding::AsAsked,
            Errand::Query { .. } if path.starts_with(b"/v1/statement/executing/") => {
                AnswerCoding::Gzip
            }
            Errand::Query { .. } => AnswerCoding::Identity,
            Errand::Plain | Errand::Announcement | Errand::Withdrawal | Errand::Other => {
                AnswerCoding::AsAsked
            }
        };
        let target = self.direction.target();
        Towards { errand: self.errand, forwarded, target, coding }
    }

    /// The server that holds the transaction of a statement.
    pub fn holder_of_transaction<N: Net>(&self, context: &mut Context<N>) -> Option<ServerId> {
        let id = self.request.fields().find(&TRANSACTION)?;
        context.servers.trino(self.group()).transactions.owner(id).map(ServerId)
    }

    /// The statement as a coordinator gets it, to be submitted later or again. `None` if it is not
    /// kept whole.
    pub fn statement<N: Net>(
        &self,
        upload: &Upload<N>,
        client: &Client<N>,
        attempts: &AttemptLog,
        context: &mut Context<N>,
    ) -> Option<Statement> {
        let (body, text) = (upload.kept_body()?, upload.text(self.request.framing)?);
        let repeat = match self.is_in_transaction() {
            true => Repeat::InTransaction,
            false => repeat_of(&text, self.request.fields()),
        };
        let request = self.once_more(body, Forwarded::Sent, client, attempts, context);
        (request.len() <= STATEMENT_LIMIT).then_some(Statement { request, repeat, columns: None })
    }

    /// The request with this body, for other servers.
    pub fn once_more<N: Net>(
        &self,
        body: &[u8],
        forwarded: Forwarded,
        client: &Client<N>,
        attempts: &AttemptLog,
        context: &mut Context<N>,
    ) -> Zeroizing<Box<[u8]>> {
        let towards = self.towards(forwarded);
        let scope = self.scope(client, attempts, Answered::default(), context);
        request_head::write(self.pass(), &scope, towards, &mut context.scratch);
        let request = Zeroizing::new([&context.scratch.head[..], body].concat().into());
        context.scratch.clear_head();
        request
    }

    /// Whether a statement belongs to a transaction.
    pub fn is_in_transaction(&self) -> bool {
        let id = self.request.fields().find(&TRANSACTION);
        id.is_some_and(|id| !id.eq_ignore_ascii_case(NONE))
    }

    /// Whether the process that has to answer is known by now to be gone.
    pub fn is_gone<N: Net>(&self, context: &mut Context<N>) -> bool {
        self.direction.aim != Aim::Active
            && self.query().is_some_and(|(id, _)| {
                matches!(query::owner(id, self.group(), context), Ownership::Dead(_))
            })
    }

    /// Whether there is a newer configuration, which knows better where a request of Trino's goes.
    pub fn is_outdated<N: Net>(&self, upload: &Upload<N>, context: &Context<N>) -> bool {
        self.errand != Errand::Plain
            && self.generation != context.servers.generation()
            && self.page.is_none()
            && self.upload_state(upload) != UploadState::Spent
    }

    /// The group that is asked.
    pub fn group(&self) -> GroupAt {
        GroupAt { generation: self.generation, id: self.pass().group }
    }

    /// How servers are asked.
    pub fn terms(&self) -> Terms<'_> {
        let proxy = self.pass();
        Terms {
            config: &self.config,
            group: self.group(),
            next: self.errand.next_upstream().unwrap_or(&proxy.next),
            how: Connect { bind: proxy.bind, keepalive: proxy.socket_keepalive },
            timeout: proxy.connect_timeout,
            asker: Asker::Request,
            aim: self.direction.aim,
        }
    }

    /// The `error_page` for a status. A request for an error page has none itself.
    pub fn error_page(&self, status: u16) -> Option<&ErrorPage> {
        let pages = self.page.is_none().then_some(&self.settings().error_pages)?;
        pages.iter().find(|page| page.statuses.contains(&status))
    }

    /// The status sent to the client, which an `error_page` may override.
    pub fn status_shown(&self, status: u16) -> u16 {
        match &self.page {
            None => status,
            Some(page) => match page.tells {
                ErrorPageStatus::Original => page.replaced.status,
                ErrorPageStatus::OfPage => status,
                ErrorPageStatus::Fixed(fixed) => fixed,
            },
        }
    }

    /// Forgets the `Location` of the replaced answer, because the page brings its own.
    pub fn forget_location(&mut self) {
        if let Some(page) = &mut self.page {
            page.replaced.location = None;
        }
    }

    /// Finds the client's address by the rules of the site.
    pub fn find_remote(&mut self, facts: &Facts) {
        let rules = &self.settings().real_ip;
        if !rules.trusted.is_empty() {
            self.remote = real_ip::remote(rules, &self.request, facts);
        }
    }

    /// Whether the request and the settings allow another request on the client's connection.
    fn keeps_client(&self, facts: &Facts, now: Time) -> bool {
        let settings = self.settings();
        self.request.is_persistent()
            && settings.keepalive_timeout.is_some()
            && facts.requests < settings.keepalive_requests
            && now - facts.accepted < settings.keepalive_time
    }

    /// What happens to the client's connection if the request ends well.
    pub fn ending<N: Net>(
        &self,
        upload: &Upload<N>,
        client: &Client<N>,
        context: &Context<N>,
    ) -> Ending {
        let may = self.keeps_client(&client.facts, context.io.now) && upload.is_received();
        if may && !context.servers.draining { Ending::Keep } else { Ending::Linger }
    }

    /// The facts that decide whether the request may be repeated.
    pub fn repeatable<N: Net>(&self, upload: &Upload<N>) -> Repeatable {
        Repeatable {
            idempotent: self.request.idempotent,
            sent: upload.has_begun(),
            replayable: upload.is_replayable(),
        }
    }

    /// Whether the request may move from a server that is out, though it was sent.
    pub fn may_leave<N: Net>(&self, upload: &Upload<N>) -> bool {
        self.proxy().is_some_and(|proxy| {
            let begun = Progress { attempts: 0, elapsed: Duration::ZERO };
            let next = self.errand.next_upstream().unwrap_or(&proxy.next);
            may_move(Failure::MarkedDown, self.repeatable(upload), begun, next)
        })
    }

    /// Whether the bytes that the current server received may be sent again.
    pub fn upload_state<N: Net>(&self, upload: &Upload<N>) -> UploadState {
        match self.proxy() {
            _ if !upload.has_begun() => UploadState::Unsent,
            Some(_) if may_resend(self.repeatable(upload), self.terms().next) => {
                UploadState::Repeatable
            }
            Some(_) | None => UploadState::Spent,
        }
    }

    /// Bytes of the body that are kept so that it can be sent again; `None` if it never is.
    pub fn replay_limit(&self) -> Option<usize> {
        let proxy = self.pass();
        match self.errand {
            Errand::Statement => Some(proxy.replay_limit.max(STATEMENT_LIMIT)),
            Errand::Plain if !self.request.idempotent && !proxy.next.non_idempotent => None,
            Errand::Announcement => Some(proxy.replay_limit.max(ANNOUNCEMENT_LIMIT)),
            Errand::Plain | Errand::Query { .. } | Errand::Withdrawal | Errand::Other => {
                Some(proxy.replay_limit)
            }
        }
    }

    /// The limits for a response head.
    pub fn head_limits(&self) -> HeadLimits {
        let limit = self.pass().head_limit;
        HeadLimits { line: limit, total: limit }
    }

    /// The values of variables at this moment.
    pub fn scope<'a, N: Net>(
        &'a self,
        client: &'a Client<N>,
        attempts: &'a AttemptLog,
        answer: Answered<'a>,
        context: &Context<N>,
    ) -> RequestScope<'a> {
        RequestScope {
            config: &self.config,
            site: self.site,
            request: &self.request,
            page: self.page.as_deref(),
            client: &client.facts,
            remote: self.remote.as_ref().unwrap_or(&client.facts.peer),
            keys: context.keys.clone(),
            attempts,
            answer,
            started: self.started,
            now: context.io.now,
            wall: context.io.net.wall(context.io.now),
        }
    }

    /// Writes the access log lines.
    pub fn log<N: Net>(
        &self,
        client: &Client<N>,
        attempts: &AttemptLog,
        answer: Answered<'_>,
        context: &mut Context<N>,
    ) {
        for to in &self.settings().access_logs {
            let scope = self.scope(client, attempts, answer, context);
            let format = &self.config.log_formats[to.format.0];
            context.log(self.generation, to.log, |out| scope.write_line(format, out));
        }
    }

    /// Returns all storage.
    pub fn release<N: Net>(&mut self, context: &mut Context<N>) {
        context.io.buffers.clear(&mut self.request.head);
        context.places.give(std::mem::take(&mut self.request.places));
    }
}

/// Bytes of an announcement that are kept so that it can be copied: each service has some hundred.
const ANNOUNCEMENT_LIMIT: usize = 1 << 20;
/// Bytes of a statement that are kept so that it can go to another server. Trino takes a million
/// characters.
pub const STATEMENT_LIMIT: usize = 3 << 20;
