//! A client's connection that is passed on without being read: `stream {}`.

use super::client::Client;
use super::context::Context;
use super::next::{CloseReason, Next};
use super::opening::{Opened, open};
use super::servers::News;
use super::transit::{Route, Transit};
use crate::address::Address;
use crate::config::model::{Listen, Serves, StreamServer, StreamServerId};
use crate::net::{Event, Net};
use crate::time::Time;

/// An L4 session.
pub struct TcpSession<N: Net> {
    client: Client<N>,
    stage: Stage<N>,
}

enum Stage<N: Net> {
    /// The connection begins with a PROXY header, which is not whole.
    Opening { deadline: Time },
    /// It has just been accepted, and nothing has to be read first.
    Ready,
    /// It goes to a server.
    Passing(Box<Transit<N>>),
}

impl<N: Net> TcpSession<N> {
    /// A session with a client that was just accepted.
    pub fn new(
        client: Client<N>,
        server: StreamServerId,
        listen: &Listen,
        context: &Context<N>,
    ) -> TcpSession<N> {
        let deadline =
            context.io.now + context.servers.config().stream_servers[server.0].header_timeout;
        let stage = if listen.proxy_protocol { Stage::Opening { deadline } } else { Stage::Ready };
        TcpSession { client, stage }
    }

    /// Notes an event of the client's socket.
    pub fn note_client(&mut self, event: &Event) {
        self.client.socket.note(event);
    }

    /// Notes an event of the server's socket.
    pub fn note_upstream(&mut self, event: &Event) {
        if let Stage::Passing(transit) = &mut self.stage {
            transit.note_upstream(event);
        }
    }

    /// The moment by which something has to have happened.
    pub fn deadline(&self) -> Time {
        match &self.stage {
            Stage::Opening { deadline } => *deadline,
            Stage::Ready => Time::NEVER,
            Stage::Passing(transit) => transit.deadline(),
        }
    }

    /// Whether nothing has been begun.
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Opening { .. } | Stage::Ready)
    }

    /// Does everything that can be done now.
    pub fn run(&mut self, context: &mut Context<N>) -> Next {
        if let Stage::Opening { .. } = self.stage {
            match open(&mut self.client, context) {
                Opened::Waits => return Next::Wait,
                Opened::Never => return Next::Close(CloseReason::ClientLeft),
                Opened::Yes => self.stage = Stage::Ready,
            }
        }
        if let Stage::Ready = self.stage {
            let Some(server) = self.server(context) else {
                return Next::Close(CloseReason::Evicted);
            };
            let model = &context.servers.config().stream_servers[server.0];
            let remote = self.remote(model);
            if !model.tcp_nodelay {
                self.client.socket.set_nodelay(false);
                self.client.nodelay = false;
            }
            let transit = Transit::new(Route::Stream(server), remote, &self.client, context);
            self.stage = Stage::Passing(Box::new(transit));
        }
        match &mut self.stage {
            Stage::Passing(transit) => transit.run(&mut self.client, context),
            Stage::Opening { .. } | Stage::Ready => Next::Wait,
        }
    }

    /// The server that the client's listener serves now: a reload may have come since it was
    /// accepted. `None` where it passes no connections on any more.
    fn server(&self, context: &Context<N>) -> Option<StreamServerId> {
        match context.servers.listen(self.client.facts.listener)?.serves {
            Serves::Stream(server) => Some(server),
            Serves::Http { .. } => None,
        }
    }

    /// The client's address from its PROXY header, if the peer is trusted.
    fn remote(&self, model: &StreamServer) -> Option<Address> {
        let facts = &self.client.facts;
        let is_trusted = model.trusted.iter().any(|trusted| trusted.covers(&facts.peer));
        let proxied = facts.proxied.as_ref().filter(|_| is_trusted);
        proxied.map(|proxied| Address::Inet(proxied.source))
    }

    /// Acts on the deadline, if it has passed.
    pub fn expire(&mut self, context: &mut Context<N>) -> Next {
        if self.deadline() > context.io.now {
            return Next::Wait;
        }
        match &mut self.stage {
            Stage::Opening { .. } | Stage::Ready => Next::Close(CloseReason::ClientLeft),
            Stage::Passing(transit) => transit.expire(&mut self.client, context),
        }
    }

    /// The listener that the client came through.
    pub fn listener(&self) -> u32 {
        self.client.facts.listener
    }

    /// Whether what happened to a server concerns this session.
    pub fn is_moved_by(&self, news: &News) -> bool {
        match &self.stage {
            Stage::Passing(transit) => transit.is_moved_by(news),
            Stage::Opening { .. } | Stage::Ready => false,
        }
    }

    /// Goes elsewhere.
    pub fn shift(&mut self, context: &mut Context<N>) -> Next {
        match &mut self.stage {
            Stage::Passing(transit) => transit.shift(&mut self.client, context),
            Stage::Opening { .. } | Stage::Ready => Next::Wait,
        }
    }

    /// Ends the session: closes what is open and gives back what was lent.
    pub fn close(mut self, context: &mut Context<N>) {
        if let Stage::Passing(transit) = self.stage {
            transit.finish(&mut self.client, context);
        }
        context.io.buffers.clear(&mut self.client.input);
        context.io.close(self.client.socket);
    }
}
