//! Trouble caused by the network, and measurements of the worker.

use std::time::Duration;

use super::end::EndId;
use crate::address::Address;
use crate::time::Time;

/// Trouble caused by the network.
#[derive(Clone, Debug)]
pub struct Incident {
    /// When it happened.
    pub at: Time,
    /// The server's machine, or one of the worker's own addresses.
    pub machine: Address,
    /// The connecting side's end, if there was a connection.
    pub end: Option<EndId>,
    /// What happened.
    pub kind: IncidentKind,
}

/// A kind of trouble caused by the network.
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

/// What happens to the bytes of one direction at one position.
#[derive(Clone, Copy, Debug)]
pub struct Blow {
    /// The end that sends them.
    pub from: EndId,
    /// Number of bytes that pass before it.
    pub after: usize,
    /// What happens.
    pub kind: BlowKind,
}

/// What happens to bytes in transit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlowKind {
    /// The network resets the connection.
    Reset,
    /// A segment ends there, and the next one arrives this much later.
    Split(Duration),
}

/// Which segments of one direction arrive at the same time, so that one event covers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coalescing {
    /// Decided by chance.
    AsItComes,
    /// Each segment arrives separately.
    Never,
    /// A segment and all others sent while it is underway.
    Always,
    /// The last bytes and the FIN after them.
    WithEnd,
}

/// The longest durations that the worker has permitted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Longest {
    /// A connect.
    pub connect: Duration,
    /// A connection without room for what the worker wants to write.
    pub stuck: Duration,
}
