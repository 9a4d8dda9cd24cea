//! What stands for a connection over TLS in a build without it: a type without values.

use std::io::{self, IoSlice, Read, Write};

use super::absent_terms::{ClientTerms, ServerTerms};
use super::agreed::{Agreed, Shaken};

/// A connection over TLS.
pub enum Session {}

impl Session {
    /// Awaits the handshake of a client: `None`, in a build without TLS.
    pub fn accepting(_early: &[u8]) -> Option<Session> {
        None
    }

    /// Begins a handshake with a server.
    ///
    /// # Errors
    /// None.
    pub fn connecting(terms: &ClientTerms) -> io::Result<Session> {
        match *terms {}
    }

    /// Goes on with the handshake.
    pub fn shake<S: Read + Write>(
        &mut self,
        _stream: &mut S,
        _terms: impl FnOnce(Option<&str>) -> Option<ServerTerms>,
    ) -> Shaken {
        match *self {}
    }

    /// Reads plain bytes.
    ///
    /// # Errors
    /// None.
    pub fn read<S: Read + Write>(
        &mut self,
        _stream: &mut S,
        _into: &mut [u8],
    ) -> io::Result<usize> {
        match *self {}
    }

    /// Whether nothing is left of what has been read.
    pub fn is_drained(&mut self) -> bool {
        match *self {}
    }

    /// Writes plain bytes.
    ///
    /// # Errors
    /// None.
    pub fn write<S: Read + Write>(
        &mut self,
        _stream: &mut S,
        _from: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        match *self {}
    }

    /// Says that nothing more is sent, and returns whether that has left.
    pub fn finish<S: Read + Write>(&mut self, _stream: &mut S) -> bool {
        match *self {}
    }

    /// Exchanges nothing more.
    pub fn leave(&mut self) {
        match *self {}
    }

    /// What was agreed upon.
    pub fn agreed(&self) -> Option<Agreed> {
        match *self {}
    }
}
