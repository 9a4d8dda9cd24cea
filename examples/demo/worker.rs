//! A stand-in for a Trino worker: all it does is to announce itself through the proxy.

use std::net::SocketAddr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::discovery::VERSION;
use crate::http::Connection;

/// The worker's node id.
pub(crate) const NAME: &str = "worker-1";

/// How often it announces itself. Trino's workers do every 5 to 8 s; a demo has less time.
const INTERVAL: Duration = Duration::from_secs(1);

/// Announces itself until dropped.
pub(crate) struct Worker {
    /// Its end is the thread's.
    stop: Option<mpsc::Sender<()>>,
    /// Announces.
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Announces the worker at `at` through the proxy.
    pub(crate) fn announcing_through(proxy: SocketAddr, at: SocketAddr) -> Worker {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            loop {
                // A failed announcement is made good by the next one.
                let _ = announce(proxy, at);
                match stopped.recv_timeout(INTERVAL) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Worker { stop: Some(stop), thread: Some(thread) }
    }
}

/// Announces the worker once.
fn announce(proxy: SocketAddr, at: SocketAddr) -> std::io::Result<()> {
    let body = format!(
        r#"{{"environment":"demo","pool":"general","location":"/{NAME}","services":[{{"id":"{NAME}","type":"trino","properties":{{"node_version":"{VERSION}","coordinator":"false","http":"http://{at}"}}}}]}}"#
    );
    Connection::open(proxy)?.ask("PUT", &format!("/v1/announcement/{NAME}"), &body).map(drop)
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
