//! What holds for a group: what the file says, and where it is silent, what follows from the
//! servers being Trino's or not.

use std::time::Duration;

use crate::config::model::{self, CheckRules, Failback, HealthCheck, Queue, Trino};

/// The rules of a group.
#[derive(Debug)]
pub(super) struct Policy {
    trino: Trino,
    is_trinos: bool,
    health_check: HealthCheck,
    failback: Option<Failback>,
    queue: Option<Queue>,
}

impl Policy {
    /// The rules of a group of ordinary servers.
    pub(super) fn new(group: &model::Group) -> Policy {
        Policy {
            trino: group.trino,
            is_trinos: false,
            health_check: group.health_check.clone(),
            failback: group.failback,
            queue: group.queue,
        }
    }

    /// Whether the servers are Trino's from the start.
    pub(super) fn begins_as_trinos(&self) -> bool {
        self.trino == Trino::On
    }

    /// Treats the servers as coordinators of Trino from now on, unless the file forbids it. Returns
    /// whether that is new.
    pub(super) fn become_trinos(&mut self) -> bool {
        if self.is_trinos || self.trino == Trino::Off {
            return false;
        }
        self.is_trinos = true;
        if self.health_check == HealthCheck::ByMode {
            self.health_check = HealthCheck::On(CheckRules::of_trino());
        }
        self.failback.get_or_insert(FAILBACK);
        self.queue.get_or_insert(QUEUE);
        true
    }

    /// Whether the servers are coordinators of Trino.
    pub(super) fn is_trinos(&self) -> bool {
        self.is_trinos
    }

    /// The rules of active checks; `None` if only connections tell.
    pub(super) fn checks(&self) -> Option<&CheckRules> {
        match &self.health_check {
            HealthCheck::On(rules) => Some(rules),
            HealthCheck::ByMode | HealthCheck::Off => None,
        }
    }

    /// When a server that was out takes new work again; what nginx does, unless it is written.
    pub(super) fn failback(&self) -> Failback {
        self.failback.unwrap_or(Failback::Immediate)
    }

    /// What waits while no server is ready; `None` if nothing does.
    pub(super) fn queue(&self) -> Option<Queue> {
        self.queue.filter(|queue| queue.length > 0)
    }
}

/// `queue` of a group of coordinators, unless it is written.
const QUEUE: Queue = Queue { length: 1000, timeout: Duration::from_secs(120) };
/// `failback` of a group of coordinators, unless it is written.
const FAILBACK: Failback = Failback::After(Duration::from_secs(10));
