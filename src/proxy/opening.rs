//! Reads what a connection begins with before anything else is: its PROXY header.

use super::client::Client;
use super::complaints::Topic;
use super::context::Context;
use crate::net::Net;
use crate::transport::proxy_protocol::{Found, LONGEST, find};
use crate::transport::socket::Moved;

/// How reading a header went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It waits for more.
    Waits,
    /// It has been taken from the client's input.
    Yes,
    /// The connection does not begin with one, or ends before it.
    Never,
}

/// Reads the header that the client's connection begins with; tells the operator if there is none.
pub fn open<N: Net>(client: &mut Client<N>, context: &mut Context<N>) -> Opened {
    let opened = read(client, context);
    if opened == Opened::Never {
        context.complaints.tell(context.io.now, Topic::Clients, log::Level::Info, || {
            format!("{} sent no PROXY header", client.facts.peer)
        });
    }
    opened
}

fn read<N: Net>(client: &mut Client<N>, context: &mut Context<N>) -> Opened {
    loop {
        match find(client.input.bytes()) {
            Found::Header(proxied, length) => {
                client.facts.proxied = proxied.map(Box::new);
                client.input.consume(length);
                context.io.buffers.settle(&mut client.input);
                return Opened::Yes;
            }
            Found::Part if client.input.len() < LONGEST => {}
            Found::Part | Found::Nothing => return Opened::Never,
        }
        context.io.buffers.make_room(&mut client.input, LONGEST);
        match client.socket.read(client.input.room()) {
            Moved::Bytes(count) => client.input.filled(count),
            Moved::Wait => {
                context.io.buffers.settle(&mut client.input);
                return Opened::Waits;
            }
            Moved::End | Moved::Failed(_) => return Opened::Never,
        }
    }
}
