//! Listening sockets of the system.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use mio::Interest;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::stream::OsStream;
use crate::address::Address;
use crate::config::model::{Listen, TcpKeepalive};
use crate::net::Accepted;

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
    /// Binds a socket and listens on it.
    pub(super) fn bind(at: &Listen) -> io::Result<OsListener> {
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
        if at.purpose.is_commands() {
            // The file takes the socket's mode, so that at no moment may others connect.
            rustix::fs::fchmod(&socket, ONLY_US)?;
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
        if let (Address::Unix(path), true) = (&at.address, at.purpose.is_commands()) {
            // The umask may have taken even the owner's rights.
            rustix::fs::chmod(path, ONLY_US)?;
        }
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

    pub(super) fn register(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
    ) -> io::Result<()> {
        match self {
            OsListener::Tcp(socket, _) => registry.register(socket, token, Interest::READABLE),
            OsListener::Unix(socket, _) => registry.register(socket, token, Interest::READABLE),
        }
    }

    pub(super) fn accept(&self) -> io::Result<Accepted<OsStream>> {
        match self {
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

/// The mode of a socket for commands.
const ONLY_US: rustix::fs::Mode = rustix::fs::Mode::RUSR.union(rustix::fs::Mode::WUSR);

/// Removes the file of a unix socket that has no listener; `bind` refuses one in use.
fn remove_stale(path: &std::path::Path) {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        let _ = std::fs::remove_file(path);
    }
}
