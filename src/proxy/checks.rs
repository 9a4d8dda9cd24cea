//! Checks: background connections and requests to servers. They are made when due, not when a
//! client happens to connect, so that an unreachable server never delays a client.

use std::sync::Arc;

use slab::Slab;

use crate::config::model::Asks;
use crate::net::{Connect, Event, Net};
use crate::proxy::context::Context;
use crate::proxy::coordinator;
use crate::proxy::log::limited_log::ServerWords;
use crate::proxy::probe::{Answer, Probe, Probed, request};
use crate::proxy::servers::is_silent;
use crate::time::Time;
use crate::transport::dial::{Dial, Dialled};
use crate::transport::io::Owner;
use crate::transport::socket::Socket;
use crate::upstream::check::Report;
use crate::upstream::group::At;
use crate::upstream::retry::Failure;

/// The checks under way, and connections kept for the next ones.
pub struct Checks<N: Net> {
    all: Slab<Check<N>>,
}

struct Check<N: Net> {
    at: At,
    began: Time,
    stage: Stage<N>,
}

enum Stage<N: Net> {
    /// The server has to accept a connection.
    Connecting(Dial<N>),
    /// The server has to answer.
    Asking(Probe<N>),
    /// It did; the connection waits for the next check.
    Kept(Socket<N>),
    /// Replaces a stage that is taken out.
    Over,
}

impl<N: Net> Default for Checks<N> {
    fn default() -> Checks<N> {
        Checks { all: Slab::new() }
    }
}

impl<N: Net> Checks<N> {
    /// The number of checks under way, and of connections kept.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// When the next check under way times out.
    pub fn deadline(&self) -> Time {
        let deadlines = self.all.iter().map(|(_, check)| match &check.stage {
            Stage::Connecting(dial) => dial.deadline(),
            Stage::Asking(probe) => probe.deadline(),
            Stage::Kept(_) | Stage::Over => Time::NEVER,
        });
        deadlines.min().unwrap_or(Time::NEVER)
    }

    /// Notes an event of a check's socket.
    pub fn note(&mut self, key: u32, event: &Event) {
        let Some(check) = self.all.get_mut(key as usize) else { return };
        match &mut check.stage {
            Stage::Connecting(dial) => dial.note(event),
            Stage::Asking(probe) => probe.note(event),
            Stage::Kept(socket) => socket.note(event),
            Stage::Over => {}
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
        let server = &model.servers[at.server.0];
        let began = context.io.now;
        let rules = context.servers.group(at.group).checks();
        let uri = rules.and_then(|rules| match &rules.asks {
            Asks::Connection => None,
            Asks::Uri(uri) => Some(uri.clone()),
        });
        let timeout = rules.map_or(model.check_timeout, |rules| rules.timeout);
        let ask = |uri: &[u8]| request("GET", uri, &server.address);
        let kept = self.all.iter().find(|(_, check)| check.is_kept(at)).map(|(key, _)| key);
        if let (Some(uri), Some(key)) = (&uri, kept) {
            let check = &mut self.all[key];
            if let Stage::Kept(socket) = std::mem::replace(&mut check.stage, Stage::Over) {
                check.stage = Stage::Asking(Probe::ask(socket, ask(uri), timeout, began));
                check.began = began;
                return Ok(());
            }
        }
        let entry = self.all.vacant_entry();
        let owner = Owner::Check(entry.key() as u32);
        let (address, io) = (&server.address, &mut context.io);
        let stage = match &uri {
            None => {
                let how = Connect::default();
                Stage::Connecting(Dial::begin(address, &how, timeout, owner, io)?)
            }
            Some(uri) => Stage::Asking(Probe::dial(address, ask(uri), timeout, owner, io)?),
        };
        entry.insert(Check { at, began, stage });
        Ok(())
    }

    /// Ends the checks that have a result. `heard` tells whether bytes of a server have come on
    /// another connection since some moment: then slowness is no failure.
    pub fn run(&mut self, context: &mut Context<N>, heard: impl Fn(At, Time) -> bool) {
        for key in 0..self.all.capacity() {
            let Some(check) = self.all.get_mut(key) else { continue };
            let (at, began) = (check.at, check.began);
            let stage = std::mem::replace(&mut check.stage, Stage::Over);
            let (stage, report) = advance(stage, key as u32, (at, began), context);
            match stage {
                Stage::Over => drop(self.all.remove(key)),
                stage @ (Stage::Connecting(_) | Stage::Asking(_) | Stage::Kept(_)) => {
                    self.all[key].stage = stage;
                }
            }
            match report {
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

    /// Closes all checks, because their groups are no longer in use.
    pub fn abandon(&mut self, context: &mut Context<N>) {
        for check in self.all.drain() {
            check.stage.close(context);
        }
    }
}

impl<N: Net> Check<N> {
    fn is_kept(&self, at: At) -> bool {
        self.at == at && matches!(self.stage, Stage::Kept(_))
    }
}

impl<N: Net> Stage<N> {
    fn close(self, context: &mut Context<N>) {
        let socket = match self {
            Stage::Connecting(dial) => dial.into_socket(),
            Stage::Asking(probe) => probe.into_socket(),
            Stage::Kept(socket) => socket,
            Stage::Over => return,
        };
        context.io.close(socket);
    }
}

/// Does what can be done for a check now. Returns what is left of it, and the result if there is
/// one.
fn advance<N: Net>(
    stage: Stage<N>,
    key: u32,
    (at, began): (At, Time),
    context: &mut Context<N>,
) -> (Stage<N>, Option<Report>) {
    match stage {
        Stage::Connecting(mut dial) => {
            let report = match dial.poll(context.io.now) {
                Dialled::Pending => return (Stage::Connecting(dial), None),
                Dialled::Open => Report::Ready,
                Dialled::Failed(failure) => report_of(Some(failure)),
            };
            context.io.close(dial.into_socket());
            (Stage::Over, Some(report))
        }
        Stage::Asking(probe) => {
            let (probe, probed) = probe.poll(context.io.now);
            match probed {
                Probed::Pending => (Stage::Asking(probe), None),
                Probed::Failed(failure) => {
                    context.io.close(probe.into_socket());
                    (Stage::Over, Some(report_of(Some(failure))))
                }
                Probed::Stale => again(probe, key, at, context),
                Probed::Answered(answer) => {
                    let report = match context.servers.group(at.group).is_trinos() {
                        true => coordinator::judge(&answer, at, began, context),
                        false => judge(&answer),
                    };
                    let mut socket = probe.into_socket();
                    if answer.reusable && is_silent(&mut socket) {
                        return (Stage::Kept(socket), Some(report));
                    }
                    context.io.close(socket);
                    (Stage::Over, Some(report))
                }
            }
        }
        // Anything but silence ends it: the server closed it, or sent bytes unasked.
        Stage::Kept(socket) if socket.is_readable() || socket.is_broken() => {
            context.io.close(socket);
            (Stage::Over, None)
        }
        Stage::Kept(_) | Stage::Over => (stage, None),
    }
}

/// Asks again on a new connection.
fn again<N: Net>(
    probe: Probe<N>,
    key: u32,
    at: At,
    context: &mut Context<N>,
) -> (Stage<N>, Option<Report>) {
    let (request, deadline) = (probe.request(), probe.deadline());
    let config = Arc::clone(context.servers.config());
    let address = &config.groups[at.group.id.0].servers[at.server.0].address;
    context.io.close(probe.into_socket());
    let timeout = deadline - context.io.now;
    match Probe::dial(address, request, timeout, Owner::Check(key), &mut context.io) {
        Ok(probe) => (Stage::Asking(probe), None),
        Err(failure) => (Stage::Over, Some(report_of(failure))),
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
