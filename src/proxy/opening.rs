//! What precedes the protocol on a client's connection, if the listener wants it: a PROXY header, and
//! a TLS handshake or the beginning of one that passes on.

use std::time::Duration;

use crate::config::model::{Config, Listen, PrereadLimits, Serves};
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::http::route::{head_limits, tls_terms};
use crate::proxy::log::limited_log::Topic;
use crate::time::Time;
use crate::tls::{Handshake, Preread, ServerTerms, Shaken};
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
    /// The TLS handshake is under way.
    Handshake {
        /// When it is overdue.
        deadline: Time,
    },
    /// What its handshake with the server says is being read; see [`Preread`].
    Preread {
        /// When that is overdue.
        deadline: Time,
        /// How many bytes it may be long.
        size: usize,
    },
    /// Nothing more is expected.
    Ready,
}

/// The result of reading an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// More bytes are needed.
    Waits,
    /// The protocol may begin.
    Yes,
    /// The connection does not begin as it has to.
    Never,
}

impl Opening {
    /// Begins with what a listener expects of its clients.
    pub fn begin<N: Net>(
        listen: &Listen,
        client: &mut Client<N>,
        config: &Config,
        now: Time,
    ) -> Opening {
        if listen.proxy_protocol {
            Opening::Header { deadline: now + header_timeout(config, listen) }
        } else {
            Opening::begin_protocol(listen, client, config, now)
        }
    }

    /// Begins with what follows the PROXY header.
    fn begin_protocol<N: Net>(
        listen: &Listen,
        client: &mut Client<N>,
        config: &Config,
        now: Time,
    ) -> Opening {
        if listen.tls {
            client.socket.expect_tls(client.input.bytes());
            client.input.consume(client.input.len());
            return Opening::Handshake { deadline: now + handshake_timeout(config, listen) };
        }
        match preread(config, listen) {
            Some(PrereadLimits { timeout, size }) => {
                Opening::Preread { deadline: now + timeout, size }
            }
            None => Opening::Ready,
        }
    }

    /// When it is overdue; never if nothing is expected.
    pub fn deadline(&self) -> Time {
        match self {
            Opening::Header { deadline }
            | Opening::Handshake { deadline }
            | Opening::Preread { deadline, .. } => *deadline,
            Opening::Ready => Time::NEVER,
        }
    }

    /// Reads what is expected, and logs a connection without it.
    pub fn run<N: Net>(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Opened {
        loop {
            let opened = match self {
                Opening::Header { .. } => read_header(client, context),
                Opening::Handshake { .. } => shake_hands(client, context),
                Opening::Preread { size, .. } => read_preread(*size, client, context),
                Opening::Ready => return Opened::Yes,
            };
            if opened != Opened::Yes {
                return opened;
            }
            let Some(next) = self.next(client, context) else { return Opened::Never };
            *self = next;
        }
    }

    /// What is expected after this has come; `None` if a reload has ended what the listener serves.
    fn next<N: Net>(self, client: &mut Client<N>, context: &Context<N>) -> Option<Opening> {
        match self {
            Opening::Header { .. } => {
                let listen = context.servers.listen(client.facts.listener)?;
                let config = context.servers.config();
                Some(Opening::begin_protocol(listen, client, config, context.io.now))
            }
            Opening::Handshake { .. } | Opening::Preread { .. } | Opening::Ready => {
                Some(Opening::Ready)
            }
        }
    }
}

/// Goes on with the TLS handshake.
fn shake_hands<N: Net>(client: &mut Client<N>, context: &mut Context<N>) -> Opened {
    let listener = client.facts.listener;
    let servers = &context.servers;
    let terms = |host: Option<&str>| terms(servers.config(), servers.listen(listener)?, host);
    match client.socket.shake_hands(terms) {
        Shaken::Waits => return Opened::Waits,
        Shaken::Done => {
            client.facts.preamble_mut().tls = client.socket.agreed().map(Handshake::Agreed);
        }
        Shaken::Plain(bytes) => {
            if !servers.listen(listener).is_some_and(|it| matches!(it.serves, Serves::Http { .. }))
            {
                say(context, || format!("{} speaks no TLS", client.facts.peer));
                return Opened::Never;
            }
            client.facts.preamble_mut().tls = Some(Handshake::Missing);
            context.io.buffers.append(&mut client.input, &bytes);
        }
        Shaken::Failed(why) => {
            say(context, || format!("{}: TLS handshake failed: {why}", client.facts.peer));
            return Opened::Never;
        }
    }
    Opened::Yes
}

/// How the server that a client asks for takes TLS.
fn terms(config: &Config, listen: &Listen, host: Option<&str>) -> Option<ServerTerms> {
    match listen.serves {
        Serves::Http { .. } => tls_terms(config, listen, host.unwrap_or_default().as_bytes()),
        Serves::Stream(server) => config.stream_servers[server.0].tls.clone(),
    }
}

fn say<N: Net>(context: &mut Context<N>, words: impl FnOnce() -> String) {
    context.limited_log.write(context.io.now, Topic::Clients, log::Level::Info, words);
}

/// How long the PROXY header may take.
fn header_timeout(config: &Config, listen: &Listen) -> Duration {
    match listen.serves {
        Serves::Http { .. } => head_timeout(config, listen),
        Serves::Stream(server) => config.stream_servers[server.0].header_timeout,
    }
}

/// How long the TLS handshake may take.
fn handshake_timeout(config: &Config, listen: &Listen) -> Duration {
    match listen.serves {
        Serves::Http { .. } => head_timeout(config, listen),
        Serves::Stream(server) => config.stream_servers[server.0].handshake_timeout,
    }
}

fn head_timeout(config: &Config, listen: &Listen) -> Duration {
    head_limits(config, listen).map_or(Duration::ZERO, |limits| limits.header_timeout)
}

/// How the beginning of a client's handshake is read that passes on.
fn preread(config: &Config, listen: &Listen) -> Option<PrereadLimits> {
    match listen.serves {
        Serves::Http { .. } => None,
        Serves::Stream(server) => config.stream_servers[server.0].preread,
    }
}

/// Reads the PROXY header, and logs a connection without it.
fn read_header<N: Net>(client: &mut Client<N>, context: &mut Context<N>) -> Opened {
    let read = read(LONGEST, client, context, |client| match find(client.input.bytes()) {
        Found::Header(proxied, length) => {
            if proxied.is_some() {
                client.facts.preamble_mut().proxied = proxied;
            }
            client.input.consume(length);
            Opened::Yes
        }
        Found::Part => Opened::Waits,
        Found::Nothing => Opened::Never,
    });
    if read == Opened::Never {
        say(context, || format!("{} sent no PROXY header", client.facts.peer));
    }
    read
}

/// Reads the beginning of a handshake, which stays there to be passed on.
fn read_preread<N: Net>(size: usize, client: &mut Client<N>, context: &mut Context<N>) -> Opened {
    read(size, client, context, |client| match Preread::of(client.input.bytes()) {
        None => Opened::Waits,
        Some(preread) => {
            client.facts.preamble_mut().preread = Some(preread);
            Opened::Yes
        }
    })
}

/// Reads up to `most` bytes, until they are what is expected.
fn read<N: Net>(
    most: usize,
    client: &mut Client<N>,
    context: &mut Context<N>,
    look: impl Fn(&mut Client<N>) -> Opened,
) -> Opened {
    loop {
        match look(client) {
            Opened::Yes => {
                context.io.buffers.settle(&mut client.input);
                return Opened::Yes;
            }
            Opened::Waits if client.input.len() < most => {}
            Opened::Waits | Opened::Never => return Opened::Never,
        }
        context.io.buffers.make_room(&mut client.input, most);
        let (left, room) = (most - client.input.len(), client.input.room());
        let count = left.min(room.len());
        match client.socket.read(&mut room[..count]) {
            Moved::Bytes(count) => client.input.filled(count),
            Moved::Wait => {
                context.io.buffers.settle(&mut client.input);
                return Opened::Waits;
            }
            Moved::End | Moved::Failed(_) => return Opened::Never,
        }
    }
}
