//! What is written down: access lines, formats, state changes, files that are moved away.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests live in real time")]

mod common;

use std::fs::{self, File};
use std::io::{ErrorKind, PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{
    Framing, Proxy, SWITCHED, UPGRADE, UPGRADES, Upstream, get, nginx_differs, ok, post, wait_until,
};
use rustix::fs::OFlags;

/// A group of these servers, and a log in `format`.
fn logging(servers: &str, format: &str) -> Proxy {
    let conf = "log_format mine {format}; upstream group { {servers} }
        server { listen {listen}; location / { access_log {dir}/access.log mine; proxy_pass http://group; } }";
    Proxy::start(conf, &[("format", &format), ("servers", &servers)])
}

/// The line that one request leaves in a log of this format.
fn logged(format: &str, request: &str, answer: &[u8]) -> String {
    let server = Upstream::answering(answer);
    let proxy = logging(&format!("server {server};"), format);
    proxy.client().ask(request);
    proxy.access_line(1).replace(&server.address(), "SERVER")
}

#[test]
fn combined_is_what_it_is_everywhere() {
    let server = Upstream::answering(ok("hello"));
    let conf = "server { listen {listen}; access_log {dir}/access.log; location / { proxy_pass http://{server}; } }";
    let proxy = Proxy::start(conf, &[("server", &server)]);
    proxy.client().ask("GET /a?b HTTP/1.1\r\nHost: a\r\nUser-Agent: trino-cli\r\n\r\n");
    let line = proxy.access_line(1);
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
    let group = format!("server {primary} fail_timeout=60s; server {backup} backup;");
    let proxy = logging(&group, "'$upstream_addr|$upstream_status|$status'");
    proxy.client().ask(get("/"));
    assert_eq!(proxy.access_line(1), format!("{primary}, {backup}|502, 200|200"));
    proxy.client().ask(get("/"));
    assert_eq!(proxy.access_line(2), format!("{backup}|200|200"));
}

#[test]
fn with_all_servers_out_the_group_is_named() {
    let (a, b) = (Upstream::refusing("a"), Upstream::refusing("b"));
    let group = format!("server {a} fail_timeout=60s; server {b} fail_timeout=60s;");
    let proxy = logging(&group, "'$upstream_addr|$upstream_status'");
    proxy.client().ask(get("/"));
    proxy.client().ask(get("/"));
    assert_eq!(proxy.access_line(2), "group|502");
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
    assert_eq!(proxy.access_line(1), "/loud");
    assert_eq!(proxy.lines("all.log"), ["/loud"]);
}

#[test]
fn a_refused_request_is_logged_too() {
    let conf = "log_format mine '$status [$request]';
        server { listen {listen}; access_log {dir}/access.log mine; return 200; }";
    let proxy = Proxy::start(conf, &[]);
    proxy.client().ask("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(proxy.access_line(1), "400 [GET / HTTP/1.1]");
}

#[test]
fn reopen_writes_to_a_new_file() {
    let server = Upstream::named("a");
    let proxy = logging(&format!("server {server};"), "'$uri'");
    let (path, moved) = (proxy.directory().join("access.log"), proxy.directory().join("moved.log"));
    proxy.client().ask(get("/before"));
    assert_eq!(proxy.access_line(1), "/before");
    fs::rename(&path, &moved).unwrap();
    proxy.tell("reopen");
    wait_until("the new file", || path.exists());
    wait_until("the new file to be used", || {
        proxy.client().ask(get("/after"));
        !proxy.lines("access.log").is_empty()
    });
    assert_eq!(proxy.lines("moved.log")[0], "/before");
    assert_eq!(proxy.access_line(1), "/after");
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
    let told = || proxy.lines("error.log");
    assert!(proxy.directory().join("error.log").exists(), "error_log files exist from the start");
    assert_eq!(proxy.client().ask(get("/")).text(), "b");
    let has =
        |words: &[&str]| told().iter().any(|line| words.iter().all(|word| line.contains(word)));
    let address = primary.address();
    wait_until("the failure in the log", || {
        has(&["warn", &address]) || has(&["refused", &address])
    });
    assert!(has(&[&address, "refused"]), "{:?}", told());
    if nginx_differs("does not tell when a server is back") {
        return;
    }
    let before = told().len();
    primary.start();
    wait_until("the primary to be used again", || proxy.client().ask(get("/")).text() == "a");
    wait_until("the return in the log", || {
        told()[before..].iter().any(|line| line.contains(&address))
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
    let address = server.address();
    wait_until("the lost request in the log", || {
        let lines = proxy.lines("error.log");
        lines.iter().any(|line| line.contains(&address) && line.contains("\"POST / "))
    });
}

/// Starts with this standard error stream and this environment.
fn start(conf: &str, stderr: impl Into<Stdio>, environment: &[(&str, &str)]) -> Proxy {
    let mut command = Command::new(common::binary());
    command.envs(environment.iter().copied());
    Proxy::start_as(command, stderr, &format!("pid {{dir}}/proxy.pid; {conf}"), &[])
}

/// One request, with as long a line as the log may get.
fn ask(proxy: &Proxy) -> u16 {
    proxy.client().ask(get(&format!("/{}", "x".repeat(1000)))).status()
}

fn ends_in_order(mut proxy: Proxy) {
    proxy.signal("TERM");
    assert_eq!(proxy.wait_for_exit().code(), Some(0));
}

/// Logs a line of a thousand bytes for each request, wherever that goes.
const TALKATIVE: &str = "events {} http { log_format long '$request'; server { listen {listen};
    access_log {log} long flush=1ms; return 200; } }";

/// Another open description of the same pipe, which never makes us wait.
fn impatient(pipe: impl AsFd, options: &mut fs::OpenOptions) -> File {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
    let path = format!("/proc/self/fd/{}", pipe.as_fd().as_raw_fd());
    options.custom_flags(flags).open(path).unwrap()
}

/// A pipe without any room, and how many bytes are in it.
fn full_pipe() -> (PipeReader, OwnedFd, usize) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut filler = impatient(&writer, File::options().write(true));
    let mut total = 0;
    loop {
        match std::io::Write::write(&mut filler, &[b'x'; 4096]) {
            Ok(n) => total += n,
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::WouldBlock);
                return (reader, writer.into(), total);
            }
        }
    }
}

/// Reads until a line holds this text; returns all lines, complete ones only.
fn read_until(reader: &PipeReader, text: &str) -> Vec<String> {
    let mut reader = impatient(reader, File::options().read(true));
    let mut bytes = Vec::new();
    let whole = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
    };
    wait_until(&format!("a line with {text:?}"), || {
        if let Err(e) = reader.read_to_end(&mut bytes) {
            assert_eq!(e.kind(), ErrorKind::WouldBlock);
        }
        whole(&bytes).iter().any(|line| line.contains(text))
    });
    whole(&bytes)
}

/// How many lines were lost, by the line that says so.
fn told_as_lost(lines: &[String]) -> usize {
    let line = lines.iter().find(|line| line.contains("lines were lost")).expect("a loss");
    let number = line.split("lines were lost").next().unwrap().trim().rsplit(' ').next().unwrap();
    number.parse().unwrap()
}

#[test]
fn a_stderr_without_room_costs_lines_and_neither_time_nor_the_process() {
    if nginx_differs("waits for room") {
        return;
    }
    for flags in [OFlags::empty(), OFlags::NONBLOCK] {
        let (reader, writer, filled) = full_pipe();
        rustix::fs::fcntl_setfl(&writer, flags).unwrap();
        let conf = TALKATIVE.replace("{log}", "/dev/stderr");
        let proxy = start(&conf, writer.try_clone().unwrap(), &[]);
        let asked = 600;
        let mut late = 0;
        for _ in 0..asked {
            let began = Instant::now();
            assert_eq!(ask(&proxy), 200);
            late += usize::from(began.elapsed() > Duration::from_millis(100));
        }
        // What a busy machine may take now and then.
        assert!(late < asked / 100, "{late} clients waited");
        // How others write to the same pipe has not changed.
        assert_eq!(rustix::fs::fcntl_getfl(&writer).unwrap() & OFlags::NONBLOCK, flags);
        let lines = read_until(&reader, "lines were lost");
        let bytes: usize = lines.iter().map(String::len).sum();
        assert!(bytes > filled, "{bytes} of {filled}");
        let written = lines.iter().filter(|line| line.contains("GET /xxx")).count();
        assert_eq!(written + told_as_lost(&lines), asked);
        assert!(lines.iter().any(|line| line.contains("\"/dev/stderr\" has no room")));
        ends_in_order(proxy);
    }
}

#[test]
fn a_socket_as_stderr_costs_lines_and_no_time_either() {
    if nginx_differs("waits for room") {
        return;
    }
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let conf = TALKATIVE.replace("{log}", "/dev/stderr");
    let proxy = start(&conf, OwnedFd::from(theirs), &[]);
    for _ in 0..1000 {
        assert_eq!(ask(&proxy), 200);
    }
    let mut ours = std::io::BufReader::new(ours);
    let mut line = String::new();
    while !line.contains("lines were lost") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut ours, &mut line).unwrap() > 0);
    }
    ends_in_order(proxy);
}

#[test]
fn a_full_disk_under_a_log_is_told_and_costs_nothing_else() {
    if nginx_differs("tells it otherwise") {
        return;
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let conf = format!("error_log stderr; error_log /dev/full; {TALKATIVE}");
    let proxy = start(&conf.replace("{log}", "/dev/full"), writer, &[]);
    assert_eq!(ask(&proxy), 200);
    read_until(&reader, "cannot write to \"/dev/full\": No space left");
    assert_eq!(ask(&proxy), 200);
    ends_in_order(proxy);
}

#[test]
fn logs_may_be_fifos_whether_or_not_somebody_reads() {
    if nginx_differs("waits for a reader") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    common::fifo(&path);
    let log = path.display();
    let conf = format!("error_log {log}.e info; error_log {log}; {TALKATIVE}")
        .replace("{log}", &log.to_string());
    let proxy = start(&conf, Stdio::null(), &[]);
    assert_eq!(ask(&proxy), 200);
    for _ in 0..2 {
        let reader = File::options()
            .read(true)
            .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap())
            .open(&path)
            .unwrap();
        let mut text = Vec::new();
        wait_until("the line", || {
            let _ = (&reader).read_to_end(&mut text);
            text.windows(5).any(|part| part == b"GET /")
        });
        drop(reader);
        assert_eq!(ask(&proxy), 200);
    }
    ends_in_order(proxy);
}

#[test]
fn stderr_has_the_format_of_files_whatever_it_is() {
    if nginx_differs("writes other messages") {
        return;
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let conf = "error_log stderr info; error_log {dir}/e.log info; events {}
        http { server { listen {listen}; return 200; } }";
    // Inherited from a service, but these are not the journal's numbers.
    let proxy = start(conf, writer, &[("JOURNAL_STREAM", "1:2")]);
    let lines = read_until(&reader, "listening on");
    let path = proxy.directory().join("e.log");
    wait_until("the same lines in the file", || {
        fs::read_to_string(&path).unwrap() == lines.concat()
    });
    let line = lines.iter().find(|line| line.contains("listening on")).unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let process = format!("{}#0:", proxy.id());
    assert_eq!((words[2], words[3], words[4]), ("[info]", process.as_str(), "listening"), "{line}");
    ends_in_order(proxy);
}

#[test]
fn the_journal_gets_priorities_and_no_time() {
    if nginx_differs("knows no journal") {
        return;
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let found = rustix::fs::fstat(&writer).unwrap();
    let conf = "error_log stderr info; events {} http { server { listen {listen}; return 200; } }";
    let stream = format!("{}:{}", found.st_dev, found.st_ino);
    let proxy = start(conf, writer, &[("JOURNAL_STREAM", &stream)]);
    let lines = read_until(&reader, "listening on");
    assert!(lines.iter().all(|line| line.starts_with("<6>")), "{lines:?}");
    assert!(lines.contains(&format!("<6>listening on {}\n", proxy.address())), "{lines:?}");
    ends_in_order(proxy);
}

#[test]
fn what_waits_for_a_log_survives_a_reload_and_reopening() {
    if nginx_differs("waits for room") {
        return;
    }
    let (reader, writer, _) = full_pipe();
    let conf = "error_log stderr info; error_log {dir}/e.log info; events {}
        http { server { listen {listen}; return 200; } }";
    let proxy = start(conf, writer, &[]);
    let path = proxy.directory().join("e.log");
    for (signal, told) in [("HUP", "reloaded"), ("USR1", "reopening logs"), ("HUP", "reloaded")] {
        let before = fs::read_to_string(&path).unwrap().matches(told).count();
        proxy.signal(signal);
        wait_until(told, || fs::read_to_string(&path).unwrap().matches(told).count() > before);
    }
    let lines = read_until(&reader, "reopening logs").concat();
    let text = lines.trim_start_matches('x');
    wait_until("all lines", || fs::read_to_string(&path).unwrap().starts_with(text));
    assert!(text.contains("listening on") && text.contains("reloaded"), "{text}");
    ends_in_order(proxy);
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
    assert_eq!(proxy.access_line(1), "101 upgrade b");
}

#[test]
fn what_comes_with_a_change_of_protocol_is_counted_once() {
    let answer = [SWITCHED, "first"].concat();
    let length = answer.len() + "second".len();
    let server = Upstream::playing(move |connection| {
        connection.read_head()?;
        connection.send(&answer)?;
        connection.read_body(Framing::Length(4))?;
        connection.send("second")
    });
    let conf = format!(
        "log_format mine '$upstream_bytes_received $upstream_response_length';
        server {{ listen {{listen}}; location / {{ access_log {{dir}}/access.log mine;
            {UPGRADES} proxy_pass http://{{server}}; }} }}"
    );
    let proxy = Proxy::start(&conf, &[("server", &server)]);
    let mut client = proxy.client();
    client.send(UPGRADE);
    assert_eq!(client.read_head().status(), 101);
    client.send("more");
    client.finish_sending();
    assert!(client.read_to_end().ends_with(b"firstsecond"));
    assert_eq!(proxy.access_line(1), format!("{length} 11"));
}

#[test]
fn the_group_is_named_where_no_other_server_could_be_had() {
    let servers = [Upstream::refusing("a"), Upstream::resetting(), Upstream::refusing("c")];
    let [a, b, c] = &servers;
    let group = format!(
        "server {a} fail_timeout=60s; server {b} max_fails=0 backup; server {c} fail_timeout=60s;"
    );
    let proxy = logging(&group, "'$upstream_addr|$upstream_status'");
    proxy.client().ask(get("/"));
    assert_eq!(proxy.access_line(1), format!("{a}, {c}, {b}|502, 502, 502"), "all were asked");
    proxy.client().ask(get("/"));
    assert_eq!(proxy.access_line(2), format!("{b}, group|502, 502"), "the others are out");
    proxy.client().ask(post("/", "x"));
    assert_eq!(proxy.access_line(3), format!("{b}|502"), "it may not move");
}

#[test]
fn a_refused_request_is_logged_with_what_is_known_of_it() {
    let conf = "log_format mine '$status [$request_method] [$request_uri] [$uri] [$args]';
        server { listen {listen}; access_log {dir}/access.log mine; location / { return 200; } }";
    let proxy = Proxy::start(conf, &[]);
    for (n, (request, expected)) in [
        ("GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", "400 [GET] [/../x] [] [-]"),
        ("GET /a?b HTTP/1.1\r\n\r\n", "400 [GET] [/a?b] [/a] [b]"),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", "400 [GET] [-] [-] [-]"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "405 [CONNECT] [-] [-] [-]"),
        ("\x01\x02\r\n\r\n", "400 [-] [-] [-] [-]"),
    ]
    .iter()
    .enumerate()
    {
        proxy.client().ask(request);
        let got = proxy.access_line(n + 1);
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
