//! The page requested in place of an answer.

use crate::config::model::ErrorPageStatus;

/// A page that replaces an answer.
#[derive(Debug)]
pub struct Page {
    /// Its path, decoded and normalised.
    pub path: Vec<u8>,
    /// Its query as it is sent, without the `?`.
    pub query: Option<Vec<u8>>,
    /// The answer that it replaces.
    pub replaced: Replaced,
    /// Which status the client gets.
    pub tells: ErrorPageStatus,
}

/// The parts of a replaced answer that still reach the client.
#[derive(Debug)]
pub struct Replaced {
    /// Its status.
    pub status: u16,
    /// The values of its `WWW-Authenticate` lines.
    pub challenges: Vec<Box<[u8]>>,
    /// Its `Location`.
    pub location: Option<Vec<u8>>,
}

impl Replaced {
    /// A replaced answer of which only the status is kept.
    pub fn of(status: u16) -> Replaced {
        Replaced { status, challenges: Vec::new(), location: None }
    }
}
