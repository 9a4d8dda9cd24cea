//! What the check of a coordinator says of it, and of its queries.

use std::time::Duration;

use super::context::Context;
use super::log::limited_log::ServerWords;
use super::probe::{Answer, request};
use crate::net::Net;
use crate::time::Time;
use crate::trino::info::Info;
use crate::trino::query_id::CoordinatorId;
use crate::upstream::check::Report;
use crate::upstream::group::At;

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
    if let Some(uptime) = info.uptime {
        let began = u128::from(asked.as_nanos()).checked_sub(uptime.as_nanos());
        if let Some(began) = began.and_then(|began| u64::try_from(began).ok()) {
            context.servers.process_began(at, Time::from_nanos(began));
        }
    }
    if let Some(id) = info.coordinator_id {
        context.servers.trino(at.group).coordinators.learn(at.server.0, id, context.io.now);
        cancel_orphans(id, at, context);
    } else if let Some(id) = context.servers.trino(at.group).coordinators.known(at.server.0) {
        cancel_orphans(id, at, context);
    }
    tell_difference(at, &info, context);
    let is_new = info.uptime.is_none_or(|uptime| uptime < NEW);
    match (info.starting, info.coordinator_id) {
        (true, _) => Report::Starting,
        (false, None) if is_new => Report::NewlyReady,
        (false, _) => Report::Ready,
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

/// A coordinator that has run for so long has long known itself as a worker.
const NEW: Duration = Duration::from_secs(300);
