//! One end of a connection: what its owner can see of it, with the errors Linux would give.
//!
//! Knows nothing of time or of the other end; the wire between them is in `wire.rs`.

use std::collections::VecDeque;
use std::io::ErrorKind;

use crate::address::Address;
use crate::net::Token;
use crate::time::Time;

/// Names an end. Never used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndId(pub usize);

/// Names an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActorId {
    /// The nth client.
    Client(usize),
    /// The nth server.
    Server(usize),
    /// The nth stranger.
    Stranger(usize),
}

/// Who reads and writes at an end, or waits at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The worker, through `Net` and `Stream`.
    Worker,
    /// An actor, which is woken.
    Actor(ActorId),
    /// The test itself, between two turns.
    Hand,
}

/// How far a connection has come, as seen from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No answer from the other side yet.
    Connecting,
    /// Both directions may carry bytes.
    Open,
    /// Failed or reset; the reason, until one call has taken it.
    Dead(Option<ErrorKind>),
    /// Its owner has closed it; what was written may still be on its way.
    Closed,
}

/// The orderly end of what this end sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fin {
    /// More may be written.
    No,
    /// Goes out behind the last byte.
    Queued,
    /// Has gone out.
    Sent,
}

/// What a worker has been told about octets or an end that came while a connection was idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// Nothing of the kind happened.
    Quiet,
    /// Something came that the worker cannot know of yet.
    Untold,
    /// The event was delivered: the connection must not be used again.
    Told,
    /// The worker had written a request when the octets came: it may take them for the answer.
    Raced,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) owner: Owner,
    /// None while connecting.
    pub(super) peer: Option<EndId>,
    pub(super) phase: Phase,
    pub(super) local: Address,
    pub(super) remote: Address,
    /// The server machine that this connection leads to or from.
    pub(super) machine: Address,
    /// Arrived and not read.
    pub(super) inbox: VecDeque<u8>,
    /// The peer's FIN has arrived, behind the inbox.
    pub(super) fin_in: bool,
    /// Written and not sent.
    pub(super) outbox: VecDeque<u8>,
    pub(super) fin_out: Fin,
    /// Bytes that went out so far.
    pub(super) gone: usize,
    /// Sent and not arrived.
    pub(super) underway: usize,
    /// Bytes that inbox, and that outbox with what is underway, may hold.
    pub(super) capacity: usize,
    /// A write found no room: its owner waits to hear of some.
    pub(super) starved: bool,
    /// When the connect began; when the worker first heard that there was no room, until there is.
    pub(super) dialled: Time,
    pub(super) stuck: Option<Time>,
    /// When its owner closed it.
    pub(super) closed: Option<Time>,
    /// Closing resets.
    pub(super) abortive: bool,
    /// Packets were lost for good: nothing will ever arrive.
    pub(super) severed: bool,
    pub(super) latency: std::time::Duration,
    /// Nothing that is sent later arrives before.
    pub(super) last_arrival: Time,
    /// Bytes that this end may still send before the network resets the connection.
    pub(super) reset_after: Option<usize>,
    /// How the worker knows it.
    pub(super) token: Option<Token>,
    pub(super) idle: Idle,
    /// Bytes that came out of the inbox so far.
    pub(super) taken: usize,
    /// Bytes that went into the outbox so far.
    pub(super) given: usize,
    /// Bytes beyond so many that come here were not asked for.
    pub(super) spoilt_behind: Option<usize>,
    /// Everything that the worker has written here.
    pub(super) written: Vec<u8>,
}

impl End {
    /// Takes up to `into.len()` bytes.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        if !self.inbox.is_empty() && !into.is_empty() {
            let count = into.len().min(self.inbox.len());
            let front = self.inbox.as_slices().0;
            let split = count.min(front.len());
            into[..split].copy_from_slice(&front[..split]);
            into[split..count].copy_from_slice(&self.inbox.as_slices().1[..count - split]);
            self.inbox.drain(..count);
            self.taken += count;
            let spoilt = self.spoilt_behind.is_some_and(|behind| self.taken > behind);
            if spoilt && self.idle == Idle::Quiet {
                self.idle = Idle::Told;
            }
            return Ok(count);
        }
        match self.phase {
            Phase::Connecting => Err(ErrorKind::WouldBlock),
            Phase::Open if self.fin_in || into.is_empty() => Ok(0),
            Phase::Open => Err(ErrorKind::WouldBlock),
            Phase::Dead(None) => Ok(0),
            Phase::Dead(Some(reason)) => {
                self.phase = Phase::Dead(None);
                Err(reason)
            }
            Phase::Closed => Err(ErrorKind::NotConnected),
        }
    }

    /// How many of `wanted` bytes fit; remembers when not all of them do.
    pub(super) fn room_for(&mut self, wanted: usize) -> Result<usize, ErrorKind> {
        match self.phase {
            Phase::Connecting => {
                self.starved = true;
                Err(ErrorKind::WouldBlock)
            }
            Phase::Open if self.fin_out != Fin::No => Err(ErrorKind::BrokenPipe),
            Phase::Open => {
                let room = self.room();
                self.starved |= room < wanted;
                if room == 0 && wanted > 0 {
                    return Err(ErrorKind::WouldBlock);
                }
                Ok(room.min(wanted))
            }
            Phase::Dead(None) => Err(ErrorKind::BrokenPipe),
            // The write takes the error; a read that follows sees nothing but an end.
            Phase::Dead(Some(reason)) => {
                self.phase = Phase::Dead(None);
                Err(reason)
            }
            Phase::Closed => Err(ErrorKind::NotConnected),
        }
    }

    pub(super) fn connected(&mut self) -> Result<bool, ErrorKind> {
        match self.phase {
            Phase::Connecting => Ok(false),
            Phase::Open => Ok(true),
            // As with the system: who has lost the reason learns only that there is no peer.
            Phase::Dead(None) | Phase::Closed => Ok(false),
            Phase::Dead(Some(reason)) => {
                self.phase = Phase::Dead(None);
                Err(reason)
            }
        }
    }

    /// Free space in the send buffer.
    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.outbox.len() + self.underway)
    }

    /// Whether there is enough room for an owner that waits to be told.
    pub(super) fn has_roomy_outbox(&self) -> bool {
        self.room() * 3 >= self.capacity
    }

    /// Nothing more comes from the peer.
    pub(super) fn read_closed(&self) -> bool {
        self.fin_in || matches!(self.phase, Phase::Dead(_))
    }

    /// The connection failed.
    pub(super) fn broken(&self) -> bool {
        matches!(self.phase, Phase::Dead(_))
    }

    /// What epoll calls a hang-up: both directions are over, or there is an error.
    pub(super) fn hung_up(&self) -> bool {
        self.broken() || (self.fin_in && self.fin_out != Fin::No)
    }

    pub(super) fn readable(&self) -> bool {
        !self.inbox.is_empty() || self.read_closed()
    }

    pub(super) fn writable(&self) -> bool {
        match self.phase {
            Phase::Connecting | Phase::Closed => false,
            Phase::Open => self.has_roomy_outbox(),
            Phase::Dead(_) => true,
        }
    }

    /// Whether the owner still holds it.
    pub(super) fn held(&self) -> bool {
        self.phase != Phase::Closed
    }
}
