//! One side of TLS, as bytes: records in, plain bytes out, and the other way round.
//!
//! Through the library itself, so that it does not share the mistakes of `tls`. The library draws
//! keys and nonces that no seed decides: they change the bytes of records, but never their number,
//! and time stands still for it.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Connection, Error, ProtocolVersion,
    RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion, version,
};

use super::rng::Rng;

/// What all know of TLS that speak it at an address: who is trusted, and sessions that they can
/// resume.
#[derive(Debug)]
pub(super) struct Trust {
    /// For each version of TLS.
    clients: [Arc<ClientConfig>; 2],
    /// The same, and for one that has the client begin anew.
    servers: [Arc<ServerConfig>; 3],
    rng: Rng,
}

impl Trust {
    /// Trust in the only certificate of a PEM file, which has this key; `rng` decides the habits of
    /// all. (`None` in a build without TLS.)
    ///
    /// # Panics
    /// If they are no such files.
    pub(super) fn new(certificate: &[u8], key: &[u8], rng: Rng) -> Option<Trust> {
        let certificate = CertificateDer::from_pem_slice(certificate).expect("it is a PEM file");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("the certificate is right");
        let roots = Arc::new(roots);
        let client = |version: &'static SupportedProtocolVersion| {
            let provider = Arc::new(ring::default_provider());
            let builder = ClientConfig::builder_with_details(provider, Arc::new(Standstill));
            let builder = builder.with_protocol_versions(&[version]).expect("ring knows it");
            Arc::new(builder.with_root_certificates(Arc::clone(&roots)).with_no_client_auth())
        };
        let server = |(version, provider): (&'static SupportedProtocolVersion, CryptoProvider)| {
            let time = Arc::new(Standstill);
            let builder = ServerConfig::builder_with_details(Arc::new(provider), time);
            let builder = builder.with_protocol_versions(&[version]).expect("ring knows it");
            let key = PrivateKeyDer::from_pem_slice(key).expect("it is a PEM file");
            let builder = builder.with_no_client_auth();
            Arc::new(builder.with_single_cert(vec![certificate.clone()], key).expect("they fit"))
        };
        let usual = ring::default_provider;
        // Clients offer a key of another group first.
        let other = CryptoProvider { kx_groups: vec![ring::kx_group::SECP384R1], ..usual() };
        let servers =
            [(&version::TLS12, usual()), (&version::TLS13, usual()), (&version::TLS13, other)];
        Some(Trust {
            clients: [&version::TLS12, &version::TLS13].map(client),
            servers: servers.map(server),
            rng,
        })
    }

    /// A client at the beginning of a handshake.
    pub(super) fn client(&mut self) -> TlsSide {
        let config = Arc::clone(&self.clients[self.rng.pick(&[0, 1, 1])]);
        let name = ServerName::try_from(NAME).expect("it is a name");
        let connection = ClientConnection::new(config, name).expect("the library can begin");
        self.side(connection.into())
    }

    /// A server that awaits a handshake.
    pub(super) fn server(&mut self) -> TlsSide {
        let config = Arc::clone(&self.servers[self.rng.pick(&[0, 0, 1, 1, 1, 2])]);
        let connection = ServerConnection::new(config).expect("the library can begin");
        self.side(connection.into())
    }

    fn side(&mut self, connection: Connection) -> TlsSide {
        TlsSide {
            connection: Box::new(connection),
            record: self.rng.pick(&[1, 50, 1000, usize::MAX, usize::MAX]),
            small: SMALL,
            takes_leave: !self.rng.one_in(4),
            rekeys: self.rng.one_in(4),
            has_ended: false,
        }
    }
}

/// One side of one connection.
#[derive(Debug)]
pub(super) struct TlsSide {
    connection: Box<Connection>,
    /// Plain bytes that it encloses in a record at most.
    record: usize,
    /// Plain bytes for which records are that small: many of them take very long.
    small: usize,
    /// Whether it announces the end before it closes.
    takes_leave: bool,
    /// Whether it changes its keys again and again.
    rekeys: bool,
    /// Whether the end was announced to it.
    has_ended: bool,
}

impl TlsSide {
    /// Takes bytes of records, and appends what they enclose.
    ///
    /// # Errors
    /// The rule that they break.
    pub(super) fn open(&mut self, mut records: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
        while !records.is_empty() {
            let count = self.connection.read_tls(&mut records).map_err(|e| e.to_string())?;
            if count == 0 {
                return Err("bytes follow the announced end".to_owned());
            }
            let state = match self.connection.process_new_packets() {
                // The other side gives the handshake up.
                Err(Error::AlertReceived(AlertDescription::CloseNotify)) if self.is_shaking() => {
                    self.has_ended = true;
                    return Ok(());
                }
                state => state.map_err(|e| e.to_string())?,
            };
            self.has_ended = state.peer_has_closed();
            match self.connection.reader().read_to_end(into) {
                Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e.to_string()),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Encloses some plain bytes in a record, and returns how many; none during the handshake.
    pub(super) fn enclose(&mut self, plain: &[u8]) -> usize {
        if self.connection.is_handshaking() || plain.is_empty() {
            return 0;
        }
        let is_newest = self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        if self.rekeys && is_newest {
            self.connection.refresh_traffic_keys().expect("the handshake is complete");
        }
        let record = if self.small > 0 { self.record } else { self.record.max(SMALL) };
        let most = plain.len().min(record).min(LARGEST);
        self.small = self.small.saturating_sub(most);
        self.connection.writer().write(&plain[..most]).expect("its buffer is empty")
    }

    /// Announces that nothing more is sent.
    pub(super) fn announce_end(&mut self) {
        self.connection.send_close_notify();
    }

    /// Appends the records that are to be sent.
    pub(super) fn records(&mut self, into: &mut Vec<u8>) {
        while self.connection.wants_write() {
            self.connection.write_tls(into).expect("a vector takes everything");
        }
    }

    /// Whether the handshake is incomplete.
    pub(super) fn is_shaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the end was announced to it.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether it announces the end before it closes.
    pub(super) fn takes_leave(&self) -> bool {
        self.takes_leave
    }
}

/// The moment at which all check certificates: 2026-01-01 00:00 UTC.
#[derive(Debug)]
struct Standstill;

impl TimeProvider for Standstill {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(1_767_225_600)))
    }
}

/// Plain bytes that may stand in records of their own.
const SMALL: usize = 60;
/// The name that clients ask for.
const NAME: &str = "sim.example";
/// Plain bytes of the largest record. RFC 8446, section 5.1.
const LARGEST: usize = 1 << 14;
