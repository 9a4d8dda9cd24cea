//! Facts about time: what is due, when, and at the expense of which client or server.

use std::sync::Arc;
use std::time::Duration;

use switchover::config::parse_text;
use switchover::net::sim::{
    Act, Answer, Ask, Blow, BlowKind, Body, Condition, EndId, Exchange, Fate, Faults, Manners,
    Outcome, Pace, Received, SimNet,
};
use switchover::time::Time;

use super::common::run::{Run, plain_server};
use super::common::setup::{Setup, proxy_address, server_address};

/// Events within this time of a moment count as simultaneous.
const AT_ONCE: Duration = Duration::from_millis(5);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The answer, which must be whole.
fn answer(exchange: &Exchange) -> Answer {
    match exchange.outcome {
        Outcome::Whole(answer) => answer,
        Outcome::Unasked
        | Outcome::Waiting
        | Outcome::Cut(_)
        | Outcome::Closed
        | Outcome::Reset
        | Outcome::Left => panic!("no whole answer: {exchange:?}"),
    }
}

/// The server that answered with 200; panics if there is none.
fn served_by(exchange: &Exchange) -> u32 {
    let answer = answer(exchange);
    assert_eq!(answer.status, 200, "not served: {exchange:?}");
    answer.by.expect("a server's answer").0
}

/// The status of the proxy's own answer; panics if there is none.
fn refused_with(exchange: &Exchange) -> u16 {
    let answer = answer(exchange);
    assert_eq!(answer.by, None, "not refused: {exchange:?}");
    answer.status
}

/// The time from sending a request to the start of its answer.
fn waited(exchange: &Exchange) -> Duration {
    exchange.answered.expect("answered") - exchange.sent.expect("sent")
}

fn assert_about(measured: Duration, expected: Duration) {
    let right = measured >= expected && measured <= expected + AT_ONCE;
    assert!(right, "{measured:?} instead of {expected:?}");
}

/// Sends one request and waits for its end.
fn ask(run: &mut Run, ask: Ask) -> Exchange {
    let client = run.client(vec![ask]);
    run.until_done(seconds(60));
    run.exchange(client)
}

/// Connections that the worker ever began to a server.
fn dialled(run: &mut Run, server: usize) -> usize {
    run.net().world().worker_ends_of(&server_address(server)).len()
}

fn hanging() -> Manners {
    Manners::Always(Act { fate: Fate::Hangs { after: 0 }, ..Act::plain(0) })
}

#[test]
fn a_refused_connect_costs_no_waiting() {
    let mut run = Run::quiet(&Setup::new(1, 1));
    run.make(0, Condition::Refusing);
    let exchange = ask(&mut run, Ask::get(1));
    assert_eq!(served_by(&exchange), 1);
    assert!(waited(&exchange) < AT_ONCE);
}

#[test]
fn a_primary_is_tried_again_exactly_when_its_time_is_up_by_a_connection_of_nobodys() {
    let mut run = Run::quiet(&Setup::new(1, 1));
    run.make(0, Condition::Refusing);
    ask(&mut run, Ask::get(1));
    // The verdict came during the wait that has just ended.
    let verdict = run.now() - Time::ZERO;
    run.make(0, Condition::Well);
    run.pass(seconds(3) - verdict);
    assert_eq!(dialled(&mut run, 0), 1, "too early");
    run.pass(AT_ONCE);
    assert_eq!(dialled(&mut run, 0), 2, "too late");
    assert_eq!(run.deliveries(0), 0, "no client was needed");
    assert_eq!(served_by(&ask(&mut run, Ask::get(2))), 0);
}

#[test]
fn a_primary_that_stays_unreachable_never_costs_a_client_anything() {
    for condition in [Condition::Refusing, Condition::Dark] {
        let mut run = Run::quiet(&Setup::new(1, 1));
        run.make(0, condition);
        ask(&mut run, Ask::get(1));
        for id in 2..100 {
            let exchange = ask(&mut run, Ask::get(id));
            assert_eq!(served_by(&exchange), 1);
            assert!(waited(&exchange) < AT_ONCE, "{condition:?}: {exchange:?}");
            run.pass(Duration::from_millis(200));
        }
        assert!(dialled(&mut run, 0) > 3, "it was tried again and again");
    }
}

#[test]
fn a_dark_primary_costs_one_connect_timeout_once() {
    let mut run = Run::quiet(&Setup::new(1, 1));
    run.make(0, Condition::Dark);
    let first = ask(&mut run, Ask::get(1));
    assert_eq!(served_by(&first), 1);
    assert_about(waited(&first), seconds(1));
    assert!(waited(&ask(&mut run, Ask::get(2))) < AT_ONCE);
}

#[test]
fn whoever_still_connects_moves_on_when_the_verdict_falls() {
    let mut run = Run::quiet(&Setup::new(1, 1));
    run.make(0, Condition::Dark);
    let first = run.client(vec![Ask::get(1)]);
    run.pass(Duration::from_millis(700));
    let later: Vec<usize> = (2..6).map(|id| run.client(vec![Ask::get(id)])).collect();
    run.until_done(seconds(60));
    assert_about(waited(&run.exchange(first)), seconds(1));
    for client in later {
        let exchange = run.exchange(client);
        assert_eq!(served_by(&exchange), 1);
        assert!(waited(&exchange) < Duration::from_millis(300) + AT_ONCE, "{exchange:?}");
    }
}

#[test]
fn a_head_that_does_not_come_in_time_gets_408() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    let end = run.dial();
    let began = run.now();
    for part in ["GET / HTTP/1.1\r\n", "Host: a\r\n", "A: b\r\n", "C: d\r\n"] {
        // The timeout applies to the whole head, not to its pieces.
        run.send(end, part);
        run.pass(Duration::from_millis(900));
    }
    let (answer, _, at) = run.answer(end, seconds(60));
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_about(at - began, seconds(4));
}

#[test]
fn a_client_that_never_begins_is_closed_without_a_word() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    let end = run.dial();
    let (answer, state, at) = run.answer(end, seconds(60));
    assert_eq!(answer, "");
    assert_ne!(state, Received::Nothing);
    assert!(at - Time::ZERO <= seconds(4) + AT_ONCE * 2);
}

#[test]
fn a_body_that_does_not_go_on_gets_408_and_its_server_half_of_it() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    let end = run.dial();
    run.send(end, "POST /x/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 64\r\n\r\n000001/");
    run.pass(seconds(4));
    assert_eq!(run.received(end).0, "", "time runs from one read to the next");
    run.send(end, "99/0000/");
    let sent = run.now();
    let (answer, _, at) = run.answer(end, seconds(60));
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_about(at - sent, Duration::from_millis(4_500));
    run.pass(seconds(10));
    assert!(!run.net().servers()[0].deliveries()[0].request_whole);
    assert_eq!(run.net().servers()[0].connections(), 0);
}

#[test]
fn a_silent_server_is_given_up_after_the_read_timeout() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    run.net().set_manners(0, hanging());
    let exchange = ask(&mut run, Ask::get(1));
    assert_eq!(refused_with(&exchange), 504);
    assert_about(waited(&exchange), seconds(5));
}

#[test]
fn a_repeatable_request_moves_on_after_the_read_timeout_and_another_does_not() {
    let mut run = Run::quiet(&Setup::new(1, 1));
    run.net().set_manners(0, hanging());
    let exchange = ask(&mut run, Ask { method: "POST", ..Ask::get(1) });
    assert_eq!(refused_with(&exchange), 504);
    run.pass(seconds(4));
    let exchange = ask(&mut run, Ask::get(2));
    assert_eq!(served_by(&exchange), 1);
    assert_about(waited(&exchange), seconds(5));
}

#[test]
fn the_read_timeout_counts_only_from_when_the_request_is_sent() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    run.net().set_manners(0, hanging());
    let end = run.dial();
    run.send(end, "POST /x/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
    for byte in ["0", "0", "0", "0", "0"] {
        run.pass(seconds(3));
        run.send(end, byte);
    }
    run.pass(seconds(3));
    assert_eq!(run.received(end), (String::new(), Received::Nothing));
    run.send(end, "1");
    let sent = run.now();
    let (answer, _, at) = run.answer(end, seconds(60));
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert_about(at - sent, seconds(5));
}

#[test]
fn a_client_that_takes_nothing_is_given_up_though_its_server_goes_on() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    let pace = Pace::Drips { bytes: 100, pause: Duration::from_millis(100) };
    run.net().set_manners(0, Manners::Always(Act { pace, ..Act::plain(100_000) }));
    let end = run.dial();
    run.send(end, "GET /x/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    run.pass(seconds(60));
    let stuck = run.net().world().longest().stuck;
    assert!(stuck >= seconds(6) && stuck <= seconds(6) + AT_ONCE, "{stuck:?}");
    assert_eq!(run.net().servers()[0].connections(), 0);
}

#[test]
fn an_idle_client_is_closed_without_a_word_when_its_time_is_up() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    let end = run.dial();
    run.send(end, "GET /x/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    run.pass(Duration::from_millis(10));
    assert!(run.received(end).0.starts_with("HTTP/1.1 200 "));
    let idle = run.now();
    let (answer, state, at) = run.answer(end, seconds(60));
    assert_eq!((answer.as_str(), state), ("", Received::End));
    assert!(at - idle <= seconds(10) + AT_ONCE && at - idle + AT_ONCE * 2 >= seconds(10));
}

#[test]
fn an_idle_connection_to_a_server_is_closed_when_its_time_is_up() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    ask(&mut run, Ask::get(1));
    run.until(Time::ZERO + Duration::from_millis(7_900));
    assert_eq!(run.net().servers()[0].connections(), 1);
    assert_eq!(run.worker.census().idle_upstreams, 1);
    run.until(Time::ZERO + seconds(8) + AT_ONCE * 2);
    assert_eq!(run.net().servers()[0].connections(), 0);
}

#[test]
fn no_more_servers_are_tried_than_allowed() {
    let mut run = Run::quiet(&Setup { tries: 2, ..Setup::new(4, 0) });
    for server in 0..3 {
        run.make(server, Condition::Refusing);
    }
    run.make(3, Condition::Refusing);
    assert_eq!(refused_with(&ask(&mut run, Ask::get(1))), 502);
    let tried: usize = (0..4).map(|server| dialled(&mut run, server)).sum();
    assert_eq!(tried, 2);
}

#[test]
fn no_further_server_is_tried_after_the_time_for_trying() {
    let limited = Setup { next_timeout: Some(Duration::from_millis(1_500)), ..Setup::new(4, 0) };
    let mut run = Run::quiet(&limited);
    for server in 0..4 {
        run.make(server, Condition::Dark);
    }
    let exchange = ask(&mut run, Ask::get(1));
    assert_eq!(refused_with(&exchange), 504);
    assert_about(waited(&exchange), seconds(2));
}

#[test]
fn the_answer_to_a_body_too_long_to_keep_is_an_error_when_the_server_dies() {
    let mut run = Run::quiet(&Setup { replay_limit: 1024, ..Setup::new(1, 1) });
    let cut = Act { fate: Fate::Cut { after: 0, reset: true }, ..Act::plain(0) };
    run.net().set_manners(0, Manners::Always(cut));
    let put = |id, length| Ask { method: "PUT", body: Body::Sized(length), ..Ask::get(id) };
    assert_eq!(refused_with(&ask(&mut run, put(1, 5000))), 502);
    run.pass(seconds(4));
    assert_eq!(served_by(&ask(&mut run, put(2, 500))), 1);
}

#[test]
fn at_the_limit_of_connections_the_longest_idle_client_makes_room() {
    let mut run = Run::quiet(&Setup { worker_connections: 8, ..Setup::new(1, 0) });
    let mut ends = Vec::new();
    for id in 1..=8 {
        let end = run.dial();
        run.send(end, &format!("GET /x/{id} HTTP/1.1\r\nHost: a\r\n\r\n"));
        run.pass(Duration::from_millis(50));
        assert!(run.received(end).0.starts_with("HTTP/1.1 200 "), "client {id} is served");
        ends.push(end);
    }
    let first = run.received(ends[0]).1;
    assert_ne!(first, Received::Nothing, "the oldest had to go");
    assert_eq!(run.received(ends[7]).1, Received::Nothing, "the youngest stays");
    assert!(run.net().world().worker_ends().len() <= 8);
}

#[test]
fn out_of_descriptors_service_is_whole_again_as_soon_as_there_are_some() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    run.net().world_mut().limit_descriptors(0);
    let client = run.client(vec![Ask::get(1)]);
    run.pass(seconds(2));
    run.net().world_mut().limit_descriptors(usize::MAX);
    run.pass(seconds(2));
    assert_eq!(served_by(&run.exchange(client)), 0, "though no event said so");
}

#[test]
fn a_client_that_leaves_takes_its_server_connection_with_it() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    run.net().set_manners(0, hanging());
    let end = run.dial();
    run.send(end, "GET /x/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    run.pass(seconds(1));
    assert_eq!(run.net().servers()[0].connections(), 1);
    run.net().world_mut().abort(end);
    run.pass(AT_ONCE);
    assert_eq!(run.net().servers()[0].connections(), 0);
    run.net().set_manners(0, Manners::Always(Act::plain(10)));
    assert_eq!(served_by(&ask(&mut run, Ask::get(2))), 0, "and that was no failure of the server");
}

#[test]
fn a_pooled_connection_that_turns_out_dead_is_no_failure_of_the_server() {
    let mut run = Run::quiet(&Setup::new(1, 1));
    ask(&mut run, Ask::get(1));
    // Dead and back at once: the pooled connection is lost, but the server is not.
    run.make(0, Condition::Dead);
    run.make(0, Condition::Well);
    let exchange = ask(&mut run, Ask::get(2));
    assert_eq!(served_by(&exchange), 0);
    assert!(waited(&exchange) < AT_ONCE);
}

#[test]
fn a_request_that_meets_a_dead_pooled_connection_is_sent_again_to_the_same_server() {
    let mut run = Run::quiet(&Setup::new(1, 1));
    ask(&mut run, Ask::get(1));
    let cut = Act { fate: Fate::Cut { after: 0, reset: true }, ..Act::plain(0) };
    run.net().set_manners(0, Manners::Always(cut));
    let exchange = ask(&mut run, Ask::get(2));
    assert_eq!(served_by(&exchange), 1);
    assert_eq!(run.deliveries(0), 3, "the first, the stale one, and the one that counts");
    assert_eq!(dialled(&mut run, 0), 2);
}

#[test]
fn a_request_that_must_not_be_repeated_is_not_where_a_pooled_connection_is_dead() {
    let mut run = Run::quiet(&Setup::new(1, 1));
    ask(&mut run, Ask::get(1));
    let cut = Act { fate: Fate::Cut { after: 0, reset: true }, ..Act::plain(0) };
    run.net().set_manners(0, Manners::Always(cut));
    let post = Ask { method: "POST", body: Body::Sized(100), ..Ask::get(2) };
    assert_eq!(refused_with(&ask(&mut run, post)), 502);
    assert_eq!((run.deliveries(0), run.deliveries(1)), (2, 0));
}

#[test]
fn a_drained_proxy_finishes_what_it_began_and_takes_nothing_new() {
    let mut run = Run::quiet(&Setup::new(1, 0));
    let idle = run.dial();
    run.send(idle, "GET /x/1 HTTP/1.1\r\nHost: a\r\n\r\n");
    run.pass(Duration::from_millis(50));
    run.received(idle);
    let slow = Act { delay: seconds(2), ..Act::plain(100) };
    run.net().set_manners(0, Manners::Always(slow));
    let busy = run.client(vec![Ask::get(2)]);
    run.pass(Duration::from_millis(50));
    run.worker.drain();
    assert!(!run.worker.drained());
    run.pass(AT_ONCE);
    assert_eq!(run.received(idle), (String::new(), Received::End));
    let late = run.net().world_mut().dial(switchover::net::sim::Owner::Hand, &proxy_address());
    run.pass(seconds(3));
    assert_eq!(run.net().world().outcome(late), Some(Err(())));
    assert_eq!(served_by(&run.exchange(busy)), 0);
    run.pass(seconds(3));
    assert!(run.worker.drained());
    assert_eq!(run.net().world().worker_ends(), []);
}

/// A PUT of which half the body has arrived when its server answers with 500. An error page
/// replaces the 500, and two servers have that page. The network resets the connection to the first
/// of them after this many bytes sent by `end`.
fn page_for_half_a_put(reset: Option<(EndId, usize)>) -> (Run, EndId) {
    let (app, first, second) = (server_address(0), server_address(1), server_address(2));
    let text = format!(
        "events {{}}
        http {{
            access_log off;
            upstream app {{ server {app}; }}
            upstream pages {{ server {first}; server {second} backup; }}
            server {{
                listen {listen};
                proxy_intercept_errors on;
                error_page 500 /page;
                location / {{ proxy_pass http://app; }}
                location = /page {{ proxy_pass http://pages; }}
            }}
        }}",
        listen = proxy_address(),
    );
    let config = match parse_text("simulation", text.as_bytes()) {
        Ok(loaded) => Arc::new(loaded.config),
        Err(error) => panic!("{error}\n{text}"),
    };
    let mut net = SimNet::new(1, Faults::none());
    for place in 0..3 {
        net.add_server(plain_server(place));
    }
    net.set_manners(0, Manners::Always(Act { status: 500, early: true, ..Act::plain(0) }));
    net.set_manners(2, Manners::Always(Act { delay: seconds(1), ..Act::plain(4) }));
    if let Some((from, after)) = reset {
        net.world_mut().strike_bytes(Blow { from, after, kind: BlowKind::Reset });
    }
    let mut run = Run::configured(net, config);
    let client = run.dial();
    // The head is longer than a socket's buffer, so the reset comes before all of it is written.
    let field = "a".repeat(1_500);
    let start = "PUT /x/1 HTTP/1.1\r\nHost: a\r\n".to_owned();
    let fields = ["A", "B", "C"].map(|name| format!("{name}: {field}\r\n"));
    let end = "Content-Length: 64\r\n\r\n000001/".to_owned();
    for part in [start].into_iter().chain(fields).chain([end]) {
        run.send(client, &part);
        run.pass(AT_ONCE);
    }
    (run, client)
}

#[test]
fn a_body_that_no_page_wants_does_not_reach_the_next_server_of_the_page() {
    let (mut run, _) = page_for_half_a_put(None);
    let first = run.net().world().worker_ends_of(&server_address(1))[0];
    let length = run.net().world().written(first).len();
    assert!(length > 4_500, "the whole head");
    for after in (0..length).step_by(100) {
        let (mut run, client) = page_for_half_a_put(Some((first, after)));
        let second = run.net().world().worker_ends_of(&server_address(2))[0];
        run.send(client, "GET /x/2 HTTP/1.1\r\nHost: a\r\n\r\nGET /x/3 HTTP/1.1\r\nHost");
        run.pass(Duration::from_millis(500));
        let written = String::from_utf8_lossy(run.net().world().written(second)).into_owned();
        assert!(written.starts_with("GET /page HTTP/1.1\r\n"), "{written}");
        let (_, behind) = written.split_once("\r\n\r\n").expect("a whole head");
        assert_eq!(behind, "", "after {after} bytes");
        run.pass(seconds(1));
        let (answer, state) = run.received(client);
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert_eq!(state, Received::End, "what the client has sent is no next request");
        assert_eq!(run.deliveries(0), 1);
        assert_eq!(run.net().world().violations(), [""; 0]);
    }
}
