//! What variables say about a client's TLS.

use crate::config::model::template::TlsVariable;
use crate::tls::Handshake;

/// Appends a value; `None` if the client has none.
pub fn of_tls(of: TlsVariable, tls: Option<&Handshake>, out: &mut Vec<u8>) -> Option<()> {
    let Handshake::Agreed(agreed) = tls? else { return None };
    let client = agreed.client.as_ref();
    let mut put = |value: &str| out.extend_from_slice(value.as_bytes());
    match of {
        TlsVariable::Https => put("on"),
        TlsVariable::Protocol => put(agreed.protocol),
        TlsVariable::Cipher => put(agreed.cipher),
        TlsVariable::ServerName => put(agreed.server_name.as_deref()?),
        TlsVariable::SessionReused => put(if agreed.reused { "r" } else { "." }),
        TlsVariable::ClientVerify => put(if client.is_some() { "SUCCESS" } else { "NONE" }),
        TlsVariable::ClientSubject => put(&client?.subject()),
        TlsVariable::ClientIssuer => put(&client?.issuer()),
        TlsVariable::ClientSerial => put(&client?.serial()),
        TlsVariable::ClientFingerprint => put(&client?.fingerprint()),
        TlsVariable::ClientEscapedCertificate => escaped_pem(client?.der(), out),
    }
    Some(())
}

/// Appends a certificate as PEM, with all but letters and digits percent-encoded.
fn escaped_pem(der: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"-----BEGIN%20CERTIFICATE-----%0A");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
            let bits = bits << (8 * (3 - group.len()));
            for place in 0..4 {
                let digit = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
                match digit {
                    _ if place > group.len() => out.extend_from_slice(b"%3D"),
                    b'+' => out.extend_from_slice(b"%2B"),
                    b'/' => out.extend_from_slice(b"%2F"),
                    digit => out.push(digit),
                }
            }
        }
        out.extend_from_slice(b"%0A");
    }
    out.extend_from_slice(b"-----END%20CERTIFICATE-----%0A");
}

/// Digits of base64: RFC 4648, section 4.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_escaped_whole() {
        let escaped = |der: &[u8]| {
            let mut out = Vec::new();
            escaped_pem(der, &mut out);
            let text = String::from_utf8(out).unwrap();
            let text = text.strip_prefix("-----BEGIN%20CERTIFICATE-----%0A").unwrap();
            text.strip_suffix("-----END%20CERTIFICATE-----%0A").unwrap().to_owned()
        };
        assert_eq!(escaped(b"a"), "YQ%3D%3D%0A");
        assert_eq!(escaped(b"ab"), "YWI%3D%0A");
        assert_eq!(escaped(b"abc"), "YWJj%0A");
        assert_eq!(escaped(&[0xfb, 0xff, 0xff]), "%2B%2F%2F%2F%0A");
        assert_eq!(escaped(&[0; 49]), format!("{}%0AAA%3D%3D%0A", "A".repeat(64)));
    }
}
