//! The page that is asked for in place of an answer.

use crate::config::model::ErrorPageStatus;

/// A page that takes the place of an error.
#[derive(Debug)]
pub struct Page {
    /// Its path, decoded and normalised.
    pub path: Vec<u8>,
    /// Its query, without the `?`, as it is sent.
    pub query: Option<Vec<u8>>,
    /// The status that it replaces.
    pub original: u16,
    /// What the client is told instead.
    pub tells: ErrorPageStatus,
    /// What the answer that it replaces says in `WWW-Authenticate`.
    pub challenges: Vec<Box<[u8]>>,
    /// Where the redirect that it replaces leads to.
    pub location: Option<Vec<u8>>,
}
