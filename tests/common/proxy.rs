//! The proxy under test, as a process.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
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

/// The binary: ours, unless `PROXY_UNDER_TEST` names another.
pub fn binary() -> PathBuf {
    std::env::var_os("PROXY_UNDER_TEST")
        .map_or_else(|| env!("CARGO_BIN_EXE_switchover").into(), PathBuf::from)
}

/// Whether nginx itself is under test.
pub fn is_nginx() -> bool {
    binary().file_name() == Some(OsStr::new("nginx"))
}

/// nginx, where it is installed.
pub fn nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = places.map(|place| place.join("nginx")).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: no nginx on the PATH");
    }
    found
}

/// A running proxy, ended when dropped.
pub struct Proxy {
    child: Child,
    directory: TempDir,
    port: Port,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    came: Condvar,
}

impl Proxy {
    /// Starts with the inside of `http {}`, in which `{listen}` becomes a free port's address,
    /// `{dir}` the proxy's own directory, and each `{name}` of `values` its value.
    pub fn start(inside: &str, values: &[(&str, &dyn Display)]) -> Proxy {
        Proxy::start_as(&binary(), &whole(inside, &binary()), values)
    }

    /// Starts with a whole file, in which `pid {dir}/proxy.pid;` must stand.
    pub fn start_whole(text: &str, values: &[(&str, &dyn Display)]) -> Proxy {
        Proxy::start_as(&binary(), text, values)
    }

    /// Starts another binary with the inside of `http {}`.
    pub fn start_other(binary: &Path, inside: &str, values: &[(&str, &dyn Display)]) -> Proxy {
        Proxy::start_as(binary, &whole(inside, binary), values)
    }

    /// One server behind one location with these directives; connections are pooled.
    pub fn before(server: &Upstream, directives: &str) -> Proxy {
        let conf = "upstream group { server {server}; keepalive 8; }
            server { listen {listen}; location / { proxy_pass http://group; {directives} } }";
        Proxy::start(conf, &[("directives", &directives), ("server", server)])
    }

    fn start_as(binary: &Path, text: &str, values: &[(&str, &dyn Display)]) -> Proxy {
        let directory = TempDir::new().expect("a temporary directory");
        let port = Port::reserve();
        let file = directory.path().join("proxy.conf");
        fs::write(&file, fill(text, values, &port, directory.path()))
            .expect("a writable directory");
        let mut command = Command::new(binary);
        command.arg("-p").arg(directory.path()).arg("-c").arg(&file);
        let child =
            command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut proxy = Proxy { child, directory, port, log: Arc::default() };
        proxy.follow_log();
        // The pid file appears once all listeners are bound.
        wait_until("the proxy to start", || {
            let ended = proxy.child.try_wait().expect("our child");
            assert!(ended.is_none(), "the proxy ended at start: {}", proxy.log_text());
            fs::read_to_string(proxy.pid_file()).is_ok_and(|pid| pid.ends_with('\n'))
        });
        proxy
    }

    fn follow_log(&mut self) {
        let stderr = self.child.stderr.take().expect("piped");
        let log = Arc::clone(&self.log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                log.lines
                    .lock()
                    .expect("no reader panics")
                    .push(String::from_utf8_lossy(&line).into_owned());
                log.came.notify_all();
            }
        });
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// A new connection to it.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Its directory: `{dir}`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its configuration file.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("proxy.conf")
    }

    /// Its pid file.
    pub fn pid_file(&self) -> PathBuf {
        self.directory.path().join("proxy.pid")
    }

    /// Writes the configuration anew, as [`Proxy::start`] did; nothing is reloaded yet.
    pub fn rewrite(&self, inside: &str, values: &[(&str, &dyn Display)]) {
        let text = fill(&whole(inside, &binary()), values, &self.port, self.directory.path());
        fs::write(self.file(), text).expect("a writable directory");
    }

    /// Process id of what was started (nginx's master).
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Process id of what serves: nginx's worker, or the proxy itself.
    pub fn serving_id(&self) -> u32 {
        let path = format!("/proc/{0}/task/{0}/children", self.id());
        let children = fs::read_to_string(path).unwrap_or_default();
        children.split_whitespace().next().and_then(|id| id.parse().ok()).unwrap_or(self.id())
    }

    /// The most memory that the serving process ever had, in KiB.
    pub fn peak_memory(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.serving_id())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for the process to end by itself.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the proxy to exit", || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        status.expect("just awaited")
    }

    /// Whether the process still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// All of stderr so far.
    pub fn log_text(&self) -> String {
        self.log.lines.lock().expect("no reader panics").join("\n")
    }

    /// Waits for a line of stderr that holds all of these words, and returns it.
    pub fn wait_for_log(&self, words: &[&str]) -> String {
        let end = Instant::now() + PATIENCE;
        let mut lines = self.log.lines.lock().expect("no reader panics");
        loop {
            let found = lines.iter().find(|line| words.iter().all(|word| line.contains(word)));
            if let Some(line) = found {
                return line.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no line has {words:?}:\n{}", lines.join("\n"));
            lines = self.log.came.wait_timeout(lines, left).expect("no reader panics").0;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if !self.runs() {
            return;
        }
        // Asked first: a killed nginx would leave its worker behind.
        self.signal("TERM");
        let end = Instant::now() + Duration::from_secs(3);
        while self.runs() && Instant::now() < end {
            thread::park_timeout(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that a test started.
pub fn signal(id: u32, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -s {name} {id}")).status();
    assert!(sent.is_ok_and(|status| status.success()), "no process {id} to send {name} to");
}

fn fill(text: &str, values: &[(&str, &dyn Display)], port: &Port, directory: &Path) -> String {
    let mut text = text.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("{{{name}}}"), &value.to_string());
    }
    let directory = directory.display().to_string();
    text.replace("{listen}", &port.address().to_string()).replace("{dir}", &directory)
}

fn whole(inside: &str, binary: &Path) -> String {
    // What newer nginx, and we, do by default; 1.22 must be told.
    let old_nginx = if binary.file_name() == Some(OsStr::new("nginx")) {
        "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_request_buffering off;
         client_max_body_size 0; proxy_buffer_size 2m; proxy_buffers 8 2m; proxy_busy_buffers_size 4m;
         fastcgi_temp_path {dir}/t; uwsgi_temp_path {dir}/t; scgi_temp_path {dir}/t;
         client_body_temp_path {dir}/t; proxy_temp_path {dir}/t;"
    } else {
        ""
    };
    let user = if old_nginx.is_empty() { "" } else { "user root;" };
    // `SPLICE=off`: the same tests without pipes.
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

/// How a short-lived process ended.
#[derive(Debug)]
pub struct Run {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Run {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let (stdout, stderr) = (reading(child.stdout.take()), reading(child.stderr.take()));
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("our child") {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{arguments:?} does not end: {:?}", stderr.join());
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
