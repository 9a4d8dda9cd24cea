//! One configuration in use.

use std::sync::Arc;

use super::served::Served;
use crate::config::model::{self, Config, GroupId};
use crate::net::Net;
use crate::time::Time;
use crate::upstream::group::{At, GroupAt, ServerId};

/// A configuration, and what belongs to it.
pub(super) struct Generation<N: Net> {
    pub(super) id: u64,
    pub(super) config: Arc<Config>,
    pub(super) groups: Vec<Served<N>>,
    /// For each log, the place of its batch in the access lines.
    pub(super) logs: Vec<usize>,
    pub(super) seen: Seen,
    /// When its remaining sessions are closed; never for the newest configuration.
    pub(super) ends: Time,
}

/// Whether variables may read response heads. Only then are copies kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Some variable does.
    ByValues,
    /// No variable does.
    Never,
}

impl<N: Net> Generation<N> {
    /// The place of the ledger of the group that is the same as this one.
    pub(super) fn ledger_of(&self, model: &model::Group) -> Option<usize> {
        let mut groups = self.config.groups.iter();
        let index = groups.position(|it| it.name == model.name && it.layer == model.layer)?;
        Some(self.groups[index].ledger)
    }

    /// Where a server of another configuration is in this one.
    pub(super) fn same(&self, other: &Config, at: At) -> Option<At> {
        let known = &other.groups[at.group.id.0];
        let address = &known.servers[at.server.0].address;
        let is_same = |it: &model::Group| it.name == known.name && it.layer == known.layer;
        let id = self.config.groups.iter().position(is_same)?;
        let mut servers = self.config.groups[id].servers.iter();
        let server = ServerId(servers.position(|server| server.address == *address)?);
        Some(At { group: GroupAt { generation: self.id, id: GroupId(id) }, server })
    }
}
