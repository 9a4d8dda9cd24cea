//! How connections are passed on without being read: `stream {}`, and tunnels of `http {}`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::{GroupId, LogTo, NextUpstream};
use crate::address::Address;

/// One `server {}` block of `stream {}`.
#[derive(Debug, PartialEq, Eq)]
pub struct StreamServer {
    /// Where connections go.
    pub pass: StreamPass,
    /// `proxy_protocol_timeout`: for the whole PROXY header of a `listen … proxy_protocol`.
    pub header_timeout: Duration,
    /// `set_real_ip_from`: who may say in a PROXY header for whom it speaks.
    pub trusted: Vec<Trusted>,
    /// `tcp_nodelay`.
    pub tcp_nodelay: bool,
    /// `access_log`: none, or several.
    pub access_logs: Vec<LogTo>,
}

/// How a connection is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPass {
    /// To whom.
    pub group: GroupId,
    /// `proxy_connect_timeout`.
    pub connect_timeout: Duration,
    /// `proxy_timeout`: how long both directions may be silent.
    pub timeout: Duration,
    /// `proxy_buffer_size`: bytes in hand in each direction.
    pub buffer: usize,
    /// `proxy_next_upstream`, `_tries` and `_timeout`: only failures to connect are met here.
    pub next: NextUpstream,
    /// `proxy_half_close`.
    pub half_close: HalfClose,
    /// `proxy_protocol`: what the server is told of the client.
    pub announces: Option<ProxyProtocol>,
    /// `proxy_bind`: the local address to connect from; its port is 0 where none was given.
    pub bind: Option<SocketAddr>,
    /// `proxy_socket_keepalive`.
    pub socket_keepalive: bool,
    /// What becomes of it when the group's active server is another one.
    pub follows: Follows,
}

/// `proxy_half_close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfClose {
    /// The end of one direction is passed on, and the other goes on.
    Passed,
    /// The end of one direction ends the other.
    EndsBoth,
}

/// Whether a connection that stands outlives the choice of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// It stays where it is, whatever happens to others.
    Server,
    /// It is closed, so that its owner connects again to the server that is active now.
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
    /// Who may say for whom it speaks; empty: nobody.
    pub trusted: Vec<Trusted>,
    /// Where it says so.
    pub source: RealIpSource,
    /// `real_ip_recursive`: trusted addresses are passed over in a list, from its end.
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
    /// Whoever comes over a unix socket.
    Unix,
}

impl Trusted {
    /// Whether `address` is meant.
    pub fn covers(&self, address: &Address) -> bool {
        match (self, address) {
            (Trusted::Net(net), Address::Inet(at)) => self.has(net, at.ip()),
            (Trusted::Unix, Address::Unix(_)) => true,
            (Trusted::Net(_), Address::Unix(_)) | (Trusted::Unix, Address::Inet(_)) => false,
        }
    }

    /// IPv4 clients of an IPv6 socket are meant by their IPv4 address.
    fn has(&self, net: &IpNet, ip: IpAddr) -> bool {
        net.contains(&ip) || net.contains(&ip.to_canonical())
    }
}
