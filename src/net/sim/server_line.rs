//! One connection of a server, and the kinds of its alarms.

use super::act::{Act, Fate};
use super::channel::Channel;
use super::end::EndId;
use super::pace::{Pace, Throttle};
use super::reader::{Reader, Side};
use super::record::Delivery;
use super::text::Text;
use super::world::World;

/// One connection.
#[derive(Debug)]
pub(super) struct ServerLine {
    pub(super) channel: Channel,
    /// What becomes of its TLS handshake.
    pub(super) shakes: Fate,
    pub(super) reader: Reader,
    pub(super) service: Service,
    pub(super) throttle: Throttle,
    pub(super) out: Vec<u8>,
    /// Counts changes, so that outdated alarms are recognised.
    pub(super) turn: usize,
    /// The server has sent its FIN and only reads.
    pub(super) finished: bool,
}

/// The state of a connection.
#[derive(Debug)]
pub(super) enum Service {
    /// Waiting for a request.
    Idle,
    /// A request is arriving or has arrived; the answer may be underway too.
    Busy {
        delivery: usize,
        text: Text,
        offset: usize,
        request: bool,
        act: Act,
        answer: AnswerState,
    },
    /// The server has announced its close: no further request may come.
    Closing,
    /// The server sends nothing more here.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerState {
    /// Not begun.
    Waiting,
    /// At least partly in `out`.
    Going,
    /// All of it accepted by the network.
    Gone,
}

impl ServerLine {
    pub(super) fn new(channel: Channel) -> ServerLine {
        ServerLine {
            channel,
            shakes: Fate::Whole,
            reader: Reader::new(Side::Requests),
            service: Service::Idle,
            throttle: Throttle::new(Pace::AtOnce),
            out: Vec::new(),
            turn: 0,
            finished: false,
        }
    }

    /// Whether the connection is certain to fail.
    pub(super) fn is_in_trouble(&self) -> bool {
        match &self.service {
            Service::Idle | Service::Closing => false,
            Service::Busy { act, .. } => act.fate != Fate::Whole,
            Service::Over => true,
        }
    }

    pub(super) fn take_body(&mut self, bytes: &[u8], end: EndId, world: &mut World) {
        let Service::Busy { text, offset, .. } = &mut self.service else { return };
        if text.id != Delivery::STRANGE && !text.has(*offset, bytes) {
            world.accuse(format!("the body of request {} is not its own at {end}", text.id));
        }
        *offset += bytes.len();
    }
}

/// Kinds of alarms, in the lowest byte of their keys.
pub(super) const CALENDAR: u64 = 0;
pub(super) const ANSWER: u64 = 1;
pub(super) const DRIP: u64 = 2;
pub(super) const IDLE_CLOSE: u64 = 3;
pub(super) const UNASKED: u64 = 4;
pub(super) const LATE_CLOSE: u64 = 5;
