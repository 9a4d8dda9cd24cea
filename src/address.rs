//! Where a socket listens or connects: an internet address or a path.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// An address of a listener, a server or a peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// IPv4 or IPv6 with its port.
    Inet(SocketAddr),
    /// A unix socket's path; empty for an unnamed peer.
    Unix(PathBuf),
}

impl Address {
    /// The port, if there is one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Address::Inet(at) => Some(at.port()),
            Address::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    /// As nginx writes it: `127.0.0.1:80`, `[::1]:80`, `unix:/run/a.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Inet(at) => write!(f, "{at}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(at: SocketAddr) -> Address {
        Address::Inet(at)
    }
}
