//! The operating system's network: mio and socket2, and the only clock that the program reads.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::Interest;
use mio::event::Source;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::pipe::OsPipe;
use super::{Accepted, Connect, Event, Net, Stream, Token};
use crate::address::Address;
use crate::config::model::{Listen, TcpKeepalive};
use crate::time::{Time, WallTime};

/// mio's poll, and the process's clock.
#[derive(Debug)]
pub struct OsNet {
    poll: mio::Poll,
    ready: mio::Events,
    started: Instant,
    /// Wall time at `Time::ZERO`, measured regularly because the wall clock may be set.
    wall_at_zero: u64,
    wall_measured: Time,
    outside: bool,
}

impl OsNet {
    /// A network without sockets whose time begins now.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    #[allow(clippy::disallowed_methods)] // this file is where the clock is read
    pub fn new() -> io::Result<OsNet> {
        let mut net = OsNet {
            poll: mio::Poll::new()?,
            ready: mio::Events::with_capacity(EVENTS_AT_ONCE),
            started: Instant::now(),
            wall_at_zero: 0,
            wall_measured: Time::ZERO,
            outside: false,
        };
        net.measure_wall(Time::ZERO);
        Ok(net)
    }

    /// Registers a source that is not one of the worker's sockets (signals). Its events only end
    /// the wait: see [`OsNet::outside`].
    ///
    /// # Errors
    /// Any error of the system.
    pub fn watch_outside(&mut self, source: &mut impl Source) -> io::Result<()> {
        self.poll.registry().register(source, OUTSIDE, Interest::READABLE)
    }

    /// Whether the source of [`OsNet::watch_outside`] has had an event since the last call.
    pub fn outside(&mut self) -> bool {
        std::mem::take(&mut self.outside)
    }

    #[allow(clippy::disallowed_methods)] // this file is where the clock is read
    fn measure_wall(&mut self, now: Time) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let wall = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
        self.wall_at_zero = wall.saturating_sub(now.as_nanos());
        self.wall_measured = now;
    }

    #[allow(clippy::disallowed_methods)] // this file is where the clock is read
    fn now(&self) -> Time {
        Time::ZERO + Instant::now().duration_since(self.started)
    }
}

impl Net for OsNet {
    type Listener = OsListener;
    type Stream = OsStream;
    type Pipe = OsPipe;

    fn listen(&mut self, at: &Listen, token: Token) -> io::Result<OsListener> {
        let mut listener = bind(at)?;
        let registry = self.poll.registry();
        let token = mio::Token(token.0);
        match &mut listener {
            OsListener::Tcp(socket, _) => registry.register(socket, token, Interest::READABLE)?,
            OsListener::Unix(socket, _) => registry.register(socket, token, Interest::READABLE)?,
        }
        Ok(listener)
    }

    fn accept(&mut self, from: &OsListener) -> io::Result<Accepted<OsStream>> {
        match from {
            OsListener::Tcp(listener, bound) => {
                let (stream, peer) = listener.accept()?;
                let local = match bound {
                    Some(bound) => *bound,
                    None => stream.local_addr()?,
                };
                let (peer, local) = (Address::Inet(peer), Address::Inet(local));
                Ok(Accepted { stream: OsStream::Tcp(stream), peer, local })
            }
            OsListener::Unix(listener, file) => {
                let (stream, _) = listener.accept()?;
                Ok(Accepted {
                    stream: OsStream::Unix(stream),
                    peer: Address::Unix(Default::default()),
                    local: Address::Unix(file.0.clone()),
                })
            }
        }
    }

    fn connect(&mut self, to: &Address, how: &Connect) -> io::Result<OsStream> {
        match to {
            Address::Unix(path) => Ok(OsStream::Unix(mio::net::UnixStream::connect(path)?)),
            Address::Inet(at) => {
                let socket = Socket::new(
                    Domain::for_address(*at),
                    Type::STREAM.nonblocking().cloexec(),
                    Some(Protocol::TCP),
                )?;
                socket.set_tcp_nodelay(true)?;
                if how.keepalive {
                    socket.set_keepalive(true)?;
                }
                if let Some(local) = how.bind {
                    socket.bind(&local.into())?;
                }
                match socket.connect(&(*at).into()) {
                    Ok(()) => {}
                    Err(e) if e.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
                    Err(e) => return Err(e),
                }
                Ok(OsStream::Tcp(mio::net::TcpStream::from_std(socket.into())))
            }
        }
    }

    fn pipe(&mut self) -> io::Result<OsPipe> {
        OsPipe::new()
    }

    fn watch(&mut self, stream: &mut OsStream, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
        let registry = self.poll.registry();
        match stream {
            OsStream::Tcp(stream) => registry.register(stream, mio::Token(token.0), both),
            OsStream::Unix(stream) => registry.register(stream, mio::Token(token.0), both),
        }
    }

    fn poll(&mut self, events: &mut Vec<Event>, until: Time) -> io::Result<Time> {
        events.clear();
        let timeout = (until < Time::NEVER).then(|| round_up(until - self.now()));
        match self.poll.poll(&mut self.ready, timeout) {
            Ok(()) => {}
            // A signal interrupted the wait: the caller finds no events and polls again.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.ready.clear(),
            Err(e) => return Err(e),
        }
        for event in &self.ready {
            if event.token() == OUTSIDE {
                self.outside = true;
                continue;
            }
            // A hangup alone may be the end of a unix socket, or an orderly end of both directions.
            let broken = event.is_error();
            let closed = event.is_read_closed() && event.is_write_closed();
            events.push(Event {
                token: Token(event.token().0),
                readable: event.is_readable() || broken || closed,
                writable: event.is_writable() || broken || closed,
                read_closed: event.is_read_closed(),
                broken,
                urgent: event.is_priority(),
            });
        }
        let now = self.now();
        if now - self.wall_measured > WALL_AGE {
            self.measure_wall(now);
        }
        Ok(now)
    }

    fn wall(&self, at: Time) -> WallTime {
        WallTime(self.wall_at_zero.saturating_add(at.as_nanos()))
    }
}

/// A listening socket.
#[derive(Debug)]
pub enum OsListener {
    /// IPv4 or IPv6. The local address of all connections is cached if the listener has only one.
    Tcp(mio::net::TcpListener, Option<SocketAddr>),
    /// A unix socket.
    Unix(mio::net::UnixListener, SocketFile),
}

/// A unix socket's path, which is removed together with its listener.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The file may be gone already, or the directory may no longer be writable.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl OsListener {
    /// The listening address, with the kernel's choice in place of port 0.
    ///
    /// # Errors
    /// Any error of the system.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            OsListener::Tcp(listener, _) => Ok(Address::Inet(listener.local_addr()?)),
            OsListener::Unix(_, file) => Ok(Address::Unix(file.0.clone())),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub enum OsStream {
    /// IPv4 or IPv6.
    Tcp(mio::net::TcpStream),
    /// Over a unix socket.
    Unix(mio::net::UnixStream),
}

impl AsFd for OsStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            OsStream::Tcp(stream) => stream.as_fd(),
            OsStream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Stream for OsStream {
    type Pipe = OsPipe;

    fn splice_in(&mut self, into: &mut OsPipe, most: usize) -> io::Result<usize> {
        into.fill(self.as_fd(), most)
    }

    fn splice_out(&mut self, from: &mut OsPipe, most: usize) -> io::Result<usize> {
        from.drain(self.as_fd(), most)
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            OsStream::Tcp(stream) => stream.read(into),
            OsStream::Unix(stream) => stream.read(into),
        }
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        // For a single slice, `send` costs less than `writev`.
        match (self, from) {
            (OsStream::Tcp(stream), [one]) => stream.write(one),
            (OsStream::Tcp(stream), many) => stream.write_vectored(many),
            (OsStream::Unix(stream), [one]) => stream.write(one),
            (OsStream::Unix(stream), many) => stream.write_vectored(many),
        }
    }

    fn connected(&mut self) -> io::Result<bool> {
        let (failure, peer) = match self {
            OsStream::Tcp(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
            OsStream::Unix(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
        };
        if let Some(failure) = failure {
            return Err(failure);
        }
        match peer {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            OsStream::Tcp(stream) => stream.shutdown(std::net::Shutdown::Write),
            OsStream::Unix(stream) => stream.shutdown(std::net::Shutdown::Write),
        }
    }

    fn reset_on_close(&mut self) {
        if let OsStream::Tcp(stream) = self {
            // If this fails, the connection is closed in order; there is no alternative.
            let _ = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
        }
    }

    fn set_nodelay(&mut self, on: bool) {
        if let OsStream::Tcp(stream) = self {
            let _ = stream.set_nodelay(on);
        }
    }
}

fn bind(at: &Listen) -> io::Result<OsListener> {
    let (domain, protocol, address) = match &at.address {
        Address::Inet(inet) => {
            (Domain::for_address(*inet), Some(Protocol::TCP), SockAddr::from(*inet))
        }
        Address::Unix(path) => (Domain::UNIX, None, SockAddr::unix(path)?),
    };
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), protocol)?;
    match &at.address {
        Address::Inet(inet) => {
            socket.set_reuse_address(true)?;
            if inet.is_ipv6() {
                socket.set_only_v6(at.ipv6_only)?;
            }
            if at.reuse_port {
                socket.set_reuse_port(true)?;
            }
            // Accepted sockets inherit it, which saves a system call for each.
            socket.set_tcp_nodelay(true)?;
        }
        Address::Unix(path) => remove_stale(path),
    }
    if let Some(bytes) = at.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = at.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(TcpKeepalive::On { idle, interval, count }) = at.keepalive {
        let mut params = socket2::TcpKeepalive::new();
        params = idle.map_or(params.clone(), |t| params.clone().with_time(t));
        params = interval.map_or(params.clone(), |t| params.clone().with_interval(t));
        params = count.map_or(params.clone(), |n| params.clone().with_retries(n));
        socket.set_keepalive(true)?;
        socket.set_tcp_keepalive(&params)?;
    }
    socket.bind(&address)?;
    socket.listen(i32::try_from(at.backlog).unwrap_or(i32::MAX))?;
    match &at.address {
        Address::Inet(inet) => {
            let listener = mio::net::TcpListener::from_std(socket.into());
            let bound = (!inet.ip().is_unspecified()).then(|| listener.local_addr());
            Ok(OsListener::Tcp(listener, bound.transpose()?))
        }
        Address::Unix(path) => {
            let file = SocketFile(path.clone());
            Ok(OsListener::Unix(mio::net::UnixListener::from_std(socket.into()), file))
        }
    }
}

/// Removes the file of a unix socket that has no listener; `bind` refuses one in use.
fn remove_stale(path: &std::path::Path) {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        let _ = std::fs::remove_file(path);
    }
}

/// Rounds up to epoll's unit, milliseconds, so that a deadline has passed when the wait ends.
fn round_up(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

/// The token of sources other than the worker's sockets.
const OUTSIDE: mio::Token = mio::Token(usize::MAX);
/// Events taken from the system in one wait.
const EVENTS_AT_ONCE: usize = 1024;
/// How long a measured offset between both clocks is used.
const WALL_AGE: Duration = Duration::from_secs(1);
