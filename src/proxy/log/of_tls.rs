//! What variables say about a client's TLS.

use crate::config::model::template::TlsVariable;
use crate::tls::{Agreed, ClientCertificate, Handshake};

/// Appends a value; `None` if the client has none.
pub fn of_tls(of: TlsVariable, tls: Option<&Handshake>, out: &mut Vec<u8>) -> Option<()> {
    let Handshake::Agreed(agreed) = tls? else { return None };
    let value = match of {
        TlsVariable::Https => b"on",
        TlsVariable::Protocol => agreed.protocol.as_bytes(),
        TlsVariable::Cipher => agreed.cipher.as_bytes(),
        TlsVariable::ServerName => agreed.server_name.as_deref()?.as_bytes(),
        TlsVariable::SessionReused if agreed.reused => b"r",
        TlsVariable::SessionReused => b".",
        TlsVariable::ClientVerify if agreed.client.is_some() => b"SUCCESS",
        TlsVariable::ClientVerify => b"NONE",
        TlsVariable::ClientSubject => client(agreed)?.subject.as_bytes(),
        TlsVariable::ClientIssuer => client(agreed)?.issuer.as_bytes(),
        TlsVariable::ClientSerial => client(agreed)?.serial.as_bytes(),
        TlsVariable::ClientFingerprint => client(agreed)?.fingerprint.as_bytes(),
        TlsVariable::ClientEscapedCertificate => {
            escaped_pem(&client(agreed)?.der, out);
            b""
        }
    };
    out.extend_from_slice(value);
    Some(())
}

fn client(agreed: &Agreed) -> Option<&ClientCertificate> {
    agreed.client.as_deref()
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
