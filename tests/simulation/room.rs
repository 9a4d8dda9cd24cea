//! Facts about scarcity: which clients are closed when connections, descriptors or memory run
//! short, and that all others notice nothing.

use std::time::Duration;

use switchover::net::sim::{Act, Ask, EndId, Exchange, Manners, Outcome, Received};

use super::common::run::Run;
use super::common::setup::Setup;

/// Events within this time of a moment count as simultaneous.
const AT_ONCE: Duration = Duration::from_millis(5);
/// Long enough for a request and its answer.
const A_MOMENT: Duration = Duration::from_millis(20);

/// A client that was served and is idle.
fn known(run: &mut Run, id: u32) -> EndId {
    let end = run.dial();
    asks(run, end, id);
    end
}

/// Sends a request on an open connection, which must be served at once.
fn asks(run: &mut Run, end: EndId, id: u32) {
    run.send(end, &format!("GET /x/{id} HTTP/1.1\r\nHost: a\r\n\r\n"));
    run.pass(A_MOMENT);
    let (answer, state) = run.received(end);
    assert!(answer.starts_with("HTTP/1.1 200 "), "client {id}: {answer:?}, {state:?}");
    assert_eq!(state, Received::Nothing, "client {id}");
}

/// Connects a new client, which must be served at once.
fn newcomer(run: &mut Run, id: u32) {
    let client = run.client(vec![Ask::get(id)]);
    run.pass(A_MOMENT);
    let exchange = run.exchange(client);
    let waited =
        |exchange: &Exchange| exchange.answered.expect("asked") - exchange.sent.expect("so");
    match exchange.outcome {
        Outcome::Whole(answer) => {
            assert_eq!(answer.status, 200, "{exchange:?}");
            assert!(waited(&exchange) < AT_ONCE, "{exchange:?}");
        }
        Outcome::Unasked
        | Outcome::Waiting
        | Outcome::Cut(_)
        | Outcome::Closed
        | Outcome::Reset
        | Outcome::Left => panic!("not served: {exchange:?}"),
    }
}

/// A client that has sent this much of a head and then stops.
fn dawdler(run: &mut Run, bytes: usize) -> EndId {
    let end = run.dial();
    run.send(end, "GET / HTTP/1.1\r\nHost: a\r\n");
    let mut left = bytes;
    while left > 0 {
        let piece = left.min(1000);
        run.send(end, &format!("X: {}\r\n", "x".repeat(piece)));
        run.pass(AT_ONCE);
        left -= piece;
    }
    end
}

fn fill_descriptors(run: &mut Run) {
    let held = run.net().world().descriptors_held();
    run.net().world_mut().limit_descriptors(held);
}

#[test]
fn out_of_descriptors_the_longest_idle_clients_make_room_for_new_ones() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    let ends: Vec<EndId> = (1..=10).map(|id| known(&mut run, id)).collect();
    fill_descriptors(&mut run);
    for id in 11..=15 {
        newcomer(&mut run, id);
    }
    assert_ne!(run.received(ends[0]).1, Received::Nothing, "the oldest had to go");
    asks(&mut run, ends[9], 16);
}

#[test]
pub(crate) fn out_of_descriptors_known_clients_are_served_at_the_expense_of_idle_ones() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    let ends: Vec<EndId> = (1..=10).map(|id| known(&mut run, id)).collect();
    let slow = Act { delay: Duration::from_secs(1), ..Act::plain(10) };
    run.net().set_manners(0, Manners::Always(slow));
    fill_descriptors(&mut run);
    // The idle connection serves one of them; the others find no descriptor.
    for (end, id) in ends[6..].iter().zip(20..) {
        run.send(*end, &format!("GET /x/{id} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    run.pass(Duration::from_secs(2));
    for (place, end) in ends[6..].iter().enumerate() {
        let (answer, _) = run.received(*end);
        assert!(answer.starts_with("HTTP/1.1 200 "), "the known client {place}: {answer:?}");
    }
    assert_ne!(run.received(ends[0]).1, Received::Nothing, "the oldest had to go");
}

#[test]
fn what_the_process_may_hold_decides_where_it_is_less_than_worker_connections() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    run.worker.allow_sockets(8);
    let ends: Vec<EndId> = (1..=12).map(|id| known(&mut run, id)).collect();
    assert_ne!(run.received(ends[0]).1, Received::Nothing, "the oldest had to go");
    assert!(run.net().world().worker_ends().len() <= 8);
}

#[test]
fn at_the_limit_of_connections_what_has_stood_still_for_longest_makes_room() {
    let mut run = Run::quiet(&Setup { worker_connections: 12, ..Setup::new(1, 0) });
    let idle = known(&mut run, 1);
    let slow: Vec<EndId> = (0..9).map(|_| dawdler(&mut run, 10)).collect();
    let friend = known(&mut run, 2);
    assert_ne!(run.received(idle).1, Received::Nothing, "idle since before the heads began");
    for id in 3..=6 {
        newcomer(&mut run, 10 + id);
        asks(&mut run, friend, id);
    }
    assert!(run.received(slow[0]).0.starts_with("HTTP/1.1 503 "), "then the slowest head");
    assert_eq!(run.received(slow[8]), (String::new(), Received::Nothing), "and not all of them");
}

#[test]
pub(crate) fn the_largest_heads_give_way_when_memory_is_used_up() {
    let limit = 1 << 20;
    let mut run = Run::quiet(&Setup { buffer_memory: limit, ..Setup::new(1, 0) });
    let friend = known(&mut run, 1);
    let mut heads = Vec::new();
    for id in 2..=42 {
        heads.push(dawdler(&mut run, 20_000));
        assert!(run.worker.census().buffer_bytes <= limit, "after {id}");
        newcomer(&mut run, 100 + id);
        asks(&mut run, friend, id);
    }
    let refused =
        heads.iter().filter(|end| run.received(**end).0.starts_with("HTTP/1.1 503 ")).count();
    assert!((20..40).contains(&refused), "{refused} of {} are refused", heads.len());
}
