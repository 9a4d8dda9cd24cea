//! The proxy under test, as a process.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::Client;
use super::port::Port;
use super::upstream::Upstream;
use super::{PATIENCE, wait_until};

/// The binary: ours, unless `PROXY_UNDER_TEST` names another one.
pub fn binary() -> PathBuf {
    std::env::var_os("PROXY_UNDER_TEST")
        .map_or_else(|| env!("CARGO_BIN_EXE_switchover").into(), PathBuf::from)
}

/// Whether nginx itself is under test.
pub fn is_nginx() -> bool {
    binary().file_name() == Some(OsStr::new("nginx"))
}

/// The nginx binary, if it is installed.
pub fn nginx() -> Option<PathBuf> {
    installed("nginx")
}

/// A program's file, if it is installed.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: no {name} on the PATH");
    }
    found
}

/// A running program and its stderr. It is ended when dropped.
pub struct Program {
    child: Child,
    log: Arc<Log>,
    /// Lines of stderr that [`Program::says`] has passed.
    heard: usize,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    came: Condvar,
}

impl Program {
    pub fn start(command: &mut Command) -> Program {
        Program::start_into(Stdio::piped(), command)
    }

    /// Starts it with this stderr. Its lines can be read here only if a pipe was made for them.
    pub fn start_into(stderr: impl Into<Stdio>, command: &mut Command) -> Program {
        let mut child =
            command.stdin(Stdio::null()).stderr(stderr).spawn().expect("the binary runs");
        let log = Arc::<Log>::default();
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    log.lines.lock().expect("no reader panics").push(line);
                    log.came.notify_all();
                }
            });
        }
        Program { child, log, heard: 0 }
    }

    /// The id of the started process; for nginx, the master.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for the process to end by itself.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process to exit", || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        status.expect("just awaited")
    }

    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Waits for the pid file, which is written once all listeners are bound.
    pub fn wait_for_pid(&mut self, file: &Path) {
        wait_until("the process to start", || {
            assert!(self.runs(), "it ended at start: {}", self.log_text());
            fs::read_to_string(file).is_ok_and(|pid| pid.ends_with('\n'))
        });
    }

    pub fn log_text(&self) -> String {
        self.log.lines.lock().expect("no reader panics").join("\n")
    }

    /// Waits for a line of stderr that contains all of these words, and returns it.
    pub fn wait_for_log(&self, words: &[&str]) -> String {
        self.wait_for_line(0, words).1
    }

    /// Waits for the next line of stderr that contains this text, after the last one found.
    pub fn says(&mut self, text: &str) -> String {
        let (at, line) = self.wait_for_line(self.heard, &[text]);
        self.heard = at + 1;
        line
    }

    fn wait_for_line(&self, from: usize, words: &[&str]) -> (usize, String) {
        let end = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().expect("no reader panics");
        loop {
            let found = |line: &String| words.iter().all(|word| line.contains(word));
            if let Some(at) = lines[from..].iter().position(found) {
                return (from + at, lines[from + at].clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no line has {words:?}:\n{}", lines.join("\n"));
            lines = self.log.came.wait_timeout(lines, left).expect("no reader panics").0;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.runs() {
            return;
        }
        // Terminate it first: killing nginx would leave its worker running.
        self.signal("TERM");
        let end = Instant::now() + Duration::from_secs(3);
        while self.runs() && Instant::now() < end {
            thread::park_timeout(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running proxy with its own port and directory.
pub struct Proxy {
    program: Program,
    directory: TempDir,
    port: Port,
}

impl Proxy {
    /// Starts with the inside of `http {}`, in which `{listen}` stands for a free port's address,
    /// `{dir}` for the proxy's own directory, and each `{name}` in `values` for its value.
    pub fn start(inside: &str, values: &[(&str, &dyn Display)]) -> Proxy {
        Proxy::start_other(&binary(), inside, values)
    }

    /// Starts another binary with the inside of `http {}`.
    pub fn start_other(binary: &Path, inside: &str, values: &[(&str, &dyn Display)]) -> Proxy {
        let text = whole(inside, binary);
        Proxy::start_as(Command::new(binary), Stdio::piped(), &text, values)
    }

    /// Starts with a whole file, which must contain `pid {dir}/proxy.pid;`.
    pub fn start_whole(text: &str, values: &[(&str, &dyn Display)]) -> Proxy {
        Proxy::start_as(Command::new(binary()), Stdio::piped(), text, values)
    }

    /// One server behind one location with these directives, and a pool.
    pub fn before(server: &Upstream, directives: &str) -> Proxy {
        let conf = "upstream group { server {server}; keepalive 8; }
            server { listen {listen}; location / { proxy_pass http://group; {directives} } }";
        Proxy::start(conf, &[("directives", &directives), ("server", server)])
    }

    /// Starts this command, with added arguments, this stderr and a whole file.
    pub fn start_as(
        mut command: Command,
        stderr: impl Into<Stdio>,
        text: &str,
        values: &[(&str, &dyn Display)],
    ) -> Proxy {
        let port = Port::reserve();
        let directory = directory("proxy.conf", &fill(text, values, &port));
        command.arg("-p").arg(directory.path()).arg("-c").arg(directory.path().join("proxy.conf"));
        let program = Program::start_into(stderr, &mut command);
        let mut proxy = Proxy { program, directory, port };
        let file = proxy.pid_file();
        proxy.wait_for_pid(&file);
        proxy
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Its directory: `{dir}`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn file(&self) -> PathBuf {
        self.directory.path().join("proxy.conf")
    }

    pub fn pid_file(&self) -> PathBuf {
        self.directory.path().join("proxy.pid")
    }

    /// Rewrites the configuration file, as [`Proxy::start`] wrote it. Does not reload.
    pub fn rewrite(&self, inside: &str, values: &[(&str, &dyn Display)]) {
        let text = fill(&whole(inside, &binary()), values, &self.port);
        write(self.directory(), "proxy.conf", &text);
    }

    /// Runs `-s WORD`, which signals the process in the pid file of the configuration.
    pub fn tell(&self, word: &str) {
        let mut command = Command::new(binary());
        command.arg("-p").arg(self.directory()).arg("-c").arg(self.file()).args(["-s", word]);
        let sent = run_to_end(&mut command);
        assert_eq!(sent.status, Some(0), "{sent:?}");
    }

    /// The complete lines of a file in its directory; empty if there is no such file.
    pub fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.directory().join(file)).unwrap_or_default();
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        lines.map(str::to_owned).collect()
    }

    /// Waits for the `n`th line of `access.log`, counted from 1.
    pub fn access_line(&self, n: usize) -> String {
        wait_until("a line in the log", || self.lines("access.log").len() >= n);
        self.lines("access.log").swap_remove(n - 1)
    }

    /// The id of the serving process: nginx's worker, or the proxy itself.
    pub fn serving_id(&self) -> u32 {
        let path = format!("/proc/{0}/task/{0}/children", self.id());
        let children = fs::read_to_string(path).unwrap_or_default();
        children.split_whitespace().next().and_then(|id| id.parse().ok()).unwrap_or(self.id())
    }

    /// A file from the directory of the serving process in `/proc`.
    pub fn kernel_says(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.serving_id())).expect("it runs")
    }

    /// The targets of the serving process's descriptors.
    pub fn open_files(&self) -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.serving_id())).expect("it runs");
        let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        targets.map(|target| target.to_string_lossy().into_owned()).collect()
    }

    /// The peak memory of the serving process, in KiB.
    pub fn peak_memory(&self) -> u64 {
        self.memory_of("VmHWM:")
    }

    /// The current memory of the serving process, in KiB.
    pub fn memory(&self) -> u64 {
        self.memory_of("VmRSS:")
    }

    fn memory_of(&self, kind: &str) -> u64 {
        let status = self.kernel_says("status");
        let line = status.lines().find_map(|line| line.strip_prefix(kind)).expect("Linux");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Deref for Proxy {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

impl DerefMut for Proxy {
    fn deref_mut(&mut self) -> &mut Program {
        &mut self.program
    }
}

/// Sends a signal to a process that a test started.
pub fn signal(id: u32, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -s {name} {id}")).status();
    assert!(sent.is_ok_and(|status| status.success()), "no process {id} to send {name} to");
}

/// A temporary directory with this file, in whose text `{dir}` stands for the directory's path.
pub fn directory(file: &str, text: &str) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    write(directory.path(), file, text);
    directory
}

fn write(directory: &Path, file: &str, text: &str) {
    let text = text.replace("{dir}", &directory.display().to_string());
    fs::write(directory.join(file), text).expect("a writable directory");
}

pub fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.is_ok_and(|status| status.success()), "no FIFO at {}", path.display());
}

fn fill(text: &str, values: &[(&str, &dyn Display)], port: &Port) -> String {
    let mut text = text.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("{{{name}}}"), &value.to_string());
    }
    text.replace("{listen}", &port.address().to_string())
}

fn whole(inside: &str, binary: &Path) -> String {
    // The defaults of newer nginx and of ours, which nginx 1.22 must be told.
    let old_nginx = if binary.file_name() == Some(OsStr::new("nginx")) {
        "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_request_buffering off;
         client_max_body_size 0; proxy_buffer_size 2m; proxy_buffers 8 2m; proxy_busy_buffers_size 4m;
         fastcgi_temp_path {dir}/t; uwsgi_temp_path {dir}/t; scgi_temp_path {dir}/t;
         client_body_temp_path {dir}/t; proxy_temp_path {dir}/t;"
    } else {
        ""
    };
    let user = if old_nginx.is_empty() { "" } else { "user root;" };
    // `SPLICE=off` runs the same tests without pipes.
    let splice = match std::env::var("SPLICE") {
        Ok(how) if old_nginx.is_empty() => format!("splice {how};"),
        Ok(_) | Err(_) => String::new(),
    };
    format!(
        "{user} {splice} daemon off; pid {{dir}}/proxy.pid; error_log stderr info; worker_processes 1;
         events {{ worker_connections 1024; }}
         http {{ access_log off; {old_nginx} {inside} }}"
    )
}

/// The result of a short-lived process.
#[derive(Debug)]
pub struct Run {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Run {
    run_to_end(Command::new(binary()).args(arguments))
}

/// Runs a program until it has ended and every process that holds its streams has closed them.
pub fn run_to_end(command: &mut Command) -> Run {
    run_with(command, Stdio::null(), PATIENCE)
}

/// The same with this input, and within this time.
pub fn run_with(command: &mut Command, stdin: impl Into<Stdio>, patience: Duration) -> Run {
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let (stdout, stderr) = (reading(child.stdout.take()), reading(child.stderr.take()));
    let end = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait().expect("our child") {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} does not end: {:?}", stderr.join());
        }
        thread::park_timeout(Duration::from_millis(2));
    };
    let text = |reader: JoinHandle<String>| reader.join().expect("readers never panic");
    Run { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

fn reading(from: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    let mut from = from.expect("piped");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
