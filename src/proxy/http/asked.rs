//! A request, and the part of the configuration that answers it.

use std::sync::Arc;
use std::time::Duration;

use super::ending::Ending;
use super::errand::{Destination, Errand, Lost, Matter, TRANSACTION};
use super::page::Page;
use super::real_ip;
use super::request::Request;
use super::route::{Site, default_server, location_of, settings, virtual_server};
use super::transition::UploadState;
use super::upload::Upload;
use super::variables::{Answered, RequestScope};
use crate::address::Address;
use crate::config::model::{
    Action, Config, ErrorPage, ErrorPageStatus, LocationSettings, ProxyPass, VirtualServer,
};
use crate::http::head::HeadLimits;
use crate::http::refusal::Refusal;
use crate::net::{Connect, Net};
use crate::proxy::attempts::{Asker, Terms};
use crate::proxy::client::{Client, Facts};
use crate::proxy::context::Context;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::proxy::log::limited_log::ServerWords;
use crate::time::Time;
use crate::upstream::group::{At, GroupAt, ServerId};
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
    /// The servers that may answer it.
    pub aim: Aim,
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
            aim: Aim::Active,
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

    /// Finds out what is asked of which server, unless that is a query that is lost.
    pub fn direct<N: Net>(&mut self, context: &mut Context<N>) -> Option<Lost> {
        let group = self.group();
        if self.page.is_none() {
            self.errand = Errand::of(&self.request, group, context);
        }
        self.aim = self.holder_of_transaction(context).map_or(Aim::Active, Aim::Only);
        match (self.errand.destination(group, context), self.errand) {
            (Destination::Aim(_), Errand::Statement) => {}
            (Destination::Aim(aim), _) => {
                self.aim = aim;
                if let Aim::Only(server) = aim {
                    context.servers.trino(group).note_asked(server.0, context.io.now);
                }
            }
            (Destination::Gone(server), _) => return self.errand.lost(server),
        }
        None
    }

    /// What follows if its own coordinator does not know the query: the one that ran it is gone,
    /// and another process answers at its address.
    pub fn unknown(&self, status: u16) -> Option<Lost> {
        match self.aim {
            Aim::Only(server) if matches!(status, 404 | 410) => self.errand.lost(server),
            Aim::Only(_) | Aim::Active => None,
        }
    }

    /// The server that holds the transaction of a statement.
    fn holder_of_transaction<N: Net>(&self, context: &mut Context<N>) -> Option<ServerId> {
        if self.errand != Errand::Statement {
            return None;
        }
        let id = self.request.fields().find(&TRANSACTION)?;
        context.servers.trino(self.group()).transactions.owner(id).map(ServerId)
    }

    /// Whether the process that has to answer is known by now to be gone.
    pub fn is_gone<N: Net>(&self, context: &mut Context<N>) -> bool {
        let destination = self.errand.destination(self.group(), context);
        matches!((self.aim, destination), (Aim::Only(_), Destination::Gone(_)))
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
            aim: self.aim,
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
            Errand::Plain
            | Errand::Query { .. }
            | Errand::Announcement
            | Errand::Withdrawal
            | Errand::Other => Some(proxy.replay_limit),
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

    /// The request as log lines name it, and what happens to it if it ends with this status.
    pub fn words(&self, status: u16) -> (String, String) {
        (self.shown(), format!("gets {status}"))
    }

    /// The same for one that fails at a server with this status: those of Trino may wait.
    pub fn outlook(&self, status: u16) -> (String, String) {
        match self.errand {
            Errand::Plain => self.words(status),
            Errand::Query { matter: Matter::Poll, .. } => {
                (self.shown(), "waits, or is told that the query is lost".to_owned())
            }
            Errand::Statement
            | Errand::Query { .. }
            | Errand::Announcement
            | Errand::Withdrawal
            | Errand::Other => (self.shown(), format!("waits, or gets {status}")),
        }
    }

    /// The same for one that finds no server; `None` if that is not worth a line: that a query's
    /// server is out was said, and each of its polls would say so again.
    pub fn words_of_wait(&self) -> Option<impl FnOnce() -> (String, String)> {
        let is_worth_it = !matches!(self.errand, Errand::Query { .. });
        is_worth_it.then_some(|| self.outlook(Refusal::NoServer.status()))
    }

    /// The request line for log lines, escaped so that it cannot break the line.
    pub fn shown(&self) -> String {
        let line = self.request.line();
        let shown = line[..line.len().min(SHOWN_OF_LINE)].escape_ascii();
        format!("\"{shown}\"")
    }

    /// A server and its group as log lines name them.
    pub fn server_words(&self, at: Option<At>) -> String {
        let Some(At { group, server }) = at else { return "a server".to_owned() };
        let group = &self.config.groups[group.id.0];
        format!("upstream \"{}\": {}", group.name, ServerWords(&group.servers[server.0]))
    }

    /// Returns all storage.
    pub fn release<N: Net>(&mut self, context: &mut Context<N>) {
        context.io.buffers.clear(&mut self.request.head);
        context.places.give(std::mem::take(&mut self.request.places));
    }
}

/// Bytes of a request line that log lines show.
const SHOWN_OF_LINE: usize = 200;
/// Bytes of a statement that are kept so that it can go to another server. Trino takes a million
/// characters.
const STATEMENT_LIMIT: usize = 3 << 20;
