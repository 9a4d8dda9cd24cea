//! How connections are relayed without being read: `stream {}`, and tunnels of `http {}`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use crate::address::Address;
use crate::config::model::ids::GroupId;
use crate::config::model::logs::LogTo;
use crate::config::model::proxy::NextUpstream;
use crate::tls::ServerTerms;

/// One `server {}` block of `stream {}`.
#[derive(Debug, PartialEq, Eq)]
pub struct StreamServer {
    /// Where connections go.
    pub pass: StreamPass,
    /// `ssl_…`, if it listens with `ssl`.
    pub tls: Option<ServerTerms>,
    /// `ssl_handshake_timeout`.
    pub handshake_timeout: Duration,
    /// `ssl_preread`, with its limits. It acts where TLS does not end here.
    pub preread: Option<PrereadLimits>,
    /// `proxy_protocol_timeout`: for the whole PROXY header of a `listen … proxy_protocol`.
    pub header_timeout: Duration,
    /// `set_real_ip_from`: peers whose PROXY header is believed.
    pub trusted: Vec<Trusted>,
    /// `tcp_nodelay`.
    pub tcp_nodelay: bool,
    /// `access_log`: none, or several.
    pub access_logs: Vec<LogTo>,
}

/// How long, and how far, the beginning of a client's handshake is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrereadLimits {
    /// `preread_timeout`.
    pub timeout: Duration,
    /// `preread_buffer_size`, in bytes.
    pub size: usize,
}

/// How a connection is relayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPass {
    /// The group to connect to.
    pub group: GroupId,
    /// `proxy_connect_timeout`.
    pub connect_timeout: Duration,
    /// `proxy_timeout`: how long both directions may be silent.
    pub timeout: Duration,
    /// `proxy_buffer_size`: bytes buffered in each direction.
    pub buffer: usize,
    /// `proxy_next_upstream`, `_tries` and `_timeout`: only failures to connect occur here.
    pub next: NextUpstream,
    /// `proxy_half_close`.
    pub half_close: HalfClose,
    /// `proxy_protocol`: the PROXY header that the server is sent.
    pub announces: Option<ProxyProtocol>,
    /// `proxy_bind`: the local address to connect from; its port is 0 if none is given.
    pub bind: Option<SocketAddr>,
    /// `proxy_socket_keepalive`.
    pub socket_keepalive: bool,
    /// What becomes of the connection when another server becomes the group's active one.
    pub follows: Follows,
}

/// `proxy_half_close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfClose {
    /// The end of one direction is passed on, and the other direction continues.
    Passed,
    /// The end of one direction ends the other.
    EndsBoth,
}

/// Whether an established connection outlives the choice of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// It stays with its server, whichever is active.
    Server,
    /// It is closed, so that the client reconnects to the server that is active now.
    Group,
}

/// Versions of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// A binary block.
    V2,
}

/// `set_real_ip_from`, `real_ip_header`, `real_ip_recursive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealIp {
    /// Peers that may name another client; empty for none.
    pub trusted: Vec<Trusted>,
    /// Where they name it.
    pub source: RealIpSource,
    /// `real_ip_recursive`: walks a list from its end, skipping trusted addresses.
    pub recursive: bool,
}

/// `real_ip_header`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RealIpSource {
    /// The lowercase name of a field, which holds a list of addresses.
    Field(Box<str>),
    /// The PROXY header of the connection.
    ProxyProtocol,
}

/// One `set_real_ip_from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// A network.
    Net(IpNet),
    /// Any peer of a unix socket.
    Unix,
}

impl Trusted {
    /// Whether it covers `address`.
    pub fn covers(&self, address: &Address) -> bool {
        match (self, address) {
            (Trusted::Net(net), Address::Inet(at)) => self.has(net, at.ip()),
            (Trusted::Unix, Address::Unix(_)) => true,
            (Trusted::Net(_), Address::Unix(_)) | (Trusted::Unix, Address::Inet(_)) => false,
        }
    }

    /// An IPv4 client of an IPv6 socket is matched by its IPv4 address.
    fn has(&self, net: &IpNet, ip: IpAddr) -> bool {
        net.contains(&ip) || net.contains(&ip.to_canonical())
    }
}
