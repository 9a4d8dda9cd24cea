//! Answers that the proxy itself gives.

use super::ending::Ending;
use super::response_head::Final;
use super::variables::RequestScope;
use crate::config::model::Return;
use crate::http::answer::{is_bodiless, is_redirect, page, reason};
use crate::http::connection::Options;
use crate::http::framing::Framing;
use crate::http::target::escape_url;
use crate::proxy::context::Scratch;
use crate::proxy::generation::Seen;
use crate::proxy::log::format::http_date;
use crate::trino::answers::{self, State, Told};
use crate::trino::query_id::QueryId;

/// An answer of the proxy's own.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnAnswer {
    /// Its status.
    pub status: u16,
    /// Its `Location`, if it is a redirect.
    pub location: Option<Vec<u8>>,
    /// Its body.
    pub body: Vec<u8>,
    /// What the body is.
    pub media: &'static [u8],
}

/// What a `return` directive leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Returned {
    /// This answer, whatever `error_page` says.
    Answer(OwnAnswer),
    /// This answer, unless `error_page` has another one for its status.
    Error(OwnAnswer),
    /// The connection is closed without an answer.
    Silence,
}

impl OwnAnswer {
    /// A small page that states a status and the reason.
    pub fn page(status: u16, why: &str) -> OwnAnswer {
        let mut body = Vec::new();
        page(shown(status), why, &mut body);
        OwnAnswer { status, location: None, body, media: TEXT }
    }

    /// The answer as a client sees it.
    pub fn shown(self) -> OwnAnswer {
        OwnAnswer { status: shown(self.status), ..self }
    }

    /// Text for a person.
    pub fn text(status: u16, text: String) -> OwnAnswer {
        OwnAnswer { status, location: None, body: text.into_bytes(), media: TEXT }
    }

    /// JSON.
    pub fn json(status: u16, body: Vec<u8>) -> OwnAnswer {
        OwnAnswer { status, location: None, body, media: b"application/json" }
    }

    /// A redirect to a URL of this site or another one.
    pub fn redirect(status: u16, url: &[u8], scope: &RequestScope<'_>) -> OwnAnswer {
        let mut location = Vec::new();
        if url.starts_with(b"/") {
            scope.write_origin(&mut location);
        }
        escape_url(url, &mut location);
        OwnAnswer { location: Some(location), ..OwnAnswer::page(status, "") }
    }

    /// Evaluates `return`. An answer that is no error has the status `shown`.
    pub fn returned(answer: &Return, shown: u16, scope: &RequestScope<'_>) -> Returned {
        let status = answer.status;
        let mut body = Vec::new();
        match &answer.text {
            _ if status == CLOSE_SILENTLY => return Returned::Silence,
            None if status >= 300 => return Returned::Error(OwnAnswer::page(status, "")),
            None => {}
            Some(template) => scope.write(template, &mut body),
        }
        if is_redirect(status) && answer.text.is_some() {
            return Returned::Error(OwnAnswer::redirect(status, &body, scope));
        }
        Returned::Answer(OwnAnswer { status: shown, location: None, body, media: TEXT })
    }

    /// Writes the head into [`Scratch::head`], which must be empty.
    pub fn write_head(
        &self,
        scope: RequestScope<'_>,
        ending: Ending,
        seen: Seen,
        scratch: &mut Scratch,
    ) {
        let mut own = std::mem::take(&mut scratch.own);
        own.clear();
        own.add(b"Server", |out| out.extend_from_slice(b"switchover"));
        own.add(b"Date", |out| http_date(scope.wall, out));
        if !is_bodiless(self.status) && !self.body.is_empty() {
            own.add(b"Content-Type", |out| out.extend_from_slice(self.media));
        }
        if let Some(location) = &self.location {
            own.add(b"Location", |out| out.extend_from_slice(location));
        }
        let length = Framing::Length(self.body.len() as u64);
        Final {
            status: self.status,
            reason: reason(self.status).as_bytes(),
            fields: own.fields(),
            options: Options::default(),
            framing: if is_bodiless(self.status) { Framing::None } else { length },
            proxy: None,
        }
        .write(scope, ending, seen, scratch);
        scratch.own = own;
    }

    /// The body to send: empty for `HEAD`, and for statuses without a body.
    pub fn body(&self, is_head: bool) -> &[u8] {
        if is_head || is_bodiless(self.status) { &[] } else { &self.body }
    }
}

/// The status that a client sees: nginx's own ones about TLS are for `error_page` alone.
fn shown(status: u16) -> u16 {
    if matches!(status, 496 | 497) { 400 } else { status }
}

/// The answer to a poll of a query that is lost, with these words on what happened and what to do.
pub fn lost(id: QueryId, message: &str, scope: &RequestScope<'_>) -> OwnAnswer {
    of_query(id, Told::Lost { message }, scope)
}

/// The answer to a poll that only acknowledges the end of a query.
pub fn finished(id: QueryId, scope: &RequestScope<'_>) -> OwnAnswer {
    of_query(id, Told::Finished, scope)
}

/// The answer to the statement or to a poll of a query that waits: it is asked for at `path` next.
pub fn waiting(id: QueryId, path: &[u8], scope: &RequestScope<'_>) -> OwnAnswer {
    let mut next_uri = Vec::new();
    scope.write_seen_origin(&mut next_uri);
    next_uri.extend_from_slice(path);
    let is_queued = path.starts_with(b"/v1/statement/queued/");
    let state = if is_queued { State::Queued } else { State::Running };
    of_query(id, Told::Waiting { next_uri: &next_uri, state }, scope)
}

fn of_query(id: QueryId, told: Told<'_>, scope: &RequestScope<'_>) -> OwnAnswer {
    let (mut origin, mut body) = (Vec::new(), Vec::new());
    scope.write_seen_origin(&mut origin);
    answers::write(id, &origin, told, &mut body);
    OwnAnswer::json(200, body)
}

/// The media type of pages and of the text of `return`.
const TEXT: &[u8] = b"text/plain";
/// `return 444`: nginx's status for closing without an answer.
const CLOSE_SILENTLY: u16 = 444;
