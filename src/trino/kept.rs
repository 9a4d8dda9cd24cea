//! A statement that is kept, and why it may not help.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::rows::Columns;
use super::statement::Repeat;

/// A statement as a coordinator gets it. It may hold credentials: it is never shown, and overwritten
/// when it is dropped.
pub struct Statement {
    /// The whole request, head and body.
    pub request: Zeroizing<Box<[u8]>>,
    /// Whether it may run twice.
    pub repeat: Repeat,
    /// The columns that its client was told.
    pub columns: Option<Columns>,
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {:?}", self.request.len(), self.repeat)
    }
}

/// Why a query cannot go on at another coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its statement is not kept: rows may have been delivered.
    NotKept,
    /// It may have changed something.
    MayHaveChanged,
    /// It was submitted again already.
    Repeated,
    /// A coordinator answered its submission with this status.
    Denied(u16),
    /// The second coordinator says that its answer has other columns.
    Differs,
    /// It has waited too long for a coordinator.
    Waited,
}

/// Before a statement is submitted again that no coordinator has taken, or that one could not begin.
pub const PAUSE: Duration = Duration::from_secs(1);
