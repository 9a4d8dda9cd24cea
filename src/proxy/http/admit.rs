//! From a request's head to whoever answers it: the virtual server, the location, its action.

use std::sync::Arc;

use crate::config::model::{Action, VirtualServerId};
use crate::http::framing::{Body, Framing};
use crate::http::target::{escape, normalise};
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::http::download::Download;
use crate::proxy::http::exchange::Exchange;
use crate::proxy::http::link::Link;
use crate::proxy::http::real_ip;
use crate::proxy::http::request::{Refusal, Request};
use crate::proxy::http::route::{self, Site, location_of};
use crate::proxy::http::stop::{Ending, Stop};
use crate::proxy::http::upload::Upload;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::time::Time;
use crate::upstream::group::Tried;

impl<N: Net> Exchange<N> {
    /// Takes on a request, or the refusal of one, and tells whether that is the end of it already.
    /// None when its listener serves nobody any more.
    pub fn new(
        request: Request,
        read: Result<(), Refusal>,
        started: Time,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Option<(Exchange<N>, Result<(), Ending>)> {
        let config = Arc::clone(context.servers.config());
        let listen = context.servers.listen(client.facts.listener)?;
        let server = match read {
            Ok(()) => route::virtual_server(&config, listen, &request)?,
            Err(_) => route::default_server(listen)?,
        };
        let framing = if read.is_ok() { request.framing } else { Framing::None };
        let mut exchange = Exchange {
            generation: context.servers.generation(),
            config,
            site: Site { server, location: None },
            request,
            started,
            link: Link::None,
            upload: Upload::new(Body::new(framing), context.io.now),
            download: Download::new(context.io.now),
            attempts: AttemptLog::default(),
            tried: Tried::default(),
            first_attempt: context.io.now,
            tries: 0,
            remote: None,
            page: None,
        };
        exchange.find_remote(client);
        let begun = match read {
            Ok(()) => exchange.begin(client, context),
            Err(refusal) => Err(exchange.give_up(refusal, client, context)),
        };
        let begun = match begun {
            Ok(()) | Err(Stop::Turned) => Ok(()),
            Err(Stop::Over(ending)) => Err(ending),
        };
        Some((exchange, begun))
    }

    fn begin(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Result<(), Stop> {
        let config = Arc::clone(&self.config);
        let server = &config.virtual_servers[self.site.server.0];
        if let Some(answer) = &server.answer {
            return self.answer_return(answer, client, context);
        }
        let Some(place) = self.find_location(self.site.server, context) else {
            let why = "The path leads out of the tree.";
            return Err(self.give_up(Refusal { status: 400, why }, client, context));
        };
        match place {
            Place::Location(found) => self.site.location = found,
            Place::WithSlash(name) => {
                return Err(self.redirect_to_name(&name, client, context));
            }
        }
        self.find_remote(client);
        let limit = self.settings().max_body.unwrap_or(u64::MAX);
        if matches!(self.request.framing, Framing::Length(length) if length > limit) {
            let why = "The body is larger than allowed.";
            return Err(self.give_up(Refusal { status: 413, why }, client, context));
        }
        let nodelay = self.settings().tcp_nodelay;
        if nodelay != client.nodelay {
            client.socket.set_nodelay(nodelay);
            client.nodelay = nodelay;
        }
        self.serve(client, context)
    }

    /// Finds the address of the client that the request is made for, by the rules of its place.
    fn find_remote(&mut self, client: &Client<N>) {
        let rules = &self.settings().real_ip;
        if !rules.trusted.is_empty() {
            self.remote = real_ip::remote(rules, &self.request, &client.facts);
        }
    }

    /// The location of the request's path; no answer at all where the path makes no sense.
    fn find_location(&self, server: VirtualServerId, context: &mut Context<N>) -> Option<Place> {
        let server = &self.config.virtual_servers[server.0];
        let (path, _) = self.request.path_and_query();
        // `*` asks about the server as a whole.
        let path = if matches!(path, b"" | b"*") { b"/" } else { path };
        let normal = if is_normal(path) {
            path
        } else {
            let normal = &mut context.scratch.text;
            normal.clear();
            normalise(path, server.limits.merge_slashes, normal).ok()?;
            normal
        };
        if route::lacks_slash(&server.locations, normal) {
            let mut name = Vec::new();
            escape(normal, &mut name);
            return Some(Place::WithSlash(name));
        }
        Some(Place::Location(route::location(&server.locations, normal)))
    }

    /// Sends the client to the name of a location that its path is but for the last slash.
    fn redirect_to_name(
        &mut self,
        name: &[u8],
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Stop {
        let mut url = [name, b"/"].concat();
        if let (_, Some(query)) = self.request.path_and_query() {
            url.push(b'?');
            url.extend_from_slice(query);
        }
        self.redirect(301, &url, client, context)
    }

    /// Does what the location says.
    pub(in crate::proxy) fn serve(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Stop> {
        let config = Arc::clone(&self.config);
        match location_of(&config, self.site).map(|location| &location.action) {
            Some(Action::Proxy(_)) => self.ask(client, context),
            Some(Action::Return(answer)) => self.answer_return(answer, client, context),
            Some(Action::NotFound) | None => {
                let status = self.page.as_ref().map_or(404, |page| page.original);
                Err(self.answer_status(status, "", client, context))
            }
        }
    }
}

/// Where a path leads.
enum Place {
    /// To a location, or to none.
    Location(Option<usize>),
    /// To the name of one, if this escaped path had a slash more.
    WithSlash(Vec<u8>),
}

/// Whether normalising would change nothing: the common case, decided without a copy.
fn is_normal(path: &[u8]) -> bool {
    let odd = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    !path.contains(&b'%') && !path.windows(2).any(odd)
}
