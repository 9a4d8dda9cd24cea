//! Long bodies and tunnels, through pipes and copied: nobody can tell which.
//!
//! `SPLICE=off cargo test` runs every test of the suite without pipes.

mod common;

use std::fmt::Display;

use common::{
    Client, Connection, Framing, Proxy, SWITCHED, UPGRADE, UPGRADES, Upstream, is_nginx, wait_until,
};

/// Runs `check` with a proxy that uses pipes and with one that copies.
fn both_ways(inside: &str, values: &[(&str, &dyn Display)], check: impl Fn(&Proxy, &str)) {
    if is_nginx() {
        return;
    }
    for splice in ["on", "off"] {
        let text = format!(
            "daemon off; pid {{dir}}/proxy.pid; error_log stderr info; splice {splice}; {inside}"
        );
        let proxy = Proxy::start_whole(&text, values);
        check(&proxy, splice);
        assert!(pipes(&proxy) <= 2 * 16, "{splice}: {} ends of pipes are left", pipes(&proxy));
    }
}

/// Ends of pipes that the proxy has open.
fn pipes(proxy: &Proxy) -> usize {
    proxy.open_files().iter().filter(|target| target.starts_with("pipe:")).count()
}

/// Bytes that tell where they stand, `length` of them.
fn pattern(length: usize) -> Vec<u8> {
    (0..length / 8 + 1).flat_map(|at| (at as u64).to_le_bytes()).take(length).collect()
}

const HTTP: &str = "http { server { listen {listen};
    location / { proxy_pass http://{server}; {more} } } }";
const SIZE: usize = 9_000_001;

#[test]
fn a_long_answer_of_a_known_length_arrives_whole_and_the_connections_go_on() {
    let server = Upstream::playing(|connection| {
        let body = pattern(SIZE);
        while connection.read_request()?.is_some() {
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"))?;
            connection.send(&body)?;
        }
        Ok(())
    });
    both_ways(HTTP, &[("server", &server), ("more", &"")], |proxy, splice| {
        let before = server.connections();
        let mut client = proxy.client();
        for _ in 0..3 {
            let answer = client.ask(common::get("/"));
            assert!(answer.body == pattern(SIZE), "{splice}: other bytes");
        }
        assert_eq!(server.connections() - before, 1, "{splice}");
    });
}

#[test]
fn a_long_answer_in_chunks_arrives_whole_whatever_the_chunks() {
    let sizes = [1, 70_000, 65_536, 5, 1_000_000, 65_537, 300, 200_000];
    let server = Upstream::playing(move |connection| {
        while connection.read_request()?.is_some() {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for size in sizes {
                connection.send(format!("{size:x}\r\n"))?;
                connection.send(pattern(size))?;
                connection.send("\r\n")?;
            }
            connection.send("0\r\n\r\n")?;
        }
        Ok(())
    });
    let expected: Vec<u8> = sizes.iter().flat_map(|&size| pattern(size)).collect();
    both_ways(HTTP, &[("server", &server), ("more", &"")], |proxy, splice| {
        let mut client = proxy.client();
        for _ in 0..2 {
            assert!(client.ask(common::get("/")).body == expected, "{splice}: other bytes");
        }
    });
}

#[test]
fn a_long_request_body_arrives_whole_in_either_framing() {
    let server = Upstream::playing(|connection| {
        while let Some(request) = connection.read_request()? {
            let right = request.body == pattern(SIZE);
            connection.send(common::ok(if right { "right" } else { "wrong" }))?;
        }
        Ok(())
    });
    both_ways(HTTP, &[("server", &server), ("more", &"")], |proxy, splice| {
        let mut client = proxy.client();
        for method in ["POST", "PUT"] {
            client
                .send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
            client.send(pattern(SIZE));
            assert_eq!(client.read_response().text(), "right", "{splice} {method} with a length");
            client.send(format!(
                "{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            ));
            for piece in pattern(SIZE).chunks(1_500_000) {
                client.send(format!("{:x}\r\n", piece.len()));
                client.send(piece);
                client.send("\r\n");
            }
            client.send("0\r\n\r\n");
            assert_eq!(client.read_response().text(), "right", "{splice} {method} in chunks");
        }
    });
}

#[test]
fn a_cut_within_a_long_answer_is_visible() {
    let server = Upstream::playing(|connection| {
        connection.read_request()?;
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"))?;
        connection.send(pattern(SIZE - 1))
    });
    both_ways(HTTP, &[("server", &server), ("more", &"")], |proxy, splice| {
        let mut client = proxy.client();
        client.send(common::get("/"));
        let end = client.try_read_response().expect_err("one byte is missing");
        assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof, "{splice}");
    });
}

#[test]
fn what_is_left_in_a_pipe_reaches_nobody_else() {
    // Every body is of one letter; clients leave in the middle of theirs.
    let server = Upstream::playing(|connection| {
        while let Some(request) = connection.read_request()? {
            let letter = request.start.as_bytes()["GET /".len()];
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"))?;
            connection.send(vec![letter; SIZE])?;
        }
        Ok(())
    });
    both_ways(HTTP, &[("server", &server), ("more", &"")], |proxy, splice| {
        for _ in 0..8 {
            let mut leaving = proxy.client();
            leaving.send(common::get("/a"));
            leaving.read_exactly(300_000);
            leaving.reset();
            let answer = proxy.client().ask(common::get("/b"));
            assert!(answer.body.iter().all(|&byte| byte == b'b'), "{splice}: foreign bytes");
            assert_eq!(answer.body.len(), SIZE);
        }
    });
}

#[test]
fn a_body_beyond_the_limit_is_refused_while_it_comes() {
    let server = Upstream::silent();
    let more = "client_max_body_size 1m;";
    both_ways(HTTP, &[("server", &server), ("more", &more)], |proxy, splice| {
        let mut client = proxy.client();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n");
        client.send(pattern(2 << 20));
        assert_eq!(client.read_response().status(), 413, "{splice}");
    });
}

/// Sends the pattern while reading what comes back.
fn there_and_back(client: &mut Client, splice: &str) {
    let wire = std::sync::Arc::clone(client.wire());
    let sender = std::thread::spawn(move || {
        std::io::Write::write_all(&mut &*wire, &pattern(SIZE)).expect("the tunnel takes it");
        wire.shutdown(std::net::Shutdown::Write);
    });
    let came = client.reader().body(Framing::Length(SIZE as u64)).expect("all of it");
    assert!(came == pattern(SIZE), "{splice}: other bytes");
    sender.join().expect("it was sent");
    assert!(client.is_closed());
}

#[test]
fn a_tunnel_carries_much_in_both_directions() {
    let server = Upstream::playing(Connection::echo);
    let stream = "stream { server { listen {listen}; proxy_pass {server}; } }";
    both_ways(stream, &[("server", &server)], |proxy, splice| {
        there_and_back(&mut proxy.client(), splice);
    });
    let server = Upstream::playing(|connection| {
        connection.read_head()?;
        connection.send(SWITCHED)?;
        connection.echo()
    });
    both_ways(HTTP, &[("server", &server), ("more", &UPGRADES)], |proxy, splice| {
        let mut client = proxy.client();
        client.send(UPGRADE);
        assert_eq!(client.read_head().status(), 101);
        there_and_back(&mut client, splice);
    });
}

#[test]
fn an_idle_tunnel_holds_no_pipe() {
    let server = Upstream::playing(Connection::echo);
    let stream = "stream { server { listen {listen}; proxy_pass {server}; } }";
    both_ways(stream, &[("server", &server)], |proxy, _| {
        let mut clients: Vec<Client> = (0..40).map(|_| proxy.client()).collect();
        for client in &mut clients {
            client.send(pattern(100_000));
            client.read_exactly(100_000);
        }
        wait_until("pipes to be given back", || pipes(proxy) <= 2 * 16);
    });
}
