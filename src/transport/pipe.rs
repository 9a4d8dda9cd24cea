//! Pipes for bulk bytes: lent to one direction of one session at a time, and empty in between.

use std::io::ErrorKind;

use super::socket::{Moved, Socket};
use crate::net::Net;

/// Unused pipes, and the count of those in use.
pub struct Pipes<N: Net> {
    spare: Vec<N::Pipe>,
    policy: Policy,
    out: usize,
}

/// Whether pipes are used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Pipes are used for bulk bytes.
    Splice,
    /// Bytes are copied: `splice off`, or the system has no pipes.
    Copy,
}

/// A pipe in use.
pub struct Piped<N: Net> {
    pipe: N::Pipe,
    /// Bytes in the pipe.
    held: usize,
}

impl<N: Net> Default for Pipes<N> {
    fn default() -> Pipes<N> {
        Pipes { spare: Vec::new(), policy: Policy::Splice, out: 0 }
    }
}

impl<N: Net> Pipes<N> {
    /// Sets whether pipes are used from now on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.spare.clear();
    }

    /// An empty pipe, if one is available.
    pub fn take(&mut self, net: &mut N) -> Option<Piped<N>> {
        if self.policy == Policy::Copy || self.out >= PIPES {
            return None;
        }
        let pipe = match self.spare.pop() {
            Some(pipe) => pipe,
            None => match net.pipe() {
                Ok(pipe) => pipe,
                Err(e) => {
                    if e.kind() == ErrorKind::Unsupported {
                        self.policy = Policy::Copy;
                    }
                    return None;
                }
            },
        };
        self.out += 1;
        Some(Piped { pipe, held: 0 })
    }

    /// Takes a pipe back. One that still holds bytes is closed: they belong to one session only.
    pub fn give(&mut self, piped: Piped<N>) {
        self.out -= 1;
        if piped.held == 0 && self.spare.len() < SPARE {
            self.spare.push(piped.pipe);
        }
    }

    /// Closes the unused pipes. Returns whether there were any.
    pub fn close_spare(&mut self) -> bool {
        let any = !self.spare.is_empty();
        self.spare.clear();
        any
    }

    /// Number of pipes in use.
    pub fn out(&self) -> usize {
        self.out
    }
}

impl<N: Net> Piped<N> {
    /// Bytes in the pipe.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Moves bytes from a stream into the pipe, which must be empty.
    pub fn fill(&mut self, from: &mut Socket<N>, most: u64) -> Moved {
        assert!(self.held == 0, "a full pipe and a drained stream would look alike");
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(AT_ONCE);
        let moved = from.splice_in(&mut self.pipe, most);
        if let Moved::Bytes(count) = moved {
            self.held = count;
        }
        moved
    }

    /// Moves bytes from the pipe, which must hold some, to a stream.
    pub fn drain(&mut self, to: &mut Socket<N>) -> Moved {
        let moved = to.splice_out(&mut self.pipe, self.held);
        if let Moved::Bytes(count) = moved {
            self.held -= count;
        }
        moved
    }
}

/// Pipes in use at a time: each takes two descriptors. Beyond that, bytes are copied.
const PIPES: usize = 256;
/// Unused pipes that are kept.
const SPARE: usize = 16;
/// Bytes requested at once: more than any pipe takes.
const AT_ONCE: usize = 1 << 20;
