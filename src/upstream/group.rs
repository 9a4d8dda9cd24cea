//! The servers of a group: which one is picked next, and how verdicts change them.

use crate::address::Address;
use crate::config::model::{self, GroupId};
use crate::time::Time;

use super::health::{Health, Rules};
use super::retry::Failure;

/// A server's index in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(pub usize);

/// A group of one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupAt {
    /// The configuration's number.
    pub generation: u64,
    /// The group in it.
    pub id: GroupId,
}

/// A server of one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Its group.
    pub group: GroupAt,
    /// Its place in the group.
    pub server: ServerId,
}

/// The servers that a request has been sent to, as a bit set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried(u64);

impl Tried {
    /// Whether `server` is in the set.
    pub fn contains(self, server: ServerId) -> bool {
        self.0 & (1 << server.0) != 0
    }

    /// Adds `server`.
    pub fn insert(&mut self, server: ServerId) {
        self.0 |= 1 << server.0;
    }
}

/// A server chosen for one attempt. Must be returned to the group with a [`Verdict`].
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub struct Pick {
    /// The server.
    pub at: At,
    /// Whether this attempt is the trial of a server that was out.
    trial: bool,
}

/// What an attempt shows about its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It sent a whole response.
    Succeeded,
    /// It failed in this way, and is to blame.
    Failed(Failure),
    /// Nothing: the client left, or the failure is not the server's fault.
    Abandoned,
}

impl From<Failure> for Verdict {
    /// What a failed attempt says of its server.
    fn from(failure: Failure) -> Verdict {
        if failure.counts() {
            return Verdict::Failed(failure);
        }
        let is_answer = matches!(failure, Failure::Status(_));
        if is_answer { Verdict::Succeeded } else { Verdict::Abandoned }
    }
}

/// A change of a server's state that the operator wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is out.
    WentDown {
        /// The failure that took it out.
        why: Failure,
        /// When it is checked next.
        until: Time,
    },
    /// It accepts connections again: the next request is its trial.
    OnTrial,
    /// It serves again.
    CameBack,
}

/// The servers of one group at run time.
#[derive(Debug)]
pub struct Group {
    at: GroupAt,
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    address: Address,
    rules: Rules,
    backup: bool,
    down: bool,
    weight: i64,
    /// The weight of smooth weighted round robin: grows by `weight` at every pick; the picked
    /// server's falls by the sum of all weights.
    current: i64,
    max_connections: usize,
    active: usize,
    health: Health,
}

impl Group {
    /// A group whose servers have no failures yet.
    pub fn new(at: GroupAt, group: &model::Group) -> Group {
        // Taking the only server out would help no client.
        let alone = group.servers.len() == 1;
        let servers = group.servers.iter().map(|server| Server {
            address: server.address.clone(),
            rules: Rules {
                max_fails: if alone { 0 } else { server.max_fails },
                fail_timeout: server.fail_timeout,
            },
            backup: server.backup,
            down: server.down,
            weight: i64::from(server.weight),
            current: 0,
            max_connections: match server.max_connections {
                0 => usize::MAX,
                limit => limit as usize,
            },
            active: 0,
            health: Health::FRESH,
        });
        Group { at, servers: servers.collect() }
    }

    /// Adopts the health of servers with the same address; a server known to be down stays down. A
    /// check of the old group starts again here; a server on trial stays due for one without a
    /// check.
    pub fn inherit(&mut self, old: &Group, now: Time) {
        for server in self.servers.iter_mut().filter(|server| server.rules.max_fails > 0) {
            let Some(old) = old.servers.iter().find(|old| old.address == server.address) else {
                continue;
            };
            server.health = match old.health {
                Health::Up { .. } if matches!(server.health, Health::Down { .. }) => server.health,
                Health::Up { .. } | Health::Down { .. } => old.health,
                Health::Checking => Health::Down { until: now },
                Health::Due | Health::Trial { .. } => Health::Due,
            };
        }
    }

    /// Chooses the server for the next attempt: primaries in turn by weight, then backups, then a
    /// server on trial by another request rather than none at all.
    pub fn pick(&mut self, tried: Tried, now: Time) -> Option<Pick> {
        let usable = |server: &Server| server.health.is_usable(now);
        let on_trial = |server: &Server| matches!(server.health, Health::Trial { .. });
        let server = self
            .in_turn(tried, |server| !server.backup && usable(server))
            .or_else(|| self.in_turn(tried, |server| server.backup && usable(server)))
            .or_else(|| self.in_turn(tried, |server| !server.backup && on_trial(server)))
            .or_else(|| self.in_turn(tried, |server| server.backup && on_trial(server)))?;
        let chosen = &mut self.servers[server.0];
        chosen.active += 1;
        let (trial, health) = chosen.health.tried(chosen.rules, now);
        chosen.health = health;
        Some(Pick { at: At { group: self.at, server }, trial })
    }

    /// Chooses `server` again, for a connection that already exists. `None` unless the server is up
    /// and a new connection might also go to it.
    pub fn pick_again(&mut self, server: ServerId, now: Time) -> Option<Pick> {
        let takes = |server: &Server| !server.down && server.health.is_usable(now);
        let primary = self.servers.iter().any(|server| !server.backup && takes(server));
        let chosen = &mut self.servers[server.0];
        let is_well = matches!(chosen.health, Health::Up { .. }) && takes(chosen);
        if !is_well || (chosen.backup && primary) || chosen.active >= chosen.max_connections {
            return None;
        }
        chosen.active += 1;
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
            let free = server.active < server.max_connections;
            if server.down || !free || tried.contains(ServerId(index)) || !fit(server) {
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
        let server = &mut self.servers[pick.at.server.0];
        server.active -= 1;
        let before = server.health;
        server.health = match verdict {
            Verdict::Succeeded => before.succeeded(),
            Verdict::Failed(_) => before.failed(server.rules, now),
            Verdict::Abandoned if pick.trial => before.trial_abandoned(),
            Verdict::Abandoned => before,
        };
        match (before, server.health, verdict) {
            (Health::Down { .. }, _, _) => None,
            (_, Health::Down { until }, Verdict::Failed(why)) => {
                Some(Change::WentDown { why, until })
            }
            (Health::Trial { .. }, Health::Up { .. }, _) => Some(Change::CameBack),
            (_, _, Verdict::Succeeded | Verdict::Failed(_) | Verdict::Abandoned) => None,
        }
    }

    /// Whether attempts still connecting to `server` should move to another one.
    pub fn is_out(&self, server: ServerId) -> bool {
        matches!(self.servers[server.0].health, Health::Down { .. } | Health::Checking)
    }

    /// Whether every server is out, so that no request can be served.
    pub fn is_lost(&self) -> bool {
        (0..self.servers.len())
            .all(|index| self.servers[index].down || self.is_out(ServerId(index)))
    }

    /// When the next background connection is due; `Time::NEVER` for none.
    pub fn next_check(&self) -> Time {
        let due = self.servers.iter().filter(|server| !server.down);
        due.filter_map(|server| server.health.check_due()).min().unwrap_or(Time::NEVER)
    }

    /// A server whose check is due; the check counts as begun.
    pub fn begin_check(&mut self, now: Time) -> Option<ServerId> {
        let is_due = |server: &Server| {
            !server.down && server.health.check_due().is_some_and(|due| due <= now)
        };
        let index = self.servers.iter().position(is_due)?;
        self.servers[index].health = self.servers[index].health.check_began();
        Some(ServerId(index))
    }

    /// Ends the check of a server.
    pub fn end_check(&mut self, server: ServerId, accepted: bool, now: Time) -> Option<Change> {
        let server = &mut self.servers[server.0];
        server.health = if accepted {
            server.health.check_succeeded()
        } else {
            server.health.check_failed(server.rules, now)
        };
        (server.health == Health::Due).then_some(Change::OnTrial)
    }

    /// We had no descriptor or memory for the check; try again shortly.
    pub fn postpone_check(&mut self, server: ServerId, now: Time) {
        let server = &mut self.servers[server.0];
        server.health = server.health.check_postponed(now);
    }

    /// Number of attempts that have not been concluded.
    pub fn active(&self) -> usize {
        self.servers.iter().map(|server| server.active).sum()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    pub(in crate::upstream) const AT: GroupAt = GroupAt { generation: 7, id: GroupId(0) };
    const FAILED: Verdict = Verdict::Failed(Failure::Refused);

    /// A group described by words: `p` primary, `b` backup, `d` down, a digit for the weight.
    pub(in crate::upstream) fn group(servers: &[&str]) -> Group {
        let servers = servers.iter().enumerate().map(|(index, words)| model::Server {
            name: (*words).into(),
            address: Address::Inet(([127, 0, 0, 1], 8000 + index as u16).into()),
            weight: words.chars().find_map(|c| c.to_digit(10)).unwrap_or(1),
            max_fails: 1,
            fail_timeout: Duration::from_secs(3),
            backup: words.contains('b'),
            down: words.contains('d'),
            max_connections: u32::from(words.contains('m')),
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
        assert_eq!(group.end_check(ServerId(0), true, at(5)), Some(Change::OnTrial));
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
        assert_eq!(group.end_check(ServerId(0), false, at(5)), None);
        assert_eq!(group.next_check(), at(8));
    }

    #[test]
    fn a_client_that_leaves_gives_the_trial_to_the_next_one() {
        let mut group = group(&["p", "b"]);
        serve(&mut group, FAILED, 1);
        group.begin_check(at(4)).unwrap();
        group.end_check(ServerId(0), true, at(4)).unwrap();
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
        group.end_check(ServerId(0), true, at(4)).unwrap();
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
        assert_eq!(group.active(), 0);
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
        old.end_check(ServerId(0), true, at(5));
        new.inherit(&old, at(5));
        assert!(pick(&mut new).unwrap().trial);
        assert!(pick(&mut old).unwrap().trial);
        let mut newest = group(&["p", "b"]);
        newest.inherit(&old, at(5));
        assert!(pick(&mut newest).unwrap().trial);
    }
}
