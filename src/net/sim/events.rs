//! The worker's events: in epoll's terms, and late, merged, split or doubled if a fault strikes.

use std::time::Duration;

use super::agenda::{Happening, Wake};
use super::end::{EndId, IdleArrival, Owner};
use super::faults::Family;
use super::undelivered::{Cause, Pending, Subject};
use super::world::World;
use crate::net::{Event, Token};
use crate::time::Time;

/// Notifies an end's owner that something may be possible.
pub(super) fn notify(world: &mut World, id: EndId, cause: Cause) {
    let end = world.end(id);
    match end.owner {
        Owner::Worker if end.token.is_some() => stir(world, Subject::End(id), cause, false),
        Owner::Worker | Owner::Hand => {}
        Owner::Actor(actor) => world.plan(world.now, Happening::Wake(actor, Wake::End(id))),
    }
}

pub(super) fn notify_listener(world: &mut World, token: Token) {
    stir(world, Subject::Listener(token), Cause::Readable, false);
}

fn stir(world: &mut World, subject: Subject, cause: Cause, spurious: bool) {
    if world.undelivered.pending.is_empty() {
        let hold = world.faults.strike(Family::BatchedEvents, &mut world.rng);
        let held = if hold { world.rng.duration(Duration::ZERO..=HOLD) } else { Duration::ZERO };
        world.undelivered.deliver_at = world.now + held;
    }
    let readable = cause != Cause::Writable;
    let writable = cause != Cause::Readable;
    match world.undelivered.pending.iter_mut().find(|pending| pending.subject == subject) {
        Some(pending) => {
            pending.readable |= readable;
            pending.writable |= writable;
        }
        None => world.undelivered.pending.push(Pending { subject, readable, writable, spurious }),
    }
}

/// When pending events end the worker's wait.
pub(super) fn deliver_at(world: &World) -> Time {
    if !world.undelivered.repeats.is_empty() {
        world.now
    } else if world.undelivered.pending.is_empty() {
        Time::NEVER
    } else {
        world.undelivered.deliver_at
    }
}

/// Drops all pending events of this socket.
pub(super) fn forget(world: &mut World, id: EndId) {
    world.undelivered.pending.retain(|pending| pending.subject != Subject::End(id));
    if let Some(token) = world.end_mut(id).token.take() {
        world.undelivered.repeats.retain(|event| event.token != token);
    }
}

pub(super) fn forget_listener(world: &mut World, token: Token) {
    world.undelivered.pending.retain(|pending| pending.subject != Subject::Listener(token));
    world.undelivered.repeats.retain(|event| event.token != token);
}

/// Ends a wait: delivers all events that are due now.
pub(super) fn deliver(world: &mut World, events: &mut Vec<Event>) {
    add_spurious(world);
    events.append(&mut world.undelivered.repeats);
    if world.undelivered.deliver_at > world.now {
        return;
    }
    let mut batch = std::mem::take(&mut world.undelivered.pending);
    if batch.len() > 1 && world.faults.strike(Family::BatchedEvents, &mut world.rng) {
        world.rng.shuffle(&mut batch);
    }
    if batch.len() > 1 && world.faults.strike(Family::SplitBatches, &mut world.rng) {
        let some = world.rng.within(1..=batch.len() - 1);
        world.undelivered.pending = batch.split_off(some);
    }
    for pending in batch {
        if let Some(event) = event(world, pending) {
            deliver_one(world, pending.subject, event);
            events.push(event);
        }
    }
}

fn deliver_one(world: &mut World, subject: Subject, event: Event) {
    world.progressed();
    let token = event.token.0;
    world.trace.note(world.now, [6, token, usize::from(event.readable)], || format!("{event:?}"));
    if world.faults.strike(Family::DoubledEvents, &mut world.rng) {
        world.undelivered.repeats.push(event);
    }
    if let Subject::End(id) = subject {
        let end = world.end_mut(id);
        if end.idle == IdleArrival::Untold && (event.readable || event.read_closed) {
            end.idle = IdleArrival::Told;
        }
    }
}

/// The event in epoll's terms: what is possible now. `None` if nothing is any more.
fn event(world: &mut World, pending: Pending) -> Option<Event> {
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
    let narrow = world.faults.strike(Family::NarrowEvents, &mut world.rng);
    let end = world.end(id);
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

fn add_spurious(world: &mut World) {
    if !world.faults.strike(Family::SpuriousEvents, &mut world.rng) {
        return;
    }
    let watched: Vec<EndId> =
        world.worker_ends().into_iter().filter(|id| world.end(*id).token.is_some()).collect();
    if watched.is_empty() {
        return;
    }
    let id = world.rng.pick(&watched);
    let cause = world.rng.pick(&[Cause::Readable, Cause::Writable, Cause::Both]);
    stir(world, Subject::End(id), cause, true);
}

/// The longest time for which events are held back.
const HOLD: Duration = Duration::from_millis(8);
