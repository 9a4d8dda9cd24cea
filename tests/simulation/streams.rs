//! Connections that pass unread, on the simulated network: random talks between clients and
//! servers, both worked by hand, and what must hold of each whatever the network does.
//!
//! Servers are told by a PROXY header which client they talk to, so that each byte can be traced.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use switchover::config::parse_text;
use switchover::net::sim::{
    EndId, Family, Faults, IncidentKind, Owner, Reach, Received, Rng, SimNet,
};
use switchover::worker::{Tuning, Worker};

use crate::common::setup::{proxy_address, server_address};

/// Seeds that are always run.
const SEEDS: u64 = 1000;

#[test]
fn every_stream_seed_keeps_every_promise() {
    let (from, to) = crate::range().unwrap_or((0, SEEDS));
    let one = crate::number("SEED");
    for seed in one.map_or(from..to, |seed| seed..seed + 1) {
        let complaints = Play::of(seed, one.is_some()).run();
        assert!(
            complaints.is_empty(),
            "SEED={seed} cargo test --test simulation every_stream\n{}",
            complaints.join("\n")
        );
    }
}

/// One side of a talk: what it says, and how it leaves.
#[derive(Clone, Copy, Debug)]
struct Part {
    says: usize,
    leaves: Leaves,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    /// By its FIN, once all is said.
    Finishes,
    /// By a reset, once so much is said.
    ResetsAfter(usize),
}

/// One side at work.
#[derive(Debug)]
struct Speaker {
    end: EndId,
    part: Part,
    said: usize,
    heard: Vec<u8>,
    finished: bool,
    /// A send failed.
    refused: bool,
    /// How it ended from the other side: in order, or not.
    ended: Option<Received>,
}

/// A run: clients, the servers' sides of their talks by the client's port, and the proxy.
struct Play {
    worker: Worker<SimNet>,
    rng: Rng,
    parts: Vec<(Part, Part)>,
    clients: Vec<Speaker>,
    servers: BTreeMap<usize, Vec<Speaker>>,
    /// Connections to servers whose header is not whole.
    unknown: Vec<(EndId, Vec<u8>)>,
    complaints: Vec<String>,
}

impl Play {
    fn of(seed: u64, show: bool) -> Play {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let faults = Faults::random(&mut rng);
        let most = if faults.has(Family::SmallBuffers) { 3000 } else { 40_000 };
        let net = SimNet::new(seed, faults);
        for place in 0..2 {
            net.world_mut().machine(&server_address(place), Owner::Hand);
        }
        if show {
            net.world_mut().trace.show();
        }
        let reach = rng.pick(&[Reach::Listening, Reach::Refusing, Reach::Dark]);
        net.world_mut().set_reach(&server_address(0), reach);
        let text = format!(
            "stream {{ upstream g {{ server {} fail_timeout=2s; server {} backup; }}
             server {{ listen {}; proxy_pass g; proxy_connect_timeout 1s; proxy_timeout 60s;
                       proxy_protocol on; proxy_buffer_size {}; }} }}",
            server_address(0),
            server_address(1),
            proxy_address(),
            rng.pick(&[64, 4096, 16384]),
        );
        let config = parse_text("simulation", text.as_bytes()).expect("it is right").config;
        let mut worker = Worker::new(net, Arc::new(config)).expect("the address is free");
        worker.tune(Tuning { relay_rounds: rng.pick(&[1, 16]), ..Tuning::default() });
        let mut part = || {
            let says = rng.pick(&[0, 1, 50, 1000, most]);
            let reset = rng.one_in(6);
            let leaves = if reset { Leaves::ResetsAfter(says / 2) } else { Leaves::Finishes };
            Part { says, leaves }
        };
        let parts: Vec<(Part, Part)> = (0..4).map(|_| (part(), part())).collect();
        Play {
            worker,
            rng,
            parts,
            clients: Vec::new(),
            servers: BTreeMap::new(),
            unknown: Vec::new(),
            complaints: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<String> {
        for talk in 0..self.parts.len() {
            let end = self.worker.net().world_mut().dial(Owner::Hand, &proxy_address());
            self.clients.push(Speaker::new(end, self.parts[talk].0));
            for _ in 0..self.rng.within(0..=8) {
                self.step();
            }
        }
        for _ in 0..STEPS {
            self.step();
        }
        for talk in 0..self.parts.len() {
            self.judge(talk);
        }
        self.leave();
        self.complaints
    }

    /// Lets a moment pass, and everybody do a little.
    fn step(&mut self) {
        let until = self.worker.now() + STEP;
        let mut turns = 0;
        while self.worker.now() < until {
            self.worker.turn(until).expect("simulated waits do not fail");
            turns += 1;
            assert!(turns < TURNS_A_STEP, "the worker spins");
        }
        self.accept();
        let world = self.worker.net();
        for (talk, client) in self.clients.iter_mut().enumerate() {
            client.act(talk, world, &mut self.rng);
        }
        for (&talk, servers) in &mut self.servers {
            for server in servers {
                server.act(OTHER + talk, world, &mut self.rng);
            }
        }
    }

    /// Takes what waits at the servers, and finds out by the headers who is meant.
    fn accept(&mut self) {
        for place in 0..2 {
            while let Some(end) = self.waiting(place) {
                self.unknown.push((end, Vec::new()));
            }
        }
        for (end, mut header) in std::mem::take(&mut self.unknown) {
            // A byte at a time: what follows the header belongs to the talk.
            while !header.ends_with(b"\r\n") {
                let received = self.worker.net().world_mut().receive(end, &mut header, 1);
                match received {
                    Received::Bytes(_) => {}
                    Received::Nothing => break,
                    // Background connections, and those that break before their first word.
                    Received::End | Received::Broken => {
                        self.worker.net().world_mut().close(end);
                        header.clear();
                        header.push(0);
                        break;
                    }
                }
            }
            if header == [0] {
                continue;
            }
            if !header.ends_with(b"\r\n") {
                self.unknown.push((end, header));
                continue;
            }
            let text = String::from_utf8_lossy(&header).into_owned();
            let port = text.split(' ').nth(4).and_then(|port| port.parse::<u16>().ok());
            let talk = (0..self.clients.len()).find(|&talk| {
                let client = self.clients[talk].end;
                self.worker.net().world_mut().local(client).port() == port
            });
            match talk {
                Some(talk) => {
                    let server = Speaker::new(end, self.parts[talk].1);
                    self.servers.entry(talk).or_default().push(server);
                }
                None => self.complaints.push(format!("a header of nobody: {text}")),
            }
        }
    }

    /// A connection that a server has not accepted yet.
    fn waiting(&mut self, place: usize) -> Option<EndId> {
        self.worker.net().world_mut().accepted(&server_address(place))
    }

    /// What must hold of a talk, whatever happened.
    fn judge(&mut self, talk: usize) {
        let (client, servers) = (&self.clients[talk], self.servers.get(&talk));
        let servers = servers.map_or(&[][..], Vec::as_slice);
        let [client_part, server_part] = [self.parts[talk].0, self.parts[talk].1];
        let mut wrong = Vec::new();
        if servers.len() > 1 {
            wrong.push(format!("{} servers heard of it", servers.len()));
        }
        let net = self.worker.net();
        let troubled = net.world().incidents().iter().any(|incident| {
            // A reset strikes one connection; which one, only the network knows.
            matches!(
                incident.kind,
                IncidentKind::Reset
                    | IncidentKind::AcceptAborted
                    | IncidentKind::NoPort
                    | IncidentKind::ConnectFailed
                    | IncidentKind::NoDescriptor
            )
        });
        let resets = [client_part, server_part]
            .iter()
            .any(|part| matches!(part.leaves, Leaves::ResetsAfter(_)));
        wrong.extend(client.check(OTHER + talk, server_part, servers.is_empty()));
        for server in servers {
            wrong.extend(server.check(talk, client_part, false));
            if !troubled && !resets {
                for (name, side) in [("client", client), ("server", server)] {
                    if side.ended != Some(Received::End) {
                        wrong.push(format!("the {name}'s end is {:?}", side.ended));
                    }
                }
            }
        }
        if servers.is_empty() && !troubled && !resets {
            wrong.push("no server heard of it though the backup was there".to_owned());
        }
        for what in wrong {
            self.complaints.push(format!("talk {talk} {:?}: {what}", self.parts[talk]));
        }
    }

    /// Everybody goes: nothing may be left of anything.
    fn leave(&mut self) {
        let ends: Vec<EndId> = self
            .clients
            .iter()
            .chain(self.servers.values().flatten())
            .map(|speaker| speaker.end)
            .chain(self.unknown.iter().map(|(end, _)| *end))
            .collect();
        for end in ends {
            self.worker.net().world_mut().close(end);
        }
        self.worker.net().heal();
        self.worker.net().world_mut().set_reach(&server_address(0), Reach::Listening);
        let until = self.worker.now() + Duration::from_secs(120);
        while self.worker.now() < until {
            self.worker.turn(until).expect("simulated waits do not fail");
            for place in 0..2 {
                while let Some(end) = self.waiting(place) {
                    self.worker.net().world_mut().close(end);
                }
            }
        }
        let census = self.worker.census();
        let left = census.sessions
            + census.checks
            + census.buffers_held
            + census.pipes_out
            + census.alarms
            + census.tokens.saturating_sub(1);
        let held = self.worker.net().world().worker_ends();
        if left > 0 || !held.is_empty() {
            self.complaints.push(format!("left when all is silent: {census:?}, {held:?}"));
        }
        let violations = self.worker.net().world().violations().to_vec();
        self.complaints.extend(violations);
    }
}

impl Speaker {
    fn new(end: EndId, part: Part) -> Speaker {
        Speaker {
            end,
            part,
            said: 0,
            heard: Vec::new(),
            finished: false,
            refused: false,
            ended: None,
        }
    }

    /// Says and hears as much as chance and the network allow.
    fn act(&mut self, name: usize, net: &mut SimNet, rng: &mut Rng) {
        let mut world = net.world_mut();
        if self.ended == Some(Received::Broken) || world.outcome(self.end).is_none() {
            return;
        }
        let limit = match self.part.leaves {
            Leaves::Finishes => self.part.says,
            Leaves::ResetsAfter(count) => count,
        };
        let wants = (limit - self.said).min(rng.pick(&[1, 100, 5000, 50_000]));
        if wants > 0 {
            let bytes: Vec<u8> = (self.said..self.said + wants).map(|at| byte(name, at)).collect();
            let count = world.send(self.end, &bytes);
            self.said += count;
            // Then it was the send that was told of the reset.
            self.refused |= count == 0 && world.is_dead(self.end);
        } else if !self.finished {
            self.finished = true;
            match self.part.leaves {
                Leaves::Finishes => world.finish(self.end),
                Leaves::ResetsAfter(_) => {
                    world.abort(self.end);
                    self.ended = Some(Received::Broken);
                    return;
                }
            }
        }
        if self.ended.is_none() && rng.one_in(2) {
            let most = rng.pick(&[1, 100, 100_000]);
            match world.receive(self.end, &mut self.heard, most) {
                Received::Bytes(_) | Received::Nothing => {}
                Received::End if !self.refused => self.ended = Some(Received::End),
                Received::End | Received::Broken => self.ended = Some(Received::Broken),
            }
        }
    }

    /// Whether all it heard is what the other side said, and its end the other side's end.
    fn check(&self, other: usize, part: Part, alone: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(at) = (0..self.heard.len()).find(|&at| self.heard[at] != byte(other, at)) {
            wrong.push(format!("byte {at} is of something else"));
        }
        let whole = part.leaves == Leaves::Finishes && self.heard.len() == part.says;
        if self.ended == Some(Received::End) && !whole && !alone {
            wrong.push(format!("a part of {} bytes looks whole", self.heard.len()));
        }
        if alone && !self.heard.is_empty() {
            wrong.push("it heard somebody, but nobody spoke".to_owned());
        }
        wrong
    }
}

/// What stands at a place of what somebody says.
fn byte(name: usize, at: usize) -> u8 {
    u8::try_from((at * 7 + at / 251 + name * 31) % 256).expect("below 256")
}

/// Names of servers begin here.
const OTHER: usize = 100;
/// How long everybody waits between two words.
const STEP: Duration = Duration::from_millis(20);
/// Steps until everything has been said and every timeout but that of silence has passed.
const STEPS: usize = 2_000;
/// Turns that one step may take.
const TURNS_A_STEP: usize = 5_000;
