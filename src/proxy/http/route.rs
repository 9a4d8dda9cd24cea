//! Finds the virtual server and the location of a request.

use crate::config::model::{
    Action, Config, HeadLimits, Listen, Location, LocationSettings, Matcher, ServerName, Serves,
    VirtualServer, VirtualServerId,
};
use crate::http::target::{escape, normalise};
use crate::proxy::http::request::Request;
use crate::tls::ServerTerms;

/// The place in the configuration that serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The virtual server.
    pub server: VirtualServerId,
    /// The location's index in it; `None` if no location matches.
    pub location: Option<usize>,
}

/// Where a request leads within its virtual server.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// To the location with this index, if any matches.
    Location(Option<usize>),
    /// To another URL: that of a location whose name is the path with a slash.
    Redirect(Vec<u8>),
    /// Nowhere: the path leads above the root, or contains a NUL.
    OutOfTree,
}

/// Finds where a request leads, using `normal` as storage for its path.
pub fn route(server: &VirtualServer, request: &Request, normal: &mut Vec<u8>) -> Route {
    let (path, query) = request.path_and_query();
    // `*` means the server as a whole.
    let path = if matches!(path, b"" | b"*") { b"/" } else { path };
    let path = if is_normal(path) {
        path
    } else {
        normal.clear();
        if normalise(path, server.limits.merge_slashes, normal).is_err() {
            return Route::OutOfTree;
        }
        normal
    };
    if !lacks_slash(&server.locations, path) {
        return Route::Location(location(&server.locations, path));
    }
    let mut url = Vec::new();
    escape(path, &mut url);
    url.push(b'/');
    if let Some(query) = query {
        url.push(b'?');
        url.extend_from_slice(query);
    }
    Route::Redirect(url)
}

/// Whether normalising changes nothing: the common case, decided without a copy.
fn is_normal(path: &[u8]) -> bool {
    let odd = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    !path.contains(&b'%') && !path.windows(2).any(odd)
}

/// Settings of a site's location, or of its virtual server if there is no location.
pub fn settings(config: &Config, site: Site) -> &LocationSettings {
    match location_of(config, site) {
        Some(location) => &location.settings,
        None => &config.virtual_servers[site.server.0].outside,
    }
}

/// The location of a site, if there is one.
pub fn location_of(config: &Config, site: Site) -> Option<&Location> {
    site.location.map(|index| &config.virtual_servers[site.server.0].locations[index])
}

/// The limits for heads before the virtual server is known: those of the default server.
pub fn head_limits<'a>(config: &'a Config, listen: &Listen) -> Option<&'a HeadLimits> {
    default_server(listen).map(|server| &config.virtual_servers[server.0].limits)
}

/// The virtual server for the request's host: an exact name, else the longest leading wildcard,
/// else the longest trailing one, else the default. `None` if the listener does not serve HTTP.
pub fn virtual_server(
    config: &Config,
    listen: &Listen,
    request: &Request,
) -> Option<VirtualServerId> {
    named_server(config, listen, request.host().unwrap_or_default())
}

/// How TLS is taken from a client that asks for this host; its listener takes TLS.
pub fn tls_terms(config: &Config, listen: &Listen, host: &[u8]) -> Option<ServerTerms> {
    let terms = |server: VirtualServerId| config.virtual_servers[server.0].tls.clone();
    // One that does not listen with `ssl` itself has no certificate.
    terms(named_server(config, listen, host)?).or_else(|| terms(default_server(listen)?))
}

fn named_server(config: &Config, listen: &Listen, host: &[u8]) -> Option<VirtualServerId> {
    let Serves::Http { servers, default } = &listen.serves else { return None };
    if servers.len() == 1 {
        return Some(*default);
    }
    let mut best = (Fit::No, *default);
    for &id in servers {
        for name in &config.virtual_servers[id.0].names {
            let fit = fit(name, host);
            if fit > best.0 {
                best = (fit, id);
            }
        }
    }
    Some(best.1)
}

/// The listener's virtual server for requests whose host is unknown.
pub fn default_server(listen: &Listen) -> Option<VirtualServerId> {
    match listen.serves {
        Serves::Http { default, .. } => Some(default),
        Serves::Stream(_) => None,
    }
}

/// How well a name matches, worst first. Among wildcards, longer is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    Trailing(usize),
    Leading(usize),
    Exact,
}

fn fit(name: &ServerName, host: &[u8]) -> Fit {
    let ends_with = |suffix: &[u8]| {
        host.len() > suffix.len() && host[host.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
    };
    match name {
        ServerName::Exact(name) if host.eq_ignore_ascii_case(name.as_bytes()) => Fit::Exact,
        ServerName::Dotted(name) if host.eq_ignore_ascii_case(&name.as_bytes()[1..]) => Fit::Exact,
        ServerName::Suffix(suffix) | ServerName::Dotted(suffix) if ends_with(suffix.as_bytes()) => {
            Fit::Leading(suffix.len())
        }
        ServerName::Prefix(prefix)
            if host.len() > prefix.len()
                && host[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes()) =>
        {
            Fit::Trailing(prefix.len())
        }
        ServerName::Exact(_)
        | ServerName::Dotted(_)
        | ServerName::Suffix(_)
        | ServerName::Prefix(_) => Fit::No,
    }
}

/// The location of a normalised path: an exact match, else the longest prefix.
pub fn location(locations: &[Location], path: &[u8]) -> Option<usize> {
    let length = |index: usize| match &locations[index].matcher {
        Matcher::Exact(exact) if **exact == *path => Some(usize::MAX),
        Matcher::Prefix(prefix) if path.starts_with(prefix) => Some(prefix.len()),
        Matcher::Exact(_) | Matcher::Prefix(_) => None,
    };
    let fitting = (0..locations.len()).filter_map(|index| Some((length(index)?, index)));
    fitting.max().map(|(_, index)| index)
}

/// Whether `path` plus a slash is the name of a proxied location, and `path` names no location
/// itself. The client is then redirected to the name.
pub fn lacks_slash(locations: &[Location], path: &[u8]) -> bool {
    let is_proxied = |location: &Location| match (&location.matcher, &location.action) {
        (Matcher::Prefix(prefix), Action::Proxy(_)) => prefix.strip_suffix(b"/") == Some(path),
        (Matcher::Exact(_) | Matcher::Prefix(_), _) => false,
    };
    !path.is_empty()
        && locations.iter().any(is_proxied)
        && !locations.iter().any(|location| prefix(location) == path)
}

/// The path in the location's directive.
pub fn prefix(location: &Location) -> &[u8] {
    match &location.matcher {
        Matcher::Exact(path) | Matcher::Prefix(path) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_exactly_then_by_suffix_then_by_prefix() {
        let exact = ServerName::Exact("a.b".into());
        let suffix = ServerName::Suffix(".b".into());
        let dotted = ServerName::Dotted(".b".into());
        let prefix = ServerName::Prefix("a.".into());
        assert!(fit(&exact, b"A.B") == Fit::Exact && fit(&exact, b"a.b.") == Fit::No);
        assert!(fit(&suffix, b"x.B") == Fit::Leading(2) && fit(&suffix, b".b") == Fit::No);
        assert!(fit(&suffix, b"b") == Fit::No);
        assert!(fit(&dotted, b"b") == Fit::Exact && fit(&dotted, b"x.b") == Fit::Leading(2));
        assert!(fit(&prefix, b"a.x") == Fit::Trailing(2) && fit(&prefix, b"a.") == Fit::No);
        assert!(Fit::Exact > Fit::Leading(9) && Fit::Leading(1) > Fit::Trailing(9));
    }
}
