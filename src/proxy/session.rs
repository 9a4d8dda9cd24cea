//! A session with one client, and what a worker asks of it, whatever protocol it speaks.

use super::client::Client;
use super::context::{Context, Shift};
use super::http::HttpSession;
use super::tcp::TcpSession;
use crate::config::model::{Listen, Serves};
use crate::net::{Event, Net};
use crate::time::Time;

/// One client's connection.
pub enum Session<N: Net> {
    /// Requests are read and passed on one by one.
    Http(HttpSession<N>),
    /// Bytes pass unread.
    Tcp(TcpSession<N>),
}

/// What a session wants after it was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// An event, or its deadline.
    Wait,
    /// To be called again after the others have had their turn: no event will come for what is
    /// already in hand.
    Again,
    /// To be closed.
    Close(CloseReason),
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Everything that was to be said has been said.
    Done,
    /// The client left or its connection broke.
    ClientLeft,
    /// The client was silent, or took nothing, for too long.
    TimedOut,
    /// A response was cut short by its server: the client has to see it.
    Cut,
    /// Room is needed, or the worker stops.
    Evicted,
}

impl<N: Net> Session<N> {
    /// A session with a client that was just accepted where `listen` says.
    pub fn new(client: Client<N>, listen: &Listen, context: &Context<N>) -> Session<N> {
        match &listen.serves {
            Serves::Http { .. } => Session::Http(HttpSession::new(client, listen, context)),
            Serves::Stream(id) => Session::Tcp(TcpSession::new(client, *id, listen, context)),
        }
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
    pub fn run(&mut self, context: &mut Context<N>) -> Next {
        match self {
            Session::Http(session) => session.run(context),
            Session::Tcp(session) => session.run(context),
        }
    }

    /// Acts on the deadline, if it has passed.
    pub fn expire(&mut self, context: &mut Context<N>) -> Next {
        match self {
            Session::Http(session) => session.expire(context),
            Session::Tcp(session) => session.expire(context),
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
    pub fn is_moved_by(&self, shift: &Shift) -> bool {
        match self {
            Session::Http(session) => session.is_moved_by(shift),
            Session::Tcp(session) => session.is_moved_by(shift),
        }
    }

    /// Goes elsewhere.
    pub fn shift(&mut self, context: &mut Context<N>) -> Next {
        match self {
            Session::Http(session) => session.shift(context),
            Session::Tcp(session) => session.shift(context),
        }
    }

    /// Ends the session: closes what is open and gives back what was lent.
    pub fn close(self, reason: CloseReason, context: &mut Context<N>) {
        match self {
            Session::Http(session) => session.close(reason, context),
            Session::Tcp(session) => session.close(context),
        }
    }
}
