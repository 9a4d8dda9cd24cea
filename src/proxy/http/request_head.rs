//! The request's head as it is sent to the server of the current attempt.

use super::awaited::Wanted;
use super::errand::Errand;
use super::link::Afterwards;
use super::route::{location_of, prefix};
use super::variables::RequestScope;
use crate::config::model::{ProxyPass, ProxyVersion};
use crate::http::connection::{NamedFields, Options};
use crate::http::fields::{Fields, Known};
use crate::http::framing::Framing;
use crate::http::head::Version;
use crate::http::rewrite::{Persistence, RequestOut, SetFields};
use crate::http::target::{Target, escape, escape_argument, normalise};
use crate::proxy::context::Scratch;
use crate::trino::forwarded::is_forwarded;
use crate::upstream::group::Forwarded;

/// What follows from a written head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// What the server is asked for.
    pub wanted: Wanted,
    /// What happens to the connection after a complete response.
    pub afterwards: Afterwards,
    /// Whether the proxy sends a 100 itself: the client waits for one, and the server is not asked.
    pub continues: bool,
    /// Whether it has an `X-Forwarded-…` field.
    pub forwarded: Forwarded,
}

/// What a head depends on besides the request and the location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Towards<'a> {
    /// What the request asks of a coordinator.
    pub errand: Errand,
    /// Whether the server may get `X-Forwarded-…` fields.
    pub forwarded: Forwarded,
    /// The target in place of the request's own.
    pub target: Option<&'a [u8]>,
    /// How the answer may be coded.
    pub coding: AnswerCoding,
}

/// How an answer may be coded, some of which have to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerCoding {
    /// As the client asks.
    AsAsked,
    /// Not at all.
    Identity,
    /// By gzip if the client takes that, else not at all.
    Gzip,
}

/// Writes the head into [`Scratch::head`], which must be empty.
pub fn write(
    proxy: &ProxyPass,
    scope: &RequestScope<'_>,
    towards: Towards<'_>,
    scratch: &mut Scratch,
) -> Written {
    let Scratch { head: out, set, text: target, .. } = scratch;
    let (request, page) = (scope.request, scope.page);
    set.clear();
    for field in &proxy.set_headers {
        set.add(&field.name, |out| scope.write(&field.value, out));
    }
    let forwarded = match towards.errand {
        Errand::Plain => Forwarded::Sent,
        Errand::Statement
        | Errand::Query { .. }
        | Errand::Announcement
        | Errand::Withdrawal
        | Errand::Other => for_trino(set, scope, towards),
    };
    target.clear();
    write_target(proxy, scope, towards.target, target);
    let wish = Wish::of(set);
    // The request for an error page has no body, and that of a statement is there already, so the
    // client does not wait to send it.
    let is_awaited = page.is_none() && towards.errand != Errand::Statement;
    let waits = request.expects_continue && is_awaited;
    let expect = waits
        && proxy.version == ProxyVersion::Http11
        && set.value(Known::Expect).is_none()
        && !(request.options.names_fields && NamedFields::of(request.fields()).has(b"expect"));
    let upgrade = request.upgrade.filter(|_| wish.upgrade && page.is_none());
    let keeps = scope.config.groups[proxy.group.0].keepalive > 0;
    let reusable = keeps && !wish.close && proxy.version == ProxyVersion::Http11;
    RequestOut {
        method: method(scope),
        target,
        version: match proxy.version {
            ProxyVersion::Http10 => Version::Http10,
            ProxyVersion::Http11 => Version::Http11,
        },
        fields: request.fields(),
        options: request.options,
        set,
        host: proxy.host.as_bytes(),
        framing: if page.is_some() { Framing::None } else { request.framing },
        expect,
        upgrade: upgrade.map(|place| request.at(place)),
        underscores: scope.limits().underscores,
        persistence: match (reusable, proxy.version) {
            (false, ProxyVersion::Http11) => Persistence::Close,
            (true, _) | (false, ProxyVersion::Http10) => Persistence::Implied,
        },
    }
    .write(out);
    Written {
        wanted: if upgrade.is_some() { Wanted::Upgrade } else { Wanted::Response },
        afterwards: if reusable { Afterwards::Pool } else { Afterwards::Close },
        continues: waits && !expect,
        forwarded,
    }
}

/// Changes the fields to set as a coordinator needs it. Returns whether it gets `X-Forwarded-…`
/// fields.
fn for_trino(set: &mut SetFields, scope: &RequestScope<'_>, towards: Towards<'_>) -> Forwarded {
    let received = scope.request.fields();
    let coding: Option<&[u8]> = match towards.coding {
        AnswerCoding::AsAsked => None,
        AnswerCoding::Gzip if takes_gzip(received) => Some(b"gzip"),
        AnswerCoding::Gzip | AnswerCoding::Identity => Some(b"identity"),
    };
    if let Some(coding) = coding
        && set.fields().find(&[b"accept-encoding"]).is_none()
    {
        set.add(b"Accept-Encoding", |out| out.extend_from_slice(coding));
    }
    let is_sent = received.iter().chain(set.fields().iter()).any(|field| is_forwarded(field.name));
    match towards.forwarded {
        Forwarded::Sent if is_sent => return Forwarded::Sent,
        Forwarded::Sent => return Forwarded::Withheld,
        Forwarded::Withheld => {}
    }
    set.remove(|field| is_forwarded(field.name));
    for field in received.iter().filter(|field| is_forwarded(field.name)) {
        // An empty value removes a field that the client sent.
        set.add(field.name, |_| {});
    }
    Forwarded::Withheld
}

/// Whether a client takes answers in gzip coding. RFC 9110, section 12.5.3.
fn takes_gzip(fields: Fields<'_>) -> bool {
    fields.find_all(&[b"accept-encoding"]).flat_map(|value| value.split(|&it| it == b',')).any(
        |coding| {
            let mut parts = coding.split(|&it| it == b';').map(<[u8]>::trim_ascii);
            let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"gzip"));
            is_gzip
                && !parts.any(|weight| matches!(weight, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"))
        },
    )
}

fn method<'a>(scope: &'a RequestScope<'_>) -> &'a [u8] {
    match (scope.page, scope.request.is_head) {
        (Some(_), true) => b"HEAD",
        (Some(_), false) => b"GET",
        (None, _) => scope.request.at(scope.request.method),
    }
}

/// Writes the target: the client's own bytes, unless `proxy_pass` has a URI.
fn write_target(
    proxy: &ProxyPass,
    scope: &RequestScope<'_>,
    instead: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    let (path, query) = match (scope.page, instead) {
        (Some(page), _) => (&page.path[..], page.query.as_deref()),
        (None, Some(target)) => (Target { authority: None, path: target, missing: b"" }).split(),
        (None, None) => scope.request.path_and_query(),
    };
    let prefix = location_of(scope.config, scope.site).map(prefix);
    match (&proxy.uri, prefix) {
        (Some(uri), Some(prefix)) => {
            out.extend_from_slice(uri);
            let mut plain = Vec::new();
            let path = if path.is_empty() { b"/" } else { path };
            match scope.page {
                Some(page) => plain.extend_from_slice(&page.path),
                // Normalising it to find the location succeeded, so it succeeds here.
                None => drop(normalise(path, scope.limits().merge_slashes, &mut plain)),
            }
            let rest = plain.get(prefix.len()..).unwrap_or_default();
            // If the URI has a query, the rest of the path ends an argument.
            if uri.contains(&b'?') {
                escape_argument(rest, out);
            } else {
                escape(rest, out);
            }
        }
        (None, _) | (Some(_), None) if scope.page.is_some() => escape(path, out),
        (None, _) | (Some(_), None) => {
            out.extend_from_slice(scope.request.missing);
            out.extend_from_slice(path);
        }
    }
    if let Some(query) = query {
        out.push(if out.contains(&b'?') { b'&' } else { b'?' });
        out.extend_from_slice(query);
    }
}

/// What `proxy_set_header Connection` and `Upgrade` ask for.
struct Wish {
    close: bool,
    upgrade: bool,
}

impl Wish {
    fn of(set: &SetFields) -> Wish {
        let value = set.value(Known::Connection).unwrap_or_default();
        let mut options = Options::default();
        options.read(value);
        let names_protocol = set.value(Known::Upgrade).is_some_and(|value| !value.is_empty());
        Wish { close: options.close, upgrade: options.upgrade && names_protocol }
    }
}
