//! How log lines name a request and its servers.

use super::asked::Asked;
use super::errand::Errand;
use crate::http::refusal::Refusal;
use crate::net::Net;
use crate::proxy::attempts::Attempts;
use crate::proxy::context::Context;
use crate::proxy::log::limited_log::{ServerWords, Topic};
use crate::trino::decision::Matter;
use crate::upstream::group::{At, ServerId};
use crate::upstream::retry::Failure;

impl Asked {
    /// The request as log lines name it, and what happens to it if it ends with this status.
    pub fn words(&self, status: u16) -> (String, String) {
        (self.shown(), format!("gets {status}"))
    }

    /// The same for one that fails at a server with this status: those of Trino may wait.
    pub fn outlook(&self, status: u16) -> (String, String) {
        match self.errand {
            Errand::Plain => self.words(status),
            Errand::Query { matter: Matter::Poll, .. } => {
                (self.shown(), "waits, or is told what becomes of the query".to_owned())
            }
            Errand::Statement => (self.shown(), "waits for one".to_owned()),
            Errand::Query { .. } | Errand::Announcement | Errand::Withdrawal | Errand::Other => {
                (self.shown(), format!("waits, or gets {status}"))
            }
        }
    }

    /// The same for one that finds no server; `None` if that is not worth a line: that a query's
    /// server is out was said, and each of its polls would say so again.
    pub fn words_of_wait(&self) -> Option<impl FnOnce() -> (String, String)> {
        let is_worth_it = !matches!(self.errand, Errand::Query { .. });
        is_worth_it.then_some(|| self.outlook(Refusal::NoServer.status()))
    }

    /// Logs what happened at a server, and what becomes of the request.
    pub fn say_failure<N: Net>(
        &self,
        at: Option<At>,
        failure: Failure,
        next: Option<ServerId>,
        attempts: &Attempts,
        context: &mut Context<N>,
    ) {
        if let Some(at) = at {
            let words = || self.words(failure.status());
            attempts.say(at, failure, next, &self.terms(), words, context);
        }
    }

    /// Logs that the answer of a server ends early.
    pub fn say_cut<N: Net>(&self, server: Option<At>, context: &mut Context<N>) {
        context.limited_log.write(context.io.now, Topic::Servers, log::Level::Warn, || {
            let (from, request) = (self.server_words(server), self.shown());
            format!("{from}: the answer to {request} is cut short")
        });
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
}

/// Bytes of a request line that log lines show.
const SHOWN_OF_LINE: usize = 200;
