//! The harness does what tests believe it does.

mod common;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use common::{Client, Proxy, Upstream, get, ok, post};

#[test]
fn a_refusing_server_refuses_and_serves_once_started() {
    let mut server = Upstream::refusing("a");
    let refused = TcpStream::connect(server.socket_address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    server.start();
    assert_eq!(Client::connect(server.socket_address()).ask(get("/")).text(), "a");
}

#[test]
fn a_blackholed_server_answers_no_syn_and_serves_once_started() {
    let mut server = Upstream::blackholed("a");
    let wait = Duration::from_millis(100);
    let silence = TcpStream::connect_timeout(&server.socket_address(), wait).unwrap_err();
    assert_eq!(silence.kind(), ErrorKind::TimedOut);
    server.start();
    assert_eq!(Client::connect(server.socket_address()).ask(get("/")).text(), "a");
}

#[test]
fn a_stopped_server_ends_its_connections_and_can_come_back() {
    let mut server = Upstream::named("a");
    let mut client = Client::connect(server.socket_address());
    assert_eq!(client.ask(post("/", "body")).text(), "a");
    server.stop();
    assert!(client.is_closed());
    server.wait_until_left_alone();
    server.start();
    assert_eq!(Client::connect(server.socket_address()).ask(get("/")).text(), "a");
    assert_eq!(server.connections(), 2);
    assert_eq!(server.requests()[0].text(), "body");
}

#[test]
fn a_resetting_server_resets() {
    let server = Upstream::resetting();
    let mut client = Client::connect(server.socket_address());
    client.send(get("/"));
    assert_eq!(client.try_read_response().unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_proxy_passes_a_request_on() {
    let server = Upstream::answering(ok("hello"));
    let proxy = Proxy::before(&server, "");
    assert_eq!(proxy.client().ask(get("/")).text(), "hello");
    assert_eq!(server.wait_for_request(1).start, "GET / HTTP/1.1");
}
