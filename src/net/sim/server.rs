//! A server behind the proxy: follows its calendar, serves connections, and records the requests
//! that reached it and the trouble it caused.

use std::collections::BTreeMap;
use std::time::Duration;

use super::agenda::Wake;
use super::end::{ActorId, EndId};
use super::record::{Condition, Delivery, Manners, ServerPlan, Trouble, TroubleKind};
use super::rng::Rng;
use super::server_line::{
    ANSWER, CALENDAR, DRIP, IDLE_CLOSE, LATE_CLOSE, ServerLine, Service, UNASKED,
};
use super::world::{Reach, Received, World};
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
            self.drop_line(end, world);
            world.abort(end);
        }
    }

    pub(super) fn wake(&mut self, why: Wake, world: &mut World) {
        match why {
            Wake::Accepted(end) => {
                self.lines.insert(end, ServerLine::new());
                self.step(end, world);
            }
            Wake::End(end) => self.step(end, world),
            Wake::Raced(end) => self.lose_race(end, world),
            Wake::Alarm(key) if key & 0xff == CALENDAR => {
                if let Some(&(_, condition)) = self.plan.calendar.get((key >> 8) as usize) {
                    self.set_condition(condition, world);
                }
            }
            Wake::Alarm(key) => self.ring(key, world),
        }
    }

    fn ring(&mut self, key: u64, world: &mut World) {
        let end = EndId((key >> 24) as usize);
        let Some(line) = self.lines.get_mut(&end) else { return };
        if key & 0xff == DRIP {
            line.throttle.resume();
        } else if (key >> 8) & 0xffff == line.turn as u64 & 0xffff {
            // The first bytes of a request end the idleness, long before its head is complete.
            let quiet = line.reader.is_between();
            match (key & 0xff, &mut line.service) {
                (ANSWER, Service::Busy { .. }) => self.answer(end, world),
                (IDLE_CLOSE, Service::Idle) if quiet => self.close_idle(end, world),
                (UNASKED, Service::Idle) if quiet => self.send_unasked(end, world),
                (LATE_CLOSE, Service::Closing) => {
                    line.finished = true;
                    world.finish(end);
                }
                (_, Service::Busy { .. } | Service::Idle | Service::Closing | Service::Over) => {}
            }
        }
        self.step(end, world);
    }

    pub(super) fn alarm(&self, end: EndId, kind: u64, after: Duration, world: &mut World) {
        let turn = self.lines.get(&end).map_or(0, |line| line.turn as u64 & 0xffff);
        world.alarm(self.id, world.now() + after, kind | turn << 8 | (end.0 as u64) << 24);
    }

    /// Reads, answers and writes on one connection as far as possible.
    fn step(&mut self, end: EndId, world: &mut World) {
        let Some(line) = self.lines.get_mut(&end) else { return };
        let mut bytes = Vec::new();
        let state = loop {
            match world.receive(end, &mut bytes, usize::MAX) {
                Received::Bytes(_) => {}
                other @ (Received::Nothing | Received::End | Received::Broken) => break other,
            }
        };
        line.reader.push(&bytes);
        self.read(end, world);
        self.write(end, world);
        if state != Received::Nothing {
            self.leave(end, world);
        }
    }

    /// The proxy has closed, or the connection failed.
    fn leave(&mut self, end: EndId, world: &mut World) {
        if self.lines.contains_key(&end) {
            self.drop_line(end, world);
            world.close(end);
        }
    }

    pub(super) fn drop_line(&mut self, end: EndId, world: &mut World) {
        self.lines.remove(&end);
        self.settle(end, world.now());
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

#[cfg(test)]
mod tests {
    use super::super::end::Owner;
    use super::super::{Act, AnswerFraming, Fate, Faults, SimNet, Then};
    use super::*;
    use crate::address::Address;
    use crate::net::Net;

    const GET: &str = "GET /x/7 HTTP/1.1\r\nHost: a\r\n\r\n";

    /// One server with a client driven by hand. Returns what it sent, and the network.
    fn check(act: Act, request: &str) -> (String, Received, SimNet) {
        let at = Address::Inet(([10, 0, 1, 1], 80).into());
        let mut net = SimNet::new(1, Faults::none());
        net.add_server(ServerPlan {
            name: 1,
            at: at.clone(),
            calendar: Vec::new(),
            manners: Manners::Always(act),
        });
        let end = net.world_mut().dial(Owner::Hand, &at);
        wait(&mut net);
        net.world_mut().send(end, request.as_bytes());
        wait(&mut net);
        let mut bytes = Vec::new();
        let state = loop {
            match net.world_mut().receive(end, &mut bytes, usize::MAX) {
                Received::Bytes(_) => {}
                other @ (Received::Nothing | Received::End | Received::Broken) => break other,
            }
        };
        (String::from_utf8(bytes).expect("ASCII"), state, net)
    }

    fn wait(net: &mut SimNet) {
        let until = net.world().now() + Duration::from_secs(2);
        while net.poll(&mut Vec::new(), until).expect("simulated waits do not fail") < until {}
    }

    #[test]
    fn an_answer_says_whose_it_is() {
        let (answer, state, net) = check(Act::plain(40), GET);
        assert!(answer.contains("X-Id: 7\r\n") && answer.contains("Content-Length: 40\r\n"));
        assert!(answer.ends_with(&"000007/01/0000/0000000000000000\n000007/0"[..40]));
        assert_eq!(state, Received::Nothing, "the connection stays");
        let delivery = &net.servers()[0].deliveries()[0];
        assert!(delivery.request_whole && delivery.answer_whole);
    }

    #[test]
    fn a_cut_answer_is_trouble_and_a_hanging_one_lasts() {
        let cut = Act { fate: Fate::Cut { after: 10, reset: true }, ..Act::plain(40) };
        let (_, state, net) = check(cut, GET);
        assert_eq!(state, Received::Broken);
        assert_eq!(net.servers()[0].troubles().len(), 1);
        let hangs = Act { fate: Fate::Hangs { after: 10 }, ..Act::plain(40) };
        let (answer, state, net) = check(hangs, GET);
        assert_eq!((answer.len(), state), (10, Received::Nothing));
        let trouble = &net.servers()[0].troubles()[0];
        assert_eq!(trouble.until, Time::NEVER);
    }

    #[test]
    fn an_answer_without_framing_ends_with_a_fin() {
        let act = Act { framing: AnswerFraming::UntilClose, then: Then::Closes, ..Act::plain(40) };
        let (answer, state, _) = check(act, GET);
        assert!(!answer.contains("Content-Length"));
        assert_eq!(state, Received::End);
    }

    #[test]
    fn an_early_answer_comes_before_the_body() {
        let act = Act { early: true, ..Act::plain(4) };
        let put = "PUT /x/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
        assert!(check(act, put).0.contains("X-Id: 7"));
        assert_eq!(check(Act::plain(4), put).0, "");
    }

    #[test]
    fn what_the_proxy_may_not_send_is_a_violation() {
        for wrong in [
            "GET /x/7 HTTP/1.1\r\nHost: a\r\n\r\nGET /x/8 HTTP/1.1\r\nHost: a\r\n\r\n",
            "PUT /x/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nwrong",
            "GET /x/7 HTTP/1.1\r\nHost: a\r\nKeep-Alive: timeout=5\r\n\r\n",
        ] {
            let delayed = Act { delay: Duration::from_secs(1), ..Act::plain(4) };
            let (_, _, net) = check(delayed, wrong);
            assert_eq!(net.world().violations().len(), 1, "{wrong:?}");
        }
    }

    #[test]
    fn a_dead_server_resets_what_it_had_and_refuses_what_comes() {
        let (_, _, mut net) = check(Act::plain(4), GET);
        net.set_condition(0, Condition::Dead);
        wait(&mut net);
        assert_eq!(net.servers()[0].connections(), 0);
        let at = Address::Inet(([10, 0, 1, 1], 80).into());
        let end = net.world_mut().dial(Owner::Hand, &at);
        wait(&mut net);
        assert_eq!(net.world().outcome(end), Some(Err(())));
        net.heal();
        let end = net.world_mut().dial(Owner::Hand, &at);
        wait(&mut net);
        assert_eq!(net.world().outcome(end), Some(Ok(())));
    }
}
