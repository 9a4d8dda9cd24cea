//! What a client's certificate says.

/// What a client's certificate says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// `$ssl_client_s_dn`.
    pub subject: String,
    /// `$ssl_client_i_dn`.
    pub issuer: String,
    /// `$ssl_client_serial`.
    pub serial: String,
    /// `$ssl_client_fingerprint`: SHA-1, in hexadecimal digits.
    pub fingerprint: String,
    /// The certificate itself.
    pub der: Box<[u8]>,
}
