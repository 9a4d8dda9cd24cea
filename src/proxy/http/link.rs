//! The connection between an exchange and the server of its current attempt.

use super::transition::LinkState;
use crate::net::{Event, Net};
use crate::transport::dial::Dial;
use crate::transport::pool::Connection;
use crate::transport::socket::Socket;
use crate::upstream::group::{At, Pick};

/// The connection to a server.
pub enum Link<N: Net> {
    /// There is none: before the first attempt, or when nothing more is wanted from a server.
    None,
    /// It is being made.
    Connecting {
        /// The dial.
        dial: Dial<N>,
        /// Its server.
        pick: Pick,
    },
    /// It stands.
    Open {
        /// The connection.
        connection: Connection<N>,
        /// Its server.
        pick: Pick,
        /// Where it came from.
        origin: Origin,
        /// Where it goes after a whole response, as far as the request is concerned.
        afterwards: Afterwards,
    },
}

/// Where a connection came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was made for this request.
    Made,
    /// It idled in the pool: the server may have closed it as it was taken.
    Pool,
}

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// To the pool.
    Pool,
    /// Nowhere: it was asked to end.
    Close,
}

impl<N: Net> Link<N> {
    /// What it is, for what follows from an event.
    pub fn state(&self) -> LinkState {
        match self {
            Link::None => LinkState::None,
            Link::Connecting { .. } => LinkState::Connecting,
            Link::Open { origin: Origin::Made, .. } => LinkState::Made,
            Link::Open { origin: Origin::Pool, .. } => LinkState::FromPool,
        }
    }

    /// Notes an event of its socket.
    pub fn note(&mut self, event: &Event) {
        match self {
            Link::None => {}
            Link::Connecting { dial, .. } => dial.note(event),
            Link::Open { connection, .. } => connection.socket.note(event),
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
    pub fn server(&self) -> Option<At> {
        match self {
            Link::Connecting { pick, .. } | Link::Open { pick, .. } => Some(pick.at),
            Link::None => None,
        }
    }

    /// Whether it is a connection from the pool on which something has happened since: it is no
    /// better than one that was closed while it idled.
    pub fn is_spoilt(&self) -> bool {
        match self {
            Link::Open { connection, origin: Origin::Pool, .. } => {
                connection.socket.is_readable() || connection.socket.is_broken()
            }
            Link::Open { .. } | Link::Connecting { .. } | Link::None => false,
        }
    }

    /// Takes the connection out, whatever its state.
    pub fn take(&mut self) -> Option<(Socket<N>, Pick)> {
        match std::mem::replace(self, Link::None) {
            Link::None => None,
            Link::Connecting { dial, pick } => Some((dial.into_socket(), pick)),
            Link::Open { connection, pick, .. } => Some((connection.socket, pick)),
        }
    }
}
