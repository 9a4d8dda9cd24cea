//! `h2c_tunnel`: connections that open with HTTP/2's preface are carried on unread.

mod common;

use std::fmt::Display;

use common::{Client, Proxy, Upstream, get, ok, post};

/// RFC 9113, section 3.4.
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Takes HTTP/2 connections (says its name once it has the preface, then echoes) and answers
/// HTTP/1.1 requests with its name.
fn coordinator(name: &'static str) -> Upstream {
    Upstream::playing(move |connection| {
        let head = connection.read_head()?;
        if head.start != "PRI * HTTP/2.0" {
            connection.send(ok(name))?;
            return connection.answer_all(&ok(name));
        }
        let mut rest = [0; 6];
        connection.reader().exact(&mut rest)?;
        assert_eq!(&rest, b"SM\r\n\r\n");
        connection.send(name)?;
        connection.echo()
    })
}

fn pair(primary: &Upstream, backup: &Upstream, tunnel: &str) -> Proxy {
    let values: [(&str, &dyn Display); 3] =
        [("primary", primary), ("backup", backup), ("tunnel", &tunnel)];
    Proxy::start(
        "upstream g { server {primary} max_fails=1 fail_timeout=300ms; server {backup} backup; }
         server { listen {listen}; {tunnel} location / { proxy_pass http://g; proxy_connect_timeout 3; } }",
        &values,
    )
}

/// Opens a tunnel and tells where it leads.
fn open(proxy: &Proxy) -> (Client, String) {
    let mut client = proxy.client();
    client.send(PREFACE);
    let name = client.read_exactly(1);
    (client, String::from_utf8(name).expect("a letter"))
}

#[test]
fn a_connection_with_the_preface_is_a_tunnel_and_others_are_served_beside_it() {
    let (a, b) = (coordinator("a"), coordinator("b"));
    let proxy = pair(&a, &b, "h2c_tunnel on;");
    let (mut tunnel, name) = open(&proxy);
    assert_eq!(name, "a");
    tunnel.send("frames");
    assert_eq!(tunnel.read_exactly(6), b"frames");
    assert_eq!(proxy.client().ask(get("/")).body, b"a");
    tunnel.finish_sending();
    assert!(tunnel.is_closed());
    assert!(a.received()[0].starts_with(format!("{PREFACE}frames").as_bytes()));
}

#[test]
fn the_preface_is_recognised_however_it_is_cut() {
    let (a, b) = (coordinator("a"), coordinator("b"));
    let proxy = pair(&a, &b, "h2c_tunnel on;");
    for cut in 1..PREFACE.len() {
        let mut client = proxy.client();
        client.send(&PREFACE[..cut]);
        // Another connection is served in between: the first part has been read by then.
        assert_eq!(proxy.client().ask(get("/")).body, b"a");
        client.send(&PREFACE[cut..]);
        assert_eq!(client.read_exactly(1), b"a", "cut at {cut}");
    }
}

#[test]
fn what_only_begins_like_the_preface_is_an_ordinary_request() {
    let (a, b) = (coordinator("a"), coordinator("b"));
    let proxy = pair(&a, &b, "h2c_tunnel on;");
    for request in ["PRI / HTTP/1.1\r\nHost: a\r\n\r\n", "PRIME / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        assert_eq!(proxy.client().ask(request).body, b"a", "{request}");
    }
    // Only a new connection can change its mind.
    let mut client = proxy.client();
    assert_eq!(client.ask(get("/")).body, b"a");
    assert_eq!(client.ask(PREFACE).status(), 505);
    assert!(client.is_closed());
}

#[test]
fn without_the_directive_coordinators_get_it_and_no_rule_is_passed_by() {
    let (a, b) = (coordinator("a"), coordinator("b"));
    for (inside, outside, carries) in [
        ("", "", true),
        ("location /ui { return 403; }", "", false),
        ("", "server { listen {listen}; server_name other; return 403; }", false),
        ("h2c_tunnel off;", "", false),
    ] {
        let conf = "upstream g { server {a}; server {b} backup; }
             server { listen {listen}; INSIDE location / { proxy_pass http://g; } } OUTSIDE";
        let conf = conf.replace("INSIDE", inside).replace("OUTSIDE", outside);
        let proxy = Proxy::start(&conf, &[("a", &a), ("b", &b)]);
        assert_eq!(proxy.client().ask(PREFACE).status(), 505, "before a request of Trino's");
        assert_eq!(proxy.client().ask(post("/v1/statement", "SELECT 1")).body, b"a");
        if carries {
            assert_eq!(open(&proxy).1, "a");
        } else {
            assert_eq!(proxy.client().ask(PREFACE).status(), 505, "{inside} {outside}");
        }
    }
}

#[test]
fn without_the_directive_the_preface_is_refused_and_the_log_names_it() {
    let (a, b) = (coordinator("a"), coordinator("b"));
    let proxy = pair(&a, &b, "");
    let mut client = proxy.client();
    assert_eq!(client.ask(PREFACE).status(), 505);
    assert!(client.is_closed());
    let line = proxy.wait_for_log(&["h2c_tunnel"]);
    assert!(line.contains("speaks HTTP/2 and is refused"), "{line}");
    assert!(a.got_nothing() && b.got_nothing());
}

#[test]
fn a_refused_primary_moves_the_tunnel_with_its_preface() {
    let (a, b) = (Upstream::refusing("a"), coordinator("b"));
    let proxy = pair(&a, &b, "h2c_tunnel on;");
    assert_eq!(open(&proxy).1, "b");
}

#[test]
fn tunnels_are_closed_when_another_server_becomes_the_active_one() {
    let (mut a, b) = (coordinator("a"), coordinator("b"));
    let proxy = pair(&a, &b, "h2c_tunnel on;");
    let (mut first, name) = open(&proxy);
    assert_eq!(name, "a");

    a.stop();
    assert!(first.is_closed());
    let (mut second, name) = open(&proxy);
    assert_eq!(name, "b");
    second.send("x");
    assert_eq!(second.read_exactly(1), b"x");

    a.start();
    proxy.wait_for_log(&["accepts connections"]);
    // The next request tries the primary; once it has answered, it is the active one.
    assert_eq!(proxy.client().ask(get("/")).body, b"a");
    assert!(second.is_closed(), "the backup is not the active server any more");
    assert_eq!(open(&proxy).1, "a");
}

#[test]
fn a_tunnel_to_a_server_that_others_find_dead_is_closed() {
    // It keeps its tunnels, and breaks off requests.
    let a = Upstream::playing(|connection| {
        let head = connection.read_head()?;
        if head.start == "PRI * HTTP/2.0" {
            connection.send("a")?;
            return connection.wait_for_end();
        }
        connection.reset();
        Ok(())
    });
    let b = coordinator("b");
    let proxy = pair(&a, &b, "h2c_tunnel on;");
    let (mut tunnel, name) = open(&proxy);
    assert_eq!(name, "a");
    assert_eq!(proxy.client().ask(get("/")).body, b"b");
    assert!(tunnel.is_closed());
}

#[test]
fn a_graceful_stop_does_not_wait_for_tunnels_whose_owners_come_again() {
    let (a, b) = (coordinator("a"), coordinator("b"));
    let mut proxy = pair(&a, &b, "h2c_tunnel on;");
    let (mut tunnel, _) = open(&proxy);
    proxy.signal("QUIT");
    assert!(tunnel.is_closed());
    assert!(proxy.wait_for_exit().success());
}

/// Reloads with another file: other names, other limits, and these servers.
fn reload(proxy: &Proxy, first: &Upstream, second: &str) {
    let values: [(&str, &dyn Display); 2] = [("first", first), ("second", &second)];
    proxy.rewrite(
        "upstream renamed { server {first} max_fails=1 fail_timeout=300ms; {second} }
         server { listen {listen}; h2c_tunnel on;
                  location / { proxy_pass http://renamed; proxy_connect_timeout 4; } }",
        &values,
    );
    proxy.signal("HUP");
    proxy.wait_for_log(&["reloaded"]);
}

#[test]
fn a_reload_that_leaves_the_server_in_place_leaves_its_tunnels() {
    let (mut a, b) = (coordinator("a"), coordinator("b"));
    let proxy = pair(&a, &b, "h2c_tunnel on;");
    let (mut tunnel, _) = open(&proxy);
    reload(&proxy, &a, &format!("server {b} backup;"));
    tunnel.send("still here");
    assert_eq!(tunnel.read_exactly(10), b"still here");

    // It hears of what happens in the new configuration.
    a.fall_silent();
    a.stop();
    assert!(tunnel.is_closed());
}

#[test]
fn a_reload_that_makes_another_server_the_active_one_closes_tunnels() {
    let (a, b) = (coordinator("a"), coordinator("b"));
    for second in [format!("server {a} backup;"), String::new()] {
        let proxy = pair(&a, &b, "h2c_tunnel on;");
        let (mut tunnel, name) = open(&proxy);
        assert_eq!(name, "a");
        reload(&proxy, &b, &second);
        assert!(tunnel.is_closed());
        assert_eq!(open(&proxy).1, "b");
    }
}

#[test]
fn a_tunnel_is_a_line_in_the_access_log() {
    let server = coordinator("a");
    let conf = "log_format mine '$remote_addr [$request] $status $upstream_addr '
        '$request_length $bytes_sent $uri';
        server { listen {listen}; h2c_tunnel on; access_log {dir}/access.log mine;
            location / { proxy_pass http://{server}; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    let (mut tunnel, _) = open(&proxy);
    tunnel.send("frames");
    assert_eq!(tunnel.read_exactly(6), b"frames");
    tunnel.finish_sending();
    assert!(tunnel.is_closed());
    let expected = format!("127.0.0.1 [PRI * HTTP/2.0] 200 {server} 30 7 -");
    assert_eq!(proxy.access_line(1), expected);
}

#[test]
fn the_proxy_header_of_a_tunnel_speaks_for_its_client() {
    let server = coordinator("a");
    let conf = "log_format mine '$remote_addr $realip_remote_addr $proxy_protocol_addr';
        server { listen {listen} proxy_protocol; h2c_tunnel on; set_real_ip_from 127.0.0.1;
            real_ip_header proxy_protocol; access_log {dir}/access.log mine;
            location / { proxy_pass http://{server}; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    let mut client = proxy.client();
    client.send(format!("PROXY TCP4 192.0.2.9 192.0.2.1 11 22\r\n{PREFACE}"));
    assert_eq!(client.read_exactly(1), b"a");
    client.finish_sending();
    assert!(client.is_closed());
    assert_eq!(proxy.access_line(1), "192.0.2.9 127.0.0.1 192.0.2.9");
}

#[test]
fn a_server_that_is_named_twice_keeps_its_tunnels() {
    let (a, b) = (coordinator("a"), coordinator("b"));
    let proxy = pair(&a, &b, "h2c_tunnel on;");
    let (mut tunnel, _) = open(&proxy);
    let twice = format!("server {a}; server {b} backup;");
    let values: [(&str, &dyn Display); 2] = [("first", &a), ("second", &twice)];
    proxy.rewrite(
        "upstream g { server {first} down; {second} }
         server { listen {listen}; h2c_tunnel on; location / { proxy_pass http://g; } }",
        &values,
    );
    proxy.signal("HUP");
    proxy.wait_for_log(&["reloaded"]);
    tunnel.send("x");
    assert_eq!(tunnel.read_exactly(1), b"x");
}

#[test]
fn a_preface_that_comes_too_late_is_refused_with_the_reason() {
    let (a, b) = (coordinator("a"), coordinator("b"));
    let proxy = pair(&a, &b, "h2c_tunnel on;");
    let mut client = proxy.client();
    client.ask(get("/"));
    assert_eq!(client.ask(PREFACE).status(), 505);
    proxy.wait_for_log(&["refused", "carries on only what a connection begins with"]);
}
