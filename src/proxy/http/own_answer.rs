//! Answers of the proxy's own, and pages in place of errors.

use crate::config::model::{ErrorPage, ErrorPageStatus, Return};
use crate::http::answer::{is_bodiless, page, reason};
use crate::http::connection::Options;
use crate::http::framing::Framing;
use crate::http::rewrite::ResponseOut;
use crate::http::target::escape_url;
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::http::download::Phase;
use crate::proxy::http::error_page::{Leads, leads};
use crate::proxy::http::exchange::Exchange;
use crate::proxy::http::page::Page;
use crate::proxy::http::request::Refusal;
use crate::proxy::http::route;
use crate::proxy::http::stop::{Ending, Stop};
use crate::proxy::http::upload::Taker;
use crate::upstream::group::{Pick, Verdict};
use crate::upstream::retry::Failure;

impl<N: Net> Exchange<N> {
    /// The request cannot be served. What has begun to be answered can only be cut.
    pub(in crate::proxy) fn give_up(
        &mut self,
        refusal: Refusal,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Stop {
        match self.download.phase {
            Phase::AwaitingHead { .. } => {}
            Phase::Body { .. } | Phase::Tunnel(_) | Phase::Ended { .. } => {
                return self.cut(context);
            }
        }
        self.drop_link(context);
        self.download.start_over(&mut context.io.buffers, context.io.now);
        // All but what a server is to blame for: what follows such a request is not read.
        let blames_client = matches!(refusal.status, 400..=499 | 501 | 503 | 505);
        self.download.refused |= blames_client;
        if blames_client {
            log::debug!("{} from {}: {}", self.request_words(), client.facts.peer, refusal.why);
        }
        self.answer_status(refusal.status, refusal.why, client, context)
    }

    /// Answers with a status: its `error_page`, or a small page of our own.
    pub(in crate::proxy) fn answer_status(
        &mut self,
        status: u16,
        why: &str,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Stop {
        if self.page.is_none() && self.error_page(status).is_some() {
            return self.replace(Replaced::of(status), client, context);
        }
        self.answer_plainly(status, why, client, context);
        Stop::Turned
    }

    /// Answers with a small page of our own.
    fn answer_plainly(
        &mut self,
        status: u16,
        why: &str,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) {
        let mut body = Vec::new();
        page(status, why, &mut body);
        self.answer(status, None, &body, client, context);
    }

    /// Answers as `return` says.
    pub(in crate::proxy) fn answer_return(
        &mut self,
        answer: &Return,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Stop> {
        let status = answer.status;
        if status == CLOSE_SILENTLY {
            self.download.status = status;
            return Err(Ending::Close.into());
        }
        self.download.status = self.status_shown(status);
        let mut text = Vec::new();
        match &answer.text {
            None if status >= 300 => return Err(self.answer_status(status, "", client, context)),
            None => {}
            Some(template) => self.scope(client, context).write(template, &mut text),
        }
        if is_redirect(status) && answer.text.is_some() {
            return Err(self.redirect(status, &text, client, context));
        }
        self.answer(self.status_shown(status), None, &text, client, context);
        Ok(())
    }

    /// Answers with a redirect, or with the page that takes its place and keeps its `Location`.
    pub(in crate::proxy) fn redirect(
        &mut self,
        status: u16,
        url: &[u8],
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Stop {
        if self.page.is_none() && self.error_page(status).is_some() {
            let location = Some(self.location_of(url, client, context));
            let replaced = Replaced { location, ..Replaced::of(status) };
            return self.replace(replaced, client, context);
        }
        self.redirect_to(status, url, client, context);
        Stop::Turned
    }

    /// A URL as `Location` has it: in full.
    fn location_of(&self, url: &[u8], client: &Client<N>, context: &Context<N>) -> Vec<u8> {
        let mut location = Vec::new();
        if url.starts_with(b"/") {
            self.scope(client, context).write_origin(&mut location);
        }
        escape_url(url, &mut location);
        location
    }

    fn redirect_to(
        &mut self,
        status: u16,
        url: &[u8],
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) {
        let place = self.location_of(url, client, context);
        let mut body = Vec::new();
        page(status, "", &mut body);
        self.answer(status, Some(&place), &body, client, context);
    }

    /// What takes the place of a redirect leads elsewhere itself.
    pub(in crate::proxy) fn forget_location(&mut self) {
        if let Some(page) = &mut self.page {
            page.location = None;
        }
    }

    /// The status for the client where a page takes the place of an error.
    pub(in crate::proxy) fn status_shown(&self, status: u16) -> u16 {
        match &self.page {
            None => status,
            Some(page) => match page.tells {
                ErrorPageStatus::Original => page.original,
                ErrorPageStatus::OfPage => status,
                ErrorPageStatus::Fixed(fixed) => fixed,
            },
        }
    }

    /// The `error_page` for a status.
    pub(in crate::proxy) fn error_page(&self, status: u16) -> Option<&ErrorPage> {
        self.settings().error_pages.iter().find(|page| page.statuses.contains(&status))
    }

    /// Serves the `error_page` for a status in its place.
    pub(in crate::proxy) fn replace(
        &mut self,
        replaced: Replaced,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Stop {
        let Some(found) = self.error_page(replaced.status) else { return Stop::Turned };
        let tells = found.tells;
        let leads = leads(&found.uri, &self.scope(client, context));
        // If a server is still linked, it gave an answer that only is not wanted.
        self.end_link(Verdict::Succeeded, context);
        self.download.start_over(&mut context.io.buffers, context.io.now);
        let (path, query) = match leads {
            Leads::To(path, query) => (path, query),
            Leads::Away(url) => {
                let status = match tells {
                    ErrorPageStatus::Fixed(fixed) if is_redirect(fixed) => fixed,
                    ErrorPageStatus::Fixed(_)
                    | ErrorPageStatus::Original
                    | ErrorPageStatus::OfPage => 302,
                };
                self.redirect_to(status, &url, client, context);
                return Stop::Turned;
            }
            Leads::Nowhere => {
                self.answer_plainly(replaced.status, "", client, context);
                return Stop::Turned;
            }
        };
        let locations = &self.config.virtual_servers[self.site.server.0].locations;
        self.site.location = route::location(locations, &path);
        let Replaced { status: original, challenges, location } = replaced;
        self.page = Some(Box::new(Page { path, query, original, tells, challenges, location }));
        self.upload.discard(client, &mut context.io);
        self.upload.taker = Taker::Unwanted;
        Stop::behind(self.serve(client, context))
    }

    /// A response with a listed status: the next server may do better.
    pub(in crate::proxy) fn move_on(
        &mut self,
        status: u16,
        next: Pick,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Stop {
        let failure = Failure::Status(status);
        self.attempts.answered(status, context.io.now);
        self.attempts.ended(Some(status), context.io.now);
        if let Some(server) = self.server() {
            self.tell_failure(server, failure, Some(&next), context);
        }
        let verdict = if failure.counts() { Verdict::Failed(failure) } else { Verdict::Succeeded };
        self.end_link(verdict, context);
        self.download.start_over(&mut context.io.buffers, context.io.now);
        Stop::behind(self.attempt(next, client, context))
    }

    /// Writes an answer. It is the response from then on.
    fn answer(
        &mut self,
        status: u16,
        place: Option<&[u8]>,
        body: &[u8],
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) {
        self.upload.discard(client, &mut context.io);
        let keeps = !self.download.refused && self.may_keep_client(client, context);
        self.download.keeps_client = keeps;
        self.download.status = status;
        let mut add = std::mem::take(&mut context.scratch.set);
        let mut out = std::mem::take(&mut context.scratch.head);
        let mut own = std::mem::take(&mut context.scratch.own);
        own.clear();
        own.add(b"Server", |out| out.extend_from_slice(b"switchover"));
        let wall = context.io.net.wall(context.io.now);
        own.add(b"Date", |out| crate::proxy::log::access_log::http_date(wall, out));
        if !is_bodiless(status) && !body.is_empty() {
            own.add(b"Content-Type", |out| out.extend_from_slice(b"text/plain"));
        }
        if let Some(place) = place {
            self.forget_location();
            own.add(b"Location", |out| out.extend_from_slice(place));
        }
        let length = Framing::Length(body.len() as u64);
        let (persistence, keep_alive) = (self.persistence(), self.keep_alive());
        self.compose(status, client, context, &mut add, &mut out, |add, _, out| {
            ResponseOut {
                status,
                reason: reason(status).as_bytes(),
                fields: own.fields(),
                options: Options::default(),
                hide: &[],
                add,
                framing: if is_bodiless(status) { Framing::None } else { length },
                persistence,
                keep_alive,
                upgrade: None,
            }
            .write(out, |_, _| false);
        });
        self.say_head(&out, context);
        if !self.request.is_head && !is_bodiless(status) {
            context.io.buffers.append(&mut self.download.out, body);
        }
        out.clear();
        (context.scratch.head, context.scratch.set, context.scratch.own) = (out, add, own);
        self.download.phase = Phase::Ended { whole: true, framed: true };
    }
}

fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// An answer that an `error_page` takes the place of: what of it the client gets all the same.
pub(in crate::proxy) struct Replaced {
    /// Its status.
    pub(in crate::proxy) status: u16,
    /// The values of its `WWW-Authenticate` lines.
    pub(in crate::proxy) challenges: Vec<Box<[u8]>>,
    /// Its `Location`.
    pub(in crate::proxy) location: Option<Vec<u8>>,
}

impl Replaced {
    /// An answer of which nothing but the status is left.
    fn of(status: u16) -> Replaced {
        Replaced { status, challenges: Vec::new(), location: None }
    }
}

/// `return 444`: nginx's number for closing without an answer.
const CLOSE_SILENTLY: u16 = 444;
