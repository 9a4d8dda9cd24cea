//! What happened to coordinators and queries, as the actors saw it. Knows nothing of the proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switchover::net::sim::EndId;
use switchover::time::Time;

use super::line::Line;
use super::orders::Orders;
use super::submissions::Submissions;

/// Everything that the judgements need.
#[derive(Default)]
pub(crate) struct Ledger {
    /// What the proxy did wrong.
    pub(crate) wrong: Vec<String>,
    /// Statements in the order in which they came to coordinators.
    pub(crate) arrivals: Vec<Arrival>,
    /// How often and where statements were submitted.
    pub(crate) submissions: Submissions,
    /// What distinguishes the columns of each place.
    pub(crate) columns: Vec<&'static str>,
    /// Statements that their coordinator itself fails.
    pub(crate) failing: BTreeSet<u32>,
    /// Statements whose coordinator was told to end them.
    pub(crate) cancelled: BTreeSet<u32>,
    /// Statements of which a stage was ended.
    pub(crate) cut_down: BTreeSet<u32>,
    /// Statements that coordinators turned away, and when they did last.
    pub(crate) turned_away: BTreeMap<u32, Time>,
    /// Statements whose clients ask for rows, and the processes that run them.
    pub(crate) running: BTreeMap<u32, String>,
    /// When transactions began, by their ids.
    pub(crate) transactions: BTreeMap<String, Time>,
    /// What the operator has ordered.
    pub(crate) orders: Orders,
    /// Whether the group is Trino's from the beginning.
    pub(crate) is_trinos: bool,
    /// Whether the file sets `X-Forwarded-…` fields.
    pub(crate) sets_forwarded: bool,
    /// When clients asked for a statement first.
    pub(crate) asked: BTreeMap<u32, Time>,
    /// When the proxy accepted a worker's announcement last.
    pub(crate) announced: BTreeMap<String, Time>,
    /// When it accepted that a worker leaves; `None` if an announcement that was given up may have
    /// followed.
    pub(crate) withdrawn: BTreeMap<String, Option<Time>>,
    /// When it accepted any announcement.
    pub(crate) announcements: Vec<Time>,
    /// When the proxy began, and its reloads since.
    pub(crate) proxy: Vec<Time>,
    /// How long a place takes statements until it gets those that wait: a check may be under way
    /// that fails, and one up to 476 is waited for.
    pub(crate) taken_up: Duration,
    /// How long a query may be in doubt.
    pub(crate) queue: Duration,
    /// Connections to the proxy that the network has reset.
    pub(crate) broken: Vec<EndId>,
    /// When the network has reset a connection to a place.
    resets: BTreeMap<usize, Vec<Time>>,
    places: BTreeMap<usize, Vec<(Time, State)>>,
    processes: BTreeMap<String, Process>,
}

/// A statement that came to a coordinator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Time,
    pub(crate) place: usize,
    pub(crate) number: u32,
}

/// How a coordinator's place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Whether it answers: with a process, or with a refusal.
    pub(crate) answers: bool,
    /// Whether a process runs there.
    pub(crate) runs: bool,
    /// Whether that is ready for statements.
    pub(crate) is_ready: bool,
    /// Whether it turns them away none the less.
    pub(crate) turns: bool,
    /// Whether the operator may have drained it.
    pub(crate) is_drained: bool,
}

/// One life of a coordinator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) place: usize,
    pub(crate) began: Time,
    /// When it said its id to the proxy last.
    said: Option<Time>,
    /// When the proxy had to know its id.
    told: Option<Time>,
    pub(crate) died: Option<Time>,
}

impl State {
    /// Whether queries of the process there go on.
    fn is_up(self) -> bool {
        self.answers && self.runs
    }

    /// Whether new statements may go there.
    fn is_ready(self) -> bool {
        self.is_up() && self.is_ready
    }

    /// Whether statements that come there are taken.
    fn takes(self) -> bool {
        self.is_ready() && !self.turns
    }

    /// Whether new statements go there, and are taken.
    fn takes_new(self) -> bool {
        self.takes() && !self.is_drained
    }
}

impl Ledger {
    pub(crate) fn accuse(&mut self, now: Time, what: String) {
        self.wrong.push(format!("{:.3} s: {what}", (now - Time::ZERO).as_secs_f64()));
    }

    /// Notes how a place is from now on.
    pub(crate) fn turn(&mut self, place: usize, state: State, now: Time) {
        let spells = self.places.entry(place).or_default();
        if spells.last().is_none_or(|(_, last)| *last != state) {
            spells.push((now, state));
        }
    }

    /// The network resets a connection of the proxy to a place: that may look like a moment without
    /// an answer, and what was said may be lost.
    pub(crate) fn reset(&mut self, place: usize, at: Time) {
        self.resets.entry(place).or_default().push(at);
        let last = self.places.get(&place).and_then(|spells| spells.last());
        if let Some((_, state)) = last.copied() {
            self.turn(place, State { answers: false, ..state }, at);
        }
        let there = self.processes.values_mut().filter(|it| it.place == place);
        there.for_each(|process| process.said = None);
    }

    /// Whether the network has reset a connection to a place between.
    pub(crate) fn was_reset(&self, place: usize, from: Time, to: Time) -> bool {
        let resets = self.resets.get(&place);
        resets.is_some_and(|resets| resets.iter().any(|at| (from..=to).contains(at)))
    }

    /// Whether the network has reset this connection to the proxy.
    pub(crate) fn was_broken(&self, line: &Line) -> bool {
        self.broken.iter().any(|end| line.is(*end))
    }

    pub(crate) fn process(&self, id: &str) -> Option<Process> {
        self.processes.get(id).copied()
    }

    pub(crate) fn process_began(&mut self, id: &str, place: usize, began: Time) {
        let process = Process { place, began, said: None, told: None, died: None };
        self.processes.insert(id.to_owned(), process);
    }

    pub(crate) fn process_died(&mut self, id: &str, now: Time) {
        self.processes.get_mut(id).expect("it began").died = Some(now);
    }

    /// A process says its id to the proxy. If it was asked again, the proxy had the answer before.
    pub(crate) fn process_says(&mut self, id: &str, now: Time) {
        let process = self.processes.get_mut(id).expect("it began");
        let before = process.said.replace(now);
        // One that the proxy before sent may still have been on its way.
        if before.is_some_and(|before| before > self.proxy[0] + NEWS) {
            self.process_told(id, now);
        }
    }

    /// The proxy was told the id of a process.
    pub(crate) fn process_told(&mut self, id: &str, now: Time) {
        let process = self.processes.get_mut(id).expect("it began");
        if process.told.is_none_or(|told| told <= self.proxy[0]) {
            process.told = Some(now);
        }
    }

    /// Whether the proxy has to know whose queries end with this id.
    pub(crate) fn is_known(&self, id: &str, now: Time) -> bool {
        let told = self.processes.get(id).and_then(|process| process.told);
        told.is_some_and(|told| told > self.proxy[0] && told + NEWS < now)
    }

    /// Whether the proxy began anew or was reloaded since then.
    pub(crate) fn is_proxy_new_since(&self, moment: Time) -> bool {
        self.proxy.last().is_some_and(|last| *last >= moment && *last > Time::ZERO)
    }

    /// Whether the proxy began anew since then.
    pub(crate) fn is_proxy_restarted_since(&self, moment: Time) -> bool {
        self.proxy[0] >= moment && self.proxy[0] > Time::ZERO
    }

    /// Whether a place was ready for statements all the time between.
    pub(crate) fn was_ready(&self, place: usize, from: Time, to: Time) -> bool {
        self.held(place, from, to, State::is_ready)
    }

    /// Whether a place's process could be asked all the time between.
    pub(crate) fn was_up(&self, place: usize, from: Time, to: Time) -> bool {
        self.held(place, from, to, State::is_up)
    }

    /// Whether a place answered in some way all the time between.
    pub(crate) fn answered_all(&self, place: usize, from: Time, to: Time) -> bool {
        self.held(place, from, to, |state| state.answers)
    }

    /// Whether the proxy may think that a place was ready all the time between: it need not notice
    /// that one does not answer for so short a time.
    pub(crate) fn seemed_ready(&self, place: usize, from: Time, to: Time) -> bool {
        self.spells(place).all(|(began, end, state)| {
            let is_outside = end <= from || began > to;
            is_outside || state.runs && state.is_ready && (state.answers || end - began < BLINK)
        })
    }

    /// Whether a place's process could be asked all the time between, but for moments.
    pub(crate) fn seemed_up(&self, place: usize, from: Time, to: Time) -> bool {
        self.spells(place).all(|(began, end, state)| {
            let is_outside = end <= from || began > to;
            // TOLERATED: a process that replaces another one between two checks need not have had
            // announcements for as long.
            is_outside || end - began < BLINK && began > Time::ZERO || state.is_up()
        })
    }

    /// Whether a place's process could not be asked all the time between, but for moments.
    pub(crate) fn seemed_gone(&self, place: usize, from: Time, to: Time) -> bool {
        self.spells(place).all(|(began, end, state)| {
            let is_outside = end <= from || began > to;
            is_outside || !state.is_up() || end - began < BLINK
        })
    }

    /// Whether a place's process could not be asked all the time between.
    pub(crate) fn was_gone(&self, place: usize, from: Time, to: Time) -> bool {
        self.held(place, from, to, |state| !state.is_up())
    }

    /// Whether a place's process could not be asked for this long between, but for moments.
    pub(crate) fn was_gone_for(&self, place: usize, time: Duration, from: Time, to: Time) -> bool {
        let mut since = None;
        self.spells(place).any(|(began, end, state)| {
            since = match !state.is_up() || (end - began < BLINK && began > Time::ZERO) {
                true => since.or(Some(began.max(from))),
                false => None,
            };
            since.is_some_and(|since| end.min(to) >= since + time)
        })
    }

    /// Whether some place took new statements all the time between.
    pub(crate) fn any_takes(&self, from: Time, to: Time) -> bool {
        self.places.keys().any(|place| self.held(*place, from, to, State::takes_new))
    }

    /// All places.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        self.places.keys().copied()
    }

    /// How a place was, and from when until when.
    fn spells(&self, place: usize) -> impl Iterator<Item = (Time, Time, State)> {
        let spells = &self.places[&place];
        let ends = spells.iter().skip(1).map(|(began, _)| *began).chain([Time::NEVER]);
        spells.iter().zip(ends).map(|((began, state), end)| (*began, end, *state))
    }

    fn held(&self, place: usize, from: Time, to: Time, is: fn(State) -> bool) -> bool {
        self.spells(place).all(|(began, end, state)| end <= from || began > to || is(state))
    }

    /// Whether some place took new statements for this long between.
    pub(crate) fn any_took_for(&self, time: Duration, from: Time, to: Time) -> bool {
        let mut places = self.places.keys();
        places.any(|place| self.held_for(*place, time, from, to, State::takes_new))
    }

    /// Whether a place took statements of its transactions for this long between.
    pub(crate) fn took_for(&self, place: usize, time: Duration, from: Time, to: Time) -> bool {
        self.held_for(place, time, from, to, State::takes)
    }

    fn held_for(
        &self,
        place: usize,
        time: Duration,
        from: Time,
        to: Time,
        is: fn(State) -> bool,
    ) -> bool {
        let mut since = None;
        self.spells(place).any(|(began, end, state)| {
            since = match is(state) {
                true => since.or(Some(began.max(from))),
                false => None,
            };
            since.is_some_and(|since| end.min(to) >= since + time)
        })
    }

    /// The process that has a transaction, as its id says.
    pub(crate) fn holder(&self, transaction: &str) -> Process {
        self.processes[&transaction[transaction.len() - 5..]]
    }

    /// Whether the proxy has to know which process has a transaction.
    pub(crate) fn is_held(&self, transaction: &str) -> bool {
        // TOLERATED: a proxy that begins anew does not know of those that began before.
        !self.is_proxy_restarted_since(self.transactions[transaction])
    }
}

/// This long before a moment.
pub(crate) fn back(moment: Time, by: Duration) -> Time {
    Time::ZERO + (moment - Time::ZERO).saturating_sub(by)
}

/// The time until what a coordinator says has reached the proxy.
const NEWS: Duration = Duration::from_millis(200);
/// Less than two checks take that fail.
const BLINK: Duration = Duration::from_millis(2500);
