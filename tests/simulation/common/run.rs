//! A worker in its simulated world, turn by turn.

use std::sync::Arc;
use std::time::Duration;

use switchover::config::model::Config;
use switchover::net::sim::{
    Act, Ask, ClientPlan, Condition, EndId, Exchange, Faults, Manners, Owner, Pace, Received,
    ServerPlan, SimNet,
};
use switchover::time::Time;
use switchover::worker::Worker;

use super::setup::{Setup, proxy_address, server_address};

/// A proxy and everyone around it.
pub(crate) struct Run {
    pub(crate) worker: Worker<SimNet>,
    turns: u64,
    idle_turns: u32,
}

impl Run {
    /// A proxy whose servers answer plainly, and nothing goes wrong by itself.
    pub(crate) fn quiet(setup: &Setup) -> Run {
        let mut net = SimNet::new(1, Faults::none());
        for place in 0..setup.backups.len() {
            net.add_server(plain_server(place));
        }
        Run::new(net, setup)
    }

    pub(crate) fn new(net: SimNet, setup: &Setup) -> Run {
        let mut run = Run::configured(net, setup.config());
        run.worker.tune(setup.tuning);
        run
    }

    /// The same with a configuration of its own.
    pub(crate) fn configured(net: SimNet, config: Arc<Config>) -> Run {
        let worker = Worker::new(net, config).expect("the address is free");
        Run { worker, turns: 0, idle_turns: 0 }
    }

    pub(crate) fn net(&mut self) -> &mut SimNet {
        self.worker.net()
    }

    pub(crate) fn now(&self) -> Time {
        self.worker.now()
    }

    /// Takes turns until that moment.
    ///
    /// # Panics
    /// When the worker takes turn after turn without anything happening.
    pub(crate) fn until(&mut self, at: Time) {
        while self.worker.now() < at {
            self.turn(at);
        }
    }

    /// Takes one turn: nothing but what the worker waits for, or that moment, ends it.
    fn turn(&mut self, until: Time) {
        let before = (self.worker.now(), self.net().world().progress());
        self.worker.turn(until).expect("simulated waits do not fail");
        let after = (self.worker.now(), self.net().world().progress());
        self.idle_turns = if before == after { self.idle_turns + 1 } else { 0 };
        self.turns += 1;
        assert!(self.idle_turns < IDLE_TURNS, "the worker spins at {before:?}");
        assert!(self.turns < TURNS, "the worker takes too many turns");
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let at = self.now() + time;
        self.until(at);
    }

    /// Takes turns until every client is done and every stranger gone, or for so long.
    pub(crate) fn until_done(&mut self, most: Duration) {
        let limit = self.now() + most;
        while self.now() < limit && !self.is_done() {
            self.turn(limit);
        }
    }

    fn is_done(&mut self) -> bool {
        let net = self.net();
        net.clients().iter().all(|client| client.is_done())
            && net.strangers().iter().all(|stranger| stranger.is_gone())
    }

    /// Adds a client of good manners that asks all of this on one connection, beginning now.
    /// Returns its place.
    pub(crate) fn client(&mut self, asks: Vec<Ask>) -> usize {
        let starts = self.now();
        let net = self.net();
        net.add_client(polite(starts, asks));
        net.clients().len() - 1
    }

    /// The first exchange of a client.
    pub(crate) fn exchange(&mut self, client: usize) -> Exchange {
        self.net().clients()[client].exchanges()[0].clone()
    }

    /// Requests that have reached a server.
    pub(crate) fn deliveries(&mut self, server: usize) -> usize {
        self.net().servers()[server].deliveries().len()
    }

    /// Changes how a server is.
    pub(crate) fn make(&mut self, server: usize, condition: Condition) {
        self.net().set_condition(server, condition);
    }

    /// Connects by hand, to send bytes that no client of good manners would.
    pub(crate) fn dial(&mut self) -> EndId {
        let end = self.net().world_mut().dial(Owner::Hand, &proxy_address());
        self.pass(Duration::from_millis(5));
        end
    }

    pub(crate) fn send(&mut self, end: EndId, bytes: &str) {
        let sent = self.net().world_mut().send(end, bytes.as_bytes());
        assert_eq!(sent, bytes.len(), "more than a socket's buffer");
    }

    /// What has come by now, and whether the connection is still open.
    pub(crate) fn received(&mut self, end: EndId) -> (String, Received) {
        let mut bytes = Vec::new();
        let state = loop {
            match self.net().world_mut().receive(end, &mut bytes, usize::MAX) {
                Received::Bytes(_) => {}
                other @ (Received::Nothing | Received::End | Received::Broken) => break other,
            }
        };
        (String::from_utf8_lossy(&bytes).into_owned(), state)
    }

    /// Waits until something has come or the connection is over; returns it and when that was.
    pub(crate) fn answer(&mut self, end: EndId, most: Duration) -> (String, Received, Time) {
        let limit = self.now() + most;
        loop {
            let (bytes, state) = self.received(end);
            if !bytes.is_empty() || state != Received::Nothing || self.now() >= limit {
                return (bytes, state, self.now());
            }
            self.pass(Duration::from_millis(1));
        }
    }
}

/// A server that answers everything plainly.
pub(crate) fn plain_server(place: usize) -> ServerPlan {
    ServerPlan {
        name: u32::try_from(place).expect("there are only a few"),
        at: server_address(place),
        calendar: Vec::new(),
        manners: Manners::Always(Act::plain(100)),
    }
}

/// A client of good manners that asks all of this on one connection.
pub(crate) fn polite(starts: Time, asks: Vec<Ask>) -> ClientPlan {
    ClientPlan {
        to: proxy_address(),
        starts,
        asks,
        pipeline: 1,
        sends: Pace::AtOnce,
        reads: Pace::AtOnce,
        lingers: false,
        stubborn: false,
    }
}

/// Turns in which nothing happens and no time passes: sessions that must run again take some.
const IDLE_TURNS: u32 = 100;
/// Turns of a whole run.
const TURNS: u64 = 2_000_000;
