//! The connection between an exchange and the server of its current attempt.

use crate::net::Net;
use crate::time::Time;
use crate::transport::pool::Connection;
use crate::transport::socket::Socket;
use crate::upstream::group::{Pick, ServerId};

/// The connection to a server.
pub enum Link<N: Net> {
    /// There is none: before the first attempt, or when nothing more is wanted from a server.
    None,
    /// The connect has not come to its end.
    Connecting {
        /// The socket.
        socket: Socket<N>,
        /// Its server.
        pick: Pick,
        /// When the wait is over.
        deadline: Time,
    },
    /// The connection stands.
    Open {
        /// The connection.
        connection: Connection<N>,
        /// Its server.
        pick: Pick,
        /// It has carried a request before.
        reused: bool,
        /// It may carry another one, as far as the request is concerned.
        reusable: bool,
    },
}

impl<N: Net> Link<N> {
    /// Its socket, if there is one.
    pub fn socket(&mut self) -> Option<&mut Socket<N>> {
        match self {
            Link::None => None,
            Link::Connecting { socket, .. } => Some(socket),
            Link::Open { connection, .. } => Some(&mut connection.socket),
        }
    }

    /// Whether it is open and a read may give something.
    pub fn is_readable(&self) -> bool {
        match self {
            Link::Open { connection, .. } => connection.socket.is_readable(),
            Link::Connecting { .. } | Link::None => false,
        }
    }

    /// The server of the current attempt.
    pub fn server(&self) -> Option<ServerId> {
        match self {
            Link::Connecting { pick, .. } | Link::Open { pick, .. } => Some(pick.server),
            Link::None => None,
        }
    }

    /// Whether it is a connection from the pool on which something has happened since: it is no
    /// better than one that was closed while it idled.
    pub fn is_spoilt(&self) -> bool {
        match self {
            Link::Open { connection, reused: true, .. } => {
                connection.socket.is_readable() || connection.socket.is_broken()
            }
            Link::Open { .. } | Link::Connecting { .. } | Link::None => false,
        }
    }
}
