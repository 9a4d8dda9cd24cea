//! The servers of a group: which one is picked next, and how verdicts change them.

use std::time::Duration;

use crate::config::model::{self, CheckRules, Failback, Queue};
use crate::time::Time;

use super::active::{Active, Candidate};
pub use super::change::{Change, Refused, Why};
use super::check::Report;
use super::health::Health;
pub use super::ids::{At, GroupAt, ServerId, Tried};
use super::policy::Policy;
use super::readiness::Readiness;
use super::retry::Failure;
use super::server::{Duty, Outage, Server, Since, Terms};
pub use super::server::{Forwarded, Workers};
pub use super::standing::{ServerState, Standing};
pub use super::verdict::Verdict;

/// A server chosen for one attempt. Must be returned to the group with a [`Verdict`].
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub struct Pick {
    /// The server.
    pub at: At,
    /// Whether this attempt is the trial of a server that was out.
    trial: bool,
}

/// The servers of one group at run time.
#[derive(Debug)]
pub struct Group {
    at: GroupAt,
    pub(super) servers: Vec<Server>,
    policy: Policy,
    /// The server that takes all new work; `None` while servers take turns.
    pub(super) active: Option<Active>,
    /// Requests that wait for a server.
    queued: usize,
    workers: Workers,
}

impl Group {
    /// A group whose servers have no failures yet.
    pub fn new(at: GroupAt, group: &model::Group) -> Group {
        let alone = group.servers.len() == 1;
        let servers = group.servers.iter().map(|server| Server::new(server, alone)).collect();
        let (policy, workers) = (Policy::new(group), Workers::None);
        let mut group = Group { at, servers, policy, active: None, queued: 0, workers };
        if group.policy.begins_as_trinos() {
            group.become_trinos();
        }
        group
    }

    /// Adopts everything known about an older group of this name, and about its servers with the
    /// same address.
    pub fn inherit(&mut self, old: &Group, now: Time) {
        if old.is_trinos() {
            self.become_trinos();
        }
        self.inherit_health(old, now);
        if let Some(active) = old.active {
            let address = &old.servers[active.server.0].address;
            let same = self.servers.iter().position(|server| server.address == *address);
            if let Some(same) = same.filter(|_| self.is_trinos() || active.is_promoted()) {
                self.active = Some(active.moved_to(ServerId(same)));
            }
        }
    }

    /// Adopts what is known about servers with the same address. The only one of a group stays in
    /// it anyway, unless it is checked.
    pub fn inherit_health(&mut self, old: &Group, now: Time) {
        let checked = self.checks().is_some();
        for server in &mut self.servers {
            let same = old.servers.iter().find(|old| old.address == server.address);
            if let Some(old) = same {
                (server.duty, server.look) = (old.duty, old.look);
            }
            if let Some(old) = same.filter(|_| checked || server.rules.max_fails > 0) {
                server.inherit(old, now);
            }
        }
        // The new file may have dropped every server but the drained ones.
        if self.servers.iter().all(|server| server.down || server.duty != Duty::Taking) {
            for server in &mut self.servers {
                server.duty = Duty::Taking;
                server.engage();
            }
        }
    }

    /// Lets a server be as the same one of a newer group.
    pub fn follow(&mut self, server: ServerId, newer: &Group, there: ServerId) {
        self.servers[server.0].follow(&newer.servers[there.0]);
    }

    /// Treats the servers as coordinators of Trino from now on. Returns whether that is new.
    pub fn become_trinos(&mut self) -> bool {
        let is_new = self.policy.become_trinos();
        if is_new {
            let first = self.in_order().next();
            self.active = self.active.or(first.map(|(first, _)| Active::new(first)));
        }
        is_new
    }

    /// Whether the servers are coordinators of Trino.
    pub fn is_trinos(&self) -> bool {
        self.policy.is_trinos()
    }

    /// The rules of active checks; `None` if only connections tell.
    pub fn checks(&self) -> Option<&CheckRules> {
        self.policy.checks()
    }

    fn terms(&self) -> Terms {
        Terms { failback: self.policy.failback(), workers: self.workers }
    }

    /// Notes whether workers announce themselves to the group.
    pub fn note_workers(&mut self, workers: Workers) {
        self.workers = workers;
    }

    /// What waits while no server is ready; `None` if nothing does.
    pub fn queue(&self) -> Option<Queue> {
        self.policy.queue()
    }

    /// Whether another request may wait, while `others` wait elsewhere.
    pub fn has_place(&self, others: usize) -> bool {
        self.queue().is_some_and(|queue| self.queued + others < queue.length)
    }

    /// A request begins to wait.
    pub fn enter_queue(&mut self) {
        self.queued += 1;
    }

    /// A request waits no longer.
    pub fn leave_queue(&mut self) {
        self.queued -= 1;
    }

    /// All servers, primaries first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (ServerId, &Server)> + Clone {
        let all = || self.servers.iter().enumerate().map(|(index, it)| (ServerId(index), it));
        let primaries = all().filter(|(_, server)| !server.backup);
        primaries.chain(all().filter(|(_, server)| server.backup))
    }

    /// Chooses the server for the next attempt. If there is an active server, that one, then the
    /// others in order. Else primaries in turn by weight, then backups, then a server that
    /// `failback` holds back, then a server on trial by another request rather than none at all.
    pub fn pick(&mut self, tried: Tried, now: Time) -> Option<Pick> {
        let server = match self.active {
            Some(active) => self.led(active, tried, now)?,
            None => self.unled(tried, now)?,
        };
        Some(self.begin(server, now))
    }

    fn led(&self, active: Active, tried: Tried, now: Time) -> Option<ServerId> {
        let fits = |(id, server): &(ServerId, &Server)| {
            server.is_ready(now) && server.is_free() && !tried.contains(*id)
        };
        let leader = (active.server, &self.servers[active.server.0]);
        let next = || self.in_order().find(fits);
        Some(leader).filter(fits).or_else(next).map(|(server, _)| server)
    }

    fn unled(&mut self, tried: Tried, now: Time) -> Option<ServerId> {
        let terms = self.terms();
        let usable = |server: &Server| server.health.is_usable(now) && server.is_ready(now);
        let held = |server: &Server| server.is_held(terms, now);
        let on_trial = |server: &Server| matches!(server.health, Health::Trial { .. });
        self.in_turn(tried, |it| !it.backup && usable(it) && !held(it))
            .or_else(|| self.in_turn(tried, |it| it.backup && usable(it) && !held(it)))
            .or_else(|| self.in_turn(tried, |it| !it.backup && usable(it)))
            .or_else(|| self.in_turn(tried, |it| it.backup && usable(it)))
            .or_else(|| self.in_turn(tried, |it| !it.backup && on_trial(it)))
            .or_else(|| self.in_turn(tried, |it| it.backup && on_trial(it)))
    }

    /// Counts an attempt at a server.
    fn begin(&mut self, server: ServerId, now: Time) -> Pick {
        let chosen = &mut self.servers[server.0];
        chosen.attempts += 1;
        let (trial, health) = chosen.health.tried(chosen.rules, now);
        chosen.health = health;
        Pick { at: At { group: self.at, server }, trial }
    }

    /// Chooses this very server, whatever is known about it: only it can answer.
    pub fn pick_only(&mut self, server: ServerId, now: Time) -> Pick {
        self.begin(server, now)
    }

    /// Chooses a server that may have what one of them has, whether it takes new work or not.
    pub fn pick_any(&mut self, tried: Tried, now: Time) -> Option<Pick> {
        let may = |(id, it): &(ServerId, &Server)| {
            !it.down && !it.is_out() && it.is_free() && !tried.contains(*id)
        };
        let (server, _) = self.in_order().find(may)?;
        Some(self.begin(server, now))
    }

    /// Chooses `server` again, for a connection that already exists. `None` unless the server is up
    /// and a new connection might also go to it.
    pub fn pick_again(&mut self, server: ServerId, now: Time) -> Option<Pick> {
        if self.active.is_some_and(|active| active.server != server) {
            return None;
        }
        let terms = self.terms();
        let takes = |it: &Server| it.is_ready(now) && it.health.is_usable(now);
        let preferred = |it: &Server| !it.backup && takes(it) && !it.is_held(terms, now);
        let primary = self.active.is_none() && self.servers.iter().any(preferred);
        let chosen = &mut self.servers[server.0];
        let is_well = matches!(chosen.health, Health::Up { .. }) && takes(chosen);
        if !is_well || (chosen.backup && primary) || !chosen.is_free() {
            return None;
        }
        chosen.attempts += 1;
        Some(Pick { at: At { group: self.at, server }, trial: false })
    }

    /// Whether there are servers besides those that were tried, whatever their state.
    pub fn has_others(&self, tried: Tried) -> bool {
        let mut servers = self.servers.iter().enumerate();
        servers.any(|(index, server)| !server.down && !tried.contains(ServerId(index)))
    }

    /// Smooth weighted round robin among the servers that `fit`.
    fn in_turn(&mut self, tried: Tried, fit: impl Fn(&Server) -> bool) -> Option<ServerId> {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for index in 0..self.servers.len() {
            let server = &mut self.servers[index];
            if server.down || !server.is_free() || tried.contains(ServerId(index)) || !fit(server) {
                continue;
            }
            server.current += server.weight;
            total += server.weight;
            if best.is_none_or(|best| self.servers[index].current > self.servers[best].current) {
                best = Some(index);
            }
        }
        let best = best?;
        self.servers[best].current -= total;
        Some(ServerId(best))
    }

    /// Counts the attempt as a success now, though it continues: what happens later says nothing
    /// about the server.
    pub fn succeed_early(&mut self, pick: &mut Pick) -> Option<Change> {
        let server = &mut self.servers[pick.at.server.0];
        let before = server.health;
        server.health = before.succeeded();
        pick.trial = false;
        let back = before != server.health && matches!(before, Health::Trial { .. });
        back.then_some(Change::CameBack)
    }

    /// Ends an attempt.
    pub fn conclude(&mut self, pick: Pick, verdict: Verdict, now: Time) -> Option<Change> {
        let checked = self.checks().is_some();
        let server = &mut self.servers[pick.at.server.0];
        server.attempts -= 1;
        let before = server.health;
        server.health = match verdict {
            Verdict::Succeeded => before.succeeded(),
            // A check could not say more, and one that passes ends it.
            Verdict::Failed(Failure::Refused) if checked => before.checks_failed(server.rules, now),
            Verdict::Failed(_) => before.failed(server.rules, now),
            Verdict::Abandoned if pick.trial => before.trial_abandoned(),
            Verdict::Abandoned => before,
        };
        match (before, server.health, verdict) {
            (Health::Down { .. }, _, _) => None,
            (_, Health::Down { until }, Verdict::Failed(why)) => {
                server.outage = Some(Outage { why, since: now });
                server.readiness = Readiness::Absent;
                server.checks.hasten(now);
                let until = if checked { server.checks.due().max(now) } else { until };
                Some(Change::WentDown { why, until })
            }
            (Health::Trial { .. }, Health::Up { .. }, _) => Some(Change::CameBack),
            (_, _, Verdict::Failed(_)) => {
                server.checks.hasten(now);
                None
            }
            (_, _, Verdict::Succeeded | Verdict::Abandoned) => None,
        }
    }

    /// Looks for a change that follows from others, or from the clock. To be called until there is
    /// none, after every change and whenever [`Group::next_look`] is due.
    pub fn look(&mut self, now: Time) -> Option<(ServerId, Change)> {
        let terms = self.terms();
        if self.active.is_none() && terms.failback == Failback::Immediate {
            return None;
        }
        for (index, server) in self.servers.iter_mut().enumerate() {
            match (server.is_ready(now), server.since) {
                (true, Since::Not) => {
                    server.since = Since::Then(now);
                    server.held = server.is_held(terms, now);
                    return Some((ServerId(index), Change::Ready));
                }
                (false, Since::Always | Since::Then(_)) => server.since = Since::Not,
                (true, Since::Always | Since::Then(_)) | (false, Since::Not) => {}
            }
            let is_held = server.is_held(terms, now);
            let was_held = std::mem::replace(&mut server.held, is_held);
            if was_held && server.since != Since::Not && !is_held {
                return Some((ServerId(index), Change::Returned));
            }
        }
        let mut active = self.active?;
        let instead_of = active.server;
        let why = active.look(
            self.in_order()
                .map(|(server, it)| Candidate { server, fitness: it.fitness(terms, now) }),
        )?;
        self.servers[active.server.0].engage();
        // Where a promotion alone led, servers take turns again.
        self.active = self.is_trinos().then_some(active);
        Some((active.server, Change::BecameActive { instead_of, why }))
    }

    /// When the clock alone may change something.
    pub fn next_look(&self, now: Time) -> Time {
        let terms = self.terms();
        let is_quiet = self.active.is_none() && terms.failback == Failback::Immediate;
        let changes = self.servers.iter().map(|server| match is_quiet {
            true => server.look,
            false => server.look.min(server.next_change(terms, now)),
        });
        changes.min().unwrap_or(Time::NEVER)
    }

    /// Whether attempts still connecting to `server` should move to another one.
    pub fn is_out(&self, server: ServerId) -> bool {
        self.servers[server.0].is_out()
    }

    /// Whether any server can take new work.
    pub fn has_ready(&self, now: Time) -> bool {
        self.servers.iter().any(|server| server.is_ready(now))
    }

    /// How a coordinator is, as its checks tell.
    pub fn readiness(&self, server: ServerId) -> Readiness {
        self.servers[server.0].readiness
    }

    /// Whether connections to a server are likely to be accepted.
    pub fn is_there(&self, server: ServerId) -> bool {
        let server = &self.servers[server.0];
        !server.down && !server.is_out()
    }

    /// Whether a server can take new work.
    pub fn is_ready(&self, server: ServerId, now: Time) -> bool {
        self.servers[server.0].is_ready(now)
    }

    /// Whether nothing but its own health keeps a server from new work.
    pub fn is_unheld(&self, server: ServerId, now: Time) -> bool {
        self.active.is_none() && !self.servers[server.0].is_held(self.terms(), now)
    }

    /// Whether a server gets `X-Forwarded-…` fields.
    pub fn forwarded(&self, server: ServerId) -> Forwarded {
        self.servers[server.0].forwarded
    }

    /// Sends a server no `X-Forwarded-…` field any more. Returns whether that is new.
    pub fn withhold_forwarded(&mut self, server: ServerId) -> bool {
        let before = std::mem::replace(&mut self.servers[server.0].forwarded, Forwarded::Withheld);
        before == Forwarded::Sent
    }

    /// How long a server has been out; zero if it is not.
    pub fn out_for(&self, server: ServerId, now: Time) -> Duration {
        let outage = self.servers[server.0].outage();
        outage.map_or(Duration::ZERO, |outage| now - outage.since)
    }

    /// Whether every server is out, so that no request can be served.
    pub fn is_lost(&self) -> bool {
        self.servers.iter().all(|server| server.down || server.is_out())
    }

    /// When the next background connection is due; `Time::NEVER` for none.
    pub fn next_check(&self) -> Time {
        let checked = self.checks().is_some();
        let due = self.servers.iter().filter(|server| !server.down);
        due.filter_map(|server| server.check_due(checked)).min().unwrap_or(Time::NEVER)
    }

    /// A server whose check is due; the check counts as begun.
    pub fn begin_check(&mut self, now: Time) -> Option<ServerId> {
        let checked = self.checks().is_some();
        let is_due = |server: &Server| {
            !server.down && server.check_due(checked).is_some_and(|due| due <= now)
        };
        let index = self.servers.iter().position(is_due)?;
        let server = &mut self.servers[index];
        match checked {
            true => server.checks.began(),
            false => server.health = server.health.check_began(),
        }
        Some(ServerId(index))
    }

    /// Ends the check of a server.
    pub fn end_check(&mut self, server: ServerId, report: Report, now: Time) -> Option<Change> {
        let server = &mut self.servers[server.0];
        match self.policy.checks() {
            Some(rules) => {
                let evidence = server.checks.ended(report, rules, now);
                let report = if self.policy.is_trinos() { report } else { Report::Silent };
                server.learn(evidence, report, now)
            }
            None => {
                server.health = match report {
                    Report::Failed(_) => server.health.check_failed(server.rules, now),
                    Report::Postponed => server.health.check_postponed(now),
                    Report::Ready | Report::NewlyReady | Report::Starting | Report::Silent => {
                        server.health.check_succeeded()
                    }
                };
                (server.health == Health::Due).then_some(Change::OnTrial)
            }
        }
    }

    /// Number of attempts that have not been concluded.
    pub fn attempts(&self) -> usize {
        self.servers.iter().map(|server| server.attempts).sum()
    }

    /// Number of attempts at one server that have not been concluded.
    pub fn attempts_at(&self, server: ServerId) -> usize {
        self.servers[server.0].attempts
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::address::Address;
    use crate::config::model::GroupId;

    pub(in crate::upstream) const AT: GroupAt = GroupAt { generation: 7, id: GroupId(0) };
    const FAILED: Verdict = Verdict::Failed(Failure::Refused);

    /// A group described by words: `p` primary, `b` backup, `d` down, a digit for the weight.
    pub(in crate::upstream) fn group(servers: &[&str]) -> Group {
        written(servers, model::HealthCheck::ByMode, None, model::Trino::Off)
    }

    fn written(
        servers: &[&str],
        health_check: model::HealthCheck,
        failback: Option<Failback>,
        trino: model::Trino,
    ) -> Group {
        let servers = servers.iter().enumerate().map(|(index, words)| model::Server {
            name: (*words).into(),
            address: Address::Inet(([127, 0, 0, 1], 8000 + index as u16).into()),
            weight: words.chars().find_map(|c| c.to_digit(10)).unwrap_or(1),
            max_fails: 1,
            fail_timeout: Duration::from_secs(3),
            backup: words.contains('b'),
            down: words.contains('d'),
            max_connections: u32::from(words.contains('m')),
            tls: None,
        });
        Group::new(
            AT,
            &model::Group {
                name: "g".into(),
                layer: model::Layer::Http,
                servers: servers.collect(),
                keepalive: 0,
                keepalive_requests: 1,
                keepalive_time: Duration::MAX,
                keepalive_timeout: Duration::MAX,
                check_timeout: Duration::MAX,
                trino,
                health_check,
                failback,
                queue: None,
                announcements: model::Announcements::All,
                resubmit: model::RESUBMIT,
                statement_memory: model::STATEMENT_MEMORY,
            },
        )
    }

    pub(in crate::upstream) fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    fn pick(group: &mut Group) -> Option<Pick> {
        group.pick(Tried::default(), at(0))
    }

    /// Picks a server and concludes the attempt.
    fn serve(group: &mut Group, verdict: Verdict, now: u64) -> (usize, Option<Change>) {
        let pick = pick(group).unwrap();
        let server = pick.at.server.0;
        (server, group.conclude(pick, verdict, at(now)))
    }

    #[test]
    fn primaries_take_turns_by_weight_smoothly() {
        let mut group = group(&["p5", "p1", "p1"]);
        let order: Vec<_> = (0..7).map(|_| serve(&mut group, Verdict::Succeeded, 1).0).collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn backups_serve_only_while_no_primary_can() {
        let mut group = group(&["p", "b"]);
        assert_eq!(serve(&mut group, Verdict::Succeeded, 1).0, 0);
        let down = Change::WentDown { why: Failure::Refused, until: at(4) };
        assert_eq!(serve(&mut group, FAILED, 1), (0, Some(down)));
        assert_eq!(serve(&mut group, Verdict::Succeeded, 2).0, 1);
        let mut tried = Tried::default();
        tried.insert(ServerId(1));
        assert_eq!(group.pick(tried, at(0)), None);
    }

    #[test]
    fn one_request_moves_from_the_primary_to_the_backup() {
        let mut group = group(&["p", "b"]);
        let first = pick(&mut group).unwrap();
        let mut tried = Tried::default();
        tried.insert(first.at.server);
        assert_eq!(group.pick(tried, at(0)).unwrap().at.server, ServerId(1));
    }

    #[test]
    fn a_server_returns_by_a_connection_and_then_one_request() {
        let mut group = group(&["p", "b"]);
        serve(&mut group, FAILED, 1);
        assert_eq!(group.next_check(), at(4));
        assert_eq!(group.begin_check(at(3)), None);
        assert_eq!(group.begin_check(at(4)), Some(ServerId(0)));
        assert_eq!(group.begin_check(at(4)), None);
        assert_eq!(serve(&mut group, Verdict::Succeeded, 4).0, 1, "not before the check ends");
        assert_eq!(group.end_check(ServerId(0), Report::Ready, at(5)), Some(Change::OnTrial));
        let trial = pick(&mut group).unwrap();
        assert_eq!(trial.at.server, ServerId(0));
        assert_eq!(serve(&mut group, Verdict::Succeeded, 5).0, 1, "one trial at a time");
        assert_eq!(group.conclude(trial, Verdict::Succeeded, at(6)), Some(Change::CameBack));
        assert_eq!(serve(&mut group, Verdict::Succeeded, 6).0, 0);
    }

    #[test]
    fn a_failed_check_costs_another_fail_timeout() {
        let mut group = group(&["p", "b"]);
        serve(&mut group, FAILED, 1);
        group.begin_check(at(4)).unwrap();
        assert_eq!(group.end_check(ServerId(0), Report::Failed(Failure::Refused), at(5)), None);
        assert_eq!(group.next_check(), at(8));
    }

    #[test]
    fn a_client_that_leaves_gives_the_trial_to_the_next_one() {
        let mut group = group(&["p", "b"]);
        serve(&mut group, FAILED, 1);
        group.begin_check(at(4)).unwrap();
        group.end_check(ServerId(0), Report::Ready, at(4)).unwrap();
        assert_eq!(serve(&mut group, Verdict::Abandoned, 4), (0, None));
        assert_eq!(serve(&mut group, Verdict::Succeeded, 4), (0, Some(Change::CameBack)));
    }

    #[test]
    fn others_join_a_trial_rather_than_being_refused() {
        let mut group = group(&["p", "b"]);
        serve(&mut group, FAILED, 1);
        serve(&mut group, FAILED, 1);
        assert!(group.is_lost());
        assert_eq!(pick(&mut group), None);
        group.begin_check(at(4)).unwrap();
        group.end_check(ServerId(0), Report::Ready, at(4)).unwrap();
        let trial = pick(&mut group).unwrap();
        let joined = pick(&mut group).unwrap();
        assert_eq!((trial.at.server, joined.at.server), (ServerId(0), ServerId(0)));
        group.conclude(joined, Verdict::Abandoned, at(4));
        assert_eq!(pick(&mut group).unwrap().at.server, ServerId(0), "the trial goes on");
    }

    #[test]
    fn the_only_server_is_never_taken_out() {
        let mut group = group(&["p"]);
        assert_eq!(serve(&mut group, FAILED, 1), (0, None));
        assert_eq!(serve(&mut group, FAILED, 1), (0, None));
    }

    #[test]
    fn a_server_marked_down_is_never_used_nor_checked() {
        let mut group = group(&["pd", "p"]);
        assert_eq!(serve(&mut group, FAILED, 1).0, 1);
        assert_eq!(pick(&mut group), None);
        assert_eq!(group.next_check(), at(4));
    }

    #[test]
    fn a_full_server_is_passed_over_until_an_attempt_ends() {
        let mut group = group(&["pm", "b"]);
        let first = pick(&mut group).unwrap();
        assert_eq!(serve(&mut group, Verdict::Succeeded, 1).0, 1);
        group.conclude(first, Verdict::Succeeded, at(1));
        assert_eq!(serve(&mut group, Verdict::Succeeded, 1).0, 0);
        assert_eq!(group.attempts(), 0);
    }

    #[test]
    fn health_survives_a_reload_by_address() {
        let mut old = group(&["p", "b"]);
        serve(&mut old, FAILED, 1);
        let mut new = group(&["p", "b", "b"]);
        new.inherit(&old, at(2));
        assert_eq!(new.next_check(), at(4));
        assert_eq!(pick(&mut new).unwrap().at.server, ServerId(1));
    }

    #[test]
    fn a_server_that_was_to_be_tried_is_so_after_a_reload() {
        let mut old = group(&["p", "b"]);
        serve(&mut old, FAILED, 1);
        old.begin_check(at(4));
        let mut new = group(&["p", "b"]);
        new.inherit(&old, at(5));
        assert_eq!(new.next_check(), at(5));
        old.end_check(ServerId(0), Report::Ready, at(5));
        new.inherit(&old, at(5));
        assert!(pick(&mut new).unwrap().trial);
        assert!(pick(&mut old).unwrap().trial);
        let mut newest = group(&["p", "b"]);
        newest.inherit(&old, at(5));
        assert!(pick(&mut newest).unwrap().trial);
    }

    fn checked() -> model::HealthCheck {
        model::HealthCheck::On(CheckRules::of_trino())
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// All changes that follow from others, with their servers.
    fn looks(group: &mut Group, now: u64) -> Vec<(usize, Change)> {
        let mut changes = Vec::new();
        while let Some((server, change)) = group.look(at(now)) {
            changes.push((server.0, change));
        }
        changes
    }

    fn report(group: &mut Group, server: usize, report: Report, now: u64) -> Option<Change> {
        group.servers[server].checks.began();
        group.end_check(ServerId(server), report, at(now))
    }

    const REFUSED: Report = Report::Failed(Failure::Refused);

    #[test]
    fn a_passed_check_ends_what_a_failed_request_began() {
        let mut group = written(&["p", "b"], checked(), None, model::Trino::Off);
        let down = Change::WentDown { why: Failure::Refused, until: at(1) };
        assert_eq!(serve(&mut group, FAILED, 1), (0, Some(down)), "looked at again at once");
        assert_eq!(serve(&mut group, Verdict::Succeeded, 1).0, 1);
        assert_eq!(report(&mut group, 0, Report::Ready, 2), Some(Change::CameBack));
        assert_eq!(serve(&mut group, Verdict::Succeeded, 2).0, 0);
    }

    #[test]
    fn checks_take_out_even_the_only_server() {
        let mut group = written(&["p"], checked(), None, model::Trino::Off);
        assert!(report(&mut group, 0, REFUSED, 1).is_some());
        assert_eq!(report(&mut group, 0, REFUSED, 2), None, "told once");
        assert_eq!(pick(&mut group), None);
        assert_eq!(report(&mut group, 0, Report::Ready, 3), Some(Change::CameBack));
        assert!(pick(&mut group).is_some());
    }

    #[test]
    fn a_server_that_answers_nonsense_comes_back_by_a_trial() {
        let mut group = written(&["p", "b"], checked(), None, model::Trino::On);
        serve(&mut group, FAILED, 1);
        looks(&mut group, 1);
        assert_eq!(report(&mut group, 0, Report::Silent, 2), None);
        assert_eq!(report(&mut group, 0, Report::Silent, 4), Some(Change::OnTrial));
        looks(&mut group, 4);
        assert_eq!(serve(&mut group, FAILED, 4).0, 1, "held by failback");
    }

    #[test]
    fn a_primary_that_returns_waits_as_failback_says() {
        for (failback, back_at) in [
            (Failback::Immediate, Some(6)),
            (Failback::After(seconds(5)), Some(11)),
            (Failback::Manual, None),
        ] {
            let mut group = written(&["p", "b"], checked(), Some(failback), model::Trino::Off);
            serve(&mut group, FAILED, 1);
            looks(&mut group, 1);
            report(&mut group, 0, Report::Ready, 6);
            let first = (6..60).find(|&now| {
                looks(&mut group, now);
                let pick = group.pick(Tried::default(), at(now)).unwrap();
                let server = pick.at.server;
                let _ = group.conclude(pick, Verdict::Succeeded, at(now));
                server == ServerId(0)
            });
            assert_eq!(first, back_at, "{failback:?}");
        }
    }

    #[test]
    fn a_server_that_failback_holds_serves_rather_than_none() {
        let mut group = written(&["p", "b"], checked(), Some(Failback::Manual), model::Trino::Off);
        serve(&mut group, FAILED, 1);
        looks(&mut group, 1);
        report(&mut group, 0, Report::Ready, 2);
        looks(&mut group, 2);
        assert_eq!(serve(&mut group, FAILED, 3).0, 1);
        looks(&mut group, 3);
        assert_eq!(serve(&mut group, Verdict::Succeeded, 3).0, 0);
    }

    #[test]
    fn coordinators_have_one_active_server_and_it_moves_with_their_readiness() {
        let mut group = written(&["p", "p", "b"], checked(), None, model::Trino::Auto);
        assert!(group.become_trinos());
        assert!(!group.become_trinos());
        assert_eq!(serve(&mut group, Verdict::Succeeded, 1).0, 0);
        assert_eq!(serve(&mut group, Verdict::Succeeded, 1).0, 0, "they take no turns");
        assert_eq!(report(&mut group, 0, Report::Starting, 2), Some(Change::Starting));
        let failover = Change::BecameActive { instead_of: ServerId(0), why: Why::Failover };
        assert_eq!(looks(&mut group, 2), [(1, failover)]);
        assert_eq!(report(&mut group, 0, Report::Ready, 5), None);
        assert_eq!(looks(&mut group, 5), [(0, Change::Ready)]);
        assert_eq!(group.next_look(at(5)), at(15));
        assert_eq!(looks(&mut group, 14), []);
        let failback = Change::BecameActive { instead_of: ServerId(1), why: Why::Failback };
        assert_eq!(looks(&mut group, 15), [(0, Change::Returned), (0, failback)]);
    }

    #[test]
    fn a_promoted_server_is_active_until_it_fails() {
        let mut group = written(&["p", "b"], checked(), None, model::Trino::On);
        let promotion = Change::BecameActive { instead_of: ServerId(0), why: Why::Promotion };
        assert_eq!(group.promote(ServerId(1), at(1)), Ok(promotion));
        assert_eq!(looks(&mut group, 100), []);
        assert_eq!(group.pick(Tried::default(), at(100)).unwrap().at.server, ServerId(1));
        report(&mut group, 1, REFUSED, 101);
        let failover = Change::BecameActive { instead_of: ServerId(1), why: Why::Failover };
        assert_eq!(looks(&mut group, 101), [(0, failover)]);
        assert_eq!(group.promote(ServerId(1), at(102)), Err(Refused::NotReady));
    }

    #[test]
    fn a_drained_server_takes_no_new_work_until_it_is_promoted() {
        let mut group = written(&["p", "b"], checked(), None, model::Trino::On);
        assert_eq!(group.drain(ServerId(0), at(1)), Ok(Change::Drained));
        let failover = Change::BecameActive { instead_of: ServerId(0), why: Why::Failover };
        assert_eq!(looks(&mut group, 1), [(1, failover)]);
        assert_eq!(group.drain(ServerId(1), at(1)), Err(Refused::LastOne));
        assert_eq!(group.pick_only(ServerId(0), at(1)).at.server, ServerId(0), "old work goes on");
        assert!(group.promote(ServerId(0), at(2)).is_ok());
        assert_eq!(serve(&mut group, Verdict::Succeeded, 2).0, 0);
    }

    #[test]
    fn a_drained_server_is_looked_at_until_it_has_nothing_left_to_do() {
        for trino in [model::Trino::On, model::Trino::Off] {
            let mut group = written(&["p", "p", "b"], checked(), None, trino);
            assert_eq!(group.begin_look(at(9)), None);
            group.drain(ServerId(1), at(10)).unwrap();
            for (second, expected) in [(10, None), (11, Some(ServerId(1))), (11, None)] {
                assert_eq!(group.begin_look(at(second)), expected);
            }
            assert_eq!(group.next_look(at(11)), at(12));
            assert_eq!(group.begin_look(at(12)), Some(ServerId(1)));
            assert_eq!(group.emptied(ServerId(1)), Change::Emptied);
            assert_eq!((group.next_look(at(20)), group.begin_look(at(20))), (Time::NEVER, None));
            group.drain(ServerId(1), at(30)).unwrap();
            assert_eq!(group.begin_look(at(40)), None, "it is drained already");
            group.promote(ServerId(1), at(50)).unwrap();
            group.emptied(ServerId(0));
            group.drain(ServerId(1), at(60)).unwrap();
            assert_eq!(group.begin_look(at(61)), Some(ServerId(1)));
        }
    }

    #[test]
    fn a_server_is_looked_at_after_another_one_was_promoted() {
        let mut group = written(&["p", "b"], checked(), None, model::Trino::On);
        group.promote(ServerId(0), at(1)).unwrap();
        assert_eq!(group.begin_look(at(9)), None, "it was active before");
        group.promote(ServerId(1), at(10)).unwrap();
        assert_eq!(group.begin_look(at(11)), Some(ServerId(0)));
        let mut reloaded = written(&["p", "b"], checked(), None, model::Trino::On);
        reloaded.inherit(&group, at(12));
        assert_eq!(reloaded.begin_look(at(12)), Some(ServerId(0)));
        // Work goes to it again.
        assert_eq!(serve(&mut group, FAILED, 12).0, 1);
        assert_eq!(looks(&mut group, 12).len(), 1);
        assert_eq!(group.begin_look(at(20)), None);
    }

    #[test]
    fn ordinary_servers_take_turns_again_after_a_promotion() {
        let mut group = group(&["p", "p", "b"]);
        group.promote(ServerId(2), at(1)).unwrap();
        assert_eq!(group.promoted_server(), Some(ServerId(2)));
        assert_eq!(serve(&mut group, FAILED, 1).0, 2);
        let failover = Change::BecameActive { instead_of: ServerId(2), why: Why::Failover };
        assert_eq!(looks(&mut group, 1), [(0, failover)]);
        assert_eq!(group.active_server(), None);
        let first = serve(&mut group, Verdict::Succeeded, 2).0;
        assert_ne!(serve(&mut group, Verdict::Succeeded, 2).0, first);
    }

    #[test]
    fn a_drained_server_stays_so_over_a_reload_unless_no_other_is_left() {
        for servers in [["p", "p"], ["p", "b"]] {
            let mut old = group(&servers);
            old.drain(ServerId(0), at(1)).unwrap();
            let mut new = group(&servers);
            new.inherit(&old, at(2));
            assert!(new.is_drained(ServerId(0)));
            assert_eq!(serve(&mut new, Verdict::Succeeded, 2).0, 1);
            let mut alone = group(&["p"]);
            alone.inherit(&old, at(2));
            assert!(!alone.is_drained(ServerId(0)));
        }
    }

    #[test]
    fn an_operator_sees_how_each_server_stands() {
        use ServerState::{Down, Drained, Out, Ready, Starting};
        let mut group = written(&["p", "p", "b", "bd"], checked(), None, model::Trino::On);
        let stands = |group: &Group, server, second| {
            let Standing { state, lasting, why } = group.standing(ServerId(server), at(second));
            (state, lasting.map(|lasting| lasting.as_secs()), why)
        };
        assert_eq!(stands(&group, 0, 1), (Ready, None, None));
        assert_eq!(stands(&group, 3, 1), (Down, None, None));
        assert_eq!(serve(&mut group, FAILED, 1).0, 0);
        assert_eq!(stands(&group, 0, 3), (Out, Some(2), Some(Failure::Refused)));
        group.begin_check(at(3)).unwrap();
        group.end_check(ServerId(0), Report::Starting, at(3));
        assert_eq!(stands(&group, 0, 3), (Starting, None, None));
        group.drain(ServerId(1), at(4)).unwrap();
        group.drain(ServerId(1), at(6)).unwrap();
        assert_eq!(stands(&group, 1, 9), (Drained, Some(5), None));
        assert!(group.is_drained(ServerId(1)) && !group.is_drained(ServerId(0)));
        group.promote(ServerId(1), at(9)).unwrap();
        assert_eq!(stands(&group, 1, 9).0, Ready);
        assert_eq!(group.promoted_server(), Some(ServerId(1)));
    }

    #[test]
    fn who_is_active_survives_a_reload_by_address() {
        let mut old = written(&["p", "b"], checked(), None, model::Trino::Auto);
        old.become_trinos();
        old.promote(ServerId(1), at(1)).unwrap();
        let mut new = written(&["p", "b", "b"], checked(), None, model::Trino::Auto);
        new.inherit(&old, at(2));
        assert!(new.is_trinos());
        assert_eq!(new.active_server(), Some(ServerId(1)));
        assert_eq!(looks(&mut new, 99), []);
        let mut off = written(&["p", "b"], checked(), None, model::Trino::Off);
        off.inherit(&old, at(2));
        assert!(!off.is_trinos());
    }
}
