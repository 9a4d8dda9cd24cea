//! What a configuration says about TLS.

use std::time::Duration;

use super::identity::Identity;

/// What is written about how a server takes TLS.
#[derive(Clone, Debug)]
pub struct ServerRules {
    /// `ssl_certificate` and `ssl_certificate_key`: one for each kind of key.
    pub identities: Vec<Identity>,
    /// `ssl_protocols`. Not empty.
    pub versions: Vec<Version>,
    /// `ssl_ciphers`: some of [`CIPHERS`], the best first; all if empty.
    pub ciphers: Vec<&'static str>,
    /// `ssl_prefer_server_ciphers`.
    pub prefers_own_ciphers: bool,
    /// `ssl_session_cache`: sessions kept; 0 for none.
    pub sessions: usize,
    /// `ssl_session_timeout`: how long sessions can be resumed.
    pub session_timeout: Duration,
    /// `ssl_session_tickets`.
    pub tickets: bool,
    /// The protocols that it speaks, for clients that ask.
    pub alpn: Vec<Vec<u8>>,
    /// `ssl_verify_client`, if not off.
    pub clients: Option<Clients>,
    /// `ssl_reject_handshake`.
    pub rejects: bool,
}

/// How clients are verified.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Whether each has to show a certificate.
    pub check: ClientCheck,
    /// `ssl_client_certificate` or `ssl_trusted_certificate`, as PEM: who may sign their certificates.
    pub authorities: Vec<u8>,
    /// `ssl_crl`, as PEM.
    pub revoked: Option<Vec<u8>>,
}

/// Whether a client has to show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCheck {
    /// It has to.
    Required,
    /// It may.
    Optional,
}

/// What is written about how a server is reached over TLS.
#[derive(Clone, Debug)]
pub struct ClientRules {
    /// `proxy_ssl_trusted_certificate`, as PEM, if certificates are verified.
    pub trusted: Option<Vec<u8>>,
    /// `proxy_ssl_name`: the name in the server's certificate, or its address.
    pub name: String,
    /// `proxy_ssl_server_name`: whether the server is told that name.
    pub sends_name: bool,
    /// `proxy_ssl_certificate` and `_key`.
    pub identity: Option<Identity>,
    /// `proxy_ssl_protocols`. Not empty.
    pub versions: Vec<Version>,
    /// `proxy_ssl_ciphers`, as in [`ServerRules`].
    pub ciphers: Vec<&'static str>,
    /// `proxy_ssl_session_reuse`.
    pub reuses_sessions: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

/// The ciphers of TLS 1.2, as OpenSSL names them. Those of 1.3 cannot be chosen.
pub const CIPHERS: [&str; 6] = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
];
