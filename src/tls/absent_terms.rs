//! What stands for terms of TLS in a build without it: types without values.

use super::error::TlsError;
use super::rules::{ClientCheck, ClientRules, ServerRules};

/// How a server takes TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerTerms {}

impl ServerTerms {
    /// Whether clients have to show a certificate, or may.
    pub fn verifies(&self) -> Option<ClientCheck> {
        match *self {}
    }

    /// Whether clients are verified as by these terms.
    pub fn verifies_as(&self, _other: &ServerTerms) -> bool {
        match *self {}
    }

    /// The terms that follow from the rules.
    ///
    /// # Errors
    /// Always.
    pub fn new(_rules: ServerRules) -> Result<ServerTerms, TlsError> {
        Err(TlsError::NotBuilt)
    }
}

/// How a connection to a server takes TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientTerms {}

impl ClientTerms {
    /// The terms that follow from the rules.
    ///
    /// # Errors
    /// Always.
    pub fn new(_rules: ClientRules) -> Result<ClientTerms, TlsError> {
        Err(TlsError::NotBuilt)
    }
}

/// A certificate that a client has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCertificate {}

impl ClientCertificate {
    /// The certificate itself.
    pub fn der(&self) -> &[u8] {
        match *self {}
    }

    /// `$ssl_client_s_dn`.
    pub fn subject(&self) -> String {
        match *self {}
    }

    /// `$ssl_client_i_dn`.
    pub fn issuer(&self) -> String {
        match *self {}
    }

    /// `$ssl_client_serial`.
    pub fn serial(&self) -> String {
        match *self {}
    }

    /// `$ssl_client_fingerprint`.
    pub fn fingerprint(&self) -> String {
        match *self {}
    }
}
