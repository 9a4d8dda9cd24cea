//! What a certificate says.

use std::fmt::Write as _;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use super::client_certificate::ClientCertificate;

/// What a client's certificate says, for variables. Empty where it cannot be read.
pub(super) fn of_client(der: &CertificateDer<'_>) -> ClientCertificate {
    let fingerprint = digest(&SHA1_FOR_LEGACY_USE_ONLY, der);
    let mut said = ClientCertificate {
        fingerprint: hex(fingerprint.as_ref(), |byte| format!("{byte:02x}")),
        der: der.as_ref().into(),
        ..ClientCertificate::default()
    };
    if let Ok((_, read)) = X509Certificate::from_der(der) {
        said.subject = name(read.subject());
        said.issuer = name(read.issuer());
        // A zero only says that the number is not negative.
        let serial = read.raw_serial();
        let serial = serial.strip_prefix(&[0]).filter(|it| !it.is_empty()).unwrap_or(serial);
        said.serial = hex(serial, |byte| format!("{byte:02X}"));
    }
    said
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
