//! One byte stream, TCP or unix, that several owners can read, write and close.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::SockRef;

use super::PATIENCE;

/// A blocking stream whose reads and writes give up after [`PATIENCE`].
#[derive(Debug)]
pub enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Wire {
    pub fn tcp(stream: TcpStream) -> Wire {
        stream.set_nodelay(true).expect("a TCP socket");
        Wire::Tcp(stream).patient()
    }

    pub fn unix(stream: UnixStream) -> Wire {
        Wire::Unix(stream).patient()
    }

    fn patient(self) -> Wire {
        self.set_timeout(PATIENCE);
        self
    }

    /// Sets how long a read or a write may take.
    pub fn set_timeout(&self, limit: Duration) {
        let socket = self.socket();
        socket.set_read_timeout(Some(limit)).expect("a socket");
        socket.set_write_timeout(Some(limit)).expect("a socket");
    }

    /// The underlying socket, for its options.
    pub fn socket(&self) -> SockRef<'_> {
        match self {
            Wire::Tcp(stream) => SockRef::from(stream),
            Wire::Unix(stream) => SockRef::from(stream),
        }
    }

    /// Our own address; `None` on a unix socket.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Wire::Tcp(stream) => stream.local_addr().ok(),
            Wire::Unix(_) => None,
        }
    }

    /// Ends one or both directions. A stream that has already ended is no error.
    pub fn shutdown(&self, how: Shutdown) {
        let _ = self.socket().shutdown(how);
    }

    /// Makes the coming close a reset. Unix sockets have no resets, so there it is a plain close.
    pub fn reset_on_close(&self) {
        let _ = self.socket().set_linger(Some(Duration::ZERO));
    }
}

impl Read for &Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // Stopping and resuming the process interrupts its reads.
        loop {
            let read = match self {
                Wire::Tcp(stream) => (&*stream).read(into),
                Wire::Unix(stream) => (&*stream).read(into),
            };
            match read {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Write for &Wire {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Tcp(stream) => (&*stream).write(from),
            Wire::Unix(stream) => (&*stream).write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
