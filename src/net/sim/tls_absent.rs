//! What stands for TLS in a build without it: types without values.

use super::rng::Rng;

/// What all know of TLS that speak it at an address.
#[derive(Debug)]
pub(super) enum Trust {}

impl Trust {
    /// `None`, in a build without TLS.
    pub(super) fn new(_certificate: &[u8], _key: &[u8], _rng: Rng) -> Option<Trust> {
        None
    }

    /// A client at the beginning of a handshake.
    pub(super) fn client(&mut self) -> TlsSide {
        match *self {}
    }

    /// A server that awaits a handshake.
    pub(super) fn server(&mut self) -> TlsSide {
        match *self {}
    }
}

/// One side of one connection.
#[derive(Debug)]
pub(super) enum TlsSide {}

impl TlsSide {
    /// Takes bytes of records, and appends what they enclose.
    pub(super) fn open(&mut self, _records: &[u8], _into: &mut Vec<u8>) -> Result<(), String> {
        match *self {}
    }

    /// Encloses some plain bytes in a record, and returns how many.
    pub(super) fn enclose(&mut self, _plain: &[u8]) -> usize {
        match *self {}
    }

    /// Announces that nothing more is sent.
    pub(super) fn announce_end(&mut self) {
        match *self {}
    }

    /// Appends the records that are to be sent.
    pub(super) fn records(&mut self, _into: &mut Vec<u8>) {
        match *self {}
    }

    /// Whether the handshake is incomplete.
    pub(super) fn is_shaking(&self) -> bool {
        match *self {}
    }

    /// Whether the end was announced to it.
    pub(super) fn has_ended(&self) -> bool {
        match *self {}
    }

    /// Whether it announces the end before it closes.
    pub(super) fn takes_leave(&self) -> bool {
        match *self {}
    }
}
