//! Checks: background connections to servers that are out. They are made when due, not when a
//! client happens to connect, so that an unreachable server never delays a client.

use std::sync::Arc;

use slab::Slab;

use crate::net::{Connect, Event, Net};
use crate::proxy::context::Context;
use crate::proxy::log::limited_log::ServerWords;
use crate::time::Time;
use crate::transport::dial::{Dial, Dialled};
use crate::transport::io::Owner;
use crate::upstream::group::At;
use crate::upstream::retry::Failure;

/// The checks under way.
pub struct Checks<N: Net> {
    all: Slab<Check<N>>,
}

struct Check<N: Net> {
    dial: Dial<N>,
    at: At,
}

impl<N: Net> Default for Checks<N> {
    fn default() -> Checks<N> {
        Checks { all: Slab::new() }
    }
}

/// The result of a check.
enum Outcome {
    /// The server accepted the connection.
    Accepted,
    /// The server did not accept it.
    Failed,
    /// We lacked descriptors or memory for the check: try again shortly.
    Postponed,
}

impl<N: Net> Checks<N> {
    /// The number of checks under way.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// When the next check under way times out.
    pub fn deadline(&self) -> Time {
        self.all.iter().map(|(_, check)| check.dial.deadline()).min().unwrap_or(Time::NEVER)
    }

    /// Notes an event of a check's socket.
    pub fn note(&mut self, key: u32, event: &Event) {
        if let Some(check) = self.all.get_mut(key as usize) {
            check.dial.note(event);
        }
    }

    /// Begins the checks that are due.
    pub fn begin(&mut self, context: &mut Context<N>) {
        while let Some(at) = context.servers.begin_check(context.io.now) {
            let config = Arc::clone(context.servers.config());
            let model = &config.groups[at.group.id.0];
            let entry = self.all.vacant_entry();
            let (address, how) = (&model.servers[at.server.0].address, Connect::default());
            let owner = Owner::Check(entry.key() as u32);
            match Dial::begin(address, &how, model.check_timeout, owner, &mut context.io) {
                Ok(dial) => {
                    entry.insert(Check { dial, at });
                }
                // Neither says anything about the server.
                Err(None | Some(Failure::NoLocalAddress)) => end(at, Outcome::Postponed, context),
                Err(Some(_)) => end(at, Outcome::Failed, context),
            }
        }
    }

    /// Ends the checks that have a result.
    pub fn run(&mut self, context: &mut Context<N>) {
        let now = context.io.now;
        let mut ended = Vec::new();
        for (key, check) in &mut self.all {
            match check.dial.poll(now) {
                Dialled::Pending => {}
                Dialled::Open => ended.push((key, Outcome::Accepted)),
                Dialled::Failed(_) => ended.push((key, Outcome::Failed)),
            }
        }
        for (key, outcome) in ended {
            let check = self.all.remove(key);
            context.io.close(check.dial.into_socket());
            end(check.at, outcome, context);
        }
    }

    /// Closes all checks, because their groups are no longer in use.
    pub fn abandon(&mut self, context: &mut Context<N>) {
        for check in self.all.drain() {
            context.io.close(check.dial.into_socket());
        }
    }
}

fn end<N: Net>(at: At, outcome: Outcome, context: &mut Context<N>) {
    let now = context.io.now;
    let group = &mut context.servers.group(at.group).0;
    let change = match outcome {
        Outcome::Accepted => group.end_check(at.server, true, now),
        Outcome::Failed => group.end_check(at.server, false, now),
        Outcome::Postponed => return group.postpone_check(at.server, now),
    };
    match change {
        Some(change) => context.servers.announce(at, change, &mut context.io),
        None => {
            let model = &context.servers.config().groups[at.group.id.0];
            let (name, server) = (&model.name, ServerWords(&model.servers[at.server.0]));
            log::debug!("upstream \"{name}\": {server} is still down");
        }
    }
}
