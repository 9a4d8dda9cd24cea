//! Descriptors held in reserve. They are given up if none is left for a connection to a server, so
//! that a request already received need not fail while other sessions merely idle.

use std::io::ErrorKind;

use crate::net::Net;

/// An unused pipe, which holds two descriptors.
pub struct Reserve<N: Net> {
    held: Held<N>,
}

enum Held<N: Net> {
    /// The reserve is full.
    Full(#[allow(dead_code, reason = "held for its descriptors")] N::Pipe),
    /// It was given up, or could not be filled yet.
    Short,
    /// The system has no pipes.
    Never,
}

impl<N: Net> Reserve<N> {
    /// A reserve that is to be filled.
    pub fn new() -> Reserve<N> {
        Reserve { held: Held::Short }
    }

    /// Whether the reserve is empty and should be refilled.
    pub fn is_short(&self) -> bool {
        matches!(self.held, Held::Short)
    }

    /// Tries to fill it. Returns whether it is no longer short.
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

    /// Gives it up. Returns whether there was anything to give up.
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
