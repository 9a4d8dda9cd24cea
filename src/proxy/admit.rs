//! From a request's head to whoever answers it: the virtual server, the location, its action.

use std::sync::Arc;

use super::account::Account;
use super::client::Client;
use super::context::{Context, location};
use super::download::Download;
use super::exchange::{Ending, Exchange, Link};
use super::request::{Refusal, Request};
use super::route::{self, Site};
use super::upload::Upload;
use crate::config::model::{Action, VirtualServerId};
use crate::http::framing::{Body, Framing};
use crate::http::target::normalise;
use crate::net::Net;
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
        let config = Arc::clone(context.config());
        let listen = context.listen(client.facts.listener)?;
        let server = match read {
            Ok(()) => route::virtual_server(&config, listen, request.host()),
            Err(_) => listen.default_server,
        };
        let framing = if read.is_ok() { request.framing } else { Framing::None };
        let mut exchange = Exchange {
            generation: context.generation(),
            config,
            site: Site { server, location: None },
            request,
            started,
            link: Link::None,
            upload: Upload::new(Body::new(framing), context.now),
            download: Download::new(context.now),
            account: Account::default(),
            tried: Tried::default(),
            first_attempt: context.now,
            tries: 0,
            page: None,
            unheard: false,
        };
        let begun = match read {
            Ok(()) => exchange.begin(client, context),
            Err(refusal) => exchange.give_up(refusal, client, context),
        };
        Some((exchange, begun))
    }

    fn begin(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Result<(), Ending> {
        let config = Arc::clone(&self.config);
        let server = &config.virtual_servers[self.site.server.0];
        if let Some(answer) = &server.answer {
            return self.answer_return(answer, client, context);
        }
        let Some(found) = self.find_location(self.site.server, context) else {
            let why = "The path leads out of the tree.";
            return self.give_up(Refusal { status: 400, why }, client, context);
        };
        self.site.location = found;
        let limit = self.settings().max_body.unwrap_or(u64::MAX);
        if matches!(self.request.framing, Framing::Length(length) if length > limit) {
            let why = "The body is larger than allowed.";
            return self.give_up(Refusal { status: 413, why }, client, context);
        }
        if !self.settings().tcp_nodelay {
            client.socket.set_nodelay(false);
        }
        self.serve(client, context)
    }

    /// The location of the request's path; no answer at all where the path makes no sense.
    fn find_location(
        &self,
        server: VirtualServerId,
        context: &mut Context<N>,
    ) -> Option<Option<usize>> {
        let server = &self.config.virtual_servers[server.0];
        let (path, _) = self.request.path_and_query();
        let path = if path.is_empty() { b"/" } else { path };
        if is_normal(path) {
            return Some(route::location(&server.locations, path));
        }
        let normal = &mut context.scratch.text;
        normal.clear();
        normalise(path, server.limits.merge_slashes, normal).ok()?;
        Some(route::location(&server.locations, normal))
    }

    /// Does what the location says.
    pub(super) fn serve(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Ending> {
        let config = Arc::clone(&self.config);
        match location(&config, self.site).map(|location| &location.action) {
            Some(Action::Proxy(_)) => self.ask(client, context),
            Some(Action::Return(answer)) => self.answer_return(answer, client, context),
            Some(Action::NotFound) | None => {
                let status = self.page.as_ref().map_or(404, |page| page.original);
                self.answer_status(status, "", client, context)
            }
        }
    }
}

/// Whether normalising would change nothing: the common case, decided without a copy.
fn is_normal(path: &[u8]) -> bool {
    let odd = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    !path.contains(&b'%') && !path.windows(2).any(odd)
}
