//! Pipes of the simulated world.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::world::World;

/// A pipe: a queue with a capacity.
#[derive(Debug)]
pub struct SimPipe {
    bytes: VecDeque<u8>,
    capacity: usize,
    world: Rc<RefCell<World>>,
}

impl Drop for SimPipe {
    fn drop(&mut self) {
        self.world.borrow_mut().pipes -= 1;
    }
}

impl SimPipe {
    pub(super) fn new(capacity: usize, world: Rc<RefCell<World>>) -> SimPipe {
        world.borrow_mut().pipes += 1;
        SimPipe { bytes: VecDeque::new(), capacity, world }
    }

    /// How much it takes at once.
    pub(super) fn capacity(&self) -> usize {
        assert!(self.bytes.is_empty(), "a pipe is handed on with bytes in it");
        self.capacity
    }

    /// Fills the empty pipe.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The first bytes, at most so many.
    pub(super) fn front(&mut self, most: usize) -> &[u8] {
        let bytes = self.bytes.make_contiguous();
        &bytes[..most.min(bytes.len())]
    }

    /// Removes the first bytes.
    pub(super) fn discard(&mut self, count: usize) {
        self.bytes.drain(..count);
    }
}
