//! One attempt after another: picks the server, dials it, and judges its failure.
//!
//! Requests and tunnels share this, so it reads neither heads nor bytes.

use std::time::Duration;

use crate::config::model::{Config, Group, NextUpstream};
use crate::net::{Connect, Net};
use crate::proxy::context::Context;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::proxy::log::limited_log::Topic;
use crate::transport::dial::Dial;
use crate::transport::io::Owner;
use crate::trino::query_id::CoordinatorId;
use crate::upstream::group::{At, GroupAt, Pick, ServerId, Verdict};
use crate::upstream::plan::{Aim, Choice, Plan};
use crate::upstream::retry::{Failure, Repeatable};

/// The attempts of one request or connection.
#[derive(Debug, Default)]
pub struct Attempts {
    /// What may still be tried.
    plan: Plan,
    /// What was tried.
    pub log: AttemptLog,
}

/// How to connect to the servers of a group.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The group, in this configuration.
    pub group: GroupAt,
    /// `proxy_next_upstream`.
    pub next: &'a NextUpstream,
    /// `proxy_bind` and `proxy_socket_keepalive`.
    pub how: Connect,
    /// `proxy_connect_timeout`.
    pub timeout: Duration,
    /// What the attempt is for.
    pub asker: Asker,
    /// The servers that it may go to.
    pub aim: Aim,
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A request. The attempt log records a status for each failed attempt.
    Request,
    /// A connection that passes unread. Its attempts have no status.
    Connection,
}

/// How an attempt began.
#[must_use]
pub enum Begun<N: Net> {
    /// The connection is being made.
    Dialling(Dial<N>, Pick),
    /// The connect failed at once.
    Failed(Pick, Failure),
    /// We lack descriptors or memory: an error is logged, and the server is not blamed.
    Lacking,
}

impl Terms<'_> {
    fn group(&self) -> &Group {
        &self.config.groups[self.group.id.0]
    }

    /// The status for the attempt log, which only requests have.
    fn logged(&self, status: u16) -> Option<u16> {
        match self.asker {
            Asker::Request => Some(status),
            Asker::Connection => None,
        }
    }
}

impl Attempts {
    /// Chooses the server for the first attempt. For the log, `words` name the request or the
    /// client, and say what happens to it without a server; `None` for one whose wait is expected.
    pub fn first<N: Net>(
        &mut self,
        terms: &Terms<'_>,
        words: Option<impl FnOnce() -> (String, String)>,
        context: &mut Context<N>,
    ) -> Choice {
        let now = context.io.now;
        self.plan = Plan::new(terms.aim, now);
        let choice = self.plan.first(context.servers.group(terms.group), now);
        if choice == Choice::NoneFree {
            self.note_none_free(terms, context);
            let Some(words) = words else { return choice };
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
        let group = context.servers.group(terms.group);
        self.plan.after(failure, request, terms.next, group, context.io.now)
    }

    /// Chooses the server that is asked for a query next: one that is not known to be another
    /// coordinator than the query's.
    pub fn seek<N: Net>(
        &mut self,
        owner: CoordinatorId,
        terms: &Terms<'_>,
        context: &mut Context<N>,
    ) -> Choice {
        if terms.aim != Aim::Active {
            return Choice::Exhausted;
        }
        for server in 0..terms.group().servers.len() {
            let known = context.servers.trino(terms.group).coordinators.known(server);
            // The owner may have become known since the request was sent.
            if known.is_some_and(|known| known != owner) {
                self.plan.exclude(ServerId(server));
            }
        }
        self.plan.another(context.servers.group(terms.group), context.io.now)
    }

    /// Starts connecting to a server. `words` are as in [`Attempts::first`].
    pub fn dial<N: Net>(
        &mut self,
        pick: Pick,
        terms: &Terms<'_>,
        owner: Owner,
        words: impl FnOnce() -> (String, String),
        context: &mut Context<N>,
    ) -> Begun<N> {
        let server = &terms.group().servers[pick.at.server.0];
        match context.dial(server, &terms.how, terms.timeout, owner) {
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

    /// Handles a failed attempt whose connection is closed: blames the server, and chooses another
    /// one if that is allowed.
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
        self.say(pick.at, failure, choice.server(), terms, words, context);
        context.servers.conclude(pick, failure.into(), &mut context.io);
        self.log.ended(terms.logged(failure.status()), context.io.now);
        if choice == Choice::NoneFree && terms.asker == Asker::Request {
            self.note_none_free(terms, context);
        }
        choice
    }

    /// Logs what happened at a server, and what follows from it.
    pub fn say<N: Net>(
        &self,
        at: At,
        failure: Failure,
        next: Option<ServerId>,
        terms: &Terms<'_>,
        words: impl FnOnce() -> (String, String),
        context: &mut Context<N>,
    ) {
        let (group, now) = (terms.group(), context.io.now);
        context.limited_log.failure(now, group, (at.server, failure), next, words);
    }

    /// Moves to another configuration, in which `pick` is the server of the current attempt.
    pub fn rebase(&mut self, pick: &Pick) {
        self.plan.rebase(pick);
    }

    /// Adds an attempt without a server, which `$upstream_addr` shows as the group's name: the
    /// rules allow another try, but no remaining server can be picked.
    fn note_none_free<N: Net>(&mut self, terms: &Terms<'_>, context: &Context<N>) {
        self.log.begin(terms.group.id, None, context.io.now);
        self.log.ended(terms.logged(502), context.io.now);
    }
}
