//! How a connection to a server takes TLS.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::error::TlsError;
use super::pem::certificates;
use super::rules::ClientRules;
use super::server::{provider, supported};

/// How a connection to a server takes TLS.
#[derive(Clone)]
pub struct ClientTerms {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl ClientTerms {
    /// The terms that follow from the rules.
    ///
    /// # Errors
    /// The library refuses them.
    pub fn new(rules: ClientRules) -> Result<ClientTerms, TlsError> {
        let other = |e: Error| TlsError::Other(e.to_string());
        let name = ServerName::try_from(rules.name.clone());
        let name = name.map_err(|_| TlsError::Name(rules.name))?;
        let provider = Arc::new(provider(&rules.ciphers));
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&supported(&rules.versions))
            .map_err(other)?;
        let dangerous = builder.dangerous();
        let builder = match rules.trusted {
            Some(pem) => {
                let verified = Verified::new(&pem, provider)?;
                dangerous.with_custom_certificate_verifier(Arc::new(verified))
            }
            None => dangerous.with_custom_certificate_verifier(Arc::new(Unverified(provider))),
        };
        let mut config = match rules.identity {
            Some(identity) => {
                let key = SingleCertAndKey::from(Arc::clone(&identity.key));
                builder.with_client_cert_resolver(Arc::new(key))
            }
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = rules.sends_name;
        config.enable_early_data = false;
        config.resumption = match rules.reuses_sessions {
            true => Resumption::in_memory_sessions(SESSIONS),
            false => Resumption::disabled(),
        };
        Ok(ClientTerms { config: Arc::new(config), name })
    }
}

impl PartialEq for ClientTerms {
    fn eq(&self, other: &ClientTerms) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for ClientTerms {}

impl fmt::Debug for ClientTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientTerms({:?})", self.name)
    }
}

/// Verifies certificates by those that are trusted. One that is trusted itself needs no authority:
/// many servers have signed their own.
#[derive(Debug)]
struct Verified {
    by_authority: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl Verified {
    fn new(pem: &[u8], provider: Arc<CryptoProvider>) -> Result<Verified, TlsError> {
        let (mut roots, trusted) = (RootCertStore::empty(), certificates(pem)?);
        for certificate in &trusted {
            let added = roots.add(certificate.clone());
            added.map_err(|e| TlsError::Certificate(e.to_string()))?;
        }
        let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let by_authority = built.map_err(|e| TlsError::Other(e.to_string()))?;
        Ok(Verified { by_authority, trusted })
    }
}

impl ServerCertVerifier for Verified {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.trusted.contains(end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let by_authority = &self.by_authority;
        by_authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authority.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

/// `proxy_ssl_verify off`: takes any certificate of a server that has its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Sessions that are kept for one group of servers.
const SESSIONS: usize = 64;
