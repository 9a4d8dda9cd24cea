//! A server at work: follows its calendar, and serves each connection, requests in turn, each
//! answered as its act says.

use super::act::{Act, AnswerFraming, Fate, Then, fake_answer, render};
use super::agenda::Wake;
use super::channel::Channel;
use super::end::EndId;
use super::faults::Family;
use super::pace::{Pace, Throttle};
use super::reader::{BodyEnd, Head, Piece};
use super::record::{Condition, Delivery, Manners, TroubleKind};
use super::server::Server;
use super::server_line::{
    ANSWER, AnswerState, CALENDAR, DRIP, IDLE_CLOSE, LATE_CLOSE, ServerLine, Service, UNASKED,
};
use super::text::Text;
use super::world::{Received, World};
use crate::time::Time;

impl Server {
    pub(super) fn wake(&mut self, why: Wake, world: &mut World) {
        match why {
            Wake::Accepted(end) => {
                self.accept(end, world);
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
                    line.channel.finish(world);
                }
                (_, Service::Busy { .. } | Service::Idle | Service::Closing | Service::Over) => {}
            }
        }
        self.step(end, world);
    }

    /// Takes a connection. Over TLS, the handshake may be what fails.
    fn accept(&mut self, end: EndId, world: &mut World) {
        let mut line = ServerLine::new(Channel::accepted(end, world));
        if line.channel.is_covered() {
            let hangs = self.condition == Condition::Hanging && self.rng.one_in(2);
            line.shakes = match self.plan.manners {
                _ if hangs => Fate::Hangs { after: 0 },
                Manners::Always(_) => Fate::Whole,
                Manners::Random => Fate::of_handshake(&mut self.rng, world),
            };
            match line.shakes {
                Fate::Cut { after, .. } | Fate::Hangs { after } => line.channel.stop_shaking(after),
                Fate::Malformed(bytes) => {
                    // No handshake: it speaks something else.
                    line.channel.stop_shaking(0);
                    world.send(end, bytes.as_bytes());
                }
                Fate::Whole | Fate::BadChunk => {}
            }
        }
        self.lines.insert(end, line);
    }

    /// The handshake fails here, as it was to do.
    fn break_off(&mut self, end: EndId, world: &mut World) {
        let line = self.lines.get_mut(&end).expect("it is being served");
        if matches!(line.service, Service::Over) {
            return;
        }
        line.service = Service::Over;
        match line.shakes {
            Fate::Cut { reset, .. } => {
                self.trouble(end, world.now(), world.now(), TroubleKind::Answer);
                if let Some(channel) = self.drop_line(end, world) {
                    if reset { channel.abort(world) } else { channel.cut(world) }
                }
            }
            Fate::Hangs { .. } | Fate::Malformed(_) | Fate::Whole | Fate::BadChunk => {
                self.trouble(end, world.now(), Time::NEVER, TroubleKind::Answer);
            }
        }
    }

    /// Reads, answers and writes on one connection as far as possible.
    fn step(&mut self, end: EndId, world: &mut World) {
        let Some(line) = self.lines.get_mut(&end) else { return };
        let mut bytes = Vec::new();
        line.channel.flush(world);
        let state = loop {
            match line.channel.receive(&mut bytes, usize::MAX, world) {
                Received::Bytes(_) => {}
                other @ (Received::Nothing | Received::End | Received::Broken) => break other,
            }
        };
        line.reader.push(&bytes);
        if line.channel.has_stopped() {
            self.break_off(end, world);
        }
        self.read(end, world);
        self.write(end, world);
        if state != Received::Nothing {
            self.leave(end, world);
        }
    }

    /// The proxy has closed, or the connection failed.
    fn leave(&mut self, end: EndId, world: &mut World) {
        if let Some(channel) = self.drop_line(end, world) {
            channel.close(world);
        }
    }

    fn read(&mut self, end: EndId, world: &mut World) {
        loop {
            let Some(line) = self.lines.get_mut(&end) else { return };
            if matches!(line.service, Service::Over) {
                return;
            }
            if matches!(line.service, Service::Closing) && !line.reader.is_between() {
                line.service = Service::Over;
                return world.accuse(format!("{end} was used again after its close was announced"));
            }
            match line.reader.next(false) {
                Err(flaw) => {
                    let name = self.plan.name;
                    world.accuse(format!("server {name} got {} at {end}", flaw.0));
                    line.service = Service::Over;
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
        if let Service::Busy { act: Act { then: Then::SendsSurplus, .. }, delivery, .. } =
            line.service
        {
            // The answer is complete; only the surplus after it is still unsent.
            return self.surplus(end, delivery, world);
        }
        if !matches!(line.service, Service::Idle) {
            return world.accuse(format!("request {id} came before the answer to another"));
        }
        world.tell(31, || format!("server {} gets {method} {id} at {end}", self.plan.name));
        let mut act = match &self.plan.manners {
            Manners::Always(act) => act.clone(),
            Manners::Random => Act::random(&mut self.rng, &line.channel, world),
        };
        if self.condition == Condition::Hanging {
            act.fate = Fate::Hangs { after: 0 };
        }
        if let Fate::Hangs { .. } | Fate::Malformed(_) | Fate::BadChunk = act.fate {
            // Counts as trouble from the start: the exchange cannot succeed.
            self.trouble(end, world.now(), Time::NEVER, TroubleKind::Answer);
        }
        let has_body = head.framing != BodyEnd::Nothing;
        act.early &= has_body;
        let line = self.lines.get_mut(&end).expect("it is being read");
        if head.field("expect").is_some() && !act.early && !matches!(act.fate, Fate::Hangs { .. }) {
            line.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        line.turn += 1;
        let (early, delay) = (act.early, act.delay);
        line.throttle = Throttle::new(act.pace);
        line.service = Service::Busy {
            delivery: self.deliveries.len(),
            text: Text { id, by: Text::CLIENT, attempt: 0 },
            offset: 0,
            request: false,
            act,
            answer: AnswerState::Waiting,
        };
        self.deliveries.push(Delivery {
            id,
            method: method.clone(),
            at: world.now(),
            end,
            request_whole: false,
            answer_whole: false,
            closed: None,
        });
        if early {
            self.alarm(end, ANSWER, delay, world);
        }
    }

    fn request_ended(&mut self, end: EndId, world: &mut World) {
        let line = self.lines.get_mut(&end).expect("it is being read");
        let Service::Busy { delivery, request, act, answer, .. } = &mut line.service else {
            return;
        };
        *request = true;
        self.deliveries[*delivery].request_whole = true;
        match answer {
            AnswerState::Waiting if !act.early => {
                let delay = act.delay;
                self.alarm(end, ANSWER, delay, world);
            }
            AnswerState::Waiting | AnswerState::Going => {}
            AnswerState::Gone => self.conclude(end, world),
        }
    }

    /// Puts the answer into the connection's outbox.
    fn answer(&mut self, end: EndId, world: &mut World) {
        let line = self.lines.get_mut(&end).expect("its alarm rang");
        let Service::Busy { delivery, act, answer, .. } = &mut line.service else { return };
        if *answer != AnswerState::Waiting {
            return;
        }
        *answer = AnswerState::Going;
        line.out.extend_from_slice(&words(self.plan.name, &self.deliveries, *delivery, act));
        if act.then == Then::SendsSurplus && act.fate == Fate::Whole {
            line.channel.spoil_behind(line.out.len(), world);
            line.out.extend_from_slice(fake_answer(end).as_bytes());
        }
        world.tell(32, || format!("server {} answers: {act:?}", self.plan.name));
    }

    fn write(&mut self, end: EndId, world: &mut World) {
        let Some(line) = self.lines.get_mut(&end) else { return };
        loop {
            let count = line.out.len().min(line.throttle.credit());
            let sent = if count > 0 { line.channel.send(&line.out[..count], world) } else { 0 };
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
        if let Service::Busy { answer: answer @ AnswerState::Going, .. } = &mut line.service {
            *answer = AnswerState::Gone;
            self.answered(end, world);
        }
    }

    /// The network has accepted all that will be sent of this answer.
    fn answered(&mut self, end: EndId, world: &mut World) {
        let line = self.lines.get_mut(&end).expect("it has just written");
        let Service::Busy { delivery, act, request, .. } = &line.service else { return };
        let (delivery, fate, then, request) = (*delivery, act.fate, act.then, *request);
        let framing = act.framing;
        match fate {
            Fate::Whole => {
                if then == Then::SendsSurplus {
                    return self.surplus(end, delivery, world);
                }
                self.deliveries[delivery].answer_whole = true;
                if then == Then::Closes {
                    // An orderly close: the server keeps reading, so that no reset follows.
                    line.finished = true;
                    line.service = Service::Over;
                    line.channel.finish(world);
                } else if request {
                    self.conclude(end, world);
                } else if matches!(then, Then::ClosesLate(_)) {
                    // The rest of the request need not be read.
                    line.service = Service::Over;
                }
            }
            Fate::Cut { reset, .. } => {
                self.trouble(end, world.now(), world.now(), TroubleKind::Answer);
                if let Some(channel) = self.drop_line(end, world) {
                    match framing {
                        _ if reset => channel.abort(world),
                        // An announced end would be the end of this body.
                        AnswerFraming::UntilClose => channel.cut(world),
                        AnswerFraming::Sized
                        | AnswerFraming::Chunked
                        | AnswerFraming::OddChunks => {
                            channel.close(world);
                        }
                    }
                }
            }
            Fate::Hangs { .. } | Fate::Malformed(_) | Fate::BadChunk => {
                // An answer without a body may not be affected by its fate.
                let say = |act| words(self.plan.name, &self.deliveries, delivery, act);
                let escaped = say(act) == say(&Act { fate: Fate::Whole, ..act.clone() });
                let ends = act.framing != AnswerFraming::UntilClose;
                line.service = Service::Over;
                self.deliveries[delivery].answer_whole = escaped && ends;
            }
        }
    }

    /// Bytes beyond the answer are sent: the connection is of no further use.
    fn surplus(&mut self, end: EndId, delivery: usize, world: &mut World) {
        self.deliveries[delivery].answer_whole = true;
        self.trouble(end, world.now(), Time::NEVER, TroubleKind::Unasked);
        self.lines.get_mut(&end).expect("it is alive").service = Service::Over;
    }

    /// Request and answer are complete, and the connection stays.
    fn conclude(&mut self, end: EndId, world: &mut World) {
        let line = self.lines.get_mut(&end).expect("it is alive");
        let Service::Busy { act, .. } = &line.service else { return };
        let then = act.then;
        line.turn += 1;
        line.service = Service::Idle;
        line.throttle = Throttle::new(Pace::AtOnce);
        match then {
            Then::Keeps | Then::Closes | Then::SendsSurplus => {}
            Then::ClosesLate(after) => {
                line.service = Service::Closing;
                self.alarm(end, LATE_CLOSE, after, world);
            }
            Then::ClosesIdle(after) => self.alarm(end, IDLE_CLOSE, after, world),
            Then::SendsUnasked(after) => self.alarm(end, UNASKED, after, world),
        }
    }

    fn close_idle(&mut self, end: EndId, world: &mut World) {
        let line = self.lines.get_mut(&end).expect("its alarm rang");
        if line.channel.close_idle(world) {
            self.trouble(end, world.now(), world.now(), TroubleKind::ClosedIdle);
            self.drop_line(end, world);
        }
    }

    /// Closes a connection that the proxy has just begun to reuse.
    fn lose_race(&mut self, end: EndId, world: &mut World) {
        let Some(line) = self.lines.get(&end) else { return };
        // A handshake comes before the first turn.
        if matches!(line.service, Service::Idle) && line.turn > 0 && line.reader.is_between() {
            self.trouble(end, world.now(), world.now(), TroubleKind::ClosedIdle);
            self.leave(end, world);
        }
    }

    fn send_unasked(&mut self, end: EndId, world: &mut World) {
        let garbage = self.rng.one_in(2);
        let bytes = if garbage { "unasked\r\n\r\n".to_owned() } else { fake_answer(end) };
        let line = self.lines.get_mut(&end).expect("its alarm rang");
        if line.channel.send_unsolicited(bytes.as_bytes(), world) {
            if world.faults.has(Family::HalfCloses) {
                line.channel.finish(world);
            }
            line.service = Service::Over;
            self.trouble(end, world.now(), Time::NEVER, TroubleKind::Unasked);
        }
    }
}

/// What a server sends in answer to one request, as far as the answer's fate permits.
fn words(name: u32, deliveries: &[Delivery], which: usize, act: &Act) -> Vec<u8> {
    let Delivery { id, method, .. } = &deliveries[which];
    let text = Text { id: *id, by: name, attempt: which as u32 };
    let mut bytes = render(act, text, method == "HEAD");
    if let Fate::Cut { after, .. } | Fate::Hangs { after } = act.fate {
        bytes.truncate(after);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::end::Owner;
    use super::super::record::ServerPlan;
    use super::super::{Faults, SimNet};
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
