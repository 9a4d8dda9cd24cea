//! What the clients noticed, phase by phase, and whether that is good enough.

use std::time::{Duration, Instant};

use crate::load::{Fate, Log, Sent};
use crate::query::PACE;

/// A part of the experiment. It lasts until the next one begins.
pub(crate) struct Phase {
    /// What happens in it.
    pub(crate) name: &'static str,
    /// When it begins.
    pub(crate) began: Instant,
    /// Its switch from one coordinator to the other.
    pub(crate) switch: Switch,
}

/// A switch from one coordinator to the other.
pub(crate) enum Switch {
    /// There is none.
    None,
    /// The active coordinator dies, and its queries with it.
    Death(Span),
    /// Both live: nothing may be lost.
    Handover(Span),
}

/// The last moment known to be before an event, and the first one known to be after it.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// Before it.
    pub(crate) before: Instant,
    /// After it.
    pub(crate) after: Instant,
}

impl Span {
    /// Whether a query was there before and after.
    fn is_within(self, query: &Sent) -> bool {
        query.asked < self.before && query.ended > self.after
    }
}

/// The phases, and what went wrong beside lost queries.
#[derive(Default)]
pub(crate) struct Report {
    /// In order.
    phases: Vec<Phase>,
    /// Sentences.
    faults: Vec<String>,
}

impl Report {
    /// Adds a phase.
    pub(crate) fn phase(&mut self, phase: Phase) {
        self.phases.push(phase);
    }

    /// Adds something that must not happen.
    pub(crate) fn fault(&mut self, what: &str) {
        self.faults.push(what.to_owned());
    }

    /// A line for each phase, and an example of what was lost in it.
    pub(crate) fn table(&self, log: &Log) -> String {
        let mut text = format!(
            "{:28} {:>6} {:>6} {:>6} {:>12} {:>13}\n",
            "queries", "asked", "right", "lost", "ran through", "longest wait"
        );
        for line in self.lines(log) {
            let through = line.through.map_or("-".to_owned(), |count| count.to_string());
            text.push_str(&format!(
                "{:28} {:>6} {:>6} {:>6} {through:>12} {:>10} ms\n",
                line.phase.name,
                line.asked,
                line.right,
                line.lost.len(),
                line.longest_wait.as_millis()
            ));
            if let Some((_, why)) = line.lost.first() {
                text.push_str(&format!("  lost, for example: {why}\n"));
            }
        }
        for (phase, span) in self.deaths() {
            let [without, with] = [false, true].map(|has_rows| {
                let cut: Vec<&Sent> = under_way(log, span, has_rows).collect();
                let lost = cut.iter().filter(|query| matches!(query.fate, Fate::Lost(_))).count();
                format!("{lost} of {}", cut.len())
            });
            let name = phase.name;
            text.push_str(&format!(
                "\nqueries lost at the {name}: {without} without rows, {with} with\n"
            ));
        }
        let retries: u32 = log.waits.iter().map(|wait| wait.retries).sum();
        text.push_str(&format!(
            "\nRight: ended with the right rows. Ran through: asked before the switch, ended right after it.
Longest wait: for one answer, retries included; coordinators hold each poll for {} ms.
Answers with 502, 503 or 504 that clients asked again after: {retries}.\n",
            PACE.as_millis()
        ));
        text
    }

    /// What must not happen and did.
    pub(crate) fn faults(&self, log: &Log) -> Vec<String> {
        let mut faults = self.faults.clone();
        faults.extend(self.lines(log).iter().filter_map(Line::fault));
        for (phase, span) in self.deaths() {
            let cut: Vec<&Sent> = under_way(log, span, false).collect();
            let lost = cut.iter().filter(|query| matches!(query.fate, Fate::Lost(_))).count();
            if lost > 0 || cut.is_empty() {
                let (name, all) = (phase.name, cut.len());
                faults.push(format!("{name}: of {all} queries without rows {lost} were lost"));
            }
        }
        faults
    }

    /// The phases in which a coordinator dies, and when.
    fn deaths(&self) -> impl Iterator<Item = (&Phase, Span)> {
        self.phases.iter().filter_map(|phase| match phase.switch {
            Switch::Death(span) => Some((phase, span)),
            Switch::None | Switch::Handover(_) => None,
        })
    }

    /// The table's lines.
    fn lines<'a>(&'a self, log: &'a Log) -> Vec<Line<'a>> {
        let ends = self.phases.iter().skip(1).map(|next| Some(next.began)).chain([None]);
        self.phases.iter().zip(ends).map(|(phase, end)| Line::new(phase, end, log)).collect()
    }
}

/// The queries that were there before an event and after it, with rows before it or without. One that
/// was lost had its rows before that, whenever its client came to read them.
fn under_way(log: &Log, span: Span, has_rows: bool) -> impl Iterator<Item = &Sent> {
    log.sent.iter().filter(move |query| {
        let is_lost = matches!(query.fate, Fate::Lost(_));
        let had = query.first_rows.is_some_and(|at| is_lost || at < span.before);
        span.is_within(query) && had == has_rows
    })
}

/// One line of the table: what was asked, ended or answered within a phase.
struct Line<'a> {
    /// The phase.
    phase: &'a Phase,
    /// Queries asked.
    asked: usize,
    /// Queries that ended with the right rows.
    right: usize,
    /// Those of them that ran on through the switch, if there is one.
    through: Option<usize>,
    /// All other queries that ended, and why.
    lost: Vec<(&'a Sent, &'a str)>,
    /// The longest wait for an answer.
    longest_wait: Duration,
}

impl Line<'_> {
    /// The line of a phase that lasts until `end`.
    fn new<'a>(phase: &'a Phase, end: Option<Instant>, log: &'a Log) -> Line<'a> {
        let is_in = |at: Instant| phase.began <= at && end.is_none_or(|end| at < end);
        let (mut right, mut lost) = (Vec::new(), Vec::new());
        for query in log.sent.iter().filter(|query| is_in(query.ended)) {
            match &query.fate {
                Fate::Right => right.push(query),
                Fate::Lost(why) => lost.push((query, why.as_str())),
            }
        }
        let through = |span: Span| right.iter().filter(|query| span.is_within(query)).count();
        let waits = log.waits.iter().filter(|wait| is_in(wait.ended));
        Line {
            phase,
            asked: log.sent.iter().filter(|query| is_in(query.asked)).count(),
            right: right.len(),
            through: match phase.switch {
                Switch::None => None,
                Switch::Death(span) | Switch::Handover(span) => Some(through(span)),
            },
            lost,
            longest_wait: waits.map(|wait| wait.time).max().unwrap_or_default(),
        }
    }

    /// What must not happen in such a phase and did.
    fn fault(&self) -> Option<String> {
        let (lost, which) = match self.phase.switch {
            Switch::None | Switch::Handover(_) => (self.lost.len(), ""),
            Switch::Death(span) => {
                let later = self.lost.iter().filter(|(query, _)| query.asked > span.after);
                (later.count(), " that were asked after it")
            }
        };
        let shows_nothing =
            matches!(self.phase.switch, Switch::Handover(_)) && self.through == Some(0);
        let name = self.phase.name;
        if lost > 0 {
            Some(format!("{name}: {lost} queries{which} were lost"))
        } else if shows_nothing {
            Some(format!("{name}: no query ran through it, so nothing is shown"))
        } else {
            None
        }
    }
}
