//! TLS towards servers, and certificates of clients.
//!
//! The servers are proxies that take TLS off. Certificates come from the openssl command: without it
//! each test says so and passes.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::fmt::Display;

use common::tls::{self, Keys, VERSIONS, assert_refused};
use common::{
    Client, Coordinator, Port, Proxy, Upstream, get, nginx_differs, ok, post, wait_until,
};

/// A server that takes TLS as `a.test`, and asks this one.
fn over_tls(server: &Upstream, keys: &Keys) -> Proxy {
    let conf = "server { listen {listen} ssl; ssl_certificate {keys}/a.test.ec.pem;
        ssl_certificate_key {keys}/a.test.ec.key;
        location / { proxy_pass http://{server}; proxy_set_header Host $http_host; } }";
    Proxy::start(conf, &[("keys", keys), ("server", server)])
}

/// A proxy that asks this server over TLS, with these directives.
fn asking(server: &Proxy, keys: &Keys, directives: &str) -> Proxy {
    let conf = "upstream group { server {server}; }
        server { listen {listen}; location / { proxy_pass https://group; {directives} } }";
    let address = server.address();
    let values: [(&str, &dyn Display); 3] =
        [("server", &address), ("directives", &directives), ("keys", keys)];
    Proxy::start(conf, &values)
}

/// It knows the server by its certificate.
const VERIFIED: &str = "proxy_ssl_trusted_certificate {keys}/a.test.ec.pem;
    proxy_ssl_name a.test; proxy_ssl_server_name on; proxy_ssl_verify on;";

fn verified(keys: &Keys) -> String {
    VERIFIED.replace("{keys}", &keys.to_string())
}

#[test]
fn requests_and_long_bodies_pass_both_ways() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let body = "0123456789".repeat(300_000);
    let server = Upstream::answering(ok(&body));
    let back = over_tls(&server, &keys);
    let proxy = asking(&back, &keys, &verified(&keys));
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.ask(get("/a")).text(), body);
    }
    assert_eq!(client.ask(post("/b", &body)).text(), body);
    let asked = server.requests();
    assert_eq!(asked.len(), 4);
    assert_eq!(asked[3].text(), body);
    assert!(asked[0].head_text().starts_with("GET /a HTTP/1.1"), "{:?}", asked[0].head_text());
}

#[test]
fn connections_to_servers_are_kept() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let server = Upstream::named("a");
    let conf = "server { listen {listen} ssl; ssl_certificate {keys}/a.test.ec.pem;
        ssl_certificate_key {keys}/a.test.ec.key;
        location / { return 200 $connection_requests; } }";
    let back = Proxy::start(conf, &[("keys", &keys)]);
    let proxy = asking(&back, &keys, &verified(&keys));
    let mut client = proxy.client();
    let counts: Vec<String> = (0..4).map(|_| client.ask(get("/")).text()).collect();
    assert_eq!(counts, ["1", "2", "3", "4"]);
    assert!(server.requests().is_empty());
}

#[test]
fn a_server_that_is_not_who_it_should_be_gets_no_request() {
    if nginx_differs("has other words") {
        return;
    }
    let Some(keys) = Keys::of(&["a.test.ec", "b.test.ec"]) else { return };
    let server = Upstream::named("a");
    let back = over_tls(&server, &keys);
    let of_b =
        format!("proxy_ssl_trusted_certificate {keys}/b.test.ec.pem; proxy_ssl_name a.test;");
    let as_b =
        format!("proxy_ssl_trusted_certificate {keys}/a.test.ec.pem; proxy_ssl_name b.test;");
    for (directives, words) in [(of_b, "certificate"), (as_b, "for another name")] {
        let mut proxy = asking(&back, &keys, &directives);
        assert_eq!(proxy.client().ask(get("/")).status(), 502, "{directives}");
        proxy.says(words);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn the_next_server_is_asked_after_a_handshake_that_fails() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let (plain, server) = (Upstream::named("plain"), Upstream::named("a"));
    let back = over_tls(&server, &keys);
    let conf = "upstream group { server {plain}; server {server} backup; }
        server { listen {listen}; location / { proxy_pass https://group; {directives} } }";
    let (address, directives) = (back.address(), verified(&keys));
    let values: [(&str, &dyn Display); 3] =
        [("server", &address), ("plain", &plain), ("directives", &directives)];
    let proxy = Proxy::start(conf, &values);
    assert_eq!(proxy.client().ask(get("/")).text(), "a");
}

#[test]
fn in_stream_bytes_pass_over_tls() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let body = "x".repeat(1 << 20);
    let server = Upstream::answering(ok(&body));
    let back = over_tls(&server, &keys);
    let conf = "daemon off; pid {dir}/proxy.pid; error_log stderr info; events {}
        stream { server { listen {listen}; proxy_pass {server}; proxy_ssl on; {directives} } }";
    let (address, directives) = (back.address(), verified(&keys));
    let values: [(&str, &dyn Display); 2] = [("server", &address), ("directives", &directives)];
    let proxy = Proxy::start_whole(conf, &values);
    assert_eq!(proxy.client().ask(get("/")).text(), body);
}

#[test]
fn queries_go_on_at_the_other_coordinator_over_tls() {
    if nginx_differs("has no queries") {
        return;
    }
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let (mut first, second) = (over_tls(&a, &keys), over_tls(&b, &keys));
    let conf = "upstream trino { server {a} max_fails=1; server {b} backup;
            health_check interval=20ms timeout=300ms; trino on; }
        server { listen {listen}; location / { proxy_pass https://trino; {directives} } }";
    let (one, two, directives) = (first.address(), second.address(), verified(&keys));
    let values: [(&str, &dyn Display); 3] = [("a", &one), ("b", &two), ("directives", &directives)];
    let proxy = Proxy::start(conf, &values);
    let next = |client: &mut Client, path: &str| {
        let text =
            client.ask(if path == "/v1/statement" { post(path, "SELECT 1") } else { get(path) });
        let text = text.text();
        let from = text.find("/v1/statement/").unwrap_or_else(|| panic!("no nextUri in {text}"));
        text[from..].split('"').next().unwrap().to_owned()
    };
    let mut client = proxy.client();
    let of_a = next(&mut client, "/v1/statement");
    assert!(of_a.contains("aaaaa"), "{of_a}");
    first.signal("TERM");
    first.wait_for_exit();
    let mut path = String::new();
    wait_until("the query goes on", || {
        path = next(&mut client, &of_a);
        path.contains("bbbbb")
    });
    assert_eq!(b.mind().statements, 1);
}

#[test]
fn clients_without_a_certificate_are_told_and_with_one_are_named() {
    if nginx_differs("has other words") {
        return;
    }
    let Some(keys) = Keys::of(&["a.test.ec", "authority.ec", "stranger.ec"]) else { return };
    keys.sign("alice", "authority.ec");
    keys.sign("mallory", "stranger.ec");
    let conf = "server { listen {listen} ssl; server_name a.test; error_page 496 /none;
            ssl_certificate {keys}/a.test.ec.pem; ssl_certificate_key {keys}/a.test.ec.key;
            ssl_client_certificate {keys}/authority.ec.pem; ssl_verify_client {check};
            location / { return 200 '$ssl_client_verify $ssl_client_s_dn'; }
            location = /none { return 200 'no certificate'; } }";
    for (check, without) in [("on", "no certificate"), ("optional", "NONE ")] {
        let proxy = Proxy::start(conf, &[("keys", &keys), ("check", &check)]);
        let ask = |config| {
            let mut client = tls::connect(proxy.address(), "a.test", &config)?;
            client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
            client.try_read_response().map(|answer| answer.text())
        };
        for version in VERSIONS {
            assert_eq!(ask(tls::client(&[version])).unwrap(), without);
            let alice = ask(tls::client_with(&[version], &keys, "alice")).unwrap();
            assert_eq!(alice, "SUCCESS CN=alice,O=Test");
            let mallory = ask(tls::client_with(&[version], &keys, "mallory"));
            assert!(mallory.is_err(), "{mallory:?}");
        }
    }
}

#[test]
fn a_client_that_was_verified_for_one_server_is_not_for_another() {
    if nginx_differs("has other words") {
        return;
    }
    let Some(keys) = Keys::of(&["a.test.ec", "b.test.ec", "authority.ec"]) else { return };
    let conf = "server { listen {listen} ssl; server_name a.test;
            ssl_certificate {keys}/a.test.ec.pem; ssl_certificate_key {keys}/a.test.ec.key;
            return 200 a; }
        server { listen {listen} ssl; server_name b.test;
            ssl_certificate {keys}/b.test.ec.pem; ssl_certificate_key {keys}/b.test.ec.key;
            ssl_client_certificate {keys}/authority.ec.pem; ssl_verify_client optional;
            return 200 b; }";
    let proxy = Proxy::start(conf, &[("keys", &keys)]);
    let mut client = tls::connect(proxy.address(), "a.test", &tls::client(&VERSIONS)).unwrap();
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").text(), "a");
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n").status(), 421);
}

#[test]
fn a_server_may_reject_every_handshake() {
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let conf = "server { listen {listen} ssl default_server; ssl_reject_handshake on; }
        server { listen {listen} ssl; server_name a.test; ssl_certificate {keys}/a.test.ec.pem;
            ssl_certificate_key {keys}/a.test.ec.key; return 200 a; }";
    let proxy = Proxy::start(conf, &[("keys", &keys)]);
    let config = tls::client(&VERSIONS);
    assert!(tls::connect(proxy.address(), "a.test", &config).is_ok());
    assert!(tls::connect(proxy.address(), "b.test", &config).is_err());
}

#[test]
fn a_server_that_asks_for_our_certificate_gets_it() {
    let Some(keys) = Keys::of(&["a.test.ec", "authority.ec"]) else { return };
    keys.sign("proxy", "authority.ec");
    let conf = "server { listen {listen} ssl; ssl_certificate {keys}/a.test.ec.pem;
        ssl_certificate_key {keys}/a.test.ec.key; ssl_verify_client on;
        ssl_client_certificate {keys}/authority.ec.pem; return 200 $ssl_client_s_dn; }";
    let back = Proxy::start(conf, &[("keys", &keys)]);
    let shown = format!(
        "{} proxy_ssl_certificate {keys}/proxy.pem; proxy_ssl_certificate_key {keys}/proxy.key;",
        verified(&keys)
    );
    let proxy = asking(&back, &keys, &shown);
    assert_eq!(proxy.client().ask(get("/")).text(), "CN=proxy,O=Test");
    let proxy = asking(&back, &keys, &verified(&keys));
    assert_eq!(proxy.client().ask(get("/")).status(), 400);
}

#[test]
fn what_is_wrong_with_servers_is_said_with_its_place() {
    if nginx_differs("names no column") {
        return;
    }
    let Some(keys) = Keys::of(&["a.test.ec"]) else { return };
    let port = Port::reserve();
    for (lines, place, words) in [
        ("proxy_pass https://g; proxy_ssl_verify on;", "4:12", "nobody is trusted"),
        ("proxy_pass https://g; proxy_ssl_trusted_certificate gone;", "4:53", "cannot read"),
        ("proxy_pass https://g; proxy_ssl_name \"a b\";", "4:38", "cannot be in a certificate"),
        ("proxy_pass https://g; proxy_ssl_protocols SSLv3;", "4:43", "SSLv3"),
        ("proxy_pass https://g; proxy_ssl_certificate a;", "4:45", "as many"),
        ("proxy_pass https://g; } location /b { proxy_pass http://g;", "4:50", "in another way"),
    ] {
        let text = format!(
            "upstream g {{ server 127.0.0.1:1; }}\nserver {{\nlisten {}; location / {{\n{lines}\n}} }}\n",
            port.address()
        );
        assert_refused(&keys, &text, place, words);
    }
}
