//! Names of servers and groups at run time.

use crate::config::model::GroupId;

/// A server's index in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(pub usize);

/// A group of one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupAt {
    /// The configuration's number.
    pub generation: u64,
    /// The group in it.
    pub id: GroupId,
}

/// A server of one configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Its group.
    pub group: GroupAt,
    /// Its place in the group.
    pub server: ServerId,
}

/// The servers that a request has been sent to, as a bit set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried(u64);

impl Tried {
    /// Whether `server` is in the set.
    pub fn contains(self, server: ServerId) -> bool {
        self.0 & (1 << server.0) != 0
    }

    /// Adds `server`.
    pub fn insert(&mut self, server: ServerId) {
        self.0 |= 1 << server.0;
    }
}
