//! Groups of servers: `upstream {}`.

use std::time::Duration;

use super::health::{Announcements, Failback, HealthCheck, Queue, Resubmit, Trino};
use super::layer::Layer;
use crate::address::Address;
use crate::tls::ClientTerms;

/// One `upstream {}` block, or an address that `proxy_pass` names directly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The block's name, or the authority as written.
    pub name: Box<str>,
    /// Whether it takes requests or connections: names are unique only within a layer.
    pub layer: Layer,
    /// Its servers, one per address, in file order. Never empty, at most [`GROUP_LIMIT`].
    pub servers: Vec<Server>,
    /// `keepalive`: idle connections kept; 0 for none.
    pub keepalive: usize,
    /// `keepalive_requests`: requests one connection may carry.
    pub keepalive_requests: u64,
    /// `keepalive_time`: how long one connection may be reused.
    pub keepalive_time: Duration,
    /// `keepalive_timeout`: how long a connection may idle.
    pub keepalive_timeout: Duration,
    /// Timeout of a background connection to a server: the longest `proxy_connect_timeout` of the
    /// locations that use this group.
    pub check_timeout: Duration,
    /// `trino`.
    pub trino: Trino,
    /// `health_check`.
    pub health_check: HealthCheck,
    /// `failback`; `None` if it is not written.
    pub failback: Option<Failback>,
    /// `queue`; `None` if it is not written.
    pub queue: Option<Queue>,
    /// `trino_announcements`.
    pub announcements: Announcements,
    /// `trino_resubmit`.
    pub resubmit: Resubmit,
    /// `trino_statement_memory`: bytes of the statements that are kept.
    pub statement_memory: usize,
}

/// Servers a group may have: a request records the servers it tried as bits of one word.
pub const GROUP_LIMIT: usize = 64;

/// One address of a `server` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The name in the file, for log lines.
    pub name: Box<str>,
    /// Its address.
    pub address: Address,
    /// How TLS is spoken to it: `proxy_pass https://…`, `proxy_ssl`.
    pub tls: Option<ClientTerms>,
    /// `weight`.
    pub weight: u32,
    /// `max_fails`; 0: failures are not counted.
    pub max_fails: u32,
    /// `fail_timeout`.
    pub fail_timeout: Duration,
    /// `backup`.
    pub backup: bool,
    /// `down`: never used.
    pub down: bool,
    /// `max_conns`; 0: no limit.
    pub max_connections: u32,
}
