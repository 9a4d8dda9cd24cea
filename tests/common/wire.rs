//! One byte stream, TCP, unix or TLS, that several owners can read, write and close.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
#[cfg(feature = "tls")]
use std::sync::Mutex;
use std::time::Duration;

#[cfg(feature = "tls")]
use rustls::ClientConnection;
use socket2::SockRef;

use super::PATIENCE;

/// A blocking stream whose reads and writes give up after [`PATIENCE`].
#[derive(Debug)]
pub enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// TLS as a client. Its end is that of the peer's words; a FIN alone is `UnexpectedEof`.
    #[cfg(feature = "tls")]
    Tls(TcpStream, Box<Mutex<ClientConnection>>),
}

impl Wire {
    pub fn tcp(stream: TcpStream) -> Wire {
        stream.set_nodelay(true).expect("a TCP socket");
        Wire::Tcp(stream).patient()
    }

    pub fn unix(stream: UnixStream) -> Wire {
        Wire::Unix(stream).patient()
    }

    /// Completes a handshake.
    ///
    /// # Errors
    /// The handshake fails.
    #[cfg(feature = "tls")]
    pub fn tls(stream: TcpStream, mut connection: ClientConnection) -> io::Result<Wire> {
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        while connection.is_handshaking() || connection.wants_write() {
            connection.complete_io(&mut &stream)?;
        }
        Ok(Wire::Tls(stream, Box::new(Mutex::new(connection))).patient())
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
            #[cfg(feature = "tls")]
            Wire::Tls(stream, _) => SockRef::from(stream),
        }
    }

    /// Our own address; `None` on a unix socket.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Wire::Tcp(stream) => stream.local_addr().ok(),
            Wire::Unix(_) => None,
            #[cfg(feature = "tls")]
            Wire::Tls(stream, _) => stream.local_addr().ok(),
        }
    }

    /// Ends one or both directions. A stream that has already ended is no error.
    pub fn shutdown(&self, how: Shutdown) {
        #[cfg(feature = "tls")]
        if let Wire::Tls(stream, connection) = self {
            let mut connection = connection.lock().expect("no user panics");
            connection.send_close_notify();
            let _ = connection.write_tls(&mut &*stream);
        }
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
                #[cfg(feature = "tls")]
                Wire::Tls(stream, connection) => {
                    let mut connection = connection.lock().expect("no user panics");
                    rustls::Stream::new(&mut *connection, &mut &*stream).read(into)
                }
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
            #[cfg(feature = "tls")]
            Wire::Tls(stream, connection) => {
                let mut connection = connection.lock().expect("no user panics");
                rustls::Stream::new(&mut *connection, &mut &*stream).write(from)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
