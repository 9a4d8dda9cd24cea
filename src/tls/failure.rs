//! Why a handshake with a server failed.

#[cfg(feature = "tls")]
use std::io;

#[cfg(feature = "tls")]
use rustls::{CertificateError, Error};

/// Why a handshake with a server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// Its certificate has expired, or is not valid yet.
    Expired,
    /// Nobody who is trusted has signed its certificate.
    UnknownIssuer,
    /// Its certificate is for another name.
    OtherName,
    /// Its certificate is invalid in another way.
    Certificate,
    /// It has refused: it wants a certificate, or another version or cipher.
    Refused,
    /// It speaks something else.
    NoTls,
    /// Anything else.
    Other,
}

impl TlsFailure {
    /// A description that follows the server's address.
    pub fn words(self) -> &'static str {
        match self {
            TlsFailure::Expired => "has a certificate that has expired, or is not valid yet",
            TlsFailure::UnknownIssuer => {
                "has a certificate that none of proxy_ssl_trusted_certificate has signed"
            }
            TlsFailure::OtherName => "has a certificate for another name than proxy_ssl_name",
            TlsFailure::Certificate => "has an invalid certificate",
            TlsFailure::Refused => "refused the TLS handshake",
            TlsFailure::NoTls => "does not speak TLS",
            TlsFailure::Other => "broke the TLS handshake off",
        }
    }

    /// What an error of a session says, if it is one of TLS.
    #[cfg(feature = "tls")]
    pub fn of(error: &io::Error) -> Option<TlsFailure> {
        let error = error.get_ref()?.downcast_ref::<Error>()?;
        // The library may have other errors any time.
        Some(if let Error::InvalidCertificate(why) = error {
            of_certificate(why)
        } else if let Error::AlertReceived(_) = error {
            TlsFailure::Refused
        } else if let Error::InvalidMessage(_) = error {
            TlsFailure::NoTls
        } else {
            TlsFailure::Other
        })
    }

    /// The same, in a build without TLS.
    #[cfg(not(feature = "tls"))]
    pub fn of(_error: &std::io::Error) -> Option<TlsFailure> {
        None
    }
}

#[cfg(feature = "tls")]
fn of_certificate(why: &CertificateError) -> TlsFailure {
    use CertificateError as Why;
    let is_expired = matches!(
        why,
        Why::Expired
            | Why::ExpiredContext { .. }
            | Why::NotValidYet
            | Why::NotValidYetContext { .. }
    );
    let is_of_other = matches!(why, Why::NotValidForName | Why::NotValidForNameContext { .. });
    if is_expired {
        TlsFailure::Expired
    } else if is_of_other {
        TlsFailure::OtherName
    } else if *why == Why::UnknownIssuer {
        TlsFailure::UnknownIssuer
    } else {
        TlsFailure::Certificate
    }
}
