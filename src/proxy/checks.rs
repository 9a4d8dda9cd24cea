//! Checks: background connections and requests to servers. They are made when due, not when a
//! client happens to connect, so that an unreachable server never delays a client.

use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use zeroize::Zeroizing;

use crate::config::model::Asks;
use crate::net::{Event, Net};
use crate::proxy::context::Context;
use crate::proxy::coordinator;
use crate::proxy::log::limited_log::ServerWords;
use crate::proxy::probe::{Answer, Probed, request_with};
use crate::proxy::probes::{Ended, Probes};
use crate::proxy::servers::is_silent;
use crate::time::Time;
use crate::transport::io::Owner;
use crate::transport::socket::Socket;
use crate::trino::forwarded::without_forwarded;
use crate::upstream::check::Report;
use crate::upstream::group::{At, Forwarded};
use crate::upstream::retry::Failure;

/// The checks under way, and connections kept for the next ones.
pub struct Checks<N: Net> {
    /// Those under way.
    pub under_way: Probes<N, Check>,
    kept: Slab<(At, Socket<N>)>,
}

/// A check under way.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    at: At,
    began: Time,
    /// Whether it carries `X-Forwarded-…` fields.
    forwarded: Forwarded,
}

impl<N: Net> Default for Checks<N> {
    fn default() -> Checks<N> {
        Checks { under_way: Probes::new(Owner::Check), kept: Slab::new() }
    }
}

impl<N: Net> Checks<N> {
    /// The number of checks under way, and of connections kept.
    pub fn count(&self) -> usize {
        self.under_way.count() + self.kept.len()
    }

    /// Notes an event of a connection that is kept.
    pub fn note_kept(&mut self, key: u32, event: &Event) {
        if let Some((_, socket)) = self.kept.get_mut(key as usize) {
            socket.note(event);
        }
    }

    /// Begins the checks that are due.
    pub fn begin(&mut self, context: &mut Context<N>) {
        while let Some(at) = context.servers.begin_check(context.io.now) {
            if let Err(failure) = self.start(at, context) {
                end(at, report_of(failure), context);
            }
        }
    }

    fn start(&mut self, at: At, context: &mut Context<N>) -> Result<(), Option<Failure>> {
        let config = Arc::clone(context.servers.config());
        let model = &config.groups[at.group.id.0];
        let rules = context.servers.group(at.group).checks();
        let timeout = rules.map_or(model.check_timeout, |rules| rules.timeout);
        let uri = match rules.map(|rules| &rules.asks) {
            None | Some(Asks::Connection) => None,
            Some(Asks::Uri(uri)) => Some(uri.clone()),
        };
        let fields = context.servers.fields_of_check(at);
        let forwarded = if fields.is_empty() { Forwarded::Withheld } else { Forwarded::Sent };
        let address = &model.servers[at.server.0].address;
        let request = uri.map(|uri| request_with("GET", &uri, address, &fields));
        let check = Check { at, began: context.io.now, forwarded };
        self.ask(check, request.unwrap_or_default(), timeout, context)
    }

    /// Asks on the connection that is kept, else on a new one.
    fn ask(
        &mut self,
        check: Check,
        request: Zeroizing<Box<[u8]>>,
        timeout: Duration,
        context: &mut Context<N>,
    ) -> Result<(), Option<Failure>> {
        let (at, io) = (check.at, &mut context.io);
        let kept = self.kept.iter().find(|(_, (kept, _))| *kept == at).map(|(key, _)| key);
        if let Some(key) = kept.filter(|_| !request.is_empty()) {
            let (_, socket) = self.kept.remove(key);
            self.under_way.ask(socket, request, timeout, check, io);
            return Ok(());
        }
        let server = &context.servers.config().groups[at.group.id.0].servers[at.server.0];
        let begun = self.under_way.dial(server, request, timeout, check, io);
        begun.map_err(|(failure, _)| failure)
    }

    /// Ends the checks that have a result. `heard` tells whether bytes of a server have come on
    /// another connection since some moment: then slowness is no failure.
    pub fn run(&mut self, context: &mut Context<N>, heard: impl Fn(At, Time) -> bool) {
        self.drop_ended(context);
        let mut from = 0;
        while let Some(ended) = self.under_way.next_ended(&mut from, context.io.now) {
            let Check { at, began, .. } = ended.purpose;
            match self.take_up(ended, context) {
                Some(Report::Failed(Failure::ReadTimedOut))
                    if heard(at, began)
                        || context.servers.pool(at.group).has_heard(at.server, began) =>
                {
                    end(at, Report::Postponed, context);
                }
                Some(report) => end(at, report, context),
                None => {}
            }
        }
    }

    /// Closes kept connections on which there was anything but silence: the server closed them, or
    /// sent bytes unasked.
    fn drop_ended(&mut self, context: &mut Context<N>) {
        let has_ended = |(_, (_, socket)): &(usize, &(At, Socket<N>))| {
            socket.is_readable() || socket.is_broken()
        };
        while let Some((key, _)) = self.kept.iter().find(has_ended) {
            context.io.close(self.kept.remove(key).1);
        }
    }

    /// Takes up what has become of a check. `None` if it goes on.
    fn take_up(&mut self, ended: Ended<N, Check>, context: &mut Context<N>) -> Option<Report> {
        let Ended { probe, probed, purpose: check } = ended;
        let (request, deadline) = (probe.request(), probe.deadline());
        let mut socket = probe.into_socket();
        match &probed {
            Probed::Answered(answer) if answer.reusable && is_silent(&mut socket) => {
                self.keep(check.at, socket, context);
            }
            Probed::Answered(_) | Probed::Open | Probed::Stale | Probed::Failed(_) => {
                context.io.close(socket);
            }
        }
        match probed {
            Probed::Open => Some(Report::Ready),
            Probed::Failed(failure) => Some(report_of(Some(failure))),
            Probed::Stale => {
                let timeout = deadline - context.io.now;
                self.ask(check, request, timeout, context).err().map(report_of)
            }
            // It looked only at these fields, and says nothing about itself.
            Probed::Answered(Answer { status: Some(406), .. })
                if check.forwarded == Forwarded::Sent =>
            {
                context.servers.withhold_forwarded(check.at);
                let timeout = deadline - check.began;
                let check =
                    Check { began: context.io.now, forwarded: Forwarded::Withheld, ..check };
                let request = without_forwarded(&request);
                self.ask(check, request, timeout, context).err().map(report_of)
            }
            Probed::Answered(answer) => {
                Some(match context.servers.group(check.at.group).is_trinos() {
                    true => coordinator::judge(&answer, check.at, check.began, context),
                    false => judge(&answer),
                })
            }
        }
    }

    fn keep(&mut self, at: At, socket: Socket<N>, context: &mut Context<N>) {
        let token = socket.token();
        let key = self.kept.insert((at, socket));
        context.io.owners[token.0] = Owner::KeptCheck(key as u32);
    }

    /// Closes all, because their groups are no longer in use.
    pub fn abandon(&mut self, context: &mut Context<N>) {
        while let Some((probe, _)) = self.under_way.take(|_| true) {
            context.io.close(probe.into_socket());
        }
        for (_, socket) in self.kept.drain() {
            context.io.close(socket);
        }
    }
}

/// What an answer says.
fn judge(answer: &Answer) -> Report {
    match answer.status {
        Some(200..=399) => Report::Ready,
        Some(status) => Report::Failed(Failure::Status(status)),
        None => Report::Failed(Failure::BadResponse),
    }
}

/// What a failure of the connection says; `None` if we lack descriptors or memory.
fn report_of(failure: Option<Failure>) -> Report {
    match failure {
        // Neither says anything about the server.
        None | Some(Failure::NoLocalAddress) => Report::Postponed,
        Some(failure) => Report::Failed(failure),
    }
}

fn end<N: Net>(at: At, report: Report, context: &mut Context<N>) {
    if report == Report::Failed(Failure::Refused) {
        context.servers.process_began(at, context.io.now);
    }
    let group = context.servers.group(at.group);
    let change = group.end_check(at.server, report, context.io.now);
    match (change, report) {
        (Some(change), _) => context.servers.announce(at, change, &mut context.io),
        (None, Report::Failed(_)) => {
            let model = &context.servers.config().groups[at.group.id.0];
            let (name, server) = (&model.name, ServerWords(&model.servers[at.server.0]));
            log::debug!("upstream \"{name}\": {server} did not pass its check");
        }
        (None, _) => {}
    }
}
