//! Connections that begin with HTTP/2's preface: whether they are carried on, unread.

use crate::config::model::{H2cReach, Serves, VirtualServerId};
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::log::limited_log::Topic;
use crate::upstream::group::GroupAt;

/// What becomes of such a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carriage {
    /// The `h2c_tunnel` of this virtual server carries it on.
    By(VirtualServerId),
    /// One would, if its group were Trino's.
    NotYet,
    /// It is refused.
    None,
}

/// What becomes of such connections to a client's listener.
fn carriage<N: Net>(client: &Client<N>, context: &mut Context<N>) -> Carriage {
    let servers = &mut context.servers;
    let Some(Serves::Http { servers: all, default }) =
        servers.listen(client.facts.listener).map(|listen| &listen.serves)
    else {
        return Carriage::None;
    };
    let (server, is_alone) = (*default, all.len() == 1);
    let Some(tunnel) = &servers.config().virtual_servers[server.0].h2c else {
        return Carriage::None;
    };
    let group = GroupAt { generation: servers.generation(), id: tunnel.pass.group };
    let reaches = tunnel.reaches;
    match reaches {
        H2cReach::Any => Carriage::By(server),
        H2cReach::Trinos if !is_alone => Carriage::None,
        H2cReach::Trinos if servers.group(group).is_trinos() => Carriage::By(server),
        H2cReach::Trinos => Carriage::NotYet,
    }
}

/// The virtual server whose `h2c_tunnel` carries such connections to a client's listener.
pub fn tunnel<N: Net>(client: &Client<N>, context: &mut Context<N>) -> Option<VirtualServerId> {
    match carriage(client, context) {
        Carriage::By(server) => Some(server),
        Carriage::NotYet | Carriage::None => None,
    }
}

/// Logs that such a connection, or a request that looks like one, is refused.
pub fn say_refused<N: Net>(client: &Client<N>, context: &mut Context<N>) {
    let carriage = carriage(client, context);
    let now = context.io.now;
    context.limited_log.write(now, Topic::Clients, log::Level::Warn, || {
        let peer = &client.facts.peer;
        let why = match carriage {
            Carriage::By(_) => "\"h2c_tunnel\" carries on only what a connection begins with",
            Carriage::NotYet => {
                "it is carried on once the group is asked for queries, or with \"h2c_tunnel on\""
            }
            Carriage::None => "\"h2c_tunnel on\" carries it on",
        };
        format!("{peer} speaks HTTP/2 and is refused: {why}")
    });
}
