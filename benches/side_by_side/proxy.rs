//! The proxies: their files, their processes, and what the kernel says of these.

use std::fs;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(feature = "tls")]
use crate::tls;
use crate::wire::Through;

/// A program to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Switchover,
    Nginx,
    Haproxy,
    /// This program, as a forwarder that does nothing of what the others do.
    Floor,
}

/// Those that are proxies, ours first.
pub(crate) const ALL: [Program; 3] = [Program::Switchover, Program::Nginx, Program::Haproxy];

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Program::Switchover => "switchover",
            Program::Nginx => "nginx",
            Program::Haproxy => "HAProxy",
            Program::Floor => "floor",
        }
    }

    /// Where it is installed.
    pub(crate) fn path(self) -> PathBuf {
        match self {
            // What `cargo build --release` has just made.
            Program::Switchover => crate::target().join("release/switchover"),
            Program::Nginx => "/usr/sbin/nginx".into(),
            Program::Haproxy => "/usr/sbin/haproxy".into(),
            Program::Floor => std::env::current_exe().expect("we run"),
        }
    }

    pub(crate) fn version(self) -> String {
        let argument =
            if self == Program::Nginx || self == Program::Switchover { "-v" } else { "-vv" };
        let output = Command::new(self.path()).arg(argument).output().expect("it is installed");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let is_version = |word: &&str| word.contains('.') && word.contains(char::is_numeric);
        text.split([' ', '\n', '/']).find(is_version).unwrap_or("?").to_owned()
    }

    fn file(self, to: SocketAddr, ports: Ports, directory: &Path) -> String {
        let Ports { http, stream, .. } = ports;
        let own = match self {
            Program::Haproxy => return haproxy(to, ports),
            Program::Floor => return format!("127.0.0.1:{http} 127.0.0.1:{stream} {to}"),
            Program::Switchover => [String::new(), String::new(), String::new()],
            Program::Nginx => nginx_needs(directory),
        };
        let [main, in_http, in_stream] = own;
        #[cfg(feature = "tls")]
        let with_tls = tls::listen(ports.tls);
        #[cfg(not(feature = "tls"))]
        let with_tls = "";
        let directory = directory.display();
        // One worker each, connections to servers kept, no access log; the article's location.
        format!(
            "{main} daemon off; pid {directory}/pid; error_log stderr crit;
             events {{ worker_connections 20000; }}
             http {{
               {in_http} access_log off; keepalive_requests 1000000000; keepalive_timeout 600;
               client_max_body_size 0; proxy_request_buffering off;
               upstream group {{
                 server {to} fail_timeout=3s max_fails=1;
                 server 127.0.0.1:9 backup;
                 keepalive 128; keepalive_requests 1000000000;
               }}
               server {{
                 listen 127.0.0.1:{http} backlog=4096;
                 {with_tls}
                 location / {{
                   proxy_pass http://group; proxy_http_version 1.1; proxy_redirect http://group/ /;
                   proxy_set_header Connection ''; proxy_set_header Host $host:$server_port;
                   proxy_set_header X-Real-IP $remote_addr;
                   proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                 }}
                 location /upgrade {{
                   proxy_pass http://group; proxy_http_version 1.1;
                   proxy_set_header Connection upgrade; proxy_set_header Upgrade $http_upgrade;
                 }}
               }}
             }}
             stream {{
               {in_stream}
               server {{ listen 127.0.0.1:{stream} backlog=4096; proxy_pass {to}; }}
             }}"
        )
    }
}

/// What nginx must be told: one process, no files for bodies, and where its own files go.
fn nginx_needs(directory: &Path) -> [String; 3] {
    let at = directory.display();
    let stream = "/usr/lib/nginx/modules/ngx_stream_module.so";
    [
        format!("load_module {stream}; master_process off; user root;"),
        format!(
            "proxy_max_temp_file_size 0; fastcgi_temp_path {at}/t; uwsgi_temp_path {at}/t;
             scgi_temp_path {at}/t; client_body_temp_path {at}/t; proxy_temp_path {at}/t;"
        ),
        "access_log off;".to_owned(),
    ]
}

fn haproxy(to: SocketAddr, ports: Ports) -> String {
    let Ports { http, stream, .. } = ports;
    #[cfg(feature = "tls")]
    let with_tls = tls::bind(ports.tls);
    #[cfg(not(feature = "tls"))]
    let with_tls = "";
    format!(
        "global
           nbthread 1
           maxconn 9920
           maxpipes 16
         defaults
           mode http
           maxconn 9920
           timeout client 600s
           timeout server 600s
           timeout connect 3s
           option splice-auto
           http-reuse always
         frontend http
           bind 127.0.0.1:{http} backlog 4096
           {with_tls}
           option forwardfor
           default_backend group
         backend group
           http-request set-header X-Real-IP %[src]
           server primary {to}
           server backup 127.0.0.1:9 backup
         listen stream
           mode tcp
           bind 127.0.0.1:{stream} backlog 4096
           server primary {to}\n"
    )
}

/// Where a proxy listens.
#[derive(Clone, Copy)]
struct Ports {
    http: u16,
    stream: u16,
    #[cfg(feature = "tls")]
    tls: u16,
}

/// A proxy at work; it ends when dropped.
pub(crate) struct Proxy {
    child: Child,
    directory: PathBuf,
    ports: Ports,
    /// From its start to the first connection that it accepted.
    pub(crate) started_in: Duration,
}

impl Proxy {
    pub(crate) fn start(program: Program, to: SocketAddr) -> io::Result<Proxy> {
        Proxy::start_under(&[], program, to)
    }

    /// Starts it under another program, which is given these words and then the command.
    pub(crate) fn start_under(
        words: &[&str],
        program: Program,
        to: SocketAddr,
    ) -> io::Result<Proxy> {
        let ports = Ports {
            http: free_port()?,
            stream: free_port()?,
            #[cfg(feature = "tls")]
            tls: free_port()?,
        };
        let directory = std::env::temp_dir().join(format!("side-by-side-{}", ports.http));
        fs::create_dir_all(&directory)?;
        let file = directory.join("conf");
        fs::write(&file, program.file(to, ports, &directory))?;
        let path = program.path();
        let mut command = match words {
            [] => Command::new(path),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(path);
                command
            }
        };
        match program {
            Program::Switchover | Program::Nginx => command.arg("-c").arg(&file),
            Program::Haproxy => command.arg("-q").arg("-db").arg("-f").arg(&file),
            Program::Floor => command.arg(crate::FLOOR).arg(&file),
        };
        let errors = if words.is_empty() { Stdio::null() } else { Stdio::piped() };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let began = Instant::now();
        let child = command.spawn()?;
        let mut proxy = Proxy { child, directory, ports, started_in: Duration::ZERO };
        proxy.wait_for(Through::Http, program)?;
        proxy.started_in = began.elapsed();
        #[cfg(feature = "tls")]
        if program != Program::Floor {
            proxy.wait_for(Through::Tls(tls::Handshake::Ecdsa), program)?;
        }
        Ok(proxy)
    }

    /// Waits until it listens.
    fn wait_for(&mut self, through: Through, program: Program) -> io::Result<()> {
        let began = Instant::now();
        while TcpStream::connect(self.address(through)).is_err() {
            let may_come = self.child.try_wait()?.is_none() && began.elapsed() < PATIENCE;
            assert!(may_come, "{} does not start", program.name());
            thread::yield_now();
        }
        Ok(())
    }

    /// Ends it, and returns what it, or what it ran under, said.
    pub(crate) fn end(mut self) -> io::Result<String> {
        signal("TERM", self.id())?;
        let mut said = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            errors.read_to_string(&mut said)?;
        }
        Ok(said)
    }

    pub(crate) fn address(&self, through: Through) -> SocketAddr {
        let port = match through {
            Through::Http => self.ports.http,
            Through::Stream => self.ports.stream,
            #[cfg(feature = "tls")]
            Through::Tls(_) => self.ports.tls,
        };
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Time on a processor, its own and the kernel's for it, so far.
    pub(crate) fn processor_time(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs");
        let time = |task: io::Result<fs::DirEntry>| -> u64 {
            let path = task.expect("it runs").path().join("schedstat");
            let text = fs::read_to_string(path).expect("Linux");
            text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number")
        };
        Duration::from_nanos(tasks.map(time).sum())
    }

    /// Its share of the memory that it uses, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.id());
        let text = fs::read_to_string(path).expect("Linux");
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).expect("Linux");
        let size = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
        size << 10
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// How long a start may take, under callgrind too.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a signal to a process that we started.
pub(crate) fn signal(name: &str, id: u32) -> io::Result<()> {
    Command::new("kill").args(["-s", name, &id.to_string()]).status().map(drop)
}

/// A port that nobody uses at this moment.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
