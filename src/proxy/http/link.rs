//! The connection between an exchange and the server of its current attempt.

use super::transition::LinkState;
use crate::net::{Event, Net};
use crate::time::Time;
use crate::transport::dial::Dial;
use crate::transport::pool::Connection;
use crate::transport::socket::Socket;
use crate::upstream::group::{At, Forwarded, GroupAt, Pick};

/// The connection to a server.
pub enum Link<N: Net> {
    /// There is none: no attempt has begun, or the server is no longer needed.
    None,
    /// The request waits in the group's queue until a server is ready.
    Held {
        /// The group.
        group: GroupAt,
        /// How long, at most.
        until: Time,
    },
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
        /// Whether it is new or pooled.
        origin: Origin,
        /// What follows a complete response, as far as the request decides it.
        afterwards: Afterwards,
        /// Whether the server gets an `X-Forwarded-…` field.
        forwarded: Forwarded,
    },
}

/// Whether a connection is new or pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was made for this request.
    Made,
    /// It was idle in the pool: the server may have closed it just as it was taken.
    Pool,
}

/// What happens to a connection after a complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It returns to the pool.
    Pool,
    /// It is closed, as the request asked.
    Close,
}

impl<N: Net> Link<N> {
    /// Its state, as [`super::transition`] sees it.
    pub fn state(&self) -> LinkState {
        match self {
            Link::None => LinkState::None,
            Link::Held { .. } => LinkState::Held,
            Link::Connecting { .. } => LinkState::Connecting,
            Link::Open { origin: Origin::Made, .. } => LinkState::Made,
            Link::Open { origin: Origin::Pool, .. } => LinkState::FromPool,
        }
    }

    /// Notes an event of its socket.
    pub fn note(&mut self, event: &Event) {
        match self {
            Link::None | Link::Held { .. } => {}
            Link::Connecting { dial, .. } => dial.note(event),
            Link::Open { connection, .. } => connection.socket.note(event),
        }
    }

    /// Whether it is open and may be read.
    pub fn is_readable(&self) -> bool {
        match self {
            Link::Open { connection, .. } => connection.socket.is_readable(),
            Link::Connecting { .. } | Link::Held { .. } | Link::None => false,
        }
    }

    /// The server of the current attempt.
    pub fn server(&self) -> Option<At> {
        match self {
            Link::Connecting { pick, .. } | Link::Open { pick, .. } => Some(pick.at),
            Link::Held { .. } | Link::None => None,
        }
    }

    /// Whether the server gets an `X-Forwarded-…` field.
    pub fn forwarded(&self) -> Forwarded {
        match self {
            Link::Open { forwarded, .. } => *forwarded,
            Link::Connecting { .. } | Link::Held { .. } | Link::None => Forwarded::Withheld,
        }
    }

    /// Whether it came from the pool and has had an event since: it counts as closed while idle.
    pub fn is_spoilt(&self) -> bool {
        match self {
            Link::Open { connection, origin: Origin::Pool, .. } => {
                connection.socket.is_readable() || connection.socket.is_broken()
            }
            Link::Open { .. } | Link::Connecting { .. } | Link::Held { .. } | Link::None => false,
        }
    }

    /// Takes out the socket and the pick, in any state.
    pub fn take(&mut self) -> Option<(Socket<N>, Pick)> {
        match std::mem::replace(self, Link::None) {
            Link::None | Link::Held { .. } => None,
            Link::Connecting { dial, pick } => Some((dial.into_socket(), pick)),
            Link::Open { connection, pick, .. } => Some((connection.socket, pick)),
        }
    }
}
