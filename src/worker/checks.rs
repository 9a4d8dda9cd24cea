//! Background connections to servers that were out. They are made when due, not when a client
//! happens to come, so that an unreachable server never delays a client.

use slab::Slab;

use crate::config::model::GroupId;
use crate::net::{Connect, Event, Net};
use crate::proxy::context::Context;
use crate::proxy::log::limited_log::Named;
use crate::proxy::servers::At;
use crate::time::Time;
use crate::transport::dial::failure_of_connect;
use crate::transport::io::Owner;
use crate::transport::socket::Socket;
use crate::upstream::group::ServerId;

/// The background connections in progress.
pub(super) struct Checks<N: Net> {
    all: Slab<Check<N>>,
}

struct Check<N: Net> {
    socket: Socket<N>,
    generation: u64,
    group: GroupId,
    server: ServerId,
    deadline: Time,
}

impl<N: Net> Checks<N> {
    pub(super) fn new() -> Checks<N> {
        Checks { all: Slab::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// When the first of them times out.
    pub(super) fn deadline(&self) -> Time {
        self.all.iter().map(|(_, check)| check.deadline).min().unwrap_or(Time::NEVER)
    }

    /// Records an event.
    pub(super) fn note(&mut self, key: u32, event: &Event) {
        if let Some(check) = self.all.get_mut(key as usize) {
            check.socket.note(event);
        }
    }

    /// Starts those that are due.
    pub(super) fn begin(&mut self, context: &mut Context<N>) {
        while let Some(At { generation, group, server }) =
            context.servers.begin_check(context.io.now)
        {
            let config = std::sync::Arc::clone(context.servers.config());
            let model = &config.groups[group.0];
            let entry = self.all.vacant_entry();
            let owner = Owner::Check(entry.key() as u32);
            let connected = context
                .io
                .net
                .connect(&model.servers[server.0].address, &Connect::default())
                .and_then(|mut stream| Ok((context.io.watch(&mut stream, owner)?, stream)));
            match connected {
                Ok((token, stream)) => {
                    let socket = Socket::connecting(stream, token);
                    let deadline = context.io.now + model.check_timeout;
                    entry.insert(Check { socket, generation, group, server, deadline });
                }
                Err(e) if failure_of_connect(&e).is_none() => {
                    let now = context.io.now;
                    context.servers.group(generation, group).0.postpone_check(server, now);
                }
                Err(_) => end(generation, group, server, false, context),
            }
        }
    }

    /// Concludes those that have finished.
    pub(super) fn run(&mut self, context: &mut Context<N>) {
        let now = context.io.now;
        let mut ended = Vec::new();
        for (key, check) in &mut self.all {
            match check.socket.connected() {
                Ok(true) => ended.push((key, true)),
                Ok(false) if check.deadline <= now => ended.push((key, false)),
                Ok(false) => {}
                Err(_) => ended.push((key, false)),
            }
        }
        for (key, accepted) in ended {
            let check = self.all.remove(key);
            context.io.close(check.socket);
            end(check.generation, check.group, check.server, accepted, context);
        }
    }

    /// Closes all: their groups are no longer used.
    pub(super) fn abandon(&mut self, context: &mut Context<N>) {
        for check in self.all.drain() {
            context.io.close(check.socket);
        }
    }
}

fn end<N: Net>(
    generation: u64,
    group: GroupId,
    server: ServerId,
    accepted: bool,
    context: &mut Context<N>,
) {
    let now = context.io.now;
    let change = context.servers.group(generation, group).0.end_check(server, accepted, now);
    match change {
        Some(change) => {
            context.servers.announce(At { generation, group, server }, change, &mut context.io)
        }
        None => {
            let model = &context.servers.config().groups[group.0];
            let (name, at) = (&model.name, Named(&model.servers[server.0]));
            log::debug!("upstream \"{name}\": {at} is still down");
        }
    }
}
