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

use super::certificate::validity;
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
        let verifier = Verifier::new(rules.trusted.as_deref(), provider)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
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

/// Verifies servers: that they have the key of their certificate, and that it can be trusted.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Whom to trust; `None` takes any certificate: `proxy_ssl_verify off`.
    trusted: Option<Trusted>,
}

#[derive(Debug)]
struct Trusted {
    authorities: Arc<WebPkiServerVerifier>,
    /// One that is trusted itself needs no authority: many servers have signed their own.
    certificates: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(trusted: Option<&[u8]>, provider: Arc<CryptoProvider>) -> Result<Verifier, TlsError> {
        let trusted = trusted.map(|pem| Trusted::new(pem, Arc::clone(&provider))).transpose()?;
        Ok(Verifier { provider, trusted })
    }
}

impl Trusted {
    fn new(pem: &[u8], provider: Arc<CryptoProvider>) -> Result<Trusted, TlsError> {
        let (mut roots, certificates) = (RootCertStore::empty(), certificates(pem)?);
        for certificate in &certificates {
            let added = roots.add(certificate.clone());
            added.map_err(|e| TlsError::Certificate(e.to_string()))?;
        }
        let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let authorities = built.map_err(|e| TlsError::Other(e.to_string()))?;
        Ok(Trusted { authorities, certificates })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        if trusted.certificates.contains(end_entity) {
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            validity(end_entity, now).map_err(Error::InvalidCertificate)?;
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let authorities = &trusted.authorities;
        authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Sessions that are kept for one group of servers.
const SESSIONS: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::CertificateError;
    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    const CERTIFICATE: &[u8] = include_bytes!("../../tests/simulation/common/pem/certificate.pem");

    #[test]
    fn a_certificate_that_is_trusted_itself_is_still_for_a_name_and_a_time() {
        let verifier = Verifier::new(Some(CERTIFICATE), Arc::new(ring::default_provider()));
        let verifier = verifier.unwrap();
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
        let verified = |name: &'static str, day: u64| {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(day * 86_400));
            let name = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&certificate, &[], &name, &[], now)
        };
        let ends = super::super::certificate::ends(&certificate).unwrap();
        let last = u64::try_from(ends).unwrap() / 86_400;
        assert!(verified("sim.example", last - 1).is_ok());
        assert!(matches!(
            verified("b.test", last - 1),
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }))
        ));
        let refused = |day, why| {
            let Err(Error::InvalidCertificate(found)) = verified("sim.example", day) else {
                panic!("it is not valid on day {day}");
            };
            assert_eq!(found, why);
        };
        refused(last + 1, CertificateError::Expired);
        refused(0, CertificateError::NotValidYet);
    }
}
