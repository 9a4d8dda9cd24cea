//! One connection of a client, and its exchanges in flight.

use std::collections::VecDeque;

use super::ask::Answer;
use super::channel::Channel;
use super::pace::Throttle;
use super::reader::{Reader, Side};
use super::text::Text;
use super::world::World;
use crate::time::Time;

/// One connection.
#[derive(Debug)]
pub(super) struct ClientLine {
    pub(super) channel: Channel,
    pub(super) reader: Reader,
    pub(super) out: Vec<u8>,
    pub(super) sends: Throttle,
    pub(super) reads: Throttle,
    /// Unfinished exchanges on this connection, oldest first, each with its unsent rest.
    pub(super) waiting: VecDeque<Sending>,
    pub(super) answer: Option<Reading>,
    /// Number of finished exchanges.
    pub(super) done: usize,
    /// Whether no further request may follow.
    pub(super) last: bool,
    /// Bytes in `out` that belong to a finished request.
    pub(super) rest: usize,
    pub(super) idle_since: Time,
}

#[derive(Debug)]
pub(super) struct Sending {
    pub(super) exchange: usize,
    /// Bytes in `out` that the socket has not taken.
    pub(super) left: usize,
    pub(super) sent: usize,
    /// Held back until a 100 arrives.
    pub(super) held: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Reading {
    pub(super) answer: Answer,
    pub(super) text: Text,
    pub(super) offset: usize,
    /// Length that the body must have, if a server announced it.
    pub(super) length: Option<usize>,
    pub(super) closes: bool,
    pub(super) received: usize,
}

impl ClientLine {
    pub(super) fn new(channel: Channel, throttles: (Throttle, Throttle), now: Time) -> ClientLine {
        ClientLine {
            channel,
            reader: Reader::new(Side::Answers),
            out: Vec::new(),
            sends: throttles.0,
            reads: throttles.1,
            waiting: VecDeque::new(),
            answer: None,
            done: 0,
            last: false,
            rest: 0,
            idle_since: now,
        }
    }

    /// Sends the rest of a request whose exchange has ended. Returns whether all of it is sent.
    pub(super) fn send_rest(&mut self, world: &mut World) -> bool {
        let most = self.rest.min(self.sends.credit());
        let count = if most > 0 { self.channel.send(&self.out[..most], world) } else { 0 };
        self.out.drain(..count);
        self.sends.spend(count);
        self.rest -= count;
        self.rest == 0
    }

    /// Releases a body that waited for a 100.
    pub(super) fn release(&mut self) {
        if let Some(sending) = self.waiting.back_mut() {
            let body = std::mem::take(&mut sending.held);
            sending.left += body.len();
            self.out.extend_from_slice(&body);
        }
    }
}
