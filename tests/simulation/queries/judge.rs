//! What must hold of a whole run: where statements went, and what is known in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use switchover::time::Time;

use super::coordinator::Coordinator;
use super::ledger::{Arrival, Ledger, back};
use super::node::Node;
use super::scenario::{Failback, Scenario};

/// Each statement went where the one before it went, unless a failover or a failback explains it.
pub(crate) fn judge_moves(scenario: &Scenario, ledger: &mut Ledger) {
    let mut seen = BTreeSet::new();
    let arrivals = std::mem::take(&mut ledger.arrivals);
    // One that comes again was turned away, or cut off.
    let firsts: Vec<&Arrival> = arrivals.iter().filter(|it| seen.insert(it.number)).collect();
    for arrival in &firsts {
        judge_promotion(arrival, ledger);
    }
    for pair in firsts.windows(2) {
        let [from, to] = [pair[0], pair[1]];
        let is_clear = to.at - from.at > AT_ONCE
            && !ledger.is_proxy_restarted_since(back(from.at, SECOND))
            && !ledger.is_proxy_restarted_since(ledger.asked[&to.number])
            && !ledger.orders.any_between(back(from.at, UNNOTICED), to.at);
        let noticed = back(from.at, UNNOTICED);
        // One that comes first in order may have been active between them.
        let is_kept = (0..=from.place)
            .filter(|place| *place != to.place)
            .all(|place| ledger.was_ready(place, noticed, to.at));
        if from.place == to.place || !is_clear || !is_kept {
            continue;
        }
        let is_before = to.place < from.place;
        let may = match scenario.failback {
            Failback::Manual => false,
            Failback::Immediate => is_before,
            Failback::After(time) => is_before && may_return(time, *to, scenario, ledger),
        };
        if !may {
            let what = format!("statement {} goes to {} after {from:?}", to.number, to.place);
            ledger.accuse(to.at, what);
        }
    }
    ledger.arrivals = arrivals;
}

/// A new statement goes to the server that was promoted, as long as that is ready.
fn judge_promotion(arrival: &Arrival, ledger: &mut Ledger) {
    let Arrival { at, place, number } = *arrival;
    let Some(promoted) = ledger.orders.promoted(ledger.asked[&number], at) else { return };
    let is_ready = ledger.was_ready(promoted.place, back(promoted.asked, UNNOTICED), at);
    if is_ready && place != promoted.place {
        ledger.accuse(at, format!("statement {number} goes to {place}, not to {promoted:?}"));
    }
}

/// Whether a server has been ready for that long, and has had the time to learn of all workers.
fn may_return(time: Duration, to: Arrival, scenario: &Scenario, ledger: &Ledger) -> bool {
    // Another process there may not have been noticed yet.
    let noticed = back(to.at, SECOND);
    let is_ready = ledger.seemed_ready(to.place, back(to.at + AT_ONCE, time), noticed);
    let learns = scenario.coordinators[to.place].learns_all
        && ledger.announcements.first().is_some_and(|it| *it < back(to.at, ALL_WORKERS * 2))
        // After a blackout it may be that no worker is known any more.
        && ledger.announcements.iter().any(|it| *it < to.at && *it > back(to.at, LASTING))
        && !ledger.is_proxy_restarted_since(back(to.at, ALL_WORKERS * 2));
    let learned = back(to.at + AT_ONCE, ALL_WORKERS);
    is_ready && (!learns || ledger.seemed_up(to.place, learned, noticed))
}

/// What must hold when everything has been well for long.
pub(crate) fn judge_end(
    scenario: &Scenario,
    coordinators: &[Coordinator],
    nodes: &[Node],
    now: Time,
    ledger: &mut Ledger,
) {
    let late: Vec<&Arrival> =
        ledger.arrivals.iter().filter(|it| it.at >= scenario.settled()).collect();
    // The first in order that is not drained, as far as the operator was told.
    let before = |place| (0..place).all(|it| ledger.orders.may_be_drained(it));
    let is_first = |place| ledger.orders.drained(place).is_none() && before(place);
    let may = |place| ledger.orders.may_be_promoted(place) || is_first(place);
    let first = late.iter().find(|it| !may(it.place)).copied().copied();
    if let Some(stray) = first.filter(|_| scenario.failback != Failback::Manual) {
        ledger.accuse(now, format!("after all is well, {stray:?}"));
    }
    let active = ledger.arrivals.last().map(|it| it.place);
    for coordinator in coordinators {
        let place = coordinator.place;
        if !scenario.coordinators[place].learns_all && active != Some(place) {
            continue;
        }
        let process = coordinator.process().expect("all were started");
        for node in nodes {
            if let Some(left) = ledger.withdrawn.get(node.name()).copied() {
                if let Some(left) = left.filter(|_| scenario.coordinators[place].learns_all) {
                    judge_withdrawal(node.name(), left, coordinator, ledger);
                }
                continue;
            }
            // A withdrawal that is not answered yet may have come to some.
            if node.is_leaving() {
                continue;
            }
            let last = process.nodes.get(node.name());
            if last.is_none_or(|last| *last + ALL_WORKERS < now) {
                let what = format!("{} heard of {} at {last:?}", process.id(), node.name());
                ledger.accuse(now, what);
            }
        }
    }
}

/// A coordinator that was there when a worker left has forgotten it, and none hears of it again.
fn judge_withdrawal(name: &str, left: Time, coordinator: &Coordinator, ledger: &mut Ledger) {
    let process = coordinator.process().expect("all were started");
    let Some(last) = process.nodes.get(name).copied() else { return };
    let was_there = ledger.was_up(coordinator.place, back(left, UNNOTICED), left + SECOND);
    // A proxy that ended just then may have told one of them only.
    let began = ledger.proxy[0];
    let was_cut = began + SECOND >= left && began <= left + SECOND;
    // One that returned just then has all announcements on their way to it.
    if was_there && !was_cut || last > left + UNNOTICED {
        let what = format!("{} heard of {name} at {last:?}, which left at {left:?}", process.id());
        ledger.accuse(left, what);
    }
}

/// Statements so close to one another may come in another order.
const AT_ONCE: Duration = Duration::from_millis(300);
const SECOND: Duration = Duration::from_secs(1);
/// The time in which the proxy may not know that a place is well again.
const UNNOTICED: Duration = Duration::from_secs(4);
/// How long an announcement lasts, less a margin.
const LASTING: Duration = Duration::from_secs(28);
/// The time in which each worker announces itself, and a margin.
const ALL_WORKERS: Duration = Duration::from_secs(12);
