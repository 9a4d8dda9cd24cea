//! `server {}` blocks of `http {}` and their names.

use std::collections::HashSet;

use crate::config::build::block::{Block, NO_REGEX, at, unsupported};
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::build::remark::Remark;
use crate::config::build::settings::HttpLevel;
use crate::config::build::tables::Tables;
use crate::config::build::{location, stream, tls};
use crate::config::diagnostic::Fault;
use crate::config::model::{
    Action, H2cReach, H2cTunnel, Listen, Location, Matcher, ServerName, Serves, VirtualServer,
    VirtualServerId,
};
use crate::config::text::lexer::{Span, Word};

/// All servers; adds to `tables` what they use.
pub(super) fn servers(
    builder: &mut Builder,
    tables: &mut Tables,
    http: Block<'_>,
    level: &HttpLevel,
) -> Vec<VirtualServer> {
    let mut servers = Vec::new();
    let mut places = Vec::new();
    for directive in http.many("server") {
        let block = Block::of(directive);
        let id = VirtualServerId(servers.len());
        tables.listens.add_server(builder, block, directive.at, id);
        places.push(name_places(block, directive.at));
        servers.push(server(builder, tables, (block, directive.at), level.clone()));
    }
    for listen in tables.listens.so_far() {
        conflicting_names(builder, listen, &servers, &places);
    }
    servers
}

fn server(
    builder: &mut Builder,
    tables: &mut Tables,
    (block, at): (Block<'_>, Span),
    mut level: HttpLevel,
) -> VirtualServer {
    level.apply_head_limits(builder, block);
    level.tls.apply(builder, block);
    level.apply(builder, &mut tables.logs, block);
    let mut names = Vec::new();
    for word in block.many("server_name").flat_map(|directive| &directive.args) {
        names.extend(builder.keep(server_name(word, &builder.around.constants.hostname)));
    }
    let tls = match tls::listens(block) {
        true => {
            let whole = names.iter().filter_map(|name| match name {
                ServerName::Exact(name) if name.contains('.') => Some(&**name),
                ServerName::Exact(_) | ServerName::Suffix(_) | ServerName::Prefix(_) => None,
                ServerName::Dotted(name) => name.strip_prefix('.'),
            });
            level.tls.terms(builder, at, &whole.collect::<Vec<_>>())
        }
        false => None,
    };
    if names.is_empty() {
        names.push(ServerName::Exact("".into()));
    }
    let faults = builder.faults.count();
    let locations = location::locations(builder, tables, block, &level);
    let whole = block.is_whole()
        && block.many("location").all(|location| Block::of(location).is_whole())
        && builder.faults.count() == faults;
    let h2c = match h2c_tunnel(builder, block, &locations) {
        // A location that was refused might have been `/`.
        Err(_) if !whole => None,
        tunnel => builder.keep(tunnel).flatten(),
    };
    VirtualServer {
        names,
        h2c,
        answer: location::answer(builder, block),
        tls,
        locations,
        limits: level.limits,
        outside: level.settings,
    }
}

/// `h2c_tunnel`: connections go to the group of the location `/`.
fn h2c_tunnel(
    builder: &mut Builder,
    block: Block<'_>,
    locations: &[Location],
) -> Result<Option<H2cTunnel>, Fault> {
    let written = block.word("h2c_tunnel");
    let is_root = |location: &&Location| location.matcher == Matcher::Prefix((*b"/").into());
    let root = locations.iter().find(is_root).map(|location| &location.action);
    let tunnel = |proxy, reaches| H2cTunnel { pass: stream::tunnel_of(proxy), reaches };
    let word = match written.map(|word| (word, word.text.as_str())) {
        Some((word, "on")) => word,
        Some((_, "off")) => return Ok(None),
        None | Some((_, "auto")) => {
            let is_alone = locations.len() == 1 && block.one("return").is_none();
            return Ok(match root {
                Some(Action::Proxy(proxy)) if is_alone => Some(tunnel(proxy, H2cReach::Trinos)),
                _ => None,
            });
        }
        Some((word, other)) => {
            let found = other.to_owned();
            return at(word, BuildError::Choice { found, allowed: "auto, on, off" });
        }
    };
    match root {
        Some(Action::Proxy(proxy)) => {
            if let Some(other) = locations.iter().find(|location| !is_root(location)) {
                let (Matcher::Exact(path) | Matcher::Prefix(path)) = &other.matcher;
                let path = String::from_utf8_lossy(path).into_owned();
                builder.remark(word.at, Remark::TunnelPassesBy(path));
            }
            Ok(Some(tunnel(proxy, H2cReach::Any)))
        }
        Some(Action::Return(_) | Action::Control | Action::NotFound) | None => {
            at(word, BuildError::TunnelNowhere)
        }
    }
}

/// One word of `server_name`.
fn server_name(word: &Word, hostname: &str) -> Result<ServerName, Fault> {
    if word.text.starts_with('~') {
        return unsupported(word, NO_REGEX);
    }
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
    builder: &mut Builder,
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
                builder.remark(*at, remark);
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
