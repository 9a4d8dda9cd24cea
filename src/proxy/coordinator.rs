//! What the check of a coordinator says of it, and of its queries.

use super::context::Context;
use super::log::limited_log::ServerWords;
use super::probe::{Answer, request};
use crate::net::Net;
use crate::time::Time;
use crate::trino::info::Info;
use crate::trino::query_id::CoordinatorId;
use crate::upstream::check::Report;
use crate::upstream::group::At;
use crate::upstream::readiness::Readiness;

/// Judges the answer to a check that was sent at `asked`, and notes what it says of the process.
pub(super) fn judge<N: Net>(
    answer: &Answer,
    at: At,
    asked: Time,
    context: &mut Context<N>,
) -> Report {
    let body = answer.body.as_deref().filter(|_| answer.status == Some(200));
    let info = body.and_then(Info::read);
    let Some(info) = info.filter(|info| info.coordinator) else {
        tell_silence(at, context);
        return Report::Silent;
    };
    let (server, began) = (at.server.0, info.began(asked));
    if let Some(began) = began {
        context.servers.process_began(at, began);
    }
    let coordinators = &context.servers.trino(at.group).coordinators;
    let id = info.coordinator_id.or_else(|| coordinators.known(server));
    if let Some(id) = info.coordinator_id {
        if coordinators.is_replaced(server, id, asked, began) {
            context.servers.process_began(at, asked);
        }
        context.servers.trino(at.group).coordinators.learn(server, id, context.io.now);
    }
    if let Some(id) = id {
        cancel_orphans(id, at, context);
    }
    tell_difference(at, &info, context);
    if info.starting {
        return Report::Starting;
    }
    let is_ready = context.servers.group(at.group).readiness(at.server) == Readiness::Ready;
    let trino = context.servers.trino(at.group);
    if let Some(uptime) = info.uptime.filter(|_| is_ready) {
        trino.note_ready(server, uptime, asked);
    }
    match info.coordinator_id {
        None if trino.is_new(server, &info, asked) => Report::NewlyReady,
        None | Some(_) => Report::Ready,
    }
}

/// Cancels the queries of a coordinator that were submitted again elsewhere, as it is alive.
fn cancel_orphans<N: Net>(id: CoordinatorId, at: At, context: &mut Context<N>) {
    let paths = context.servers.ledger(at.group).take_orphans(id);
    let group = &context.servers.config().groups[at.group.id.0];
    let address = &group.servers[at.server.0].address;
    let cancels = paths.iter().map(|path| (at, request("DELETE", path, address)));
    context.copies.extend(cancels);
}

/// Logs once that a server's answers to checks say nothing about it.
fn tell_silence<N: Net>(at: At, context: &mut Context<N>) {
    let (profiles, group) = context.servers.profiles(at.group);
    if profiles.silent(at.server.0) {
        let (name, server) = (&group.name, ServerWords(&group.servers[at.server.0]));
        log::warn!(
            "upstream \"{name}\": {server} does not answer checks as a coordinator does; its \
             connections alone tell whether it is well"
        );
    }
}

/// Logs once that two coordinators of a group differ.
fn tell_difference<N: Net>(at: At, info: &Info, context: &mut Context<N>) {
    let (profiles, group) = context.servers.profiles(at.group);
    let Some(other) = profiles.said(at.server.0, info) else { return };
    let words = |server: usize| {
        let (version, environment) = profiles.words(server);
        let server = ServerWords(&group.servers[server]);
        format!("{server} has version \"{version}\" and environment \"{environment}\"")
    };
    let (name, one, two) = (&group.name, words(other), words(at.server.0));
    log::warn!(
        "upstream \"{name}\": its coordinators differ: {one}, {two}; workers serve only \
         coordinators of their own version and environment"
    );
}
