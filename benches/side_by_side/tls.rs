//! Clients over TLS, and the certificates of the proxies.
//!
//! All proxies have the same two certificates, ECDSA (P-256) and RSA (2048 bits), and a client decides by
//! what it can verify which of them it gets. Everything else is what the client alone offers: TLS 1.3,
//! `TLS_AES_128_GCM_SHA256`, X25519.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, ClientConfig, ClientConnection, NamedGroup, SignatureScheme, version};

use crate::trusting::Trusting;

/// How clients shake hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// Anew, with a server that signs by ECDSA.
    Ecdsa,
    /// The same by RSA.
    Rsa,
    /// Resuming the session of an earlier connection.
    Resumed,
}

impl Handshake {
    /// What a client offers.
    pub(crate) fn offer(self) -> Arc<ClientConfig> {
        let mut provider = ring::default_provider();
        provider.cipher_suites.retain(|it| it.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
        provider.kx_groups.retain(|it| it.name() == NamedGroup::X25519);
        let schemes = match self {
            Handshake::Ecdsa | Handshake::Resumed => vec![SignatureScheme::ECDSA_NISTP256_SHA256],
            Handshake::Rsa => {
                vec![SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256]
            }
        };
        let mut offer = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&version::TLS13])
            .expect("a suite of this version")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting(schemes)))
            .with_no_client_auth();
        offer.resumption = match self {
            Handshake::Ecdsa | Handshake::Rsa => Resumption::disabled(),
            Handshake::Resumed => Resumption::in_memory_sessions(8),
        };
        Arc::new(offer)
    }
}

/// A client's connection: the handshake happens when it first writes and reads.
pub(crate) struct Session {
    stream: TcpStream,
    tls: ClientConnection,
}

impl Session {
    pub(crate) fn new(stream: TcpStream, offer: &Arc<ClientConfig>) -> Session {
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = ClientConnection::new(Arc::clone(offer), name).expect("an offer that is sound");
        Session { stream, tls }
    }
}

impl Read for Session {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // What of the handshake or of a request could not leave before.
            self.flush()?;
            match self.tls.reader().read(into) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            if self.tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            self.tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for Session {
    /// Accepts what fits into the buffer of records; they leave later if they cannot now.
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.flush()?;
        match self.tls.writer().write(from)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            count => self.flush().map(|()| count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.stream) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                written => written?,
            };
        }
        Ok(())
    }
}

/// Makes the certificates.
pub(crate) fn certify() -> io::Result<()> {
    fs::create_dir_all(keys())?;
    for (name, kind) in [("rsa", &["rsa:2048"][..]), ("ecdsa", P_256)] {
        let (key, certificate) = (keys().join(format!("{name}.key")), keys().join(name));
        let status = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-newkey"])
            .args(kind)
            .args(["-addext", "subjectAltName=DNS:localhost", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status()?;
        assert!(status.success(), "openssl makes no certificate");
        // HAProxy takes both in one file, and several by these endings.
        let both = [fs::read(&certificate)?, fs::read(&key)?].concat();
        fs::write(keys().join(format!("both.{name}")), both)?;
    }
    Ok(())
}

/// What `server {}` needs to listen with TLS.
pub(crate) fn listen(port: u16) -> String {
    let at = keys();
    let at = at.display();
    format!(
        "listen 127.0.0.1:{port} ssl backlog=4096; ssl_protocols TLSv1.3;
         ssl_certificate {at}/ecdsa; ssl_certificate_key {at}/ecdsa.key;
         ssl_certificate {at}/rsa; ssl_certificate_key {at}/rsa.key;"
    )
}

/// The same for a `frontend` of HAProxy.
pub(crate) fn bind(port: u16) -> String {
    format!("bind 127.0.0.1:{port} ssl crt {}/both backlog 4096", keys().display())
}

fn keys() -> PathBuf {
    crate::target().join("side_by_side_keys")
}

const P_256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
