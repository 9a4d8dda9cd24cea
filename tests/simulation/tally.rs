//! Counts the runs of an exhaustive test, and collects their complaints.

use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) runs: usize,
    pub(crate) failed: Vec<String>,
}

impl Tally {
    /// Notes one run and its complaints.
    pub(crate) fn note(&mut self, name: &str, what: &str, complaints: Vec<String>) {
        self.runs += 1;
        let told = complaints.into_iter().map(|complaint| format!("{name}, {what}: {complaint}"));
        self.failed.extend(told);
    }
}

/// Plays all scenes on two threads.
///
/// # Panics
/// If a run complained.
pub(crate) fn play_all<S: Sync>(scenes: &[S], every_fault_of: impl Fn(&S, &mut Tally) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut tally = Tally::default();
        while let Some(scene) = scenes.get(next.fetch_add(1, Ordering::Relaxed)) {
            every_fault_of(scene, &mut tally);
        }
        tally
    };
    let tallies = std::thread::scope(|scope| {
        let halves = [0, 1].map(|_| scope.spawn(work));
        halves.map(|half| half.join().expect("a worker that spins is a failure of its own"))
    });
    let runs: usize = tallies.iter().map(|tally| tally.runs).sum();
    let failed: Vec<&String> = tallies.iter().flat_map(|tally| &tally.failed).collect();
    println!("{runs} runs of {} scenes", scenes.len());
    let shown: Vec<&str> = failed.iter().take(SHOWN).map(|text| text.as_str()).collect();
    assert!(failed.is_empty(), "{} in {runs} runs:\n{}", failed.len(), shown.join("\n"));
}

/// More chances than any family of faults has in one small exchange.
pub(crate) const CHANCES: u32 = 2000;
/// Failures that are printed.
const SHOWN: usize = 30;
