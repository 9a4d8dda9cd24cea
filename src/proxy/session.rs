//! A session with one client, and what a worker asks of it, whatever protocol it speaks.

use super::client::{Client, Facts};
use super::context::Context;
use super::http::HttpSession;
use super::next::{CloseReason, Next};
use super::servers::News;
use super::shared::Shared;
use super::tcp::TcpSession;
use crate::buffer::Buffer;
use crate::config::model::Serves;
use crate::net::{Accepted, Event, Net};
use crate::time::Time;
use crate::transport::io::Owner;
use crate::transport::socket::Socket;

/// One client's connection.
pub enum Session<N: Net> {
    /// Requests are read and passed on one by one.
    Http(HttpSession<N>),
    /// Bytes pass unread.
    Tcp(TcpSession<N>),
}

impl<N: Net> Session<N> {
    /// A session with a client that was just accepted; `None` when it cannot be registered, or its
    /// listener serves nobody any more.
    pub fn accept(
        accepted: Accepted<N::Stream>,
        (listener, session): (u32, u32),
        number: u64,
        context: &mut Context<N>,
    ) -> Option<Session<N>> {
        let Accepted { mut stream, peer, local } = accepted;
        context.servers.listen(listener)?;
        let token = context.io.watch(&mut stream, Owner::Client(session)).ok()?;
        let facts = Facts {
            session,
            number,
            peer,
            local,
            proxied: None,
            listener,
            accepted: context.io.now,
            requests: 0,
        };
        let socket = Socket::new(stream, token);
        let client = Client { socket, input: Buffer::default(), nodelay: true, facts };
        let listen = context.servers.listen(listener).expect("looked at first");
        Some(match &listen.serves {
            Serves::Http { .. } => Session::Http(HttpSession::new(client, listen, context)),
            Serves::Stream(id) => Session::Tcp(TcpSession::new(client, *id, listen, context)),
        })
    }

    /// Notes an event of the client's socket.
    pub fn note_client(&mut self, event: &Event) {
        match self {
            Session::Http(session) => session.note_client(event),
            Session::Tcp(session) => session.note_client(event),
        }
    }

    /// Notes an event of the server's socket.
    pub fn note_upstream(&mut self, event: &Event) {
        match self {
            Session::Http(session) => session.note_upstream(event),
            Session::Tcp(session) => session.note_upstream(event),
        }
    }

    /// The moment by which something has to have happened.
    pub fn deadline(&self) -> Time {
        match self {
            Session::Http(session) => session.deadline(),
            Session::Tcp(session) => session.deadline(),
        }
    }

    /// Whether nothing has been asked that is not answered.
    pub fn is_idle(&self) -> bool {
        match self {
            Session::Http(session) => session.is_idle(),
            Session::Tcp(session) => session.is_idle(),
        }
    }

    /// Whether nothing is lost if it is closed now: it is idle, or its owner only has to come again.
    pub fn may_go(&self) -> bool {
        self.is_idle() || self.comes_again()
    }

    /// Whether it is a tunnel whose owner comes again when it is closed.
    pub fn comes_again(&self) -> bool {
        match self {
            Session::Http(session) => session.comes_again(),
            Session::Tcp(_) => false,
        }
    }

    /// Goes over to the newest configuration, if it is such a tunnel and its server stays. Whether it
    /// did.
    pub fn adopt_newest(&mut self, context: &mut Context<N>) -> bool {
        match self {
            Session::Http(session) => session.adopt_newest(context),
            Session::Tcp(_) => false,
        }
    }

    /// Does everything that can be done now.
    pub fn run(&mut self, shared: &mut Shared<N>) -> Next {
        match self {
            Session::Http(session) => session.run(shared),
            Session::Tcp(session) => session.run(&mut shared.context),
        }
    }

    /// Acts on the deadline, if it has passed.
    pub fn expire(&mut self, shared: &mut Shared<N>) -> Next {
        match self {
            Session::Http(session) => session.expire(shared),
            Session::Tcp(session) => session.expire(&mut shared.context),
        }
    }

    /// The listener that the client came through.
    pub fn listener(&self) -> u32 {
        match self {
            Session::Http(session) => session.listener(),
            Session::Tcp(session) => session.listener(),
        }
    }

    /// Whether what happened to a server makes this session go elsewhere.
    pub fn is_moved_by(&self, news: &News) -> bool {
        match self {
            Session::Http(session) => session.is_moved_by(news),
            Session::Tcp(session) => session.is_moved_by(news),
        }
    }

    /// Goes elsewhere.
    pub fn shift(&mut self, shared: &mut Shared<N>) -> Next {
        match self {
            Session::Http(session) => session.shift(shared),
            Session::Tcp(session) => session.shift(&mut shared.context),
        }
    }

    /// Ends the session: closes what is open and gives back what was lent.
    pub fn close(self, reason: CloseReason, shared: &mut Shared<N>) {
        match self {
            Session::Http(session) => session.close(reason, shared),
            Session::Tcp(session) => session.close(&mut shared.context),
        }
    }
}
