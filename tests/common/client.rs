//! A client that sends raw bytes and reads responses strictly.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::message::{Bodiless, Message, Reader, Tape};
use super::wire::Wire;

#[derive(Debug)]
pub struct Client {
    wire: Arc<Wire>,
    reader: Reader,
    tape: Tape,
}

impl Client {
    pub fn connect(to: SocketAddr) -> Client {
        Client::over(Wire::tcp(TcpStream::connect(to).expect("the proxy listens")))
    }

    pub fn connect_unix(path: &Path) -> Client {
        Client::over(Wire::unix(UnixStream::connect(path).expect("the proxy listens")))
    }

    /// Uses a connected stream.
    pub fn over(wire: Wire) -> Client {
        let (wire, tape) = (Arc::new(wire), Tape::default());
        Client { reader: Reader::new(Arc::clone(&wire), Arc::clone(&tape)), wire, tape }
    }

    /// Sends bytes. Reading shows if the peer has closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.try_send(bytes);
    }

    /// Sends bytes, and reports whether the peer took them.
    ///
    /// # Errors
    /// The peer has closed, or takes no bytes.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        (&*self.wire).write_all(bytes.as_ref())
    }

    /// Reads one complete response, 1xx or final, with a body if its fields announce one.
    pub fn read_response(&mut self) -> Message {
        self.try_read_response()
            .unwrap_or_else(|why| panic!("no response: {why}; got {:?}", self.seen()))
    }

    /// As [`Client::read_response`], for responses that may be cut.
    ///
    /// # Errors
    /// `UnexpectedEof` if the response is cut or missing; other failures of the connection.
    pub fn try_read_response(&mut self) -> io::Result<Message> {
        self.reader.response(Bodiless::No)?.ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// Reads the response to a HEAD, which has no body.
    pub fn read_head(&mut self) -> Message {
        let answer = self.reader.response(Bodiless::Yes);
        answer.ok().flatten().unwrap_or_else(|| panic!("no response; got {:?}", self.seen()))
    }

    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Message {
        self.send(request);
        self.read_response()
    }

    /// Reads everything until the proxy closes; a reset counts as a close.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        match self.reader.rest() {
            Ok(bytes) => bytes,
            Err(why) if why.kind() == ErrorKind::ConnectionReset => Vec::new(),
            Err(why) => panic!("the proxy does not close: {why}; got {:?}", self.seen()),
        }
    }

    /// Waits for the proxy to close. Any byte before that is an unexpected response.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        let closed = match self.reader.some(&mut byte) {
            Ok(n) => n == 0,
            Err(why) => {
                eprintln!("in place of a close: {why}");
                why.kind() == ErrorKind::ConnectionReset
            }
        };
        if !closed {
            eprintln!("seen instead of a close: {}", self.seen());
        }
        closed
    }

    /// Whether no byte arrives for this long.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        let mut byte = [0];
        self.wire.set_timeout(time);
        let silent =
            self.reader.some(&mut byte).is_err_and(|why| why.kind() == ErrorKind::WouldBlock);
        self.wire.set_timeout(super::PATIENCE);
        silent
    }

    /// Reads some bytes.
    ///
    /// # Errors
    /// The connection failed.
    pub fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reader.some(into)
    }

    pub fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        self.reader.body(super::Framing::Length(length as u64)).expect("enough bytes")
    }

    /// Everything received on this connection, for failure messages.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.tape.lock().expect("no reader panics")).into_owned()
    }

    pub fn wire(&self) -> &Arc<Wire> {
        &self.wire
    }

    /// The reader, for bodies read piece by piece.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Sends a FIN, and can still read.
    pub fn finish_sending(&self) {
        self.wire.shutdown(Shutdown::Write);
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.wire.reset_on_close();
    }
}
