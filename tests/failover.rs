//! What a client notices when servers refuse, vanish, break off or come back: as little as allowed.

#![allow(clippy::disallowed_methods, reason = "these tests measure real time")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{Message, Proxy, Upstream, get, nginx_differs, ok, post, wait_until};

/// A primary with these parameters and a backup behind one location with these directives.
fn pair(primary: &Upstream, parameters: &str, backup: &Upstream, directives: &str) -> Proxy {
    let conf =
        "upstream group { server {primary} {parameters}; server {backup} backup; keepalive 8; }
        server { listen {listen}; location / { proxy_pass http://group; {directives} } }";
    Proxy::start(
        conf,
        &[
            ("primary", primary),
            ("parameters", &parameters),
            ("backup", backup),
            ("directives", &directives),
        ],
    )
}

/// Asks once on a new connection and takes the time.
fn timed(proxy: &Proxy, request: impl AsRef<[u8]>) -> (Message, Duration) {
    let start = Instant::now();
    (proxy.client().ask(request), start.elapsed())
}

/// Longer than a loopback exchange ever takes, shorter than any timeout set here.
const AT_ONCE: Duration = Duration::from_millis(400);

#[test]
fn a_refused_primary_moves_a_get_to_the_backup() {
    let (primary, backup) = (Upstream::refusing("a"), Upstream::named("b"));
    let proxy = pair(&primary, "", &backup, "");
    let (answer, time) = timed(&proxy, get("/"));
    assert_eq!(answer.text(), "b");
    assert!(time < AT_ONCE, "{time:?}");
}

#[test]
fn a_refused_primary_moves_a_post_with_its_body_to_the_backup() {
    let (primary, backup) = (Upstream::refusing("a"), Upstream::named("b"));
    let proxy = pair(&primary, "", &backup, "");
    // Larger than any buffer: nothing of it was sent when the primary refused.
    let body = "select 1;".repeat(500_000);
    assert_eq!(proxy.client().ask(post("/", &body)).text(), "b");
    assert_eq!(backup.wait_for_request(1).text(), body);
    assert_eq!(backup.requests().len(), 1);
}

#[test]
fn a_reset_before_the_answer_moves_what_may_be_repeated() {
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"] {
        let (primary, backup) =
            (Upstream::resetting(), Upstream::answering("HTTP/1.1 204 b\r\n\r\n"));
        let proxy = pair(&primary, "", &backup, "");
        let answer = proxy
            .client()
            .ask(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"));
        assert_eq!(answer.status(), 204, "{method}");
        assert_eq!((primary.requests().len(), backup.requests().len()), (1, 1), "{method}");
        assert_eq!(backup.requests()[0].text(), "body", "{method}");
    }
}

#[test]
fn a_post_whose_server_breaks_off_is_a_502_and_was_delivered_once() {
    for primary in [Upstream::resetting(), Upstream::answering_and_closing("")] {
        let backup = Upstream::named("b");
        let proxy = pair(&primary, "", &backup, "");
        assert_eq!(proxy.client().ask(post("/", "insert")).status(), 502);
        assert_eq!((primary.requests().len(), backup.requests().len()), (1, 0));
    }
}

#[test]
fn non_idempotent_lets_a_post_move() {
    let (primary, backup) = (Upstream::resetting(), Upstream::named("b"));
    let proxy = pair(&primary, "", &backup, "proxy_next_upstream error timeout non_idempotent;");
    assert_eq!(proxy.client().ask(post("/", "insert")).text(), "b");
    assert_eq!(backup.wait_for_request(1).text(), "insert");
}

#[test]
fn a_blackholed_primary_costs_one_connect_timeout_and_moves_a_post() {
    let (primary, backup) = (Upstream::blackholed("a"), Upstream::named("b"));
    let proxy = pair(&primary, "fail_timeout=30s", &backup, "proxy_connect_timeout 500ms;");
    let (answer, time) = timed(&proxy, post("/", "body"));
    assert_eq!(answer.text(), "b");
    assert!((Duration::from_millis(450)..Duration::from_secs(3)).contains(&time), "{time:?}");
    assert_eq!(backup.wait_for_request(1).text(), "body");
    let (answer, time) = timed(&proxy, get("/"));
    assert_eq!(answer.text(), "b");
    assert!(time < AT_ONCE, "{time:?}");
}

#[test]
fn one_verdict_moves_everybody_who_waits_for_the_same_server() {
    if nginx_differs("lets each request wait its own timeout") {
        return;
    }
    let (primary, backup) = (Upstream::blackholed("a"), Upstream::named("b"));
    let proxy = pair(&primary, "", &backup, "proxy_connect_timeout 1s;");
    let mut first = proxy.client();
    first.send(get("/"));
    // The second comes half a timeout later.
    assert!(first.is_silent_for(Duration::from_millis(500)));
    let mut second = proxy.client();
    second.send(post("/", "body"));
    assert_eq!(first.read_response().text(), "b");
    let after = Instant::now();
    assert_eq!(second.read_response().text(), "b");
    assert!(after.elapsed() < AT_ONCE, "{:?}", after.elapsed());
}

#[test]
fn no_later_request_is_delayed_while_a_blackholed_primary_stays_dead() {
    if nginx_differs("lets one request try the server each fail_timeout") {
        return;
    }
    let (primary, backup) = (Upstream::blackholed("a"), Upstream::named("b"));
    let proxy = pair(&primary, "fail_timeout=1s", &backup, "proxy_connect_timeout 500ms;");
    assert_eq!(proxy.client().ask(get("/")).text(), "b");
    let end = Instant::now() + Duration::from_millis(2600);
    while Instant::now() < end {
        let (answer, time) = timed(&proxy, get("/"));
        assert_eq!(answer.text(), "b");
        assert!(time < AT_ONCE, "{time:?}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_primary_that_returns_is_used_again() {
    for mut primary in [Upstream::refusing("a"), Upstream::blackholed("a")] {
        let backup = Upstream::named("b");
        let proxy = pair(&primary, "fail_timeout=1s", &backup, "proxy_connect_timeout 300ms;");
        assert_eq!(proxy.client().ask(get("/")).text(), "b");
        primary.start();
        wait_until("the primary to be used again", || proxy.client().ask(get("/")).text() == "a");
        for _ in 0..5 {
            assert_eq!(proxy.client().ask(get("/")).text(), "a");
        }
    }
}

#[test]
fn a_server_is_out_after_max_fails_failures() {
    let (primary, backup) = (Upstream::resetting(), Upstream::named("b"));
    let proxy = pair(&primary, "max_fails=2 fail_timeout=60s", &backup, "");
    for expected in [1, 2, 2, 2] {
        assert_eq!(proxy.client().ask(get("/")).text(), "b");
        assert_eq!(primary.connections(), expected);
    }
}

#[test]
fn max_fails_zero_never_takes_a_server_out() {
    let (primary, backup) = (Upstream::resetting(), Upstream::named("b"));
    let proxy = pair(&primary, "max_fails=0 fail_timeout=60s", &backup, "");
    for n in 1..5 {
        assert_eq!(proxy.client().ask(get("/")).text(), "b");
        assert_eq!(primary.connections(), n);
    }
}

#[test]
fn a_lone_server_is_never_out() {
    let mut server = Upstream::refusing("a");
    let proxy = Proxy::before(&server, "");
    for _ in 0..3 {
        assert_eq!(proxy.client().ask(get("/")).status(), 502);
    }
    server.start();
    assert_eq!(proxy.client().ask(get("/")).text(), "a");
}

#[test]
fn with_all_servers_down_the_answer_is_a_short_502_at_once() {
    let (primary, backup) = (Upstream::refusing("a"), Upstream::refusing("b"));
    let proxy = pair(&primary, "fail_timeout=60s", &backup, "");
    for request in [get("/"), post("/", "body"), get("/")] {
        let (answer, time) = timed(&proxy, request);
        assert_eq!(answer.status(), 502);
        assert!(answer.body.len() < 1000 && answer.field("Content-Length").is_some());
        assert!(time < AT_ONCE, "{time:?}");
    }
}

#[test]
fn silence_is_a_504_and_a_get_moves_first() {
    let (primary, backup) = (Upstream::silent(), Upstream::named("b"));
    let proxy = pair(&primary, "max_fails=0", &backup, "proxy_read_timeout 300ms;");
    assert_eq!(proxy.client().ask(get("/")).text(), "b");
    assert_eq!(proxy.client().ask(post("/", "body")).status(), 504);
    assert_eq!(backup.requests().len(), 1);
    let lone = Proxy::before(&primary, "proxy_read_timeout 300ms;");
    assert_eq!(lone.client().ask(get("/")).status(), 504);
}

#[test]
fn silence_counts_only_once_the_request_is_sent() {
    let server = Upstream::named("a");
    let proxy = Proxy::before(&server, "proxy_read_timeout 300ms;");
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo");
    assert!(client.is_silent_for(Duration::from_millis(900)));
    client.send("dy");
    assert_eq!(client.read_response().text(), "a");
}

#[test]
fn a_listed_status_moves_a_get_and_passes_through_at_the_end() {
    let busy = || Upstream::answering("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    let (primary, backup) = (busy(), Upstream::named("b"));
    let directives = "proxy_next_upstream error timeout http_503;";
    let proxy = pair(&primary, "max_fails=0", &backup, directives);
    assert_eq!(proxy.client().ask(get("/")).text(), "b");
    let answer = proxy.client().ask(post("/", "body"));
    assert_eq!((answer.status(), answer.text().as_str()), (503, "busy"));
    let (primary, backup) = (busy(), busy());
    let answer = pair(&primary, "", &backup, directives).client().ask(get("/"));
    assert_eq!((answer.status(), answer.text().as_str()), (503, "busy"));
    assert_eq!(backup.requests().len(), 1);
}

#[test]
fn an_unlisted_status_is_nobodys_failure() {
    let primary = Upstream::answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let backup = Upstream::named("b");
    let proxy = pair(&primary, "", &backup, "");
    for _ in 0..3 {
        assert_eq!(proxy.client().ask(get("/")).status(), 503);
    }
    assert_eq!(backup.connections(), 0);
}

#[test]
fn off_moves_nothing() {
    let (primary, backup) = (Upstream::refusing("a"), Upstream::named("b"));
    let proxy = pair(&primary, "max_fails=0", &backup, "proxy_next_upstream off;");
    assert_eq!(proxy.client().ask(get("/")).status(), 502);
    assert_eq!(backup.connections(), 0);
}

#[test]
fn tries_caps_the_attempts() {
    let dead = [Upstream::refusing("a"), Upstream::refusing("b")];
    let alive = Upstream::named("c");
    let conf =
        "upstream group { server {a} max_fails=0; server {b} max_fails=0; server {c} backup; }
        server { listen {listen};
            location / { proxy_pass http://group; proxy_next_upstream_tries 2; }
            location /3 { proxy_pass http://group; proxy_next_upstream_tries 3; } }";
    let proxy = Proxy::start(conf, &[("a", &dead[0]), ("b", &dead[1]), ("c", &alive)]);
    assert_eq!(proxy.client().ask(get("/")).status(), 502);
    assert_eq!(proxy.client().ask(get("/3")).text(), "c");
}

#[test]
fn the_next_upstream_timeout_ends_the_attempts() {
    let (primary, backup) = (Upstream::silent(), Upstream::named("b"));
    let directives = "proxy_read_timeout 500ms; proxy_next_upstream_timeout 200ms;";
    let proxy = pair(&primary, "", &backup, directives);
    assert_eq!(proxy.client().ask(get("/")).status(), 504);
    assert_eq!(backup.connections(), 0);
}

#[test]
fn a_malformed_head_is_a_502_and_moves_where_that_is_listed() {
    let (primary, backup) = (
        Upstream::answering_and_closing("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
        Upstream::named("b"),
    );
    let proxy = pair(&primary, "max_fails=0", &backup, "");
    if !nginx_differs("passes over fields without a colon") {
        assert_eq!(proxy.client().ask(get("/")).status(), 502);
        let proxy = pair(
            &primary,
            "max_fails=0",
            &backup,
            "proxy_next_upstream error timeout invalid_header;",
        );
        assert_eq!(proxy.client().ask(get("/")).text(), "b");
        assert_eq!(proxy.client().ask(post("/", "body")).status(), 502);
    }
}

#[test]
fn an_idle_connection_that_the_server_closed_is_not_noticed() {
    let server = Upstream::answering_and_closing(ok("a"));
    let proxy = Proxy::before(&server, "");
    let mut client = proxy.client();
    for n in 1..10 {
        assert_eq!(client.ask(post("/", "body")).text(), "a");
        server.wait_until_left_alone();
        assert_eq!(server.requests().len(), n);
    }
}

/// Answers the first request of each connection and resets at the second.
fn breaking_on_reuse() -> Upstream {
    Upstream::playing(|connection| {
        connection.read_request()?;
        connection.send(ok("a"))?;
        connection.read_request()?;
        connection.reset();
        Ok(())
    })
}

#[test]
fn a_pooled_connection_that_breaks_is_not_the_servers_failure() {
    if nginx_differs("counts it") {
        return;
    }
    let (primary, backup) = (breaking_on_reuse(), Upstream::named("b"));
    let proxy = pair(&primary, "fail_timeout=60s", &backup, "");
    let mut client = proxy.client();
    for _ in 0..6 {
        assert_eq!(client.ask(get("/")).text(), "a");
    }
    assert_eq!(backup.connections(), 0);
}

#[test]
fn a_post_on_a_pooled_connection_that_breaks_is_delivered_once() {
    let (primary, backup) = (breaking_on_reuse(), Upstream::named("b"));
    let proxy = pair(&primary, "fail_timeout=60s", &backup, "");
    let mut client = proxy.client();
    assert_eq!(client.ask(get("/")).text(), "a");
    assert_eq!(client.ask(post("/", "insert")).status(), 502);
    assert_eq!((primary.requests().len(), backup.requests().len()), (2, 0));
}

#[test]
fn weights_share_out_the_requests() {
    let (a, b) = (Upstream::named("a"), Upstream::named("b"));
    let conf = "upstream group { server {a} weight=3; server {b}; keepalive 8; }
        server { listen {listen}; location / { proxy_pass http://group; } }";
    let proxy = Proxy::start(conf, &[("a", &a), ("b", &b)]);
    let mut client = proxy.client();
    let served: String = (0..40).map(|_| client.ask(get("/")).text()).collect();
    assert_eq!(served, "aaba".repeat(10));
}

#[test]
fn a_server_that_is_down_is_never_asked() {
    let (a, b) = (Upstream::named("a"), Upstream::named("b"));
    let proxy = pair(&a, "down", &b, "");
    for _ in 0..3 {
        assert_eq!(proxy.client().ask(get("/")).text(), "b");
    }
    assert_eq!(a.connections(), 0);
}

#[test]
fn a_backup_is_asked_only_when_no_primary_is_left() {
    let (mut a, b, c) = (Upstream::named("a"), Upstream::refusing("b"), Upstream::named("c"));
    let conf = "upstream group { server {a}; server {b}; server {c} backup; keepalive 8; }
        server { listen {listen}; location / { proxy_pass http://group; } }";
    let proxy = Proxy::start(conf, &[("a", &a), ("b", &b), ("c", &c)]);
    for _ in 0..6 {
        assert_eq!(proxy.client().ask(get("/")).text(), "a");
    }
    a.stop();
    assert_eq!(proxy.client().ask(get("/")).text(), "c");
}

/// A head that promises more than comes, and the way the connection ends.
fn check_cut(request: &str, answer: Upstream) {
    let proxy = Proxy::before(&answer, "");
    let mut client = proxy.client();
    client.send(request);
    let cut = client.try_read_response();
    assert!(cut.is_err(), "a cut answer looks whole: {:?}", cut.map(|answer| answer.text()));
}

#[test]
fn a_cut_answer_looks_cut_to_the_client() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n";
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for answer in [length, chunks] {
        check_cut(request, Upstream::answering_and_closing(answer));
        check_cut(request, Upstream::answering_and_resetting(answer));
    }
    check_cut("GET / HTTP/1.0\r\n\r\n", Upstream::answering_and_closing(length));
}

#[test]
fn a_cut_answer_without_framing_is_a_reset_to_an_old_client() {
    if nginx_differs("closes in order") {
        return;
    }
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n";
    check_cut("GET / HTTP/1.0\r\n\r\n", Upstream::answering_and_closing(chunks));
}

#[test]
fn an_answer_that_has_begun_is_never_continued_elsewhere() {
    let (primary, backup) = (
        Upstream::answering_and_resetting("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"),
        Upstream::named("b"),
    );
    let proxy = pair(&primary, "max_fails=0", &backup, "");
    let mut client = proxy.client();
    client.send(get("/"));
    assert!(client.try_read_response().is_err());
    assert_eq!(backup.connections(), 0);
}

#[test]
fn a_body_too_long_to_keep_cannot_move() {
    if nginx_differs("has no such buffer") {
        return;
    }
    let (primary, backup) = (Upstream::resetting(), Upstream::named("b"));
    let proxy = pair(&primary, "max_fails=0", &backup, "proxy_replay_buffer_size 16k;");
    let put = |length: usize| {
        let body = "x".repeat(length);
        proxy
            .client()
            .ask(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"))
    };
    assert_eq!(put(1_000).text(), "b");
    assert_eq!(backup.requests()[0].body.len(), 1_000);
    assert_eq!(put(1_000_000).status(), 502);
    assert_eq!(backup.requests().len(), 1);
}

#[test]
fn killing_the_primary_under_load_fails_no_get() {
    let (mut primary, backup) = (Upstream::named("a"), Upstream::named("b"));
    let proxy = pair(&primary, "max_fails=1 fail_timeout=3s", &backup, "proxy_connect_timeout 3s;");
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (failed, failures) = mpsc::channel();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, served, failed) = (Arc::clone(&stop), Arc::clone(&served), failed.clone());
            let mut client = proxy.client();
            thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let answer = client.ask(get("/"));
                    if !["a", "b"].contains(&answer.text().as_str()) {
                        let _ = failed.send(answer.head_text());
                        return;
                    }
                    served.fetch_add(1, Ordering::SeqCst);
                    thread::park_timeout(Duration::from_millis(1));
                }
            })
        })
        .collect();
    wait_until("some load", || served.load(Ordering::SeqCst) > 100);
    primary.stop();
    backup.wait_for_request(200);
    stop.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(failures.try_iter().collect::<Vec<_>>(), Vec::<String>::new());
}
