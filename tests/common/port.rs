//! A TCP port that no other process gets while we hold it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A loopback port, bound but not listening. Connecting to it is refused until another socket with
/// `SO_REUSEADDR`, which servers set, listens on it.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    _holder: Socket,
}

impl Port {
    /// A free port of 127.0.0.1.
    pub fn reserve() -> Port {
        Port::reserve_at(Ipv4Addr::LOCALHOST.into())
    }

    /// A free port of `[::1]`.
    pub fn reserve_v6() -> Port {
        Port::reserve_at(Ipv6Addr::LOCALHOST.into())
    }

    fn reserve_at(host: IpAddr) -> Port {
        let holder = reusable_socket(SocketAddr::new(host, 0));
        let address = holder.local_addr().expect("just bound").as_socket().expect("an IP socket");
        Port { address, _holder: holder }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens on the port. Dropping the socket makes connecting fail again.
    pub fn listen(&self, backlog: i32) -> Socket {
        let socket = reusable_socket(self.address);
        socket.listen(backlog).expect("only we hold this port");
        socket
    }
}

fn reusable_socket(at: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("a socket");
    socket.bind(&at.into()).expect("a free loopback port");
    socket
}
