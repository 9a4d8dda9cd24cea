//! One attempt after another: which server is asked, how it is dialled, and what its failure means.
//!
//! Requests and connections that pass unread share this: it knows neither heads nor bytes.

use std::time::Duration;

use crate::config::model::{Config, Group, NextUpstream};
use crate::net::{Connect, Net};
use crate::proxy::context::Context;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::proxy::log::limited_log::Topic;
use crate::transport::dial::Dial;
use crate::transport::io::Owner;
use crate::upstream::group::{At, GroupAt, Pick, Verdict};
use crate::upstream::plan::{Choice, Plan};
use crate::upstream::retry::{Failure, Repeatable};

/// The attempts of one request or connection.
#[derive(Debug, Default)]
pub struct Attempts {
    /// What may still be tried; `None` until servers are asked.
    plan: Option<Plan>,
    /// What was tried.
    pub log: AttemptLog,
}

/// How servers are asked.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The group in it.
    pub group: GroupAt,
    /// `proxy_next_upstream`.
    pub next: &'a NextUpstream,
    /// `proxy_bind` and `proxy_socket_keepalive`.
    pub how: Connect,
    /// `proxy_connect_timeout`.
    pub timeout: Duration,
    /// For what.
    pub asker: Asker,
}

/// For what servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A request: its failed attempts are logged with a status.
    Request,
    /// A connection that passes unread, in whose log lines no attempt has a status.
    Connection,
}

/// How an attempt has begun.
#[must_use]
pub enum Begun<N: Net> {
    /// The connection is being made.
    Dialling(Dial<N>, Pick),
    /// The connect failed at once.
    Failed(Pick, Failure),
    /// We lack descriptors, ports or memory: the operator is told, and the server is not blamed.
    Lacking,
}

impl Terms<'_> {
    fn group(&self) -> &Group {
        &self.config.groups[self.group.id.0]
    }

    /// What the log of attempts says of a failure: statuses belong to requests.
    fn logged(&self, status: u16) -> Option<u16> {
        match self.asker {
            Asker::Request => Some(status),
            Asker::Connection => None,
        }
    }
}

impl Attempts {
    /// Chooses the server for the first attempt. `words` name the request or the client, and say
    /// what becomes of it if there is no server.
    pub fn first<N: Net>(
        &mut self,
        terms: &Terms<'_>,
        words: impl FnOnce() -> (String, String),
        context: &mut Context<N>,
    ) -> Choice {
        let now = context.io.now;
        let plan = self.plan.insert(Plan::new(terms.group, now));
        let choice = plan.first(&mut context.servers.group(terms.group).0, now);
        if choice == Choice::NoneFree {
            self.note_none_free(terms, context);
            let name = &terms.group().name;
            context.limited_log.write(now, Topic::Servers, log::Level::Warn, || {
                let (whose, becomes) = words();
                format!("upstream \"{name}\": no server can take it; {whose} {becomes}")
            });
        }
        choice
    }

    /// Chooses the server for the next attempt.
    pub fn next<N: Net>(
        &mut self,
        failure: Failure,
        request: Repeatable,
        terms: &Terms<'_>,
        context: &mut Context<N>,
    ) -> Choice {
        let Some(plan) = &mut self.plan else { return Choice::Exhausted };
        let group = &mut context.servers.group(plan.group()).0;
        plan.after(failure, request, terms.next, group, context.io.now)
    }

    /// Begins to connect to a server. `words` are as in [`Attempts::first`].
    pub fn dial<N: Net>(
        &mut self,
        pick: Pick,
        terms: &Terms<'_>,
        owner: Owner,
        words: impl FnOnce() -> (String, String),
        context: &mut Context<N>,
    ) -> Begun<N> {
        let address = &terms.group().servers[pick.at.server.0].address;
        match context.dial(address, &terms.how, terms.timeout, owner) {
            Ok(dial) => Begun::Dialling(dial, pick),
            Err(Some(failure)) => Begun::Failed(pick, failure),
            Err(None) => {
                context.servers.conclude(pick, Verdict::Abandoned, &mut context.io);
                let now = context.io.now;
                context.limited_log.write(now, Topic::Resources, log::Level::Error, || {
                    let (whose, becomes) = words();
                    format!("no descriptor or memory for a connection; {whose} {becomes}")
                });
                Begun::Lacking
            }
        }
    }

    /// An attempt failed, and its connection is closed: blames the server, and chooses another one
    /// if that is allowed.
    pub fn failed<N: Net>(
        &mut self,
        pick: Pick,
        failure: Failure,
        request: Repeatable,
        terms: &Terms<'_>,
        words: impl FnOnce() -> (String, String),
        context: &mut Context<N>,
    ) -> Choice {
        let choice = self.next(failure, request, terms, context);
        self.say(pick.at, failure, &choice, terms, words, context);
        context.servers.conclude(pick, failure.into(), &mut context.io);
        self.log.ended(terms.logged(failure.status()), context.io.now);
        if choice == Choice::NoneFree && terms.asker == Asker::Request {
            self.note_none_free(terms, context);
        }
        choice
    }

    /// Tells the operator what happened at a server, and what follows from it.
    pub fn say<N: Net>(
        &self,
        at: At,
        failure: Failure,
        choice: &Choice,
        terms: &Terms<'_>,
        words: impl FnOnce() -> (String, String),
        context: &mut Context<N>,
    ) {
        let (group, now) = (terms.group(), context.io.now);
        context.limited_log.failure(now, group, (at.server, failure), choice.server(), words);
    }

    /// Goes on in another configuration, where the server of the attempt under way is `pick`.
    pub fn rebase(&mut self, pick: &Pick) {
        if let Some(plan) = &mut self.plan {
            plan.rebase(pick);
        }
    }

    /// Adds a step without a server, which `$upstream_addr` shows as the group's name: the rules
    /// allow a try, but the servers that are left cannot be picked.
    fn note_none_free<N: Net>(&mut self, terms: &Terms<'_>, context: &Context<N>) {
        self.log.begin(terms.group.id, None, context.io.now);
        self.log.ended(terms.logged(502), context.io.now);
    }
}
