//! A certificate and its key.

#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(feature = "tls")]
use rustls::sign::CertifiedKey;

use super::error::TlsError;
#[cfg(feature = "tls")]
use super::pem;

/// A certificate with its chain, and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    #[cfg(feature = "tls")]
    pub(super) key: Arc<CertifiedKey>,
}

impl Identity {
    /// The identity of two PEM files: the certificate, followed by its chain, and the key.
    ///
    /// # Errors
    /// The files are no such files, or do not belong together; this build has no TLS.
    #[cfg(feature = "tls")]
    pub fn of_pem(chain: &[u8], key: &[u8]) -> Result<Identity, TlsError> {
        Ok(Identity { key: Arc::new(pem::certified_key(chain, key)?) })
    }

    /// When its certificate ends, in seconds since 1970, if it can be read.
    pub fn ends(&self) -> Option<i64> {
        #[cfg(feature = "tls")]
        return super::certificate::ends(self.key.cert.first()?);
        #[cfg(not(feature = "tls"))]
        None
    }

    /// Whether its certificate is for a server of this name, in lowercase.
    pub fn is_for(&self, name: &str) -> bool {
        #[cfg(feature = "tls")]
        return super::certificate::is_for(self.key.cert.first(), name);
        #[cfg(not(feature = "tls"))]
        name.is_empty()
    }

    /// The same, in a build without TLS.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "tls"))]
    pub fn of_pem(_chain: &[u8], _key: &[u8]) -> Result<Identity, TlsError> {
        Err(TlsError::NotBuilt)
    }
}
