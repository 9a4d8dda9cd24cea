//! What a handshake comes to.

use std::io;

#[cfg(not(feature = "tls"))]
use super::absent_terms::{ClientCertificate, ServerTerms};
#[cfg(feature = "tls")]
use super::certificate::ClientCertificate;
#[cfg(feature = "tls")]
use super::server::ServerTerms;

/// What a handshake has come to.
#[derive(Debug)]
pub enum Shaken {
    /// More has to come, or to leave.
    Waits,
    /// It is complete.
    Done,
    /// The client speaks something else; these are its first bytes.
    Plain(Vec<u8>),
    /// It has failed, for this reason.
    Failed(io::Error),
}

/// How a client's handshake ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// It is complete.
    Agreed(Agreed),
    /// The client speaks no TLS.
    Missing,
}

/// What was agreed upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// `$ssl_protocol`, such as `TLSv1.3`.
    pub protocol: &'static str,
    /// `$ssl_cipher`, as OpenSSL names it.
    pub cipher: &'static str,
    /// `$ssl_server_name`: the name that the client asked for.
    pub server_name: Option<Box<str>>,
    /// `$ssl_session_reused`.
    pub reused: bool,
    /// The terms of the server that the client asked for by name.
    pub terms: Option<ServerTerms>,
    /// The certificate that the client has shown, which is verified.
    pub client: Option<ClientCertificate>,
}
