//! Commands to a running proxy: promotions, drains and what is known of the servers.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{
    Client, Coordinator, Port, Program, Run, Upstream, binary, gate, get, ok, post, run_to_end,
    wait_until,
};
use tempfile::TempDir;

/// A proxy that can be started again in its directory.
struct Site {
    dir: TempDir,
    port: Port,
    program: Option<Program>,
}

impl Site {
    /// A directory with this configuration, in which `{listen}` is an address of its own.
    fn new(config: &str) -> Site {
        let port = Port::reserve();
        let text = config.replace("{listen}", &port.address().to_string());
        let dir = common::directory("switchover.conf", &text);
        Site { dir, port, program: None }
    }

    /// A started proxy before a primary and a backup.
    fn before(primary: &Upstream, backup: &Upstream) -> Site {
        let mut site = Site::new(&pair(primary, backup));
        site.start();
        site
    }

    fn start(&mut self) {
        self.start_with(Command::new(binary()));
    }

    fn start_with(&mut self, mut command: Command) {
        command.arg("-p").arg(self.dir.path()).arg("-c").arg(self.path("switchover.conf"));
        let mut program = Program::start(&mut command);
        program.says("listening on");
        program.wait_for_pid(&self.path("switchover.pid"));
        self.program = Some(program);
    }

    /// Ends it with this signal, and starts it again.
    fn restart(&mut self, signal: &str) {
        let mut program = self.program.take().unwrap();
        program.signal(signal);
        program.wait_for_exit();
        // A killed one leaves its pid file, which is not that of the next.
        let _ = fs::remove_file(self.path("switchover.pid"));
        self.start();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn program(&mut self) -> &mut Program {
        self.program.as_mut().unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("-p").arg(self.dir.path()).arg("-c").arg(self.path("switchover.conf"));
        command.args(args);
        command
    }

    fn order(&self, args: &[&str]) -> Run {
        run_to_end(&mut self.command(args))
    }

    /// Gives an order that succeeds.
    fn ordered(&self, args: &[&str]) -> String {
        let run = self.order(args);
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{args:?}: {run:?}");
        run.stdout
    }

    /// Gives an order that fails.
    fn refused(&self, args: &[&str]) -> String {
        let run = self.order(args);
        assert_eq!((run.status, run.stdout.as_str()), (Some(1), ""), "{args:?}: {run:?}");
        run.stderr
    }

    fn asked(&self) -> String {
        Client::connect(self.port.address()).ask(get("/")).text()
    }

    fn socket(&self) -> Client {
        Client::connect_unix(&self.path("switchover.sock"))
    }

    /// Whether the state file has a promotion.
    fn promotes(&self) -> bool {
        self.state().lines().any(|line| line.ends_with(" promoted"))
    }

    fn state(&self) -> String {
        fs::read_to_string(self.path("switchover.state")).unwrap_or_default()
    }
}

fn pair(primary: &Upstream, backup: &Upstream) -> String {
    format!(
        "error_log stderr info; upstream group {{ server {primary}; server {backup} backup; }}
         server {{ listen {{listen}}; location / {{ proxy_pass http://group; }} }}"
    )
}

#[test]
fn a_promotion_moves_new_requests_and_survives_reloads_and_restarts() {
    let (a, mut b) = (Upstream::named("a"), Upstream::named("b"));
    let mut site = Site::before(&a, &b);
    assert_eq!(site.asked(), "a");
    let said = site.ordered(&["promote", &b.address()]);
    assert_eq!(said, format!("\"{b}\" of upstream \"group\" is active\n"));
    assert_eq!(site.asked(), "b");
    site.program().says("is promoted");
    assert_eq!(site.ordered(&["-s", "reload"]), "");
    assert_eq!(site.asked(), "b");
    wait_until("the promotion to be written", || site.promotes());
    for signal in ["TERM", "KILL"] {
        site.restart(signal);
        assert_eq!(site.asked(), "b", "after {signal}");
    }
    let mode = fs::metadata(site.path("switchover.state")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A promotion ends with the failure of its server.
    b.stop();
    assert_eq!(site.asked(), "a");
    wait_until("the promotion to be forgotten", || !site.promotes());
    assert!(!site.ordered(&["status"]).contains("active"), "{}", site.ordered(&["status"]));
}

#[test]
fn a_drain_waits_for_what_is_in_flight() {
    let (open, pass) = gate();
    let a = Upstream::playing(move |connection| {
        while connection.read_request()?.is_some() {
            pass()?;
            connection.send(ok("a"))?;
        }
        Ok(())
    });
    let b = Upstream::named("b");
    let mut site = Site::before(&a, &b);
    let mut waiting = Client::connect(site.port.address());
    waiting.send(get("/"));
    a.wait_for_request(1);
    let mut drain = site.command(&["drain", &a.address(), "--wait"]);
    let drain = thread::spawn(move || run_to_end(&mut drain));
    wait_until("the drain", || site.ordered(&["status"]).contains("drained"));
    assert_eq!(site.asked(), "b");
    let said = site.ordered(&["drain", &a.address()]);
    assert!(said.ends_with("is drained: it takes no new work, 1 still in flight\n"), "{said}");
    // Requests of before a reload count as well.
    site.ordered(&["-s", "reload"]);
    assert!(!drain.is_finished());
    assert!(site.ordered(&["status", "--json"]).contains("\"in_flight\":1,\"empty\":false"));
    open.send(()).unwrap();
    assert_eq!(waiting.read_response().text(), "a");
    let done = drain.join().unwrap();
    assert_eq!(done.status, Some(0), "{done:?}");
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{done:?}");
    assert!(lines[1].ends_with("is drained and empty"), "{done:?}");
    site.program.as_mut().unwrap().says("has nothing left to do, it can be stopped");
    site.restart("TERM");
    assert_eq!(site.asked(), "b");
    site.ordered(&["promote", &a.address()]);
    drop(open);
    assert_eq!(site.asked(), "a");
}

#[test]
fn a_drained_coordinator_is_not_empty_while_its_queries_are_asked_for() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let site = Site::before(&a, &b);
    let mut client = Client::connect(site.port.address());
    let mut submit = || client.ask(post("/v1/statement", "SELECT 1")).text();
    assert!(submit().contains("aaaaa"));
    let said = site.ordered(&["drain", &a.address()]);
    assert!(said.contains("0 still in flight, a query was asked for 0 s ago"), "{said}");
    let json = site.ordered(&["status", "--json"]);
    assert!(json.contains("\"query_asked_seconds\":0,\"empty\":false"), "{json}");
    assert!(submit().contains("bbbbb"));
}

#[test]
fn a_program_that_has_just_begun_does_not_call_a_coordinator_empty() {
    let (a, b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let mut site = Site::new(&pair(&a, &b).replace("group {", "group { trino on;"));
    site.start();
    wait_until("the drain", || site.order(&["drain", &a.address()]).status == Some(0));
    wait_until("it to be written", || site.state().contains("drained"));
    site.restart("TERM");
    let json = site.ordered(&["status", "--json"]);
    assert!(json.contains("\"state\":\"drained\"") && !json.contains("\"empty\":true"), "{json}");
}

#[test]
fn tunnels_that_follow_their_group_leave_a_drained_server() {
    let (a, b) = (Upstream::playing(|it| it.echo()), Upstream::named("b"));
    let text = pair(&a, &b).replace("location", "h2c_tunnel on; location");
    let mut site = Site::new(&text);
    site.start();
    let mut worker = Client::connect(site.port.address());
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    worker.send(preface);
    assert_eq!(worker.read_exactly(preface.len()), preface);
    let said = site.ordered(&["drain", &a.address(), "--wait"]);
    assert!(said.ends_with("is drained and empty\n"), "{said}");
    assert!(worker.is_closed());
}

#[test]
fn what_cannot_be_done_is_said_with_the_remedy() {
    let (a, b) = (Upstream::named("a"), Upstream::named("b"));
    let mut site = Site::new(&format!(
        "upstream one {{ server {a}; server {b} down; }} upstream two {{ server {a}; server localhost:9; }}
         server {{ listen {{listen}}; location / {{ proxy_pass http://one; }} }}"
    ));
    let said = site.refused(&["status"]);
    assert!(said.contains("switchover.sock") && said.contains("is switchover running?"), "{said}");
    site.start();
    let (a, b) = (a.address(), b.address());
    for (args, words) in [
        (&["promote", "c"] as &[&str], "no server \"c\"; there are: ".to_owned()),
        (&["promote", &a], "in several upstreams: choose one with --upstream: one, two".into()),
        (&["promote", &b], "is not ready: the file marks it \"down\": remove".into()),
        (
            &["drain", &a, "--upstream", "one"],
            "no other server of upstream \"one\" is ready".into(),
        ),
        (&["drain", &a, "--upstream", "x"], "no upstream \"x\"; there are: one, two".into()),
        (&["promote"], "\"promote\" is incomplete".into()),
        (&["drain", &a, "--json"], "an option that it does not take".into()),
        (&["status", "now"], "unexpected argument".into()),
        (&["--wait"], "belong to the commands".into()),
    ] {
        let said = site.refused(args);
        assert!(said.contains(&words) && said.lines().count() == 1, "{args:?}: {said}");
    }
    assert_eq!(site.socket().ask(get("/status")).status(), 200);
    let answer = site.socket().ask("POST /promote?server=c HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.status(), 404);
    assert!(answer.text().starts_with("{\"error\":\"there is no server \\\"c\\\"; "), "{answer:?}");
}

#[test]
fn the_status_is_a_table_or_json() {
    let (a, b) = (Upstream::named("a"), Upstream::refusing("b"));
    let site = Site::before(&a, &b);
    let table = site.ordered(&["status"]);
    let rows: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows[0],
        ["UPSTREAM", "SERVER", "ADDRESS", "STATE", "SINCE", "IN", "FLIGHT", "NOTES"]
    );
    let (a, b) = (a.address(), b.address());
    assert_eq!(rows[1], ["group", &a, &a, "ready", "-", "0"]);
    assert_eq!(rows[2], ["group", &b, &b, "ready", "-", "0", "backup"]);
    // The promoted server refuses the next request.
    site.ordered(&["promote", &b]);
    assert!(site.ordered(&["status"]).contains("active, promoted, backup"));
    assert_eq!(site.asked(), "a");
    let json = site.ordered(&["status", "--json"]);
    let out = "\"state\":\"out\",\"since_seconds\":";
    let why = "\"why\":\"refused the connection\",\"in_flight\":0}";
    assert!(json.contains(out) && json.contains(why), "{json}");
    assert!(!json.contains("\"active\""), "servers take turns again: {json}");
    let answer = site.socket().ask(get("/status"));
    assert_eq!((answer.status(), answer.text()), (200, json));
    assert_eq!(answer.field("Content-Type"), Some("application/json"));
    let said = site.refused(&["promote", &b]);
    assert!(said.contains("it refused the connection: promote it once"), "{said}");
}

#[test]
fn credentials_of_statements_are_in_no_log_no_file_and_no_status() {
    let (mut a, mut b) = (Coordinator::new("aaaaa"), Coordinator::new("bbbbb"));
    let config = format!(
        "error_log stderr debug; access_log access.log;
         upstream group {{ server {0}; server {1} backup; health_check interval=20ms; }}
         server {{ listen {{listen}}; location / {{ proxy_pass http://group; }} }}",
        a.address(),
        b.address()
    );
    let mut site = Site::new(&config);
    site.start();
    let mut client = Client::connect(site.port.address());
    // One that runs when its coordinator is lost, then one that waits for a coordinator.
    for (kept, waits) in [("c2VjcmV0MQ", false), ("c2VjcmV0Mg", true)] {
        if waits {
            b.stop();
        }
        let statement = format!(
            "POST /v1/statement HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {kept}\r\n\
             X-Trino-Extra-Credential: key=hush\r\nContent-Length: 8\r\n\r\nSELECT 1"
        );
        let answer = client.ask(statement).text();
        let from = answer.find("/v1/statement/").unwrap();
        let next = answer[from..].split('"').next().unwrap();
        if !waits {
            a.stop();
        }
        let shown = [site.ordered(&["status"]), site.ordered(&["status", "--json"])].concat();
        if waits {
            b.start();
        }
        wait_until("the query is resubmitted", || {
            client.ask(get(next));
            b.asked().iter().any(|it| it.head_text().contains(kept))
        });
        wait_until("both requests are logged", || {
            let lines = fs::read_to_string(site.path("access.log")).unwrap();
            lines.contains("POST /v1/statement ") && lines.contains(&format!("GET {next} "))
        });
        let files = fs::read_dir(site.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        // The socket is no file.
        let texts = files.filter_map(|path| Some((fs::read(&path).ok()?, path)));
        let mut texts: Vec<_> =
            texts.map(|(text, path)| (text, path.display().to_string())).collect();
        texts.push((shown.into(), "status".to_owned()));
        texts.push((site.program().log_text().into(), "stderr".to_owned()));
        for (text, name) in texts {
            let text = String::from_utf8_lossy(&text);
            assert!(![kept, "hush"].iter().any(|it| text.contains(it)), "{name}: {text}");
        }
    }
}

#[test]
fn the_socket_is_for_its_owner_alone_and_goes_with_the_process() {
    let (a, b) = (Upstream::named("a"), Upstream::named("b"));
    let mut site = Site::new(&pair(&a, &b));
    for umask in ["000", "277"] {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(binary());
        site.start_with(command);
        let mode = fs::metadata(site.path("switchover.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "umask {umask}");
        let mut program = site.program.take().unwrap();
        program.signal("QUIT");
        program.wait_for_exit();
        assert!(!site.path("switchover.sock").exists());
    }
}

#[test]
fn a_default_place_that_cannot_be_used_is_a_warning_and_a_written_one_an_error() {
    let (a, b) = (Upstream::named("a"), Upstream::named("b"));
    let mut site = Site::new(&pair(&a, &b));
    fs::create_dir(site.path("switchover.sock")).unwrap();
    let said = site.order(&["-t"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    assert!(said.stderr.contains("[warn] cannot listen on unix:"), "{said:?}");
    let mut program = Program::start(&mut site.command(&[]));
    let line = program.says("cannot listen on unix:");
    assert!(line.contains("[warn]") && line.contains("write \"control unix:PATH\""), "{line}");
    program.says("listening on");
    site.program = Some(program);
    assert_eq!(site.asked(), "a");
    assert!(site.refused(&["status"]).contains("cannot use"));
    drop(site.program.take());

    for (word, words) in
        [("unix:/no/such/a.sock", "/no/such/a.sock failed: No such file"), ("off", "")]
    {
        fs::write(
            site.path("switchover.conf"),
            format!("control {word}; {}", pair(&a, &b).replace("{listen}", "127.0.0.1:0")),
        )
        .unwrap();
        if words.is_empty() {
            let said = site.refused(&["promote", "a"]);
            assert!(said.contains("no control socket: write \"control unix:PATH;\""), "{said}");
        } else {
            let said = site.refused(&[]);
            assert!(said.contains(words), "{said}");
        }
    }
}

#[test]
fn a_broken_state_file_is_told_and_left_aside() {
    let (a, b) = (Upstream::named("a"), Upstream::named("b"));
    let mut site = Site::new(&pair(&a, &b));
    let kept = format!("group http {b} promoted\n");
    fs::write(site.path("switchover.state"), format!("{kept}nonsense\n")).unwrap();
    let mut program = Program::start(&mut site.command(&[]));
    let line = program.says("[warn]");
    assert!(line.contains("switchover.state\", line 2, is not of a state file"), "{line}");
    program.says("listening on");
    site.program = Some(program);
    assert_eq!(site.asked(), "a");
    assert_eq!(site.state(), format!("{kept}nonsense\n"));
    site.ordered(&["promote", &b.address()]);
    wait_until("the new state", || site.state().contains(&kept) && !site.state().contains("nons"));
    assert!(fs::read_to_string(site.path("switchover.state.broken")).unwrap().contains("nonsense"));
    // What is kept of a server that is gone is told too.
    let c = Upstream::named("c");
    let text = pair(&a, &c).replace("{listen}", &site.port.address().to_string());
    fs::write(site.path("switchover.conf"), text).unwrap();
    let mut program = site.program.take().unwrap();
    program.signal("TERM");
    program.wait_for_exit();
    let mut program = Program::start(&mut site.command(&[]));
    program.says(&format!("has no server {b} any more: what was commanded"));
    site.program = Some(program);
}

#[test]
fn bad_requests_are_refused_as_everywhere() {
    let (a, b) = (Upstream::named("a"), Upstream::named("b"));
    let site = Site::before(&a, &b);
    let large = format!("GET /status HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "a".repeat(40_000));
    for (request, status) in [
        ("\0\u{1}nonsense\r\n\r\n", 400),
        ("GET /status HTTP/1.1\r\n\r\n", 400),
        (&large, 431),
        ("POST /drain HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", 413),
        ("POST /drain HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 400),
        ("GET /promote?server=a HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("DELETE /status HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        ("GET /../status HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ] {
        let answer = site.socket().ask(request);
        assert_eq!(answer.status(), status, "{request:.60}");
    }
    // No other listener leads there.
    let mut client = Client::connect(site.port.address());
    let request =
        "POST /promote?server=x HTTP/1.1\r\nHost: switchover\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(client.ask(request).text(), "a");
    assert_eq!(client.ask("GET /status HTTP/1.0\r\n\r\n").text(), "a");
}

#[test]
fn idle_slow_and_flooding_clients_of_the_socket_slow_nothing_else() {
    let (a, b) = (Upstream::named("a"), Upstream::named("b"));
    let site = Site::before(&a, &b);
    let path = site.path("switchover.sock");
    let idle: Vec<UnixStream> = (0..200).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let mut slow = site.socket();
    slow.send("POST /promote?ser");
    let stop = Arc::new(AtomicBool::new(false));
    let flood = thread::spawn({
        let (path, stop) = (path.clone(), Arc::clone(&stop));
        move || {
            // It writes as fast as it can, and never reads.
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
            let requests = get("/status").repeat(500);
            while !stop.load(Ordering::SeqCst) {
                match stream.write_all(&requests) {
                    Ok(()) => {}
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => stream = UnixStream::connect(&path).unwrap(),
                }
            }
        }
    });
    for _ in 0..100 {
        assert_eq!(site.asked(), "a");
    }
    assert!(site.ordered(&["status"]).contains("ready"));
    site.ordered(&["promote", &b.address()]);
    assert_eq!(site.asked(), "b");
    stop.store(true, Ordering::SeqCst);
    flood.join().unwrap();
    drop(idle);
    slow.send(format!("ver={a} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(slow.read_response().status(), 200);
    assert_eq!(site.asked(), "a");
}
