//! What precedes the protocol on a client's connection: a PROXY header, if the listener wants one.

use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::log::limited_log::Topic;
use crate::time::Time;
use crate::transport::proxy_protocol::{Found, LONGEST, find};
use crate::transport::socket::Moved;

/// A connection whose protocol has not begun.
#[derive(Clone, Copy, Debug)]
pub enum Opening {
    /// The PROXY header is awaited, and incomplete.
    Header {
        /// When the header is overdue.
        deadline: Time,
    },
    /// No header is expected.
    Ready,
}

/// The result of reading an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// More bytes are needed.
    Waits,
    /// The protocol may begin.
    Yes,
    /// The connection does not begin with a header, or ends within it.
    Never,
}

impl Opening {
    /// When the header is overdue; never if none is expected.
    pub fn deadline(&self) -> Time {
        match self {
            Opening::Header { deadline } => *deadline,
            Opening::Ready => Time::NEVER,
        }
    }

    /// Reads the header if one is expected, and logs a connection without it.
    pub fn run<N: Net>(self, client: &mut Client<N>, context: &mut Context<N>) -> Opened {
        let opened = match self {
            Opening::Ready => Opened::Yes,
            Opening::Header { .. } => read(client, context),
        };
        if opened == Opened::Never {
            context.limited_log.write(context.io.now, Topic::Clients, log::Level::Info, || {
                format!("{} sent no PROXY header", client.facts.peer)
            });
        }
        opened
    }
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
