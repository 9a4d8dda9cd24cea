//! The worker's connections in the simulated world.

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;

use super::agenda::Happening;
use super::end::{EndId, EndPhase};
use super::faults::Family;
use super::pipe::SimPipe;
use super::undelivered::Cause;
use super::world::World;
use crate::net::Stream;

/// A connection of the worker.
#[derive(Debug)]
pub struct SimStream {
    world: Rc<RefCell<World>>,
    end: EndId,
}

impl SimStream {
    pub(super) fn new(world: Rc<RefCell<World>>, end: EndId) -> SimStream {
        SimStream { world, end }
    }

    /// Its end, for tests that look at both sides.
    pub fn end(&self) -> EndId {
        self.end
    }
}

impl Stream for SimStream {
    type Pipe = SimPipe;

    fn splice_in(&mut self, into: &mut SimPipe, most: usize) -> io::Result<usize> {
        let mut bytes = vec![0; most.min(into.capacity())];
        let count = self.read(&mut bytes)?;
        into.put(&bytes[..count]);
        Ok(count)
    }

    fn splice_out(&mut self, from: &mut SimPipe, most: usize) -> io::Result<usize> {
        let count = self.write_vectored(&[IoSlice::new(from.front(most))])?;
        from.discard(count);
        Ok(count)
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let world = &mut *self.world.borrow_mut();
        let waiting = world.end(self.end).inbox.len();
        let partial = waiting > 1 && world.faults.strike(Family::PartialReads, &mut world.rng);
        let most = if partial { world.rng.within(1..=waiting - 1) } else { into.len() };
        let most = most.min(into.len());
        let count = world.end_mut(self.end).read(&mut into[..most])?;
        if count > 0 {
            world.progressed();
            world.announce_window(self.end);
        }
        if partial && count < into.len() {
            // As if the rest arrived a moment later.
            world.plan(world.now, Happening::Stir(self.end, Cause::Readable));
        }
        Ok(count)
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let world = &mut *self.world.borrow_mut();
        let wanted = from.iter().map(|slice| slice.len()).sum();
        let now = world.now;
        let end = world.end_mut(self.end);
        let room = end.room_for(wanted);
        let (open, taken) = (end.phase == EndPhase::Open, *room.as_ref().unwrap_or(&0));
        if taken > 0 {
            world.unstuck(self.end);
        }
        if open && taken < wanted {
            world.end_mut(self.end).stuck.get_or_insert(now);
        }
        let mut room = room?;
        if room > 1 && world.faults.strike(Family::PartialWrites, &mut world.rng) {
            room = world.rng.within(1..=room - 1);
            // As if the buffer was full and is drained a moment later.
            world.plan(world.now, Happening::Stir(self.end, Cause::Writable));
        }
        if room > 0 {
            world.judge_write(self.end);
            world.race(self.end);
            world.progressed();
        }
        let is_covered = world.is_covered(&world.end(self.end).machine);
        let end = world.end_mut(self.end);
        let mut left = room;
        for slice in from {
            let taken = &slice[..slice.len().min(left)];
            end.outbox.extend(taken);
            if !is_covered {
                end.written.extend_from_slice(taken);
            }
            left -= taken.len();
        }
        world.transmit(self.end);
        Ok(room)
    }

    fn connected(&mut self) -> io::Result<bool> {
        Ok(self.world.borrow_mut().end_mut(self.end).connected()?)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let world = &mut *self.world.borrow_mut();
        match world.end(self.end).phase {
            EndPhase::Open => {
                world.unstuck(self.end);
                world.finish(self.end);
                Ok(())
            }
            EndPhase::Connecting | EndPhase::Dead(_) | EndPhase::Closed => {
                Err(ErrorKind::NotConnected.into())
            }
        }
    }

    fn reset_on_close(&mut self) {
        self.world.borrow_mut().end_mut(self.end).abortive = true;
    }

    fn set_nodelay(&mut self, _on: bool) {}
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.world.borrow_mut().close(self.end);
    }
}
