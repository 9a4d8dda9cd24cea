//! Descriptors that are held for nothing: given up when there is no other for a connection to a
//! server, so that a request that is here already need not fail while others merely idle.

use std::io::ErrorKind;

use crate::net::Net;

/// A pipe that carries nothing stands for two descriptors.
pub struct Reserve<N: Net> {
    held: Held<N>,
}

enum Held<N: Net> {
    /// It is there.
    Full(#[allow(dead_code, reason = "held for its descriptors")] N::Pipe),
    /// It was given up, or could not be had yet.
    Short,
    /// The system has no pipes.
    Never,
}

impl<N: Net> Reserve<N> {
    /// One that is to be filled.
    pub fn new() -> Reserve<N> {
        Reserve { held: Held::Short }
    }

    /// Whether it was given up and nothing has taken its place.
    pub fn is_short(&self) -> bool {
        matches!(self.held, Held::Short)
    }

    /// Tries to fill it. Whether it is not short any more.
    pub fn fill(&mut self, net: &mut N) -> bool {
        if self.is_short() {
            self.held = match net.pipe() {
                Ok(pipe) => Held::Full(pipe),
                Err(e) if e.kind() == ErrorKind::Unsupported => Held::Never,
                Err(_) => Held::Short,
            };
        }
        !self.is_short()
    }

    /// Gives it up. Whether there was anything.
    pub fn spend(&mut self) -> bool {
        let held = matches!(self.held, Held::Full(_));
        if held {
            self.held = Held::Short;
        }
        held
    }
}

impl<N: Net> Default for Reserve<N> {
    fn default() -> Reserve<N> {
        Reserve::new()
    }
}
