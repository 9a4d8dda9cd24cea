//! Judges the head of a server's response: whether it is passed on, and what follows.

use super::asked::Asked;
use super::download::{Download, Wanted};
use super::ending::Ending;
use super::page::Replaced;
use super::response_head::{self, CutShown, Final, Passing};
use super::upload::Upload;
use crate::http::connection::Options;
use crate::http::fields::Known;
use crate::http::framing;
use crate::http::head::{ResponseHead, Version};
use crate::net::Net;
use crate::proxy::attempts::Attempts;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::servers::Seen;
use crate::upstream::group::Pick;
use crate::upstream::plan::Choice;
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
    /// Because of its status, the next server is asked.
    Moves(u16, Pick),
    /// An `error_page` replaces it.
    Replaced(Replaced),
}

impl<N: Net> Judge<'_, N> {
    /// Judges a head, and adds what goes on to the client.
    pub fn head(
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
        if self.asked.pass().next.statuses.lists(head.status) {
            let (failure, request) =
                (Failure::Status(head.status), self.asked.repeatable(self.upload));
            let next = self.attempts.next(failure, request, &self.asked.terms(), context);
            if let Choice::Server(next) = next {
                return Judged::Moves(head.status, next);
            }
        }
        self.attempts.log.answered(head.status, context.io.now);
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
