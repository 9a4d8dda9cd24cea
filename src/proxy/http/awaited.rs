//! A response that is awaited: its final head has not been accepted.

use crate::http::head::HeadScan;

/// A response whose final head has not been accepted.
#[derive(Debug, Default)]
pub struct Awaited {
    /// The search for the end of its head.
    pub(super) scan: HeadScan,
    /// The number of interim responses so far.
    pub interim: u32,
    /// What the server was asked for.
    pub wanted: Wanted,
}

/// What a server is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// A response.
    #[default]
    Response,
    /// A switch to another protocol, or a response.
    Upgrade,
}
