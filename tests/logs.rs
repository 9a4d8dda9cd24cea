//! What is written down: access lines, formats, state changes, files that are moved away.

mod common;

use std::fs;
use std::path::Path;

use common::{Proxy, Upstream, get, nginx_differs, ok, post, wait_until};

/// One server and a log in `format`.
fn logging(server: &Upstream, format: &str) -> Proxy {
    let conf = "log_format mine {format};
        upstream group { server {server}; keepalive 8; }
        server { listen {listen}; location / { access_log {dir}/access.log mine; proxy_pass http://group; } }";
    Proxy::start(conf, &[("format", &format), ("server", server)])
}

/// Waits for the log's `n`th line, counted from 1.
fn line(proxy: &Proxy, n: usize) -> String {
    let path = proxy.directory().join("access.log");
    wait_until("a line in the log", || lines(&path).len() >= n);
    lines(&path)[n - 1].clone()
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
        .map(str::to_owned)
        .collect()
}

/// The line that one request leaves in a log of this format.
fn logged(format: &str, request: &str, answer: &[u8]) -> String {
    let server = Upstream::answering(answer);
    let proxy = logging(&server, format);
    proxy.client().ask(request);
    line(&proxy, 1).replace(&server.address(), "SERVER")
}

#[test]
fn combined_is_what_it_is_everywhere() {
    let server = Upstream::answering(ok("hello"));
    let conf = "server { listen {listen}; access_log {dir}/access.log; location / { proxy_pass http://{server}; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    proxy.client().ask("GET /a?b HTTP/1.1\r\nHost: a\r\nUser-Agent: trino-cli\r\n\r\n");
    let line = line(&proxy, 1);
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.ends_with("] \"GET /a?b HTTP/1.1\" 200 5 \"-\" \"trino-cli\""), "{line}");
    let time = line.split(['[', ']']).nth(1).unwrap();
    // As in 22/Nov/2026:20:40:00 +0000.
    assert_eq!(
        (time.len(), time.matches(':').count(), &time[2..3], &time[20..21]),
        (26, 3, "/", " "),
        "{time}"
    );
}

#[test]
fn values_are_written_as_asked() {
    let request = "POST /x?y=1 HTTP/1.1\r\nHost: A\r\nContent-Length: 4\r\n\r\nbody";
    let answer = b"HTTP/1.1 201 Made\r\nX-Trino: t\r\nContent-Length: 5\r\n\r\nhello";
    let table = [
        ("'$request_method $uri $args $status'", "POST /x y=1 201"),
        ("'$body_bytes_sent $request_length'", "5 56"),
        ("'$upstream_addr $upstream_status'", "SERVER 201"),
        ("'$upstream_response_length $upstream_http_x_trino $sent_http_x_trino'", "5 t t"),
        ("'$host [$http_missing] [$arg_none]'", "a [-] [-]"),
        ("'a' 'b'", "ab"),
    ];
    for (format, expected) in table {
        assert_eq!(logged(format, request, answer), expected, "{format}");
    }
}

#[test]
fn escapes_keep_a_line_a_line() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX: a\"b\\c\u{e9}\r\n\r\n";
    assert_eq!(logged("'$http_x'", request, &ok("")), "a\\x22b\\x5Cc\\xC3\\xA9");
    assert_eq!(
        logged("escape=json '{\"x\":\"$http_x\"}'", request, &ok("")),
        "{\"x\":\"a\\\"b\\\\c\u{e9}\"}"
    );
    assert_eq!(logged("escape=none '$http_x'", request, &ok("")), "a\"b\\c\u{e9}");
}

#[test]
fn times_are_seconds_with_milliseconds() {
    let times = logged(
        "'$request_time $upstream_connect_time $upstream_header_time $upstream_response_time $msec'",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &ok("a"),
    );
    let times: Vec<&str> = times.split(' ').collect();
    assert_eq!(times.len(), 5);
    for time in times {
        let (seconds, millis) = time.split_once('.').unwrap();
        assert!(seconds.parse::<u64>().is_ok() && millis.len() == 3, "{time}");
    }
}

#[test]
fn every_attempt_is_listed() {
    let (primary, backup) = (Upstream::refusing("a"), Upstream::named("b"));
    let conf = "log_format mine '$upstream_addr|$upstream_status|$status';
        upstream group { server {a} fail_timeout=60s; server {b} backup; }
        server { listen {listen}; location / { access_log {dir}/access.log mine; proxy_pass http://group; } }";
    let proxy = Proxy::start(conf, &[("a", &primary), ("b", &backup)]);
    proxy.client().ask(get("/"));
    assert_eq!(line(&proxy, 1), format!("{primary}, {backup}|502, 200|200"));
    proxy.client().ask(get("/"));
    assert_eq!(line(&proxy, 2), format!("{backup}|200|200"));
}

#[test]
fn with_all_servers_out_the_group_is_named() {
    let servers = [Upstream::refusing("a"), Upstream::refusing("b")];
    let conf = "log_format mine '$upstream_addr|$upstream_status';
        upstream group { server {a} fail_timeout=60s; server {b} fail_timeout=60s; }
        server { listen {listen}; location / { access_log {dir}/access.log mine; proxy_pass http://group; } }";
    let proxy = Proxy::start(conf, &[("a", &servers[0]), ("b", &servers[1])]);
    proxy.client().ask(get("/"));
    proxy.client().ask(get("/"));
    assert_eq!(line(&proxy, 2), "group|502");
}

#[test]
fn off_writes_nothing_and_one_request_may_be_written_twice() {
    let conf = "log_format short '$uri';
        server { listen {listen}; access_log {dir}/all.log short; access_log {dir}/access.log short;
            location / { return 200 x; } location /quiet { access_log off; return 200 x; } }";
    let proxy = Proxy::start(conf, &[]);
    let mut client = proxy.client();
    client.ask(get("/quiet"));
    client.ask(get("/loud"));
    assert_eq!(line(&proxy, 1), "/loud");
    assert_eq!(lines(&proxy.directory().join("all.log")), ["/loud"]);
}

#[test]
fn a_refused_request_is_logged_too() {
    let conf = "log_format mine '$status [$request]';
        server { listen {listen}; access_log {dir}/access.log mine; return 200; }";
    let proxy = Proxy::start(conf, &[]);
    proxy.client().ask("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(line(&proxy, 1), "400 [GET / HTTP/1.1]");
}

#[test]
fn reopen_writes_to_a_new_file() {
    let server = Upstream::named("a");
    let proxy = logging(&server, "'$uri'");
    let (path, moved) = (proxy.directory().join("access.log"), proxy.directory().join("moved.log"));
    proxy.client().ask(get("/before"));
    assert_eq!(line(&proxy, 1), "/before");
    fs::rename(&path, &moved).unwrap();
    let file = proxy.file();
    let sent = common::run(&[
        "-p",
        proxy.directory().to_str().unwrap(),
        "-c",
        file.to_str().unwrap(),
        "-s",
        "reopen",
    ]);
    assert_eq!(sent.status, Some(0), "{sent:?}");
    wait_until("the new file", || path.exists());
    wait_until("the new file to be used", || {
        proxy.client().ask(get("/after"));
        !lines(&path).is_empty()
    });
    assert_eq!(lines(&moved)[0], "/before");
    assert_eq!(line(&proxy, 1), "/after");
}

#[test]
fn state_changes_are_in_the_error_log_with_the_servers_address() {
    let (mut primary, backup) = (Upstream::refusing("a"), Upstream::named("b"));
    let inside = "upstream group { server {a} fail_timeout=1s; server {b} backup; }
        server { listen {listen}; location / { proxy_pass http://group; } }";
    let whole = format!(
        "daemon off; pid {{dir}}/proxy.pid; error_log {{dir}}/error.log warn; events {{}}
         http {{ access_log off; {inside} }}"
    );
    let proxy = Proxy::start_whole(&whole, &[("a", &primary), ("b", &backup)]);
    let path = proxy.directory().join("error.log");
    assert!(path.exists(), "error_log files exist from the start");
    assert_eq!(proxy.client().ask(get("/")).text(), "b");
    let has = |words: &[&str]| {
        lines(&path).iter().any(|line| words.iter().all(|word| line.contains(word)))
    };
    let address = primary.address();
    wait_until("the failure in the log", || {
        has(&["warn", &address]) || has(&["refused", &address])
    });
    assert!(has(&[&address, "refused"]), "{:?}", lines(&path));
    if nginx_differs("does not tell when a server is back") {
        return;
    }
    let told = lines(&path).len();
    primary.start();
    wait_until("the primary to be used again", || proxy.client().ask(get("/")).text() == "a");
    wait_until("the return in the log", || {
        lines(&path)[told..].iter().any(|line| line.contains(&address))
    });
}

#[test]
fn a_post_that_a_dead_pooled_connection_cost_is_in_the_error_log() {
    let server = Upstream::playing(|connection| {
        connection.read_request()?;
        connection.send(ok("a"))?;
        connection.read_request()?;
        connection.reset();
        Ok(())
    });
    let whole = "daemon off; pid {dir}/proxy.pid; error_log {dir}/error.log warn; events {}
        http { access_log off; upstream group { server {server}; keepalive 8; }
        server { listen {listen}; location / { proxy_pass http://group; } } }";
    let proxy = Proxy::start_whole(whole, &[("server", &server)]);
    let mut client = proxy.client();
    client.ask(get("/"));
    assert_eq!(client.ask(post("/", "insert")).status(), 502);
    let (path, address) = (proxy.directory().join("error.log"), server.address());
    wait_until("the lost request in the log", || {
        lines(&path).iter().any(|line| line.contains(&address) && line.contains("\"POST / "))
    });
}

#[test]
fn a_change_of_protocol_is_logged_with_the_fields_that_were_sent() {
    let answer = b"HTTP/1.1 101 Switching\r\nUpgrade: ws\r\nConnection: upgrade\r\nX-A: b\r\n\r\n";
    let server = Upstream::playing(move |connection| {
        connection.read_head()?;
        connection.send(answer)
    });
    let conf = "log_format mine '$status $sent_http_connection $sent_http_x_a';
        server { listen {listen}; location / { access_log {dir}/access.log mine;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
            proxy_pass http://{server}; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: ws\r\nConnection: upgrade\r\n\r\n");
    assert_eq!(client.read_head().status(), 101);
    client.finish_sending();
    client.read_to_end();
    assert_eq!(line(&proxy, 1), "101 upgrade b");
}

#[test]
fn the_group_is_named_where_no_other_server_could_be_had() {
    let servers = [Upstream::refusing("a"), Upstream::resetting(), Upstream::refusing("c")];
    let conf = "log_format mine '$upstream_addr|$upstream_status';
        upstream group { server {a} fail_timeout=60s; server {b} max_fails=0 backup;
            server {c} fail_timeout=60s; }
        server { listen {listen}; access_log {dir}/access.log mine;
            location / { proxy_pass http://group; } }";
    let [a, b, c] = &servers;
    let proxy = Proxy::start(conf, &[("a", a), ("b", b), ("c", c)]);
    proxy.client().ask(get("/"));
    assert_eq!(line(&proxy, 1), format!("{a}, {c}, {b}|502, 502, 502"), "all were asked");
    proxy.client().ask(get("/"));
    assert_eq!(line(&proxy, 2), format!("{b}, group|502, 502"), "the others are out");
    proxy.client().ask(post("/", "x"));
    assert_eq!(line(&proxy, 3), format!("{b}|502"), "it may not move");
}

#[test]
fn a_refused_request_is_logged_with_what_is_known_of_it() {
    let conf = "log_format mine '$status [$request_method] [$request_uri] [$uri] [$args]';
        server { listen {listen}; access_log {dir}/access.log mine; location / { return 200; } }";
    let proxy = Proxy::start(conf, &[]);
    for (n, (request, expected)) in [
        ("GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", "400 [GET] [/../x] [] [-]"),
        ("GET /a?b HTTP/1.1\r\n\r\n", "400 [GET] [/a?b] [/a] [b]"),
        ("\x01\x02\r\n\r\n", "400 [-] [-] [-] [-]"),
    ]
    .iter()
    .enumerate()
    {
        proxy.client().ask(request);
        let got = line(&proxy, n + 1);
        if !nginx_differs("splits the target that it refuses before or after") {
            assert_eq!(got, *expected, "{request:?}");
        }
    }
}

#[test]
fn what_clients_do_wrong_does_not_silence_what_servers_do() {
    if nginx_differs("tells of each") {
        return;
    }
    let server = Upstream::refusing("a");
    let other = common::Port::reserve();
    let conf = "server { listen {other} proxy_protocol; return 200; }
        server { listen {listen}; location / { proxy_pass http://{server}; } }";
    let address = other.address();
    let proxy = Proxy::start(conf, &[("other", &address), ("server", &server)]);
    for _ in 0..30 {
        let mut client = common::Client::connect(address);
        client.send("x");
        assert!(client.is_closed());
    }
    assert_eq!(proxy.client().ask(get("/important")).status(), 502);
    proxy.wait_for_log(&["/important"]);
    proxy.wait_for_log(&["more clients that were turned away"]);
    assert!(!proxy.log_text().contains("whose server failed"), "{}", proxy.log_text());
}
