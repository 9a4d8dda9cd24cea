//! Talks between clients and servers over connections that pass unread. Both sides are driven by
//! hand, with the proxy between them on the simulated network.
//!
//! How a connection opens tells the server which client it talks to, so each byte can be traced.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use switchover::config::parse_text;
use switchover::net::sim::{EndId, Owner, Reach, Received, SimNet};
use switchover::worker::{Tuning, Worker};

use crate::common::setup::{proxy_address, server_address};
use crate::speaker::{Part, Speaker, Tempo};

/// Why connections pass unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `stream {}`: a PROXY header identifies the client.
    Stream,
    /// `h2c_tunnel`: the client identifies itself after the preface.
    Http2,
    /// `Upgrade`: the client identifies itself in its request.
    Upgrade,
}

impl Kind {
    /// The first bytes of a client.
    pub(crate) fn opening(self, talk: usize) -> Vec<u8> {
        let upgrade = "HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        match self {
            Kind::Stream => Vec::new(),
            Kind::Http2 => format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n/{talk} ").into_bytes(),
            Kind::Upgrade => format!("GET /{talk} {upgrade}").into_bytes(),
        }
    }

    /// The end of the opening of a connection to a server.
    pub(crate) fn end_of_opening(self) -> &'static [u8] {
        match self {
            Kind::Stream => b"\r\n",
            Kind::Http2 => b" ",
            Kind::Upgrade => b"\r\n\r\n",
        }
    }

    /// A server's answer to an opening.
    pub(crate) fn answer(self) -> &'static [u8] {
        match self {
            Kind::Stream | Kind::Http2 => b"",
            Kind::Upgrade => b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        }
    }

    /// The configuration of a proxy with this buffer size and this timeout for silence.
    pub(crate) fn text(self, buffer: usize, timeout: Duration) -> String {
        let servers = format!(
            "upstream g {{ server {} fail_timeout=2s; server {} backup; }}",
            server_address(0),
            server_address(1)
        );
        let (listen, timeout) = (proxy_address(), timeout.as_secs());
        match self {
            Kind::Stream => format!(
                "stream {{ {servers} server {{ listen {listen}; proxy_pass g; proxy_timeout {timeout}s;
                  proxy_connect_timeout 1s; proxy_protocol on; proxy_buffer_size {buffer}; }} }}"
            ),
            Kind::Http2 | Kind::Upgrade => format!(
                "http {{ {servers} server {{ listen {listen}; h2c_tunnel on; location / {{
                  proxy_pass http://g; proxy_connect_timeout 1s; proxy_read_timeout {timeout}s;
                  proxy_set_header Upgrade $http_upgrade;
                  proxy_set_header Connection upgrade; }} }} }}"
            ),
        }
    }
}

/// The scripts of a client and of the servers that may talk to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Talk {
    pub(crate) client: Part,
    /// By place; the second server is a backup.
    pub(crate) servers: [Part; 2],
}

/// A run: the proxy, the clients, and for each client the servers that talk to it.
pub(crate) struct Play {
    pub(crate) kind: Kind,
    pub(crate) worker: Worker<SimNet>,
    pub(crate) tempo: Tempo,
    pub(crate) talks: Vec<Talk>,
    pub(crate) clients: Vec<Speaker>,
    pub(crate) servers: BTreeMap<usize, Vec<Speaker>>,
    /// Connections to servers whose opening is incomplete.
    unknown: Vec<(EndId, Vec<u8>)>,
    pub(crate) complaints: Vec<String>,
}

impl Play {
    /// A proxy with this configuration, and no clients.
    pub(crate) fn new(
        net: SimNet,
        kind: Kind,
        text: &str,
        tuning: Tuning,
        talks: Vec<Talk>,
        tempo: Tempo,
    ) -> Play {
        let config = parse_text("simulation", text.as_bytes()).expect("it is right").config;
        let mut worker = Worker::new(net, Arc::new(config)).expect("the address is free");
        worker.tune(tuning);
        Play {
            kind,
            worker,
            tempo,
            talks,
            clients: Vec::new(),
            servers: BTreeMap::new(),
            unknown: Vec::new(),
            complaints: Vec::new(),
        }
    }

    /// All clients connect, one after the other.
    pub(crate) fn begin(&mut self) {
        for talk in 0..self.talks.len() {
            let end = self.worker.net().world_mut().dial(Owner::Hand, &proxy_address());
            let (opening, skips) = (self.kind.opening(talk), self.kind.answer().len());
            self.clients.push(Speaker::new(end, self.talks[talk].client, opening, skips));
            for _ in 0..self.tempo.steps_between() {
                self.step();
            }
        }
    }

    /// Whether each side has left and knows how the other one did.
    pub(crate) fn is_over(&mut self) -> bool {
        let servers = self.servers.values().flatten();
        self.clients.iter().chain(servers).all(Speaker::is_over)
            && self.unknown.is_empty()
            && self.worker.census().sessions == 0
    }

    /// Lets one step of time pass, and lets each side act.
    pub(crate) fn step(&mut self) {
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
            client.act(talk, world, &mut self.tempo);
        }
        for (&talk, servers) in &mut self.servers {
            for server in servers {
                server.act(OTHER + talk, world, &mut self.tempo);
            }
        }
    }

    /// Accepts connections at the servers, and finds the client of each by its opening.
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
                // Checks, and connections that break before their first byte.
                Received::End | Received::Broken => {
                    self.worker.net().world_mut().close(end);
                    continue;
                }
            }
            match self.whose(&String::from_utf8_lossy(&header)) {
                Some(talk) => {
                    let opening = self.kind.answer().to_vec();
                    let place = self.place(end);
                    let part = self.talks[talk].servers[place];
                    let server = Speaker::new(end, part, opening, 0);
                    self.servers.entry(talk).or_default().push(server);
                }
                None => self.complaints.push(format!("an opening of nobody: {header:?}")),
            }
        }
    }

    /// Reads an opening byte by byte, because what follows it belongs to the talk.
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

    /// The client that an opening identifies.
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

    /// The place of the server that holds this end.
    pub(crate) fn place(&mut self, end: EndId) -> usize {
        let local = self.worker.net().world().local(end).clone();
        usize::from(local != server_address(0))
    }

    /// The next connection that a server has not accepted yet.
    fn waiting(&mut self, place: usize) -> Option<EndId> {
        self.worker.net().world_mut().accepted(&server_address(place))
    }

    /// Closes everything and waits; then nothing may be left.
    pub(crate) fn leave(&mut self) {
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
        for place in 0..2 {
            self.worker.net().world_mut().set_reach(&server_address(place), Reach::Listening);
        }
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

/// The names of servers begin here.
pub(crate) const OTHER: usize = 100;
/// The time between two actions of a side.
pub(crate) const STEP: Duration = Duration::from_millis(20);
/// Turns that one step may take.
const TURNS_A_STEP: usize = 5_000;
