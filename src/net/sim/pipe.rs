//! Pipes of the simulated world, and `splice`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;

use super::{SimStream, World};
use crate::net::Stream;

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

    /// Like a read into the pipe.
    pub(super) fn fill(&mut self, from: &mut SimStream, most: usize) -> io::Result<usize> {
        assert!(self.bytes.is_empty(), "a pipe is handed on with bytes in it");
        let mut bytes = vec![0; most.min(self.capacity)];
        let count = from.read(&mut bytes)?;
        self.bytes.extend(&bytes[..count]);
        Ok(count)
    }

    /// Like a write from the pipe.
    pub(super) fn drain(&mut self, to: &mut SimStream, most: usize) -> io::Result<usize> {
        let bytes = self.bytes.make_contiguous();
        let count = to.write_vectored(&[IoSlice::new(&bytes[..most.min(bytes.len())])])?;
        self.bytes.drain(..count);
        Ok(count)
    }
}
