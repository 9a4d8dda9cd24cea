//! A group of a configuration in use, and what belongs to it.

use crate::config::model;
use crate::net::Net;
use crate::proxy::forwarded::ForwardedFields;
use crate::time::Time;
use crate::transport::pool::Pool;
use crate::trino::cluster::Cluster;
use crate::upstream::group::{Group, GroupAt};

/// A group, and what belongs to it.
pub struct Served<N: Net> {
    /// The servers.
    pub group: Group,
    /// Idle connections to them.
    pub pool: Pool<N>,
    /// What is known of them as coordinators.
    pub trino: Cluster,
    /// The `X-Forwarded-…` fields that requests to them carry.
    pub forwarded: ForwardedFields,
    /// The place of its ledger, which all configurations with this group share.
    pub ledger: usize,
}

impl<N: Net> Served<N> {
    /// A group of which nothing is known yet.
    pub fn new(
        at: GroupAt,
        model: &model::Group,
        forwarded: ForwardedFields,
        ledger: usize,
        now: Time,
    ) -> Served<N> {
        let trino = Cluster::new(model.servers.len(), now);
        Served { group: Group::new(at, model), pool: Pool::new(model), trino, forwarded, ledger }
    }

    /// Adopts what is known of the groups of an older configuration: everything of the one with
    /// this name, else only how servers with the same address are.
    pub fn inherit<'a>(
        &mut self,
        model: &model::Group,
        old: impl Iterator<Item = (&'a model::Group, &'a Served<N>)> + Clone,
        now: Time,
    ) where
        N: 'a,
    {
        let is_same = |(known, _): &(&model::Group, _)| {
            known.name == model.name && known.layer == model.layer
        };
        let Some((known, same)) = old.clone().find(is_same) else {
            for (_, other) in old {
                self.group.inherit_health(&other.group, now);
            }
            return;
        };
        self.group.inherit(&same.group, now);
        let index = |server: usize| {
            let address = &known.servers[server].address;
            model.servers.iter().position(|it| it.address == *address)
        };
        self.trino = Cluster::carried_over(&same.trino, model.servers.len(), index, now);
    }
}
