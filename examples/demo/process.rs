//! The processes of the experiment: started, killed, and never left behind.

use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::client;

/// Hidden first arguments of this program.
pub(crate) const AS_COORDINATOR: &str = "--as-coordinator";
pub(crate) const AS_PROXY: &str = "--as-proxy";

/// How long a process may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everybody but the client and the worker.
pub(crate) struct Scene {
    /// Where clients and workers go.
    pub(crate) proxy: SocketAddr,
    primary: Process,
    primary_at: SocketAddr,
    _backup: Process,
    _proxy: Process,
    directory: Directory,
}

impl Scene {
    /// Starts both coordinators, and the proxy once they are ready.
    pub(crate) fn set() -> io::Result<Scene> {
        let (primary_at, backup_at, proxy) = (free_address()?, free_address()?, free_address()?);
        let primary = coordinator("coordinator-1", primary_at)?;
        let backup = coordinator("coordinator-2", backup_at)?;
        await_ready(primary_at)?;
        await_ready(backup_at)?;
        let directory = Directory::create()?;
        let text = configuration(proxy, primary_at, backup_at);
        println!("{text}");
        fs::write(directory.file(), text)?;
        let process = start_proxy(&directory.file())?;
        await_open(proxy)?;
        Ok(Scene { proxy, primary, primary_at, _backup: backup, _proxy: process, directory })
    }

    pub(crate) fn primary_id(&self) -> u32 {
        self.primary.0.id()
    }

    pub(crate) fn kill_primary(&mut self) -> io::Result<()> {
        self.primary.0.kill()?;
        self.primary.0.wait().map(drop)
    }

    pub(crate) fn start_primary(&mut self) -> io::Result<()> {
        self.primary = coordinator("coordinator-1", self.primary_at)?;
        Ok(())
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.file()
    }
}

/// The article's file, with loopback addresses in place of its names. On port 80 `$host` would do;
/// here the answers' links need the port too.
fn configuration(proxy: SocketAddr, primary: SocketAddr, backup: SocketAddr) -> String {
    format!(
        "upstream trino {{
   server {primary} fail_timeout=3s max_fails=1;
   server {backup} backup;
}}
server {{
    listen       {proxy};
    server_name  localhost;
    location / {{
        proxy_pass   http://trino;
        proxy_redirect  http://trino/ /;
        proxy_connect_timeout 3;
        proxy_set_header          Host            $host:$server_port;
        proxy_set_header          X-Real-IP       $remote_addr;
        proxy_set_header          X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
}}
"
    )
}

/// A loopback address that nobody uses at this moment.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn coordinator(name: &str, at: SocketAddr) -> io::Result<Process> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(AS_COORDINATOR).arg(name).arg(at.to_string());
    // It ends when this pipe does, however we end.
    command.stdin(Stdio::piped()).spawn().map(Process)
}

fn start_proxy(file: &Path) -> io::Result<Process> {
    let mut command = match env::var_os("DEMO_PROXY") {
        Some(program) => Command::new(program),
        None => {
            let mut command = Command::new(env::current_exe()?);
            command.arg(AS_PROXY);
            command
        }
    };
    command.arg("-c").arg(file).stdin(Stdio::null()).spawn().map(Process)
}

fn await_ready(coordinator: SocketAddr) -> io::Result<()> {
    await_that(|| {
        client::get(coordinator, "/v1/info").is_ok_and(|info| info.contains("\"starting\":false"))
    })
}

fn await_open(address: SocketAddr) -> io::Result<()> {
    await_that(|| TcpStream::connect(address).is_ok())
}

fn await_that(mut reached: impl FnMut() -> bool) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    while !reached() {
        if Instant::now() > end {
            return Err(io::Error::new(ErrorKind::TimedOut, "a process did not start"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A process that ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory that goes with its owner.
struct Directory(PathBuf);

impl Directory {
    fn create() -> io::Result<Directory> {
        let path = env::temp_dir().join(format!("switchover-demo-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Directory(path))
    }

    fn file(&self) -> PathBuf {
        self.0.join("trino.conf")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
