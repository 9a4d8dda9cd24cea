//! Every slip that can be planted is found by some seed: a test that finds nothing proves nothing.
//!
//! The simulation around a copy of the proxy that contains the slips: see `tests/planted`. Like the
//! copy, it exists in debug builds only.

#![cfg(debug_assertions)]

extern crate switchover_planted as switchover;

#[allow(dead_code)]
mod common;
#[cfg(feature = "tls")]
#[allow(dead_code)]
mod covered;
mod every_fault;
mod every_talk;
mod play;
mod queries;
mod room;
mod scenes;
mod speaker;
mod streams;
#[allow(dead_code)]
mod tally;

use std::panic::{UnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use switchover::net::sim::Rng;
use switchover::planted::{Bug, plant};

use common::seeds::run_seed;
use play::Kind;
use queries::Scenario;
use tally::Tally;

/// Seeds tried before a slip counts as not found.
const BOUND: u64 = 1000;

#[test]
fn every_planted_bug_is_caught_within_the_bound() {
    let (next, bugs) = (AtomicUsize::new(0), hunted());
    let hunt = || {
        let mut missed = Vec::new();
        while let Some(&bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
            match catch(bug) {
                Some((seed, complaint)) => println!("{bug:?}: seed {seed}: {complaint}"),
                None => missed.push(bug),
            }
        }
        missed
    };
    let missed: Vec<Bug> = std::thread::scope(|scope| {
        let halves = [0, 1].map(|_| scope.spawn(hunt));
        halves.into_iter().flat_map(|half| half.join().expect("it catches panics")).collect()
    });
    assert!(missed.is_empty(), "not found by {BOUND} seeds: {missed:?}");
}

/// All slips, or those that `SLIPS` names, separated by commas.
fn hunted() -> Vec<Bug> {
    let Ok(names) = std::env::var("SLIPS") else { return Bug::ALL.to_vec() };
    let named = |bug: &Bug| names.split(',').any(|name| name == format!("{bug:?}"));
    Bug::ALL.into_iter().filter(named).collect()
}

/// The first seed whose run shows the slip, and its first complaint.
fn catch(bug: Bug) -> Option<(u64, String)> {
    if let Some(run) = shown_by(bug) {
        return shown(bug, run).map(|found| (0, found));
    }
    // Only talks that pass unread can show this one.
    let is_of_talks = bug == Bug::TunnelCutInOrder;
    (0..BOUND).find_map(|seed| {
        let run = || match is_of_talks {
            true => streams::run(seed, false),
            false if bug.is_of_queries() => queries::run(seed, false),
            false if bug.is_of_tls() => {
                run_seed(seed, false).err().unwrap_or_else(|| streams::run(seed, false))
            }
            false => run_seed(seed, false).err().unwrap_or_default(),
        };
        shown(bug, run).map(|found| (seed, found))
    })
}

/// The first complaint of a run that shows the slip: one that fails without it as well does not.
fn shown(bug: Bug, run: impl Fn() -> Vec<String> + UnwindSafe + Copy) -> Option<String> {
    let found = complaint(Some(bug), run)?;
    complaint(None, run).is_none().then_some(found)
}

type Play = fn() -> Vec<String>;

/// A run of its own, for a slip that needs scarcity or is too rare for random runs. Facts complain
/// by a panic.
fn shown_by(bug: Bug) -> Option<Play> {
    let facts: &[(Bug, Play)] = &[
        #[cfg(feature = "tls")]
        (Bug::BrokenHandshakeForgiven, || {
            covered::a_server_that_breaks_its_handshake_off_is_out_and_the_next_one_serves();
            Vec::new()
        }),
        #[cfg(feature = "tls")]
        (Bug::HeldBytesForgotten, || {
            covered::what_a_record_holds_beyond_the_first_read_is_not_left_there();
            Vec::new()
        }),
        (Bug::CancelledSubmissionGoesOn, || complaints_of(Scenario::impatient)),
        (Bug::FinishToldForRowsThatWereLost, || complaints_of(Scenario::torn)),
        (Bug::EmptyAfterStart, || complaints_of(Scenario::drained_early)),
        (Bug::UpgradeLeftInOrder, complaints_of_upgrades),
        (Bug::LargeHeadsStay, || {
            room::the_largest_heads_give_way_when_memory_is_used_up();
            Vec::new()
        }),
        (Bug::ReserveUnused, || {
            room::out_of_descriptors_known_clients_are_served_at_the_expense_of_idle_ones();
            Vec::new()
        }),
    ];
    facts.iter().find(|(shown, _)| *shown == bug).map(|(_, run)| *run)
}

/// The first complaint of runs in which many clients do the same.
fn complaints_of(draw: fn(&mut Rng) -> Scenario) -> Vec<String> {
    (0..BOUND / 10).flat_map(|seed| queries::run_directed(draw, seed, false)).take(1).collect()
}

/// The complaints of one scene with an `Upgrade`.
fn complaints_of_upgrades() -> Vec<String> {
    let mut tally = Tally::default();
    every_talk::every_fault_of(&every_talk::scenes_of(Kind::Upgrade)[0], &mut tally);
    tally.failed
}

/// The first complaint of a run with the slip, or with none.
fn complaint(bug: Option<Bug>, run: impl Fn() -> Vec<String> + UnwindSafe) -> Option<String> {
    plant(bug);
    let outcome = catch_unwind(run);
    plant(None);
    match outcome {
        Ok(complaints) => complaints.into_iter().next(),
        Err(panic) => Some(words(panic.as_ref())),
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let literal = || panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(literal).unwrap_or_else(|| "a panic".to_owned())
}

#[test]
fn a_slip_that_shows_at_one_byte_only_is_found() {
    let slips = [
        (Bug::ChunkEndsEarly, "PUT in chunks", "split at"),
        (Bug::EndBehindShortReadLost, "POST with a length", "its client sends its FIN at"),
        (Bug::RefusedBodyReadOn, "POST in bad chunks, and FIN", "no fault, WithEnd"),
    ];
    for (bug, name, fault) in slips {
        let scenes = scenes::scenes();
        let scene = scenes.iter().find(|scene| scene.name == name).expect("it is there");
        let mut tally = Tally::default();
        plant(Some(bug));
        every_fault::every_fault_of(scene, &mut tally);
        plant(None);
        let found = tally.failed.iter().any(|failure| failure.contains(fault));
        assert!(found, "{bug:?}: {:?}", tally.failed);
    }
}

#[test]
fn slips_in_tunnels_are_found() {
    for bug in [Bug::EndBehindShortReadLost, Bug::AlarmNotSetAgain, Bug::WriteStopsWriting] {
        let mut tally = Tally::default();
        plant(Some(bug));
        every_talk::every_fault_of(&every_talk::scenes()[0], &mut tally);
        plant(None);
        assert!(!tally.failed.is_empty(), "{bug:?}");
    }
}
