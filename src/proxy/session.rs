//! A session with one client: its connection, and the protocol on it.

use std::sync::Arc;

use crate::address::Address;
use crate::buffer::Buffer;
use crate::config::model::{Serves, StreamServerId};
use crate::http::refusal::Refusal;
use crate::net::{Event, Net};
use crate::proxy::client::{Client, Facts};
use crate::proxy::context::Context;
use crate::proxy::http::real_ip;
use crate::proxy::http::session::{Handover, HttpSession};
use crate::proxy::news::News;
use crate::proxy::next::{CloseReason, Expendable, Next};
use crate::proxy::opening::{Opened, Opening};
use crate::proxy::shared::Shared;
use crate::proxy::stream::passthrough::Passthrough;
use crate::time::Time;
use crate::transport::io::Owner;
use crate::transport::socket::Socket;
use crate::upstream::group::At;

/// One client's connection.
pub struct Session<N: Net> {
    client: Client<N>,
    protocol: Protocol<N>,
}

enum Protocol<N: Net> {
    /// The protocol has not begun.
    Opening(Opening),
    /// Requests are read and sent on one by one.
    Http(HttpSession<N>),
    /// Bytes pass unread: `stream {}`, tunnelled HTTP/2, and upgraded exchanges.
    Passing(Box<Passthrough<N>>),
}

impl<N: Net> Session<N> {
    /// Starts a session with an accepted client; `None` if the socket cannot be registered, or its
    /// listener no longer serves anything.
    pub fn accept(
        mut stream: N::Stream,
        (peer, local): (Address, Arc<Address>),
        (listener, session): (u32, u32),
        number: u64,
        context: &mut Context<N>,
    ) -> Option<Session<N>> {
        let listen = context.servers.listen(listener)?;
        let token = context.io.watch(&mut stream, Owner::Client(session)).ok()?;
        let facts = Facts {
            session,
            number,
            peer,
            local,
            preamble: None,
            listener,
            accepted: context.io.now,
            requests: 0,
        };
        let socket = Socket::new(stream, token);
        let mut client = Client { socket, input: Buffer::default(), facts };
        let opening = Opening::begin(listen, &mut client, context.servers.config(), context.io.now);
        Some(Session { client, protocol: Protocol::Opening(opening) })
    }

    /// Notes an event of the client's socket.
    pub fn note_client(&mut self, event: &Event) {
        self.client.socket.note(event);
    }

    /// Notes an event of the server's socket.
    pub fn note_upstream(&mut self, event: &Event) {
        match &mut self.protocol {
            Protocol::Opening(_) => {}
            Protocol::Http(session) => session.note_upstream(event),
            Protocol::Passing(passthrough) => passthrough.note_upstream(event),
        }
    }

    /// When something must have happened at the latest.
    pub fn deadline(&self) -> Time {
        match &self.protocol {
            Protocol::Opening(opening) => opening.deadline(),
            Protocol::Http(session) => session.deadline(),
            Protocol::Passing(passthrough) => passthrough.deadline(),
        }
    }

    /// Whether no request is waiting for a response.
    pub fn is_idle(&self) -> bool {
        match &self.protocol {
            Protocol::Opening(_) => true,
            Protocol::Http(session) => session.is_idle(),
            Protocol::Passing(_) => false,
        }
    }

    /// Whether closing it now loses nothing: it is idle, or its owner reconnects.
    pub fn may_go(&self) -> bool {
        self.is_idle() || self.is_recallable()
    }

    /// What closing it to make room would lose, and the storage freed in bytes; `None` if it must
    /// not be closed.
    pub fn expendable(&self) -> Option<(Expendable, usize)> {
        match &self.protocol {
            Protocol::Opening(_) => {
                let since = self.client.facts.accepted;
                Some((Expendable::Idle { since }, self.client.input.capacity()))
            }
            Protocol::Http(session) => Some((session.expendable()?, self.client.input.capacity())),
            Protocol::Passing(_) => None,
        }
    }

    /// Refuses the request that is being read, for lack of room.
    pub fn refuse(&mut self, shared: &mut Shared<N>) -> Next {
        match &mut self.protocol {
            Protocol::Http(session) => {
                session.refuse_head(Refusal::NoRoomForHead, &mut self.client, shared)
            }
            Protocol::Opening(_) | Protocol::Passing(_) => Next::Close(CloseReason::Evicted),
        }
    }

    /// Whether it is a tunnel whose owner reconnects when it is closed.
    pub fn is_recallable(&self) -> bool {
        match &self.protocol {
            Protocol::Passing(passthrough) => passthrough.is_recallable(),
            Protocol::Opening(_) | Protocol::Http(_) => false,
        }
    }

    /// Moves a recallable tunnel to the newest configuration if its server is still in it. Returns
    /// whether it moved.
    pub fn adopt_newest(&mut self, context: &mut Context<N>) -> bool {
        match &mut self.protocol {
            Protocol::Passing(passthrough) => passthrough.adopt_newest(&self.client, context),
            Protocol::Opening(_) | Protocol::Http(_) => false,
        }
    }

    /// Why it must be closed if its current work began with this configuration or an older one. A
    /// client that has not received everything sees a cut.
    pub fn outlives(&mut self, generation: u64) -> Option<CloseReason> {
        match &mut self.protocol {
            // The protocol will use the newest configuration.
            Protocol::Opening(_) => None,
            Protocol::Http(session) => session.outlives(generation),
            Protocol::Passing(passthrough) => passthrough.outlives(generation, &mut self.client),
        }
    }

    /// Does everything that can be done now.
    pub fn run(&mut self, shared: &mut Shared<N>) -> Next {
        if let Protocol::Opening(opening) = &mut self.protocol {
            match opening.run(&mut self.client, &mut shared.context) {
                Opened::Waits => return Next::Wait,
                Opened::Never => return Next::Close(CloseReason::Done),
                Opened::Yes => match self.begin(&mut shared.context) {
                    Some(protocol) => self.protocol = protocol,
                    None => return Next::Close(CloseReason::Evicted),
                },
            }
        }
        match &mut self.protocol {
            Protocol::Opening(_) => Next::Again,
            Protocol::Http(session) => {
                let next = session.run(&mut self.client, shared);
                self.carry_on(next, shared)
            }
            Protocol::Passing(passthrough) => {
                passthrough.run(&mut self.client, &mut shared.context)
            }
        }
    }

    /// Starts the protocol that the listener serves now, which a reload may have changed. `None` if
    /// it no longer serves anything.
    fn begin(&mut self, context: &mut Context<N>) -> Option<Protocol<N>> {
        match context.servers.listen(self.client.facts.listener)?.serves {
            Serves::Http { .. } => Some(Protocol::Http(HttpSession::new(&self.client, context))),
            Serves::Stream(server) => Some(Protocol::Passing(Box::new(self.pass(server, context)))),
        }
    }

    /// Begins to pass the connection on unread.
    fn pass(&mut self, server: StreamServerId, context: &mut Context<N>) -> Passthrough<N> {
        let model = &context.servers.config().stream_servers[server.0];
        let facts = &self.client.facts;
        let is_trusted = real_ip::is_trusted(&model.trusted, &facts.peer);
        let remote = if is_trusted { real_ip::proxied(facts) } else { None };
        let nodelay = model.tcp_nodelay;
        self.client.socket.set_nodelay(nodelay);
        Passthrough::stream(server, remote, &self.client, context)
    }

    /// Turns the session into a tunnel, if the HTTP session hands its connection over.
    fn carry_on(&mut self, next: Next, shared: &mut Shared<N>) -> Next {
        let Protocol::Http(session) = &mut self.protocol else { return next };
        let Some(handover) = session.hand_over() else { return next };
        let context = &mut shared.context;
        let passthrough = match handover {
            Handover::H2c(server) => {
                let config = context.servers.config();
                let rules = &config.virtual_servers[server.0].outside.real_ip;
                let remote = real_ip::remote_unread(rules, &self.client.facts);
                Passthrough::h2c(server, remote, &self.client, context)
            }
            Handover::Upgraded(exchange) => {
                let upgraded = shared.exchanges.take(exchange).upgrade(context);
                Passthrough::upgraded(upgraded, context.io.now)
            }
        };
        self.protocol = Protocol::Passing(Box::new(passthrough));
        self.run(shared)
    }

    /// Acts on the deadline, if it has passed.
    pub fn expire(&mut self, shared: &mut Shared<N>) -> Next {
        if self.deadline() > shared.context.io.now {
            return Next::Wait;
        }
        match &mut self.protocol {
            Protocol::Opening(_) => Next::Close(CloseReason::Done),
            Protocol::Http(session) => {
                let next = session.expire(&mut self.client, shared);
                self.carry_on(next, shared)
            }
            Protocol::Passing(passthrough) => {
                passthrough.expire(&mut self.client, &mut shared.context)
            }
        }
    }

    /// The listener that the client came through.
    pub fn listener(&self) -> u32 {
        self.client.facts.listener
    }

    /// Whether a server's change makes this session move to another server.
    pub fn is_moved_by(&self, news: &News) -> bool {
        match &self.protocol {
            Protocol::Opening(_) => false,
            Protocol::Http(session) => session.is_moved_by(news),
            Protocol::Passing(passthrough) => passthrough.is_moved_by(news),
        }
    }

    /// Whether bytes of this server have come since then, as the answer to a request.
    pub fn has_heard(&self, at: At, since: Time) -> bool {
        match &self.protocol {
            Protocol::Http(session) => session.has_heard(at, since),
            Protocol::Opening(_) | Protocol::Passing(_) => false,
        }
    }

    /// Moves to another server.
    pub fn shift(&mut self, shared: &mut Shared<N>) -> Next {
        match &mut self.protocol {
            Protocol::Opening(_) => Next::Wait,
            Protocol::Http(session) => session.shift(&mut self.client, shared),
            Protocol::Passing(passthrough) => {
                passthrough.shift(&mut self.client, &mut shared.context)
            }
        }
    }

    /// Ends the session: closes its sockets and returns its storage.
    pub fn close(mut self, reason: CloseReason, shared: &mut Shared<N>) {
        match self.protocol {
            Protocol::Opening(_) => {}
            Protocol::Http(session) => session.close(reason, &mut self.client, shared),
            Protocol::Passing(passthrough) => {
                passthrough.finish(&mut self.client, &mut shared.context)
            }
        }
        shared.context.io.buffers.clear(&mut self.client.input);
        shared.context.io.close(self.client.socket);
    }
}
