//! `server {}` blocks of `http {}` and their names.

use std::collections::HashSet;

use super::Builder;
use super::block::{Block, at, unsupported};
use super::error::{BuildError, Remark};
use super::http::HttpLevel;
use super::listen::Listens;
use super::proxy::NO_REGEX;
use crate::config::diagnostic::Fault;
use crate::config::lexer::{Span, Word};
use crate::config::model::{
    Action, Listen, Location, Matcher, ServerName, Serves, StreamPass, VirtualServer,
    VirtualServerId,
};

impl Builder {
    /// All servers; adds the sockets they listen on to `listens`.
    pub(super) fn servers(
        &mut self,
        http: Block<'_>,
        level: &HttpLevel,
        listens: &mut Listens,
    ) -> Vec<VirtualServer> {
        let mut servers = Vec::new();
        let mut places = Vec::new();
        for directive in http.many("server") {
            let block = Block::of(directive);
            let id = VirtualServerId(servers.len());
            self.listens(block, directive.at, id, listens);
            places.push(name_places(block, directive.at));
            servers.push(self.server(block, level.clone()));
        }
        for listen in listens.so_far() {
            self.conflicting_names(listen, &servers, &places);
        }
        servers
    }

    fn server(&mut self, block: Block<'_>, mut level: HttpLevel) -> VirtualServer {
        self.head_limits(block, &mut level.limits);
        self.settings(block, &mut level);
        let mut names = Vec::new();
        for word in block.many("server_name").flat_map(|directive| &directive.args) {
            names.extend(self.keep(self.server_name(word)));
        }
        if names.is_empty() {
            names.push(ServerName::Exact("".into()));
        }
        let faults = self.faults.count();
        let locations = self.locations(block, &level);
        let whole = block.is_whole()
            && block.many("location").all(|location| Block::of(location).is_whole())
            && self.faults.count() == faults;
        VirtualServer {
            names,
            h2c: self.h2c_tunnel(block, &locations, whole),
            answer: self.answer(block),
            locations,
            limits: level.limits,
            outside: level.settings,
        }
    }

    /// `h2c_tunnel`: connections go to the group of the location `/`. A location that was refused
    /// might have been that one.
    fn h2c_tunnel(
        &mut self,
        block: Block<'_>,
        locations: &[Location],
        whole: bool,
    ) -> Option<StreamPass> {
        let word = block.word("h2c_tunnel")?;
        if self.keep(block.switch("h2c_tunnel")) != Some(Some(true)) {
            return None;
        }
        let is_root = |location: &&Location| location.matcher == Matcher::Prefix((*b"/").into());
        match locations.iter().find(is_root).map(|location| &location.action) {
            Some(Action::Proxy(proxy)) => {
                if let Some(other) = locations.iter().find(|location| !is_root(location)) {
                    let (Matcher::Exact(path) | Matcher::Prefix(path)) = &other.matcher;
                    let path = String::from_utf8_lossy(path).into_owned();
                    self.remark(word.at, Remark::TunnelPassesBy(path));
                }
                Some(super::stream::tunnel_of(proxy))
            }
            Some(Action::Return(_) | Action::NotFound) | None => {
                if whole {
                    self.faults.note(Fault::new(word.at, BuildError::TunnelNowhere));
                }
                None
            }
        }
    }

    fn server_name(&self, word: &Word) -> Result<ServerName, Fault> {
        if word.text.starts_with('~') {
            return unsupported(word, NO_REGEX);
        }
        let hostname = &self.around.constants.hostname;
        let name = if word.text == "$hostname" { hostname } else { &word.text };
        let name = name.to_lowercase();
        let invalid = |rest: &str| rest.contains(['*', '$', ' ', '/', ':']) || rest.contains("..");
        let bad = || at(word, BuildError::ServerName(word.text.clone()));
        if let Some(rest) = name.strip_prefix('*') {
            let fits = rest.starts_with('.') && rest.len() > 1 && !invalid(rest);
            return if fits { Ok(ServerName::Suffix(rest.into())) } else { bad() };
        }
        if let Some(rest) = name.strip_suffix('*') {
            let fits = rest.ends_with('.') && rest.len() > 1 && !invalid(rest);
            return if fits { Ok(ServerName::Prefix(rest.into())) } else { bad() };
        }
        if invalid(&name) || name == "." {
            return bad();
        }
        let dotted = name.starts_with('.');
        Ok(if dotted { ServerName::Dotted(name.into()) } else { ServerName::Exact(name.into()) })
    }

    /// Remarks on names that two servers of one address share: the first server keeps the name.
    fn conflicting_names(
        &mut self,
        listen: &Listen,
        servers: &[VirtualServer],
        places: &[Vec<Span>],
    ) {
        let mut seen = HashSet::new();
        let Serves::Http { servers: sharing, .. } = &listen.serves else { return };
        for id in sharing {
            let (Some(server), Some(places)) = (servers.get(id.0), places.get(id.0)) else {
                continue;
            };
            for (name, at) in server.names.iter().zip(places) {
                if !seen.insert(name.written()) {
                    let remark = Remark::ConflictingName(name.written(), listen.address.clone());
                    self.remark(*at, remark);
                }
            }
        }
    }
}

/// Where a server's names stand, or the server itself if it has none.
fn name_places(block: Block<'_>, server: Span) -> Vec<Span> {
    let words = block.many("server_name").flat_map(|directive| &directive.args);
    let places: Vec<Span> = words.map(|word| word.at).collect();
    if places.is_empty() { vec![server] } else { places }
}
