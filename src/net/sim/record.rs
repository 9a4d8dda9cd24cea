//! A simulated server's plan, and its records.

use super::act::Act;
use super::end::EndId;
use crate::address::Address;
use crate::time::Time;

/// The plan of a server.
#[derive(Clone, Debug)]
pub struct ServerPlan {
    /// Its number, which it writes into everything it sends.
    pub name: u32,
    /// Its address.
    pub at: Address,
    /// Changes of its condition, ordered by time.
    pub calendar: Vec<(Time, Condition)>,
    /// How it answers.
    pub manners: Manners,
}

/// How a server answers.
#[derive(Clone, Debug)]
pub enum Manners {
    /// Decided by chance and the faults of the run.
    Random,
    /// Always the same way.
    Always(Act),
}

/// A server's condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It accepts and answers.
    Well,
    /// It refuses new connections.
    Refusing,
    /// Its machine is cut off from the network.
    Dark,
    /// It is dead, and so are its connections.
    Dead,
    /// It accepts and reads but never answers.
    Hanging,
}

/// A request whose head, at least, reached a server.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The request's id; [`Delivery::STRANGE`] if only a stranger can have sent it.
    pub id: u32,
    /// Its method.
    pub method: String,
    /// When its head was complete.
    pub at: Time,
    /// The server's end of the connection.
    pub end: EndId,
    /// Whether the whole request arrived.
    pub request_whole: bool,
    /// Whether the whole answer was written and not spoiled.
    pub answer_whole: bool,
    /// When its connection was closed, if it was the last one there.
    pub closed: Option<Time>,
}

impl Delivery {
    /// Not the id of any exchange.
    pub const STRANGE: u32 = 0;
}

/// Trouble caused by a server.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// When it began.
    pub from: Time,
    /// When it ended; [`Time::NEVER`] while it lasts.
    pub until: Time,
    /// The affected connection; `None` for all.
    pub end: Option<EndId>,
    /// What happened.
    pub kind: TroubleKind,
}

/// A kind of trouble caused by a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// It was not well.
    Condition(Condition),
    /// It answered wrongly, late, partly or not at all.
    Answer,
    /// It closed an idle connection: no trouble for requests that may be repeated.
    ClosedIdle,
    /// It sent unsolicited bytes, and does not answer on that connection any more: no trouble for
    /// requests that avoid it once the worker knows.
    Unasked,
}
