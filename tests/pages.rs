//! Pages in place of errors, and the servers that are asked for them.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

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
    let line = proxy.access_line(1);
    // nginx puts a colon between the servers of a request and those of its page.
    let (dead, failing, page) = (dead.address(), failing.address(), page.address());
    let between = if is_nginx() { " : " } else { ", " };
    assert_eq!(line, format!("503 <{dead}, {failing}{between}{page}> /page a=b"));
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

/// A server that answers 404, and one that gets what takes its place; the location asks for it with
/// this `error_page`.
fn replacing(page: &str) -> (Upstream, Upstream, Proxy) {
    let (failing, other) = (answering("404 None"), Upstream::named("page"));
    let conf = "upstream t { server {failing}; } upstream p { server {other}; }
        server { listen {listen}; error_page {page}; proxy_intercept_errors on;
            location / { proxy_pass http://t; } location /f { proxy_pass http://p; }
            location /with/ { proxy_pass http://p/uri/; } location /secret { return 403; } }";
    let values: [(&str, &dyn std::fmt::Display); 3] =
        [("failing", &failing), ("other", &other), ("page", &page)];
    let proxy = Proxy::start(conf, &values);
    (failing, other, proxy)
}

/// What the other server is asked for in place of what was sent.
fn asked_instead(page: &str, request: &str) -> String {
    let (_failing, other, proxy) = replacing(page);
    let answer = proxy.client().ask(request);
    assert_eq!((answer.status(), answer.text()), (404, "page".into()), "{page}");
    let got = other.wait_for_request(1);
    assert_eq!(other.requests().len(), 1, "one request becomes one: {:?}", other.received());
    got.start
}

/// A path that would be two requests, were it written as it is.
const SPLIT: &str = "/a%20HTTP/1.1%0d%0aHost:%20x%0d%0a%0d%0aGET%20/pwn";

#[test]
fn no_value_in_a_page_ends_its_request_line() {
    if common::nginx_differs("writes decoded bytes into request lines") {
        return;
    }
    let escaped = "/a%20HTTP/1.1%0D%0AHost:%20x%0D%0A%0D%0AGET%20/pwn";
    // `a b?c` as a name in `Authorization: Basic`.
    let fields = "Host: a\r\nAuthorization: Basic YSBiP2M6\r\nX: y z&w=#\r\n";
    let request = format!("GET {SPLIT}%3fb%26c HTTP/1.1\r\n{fields}\r\n");
    for (page, target) in [
        ("404 /f?u=$uri", format!("/f?u={escaped}?b%26c")),
        ("404 /f$uri", format!("/f{escaped}%3Fb&c")),
        ("404 /f$uri?x", format!("/f{escaped}%3Fb&c?x")),
        ("404 /with$uri", format!("/uri{escaped}%3Fb&c")),
        ("404 /f/$remote_user", "/f/a%20b%3Fc".into()),
        ("404 '/f?a b=$remote_user&$http_x'", "/f?a%20b=a%20b?c&y%20z%26w=%23".into()),
        ("404 /f?$request_uri", format!("/f?{}", SPLIT.replace('%', "%25") + "%253fb%2526c")),
    ] {
        assert_eq!(asked_instead(page, &request), format!("GET {target} HTTP/1.1"), "{page}");
    }
}

#[test]
fn the_clients_own_query_stays_what_it_is() {
    let request = "GET /a?b=%20c&d HTTP/1.1\r\nHost: a\r\n\r\n";
    for page in ["404 /f?$args", "404 /f$is_args$args"] {
        assert_eq!(asked_instead(page, request), "GET /f?b=%20c&d HTTP/1.1", "{page}");
    }
    assert_eq!(asked_instead("404 /f?x=$arg_b", request), "GET /f?x=%20c HTTP/1.1");
    let bare = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(asked_instead("404 /f$is_args$args", bare), "GET /f HTTP/1.1");
}

#[test]
fn no_value_leads_a_page_past_the_rules_of_a_location() {
    if common::nginx_differs("does not normalise such a path") {
        return;
    }
    // `../secret` and `../../x`, and a NUL.
    for (user, status, text) in [
        ("Li4vc2VjcmV0Og==", 403, "403 Forbidden\n"),
        ("Li4vLi4vLi4veDo=", 404, "404 Not Found\n"),
        ("YQBiOg==", 404, "404 Not Found\n"),
    ] {
        let (_failing, other, proxy) = replacing("404 /f/$remote_user");
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {user}\r\n\r\n");
        let answer = proxy.client().ask(request);
        assert_eq!((answer.status(), &*answer.text()), (status, text), "{user}");
        assert!(other.got_nothing(), "{user}");
    }
}

#[test]
fn a_redirect_is_one_url_whatever_stands_in_it() {
    if common::nginx_differs("writes decoded bytes into Location") {
        return;
    }
    let conf = "server { listen {listen}; location / { return 302 http://new$uri; }
        location /e { error_page 403 http://new$uri; return 403; } }";
    let proxy = Proxy::start(conf, &[]);
    for path in ["/x%0d%0aSet-Cookie:%20a", "/e%0d%0aSet-Cookie:%20a"] {
        let answer = proxy.client().ask(get(path));
        let expected = format!("http://new{}%0D%0ASet-Cookie:%20a", &path[..2]);
        assert_eq!((answer.status(), answer.field("Location")), (302, Some(&*expected)));
        assert_eq!(answer.field("Set-Cookie"), None);
    }
}

#[test]
fn a_page_for_401_carries_the_challenges() {
    let head = "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=a\r\n\
        WWW-Authenticate: Bearer\r\nX-Other: b\r\nContent-Length: 0\r\n\r\n";
    let (server, page) = (Upstream::answering(head), Upstream::named("page"));
    let conf = "server { listen {listen}; proxy_intercept_errors on; error_page 401 /own;
        location / { proxy_pass http://{server}; } location = /own { return 200 own; }
        location /p { error_page 401 /page; proxy_pass http://{server}; }
        location /page { proxy_pass http://{page}; } }";
    let proxy = Proxy::start(conf, &[("server", &server), ("page", &page)]);
    for (path, text) in [("/", "own"), ("/p", "page")] {
        let answer = proxy.client().ask(get(path));
        assert_eq!((answer.status(), answer.text()), (401, text.into()));
        let challenges = answer.all("WWW-Authenticate");
        assert_eq!(challenges[0], "Basic realm=a");
        // nginx 1.22 keeps the first alone.
        assert!(is_nginx() || challenges[1..] == ["Bearer"], "{challenges:?}");
        assert_eq!(answer.field("X-Other"), None);
    }
}

#[test]
fn a_page_in_place_of_a_redirect_keeps_its_location() {
    let page = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage");
    let moved = Upstream::answering(
        "HTTP/1.1 302 Found\r\nLocation: http://b/\r\nContent-Length: 0\r\n\r\n",
    );
    let conf = "server { listen {listen}; location = /own { return 200 own; }
        location = /moves { return 302 http://b/; }
        location = /page { proxy_pass http://{page}; }
        location = /moved { proxy_pass http://{moved}; }
        location /a { error_page 301 /own; return 301 http://a/; }
        location /b { error_page 307 =200 /own; return 307 http://a/; }
        location /c { error_page 302 /page; return 302 http://a/; }
        location /d { error_page 308 http://c/; return 308 http://a/; }
        location /e { error_page 303 /moves; return 303 http://a/; }
        location /f { error_page 303 = /moved; return 303 http://a/; }
        location /g { error_page 302 /own; return 301 http://a/; } }";
    let proxy = Proxy::start(conf, &[("page", &page), ("moved", &moved)]);
    for (path, status, location, text) in [
        ("/a", 301, "http://a/", Some("own")),
        ("/b", 200, "http://a/", Some("own")),
        ("/c", 302, "http://a/", Some("page")),
        ("/d", 302, "http://c/", None),
        ("/e", 302, "http://b/", None),
        ("/f", 302, "http://b/", Some("")),
        ("/g", 301, "http://a/", None),
    ] {
        let answer = proxy.client().ask(get(path));
        let mut locations = answer.all("Location");
        // nginx passes both on; one of them is meant.
        if is_nginx() && path == "/f" {
            locations.remove(0);
        }
        assert_eq!((answer.status(), locations), (status, vec![location]), "{path}");
        assert!(text.is_none_or(|text| answer.text() == text), "{path}: {}", answer.text());
    }
}

#[test]
fn fields_that_are_added_may_tell_of_the_response() {
    let head = "HTTP/1.1 200 OK\r\nX-From: server\r\nContent-Type: a/b\r\nLocation: http://t/x\r\n\
        Content-Length: 0\r\n\r\n";
    let server = Upstream::answering(head);
    // No log format asks for any of these.
    let conf = "upstream t { server {server}; }
        server { listen {listen}; add_header X-Type '<$sent_http_content_type>' always;
        add_header X-Sent '<$sent_http_location>'; add_header X-Status '<$upstream_status>';
        add_header X-Got '<$upstream_http_x_from>'; add_header X-Time '<$upstream_response_time>';
        location / { proxy_pass http://t; proxy_redirect http://t/ http://new/; }
        location /own { return 200 own; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    let answer = proxy.client().ask(get("/"));
    for (name, value) in [
        ("X-Type", "<a/b>"),
        ("X-Sent", "<http://new/x>"),
        ("X-Got", "<server>"),
        ("X-Status", "<200>"),
        ("X-Time", "<->"),
    ] {
        if !(common::is_nginx() && name == "X-Time") {
            assert_eq!(answer.field(name), Some(value));
        }
    }
    let own = proxy.client().ask(get("/own"));
    assert_eq!(own.field("X-Type"), Some("<text/plain>"));
    assert_eq!(own.field("X-Got"), Some("<>"));
}

#[test]
fn nothing_of_a_body_follows_the_request_for_a_page() {
    for (framing, body) in [
        ("Content-Length: 32", "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("Content-Length: 9999", "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("Transfer-Encoding: chunked", "20\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n"),
    ] {
        for method in ["POST", "PUT"] {
            // Answers a head whatever follows it.
            let failing = Upstream::playing(|connection| {
                connection.read_head()?;
                connection.read_some(&mut [0; 64])?;
                connection.send("HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n")?;
                connection.wait_for_end()
            });
            let other = Upstream::named("page");
            let conf = "server { listen {listen}; location / { proxy_pass http://{failing};
                proxy_next_upstream error timeout non_idempotent; proxy_intercept_errors on;
                error_page 404 /page; } location /page { proxy_pass http://{other}; } }";
            let values: [(&str, &dyn std::fmt::Display); 2] =
                [("failing", &failing), ("other", &other)];
            let proxy = Proxy::start(conf, &values);
            let mut client = proxy.client();
            client.send(format!("{method} /x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}"));
            let answer = client.read_response();
            assert_eq!((answer.status(), answer.text()), (404, "page".into()));
            assert!(proxy.client().ask(get("/page")).text() == "page");
            let starts: Vec<String> =
                other.requests().into_iter().map(|request| request.start).collect();
            assert!(starts.iter().all(|start| start.contains("/page")), "{framing}: {starts:?}");
        }
    }
}

#[test]
fn replaced_requests_give_their_bodies_back() {
    if common::nginx_differs("has no such limit") {
        return;
    }
    let page = Upstream::named("page");
    let failing = answering("404 None");
    let whole = "daemon off; pid {dir}/proxy.pid; error_log stderr info;
        events { worker_buffer_memory 1m; }
        http { server { listen {listen}; proxy_intercept_errors on; error_page 404 /page;
            large_client_header_buffers 4 1m; location / { proxy_pass http://{failing}; }
            location /page { proxy_pass http://{page}; } } }";
    let proxy = Proxy::start_whole(whole, &[("failing", &failing), ("page", &page)]);
    let mut client = proxy.client();
    for _ in 0..100 {
        let body = "x".repeat(60_000);
        let request = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{body}");
        assert_eq!(client.ask(request).status(), 404);
    }
    let large = format!("GET /page HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(200_000));
    assert_eq!(proxy.client().ask(large).status(), 200);
}
