//! Where clients connect.

use std::time::Duration;

use super::ids::{StreamServerId, VirtualServerId};
use crate::address::Address;

/// One socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address. Port 0 lets the kernel choose one.
    pub address: Address,
    /// Connections the kernel may queue before they are accepted.
    pub backlog: u32,
    /// `SO_RCVBUF`, in bytes.
    pub receive_buffer: Option<usize>,
    /// `SO_SNDBUF`, in bytes.
    pub send_buffer: Option<usize>,
    /// `so_keepalive`.
    pub keepalive: Option<TcpKeepalive>,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// `IPV6_V6ONLY`, for IPv6 addresses; nginx's default is on.
    pub ipv6_only: bool,
    /// `proxy_protocol`: every connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// `ssl`: every connection begins with a TLS handshake, after the PROXY header if there is one.
    pub tls: bool,
    /// Who may connect.
    pub purpose: Purpose,
    /// The servers behind this socket.
    pub serves: Serves,
}

impl Listen {
    /// A socket for clients, with the defaults.
    pub fn new(address: Address, serves: Serves) -> Listen {
        Listen {
            address,
            backlog: BACKLOG,
            receive_buffer: None,
            send_buffer: None,
            keepalive: None,
            reuse_port: false,
            ipv6_only: true,
            proxy_protocol: false,
            tls: false,
            purpose: Purpose::Clients,
            serves,
        }
    }
}

/// Who may connect to a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Clients.
    Clients,
    /// The operator: a unix socket that only the user of the process may connect to.
    Commands,
    /// The same, and the program serves clients even if it cannot listen there.
    CommandsIfPossible,
}

impl Purpose {
    /// Whether it takes the operator's commands.
    pub fn is_commands(self) -> bool {
        match self {
            Purpose::Clients => false,
            Purpose::Commands | Purpose::CommandsIfPossible => true,
        }
    }
}

/// The servers that handle a listening socket's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serves {
    /// Servers of `http {}`.
    Http {
        /// All servers that listen here, in file order. Never empty.
        servers: Vec<VirtualServerId>,
        /// Serves requests whose host matches no other server: `default_server`, else the first.
        default: VirtualServerId,
    },
    /// A server of `stream {}`.
    Stream(StreamServerId),
}

/// `so_keepalive=on|off|[IDLE]:[INTERVAL]:[COUNT]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpKeepalive {
    /// `off`.
    Off,
    /// `on`, or explicit values; `None` leaves the system's value.
    On {
        /// Silence before the first probe.
        idle: Option<Duration>,
        /// Time between probes.
        interval: Option<Duration>,
        /// Unanswered probes before the connection is dead.
        count: Option<u32>,
    },
}

/// nginx's `backlog` on Linux.
const BACKLOG: u32 = 511;
