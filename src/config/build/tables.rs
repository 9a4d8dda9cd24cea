//! What servers define for the whole process: sockets, groups and logs.

use crate::config::build::block::Block;
use crate::config::build::listen::Listens;
use crate::config::build::logs::Logs;
use crate::config::build::upstream::Groups;
use crate::config::model::template::Constants;

/// The parts of the model that servers refer to by index, as far as they are found.
pub(super) struct Tables {
    pub(super) listens: Listens,
    pub(super) groups: Groups,
    pub(super) logs: Logs,
}

impl Tables {
    /// Nothing is found yet, but the names of the `upstream {}` blocks are known.
    pub(super) fn new(http: Block<'_>, stream: Option<Block<'_>>, constants: &Constants) -> Tables {
        Tables {
            listens: Listens::default(),
            groups: Groups::new(http, stream),
            logs: Logs::new(constants),
        }
    }
}
