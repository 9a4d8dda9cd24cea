//! What waiting costs: clients that ask nothing, requests without an answer, tunnels without bytes.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::load::{Load, Then, Work};
use crate::proxy::{ALL, Program, Proxy};
#[cfg(feature = "tls")]
use crate::tls::Handshake;
use crate::wire::Through;

/// Prints the rows.
pub(crate) fn print(origin: SocketAddr) -> io::Result<()> {
    let mut rows = [
        "| in all, fresh, MB |".to_owned(),
        format!("| in all, with {IDLE} clients that have asked once, MB |"),
        format!("| in all, {SETTLED:?} after they have left, MB |"),
    ];
    let mut waits: Vec<String> =
        WAITS.iter().map(|(words, ..)| format!("| each of {WAITING} {words}, KB |")).collect();
    for program in ALL {
        let [fresh, idle, after] = idle_clients(program, origin)?;
        for (row, bytes) in rows.iter_mut().zip([fresh, idle, after]) {
            *row += &format!(" {:.1} |", bytes as f64 / 1e6);
        }
        for (row, (_, work, answers)) in waits.iter_mut().zip(WAITS) {
            *row += &format!(" {:.1} |", waiting(program, origin, *work, *answers)? / 1e3);
        }
    }
    rows.iter().chain(&waits).for_each(|row| println!("{row}"));
    Ok(())
}

/// Before any client, with all of them, and when they have left.
fn idle_clients(program: Program, origin: SocketAddr) -> io::Result<[u64; 3]> {
    let proxy = Proxy::start(program, origin)?;
    let fresh = proxy.memory();
    let mut load = Load::begin(&proxy, Work { connections: IDLE, ..GET })?;
    load.until_answered(IDLE)?;
    thread::sleep(SETTLED);
    let idle = proxy.memory();
    drop(load);
    thread::sleep(SETTLED);
    Ok([fresh, idle, proxy.memory()])
}

/// What each connection adds, in bytes, once so many are answered.
fn waiting(program: Program, origin: SocketAddr, work: Work, answers: usize) -> io::Result<f64> {
    let proxy = Proxy::start(program, origin)?;
    let mut warm = Load::begin(&proxy, GET)?;
    warm.until_answered(1)?;
    let before = proxy.memory();
    let mut load = Load::begin(&proxy, work)?;
    load.until_answered(answers)?;
    thread::sleep(SETTLED);
    let after = proxy.memory();
    drop((warm, load));
    Ok((after as f64 - before as f64) / work.connections as f64)
}

/// What connections wait for, and how many are answered before.
const WAITS: &[(&str, Work, usize)] = &[
    ("requests at a slow server", SLOW, 0),
    ("idle upgraded connections", UPGRADE, 0),
    #[cfg(feature = "tls")]
    ("idle clients over TLS", OVER_TLS, WAITING),
];
const GET: Work = Work {
    through: Through::Http,
    first: b"",
    request: super::GET,
    body: 0,
    connections: 1,
    then: Then::Rest,
};
const SLOW: Work = Work {
    through: Through::Http,
    first: b"",
    request: b"GET /slow HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\n\
        Accept: */*\r\n\r\n",
    body: 0,
    connections: WAITING,
    then: Then::Rest,
};
const UPGRADE: Work = Work {
    through: Through::Http,
    first: b"",
    request: b"GET /upgrade HTTP/1.1\r\nHost: localhost:8080\r\nConnection: upgrade\r\n\
        Upgrade: test\r\n\r\n",
    body: 0,
    connections: WAITING,
    then: Then::Rest,
};
#[cfg(feature = "tls")]
const OVER_TLS: Work =
    Work { through: Through::Tls(Handshake::Ecdsa), connections: WAITING, ..GET };
/// As many as `worker_connections` leave room for, with those to servers.
const IDLE: usize = 9_900;
const WAITING: usize = 1_000;
/// How long nothing happens before it is looked.
const SETTLED: Duration = Duration::from_secs(2);
