//! What an operator asks of a group: which server takes new work, and how each of them stands.

use super::active::Active;
use super::group::{Change, Group, Refused, ServerId, Standing, Why};
use super::server::Duty;
use crate::time::Time;

impl Group {
    /// The active server; `None` while servers take turns.
    pub fn active_server(&self) -> Option<ServerId> {
        self.active.map(|active| active.server)
    }

    /// The server that an operator promoted, while it is active.
    pub fn promoted_server(&self) -> Option<ServerId> {
        self.active.filter(|active| active.is_promoted()).map(|active| active.server)
    }

    /// Whether an operator drained a server.
    pub fn is_drained(&self, server: ServerId) -> bool {
        self.servers[server.0].duty != Duty::Taking
    }

    /// How a server stands, for the operator.
    pub fn standing(&self, server: ServerId, now: Time) -> Standing {
        self.servers[server.0].standing(now)
    }

    /// Makes a server active, until it fails or another one is promoted.
    ///
    /// # Errors
    /// It is not ready.
    pub fn promote(&mut self, server: ServerId, now: Time) -> Result<Change, Refused> {
        let chosen = &mut self.servers[server.0];
        let before = std::mem::replace(&mut chosen.duty, Duty::Taking);
        if !chosen.is_ready(now) {
            chosen.duty = before;
            return Err(Refused::NotReady);
        }
        chosen.engage();
        let instead_of = self.active.map_or(server, |active| active.server);
        if instead_of != server {
            self.servers[instead_of.0].relieve(now);
        }
        self.active = Some(Active::promoted(server));
        Ok(Change::BecameActive { instead_of, why: Why::Promotion })
    }

    /// Takes a server out for new work, until it is promoted.
    ///
    /// # Errors
    /// It is the only one that is ready.
    pub fn drain(&mut self, server: ServerId, now: Time) -> Result<Change, Refused> {
        if !self.in_order().any(|(id, other)| id != server && other.is_ready(now)) {
            return Err(Refused::LastOne);
        }
        self.servers[server.0].drain(now);
        Ok(Change::Drained)
    }

    /// The next server that may have nothing left to do by now, for which an operator waits.
    pub fn begin_look(&mut self, now: Time) -> Option<ServerId> {
        self.servers.iter_mut().position(|server| server.begin_look(now)).map(ServerId)
    }

    /// A server has nothing left to do.
    pub fn emptied(&mut self, server: ServerId) -> Change {
        self.servers[server.0].emptied();
        Change::Emptied
    }
}
