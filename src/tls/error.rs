//! Why TLS cannot be set up as it is written.

use std::fmt;

/// Why TLS cannot be set up as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// A file of certificates has none.
    NoCertificate,
    /// A file of revoked certificates has no list.
    NoRevocations,
    /// A file of a key has none.
    NoKey,
    /// A file is no valid PEM, for this reason.
    Pem(String),
    /// A key of a kind that is not supported, or a broken one.
    Key(String),
    /// The key does not belong to the certificate.
    Mismatch,
    /// A certificate is broken.
    Certificate(String),
    /// What cannot be the name of a server.
    Name(String),
    /// This build has no TLS.
    NotBuilt,
    /// Anything else that the library refuses.
    Other(String),
}

impl TlsError {
    /// Whether the key's file is to blame.
    pub fn is_of_key(&self) -> bool {
        match self {
            TlsError::NoKey | TlsError::Key(_) | TlsError::Mismatch => true,
            TlsError::NoCertificate
            | TlsError::NoRevocations
            | TlsError::Pem(_)
            | TlsError::Certificate(_)
            | TlsError::Name(_)
            | TlsError::NotBuilt
            | TlsError::Other(_) => false,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::NoCertificate => {
                write!(
                    f,
                    "it has no certificate: a line \"-----BEGIN CERTIFICATE-----\" begins one"
                )
            }
            TlsError::NoRevocations => {
                write!(f, "it has no list: a line \"-----BEGIN X509 CRL-----\" begins one")
            }
            TlsError::NoKey => write!(
                f,
                "it has no private key: a line \"-----BEGIN PRIVATE KEY-----\" begins one; decrypt \
                 it first if it is encrypted"
            ),
            TlsError::Pem(why) => write!(f, "it is no PEM file: {why}"),
            TlsError::Key(why) => {
                write!(f, "its key cannot be used ({why}): RSA, ECDSA and Ed25519 can")
            }
            TlsError::Mismatch => write!(f, "the key does not belong to the certificate"),
            TlsError::Certificate(why) => write!(f, "its certificate cannot be used: {why}"),
            TlsError::Name(name) => write!(f, "\"{name}\" cannot be in a certificate"),
            TlsError::NotBuilt => write!(f, "this build has no TLS"),
            TlsError::Other(why) => write!(f, "{why}"),
        }
    }
}
