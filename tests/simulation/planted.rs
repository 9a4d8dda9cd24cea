//! Every slip that can be planted is found by some seed: what finds nothing proves nothing.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

use switchover::planted::{Bug, plant};

use super::common::seeds::run_seed;
use super::{every_talk, room, streams};

/// Seeds that are tried before a slip counts as not found.
const BOUND: u64 = 1000;

#[test]
fn every_planted_bug_is_caught_within_the_bound() {
    let next = AtomicUsize::new(0);
    let hunt = || {
        let mut missed = Vec::new();
        while let Some(&bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
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

/// The first seed whose run shows the slip, and its first complaint.
fn catch(bug: Bug) -> Option<(u64, String)> {
    if let Some(run) = shown_by(bug) {
        return Some((0, complaint(bug, run)?));
    }
    // Only talks that pass unread can show it.
    let is_of_talks = bug == Bug::TunnelCutInOrder;
    (0..BOUND).find_map(|seed| {
        let run = || match is_of_talks {
            true => streams::run(seed, false),
            false => run_seed(seed, false).err().unwrap_or_default(),
        };
        Some((seed, complaint(bug, run)?))
    })
}

type Play = fn() -> Vec<String>;

/// A run by itself for what is too rare for chance, or needs scarcity. A fact complains by a panic.
fn shown_by(bug: Bug) -> Option<Play> {
    let facts: [(Bug, Play); 3] = [
        (Bug::UpgradeLeftInOrder, every_talk::complaints_of_upgrades),
        (Bug::LargeHeadsStay, || {
            room::the_largest_heads_give_way_when_memory_is_used_up();
            Vec::new()
        }),
        (Bug::ReserveUnused, || {
            room::out_of_descriptors_known_clients_are_served_at_the_expense_of_idle_ones();
            Vec::new()
        }),
    ];
    facts.into_iter().find(|(shown, _)| *shown == bug).map(|(_, run)| run)
}

/// What a run with the slip complains of first.
fn complaint(bug: Bug, run: impl Fn() -> Vec<String> + std::panic::UnwindSafe) -> Option<String> {
    plant(Some(bug));
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
fn every_bug_is_listed_and_has_its_place_in_the_code() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let list = std::fs::read_to_string(format!("{root}/planted.rs")).expect("it is there");
    let (_, rest) = list.split_once("pub enum Bug {").expect("the enum");
    let (variants, _) = rest.split_once("\n}").expect("its end");
    let names = variants.lines().map(str::trim).filter_map(|line| line.strip_suffix(','));
    let names: Vec<&str> =
        names.filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric())).collect();
    let listed: Vec<String> = Bug::ALL.iter().map(|bug| format!("{bug:?}")).collect();
    assert_eq!(names, listed);
    let mut code = String::new();
    read_all(std::path::Path::new(root), &mut code);
    for name in names {
        assert!(code.contains(&format!("planted::is(Bug::{name})")), "{name} is planted nowhere");
    }
}

fn read_all(below: &std::path::Path, into: &mut String) {
    for entry in std::fs::read_dir(below).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            read_all(&path, into);
        } else {
            into.push_str(&std::fs::read_to_string(&path).expect("it can be read"));
        }
    }
}
