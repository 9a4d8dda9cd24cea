//! The worker's events: in epoll's terms, and late, merged, split or doubled if a fault strikes.

use std::time::Duration;

use super::agenda::{Happening, Wake};
use super::end::{EndId, IdleArrival, Owner};
use super::faults::Family;
use super::undelivered::{Cause, Pending, Subject};
use super::world::World;
use crate::net::{Event, Token};
use crate::time::Time;

impl World {
    /// Notifies an end's owner that something may be possible.
    pub(super) fn notify(&mut self, id: EndId, cause: Cause) {
        let end = self.end(id);
        match end.owner {
            Owner::Worker if end.token.is_some() => self.stir(Subject::End(id), cause, false),
            Owner::Worker | Owner::Hand => {}
            Owner::Actor(actor) => self.plan(self.now, Happening::Wake(actor, Wake::End(id))),
        }
    }

    pub(super) fn notify_listener(&mut self, token: Token) {
        self.stir(Subject::Listener(token), Cause::Readable, false);
    }

    fn stir(&mut self, subject: Subject, cause: Cause, spurious: bool) {
        if self.undelivered.pending.is_empty() {
            let hold = self.faults.strike(Family::BatchedEvents, &mut self.rng);
            let held = if hold { self.rng.duration(Duration::ZERO..=HOLD) } else { Duration::ZERO };
            self.undelivered.deliver_at = self.now + held;
        }
        let readable = cause != Cause::Writable;
        let writable = cause != Cause::Readable;
        match self.undelivered.pending.iter_mut().find(|pending| pending.subject == subject) {
            Some(pending) => {
                pending.readable |= readable;
                pending.writable |= writable;
            }
            None => {
                self.undelivered.pending.push(Pending { subject, readable, writable, spurious })
            }
        }
    }

    /// When pending events end the worker's wait.
    pub(super) fn deliver_at(&self) -> Time {
        if !self.undelivered.repeats.is_empty() {
            self.now
        } else if self.undelivered.pending.is_empty() {
            Time::NEVER
        } else {
            self.undelivered.deliver_at
        }
    }

    /// Drops all pending events of this socket.
    pub(super) fn forget(&mut self, id: EndId) {
        self.undelivered.pending.retain(|pending| pending.subject != Subject::End(id));
        if let Some(token) = self.end_mut(id).token.take() {
            self.undelivered.repeats.retain(|event| event.token != token);
        }
    }

    pub(super) fn forget_listener(&mut self, token: Token) {
        self.undelivered.pending.retain(|pending| pending.subject != Subject::Listener(token));
        self.undelivered.repeats.retain(|event| event.token != token);
    }

    /// Ends a wait: delivers all events that are due now.
    pub(super) fn deliver(&mut self, events: &mut Vec<Event>) {
        self.add_spurious();
        events.append(&mut self.undelivered.repeats);
        if self.undelivered.deliver_at > self.now {
            return;
        }
        let mut batch = std::mem::take(&mut self.undelivered.pending);
        if batch.len() > 1 && self.faults.strike(Family::BatchedEvents, &mut self.rng) {
            self.rng.shuffle(&mut batch);
        }
        if batch.len() > 1 && self.faults.strike(Family::SplitBatches, &mut self.rng) {
            let some = self.rng.within(1..=batch.len() - 1);
            self.undelivered.pending = batch.split_off(some);
        }
        for pending in batch {
            if let Some(event) = self.event(pending) {
                self.deliver_one(pending.subject, event);
                events.push(event);
            }
        }
    }

    fn deliver_one(&mut self, subject: Subject, event: Event) {
        self.progressed();
        let token = event.token.0;
        self.trace.note(self.now, [6, token, usize::from(event.readable)], || format!("{event:?}"));
        if self.faults.strike(Family::DoubledEvents, &mut self.rng) {
            self.undelivered.repeats.push(event);
        }
        if let Subject::End(id) = subject {
            let end = self.end_mut(id);
            if end.idle == IdleArrival::Untold && (event.readable || event.read_closed) {
                end.idle = IdleArrival::Told;
            }
        }
    }

    /// The event in epoll's terms: what is possible now. `None` if nothing is any more.
    fn event(&mut self, pending: Pending) -> Option<Event> {
        let id = match pending.subject {
            Subject::Listener(token) => {
                return Some(Event {
                    token,
                    readable: true,
                    writable: false,
                    read_closed: false,
                    broken: false,
                    urgent: false,
                });
            }
            Subject::End(id) => id,
        };
        let narrow = self.faults.strike(Family::NarrowEvents, &mut self.rng);
        let end = self.end(id);
        let token = end.token?;
        let (broken, hung_up) = (end.broken(), end.hung_up());
        let (mut readable, mut writable) = (end.readable(), end.writable());
        if narrow {
            readable &= pending.readable;
            writable &= pending.writable;
        }
        if pending.spurious {
            readable |= pending.readable;
            writable |= pending.writable;
        }
        let event = Event {
            token,
            readable: readable || hung_up,
            writable: writable || hung_up,
            read_closed: end.read_closed(),
            broken,
            urgent: false,
        };
        (event.readable || event.writable).then_some(event)
    }

    fn add_spurious(&mut self) {
        if !self.faults.strike(Family::SpuriousEvents, &mut self.rng) {
            return;
        }
        let watched: Vec<EndId> =
            self.worker_ends().into_iter().filter(|id| self.end(*id).token.is_some()).collect();
        if watched.is_empty() {
            return;
        }
        let id = self.rng.pick(&watched);
        let cause = self.rng.pick(&[Cause::Readable, Cause::Writable, Cause::Both]);
        self.stir(Subject::End(id), cause, true);
    }
}

/// The longest time for which events are held back.
const HOLD: Duration = Duration::from_millis(8);
