//! What a server is to be like, and what it keeps in mind about its life.

use super::act::Act;
use super::end::EndId;
use crate::address::Address;
use crate::time::Time;

/// What a server is to be like.
#[derive(Clone, Debug)]
pub struct ServerPlan {
    /// Its number, which it writes into all it says.
    pub name: u32,
    /// Where it is.
    pub at: Address,
    /// Changes of its condition, in order of time.
    pub calendar: Vec<(Time, Condition)>,
    /// How it answers.
    pub manners: Manners,
}

/// How a server answers.
#[derive(Clone, Debug)]
pub enum Manners {
    /// As chance and the faults of the run will have it.
    Random,
    /// Always alike.
    Always(Act),
}

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It accepts and answers.
    Well,
    /// It refuses new connections.
    Refusing,
    /// Its machine is cut off from the network.
    Dark,
    /// It has died, with all its connections.
    Dead,
    /// It accepts and reads, and never answers.
    Hanging,
}

/// A request that reached a server, at least with its head.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Whose request; [`Delivery::STRANGE`] where only a stranger can have asked for it.
    pub id: u32,
    /// Its method.
    pub method: String,
    /// When its head was complete.
    pub at: Time,
    /// The server's end of the connection.
    pub end: EndId,
    /// The request came to its end.
    pub request_whole: bool,
    /// The whole answer was written, and nothing was done to spoil it.
    pub answer_whole: bool,
    /// When its connection was closed, if it was the last on it.
    pub closed: Option<Time>,
}

impl Delivery {
    /// Not the id of any exchange.
    pub const STRANGE: u32 = 0;
}

/// Trouble that a server made.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// Since when.
    pub from: Time,
    /// Until when; [`Time::NEVER`] while it lasts.
    pub until: Time,
    /// On which connection; none: on all.
    pub end: Option<EndId>,
    /// What.
    pub kind: TroubleKind,
}

/// A kind of trouble that a server makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// It was not well.
    Condition(Condition),
    /// It answered wrongly, late, in part or not at all.
    Answer,
    /// It closed a connection that was idle: no trouble for what may be repeated.
    ClosedIdle,
    /// It sent octets that nobody asked for, and will not answer on that connection any more: no
    /// trouble for those who have noticed in time.
    Unasked,
}
