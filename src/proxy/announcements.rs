//! Announcements of workers, copied to the coordinators that are not active, so that each knows
//! every worker before it is needed. Nothing that happens to a copy reaches the worker.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::accepted::{Accepted, Kind};
use super::context::Context;
use super::probes::Probes;
use crate::net::Net;
use crate::transport::io::Owner;
use crate::upstream::group::{At, ServerId};

/// The copies that are being sent, and those that wait.
pub struct Copies<N: Net> {
    /// Those that are being sent.
    pub under_way: Probes<N, ()>,
    waiting: VecDeque<(At, Zeroizing<Box<[u8]>>)>,
}

impl<N: Net> Default for Copies<N> {
    fn default() -> Copies<N> {
        Copies { under_way: Probes::new(Owner::Copy), waiting: VecDeque::new() }
    }
}

impl<N: Net> Copies<N> {
    /// Takes up what was announced, and which coordinators have come back; sends what can be sent.
    pub fn run(&mut self, context: &mut Context<N>) {
        self.drop_answers(context);
        for accepted in std::mem::take(&mut context.announced) {
            self.spread(accepted, context);
        }
        // What began before a reload concerns those that are left of its servers.
        let servers = &context.servers;
        let copies = context
            .copies
            .drain(..)
            .filter_map(|(at, request)| Some((servers.newest_of(at)?, request)));
        let room = WAITING.saturating_sub(self.waiting.len());
        self.waiting.extend(copies.take(room));
        for at in std::mem::take(&mut context.servers.returned) {
            let Some(at) = context.servers.newest_of(at) else { continue };
            let now = context.io.now;
            let roster = &mut context.servers.trino(at.group).roster;
            let all = roster.announcements(now).map(|request| (at, Zeroizing::new(request.into())));
            self.waiting.extend(all);
        }
        while self.under_way.count() < AT_ONCE {
            let Some((at, request)) = self.waiting.pop_front() else { break };
            self.send(at, request, context);
        }
    }

    /// Sends an announcement to all coordinators that are there but for the one that has it.
    fn spread(&mut self, accepted: Accepted, context: &mut Context<N>) {
        let Accepted { by, worker, request, kind } = accepted;
        let Some(by) = context.servers.newest_of(by) else { return };
        let now = context.io.now;
        let roster = &mut context.servers.trino(by.group).roster;
        match kind {
            Kind::Arrival => roster.announced(&worker, &request, now),
            Kind::Departure => roster.withdrawn(&worker),
        }
        let servers = context.servers.config().groups[by.group.id.0].servers.len();
        let group = context.servers.group(by.group);
        for server in (0..servers).map(ServerId) {
            let has_room = self.waiting.len() < WAITING;
            if server != by.server && has_room && group.is_there(server) {
                self.waiting.push_back((At { group: by.group, server }, request.clone()));
            }
        }
    }

    fn send(&mut self, at: At, request: Zeroizing<Box<[u8]>>, context: &mut Context<N>) {
        let config = Arc::clone(context.servers.config());
        let server = &config.groups[at.group.id.0].servers[at.server.0];
        // One that cannot be sent is followed by the worker's next one.
        let _ = self.under_way.dial(server, request, TIMEOUT, (), &mut context.io);
    }

    /// Drops the answers that have come.
    fn drop_answers(&mut self, context: &mut Context<N>) {
        let mut from = 0;
        while let Some(ended) = self.under_way.next_ended(&mut from, context.io.now) {
            context.io.close(ended.probe.into_socket());
        }
    }

    /// Closes all, because their groups are no longer in use.
    pub fn abandon(&mut self, context: &mut Context<N>) {
        self.waiting.clear();
        while let Some((probe, ())) = self.under_way.take(|()| true) {
            context.io.close(probe.into_socket());
        }
    }
}

/// Copies sent at a time: a coordinator that returns gets those of all workers.
const AT_ONCE: usize = 32;
/// Copies that may wait: those of the largest cluster for one coordinator.
const WAITING: usize = 10_000;
/// How long a copy may take: a worker repeats its announcement after some seconds.
const TIMEOUT: Duration = Duration::from_secs(3);
