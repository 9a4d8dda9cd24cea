//! The attempts of a request or a connection: which servers were tried, and which one is next.
//!
//! Tries are counted only here. [`super::retry`] decides whether another one is allowed, and the
//! group which server it uses.

use super::group::{Group, GroupAt, Pick, ServerId, Tried};
use super::retry::{Failure, Progress, Repeatable, may_move};
use crate::config::model::NextUpstream;
use crate::time::Time;

/// The attempts of a request or a connection.
#[derive(Debug)]
pub struct Plan {
    group: GroupAt,
    tried: Tried,
    /// Attempts that count as tries.
    tries: u32,
    /// When the first attempt began.
    began: Time,
}

/// The next step of a request or a connection.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// An attempt at this server.
    Server(Pick),
    /// The rules allow another try, but every remaining server is out or full.
    NoneFree,
    /// The end: the rules allow no other try, or every server was tried.
    Exhausted,
}

impl Choice {
    /// The server that was chosen, if one was.
    pub fn server(&self) -> Option<ServerId> {
        match self {
            Choice::Server(pick) => Some(pick.at.server),
            Choice::NoneFree | Choice::Exhausted => None,
        }
    }
}

impl Plan {
    /// A plan without attempts.
    pub fn new(group: GroupAt, now: Time) -> Plan {
        Plan { group, tried: Tried::default(), tries: 0, began: now }
    }

    /// The group whose servers are tried.
    pub fn group(&self) -> GroupAt {
        self.group
    }

    /// Chooses the first server. `group` must be the one that [`Plan::group`] names.
    pub fn first(&mut self, group: &mut Group, now: Time) -> Choice {
        self.choose(group, now).map_or(Choice::NoneFree, Choice::Server)
    }

    /// Chooses the next server after an attempt that failed before any byte of a final response was
    /// sent to the client.
    pub fn after(
        &mut self,
        failure: Failure,
        request: Repeatable,
        policy: &NextUpstream,
        group: &mut Group,
        now: Time,
    ) -> Choice {
        let progress = Progress { attempts: self.tries, elapsed: now - self.began };
        if !may_move(failure, request, progress, policy) {
            return Choice::Exhausted;
        }
        match self.choose(group, now) {
            Some(pick) => Choice::Server(pick),
            None if group.has_others(self.tried) => Choice::NoneFree,
            None => Choice::Exhausted,
        }
    }

    /// Moves to another configuration, in which `pick` is the server of the current attempt.
    pub fn rebase(&mut self, pick: &Pick) {
        self.group = pick.at.group;
        self.tried = Tried::default();
        self.tried.insert(pick.at.server);
    }

    fn choose(&mut self, group: &mut Group, now: Time) -> Option<Pick> {
        let pick = group.pick(self.tried, now)?;
        self.tried.insert(pick.at.server);
        self.tries += 1;
        Some(pick)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::address::Address;
    use crate::config::model::{self, GroupId, Layer, NextStatuses};
    use crate::upstream::group::Verdict;

    const POLICY: NextUpstream = NextUpstream {
        error: true,
        timeout: true,
        invalid_header: false,
        statuses: NextStatuses {
            s500: false,
            s502: false,
            s503: false,
            s504: false,
            s403: false,
            s404: false,
            s429: false,
        },
        non_idempotent: false,
        tries: 0,
        timeout_after: None,
    };
    const UNSENT: Repeatable = Repeatable { idempotent: false, sent: false, replayable: true };
    const AT: GroupAt = GroupAt { generation: 7, id: GroupId(0) };

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    fn group(servers: u16) -> Group {
        let server = |index: u16| model::Server {
            name: "a".into(),
            address: Address::Inet(([127, 0, 0, 1], index).into()),
            weight: 1,
            max_fails: 1,
            fail_timeout: Duration::from_secs(3),
            backup: index > 0,
            down: false,
            max_connections: 0,
        };
        let model = model::Group {
            name: "g".into(),
            layer: Layer::Http,
            servers: (0..servers).map(server).collect(),
            keepalive: 0,
            keepalive_requests: 1,
            keepalive_time: Duration::MAX,
            keepalive_timeout: Duration::MAX,
            check_timeout: Duration::MAX,
        };
        Group::new(AT, &model)
    }

    /// The servers that are tried in order while each attempt fails, and the final choice.
    fn check(servers: u16, policy: &NextUpstream, request: Repeatable) -> (Vec<usize>, Choice) {
        let (mut group, mut plan) = (group(servers), Plan::new(AT, at(1)));
        let mut order = Vec::new();
        let mut choice = plan.first(&mut group, at(1));
        while let Choice::Server(pick) = choice {
            assert_eq!(pick.at.group, AT);
            order.push(pick.at.server.0);
            let _ = group.conclude(pick, Verdict::Failed(Failure::Refused), at(1));
            choice = plan.after(Failure::Refused, request, policy, &mut group, at(1));
        }
        (order, choice)
    }

    #[test]
    fn every_server_is_tried_once() {
        assert_eq!(check(3, &POLICY, UNSENT), (vec![0, 1, 2], Choice::Exhausted));
    }

    #[test]
    fn the_rules_end_the_tries() {
        let two = NextUpstream { tries: 2, ..POLICY };
        assert_eq!(check(3, &two, UNSENT), (vec![0, 1], Choice::Exhausted));
        let sent = Repeatable { sent: true, ..UNSENT };
        assert_eq!(check(3, &POLICY, sent), (vec![0], Choice::Exhausted));
    }

    #[test]
    fn servers_that_are_out_are_told_from_servers_that_were_tried() {
        let mut group = group(2);
        for _ in 0..2 {
            let pick = group.pick(Tried::default(), at(1)).unwrap();
            let _ = group.conclude(pick, Verdict::Failed(Failure::Refused), at(1));
        }
        assert_eq!(Plan::new(AT, at(2)).first(&mut group, at(2)), Choice::NoneFree);
        let mut plan = Plan::new(AT, at(2));
        plan.tried.insert(ServerId(0));
        let next = plan.after(Failure::Refused, UNSENT, &POLICY, &mut group, at(2));
        assert_eq!(next, Choice::NoneFree);
    }
}
