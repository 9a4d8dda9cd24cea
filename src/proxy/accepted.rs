//! Announcements that a coordinator has accepted.

use zeroize::Zeroizing;

use crate::upstream::group::At;

/// An announcement that a coordinator has accepted.
#[derive(Debug)]
pub struct Accepted {
    /// That coordinator.
    pub by: At,
    /// The worker's id, or its URI.
    pub worker: Box<[u8]>,
    /// The whole request.
    pub request: Zeroizing<Box<[u8]>>,
    /// What it says.
    pub kind: Kind,
}

/// What an announcement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// That a worker is there.
    Arrival,
    /// That it leaves.
    Departure,
}
