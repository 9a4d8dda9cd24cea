//! Facts about what survives a reload, and for how long.

use std::sync::Arc;
use std::time::Duration;

use switchover::config::parse_text;
use switchover::net::sim::{Act, Ask, Faults, Manners, Outcome, Owner, Received, SimNet};
use switchover::worker::Tuning;

use crate::common::run::Run;
use crate::common::setup::{Covers, Setup, server_address};
use crate::play::{Kind, Play, Talk};
use crate::speaker::{Part, Tempo};

const TIMEOUT: Duration = Duration::from_secs(2);
/// Long enough for news to reach every part.
const NEWS: Duration = Duration::from_millis(100);

/// A request whose answer takes longer than the timeout, followed by a reload.
fn reloaded_meanwhile(setup: &Setup) -> (Run, usize) {
    let mut run = Run::quiet(setup);
    let slow = Act { delay: TIMEOUT * 2, ..Act::plain(100) };
    run.net().set_manners(0, Manners::Always(slow));
    let old = run.client(vec![Ask::get(1)]);
    run.pass(NEWS);
    run.worker.reload(setup.config()).expect("it listens already");
    (run, old)
}

#[test]
fn exchanges_that_began_before_a_reload_end_with_the_shutdown_timeout_and_others_do_not() {
    let setup = Setup { shutdown_timeout: Some(TIMEOUT), ..Setup::new(1, 0) };
    let (mut run, old) = reloaded_meanwhile(&setup);
    let new = run.client(vec![Ask::get(2)]);
    run.pass(TIMEOUT - NEWS);
    assert_eq!(run.exchange(old).outcome, Outcome::Waiting, "not before its time");
    run.pass(NEWS * 2);
    assert_eq!(run.exchange(old).outcome, Outcome::Reset, "nothing else could show a cut");
    run.pass(TIMEOUT * 2);
    assert!(matches!(run.exchange(new).outcome, Outcome::Whole(answer) if answer.status == 200));
}

#[test]
fn without_a_shutdown_timeout_what_began_before_a_reload_goes_on() {
    let setup = Setup::new(1, 0);
    let (mut run, old) = reloaded_meanwhile(&setup);
    run.pass(TIMEOUT * 3);
    assert!(matches!(run.exchange(old).outcome, Outcome::Whole(answer) if answer.status == 200));
}

#[test]
fn a_head_that_is_late_is_let_go_though_its_listener_is_gone() {
    let setup = Setup::new(1, 0);
    let mut run = Run::quiet(&setup);
    let end = run.dial();
    run.send(end, "GET / HTTP/1.1\r\n");
    run.pass(NEWS);
    let text = "http { server { listen 10.0.0.9:81; return 200; } }";
    let config = parse_text("simulation", text.as_bytes()).expect("it is right").config;
    run.worker.reload(Arc::new(config)).expect("the address is free");
    run.pass(setup.header_timeout + NEWS);
    assert_eq!(run.received(end), (String::new(), Received::End));
    assert_eq!(run.worker.census().sessions, 0);
}

/// A talk in which each side waits for more than the other says, and a reload during it.
fn reloaded(kind: Kind) -> Play {
    let net = SimNet::new(1, Faults::none());
    for place in 0..2 {
        net.world_mut().machine(&server_address(place), Owner::Hand);
    }
    let timeout = format!("worker_shutdown_timeout {}ms;", TIMEOUT.as_millis());
    let text = format!("{timeout} {}", kind.text(4096, TIMEOUT * 30, Covers::default()));
    let waits = Part { awaits: usize::MAX, ..Part::saying(10) };
    let talks = vec![Talk { client: waits, servers: [waits, waits] }];
    let (tuning, covers) = (Tuning::default(), Covers::default());
    let mut play = Play::new(net, kind, &text, tuning, talks, Tempo::AtOnce, covers);
    play.begin();
    pass(&mut play, NEWS);
    let config = parse_text("simulation", text.as_bytes()).expect("it was loaded before").config;
    play.worker.reload(Arc::new(config)).expect("it listens already");
    play
}

fn pass(play: &mut Play, time: Duration) {
    let until = play.worker.now() + time;
    while play.worker.now() < until {
        play.step();
    }
}

#[test]
fn tunnels_that_began_before_a_reload_are_cut_by_the_shutdown_timeout() {
    for kind in [Kind::Stream, Kind::Upgrade] {
        let mut play = reloaded(kind);
        pass(&mut play, TIMEOUT - NEWS);
        let ends = |play: &Play| [play.clients[0].ended, play.servers[&0][0].ended];
        assert_eq!(ends(&play), [None; 2], "{kind:?}, before its time");
        pass(&mut play, NEWS * 2);
        assert_eq!(ends(&play), [Some(Received::Broken); 2], "{kind:?}");
        assert_eq!(play.worker.census().sessions, 0, "{kind:?}");
    }
}
