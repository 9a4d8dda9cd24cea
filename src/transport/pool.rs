//! Idle connections to the servers of one group.

use std::net::SocketAddr;

use slab::Slab;

use super::socket::Socket;
use crate::config::model;
use crate::net::Net;
use crate::time::Time;
use crate::upstream::group::ServerId;

/// A connection to a server, and its use so far.
pub struct Connection<N: Net> {
    /// The socket.
    pub socket: Socket<N>,
    /// Requests sent on it, including the current one.
    pub requests: u64,
    /// When it was opened.
    pub opened: Time,
    /// The local address it was opened from, if `proxy_bind` gave one.
    pub bind: Option<SocketAddr>,
}

struct Idle<N: Net> {
    connection: Connection<N>,
    server: ServerId,
    since: Time,
}

/// The idle connections of a group.
pub struct Pool<N: Net> {
    idle: Slab<Idle<N>>,
    /// Keys; the longest idle is first.
    order: Vec<usize>,
    limits: Limits,
}

#[derive(Clone, Copy)]
struct Limits {
    idle: usize,
    requests: u64,
    age: std::time::Duration,
    timeout: std::time::Duration,
}

impl<N: Net> Pool<N> {
    /// An empty pool with the group's limits.
    pub fn new(group: &model::Group) -> Pool<N> {
        Pool {
            idle: Slab::new(),
            order: Vec::new(),
            limits: Limits {
                idle: group.keepalive,
                requests: group.keepalive_requests,
                age: group.keepalive_time,
                timeout: group.keepalive_timeout,
            },
        }
    }

    /// Whether a connection may be used again.
    pub fn accepts(&self, connection: &Connection<N>, now: Time) -> bool {
        self.limits.idle > 0
            && connection.requests < self.limits.requests
            && now - connection.opened < self.limits.age
    }

    /// Takes the connection from `bind` to `server` that has idled least, and so is likeliest to be
    /// alive.
    pub fn take(&mut self, server: ServerId, bind: Option<SocketAddr>) -> Option<Connection<N>> {
        self.remove_last(|idle| idle.server == server && idle.connection.bind == bind)
    }

    /// Removes a connection to `server`, if there is one.
    pub fn remove_one_of(&mut self, server: ServerId) -> Option<Connection<N>> {
        self.remove_last(|idle| idle.server == server)
    }

    fn remove_last(&mut self, which: impl Fn(&Idle<N>) -> bool) -> Option<Connection<N>> {
        let place = self.order.iter().rposition(|&key| which(&self.idle[key]))?;
        let key = self.order.remove(place);
        Some(self.idle.remove(key).connection)
    }

    /// Keeps a connection. Returns its key, and the connection removed to make room for it.
    pub fn put(
        &mut self,
        connection: Connection<N>,
        server: ServerId,
        now: Time,
    ) -> (usize, Option<Connection<N>>) {
        let full = self.order.len() >= self.limits.idle;
        let surplus =
            full.then(|| self.order.remove(0)).map(|key| self.idle.remove(key).connection);
        let key = self.idle.insert(Idle { connection, server, since: now });
        self.order.push(key);
        (key, surplus)
    }

    /// Removes the connection under `key`, if it is still there.
    pub fn remove(&mut self, key: usize) -> Option<Connection<N>> {
        let idle = self.idle.try_remove(key)?;
        self.order.retain(|&other| other != key);
        Some(idle.connection)
    }

    /// Removes any one connection.
    pub fn remove_any(&mut self) -> Option<Connection<N>> {
        let key = self.order.pop()?;
        Some(self.idle.remove(key).connection)
    }

    /// Removes a connection that has idled for too long.
    pub fn remove_expired(&mut self, now: Time) -> Option<Connection<N>> {
        let key = *self.order.first()?;
        if self.idle[key].since + self.limits.timeout > now {
            return None;
        }
        self.order.remove(0);
        Some(self.idle.remove(key).connection)
    }

    /// When the next connection will have idled for too long.
    pub fn next_expiry(&self) -> Time {
        self.order.first().map_or(Time::NEVER, |&key| self.idle[key].since + self.limits.timeout)
    }

    /// Whether a connection to `server` has come here since then: it brought a whole answer.
    pub fn has_heard(&self, server: ServerId, since: Time) -> bool {
        self.idle.iter().any(|(_, idle)| idle.server == server && idle.since > since)
    }

    /// Number of idle connections.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no idle connections.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}
