//! What hostile peers and scarce resources may cost: a connection, never the process, its memory,
//! its descriptors, its time or somebody else's request.

#![allow(clippy::disallowed_methods, reason = "these tests measure real time")]

mod common;

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    Client, PATIENCE, Proxy, SWITCHED, UPGRADE, UPGRADES, Upstream, Wire, binary, gate, get,
    nginx_differs, ok, post, wait_until,
};

/// Descriptors that the proxy has open, but for pipes: some are kept for the next long body.
fn descriptors(proxy: &Proxy) -> usize {
    proxy.open_files().iter().filter(|target| !target.starts_with("pipe:")).count()
}

/// Clock ticks (10 ms) of processor time that the proxy has used.
fn ticks(proxy: &Proxy) -> u64 {
    let stat = proxy.kernel_says("stat");
    let (_, fields) = stat.rsplit_once(')').expect("Linux");
    let fields = fields.split_whitespace().skip(11).take(2);
    fields.map(|field| field.parse::<u64>().expect("a number")).sum()
}

/// For a while, the proxy uses no processor time.
fn check_idle(proxy: &Proxy) {
    let before = ticks(proxy);
    thread::park_timeout(MEASURED);
    let used = ticks(proxy) - before;
    assert!(used <= IDLE_TICKS, "{used} ticks");
}

/// Runs `meanwhile` while the proxy stands still, so that it meets all of it at once.
fn at_once(proxy: &Proxy, meanwhile: impl FnOnce()) {
    proxy.signal("STOP");
    wait_until("the proxy to stand still", || proxy.kernel_says("stat").contains(") T "));
    meanwhile();
    proxy.signal("CONT");
}

/// Waits until the proxy has no more descriptors open than this.
fn wait_for_descriptors(proxy: &Proxy, at_most: usize) {
    wait_until("descriptors to be closed", || descriptors(proxy) <= at_most);
}

#[test]
fn options_in_absolute_form_without_a_path_asks_for_everything() {
    if nginx_differs("passes another target") {
        return;
    }
    let server = Upstream::named("a");
    let mut proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send("OPTIONS http://example.com HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.try_read_response();
    assert!(proxy.runs(), "{}", proxy.log_text());
    assert_eq!(answer.expect("an answer").text(), "a");
    assert_eq!(server.wait_for_request(1).start, "OPTIONS * HTTP/1.1");
}

#[test]
fn an_answer_that_begins_before_a_put_is_whole_ends_nothing_but_the_connection() {
    let (go_on, may_go_on) = gate();
    let server = Upstream::playing(move |connection| {
        connection.read_head()?;
        connection.read_body(common::Framing::Length(5))?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")?;
        may_go_on()?;
        connection.read_body(common::Framing::Length(5))?;
        connection.send("cd")
    });
    let mut proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst");
    let head = client.reader().head().expect("an answer").expect("an answer");
    assert_eq!((head.status(), client.read_exactly(2)), (200, b"ab".to_vec()));
    client.send("other");
    go_on.send(()).expect("the server waits");
    // The rest of the body, or the end where the proxy is no more.
    let _ = client.reader().rest();
    assert!(proxy.runs(), "{}", proxy.log_text());
    assert!(client.seen().ends_with("abcd"), "{:?}", client.seen());
}

/// What of a body comes after its request was answered by a page is nobody's: least of all a
/// request of its own.
#[test]
fn the_rest_of_a_body_does_not_follow_the_request_for_an_error_page() {
    let page = Upstream::playing(|connection| {
        connection.read_request()?;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npa")?;
        // The client sends the rest of its body now: none of it may come here.
        connection.wire().set_timeout(Duration::from_millis(300));
        let _ = connection.read_some(&mut [0; 1 << 10]);
        connection.send("ge")?;
        connection.wait_for_end()
    });
    let dead = Upstream::refusing("a");
    let conf = "upstream dead { server {dead}; } upstream page { server {page}; }
        server {
            listen {listen}; error_page 502 /sorry;
            location / { proxy_pass http://dead; }
            location /sorry { proxy_pass http://page; }
        }";
    let proxy = Proxy::start(conf, &[("dead", &dead), ("page", &page)]);
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    let head = client.reader().head().expect("an answer").expect("an answer");
    assert_eq!((head.status(), client.read_exactly(2)), (502, b"pa".to_vec()));
    client.send("GET /smuggled HTTP/1.1\r\nHost: internal\r\n\r\n");
    let _ = client.reader().rest();
    let received = page.received().concat();
    let received = String::from_utf8_lossy(&received);
    assert!(!received.contains("smuggled"), "{received}");
}

#[test]
fn a_client_that_reads_late_gets_all_of_the_last_answer() {
    // All of it fits into the system's buffers: the proxy is done long before the client reads.
    let body = "x".repeat(200_000);
    let server = Upstream::answering_and_closing(ok(&body));
    let conf = "server {
        listen {listen} sndbuf=1m; lingering_timeout 100ms; keepalive_timeout 100ms;
        location / { proxy_pass http://{server}; }
    }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    let base = descriptors(&proxy);
    let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /unread",
    ];
    for (n, request) in requests.iter().enumerate() {
        let mut client = proxy.client();
        client.send(request);
        server.wait_for_request(n + 1);
        wait_for_descriptors(&proxy, base);
        let answer = client.try_read_response();
        assert_eq!(answer.map(|answer| answer.text().len()).ok(), Some(200_000), "{request}");
    }
}

/// A trial is over when its server has shown that it answers, not when its client is.
#[test]
fn a_slow_client_on_trial_does_not_keep_a_server_out() {
    if nginx_differs("tries another request each fail_timeout") {
        return;
    }
    let mut primary = Upstream::playing(|connection| {
        while let Some(request) = connection.read_request()? {
            let body = if request.start.contains("/large") { 20_000_000 } else { 1 };
            connection.send(ok(&"a".repeat(body)))?;
        }
        Ok(())
    });
    primary.stop();
    let backup = Upstream::named("b");
    let conf = "upstream group { server {primary} fail_timeout=1s; server {backup} backup; }
        server { listen {listen}; location / { proxy_pass http://group; } }";
    let proxy = Proxy::start(conf, &[("primary", &primary), ("backup", &backup)]);
    assert_eq!(proxy.client().ask(get("/")).text(), "b");
    primary.start();
    proxy.wait_for_log(&["accepts connections"]);
    let mut slow = proxy.client();
    slow.send(get("/large"));
    assert_eq!(slow.reader().head().expect("an answer").expect("an answer").status(), 200);
    wait_until("the primary to serve others", || proxy.client().ask(get("/")).text() == "a");
}

/// The connections that a proxy keeps for itself must make room for clients.
#[test]
fn idle_connections_to_servers_do_not_keep_clients_out() {
    if nginx_differs("counts otherwise") {
        return;
    }
    let server = Upstream::named("a");
    let groups: String =
        (0..24).map(|n| format!("upstream g{n} {{ server {server}; keepalive 2; }}\n")).collect();
    let locations: String =
        (0..24).map(|n| format!("location /{n}/ {{ proxy_pass http://g{n}; }}\n")).collect();
    let proxy = Proxy::start_whole(
        "daemon off; pid {dir}/proxy.pid; error_log stderr info;
         events { worker_connections 20; }
         http { access_log off; {groups} server { listen {listen}; {locations} } }",
        &[("groups", &groups), ("locations", &locations)],
    );
    for n in 0..24 {
        let mut client = proxy.client();
        client.send(get(&format!("/{n}/")));
        let answer = client.try_read_response();
        assert!(answer.is_ok(), "client {n} waits in vain");
    }
}

#[test]
fn a_fail_timeout_of_nothing_does_not_stop_the_rest() {
    let backup = Upstream::named("b");
    let conf = "upstream group { server unix:{dir}/nobody fail_timeout=0; server {backup} backup; }
        server { listen {listen}; location / { proxy_pass http://group; } }";
    let proxy = Proxy::start(conf, &[("backup", &backup)]);
    for _ in 0..3 {
        let mut client = proxy.client();
        client.send(get("/"));
        assert_eq!(client.try_read_response().map(|answer| answer.text()).ok(), Some("b".into()));
    }
    check_idle(&proxy);
}

#[test]
fn a_client_that_sends_much_of_a_body_and_leaves_at_once_frees_its_server() {
    let server = Upstream::silent();
    let proxy = Proxy::before(&server, "");
    let base = descriptors(&proxy);
    // Around the size of the first read: what comes with the head, and what has to be read apart.
    for length in [100, 5_000, 20_000, 60_000] {
        let mut client = proxy.client();
        wait_until("the client to be accepted", || descriptors(&proxy) > base);
        at_once(&proxy, || {
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{}",
                "x".repeat(length)
            ));
            drop(client);
        });
        wait_until(&format!("{length} bytes and an end to be noticed"), || {
            descriptors(&proxy) <= base
        });
    }
}

#[test]
fn a_client_that_pipelines_much_and_ends_gets_its_answers_and_an_end() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    for count in [1, 100, 300, 900] {
        let mut client = proxy.client();
        assert_eq!(client.ask(get("/")).text(), "a");
        at_once(&proxy, || {
            client.send(get("/").repeat(count));
            client.finish_sending();
        });
        // Whoever sends no more may be taken for one who has left, but is not kept waiting.
        let end = client.reader().rest().map_err(|why| why.kind());
        assert_ne!(end, Err(ErrorKind::WouldBlock), "{count} requests and an end");
    }
}

#[test]
fn a_body_that_is_refused_gets_its_answer_though_the_end_comes_with_it() {
    if nginx_differs("takes the end for a client that left") {
        return;
    }
    let server = Upstream::silent();
    let proxy = Proxy::before(&server, "client_max_body_size 10;");
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bodies = [
        ("3\r\nabc\r\nno chunk\r\n", 400),
        ("b\r\nhello world\r\n", 413),
        ("b\r\nhello world\r\n0\r\n\r\n", 413),
    ];
    for (n, (body, status)) in bodies.into_iter().enumerate() {
        let (mut whole, mut later) = (proxy.client(), proxy.client());
        later.send(head);
        server.wait_for_connections(2 * n + 1);
        at_once(&proxy, || {
            whole.send([head, body].concat());
            whole.finish_sending();
            later.send(body);
            later.finish_sending();
        });
        for mut client in [whole, later] {
            let answer = client.try_read_response();
            assert_eq!(answer.map(|answer| answer.status()).ok(), Some(status), "{body:?}");
        }
    }
}

#[test]
fn a_client_that_resets_while_its_server_takes_nothing_frees_it() {
    let (end, ended) = gate();
    let server = Upstream::playing(move |connection| {
        connection.read_head()?;
        ended()
    });
    let proxy = Proxy::before(&server, "");
    let base = descriptors(&proxy);
    let client = proxy.client();
    client.wire().set_timeout(Duration::from_millis(300));
    let mut wire: &Wire = client.wire();
    write!(wire, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        .expect("taken");
    while wire.write_all(&[b'x'; 64 << 10]).is_ok() {}
    client.reset();
    wait_for_descriptors(&proxy, base);
    drop(end);
}

#[test]
fn a_client_that_resets_while_its_server_is_connected_to_frees_it() {
    let server = Upstream::blackholed("a");
    let proxy = Proxy::before(&server, "");
    let base = descriptors(&proxy);
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
    ] {
        let mut client = proxy.client();
        client.send(request);
        wait_until("a connect to begin", || descriptors(&proxy) == base + 2);
        client.reset();
        wait_until(&format!("{request:?} to be given up"), || descriptors(&proxy) <= base);
    }
}

#[test]
fn a_tunnel_whose_server_is_gone_ends_with_the_next_bytes() {
    let server = Upstream::playing(|connection| {
        connection.read_head()?;
        connection.send(SWITCHED)
    });
    let proxy = Proxy::before(&server, UPGRADES);
    let base = descriptors(&proxy);
    let mut client = proxy.client();
    client.send(UPGRADE);
    assert!(client.read_to_end().starts_with(b"HTTP/1.1 101"));
    wait_until("the tunnel to end", || {
        client.send("x");
        descriptors(&proxy) <= base
    });
}

#[test]
fn interim_answers_that_nobody_reads_take_little_memory() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let fields: String = (0..900).map(|n| format!("Link-{n}: {}\r\n", "x".repeat(2_000))).collect();
    let server = Upstream::playing(move |connection| {
        connection.read_request()?;
        for _ in 0..INTERIM {
            connection.send(format!("HTTP/1.1 103 Early Hints\r\n{fields}\r\n"))?;
            counter.fetch_add(1, Ordering::Relaxed);
        }
        connection.send(ok("a"))
    });
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    client.send(get("/"));
    // Until the server has sent all, or cannot go on.
    let mut seen = (0, Instant::now());
    wait_until("the server to get stuck", || {
        let now = sent.load(Ordering::Relaxed);
        if now != seen.0 {
            seen = (now, Instant::now());
        }
        now == INTERIM || seen.1.elapsed() > Duration::from_millis(500)
    });
    assert!(proxy.peak_memory() < 24 << 10, "{} KiB", proxy.peak_memory());
}

/// Large interim answers in that test.
const INTERIM: usize = 30;

/// A proxy that may have so many descriptors, for a server behind one location.
fn with_descriptors(limit: usize, server: &Upstream) -> Proxy {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\"")).arg(binary());
    let text = "daemon off; pid {dir}/proxy.pid; error_log stderr info;
        events { worker_connections 1024; }
        http { access_log off; upstream group { server {server}; }
               server { listen {listen}; location / { proxy_pass http://group; } } }";
    Proxy::start_as(command, Stdio::piped(), text, &[("server", server)])
}

/// Asks, and sees to it that the answer comes at once.
fn ask_at_once(client: &mut Client, what: &str) {
    let begun = Instant::now();
    assert_eq!(client.ask(get("/")).text(), "a", "{what}");
    assert!(begun.elapsed() < UNNOTICED, "{what}: {:?}", begun.elapsed());
}

/// A client in good standing never waits for longer.
const UNNOTICED: Duration = Duration::from_millis(100);

#[test]
fn out_of_descriptors_accepting_pauses_and_everything_else_goes_on() {
    if nginx_differs("needs descriptors to start") {
        return;
    }
    let (answer, may_answer) = gate();
    let server = Upstream::playing(move |connection| {
        while let Some(request) = connection.read_request()? {
            if request.start.contains("/wait") {
                may_answer()?;
            }
            connection.send(ok("a"))?;
        }
        Ok(())
    });
    let proxy = with_descriptors(48, &server);
    let base = descriptors(&proxy);

    // All of them have something at the server: none can go.
    let pauses = || proxy.log_text().contains("accepting pauses");
    let mut crowd = Vec::new();
    while !pauses() {
        let mut client = proxy.client();
        client.send(get("/wait"));
        crowd.push(client);
        wait_until("a request to be served or not", || {
            server.connections() == crowd.len() || pauses()
        });
        assert!(crowd.len() < 48, "there cannot be descriptors for all of them");
    }
    crowd.extend((0..20).map(|_| proxy.client()));
    crowd[..].iter_mut().rev().take(20).for_each(|client| client.send(get("/")));
    check_idle(&proxy);

    crowd.iter().for_each(|_| answer.send(()).expect("the server waits"));
    for client in &mut crowd {
        assert_eq!(client.read_response().text(), "a");
    }
    assert_eq!(proxy.client().ask(get("/")).text(), "a");
    drop(crowd);
    // Some idle connections to the server may be kept.
    wait_for_descriptors(&proxy, base + 32);
}

#[test]
fn with_fewer_descriptors_than_connections_idle_clients_make_room() {
    if nginx_differs("closes idle connections only when it has none") {
        return;
    }
    let server = Upstream::named("a");
    let proxy = with_descriptors(256, &server);
    let mut known = proxy.client();
    ask_at_once(&mut known, "the known client, alone");
    let mut idle = Vec::new();
    for n in 0..300 {
        idle.push(proxy.client());
        if n % 10 == 0 {
            ask_at_once(&mut known, "the known client, in the crowd");
        }
    }
    for _ in 0..20 {
        ask_at_once(&mut proxy.client(), "a new client");
        ask_at_once(&mut known, "the known client, behind the crowd");
    }
    ask_at_once(idle.last_mut().expect("three hundred"), "the last of the crowd");
}

#[test]
fn heads_that_are_not_sent_to_their_end_keep_no_client_out() {
    if nginx_differs("has no such limit") {
        return;
    }
    let server = Upstream::named("a");
    let proxy = Proxy::start_whole(
        "daemon off; pid {dir}/proxy.pid; error_log stderr info;
         events { worker_connections 400; worker_buffer_memory 48m; }
         http { access_log off; large_client_header_buffers 4 2m;
                server { listen {listen}; location / { proxy_pass http://{server}; } } }",
        &[("server", &server)],
    );
    let mut known = proxy.client();
    ask_at_once(&mut known, "the known client, alone");
    let field = format!("X: {}\r\n", "x".repeat(1 << 20));
    let head = |fields: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}", field.repeat(fields));
    let mut halves = Vec::new();
    for n in 0..500 {
        let mut client = proxy.client();
        client.send(head(if n < 20 { 6 } else { 0 }));
        halves.push(client);
        if n < 20 || n % 25 == 0 {
            ask_at_once(&mut known, "the known client, among halves");
            ask_at_once(&mut proxy.client(), "a new client, among halves");
        }
    }
    assert!(proxy.peak_memory() < 100 << 10, "{} KiB", proxy.peak_memory());
    let refused = halves[0].try_read_response();
    assert_eq!(refused.map(|answer| answer.status()).ok(), Some(503), "the first to go");
}

#[test]
fn after_a_crowd_descriptors_and_memory_return() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "");
    let base = descriptors(&proxy);
    let mut after = Vec::new();
    for _ in 0..4 {
        let mut crowd: Vec<Client> = (0..300).map(|_| proxy.client()).collect();
        crowd.iter_mut().for_each(|client| client.send(get("/")));
        crowd.iter_mut().for_each(|client| drop(client.read_response()));
        // Half of them begin another request and break it off.
        for client in crowd.iter_mut().step_by(2) {
            client.send(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(3_000)));
        }
        crowd.into_iter().step_by(3).for_each(Client::reset);
        wait_for_descriptors(&proxy, base + 8);
        after.push(proxy.memory());
    }
    assert!(after[3] <= after[0] + 1024, "{after:?} KiB");
    assert!(after[3] <= 8 << 10, "{after:?} KiB");
}

/// Every state in which somebody waits for somebody else, all at the same time.
#[test]
fn states_in_which_nothing_moves_cost_no_time() {
    let server = Upstream::playing(|connection| {
        let head = connection.read_head()?;
        if head.start.contains("/large") {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")?;
            connection.send("x".repeat(50_000_000))?;
        }
        if head.start.contains("/chunks") {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5")?;
        }
        if head.start.contains("/tunnel") {
            connection.send(SWITCHED)?;
            connection.finish_sending();
        }
        if head.start.contains("/half") {
            connection.send("HTTP/1.1 200 OK\r\nContent-Le")?;
        }
        // Nothing is read: a large request gets stuck.
        thread::park_timeout(PATIENCE);
        Ok(())
    });
    let blackhole = Upstream::blackholed("b");
    let conf = "upstream group { server {server}; } upstream hole { server {hole}; }
        server {
            listen {listen};
            location / { proxy_pass http://group; {upgrades} }
            location /hole { proxy_pass http://hole; }
        }";
    let values: [(&str, &dyn std::fmt::Display); 3] =
        [("server", &server), ("hole", &blackhole), ("upgrades", &UPGRADES)];
    let proxy = Proxy::start(conf, &values);
    let large = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n{}",
        "x".repeat(8_000_000)
    );
    let stuck: [(&[u8], bool); 14] = [
        (b"", false),
        (b"", true),
        (b"\r\n\r\n", false),
        (b"GET / HTT", false),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", false),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1", false),
        (&get("/"), false),
        (&get("/").repeat(2_000), false),
        (&get("/large"), false),
        (&get("/chunks"), false),
        (&get("/half"), false),
        (&get("/hole"), false),
        (&UPGRADE.replace("/ ", "/tunnel ").into_bytes(), false),
        (large.as_bytes(), true),
    ];
    let clients: Vec<Client> = stuck
        .iter()
        .map(|&(bytes, ends)| {
            let mut client = proxy.client();
            client.wire().set_timeout(Duration::from_millis(200));
            client.send(bytes);
            if ends {
                client.finish_sending();
            }
            client
        })
        .collect();
    let mut last = (ticks(&proxy), Instant::now());
    wait_until("everything to get stuck", || {
        let now = ticks(&proxy);
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > MEASURED
    });
    drop(clients);
}

#[test]
fn a_post_is_not_sent_on_a_connection_that_ends_as_it_comes() {
    if nginx_differs("handles events in the order in which they came") {
        return;
    }
    let (end, may_end) = gate();
    let server = Upstream::playing(move |connection| {
        connection.read_request()?;
        connection.send(ok("a"))?;
        may_end()
    });
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    assert_eq!(client.ask(get("/")).text(), "a");
    at_once(&proxy, || {
        client.send(post("/", "insert"));
        end.send(()).expect("the server waits");
        server.wait_until_left_alone();
    });
    assert_eq!(client.read_response().text(), "a");
    assert_eq!((server.requests().len(), server.connections()), (2, 2));
}

#[test]
fn a_request_that_waits_in_the_kernel_when_quit_comes_is_served() {
    if nginx_differs("closes idle connections first") {
        return;
    }
    let server = Upstream::named("a");
    let mut proxy = Proxy::before(&server, "");
    let (mut fresh, mut kept) = (proxy.client(), proxy.client());
    assert_eq!(kept.ask(get("/")).text(), "a");
    at_once(&proxy, || {
        proxy.signal("QUIT");
        fresh.send(get("/"));
        kept.send(get("/"));
    });
    assert_eq!(
        (fresh.read_response().text(), kept.read_response().text()),
        ("a".into(), "a".into())
    );
    assert!(proxy.wait_for_exit().success());
}

#[test]
fn who_does_not_read_holds_up_nobody_else() {
    let server = Upstream::answering(ok(&"x".repeat(20_000_000)));
    let proxy = Proxy::before(&server, "");
    let mut idlers: Vec<Client> = (0..4).map(|_| proxy.client()).collect();
    idlers.iter_mut().for_each(|client| client.send(get("/")));
    idlers.iter_mut().for_each(|client| drop(client.read_exactly(1)));
    assert_eq!(proxy.client().ask(get("/")).text().len(), 20_000_000);
    assert!(proxy.peak_memory() < 8 << 10, "{} KiB", proxy.peak_memory());
}

/// How long processor time is measured.
const MEASURED: Duration = Duration::from_millis(500);
/// Processor time that waking up now and then may take in that time: 10 ms each.
const IDLE_TICKS: u64 = 1;
