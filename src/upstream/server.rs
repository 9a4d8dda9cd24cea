//! One server of a group at run time.

use std::time::Duration;

use crate::address::Address;
use crate::config::model::{self, Failback};
use crate::time::Time;

use super::active::Fitness;
use super::change::Change;
use super::check::{Checks, Evidence, Report};
use super::health::{Health, Rules};
use super::readiness::Readiness;
use super::retry::Failure;
use super::standing::{ServerState, Standing};

/// A server, and everything known about it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) rules: Rules,
    pub(super) backup: bool,
    pub(super) down: bool,
    pub(super) weight: i64,
    /// The weight of smooth weighted round robin: grows by `weight` at every pick; the picked
    /// server's falls by the sum of all weights.
    pub(super) current: i64,
    pub(super) max_connections: usize,
    /// Attempts that have not been concluded.
    pub(super) attempts: usize,
    pub(super) health: Health,
    pub(super) checks: Checks,
    pub(super) readiness: Readiness,
    pub(super) since: Since,
    /// The failure that last took it out.
    pub(super) outage: Option<Outage>,
    /// When it was there again.
    pub(super) there: Time,
    /// Whether `failback` holds it back; lifted when that is over.
    pub(super) held: bool,
    pub(super) duty: Duty,
    /// When to look whether anything is left to do: never, unless an operator waits for that.
    pub(super) look: Time,
    pub(super) forwarded: Forwarded,
}

/// How long a server has been ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// Always, as far as is known.
    Always,
    /// Since then, after it was not.
    Then(Time),
    /// It is not ready.
    Not,
}

/// Whether an operator lets a server take new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// As `failback` says.
    Taking,
    /// Not until it is promoted.
    Drained {
        /// When it was drained.
        since: Time,
    },
}

/// A failure that took a server out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) why: Failure,
    pub(super) since: Time,
}

/// Whether a coordinator gets `X-Forwarded-…` fields: without `http-server.process-forwarded` it
/// answers 406 to each request with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// It gets them.
    Sent,
    /// It gets none any more.
    Withheld,
}

/// When servers that were out take new work again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) failback: Failback,
    pub(super) workers: Workers,
}

/// Whether workers announce themselves to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// No.
    None,
    /// Yes: a server has to know them before it takes new work.
    Some,
}

impl Server {
    /// A server without failures; the only one of its group if it is `alone`.
    pub(super) fn new(server: &model::Server, alone: bool) -> Server {
        Server {
            address: server.address.clone(),
            rules: Rules {
                // Taking the only server out would help no client.
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
            attempts: 0,
            health: Health::FRESH,
            checks: Checks::FRESH,
            readiness: Readiness::Unknown,
            since: Since::Always,
            outage: None,
            there: Time::ZERO,
            held: false,
            duty: Duty::Taking,
            look: Time::NEVER,
            forwarded: Forwarded::Sent,
        }
    }

    /// Adopts what is known about the server at the same address; a server known to be out stays
    /// out. A check of the old one starts again here; a server on trial stays due for one without a
    /// check.
    pub(super) fn inherit(&mut self, old: &Server, now: Time) {
        self.readiness = old.readiness;
        self.since = old.since;
        (self.outage, self.there) = (old.outage, old.there);
        self.held = old.held;
        self.forwarded = old.forwarded;
        self.checks = old.checks;
        self.checks.interrupted();
        self.health = match old.health {
            Health::Up { .. } if matches!(self.health, Health::Down { .. }) => self.health,
            Health::Up { .. } | Health::Down { .. } => old.health,
            Health::Checking => Health::Down { until: now },
            Health::Due | Health::Trial { .. } => Health::Due,
        };
    }

    /// Is as the same server of a newer group, where it is checked.
    pub(super) fn follow(&mut self, newer: &Server) {
        (self.health, self.readiness, self.since) = (newer.health, newer.readiness, newer.since);
        (self.outage, self.there, self.duty) = (newer.outage, newer.there, newer.duty);
    }

    /// Whether attempts still connecting to it should move to another one.
    pub(super) fn is_out(&self) -> bool {
        matches!(self.health, Health::Down { .. } | Health::Checking)
    }

    /// Whether it can take new work.
    pub(super) fn is_ready(&self, now: Time) -> bool {
        !self.down
            && !self.is_out()
            && self.duty == Duty::Taking
            && self.readiness.takes_queries(now)
    }

    /// Whether an attempt can begin, as far as `max_conns` allows.
    pub(super) fn is_free(&self) -> bool {
        self.attempts < self.max_connections
    }

    /// How long the terms hold it back.
    fn held_until(&self, terms: Terms) -> Time {
        match (terms.failback, self.since) {
            (Failback::Immediate, _) | (_, Since::Always | Since::Not) => Time::ZERO,
            (Failback::Manual, Since::Then(_)) => Time::NEVER,
            (Failback::After(time), Since::Then(since)) => match terms.workers {
                Workers::None => since + time,
                Workers::Some => (since + time).max(self.there + ALL_WORKERS),
            },
        }
    }

    /// Whether the terms hold it back.
    pub(super) fn is_held(&self, terms: Terms, now: Time) -> bool {
        now < self.held_until(terms)
    }

    /// Its fitness to be the active server.
    pub(super) fn fitness(&self, terms: Terms, now: Time) -> Fitness {
        match (self.is_ready(now), self.is_held(terms, now)) {
            (false, _) => Fitness::Unready,
            (true, true) => Fitness::Held,
            (true, false) => Fitness::Ready,
        }
    }

    /// When the clock alone changes its fitness.
    pub(super) fn next_change(&self, terms: Terms, now: Time) -> Time {
        let until = self.held_until(terms);
        let hold = if now < until { until } else { Time::NEVER };
        hold.min(self.readiness.next_change(now))
    }

    /// Lets it take no new work.
    pub(super) fn drain(&mut self, now: Time) {
        if self.duty == Duty::Taking {
            self.duty = Duty::Drained { since: now };
            self.look = now + LOOK;
        }
    }

    /// New work goes elsewhere, as an operator wants it.
    pub(super) fn relieve(&mut self, now: Time) {
        self.look = now + LOOK;
    }

    /// New work goes to it.
    pub(super) fn engage(&mut self) {
        self.look = Time::NEVER;
    }

    /// Whether it may have nothing left to do by now, for which an operator waits. It is looked at
    /// again in a while, unless it has [`Server::emptied`].
    pub(super) fn begin_look(&mut self, now: Time) -> bool {
        let is_due = self.look <= now;
        if is_due {
            self.look = now + LOOK;
        }
        is_due
    }

    /// It has nothing left to do.
    pub(super) fn emptied(&mut self) {
        self.look = Time::NEVER;
    }

    /// When it is due for a check: an active one if its group is `checked`, else a background
    /// connection while it is out.
    pub(super) fn check_due(&self, checked: bool) -> Option<Time> {
        if checked { Some(self.checks.due()) } else { self.health.check_due() }
    }

    /// The failure that keeps it out, if it is out.
    pub(super) fn outage(&self) -> Option<Outage> {
        self.outage.filter(|_| self.is_out())
    }

    /// How it stands, for the operator.
    pub(super) fn standing(&self, now: Time) -> Standing {
        let outage = self.outage();
        let (state, since) = match (self.duty, self.since) {
            _ if self.down => (ServerState::Down, None),
            (Duty::Drained { since }, _) => (ServerState::Drained, Some(since)),
            (Duty::Taking, _) if self.is_out() => {
                (ServerState::Out, outage.map(|outage| outage.since))
            }
            (Duty::Taking, _) if !self.is_ready(now) => (ServerState::Starting, None),
            (Duty::Taking, Since::Then(since)) => (ServerState::Ready, Some(since)),
            (Duty::Taking, Since::Always | Since::Not) => (ServerState::Ready, None),
        };
        let why = outage.map(|outage| outage.why);
        Standing { state, lasting: since.map(|since| now - since), why }
    }

    /// What an active check changes. `report` tells how ready a coordinator is.
    pub(super) fn learn(
        &mut self,
        evidence: Evidence,
        report: Report,
        now: Time,
    ) -> Option<Change> {
        let (was_out, was_starting) = (self.is_out(), self.readiness == Readiness::Starting);
        match evidence {
            Evidence::Unclear if report == Report::Starting => {}
            Evidence::Unclear => return None,
            Evidence::Failed(why) => {
                self.health = self.health.checks_failed(self.rules, now);
                self.readiness = Readiness::Absent;
                if was_out {
                    return None;
                }
                self.outage = Some(Outage { why, since: now });
                return Some(Change::WentDown { why, until: self.checks.due() });
            }
            Evidence::Answered => self.health = self.health.check_answered(now),
            Evidence::Passed => self.health = self.health.checks_passed(),
        }
        self.readiness = self.readiness.told(report, now);
        let starts = self.readiness == Readiness::Starting && !was_starting;
        if was_out && !self.is_out() || starts {
            self.there = now;
        }
        match (was_out, self.health) {
            (true, Health::Due) => Some(Change::OnTrial),
            (_, Health::Up { .. }) if starts => Some(Change::Starting),
            (true, Health::Up { .. }) => Some(Change::CameBack),
            (_, _) => None,
        }
    }
}

/// Between two looks whether a server has anything left to do.
const LOOK: Duration = Duration::from_secs(1);
/// How long it takes until a coordinator has had an announcement of each worker: they come every
/// 5 to 10 s.
const ALL_WORKERS: Duration = Duration::from_secs(12);
