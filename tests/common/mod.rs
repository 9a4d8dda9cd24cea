//! The harness: a proxy process, and scripted servers and clients that see every byte.
//!
//! `PROXY_UNDER_TEST=/usr/sbin/nginx cargo test` runs the same tests against nginx, which tests the
//! tests. The kernel chooses ports, which stay reserved. No test sleeps, and every wait ends after
//! [`PATIENCE`].

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test file uses its own part of the harness"
)]
#![allow(clippy::disallowed_methods, reason = "tests live in real time; only decisions may not")]

mod client;
mod coordinator;
pub mod hostile;
mod message;
mod port;
mod proxy;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tls")]
mod trusting;
mod upstream;
mod wire;

use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

pub use client::Client;
pub use coordinator::{Coordinator, Mind};
pub use message::{Framing, Message, Reader};
pub use port::Port;
pub use proxy::{
    Program, Proxy, Run, binary, directory, fifo, installed, is_nginx, nginx, run, run_to_end,
    run_with, signal,
};
pub use upstream::{Connection, Upstream};
pub use wire::Wire;

/// How long a test waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for a condition that no event announces.
pub fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// A gate for scripts: each call returns once the test has sent something or dropped its end. The
/// gate waits longer than [`PATIENCE`], so that an impatient test fails first.
pub fn gate() -> (mpsc::Sender<()>, impl Fn() -> io::Result<()> + Send + Sync + 'static) {
    let (open, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let pass = move || match gate.lock().expect("no player panics").recv_timeout(PATIENCE * 2) {
        Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(()),
    };
    (open, pass)
}

/// Whether this test must be skipped: nginx itself is under test, and behaves differently.
pub fn nginx_differs(how: &str) -> bool {
    if is_nginx() {
        eprintln!("skipped: nginx {how}");
    }
    is_nginx()
}

/// Whether failures are accepted, because nginx itself is under test and is laxer. Prints them.
pub fn accept_as_laxer(failures: &[String]) -> bool {
    if is_nginx() {
        eprintln!("nginx is laxer:\n{}", failures.join("\n"));
    }
    is_nginx()
}

/// A 200 with `Content-Length` and this body.
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A GET of `path` with no field but `Host`.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes()
}

/// A POST of `body` to `path`, framed by its length.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// The directives of a location that allows upgrades, a request for one, and the response to it.
pub const UPGRADES: &str =
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
pub const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
pub const SWITCHED: &str = "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
