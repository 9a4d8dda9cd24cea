//! What happens in one run, drawn from its seed.

use std::collections::VecDeque;
use std::time::Duration;

use switchover::net::sim::{Family, Rng};
use switchover::time::Time;

use super::operator::control_address;
use super::orders::Order;
use crate::common::setup::{Covers, PROXY_SSL, proxy_address, server_address};

/// A run before it begins.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// The proxy's file.
    pub(crate) text: String,
    /// Where TLS is spoken.
    pub(crate) covers: Covers,
    pub(crate) failback: Failback,
    /// How long a query may be in doubt.
    pub(crate) queue: Duration,
    /// How each coordinator behaves, those that come first in order first.
    pub(crate) coordinators: Vec<Habits>,
    /// Faults of the network.
    pub(crate) network: Vec<Family>,
    /// What happens, in order.
    pub(crate) deeds: Vec<(Time, Deed)>,
    /// The moment from which everything is well.
    pub(crate) healed: Time,
    pub(crate) clients: Vec<(Kind, Forwards, VecDeque<QueryPlan>)>,
    pub(crate) nodes: Vec<NodePlan>,
}

/// A worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodePlan {
    /// How often it announces itself.
    pub(crate) every: Duration,
    /// When it does so first.
    pub(crate) first: Time,
    /// After this it takes its announcement back.
    pub(crate) leaves: Time,
}

/// When a coordinator that was out is active again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failback {
    Immediate,
    After(Duration),
    Manual,
}

/// Versions of Trino.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// Up to 476: `/v1/info` shows no id.
    Old,
    /// From 477 on.
    New,
}

/// How a coordinator behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) release: Release,
    /// `http-server.process-forwarded`.
    pub(crate) reads_forwarded: bool,
    /// Whether answers are sent in chunks.
    pub(crate) chunked: bool,
    /// Whether some answers come in two parts, with a pause between them.
    pub(crate) halts: bool,
    /// What distinguishes the columns of its answers from those of others.
    pub(crate) columns: &'static str,
    /// Whether the proxy has to tell it of all workers.
    pub(crate) learns_all: bool,
}

/// Clients, by what they do when a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Makes it again for half a minute, but a statement only after a 502, 503 or 504.
    Java,
    /// Makes it three times.
    Python,
    /// Gives up.
    JavaScript,
}

/// Whether a client comes over another proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwards {
    /// Its requests have an `X-Forwarded-…` field.
    Fields,
    Nothing,
}

/// What a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    /// A question, in the transaction that its client has, if any.
    Select,
    /// A write, likewise.
    Insert,
    Create,
    Begin,
    /// Of the transaction that its client has.
    Commit,
}

impl Statement {
    pub(crate) const ALL: [Statement; 5] = [
        Statement::Select,
        Statement::Insert,
        Statement::Create,
        Statement::Begin,
        Statement::Commit,
    ];

    /// Whether it only reads.
    pub(crate) fn may_run_twice(self) -> bool {
        self == Statement::Select
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Statement::Select => "SELECT",
            Statement::Insert => "INSERT INTO t SELECT",
            Statement::Create => "CREATE TABLE t AS SELECT",
            Statement::Begin => "START TRANSACTION --",
            Statement::Commit => "COMMIT --",
        }
    }
}

/// A query to be run.
#[derive(Debug)]
pub(crate) struct QueryPlan {
    /// What its statement says: no other has it.
    pub(crate) number: u32,
    pub(crate) starts: Time,
    pub(crate) statement: Statement,
    /// Bytes behind the statement.
    pub(crate) padding: usize,
    /// Pauses before its requests.
    pub(crate) thinks: VecDeque<Duration>,
    /// What else is asked about it, and behind which page.
    pub(crate) asides: Vec<(usize, Aside)>,
    /// Whether its client leaves if it has to wait for a coordinator.
    pub(crate) leaves: bool,
    /// Whether its client makes a poll again that was answered with another query.
    pub(crate) doubts: bool,
}

/// A request about a query that is no poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    /// A HEAD of `nextUri`.
    Heartbeat,
    /// A DELETE of `partialCancelUri`: the query goes on.
    CancelStage,
    /// A GET of the query.
    Look,
    /// A DELETE of `nextUri`: the query ends.
    Cancel,
    /// A DELETE of the query, as the clients of Go and JavaScript end it.
    Kill,
    /// The same poll once more, though it was answered.
    Repeat,
}

/// Something that happens to a coordinator or to the proxy, or is done by the operator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    Dies(usize),
    /// It is started, and is starting for this long.
    Starts(usize, Duration),
    Vanishes(usize),
    Appears(usize),
    Pauses(usize, Duration),
    /// It answers 503 to statements for this long.
    TurnsAway(usize, Duration),
    /// The proxy loads its file anew.
    Reloads,
    /// Another proxy replaces it.
    Restarts,
    /// The network resets some connections, in the middle of bytes.
    Breaks,
    /// The operator gives an order.
    Orders(Order),
}

impl Scenario {
    pub(crate) fn of(covers: Covers, rng: &mut Rng) -> Scenario {
        let release = rng.pick(&[Release::Old, Release::New]);
        let learns_all = !rng.one_in(5);
        let (differ, halt) = (rng.one_in(4), rng.one_in(2));
        let backups = rng.pick::<&[bool]>(&[&[false, true], &[false, false], &[false, true, true]]);
        let coordinators: Vec<Habits> = backups
            .iter()
            .enumerate()
            .map(|(place, _)| Habits {
                release,
                reads_forwarded: !rng.one_in(4),
                chunked: rng.one_in(2),
                halts: halt && rng.one_in(2),
                columns: if differ { VARIANTS[place] } else { "" },
                learns_all,
            })
            .collect();
        let (deeds, healed) = deeds(backups.len(), rng);
        let failback = rng.pick(&[
            Failback::Immediate,
            Failback::After(Duration::from_secs(10)),
            Failback::After(Duration::from_secs(3)),
            Failback::Manual,
        ]);
        let mut number = 0;
        let mut client = |from: Time, rng: &mut Rng| {
            let kind = rng.pick(&[Kind::Java, Kind::Python, Kind::JavaScript]);
            let forwards = if rng.one_in(3) { Forwards::Fields } else { Forwards::Nothing };
            let mut starts = from;
            let plans = statements(rng).into_iter().map(|statement| {
                (starts, number) = (starts + rng.duration(ZERO..=SPREAD), number + 1);
                query(number, starts, statement, rng)
            });
            (kind, forwards, plans.collect())
        };
        let mut clients: Vec<_> =
            (0..rng.within(3..=8)).map(|_| client(Time::ZERO + BEGIN, rng)).collect();
        clients.push(client(healed + SETTLED, rng));
        let nodes = (0..rng.within(0..=3)).map(|_| node(release, rng)).collect();
        let network = HARMLESS.into_iter().filter(|_| rng.one_in(3)).collect();
        let queue = rng.pick(&[SECOND * 120, SECOND * 120, SECOND * 12]);
        let rules = (failback, queue, learns_all);
        let text = text(backups, rules, covers, rng);
        Scenario {
            text,
            covers,
            failback,
            queue,
            coordinators,
            network,
            deeds,
            healed,
            clients,
            nodes,
        }
    }

    /// When everything has to be as if nothing had happened.
    pub(crate) fn settled(&self) -> Time {
        self.healed + SETTLED
    }
}

/// The statements of a client.
fn statements(rng: &mut Rng) -> Vec<Statement> {
    let mut all: Vec<Statement> = (0..rng.within(1..=5)).map(|_| one(rng)).collect();
    if rng.one_in(3) {
        let begins = rng.within(0..=all.len());
        all.insert(begins, Statement::Begin);
        all.insert(rng.within(begins + 1..=all.len()), Statement::Commit);
    }
    all
}

fn one(rng: &mut Rng) -> Statement {
    match rng.within(0..=7) {
        0 => Statement::Insert,
        1 => Statement::Create,
        _ => Statement::Select,
    }
}

fn query(number: u32, starts: Time, statement: Statement, rng: &mut Rng) -> QueryPlan {
    let thinks = (0..8).map(|_| match rng.within(0..=7) {
        0 => rng.duration(ZERO..=SECOND * 14),
        1 | 2 => rng.duration(ZERO..=SECOND * 4),
        _ => rng.duration(ZERO..=SECOND / 10),
    });
    QueryPlan {
        number,
        starts,
        statement,
        thinks: thinks.collect(),
        padding: if rng.one_in(6) { rng.within(0..=9000) } else { 0 },
        asides: ASIDES.into_iter().filter_map(|it| aside(it, rng)).collect(),
        leaves: rng.one_in(6),
        doubts: rng.one_in(2),
    }
}

fn node(release: Release, rng: &mut Rng) -> NodePlan {
    let first = Time::ZERO + rng.duration(ZERO..=SPREAD);
    // Only versions up to 476 can.
    let leaves = match release == Release::Old && rng.one_in(3) {
        true => first + rng.duration(SECOND..=SECOND * 50),
        false => Time::NEVER,
    };
    NodePlan { every: rng.duration(SECOND * 5..=SECOND * 8), first, leaves }
}

fn aside(aside: Aside, rng: &mut Rng) -> Option<(usize, Aside)> {
    rng.one_in(6).then(|| (rng.within(0..=3), aside))
}

/// The faults of all coordinators and of the proxy, and when the last one is over.
fn deeds(places: usize, rng: &mut Rng) -> (Vec<(Time, Deed)>, Time) {
    let mut deeds = Vec::new();
    let mut healed = Time::ZERO + BEGIN;
    if rng.one_in(8) {
        return (deeds, healed);
    }
    // All of them go at once, and nothing can be served for a while.
    let blackout = rng.one_in(6).then(|| Time::ZERO + BEGIN + rng.duration(ZERO..=SECOND * 12));
    for place in 0..places {
        let mut at = Time::ZERO + BEGIN;
        if let Some(begins) = blackout {
            let (begins, lasts) =
                (begins + rng.duration(ZERO..=SECOND), rng.duration(SECOND * 2..=SECOND * 30));
            let [goes, comes] = match rng.one_in(3) {
                true => [Deed::Vanishes(place), Deed::Appears(place)],
                false => [Deed::Dies(place), Deed::Starts(place, SECOND * 2)],
            };
            deeds.extend([(begins, goes), (begins + lasts, comes)]);
            at = begins + lasts + SECOND * 2;
            healed = healed.max(at);
        }
        for _ in 0..rng.within(0..=3) {
            at = at + rng.duration(ZERO..=SECOND * 15);
            at = fault(place, at, &mut deeds, rng);
            healed = healed.max(at);
        }
    }
    for proxys in [Deed::Reloads, Deed::Restarts] {
        if rng.one_in(4) {
            deeds.push((Time::ZERO + BEGIN + rng.duration(ZERO..=SECOND * 40), proxys));
        }
    }
    if rng.one_in(3) {
        for _ in 0..rng.within(2..=8) {
            deeds.push((Time::ZERO + BEGIN + rng.duration(ZERO..=SECOND * 40), Deed::Breaks));
        }
    }
    if rng.one_in(3) {
        for _ in 0..rng.within(1..=3) {
            let order = rng.pick(&[Order::Promote, Order::Drain])(rng.within(0..=places - 1));
            let at = Time::ZERO + BEGIN + rng.duration(ZERO..=SECOND * 40);
            deeds.push((at, Deed::Orders(order)));
        }
    }
    deeds.sort_by_key(|(at, _)| *at);
    let last = deeds.last().map_or(healed, |(at, _)| *at);
    (deeds, healed.max(last))
}

/// Adds a fault. Returns when it is over.
fn fault(place: usize, at: Time, deeds: &mut Vec<(Time, Deed)>, rng: &mut Rng) -> Time {
    match rng.within(0..=6) {
        0..=2 => {
            let is_short = rng.one_in(3);
            let down = match is_short {
                true => rng.duration(SECOND / 100..=SECOND / 3),
                false => rng.duration(SECOND..=SECOND * 25),
            };
            // A start that is shorter than the time between two checks is not seen.
            let starting = match !is_short && rng.one_in(4) {
                true => ZERO,
                false => rng.duration(SECOND * 2..=SECOND * 10),
            };
            deeds.push((at, Deed::Dies(place)));
            deeds.push((at + down, Deed::Starts(place, starting)));
            at + down + starting
        }
        3 | 4 => {
            let long = rng.duration(SECOND / 10..=SECOND * 20);
            deeds.push((at, Deed::Vanishes(place)));
            deeds.push((at + long, Deed::Appears(place)));
            at + long
        }
        5 => {
            let long = rng.duration(SECOND / 10..=SECOND * 9);
            deeds.push((at, Deed::Pauses(place, long)));
            at + long
        }
        _ => {
            let long = rng.duration(SECOND..=SECOND * 10);
            deeds.push((at, Deed::TurnsAway(place, long)));
            at + long
        }
    }
}

/// The file.
pub(super) fn text(
    backups: &[bool],
    (failback, queue, learns_all): (Failback, Duration, bool),
    covers: Covers,
    rng: &mut Rng,
) -> String {
    let mut rules = match failback {
        Failback::Immediate => "failback immediate;".to_owned(),
        Failback::After(TEN) if rng.one_in(2) => String::new(),
        Failback::After(time) => format!("failback after={}s;", time.as_secs()),
        Failback::Manual => "failback manual;".to_owned(),
    };
    if rng.one_in(2) {
        rules += " trino on;";
    }
    if rng.one_in(2) {
        rules += " keepalive 8;";
    }
    if queue < SECOND * 120 {
        rules += &format!(" queue 100 timeout={}s;", queue.as_secs());
    }
    if !learns_all {
        rules += " trino_announcements active;";
    }
    for (place, is_backup) in backups.iter().enumerate() {
        let backup = if *is_backup { " backup" } else { "" };
        let at = server_address(place);
        rules += &format!(" server {at} max_fails=1 fail_timeout=3s{backup};");
    }
    let mut location = match covers.servers {
        Some(_) => format!("proxy_pass https://trino; {PROXY_SSL}"),
        None => "proxy_pass http://trino;".to_owned(),
    };
    if rng.one_in(3) {
        location += " proxy_set_header X-Forwarded-For $remote_addr;";
    }
    if rng.one_in(2) {
        location += " proxy_connect_timeout 1s;";
    }
    format!(
        "control {}; http {{ access_log off; upstream trino {{ {rules} }}
         server {{ listen {}{}; location / {{ {location} }} }} }}",
        control_address(),
        proxy_address(),
        covers.listen()
    )
}

pub(super) const ZERO: Duration = Duration::ZERO;
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// The default of `failback`.
const TEN: Duration = Duration::from_secs(10);
/// When clients and faults begin.
pub(super) const BEGIN: Duration = Duration::from_secs(2);
/// The longest time from one query of a client to the next, and to the first of a worker.
const SPREAD: Duration = Duration::from_secs(12);
/// A coordinator that is back settles, is held back, and gets an announcement of each worker.
const SETTLED: Duration = Duration::from_secs(35);
/// What tells the columns of one coordinator from those of others.
const VARIANTS: [&str; 3] = ["", "b", "c"];
/// All that are planned; those that end a query come last.
const ASIDES: [Aside; 5] =
    [Aside::Heartbeat, Aside::CancelStage, Aside::Look, Aside::Cancel, Aside::Kill];
/// Faults of the network that lose nothing.
const HARMLESS: [Family; 10] = [
    Family::PartialReads,
    Family::PartialWrites,
    Family::Fragments,
    Family::SlowLinks,
    Family::SpuriousEvents,
    Family::DoubledEvents,
    Family::BatchedEvents,
    Family::SplitBatches,
    Family::NarrowEvents,
    Family::InexactWaits,
];
