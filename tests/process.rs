//! The program as an operator meets it: arguments, messages, exit codes, signals.
#![allow(clippy::unwrap_used)] // a test may fail wherever it stands

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use common::{Port, Program, run_to_end, signal, wait_until};
use switchover::process::system;

/// A directory with this configuration.
fn directory(config: &str) -> tempfile::TempDir {
    common::directory("switchover.conf", config)
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchover"));
    command.args(args).current_dir(dir);
    command
}

/// Runs to the end; gives the exit code, stdout and stderr.
fn run(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let run = run_to_end(&mut command(dir, args));
    (run.status.unwrap(), run.stdout, run.stderr)
}

fn start(dir: &Path, args: &[&str]) -> Program {
    Program::start(&mut command(dir, args))
}

#[test]
fn versions_go_to_stderr_as_in_nginx() {
    let dir = directory("");
    let version = format!("switchover version: switchover/{}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(dir.path(), &["-v"]), (0, String::new(), version.clone()));
    let (_, _, features) = run(dir.path(), &["-V"]);
    assert!(features.starts_with(&version), "{features}");
    for feature in ["http", "stream", "proxy_protocol", "h2c_tunnel"] {
        assert!(features.contains(&format!(" {feature}")), "{features}");
    }
}

#[test]
fn help_goes_to_stdout_with_two_examples() {
    let dir = tempfile::tempdir().unwrap();
    let (code, help, said) = run(dir.path(), &["-h"]);
    assert_eq!((code, said.as_str()), (0, ""));
    for line in ["--backup ADDR", "\n  switchover --listen ", "\n  switchover -t -c "] {
        assert!(help.contains(line), "no {line:?} in {help}");
    }
}

#[test]
fn without_arguments_and_a_file_it_says_what_to_give_it() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, said) = run(dir.path(), &[]);
    assert_eq!((code, out.as_str()), (1, ""), "{said}");
    for word in ["\"switchover.conf\"", "/etc/switchover", "-c FILE", "--listen", "--primary", "-h"]
    {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn a_right_configuration_passes_the_test() {
    let dir = directory("server { listen 127.0.0.1:0; }");
    let said = "switchover: the configuration file switchover.conf syntax is ok\n\
                switchover: configuration file switchover.conf test is successful\n";
    assert_eq!(run(dir.path(), &["-t"]), (0, String::new(), said.into()));
    assert_eq!(run(dir.path(), &["-tq"]), (0, String::new(), String::new()));
    let dump = "# configuration file switchover.conf:\nserver { listen 127.0.0.1:0; }\n";
    assert_eq!(run(dir.path(), &["-T"]), (0, dump.into(), said.into()));
}

#[test]
fn a_wrong_configuration_fails_with_its_diagnostic() {
    let dir = directory("server { listn 81; }");
    let diagnostic = "error: unknown directive \"listn\"\n \
        --> switchover.conf:1:10\n  |\n1 | server { listn 81; }\n  |          ^^^^^\n  \
        help: did you mean \"listen\"?\n";
    let failed = "switchover: configuration file switchover.conf test failed\n";
    assert_eq!(run(dir.path(), &["-t"]), (1, String::new(), format!("{diagnostic}{failed}")));
    assert_eq!(run(dir.path(), &[]), (1, String::new(), diagnostic.into()));
    assert_eq!(run(dir.path(), &["-e", "e.log"]).0, 1);
    let log = fs::read_to_string(dir.path().join("e.log")).unwrap();
    assert!(log.ends_with("unknown directive \"listn\" in switchover.conf:1\n"), "{log}");
}

#[test]
fn what_cannot_be_done_is_one_line_and_status_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let dir = directory(&format!("error_log e.log; server {{ listen {taken}; }}"));
    for (args, expected) in [
        (&["-x"] as &[&str], "switchover: invalid option '-x'; -h shows the options\n".to_string()),
        (
            &["-s", "quit"],
            "switchover: cannot open \"switchover.pid\": No such file or directory (os error 2)\n"
                .into(),
        ),
        (
            &["-c", "none"],
            "error: cannot read \"none\": No such file or directory (os error 2)\n".into(),
        ),
        (
            &[],
            format!("switchover: bind() to {taken} failed: Address already in use (os error 98)\n"),
        ),
    ] {
        assert_eq!(run(dir.path(), args), (1, String::new(), expected), "{args:?}");
    }
    assert!(!dir.path().join("switchover.pid").exists());
}

#[test]
fn signals_reload_reopen_and_end_it() {
    let config = "error_log stderr info; error_log e.log info; server { listen 127.0.0.1:0; }";
    let dir = directory(config);
    let exists = |name: &str| dir.path().join(name).exists();
    let tell = |what| assert_eq!(run(dir.path(), &["-s", what]), (0, String::new(), String::new()));
    let mut running = start(dir.path(), &[]);
    running.says("listening on 127.0.0.1:");
    assert!(exists("switchover.pid") && exists("e.log"));

    fs::rename(dir.path().join("e.log"), dir.path().join("old.log")).unwrap();
    tell("reopen");
    running.says("reopening logs");
    tell("reload");
    running.says("reloaded");
    assert!(exists("e.log"));

    fs::write(dir.path().join("switchover.conf"), "foo;").unwrap();
    signal(pid_in(&dir.path().join("switchover.pid")), "HUP");
    let line = running.says("the old configuration stays");
    assert!(line.contains("unknown directive \"foo\" in switchover.conf:1"), "{line}");

    fs::write(dir.path().join("switchover.conf"), config).unwrap();
    tell("quit");
    assert_eq!(running.wait_for_exit().code(), Some(0));
    assert!(!exists("switchover.pid"));
    let log = fs::read_to_string(dir.path().join("e.log")).unwrap();
    assert!(log.contains("[info]") && log.ends_with("stopping\n"), "{log}");
}

#[test]
fn a_closed_stderr_does_not_end_it() {
    let dir = directory("error_log stderr info; server { listen 127.0.0.1:0; }");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut running = Program::start_into(writer, &mut command(dir.path(), &[]));
    running.wait_for_pid(&dir.path().join("switchover.pid"));
    drop(reader);
    let tell = |what| assert_eq!(run(dir.path(), &["-s", what]).0, 0);
    tell("reopen");
    tell("stop");
    assert_eq!(running.wait_for_exit().code(), Some(0));
}

#[test]
fn a_full_disk_under_stderr_does_not_end_it() {
    let dir = directory("server { listen 127.0.0.1:0; }");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut running = Program::start_into(full, &mut command(dir.path(), &[]));
    running.wait_for_pid(&dir.path().join("switchover.pid"));
    assert_eq!(run(dir.path(), &["-s", "reopen"]).0, 0);
    assert_eq!(run(dir.path(), &["-s", "quit"]).0, 0);
    assert_eq!(running.wait_for_exit().code(), Some(0));
}

#[test]
fn servers_of_the_command_line_need_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--listen", "127.0.0.1:0", "--primary", "127.0.0.1:1", "--backup", "127.0.0.1:2"];
    let (code, dump, _) = run(dir.path(), &[&args[..], &["-T"]].concat());
    assert!(
        code == 0 && dump.contains("server \"127.0.0.1:2\" max_fails=1 fail_timeout=3s backup;")
    );
    let mut running = start(dir.path(), &args);
    running.says("listening on");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "no file was asked for");
    let (code, _, said) = run(dir.path(), &[&args[..], &["-s", "stop"]].concat());
    assert!(code == 1 && said.contains("-g 'pid FILE;'"), "{said}");

    let asked = [&args[..], &["-g", "pid a.pid;"]].concat();
    let mut running = start(dir.path(), &asked);
    running.says("listening on");
    let (code, _, said) = run(dir.path(), &[&asked[..], &["-s", "stop"]].concat());
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(running.wait_for_exit().code(), Some(0));
}

/// Ends a process in the background, and waits for that.
struct Background(u32);

impl Drop for Background {
    fn drop(&mut self) {
        let id = i32::try_from(self.0).unwrap();
        let _ = system::kill(id, 15);
        wait_until("the background to end", || system::kill(id, 0).is_err());
    }
}

fn pid_in(file: &Path) -> u32 {
    fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

#[test]
fn a_daemon_serves_and_has_its_pid_file_when_the_one_that_was_started_ends() {
    let port = Port::reserve();
    let config = "daemon on; error_log stderr info; error_log e.log info;
        access_log /dev/stdout; server { listen ADDRESS; return 200; }";
    let dir = directory(&config.replace("ADDRESS", &port.address().to_string()));
    // That this ends at all means that nothing holds the streams any more.
    let (code, out, said) = run(dir.path(), &[]);
    assert!(TcpStream::connect(port.address()).is_ok());
    let daemon = Background(pid_in(&dir.path().join("switchover.pid")));
    assert_eq!((code, out.as_str()), (0, ""), "{said}");
    assert!(said.contains("listening on 127.0.0.1:"), "{said}");
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.0)).unwrap();
    let session = stat.rsplit(')').next().and_then(|rest| rest.split(' ').nth(4));
    assert_eq!(session, Some(daemon.0.to_string().as_str()), "{stat}");
    assert_eq!(run(dir.path(), &["-s", "stop"]).0, 0);
    drop(daemon);
    let log = fs::read_to_string(dir.path().join("e.log")).unwrap();
    assert!(log.ends_with("stopping\n") && log.matches("listening").count() == 1, "{log}");
    assert!(!dir.path().join("switchover.pid").exists());
}

#[test]
fn a_daemon_that_cannot_start_says_why_and_the_status_is_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let mut table = vec![
        ("pid /no/such/a.pid; server { listen 127.0.0.1:0; }".to_owned(), "/no/such/a.pid"),
        (format!("server {{ listen {taken}; }}"), "Address already in use"),
        ("server { listen 127.0.0.1:0; access_log /no/such/a.log; }".to_owned(), "/no/such/a.log"),
    ];
    if system::is_root() {
        table.push(("user nosuch; server { listen 127.0.0.1:0; }".to_owned(), "user \"nosuch\""));
    }
    for (config, reason) in table {
        let dir = directory(&format!("daemon on; {config}"));
        let (code, _, said) = run(dir.path(), &[]);
        assert!(code == 1 && said.contains(reason), "{code}: {said}");
        assert!(!dir.path().join("switchover.pid").exists());
    }
}

/// A program whose file is a FIFO, and its end for writing: it reads until that is closed.
fn loading(dir: &Path) -> (Program, File) {
    let file = dir.join("fifo");
    common::fifo(&file);
    (start(dir, &["-c", "fifo"]), reader_of(&file))
}

/// Waits until a FIFO is read.
fn reader_of(fifo: &Path) -> File {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    let mut opened = None;
    wait_until("the file to be read", || {
        opened = File::options().write(true).custom_flags(flags).open(fifo).ok();
        opened.is_some()
    });
    opened.unwrap()
}

#[test]
fn a_hangup_while_the_file_is_loaded_reloads_after_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (mut running, mut file) = loading(dir.path());
    running.signal("HUP");
    file.write_all(b"server { listen 127.0.0.1:0; }").unwrap();
    drop(file);
    running.says("listening on");
    let mut again = reader_of(&dir.path().join("fifo"));
    again.write_all(b"server { listen 127.0.0.1:0; }").unwrap();
    drop(again);
    running.says("reloaded");
}

#[test]
fn a_signal_to_end_while_the_file_is_loaded_ends_it_at_once() {
    for signal in ["INT", "QUIT", "TERM"] {
        let dir = tempfile::tempdir().unwrap();
        let (mut running, file) = loading(dir.path());
        running.signal(signal);
        assert_eq!(running.wait_for_exit().code(), Some(0));
        drop(file);
    }
}

#[test]
fn the_word_reload_waits_for_the_outcome_and_tells_why_it_failed() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let good = "error_log stderr info; server { listen 127.0.0.1:0; }".to_owned();
    let dir = directory(&good);
    let mut running = start(dir.path(), &[]);
    running.says("listening on");
    let file = dir.path().join("switchover.conf");
    let pid = running.id();
    for (config, why) in [
        (
            format!("server {{ listen {taken}; }}"),
            format!("bind() to {taken} failed: Address already"),
        ),
        (format!("{good} error_log /no/such/e.log;"), "cannot open \"/no/such/e.log\"".into()),
        (
            format!("{good} server {{ access_log /no/such/a.log; }}"),
            "cannot open \"/no/such/a.log\"".into(),
        ),
    ] {
        fs::write(&file, config).unwrap();
        let (code, out, said) = run(dir.path(), &["-s", "reload"]);
        let expected = format!("switchover: process {pid} has not reloaded: {why}");
        assert!(code == 1 && out.is_empty() && said.starts_with(&expected), "{code}: {said}");
        running.says(&why);
        fs::write(&file, &good).unwrap();
        assert_eq!(run(dir.path(), &["-s", "reload"]), (0, String::new(), String::new()));
        running.says("reloaded");
    }
    // The outcome is that of the file as it is now, however many reloads are under way.
    for round in 0..20 {
        let port = Port::reserve();
        let config = format!("error_log stderr info; server {{ listen {}; }}", port.address());
        fs::write(&file, &config).unwrap();
        for _ in 0..round % 4 {
            system::kill(i32::try_from(pid).unwrap(), 1).unwrap();
        }
        assert_eq!(run(dir.path(), &["-s", "reload"]), (0, String::new(), String::new()));
        assert!(TcpStream::connect(port.address()).is_ok());
    }
    // Its file stays.
    running.signal("KILL");
    running.wait_for_exit();
    let (code, _, said) = run(dir.path(), &["-s", "reload"]);
    assert!(code == 1 && said.contains("No such process"), "{code}: {said}");
}

#[test]
fn a_process_that_finishes_says_that_it_does_not_reload_and_leaves_the_file_of_the_next() {
    let port = Port::reserve();
    let config = "error_log stderr info; server { listen ADDRESS; location / { return 200; } }"
        .replace("ADDRESS", &port.address().to_string());
    let dir = directory(&config);
    let pid_file = dir.path().join("switchover.pid");
    let mut old = start(dir.path(), &[]);
    old.says("listening on");
    // A request of which a part is missing keeps it.
    let mut client = TcpStream::connect(port.address()).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET").unwrap();
    std::io::Read::read_exact(&mut client, &mut [0]).unwrap();
    assert_eq!(run(dir.path(), &["-s", "quit"]).0, 0);
    old.says("finishing what is going on");
    let (code, _, said) = run(dir.path(), &["-s", "reload"]);
    assert!(code == 1 && said.contains("the process is stopping"), "{code}: {said}");

    let mut new = start(dir.path(), &[]);
    new.says("listening on");
    let theirs = new.id();
    assert_eq!(pid_in(&pid_file), theirs);
    drop(client);
    old.says("all done");
    assert_eq!(old.wait_for_exit().code(), Some(0));
    assert_eq!(pid_in(&pid_file), theirs);
    assert_eq!(run(dir.path(), &["-s", "reload"]).0, 0);
    assert_eq!(run(dir.path(), &["-s", "stop"]).0, 0);
    assert_eq!(new.wait_for_exit().code(), Some(0));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something is left behind");
}

#[test]
fn the_test_finds_all_that_a_start_would_meet() {
    let dir = directory(
        "pid /no/such/a.pid; error_log /etc; http { access_log /no/such/a.log;
        server { listen 192.0.2.1:80; listen unix:/etc/passwd; listen unix:/no/such/a.sock; } }",
    );
    let (code, _, said) = run(dir.path(), &["-t"]);
    assert_eq!(code, 1, "{said}");
    for expected in [
        "switchover: cannot open \"/etc\": ",
        "switchover: cannot open \"/no/such/a.log\": No such file",
        "switchover: cannot open \"/no/such/a.pid\": No such file",
        "switchover: bind() to 192.0.2.1:80 failed: Cannot assign",
        "switchover: bind() to unix:/etc/passwd failed: ",
        "switchover: bind() to unix:/no/such/a.sock failed: No such file",
        "switchover: configuration file switchover.conf test failed\n",
    ] {
        assert!(said.contains(expected), "no {expected:?} in:\n{said}");
    }
    assert!(!said.contains("successful"), "{said}");
}

#[test]
fn the_test_takes_nothing_from_a_process_that_runs_and_leaves_nothing_behind() {
    let port = Port::reserve();
    let address = port.address();
    let config =
        format!("server {{ listen {address}; listen unix:a.sock; access_log a.log; return 200; }}");
    let dir = directory(&format!("error_log stderr info; {config}"));
    let before = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(run(dir.path(), &["-t"]).0, 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before);

    let mut running = start(dir.path(), &[]);
    running.says("listening on");
    fs::remove_file(dir.path().join("a.log")).unwrap();
    let (code, _, said) = run(dir.path(), &["-t"]);
    assert!(code == 0 && !said.contains("[warn]"), "{said}");
    assert!(!dir.path().join("a.log").exists());
    assert!(common::Client::connect(address).ask(common::get("/")).status() == 200);
    assert_eq!(pid_in(&dir.path().join("switchover.pid")), running.id());
    running.says("listening on unix:");

    // Without such a process it is a stranger's, which is worth a word.
    let other = directory(&format!("server {{ listen {address}; }}"));
    let (code, _, said) = run(other.path(), &["-t"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("[warn] {address} is in use")), "{said}");
}

#[test]
fn what_the_user_may_not_do_later_is_said_when_the_file_is_loaded() {
    if !system::is_root() {
        eprintln!("skipped: only root becomes another user");
        return;
    }
    let nobody = system::find_ids("nobody", None).unwrap();
    let config = "user nobody; pid p/a.pid; error_log stderr info;
        server { listen 127.0.0.1:0; access_log l/a.log; return 200; }";
    let dir = directory(config);
    let permit = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
    for name in ["l", "p"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    permit(0o700);
    let (code, _, said) = run(dir.path(), &["-t"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("[warn] user \"nobody\" may not enter \"l\""), "{said}");
    permit(0o755);
    let said = run(dir.path(), &["-t"]).2;
    assert!(said.contains("[warn] user \"nobody\" may not create files in \"l\""), "{said}");
    assert!(said.contains("[warn] user \"nobody\" may not remove files in \"p\""), "{said}");

    let mut running = start(dir.path(), &[]);
    running.says("[warn]");
    running.says("listening on");
    // As the warning says: made for that user before the signal.
    fs::rename(dir.path().join("l/a.log"), dir.path().join("l/b.log")).unwrap();
    File::create(dir.path().join("l/a.log")).unwrap();
    chown(dir.path().join("l/a.log"), Some(nobody.user), None).unwrap();
    assert_eq!(run(dir.path(), &["-s", "reopen"]).0, 0);
    running.says("reopening logs");
    assert_eq!(run(dir.path(), &["-s", "reload"]), (0, String::new(), String::new()));
    fs::remove_file(dir.path().join("l/a.log")).unwrap();
    assert_eq!(run(dir.path(), &["-s", "reopen"]).0, 0);
    running.says("cannot open \"l/a.log\": Permission denied");
    let said = run(dir.path(), &["-s", "reload"]).2;
    assert!(said.contains("cannot open \"l/a.log\": Permission denied"), "{said}");

    for name in ["l", "p"] {
        chown(dir.path().join(name), Some(nobody.user), None).unwrap();
    }
    let (code, _, said) = run(dir.path(), &["-t"]);
    assert!(code == 0 && !said.contains("[warn]"), "{said}");
    assert_eq!(run(dir.path(), &["-s", "reload"]), (0, String::new(), String::new()));
    assert!(dir.path().join("l/a.log").exists());
    assert_eq!(run(dir.path(), &["-s", "quit"]).0, 0);
    assert_eq!(running.wait_for_exit().code(), Some(0));
    assert_eq!(fs::read_dir(dir.path().join("p")).unwrap().count(), 0);
}
