//! Talks between clients and servers over connections that pass unread. Both sides are driven by
//! hand, with the proxy between them on the simulated network.
//!
//! How a connection opens tells the server which client it talks to, so each byte can be traced.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use switchover::config::parse_text_beside;
use switchover::net::sim::{Channel, EndId, Owner, Reach, Received, SimNet};
use switchover::worker::{Tuning, Worker};

use crate::common::setup::{Covers, PEMS, PROXY_SSL, proxy_address, server_address};
use crate::speaker::{Part, Speaker, Tempo};

/// Why connections pass unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `stream {}`: a PROXY header identifies the client.
    Stream,
    /// `stream {}` with TLS to servers: they speak first, and the client identifies itself.
    Covered,
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
            Kind::Covered => format!("/{talk} ").into_bytes(),
            Kind::Http2 => format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n/{talk} ").into_bytes(),
            Kind::Upgrade => format!("GET /{talk} {upgrade}").into_bytes(),
        }
    }

    /// The length of the opening of a connection to a server, of which these bytes have come.
    fn length_of_opening(self, come: &[u8]) -> Option<usize> {
        let (preface, end): (usize, &[u8]) = match self {
            Kind::Stream => (1, b"\r\n"),
            Kind::Covered => (1, b" "),
            Kind::Http2 => (24, b" "),
            Kind::Upgrade => (1, b"\r\n\r\n"),
        };
        (preface + 1..=come.len()).find(|length| come[..*length].ends_with(end))
    }

    /// A server's answer to an opening.
    pub(crate) fn answer(self) -> &'static [u8] {
        match self {
            Kind::Stream | Kind::Http2 => b"",
            Kind::Covered => b"hello ",
            Kind::Upgrade => b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        }
    }

    /// The configuration of a proxy with this buffer size, this timeout for silence, and TLS at these
    /// places.
    pub(crate) fn text(self, buffer: usize, timeout: Duration, covers: Covers) -> String {
        let servers = format!(
            "upstream g {{ server {} fail_timeout=2s; server {} backup; }}",
            server_address(0),
            server_address(1)
        );
        let (listen, timeout) = (proxy_address(), timeout.as_secs());
        let ssl = covers.listen();
        // A handshake takes long over the slowest links.
        let (http, to_servers) = match covers.servers {
            Some(_) => ("https", format!("proxy_connect_timeout 3s; {PROXY_SSL}")),
            None => ("http", "proxy_connect_timeout 1s;".to_owned()),
        };
        match self {
            Kind::Stream | Kind::Covered => {
                let says = if self == Kind::Stream { "proxy_protocol on" } else { "proxy_ssl on" };
                format!(
                    "stream {{ {servers} server {{ listen {listen}{ssl}; proxy_pass g; {says};
                      {to_servers} proxy_timeout {timeout}s; proxy_buffer_size {buffer}; }} }}"
                )
            }
            Kind::Http2 | Kind::Upgrade => format!(
                "http {{ {servers} server {{ listen {listen}{ssl}; h2c_tunnel on; location / {{
                  proxy_pass {http}://g; {to_servers} proxy_read_timeout {timeout}s;
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

/// A connection to a server whose opening is incomplete.
struct Unknown {
    channel: Channel,
    /// What has come of it.
    header: Vec<u8>,
    /// What is still to be said before it is whole.
    greeting: &'static [u8],
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
    unknown: Vec<Unknown>,
    pub(crate) complaints: Vec<String>,
    /// Into how many parts a step is divided.
    pub(crate) pace: u32,
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
        covers: Covers,
    ) -> Play {
        covers.put_over(2, &net);
        let config = parse_text_beside("simulation", text.as_bytes(), &PEMS);
        let config = config.expect("it is right").config;
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
            pace: if covers == Covers::default() { 1 } else { COVERED_PACE },
        }
    }

    /// All clients connect, one after the other.
    pub(crate) fn begin(&mut self) {
        for talk in 0..self.talks.len() {
            let net = self.worker.net();
            let channel = Channel::dial(Owner::Hand, &proxy_address(), &mut net.world_mut());
            let (opening, skips) = (self.kind.opening(talk), self.kind.answer().len());
            let mut client = Speaker::new(channel, self.talks[talk].client, opening, skips);
            // Every second one waits for what its server says first.
            client.waits = self.kind == Kind::Covered && talk.is_multiple_of(2);
            self.clients.push(client);
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
        let until = self.worker.now() + STEP / self.pace;
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
                let channel = Channel::accepted(end, &mut self.worker.net().world_mut());
                let greeting = if self.kind == Kind::Covered { self.kind.answer() } else { b"" };
                self.unknown.push(Unknown { channel, header: Vec::new(), greeting });
            }
        }
        for mut unknown in std::mem::take(&mut self.unknown) {
            match self.read_opening(&mut unknown) {
                Received::Bytes(_) => {}
                Received::Nothing => {
                    self.unknown.push(unknown);
                    continue;
                }
                // Checks, and connections that break before their first byte.
                Received::End | Received::Broken => {
                    unknown.channel.close(&mut self.worker.net().world_mut());
                    continue;
                }
            }
            let Unknown { channel, mut header, greeting } = unknown;
            let length = self.kind.length_of_opening(&header).expect("it is whole");
            let heard = header.split_off(length);
            match self.whose(&String::from_utf8_lossy(&header)) {
                Some(talk) => {
                    let opening = match self.kind {
                        Kind::Covered => greeting,
                        Kind::Stream | Kind::Http2 | Kind::Upgrade => self.kind.answer(),
                    };
                    let opening = opening.to_vec();
                    let place = self.place(channel.end());
                    let part = self.talks[talk].servers[place];
                    let mut server = Speaker::new(channel, part, opening, 0);
                    server.heard = heard;
                    self.servers.entry(talk).or_default().push(server);
                }
                None => self.complaints.push(format!("an opening of nobody: {header:?}")),
            }
        }
    }

    /// Reads an opening byte by byte, because what follows it belongs to the talk. A record may bring
    /// more.
    fn read_opening(&mut self, unknown: &mut Unknown) -> Received {
        let mut world = self.worker.net().world_mut();
        let Unknown { channel, header, greeting } = unknown;
        channel.flush(&mut world);
        if !greeting.is_empty() {
            *greeting = &greeting[channel.send(greeting, &mut world)..];
        }
        loop {
            let received = channel.receive(header, 1, &mut world);
            let is_whole = self.kind.length_of_opening(header).is_some();
            if is_whole || !matches!(received, Received::Bytes(_)) {
                return received;
            }
        }
    }

    /// The client that an opening identifies.
    fn whose(&mut self, opening: &str) -> Option<usize> {
        match self.kind {
            Kind::Stream => {
                let port = opening.split(' ').nth(4)?.parse::<u16>().ok();
                let ends: Vec<EndId> = self.clients.iter().map(Speaker::end).collect();
                let world = self.worker.net().world();
                ends.iter().position(|end| world.local(*end).port() == port)
            }
            Kind::Covered | Kind::Http2 => opening.rsplit('/').next()?.trim().parse().ok(),
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
            .map(Speaker::end)
            .chain(self.unknown.iter().map(|unknown| unknown.channel.end()))
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
/// Over TLS, sides act more often: a handshake has to cross sockets that hold a few bytes.
const COVERED_PACE: u32 = 4;
/// Turns that one step may take.
const TURNS_A_STEP: usize = 5_000;
