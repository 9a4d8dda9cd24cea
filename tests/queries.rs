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

/// Two coordinators that have stopped, and the proxy in front of them, which knows that they are
/// coordinators.
fn stopped(directives: &str) -> (Coordinator, Coordinator, Proxy) {
    let (mut a, mut b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, directives);
    submit(&proxy);
    a.stop();
    b.stop();
    (a, b, proxy)
}

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

/// Polls a query that waits until it does no more.
fn poll_on(proxy: &Proxy, path: &str) -> Message {
    let mut client = proxy.client();
    for _ in 0..20 {
        let answer = client.ask(get(path));
        if !answer.text().contains(path) {
            return answer;
        }
    }
    panic!("{path} waits for ever");
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
        let path = submit(&proxy);
        assert!(!path.contains("aaaaa") && !path.contains("bbbbb"), "{status}: {path}");
        b.mind().statement_status = 200;
        assert!(poll_on(&proxy, &path).text().contains("bbbbb"), "{status}");
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
fn a_statement_whose_answer_is_cut_goes_to_the_other_one() {
    for (chunked, cut) in [(false, 30), (false, 100), (true, 30), (true, 100), (true, 180)] {
        let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
        a.mind().chunked = chunked;
        a.mind().first_cut = Some(cut);
        let proxy = pair(&a, &b, QUICK);
        assert!(submit(&proxy).contains("bbbbb"), "{chunked} {cut}");
        assert_eq!((a.mind().statements, b.mind().statements), (1, 1));
    }
}

#[test]
fn a_long_answer_to_a_statement_is_passed_on() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    a.mind().padding = 5 << 20;
    let proxy = pair(&a, &b, QUICK);
    assert!(submit(&proxy).contains("aaaaa"));
    assert_eq!(b.mind().statements, 0);
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
fn a_check_finds_out_that_a_coordinator_refuses_fields() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    a.mind().reads_forwarded = false;
    let by_file = "proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-Host '';";
    let proxy = with_location(&a, &b, &format!("{QUICK} trino on;"), by_file);
    proxy.wait_for_log(&["answers 406"]);
    // Neither is out, and no request of a client is refused.
    assert!(submit(&proxy).contains("aaaaa"));
    let request = "GET /ui HTTP/1.1\r\nHost: a\r\nx-forwarded-host: b\r\n\r\n";
    assert_eq!(proxy.client().ask(request).status(), 200);
    assert_eq!(a.asked().len(), 2);
    assert_eq!(proxy.log_text().matches("answers 406").count(), 1);
    let seen = a.requests().len();
    a.wait_for_request(seen + 2);
    let is_forwarded = |it: &Message| it.head_text().to_lowercase().contains("x-forwarded");
    assert_eq!(a.requests().iter().filter(|it| is_forwarded(it)).count(), 1);
    let check = b.requests().remove(0);
    assert_eq!(check.field("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(check.field("X-Forwarded-Proto"), Some("https"));
    assert_eq!(check.field("X-Forwarded-Host"), None);
}

#[test]
fn checks_of_other_servers_carry_no_forwarded_fields() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let by_file = "proxy_set_header X-Forwarded-For $remote_addr;";
    let _proxy = with_location(&a, &b, "health_check interval=20ms; trino off;", by_file);
    a.wait_for_request(2);
    assert!(a.requests().iter().all(|it| it.field("X-Forwarded-For").is_none()));
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
fn the_coordinator_that_has_a_query_is_asked_for_its_others_at_once() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    a.mind().shows_id = false;
    b.mind().shows_id = false;
    let proxy = pair(&a, &b, "");
    for number in 1..=2 {
        let path = format!("/v1/statement/executing/20261124_103000_0000{number}_bbbbb/x/1");
        assert_eq!(poll(&proxy, &path).text(), "{\"by\":\"bbbbb\"}");
    }
    assert_eq!(a.asked().len(), 1, "it is asked before it is known which one has them");
}

#[test]
fn a_query_whose_coordinator_is_gone_ends_with_trinos_own_error() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, &format!("{QUICK} trino_resubmit off;"));
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
    assert_eq!(b.mind().statements, 0);
}

#[test]
fn a_query_that_its_own_coordinator_does_not_know_is_lost_too() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    // No check comes in time to see that there is another process.
    let proxy = pair(&a, &b, "health_check interval=1h; trino_resubmit off;");
    let of_a = submit(&proxy);
    a.restart("ccccc");
    let answer = poll(&proxy, &of_a);
    assert_eq!(answer.status(), 200);
    assert!(answer.text().contains("REMOTE_HOST_GONE"), "{}", answer.text());
    let cancel = format!("DELETE {of_a} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(proxy.client().ask(cancel).status(), 204);
    assert!(b.asked().is_empty());
}

/// Pages of a query: without rows, with rows, and one that says that it has not begun.
const ROWLESS: &str = r#"{"id":"QUERY","nextUri":"http://a/v1/statement/executing/QUERY/y/2","stats":{"state":"RUNNING"}}"#;
const ROWS: &str = r#"{"id":"QUERY","nextUri":"http://a/v1/statement/executing/QUERY/y/2","data":[[1]],"stats":{"state":"RUNNING"}}"#;
const STARTING: &str = r#"{"id":"QUERY","stats":{"state":"FAILED"},"error":{"message":"x","errorCode":65548,"errorName":"SERVER_STARTING_UP"}}"#;

#[test]
fn a_query_without_delivered_rows_goes_on_at_the_other_coordinator() {
    for chunked in [false, true] {
        let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
        a.mind().page = ROWLESS;
        a.mind().chunked = chunked;
        let proxy = pair(&a, &b, QUICK);
        let of_a = submit(&proxy);
        let second = next_path(&poll(&proxy, &of_a));
        assert!(second.contains("aaaaa"));
        let asked = a.asked();
        a.stop();
        let moved = poll_on(&proxy, &second);
        let of_b = next_path(&moved);
        assert!(of_b.contains("bbbbb"), "{of_b}");
        // Who asks again is told the same, and a cancelled query is cancelled where it runs.
        assert_eq!(poll(&proxy, &second).text(), moved.text());
        let cancel = format!("DELETE {second} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(proxy.client().ask(cancel).status(), 204);
        let by_id = format!("DELETE /v1/query/{} HTTP/1.1\r\nHost: a\r\n\r\n", &second[24..51]);
        assert_eq!(proxy.client().ask(by_id).status(), 204);
        let at_b = b.asked();
        let lines: Vec<String> = at_b
            .iter()
            .map(|it| it.head_text().lines().next().unwrap_or_default().into())
            .collect();
        assert_eq!(lines[1], format!("DELETE {of_b} HTTP/1.1"));
        assert_eq!(lines[2], format!("DELETE /v1/query/{} HTTP/1.1", &of_b[21..48]));
        assert_eq!((at_b[0].head_text(), at_b[0].text()), (asked[0].head_text(), asked[0].text()));
        assert!(proxy.log_text().contains("runs query"));
    }
}

#[test]
fn nobody_gets_an_answer_without_the_path_that_its_client_was_told() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    let of_a = submit(&proxy);
    a.stop();
    submit_to(&proxy, "bbbbb");
    let guessed = of_a.replace("/x/1", "/z/1");
    let answer = poll(&proxy, &guessed).text();
    assert!(answer.contains("REMOTE_HOST_GONE") && !answer.contains("bbbbb"), "{answer}");
    assert!(next_path(&poll_on(&proxy, &of_a)).contains("bbbbb"));
    let asked = b.asked().len();
    let answer = poll(&proxy, &guessed).text();
    assert!(answer.contains("REMOTE_HOST_GONE") && !answer.contains("bbbbb"), "{answer}");
    assert_eq!(b.asked().len(), asked, "nothing of it reaches a coordinator");
}

#[test]
fn what_cannot_run_twice_ends_with_the_reason() {
    for (statement, page, words) in [
        ("SELECT 1", ROWS, "may have been delivered"),
        ("INSERT INTO t SELECT 1", ROWLESS, "may have changed data"),
    ] {
        let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
        a.mind().page = page;
        let proxy = pair(&a, &b, QUICK);
        let of_a = next_path(&proxy.client().ask(post("/v1/statement", statement)));
        let second = next_path(&poll(&proxy, &of_a));
        a.stop();
        let text = poll(&proxy, &second).text();
        assert!(text.contains("REMOTE_HOST_GONE") && text.contains(words), "{text}");
        assert_eq!(b.mind().statements, 0);
        let again = poll(&proxy, &second).text();
        assert!(again.contains(words), "{again}");
    }
}

#[test]
fn what_has_not_begun_runs_elsewhere_whatever_it_is() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    let insert = post("/v1/statement", "INSERT INTO t SELECT 1");
    let of_a = next_path(&proxy.client().ask(&insert));
    a.stop();
    submit_to(&proxy, "bbbbb");
    let of_b = next_path(&poll_on(&proxy, &of_a));
    assert!(of_b.contains("bbbbb"), "{of_b}");
    // The same if its coordinator says so.
    a.start();
    let of_a = submit_insert_to(&proxy, &insert, "aaaaa");
    a.mind().page = STARTING;
    a.mind().statement_status = 503;
    assert!(next_path(&poll_on(&proxy, &of_a)).contains("bbbbb"));
}

fn submit_insert_to(proxy: &Proxy, insert: &[u8], id: &str) -> String {
    let mut path = String::new();
    wait_until(id, || {
        path = next_path(&proxy.client().ask(insert));
        path.contains(id)
    });
    path
}

#[test]
fn rows_that_are_cut_before_the_first_whole_page_were_not_delivered() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    a.mind().page = ROWS;
    let proxy = pair(&a, &b, QUICK);
    let of_a = submit(&proxy);
    a.mind().page_cut = Some(120);
    let mut client = proxy.client();
    client.send(get(&of_a));
    wait_until("the poll", || a.asked().len() > 1);
    a.stop();
    let first = client.read_response();
    let answer = if first.text().contains(&of_a) { poll_on(&proxy, &of_a) } else { first };
    assert!(next_path(&answer).contains("bbbbb"), "{}", answer.text());
}

/// The only page of a query, and the acknowledgement that it has ended.
const LAST_ROWS: &str = r#"{"id":"QUERY","nextUri":"http://a/v1/statement/executing/QUERY/y/2?slow","data":[[1,"]}\""]],"stats":{"state":"FINISHED"}}"#;
const END: &str = r#"{"id":"QUERY","stats":{"state":"FINISHED"}}"#;

/// Polls a query of `a` once that has this version, and returns the path of the next poll.
fn poll_one_of(a: &Coordinator, proxy: &Proxy, version: &str) -> [String; 2] {
    a.mind().page = LAST_ROWS;
    a.mind().version = version.to_owned();
    let first = submit(proxy);
    // The answer to the check before the last one was read.
    let checks = || a.requests().len() - a.asked().len();
    let before = checks();
    wait_until("two checks", || checks() > before + 1);
    let second = next_path(&poll(proxy, &first)).replace("?slow", "");
    [first, second]
}

#[test]
fn a_query_that_said_with_its_rows_that_it_is_finished_is_a_success() {
    for chunked in [false, true] {
        let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
        a.mind().chunked = chunked;
        let proxy = pair(&a, &b, QUICK);
        let [first, second] = poll_one_of(&a, &proxy, "478");
        a.stop();
        for _ in 0..2 {
            let text = poll(&proxy, &format!("{second}?slow")).text();
            assert!(text.contains("\"state\":\"FINISHED\""), "{text}");
            assert!(!text.contains("nextUri") && !text.contains("error"), "{text}");
        }
        // Its rows may not have come, and nobody else is told anything.
        for other in [first, second.replace("/y/2", "/y/3")] {
            let text = poll(&proxy, &other).text();
            assert!(text.contains("REMOTE_HOST_GONE"), "{text}");
        }
        assert_eq!(b.mind().statements, 0);
    }
}

#[test]
fn before_391_a_query_that_is_finished_may_have_more_rows() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    let [_, second] = poll_one_of(&a, &proxy, "390");
    a.stop();
    let text = poll(&proxy, &second).text();
    assert!(text.contains("REMOTE_HOST_GONE"), "{text}");
}

#[test]
fn a_query_that_is_finished_stays_a_success_unless_it_is_cancelled() {
    for cancelled in [false, true] {
        let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
        let proxy = pair(&a, &b, QUICK);
        let [_, second] = poll_one_of(&a, &proxy, "478");
        if cancelled {
            let cancel = format!("DELETE {second} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(proxy.client().ask(cancel).status(), 204);
        } else {
            a.mind().page = END;
            assert!(!poll(&proxy, &second).text().contains("nextUri"));
        }
        a.stop();
        // The last answer may not have come to its client.
        let text = poll(&proxy, &second).text();
        assert_eq!(text.contains("REMOTE_HOST_GONE"), cancelled, "{text}");
        assert_eq!(text.contains("\"state\":\"FINISHED\""), !cancelled, "{text}");
    }
}

#[test]
fn a_statement_that_kills_a_query_goes_to_its_coordinator() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    let of_a = submit(&proxy);
    a.stop();
    submit_to(&proxy, "bbbbb");
    a.restart("ccccc");
    submit_to(&proxy, "ccccc");
    let kill = |id: &str| post("/v1/statement", &format!("CALL system.runtime.kill_query('{id}')"));
    let answer = proxy.client().ask(kill("20261124_103000_00001_bbbbb"));
    assert!(next_path(&answer).contains("bbbbb"));
    // The query that was lost goes on as another one.
    let moved = next_path(&poll_on(&proxy, &of_a));
    proxy.client().ask(kill(&of_a[21..48]));
    let last = a.asked().last().map(Message::text);
    let expected = format!("CALL system.runtime.kill_query('{}')", &moved[21..48]);
    assert_eq!(last, Some(expected));
}

#[test]
fn a_query_of_an_unknown_coordinator_is_cancelled_wherever_it_may_be() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    a.mind().shows_id = false;
    b.mind().shows_id = false;
    let proxy = pair(&a, &b, QUICK);
    submit(&proxy);
    let line = "DELETE /v1/query/20261124_103000_00001_bbbbb HTTP/1.1";
    let cancel = format!("{line}\r\nHost: a\r\n\r\n");
    assert_eq!(proxy.client().ask(cancel).status(), 204);
    wait_until("the other one", || b.asked().iter().any(|it| it.head_text().starts_with(line)));
    assert_eq!(a.asked().len(), 2);
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
fn a_statement_is_answered_at_once_while_no_coordinator_is_ready() {
    let (a, mut b, proxy) = stopped(QUICK);
    let sent = a.asked();
    let statement =
        "POST /v1/statement HTTP/1.1\r\nHost: trino:8080\r\nContent-Length: 8\r\n\r\nSELECT 1";
    let answer = proxy.client().ask(statement);
    assert_eq!((answer.status(), answer.field("Content-Type")), (200, Some("application/json")));
    assert!(answer.text().contains("\"state\":\"QUEUED\""), "{}", answer.text());
    assert!(answer.text().contains("\"nextUri\":\"http://trino:8080/v1/statement/queued/"));
    let paths: Vec<String> = (0..5).map(|_| submit(&proxy)).collect();
    assert!(!paths[4].contains(&paths[0][21..48]), "each has its own id");
    let start = Instant::now();
    assert_eq!(next_path(&poll(&proxy, &paths[0])), paths[0]);
    assert!(start.elapsed() > Duration::from_millis(500), "a poll waits for a second");
    // One that is cancelled is never submitted.
    let cancel = format!("DELETE {} HTTP/1.1\r\nHost: a\r\n\r\n", paths[4]);
    assert_eq!(proxy.client().ask(cancel).status(), 204);
    b.start();
    for path in &paths[..4] {
        assert!(next_path(&poll_on(&proxy, path)).contains("bbbbb"));
    }
    wait_until("all but the cancelled one", || b.mind().statements == 5);
    let last = b.asked().pop().expect("it was asked");
    assert_eq!((last.head_text(), last.text()), (sent[0].head_text(), sent[0].text()));
}

#[test]
fn a_statement_that_is_cancelled_while_it_is_submitted_is_cancelled_at_its_coordinator() {
    let (_a, mut b, proxy) = stopped(QUICK);
    let path = submit(&proxy);
    b.mind().holds_statements = true;
    b.start();
    wait_until("b has it", || b.mind().statements == 1);
    let cancel = format!("DELETE {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(proxy.client().ask(cancel).status(), 204);
    b.mind().holds_statements = false;
    let cancel = "DELETE /v1/statement/queued/20261124_103000_00001_bbbbb/x/1 ";
    let is_cancelled = || b.requests().iter().any(|it| it.head_text().starts_with(cancel));
    wait_until("it is cancelled at b", is_cancelled);
    assert!(!proxy.log_text().contains("runs query"), "{}", proxy.log_text());
}

#[test]
fn a_queue_is_as_long_as_it_is_written_and_a_client_that_cancels_makes_room() {
    let (_a, mut b, proxy) = stopped(&format!("{QUICK} queue 1;"));
    let first = submit(&proxy);
    let answer = proxy.client().ask(post("/v1/statement", "SELECT 1"));
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.field("Retry-After"), None);
    assert_eq!(answer.field("Connection"), None, "the client may try again");
    assert!(answer.text().contains("Too many requests wait"), "{}", answer.text());
    let cancel = format!("DELETE {first} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(proxy.client().ask(cancel).status(), 204);
    let third = submit(&proxy);
    b.start();
    assert!(poll_on(&proxy, &third).text().contains("bbbbb"));
}

#[test]
fn a_statement_that_waits_in_vain_ends_with_the_reason() {
    let (_a, _b, proxy) = stopped(&format!("{QUICK} queue 1 timeout=300ms;"));
    let path = submit(&proxy);
    poll(&proxy, &path);
    let text = poll(&proxy, &path).text();
    assert!(text.contains("REMOTE_HOST_GONE") && text.contains("as long as it may"), "{text}");
    // The same for one of which nothing is known any more.
    let forgotten = path.replace("_00000_", "_00007_");
    let text = poll(&proxy, &forgotten).text();
    assert!(text.contains("REMOTE_HOST_GONE") && text.contains("as long as it may"), "{text}");
}

#[test]
fn what_waits_goes_on_with_a_newer_file() {
    let (_a, _b, proxy) = stopped(QUICK);
    let path = submit(&proxy);
    let c = Coordinator::new("ddddd");
    let of_c: &common::Upstream = &c;
    proxy.rewrite(
        "upstream trino { server {c}; } server { listen {listen};
         location / { proxy_pass http://trino; } }",
        &[("c", of_c)],
    );
    proxy.tell("reload");
    assert!(poll_on(&proxy, &path).text().contains("ddddd"));
}

#[test]
fn a_statement_is_read_whole_however_it_comes() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = with_location(&a, &b, QUICK, "client_max_body_size 0;");
    let mut client = proxy.client();
    client.send(
        "POST /v1/statement HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nSEL\r\n",
    );
    assert!(client.is_silent_for(Duration::from_millis(100)));
    assert_eq!(a.mind().statements, 0, "no coordinator has it before it is whole");
    client.send("5\r\nECT 1\r\n0\r\n\r\n");
    let chunked = next_path(&client.read_response());
    assert_eq!(a.asked()[0].text(), "SELECT 1");
    // One that is too long to be kept passes all the same, but does not go on elsewhere.
    let long = post("/v1/statement", &format!("SELECT 1 --{}", "x".repeat(4 << 20)));
    let long = next_path(&proxy.client().ask(long));
    assert_eq!(a.mind().statements, 2);
    let mut client = proxy.client();
    client.send("POST /v1/statement HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n");
    assert_eq!(client.read_head().status(), 100);
    client.send("SELECT 2");
    let expecting = next_path(&client.read_response());
    a.stop();
    assert!(next_path(&poll_on(&proxy, &chunked)).contains("bbbbb"));
    assert_eq!(b.asked()[0].text(), "SELECT 1");
    assert!(next_path(&poll_on(&proxy, &expecting)).contains("bbbbb"));
    assert_eq!(b.asked()[1].text(), "SELECT 2");
    assert_eq!(b.asked()[1].field("Expect"), None);
    assert!(poll(&proxy, &long).text().contains("REMOTE_HOST_GONE"));
}

#[test]
fn a_statement_that_is_too_long_to_be_kept_waits_for_a_coordinator() {
    let (mut a, mut b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = with_location(&a, &b, QUICK, "client_max_body_size 0;");
    submit(&proxy);
    a.stop();
    b.stop();
    submit(&proxy);
    let mut client = proxy.client();
    client.send(post("/v1/statement", &format!("SELECT 1 --{}", "x".repeat(4 << 20))));
    assert!(client.is_silent_for(Duration::from_millis(200)));
    b.start();
    assert!(next_path(&client.read_response()).contains("bbbbb"));
}

#[test]
fn a_query_goes_on_though_its_coordinator_is_taken_out_of_the_file() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    let of_a = submit(&proxy);
    a.stop();
    let of_b: &common::Upstream = &b;
    proxy.rewrite(
        "upstream trino { server {b}; } server { listen {listen};
         location / { proxy_pass http://trino; } }",
        &[("b", of_b)],
    );
    proxy.tell("reload");
    assert!(next_path(&poll_on(&proxy, &of_a)).contains("bbbbb"));
}

#[test]
fn an_answer_without_end_to_a_kept_statement_is_given_up() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    let of_a = submit(&proxy);
    b.mind().padding = 10 << 20;
    a.stop();
    let text = poll_on(&proxy, &of_a).text();
    assert!(text.contains("REMOTE_HOST_GONE") && text.len() < 2000, "{text}");
}

#[test]
fn a_query_whose_coordinator_stands_still_goes_on_elsewhere_and_is_cancelled_there() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, &format!("{QUICK} trino_resubmit on doubt=500ms;"));
    let of_a = submit(&proxy);
    a.fall_silent();
    assert!(next_path(&poll_on(&proxy, &of_a)).contains("bbbbb"));
    a.start();
    let cancel = format!("DELETE {of_a} ");
    let is_cancelled = || a.requests().iter().any(|it| it.head_text().starts_with(&cancel));
    wait_until("the old query is cancelled", is_cancelled);
    assert!(!b.asked().is_empty());
}

/// How the memory of the proxy grows, in KiB, when it keeps so many statements of this length.
fn growth(statements: u32, length: usize, limit: &str) -> u64 {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, &format!("trino_statement_memory {limit};"));
    let statement = post("/v1/statement", &format!("SELECT '{}'", "x".repeat(length)));
    proxy.client().ask(&statement);
    let before = proxy.memory();
    for from in (0..statements).step_by(500) {
        let mut client = proxy.client();
        for _ in from..statements.min(from + 500) {
            assert_eq!(client.ask(&statement).status(), 200);
        }
    }
    proxy.memory() - before
}

#[test]
fn kept_statements_take_no_more_memory_than_they_may() {
    for (limit, mib) in [("64m", 64), ("16m", 16)] {
        let grown = growth(1_000, 100_000, limit);
        assert!((mib << 10..(mib + 2) << 10).contains(&(grown + 1024)), "{grown} KiB of {limit}");
    }
}

#[test]
fn a_live_query_takes_a_kilobyte_at_most_beside_its_text() {
    let grown = growth(10_000, 200, "64m");
    let text = 10_000 * (post("/v1/statement", "").len() as u64 + 200) / 1024;
    assert!((text..text + 10_000).contains(&grown), "{grown} KiB with {text} KiB of text");
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

#[test]
fn heads_too_short_for_prepared_statements_are_told_once_they_matter() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, "");
    submit(&proxy);
    submit(&proxy);
    let told = "requests with prepared statements beyond 8192 bytes get 431";
    proxy.wait_for_log(&[told]);
    assert_eq!(proxy.log_text().matches(told).count(), 1);
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
fn a_coordinator_that_is_found_back_after_a_reload_hears_of_the_workers() {
    let (mut a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let trino = "upstream trino { server {a} fail_timeout=50ms max_fails=1; server {b} backup;
            trino on; health_check off; failback immediate; }
        server { listen {listen}; location / { proxy_pass http://trino; }";
    let before = format!(
        "upstream other {{ server {{b}}; }} {trino} location /o {{ proxy_pass http://other; }} }}"
    );
    let (of_a, of_b): (&common::Upstream, &common::Upstream) = (&a, &b);
    let proxy = Proxy::start(&before, &[("a", of_a), ("b", of_b)]);
    announce(&proxy, "worker-1", "");
    a.stop();
    submit_to(&proxy, "bbbbb");
    a.mind().holds_statements = true;
    a.start();
    wait_until("a to be tried", || proxy.log_text().contains("the next request tries it"));
    let known = a.mind().workers.len();
    let tried = a.mind().statements;
    let mut client = proxy.client();
    client.send(post("/v1/statement", "SELECT 1"));
    wait_until("a has it", || a.mind().statements > tried);
    // Its group has another place in the file now.
    let of_a: &common::Upstream = &a;
    proxy.rewrite(&format!("{trino} }}"), &[("a", of_a), ("b", of_b)]);
    proxy.tell("reload");
    a.mind().holds_statements = false;
    assert_eq!(client.read_response().status(), 200);
    wait_until("a hears of the worker", || a.mind().workers.len() > known);
    submit(&proxy);
}

#[test]
fn announcements_are_copied_however_long_they_are_and_however_they_come() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let proxy = pair(&a, &b, QUICK);
    announce(&proxy, "n1", &format!("\"x\":\"{}\"", "y".repeat(300_000)));
    wait_until("b knows n1", || b.mind().workers == ["n1"]);
    let chunked = "POST /v1/announce HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        7\r\nhttp://\r\nd\r\n10.0.0.1:8080\r\n0\r\n\r\n";
    proxy.client().ask(chunked);
    wait_until("b knows the other", || b.mind().workers.len() == 2);
    assert_eq!(b.mind().workers[1], "http://10.0.0.1:8080");
    assert_eq!(b.asked()[0].text(), a.asked()[0].text());
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
