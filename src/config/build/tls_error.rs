//! Errors in directives about TLS.

use std::fmt;

use crate::tls::TlsError;

/// Why TLS cannot be set up as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// A file of certificates or keys that cannot be read, for this reason.
    Unreadable(String, String),
    /// A file of certificates or keys that does not fit.
    Pem(String, TlsError),
    /// Rules that the library refuses.
    Refused(TlsError),
    /// A server that listens with `ssl`, and has no certificate.
    NoCertificate,
    /// Clients that are to be verified, by nobody who is trusted.
    NoAuthority,
    /// More certificates than keys, or fewer.
    CertificatesAndKeys,
    /// A version that is too old.
    OldVersion(String),
    /// Servers that are to be verified, by nobody who is trusted.
    NobodyTrusted,
    /// Servers that are reached with TLS and without it, or in different ways.
    SeveralWays(String),
    /// `proxy_protocol` towards servers that are reached over TLS.
    HeaderBeforeTls,
    /// No cipher that is known here.
    NoCiphers(String),
}

impl TlsFault {
    /// What to do about it.
    pub(super) fn help(&self) -> Option<&'static str> {
        Some(match self {
            TlsFault::Unreadable(..) => {
                "it is read when the file is loaded, and again at each reload"
            }
            TlsFault::NoCertificate => "add \"ssl_certificate\" and \"ssl_certificate_key\"",
            TlsFault::NoAuthority => "add \"ssl_client_certificate FILE\"",
            TlsFault::CertificatesAndKeys => "give each certificate its key, in the same order",
            TlsFault::OldVersion(_) => "write TLSv1.2 and TLSv1.3: older versions are not safe",
            TlsFault::NoCiphers(_) => {
                "leave it out, or name some of ECDHE-(ECDSA|RSA)-(AES256-GCM-SHA384|\
                 AES128-GCM-SHA256|CHACHA20-POLY1305)"
            }
            TlsFault::NobodyTrusted => {
                "add \"proxy_ssl_trusted_certificate FILE\", or write \"proxy_ssl_verify off\""
            }
            TlsFault::SeveralWays(_) => {
                "write alike \"proxy_ssl_…\" wherever it is named, or give it another \"upstream\""
            }
            TlsFault::HeaderBeforeTls => "leave one of them out",
            TlsFault::Pem(..) | TlsFault::Refused(_) => return None,
        })
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsFault::Unreadable(path, why) => write!(f, "cannot read \"{path}\": {why}"),
            TlsFault::Pem(path, why) => write!(f, "\"{path}\": {why}"),
            TlsFault::Refused(why) => write!(f, "{why}"),
            TlsFault::NoCertificate => {
                f.write_str("this server listens with \"ssl\" and has no certificate")
            }
            TlsFault::NoAuthority => {
                f.write_str("this server verifies its clients, but nobody is trusted")
            }
            TlsFault::CertificatesAndKeys => {
                f.write_str("there are not as many certificates as keys")
            }
            TlsFault::OldVersion(name) => write!(f, "\"{name}\" is not supported by switchover"),
            TlsFault::NobodyTrusted => {
                f.write_str("its servers are to be verified, but nobody is trusted")
            }
            TlsFault::SeveralWays(name) => {
                write!(f, "\"{name}\" is reached in another way elsewhere: with TLS or without")
            }
            TlsFault::HeaderBeforeTls => f.write_str(
                "\"proxy_protocol\" is not supported by switchover together with \"proxy_ssl\"",
            ),
            TlsFault::NoCiphers(text) => write!(f, "\"{text}\" names no cipher known here"),
        }
    }
}
