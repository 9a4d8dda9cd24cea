//! Kept statements, submitted once a coordinator takes them. Clients wait for what becomes of them.

use std::time::Duration;

use slab::Slab;
use zeroize::Zeroizing;

use super::context::Context;
use super::log::limited_log::ServerWords;
use super::news::News;
use super::probe::{Answer, Probe, Probed};
use crate::config::model::Resubmit;
use crate::net::{Event, Net};
use crate::time::Time;
use crate::transport::io::Owner;
use crate::trino::kept::Loss;
use crate::trino::ledger::Known;
use crate::trino::query_id::QueryId;
use crate::trino::rows::AnswerScan;
use crate::upstream::group::{At, Forwarded, GroupAt, Pick, Tried, Verdict};
use crate::upstream::readiness::Readiness;
use crate::upstream::retry::Failure;

/// The submissions under way.
pub struct Submissions<N: Net> {
    under_way: Slab<Submission<N>>,
}

struct Submission<N: Net> {
    probe: Probe<N>,
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
        Submissions { under_way: Slab::new() }
    }
}

impl<N: Net> Submissions<N> {
    /// The number of submissions under way.
    pub fn count(&self) -> usize {
        self.under_way.len()
    }

    /// When the next one times out.
    pub fn deadline(&self) -> Time {
        let deadlines = self.under_way.iter().map(|(_, it)| it.probe.deadline());
        deadlines.min().unwrap_or(Time::NEVER)
    }

    /// Notes an event of a submission's socket.
    pub fn note(&mut self, key: u32, event: &Event) {
        if let Some(submission) = self.under_way.get_mut(key as usize) {
            submission.probe.note(event);
        }
    }

    /// Submits what a coordinator can take.
    pub fn begin(&mut self, context: &mut Context<N>) {
        for group in context.servers.groups() {
            context.servers.ledger(group).sweep(context.io.now);
            self.begin_in(group, context);
        }
    }

    fn begin_in(&mut self, group: GroupAt, context: &mut Context<N>) {
        let now = context.io.now;
        while self.under_way.len() < AT_ONCE && context.servers.group(group).has_ready(now) {
            let queue = context.servers.group(group).queue();
            let timeout = queue.map_or(Duration::ZERO, |queue| queue.timeout);
            let Some((id, request)) = context.servers.ledger(group).begin(timeout, now) else {
                break;
            };
            let request = Zeroizing::new(Box::from(request));
            self.try_one((id, Tried::default()), group, request, context);
        }
    }

    /// Submits a statement to the next server that was not tried; without one, after a while.
    fn try_one(
        &mut self,
        (id, mut tried): (QueryId, Tried),
        group: GroupAt,
        mut request: Zeroizing<Box<[u8]>>,
        context: &mut Context<N>,
    ) {
        let now = context.io.now;
        while let Some(pick) = context.servers.group(group).pick(tried, now) {
            tried.insert(pick.at.server);
            let forwarded = context.servers.group(group).forwarded(pick.at.server);
            if forwarded == Forwarded::Withheld {
                withhold_forwarded(&mut request);
            }
            let model = &context.servers.config().groups[group.id.0].servers[pick.at.server.0];
            let (address, entry) = (model.address.clone(), self.under_way.vacant_entry());
            let owner = Owner::Submission(entry.key() as u32);
            match Probe::dial(&address, request.clone(), TIMEOUT, owner, &mut context.io) {
                Ok(probe) => {
                    entry.insert(Submission { probe, pick, id, tried, forwarded });
                    return;
                }
                Err(Some(failure)) => {
                    context.servers.conclude(pick, failure.into(), &mut context.io);
                }
                Err(None) => {
                    context.servers.conclude(pick, Verdict::Abandoned, &mut context.io);
                    break;
                }
            }
        }
        context.servers.ledger(group).postpone(id, now + PAUSE);
    }

    /// Takes up the answers that have come.
    pub fn run(&mut self, context: &mut Context<N>) {
        let keys: Vec<usize> = self.under_way.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Submission { probe, pick, id, tried, forwarded } = self.under_way.remove(key);
            let (probe, probed) = probe.poll(context.io.now);
            // What waits for a server that is out goes to another one.
            let is_out = context.servers.group(pick.at.group).is_out(pick.at.server);
            if matches!(probed, Probed::Pending) && !is_out {
                // The slot that was freed last is taken first.
                let again = self.under_way.insert(Submission { probe, pick, id, tried, forwarded });
                assert_eq!(again, key, "a submission keeps its key");
                continue;
            }
            let (request, group) = (probe.request(), pick.at.group);
            context.io.close(probe.into_socket());
            let failure = match probed {
                Probed::Answered(answer) => answered(id, (pick.at, forwarded), answer, context),
                Probed::Failed(failure) => Some(failure),
                Probed::Stale => Some(Failure::Closed),
                Probed::Pending => Some(Failure::MarkedDown),
            };
            let verdict = failure.map_or(Verdict::Succeeded, Verdict::from);
            context.servers.conclude(pick, verdict, &mut context.io);
            // It may have been cancelled meanwhile.
            let waits = context.servers.ledger(group).look(id) == Known::Waits;
            if failure.is_some() && waits {
                self.try_one((id, tried), group, request, context);
            }
        }
    }

    /// Ends all, because their groups are no longer in use: they begin again in newer ones.
    pub fn abandon(&mut self, context: &mut Context<N>) {
        for submission in self.under_way.drain() {
            let Submission { probe, pick, id, .. } = submission;
            context.io.close(probe.into_socket());
            context.servers.ledger(pick.at.group).postpone(id, context.io.now);
            context.servers.conclude(pick, Verdict::Abandoned, &mut context.io);
        }
    }
}

/// Judges an answer to a statement. Returns the failure after which another server is asked.
fn answered<N: Net>(
    id: QueryId,
    (at, forwarded): (At, Forwarded),
    answer: Answer,
    context: &mut Context<N>,
) -> Option<Failure> {
    let now = context.io.now;
    let body = answer.body.unwrap_or_default();
    let mut scan = AnswerScan::default();
    scan.feed(&body);
    match (answer.status, scan.id(), scan.next_path()) {
        (Some(200), Some(new), Some(next)) => {
            context.servers.each(at, |at, served| served.trino.runs(at.server.0, new, now));
            let group = &context.servers.config().groups[at.group.id.0];
            let server = ServerWords(&group.servers[at.server.0]);
            log::info!("upstream \"{}\": {server} runs query {id} as {new}", group.name);
            let resubmit = group.resubmit;
            let ledger = context.servers.ledger(at.group);
            ledger.submitted(id, (new, next.into()), body.into(), now);
            if resubmit == Resubmit::Off {
                ledger.remove(new);
            }
        }
        // Others may have been on their way when the first one was refused.
        (Some(406), ..) if forwarded == Forwarded::Sent => {
            withhold(at, context);
            context.servers.ledger(at.group).postpone(id, now);
            return None;
        }
        (Some(status), ..) if is_passing(status, at, context) => {
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

/// Whether a status says that the coordinator takes no statement now.
fn is_passing<N: Net>(status: u16, at: At, context: &mut Context<N>) -> bool {
    let readiness = context.servers.group(at.group).readiness(at.server);
    matches!(status, 502..=504) || status == 500 && readiness == Readiness::Starting
}

/// Sends no more `X-Forwarded-…` fields to a coordinator.
fn withhold<N: Net>(at: At, context: &mut Context<N>) {
    context.servers.each(at, |at, served| {
        served.group.withhold_forwarded(at.server);
    });
}

/// Removes the fields that a coordinator refuses from a request of our own.
fn withhold_forwarded(request: &mut Zeroizing<Box<[u8]>>) {
    let end = memchr::memmem::find(request, b"\r\n\r\n").map_or(request.len(), |at| at + 2);
    let mut out = Vec::with_capacity(request.len());
    for line in request[..end].split_inclusive(|&byte| byte == b'\n') {
        let name = line.get(..FORWARDED.len()).unwrap_or_default();
        if !name.eq_ignore_ascii_case(FORWARDED) {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(&request[end..]);
    **request = out.into();
}

/// How the names of fields begin that Trino refuses, unless it is told to read them.
const FORWARDED: &[u8] = b"X-Forwarded-";
/// Submissions at a time.
const AT_ONCE: usize = 64;
/// Before a statement is submitted again that no server has taken.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a submission may take: a coordinator only registers the query.
const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_fields_are_removed_from_the_head_alone() {
        let whole = b"POST / HTTP/1.1\r\nX-Forwarded-For: a\r\nHost: b\r\nx-forwarded-proto: c\r\n\
            \r\nX-Forwarded-For: d\n";
        let mut request = Zeroizing::new(Box::from(&whole[..]));
        withhold_forwarded(&mut request);
        let expected = b"POST / HTTP/1.1\r\nHost: b\r\n\r\nX-Forwarded-For: d\n";
        assert_eq!(request.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}
