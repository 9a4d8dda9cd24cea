//! The page that is asked for in place of an answer.

use crate::config::model::ErrorPageStatus;

/// A page that takes the place of an error.
#[derive(Debug)]
pub struct Page {
    /// Its path, decoded and normalised.
    pub path: Vec<u8>,
    /// Its query, without the `?`, as it is sent.
    pub query: Option<Vec<u8>>,
    /// What it replaces.
    pub replaced: Replaced,
    /// The status that the client gets instead.
    pub tells: ErrorPageStatus,
}

/// What the client gets all the same of an answer that a page takes the place of.
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
    /// An answer of which nothing but the status is left.
    pub fn of(status: u16) -> Replaced {
        Replaced { status, challenges: Vec::new(), location: None }
    }
}
