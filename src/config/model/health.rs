//! How a group's servers are checked, which of them takes new work, and what waits meanwhile.

use std::time::Duration;

/// `trino`: whether a group's servers are coordinators of Trino.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trino {
    /// From the first request for a path that only Trino has.
    Auto,
    /// From the start.
    On,
    /// Never.
    Off,
}

/// `health_check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// Not written: only servers of Trino are checked.
    ByMode,
    /// `off`.
    Off,
    /// Written.
    On(CheckRules),
}

/// The parameters of `health_check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRules {
    /// `interval`: from the end of one check to the next.
    pub interval: Duration,
    /// `timeout`: how long the whole check may take.
    pub timeout: Duration,
    /// `fails`: failed checks in a row that take a server out.
    pub fails: u32,
    /// `passes`: passed checks in a row that bring it back.
    pub passes: u32,
    /// What the server must do.
    pub asks: Asks,
}

/// What a server must do to pass a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Accept a connection.
    Connection,
    /// Answer a request for this target.
    Uri(Box<[u8]>),
}

/// `failback`: when a server that was out takes new work again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// As soon as it is ready.
    Immediate,
    /// After it has been ready for this long without a break.
    After(Duration),
    /// Only by promotion, or if no other server is ready.
    Manual,
}

/// `queue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Requests that may wait for a server; 0 for none.
    pub length: usize,
    /// `timeout`: how long one may wait.
    pub timeout: Duration,
}

/// `trino_announcements`: the coordinators that learn of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcements {
    /// All that are there.
    All,
    /// The active one.
    Active,
}

/// `trino_resubmit`: whether a query whose coordinator is lost is submitted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resubmit {
    /// If its statement may run twice.
    On {
        /// `doubt`: how long its coordinator must have been out that is not known to be gone.
        doubt: Duration,
    },
    /// Never.
    Off,
}

impl CheckRules {
    /// Checks of `uri` with the default parameters.
    pub fn of(asks: Asks) -> CheckRules {
        CheckRules {
            interval: Duration::from_millis(500),
            timeout: Duration::from_secs(1),
            fails: 2,
            passes: 1,
            asks,
        }
    }

    /// The checks of coordinators that the file says nothing about.
    pub fn of_trino() -> CheckRules {
        CheckRules::of(Asks::Uri(INFO.into()))
    }
}

/// `trino_resubmit`, unless it is written.
pub const RESUBMIT: Resubmit = Resubmit::On { doubt: Duration::from_secs(10) };
/// `trino_statement_memory`, unless it is written.
pub const STATEMENT_MEMORY: usize = 64 << 20;
/// The path at which Trino says whether it is ready; the default for `uri`.
pub const INFO: &[u8] = b"/v1/info";
