//! Connections that pass unread, on the simulated network: random talks between clients and
//! servers, both worked by hand, and what must hold of each whatever the network does.
//!
//! Servers learn from how a connection opens which client they talk to, so that each byte can be
//! traced.

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

/// How connections come to pass unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `stream {}`; a PROXY header tells of the client.
    Stream,
    /// `h2c_tunnel`; the client tells of itself behind the preface.
    Http2,
    /// HTTP's `Upgrade`; the client tells of itself in its request.
    Upgrade,
}

impl Kind {
    /// What a client begins with.
    fn opening(self, talk: usize) -> Vec<u8> {
        let upgrade = "HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        match self {
            Kind::Stream => Vec::new(),
            Kind::Http2 => format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n/{talk} ").into_bytes(),
            Kind::Upgrade => format!("GET /{talk} {upgrade}").into_bytes(),
        }
    }

    /// What ends the opening of a connection to a server.
    fn end_of_opening(self) -> &'static [u8] {
        match self {
            Kind::Stream => b"\r\n",
            Kind::Http2 => b" ",
            Kind::Upgrade => b"\r\n\r\n",
        }
    }

    /// What a server answers an opening with.
    fn answer(self) -> &'static [u8] {
        match self {
            Kind::Stream | Kind::Http2 => b"",
            Kind::Upgrade => b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        }
    }

    /// The file of a proxy for it.
    fn text(self, buffer: usize) -> String {
        let servers = format!(
            "upstream g {{ server {} fail_timeout=2s; server {} backup; }}",
            server_address(0),
            server_address(1)
        );
        let listen = proxy_address();
        match self {
            Kind::Stream => format!(
                "stream {{ {servers} server {{ listen {listen}; proxy_pass g; proxy_timeout 60s;
                  proxy_connect_timeout 1s; proxy_protocol on; proxy_buffer_size {buffer}; }} }}"
            ),
            Kind::Http2 | Kind::Upgrade => format!(
                "http {{ {servers} server {{ listen {listen}; h2c_tunnel on; location / {{
                  proxy_pass http://g; proxy_connect_timeout 1s; proxy_read_timeout 60s;
                  proxy_set_header Upgrade $http_upgrade;
                  proxy_set_header Connection upgrade; }} }} }}"
            ),
        }
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
    /// What it has to say first, and how much of what it hears is not the other's word.
    opening: Vec<u8>,
    skips: usize,
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
    kind: Kind,
    /// The primary's state changes in this run, and tunnels that follow it are closed then.
    restless: bool,
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
        let kind = rng.pick(&[Kind::Stream, Kind::Stream, Kind::Http2, Kind::Upgrade]);
        let text = kind.text(rng.pick(&[64, 4096, 16384]));
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
            kind,
            restless: reach != Reach::Listening,
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
            let (opening, skips) = (self.kind.opening(talk), self.kind.answer().len());
            self.clients.push(Speaker::new(end, self.parts[talk].0, opening, skips));
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
            match self.read_opening(end, &mut header) {
                Received::Bytes(_) => {}
                Received::Nothing => {
                    self.unknown.push((end, header));
                    continue;
                }
                // Background connections, and those that break before their first word.
                Received::End | Received::Broken => {
                    self.worker.net().world_mut().close(end);
                    continue;
                }
            }
            match self.whose(&String::from_utf8_lossy(&header)) {
                Some(talk) => {
                    let opening = self.kind.answer().to_vec();
                    let server = Speaker::new(end, self.parts[talk].1, opening, 0);
                    self.servers.entry(talk).or_default().push(server);
                }
                None => self.complaints.push(format!("an opening of nobody: {header:?}")),
            }
        }
    }

    /// Reads an opening to its end, a byte at a time: what follows belongs to the talk.
    fn read_opening(&mut self, end: EndId, header: &mut Vec<u8>) -> Received {
        let preface = if self.kind == Kind::Http2 { 24 } else { 1 };
        loop {
            let received = self.worker.net().world_mut().receive(end, header, 1);
            let whole = header.len() > preface && header.ends_with(self.kind.end_of_opening());
            if whole || !matches!(received, Received::Bytes(_)) {
                return received;
            }
        }
    }

    /// Which client an opening speaks of.
    fn whose(&mut self, opening: &str) -> Option<usize> {
        match self.kind {
            Kind::Stream => {
                let port = opening.split(' ').nth(4)?.parse::<u16>().ok();
                let ends: Vec<EndId> = self.clients.iter().map(|client| client.end).collect();
                let world = self.worker.net().world();
                ends.iter().position(|end| world.local(*end).port() == port)
            }
            Kind::Http2 => opening.rsplit('/').next()?.trim().parse().ok(),
            Kind::Upgrade => opening.split(['/', ' ']).nth(2)?.parse().ok(),
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
        // A request whose server broke before its 101 may go to another; what follows may not.
        let talks = |server: &&Speaker| self.kind != Kind::Upgrade || !server.heard.is_empty();
        let heard = servers.iter().filter(talks).count();
        if heard > 1 {
            wrong.push(format!("{heard} servers heard of it"));
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
        // Before its 101 a server that resets has failed, and is out for others.
        let fails = |(_, server): &(Part, Part)| server.leaves != Leaves::Finishes;
        let troubled = match self.kind {
            Kind::Stream => troubled,
            Kind::Http2 => troubled || self.restless,
            Kind::Upgrade => troubled || self.parts.iter().any(fails),
        };
        let resets = [client_part, server_part]
            .iter()
            .any(|part| matches!(part.leaves, Leaves::ResetsAfter(_)));
        wrong.extend(client.check(OTHER + talk, server_part, servers.is_empty()));
        for server in servers {
            let abandoned = self.kind == Kind::Upgrade && server.heard.is_empty();
            if abandoned && servers.len() > 1 {
                continue;
            }
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
    fn new(end: EndId, part: Part, opening: Vec<u8>, skips: usize) -> Speaker {
        Speaker {
            end,
            part,
            opening,
            skips,
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
        if !self.opening.is_empty() {
            let count = world.send(self.end, &self.opening);
            self.opening.drain(..count);
            self.refused |= count == 0 && world.is_dead(self.end);
        }
        let limit = match self.part.leaves {
            _ if !self.opening.is_empty() => self.said,
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
        } else if !self.finished && self.opening.is_empty() && self.heard.len() >= self.skips {
            // Who finished before the 101 would be taken for one who has left.
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
        // Who was not carried anywhere may have been told so in HTTP.
        let told = self.heard.starts_with(b"HTTP/1.1 50");
        if alone || told {
            if !told && !self.heard.is_empty() {
                wrong.push("it heard somebody, but nobody spoke".to_owned());
            }
            return wrong;
        }
        let heard = self.heard.get(self.skips..).unwrap_or_default();
        if let Some(at) = (0..heard.len()).find(|&at| heard[at] != byte(other, at)) {
            wrong.push(format!("byte {at} is of something else"));
        }
        let whole = part.leaves == Leaves::Finishes && heard.len() == part.says;
        if self.ended == Some(Received::End) && !whole {
            wrong.push(format!("a part of {} bytes looks whole", heard.len()));
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
