//! What a certificate says.

use std::fmt::Write as _;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// A certificate that a client has shown. What cannot be read of it is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate(CertificateDer<'static>);

impl ClientCertificate {
    /// The certificate with this encoding.
    pub fn of(der: &[u8]) -> ClientCertificate {
        ClientCertificate(der.to_vec().into())
    }

    /// The certificate itself.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// `$ssl_client_s_dn`.
    pub fn subject(&self) -> String {
        self.read(|read| name(read.subject()))
    }

    /// `$ssl_client_i_dn`.
    pub fn issuer(&self) -> String {
        self.read(|read| name(read.issuer()))
    }

    /// `$ssl_client_serial`.
    pub fn serial(&self) -> String {
        self.read(|read| {
            // A zero only says that the number is not negative.
            let serial = read.raw_serial();
            let serial = serial.strip_prefix(&[0]).filter(|it| !it.is_empty()).unwrap_or(serial);
            hex(serial, |byte| format!("{byte:02X}"))
        })
    }

    /// `$ssl_client_fingerprint`: SHA-1, in hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        hex(digest.as_ref(), |byte| format!("{byte:02x}"))
    }

    fn read(&self, of: impl FnOnce(&X509Certificate<'_>) -> String) -> String {
        X509Certificate::from_der(&self.0).map_or_else(|_| String::new(), |(_, read)| of(&read))
    }
}

/// Whether a certificate is valid at a time, in seconds since 1970.
pub(super) fn validity(der: &CertificateDer<'_>, now: i64) -> Result<(), CertificateError> {
    let Ok((_, read)) = X509Certificate::from_der(der) else {
        return Err(CertificateError::BadEncoding);
    };
    let validity = read.validity();
    if now < validity.not_before.timestamp() {
        Err(CertificateError::NotValidYet)
    } else if now > validity.not_after.timestamp() {
        Err(CertificateError::Expired)
    } else {
        Ok(())
    }
}

/// When a certificate ends, in seconds since 1970, if it can be read.
pub(super) fn ends(der: &CertificateDer<'_>) -> Option<i64> {
    let (_, read) = X509Certificate::from_der(der).ok()?;
    Some(read.validity().not_after.timestamp())
}

/// Whether a certificate is for a server of this name, in lowercase. One that cannot be read is for
/// any.
pub(super) fn is_for(der: Option<&CertificateDer<'_>>, name: &str) -> bool {
    let Some(Ok((_, read))) = der.map(|der| X509Certificate::from_der(der)) else { return true };
    let Ok(Some(names)) = read.subject_alternative_name() else { return false };
    names.value.general_names.iter().any(|known| {
        let GeneralName::DNSName(known) = known else { return false };
        let known = known.to_lowercase();
        // RFC 6125, section 6.4.3: a wildcard stands for one label.
        let below = name.split_once('.').map(|(_, below)| below);
        known == name || known.strip_prefix("*.").is_some_and(|known| below == Some(known))
    })
}

fn hex(bytes: &[u8], digits: fn(&u8) -> String) -> String {
    bytes.iter().map(digits).collect()
}

/// A name as RFC 2253 writes it: the last part first.
fn name(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let mut written = String::new();
    for part in parts.into_iter().rev() {
        for (index, attribute) in part.iter().enumerate() {
            match (written.is_empty(), index) {
                (true, _) => {}
                (false, 0) => written.push(','),
                (false, _) => written.push('+'),
            }
            let kind = attribute.attr_type();
            match oid2abbrev(kind, oid_registry()) {
                // OpenSSL's spelling.
                Ok("Email") => written.push_str("emailAddress"),
                Ok(short) => written.push_str(short),
                Err(_) => _ = write!(written, "{kind}"),
            }
            written.push('=');
            escape(attribute.as_str().unwrap_or_default(), &mut written);
        }
    }
    written
}

/// RFC 2253, section 2.4.
fn escape(value: &str, out: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (index, c) in value.chars().enumerate() {
        let at_edge = index == 0 && matches!(c, '#' | ' ') || index == last && c == ' ';
        if at_edge || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
        }
        out.push(c);
    }
}
