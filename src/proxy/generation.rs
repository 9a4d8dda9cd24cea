//! One configuration in use, with its groups: it stays while an exchange uses it.

use std::sync::Arc;

use crate::config::model::{self, Config, GroupId};
use crate::net::Net;
use crate::proxy::served::Served;
use crate::time::Time;
use crate::upstream::group::{At, GroupAt, ServerId};

/// Whether variables may read response heads. Only then are copies kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Some variable does.
    ByValues,
    /// No variable does.
    Never,
}

/// A configuration, and what belongs to it.
pub struct Generation<N: Net> {
    /// Its number.
    pub id: u64,
    /// The configuration.
    pub config: Arc<Config>,
    /// Its groups, in its order.
    pub groups: Vec<Served<N>>,
    /// For each log, the place of its batch in the access lines.
    pub logs: Vec<usize>,
    /// Whether its variables may read response heads.
    pub seen: Seen,
    /// When its remaining sessions are closed; never for the newest configuration.
    pub ends: Time,
}

impl<N: Net> Generation<N> {
    /// The place of the ledger of the group that is the same as this one.
    pub fn ledger_of(&self, model: &model::Group) -> Option<usize> {
        let mut groups = self.config.groups.iter();
        let index = groups.position(|it| it.name == model.name && it.layer == model.layer)?;
        Some(self.groups[index].ledger)
    }

    /// Where a server of another configuration is in this one.
    pub fn same(&self, other: &Config, at: At) -> Option<At> {
        let known = &other.groups[at.group.id.0];
        let address = &known.servers[at.server.0].address;
        let is_same = |it: &model::Group| it.name == known.name && it.layer == known.layer;
        let id = self.config.groups.iter().position(is_same)?;
        let mut servers = self.config.groups[id].servers.iter();
        let server = ServerId(servers.position(|server| server.address == *address)?);
        Some(At { group: GroupAt { generation: self.id, id: GroupId(id) }, server })
    }
}
