//! Trouble that the network makes, and what is measured of the worker.

use std::time::Duration;

use super::end::EndId;
use crate::address::Address;
use crate::time::Time;

/// Trouble that the network made.
#[derive(Clone, Debug)]
pub struct Incident {
    /// When.
    pub at: Time,
    /// Which server, or which of the worker's own addresses.
    pub machine: Address,
    /// The end on the connecting side, if it came to a connection.
    pub end: Option<EndId>,
    /// What.
    pub kind: IncidentKind,
}

/// A kind of trouble that the network makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentKind {
    /// A connect failed within the call.
    ConnectFailed,
    /// The worker was out of descriptors.
    NoDescriptor,
    /// The worker was out of local ports for this address.
    NoPort,
    /// A connection vanished before the worker had accepted it.
    AcceptAborted,
    /// The network reset a connection.
    Reset,
}

/// What happens to the bytes of one direction, at one place.
#[derive(Clone, Copy, Debug)]
pub struct Blow {
    /// The end that sends them.
    pub from: EndId,
    /// Bytes that pass before.
    pub after: usize,
    /// What.
    pub kind: BlowKind,
}

/// What happens to bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlowKind {
    /// The network resets the connection.
    Reset,
    /// A segment ends there, and the next one comes so much later.
    Split(Duration),
}

/// Which segments of one direction arrive at one moment, so that one event tells of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coalescing {
    /// As chance has it.
    AsItComes,
    /// Each arrives by itself.
    Never,
    /// A segment, and whatever is sent while it is under way.
    Always,
    /// The last bytes, and the end behind them.
    WithEnd,
}

/// The longest that the worker has let something last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Longest {
    /// A connect.
    pub connect: Duration,
    /// A connection without room for what the worker had to write on it.
    pub stuck: Duration,
}
