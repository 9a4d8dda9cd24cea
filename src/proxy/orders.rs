//! The operator's commands carried out: what is known of the servers, and which takes new work.

use std::sync::Arc;

use super::servers::Servers;
use crate::admin::command::{Command, FoundServer, ServerAsked};
use crate::admin::denied::Denied;
use crate::admin::kept::{Deed, Kept};
use crate::admin::outcome::CarriedOut;
use crate::admin::snapshot::{ActiveShown, GroupShown, ServerShown};
use crate::config::model::{Config, Group, GroupId};
use crate::net::Net;
use crate::proxy::log::limited_log::ServerWords;
use crate::time::Time;
use crate::transport::io::Io;
use crate::upstream::group::{At, GroupAt, Refused, ServerId, ServerState};

/// Carries out a command, in the newest configuration.
///
/// # Errors
/// It names no server, or not only one, or the server's group refuses.
pub fn carry_out<N: Net>(
    command: &Command,
    servers: &mut Servers<N>,
    io: &mut Io<N>,
) -> Result<CarriedOut, Denied> {
    let config = Arc::clone(servers.config());
    match command {
        Command::Status => Ok(CarriedOut::Status(snapshot(&config, servers, io))),
        Command::Promote(target) => {
            let (at, names) = find(target, &config, servers)?;
            let refused = promote(at, servers, io).err();
            refuse(refused, at, &names, servers, io)?;
            let ShownNames { server, upstream } = names;
            Ok(CarriedOut::Promoted { server, upstream })
        }
        Command::Drain(target) => {
            let (at, names) = find(target, &config, servers)?;
            let refused = drain(at, servers, io).err();
            refuse(refused, at, &names, servers, io)?;
            Ok(drained(at, names, servers, io.now))
        }
        Command::Drained(target) => {
            let (at, names) = find(target, &config, servers)?;
            let standing = servers.group(at.group).standing(at.server, io.now);
            if standing.state != ServerState::Drained {
                let ShownNames { server, upstream } = names;
                return Err(Denied::NotDrained { server, upstream });
            }
            Ok(drained(at, names, servers, io.now))
        }
    }
}

/// Makes a server active.
fn promote<N: Net>(at: At, servers: &mut Servers<N>, io: &mut Io<N>) -> Result<(), Refused> {
    let change = servers.group(at.group).promote(at.server, io.now)?;
    servers.announce(at, change, io);
    Ok(())
}

/// Lets a server take no new work until it is promoted.
fn drain<N: Net>(at: At, servers: &mut Servers<N>, io: &mut Io<N>) -> Result<(), Refused> {
    let change = servers.group(at.group).drain(at.server, io.now)?;
    servers.announce(at, change, io);
    Ok(())
}

/// How a server and its group are called in answers.
struct ShownNames {
    server: String,
    upstream: String,
}

fn find<N: Net>(
    target: &ServerAsked,
    config: &Config,
    servers: &Servers<N>,
) -> Result<(At, ShownNames), Denied> {
    let found = target.find(&config.groups)?;
    let group = &config.groups[found.group];
    let names = ShownNames {
        server: group.servers[found.server].name.to_string(),
        upstream: group.name.to_string(),
    };
    Ok((at(found, servers), names))
}

fn at<N: Net>(found: FoundServer, servers: &Servers<N>) -> At {
    let group = GroupAt { generation: servers.generation(), id: GroupId(found.group) };
    At { group, server: ServerId(found.server) }
}

fn refuse<N: Net>(
    refused: Option<Refused>,
    at: At,
    names: &ShownNames,
    servers: &mut Servers<N>,
    io: &Io<N>,
) -> Result<(), Denied> {
    let Some(why) = refused else { return Ok(()) };
    let standing = servers.group(at.group).standing(at.server, io.now);
    let (server, upstream) = (names.server.clone(), names.upstream.clone());
    Err(Denied::Refused { server, upstream, standing, why })
}

fn drained<N: Net>(at: At, names: ShownNames, servers: &mut Servers<N>, now: Time) -> CarriedOut {
    let ShownNames { server, upstream } = names;
    CarriedOut::Drained { server, upstream, work: servers.work(at, now) }
}

fn snapshot<N: Net>(config: &Config, servers: &mut Servers<N>, io: &Io<N>) -> Vec<GroupShown> {
    let groups = config.groups.iter().enumerate();
    groups.map(|(index, model)| group_shown(index, model, servers, io)).collect()
}

fn group_shown<N: Net>(
    index: usize,
    model: &Group,
    servers: &mut Servers<N>,
    io: &Io<N>,
) -> GroupShown {
    let at = GroupAt { generation: servers.generation(), id: GroupId(index) };
    let mut shown = Vec::with_capacity(model.servers.len());
    for (place, server) in model.servers.iter().enumerate() {
        let id = ServerId(place);
        shown.push(ServerShown {
            name: server.name.to_string(),
            address: server.address.to_string(),
            is_backup: server.backup,
            standing: servers.group(at).standing(id, io.now),
            work: servers.work(At { group: at, server: id }, io.now),
        });
    }
    let group = servers.group(at);
    let active = match (group.promoted_server(), group.active_server()) {
        (Some(promoted), _) => ActiveShown::Promoted(promoted.0),
        (None, Some(active)) => ActiveShown::ByOrder(active.0),
        (None, None) => ActiveShown::InTurn,
    };
    GroupShown {
        name: model.name.to_string(),
        layer: model.layer,
        is_trinos: group.is_trinos(),
        active,
        servers: shown,
    }
}

/// The promotions and drains in force.
pub fn kept<N: Net>(servers: &mut Servers<N>) -> Vec<Kept> {
    let config = Arc::clone(servers.config());
    let mut all = Vec::new();
    for (index, model) in config.groups.iter().enumerate() {
        let at = GroupAt { generation: servers.generation(), id: GroupId(index) };
        let group = servers.group(at);
        for (place, server) in model.servers.iter().enumerate() {
            let deed = match group.promoted_server() {
                Some(promoted) if promoted.0 == place => Deed::Promoted,
                _ if group.is_drained(ServerId(place)) => Deed::Drained,
                Some(_) | None => continue,
            };
            all.push(Kept {
                upstream: model.name.to_string(),
                layer: model.layer,
                address: server.address.to_string(),
                deed,
            });
        }
    }
    all
}

/// Does again what was done before the program was started.
pub fn restore<N: Net>(all: &[Kept], servers: &mut Servers<N>, io: &mut Io<N>) {
    let config = Arc::clone(servers.config());
    for kept in all {
        let Kept { upstream, address, .. } = kept;
        let Some(found) = place(kept, &config) else {
            log::warn!("upstream \"{upstream}\" has no server {address} any more: {FORGOTTEN}");
            continue;
        };
        let at = at(found, servers);
        let outcome = match kept.deed {
            Deed::Promoted => promote(at, servers, io),
            Deed::Drained => drain(at, servers, io),
        };
        let server = ServerWords(&config.groups[found.group].servers[found.server]);
        match outcome {
            Ok(()) => {}
            Err(Refused::NotReady) => {
                log::warn!("upstream \"{upstream}\": {server} is not ready: {FORGOTTEN}");
            }
            Err(Refused::LastOne) => {
                log::warn!("upstream \"{upstream}\": no server but {server} is left: {FORGOTTEN}");
            }
        }
    }
}

fn place(kept: &Kept, config: &Config) -> Option<FoundServer> {
    let is_its = |group: &Group| *group.name == *kept.upstream && group.layer == kept.layer;
    let group = config.groups.iter().position(is_its)?;
    let mut servers = config.groups[group].servers.iter();
    let server = servers.position(|server| server.address.to_string() == kept.address)?;
    Some(FoundServer { group, server })
}

/// What becomes of a line of the state file that no longer applies.
const FORGOTTEN: &str = "what was commanded before the start is forgotten";
