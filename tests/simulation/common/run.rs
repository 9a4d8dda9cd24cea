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

/// A proxy with its servers and clients.
pub(crate) struct Run {
    pub(crate) worker: Worker<SimNet>,
    /// When it began: its own clock is at zero then.
    began: Time,
    turns: u64,
    idle_turns: u32,
}

impl Run {
    /// A proxy whose servers answer plainly, in a world without faults.
    pub(crate) fn quiet(setup: &Setup) -> Run {
        let mut net = SimNet::new(1, Faults::none());
        for place in 0..setup.backups.len() {
            net.add_server(plain_server(place));
        }
        Run::new(net, setup)
    }

    pub(crate) fn new(net: SimNet, setup: &Setup) -> Run {
        setup.covers.put_over(setup.backups.len(), &net);
        let mut run = Run::configured(net, setup.config());
        run.worker.tune(setup.tuning);
        run
    }

    /// A proxy with this configuration, and the default tuning.
    pub(crate) fn configured(net: SimNet, config: Arc<Config>) -> Run {
        let began = net.began();
        let worker = Worker::new(net, config).expect("the address is free");
        Run { worker, began, turns: 0, idle_turns: 0 }
    }

    pub(crate) fn net(&mut self) -> &mut SimNet {
        self.worker.net()
    }

    /// The moment on the world's clock.
    pub(crate) fn now(&self) -> Time {
        self.began + self.worker.now().since(Time::ZERO)
    }

    /// Takes turns until that moment.
    ///
    /// # Panics
    /// If the worker takes turn after turn and nothing happens.
    pub(crate) fn until(&mut self, at: Time) {
        while self.now() < at {
            self.turn(at);
        }
    }

    /// Takes one turn, which lasts until an event that the worker waits for, or until that moment.
    fn turn(&mut self, until: Time) {
        let before = (self.now(), self.net().world().progress());
        self.worker
            .turn(Time::ZERO + until.since(self.began))
            .expect("simulated waits do not fail");
        let after = (self.now(), self.net().world().progress());
        self.idle_turns = if before == after { self.idle_turns + 1 } else { 0 };
        self.turns += 1;
        assert!(self.idle_turns < IDLE_TURNS, "the worker spins at {before:?}");
        assert!(self.turns < TURNS, "the worker takes too many turns");
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let at = self.now() + time;
        self.until(at);
    }

    /// Takes turns until all clients and strangers are done, but no longer than `most`.
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

    /// Adds a well-behaved client that sends these requests on one connection, beginning now.
    /// Returns its place.
    pub(crate) fn client(&mut self, asks: Vec<Ask>) -> usize {
        let starts = self.now();
        let net = self.net();
        net.add_client(polite(starts, asks));
        net.clients().len() - 1
    }

    pub(crate) fn exchange(&mut self, client: usize) -> Exchange {
        self.net().clients()[client].exchanges()[0].clone()
    }

    /// The number of requests that reached a server.
    pub(crate) fn deliveries(&mut self, server: usize) -> usize {
        self.net().servers()[server].deliveries().len()
    }

    pub(crate) fn make(&mut self, server: usize, condition: Condition) {
        self.net().set_condition(server, condition);
    }

    /// Connects by hand, to send bytes that no well-behaved client would send.
    pub(crate) fn dial(&mut self) -> EndId {
        let end = self.net().world_mut().dial(Owner::Hand, &proxy_address());
        self.pass(Duration::from_millis(5));
        end
    }

    pub(crate) fn send(&mut self, end: EndId, bytes: &str) {
        let sent = self.net().world_mut().send(end, bytes.as_bytes());
        assert_eq!(sent, bytes.len(), "more than a socket's buffer");
    }

    /// The bytes that have arrived, and whether the connection is still open.
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

    /// Waits for bytes or the end of the connection; also returns the time.
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

/// A well-behaved client that sends these requests on one connection.
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

/// Turns in which nothing happens and no time passes. Sessions that must run again take a few.
const IDLE_TURNS: u32 = 100;
/// Turns of a whole run.
const TURNS: u64 = 2_000_000;
