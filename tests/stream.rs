//! `stream {}`: connections pass unread, over real sockets.

mod common;

use std::fmt::Display;
use std::io;

use common::{Client, Connection, Proxy, Upstream, is_nginx};

/// A proxy whose `stream {}` holds this; `{listen}` and the rest are filled in.
fn streaming(inside: &str, values: &[(&str, &dyn Display)]) -> Proxy {
    // Debian's nginx has it as a module, and passes ends on only when told to.
    let (before, half_close) = if is_nginx() {
        let half_close =
            if inside.contains("proxy_half_close") { "" } else { "proxy_half_close on;" };
        ("load_module /usr/lib/nginx/modules/ngx_stream_module.so; events {}", half_close)
    } else {
        ("", "")
    };
    let text = format!(
        "{before} daemon off; pid {{dir}}/proxy.pid; error_log stderr info;
         stream {{ log_format all '$remote_addr $protocol $status $bytes_received $bytes_sent '
                   '$upstream_addr $upstream_bytes_sent $upstream_bytes_received '
                   '$proxy_protocol_addr $realip_remote_addr';
                   {half_close} access_log {{dir}}/access.log all buffer=1k flush=1ms; {inside} }}"
    );
    Proxy::start_whole(&text, values)
}

/// A primary and a backup behind one server with these directives.
fn pair(primary: &Upstream, backup: &Upstream, directives: &str) -> Proxy {
    streaming(
        "upstream g { server {primary} fail_timeout=60s; server {backup} backup; }
         server { listen {listen}; proxy_pass g; proxy_connect_timeout 300ms; {directives} }",
        &[("primary", primary), ("backup", backup), ("directives", &directives)],
    )
}

fn alone(server: &Upstream, directives: &str) -> Proxy {
    streaming(
        "server { listen {listen}; proxy_pass {server}; {directives} }",
        &[("server", server), ("directives", &directives)],
    )
}

/// A server that says its name first, and then whatever it hears.
fn echoing(name: &'static str) -> Upstream {
    Upstream::playing(move |connection| {
        connection.send(name)?;
        connection.echo()
    })
}

#[test]
fn bytes_pass_both_ways_and_the_log_counts_them() {
    let server = echoing("hello ");
    let proxy = alone(&server, "");
    let mut client = proxy.client();
    assert_eq!(client.read_exactly(6), b"hello ", "the server may speak first");
    client.send("\x16\x03\x01 not HTTP");
    assert_eq!(client.read_exactly(12), b"\x16\x03\x01 not HTTP");
    client.finish_sending();
    assert!(client.is_closed());
    assert_eq!(proxy.access_line(1), format!("127.0.0.1 TCP 200 12 18 {server} 12 18 - 127.0.0.1"));
}

#[test]
fn each_end_is_passed_on_and_the_other_direction_goes_on() {
    let server = Upstream::playing(|connection| {
        connection.send("bye")?;
        connection.finish_sending();
        let mut heard = Vec::new();
        let mut bytes = [0; 64];
        loop {
            match connection.read_some(&mut bytes)? {
                0 => break,
                count => heard.extend_from_slice(&bytes[..count]),
            }
        }
        assert_eq!(heard, b"and still talking");
        Ok(())
    });
    let proxy = alone(&server, "");
    let mut client = proxy.client();
    assert_eq!(client.read_to_end(), b"bye");
    client.send("and still ");
    client.send("talking");
    client.finish_sending();
    server.wait_until_left_alone();
    assert_eq!(server.received(), [b"and still talking"]);
}

#[test]
fn a_client_that_has_finished_still_hears_the_answer() {
    let server = Upstream::playing(|connection| {
        connection.wait_for_end()?;
        connection.send("late answer")
    });
    let proxy = alone(&server, "");
    let mut client = proxy.client();
    client.send("question");
    client.finish_sending();
    assert_eq!(client.read_to_end(), b"late answer");
    assert_eq!(server.received(), [b"question"]);
}

#[test]
fn without_half_close_one_end_ends_both() {
    let server = Upstream::playing(|connection| {
        connection.send("bye")?;
        connection.finish_sending();
        connection.wait_for_end()
    });
    let proxy = alone(&server, "proxy_half_close off;");
    let mut client = proxy.client();
    assert_eq!(client.read_to_end(), b"bye");
    server.wait_until_left_alone();
}

#[test]
fn a_refused_primary_moves_a_client_to_the_backup_and_later_clients_at_once() {
    let (primary, backup) = (Upstream::refusing("p"), echoing("backup"));
    let proxy = pair(&primary, &backup, "");
    for _ in 0..3 {
        assert_eq!(proxy.client().read_exactly(6), b"backup");
    }
    let down = proxy.wait_for_log(&["refused the connection", "is down"]);
    assert!(down.contains(&primary.address()), "{down}");
    let first = format!("127.0.0.1 TCP 200 0 6 {primary}, {backup} 0, 0 0, 6 - 127.0.0.1");
    proxy.access_line(3);
    let log = proxy.lines("access.log");
    assert_eq!(log[0], first, "{log:?}");
    assert_eq!(log.iter().filter(|line| line.contains(&primary.address())).count(), 1, "{log:?}");
}

#[test]
fn a_primary_that_swallows_packets_costs_one_connect_timeout() {
    let (primary, backup) = (Upstream::blackholed("p"), echoing("backup"));
    let proxy = pair(&primary, &backup, "");
    let mut client = proxy.client();
    client.send("sent before anybody listens");
    assert_eq!(client.read_exactly(6), b"backup");
    assert_eq!(client.read_exactly(27), b"sent before anybody listens");
    proxy.wait_for_log(&["did not answer the connect in time"]);
}

#[test]
fn bytes_that_were_sent_are_never_sent_to_another_server() {
    let primary = Upstream::playing(|connection| {
        connection.read_some(&mut [0; 64])?;
        connection.reset();
        Ok(())
    });
    let backup = echoing("backup");
    let proxy = pair(&primary, &backup, "");
    let mut client = proxy.client();
    client.send("INSERT");
    assert!(client.read_to_end().is_empty(), "the server's reset is passed on");
    primary.wait_until_left_alone();
    assert_eq!(backup.connections(), 0);
    // A server that accepts and leaves is no failure: the next client goes there again.
    let mut client = proxy.client();
    client.send("INSERT");
    assert!(client.read_to_end().is_empty());
    assert_eq!((primary.connections(), backup.connections()), (2, 0));
}

#[test]
fn a_reset_looks_like_a_reset_on_the_other_side() {
    let server = Upstream::playing(|connection| {
        connection.send("half an answ")?;
        connection.read_some(&mut [0; 1])?;
        connection.reset();
        Ok(())
    });
    let proxy = alone(&server, "");
    let mut client = proxy.client();
    assert_eq!(client.read_exactly(12), b"half an answ");
    client.send("x");
    let end = client.read_some(&mut [0; 1]).expect_err("no orderly end");
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);

    let (told, tells) = std::sync::mpsc::channel();
    let server = Upstream::playing(move |connection| {
        connection.send("hi")?;
        let end = connection.read_some(&mut [0; 1]).map_err(|why| why.kind());
        told.send(end).expect("the test waits");
        Ok(())
    });
    let proxy = alone(&server, "");
    let mut client = proxy.client();
    client.read_exactly(2);
    client.reset();
    let end = tells.recv_timeout(common::PATIENCE).expect("the server sees an end");
    assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
}

#[test]
fn with_nobody_left_a_client_is_closed_and_the_log_says_so() {
    let (primary, backup) = (Upstream::refusing("p"), Upstream::refusing("b"));
    let proxy = pair(&primary, &backup, "");
    assert!(proxy.client().is_closed());
    let line = proxy.access_line(1);
    assert_eq!(line, format!("127.0.0.1 TCP 502 0 0 {primary}, {backup} 0, 0 0, 0 - 127.0.0.1"));
    assert!(proxy.client().is_closed());
    let line = proxy.access_line(2);
    assert_eq!(line, "127.0.0.1 TCP 502 0 0 g 0 0 - 127.0.0.1");
}

#[test]
fn next_upstream_off_moves_nobody() {
    let (primary, backup) = (Upstream::refusing("p"), echoing("backup"));
    let proxy = pair(&primary, &backup, "proxy_next_upstream off;");
    assert!(proxy.client().is_closed());
    assert_eq!(proxy.client().read_exactly(6), b"backup", "but the failure counts");
}

#[test]
fn silence_ends_the_tunnel_after_proxy_timeout_and_blames_nobody() {
    let (primary, backup) = (echoing("primary"), echoing("backup"));
    let proxy = pair(&primary, &backup, "proxy_timeout 200ms;");
    for _ in 0..2 {
        let mut client = proxy.client();
        assert_eq!(client.read_exactly(7), b"primary");
        assert!(client.is_closed());
    }
    assert_eq!(backup.connections(), 0);
}

#[test]
fn silence_in_the_middle_of_a_tunnel_looks_like_a_cut_to_both() {
    if is_nginx() {
        return;
    }
    let server = Upstream::playing(|connection| {
        connection.send("part")?;
        let mut byte = [0];
        connection.read_some(&mut byte)?;
        let end = connection.read_some(&mut byte).map_err(|why| why.kind());
        assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
        Ok(())
    });
    let proxy = alone(&server, "proxy_timeout 200ms;");
    let mut client = proxy.client();
    client.send("x");
    assert_eq!(client.read_exactly(4), b"part");
    let end = client.read_some(&mut [0]).map_err(|why| why.kind());
    assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
}

#[test]
fn the_server_is_told_of_the_client_in_either_version() {
    for (version, length) in [("on", 0), ("v1", 0), ("v2", 28)] {
        let server = Upstream::playing(Connection::echo);
        let proxy = alone(&server, &format!("proxy_protocol {version};"));
        let mut client = proxy.client();
        client.send("data");
        let from = client.wire().local_address().expect("over TCP");
        let header = match length {
            0 => {
                let (to, port) = (proxy.address().ip(), proxy.address().port());
                format!("PROXY TCP4 {} {to} {} {port}\r\n", from.ip(), from.port()).into_bytes()
            }
            length => client.read_exactly(length),
        };
        if length == 0 {
            assert_eq!(client.read_exactly(header.len()), header, "{version}");
        } else {
            assert!(header.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01"));
            assert_eq!(header[24..26], from.port().to_be_bytes());
        }
        assert_eq!(client.read_exactly(4), b"data");
    }
}

const HEADER: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";

#[test]
fn a_header_in_front_speaks_for_the_client_if_its_sender_may() {
    let server = Upstream::playing(Connection::echo);
    let proxy = streaming(
        "server { listen {listen} proxy_protocol; proxy_pass {server}; proxy_protocol on;
                  set_real_ip_from 127.0.0.0/8; }",
        &[("server", &server)],
    );
    let mut client = proxy.client();
    // A byte at a time: the header's end is where it is.
    for byte in HEADER.bytes() {
        client.send([byte]);
    }
    client.send("data");
    let (to, port) = (proxy.address().ip(), proxy.address().port());
    let expected = format!("PROXY TCP4 192.0.2.7 {to} 4711 {port}\r\ndata");
    assert_eq!(String::from_utf8_lossy(&client.read_exactly(expected.len())), expected);
    client.finish_sending();
    assert!(client.is_closed());
    let line = proxy.access_line(1);
    assert!(line.starts_with("192.0.2.7 TCP 200"), "{line}");
    assert!(line.ends_with("192.0.2.7 127.0.0.1"), "{line}");
}

#[test]
fn a_header_of_somebody_else_is_read_and_not_believed() {
    let server = Upstream::playing(Connection::echo);
    let proxy = streaming(
        "server { listen {listen} proxy_protocol; proxy_pass {server};
                  set_real_ip_from 10.0.0.0/8; }",
        &[("server", &server)],
    );
    let mut client = proxy.client();
    client.send(format!("{HEADER}data"));
    assert_eq!(client.read_exactly(4), b"data");
    client.finish_sending();
    assert!(client.is_closed());
    let line = proxy.access_line(1);
    assert!(line.starts_with("127.0.0.1 TCP 200 4 4"), "{line}");
    assert!(line.ends_with("192.0.2.7 127.0.0.1"), "{line}");
}

#[test]
fn who_owes_a_header_and_sends_none_is_closed() {
    let server = Upstream::playing(Connection::echo);
    let proxy = streaming(
        "server { listen {listen} proxy_protocol; proxy_pass {server};
                  proxy_protocol_timeout 200ms; }",
        &[("server", &server)],
    );
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert!(client.is_closed());
    proxy.wait_for_log(&["127.0.0.1", "sent no PROXY header"]);
    let mut silent = proxy.client();
    silent.send("PROXY TC");
    assert!(silent.is_closed());
    assert_eq!(server.connections(), 0);
}

#[test]
fn unix_sockets_serve_on_both_sides() {
    let server = Upstream::playing_unix(|connection| {
        connection.send("unix ")?;
        connection.echo()
    });
    let proxy = streaming(
        "server { listen unix:{dir}/front.sock; proxy_pass {server}; }
         server { listen {listen}; proxy_pass unix:{dir}/front.sock; }",
        &[("server", &server)],
    );
    let mut client = Client::connect_unix(&proxy.directory().join("front.sock"));
    assert_eq!(client.read_exactly(5), b"unix ");
    let mut around = proxy.client();
    assert_eq!(around.read_exactly(5), b"unix ");
    around.send("there and back");
    assert_eq!(around.read_exactly(14), b"there and back");
}

#[test]
fn http_and_stream_run_in_one_process() {
    let (server, http) = (echoing("bytes"), Upstream::named("answer"));
    let proxy = Proxy::start_whole(
        "daemon off; pid {dir}/proxy.pid; error_log stderr info;
         http { server { listen unix:{dir}/http.sock; location / { proxy_pass http://{http}; } } }
         stream { server { listen {listen}; proxy_pass {server}; } }",
        &[("server", &server), ("http", &http)],
    );
    assert_eq!(proxy.client().read_exactly(5), b"bytes");
    let mut client = Client::connect_unix(&proxy.directory().join("http.sock"));
    assert_eq!(client.ask(common::get("/")).body, b"answer");
}

#[test]
fn a_graceful_stop_lets_tunnels_go_on() {
    let server = echoing("hi");
    let mut proxy = alone(&server, "");
    let mut client = proxy.client();
    client.read_exactly(2);
    proxy.signal("QUIT");
    proxy.wait_for_log(&["finishing what is going on"]);
    client.send("still here");
    assert_eq!(client.read_exactly(10), b"still here");
    client.finish_sending();
    assert!(client.is_closed());
    assert!(proxy.wait_for_exit().success());
}

#[test]
fn an_idle_tunnel_holds_no_buffer_and_a_slow_reader_bounded_ones() {
    let server = Upstream::playing(|connection| {
        let block = vec![b'x'; 1 << 20];
        for _ in 0..64 {
            connection.send(&block)?;
        }
        Ok(())
    });
    let proxy = alone(&server, "");
    let before = proxy.peak_memory();
    let mut clients: Vec<Client> = (0..8).map(|_| proxy.client()).collect();
    server.wait_for_connections(8);
    for client in &mut clients {
        assert_eq!(client.read_exactly(64 << 20).len(), 64 << 20);
    }
    let grown = proxy.peak_memory() - before;
    assert!(grown < 4 << 10, "512 MiB passed through {grown} KiB");
}

#[test]
fn a_reload_keeps_a_client_that_still_owes_its_header_at_its_port() {
    if common::nginx_differs("finishes such clients in the old process") {
        return;
    }
    let (one, two) = (echoing("one"), echoing("two"));
    let other = common::Port::reserve();
    let first = "server { listen {listen} proxy_protocol; proxy_pass {one}; }";
    let second = "server { listen {other}; proxy_pass {two}; }";
    let address = other.address();
    let values: [(&str, &dyn Display); 3] = [("one", &one), ("two", &two), ("other", &address)];
    let proxy = streaming(&format!("{first} {second}"), &values);
    let mut client = proxy.client();
    // Another one is served in between: this one has been accepted by then.
    assert_eq!(Client::connect(address).read_exactly(3), b"two");
    let text = std::fs::read_to_string(proxy.file()).expect("it was written");
    let blocks = [first, second].map(|block| {
        let filled = block.replace("{listen}", &proxy.address().to_string());
        values.iter().fold(filled, |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), &value.to_string())
        })
    });
    let swapped = text.replace(&blocks.join(" "), &format!("{} {}", blocks[1], blocks[0]));
    assert_ne!(swapped, text);
    std::fs::write(proxy.file(), swapped).expect("a writable directory");
    proxy.signal("HUP");
    proxy.wait_for_log(&["reloaded"]);
    client.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    assert_eq!(client.read_exactly(3), b"one");
}

#[test]
fn a_header_for_the_server_has_one_family() {
    let server = Upstream::playing(|connection| connection.wait_for_end());
    let inside = "server { listen {listen} proxy_protocol; set_real_ip_from 127.0.0.1;
        proxy_protocol on; proxy_pass {server}; }";
    let proxy = streaming(inside, &[("server", &server)]);
    let mut client = proxy.client();
    client.send("PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\nbytes");
    client.finish_sending();
    server.wait_for_connections(1);
    server.wait_until_left_alone();
    let port = proxy.address().port();
    let expected = format!("PROXY TCP6 2001:db8::7 ::ffff:127.0.0.1 4711 {port}\r\nbytes");
    if !common::nginx_differs("writes the listener's family as it is") {
        assert_eq!(server.received(), [expected.as_bytes()]);
    }
}

#[test]
fn urgent_data_does_not_hold_up_what_comes_behind_it() {
    if common::nginx_differs("waits for what has come already") {
        return;
    }
    let server = echoing("hello ");
    let proxy = alone(&server, "");
    let mut client = proxy.client();
    assert_eq!(client.read_exactly(6), b"hello ");
    for round in 0..20 {
        client.send("before ");
        let urgent = client.wire().socket().send_out_of_band(b"!").expect("one byte");
        assert_eq!(urgent, 1);
        client.send("behind");
        assert_eq!(client.read_exactly(13), b"before behind", "round {round}");
    }
    // As many as go through a pipe.
    let many = vec![b'x'; 200_000];
    for round in 0..5 {
        client.send(&many);
        client.wire().socket().send_out_of_band(b"!").expect("one byte");
        client.send(b"behind");
        assert!(client.read_exactly(200_006).ends_with(b"xbehind"), "round {round}");
    }
}
