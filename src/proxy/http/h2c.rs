//! Connections that begin with HTTP/2's preface: whether they are carried on, unread.

use crate::config::model::{H2cReach, Serves, VirtualServerId};
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::log::limited_log::Topic;
use crate::upstream::group::GroupAt;

/// The virtual server whose `h2c_tunnel` carries such connections to this listener.
pub fn tunnel<N: Net>(client: &Client<N>, context: &mut Context<N>) -> Option<VirtualServerId> {
    let servers = &mut context.servers;
    let Serves::Http { servers: all, default } = &servers.listen(client.facts.listener)?.serves
    else {
        return None;
    };
    let tunnel = servers.config().virtual_servers[default.0].h2c.as_ref()?;
    let (server, is_alone) = (*default, all.len() == 1);
    let group = GroupAt { generation: servers.generation(), id: tunnel.pass.group };
    let carries = match tunnel.reaches {
        H2cReach::Any => true,
        // It would pass by the rules of other servers.
        H2cReach::Trinos => is_alone && servers.group(group).is_trinos(),
    };
    carries.then_some(server)
}

/// Logs that such a connection, or a request that looks like one, is refused.
pub fn say_refused<N: Net>(client: &Client<N>, context: &mut Context<N>) {
    let carries = tunnel(client, context).is_some();
    let now = context.io.now;
    context.limited_log.write(now, Topic::Clients, log::Level::Warn, || {
        let peer = &client.facts.peer;
        let why = if carries {
            "\"h2c_tunnel\" carries on only what a connection begins with"
        } else {
            "\"h2c_tunnel on\" carries it on"
        };
        format!("{peer} speaks HTTP/2 and is refused: {why}")
    });
}
