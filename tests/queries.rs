//! Queries of Trino: where they go, and what becomes of them when coordinators come and go.

#![allow(clippy::disallowed_methods, reason = "these tests measure real time")]

mod common;

use std::time::{Duration, Instant};

use common::{Coordinator, Message, Proxy, get, post, wait_until};

/// Two coordinators behind the article's lines, and these directives in the group.
fn pair(a: &Coordinator, b: &Coordinator, directives: &str) -> Proxy {
    with_location(a, b, directives, "")
}

fn with_location(a: &Coordinator, b: &Coordinator, directives: &str, location: &str) -> Proxy {
    let conf = "upstream trino { server {a} fail_timeout=3s max_fails=1; server {b} backup;
            {directives} }
        server { listen {listen}; location / { proxy_pass http://trino;
            proxy_connect_timeout 1s; {location} } }";
    let (a, b): (&common::Upstream, &common::Upstream) = (a, b);
    Proxy::start(conf, &[("a", a), ("b", b), ("directives", &directives), ("location", &location)])
}

/// Checks and a hold-down that suit a test.
const QUICK: &str = "health_check interval=20ms timeout=300ms; failback after=100ms;";

/// Submits a statement, and returns the path of its `nextUri`.
fn submit(proxy: &Proxy) -> String {
    let answer = proxy.client().ask(post("/v1/statement", "SELECT 1"));
    assert_eq!(answer.status(), 200, "{}", answer.head_text());
    next_path(&answer)
}

fn next_path(answer: &Message) -> String {
    let text = answer.text();
    let from = text.find("/v1/statement/").unwrap_or_else(|| panic!("no nextUri in {text}"));
    text[from..].split('"').next().expect("a split has a first part").to_owned()
}

fn poll(proxy: &Proxy, path: &str) -> Message {
    proxy.client().ask(get(path))
}

/// Submits until this coordinator takes it.
fn submit_to(proxy: &Proxy, id: &str) -> String {
    let mut path = String::new();
    wait_until(id, || {
        path = submit(proxy);
        path.contains(id)
    });
    path
}

#[test]
fn a_query_stays_with_its_coordinator_when_the_primary_returns() {
    for shows_id in [true, false] {
        let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
        a.mind().shows_id = shows_id;
        b.mind().shows_id = shows_id;
        b.mind().chunked = true;
        let proxy = pair(&a, &b, QUICK);
        let of_a = submit(&proxy);
        assert!(of_a.contains("aaaaa"), "{of_a}");
        a.stop();
        let of_b = submit_to(&proxy, "bbbbb");
        a.restart("ccccc");
        // From 477 on, an id shows that it is ready; before, some seconds more are needed.
        a.mind().uptime = "1.00d".to_owned();
        submit_to(&proxy, "ccccc");
        for _ in 0..3 {
            assert_eq!(poll(&proxy, &of_b).text(), "{\"by\":\"bbbbb\"}");
        }
        assert_eq!(proxy.client().ask(get("/v1/query")).text(), "ccccc", "all else");
    }
}

#[test]
fn a_coordinator_that_is_starting_gets_no_statement() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    submit(&proxy);
    a.stop();
    submit_to(&proxy, "bbbbb");
    a.mind().starting = true;
    a.restart("ccccc");
    proxy.wait_for_log(&["is starting"]);
    let before = a.mind().statements;
    for _ in 0..20 {
        assert!(submit(&proxy).contains("bbbbb"));
    }
    assert_eq!(a.mind().statements, before);
    a.mind().starting = false;
    submit_to(&proxy, "ccccc");
}

#[test]
fn a_statement_that_a_coordinator_turns_away_goes_to_the_other_one() {
    for status in [502, 503, 504] {
        let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
        a.mind().statement_status = status;
        let proxy = pair(&a, &b, QUICK);
        assert!(submit(&proxy).contains("bbbbb"), "{status}");
        assert!(submit(&proxy).contains("bbbbb"), "{status}: it is no failure of a");
        assert_eq!(a.mind().statements, 2);
        // It waits until one takes it.
        b.mind().statement_status = status;
        let before = b.mind().statements;
        let mut client = proxy.client();
        client.send(post("/v1/statement", "SELECT 1"));
        wait_until("both to turn it away", || b.mind().statements > before);
        b.mind().statement_status = 200;
        assert!(client.read_response().text().contains("bbbbb"), "{status}");
    }
}

#[test]
fn without_a_queue_a_statement_that_nobody_takes_gets_the_last_answer() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    (a.mind().statement_status, b.mind().statement_status) = (503, 504);
    let proxy = pair(&a, &b, "queue 0;");
    let answer = proxy.client().ask(post("/v1/statement", "SELECT 1"));
    assert_eq!(answer.status(), 504);
    assert_eq!((a.mind().statements, b.mind().statements), (1, 1));
}

#[test]
fn a_statement_that_was_sent_goes_to_the_other_one_after_a_reset() {
    let b = Coordinator::new("bbbbb");
    let a = common::Upstream::resetting();
    let conf = "upstream trino { server {a}; server {b} backup; }
        server { listen {listen}; location / { proxy_pass http://trino; } }";
    let of_b: &common::Upstream = &b;
    let proxy = Proxy::start(conf, &[("a", &a), ("b", of_b)]);
    let statement = "SELECT ".repeat(300_000);
    let answer = proxy.client().ask(post("/v1/statement", &statement));
    assert!(answer.text().contains("bbbbb"));
    let received = b.asked();
    assert_eq!(received[0].text(), statement);
    assert_eq!(received[0].field("Accept-Encoding"), Some("identity"));
}

#[test]
fn fields_that_a_coordinator_refuses_are_withheld() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    a.mind().reads_forwarded = false;
    let by_file = "proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header Via x;";
    let proxy = with_location(&a, &b, QUICK, by_file);
    let of_a = submit(&proxy);
    assert!(of_a.contains("aaaaa"), "{of_a}");
    let request = "GET /ui HTTP/1.1\r\nHost: a\r\nx-forwarded-host: b\r\nX-Kept: c\r\n\r\n";
    assert_eq!(proxy.client().ask(request).status(), 200);
    let last = a.asked().pop().expect("it was asked");
    assert_eq!((last.field("Via"), last.field("X-Kept")), (Some("x"), Some("c")));
    assert!(!last.head_text().to_lowercase().contains("x-forwarded"));
    proxy.wait_for_log(&["answers 406"]);
    assert_eq!(proxy.log_text().matches("answers 406").count(), 1);
}

#[test]
fn a_query_of_an_unknown_coordinator_is_looked_for() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    a.mind().shows_id = false;
    b.mind().shows_id = false;
    let proxy = pair(&a, &b, "");
    let path = "/v1/statement/executing/20261124_103000_00001_bbbbb/x/1";
    assert_eq!(poll(&proxy, path).text(), "{\"by\":\"bbbbb\"}");
    let nobodys = "/v1/statement/executing/20261124_103000_00001_zzzzz/x/1";
    assert_eq!(poll(&proxy, nobodys).status(), 404);
}

#[test]
fn a_query_whose_coordinator_is_gone_ends_with_trinos_own_error() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    let of_a = submit(&proxy);
    a.stop();
    let answer = poll(&proxy, &of_a);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.field("Content-Type"), Some("application/json"));
    let text = answer.text();
    assert!(text.contains("REMOTE_HOST_GONE") && !text.contains("nextUri"), "{text}");
    assert!(text.contains("\"infoUri\":\"http://test/ui/query.html?"), "{text}");
    let cancel = format!("DELETE {of_a} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(proxy.client().ask(cancel).status(), 204);
}

#[test]
fn a_query_that_its_own_coordinator_does_not_know_is_lost_too() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    // No check comes in time to see that there is another process.
    let proxy = pair(&a, &b, "health_check interval=1h;");
    let of_a = submit(&proxy);
    a.restart("ccccc");
    let answer = poll(&proxy, &of_a);
    assert_eq!(answer.status(), 200);
    assert!(answer.text().contains("REMOTE_HOST_GONE"), "{}", answer.text());
    let cancel = format!("DELETE {of_a} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(proxy.client().ask(cancel).status(), 204);
    assert!(b.asked().is_empty());
}

#[test]
fn a_query_whose_coordinator_does_not_answer_is_asked_for_again() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    let of_a = submit(&proxy);
    a.fall_silent();
    submit_to(&proxy, "bbbbb");
    let start = Instant::now();
    let answer = proxy.client().ask(format!("GET {of_a} HTTP/1.1\r\nHost: trino:8080\r\n\r\n"));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let text = answer.text();
    assert!(text.contains(&format!("\"nextUri\":\"http://trino:8080{of_a}\"")), "{text}");
    assert!(text.contains("\"state\":\"QUEUED\""), "{text}");
    let heartbeat = format!("HEAD {of_a} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut client = proxy.client();
    client.send(heartbeat);
    assert_eq!(client.read_head().status(), 503);
    a.start();
    wait_until("the answer", || poll(&proxy, &of_a).text() == "{\"by\":\"aaaaa\"}");
}

#[test]
fn a_statement_waits_while_no_coordinator_is_ready() {
    let (mut a, mut b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    submit(&proxy);
    a.stop();
    b.stop();
    let mut clients: Vec<_> = (0..5).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(post("/v1/statement", "SELECT 1"));
    }
    assert!(clients[4].is_silent_for(Duration::from_millis(300)));
    b.start();
    for client in &mut clients {
        let answer = client.read_response();
        assert_eq!(answer.status(), 200);
        assert!(answer.text().contains("bbbbb"));
    }
}

#[test]
fn a_queue_is_as_long_as_it_is_written_and_a_client_that_leaves_makes_room() {
    let (mut a, mut b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, &format!("{QUICK} queue 1;"));
    submit(&proxy);
    a.stop();
    b.stop();
    let statement = post("/v1/statement", "SELECT 1");
    let mut first = proxy.client();
    first.send(&statement);
    assert!(first.is_silent_for(Duration::from_millis(100)));
    let answer = proxy.client().ask(&statement);
    assert_eq!(answer.status(), 503);
    assert!(answer.text().contains("Too many requests wait"), "{}", answer.text());
    first.reset();
    let mut third = proxy.client();
    wait_until("there is room", || {
        third = proxy.client();
        third.send(&statement);
        third.is_silent_for(Duration::from_millis(100))
    });
    b.start();
    assert!(third.read_response().text().contains("bbbbb"));
}

#[test]
fn a_statement_that_waits_in_vain_gets_503() {
    let (mut a, mut b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, &format!("{QUICK} queue 1 timeout=300ms;"));
    submit(&proxy);
    a.stop();
    b.stop();
    let mut client = proxy.client();
    let answer = client.ask(post("/v1/statement", "SELECT 1"));
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.field("Retry-After"), None);
    assert_eq!(answer.field("Connection"), None, "the client may try again");
}

#[test]
fn what_waits_looks_into_a_newer_file() {
    let (mut a, mut b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    submit(&proxy);
    a.stop();
    b.stop();
    let mut client = proxy.client();
    client.send(post("/v1/statement", "SELECT 1"));
    assert!(client.is_silent_for(Duration::from_millis(100)));
    let c = Coordinator::new("ddddd");
    let of_c: &common::Upstream = &c;
    proxy.rewrite(
        "upstream trino { server {c}; } server { listen {listen};
         location / { proxy_pass http://trino; } }",
        &[("c", of_c)],
    );
    proxy.tell("reload");
    assert!(client.read_response().text().contains("ddddd"));
}

#[test]
fn a_group_that_is_not_trinos_sees_nothing_of_all_this() {
    for directives in ["trino off;", ""] {
        let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
        let proxy = pair(&a, &b, directives);
        let path = if directives.is_empty() { "/v1/info" } else { "/v1/statement" };
        proxy.client().ask(get(path));
        let requests = a.requests();
        assert_eq!(requests.len(), 1, "{path}: no check");
        assert!(b.got_nothing());
        assert!(!proxy.log_text().contains("coordinators of Trino"));
    }
}

#[test]
fn coordinators_that_differ_are_told_once() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    b.mind().version = "479".to_owned();
    let proxy = pair(&a, &b, &format!("{QUICK} trino on;"));
    proxy.wait_for_log(&["coordinators differ"]);
    let seen = b.requests().len();
    b.wait_for_request(seen + 5);
    assert_eq!(proxy.log_text().matches("coordinators differ").count(), 1);
}

/// Announces a worker, as up to 476.
fn announce(proxy: &Proxy, node: &str, properties: &str) {
    let body = format!(
        "{{\"environment\":\"test\",\"nodeId\":\"{node}\",\"pool\":\"general\",\"location\":\"/\",\
         \"services\":[{{\"id\":\"x\",\"type\":\"trino\",\"properties\":{{{properties}}}}}]}}"
    );
    let length = body.len();
    let request = format!(
        "PUT /v1/announcement/{node} HTTP/1.1\r\nHost: a\r\nX-Trino-Internal-Bearer: secret\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    assert_eq!(proxy.client().ask(request).status(), 202);
}

#[test]
fn workers_are_known_to_all_coordinators_and_to_one_that_returns_at_once() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    announce(&proxy, "n1", "\"coordinator\":\"false\"");
    wait_until("b knows n1", || b.mind().workers == ["n1"]);
    let copy = b.asked().pop().expect("it has come");
    assert_eq!(copy.field("X-Trino-Internal-Bearer"), Some("secret"));
    assert_eq!(copy.text(), a.asked()[0].text());
    proxy.client().ask(post("/v1/announce", "http://10.0.0.1:8080"));
    wait_until("b knows the other", || b.mind().workers.len() == 2);
    announce(&proxy, "c", "\"coordinator\":\"true\"");
    let leave = "DELETE /v1/announcement/n1 HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(proxy.client().ask(leave).status(), 202);
    wait_until("b knows all", || b.mind().workers.len() == 3);
    assert_eq!(b.mind().workers, ["n1", "http://10.0.0.1:8080", "-n1"]);
    assert_eq!(a.mind().workers, ["n1", "http://10.0.0.1:8080", "c", "-n1"]);
    a.stop();
    submit_to(&proxy, "bbbbb");
    announce(&proxy, "n2", "");
    a.mind().workers.clear();
    a.mind().starting = true;
    a.restart("ccccc");
    wait_until("a knows both", || a.mind().workers.len() == 2);
    // They come over two connections.
    a.mind().workers.sort();
    assert_eq!(a.mind().workers, ["http://10.0.0.1:8080", "n2"]);
}

#[test]
fn announcements_go_to_the_active_coordinator_alone_where_that_is_written() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, &format!("{QUICK} trino_announcements active;"));
    announce(&proxy, "n1", "");
    announce(&proxy, "n2", "");
    b.wait_for_request(b.requests().len() + 3);
    assert_eq!(a.mind().workers, ["n1", "n2"]);
    assert!(b.mind().workers.is_empty());
}

#[test]
fn statements_of_a_transaction_go_where_it_was_started() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    submit(&proxy);
    a.stop();
    let of_b = submit_to(&proxy, "bbbbb");
    assert_eq!(poll(&proxy, &of_b.replace("/x/1", "/x/transaction")).status(), 200);
    a.restart("ccccc");
    a.mind().uptime = "1.00d".to_owned();
    submit_to(&proxy, "ccccc");
    for name in ["X-Trino-Transaction-Id", "x-presto-transaction-id"] {
        let statement = format!(
            "POST /v1/statement HTTP/1.1\r\nHost: a\r\n{name}: of-bbbbb\r\nContent-Length: 6\r\n\r\nCOMMIT"
        );
        assert!(proxy.client().ask(statement).text().contains("bbbbb"), "{name}");
    }
    let none = "POST /v1/statement HTTP/1.1\r\nHost: a\r\nX-Trino-Transaction-Id: NONE\r\n\
        Content-Length: 8\r\n\r\nSELECT 1";
    assert!(proxy.client().ask(none).text().contains("ccccc"));
}
