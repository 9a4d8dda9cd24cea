//! A server behind the proxy: reads requests strictly, answers them as its mood says, and keeps
//! a record of what reached it and of all trouble that it made.

use std::collections::BTreeMap;
use std::time::Duration;

use super::act::{Act, Fate, Then, fake_answer, render};
use super::agenda::Wake;
use super::end::{ActorId, EndId};
use super::faults::Family;
use super::pace::{Pace, Throttle};
use super::reader::{Framing, Head, Piece, Reader, Side};
use super::record::{Condition, Delivery, Manners, ServerPlan, Trouble, TroubleKind};
use super::rng::Rng;
use super::text::Text;
use super::world::{Reach, Received, World};
use crate::time::Time;

/// A server.
#[derive(Debug)]
pub struct Server {
    plan: ServerPlan,
    id: ActorId,
    rng: Rng,
    condition: Condition,
    lines: BTreeMap<EndId, Line>,
    deliveries: Vec<Delivery>,
    troubles: Vec<Trouble>,
}

/// One connection.
#[derive(Debug)]
struct Line {
    reader: Reader,
    exchange: Exchange,
    throttle: Throttle,
    out: Vec<u8>,
    /// Counts changes, so that alarms of earlier ones are known.
    turn: usize,
    /// The server has sent its FIN and only reads on.
    finished: bool,
}

/// What a connection is about at the moment.
#[derive(Debug)]
enum Exchange {
    /// Waiting for a request.
    Idle,
    /// A request is coming, or has come; the answer may be coming too.
    Busy { delivery: usize, text: Text, offset: usize, request: bool, act: Act, answer: Answer },
    /// Nothing more is said here.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Not begun.
    Waiting,
    /// In `out`, or partly.
    Going,
    /// All of it given to the network.
    Gone,
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

    /// What it was to be like.
    pub fn plan(&self) -> &ServerPlan {
        &self.plan
    }

    /// Every request that reached it, in order.
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// All trouble that it made, in order of its beginning.
    pub fn troubles(&self) -> &[Trouble] {
        &self.troubles
    }

    /// Its connections that are open.
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

    /// From now on it is like this.
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

    /// Well again, for good; what hangs, or would go wrong later, is given up.
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
                self.lines.insert(end, Line::new());
                self.step(end, world);
            }
            Wake::End(end) => self.step(end, world),
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
            // The first bytes of a request end the idleness, long before its head is whole.
            let quiet = line.reader.is_between();
            match (key & 0xff, &mut line.exchange) {
                (ANSWER, Exchange::Busy { .. }) => self.answer(end, world),
                (IDLE_CLOSE, Exchange::Idle) if quiet => self.close_idle(end, world),
                (UNASKED, Exchange::Idle) if quiet => self.send_unasked(end, world),
                (_, Exchange::Busy { .. } | Exchange::Idle | Exchange::Over) => {}
            }
        }
        self.step(end, world);
    }

    fn alarm(&self, end: EndId, kind: u64, after: Duration, world: &mut World) {
        let turn = self.lines.get(&end).map_or(0, |line| line.turn as u64 & 0xffff);
        world.alarm(self.id, world.now() + after, kind | turn << 8 | (end.0 as u64) << 24);
    }

    /// Reads, answers and writes on one connection, as far as is possible.
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

    fn drop_line(&mut self, end: EndId, world: &mut World) {
        self.lines.remove(&end);
        self.settle(end, world.now());
    }

    /// Trouble on a connection ends with it.
    fn settle(&mut self, end: EndId, now: Time) {
        for trouble in &mut self.troubles {
            if trouble.end == Some(end) && trouble.until == Time::NEVER {
                trouble.until = now;
            }
        }
    }

    fn read(&mut self, end: EndId, world: &mut World) {
        loop {
            let Some(line) = self.lines.get_mut(&end) else { return };
            if matches!(line.exchange, Exchange::Over) {
                return;
            }
            match line.reader.next(false) {
                Err(flaw) => {
                    let name = self.plan.name;
                    world.accuse(format!("server {name} got {} at {end}", flaw.0));
                    line.exchange = Exchange::Over;
                }
                Ok(None) => return,
                Ok(Some(Piece::Head(head))) => self.begin(end, &head, world),
                Ok(Some(Piece::Body(bytes))) => line.take_body(&bytes, end, world),
                Ok(Some(Piece::End)) => self.request_ended(end, world),
            }
        }
    }

    fn begin(&mut self, end: EndId, head: &Head, world: &mut World) {
        let [method, target, _] = &head.start;
        let id = target.strip_prefix("/x/").and_then(|id| id.parse().ok());
        let id = id.unwrap_or(Delivery::STRANGE);
        let line = self.lines.get_mut(&end).expect("it is being read");
        if let Exchange::Busy { act: Act { then: Then::SendsSurplus, .. }, .. } = &line.exchange {
            // The answer is whole; only the surplus behind it is still on its way.
            line.exchange = Exchange::Over;
            return;
        }
        if !matches!(line.exchange, Exchange::Idle) {
            return world.accuse(format!("request {id} came before the answer to another"));
        }
        world.tell(31, || format!("server {} gets {method} {id} at {end}", self.plan.name));
        let mut act = match &self.plan.manners {
            Manners::Always(act) => act.clone(),
            Manners::Random => Act::random(&mut self.rng, world),
        };
        if self.condition == Condition::Hanging {
            act.fate = Fate::Hangs { after: 0 };
        }
        if let Fate::Hangs { .. } | Fate::Malformed(_) | Fate::BadChunk = act.fate {
            // Known as trouble from the start: nothing good can come of it.
            self.trouble(end, world.now(), Time::NEVER, TroubleKind::Answer);
        }
        let has_body = head.framing != Framing::Nothing;
        act.early &= has_body;
        let line = self.lines.get_mut(&end).expect("it is being read");
        if head.field("expect").is_some() && !act.early && !matches!(act.fate, Fate::Hangs { .. }) {
            line.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        line.turn += 1;
        let (early, delay) = (act.early, act.delay);
        line.throttle = Throttle::new(act.pace);
        line.exchange = Exchange::Busy {
            delivery: self.deliveries.len(),
            text: Text { id, by: Text::CLIENT, attempt: 0 },
            offset: 0,
            request: false,
            act,
            answer: Answer::Waiting,
        };
        self.deliveries.push(Delivery {
            id,
            method: method.clone(),
            at: world.now(),
            end,
            request_whole: false,
            answer_whole: false,
        });
        if early {
            self.alarm(end, ANSWER, delay, world);
        }
    }

    fn request_ended(&mut self, end: EndId, world: &mut World) {
        let line = self.lines.get_mut(&end).expect("it is being read");
        let Exchange::Busy { delivery, request, act, answer, .. } = &mut line.exchange else {
            return;
        };
        *request = true;
        self.deliveries[*delivery].request_whole = true;
        match answer {
            Answer::Waiting if !act.early => {
                let delay = act.delay;
                self.alarm(end, ANSWER, delay, world);
            }
            Answer::Waiting | Answer::Going => {}
            Answer::Gone => self.conclude(end, world),
        }
    }

    /// Puts the answer into the connection's outbox.
    fn answer(&mut self, end: EndId, world: &mut World) {
        let line = self.lines.get_mut(&end).expect("its alarm rang");
        let Exchange::Busy { delivery, act, answer, .. } = &mut line.exchange else { return };
        if *answer != Answer::Waiting {
            return;
        }
        *answer = Answer::Going;
        let Delivery { id, method, .. } = &self.deliveries[*delivery];
        let text = Text { id: *id, by: self.plan.name, attempt: *delivery as u32 };
        let bytes = render(act, text, method == "HEAD");
        let keep = match act.fate {
            Fate::Whole | Fate::Malformed(_) | Fate::BadChunk => bytes.len(),
            Fate::Cut { after, .. } | Fate::Hangs { after } => after.min(bytes.len()),
        };
        line.out.extend_from_slice(&bytes[..keep]);
        if act.then == Then::SendsSurplus && act.fate == Fate::Whole {
            world.spoil_behind(end, line.out.len());
            line.out.extend_from_slice(fake_answer(end).as_bytes());
        }
        world.tell(32, || format!("server {} answers: {act:?}", self.plan.name));
    }

    fn write(&mut self, end: EndId, world: &mut World) {
        let Some(line) = self.lines.get_mut(&end) else { return };
        loop {
            let count = line.out.len().min(line.throttle.credit());
            let sent = if count > 0 { world.send(end, &line.out[..count]) } else { 0 };
            line.out.drain(..sent);
            line.throttle.spend(sent);
            if sent == 0 || line.out.is_empty() {
                break;
            }
        }
        if !line.out.is_empty() {
            if let Some(pause) = line.throttle.pause() {
                self.alarm(end, DRIP, pause, world);
            }
            return;
        }
        if let Exchange::Busy { answer: answer @ Answer::Going, .. } = &mut line.exchange {
            *answer = Answer::Gone;
            self.answered(end, world);
        }
    }

    /// All that will be written of this answer is with the network.
    fn answered(&mut self, end: EndId, world: &mut World) {
        let line = self.lines.get_mut(&end).expect("it has just written");
        let Exchange::Busy { delivery, act, request, .. } = &line.exchange else { return };
        let (delivery, fate, then, request) = (*delivery, act.fate, act.then, *request);
        match fate {
            Fate::Whole => {
                self.deliveries[delivery].answer_whole = true;
                if then == Then::SendsSurplus {
                    self.trouble(end, world.now(), world.now(), TroubleKind::Idle);
                    self.lines.get_mut(&end).expect("it has just written").exchange =
                        Exchange::Over;
                } else if then == Then::Closes {
                    // An orderly close: what still comes is read, so that no reset follows.
                    line.finished = true;
                    line.exchange = Exchange::Over;
                    world.finish(end);
                } else if request {
                    self.conclude(end, world);
                }
            }
            Fate::Cut { reset, .. } => {
                self.trouble(end, world.now(), world.now(), TroubleKind::Answer);
                self.drop_line(end, world);
                if reset {
                    world.abort(end);
                } else {
                    world.close(end);
                }
            }
            Fate::Hangs { .. } | Fate::Malformed(_) | Fate::BadChunk => {
                line.exchange = Exchange::Over;
            }
        }
    }

    /// Request and answer are complete, and the connection stays.
    fn conclude(&mut self, end: EndId, world: &mut World) {
        let line = self.lines.get_mut(&end).expect("it is alive");
        let Exchange::Busy { act, .. } = &line.exchange else { return };
        let then = act.then;
        line.turn += 1;
        line.exchange = Exchange::Idle;
        line.throttle = Throttle::new(Pace::AtOnce);
        match then {
            Then::Keeps | Then::Closes | Then::SendsSurplus => {}
            Then::ClosesIdle(after) => self.alarm(end, IDLE_CLOSE, after, world),
            Then::SendsUnasked(after) => self.alarm(end, UNASKED, after, world),
        }
    }

    fn close_idle(&mut self, end: EndId, world: &mut World) {
        if world.close_idle(end) {
            self.trouble(end, world.now(), world.now(), TroubleKind::Idle);
            self.drop_line(end, world);
        }
    }

    fn send_unasked(&mut self, end: EndId, world: &mut World) {
        let garbage = self.rng.one_in(2);
        let bytes = if garbage { "unasked\r\n\r\n".to_owned() } else { fake_answer(end) };
        if world.send_unsolicited(end, bytes.as_bytes()) {
            self.trouble(end, world.now(), world.now(), TroubleKind::Idle);
            if world.faults.has(Family::HalfCloses) {
                world.finish(end);
            }
            self.lines.get_mut(&end).expect("its alarm rang").exchange = Exchange::Over;
        }
    }

    fn trouble(&mut self, end: EndId, from: Time, until: Time, kind: TroubleKind) {
        self.troubles.push(Trouble { from, until, end: Some(end), kind });
    }
}

impl Line {
    fn new() -> Line {
        Line {
            reader: Reader::new(Side::Requests),
            exchange: Exchange::Idle,
            throttle: Throttle::new(Pace::AtOnce),
            out: Vec::new(),
            turn: 0,
            finished: false,
        }
    }

    /// Whether nothing good can come of it any more.
    fn is_in_trouble(&self) -> bool {
        match &self.exchange {
            Exchange::Idle => false,
            Exchange::Busy { act, .. } => act.fate != Fate::Whole,
            Exchange::Over => true,
        }
    }

    fn take_body(&mut self, bytes: &[u8], end: EndId, world: &mut World) {
        let Exchange::Busy { text, offset, .. } = &mut self.exchange else { return };
        if text.id != Delivery::STRANGE && !text.has(*offset, bytes) {
            world.accuse(format!("the body of request {} is not its own at {end}", text.id));
        }
        *offset += bytes.len();
    }
}

/// Kinds of alarms, in the lowest byte of their keys.
const CALENDAR: u64 = 0;
const ANSWER: u64 = 1;
const DRIP: u64 = 2;
const IDLE_CLOSE: u64 = 3;
const UNASKED: u64 = 4;

#[cfg(test)]
mod tests {
    use super::super::end::Owner;
    use super::super::{AnswerFraming, Faults, SimNet};
    use super::*;
    use crate::address::Address;
    use crate::net::Net;

    const GET: &str = "GET /x/7 HTTP/1.1\r\nHost: a\r\n\r\n";

    /// One server that is asked by hand; returns what it sent and the network.
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
