//! The connection between an exchange and the server of its current attempt.

use super::transition::LinkState;
use crate::net::{Event, Net};
use crate::proxy::context::Context;
use crate::time::Time;
use crate::transport::dial::Dial;
use crate::transport::pool::Connection;
use crate::transport::socket::Socket;
use crate::upstream::group::{At, Forwarded, GroupAt, Pick};

/// The connection to a server.
pub enum Link<N: Net> {
    /// There is none: no attempt has begun, or the server is no longer needed.
    None,
    /// There is none yet: the request is read first, because what it says decides who gets it.
    Collecting,
    /// The request waits in the group's queue until a server is ready.
    Held {
        /// The group.
        group: GroupAt,
        /// How long, at most.
        until: Time,
        /// Whether it takes a place in the group's queue.
        place: Place,
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

/// Whether a request that waits takes a place in its group's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It does.
    Taken,
    /// It does not: its query does, or waits at a server.
    None,
}

/// Whether a connection is new or pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was made for this request.
    Made,
    /// It was idle in the pool: the server may have closed it just as it was taken.
    Pool,
}

/// How a connection is closed before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// In order.
    ByFin,
    /// So that the server cannot take it for the end of the client's data.
    ByReset,
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
            Link::None | Link::Collecting => LinkState::None,
            Link::Held { .. } => LinkState::Held,
            Link::Connecting { .. } => LinkState::Connecting,
            Link::Open { origin: Origin::Made, .. } => LinkState::Made,
            Link::Open { origin: Origin::Pool, .. } => LinkState::FromPool,
        }
    }

    /// Notes an event of its socket.
    pub fn note(&mut self, event: &Event) {
        match self {
            Link::None | Link::Collecting | Link::Held { .. } => {}
            Link::Connecting { dial, .. } => dial.note(event),
            Link::Open { connection, .. } => connection.socket.note(event),
        }
    }

    /// Whether it is open and may be read.
    pub fn is_readable(&self) -> bool {
        match self {
            Link::Open { connection, .. } => connection.socket.is_readable(),
            Link::Connecting { .. } | Link::Held { .. } | Link::Collecting | Link::None => false,
        }
    }

    /// The server of the current attempt.
    pub fn server(&self) -> Option<At> {
        match self {
            Link::Connecting { pick, .. } | Link::Open { pick, .. } => Some(pick.at),
            Link::Held { .. } | Link::Collecting | Link::None => None,
        }
    }

    /// Whether the server gets an `X-Forwarded-…` field.
    pub fn forwarded(&self) -> Forwarded {
        match self {
            Link::Open { forwarded, .. } => *forwarded,
            Link::Connecting { .. } | Link::Held { .. } | Link::Collecting | Link::None => {
                Forwarded::Withheld
            }
        }
    }

    /// Whether it came from the pool and has had an event since: it counts as closed while idle.
    pub fn is_spoilt(&self) -> bool {
        match self {
            Link::Open { connection, origin: Origin::Pool, .. } => {
                connection.socket.is_readable() || connection.socket.is_broken()
            }
            Link::Open { .. }
            | Link::Connecting { .. }
            | Link::Held { .. }
            | Link::Collecting
            | Link::None => false,
        }
    }

    /// Closes it, and returns its pick, which still needs a verdict.
    pub fn close(&mut self, how: Closing, context: &mut Context<N>) -> Option<Pick> {
        if let Link::Held { group, place: Place::Taken, .. } = self {
            context.servers.group(*group).leave_queue();
        }
        let (mut socket, pick) = self.take()?;
        if how == Closing::ByReset {
            socket.reset_on_close();
        }
        context.io.close(socket);
        Some(pick)
    }

    /// Takes out the socket and the pick, in any state.
    pub fn take(&mut self) -> Option<(Socket<N>, Pick)> {
        match std::mem::replace(self, Link::None) {
            Link::None | Link::Collecting | Link::Held { .. } => None,
            Link::Connecting { dial, pick } => Some((dial.into_socket(), pick)),
            Link::Open { connection, pick, .. } => Some((connection.socket, pick)),
        }
    }
}
