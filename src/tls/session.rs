//! One connection over TLS: records in, plain bytes out, and the other way round.
//!
//! It reads and writes like any other stream. Written bytes count once their record has left, or
//! all but the last of them if it has not: so a sender that has everything accepted knows that
//! nothing is left behind, and one that waits for an event loses no byte.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::server::Acceptor;
use rustls::{
    CipherSuite, ClientConnection, Connection, HandshakeKind, ProtocolVersion, ServerConnection,
};

use super::agreed::{Agreed, Shaken};
use super::certificate::ClientCertificate;
use super::client::ClientTerms;
use super::preread::HANDSHAKE;
use super::server::ServerTerms;

/// A connection over TLS.
pub struct Session(Box<Inner>);

struct Inner {
    stage: Stage,
    /// The last byte that was taken does not count yet: its record is still to leave.
    owes_byte: bool,
    /// The terms that a client was given.
    terms: Option<ServerTerms>,
}

enum Stage {
    /// The client's first message is awaited.
    Greeting {
        acceptor: Acceptor,
        /// What was read of it before.
        early: Vec<u8>,
        /// Whether it begins as that message does.
        begun: bool,
    },
    /// The handshake is under way, or complete.
    Running(Connection),
    /// The handshake has failed, or the end is left unsaid: nothing more is exchanged.
    Over,
}

impl Session {
    /// Awaits the handshake of a client, of which these bytes are read already. (`None` in a build
    /// without TLS.)
    pub fn accepting(early: &[u8]) -> Option<Session> {
        let (acceptor, early) = (Acceptor::default(), early.to_vec());
        let stage = Stage::Greeting { acceptor, early, begun: false };
        Some(Session(Box::new(Inner { stage, owes_byte: false, terms: None })))
    }

    /// Begins a handshake with a server.
    ///
    /// # Errors
    /// The library refuses the terms.
    pub fn connecting(terms: &ClientTerms) -> io::Result<Session> {
        let config = Arc::clone(&terms.config);
        let connection = ClientConnection::new(config, terms.name.clone());
        let stage = Stage::Running(connection.map_err(io::Error::other)?.into());
        Ok(Session(Box::new(Inner { stage, owes_byte: false, terms: None })))
    }

    /// Goes on with the handshake. `terms` are those of the server with the name that the client asks
    /// for.
    pub fn shake<S: Read + Write>(
        &mut self,
        stream: &mut S,
        terms: impl FnOnce(Option<&str>) -> Option<ServerTerms>,
    ) -> Shaken {
        if let Stage::Greeting { acceptor, early, begun } = &mut self.0.stage {
            match greet(acceptor, early, begun, stream, terms) {
                Ok((connection, terms)) => {
                    self.0.terms = Some(terms);
                    self.0.stage = Stage::Running(connection.into());
                }
                Err(shaken) => return shaken,
            }
        }
        let Stage::Running(connection) = &mut self.0.stage else {
            return Shaken::Failed(ErrorKind::NotConnected.into());
        };
        match complete(connection, stream) {
            Ok(true) => Shaken::Done,
            Ok(false) => Shaken::Waits,
            Err(e) => {
                self.0.stage = Stage::Over;
                Shaken::Failed(e)
            }
        }
    }

    /// Reads plain bytes; 0 is the end that the peer has announced.
    ///
    /// # Errors
    /// `WouldBlock`, an end without announcement, or a failure of the connection.
    pub fn read<S: Read + Write>(&mut self, stream: &mut S, into: &mut [u8]) -> io::Result<usize> {
        let Stage::Running(connection) = &mut self.0.stage else {
            return Err(ErrorKind::NotConnected.into());
        };
        loop {
            match connection.reader().read(into) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            take_in(connection, stream)?;
            // Keys and tickets: they may also leave with what is written next.
            match flush(connection, stream) {
                Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e),
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Whether neither bytes nor the peer's end are left of what has been read.
    pub fn is_drained(&mut self) -> bool {
        let Stage::Running(connection) = &mut self.0.stage else { return true };
        let left = connection.process_new_packets();
        left.is_ok_and(|left| left.plaintext_bytes_to_read() == 0 && !left.peer_has_closed())
    }

    /// Writes plain bytes, as far as they are accepted. What was not, has to come again.
    ///
    /// # Errors
    /// `WouldBlock`, or a failure of the connection.
    pub fn write<S: Read + Write>(
        &mut self,
        stream: &mut S,
        from: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let Stage::Running(connection) = &mut self.0.stage else {
            return Err(ErrorKind::NotConnected.into());
        };
        flush(connection, stream)?;
        if std::mem::take(&mut self.0.owes_byte) {
            return Ok(1);
        }
        let count = connection.writer().write_vectored(from)?;
        match flush(connection, stream) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.0.owes_byte = true;
                if count > 1 { Ok(count - 1) } else { Err(e) }
            }
            Err(e) => Err(e),
            Ok(()) => Ok(count),
        }
    }

    /// Says that nothing more is sent, and returns whether that has left. If not, it is to be called
    /// again.
    pub fn finish<S: Read + Write>(&mut self, stream: &mut S) -> bool {
        let Stage::Running(connection) = &mut self.0.stage else { return true };
        connection.send_close_notify();
        match flush(connection, stream) {
            Err(e) => e.kind() != ErrorKind::WouldBlock,
            Ok(()) => true,
        }
    }

    /// Exchanges nothing more, so that an end is never said.
    pub fn leave(&mut self) {
        self.0.stage = Stage::Over;
    }

    /// What was agreed upon, once the handshake is complete.
    pub fn agreed(&self) -> Option<Agreed> {
        let Stage::Running(connection) = &self.0.stage else { return None };
        // No other version is spoken.
        let is_newest = connection.protocol_version()? == ProtocolVersion::TLSv1_3;
        let protocol = if is_newest { "TLSv1.3" } else { "TLSv1.2" };
        let server_name = match connection {
            Connection::Server(server) => server.server_name().map(Box::from),
            Connection::Client(_) => None,
        };
        let cipher = openssl_name(connection.negotiated_cipher_suite()?.suite());
        let reused = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let shown = connection.peer_certificates().and_then(|chain| chain.first());
        let client = shown.map(|it| ClientCertificate::of(it));
        Some(Agreed { protocol, cipher, server_name, reused, terms: self.0.terms.clone(), client })
    }
}

/// Reads the client's first message, and begins to answer it.
fn greet<S: Read + Write>(
    acceptor: &mut Acceptor,
    early: &mut Vec<u8>,
    begun: &mut bool,
    stream: &mut S,
    terms: impl FnOnce(Option<&str>) -> Option<ServerTerms>,
) -> Result<(ServerConnection, ServerTerms), Shaken> {
    loop {
        let mut read = [0; GREETING];
        let mut bytes = std::mem::take(early);
        if bytes.is_empty() {
            match stream.read(&mut read) {
                Ok(0) => return Err(Shaken::Failed(ErrorKind::UnexpectedEof.into())),
                Ok(count) => bytes.extend_from_slice(&read[..count]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Err(Shaken::Waits),
                Err(e) => return Err(Shaken::Failed(e)),
            }
        }
        if !*begun && bytes[0] != HANDSHAKE {
            return Err(Shaken::Plain(bytes));
        }
        *begun = true;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            acceptor.read_tls(&mut rest).map_err(Shaken::Failed)?;
        }
        let refused = |(e, mut alert): (rustls::Error, rustls::server::AcceptedAlert)| {
            // A client that has left needs no word.
            let _ = alert.write_all(stream);
            Shaken::Failed(invalid(e))
        };
        let Some(accepted) = acceptor.accept().map_err(refused)? else { continue };
        let Some(terms) = terms(accepted.client_hello().server_name()) else {
            return Err(Shaken::Failed(ErrorKind::NotFound.into()));
        };
        let connection = accepted.into_connection(Arc::clone(&terms.config));
        return connection.map(|connection| (connection, terms)).map_err(|(e, mut alert)| {
            // As above.
            let _ = alert.write_all(stream);
            Shaken::Failed(invalid(e))
        });
    }
}

/// Goes on with a handshake, and returns whether it is complete.
fn complete<S: Read + Write>(connection: &mut Connection, stream: &mut S) -> io::Result<bool> {
    // Bytes that came together with the client's first message are read already.
    process(connection, stream)?;
    loop {
        match flush(connection, stream) {
            // The peer may wait for just that.
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(e) => return Err(e),
            Ok(()) if !connection.is_handshaking() => return Ok(true),
            Ok(()) => {}
        }
        match take_in(connection, stream) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(e) => return Err(e),
        }
    }
}

/// Reads records once, and returns how many bytes of them there were.
fn take_in<S: Read + Write>(connection: &mut Connection, stream: &mut S) -> io::Result<usize> {
    let count = connection.read_tls(stream)?;
    process(connection, stream)?;
    Ok(count)
}

/// Takes what the records mean that were read.
fn process<S: Read + Write>(connection: &mut Connection, stream: &mut S) -> io::Result<()> {
    if let Err(e) = connection.process_new_packets() {
        // The peer is told why, if it still listens.
        let _ = flush(connection, stream);
        return Err(invalid(e));
    }
    Ok(())
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// Sends what is to be sent.
fn flush<S: Read + Write>(connection: &mut Connection, stream: &mut S) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(stream)?;
    }
    Ok(())
}

/// The name that OpenSSL has for a cipher suite.
fn openssl_name(suite: CipherSuite) -> &'static str {
    super::server::SUITES.iter().find(|(_, known)| *known == suite).map_or("", |(name, _)| name)
}

/// Bytes read at a time until the client's first message is complete.
const GREETING: usize = 2048;
