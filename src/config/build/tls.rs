//! `ssl_…`: how servers take TLS from their clients.

use std::time::Duration;

use crate::config::build::block::{Block, at, first, unsupported};
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::build::remark::Remark;
use crate::config::build::tls_error::TlsFault;
use crate::config::diagnostic::Fault;
use crate::config::model::Layer;
use crate::config::text::lexer::{Span, Word};
use crate::config::text::tree::Directive;
use crate::config::text::value;
use crate::tls::{CIPHERS, ClientCheck, Clients, Identity, ServerRules, ServerTerms, Version};

/// Versions as they are written, with those that are spoken here.
pub(super) type Versions = Vec<(Word, Option<Version>)>;

/// What a level hands down to the levels inside it.
#[derive(Clone)]
pub(super) struct TlsLevel {
    certificates: Vec<Word>,
    keys: Vec<Word>,
    /// `ssl_protocols`: older versions are refused where they would be offered.
    versions: Versions,
    ciphers: Vec<&'static str>,
    prefers_own_ciphers: bool,
    sessions: usize,
    session_timeout: Duration,
    tickets: bool,
    clients: Option<ClientCheck>,
    authorities: Option<Word>,
    trusted: Option<Word>,
    revoked: Option<Word>,
    rejects: bool,
}

impl TlsLevel {
    /// Applies the settings of a block.
    pub(super) fn apply(&mut self, builder: &mut Builder, block: Block<'_>) {
        // In a build without TLS they are hints, which may say anything.
        if !cfg!(feature = "tls") {
            return;
        }
        let words = |name| {
            let words: Vec<Word> = block.many(name).map(|it| first(it).clone()).collect();
            (!words.is_empty()).then_some(words)
        };
        if let Some(certificates) = words("ssl_certificate") {
            self.certificates = certificates;
        }
        if let Some(keys) = words("ssl_certificate_key") {
            self.keys = keys;
        }
        builder.set(&mut self.versions, block.one("ssl_protocols").map(versions).transpose());
        if let Some(word) = block.word("ssl_ciphers") {
            let known = ciphers(builder, ("ssl_ciphers", word));
            builder.set(&mut self.ciphers, known.map(Some));
        }
        let prefers = block.switch("ssl_prefer_server_ciphers");
        builder.set(&mut self.prefers_own_ciphers, prefers);
        builder.set(&mut self.sessions, block.one("ssl_session_cache").map(sessions).transpose());
        builder.set(&mut self.session_timeout, block.time("ssl_session_timeout"));
        builder.set(&mut self.tickets, block.switch("ssl_session_tickets"));
        builder.set(&mut self.clients, block.word("ssl_verify_client").map_or(Ok(None), clients));
        let word = |name| Ok(block.word(name).cloned().map(Some));
        builder.set(&mut self.authorities, word("ssl_client_certificate"));
        builder.set(&mut self.trusted, word("ssl_trusted_certificate"));
        builder.set(&mut self.revoked, word("ssl_crl"));
        builder.set(&mut self.rejects, block.switch("ssl_reject_handshake"));
        builder.keep(block.number::<u64>("ssl_verify_depth", 0, u64::MAX));
    }

    /// The terms of a server that listens with `ssl`; `names` are its own, without wildcards.
    pub(super) fn terms(
        &self,
        builder: &mut Builder,
        server: Span,
        names: &[&str],
    ) -> Option<ServerTerms> {
        if self.certificates.is_empty() && !self.rejects {
            builder.faults.note(Fault::new(server, BuildError::Tls(TlsFault::NoCertificate)));
            return None;
        }
        if self.certificates.len() != self.keys.len() {
            let place = self.certificates[0].at;
            builder.faults.note(Fault::new(place, BuildError::Tls(TlsFault::CertificatesAndKeys)));
            return None;
        }
        let mut identities = Vec::new();
        for (certificate, key) in self.certificates.iter().zip(&self.keys) {
            let identity = identity(builder, certificate, key);
            let identity = builder.keep(identity)?;
            remark_on_end(builder, certificate, &identity);
            identities.push(identity);
        }
        for name in names {
            if !identities.is_empty() && !identities.iter().any(|it| it.is_for(name)) {
                builder.remark(server, Remark::NotForName((*name).to_owned()));
            }
        }
        let place = self.certificates.first().map_or(server, |word| word.at);
        let clients = self.verified(builder, server);
        let rules = ServerRules {
            identities,
            clients: builder.keep(clients)?,
            rejects: self.rejects,
            versions: builder.keep(offered(&self.versions))?,
            ciphers: self.ciphers.clone(),
            prefers_own_ciphers: self.prefers_own_ciphers,
            sessions: self.sessions,
            session_timeout: self.session_timeout,
            tickets: self.tickets,
            alpn: match builder.layer {
                Layer::Http => vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()],
                Layer::Stream => Vec::new(),
            },
        };
        let terms = ServerTerms::new(rules)
            .map_err(|e| Fault::new(place, BuildError::Tls(TlsFault::Refused(e))));
        builder.keep(terms)
    }
}

impl TlsLevel {
    /// How clients are verified.
    fn verified(&self, builder: &Builder, server: Span) -> Result<Option<Clients>, Fault> {
        let Some(check) = self.clients else { return Ok(None) };
        let Some(authorities) = self.authorities.as_ref().or(self.trusted.as_ref()) else {
            return Err(Fault::new(server, BuildError::Tls(TlsFault::NoAuthority)));
        };
        let revoked = self.revoked.as_ref().map(|word| pem(builder, word)).transpose()?;
        Ok(Some(Clients { check, authorities: pem(builder, authorities)?, revoked }))
    }
}

/// A certificate that ends soon has to be renewed.
fn remark_on_end(builder: &mut Builder, word: &Word, identity: &Identity) {
    let Some(left) = builder.around.now.and_then(|now| Some(identity.ends()? - now)) else {
        return;
    };
    let path = word.text.clone();
    match left / DAY {
        _ if left < 0 => builder.remark(word.at, Remark::Ended(path)),
        days @ ..SOON => builder.remark(word.at, Remark::Ends(path, days)),
        _ => {}
    }
}

/// `ssl_verify_client`.
fn clients(word: &Word) -> Result<Option<Option<ClientCheck>>, Fault> {
    match word.text.as_str() {
        "on" => Ok(Some(Some(ClientCheck::Required))),
        "optional" => Ok(Some(Some(ClientCheck::Optional))),
        "off" => Ok(Some(None)),
        "optional_no_ca" => unsupported(word, "certificates are verified here"),
        other => {
            let found = other.to_owned();
            at(word, BuildError::Choice { found, allowed: "on, optional, off" })
        }
    }
}

/// The versions that are offered: the usual ones if none is written.
pub(super) fn offered(versions: &Versions) -> Result<Vec<Version>, Fault> {
    if versions.is_empty() {
        return Ok(vec![Version::Tls12, Version::Tls13]);
    }
    let of = |(word, version): &(Word, Option<Version>)| {
        let old = || BuildError::Tls(TlsFault::OldVersion(word.text.clone()));
        version.ok_or_else(|| Fault::new(word.at, old()))
    };
    versions.iter().map(of).collect()
}

/// The contents of a file of certificates or keys.
pub(super) fn pem(builder: &Builder, word: &Word) -> Result<Vec<u8>, Fault> {
    let path = builder.around.base.join(&word.text);
    builder.around.pems.read(&path).map_err(|e| {
        let path = path.display().to_string();
        Fault::new(word.at, BuildError::Tls(TlsFault::Unreadable(path, e.to_string())))
    })
}

/// The identity in two files.
pub(super) fn identity(
    builder: &Builder,
    certificate: &Word,
    key: &Word,
) -> Result<Identity, Fault> {
    let (chain, secret) = (pem(builder, certificate)?, pem(builder, key)?);
    Identity::of_pem(&chain, &secret).map_err(|e| {
        let word = if e.is_of_key() { key } else { certificate };
        Fault::new(word.at, BuildError::Tls(TlsFault::Pem(word.text.clone(), e)))
    })
}

/// `ssl_protocols`.
pub(super) fn versions(directive: &Directive) -> Result<Versions, Fault> {
    let version = |word: &Word| {
        Ok(match word.text.as_str() {
            "TLSv1.2" => Some(Version::Tls12),
            "TLSv1.3" => Some(Version::Tls13),
            "SSLv2" | "SSLv3" | "TLSv1" | "TLSv1.1" => None,
            other => {
                let found = other.to_owned();
                return at(word, BuildError::Choice { found, allowed: "TLSv1.2, TLSv1.3" });
            }
        })
    };
    directive.args.iter().map(|word| Ok((word.clone(), version(word)?))).collect()
}

/// `ssl_ciphers`: the names that are known here, in their order; all, where keywords choose.
pub(super) fn ciphers(
    builder: &mut Builder,
    (name, word): (&'static str, &Word),
) -> Result<Vec<&'static str>, Fault> {
    let names = || word.text.split([':', ',', ' ']).filter(|name| !name.is_empty());
    let known = |name: &str| CIPHERS.iter().find(|cipher| **cipher == name).copied();
    let mut chosen: Vec<&'static str> = names().filter_map(known).collect();
    let is_excluded =
        |cipher: &str| names().any(|name| name.strip_prefix(['!', '-']) == Some(cipher));
    let is_keyword = |name: &str| KEYWORDS.contains(&name.split('+').next().unwrap_or_default());
    if names().any(is_keyword) {
        chosen.extend(
            CIPHERS.iter().filter(|cipher| !chosen.contains(*cipher)).copied().collect::<Vec<_>>(),
        );
        let reason = "the ciphers of this build are all strong ones: names choose among them";
        builder.remark(word.at, Remark::Undone { name, reason });
    }
    chosen.retain(|cipher| !is_excluded(cipher));
    if chosen.is_empty() {
        at(word, BuildError::Tls(TlsFault::NoCiphers(word.text.clone())))
    } else {
        Ok(chosen)
    }
}

/// `ssl_session_cache`: how many sessions are kept.
fn sessions(directive: &Directive) -> Result<usize, Fault> {
    let mut sessions = 0;
    for word in &directive.args {
        let mut pieces = word.text.splitn(3, ':');
        sessions = match (pieces.next().unwrap_or_default(), pieces.next(), pieces.next()) {
            ("off" | "none", None, None) => 0,
            ("builtin", None, None) => BUILTIN,
            ("builtin", Some(count), None) => {
                value::number(count).map_err(|e| Fault::new(word.at, e))? as usize
            }
            ("shared", Some(_), Some(size)) => {
                value::size(size).map_err(|e| Fault::new(word.at, e))? as usize / SESSION
            }
            (_, _, _) => {
                let found = word.text.clone();
                let allowed = "off, none, builtin[:SESSIONS], shared:NAME:SIZE";
                return at(word, BuildError::Choice { found, allowed });
            }
        };
    }
    Ok(sessions.min(SESSIONS))
}

/// Whether a `listen` of the block has the parameter `ssl`, in a build that has TLS.
pub(super) fn listens(block: Block<'_>) -> bool {
    let is_ssl = |directive: &Directive| directive.args.iter().skip(1).any(|it| it.text == "ssl");
    cfg!(feature = "tls") && block.many("listen").any(is_ssl)
}

impl Default for TlsLevel {
    /// nginx's defaults.
    fn default() -> TlsLevel {
        TlsLevel {
            certificates: Vec::new(),
            keys: Vec::new(),
            versions: Vec::new(),
            ciphers: Vec::new(),
            prefers_own_ciphers: false,
            sessions: 0,
            session_timeout: Duration::from_secs(300),
            tickets: true,
            clients: None,
            authorities: None,
            trusted: None,
            revoked: None,
            rejects: false,
        }
    }
}

/// Words of `ssl_ciphers` that stand for many ciphers.
const KEYWORDS: [&str; 14] = [
    "ALL",
    "DEFAULT",
    "COMPLEMENTOFDEFAULT",
    "HIGH",
    "ECDHE",
    "EECDH",
    "kEECDH",
    "kECDHE",
    "AESGCM",
    "CHACHA20",
    "AES256",
    "AES128",
    "ECDSA",
    "aRSA",
];
/// OpenSSL's default for `builtin`.
const BUILTIN: usize = 20_480;
/// Bytes of a session in a shared cache, by nginx's documentation: a megabyte holds 4,000.
const SESSION: usize = 256;
/// The most sessions that are kept.
const SESSIONS: usize = 100_000;
/// Seconds of a day.
const DAY: i64 = 86_400;
/// Days before its end in which a certificate has to be renewed.
const SOON: i64 = 30;
