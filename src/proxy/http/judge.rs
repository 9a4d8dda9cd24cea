//! Judges the head of a server's response: whether it is passed on, and what follows.

use super::asked::Asked;
use super::awaited::Wanted;
use super::download::Download;
use super::ending::Ending;
use super::errand::{Errand, STARTED, changes_session};
use super::held::BodyCoding;
use super::page::Replaced;
use super::queue;
use super::response_head::{self, Coding, CutShown, Final, Passing};
use super::upload::Upload;
use crate::config::model::Announcements;
use crate::http::connection::Options;
use crate::http::fields::Known;
use crate::http::framing::{self, Framing};
use crate::http::head::{self, ResponseHead, Version};
use crate::net::Net;
use crate::proxy::accepted::Accepted;
use crate::proxy::attempts::Attempts;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::generation::Seen;
use crate::trino::decision::Matter;
use crate::upstream::group::{At, Forwarded, Pick, ServerId};
use crate::upstream::plan::{Aim, Choice};
use crate::upstream::retry::Failure;

/// The parts of an exchange that are needed to judge a head.
pub struct Judge<'a, N: Net> {
    /// The request and its site.
    pub asked: &'a mut Asked,
    /// The attempts at servers.
    pub attempts: &'a mut Attempts,
    /// The request.
    pub upload: &'a Upload<N>,
    /// The response.
    pub download: &'a mut Download<N>,
    /// What happens to the client's connection afterwards.
    pub ending: &'a mut Ending,
    /// The server that answers.
    pub server: Option<At>,
    /// Whether it got an `X-Forwarded-…` field.
    pub forwarded: Forwarded,
}

/// The judgement on a response head.
pub enum Judged {
    /// It is no valid response.
    Bad,
    /// It is an interim response.
    Interim,
    /// It is final, and its body is passed on like this.
    Begun(Passing),
    /// The server switches protocols.
    Upgraded,
    /// Because of its status, the next server is asked; `None` if there is none now.
    Moves(Failure, Option<Pick>),
    /// An `error_page` replaces it.
    Replaced(Replaced),
    /// The server takes no `X-Forwarded-…` fields: it is asked again without them.
    Unforwarded,
    /// The server, which ran the query, knows nothing of it.
    Lost(ServerId),
}

impl<N: Net> Judge<'_, N> {
    /// Judges the head of this length that has come.
    pub fn look(mut self, length: usize, client: &Client<N>, context: &mut Context<N>) -> Judged {
        let mut raw = self.download.take_head();
        let mut places = std::mem::take(&mut context.scratch.places);
        let bytes = &raw.bytes()[..length];
        let judged = match head::parse_response(bytes, &mut places) {
            Ok(head) => self.head(&head, bytes, client, context),
            Err(_) => Judged::Bad,
        };
        context.scratch.places = places;
        raw.consume(length);
        self.download.put_back(raw);
        judged
    }

    /// Judges a head, and adds what goes on to the client.
    fn head(
        &mut self,
        head: &ResponseHead<'_>,
        bytes: &[u8],
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Judged {
        let Ok(options) = Options::of(head.fields) else { return Judged::Bad };
        if head.status < 200 {
            return self.interim(head, options, context);
        }
        let to_head = self.asked.request.is_head;
        let Ok(framing) = framing::of_response(head, to_head) else { return Judged::Bad };
        if self.asked.pass().next.statuses.lists(head.status) || self.asked.errand != Errand::Plain
        {
            if self.is_unforwarded(head.status, context) {
                return Judged::Unforwarded;
            }
            if let Some((failure, next)) = self.other_server(head.status, context) {
                return Judged::Moves(failure, next);
            }
            if let Some(server) = self.asked.unknown(head.status) {
                return Judged::Lost(server);
            }
        }
        self.attempts.log.answered(head.status, context.io.now);
        self.note(head, context);
        match self.asked.errand {
            Errand::Announcement | Errand::Withdrawal => self.copy(head.status, client, context),
            Errand::Query { matter: Matter::Cancel, .. } => self.cancel_elsewhere(client, context),
            Errand::Plain | Errand::Statement | Errand::Query { .. } | Errand::Other => {}
        }
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
        self.ending.fall(self.asked.ending(self.upload, client, context));
        self.keep_back(head, framing, passing.coding, context);
        let status = self.asked.status_shown(head.status);
        self.download.status = status;
        if response_head::has_location(head) {
            self.asked.forget_location();
        }
        let answer = self.download.answered();
        let scope = self.asked.scope(client, &self.attempts.log, answer, context);
        Final::of(head, options, out, status, self.asked.pass()).write(
            scope,
            *self.ending,
            seen,
            &mut context.scratch,
        );
        self.say(seen, context);
        Judged::Begun(passing)
    }

    /// Whether the answer says only that the coordinator takes no `X-Forwarded-…` fields. It gets
    /// none from now on. It has not looked at the request, so that it can be sent again.
    fn is_unforwarded(&self, status: u16, context: &mut Context<N>) -> bool {
        let Some(at) = self.server else { return false };
        let refused = status == 406
            && self.forwarded == Forwarded::Sent
            && self.asked.errand != Errand::Plain
            && self.upload.is_replayable();
        if refused {
            context.servers.withhold_forwarded(at);
        }
        refused
    }

    /// The server that is asked instead, if the status says that this one cannot answer.
    fn other_server(
        &mut self,
        status: u16,
        context: &mut Context<N>,
    ) -> Option<(Failure, Option<Pick>)> {
        let terms = self.asked.terms();
        let request = self.asked.repeatable(self.upload);
        let (failure, choice) = match self.asked.errand {
            Errand::Query { id, .. } if matches!(status, 404 | 410) && request.idempotent => {
                let choice = self.attempts.seek(id.coordinator(), &terms, context);
                (Failure::Turned(status), choice)
            }
            Errand::Statement
                if self.server.is_some_and(|at| {
                    let readiness = context.servers.group(at.group).readiness(at.server);
                    readiness.refuses_statements(status)
                }) =>
            {
                let failure = Failure::Turned(status);
                (failure, self.attempts.next(failure, request, &terms, context))
            }
            Errand::Plain | Errand::Announcement | Errand::Withdrawal | Errand::Other
                if terms.next.statuses.lists(status) =>
            {
                let failure = Failure::Status(status);
                (failure, self.attempts.next(failure, request, &terms, context))
            }
            Errand::Statement
            | Errand::Query { .. }
            | Errand::Plain
            | Errand::Announcement
            | Errand::Withdrawal
            | Errand::Other => {
                return None;
            }
        };
        match choice {
            Choice::Server(next) => Some((failure, Some(next))),
            // A statement may wait for a coordinator that takes it.
            Choice::NoneFree | Choice::Exhausted => {
                queue::can_be_queued(self.asked, self.upload, context).then_some((failure, None))
            }
        }
    }

    /// Lets the other coordinators know what this one has accepted of a worker.
    fn copy(&mut self, status: u16, client: &Client<N>, context: &mut Context<N>) {
        let (Some(at), Some(body)) = (self.server, self.upload.kept_body()) else { return };
        let to = self.asked.config.groups[at.group.id.0].announcements;
        if to == Announcements::Active || !(200..300).contains(&status) {
            return;
        }
        let Some(text) = self.upload.text(self.asked.request.framing) else { return };
        let Some((worker, kind)) = Errand::announced(&self.asked.request, &text) else { return };
        let log = &self.attempts.log;
        let request = self.asked.once_more(body, Forwarded::Withheld, client, log, context);
        context.announced.push(Accepted { by: at, worker: worker.into(), request, kind });
    }

    /// Ends a query of an unknown coordinator at all that may own it: each says that it has done so,
    /// whether it knows the query or not.
    fn cancel_elsewhere(&self, client: &Client<N>, context: &mut Context<N>) {
        let Some(at) = self.server.filter(|_| self.asked.direction.aim == Aim::Active) else {
            return;
        };
        let (log, Some(body)) = (&self.attempts.log, self.upload.kept_body()) else { return };
        let request = self.asked.once_more(body, Forwarded::Withheld, client, log, context);
        for server in (0..self.asked.config.groups[at.group.id.0].servers.len()).map(ServerId) {
            let is_known = context.servers.trino(at.group).coordinators.known(server.0).is_some();
            if server != at.server && !is_known && context.servers.group(at.group).is_there(server)
            {
                context.copies.push((At { server, ..at }, request.clone()));
            }
        }
    }

    /// Notes what a coordinator has, as its answer shows: a query, or a transaction.
    fn note(&self, head: &ResponseHead<'_>, context: &mut Context<N>) {
        let Some(at) = self.server else { return };
        let now = context.io.now;
        match self.asked.errand {
            Errand::Statement => context.servers.trino(at.group).note_asked(at.server.0, now),
            Errand::Query { matter, .. } => {
                // It was asked because none was known to have the query.
                if let Some((id, _)) = self.asked.query().filter(|_| matter == Matter::Poll)
                    && self.asked.direction.aim == Aim::Active
                    && head.status == 200
                {
                    context.servers.each(at, |at, served| served.trino.runs(at.server.0, id, now));
                }
                if let Some(id) = head.fields.find(&STARTED) {
                    context.servers.each(at, |at, served| {
                        served.trino.transactions.started(id, at.server.0, now);
                    });
                }
            }
            Errand::Plain | Errand::Announcement | Errand::Withdrawal | Errand::Other => {}
        }
    }

    /// Keeps back the answer to a statement, that to a poll of which no row was delivered before, and
    /// the last one: until it is whole it may be asked for again, and what it says decides whether it is
    /// passed on.
    fn keep_back(
        &mut self,
        head: &ResponseHead<'_>,
        framing: Framing,
        passed: Coding,
        context: &mut Context<N>,
    ) {
        let undelivered = self.asked.direction.undelivered();
        let is_followed = self.asked.direction.is_followed();
        if head.status != 200 || !is_followed && self.asked.errand != Errand::Statement {
            return;
        }
        let ledger = context.servers.ledger(self.asked.group());
        if let Some(id) = undelivered.filter(|_| changes_session(head.fields)) {
            ledger.forbid(id);
        }
        let coding = match head.fields.find(&[b"content-encoding"]) {
            None | Some(b"identity") => Some(BodyCoding::Identity),
            Some(b"gzip") => Some(BodyCoding::Gzip),
            Some(_) => None,
        };
        match (coding, passed, framing) {
            (Some(coding), Coding::AsIs, Framing::Length(_) | Framing::Chunked) => {
                self.download.hold(framing, coding);
            }
            // It cannot be read, so that it may carry rows.
            _ => undelivered.into_iter().for_each(|id| ledger.remove(id)),
        }
    }

    /// Passes a 1xx on if the client understands it. RFC 9110, section 15.2.
    fn interim(
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
            // The server may switch only if it was asked to, and only after the whole request.
            if wanted == Wanted::Response || !self.upload.is_sent() || upgrade.is_none() {
                return Judged::Bad;
            }
            self.attempts.log.answered(head.status, context.io.now);
            self.download.status = head.status;
            response_head::write_interim(head, options, upgrade, &mut context.scratch.head);
            let seen = context.servers.seen(self.asked.generation);
            self.say(seen, context);
            return Judged::Upgraded;
        }
        let repeated = head.status == 100 && std::mem::replace(&mut self.download.continued, true);
        if self.asked.request.version == Version::Http11 && !repeated {
            response_head::write_interim(head, options, None, &mut context.scratch.head);
            self.say(Seen::Never, context);
        }
        Judged::Interim
    }

    /// Adds the written head for the client, and keeps a copy if variables may read it.
    fn say(&mut self, seen: Seen, context: &mut Context<N>) {
        self.download.say(&context.scratch.head, seen, &mut context.io.buffers);
        context.scratch.clear_head();
    }
}

/// Interim responses that one exchange may have.
const MAX_INTERIM: u32 = 64;
