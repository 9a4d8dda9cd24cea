//! A client of the proxy: sends planned requests, reads answers strictly, and records how each
//! exchange ended. It checks bytes; whether an outcome was allowed is judged elsewhere.

use std::time::Duration;

use super::agenda::Wake;
use super::ask::{Answer, Ask, Exchange, Leaves, Outcome};
use super::channel::Channel;
use super::client_line::{ClientLine, Reading, Sending};
use super::end::{ActorId, EndId, Owner};
use super::pace::{Pace, Throttle};
use super::reader::{BodyEnd, Head, Piece};
use super::rng::Rng;
use super::text::Text;
use super::world::{Received, World};
use crate::address::Address;
use crate::time::Time;

/// The plan of a client.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// The proxy's address.
    pub to: Address,
    /// When it connects first.
    pub starts: Time,
    /// Its requests in order, over as many connections as they need.
    pub asks: Vec<Ask>,
    /// Requests in flight before the first of them is answered.
    pub pipeline: usize,
    /// How it sends.
    pub sends: Pace,
    /// How it reads.
    pub reads: Pace,
    /// Whether it stays idle after the last answer until the proxy closes.
    pub lingers: bool,
    /// Whether it finishes sending a body although the answer has arrived.
    pub stubborn: bool,
}

/// A client.
#[derive(Debug)]
pub struct Client {
    plan: ClientPlan,
    id: ActorId,
    rng: Rng,
    exchanges: Vec<Exchange>,
    /// Exchanges assigned to a connection.
    begun: usize,
    line: Option<ClientLine>,
    /// Number of the connection, so that alarms of earlier ones are recognised.
    turn: u64,
    /// When it may send the next request.
    thinks_until: Time,
}

impl Client {
    pub(super) fn new(plan: ClientPlan, id: ActorId, rng: Rng) -> Client {
        let exchanges = plan.asks.iter().cloned().map(Exchange::new).collect();
        let thinks_until = plan.starts;
        Client { plan, id, rng, exchanges, begun: 0, line: None, turn: 0, thinks_until }
    }

    /// Its plan.
    pub fn plan(&self) -> &ClientPlan {
        &self.plan
    }

    /// All its exchanges.
    pub fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }

    /// Whether all its exchanges have ended.
    pub fn is_done(&self) -> bool {
        self.exchanges.iter().all(|exchange| exchange.over.is_some())
    }

    /// Its end of its current connection.
    pub fn end(&self) -> Option<EndId> {
        self.line.as_ref().map(|line| line.channel.end)
    }

    pub(super) fn start(&mut self, world: &mut World) {
        world.alarm(self.id, self.plan.starts, STEP);
    }

    pub(super) fn wake(&mut self, why: Wake, world: &mut World) {
        match why {
            Wake::Accepted(_) | Wake::End(_) | Wake::Raced(_) => {}
            Wake::Alarm(key) if key >> 8 == self.turn => match (key & 0xff, &mut self.line) {
                (SEND, Some(line)) => line.sends.resume(),
                (READ, Some(line)) => line.reads.resume(),
                (IMPATIENT, Some(line)) => line.release(),
                (_, Some(_) | None) => {}
            },
            Wake::Alarm(_) => {}
        }
        self.step(world);
    }

    fn alarm(&self, kind: u64, after: Duration, world: &mut World) {
        world.alarm(self.id, world.now() + after, kind | self.turn << 8);
    }

    /// Does whatever is possible now.
    fn step(&mut self, world: &mut World) {
        if self.line.is_none() && !self.dial(world) {
            return;
        }
        let Some(line) = &mut self.line else { return };
        match world.outcome(line.channel.end) {
            None => {}
            Some(Err(())) => self.hang_up(true, world),
            Some(Ok(())) => {
                line.channel.flush(world);
                self.read(world);
                self.ask(world);
                self.send(world);
            }
        }
    }

    fn dial(&mut self, world: &mut World) -> bool {
        if self.begun == self.exchanges.len() || world.now() < self.thinks_until {
            return false;
        }
        self.turn += 1;
        let channel = Channel::dial(Owner::Actor(self.id), &self.plan.to, world);
        let throttles = (Throttle::new(self.plan.sends), Throttle::new(self.plan.reads));
        self.line = Some(ClientLine::new(channel, throttles, world.now()));
        true
    }

    /// Puts more requests on the connection, up to the pipeline limit.
    fn ask(&mut self, world: &mut World) {
        let Some(line) = &mut self.line else { return };
        while self.begun < self.exchanges.len()
            && !line.last
            && line.waiting.len() < self.plan.pipeline
            && line.waiting.back().is_none_or(|before| before.held.is_empty())
        {
            if line.waiting.is_empty() && world.now() < self.thinks_until {
                return;
            }
            let exchange = &mut self.exchanges[self.begun];
            exchange.end = Some(line.channel.end);
            exchange.before = line.done + line.waiting.len();
            exchange.idle_since = line.idle_since;
            exchange.outcome = Outcome::Waiting;
            let (head, body) = (exchange.ask.head(), exchange.ask.body_bytes());
            let closes = exchange.ask.closes();
            let half = exchange.ask.leaves.half_closes();
            let expects = exchange.ask.expects && !body.is_empty();
            line.out.extend_from_slice(&head);
            let mut sending =
                Sending { exchange: self.begun, left: head.len(), sent: 0, held: Vec::new() };
            if expects {
                sending.held = body;
            } else {
                sending.left += body.len();
                line.out.extend_from_slice(&body);
            }
            line.waiting.push_back(sending);
            line.last |= closes || half;
            self.begun += 1;
            if expects {
                let alarm = IMPATIENT | self.turn << 8;
                world.alarm(self.id, world.now() + PATIENCE, alarm);
            }
        }
    }

    fn send(&mut self, world: &mut World) {
        loop {
            let Some(line) = &mut self.line else { return };
            if !line.send_rest(world) {
                break;
            }
            let Some(sending) = line.waiting.iter_mut().find(|sending| sending.left > 0) else {
                break;
            };
            let exchange = &mut self.exchanges[sending.exchange];
            let mut most = sending.left.min(line.sends.credit());
            if let Leaves::AfterSending(count) = exchange.ask.leaves {
                if sending.sent >= count {
                    return self.go_away(world);
                }
                most = most.min(count - sending.sent);
            }
            if let Leaves::EndsAfter(count) = exchange.ask.leaves {
                if sending.sent >= count {
                    // The rest is never sent.
                    sending.left = 0;
                    sending.held.clear();
                    line.out.clear();
                    line.channel.finish(world);
                    break;
                }
                most = most.min(count - sending.sent);
            }
            let count = if most > 0 { line.channel.send(&line.out[..most], world) } else { 0 };
            if count == 0 {
                break;
            }
            line.out.drain(..count);
            line.sends.spend(count);
            sending.left -= count;
            sending.sent += count;
            exchange.asked.get_or_insert(world.now());
            if sending.left == 0 && sending.held.is_empty() {
                exchange.sent = Some(world.now());
                if exchange.ask.leaves.half_closes() {
                    line.channel.finish(world);
                }
            }
        }
        let Some(line) = &mut self.line else { return };
        if !line.out.is_empty()
            && let Some(pause) = line.sends.pause()
        {
            let halfway = |sending: &&Sending| sending.sent > 0 && sending.left > 0;
            if let Some(sending) = line.waiting.iter().find(halfway) {
                self.exchanges[sending.exchange].stalled = Some(world.now());
            }
            self.alarm(SEND, pause, world);
        }
    }

    fn read(&mut self, world: &mut World) {
        loop {
            let Some(line) = &mut self.line else { return };
            if line.reads.credit() == 0 {
                if let Some(pause) = line.reads.pause() {
                    self.alarm(READ, pause, world);
                }
                return;
            }
            let mut bytes = Vec::new();
            let received = line.channel.receive(&mut bytes, line.reads.credit(), world);
            if let Received::Bytes(count) = received {
                line.reads.spend(count);
            }
            line.reader.push(&bytes);
            if let Some(reading) = &mut line.answer {
                reading.received += bytes.len();
            }
            self.interpret(world);
            match received {
                Received::Bytes(_) => {}
                Received::Nothing => return,
                Received::End => return self.hang_up(false, world),
                Received::Broken => return self.hang_up(true, world),
            }
        }
    }

    fn interpret(&mut self, world: &mut World) {
        loop {
            let Some(line) = &mut self.line else { return };
            let asked = line.waiting.front().map(|sending| sending.exchange);
            let Some(asked) = asked else {
                if !line.reader.is_between() {
                    world.accuse(format!("octets behind the last answer at {}", line.channel.end));
                    self.hang_up(true, world);
                }
                return;
            };
            let to_head = self.exchanges[asked].ask.method == "HEAD";
            match line.reader.next(to_head) {
                Ok(None) => return,
                Ok(Some(Piece::Head(head))) => self.take_head(&head, world),
                Ok(Some(Piece::Body(bytes))) => self.take_body(&bytes, world),
                Ok(Some(Piece::End)) => self.finish_answer(world),
                Err(flaw) => {
                    let id = self.exchanges[asked].ask.id;
                    world.accuse(format!("the answer to {id} has {}", flaw.0));
                    self.hang_up(true, world);
                    return;
                }
            }
            self.perhaps_leave(world);
        }
    }

    fn take_head(&mut self, head: &Head, world: &mut World) {
        let Some(line) = &mut self.line else { return };
        let Some(sending) = line.waiting.front_mut() else { return };
        let exchange = &mut self.exchanges[sending.exchange];
        let (ask, status) = (&exchange.ask, head.status());
        if status < 200 {
            if ask.is_old() || status == 101 {
                world.accuse(format!("the client of {} got a {status}", ask.id));
            }
            if status == 100 {
                exchange.continues += 1;
                if exchange.continues > u32::from(ask.expects) {
                    world.accuse(format!("the client of {} got a 100 too many", ask.id));
                }
                line.release();
            }
            return;
        }
        if ask.closes() && !head.connection("close") {
            world.accuse(format!("the answer to {} does not announce the close", ask.id));
        }
        exchange.answered = Some(world.now());
        let server = head.number("x-server");
        if server.is_some() && head.number("x-id") != Some(ask.id) {
            let other = head.field("x-id").unwrap_or("none");
            world.accuse(format!("request {} got the answer to {other}", ask.id));
        }
        if head.framing == BodyEnd::Chunked && ask.is_old() {
            world.accuse(format!("chunks in the answer to {}, which is HTTP/1.0", ask.id));
        }
        let fake = head.number("x-fake").map(|end| EndId(end as usize));
        if let Some(end) = fake
            && !world.peer(end).is_some_and(|worker| world.raced(worker))
        {
            world.accuse(format!("request {} got unsolicited octets", ask.id));
        }
        let attempt = head.number("x-attempt").unwrap_or_default();
        let bodiless = ask.method == "HEAD" || matches!(status, 204 | 304);
        let length = head.number("x-length").filter(|_| !bodiless).map(|length| length as usize);
        if server.is_none() && matches!(status, 408 | 503) && ask.method == "HEAD" {
            // The proxy may not have seen a whole head, so it does not know that the request is a
            // HEAD. The connection ends anyway.
            let answer = Answer { status, by: None, fake: false };
            line.waiting.pop_front();
            exchange.finish(Outcome::Whole(answer), world);
            self.expect_no_more();
            return self.hang_up(false, world);
        }
        let kept =
            if ask.is_old() { head.connection("keep-alive") } else { !head.connection("close") };
        line.answer = Some(Reading {
            answer: Answer { status, by: server.map(|by| (by, attempt)), fake: fake.is_some() },
            text: Text { id: ask.id, by: server.unwrap_or_default(), attempt },
            offset: 0,
            length,
            closes: !kept || ask.closes() || head.framing == BodyEnd::UntilClose,
            received: 0,
        });
    }

    fn take_body(&mut self, bytes: &[u8], world: &mut World) {
        let Some(reading) = self.line.as_mut().and_then(|line| line.answer.as_mut()) else {
            return;
        };
        let from_server = reading.answer.by.is_some();
        let fits = reading.length.is_none_or(|length| reading.offset + bytes.len() <= length);
        let right = fits && reading.text.has(reading.offset, bytes);
        if from_server && !right {
            let (id, at) = (reading.text.id, reading.offset);
            world.accuse(format!(
                "the answer to {id} is wrong within {} bytes from {at}",
                bytes.len()
            ));
        }
        reading.offset += bytes.len();
    }

    fn finish_answer(&mut self, world: &mut World) {
        let Some(line) = &mut self.line else { return };
        let Some(reading) = line.answer.take() else { return };
        let Some(sending) = line.waiting.pop_front() else { return };
        let exchange = &mut self.exchanges[sending.exchange];
        if reading.length.is_some_and(|length| length != reading.offset) {
            world.accuse(format!(
                "the answer to {} ends after {} of {:?} bytes as if it were whole",
                exchange.ask.id, reading.offset, reading.length
            ));
        }
        exchange.finish(Outcome::Whole(reading.answer), world);
        line.done += 1;
        line.idle_since = world.now();
        // The answer is known, so the rest of the body is not needed.
        let unsent = sending.left > 0 || !sending.held.is_empty();
        let over = self.begun == self.exchanges.len() && line.waiting.is_empty();
        if unsent || reading.closes {
            self.expect_no_more();
        }
        if let Some(next) = self.exchanges.get(self.begun) {
            self.thinks_until = world.now() + next.ask.thinks;
            world.alarm(self.id, self.thinks_until, STEP);
        }
        if unsent && self.plan.stubborn {
            let Some(line) = &mut self.line else { return };
            line.out.extend_from_slice(&sending.held);
            line.rest = sending.left + sending.held.len();
            return self.send(world);
        }
        if unsent || (over && !self.plan.lingers && !reading.closes) {
            return self.hang_up(false, world);
        }
        if reading.closes && self.rng.one_in(2) {
            self.hang_up(false, world);
        }
    }

    fn perhaps_leave(&mut self, world: &mut World) {
        let Some(line) = &self.line else { return };
        let (Some(reading), Some(sending)) = (&line.answer, line.waiting.front()) else { return };
        if let Leaves::AfterReceiving(count) = self.exchanges[sending.exchange].ask.leaves
            && reading.offset >= count
        {
            self.go_away(world);
        }
    }

    /// Leaves in the middle, by a close or a reset.
    fn go_away(&mut self, world: &mut World) {
        let Some(line) = self.line.take() else { return };
        let left = line.channel.is_flushed(world).then(|| world.now());
        for waiting in &line.waiting {
            let exchange = &mut self.exchanges[waiting.exchange];
            exchange.left = left;
            exchange.finish(Outcome::Left, world);
        }
        if self.rng.one_in(2) {
            line.channel.abort(world);
        } else {
            line.channel.close(world);
        }
        self.pause(world);
    }

    /// Ends the connection, and gives its exchanges their outcomes.
    fn hang_up(&mut self, broken: bool, world: &mut World) {
        let ends_answer =
            self.line.as_ref().is_some_and(|line| !broken && line.reader.ends_with_connection());
        if ends_answer {
            self.finish_by_close(world);
        }
        let Some(mut line) = self.line.take() else { return };
        let cut = line.answer.take().map(|reading| reading.answer);
        for (place, waiting) in line.waiting.iter().enumerate() {
            let outcome = match cut {
                Some(answer) if place == 0 => Outcome::Cut(answer),
                Some(_) | None if broken => Outcome::Reset,
                Some(_) | None => Outcome::Closed,
            };
            let exchange = &mut self.exchanges[waiting.exchange];
            exchange.after_last |= place > 0;
            exchange.finish(outcome, world);
        }
        line.channel.close(world);
        self.pause(world);
    }

    /// Completes an answer that the orderly end of the connection delimits.
    fn finish_by_close(&mut self, world: &mut World) {
        let Some(line) = &mut self.line else { return };
        let (Some(reading), Some(sending)) = (line.answer.take(), line.waiting.pop_front()) else {
            return;
        };
        let exchange = &mut self.exchanges[sending.exchange];
        if reading.length.is_some_and(|length| length != reading.offset) {
            world.accuse(format!(
                "the answer to {} was cut at {} of {:?} bytes, invisibly to the client",
                exchange.ask.id, reading.offset, reading.length
            ));
        }
        exchange.finish(Outcome::Whole(reading.answer), world);
        self.expect_no_more();
    }

    /// Notes that no further answer will come on this connection, whatever was asked after this
    /// one.
    fn expect_no_more(&mut self) {
        let Some(line) = &mut self.line else { return };
        line.last = true;
        for waiting in &line.waiting {
            self.exchanges[waiting.exchange].after_last = true;
        }
    }

    fn pause(&mut self, world: &mut World) {
        self.thinks_until = self.thinks_until.max(world.now() + BETWEEN_CONNECTIONS);
        world.alarm(self.id, self.thinks_until, STEP);
    }
}

/// Kinds of alarms, in the lowest byte of their keys.
const STEP: u64 = 0;
const SEND: u64 = 1;
const READ: u64 = 2;
const IMPATIENT: u64 = 3;
/// How long a body waits for a 100.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause before a client connects again.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::super::ask::Body;
    use super::super::{Faults, SimNet};
    use super::*;
    use crate::net::Net;

    /// One client whose proxy is driven by hand: it gets `answer`, then a FIN or a RST. Returns how
    /// the exchange ended, and the number of violations.
    fn check(ask: Ask, answer: &str, then: impl Fn(&mut World, EndId)) -> (Outcome, usize) {
        let proxy = Address::Inet(([10, 0, 0, 9], 80).into());
        let mut net = SimNet::new(1, Faults::none());
        net.world_mut().machine(&proxy, Owner::Hand);
        net.add_client(ClientPlan {
            to: proxy.clone(),
            starts: Time::ZERO,
            asks: vec![ask],
            pipeline: 1,
            sends: Pace::AtOnce,
            reads: Pace::AtOnce,
            lingers: true,
            stubborn: false,
        });
        wait(&mut net);
        let end = net.world_mut().accepted(&proxy).expect("the client has connected");
        net.world_mut().receive(end, &mut Vec::new(), usize::MAX);
        net.world_mut().send(end, answer.as_bytes());
        wait(&mut net);
        then(&mut net.world_mut(), end);
        wait(&mut net);
        let outcome = net.clients()[0].exchanges()[0].outcome;
        (outcome, net.world().violations().len())
    }

    fn wait(net: &mut SimNet) {
        let until = net.world().now() + Duration::from_secs(2);
        while net.poll(&mut Vec::new(), until).expect("simulated waits do not fail") < until {}
    }

    fn head(id: u32, length: usize, framing: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\nX-Server: 1\r\nX-Attempt: 0\r\nX-Id: {id}\r\n\
             X-Length: {length}\r\n{framing}\r\n"
        )
    }

    fn body(id: u32, length: usize) -> String {
        String::from_utf8(Text { id, by: 1, attempt: 0 }.slice(0, length)).expect("ASCII")
    }

    fn answer(framing: &str, told: usize, sent: usize) -> String {
        format!("{}{}", head(7, told, framing), body(7, sent))
    }

    const BY_SERVER: Answer = Answer { status: 200, by: Some((1, 0)), fake: false };

    #[test]
    fn a_whole_answer_is_whole() {
        let whole = answer("Content-Length: 40\r\n", 40, 40);
        assert_eq!(check(Ask::get(7), &whole, World::close), (Outcome::Whole(BY_SERVER), 0));
    }

    #[test]
    fn an_answer_cut_where_its_framing_shows_it_is_cut() {
        for ending in [World::close, World::abort] {
            let cut = answer("Content-Length: 40\r\n", 40, 39);
            assert_eq!(check(Ask::get(7), &cut, ending), (Outcome::Cut(BY_SERVER), 0));
        }
    }

    #[test]
    fn an_answer_cut_where_nothing_shows_it_is_a_violation() {
        let cut = answer("", 40, 39);
        assert_eq!(check(Ask::get(7), &cut, World::close).1, 1);
        assert_eq!(check(Ask::get(7), &cut, World::abort), (Outcome::Cut(BY_SERVER), 0));
    }

    #[test]
    fn the_answer_to_another_request_is_a_violation() {
        let other = format!("{}{}", head(8, 40, "Content-Length: 40\r\n"), body(8, 40));
        assert!(check(Ask::get(7), &other, World::close).1 > 0);
        let mixed = format!("{}{}", head(7, 40, "Content-Length: 40\r\n"), body(8, 40));
        assert!(check(Ask::get(7), &mixed, World::close).1 > 0);
    }

    #[test]
    fn octets_behind_the_answer_are_a_violation() {
        let more = answer("Content-Length: 40\r\n", 40, 40) + "x";
        assert_eq!(check(Ask::get(7), &more, World::close).1, 1);
    }

    #[test]
    fn chunks_for_an_old_client_are_a_violation() {
        let ask = Ask { version: super::super::Version::Http10, ..Ask::get(7) };
        let fields = "Transfer-Encoding: chunked\r\nConnection: close\r\n";
        let chunked = head(7, 0, fields) + "0\r\n\r\n";
        assert_eq!(check(ask, &chunked, World::close).1, 1);
    }

    #[test]
    fn a_body_waits_for_its_100_but_not_for_ever() {
        let ask = Ask { method: "PUT", body: Body::Sized(10), expects: true, ..Ask::get(7) };
        let whole =
            "HTTP/1.1 100 Continue\r\n\r\n".to_owned() + &answer("Content-Length: 4\r\n", 4, 4);
        assert_eq!(check(ask, &whole, World::close), (Outcome::Whole(BY_SERVER), 0));
    }

    #[test]
    fn a_connection_that_ends_without_an_answer_is_closed() {
        assert_eq!(check(Ask::get(7), "", World::close), (Outcome::Closed, 0));
        assert_eq!(check(Ask::get(7), "HTTP/1.1 2", World::abort), (Outcome::Reset, 0));
    }
}
