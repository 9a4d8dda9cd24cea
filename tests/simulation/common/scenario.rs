//! Random scenarios: servers and their fates, clients and their habits.

use std::time::Duration;

use switchover::net::sim::{
    Ask, Body, ClientPlan, Condition, Family, Faults, Leaves, Manners, Pace, Parting, Rng,
    ServerPlan, StrangerPlan, Version,
};
use switchover::time::Time;
use switchover::worker::Tuning;

use super::setup::{Setup, proxy_address, server_address};
use super::stranger::{strange_bytes, strange_records};

/// Everything that is decided before the run begins.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) setup: Setup,
    pub(crate) faults: Faults,
    pub(crate) servers: Vec<ServerPlan>,
    pub(crate) clients: Vec<ClientPlan>,
    pub(crate) strangers: Vec<StrangerPlan>,
}

impl Scenario {
    pub(crate) fn of(mut rng: Rng) -> Scenario {
        let faults = Faults::random(&mut rng);
        let mut maker = Maker { rng, faults: faults.clone(), next_id: 1 };
        let mut setup = maker.setup();
        let servers = (0..setup.backups.len()).map(|place| maker.server(place)).collect();
        let clients = (0..maker.rng.within(2..=7)).map(|_| maker.client()).collect();
        let strangers =
            if maker.faults.has(Family::Strangers) { maker.strangers() } else { vec![] };
        setup.tuning = maker.tuning();
        setup.reloads = maker.reloads();
        setup.shutdown_timeout = maker.rng.pick(&[None, Some(SHUTDOWN)]);
        Scenario { setup, faults, servers, clients, strangers }
    }

    /// Puts TLS between the proxy and its servers, which takes some time at the slowest links.
    pub(crate) fn cover_servers(&mut self, seed: u64) {
        self.setup.covers.servers = Some(seed);
        self.setup.connect_timeout = HANDSHAKE;
    }

    /// Puts TLS between the proxy and its clients. Some strangers know of it.
    pub(crate) fn cover(&mut self, seed: u64, mut rng: Rng) {
        self.setup.covers.clients = Some(seed);
        for stranger in &mut self.strangers {
            if rng.one_in(2) {
                stranger.bytes = strange_records(&mut rng);
            }
        }
    }
}

struct Maker {
    rng: Rng,
    faults: Faults,
    next_id: u32,
}

impl Maker {
    fn strikes(&mut self, family: Family) -> bool {
        self.faults.strike(family, &mut self.rng)
    }

    fn setup(&mut self) -> Setup {
        let primaries = self.rng.within(1..=2);
        let backups = self.rng.within(1..=2);
        Setup {
            max_fails: self.rng.pick(&[1, 1, 2]),
            replay_limit: self.rng.pick(&[1024, 64 * 1024]),
            send_timeout: self.rng.pick(&[Duration::from_secs(3), Duration::from_secs(6)]),
            body_timeout: Duration::from_millis(self.rng.pick(&[4_500, 6_500])),
            keepalive_timeout: self.rng.pick(&[Duration::from_secs(3), Duration::from_secs(10)]),
            ..Setup::new(primaries, backups)
        }
    }

    /// Pipes for bodies of any length, and turns that end after one round.
    fn tuning(&mut self) -> Tuning {
        Tuning {
            relay_rounds: self.rng.pick(&[16, 16, 1]),
            splice_from: self.rng.pick(&[u64::MAX, 1, 100, 1000]),
        }
    }

    fn server(&mut self, place: usize) -> ServerPlan {
        let mut calendar = Vec::new();
        for (family, condition) in [
            (Family::Refuses, Condition::Refusing),
            (Family::GoesDark, Condition::Dark),
            (Family::Dies, Condition::Dead),
            (Family::Hangs, Condition::Hanging),
        ] {
            if self.strikes(family) {
                let from = Time::ZERO + self.rng.duration(Duration::ZERO..=TROUBLE);
                let until = from + self.rng.duration(Duration::from_millis(100)..=TROUBLE);
                calendar.push((from, condition));
                calendar.push((until, Condition::Well));
            }
        }
        calendar.sort_by_key(|entry| entry.0);
        ServerPlan {
            name: u32::try_from(place).expect("there are only a few"),
            at: server_address(place),
            calendar,
            manners: Manners::Random,
        }
    }

    fn client(&mut self) -> ClientPlan {
        let asks = (0..self.rng.within(1..=4)).map(|_| self.ask()).collect();
        ClientPlan {
            to: proxy_address(),
            starts: Time::ZERO + self.rng.duration(Duration::ZERO..=TROUBLE),
            asks,
            pipeline: self.rng.pick(&[1, 1, 3]),
            sends: self.pace(Family::StalledSenders),
            reads: self.pace(Family::StalledReaders),
            lingers: self.rng.one_in(4),
            stubborn: self.rng.one_in(2),
        }
    }

    fn reloads(&mut self) -> Vec<Time> {
        let count = self.rng.pick(&[0, 0, 0, 1, 3]);
        let mut times: Vec<Time> =
            (0..count).map(|_| Time::ZERO + self.rng.duration(Duration::ZERO..=TROUBLE)).collect();
        times.sort();
        times
    }

    fn strangers(&mut self) -> Vec<StrangerPlan> {
        (0..self.rng.within(1..=3))
            .map(|_| StrangerPlan {
                to: proxy_address(),
                starts: Time::ZERO + self.rng.duration(Duration::ZERO..=TROUBLE),
                bytes: strange_bytes(&mut self.rng),
                sends: self.pace(Family::StalledSenders),
                then: self.rng.pick(&[Parting::Stays, Parting::Finishes, Parting::Resets]),
            })
            .collect()
    }

    fn pace(&mut self, stalls: Family) -> Pace {
        if self.strikes(stalls) {
            let least = self.rng.pick(&[Duration::from_millis(500), STALL - NEARLY]);
            let pause = self.rng.duration(least..=STALL);
            let most = self.rng.pick(&[60, 200, 2000]);
            Pace::Stalls { after: self.rng.within(1..=most), pause }
        } else if self.strikes(Family::SlowDrip) {
            let (bytes, most) = self.rng.pick(&[(1, 5), (7, 20), (100, 100), (1000, 500)]);
            let pause = self.rng.duration(Duration::ZERO..=Duration::from_millis(most));
            Pace::Drips { bytes, pause }
        } else {
            Pace::AtOnce
        }
    }

    fn ask(&mut self) -> Ask {
        let method = self.rng.pick(&["GET", "GET", "GET", "HEAD", "PUT", "POST", "POST", "DELETE"]);
        let version = self.rng.pick(&[
            Version::Http11,
            Version::Http11,
            Version::Http11,
            Version::Http11Close,
            Version::Http10,
            Version::Http10KeepAlive,
        ]);
        let old = matches!(version, Version::Http10 | Version::Http10KeepAlive);
        let length = self.rng.pick(&[0, 1, 100, 900, 3000, 5000]);
        let body = match method {
            "PUT" | "POST" if !old && self.rng.one_in(2) => match self.rng.one_in(8) {
                true => Body::Misframed(length),
                false => Body::Chunked(length),
            },
            "PUT" | "POST" => Body::Sized(length),
            _ if self.rng.one_in(10) => Body::Sized(length),
            _ => Body::Nothing,
        };
        let leaves = if self.strikes(Family::ClientsLeave) {
            let count = self.rng.within(0..=800);
            self.rng.pick(&[Leaves::AfterSending(count), Leaves::AfterReceiving(count)])
        } else if self.strikes(Family::HalfCloses) {
            Leaves::HalfCloses
        } else {
            Leaves::Never
        };
        let thinks = if self.rng.one_in(3) { THINKS } else { Duration::ZERO };
        self.next_id += 1;
        Ask {
            id: self.next_id - 1,
            method,
            version,
            body,
            expects: !old && body != Body::Nothing && self.rng.one_in(4),
            thinks: self.rng.duration(Duration::ZERO..=thinks),
            leaves,
        }
    }
}

/// The time in which trouble begins and clients connect; no trouble lasts longer.
const TROUBLE: Duration = Duration::from_secs(7);
/// How long exchanges from before a reload may last, which is shorter than many of them.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// Longer than a handshake takes over the slowest link with the smallest buffers.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// The longest stall of a client, which exceeds every timeout for it.
const STALL: Duration = Duration::from_secs(9);
/// Half of all stalls are within this time of the longest.
const NEARLY: Duration = Duration::from_secs(1);
/// The longest pause of a client before a request, shorter than every timeout for a client.
const THINKS: Duration = Duration::from_secs(2);
