//! Queries in a world of coordinators that come and go.
//!
//! Coordinators, clients, workers and an operator are driven by hand. They note what happens to them
//! in a ledger and judge what they see of the proxy by it: [`told`] what a query is told,
//! [`submissions`] how often a statement runs, [`coordinator`] what comes to a server, [`operator`] what follows from an order, [`judge`] the
//! whole run.

mod aside;
mod client;
mod coordinator;
mod directed;
mod judge;
mod ledger;
mod line;
mod node;
mod operator;
mod orders;
mod page;
mod scenario;
mod submissions;
mod told;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use switchover::admin::kept::Kept;
use switchover::config::model::{Config, LogSink, Trino};
use switchover::config::{Main, Source, load};
use switchover::net::sim::{Family, Faults, Incident, Owner, Rng, SPEAKS_TLS, SimNet};
use switchover::time::Time;

use crate::common::run::Run;
use crate::common::setup::{Covers, server_address};
use client::Client;
use coordinator::Coordinator;
use ledger::Ledger;
use node::Node;
use operator::Operator;
pub(crate) use scenario::Scenario;
use scenario::{Deed, Forwards, Release};

/// A proxy and everything around it.
struct Play {
    run: Run,
    config: Arc<Config>,
    coordinators: Vec<Coordinator>,
    clients: Vec<Client>,
    nodes: Vec<Node>,
    operator: Operator,
    /// Faults of the network that lose nothing.
    network: Vec<Family>,
    /// Resets that are in the ledger.
    incidents: usize,
    /// The state file.
    kept: Vec<Kept>,
    ledger: Ledger,
    /// How long the actors look away: longer while nothing moves.
    step: Duration,
}

/// Plays one seed; returns everything that the proxy did wrong.
pub(crate) fn run(seed: u64, show: bool) -> Vec<String> {
    let mut rng = Rng::new(seed ^ 0x9e5);
    // A separate generator, so that a seed without TLS runs as it does in a build without TLS.
    let mut covers = Rng::new(seed ^ 0x9e5_0715);
    let mut some = || (SPEAKS_TLS && covers.one_in(3)).then_some(seed);
    let covers = Covers { clients: some(), servers: some() };
    let scenario = Scenario::of(covers, &mut rng);
    play(seed, show, scenario, rng)
}

/// Plays one seed of a run in which many do the same.
pub(crate) fn run_directed(draw: fn(&mut Rng) -> Scenario, seed: u64, show: bool) -> Vec<String> {
    let mut rng = Rng::new(seed ^ 0x9e5);
    let scenario = draw(&mut rng);
    play(seed, show, scenario, rng)
}

fn play(seed: u64, show: bool, mut scenario: Scenario, mut rng: Rng) -> Vec<String> {
    let net = SimNet::new(seed, Faults::only(&scenario.network));
    if show {
        net.world_mut().trace.show();
        net.world_mut().tell(0, || format!("{scenario:#?}"));
    }
    let mut play = Play::new(net, &mut scenario, &mut rng);
    for (at, deed) in &scenario.deeds {
        play.pass(*at);
        play.happen(*deed);
    }
    play.heal();
    play.pass(scenario.settled());
    while !play.clients.iter().all(Client::is_done) && play.run.now() < scenario.settled() + LAST {
        play.pass(play.run.now() + CHUNK);
    }
    play.end(&scenario)
}

impl Play {
    fn new(net: SimNet, scenario: &mut Scenario, rng: &mut Rng) -> Play {
        let sets_forwarded = scenario.text.contains("X-Forwarded-");
        let config = config(std::mem::take(&mut scenario.text));
        let release = scenario.coordinators[0].release;
        let mut ledger = Ledger::default();
        ledger.is_trinos = config.groups[0].trino == Trino::On;
        ledger.proxy.push(Time::ZERO);
        ledger.queue = scenario.queue;
        ledger.sets_forwarded = sets_forwarded;
        ledger.columns = scenario.coordinators.iter().map(|habits| habits.columns).collect();
        ledger.taken_up = match release {
            Release::Old => Duration::from_secs(11),
            Release::New => Duration::from_secs(4),
        };
        scenario.covers.put_over(scenario.coordinators.len(), &net);
        let mut coordinators = Vec::new();
        for (place, habits) in scenario.coordinators.iter().enumerate() {
            net.world_mut().machine(&server_address(place), Owner::Hand);
            let mut coordinator = Coordinator::new(place, *habits, rng.fork());
            coordinator.start(Duration::ZERO, &net, &mut ledger);
            coordinators.push(coordinator);
        }
        let clients = std::mem::take(&mut scenario.clients).into_iter();
        let clients = clients
            .map(|(kind, forwards, plans)| Client::new(kind, forwards == Forwards::Fields, plans));
        let nodes = scenario.nodes.iter().enumerate();
        let nodes = nodes.map(|(place, plan)| Node::new(place, release, *plan));
        let (clients, nodes) = (clients.collect(), nodes.collect());
        let run = Run::configured(net, Arc::clone(&config));
        let (operator, kept) = (Operator::default(), Vec::new());
        Play {
            run,
            config,
            coordinators,
            clients,
            nodes,
            operator,
            network: scenario.network.clone(),
            incidents: 0,
            kept,
            ledger,
            step: STEP,
        }
    }

    /// Lets everything go on until that moment.
    fn pass(&mut self, until: Time) {
        while self.run.now() < until {
            let before = self.run.net().world().progress();
            self.run.until(until.min(self.run.now() + self.step));
            self.keep();
            self.note_resets();
            let net = self.run.net();
            self.operator.act(net, &mut self.ledger);
            self.coordinators.iter_mut().for_each(|it| it.act(net, &mut self.ledger));
            self.clients.iter_mut().for_each(|it| it.act(net, &mut self.ledger));
            self.nodes.iter_mut().for_each(|it| it.act(net, &mut self.ledger));
            let is_quiet = self.run.net().world().progress() == before;
            self.step = if is_quiet { (self.step * 2).min(LONGEST_STEP) } else { STEP };
        }
    }

    /// Notes what the network has reset.
    fn note_resets(&mut self) {
        let world = self.run.net().world();
        for Incident { at, machine, end, .. } in &world.incidents()[self.incidents..] {
            let mut places =
                (0..self.coordinators.len()).map(|place| (place, server_address(place)));
            match places.find(|(_, address)| address == machine) {
                Some((place, _)) => self.ledger.reset(place, *at),
                None => self.ledger.broken.extend(end),
            }
        }
        self.incidents = world.incidents().len();
    }

    /// From now on the network loses nothing.
    fn heal(&mut self) {
        let net = self.run.net();
        net.heal();
        net.world_mut().faults = Faults::only(&self.network);
    }

    /// Writes the state file.
    fn keep(&mut self) {
        if let Some(kept) = self.run.worker.changed_deeds() {
            self.kept = kept;
        }
    }

    fn happen(&mut self, deed: Deed) {
        let net = self.run.net();
        let (now, all, ledger) = (net.world().now(), &mut self.coordinators, &mut self.ledger);
        net.world_mut().tell(60, || format!("{deed:?}"));
        match deed {
            Deed::Dies(place) => all[place].die(net, ledger),
            Deed::Starts(place, starting) => all[place].start(starting, net, ledger),
            Deed::Vanishes(place) => all[place].vanish(true, net),
            Deed::Appears(place) => all[place].vanish(false, net),
            Deed::Pauses(place, time) => all[place].pause(now + time),
            Deed::TurnsAway(place, time) => all[place].turn_away(now + time),
            Deed::Reloads => {
                self.run.worker.reload(Arc::clone(&self.config)).expect("it listens already");
                self.ledger.proxy.push(now);
            }
            Deed::Breaks => {
                let families = [&self.network[..], &[Family::ResetAfter]].concat();
                net.world_mut().faults = Faults::only(&families);
            }
            Deed::Orders(order) => self.operator.give(order),
            Deed::Restarts => {
                self.run.worker.stop();
                let net = self.run.net().successor();
                self.run = Run::configured(net, Arc::clone(&self.config));
                self.run.worker.restore(&self.kept);
                self.ledger.proxy = vec![now];
            }
        }
        let net = self.run.net();
        self.coordinators.iter_mut().for_each(|it| it.act(net, &mut self.ledger));
    }

    /// Judges the whole run.
    fn end(mut self, scenario: &Scenario) -> Vec<String> {
        let (now, ledger) = (self.run.now(), &mut self.ledger);
        judge::judge_moves(scenario, ledger);
        submissions::judge_cancelled(now, ledger);
        judge::judge_end(scenario, &self.coordinators, &self.nodes, now, ledger);
        if !self.clients.iter().all(Client::is_done) {
            ledger.accuse(now, "a query never ends".to_owned());
        }
        let net = self.run.net();
        self.clients.iter_mut().for_each(|client| client.leave(net));
        self.operator.leave(net);
        self.nodes.iter_mut().for_each(|node| node.leave(net));
        (self.clients, self.nodes) = (Vec::new(), Vec::new());
        self.operator = Operator::default();
        self.pass(now + CHUNK);
        if self.run.worker.census().sessions > 0 {
            self.ledger.accuse(now, format!("left at the end: {:?}", self.run.worker.census()));
        }
        let mut wrong = self.ledger.wrong;
        wrong.extend(self.run.net().world().violations().iter().cloned());
        wrong
    }
}

/// The configuration, with its control socket.
fn config(text: String) -> Arc<Config> {
    let source = Source {
        main: Main::Text { name: "simulation".to_owned(), text },
        extra: None,
        prefix: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulation/common/pem")),
        error_log: LogSink::Stderr,
    };
    Arc::new(load(&source).expect("it is right").config)
}

/// How long the actors look away while something moves, and while nothing does.
const STEP: Duration = Duration::from_millis(1);
const LONGEST_STEP: Duration = Duration::from_millis(32);
/// How long the last queries may take.
const LAST: Duration = Duration::from_secs(200);
/// The time for the last answers.
const CHUNK: Duration = Duration::from_secs(1);
