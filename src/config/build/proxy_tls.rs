//! `proxy_ssl_…`: how servers are reached over TLS.

use crate::config::build::block::Block;
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::build::remark::Remark;
use crate::config::build::tls::{self, Versions};
use crate::config::build::tls_error::TlsFault;
use crate::config::diagnostic::Fault;
use crate::config::text::lexer::Word;
use crate::tls::{ClientRules, ClientTerms};

/// What a level hands down to the levels inside it.
#[derive(Clone)]
pub(super) struct ProxyTls {
    verify: Option<bool>,
    trusted: Option<Word>,
    name: Option<Word>,
    sends_name: bool,
    certificate: Option<Word>,
    key: Option<Word>,
    versions: Versions,
    ciphers: Vec<&'static str>,
    reuses_sessions: bool,
}

impl ProxyTls {
    /// Applies the settings of a block.
    pub(super) fn apply(&mut self, builder: &mut Builder, block: Block<'_>) {
        let word = |name| Ok(block.word(name).cloned().map(Some));
        builder.set(&mut self.verify, block.switch("proxy_ssl_verify").map(|on| on.map(Some)));
        builder.set(&mut self.trusted, word("proxy_ssl_trusted_certificate"));
        builder.set(&mut self.name, word("proxy_ssl_name"));
        builder.set(&mut self.sends_name, block.switch("proxy_ssl_server_name"));
        builder.set(&mut self.certificate, word("proxy_ssl_certificate"));
        builder.set(&mut self.key, word("proxy_ssl_certificate_key"));
        let versions = block.one("proxy_ssl_protocols").map(tls::versions).transpose();
        builder.set(&mut self.versions, versions);
        if let Some(word) = block.word("proxy_ssl_ciphers") {
            let known = tls::ciphers(builder, ("proxy_ssl_ciphers", word));
            builder.set(&mut self.ciphers, known.map(Some));
        }
        builder.set(&mut self.reuses_sessions, block.switch("proxy_ssl_session_reuse"));
        builder.keep(block.number::<u64>("proxy_ssl_verify_depth", 0, u64::MAX));
    }

    /// Whether another level asks for the same.
    pub(super) fn is_as(&self, other: &ProxyTls) -> bool {
        let texts = |it: &ProxyTls| {
            let words = [&it.trusted, &it.name, &it.certificate, &it.key];
            words.map(|word| word.as_ref().map(|word| word.text.clone()))
        };
        let versions = |it: &ProxyTls| it.versions.iter().map(|(_, it)| *it).collect::<Vec<_>>();
        texts(self) == texts(other)
            && versions(self) == versions(other)
            && self.ciphers == other.ciphers
            && [self.verifies(), self.sends_name, self.reuses_sessions]
                == [other.verifies(), other.sends_name, other.reuses_sessions]
    }

    /// Ours: on where it is known who is trusted.
    fn verifies(&self) -> bool {
        self.verify.unwrap_or(self.trusted.is_some())
    }

    /// The terms for the servers that a directive, at `word`, names with this host.
    pub(super) fn terms(
        &self,
        builder: &mut Builder,
        (word, host): (&Word, &str),
    ) -> Result<ClientTerms, Fault> {
        let trusted = match (self.verifies(), &self.trusted) {
            (true, Some(trusted)) => Some(tls::pem(builder, trusted)?),
            (true, None) => {
                return Err(Fault::new(word.at, BuildError::Tls(TlsFault::NobodyTrusted)));
            }
            (false, _) => {
                if self.verify.is_none() {
                    builder.remark(word.at, Remark::Unverified);
                }
                None
            }
        };
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some(tls::identity(builder, certificate, key)?),
            (Some(word), None) | (None, Some(word)) => {
                let fault = BuildError::Tls(TlsFault::CertificatesAndKeys);
                return Err(Fault::new(word.at, fault));
            }
            (None, None) => None,
        };
        let rules = ClientRules {
            trusted,
            name: self.name.as_ref().map_or(host, |word| &word.text).to_owned(),
            sends_name: self.sends_name,
            identity,
            versions: tls::offered(&self.versions)?,
            ciphers: self.ciphers.clone(),
            reuses_sessions: self.reuses_sessions,
        };
        let place = self.name.as_ref().or(self.trusted.as_ref()).unwrap_or(word).at;
        ClientTerms::new(rules)
            .map_err(|e| Fault::new(place, BuildError::Tls(TlsFault::Refused(e))))
    }
}

impl Default for ProxyTls {
    /// nginx's defaults, and ours where they differ on purpose.
    fn default() -> ProxyTls {
        ProxyTls {
            verify: None,
            trusted: None,
            name: None,
            sends_name: false,
            certificate: None,
            key: None,
            versions: Vec::new(),
            ciphers: Vec::new(),
            reuses_sessions: true,
        }
    }
}
