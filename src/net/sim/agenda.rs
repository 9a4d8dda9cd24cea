//! Planned happenings, ordered by time and, at equal times, in the order they were planned.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::end::{ActorId, EndId};
use super::trace::excerpt;
use super::undelivered::Cause;
use crate::time::Time;

/// All planned happenings.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<Planned>>,
    count: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, at: Time, what: Happening) {
        self.count += 1;
        self.heap.push(Reverse(Planned { at, order: self.count, what }));
    }

    /// The next happening, if it is due no later than `until`.
    pub(super) fn take_until(&mut self, until: Time) -> Option<(Time, Happening)> {
        if self.heap.peek()?.0.at > until {
            return None;
        }
        self.heap.pop().map(|Reverse(planned)| (planned.at, planned.what))
    }
}

/// Why an actor is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A connection arrived at its address.
    Accepted(EndId),
    /// Something changed at one of its ends.
    End(EndId),
    /// The worker writes on a connection that was idle at this end, which may just have closed it.
    Raced(EndId),
    /// An alarm that it set.
    Alarm(u64),
}

/// What travels between two ends.
#[derive(Debug)]
pub(super) enum Segment {
    Data(Vec<u8>),
    Fin,
    Reset,
    SynAck,
    Refused,
}

#[derive(Debug)]
pub(super) enum Happening {
    /// The nth attempt of a connect reaches the machine.
    Syn(EndId, u32),
    Arrival(EndId, Segment),
    /// The peer of this end has room again.
    Window(EndId),
    Wake(ActorId, Wake),
    /// Notifies the worker about an end, as if something had just arrived.
    Stir(EndId, Cause),
}

#[derive(Debug)]
struct Planned {
    at: Time,
    order: u64,
    what: Happening,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Planned) -> bool {
        self.order == other.order
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Planned) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Planned) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl Segment {
    /// Distinguishes segments in a trace's hash.
    pub(super) fn weight(&self) -> usize {
        match self {
            Segment::Data(bytes) => bytes.iter().fold(bytes.len(), |hash, byte| {
                hash.wrapping_mul(31).wrapping_add(usize::from(*byte))
            }),
            Segment::Fin | Segment::Reset | Segment::SynAck | Segment::Refused => self.length(),
        }
    }

    /// The same, whatever its bytes are.
    pub(super) fn length(&self) -> usize {
        match self {
            Segment::Data(bytes) => bytes.len(),
            Segment::Fin => 1 << 40,
            Segment::Reset => 1 << 41,
            Segment::SynAck => 1 << 42,
            Segment::Refused => 1 << 43,
        }
    }
}

/// A segment as a trace shows it.
pub(super) fn describe(segment: &Segment) -> String {
    match segment {
        Segment::Data(bytes) => format!("{} bytes {}", bytes.len(), excerpt(bytes)),
        Segment::Fin => "FIN".to_owned(),
        Segment::Reset => "RST".to_owned(),
        Segment::SynAck => "SYN+ACK".to_owned(),
        Segment::Refused => "refusal".to_owned(),
    }
}
