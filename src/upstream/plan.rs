//! The attempts of a request or a connection: which servers were tried, and which one is next.
//!
//! Tries are counted only here. [`super::retry`] decides whether another one is allowed, and the
//! group which server it uses.

use super::group::{Group, Pick, ServerId, Tried};
use super::retry::{Failure, Progress, Repeatable, may_move};
use crate::config::model::NextUpstream;
use crate::time::Time;

/// The attempts of a request or a connection.
#[derive(Debug, Default)]
pub struct Plan {
    tried: Tried,
    /// Attempts that count as tries.
    tries: u32,
    /// When the first attempt began.
    began: Time,
    aim: Aim,
}

/// The servers that an attempt may go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aim {
    /// Those that take new work.
    #[default]
    Active,
    /// Only this one, whatever its health: no other can answer.
    Only(ServerId),
}

/// The next step of a request or a connection.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// An attempt at this server.
    Server(Pick),
    /// The rules allow another try, but every remaining server is out or full for now.
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
    /// No attempt has been made.
    pub fn new(aim: Aim, now: Time) -> Plan {
        Plan { tried: Tried::default(), tries: 0, began: now, aim }
    }

    /// Lets no attempt go to a server.
    pub fn exclude(&mut self, server: ServerId) {
        self.tried.insert(server);
    }

    /// Chooses the first server. All calls are about the same `group`.
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
            None if self.aim != Aim::Active => Choice::NoneFree,
            None if group.has_others(self.tried) => Choice::NoneFree,
            None => Choice::Exhausted,
        }
    }

    /// Chooses a server that was not tried, whatever the rules say of tries and of new work.
    pub fn another(&mut self, group: &mut Group, now: Time) -> Choice {
        let pick = group.pick_any(self.tried, now);
        pick.map_or(Choice::Exhausted, |pick| Choice::Server(self.count(pick)))
    }

    /// Moves to another configuration, in which `pick` is the server of the current attempt.
    pub fn rebase(&mut self, pick: &Pick) {
        self.tried = Tried::default();
        self.tried.insert(pick.at.server);
    }

    fn choose(&mut self, group: &mut Group, now: Time) -> Option<Pick> {
        let pick = match self.aim {
            Aim::Active => group.pick(self.tried, now)?,
            // Its connection may break although the server is well, but not time and again.
            Aim::Only(_) if self.tries >= SAME_SERVER_TRIES => return None,
            Aim::Only(server) if group.is_out(server) => return None,
            Aim::Only(server) => group.pick_only(server, now),
        };
        Some(self.count(pick))
    }

    fn count(&mut self, pick: Pick) -> Pick {
        self.tried.insert(pick.at.server);
        self.tries += 1;
        pick
    }
}

/// Attempts at the one server that can answer.
const SAME_SERVER_TRIES: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::group::Verdict;
    use crate::upstream::group::tests::{AT, at, group};

    const POLICY: NextUpstream = NextUpstream { error: true, timeout: true, ..NextUpstream::NEVER };
    const UNSENT: Repeatable = Repeatable { idempotent: false, sent: false, replayable: true };
    /// The servers that are tried in order while each attempt fails, and the final choice.
    fn check(servers: &[&str], policy: &NextUpstream, request: Repeatable) -> (Vec<usize>, Choice) {
        let (mut group, mut plan) = (group(servers), Plan::new(Aim::Active, at(1)));
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
        assert_eq!(check(&["p", "b", "b"], &POLICY, UNSENT), (vec![0, 1, 2], Choice::Exhausted));
    }

    #[test]
    fn the_rules_end_the_tries() {
        let two = NextUpstream { tries: 2, ..POLICY };
        assert_eq!(check(&["p", "b", "b"], &two, UNSENT), (vec![0, 1], Choice::Exhausted));
        let sent = Repeatable { sent: true, ..UNSENT };
        assert_eq!(check(&["p", "b", "b"], &POLICY, sent), (vec![0], Choice::Exhausted));
    }

    #[test]
    fn servers_that_are_out_are_told_from_servers_that_were_tried() {
        let mut group = group(&["p", "b"]);
        for _ in 0..2 {
            let pick = group.pick(Tried::default(), at(1)).unwrap();
            let _ = group.conclude(pick, Verdict::Failed(Failure::Refused), at(1));
        }
        assert_eq!(Plan::new(Aim::Active, at(2)).first(&mut group, at(2)), Choice::NoneFree);
        let mut plan = Plan::new(Aim::Active, at(2));
        plan.tried.insert(ServerId(0));
        let next = plan.after(Failure::Refused, UNSENT, &POLICY, &mut group, at(2));
        assert_eq!(next, Choice::NoneFree);
    }
}
