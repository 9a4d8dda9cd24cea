//! A server behind the proxy: its condition, its connections, and its records of the requests that
//! reached it and the trouble it caused. `service.rs` serves.

use std::collections::BTreeMap;
use std::time::Duration;

use super::channel::Channel;
use super::end::{ActorId, EndId};
use super::record::{Condition, Delivery, Manners, ServerPlan, Trouble, TroubleKind};
use super::rng::Rng;
use super::server_line::{CALENDAR, ServerLine};
use super::world::{Reach, World};
use crate::time::Time;

/// A server.
#[derive(Debug)]
pub struct Server {
    pub(super) plan: ServerPlan,
    pub(super) id: ActorId,
    pub(super) rng: Rng,
    pub(super) condition: Condition,
    pub(super) lines: BTreeMap<EndId, ServerLine>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) troubles: Vec<Trouble>,
}

impl Server {
    pub(super) fn new(plan: ServerPlan, id: ActorId, rng: Rng) -> Server {
        Server {
            plan,
            id,
            rng,
            condition: Condition::Well,
            lines: BTreeMap::new(),
            deliveries: Vec::new(),
            troubles: Vec::new(),
        }
    }

    /// Its plan.
    pub fn plan(&self) -> &ServerPlan {
        &self.plan
    }

    /// All requests that reached it, in order.
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// All trouble it caused, in order of beginning.
    pub fn troubles(&self) -> &[Trouble] {
        &self.troubles
    }

    /// Number of its open connections.
    pub fn connections(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn start(&mut self, world: &mut World) {
        world.machine(&self.plan.at, super::end::Owner::Actor(self.id));
        for (entry, (at, _)) in self.plan.calendar.iter().enumerate() {
            world.alarm(self.id, *at, CALENDAR | (entry as u64) << 8);
        }
    }

    pub(super) fn set_manners(&mut self, manners: Manners) {
        self.plan.manners = manners;
    }

    /// Changes its condition from now on.
    pub(super) fn set_condition(&mut self, condition: Condition, world: &mut World) {
        let (name, now) = (self.plan.name, world.now());
        world.tell(30 + name as usize, || format!("server {name} is now {condition:?}"));
        self.condition = condition;
        for trouble in &mut self.troubles {
            if trouble.until == Time::NEVER && trouble.end.is_none() {
                trouble.until = now;
            }
        }
        let reach = match condition {
            Condition::Well | Condition::Hanging => Reach::Listening,
            Condition::Refusing | Condition::Dead => Reach::Refusing,
            Condition::Dark => Reach::Dark,
        };
        world.set_reach(&self.plan.at, reach);
        if condition == Condition::Dead {
            for end in std::mem::take(&mut self.lines).into_keys() {
                self.settle(end, now);
                world.abort(end);
            }
        }
        if condition != Condition::Well {
            let kind = TroubleKind::Condition(condition);
            self.troubles.push(Trouble { from: now, until: Time::NEVER, end: None, kind });
        }
    }

    /// Makes it well for good; whatever hangs or would fail later is dropped.
    pub(super) fn heal(&mut self, world: &mut World) {
        self.plan.calendar.clear();
        if self.condition != Condition::Well {
            self.set_condition(Condition::Well, world);
        }
        let hanging: Vec<EndId> = self
            .lines
            .iter()
            .filter(|(_, line)| !line.finished && line.is_in_trouble())
            .map(|(end, _)| *end)
            .collect();
        for end in hanging {
            if let Some(channel) = self.drop_line(end, world) {
                channel.abort(world);
            }
        }
    }

    pub(super) fn alarm(&self, end: EndId, kind: u64, after: Duration, world: &mut World) {
        let turn = self.lines.get(&end).map_or(0, |line| line.turn as u64 & 0xffff);
        world.alarm(self.id, world.now() + after, kind | turn << 8 | (end.0 as u64) << 24);
    }

    /// Forgets a connection, which is to be closed.
    pub(super) fn drop_line(&mut self, end: EndId, world: &mut World) -> Option<Channel> {
        let line = self.lines.remove(&end)?;
        self.settle(end, world.now());
        Some(line.channel)
    }

    /// Ends the trouble of a connection that is over.
    fn settle(&mut self, end: EndId, now: Time) {
        if let Some(last) = self.deliveries.iter_mut().rfind(|delivery| delivery.end == end) {
            last.closed = Some(now);
        }
        for trouble in &mut self.troubles {
            if trouble.end == Some(end) && trouble.until == Time::NEVER {
                trouble.until = now;
            }
        }
    }

    pub(super) fn trouble(&mut self, end: EndId, from: Time, until: Time, kind: TroubleKind) {
        self.troubles.push(Trouble { from, until, end: Some(end), kind });
    }
}
