//! Clients that send one query after another, and what becomes of each query.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::client::{Client, Wait};
use crate::query::{PACE, Paced};

/// Clients in all.
pub(crate) const CLIENTS: u32 = 20;

/// How many of them send long queries: 3 to 7 s, where short ones take 0.4 s.
pub(crate) const LONG: u32 = 8;

/// What a query came to.
pub(crate) struct Sent {
    /// When the client sent it.
    pub(crate) asked: Instant,
    /// When the client had its first rows, if it had any.
    pub(crate) first_rows: Option<Instant>,
    /// When the client had its end.
    pub(crate) ended: Instant,
    /// Whether that was the right result.
    pub(crate) fate: Fate,
}

/// How a query ended.
pub(crate) enum Fate {
    /// With the right rows.
    Right,
    /// In any other way.
    Lost(String),
}

/// Clients at work.
pub(crate) struct Load {
    /// Tells them to ask no more.
    stop: Arc<AtomicBool>,
    /// Each one's thread.
    clients: Vec<JoinHandle<Log>>,
}

/// All that clients saw.
#[derive(Default)]
pub(crate) struct Log {
    /// Queries.
    pub(crate) sent: Vec<Sent>,
    /// Waits for single answers.
    pub(crate) waits: Vec<Wait>,
}

impl Load {
    /// Sets all clients to work.
    pub(crate) fn start(at: SocketAddr) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |n| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || work(at, n, &stop))
        };
        Load { clients: (0..CLIENTS).map(client).collect(), stop }
    }

    /// Lets running queries end, and tells what became of all.
    pub(crate) fn stop(self) -> Log {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Log::default();
        for client in self.clients {
            let log = client.join().expect("clients never panic");
            all.sent.extend(log.sent);
            all.waits.extend(log.waits);
        }
        all
    }
}

/// One client's work.
fn work(at: SocketAddr, number: u32, stop: &AtomicBool) -> Log {
    let mut client = Client::new(at);
    let mut sent = Vec::new();
    // Long queries differ in length, so that they never end all at once.
    let rows = u64::from(if number < LONG { 15 + 3 * number } else { 2 });
    // Nor are all polls answered at once.
    thread::sleep(PACE * number / CLIENTS);
    for factor in (u64::from(CLIENTS + number)..).step_by(CLIENTS as usize) {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        // No two results are equal.
        sent.push(send(&mut client, Paced { factor, rows }));
    }
    Log { sent, waits: client.waits }
}

/// Sends a query and compares its result with the right one.
fn send(client: &mut Client, query: Paced) -> Sent {
    let asked = Instant::now();
    let fate = match client.query(&query.sql()) {
        Ok(result) if result.rows == query.result() => Fate::Right,
        Ok(result) => Fate::Lost(format!("wrong rows: {:?}", result.rows)),
        Err(why) => Fate::Lost(why.to_string()),
    };
    Sent { asked, first_rows: client.first_rows, ended: Instant::now(), fate }
}
