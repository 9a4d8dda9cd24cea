//! Whether a request may reach its virtual server over the connection that it came on.

use crate::http::refusal::Refusal;
use crate::tls::{ClientCheck, Handshake, ServerTerms};

/// Admits a request to a server with these terms, after this handshake; `None` for a connection
/// that is to be plain.
///
/// # Errors
/// Why it is not admitted.
pub fn admit(handshake: Option<&Handshake>, terms: Option<&ServerTerms>) -> Result<(), Refusal> {
    let agreed = match handshake {
        None => return Ok(()),
        Some(Handshake::Missing) => return Err(Refusal::PlainAtTls),
        Some(Handshake::Agreed(agreed)) => agreed,
    };
    let Some((terms, check)) = terms.and_then(|it| Some((it, it.verifies()?))) else {
        return Ok(());
    };
    // It was verified by the rules of the server that it named, which may be others.
    if !agreed.terms.as_ref().is_some_and(|agreed| agreed.verifies_as(terms)) {
        return Err(Refusal::Misdirected);
    }
    match check {
        ClientCheck::Required if agreed.client.is_none() => Err(Refusal::NoCertificate),
        ClientCheck::Required | ClientCheck::Optional => Ok(()),
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tls::{Agreed, ClientCertificate, Clients, ServerRules, Version};

    const CERTIFICATE: &[u8] =
        include_bytes!("../../../tests/simulation/common/pem/certificate.pem");

    /// Terms of a server that verifies its clients like this, by as many authorities.
    fn terms(check: Option<ClientCheck>, authorities: usize) -> ServerTerms {
        let clients = check.map(|check| Clients {
            check,
            authorities: CERTIFICATE.repeat(authorities),
            revoked: None,
        });
        ServerTerms::new(ServerRules {
            identities: Vec::new(),
            versions: vec![Version::Tls13],
            ciphers: Vec::new(),
            prefers_own_ciphers: false,
            sessions: 0,
            session_timeout: Duration::ZERO,
            tickets: false,
            alpn: Vec::new(),
            clients,
            rejects: true,
        })
        .expect("they are right")
    }

    #[test]
    fn what_was_agreed_upon_decides() {
        use ClientCheck::{Optional, Required};
        let one = |check| terms(Some(check), 1);
        let (plain, other) = (terms(None, 0), terms(Some(Required), 2));
        let certificate = || Some(ClientCertificate::of(CERTIFICATE));
        let agreed = |terms: &ServerTerms, client: Option<ClientCertificate>| {
            Some(Handshake::Agreed(Agreed {
                protocol: "TLSv1.3",
                cipher: "",
                server_name: None,
                reused: false,
                terms: Some(terms.clone()),
                client,
            }))
        };
        let table = [
            // A listener without `ssl`.
            (None, None, Ok(())),
            (None, Some(one(Required)), Ok(())),
            (Some(Handshake::Missing), None, Err(Refusal::PlainAtTls)),
            (Some(Handshake::Missing), Some(plain.clone()), Err(Refusal::PlainAtTls)),
            // A server that verifies nobody is open to clients of others.
            (agreed(&plain, None), Some(plain.clone()), Ok(())),
            (agreed(&other, None), Some(plain.clone()), Ok(())),
            (agreed(&plain, None), None, Ok(())),
            // Rules of an older file, or of another server, may be the same.
            (agreed(&one(Required), None), Some(one(Required)), Err(Refusal::NoCertificate)),
            (agreed(&one(Required), None), Some(one(Optional)), Ok(())),
            (agreed(&one(Optional), None), Some(one(Required)), Err(Refusal::NoCertificate)),
            (agreed(&one(Optional), certificate()), Some(one(Required)), Ok(())),
            // By others, or by none, nothing is known of the client.
            (agreed(&plain, None), Some(one(Optional)), Err(Refusal::Misdirected)),
            (agreed(&other, certificate()), Some(one(Required)), Err(Refusal::Misdirected)),
        ];
        for (index, (handshake, terms, admitted)) in table.into_iter().enumerate() {
            assert_eq!(admit(handshake.as_ref(), terms.as_ref()), admitted, "row {index}");
        }
    }
}
