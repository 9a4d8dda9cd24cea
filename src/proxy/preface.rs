//! How connections open that speak HTTP/2 without being asked: RFC 9113, section 3.4.

use super::client::Client;
use super::context::Context;
use super::route::default_server;
use crate::config::model::VirtualServerId;
use crate::net::Net;

/// How much of the preface a connection begins with, where it is looked for.
pub enum Preface {
    /// Something else.
    No,
    /// Nothing else so far.
    Part,
    /// All of it: this server's tunnel carries the connection on.
    Whole(VirtualServerId),
}

/// Finds out whether a connection that has asked nothing yet speaks HTTP/2, to a server that
/// carries it on unread.
pub fn look<N: Net>(client: &Client<N>, context: &Context<N>) -> Preface {
    let bytes = client.input.bytes();
    let differs = bytes.iter().zip(PREFACE).any(|(byte, expected)| byte != expected);
    if client.facts.requests > 0 || differs {
        return Preface::No;
    }
    match tunnel_of(client, context) {
        Some(_) if bytes.len() < PREFACE.len() => Preface::Part,
        Some(server) => Preface::Whole(server),
        None => Preface::No,
    }
}

/// The server whose `h2c_tunnel` carries connections on that come in where this one did.
pub fn tunnel_of<N: Net>(client: &Client<N>, context: &Context<N>) -> Option<VirtualServerId> {
    let server = context.listen(client.facts.listener).and_then(default_server)?;
    context.config().virtual_servers[server.0].h2c.as_ref().map(|_| server)
}

/// All of it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Its first line, as a request without a tunnel would have it.
pub const LINE: &[u8] = b"PRI * HTTP/2.0";
