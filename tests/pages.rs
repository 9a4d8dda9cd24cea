//! Pages in place of errors, and the servers that are asked for them.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::fs;

use common::{Proxy, Upstream, get, is_nginx, ok, wait_until};

fn answering(status: &str) -> Upstream {
    Upstream::answering(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
}

#[test]
fn a_page_of_another_group_is_logged_with_the_servers_of_both() {
    let (dead, failing, page) =
        (Upstream::refusing("a"), answering("503 No"), Upstream::named("page"));
    let inside = "upstream t { server {dead}; server {failing} backup; }
        upstream p { server {page}; }
        server { listen {listen}; access_log {dir}/access.log f;
            location / { error_page 503 /page?a=b; proxy_intercept_errors on; proxy_pass http://t; }
            location /page { proxy_pass http://p; } }";
    let whole = format!(
        "daemon off; pid {{dir}}/proxy.pid; error_log stderr; events {{}}
         http {{ log_format f '$status <$upstream_addr> $uri $args'; {inside} }}"
    );
    let values: [(&str, &dyn std::fmt::Display); 3] =
        [("dead", &dead), ("failing", &failing), ("page", &page)];
    let proxy = Proxy::start_whole(&whole, &values);
    let answer = proxy.client().ask(get("/x"));
    assert_eq!((answer.status(), answer.text()), (503, "page".into()));
    assert!(page.wait_for_request(1).start.starts_with("GET /page?a=b "));
    let log = proxy.directory().join("access.log");
    wait_until("the line in the log", || fs::read_to_string(&log).is_ok_and(|l| l.ends_with('\n')));
    let line = fs::read_to_string(&log).unwrap();
    // nginx puts a colon between the servers of a request and those of its page.
    let (dead, failing, page) = (dead.address(), failing.address(), page.address());
    let between = if is_nginx() { " : " } else { ", " };
    assert_eq!(line, format!("503 <{dead}, {failing}{between}{page}> /page a=b\n"));
}

#[test]
fn the_page_has_tries_of_its_own() {
    let (dead, other) = (Upstream::refusing("a"), Upstream::refusing("b"));
    let (gone, page) = (Upstream::refusing("c"), Upstream::named("page"));
    let conf = "upstream t { server {dead}; server {other} backup; }
        upstream p { server {gone}; server {page} backup; }
        server { listen {listen}; error_page 502 /page;
            location / { proxy_pass http://t; }
            location /page { proxy_next_upstream_tries 2; proxy_pass http://p; } }";
    let values: [(&str, &dyn std::fmt::Display); 4] =
        [("dead", &dead), ("other", &other), ("gone", &gone), ("page", &page)];
    let proxy = Proxy::start(conf, &values);
    assert_eq!(proxy.client().ask(get("/")).text(), "page");
}

#[test]
fn an_answer_that_is_only_not_wanted_ends_a_trial() {
    if common::nginx_differs("does not tell when a server is back") {
        return;
    }
    let mut primary = answering("404 None");
    let backup = Upstream::named("b");
    let conf = "upstream t { server {primary} fail_timeout=1s; server {backup} backup; }
        server { listen {listen}; error_page 404 /gone; location = /gone { return 200 gone; }
            location / { proxy_intercept_errors on; proxy_pass http://t; } }";
    let proxy = Proxy::start(conf, &[("primary", &primary), ("backup", &backup)]);
    primary.stop();
    assert_eq!(proxy.client().ask(get("/")).text(), "b");
    primary.start();
    wait_until("the primary to be tried", || proxy.client().ask(get("/")).text() == "gone");
    proxy.wait_for_log(&["is up again"]);
}

#[test]
fn the_name_of_a_location_without_its_slash_leads_to_it() {
    let server = Upstream::answering(ok("root"));
    let conf = "server { listen {listen}; location / { proxy_pass http://{server}; }
        location /ui/ { proxy_pass http://{server}; } location /a { return 200 a; }
        location /a/ { proxy_pass http://{server}; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    let request = "GET /ui?x=y HTTP/1.1\r\nHost: {host}\r\n\r\n";
    let host = proxy.address().to_string();
    let answer = proxy.client().ask(request.replace("{host}", &host));
    assert_eq!(answer.status(), 301);
    assert_eq!(answer.field("Location").unwrap(), format!("http://{host}/ui/?x=y"));
    assert_eq!(proxy.client().ask(get("/u")).text(), "root");
    assert_eq!(proxy.client().ask(get("/a")).text(), "a", "it is a location's name itself");
}

#[test]
fn a_reload_keeps_a_server_out_that_another_group_has_too() {
    if common::nginx_differs("forgets everything with a reload") {
        return;
    }
    let (dead, backup) = (Upstream::refusing("a"), Upstream::named("b"));
    let conf = "upstream one { server {dead} fail_timeout=60s; server {backup} backup; }
        upstream two { server {dead} fail_timeout=60s; server {backup} backup; }
        server { listen {listen}; location / { proxy_pass http://one; }
            location /two { proxy_pass http://two; } }";
    let proxy = Proxy::start(conf, &[("dead", &dead), ("backup", &backup)]);
    assert_eq!(proxy.client().ask(get("/")).text(), "b");
    proxy.wait_for_log(&["is down"]);
    proxy.signal("HUP");
    proxy.wait_for_log(&["reloaded"]);
    assert_eq!(proxy.client().ask(get("/")).text(), "b");
    let downs = proxy.log_text().lines().filter(|line| line.contains("is down")).count();
    assert_eq!(downs, 1, "{}", proxy.log_text());
}
