//! The argument of `proxy_pass`, taken apart.

use crate::config::build::block::{at, unsupported};
use crate::config::build::error::BuildError;
use crate::config::diagnostic::Fault;
use crate::config::text::lexer::Word;
use crate::config::text::value::{self, Host, UnresolvedAddress};

/// The parts of a `proxy_pass` argument.
pub(super) struct PassTarget<'a> {
    pub(super) word: &'a Word,
    /// The whole word, or the part between `http://` and the URI.
    pub(super) authority: &'a str,
    pub(super) place: UnresolvedAddress,
    pub(super) uri: Option<&'a str>,
    pub(super) scheme: Scheme,
}

/// How servers are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `http://`, or none.
    Plain,
    /// `https://`.
    Tls,
}

impl<'a> PassTarget<'a> {
    /// `proxy_pass` of `stream {}`: a name or an address.
    pub(super) fn of_address(word: &'a Word) -> Result<PassTarget<'a>, Fault> {
        known_at_load(word)?;
        let bad = || at(word, BuildError::PassAddress(word.text.clone()));
        if word.text.contains("://") {
            return bad();
        }
        let place = value::place(&word.text).map_err(|e| Fault::new(word.at, e))?;
        if matches!(
            place,
            UnresolvedAddress::Inet(_, Some(0)) | UnresolvedAddress::Inet(Host::Any, _)
        ) {
            return bad();
        }
        Ok(PassTarget { word, authority: &word.text, place, uri: None, scheme: Scheme::Plain })
    }

    /// `proxy_pass` of `http {}`.
    pub(super) fn of_url(word: &'a Word) -> Result<PassTarget<'a>, Fault> {
        known_at_load(word)?;
        let url = word.text.as_str();
        let bad = || at(word, BuildError::ProxyUrl(url.into()));
        let (rest, scheme) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (rest, Scheme::Plain),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => {
                if !cfg!(feature = "tls") {
                    return unsupported(word, "this build has no TLS");
                }
                (rest, Scheme::Tls)
            }
            Some(_) | None => return bad(),
        };
        let (authority, uri) = match rest.strip_prefix("unix:") {
            Some(path) => match path.split_once(':') {
                Some((path, uri)) => (rest.get(..path.len() + 5).unwrap_or(rest), uri),
                None => (rest, ""),
            },
            None => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
        };
        let place = value::place(authority).map_err(|e| Fault::new(word.at, e))?;
        let no_port = matches!(
            place,
            UnresolvedAddress::Inet(_, Some(0)) | UnresolvedAddress::Inet(Host::Any, _)
        );
        if no_port || !(uri.is_empty() || uri.starts_with('/')) || uri.contains([' ', '\r', '\n']) {
            return bad();
        }
        Ok(PassTarget { word, authority, place, uri: (!uri.is_empty()).then_some(uri), scheme })
    }

    /// The port if none is written.
    pub(super) fn default_port(&self) -> u16 {
        match self.scheme {
            Scheme::Plain => 80,
            Scheme::Tls => 443,
        }
    }

    /// `$proxy_host`.
    pub(super) fn host_header(&self) -> &str {
        match self.place {
            UnresolvedAddress::Unix(_) => "localhost",
            UnresolvedAddress::Inet(_, Some(port)) if port == self.default_port() => {
                self.without_port()
            }
            UnresolvedAddress::Inet(_, Some(_) | None) => self.authority,
        }
    }

    /// The host alone, as certificates name it.
    pub(super) fn host(&self) -> &str {
        match self.place {
            UnresolvedAddress::Unix(_) => "localhost",
            UnresolvedAddress::Inet(_, Some(_)) => self.without_port().trim_matches(['[', ']']),
            UnresolvedAddress::Inet(_, None) => self.authority.trim_matches(['[', ']']),
        }
    }

    fn without_port(&self) -> &str {
        self.authority.rsplit_once(':').map_or(self.authority, |(host, _)| host)
    }

    /// `$proxy_port`.
    pub(super) fn port_text(&self) -> String {
        match self.place {
            UnresolvedAddress::Unix(_) => String::new(),
            UnresolvedAddress::Inet(_, port) => port.unwrap_or(self.default_port()).to_string(),
        }
    }
}

fn known_at_load(word: &Word) -> Result<(), Fault> {
    if word.text.contains('$') {
        return unsupported(word, "the servers must be known when the file is loaded");
    }
    Ok(())
}
