//! The program as an operator meets it: arguments, messages, exit codes, signals, reload.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use common::{
    Client, Port, Program, Proxy, Run, Upstream, gate, get, is_nginx, nginx_differs, ok, run,
    wait_until,
};
use tempfile::TempDir;

/// The file that the program is made for, as people run it; only the names are addresses here.
const TRINO: &str = "upstream trino {
   server 127.0.0.1:8080 fail_timeout=3s max_fails=1;
   server 127.0.0.1:8081 backup;
}
server {
    listen       80;
    server_name  localhost;
    location / {
        proxy_pass   http://trino;
        proxy_redirect  http://trino/ /;
        proxy_connect_timeout 3;
        proxy_set_header          Host            $host;
        proxy_set_header          X-Real-IP       $remote_addr;
        proxy_set_header          X-Forwarded-For $proxy_add_x_forwarded_for;
    }
}
";

/// Writes a file; for nginx, the inside of `http {}` gets its outside.
fn file(text: &str) -> (TempDir, PathBuf) {
    let text = if is_nginx() {
        format!("pid {{dir}}/pid; error_log stderr; events {{}} http {{ access_log off; {text} }}")
    } else {
        text.to_owned()
    };
    let directory = common::directory("proxy.conf", &text);
    let path = directory.path().join("proxy.conf");
    (directory, path)
}

fn run_on(flags: &[&str], path: &Path) -> Run {
    run(&[flags, &["-c", path.to_str().unwrap()]].concat())
}

/// A complaint is one clear line with these words, and a status of 1.
fn check_complaint(complaint: &Run, words: &[&str]) {
    assert_eq!(complaint.status, Some(1), "{complaint:?}");
    for word in words {
        assert!(complaint.stderr.contains(word), "no {word:?} in {}", complaint.stderr);
    }
    assert!(!complaint.stderr.contains("panicked"), "{}", complaint.stderr);
}

#[test]
fn a_good_file_passes_the_test() {
    // A port that needs no rights.
    let (_directory, path) = file(&TRINO.replace("listen       80", "listen       8090"));
    let tested = run_on(&["-t"], &path);
    assert_eq!(tested.status, Some(0), "{}", tested.stderr);
    assert!(tested.stderr.contains("successful"), "{}", tested.stderr);
}

#[test]
fn a_broken_file_is_refused_with_its_place_and_reason() {
    // The text, the place, and a word of the reason.
    let table = [
        // nginx points at what it found instead of the end: one line on.
        (
            "server {\n    listen 8090\n}\n",
            if is_nginx() { "proxy.conf:3" } else { "proxy.conf:2" },
            ";",
        ),
        ("server {\n    lisen 127.0.0.1:8090;\n}\n", "proxy.conf:2", "lisen"),
        ("server {\n    listen 127.0.0.1:99999;\n}\n", "proxy.conf:2", "99999"),
        (
            "server {\n    location / {\n        proxy_pass http://;\n    }\n}\n",
            "proxy.conf:3",
            if is_nginx() { "no host" } else { "not an address" },
        ),
        ("server {\n    keepalive_timeout fast;\n}\n", "proxy.conf:2", "keepalive_timeout"),
        ("upstream u {\n    server 127.0.0.1:1 weigth=2;\n}\n", "proxy.conf:2", "weigth"),
        ("upstream u {\n}\n", "proxy.conf:", "upstream"),
        ("server {\n    location / {\n    }\n    location / {\n    }\n}\n", "proxy.conf:4", "/"),
        ("server {\n", "proxy.conf:", "}"),
        ("}\n", "proxy.conf:", "}"),
    ];
    for (text, place, word) in table {
        let (_directory, path) = file(text);
        check_complaint(&run_on(&["-t"], &path), &[place, word]);
    }
}

#[test]
fn a_complaint_names_file_line_and_column() {
    if nginx_differs("names no column") {
        return;
    }
    let (_directory, path) = file("server {\n    lisen 127.0.0.1:8090;\n}\n");
    let place = format!("{}:2:5", path.display());
    check_complaint(&run_on(&["-t"], &path), &[&place, "lisen 127.0.0.1:8090;"]);
}

#[test]
fn one_test_shows_all_errors_of_a_file() {
    if nginx_differs("ends at the first") {
        return;
    }
    let (_directory, path) = file("server {\n    lisen 80;\n    send_timeout soon;\n}\nfoo;\n");
    let tested = run_on(&["-t"], &path);
    check_complaint(&tested, &["proxy.conf:2:5", "lisen", "proxy.conf:3:18", "soon"]);
    check_complaint(&tested, &["proxy.conf:5:1", "foo", "test failed"]);
    let mut proxy = Proxy::start("server { listen {listen}; return 200; }", &[]);
    proxy.rewrite("server { lisen 80; }\nfoo;", &[]);
    proxy.signal("HUP");
    proxy.wait_for_log(&["lisen", "and 1 more error", "the old configuration stays"]);
    assert!(proxy.runs());
}

#[test]
fn what_nginx_knows_and_we_do_not_is_called_unsupported() {
    if nginx_differs("knows it") {
        return;
    }
    let (_directory, path) = file("server {\n    listen 127.0.0.1:8090;\n    expires 1h;\n}\n");
    check_complaint(&run_on(&["-t"], &path), &["proxy.conf:3:5", "expires", "not supported"]);
}

#[test]
fn a_missing_file_is_one_clear_complaint() {
    check_complaint(&run(&["-c", "/nowhere/proxy.conf"]), &["/nowhere/proxy.conf", "No such file"]);
    check_complaint(&run(&["-t", "-c", "/nowhere/proxy.conf"]), &["/nowhere/proxy.conf"]);
}

#[test]
fn a_directory_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    check_complaint(&run(&["-c", path]), &[path]);
}

#[test]
fn a_name_without_an_address_is_one_clear_complaint() {
    let (_directory, path) = file("upstream u {\n    server no-such-host.invalid:80;\n}\n");
    check_complaint(&run_on(&["-t"], &path), &["no-such-host.invalid", "proxy.conf:2"]);
}

#[test]
fn a_taken_port_is_one_clear_complaint() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_directory, path) = file(&format!("server {{ listen {address}; return 200; }}"));
    check_complaint(&run_on(&[], &path), &[&address, "in use"]);
}

#[test]
fn version_and_help_are_printed() {
    for (flag, word) in [("-v", "version"), ("-V", "version"), ("-h", "-t")] {
        let printed = run(&[flag]);
        assert_eq!(printed.status, Some(0));
        assert!(
            format!("{}{}", printed.stdout, printed.stderr).contains(word),
            "{flag}: {printed:?}"
        );
    }
    if !is_nginx() {
        let printed = run(&["-v"]);
        assert!(
            format!("{}{}", printed.stdout, printed.stderr).contains(env!("CARGO_PKG_VERSION"))
        );
    }
}

#[test]
fn an_unknown_argument_is_a_complaint() {
    check_complaint(&run(&["-@"]), &["@"]);
}

/// Answers each connection's request once the gate is opened, by dropping it.
fn gated() -> (Upstream, mpsc::Sender<()>) {
    let (open, opened) = gate();
    let server = Upstream::playing(move |connection| {
        while connection.read_request()?.is_some() {
            opened()?;
            connection.send(ok("late"))?;
        }
        Ok(())
    });
    (server, open)
}

fn refuses(proxy: &Proxy) -> bool {
    std::net::TcpStream::connect(proxy.address()).is_err()
}

#[test]
fn quit_finishes_the_exchange_in_flight_and_exits_in_order() {
    let (server, open) = gated();
    let mut proxy = Proxy::before(&server, "} location /idle { return 200 x;");
    let (mut busy, mut idle) = (proxy.client(), proxy.client());
    assert_eq!(idle.ask(get("/idle")).status(), 200);
    busy.send(get("/"));
    server.wait_for_request(1);
    proxy.signal("QUIT");
    assert!(idle.is_closed());
    wait_until("the listener to close", || refuses(&proxy));
    drop(open);
    assert_eq!(busy.read_response().text(), "late");
    assert!(busy.is_closed());
    assert_eq!(proxy.wait_for_exit().code(), Some(0));
    assert!(!proxy.pid_file().exists());
}

#[test]
fn term_stops_at_once() {
    let (server, _open) = gated();
    let mut proxy = Proxy::before(&server, "");
    let mut busy = proxy.client();
    busy.send(get("/"));
    server.wait_for_request(1);
    proxy.signal("TERM");
    assert_eq!(proxy.wait_for_exit().code(), Some(0));
    assert!(busy.try_read_response().is_err());
    assert!(!proxy.pid_file().exists());
}

#[test]
fn stop_and_quit_words_end_the_process() {
    for word in ["stop", "quit"] {
        let mut proxy = Proxy::start("server { listen {listen}; return 200; }", &[]);
        proxy.tell(word);
        assert_eq!(proxy.wait_for_exit().code(), Some(0), "{word}");
    }
}

#[test]
fn an_answer_that_a_stop_cuts_does_not_look_whole() {
    if is_nginx() {
        return;
    }
    let server = Upstream::playing(|connection| {
        connection.read_request()?;
        connection.send("HTTP/1.0 200 OK\r\n\r\npart")?;
        connection.wait_for_end()
    });
    for signals in [&["TERM"][..], &["QUIT", "QUIT"]] {
        let mut proxy = Proxy::before(&server, "");
        let mut client = proxy.client();
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert!(client.reader().head().is_ok_and(|head| head.is_some()));
        assert_eq!(client.read_exactly(4), b"part");
        for signal in signals {
            proxy.signal(signal);
            proxy.wait_for_log(&["stopping"]);
        }
        let end = client.read_some(&mut [0]).map_err(|why| why.kind());
        assert_eq!(end, Err(ErrorKind::ConnectionReset), "{signals:?}");
        assert!(proxy.wait_for_exit().success());
    }
}

#[test]
fn a_word_to_nobody_is_a_complaint() {
    let (directory, path) = file("server { listen 127.0.0.1:8090; }");
    let prefix = directory.path().to_str().unwrap();
    let sent = run(&["-p", prefix, "-c", path.to_str().unwrap(), "-s", "stop"]);
    check_complaint(&sent, &["pid"]);
}

const ONE_SERVER: &str = "upstream group { server {server}; keepalive 8; }
    server { listen {listen}; location / { proxy_pass http://group; } }";

#[test]
fn reload_switches_servers_and_loses_no_exchange() {
    let ((old, open), new) = (gated(), Upstream::named("new"));
    let proxy = Proxy::start(ONE_SERVER, &[("server", &old)]);
    let mut busy = proxy.client();
    busy.send(get("/"));
    old.wait_for_request(1);
    proxy.rewrite(ONE_SERVER, &[("server", &new)]);
    proxy.tell("reload");
    // An old nginx worker may still take a connection: such a request waits for nothing here.
    wait_until("the new server to be used", || {
        let mut client = proxy.client();
        client.send(get("/"));
        client.is_silent_for(Duration::from_millis(1));
        new.requests().len() > 1
    });
    drop(open);
    assert_eq!(busy.read_response().text(), "late");
    wait_until("only the new server to be used", || proxy.client().ask(get("/")).text() == "new");
}

#[test]
fn a_hangup_signal_reloads_too() {
    let (old, new) = (Upstream::named("old"), Upstream::named("new"));
    let proxy = Proxy::start(ONE_SERVER, &[("server", &old)]);
    assert_eq!(proxy.client().ask(get("/")).text(), "old");
    proxy.rewrite(ONE_SERVER, &[("server", &new)]);
    proxy.signal("HUP");
    wait_until("the new server to be used", || proxy.client().ask(get("/")).text() == "new");
}

#[test]
fn a_bad_reload_keeps_the_old_configuration() {
    let server = Upstream::named("old");
    let mut proxy = Proxy::start(ONE_SERVER, &[("server", &server)]);
    proxy.rewrite("server { lisen 80; }", &[]);
    proxy.signal("HUP");
    proxy.wait_for_log(&["lisen", "proxy.conf"]);
    assert_eq!(proxy.client().ask(get("/")).text(), "old");
    assert!(proxy.runs());
}

#[test]
fn a_reload_may_move_the_listener() {
    let server = Upstream::named("a");
    let proxy = Proxy::start(ONE_SERVER, &[("server", &server)]);
    let second = Port::reserve();
    let moved = ONE_SERVER.replace("{listen}", &second.address().to_string());
    proxy.rewrite(&moved, &[("server", &server)]);
    proxy.signal("HUP");
    wait_until("the new listener", || std::net::TcpStream::connect(second.address()).is_ok());
    assert_eq!(Client::connect(second.address()).ask(get("/")).text(), "a");
    wait_until("the old listener to close", || refuses(&proxy));
}

#[test]
fn primary_and_backup_need_no_file() {
    if nginx_differs("has no such arguments") {
        return;
    }
    let (mut primary, backup, port) = (Upstream::named("a"), Upstream::named("b"), Port::reserve());
    let arguments = [
        "--listen".to_owned(),
        port.address().to_string(),
        "--primary".to_owned(),
        primary.address(),
        "--backup".to_owned(),
        backup.address(),
    ];
    let mut program = Program::start(Command::new(common::binary()).args(&arguments));
    program.says("listening on");
    let first = Client::connect(port.address()).ask(get("/")).text();
    primary.stop();
    let second = Client::connect(port.address()).ask(get("/")).text();
    program.signal("TERM");
    let status = program.wait_for_exit();
    assert_eq!((first.as_str(), second.as_str(), status.code()), ("a", "b", Some(0)));
}
