//! The configuration of a simulated proxy: one listener, one location, one group.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use switchover::address::Address;
use switchover::config::model::Config;
use switchover::config::parse_text_beside;
use switchover::net::sim::{Rng, SimNet};
use switchover::time::Time;
use switchover::worker::Tuning;

/// The variable parts of a simulated proxy. The timeouts are short, and differ enough to tell which
/// of them fired.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// For each server, whether it is a backup.
    pub(crate) backups: Vec<bool>,
    pub(crate) max_fails: u32,
    pub(crate) fail_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) keepalive_timeout: Duration,
    pub(crate) upstream_keepalive_timeout: Duration,
    pub(crate) lingering_time: Duration,
    pub(crate) lingering_timeout: Duration,
    pub(crate) worker_connections: usize,
    pub(crate) buffer_memory: usize,
    pub(crate) tries: u32,
    pub(crate) next_timeout: Option<Duration>,
    pub(crate) replay_limit: usize,
    /// When the configuration is reloaded. Not in the file.
    pub(crate) reloads: Vec<Time>,
    /// `worker_shutdown_timeout`.
    pub(crate) shutdown_timeout: Option<Duration>,
    /// Where TLS is spoken.
    pub(crate) covers: Covers,
    /// How bytes are moved. Not in the file.
    pub(crate) tuning: Tuning,
}

impl Setup {
    /// A proxy with this many primaries and backups.
    pub(crate) fn new(primaries: usize, backups: usize) -> Setup {
        let is_backup = |place| place >= primaries;
        Setup {
            backups: (0..primaries + backups).map(is_backup).collect(),
            max_fails: 1,
            fail_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(1),
            read_timeout: Duration::from_secs(5),
            send_timeout: Duration::from_secs(6),
            header_timeout: Duration::from_secs(4),
            body_timeout: Duration::from_millis(4_500),
            keepalive_timeout: Duration::from_secs(10),
            upstream_keepalive_timeout: Duration::from_secs(8),
            lingering_time: Duration::from_secs(7),
            lingering_timeout: Duration::from_secs(2),
            worker_connections: 1024,
            buffer_memory: 256 << 20,
            tries: 0,
            next_timeout: None,
            replay_limit: 64 * 1024,
            reloads: Vec::new(),
            shutdown_timeout: None,
            covers: Covers::default(),
            tuning: Tuning::default(),
        }
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        let text = self.text();
        match parse_text_beside("simulation", text.as_bytes(), &PEMS) {
            Ok(loaded) => Arc::new(loaded.config),
            Err(error) => panic!("{error}\n{text}"),
        }
    }

    /// The file, as an operator would write it.
    fn text(&self) -> String {
        let millis = |timeout: Duration| format!("{}ms", timeout.as_millis());
        let next = match self.next_timeout {
            Some(timeout) => format!("proxy_next_upstream_timeout {};", millis(timeout)),
            None => String::new(),
        };
        let shutdown = match self.shutdown_timeout {
            Some(timeout) => format!("worker_shutdown_timeout {};", millis(timeout)),
            None => String::new(),
        };
        format!(
            "{shutdown} events {{ worker_connections {connections}; worker_buffer_memory {memory}; }}
            http {{
                access_log off;
                upstream group {{
                    {servers}
                    keepalive 32;
                    keepalive_timeout {upstream_keepalive};
                }}
                server {{
                    listen {listen}{tls};
                    client_header_timeout {header};
                    client_body_timeout {body};
                    send_timeout {send};
                    keepalive_timeout {keepalive};
                    lingering_time {lingering_time};
                    lingering_timeout {lingering_timeout};
                    location / {{
                        proxy_pass {pass};
                        proxy_connect_timeout {connect};
                        proxy_read_timeout {read};
                        proxy_send_timeout {send};
                        proxy_next_upstream error timeout invalid_header;
                        proxy_next_upstream_tries {tries};
                        {next}
                        proxy_replay_buffer_size {replay};
                    }}
                }}
            }}",
            connections = self.worker_connections,
            memory = self.buffer_memory,
            servers = self.servers(),
            upstream_keepalive = millis(self.upstream_keepalive_timeout),
            listen = proxy_address(),
            tls = self.covers.listen(),
            pass = self.pass(),
            header = millis(self.header_timeout),
            body = millis(self.body_timeout),
            send = millis(self.send_timeout),
            keepalive = millis(self.keepalive_timeout),
            lingering_time = millis(self.lingering_time),
            lingering_timeout = millis(self.lingering_timeout),
            connect = millis(self.connect_timeout),
            read = millis(self.read_timeout),
            tries = self.tries,
            replay = self.replay_limit,
        )
    }

    /// How servers are reached.
    fn pass(&self) -> String {
        match self.covers.servers {
            None => "http://group".to_owned(),
            Some(seed) => {
                let reuse = if seed.is_multiple_of(2) { "on" } else { "off" };
                format!("https://group; {PROXY_SSL} proxy_ssl_session_reuse {reuse}")
            }
        }
    }

    fn servers(&self) -> String {
        let mut lines = String::new();
        for (place, backup) in self.backups.iter().enumerate() {
            let backup = if *backup { "backup" } else { "" };
            let (at, fails) = (server_address(place), self.max_fails);
            let timeout = self.fail_timeout.as_secs();
            writeln!(lines, "server {at} max_fails={fails} fail_timeout={timeout}s {backup};")
                .expect("writing to a string");
        }
        lines
    }
}

/// Where TLS is spoken: the seeds of the actors' habits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Covers {
    pub(crate) clients: Option<u64>,
    pub(crate) servers: Option<u64>,
}

impl Covers {
    /// What follows the address of a listener.
    pub(crate) fn listen(self) -> &'static str {
        match self.clients {
            None => "",
            Some(_) if self.are_proxied() => PROXIED_SSL,
            Some(_) => SSL,
        }
    }

    /// Whether clients that speak TLS send a PROXY header before.
    fn are_proxied(self) -> bool {
        self.clients.is_some_and(|seed| seed.is_multiple_of(4))
    }

    /// Covers these many servers, and the proxy.
    pub(crate) fn put_over(self, servers: usize, net: &SimNet) {
        let mut world = net.world_mut();
        if let Some(seed) = self.clients {
            world.cover(&proxy_address(), IDENTITY, Rng::new(seed));
            if self.are_proxied() {
                world.precede(&proxy_address(), HEADER);
            }
        }
        if let Some(seed) = self.servers {
            let mut rng = Rng::new(seed);
            for place in 0..servers {
                world.cover(&server_address(place), IDENTITY, rng.fork());
            }
        }
    }
}

/// What follows the address of a listener with TLS.
const SSL: &str = " ssl; ssl_certificate certificate.pem; ssl_certificate_key key.pem";
/// The same with a PROXY header before.
const PROXIED_SSL: &str =
    " ssl proxy_protocol; ssl_certificate certificate.pem; ssl_certificate_key key.pem";
/// That header.
const HEADER: &[u8] = b"PROXY TCP4 10.0.0.1 10.0.0.9 1 443\r\n";
/// What the proxy trusts in its servers.
pub(crate) const PROXY_SSL: &str =
    "proxy_ssl_trusted_certificate certificate.pem; proxy_ssl_name sim.example;";
/// A test certificate, valid until 2125, and its key, which has signatures of one length.
pub(crate) const PEMS: [(&str, &[u8]); 2] =
    [("certificate.pem", IDENTITY.0), ("key.pem", IDENTITY.1)];
pub(crate) const IDENTITY: (&[u8], &[u8]) =
    (include_bytes!("pem/certificate.pem"), include_bytes!("pem/key.pem"));

pub(crate) fn proxy_address() -> Address {
    Address::Inet(([10, 0, 0, 9], 80).into())
}

pub(crate) fn server_address(place: usize) -> Address {
    let last = u8::try_from(place + 1).expect("there are only a few");
    Address::Inet(([10, 0, 1, last], 8080).into())
}
