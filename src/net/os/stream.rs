//! Connections of the system.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::Interest;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::pipe::OsPipe;
use crate::address::Address;
use crate::net::{Connect, Stream};

/// A connection.
#[derive(Debug)]
pub enum OsStream {
    /// IPv4 or IPv6.
    Tcp(mio::net::TcpStream),
    /// Over a unix socket.
    Unix(mio::net::UnixStream),
}

impl OsStream {
    /// Begins to connect.
    pub(super) fn connect(to: &Address, how: &Connect) -> io::Result<OsStream> {
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

    /// Registers it for both directions, and for urgent data.
    pub(super) fn register(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
    ) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
        match self {
            OsStream::Tcp(stream) => registry.register(stream, token, both),
            OsStream::Unix(stream) => registry.register(stream, token, both),
        }
    }
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
