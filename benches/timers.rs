//! What deadlines cost: thousands of sessions that move theirs with every request, in the lazy
//! heap, and in what it was chosen over: an ordered tree and a wheel, both kept exact.
//!
//! A step is a turn of a millisecond with one request, which moves its session's deadline four times
//! (to read the request, to send it, to await the answer, to keep the connection).

use std::collections::BTreeSet;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use switchover::time::Time;
use switchover::worker::timers::Timers;

const SESSIONS: usize = 10_000;
/// How far from now the four deadlines are, in milliseconds.
const AHEAD: [u64; 4] = [60_000, 60_000, 60_000, 75_000];
const MILLISECOND: u64 = 1_000_000;

fn at(milliseconds: u64) -> Time {
    Time::from_nanos(milliseconds * MILLISECOND)
}

/// As the worker does it: the session knows its deadline, and its alarm is never later.
struct Lazy {
    timers: Timers,
    deadlines: Vec<Time>,
    alarms: Vec<Time>,
}

impl Lazy {
    fn new() -> Lazy {
        let never = vec![Time::NEVER; SESSIONS];
        Lazy { timers: Timers::new(), deadlines: never.clone(), alarms: never }
    }

    fn step(&mut self, now: u64) {
        let session = chosen(now);
        for ahead in AHEAD {
            self.deadlines[session] = at(now + ahead);
        }
        self.arm(session);
        while let Some((rang, session)) = self.timers.take_due(at(now)) {
            if self.alarms[session] == rang {
                self.alarms[session] = Time::NEVER;
                self.arm(session);
            }
        }
    }

    fn arm(&mut self, session: usize) {
        if self.deadlines[session] < self.alarms[session] {
            self.alarms[session] = self.deadlines[session];
            self.timers.set(self.deadlines[session], session);
        }
        let alarms = &self.alarms;
        self.timers.compact(SESSIONS, |time, session| alarms[session] == time);
    }
}

/// An entry a session, moved with its deadline.
struct Tree {
    entries: BTreeSet<(Time, usize)>,
    deadlines: Vec<Time>,
}

impl Tree {
    fn new() -> Tree {
        Tree { entries: BTreeSet::new(), deadlines: vec![Time::NEVER; SESSIONS] }
    }

    fn step(&mut self, now: u64) {
        let session = chosen(now);
        for ahead in AHEAD {
            self.entries.remove(&(self.deadlines[session], session));
            self.deadlines[session] = at(now + ahead);
            self.entries.insert((self.deadlines[session], session));
        }
        while self.entries.first().is_some_and(|(time, _)| *time <= at(now)) {
            self.entries.pop_first();
        }
    }
}

/// A slot a second, with the place of each session in its slot.
struct Wheel {
    slots: Vec<Vec<usize>>,
    places: Vec<Option<(usize, usize)>>,
}

impl Wheel {
    fn new() -> Wheel {
        Wheel { slots: vec![Vec::new(); 128], places: vec![None; SESSIONS] }
    }

    fn step(&mut self, now: u64) {
        let session = chosen(now);
        for ahead in AHEAD {
            self.remove(session);
            let slot = usize::try_from((now + ahead) / 1000).expect("small") % self.slots.len();
            self.places[session] = Some((slot, self.slots[slot].len()));
            self.slots[slot].push(session);
        }
        let due = usize::try_from(now / 1000).expect("small") % self.slots.len();
        for session in std::mem::take(&mut self.slots[due]) {
            self.places[session] = None;
        }
    }

    fn remove(&mut self, session: usize) {
        let Some((slot, place)) = self.places[session].take() else { return };
        self.slots[slot].swap_remove(place);
        if let Some(&moved) = self.slots[slot].get(place) {
            self.places[moved] = Some((slot, place));
        }
    }
}

/// The session that a step is about: all of them, in an order that repeats late.
fn chosen(now: u64) -> usize {
    usize::try_from(now.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).expect("24 bits") % SESSIONS
}

fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers, four moves and a turn");
    let mut now = 0;
    let mut next = move || {
        now += 1;
        now
    };
    let (mut lazy, mut tree, mut wheel) = (Lazy::new(), Tree::new(), Wheel::new());
    group.bench_function(BenchmarkId::new("lazy heap", SESSIONS), |bencher| {
        bencher.iter(|| lazy.step(black_box(next())));
    });
    group.bench_function(BenchmarkId::new("tree", SESSIONS), |bencher| {
        bencher.iter(|| tree.step(black_box(next())));
    });
    group.bench_function(BenchmarkId::new("wheel", SESSIONS), |bencher| {
        bencher.iter(|| wheel.step(black_box(next())));
    });
    group.finish();
}

criterion_group!(benches, timers);
criterion_main!(benches);
