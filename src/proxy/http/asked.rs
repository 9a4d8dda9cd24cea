//! What a request asks for, and the part of the configuration that answers it.

use std::sync::Arc;

use super::ending::Ending;
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
use crate::upstream::group::{At, GroupAt};
use crate::upstream::retry::{Repeatable, may_resend};

/// A request at its place in a configuration.
pub struct Asked {
    /// The configuration that it began with.
    pub config: Arc<Config>,
    /// Its number.
    pub generation: u64,
    /// The place in it.
    pub site: Site,
    /// The request.
    pub request: Request,
    /// When its first byte came.
    pub started: Time,
    /// The client's address, where a peer that is trusted names it.
    pub remote: Option<Address>,
    /// The page asked for in place of an error.
    pub page: Option<Box<Page>>,
}

impl Asked {
    /// Finds the place in the newest configuration that answers a request, or the refusal of one;
    /// `None` where its listener serves nothing any more.
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
        };
        asked.find_remote(&client.facts);
        Some(asked)
    }

    /// Settings of the location, or of the virtual server outside of all.
    pub fn settings(&self) -> &LocationSettings {
        settings(&self.config, self.site)
    }

    /// The virtual server.
    pub fn virtual_server(&self) -> &VirtualServer {
        &self.config.virtual_servers[self.site.server.0]
    }

    /// How the location asks servers, if it does.
    pub fn proxy(&self) -> Option<&ProxyPass> {
        match &location_of(&self.config, self.site)?.action {
            Action::Proxy(proxy) => Some(proxy),
            Action::Return(_) | Action::NotFound => None,
        }
    }

    /// The same while a server is asked.
    pub fn pass(&self) -> &ProxyPass {
        self.proxy().expect("servers are asked for such locations only")
    }

    /// How servers are asked.
    pub fn terms(&self) -> Terms<'_> {
        let proxy = self.pass();
        Terms {
            config: &self.config,
            group: GroupAt { generation: self.generation, id: proxy.group },
            next: &proxy.next,
            how: Connect { bind: proxy.bind, keepalive: proxy.socket_keepalive },
            timeout: proxy.connect_timeout,
            asker: Asker::Request,
        }
    }

    /// The `error_page` for a status: a page that is asked for itself has none.
    pub fn error_page(&self, status: u16) -> Option<&ErrorPage> {
        let pages = self.page.is_none().then_some(&self.settings().error_pages)?;
        pages.iter().find(|page| page.statuses.contains(&status))
    }

    /// The status for the client where a page takes the place of an error.
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

    /// What takes the place of a redirect leads elsewhere itself.
    pub fn forget_location(&mut self) {
        if let Some(page) = &mut self.page {
            page.replaced.location = None;
        }
    }

    /// Finds the address of the client that the request is made for, by the rules of its place.
    pub fn find_remote(&mut self, facts: &Facts) {
        let rules = &self.settings().real_ip;
        if !rules.trusted.is_empty() {
            self.remote = real_ip::remote(rules, &self.request, facts);
        }
    }

    /// Whether the request and the settings let the client's connection carry another one.
    fn keeps_client(&self, facts: &Facts, now: Time) -> bool {
        let settings = self.settings();
        self.request.is_persistent()
            && settings.keepalive_timeout.is_some()
            && facts.requests < settings.keepalive_requests
            && now - facts.accepted < settings.keepalive_time
    }

    /// How the client's connection fares if the request ends well.
    pub fn ending<N: Net>(
        &self,
        upload: &Upload<N>,
        client: &Client<N>,
        context: &Context<N>,
    ) -> Ending {
        let may = self.keeps_client(&client.facts, context.io.now) && upload.is_received();
        if may && !context.servers.draining { Ending::Keep } else { Ending::Linger }
    }

    /// What of the request decides whether it may be repeated.
    pub fn repeatable<N: Net>(&self, upload: &Upload<N>) -> Repeatable {
        Repeatable {
            idempotent: self.request.idempotent,
            sent: upload.has_begun(),
            replayable: upload.is_replayable(),
        }
    }

    /// Whether what the current server has got may be sent again, for what follows from an event.
    pub fn upload_state<N: Net>(&self, upload: &Upload<N>) -> UploadState {
        match self.proxy() {
            _ if !upload.has_begun() => UploadState::Unsent,
            Some(proxy) if may_resend(self.repeatable(upload), &proxy.next) => {
                UploadState::Repeatable
            }
            Some(_) | None => UploadState::Spent,
        }
    }

    /// How large a response's head may be.
    pub fn head_limits(&self) -> HeadLimits {
        let limit = self.pass().head_limit;
        HeadLimits { line: limit, total: limit }
    }

    /// What variables stand for now.
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

    /// The request in log lines, and what becomes of it if it ends with this status.
    pub fn words(&self, status: u16) -> (String, String) {
        (self.shown(), format!("gets {status}"))
    }

    /// The request in log lines: nothing in it can end the line.
    pub fn shown(&self) -> String {
        let line = self.request.line();
        let shown = line[..line.len().min(SHOWN_OF_LINE)].escape_ascii();
        format!("\"{shown}\"")
    }

    /// A server in log lines, with its group.
    pub fn server_words(&self, at: Option<At>) -> String {
        let Some(At { group, server }) = at else { return "a server".to_owned() };
        let group = &self.config.groups[group.id.0];
        format!("upstream \"{}\": {}", group.name, ServerWords(&group.servers[server.0]))
    }

    /// Gives all storage back.
    pub fn release<N: Net>(&mut self, context: &mut Context<N>) {
        context.io.buffers.clear(&mut self.request.head);
        context.places.give(std::mem::take(&mut self.request.places));
    }
}

/// How much of a request line log lines show.
const SHOWN_OF_LINE: usize = 200;
