//! An answer of our own, which becomes the response.

use super::asked::Asked;
use super::download::Download;
use super::ending::Ending;
use super::own_answer::{OwnAnswer, Returned};
use super::page::Replaced;
use super::turn::{Over, Turn};
use super::upload::Upload;
use crate::config::model::Return;
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::log::attempt_log::AttemptLog;

/// The parts of an exchange that are needed to answer.
pub struct Reply<'a, N: Net> {
    /// The request and its site.
    pub asked: &'a mut Asked,
    /// The attempts at servers.
    pub attempts: &'a AttemptLog,
    /// The request.
    pub upload: &'a mut Upload<N>,
    /// The response.
    pub download: &'a mut Download<N>,
    /// What happens to the client's connection afterwards.
    pub ending: &'a mut Ending,
}

impl<N: Net> Reply<'_, N> {
    /// Answers as `return` says.
    pub fn returned(self, answer: &Return, client: &Client<N>, context: &Context<N>) -> Turn {
        let shown = self.asked.status_shown(answer.status);
        self.download.status = shown;
        let answered = self.download.answered();
        let scope = self.asked.scope(client, self.attempts, answered, context);
        match OwnAnswer::returned(answer, shown, &scope) {
            Returned::Answer(answer) => Turn::Write(answer),
            Returned::Error(answer) => Turn::Answer(answer),
            Returned::Silence => {
                self.download.status = answer.status;
                Turn::End(Over::Ended(Ending::Close))
            }
        }
    }

    /// Answers, unless an `error_page` replaces the answer.
    pub fn answer(self, answer: OwnAnswer) -> Turn {
        if self.asked.error_page(answer.status).is_none() {
            return Turn::Write(answer.shown());
        }
        Turn::Replace(Replaced { location: answer.location, ..Replaced::of(answer.status) })
    }

    /// Writes an answer, whatever `error_page` says.
    pub fn write(self, answer: &OwnAnswer, client: &Client<N>, context: &mut Context<N>) -> Turn {
        self.upload.discard(&mut context.io);
        self.ending.fall(self.asked.ending(self.upload, client, context));
        self.download.status = answer.status;
        if answer.location.is_some() {
            self.asked.forget_location();
        }
        let seen = context.servers.seen(self.asked.generation);
        let answered = self.download.answered();
        let scope = self.asked.scope(client, self.attempts, answered, context);
        answer.write_head(scope, *self.ending, seen, &mut context.scratch);
        self.download.say(&context.scratch.head, seen, &mut context.io.buffers);
        context.scratch.clear_head();
        let body = answer.body(self.asked.request.is_head);
        self.download.say_body(body, &mut context.io.buffers);
        Turn::Rest
    }
}
