//! What a client says at the beginning of its handshake, read on the way: `ssl_preread`.

#[cfg(feature = "tls")]
use rustls::server::Acceptor;

/// What a client asks for at the beginning of its handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preread {
    /// `$ssl_preread_server_name`.
    pub server_name: Option<Box<str>>,
    /// `$ssl_preread_alpn_protocols`: the protocols, separated by commas.
    pub protocols: Box<[u8]>,
}

impl Preread {
    /// What the first bytes of a connection say; nothing if they are no handshake. `None` if more have
    /// to come before that is known.
    #[cfg(feature = "tls")]
    pub fn of(bytes: &[u8]) -> Option<Preread> {
        if bytes.first().is_some_and(|first| *first != HANDSHAKE) {
            return Some(Preread::default());
        }
        // Nothing is known before the first record is whole.
        let [_, _, _, high, low, rest @ ..] = bytes else { return None };
        if rest.len() < usize::from(u16::from_be_bytes([*high, *low])) {
            return None;
        }
        let (mut acceptor, mut left) = (Acceptor::default(), bytes);
        while !left.is_empty() {
            if acceptor.read_tls(&mut left).is_err() {
                return Some(Preread::default());
            }
        }
        match acceptor.accept() {
            Ok(None) => None,
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                let protocols: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
                Some(Preread {
                    server_name: hello.server_name().map(Box::from),
                    protocols: protocols.join(&b","[..]).into(),
                })
            }
            // The server will say what is wrong with it.
            Err(_) => Some(Preread::default()),
        }
    }

    /// The same, in a build without TLS.
    #[cfg(not(feature = "tls"))]
    pub fn of(_bytes: &[u8]) -> Option<Preread> {
        Some(Preread::default())
    }
}

/// The first byte of a record of a handshake.
#[cfg(feature = "tls")]
pub(super) const HANDSHAKE: u8 = 22;

#[cfg(all(test, feature = "tls"))]
mod tests {
    use std::sync::Arc;

    use rustls::crypto::ring;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    /// How a client begins that asks for this name and these protocols.
    fn hello(name: &str, protocols: &[&str]) -> Vec<u8> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("ring knows them");
        let mut config =
            builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("a vector takes everything");
        bytes
    }

    #[test]
    fn a_beginning_says_what_it_asks_for_once_it_is_whole() {
        for (name, protocols, told, joined) in [
            ("a.test", &["h2", "http/1.1"][..], Some("a.test"), "h2,http/1.1"),
            ("a.test", &[], Some("a.test"), ""),
            ("127.0.0.1", &["http/1.1"], None, "http/1.1"),
        ] {
            let bytes = hello(name, protocols);
            for length in 0..bytes.len() {
                assert_eq!(Preread::of(&bytes[..length]), None, "{length} of {}", bytes.len());
            }
            let expected =
                Preread { server_name: told.map(Box::from), protocols: joined.as_bytes().into() };
            assert_eq!(Preread::of(&bytes), Some(expected.clone()));
            // What follows does not matter.
            assert_eq!(Preread::of(&[&bytes[..], b"more"].concat()), Some(expected));
        }
    }

    #[test]
    fn a_message_in_several_records_says_the_same() {
        let bytes = hello("a.test", &["h2"]);
        let whole = Preread::of(&bytes).unwrap();
        let (version, message) = (&bytes[1..3], &bytes[5..]);
        let mut split = Vec::new();
        for piece in message.chunks(50) {
            split.push(HANDSHAKE);
            split.extend_from_slice(version);
            split.extend_from_slice(&(piece.len() as u16).to_be_bytes());
            split.extend_from_slice(piece);
        }
        for length in 0..split.len() {
            assert_eq!(Preread::of(&split[..length]), None);
        }
        assert_eq!(Preread::of(&split), Some(whole));
    }

    #[test]
    fn what_is_no_handshake_says_nothing() {
        let mut broken = hello("a.test", &[]);
        broken.truncate(60);
        broken[3..5].copy_from_slice(&55u16.to_be_bytes());
        broken[6..9].copy_from_slice(&[0, 0, 51]);
        for bytes in [b"GET / HTTP/1.1\r\n\r\n", &broken[..], &[22, 3, 1, 0xff, 0xff, 0]] {
            let all = [bytes, &[0; 1 << 16]].concat();
            assert_eq!(Preread::of(&all), Some(Preread::default()), "{}", bytes.escape_ascii());
        }
    }
}
