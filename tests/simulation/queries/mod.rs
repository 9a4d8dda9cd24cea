//! Random queries on two coordinators that are killed, started anew or vanish, and what must hold
//! for each query whatever happens. Coordinators and clients are driven by hand.

use std::sync::Arc;
use std::time::Duration;

use switchover::config::parse_text;
use switchover::net::sim::{
    EndId, Family, Faults, Head, Owner, Piece, Reach, Reader, Received, Rng, Side, SimNet,
};
use switchover::time::Time;

use crate::common::run::Run;
use crate::common::setup::{proxy_address, server_address};

/// One connection of an actor.
struct Line {
    end: EndId,
    reader: Reader,
    head: Option<Head>,
    body: Vec<u8>,
}

impl Line {
    fn new(end: EndId, side: Side) -> Line {
        Line { end, reader: Reader::new(side), head: None, body: Vec::new() }
    }

    /// The next whole message; an error if the connection has ended.
    fn next(&mut self, net: &mut SimNet) -> Result<Option<(Head, String)>, ()> {
        let mut bytes = Vec::new();
        let state = net.world_mut().receive(self.end, &mut bytes, usize::MAX);
        self.reader.push(&bytes);
        loop {
            match self.reader.next(false).map_err(|flaw| panic!("{}", flaw.0))? {
                Some(Piece::Head(head)) => self.head = Some(head),
                Some(Piece::Body(bytes)) => self.body.extend(bytes),
                Some(Piece::End) => {
                    let body = String::from_utf8_lossy(&std::mem::take(&mut self.body)).into();
                    return Ok(Some((self.head.take().expect("it came before"), body)));
                }
                None if matches!(state, Received::End | Received::Broken) => return Err(()),
                None => return Ok(None),
            }
        }
    }
}

/// A coordinator; each of its processes has an id of its own.
struct Coordinator {
    place: usize,
    process: usize,
    began: Time,
    queries: usize,
    lines: Vec<Line>,
}

impl Coordinator {
    fn id(&self) -> String {
        let letter = |number: usize| char::from(b"abcdefghijk"[number % 11]);
        [letter(self.place), letter(self.process / 11), letter(self.process), 'x', 'x']
            .iter()
            .collect()
    }

    fn act(&mut self, net: &mut SimNet) {
        while let Some(end) = net.world_mut().accepted(&server_address(self.place)) {
            self.lines.push(Line::new(end, Side::Requests));
        }
        for mut line in std::mem::take(&mut self.lines) {
            let asked = line.next(net);
            if let Ok(Some((head, _))) = &asked {
                let answer = self.answer(head, net.world().now());
                if answer.starts_with("HTTP/1.1 404") {
                    net.world_mut().accuse(format!("{} got {:?}", self.id(), head.start));
                }
                net.world_mut().send(line.end, answer.as_bytes());
            }
            match asked {
                Ok(_) => self.lines.push(line),
                Err(()) => net.world_mut().close(line.end),
            }
        }
    }

    fn answer(&mut self, head: &Head, now: Time) -> String {
        let (id, path) = (self.id(), head.start[1].as_str());
        let (status, body) = match path {
            "/v1/info" => {
                let uptime = (now - self.began).as_secs_f64();
                (
                    200,
                    format!(
                        "{{\"nodeVersion\":{{\"version\":\"478\"}},\"environment\":\"test\",\
                     \"coordinator\":true,\"coordinatorId\":\"{id}\",\"starting\":false,\
                     \"uptime\":\"{uptime:.2}s\"}}"
                    ),
                )
            }
            "/v1/statement" => {
                self.queries += 1;
                (200, page(&format!("20261124_103000_{:05}_{id}", self.queries), 1))
            }
            _ => {
                let parts: Vec<&str> = path.split('/').collect();
                let token: usize = parts[6].parse().expect("it was written here");
                match parts[4].ends_with(&id) {
                    true => (200, page(parts[4], token + 1)),
                    false => (404, String::new()),
                }
            }
        };
        format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    /// Its process ends.
    fn die(&mut self, net: &mut SimNet) {
        net.world_mut().set_reach(&server_address(self.place), Reach::Refusing);
        for line in self.lines.drain(..) {
            net.world_mut().abort(line.end);
        }
    }

    /// Another process begins.
    fn start(&mut self, net: &mut SimNet) {
        (self.process, self.began) = (self.process + 1, net.world().now());
        net.world_mut().set_reach(&server_address(self.place), Reach::Listening);
    }
}

/// An answer of a query, with this token in its `nextUri` unless it is the last one.
fn page(id: &str, token: usize) -> String {
    let next = format!("\"nextUri\":\"http://a/v1/statement/queued/{id}/y/{token}\",");
    let next = if token > POLLS { "" } else { &next };
    format!("{{\"id\":\"{id}\",{next}\"by\":\"{}\"}}", &id[22..])
}
/// Polls of a query.
const POLLS: usize = 4;

/// Plays one seed; returns everything that the proxy did wrong.
pub(crate) fn run(seed: u64, show: bool) -> Vec<String> {
    let mut rng = Rng::new(seed ^ 0x9e5);
    let faults = [Family::PartialReads, Family::PartialWrites, Family::Fragments];
    let net = SimNet::new(seed, Faults::only(&faults));
    let mut all: Vec<Coordinator> = Vec::new();
    for place in 0..2 {
        net.world_mut().machine(&server_address(place), Owner::Hand);
        let (lines, began) = (Vec::new(), Time::ZERO);
        all.push(Coordinator { place, process: 0, began, queries: 0, lines });
    }
    if show {
        net.world_mut().trace.show();
    }
    let text =
        format!(
        "http {{ access_log off; upstream trino {{ trino on; server {} max_fails=1 fail_timeout=3s;
         server {} backup; }} server {{ listen {}; location / {{ proxy_pass http://trino; }} }} }}",
        server_address(0), server_address(1), proxy_address());
    let config = parse_text("simulation", text.as_bytes()).expect("it is right").config;
    let mut run = Run::configured(net, Arc::new(config));
    let mut wrong = Vec::new();
    pass(&mut run, &mut all, SETTLED);
    // The backup is undisturbed; the primary is killed or vanishes while queries run.
    let blow = rng.pick(&[Reach::Refusing, Reach::Dark]);
    let struck = rng.within(0..=POLLS);
    let before = query(&mut run, &mut all, |run, all, token| {
        if token == struck {
            match blow {
                Reach::Dark => run.net().world_mut().set_reach(&server_address(0), Reach::Dark),
                Reach::Refusing | Reach::Listening => all[0].die(run.net()),
            }
        }
    });
    wrong.extend(before.err().filter(|_| struck == 0));
    pass(&mut run, &mut all, SETTLED);
    // (5) The primary returns while a query of the backup runs: the query stays there and ends.
    let meanwhile = query(&mut run, &mut all, |run, all, token| {
        if token == 2 {
            all[0].start(run.net());
            pass(run, all, HELD);
        }
    });
    match meanwhile {
        Ok(place) if place == 1 => {}
        other => wrong.push(format!("while the primary was out: {other:?}")),
    }
    // (6) The primary is active again.
    match query(&mut run, &mut all, |_, _, _| {}) {
        Ok(place) if place == 0 => {}
        other => wrong.push(format!("after the hold-down: {other:?}")),
    }
    wrong.extend(run.net().world().violations().iter().cloned());
    if run.worker.census().sessions > 0 {
        wrong.push(format!("left at the end: {:?}", run.worker.census()));
    }
    wrong
}

/// Runs a query to its end, with something done before each request. Returns its owner's place.
fn query(
    run: &mut Run,
    all: &mut [Coordinator],
    before: impl Fn(&mut Run, &mut [Coordinator], usize),
) -> Result<usize, String> {
    let mut request =
        "POST /v1/statement HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nSELECT 1".to_owned();
    let mut owner = None;
    for token in 0..=POLLS + 20 {
        before(run, all, token);
        let end = run.net().world_mut().dial(Owner::Hand, &proxy_address());
        pass(run, all, STEP * 3);
        run.net().world_mut().send(end, request.as_bytes());
        let mut line = Line::new(end, Side::Answers);
        let until = run.now() + PATIENCE;
        let (head, body) = loop {
            pass(run, all, STEP);
            match line.next(run.net()) {
                Ok(Some(answer)) => break answer,
                Ok(None) if run.now() < until => {}
                other => return Err(format!("request {token} got {other:?}")),
            }
        };
        run.net().world_mut().close(end);
        pass(run, all, STEP);
        if head.status() != 200 || body.contains("\"error\"") {
            return Err(format!("request {token} got {} {body}", head.status()));
        }
        if let Some((_, by)) = body.split_once("\"by\":\"") {
            let by = usize::from(by.as_bytes()[0] - b'a');
            if *owner.get_or_insert(by) != by {
                return Err(format!("request {token} was answered by {by}, not {owner:?}"));
            }
        }
        let Some((_, next)) = body.split_once("\"nextUri\":\"http://a") else {
            return owner.ok_or_else(|| "no coordinator answered".to_owned());
        };
        let path = next.split('"').next().unwrap_or_default();
        request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    Err("it never ends".to_owned())
}

fn pass(run: &mut Run, all: &mut [Coordinator], time: Duration) {
    let until = run.now() + time;
    while run.now() < until {
        run.pass(STEP);
        all.iter_mut().for_each(|coordinator| coordinator.act(run.net()));
    }
}

const STEP: Duration = Duration::from_millis(2);
const SETTLED: Duration = Duration::from_secs(5);
/// The hold-down, and a check.
const HELD: Duration = Duration::from_secs(12);
const PATIENCE: Duration = Duration::from_secs(25);
