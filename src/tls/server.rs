//! How a server takes TLS from its clients.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{
    ClientCertVerifierBuilder, ClientHello, ResolvesServerCert, ServerSessionMemoryCache,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    CipherSuite, RootCertStore, ServerConfig, SignatureAlgorithm, SupportedCipherSuite,
    SupportedProtocolVersion, version,
};

use super::error::TlsError;
use super::identity::Identity;
use super::pem;
use super::rules::{ClientCheck, Clients, ServerRules, Version};
use super::timed::Timed;

/// How a server takes TLS.
#[derive(Clone)]
pub struct ServerTerms {
    pub(super) config: Arc<ServerConfig>,
    clients: Option<Arc<Clients>>,
}

impl ServerTerms {
    /// The terms that follow from the rules.
    ///
    /// # Errors
    /// The library refuses them.
    pub fn new(rules: ServerRules) -> Result<ServerTerms, TlsError> {
        let provider = Arc::new(provider(&rules.ciphers));
        let other = |e: rustls::Error| TlsError::Other(e.to_string());
        let verifier = match &rules.clients {
            None => WebPkiClientVerifier::no_client_auth(),
            // One that shows none is told so in an answer.
            Some(clients) => verification(clients, Arc::clone(&provider))?
                .allow_unauthenticated()
                .build()
                .map_err(|e| TlsError::Other(e.to_string()))?,
        };
        let identities = if rules.rejects { Vec::new() } else { rules.identities };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&supported(&rules.versions))
            .map_err(other)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(Identities(identities)));
        config.ignore_client_order = rules.prefers_own_ciphers;
        config.alpn_protocols = rules.alpn;
        config.max_early_data_size = 0;
        let sessions = ServerSessionMemoryCache::new(rules.sessions);
        config.session_storage = Arc::new(Timed::new(sessions, rules.session_timeout));
        if rules.tickets {
            let tickets = ring::Ticketer::new().map_err(other)?;
            config.ticketer = Arc::new(Timed::new(tickets, rules.session_timeout));
        }
        Ok(ServerTerms { config: Arc::new(config), clients: rules.clients.map(Arc::new) })
    }

    /// Whether clients have to show a certificate, or may.
    pub fn verifies(&self) -> Option<ClientCheck> {
        self.clients.as_ref().map(|clients| clients.check)
    }

    /// Whether clients are verified as by these terms, which may be those of an older file.
    pub fn verifies_as(&self, other: &ServerTerms) -> bool {
        self == other || self.verified_by() == other.verified_by()
    }

    /// Who may sign the certificates of clients, and which of them are revoked.
    fn verified_by(&self) -> Option<(&[u8], Option<&[u8]>)> {
        let clients = self.clients.as_ref()?;
        Some((&clients.authorities, clients.revoked.as_deref()))
    }
}

impl PartialEq for ServerTerms {
    fn eq(&self, other: &ServerTerms) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for ServerTerms {}

impl fmt::Debug for ServerTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTerms")
    }
}

/// How clients are verified that show a certificate.
fn verification(
    clients: &Clients,
    provider: Arc<CryptoProvider>,
) -> Result<ClientCertVerifierBuilder, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(&clients.authorities)? {
        roots.add(certificate).map_err(|e| TlsError::Certificate(e.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(match &clients.revoked {
        None => builder,
        Some(revoked) => {
            builder.with_crls(pem::revocations(revoked)?).allow_unknown_revocation_status()
        }
    })
}

/// Versions, as the library names them.
pub(super) fn supported(versions: &[Version]) -> Vec<&'static SupportedProtocolVersion> {
    let of = |version: &Version| match version {
        Version::Tls12 => &version::TLS12,
        Version::Tls13 => &version::TLS13,
    };
    versions.iter().map(of).collect()
}

/// The certificates of a server, of which a client gets one that it can verify.
#[derive(Debug)]
struct Identities(Vec<Identity>);

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |it: &&Identity| it.key.key.choose_scheme(hello.signature_schemes()).is_some();
        let is_short = |it: &&Identity| it.key.key.algorithm() != SignatureAlgorithm::RSA;
        let all = || self.0.iter().filter(fits);
        let chosen = all().find(is_short).or_else(|| all().next());
        chosen.map(|identity| Arc::clone(&identity.key))
    }
}

/// Cipher suites: those of TLS 1.3 always, of the others the given ones in their order.
pub(super) fn provider(ciphers: &[&str]) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !ciphers.is_empty() {
        let of = |name: &&str| {
            let suite = SUITES.iter().find(|(known, _)| known == name)?.1;
            ring::ALL_CIPHER_SUITES.iter().find(|it| it.suite() == suite).copied()
        };
        let newest = ring::ALL_CIPHER_SUITES.iter().filter(|it| is_newest(it)).copied();
        provider.cipher_suites = newest.chain(ciphers.iter().filter_map(of)).collect();
    }
    provider
}

fn is_newest(suite: &SupportedCipherSuite) -> bool {
    suite.tls13().is_some()
}

/// The names that OpenSSL has for cipher suites.
pub(super) const SUITES: [(&str, CipherSuite); 9] = [
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];
