//! One connection of a server: requests in turn, each answered as its act says.

use super::act::{Act, AnswerFraming, Fate, Then, fake_answer, render};
use super::end::EndId;
use super::faults::Family;
use super::pace::{Pace, Throttle};
use super::reader::{BodyEnd, Head, Piece};
use super::record::{Condition, Delivery, Manners, TroubleKind};
use super::server::Server;
use super::server_line::{ANSWER, AnswerState, DRIP, IDLE_CLOSE, LATE_CLOSE, Service, UNASKED};
use super::text::Text;
use super::world::World;
use crate::time::Time;

impl Server {
    pub(super) fn read(&mut self, end: EndId, world: &mut World) {
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
            Manners::Random => Act::random(&mut self.rng, world),
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
    pub(super) fn answer(&mut self, end: EndId, world: &mut World) {
        let line = self.lines.get_mut(&end).expect("its alarm rang");
        let Service::Busy { delivery, act, answer, .. } = &mut line.service else { return };
        if *answer != AnswerState::Waiting {
            return;
        }
        *answer = AnswerState::Going;
        line.out.extend_from_slice(&words(self.plan.name, &self.deliveries, *delivery, act));
        if act.then == Then::SendsSurplus && act.fate == Fate::Whole {
            world.spoil_behind(end, line.out.len());
            line.out.extend_from_slice(fake_answer(end).as_bytes());
        }
        world.tell(32, || format!("server {} answers: {act:?}", self.plan.name));
    }

    pub(super) fn write(&mut self, end: EndId, world: &mut World) {
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
                    world.finish(end);
                } else if request {
                    self.conclude(end, world);
                } else if matches!(then, Then::ClosesLate(_)) {
                    // The rest of the request need not be read.
                    line.service = Service::Over;
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

    pub(super) fn close_idle(&mut self, end: EndId, world: &mut World) {
        if world.close_idle(end) {
            self.trouble(end, world.now(), world.now(), TroubleKind::ClosedIdle);
            self.drop_line(end, world);
        }
    }

    /// Closes a connection that the proxy has just begun to reuse.
    pub(super) fn lose_race(&mut self, end: EndId, world: &mut World) {
        let Some(line) = self.lines.get(&end) else { return };
        if matches!(line.service, Service::Idle) && line.reader.is_between() {
            self.trouble(end, world.now(), world.now(), TroubleKind::ClosedIdle);
            self.drop_line(end, world);
            world.close(end);
        }
    }

    pub(super) fn send_unasked(&mut self, end: EndId, world: &mut World) {
        let garbage = self.rng.one_in(2);
        let bytes = if garbage { "unasked\r\n\r\n".to_owned() } else { fake_answer(end) };
        if world.send_unsolicited(end, bytes.as_bytes()) {
            self.trouble(end, world.now(), Time::NEVER, TroubleKind::Unasked);
            if world.faults.has(Family::HalfCloses) {
                world.finish(end);
            }
            self.lines.get_mut(&end).expect("its alarm rang").service = Service::Over;
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
