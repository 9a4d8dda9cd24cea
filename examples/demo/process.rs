//! The processes of the experiment: started, killed, and never left behind.

use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::http::get;

/// A hidden first argument of this program.
pub(crate) const AS_COORDINATOR: &str = "--as-coordinator";
/// The other one.
pub(crate) const AS_PROXY: &str = "--as-proxy";

/// How long a process may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// The coordinators and the proxy.
pub(crate) struct Scene {
    /// The coordinator that the file names first.
    primary: Process,
    /// The other one.
    backup: Process,
    /// The proxy.
    proxy: Process,
    /// Where the proxy's file is.
    directory: Directory,
}

impl Scene {
    /// Starts both coordinators, and the proxy once they are ready.
    pub(crate) fn set() -> io::Result<Scene> {
        let (a, b, at) = (Port::reserve()?, Port::reserve()?, Port::reserve()?);
        let directory = Directory::create()?;
        let text = configuration(at.address, a.address, b.address);
        println!("{text}");
        fs::write(directory.file(), text)?;
        let primary = Process::start(coordinator("coordinator-1", &a)?, a)?;
        let backup = Process::start(coordinator("coordinator-2", &b)?, b)?;
        await_ready(primary.port.address)?;
        await_ready(backup.port.address)?;
        let proxy = Process::start(proxy(&directory)?, at)?;
        await_that(|| TcpStream::connect(proxy.port.address).is_ok())?;
        Ok(Scene { primary, backup, proxy, directory })
    }

    /// Where clients and workers go.
    pub(crate) fn proxy(&self) -> SocketAddr {
        self.proxy.port.address
    }

    /// Where the primary listens.
    pub(crate) fn primary(&self) -> SocketAddr {
        self.primary.port.address
    }

    /// Where the backup listens.
    pub(crate) fn backup(&self) -> SocketAddr {
        self.backup.port.address
    }

    /// The process id of the primary.
    pub(crate) fn primary_id(&self) -> u32 {
        self.primary.child.id()
    }

    /// Kills the primary as `kill -9` does, and returns when it is gone.
    pub(crate) fn kill_primary(&mut self) -> io::Result<()> {
        self.primary.child.kill()?;
        self.primary.child.wait().map(drop)
    }

    /// Starts a new process in the place of the killed primary.
    pub(crate) fn start_primary(&mut self) -> io::Result<()> {
        let mut command = coordinator("coordinator-1", &self.primary.port)?;
        self.primary.child = command.spawn()?;
        Ok(())
    }

    /// The command that makes a coordinator active, as an operator gives it.
    pub(crate) fn promotion(&self, coordinator: SocketAddr) -> io::Result<Command> {
        let mut command = proxy(&self.directory)?;
        command.arg("promote").arg(coordinator.to_string());
        Ok(command)
    }

    /// The proxy's file.
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

/// A loopback port of the kernel's choice that no other program gets.
///
/// It is bound and never listens, which Linux lets a process do beside one that listens.
pub(crate) struct Port {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// Keeps it.
    _socket: Socket,
}

impl Port {
    /// Takes a free one.
    pub(crate) fn reserve() -> io::Result<Port> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0))))?;
        let address = socket.local_addr()?.as_socket().ok_or(ErrorKind::AddrNotAvailable)?;
        Ok(Port { address, _socket: socket })
    }
}

/// This program as a coordinator of this name.
fn coordinator(name: &str, port: &Port) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(AS_COORDINATOR).arg(name).arg(port.address.to_string());
    // It ends when this pipe does, however we end.
    command.stdin(Stdio::piped());
    Ok(command)
}

/// The proxy's program, with what all its command lines begin with.
fn proxy(directory: &Directory) -> io::Result<Command> {
    let mut command = match env::var_os("DEMO_PROXY") {
        Some(program) => Command::new(program),
        None => {
            let mut command = Command::new(env::current_exe()?);
            command.arg(AS_PROXY);
            command
        }
    };
    command.arg("-p").arg(directory.path()).arg("-c").arg(directory.file()).stdin(Stdio::null());
    Ok(command)
}

/// Waits until a coordinator says that it has started.
fn await_ready(coordinator: SocketAddr) -> io::Result<()> {
    await_that(|| {
        get(coordinator, "/v1/info").is_ok_and(|info| info.contains("\"starting\":false"))
    })
}

/// Looks until something is so.
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

/// A process that listens on a port, and ends with its owner.
struct Process {
    /// The process.
    child: Child,
    /// Its port.
    port: Port,
}

impl Process {
    /// Starts it.
    fn start(mut command: Command, port: Port) -> io::Result<Process> {
        Ok(Process { child: command.spawn()?, port })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory that goes with its owner.
struct Directory(PathBuf);

impl Directory {
    /// Makes one that is this process's own.
    fn create() -> io::Result<Directory> {
        let path = env::temp_dir().join(format!("switchover-demo-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Directory(path))
    }

    /// Its path.
    fn path(&self) -> &Path {
        &self.0
    }

    /// The proxy's file in it.
    fn file(&self) -> PathBuf {
        self.0.join("trino.conf")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
