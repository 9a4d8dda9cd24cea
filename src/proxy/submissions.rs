//! Kept statements, submitted once a coordinator takes them. Clients wait for what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::context::Context;
use super::log::limited_log::ServerWords;
use super::news::News;
use super::probe::{Answer, Probe, Probed, request};
use super::probes::{Ended, Probes};
use crate::config::model::Resubmit;
use crate::net::Net;
use crate::transport::io::Owner;
use crate::trino::coordinator::Ownership;
use crate::trino::forwarded::without_forwarded;
use crate::trino::kept::{Loss, PAUSE};
use crate::trino::known::Known;
use crate::trino::query_id::QueryId;
use crate::trino::rows::AnswerScan;
use crate::upstream::group::{At, Forwarded, GroupAt, Pick, ServerId, Tried, Verdict};
use crate::upstream::retry::Failure;

/// The submissions under way.
pub struct Submissions<N: Net> {
    /// All of them.
    pub under_way: Probes<N, Submission>,
}

/// A statement that is submitted to one server after another.
pub struct Submission {
    pick: Pick,
    /// The query whose statement it is.
    id: QueryId,
    /// The servers that were asked.
    tried: Tried,
    /// Whether it may carry `X-Forwarded-…` fields.
    forwarded: Forwarded,
}

impl<N: Net> Default for Submissions<N> {
    fn default() -> Submissions<N> {
        Submissions { under_way: Probes::new(Owner::Submission) }
    }
}

impl<N: Net> Submissions<N> {
    /// Submits what a coordinator can take.
    pub fn begin(&mut self, context: &mut Context<N>) {
        for group in context.servers.groups() {
            context.servers.ledger(group).sweep(context.io.now);
            self.begin_in(group, context);
        }
    }

    fn begin_in(&mut self, group: GroupAt, context: &mut Context<N>) {
        let now = context.io.now;
        let is_its = |submission: &Submission| submission.pick.at.group == group;
        while self.under_way.count_of(is_its) < AT_ONCE
            && context.servers.group(group).has_ready(now)
        {
            let queue = context.servers.group(group).queue();
            let timeout = queue.map_or(Duration::ZERO, |queue| queue.timeout);
            let Some((id, _)) = context.servers.ledger(group).begin(timeout, now) else {
                break;
            };
            self.try_one((id, Tried::default()), group, context);
        }
    }

    /// Submits a statement to the next server that was not tried; without one, after a while.
    fn try_one(
        &mut self,
        (id, mut tried): (QueryId, Tried),
        group: GroupAt,
        context: &mut Context<N>,
    ) {
        let now = context.io.now;
        while let Some(pick) = context.servers.group(group).pick(tried, now) {
            tried.insert(pick.at.server);
            let forwarded = context.servers.group(group).forwarded(pick.at.server);
            let Some(whole) = context.servers.ledger(group).waiting(id) else { return };
            let request = match forwarded {
                Forwarded::Sent => Zeroizing::new(Box::from(whole)),
                Forwarded::Withheld => without_forwarded(whole),
            };
            let model = &context.servers.config().groups[group.id.0].servers[pick.at.server.0];
            let submission = Submission { pick, id, tried, forwarded };
            let io = &mut context.io;
            match self.under_way.dial(model, request, TIMEOUT, submission, io) {
                Ok(()) => return,
                Err((Some(failure), Submission { pick, .. })) => {
                    context.servers.conclude(pick, failure.into(), &mut context.io);
                }
                Err((None, Submission { pick, .. })) => {
                    context.servers.conclude(pick, Verdict::Abandoned, &mut context.io);
                    break;
                }
            }
        }
        context.servers.ledger(group).postpone(id, now + PAUSE);
    }

    /// Takes up the answers that have come.
    pub fn run(&mut self, context: &mut Context<N>) {
        let mut from = 0;
        while let Some(ended) = self.under_way.next_ended(&mut from, context.io.now) {
            let Ended { probe, probed, purpose: submission } = ended;
            let failure = match probed {
                Probed::Answered(answer) => answered(&submission, answer, context),
                Probed::Failed(failure) => Some(failure),
                Probed::Open | Probed::Stale => Some(Failure::Closed),
            };
            self.conclude(probe, submission, failure, context);
        }
        // What waits for a server that is out goes to another one.
        while let Some((probe, submission)) = self.under_way.take(|submission| {
            let at = submission.pick.at;
            context.servers.group(at.group).is_out(at.server)
        }) {
            self.conclude(probe, submission, Some(Failure::MarkedDown), context);
        }
    }

    /// Ends an attempt at a server. After a failure the next one is asked.
    fn conclude(
        &mut self,
        probe: Probe<N>,
        submission: Submission,
        failure: Option<Failure>,
        context: &mut Context<N>,
    ) {
        let Submission { pick, id, tried, .. } = submission;
        let group = pick.at.group;
        context.io.close(probe.into_socket());
        let verdict = failure.map_or(Verdict::Succeeded, Verdict::from);
        context.servers.conclude(pick, verdict, &mut context.io);
        // It may have been cancelled meanwhile.
        let waits = context.servers.ledger(group).look(id) == Known::Waits;
        if failure.is_some() && waits {
            self.try_one((id, tried), group, context);
        }
    }

    /// Ends all, because their groups are no longer in use: they begin again in newer ones.
    pub fn abandon(&mut self, context: &mut Context<N>) {
        while let Some((probe, Submission { pick, id, .. })) = self.under_way.take(|_| true) {
            context.io.close(probe.into_socket());
            context.servers.ledger(pick.at.group).postpone(id, context.io.now);
            context.servers.conclude(pick, Verdict::Abandoned, &mut context.io);
        }
    }
}

/// Judges an answer to a statement. Returns the failure after which another server is asked.
fn answered<N: Net>(
    submission: &Submission,
    answer: Answer,
    context: &mut Context<N>,
) -> Option<Failure> {
    let Submission { pick: Pick { at, .. }, id, forwarded, .. } = *submission;
    let now = context.io.now;
    let body = answer.body.unwrap_or_default();
    let mut scan = AnswerScan::default();
    scan.feed(&body);
    // An id that is in use is another query's.
    let new = scan.id().filter(|id| context.servers.ledger(at.group).look(*id) == Known::Nothing);
    match (answer.status, new, scan.next_path()) {
        (Some(200), Some(new), Some(next)) => {
            context.servers.each(at, |at, served| served.trino.runs(at.server.0, new, now));
            let config = Arc::clone(context.servers.config());
            let group = &config.groups[at.group.id.0];
            let ledger = context.servers.ledger(at.group);
            let as_new = (new, next.into());
            let Some(submitted) = ledger.submitted(id, as_new, body.into(), now) else {
                // It was cancelled meanwhile, and its client will not ask for it any more.
                let cancel = request("DELETE", next, &group.servers[at.server.0].address);
                context.copies.push((at, cancel));
                context.servers.news.push(News::Submitted(id));
                return None;
            };
            if group.resubmit == Resubmit::Off {
                ledger.remove(new);
            }
            tell((id, new), submitted, at, context);
        }
        // Others may have been on their way when the first one was refused.
        (Some(406), ..) if forwarded == Forwarded::Sent => {
            context.servers.withhold_forwarded(at);
            context.servers.ledger(at.group).postpone(id, now);
            return None;
        }
        (Some(status), ..)
            if context.servers.group(at.group).readiness(at.server).refuses_statements(status) =>
        {
            return Some(Failure::Turned(status));
        }
        (status, ..) => {
            let loss = Loss::Denied(status.unwrap_or(502));
            context.servers.ledger(at.group).give_up(id, loss);
        }
    }
    context.servers.news.push(News::Submitted(id));
    None
}

/// Logs that a query has been submitted: how often by now, how long it has waited, and why.
fn tell<N: Net>(
    (id, new): (QueryId, QueryId),
    (attempt, waited): (u32, Duration),
    at: At,
    context: &mut Context<N>,
) {
    let before = match context.servers.trino(at.group).coordinators.owner(id.coordinator()) {
        Ownership::Dead(server) => Some((server, "is gone")),
        Ownership::Alive(server) => {
            let is_out = context.servers.group(at.group).is_out(ServerId(server));
            Some((server, if is_out { "does not answer" } else { "could not begin it" }))
        }
        Ownership::Unknown => None,
    };
    let group = &context.servers.config().groups[at.group.id.0];
    let words = |server: usize| ServerWords(&group.servers[server]);
    let why = before.map(|(server, why)| format!(": {} {why}", words(server))).unwrap_or_default();
    let (name, by) = (&group.name, words(at.server.0));
    let waited = Duration::from_millis(waited.as_millis() as u64);
    log::info!(
        "upstream \"{name}\": {by} runs query {id} as {new}, attempt {attempt} after {waited:?}{why}"
    );
}

/// Submissions at a time.
const AT_ONCE: usize = 64;
/// How long a submission may take: a coordinator only registers the query.
const TIMEOUT: Duration = Duration::from_secs(10);
