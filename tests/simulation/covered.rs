//! Facts about clients that speak TLS, and about strangers that should.

use std::time::Duration;

use switchover::net::sim::{
    Act, Ask, Body, ClientPlan, EndId, Faults, Manners, Outcome, Owner, Pace, Received, SimNet,
};

use crate::common::run::{Run, plain_server, polite};
use crate::common::setup::{Covers, Setup, server_address};
use crate::common::stranger::{TLS_1_1, TLS_1_3, hello, record};

/// Enough for news to cross the network, and less than every timeout.
const NEWS: Duration = Duration::from_millis(100);

/// One server behind a proxy that speaks TLS.
fn covered() -> (Run, Setup) {
    let covers = Covers { clients: Some(1), servers: None };
    let setup = Setup { covers, ..Setup::new(1, 0) };
    (Run::quiet(&setup), setup)
}

/// What a stranger gets that sends these bytes, until the connection ends.
fn answer(run: &mut Run, bytes: &[u8]) -> (Vec<u8>, Received) {
    let end = run.dial();
    run.net().world_mut().send(end, bytes);
    heard(run, end, NEWS)
}

fn heard(run: &mut Run, end: EndId, time: Duration) -> (Vec<u8>, Received) {
    run.pass(time);
    let mut bytes = Vec::new();
    loop {
        match run.net().world_mut().receive(end, &mut bytes, usize::MAX) {
            Received::Bytes(_) => {}
            other @ (Received::Nothing | Received::End | Received::Broken) => {
                return (bytes, other);
            }
        }
    }
}

#[test]
fn a_client_is_served_over_tls_one_request_after_another() {
    let (mut run, _) = covered();
    let client = run.client(vec![Ask::get(1), Ask { method: "POST", ..Ask::get(2) }]);
    run.until_done(NEWS);
    let client = &run.net().clients()[client];
    for exchange in client.exchanges() {
        assert!(matches!(exchange.outcome, Outcome::Whole(answer) if answer.status == 200));
        assert_eq!(exchange.end, client.exchanges()[0].end);
    }
}

#[test]
pub(crate) fn what_a_record_holds_beyond_the_first_read_is_not_left_there() {
    let (mut run, _) = covered();
    let client = run.client(vec![Ask { method: "POST", body: Body::Sized(12_000), ..Ask::get(1) }]);
    run.until_done(NEWS);
    let outcome = run.exchange(client).outcome;
    assert!(matches!(outcome, Outcome::Whole(answer) if answer.status == 200), "{outcome:?}");
}

#[test]
fn a_plain_request_at_a_tls_port_is_refused_and_the_connection_closed() {
    let (mut run, _) = covered();
    let (bytes, state) = answer(&mut run, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(bytes.starts_with(b"HTTP/1.1 400 "), "{}", bytes.escape_ascii());
    assert_eq!(state, Received::End);
    assert_eq!(run.deliveries(0), 0);
}

#[test]
fn a_handshake_that_stops_is_ended_by_the_timeout_for_heads() {
    let hello = record(&hello(TLS_1_3));
    for length in [1, 5, 60, hello.len() - 1, hello.len()] {
        let (mut run, setup) = covered();
        let end = run.dial();
        run.net().world_mut().send(end, &hello[..length]);
        assert_eq!(heard(&mut run, end, setup.header_timeout - NEWS).1, Received::Nothing);
        assert_ne!(heard(&mut run, end, NEWS * 2).1, Received::Nothing, "{length}");
    }
}

#[test]
fn a_client_that_speaks_only_an_older_version_is_told_so_and_closed() {
    let (mut run, _) = covered();
    let (bytes, state) = answer(&mut run, &record(&hello(TLS_1_1)));
    // A fatal alert: protocol_version.
    assert_eq!((bytes[0], &bytes[5..]), (21, &[2, 70][..]));
    assert_eq!(state, Received::End);
}

#[test]
fn garbage_after_the_first_message_ends_the_handshake() {
    let (mut run, _) = covered();
    let bytes = [record(&hello(TLS_1_3)), b"anything else".to_vec()].concat();
    let (bytes, state) = answer(&mut run, &bytes);
    assert_eq!(bytes[0], 22, "it is answered before the garbage is seen");
    assert_ne!(state, Received::Nothing);
}

#[test]
fn a_client_that_takes_no_bytes_over_tls_is_reset_by_the_send_timeout() {
    let (mut run, setup) = covered();
    run.net().set_manners(0, Manners::Always(Act::plain(30_000)));
    let reads = Pace::Stalls { after: 2000, pause: setup.send_timeout * 3 };
    let began = run.now();
    run.net().add_client(ClientPlan { reads, ..polite(began, vec![Ask::get(1)]) });
    run.until_done(setup.send_timeout * 2);
    let exchange = run.exchange(0);
    let over = exchange.over.expect("it is over") - began;
    assert!(over >= setup.send_timeout && over < setup.send_timeout + NEWS * 2, "{over:?}");
    assert!(matches!(exchange.outcome, Outcome::Cut(_) | Outcome::Reset), "{exchange:?}");
}

#[test]
pub(crate) fn a_server_that_breaks_its_handshake_off_is_out_and_the_next_one_serves() {
    let covers = Covers { clients: None, servers: Some(1) };
    let setup = Setup { covers, ..Setup::new(1, 1) };
    let mut net = SimNet::new(1, Faults::none());
    net.world_mut().machine(&server_address(0), Owner::Hand);
    net.add_server(plain_server(1));
    let mut run = Run::new(net, &setup);
    run.client(vec![Ask::get(1)]);
    run.pass(NEWS);
    let end = run.net().world_mut().accepted(&server_address(0)).expect("it was dialled");
    run.net().world_mut().send(end, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    run.until_done(NEWS);
    run.client(vec![Ask::get(2)]);
    run.until_done(NEWS);
    for client in 0..2 {
        let outcome = run.exchange(client).outcome;
        assert!(matches!(outcome, Outcome::Whole(answer) if answer.status == 200), "{outcome:?}");
    }
    let again = run.net().world_mut().accepted(&server_address(0));
    assert_eq!(again, None, "a request was tried where the handshake had failed");
}
