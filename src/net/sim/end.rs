//! One end of a connection as its owner sees it, with the errors that Linux would report.
//!
//! Knows nothing about time or the other end; the wire between them is in `wire.rs`.

use std::collections::VecDeque;
use std::io::ErrorKind;

use crate::address::Address;
use crate::net::Token;
use crate::time::Time;

/// Names an end; unique within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndId(pub usize);

impl std::fmt::Display for EndId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Names an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActorId {
    /// The client with this index.
    Client(usize),
    /// The server with this index.
    Server(usize),
    /// The stranger with this index.
    Stranger(usize),
}

/// The owner of an end or an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The worker, through `Net` and `Stream`.
    Worker,
    /// An actor, which is woken.
    Actor(ActorId),
    /// The test itself, between turns.
    Hand,
}

/// How far a connection has progressed, as seen from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndPhase {
    /// No answer from the other side yet.
    Connecting,
    /// Both directions may carry bytes.
    Open,
    /// Failed or reset; the reason, until a call has returned it.
    Dead(Option<ErrorKind>),
    /// Closed by its owner; written bytes may still be in transit.
    Closed,
}

/// The FIN of this end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fin {
    /// More may be written.
    No,
    /// Sent after the last byte.
    Queued,
    /// Sent.
    Sent,
}

/// What the worker knows about bytes or an end that arrived while a connection was idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdleArrival {
    /// Nothing arrived.
    Quiet,
    /// Something arrived that the worker cannot know yet.
    Untold,
    /// The event was delivered: the connection must not be used again.
    Told,
    /// The worker had written a request when the bytes arrived: it may take them for the answer.
    Raced,
}

#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) owner: Owner,
    /// `None` while connecting.
    pub(super) peer: Option<EndId>,
    pub(super) phase: EndPhase,
    pub(super) local: Address,
    pub(super) remote: Address,
    /// The server's machine at either side of this connection.
    pub(super) machine: Address,
    /// Bytes received and not read.
    pub(super) inbox: VecDeque<u8>,
    /// Whether the peer's FIN has arrived, after the inbox.
    pub(super) fin_in: bool,
    /// Bytes written and not sent.
    pub(super) outbox: VecDeque<u8>,
    pub(super) fin_out: Fin,
    /// Number of bytes sent so far.
    pub(super) gone: usize,
    /// Number of bytes sent and not yet received by the peer.
    pub(super) underway: usize,
    /// Limit of the inbox, and of the outbox with the bytes underway.
    pub(super) capacity: usize,
    /// A write found no room, and the owner waits for an event.
    pub(super) starved: bool,
    /// When the connect began.
    pub(super) dialled: Time,
    /// When the worker first found no room, until there is some.
    pub(super) stuck: Option<Time>,
    /// When the owner closed it.
    pub(super) closed: Option<Time>,
    /// Closing sends a reset.
    pub(super) abortive: bool,
    /// Packets were lost permanently: nothing will arrive any more.
    pub(super) severed: bool,
    pub(super) latency: std::time::Duration,
    /// Later segments arrive no earlier than this.
    pub(super) last_arrival: Time,
    /// Bytes that this end may still send before the network resets the connection.
    pub(super) reset_after: Option<usize>,
    /// The worker's token for it.
    pub(super) token: Option<Token>,
    pub(super) idle: IdleArrival,
    /// Number of bytes read from the inbox so far.
    pub(super) taken: usize,
    /// Number of bytes written to the outbox so far.
    pub(super) given: usize,
    /// Bytes received here after this many were unsolicited; with how many read the owner knows it.
    pub(super) spoilt_behind: Option<(usize, usize)>,
    /// Its owner dials, and its TLS handshake is not known to be complete.
    pub(super) shakes: bool,
    /// All bytes that the worker has written here, or those inside TLS that its peer has read.
    pub(super) written: Vec<u8>,
}

impl Endpoint {
    /// Reads at most `into.len()` bytes.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        if !self.inbox.is_empty() && !into.is_empty() {
            let count = into.len().min(self.inbox.len());
            let front = self.inbox.as_slices().0;
            let split = count.min(front.len());
            into[..split].copy_from_slice(&front[..split]);
            into[split..count].copy_from_slice(&self.inbox.as_slices().1[..count - split]);
            self.inbox.drain(..count);
            self.taken += count;
            let spoilt = self.spoilt_behind.is_some_and(|(_, told)| self.taken >= told);
            if spoilt && self.idle == IdleArrival::Quiet {
                self.idle = IdleArrival::Told;
            }
            return Ok(count);
        }
        match self.phase {
            EndPhase::Connecting => Err(ErrorKind::WouldBlock),
            EndPhase::Open if self.fin_in || into.is_empty() => Ok(0),
            EndPhase::Open => Err(ErrorKind::WouldBlock),
            EndPhase::Dead(None) => Ok(0),
            EndPhase::Dead(Some(reason)) => {
                self.phase = EndPhase::Dead(None);
                Err(reason)
            }
            EndPhase::Closed => Err(ErrorKind::NotConnected),
        }
    }

    /// How many of `wanted` bytes fit; marks the end as starved if not all do.
    pub(super) fn room_for(&mut self, wanted: usize) -> Result<usize, ErrorKind> {
        match self.phase {
            EndPhase::Connecting => {
                self.starved = true;
                Err(ErrorKind::WouldBlock)
            }
            EndPhase::Open if self.fin_out != Fin::No => Err(ErrorKind::BrokenPipe),
            EndPhase::Open => {
                let room = self.room();
                self.starved |= room < wanted;
                if room == 0 && wanted > 0 {
                    return Err(ErrorKind::WouldBlock);
                }
                Ok(room.min(wanted))
            }
            EndPhase::Dead(None) => Err(ErrorKind::BrokenPipe),
            // The write takes the error; a later read sees only an end.
            EndPhase::Dead(Some(reason)) => {
                self.phase = EndPhase::Dead(None);
                Err(reason)
            }
            EndPhase::Closed => Err(ErrorKind::NotConnected),
        }
    }

    pub(super) fn connected(&mut self) -> Result<bool, ErrorKind> {
        match self.phase {
            EndPhase::Connecting => Ok(false),
            EndPhase::Open => Ok(true),
            // As on Linux: after the reason is taken, the error says only that there is no peer.
            EndPhase::Dead(None) | EndPhase::Closed => Ok(false),
            EndPhase::Dead(Some(reason)) => {
                self.phase = EndPhase::Dead(None);
                Err(reason)
            }
        }
    }

    /// Free space in the send buffer.
    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.outbox.len() + self.underway)
    }

    /// Whether there is enough room to notify a waiting owner.
    pub(super) fn has_roomy_outbox(&self) -> bool {
        self.room() * 3 >= self.capacity
    }

    /// Whether the peer will send nothing more.
    pub(super) fn read_closed(&self) -> bool {
        self.fin_in || matches!(self.phase, EndPhase::Dead(_))
    }

    /// Whether the connection failed.
    pub(super) fn broken(&self) -> bool {
        matches!(self.phase, EndPhase::Dead(_))
    }

    /// What epoll calls a hang-up: both directions have ended, or there is an error.
    pub(super) fn hung_up(&self) -> bool {
        self.broken() || (self.fin_in && self.fin_out != Fin::No)
    }

    pub(super) fn readable(&self) -> bool {
        !self.inbox.is_empty() || self.read_closed()
    }

    pub(super) fn writable(&self) -> bool {
        match self.phase {
            EndPhase::Connecting | EndPhase::Closed => false,
            EndPhase::Open => self.has_roomy_outbox(),
            EndPhase::Dead(_) => true,
        }
    }

    /// Whether the owner has not closed it.
    pub(super) fn held(&self) -> bool {
        self.phase != EndPhase::Closed
    }
}
