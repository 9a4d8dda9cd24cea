//! Runs for what is too rare in those that are drawn at large: many clients do the same at about the
//! same time.

use std::collections::VecDeque;
use std::time::Duration;

use switchover::net::sim::Rng;
use switchover::time::Time;

use super::orders::Order;
use super::scenario::{
    Aside, BEGIN, Deed, Failback, Forwards, Habits, Kind, QueryPlan, Release, SECOND, Scenario,
    Statement, ZERO, text,
};
use crate::common::setup::Covers;

impl Scenario {
    /// Clients whose statements wait for coordinators that are starting, and that cancel them about
    /// when these are ready.
    pub(crate) fn impatient(rng: &mut Rng) -> Scenario {
        let deeds = [
            (ZERO, Deed::Dies(0)),
            (ZERO, Deed::Dies(1)),
            (SECOND * 2, Deed::Starts(0, SECOND * 3)),
            (SECOND * 2, Deed::Starts(1, SECOND * 3)),
        ];
        let plan = |number, rng: &mut Rng| QueryPlan {
            thinks: [rng.duration(SECOND * 7 / 2..=SECOND * 9 / 2)].into(),
            asides: vec![(0, Aside::Cancel)],
            ..plan(number, SECOND + rng.duration(ZERO..=SECOND / 2))
        };
        directed(&deeds, SECOND * 6, plan, rng)
    }

    /// The network resets connections in the middle of answers, and the coordinator dies before these
    /// are asked for again.
    pub(crate) fn torn(rng: &mut Rng) -> Scenario {
        let breaks = (0..20).map(|tenth| (SECOND * tenth / 10, Deed::Breaks));
        let dies = [(SECOND * 2, Deed::Dies(0)), (SECOND * 4, Deed::Starts(0, SECOND * 3))];
        let deeds: Vec<_> = breaks.chain(dies).collect();
        let plan = |number, rng: &mut Rng| QueryPlan {
            thinks: (0..8).map(|_| rng.duration(ZERO..=SECOND / 4)).collect(),
            ..plan(number, rng.duration(SECOND..=SECOND * 2))
        };
        directed(&deeds, SECOND * 7, plan, rng)
    }

    /// Another proxy begins while queries are not asked for, and their server is drained.
    pub(crate) fn drained_early(rng: &mut Rng) -> Scenario {
        let deeds = [(SECOND * 4, Deed::Restarts), (SECOND * 5, Deed::Orders(Order::Drain(0)))];
        let plan = |number, rng: &mut Rng| QueryPlan {
            thinks: (0..8).map(|_| rng.duration(SECOND * 8..=SECOND * 14)).collect(),
            ..plan(number, rng.duration(ZERO..=SECOND * 2))
        };
        directed(&deeds, SECOND * 6, plan, rng)
    }
}

/// Two coordinators of the newest release, and clients that ask once. Moments count from [`BEGIN`].
fn directed(
    deeds: &[(Duration, Deed)],
    healed: Duration,
    plan: impl Fn(u32, &mut Rng) -> QueryPlan,
    rng: &mut Rng,
) -> Scenario {
    let habits = Habits {
        release: Release::New,
        reads_forwarded: true,
        chunked: rng.one_in(2),
        halts: true,
        columns: "",
        learns_all: true,
    };
    let begin = Time::ZERO + BEGIN;
    let client =
        |number| (Kind::Java, Forwards::Nothing, VecDeque::from([plan(number, &mut *rng)]));
    let clients = (1..=CLIENTS).map(client).collect();
    let (failback, queue) = (Failback::Immediate, SECOND * 120);
    Scenario {
        text: text(&[false, true], (failback, queue, true), Covers::default(), rng),
        covers: Covers::default(),
        failback,
        queue,
        coordinators: vec![habits; 2],
        network: Vec::new(),
        deeds: deeds.iter().map(|(after, deed)| (begin + *after, *deed)).collect(),
        healed: begin + healed,
        clients,
        nodes: Vec::new(),
    }
}

/// A question that is asked so long after [`BEGIN`].
fn plan(number: u32, after: Duration) -> QueryPlan {
    QueryPlan {
        number,
        starts: Time::ZERO + BEGIN + after,
        statement: Statement::Select,
        padding: 0,
        thinks: VecDeque::new(),
        asides: Vec::new(),
        leaves: false,
        doubts: false,
    }
}

const CLIENTS: u32 = 40;
