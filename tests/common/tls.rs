//! Clients over TLS, and certificates for servers.

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustls::client::{Resumption, Tls12Resumption, WantsClientCert};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, SignatureScheme, SupportedProtocolVersion,
    version,
};
use tempfile::TempDir;

use super::client::Client;
use super::proxy::{installed, run, run_to_end};
use super::trusting::Trusting;
use super::wire::Wire;

/// A directory of certificates and keys, whose path `Display` prints.
pub struct Keys(TempDir);

impl Keys {
    /// Makes a certificate and its key for each of these names, such as `a.test.rsa` or `a.test.ec`, in
    /// files with the endings `.pem` and `.key`. `None` where openssl is not installed.
    pub fn of(names: &[&str]) -> Option<Keys> {
        installed("openssl")?;
        let keys = Keys(TempDir::new().expect("a temporary directory"));
        for name in names {
            keys.make(name);
        }
        Some(keys)
    }

    /// Makes a certificate and its key anew.
    pub fn make(&self, name: &str) {
        let (host, kind) = name.rsplit_once('.').expect("a kind");
        let kind: &[&str] = match kind {
            "rsa" => &["rsa:2048"],
            "ec" => &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
            other => panic!("no kind of key: {other}"),
        };
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-days", "30", "-newkey"]).args(kind);
        command.args(["-subj", &format!("/CN={host}"), "-addext"]);
        command.arg(format!("subjectAltName=DNS:{host},IP:127.0.0.1"));
        command.arg("-keyout").arg(self.file(&format!("{name}.key")));
        command.arg("-out").arg(self.file(&format!("{name}.pem")));
        let made = run_to_end(&mut command);
        assert_eq!(made.status, Some(0), "{made:?}");
    }

    /// Makes a certificate and its key that an authority signs, which [`Keys::make`] made.
    pub fn sign(&self, name: &str, authority: &str) {
        let at = |name: &str, ending: &str| self.file(&format!("{name}.{ending}"));
        let mut request = Command::new("openssl");
        request.args(["req", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        request.args(["-subj", &format!("/O=Test/CN={name}"), "-addext"]);
        request.arg(format!("subjectAltName=DNS:{name}"));
        request.arg("-keyout").arg(at(name, "key")).arg("-out").arg(at(name, "csr"));
        let mut signed = Command::new("openssl");
        signed.args(["x509", "-req", "-days", "30", "-CAcreateserial", "-copy_extensions", "copy"]);
        signed.arg("-in").arg(at(name, "csr")).arg("-out").arg(at(name, "pem"));
        signed.arg("-CA").arg(at(authority, "pem")).arg("-CAkey").arg(at(authority, "key"));
        for command in [&mut request, &mut signed] {
            let made = run_to_end(command);
            assert_eq!(made.status, Some(0), "{made:?}");
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The bytes of a certificate, as a client gets them.
    pub fn certificate(&self, name: &str) -> Vec<u8> {
        let file = self.file(&format!("{name}.pem"));
        CertificateDer::from_pem_file(file).expect("openssl made it").to_vec()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.file(name), text).expect("a writable directory");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("openssl made it")
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.path().display().fmt(f)
    }
}

/// Asserts that `switchover -t` refuses a file, and names the place, `LINE:COLUMN`, and the reason.
pub fn assert_refused(keys: &Keys, text: &str, place: &str, words: &str) {
    keys.write("proxy.conf", text);
    let file = keys.file("proxy.conf");
    let run = run(&["-t", "-c", file.to_str().expect("a path in UTF-8")]);
    let place = format!("{}:{place}", file.display());
    assert_eq!(run.status, Some(1), "{text}: {run:?}");
    assert!(run.stderr.contains(&place), "{text}: no {place} in {}", run.stderr);
    assert!(run.stderr.contains(words), "{text}: no {words:?} in {}", run.stderr);
}

/// Both versions, each by itself.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// A client of these versions that resumes sessions and trusts every server.
pub fn client(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    client_of(versions, all_schemes())
}

/// The same, with these ways to sign.
pub fn client_of(
    versions: &[&'static SupportedProtocolVersion],
    schemes: Vec<SignatureScheme>,
) -> ClientConfig {
    let mut config = trusting(versions, schemes).with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(8);
    config
}

/// The same, which shows a certificate if it is asked for one.
pub fn client_with(
    versions: &[&'static SupportedProtocolVersion],
    keys: &Keys,
    name: &str,
) -> ClientConfig {
    let chain = CertificateDer::pem_file_iter(keys.file(&format!("{name}.pem")));
    let chain = chain.expect("openssl made it").map(|it| it.expect("a certificate")).collect();
    let key = PrivateKeyDer::from_pem_file(keys.file(&format!("{name}.key"))).expect("a key");
    let client = trusting(versions, all_schemes());
    client.with_client_auth_cert(chain, key).expect("a key that signs")
}

fn trusting(
    versions: &[&'static SupportedProtocolVersion],
    schemes: Vec<SignatureScheme>,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions that exist")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(schemes)))
}

fn all_schemes() -> Vec<SignatureScheme> {
    ring::default_provider().signature_verification_algorithms.supported_schemes()
}

/// The same, which resumes sessions of 1.2 by their ids and not by tickets.
pub fn client_without_tickets(version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut config = client(&[version]);
    let by_id = Resumption::in_memory_sessions(8).tls12_resumption(Tls12Resumption::SessionIdOnly);
    config.resumption = by_id;
    config
}

/// A connection that has not begun, to a server of this name.
pub fn connection(name: &str, config: &ClientConfig) -> ClientConnection {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    ClientConnection::new(Arc::new(config.clone()), name).expect("a client")
}

/// A client whose handshake is complete.
///
/// # Errors
/// The handshake fails.
pub fn connect(to: SocketAddr, name: &str, config: &ClientConfig) -> io::Result<Client> {
    let stream = TcpStream::connect(to).expect("the proxy listens");
    Ok(Client::over(Wire::tls(stream, connection(name, config))?))
}

/// The certificates that the server of a client has sent.
pub fn certificates(client: &Client) -> Vec<Vec<u8>> {
    let Wire::Tls(_, connection) = &**client.wire() else { panic!("no TLS") };
    let connection = connection.lock().expect("no user panics");
    let sent = connection.peer_certificates().unwrap_or_default();
    sent.iter().map(|it| it.to_vec()).collect()
}

/// The protocol that was agreed upon by ALPN.
pub fn protocol(client: &Client) -> Option<String> {
    let Wire::Tls(_, connection) = &**client.wire() else { panic!("no TLS") };
    let connection = connection.lock().expect("no user panics");
    connection.alpn_protocol().map(|it| String::from_utf8_lossy(it).into_owned())
}
