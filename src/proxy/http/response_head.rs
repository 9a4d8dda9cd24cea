//! A response's head: how its body is relayed, and what the client receives.

use std::time::Duration;

use super::ending::Ending;
use super::page::Replaced;
use super::variables::RequestScope;
use crate::config::model::{AddHeader, ProxyPass, Redirect};
use crate::http::answer::reason;
use crate::http::connection::Options;
use crate::http::fields::{Field, Fields};
use crate::http::framing::{self, Body, Framing};
use crate::http::head::{ResponseHead, Version};
use crate::http::rewrite::{Persistence, ResponseOut, SetFields};
use crate::proxy::context::Scratch;
use crate::proxy::generation::Seen;

/// A response whose body is being passed on.
#[derive(Debug)]
pub struct Passing {
    /// The rest of the body.
    pub body: Body,
    /// How it is passed on.
    pub coding: Coding,
    /// How the client can tell that the response is incomplete.
    pub cut: CutShown,
    /// What a complete response leaves of the server's connection.
    pub leaves: Left,
}

/// How a client can tell that a response is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutShown {
    /// By its framing, however the connection ends.
    ByFraming,
    /// Only by a reset.
    ByReset,
}

/// What a complete response leaves of the server's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The connection can carry another request.
    Clean,
    /// The connection is closed, or carries surplus bytes.
    Spent,
}

/// How a body is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// In the framing it arrived in.
    AsIs,
    /// Without chunk framing, for an HTTP/1.0 client.
    DataOnly,
    /// In chunks, because its length is unknown.
    Chunks,
}

/// Decides from the received head how the body goes to the client.
pub fn passing(
    head: &ResponseHead<'_>,
    options: Options,
    framing: Framing,
    client: Version,
) -> (Framing, Passing) {
    let (out, coding) = recoded(head, framing, client);
    let persistent = options.persistent(head.version);
    let passing = Passing {
        body: Body::new(framing),
        coding,
        cut: if out == Framing::UntilClose { CutShown::ByReset } else { CutShown::ByFraming },
        leaves: if persistent { Left::Clean } else { Left::Spent },
    };
    (out, passing)
}

/// The client's framing for a body received in `framing`.
fn recoded(head: &ResponseHead<'_>, framing: Framing, client: Version) -> (Framing, Coding) {
    let old = client == Version::Http10;
    match framing {
        Framing::Length(length) => (Framing::Length(length), Coding::AsIs),
        Framing::Chunked if old => (Framing::UntilClose, Coding::DataOnly),
        Framing::Chunked => (Framing::Chunked, Coding::AsIs),
        Framing::UntilClose if old => (Framing::UntilClose, Coding::AsIs),
        Framing::UntilClose => (Framing::Chunked, Coding::Chunks),
        // Fields of a response to HEAD and of a 304 describe the body it would have: keep them.
        Framing::None if head.status == 204 => (Framing::None, Coding::AsIs),
        Framing::None => match framing::declared(head.fields, head.version) {
            Ok(Some(Framing::Chunked)) if old => (Framing::None, Coding::AsIs),
            Ok(Some(declared)) => (declared, Coding::AsIs),
            Ok(None) | Err(_) => (Framing::None, Coding::AsIs),
        },
    }
}

/// The parts of an answer that survive its replacement by a page: RFC 9110, section 11.6.1,
/// requires a challenge in each 401.
pub fn replaced(head: &ResponseHead<'_>) -> Replaced {
    let challenges = head
        .fields
        .iter()
        .filter(|field| head.status == 401 && field.name.eq_ignore_ascii_case(b"www-authenticate"));
    let challenges = challenges.map(|field| field.value.into()).collect();
    Replaced { challenges, ..Replaced::of(head.status) }
}

/// Whether a head has a `Location`.
pub fn has_location(head: &ResponseHead<'_>) -> bool {
    let is_location = |field: Field<'_>| field.name.eq_ignore_ascii_case(b"location");
    head.fields.iter().any(is_location)
}

/// Writes an interim head, or a 101 that switches to the protocol `upgrade`.
pub fn write_interim(
    head: &ResponseHead<'_>,
    options: Options,
    upgrade: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    ResponseOut {
        status: head.status,
        reason: head.reason,
        fields: head.fields,
        options,
        hide: &[],
        add: &SetFields::default(),
        framing: Framing::None,
        persistence: Persistence::Implied,
        keep_alive: None,
        upgrade,
    }
    .write(out, |_, _| false);
}

/// A final head for the client.
pub struct Final<'a> {
    /// The status that the client gets.
    pub status: u16,
    /// The reason phrase.
    pub reason: &'a [u8],
    /// The fields.
    pub fields: Fields<'a>,
    /// The options in their `Connection`.
    pub options: Options,
    /// The framing of the body for the client.
    pub framing: Framing,
    /// The location's `proxy_pass`, if a server has answered.
    pub proxy: Option<&'a ProxyPass>,
}

impl<'a> Final<'a> {
    /// A server's head, with the framing and the status for the client.
    pub fn of(
        head: &ResponseHead<'a>,
        options: Options,
        framing: Framing,
        status: u16,
        proxy: &'a ProxyPass,
    ) -> Final<'a> {
        let replaced = status != head.status;
        let reason = if replaced { reason(status).as_bytes() } else { head.reason };
        Final { status, reason, fields: head.fields, options, framing, proxy: Some(proxy) }
    }

    /// Writes the head into [`Scratch::head`], which must be empty, with added fields.
    pub fn write(
        &self,
        scope: RequestScope<'_>,
        ending: Ending,
        seen: Seen,
        scratch: &mut Scratch,
    ) {
        let Scratch { head: out, set: add, text: without, .. } = scratch;
        let mut scope = scope;
        add.clear();
        if seen == Seen::ByValues {
            without.clear();
            self.write_with(add, &scope, ending, without);
            scope.answer.head = without;
        }
        fill_added(self.status, &scope, add);
        self.write_with(add, &scope, ending, out);
    }

    fn write_with(
        &self,
        add: &SetFields,
        scope: &RequestScope<'_>,
        ending: Ending,
        out: &mut Vec<u8>,
    ) {
        let keep_alive = scope.settings().keepalive_header.filter(|_| ending == Ending::Keep);
        let (hide, redirects) = match self.proxy {
            Some(proxy) => (&proxy.hide_headers[..], &proxy.redirects[..]),
            None => (&[][..], &[][..]),
        };
        ResponseOut {
            status: self.status,
            reason: self.reason,
            fields: self.fields,
            options: self.options,
            hide,
            add,
            framing: self.framing,
            persistence: persistence(ending, scope.request.version, keep_alive),
            keep_alive,
            upgrade: None,
        }
        .write(out, |url, out| redirect(redirects, scope, url, out));
    }
}

/// What the head tells the client about its connection.
fn persistence(ending: Ending, version: Version, keep_alive: Option<Duration>) -> Persistence {
    match (ending, version) {
        (Ending::Keep, Version::Http10) => Persistence::KeepAlive,
        (Ending::Keep, Version::Http11) if keep_alive.is_some() => Persistence::KeepAlive,
        (Ending::Keep, Version::Http11) => Persistence::Implied,
        (
            Ending::Linger
            | Ending::LingerBriefly
            | Ending::Close
            | Ending::Reset
            | Ending::TimedOut
            | Ending::ClientLeft,
            _,
        ) => Persistence::Close,
    }
}

/// Adds `add_header` fields, and the parts of a replaced answer that are kept.
fn fill_added(status: u16, scope: &RequestScope<'_>, add: &mut SetFields) {
    let headers = &scope.settings().add_headers;
    for header in headers.iter().filter(|header| applies(header, status)) {
        add.add(&header.name, |out| scope.write(&header.value, out));
    }
    let Some(page) = &scope.page else { return };
    for challenge in &page.replaced.challenges {
        add.add(b"WWW-Authenticate", |out| out.extend_from_slice(challenge));
    }
    if let Some(location) = &page.replaced.location {
        add.add(b"Location", |out| out.extend_from_slice(location));
    }
}

/// Whether `add_header` applies to a status: without `always`, only to these.
fn applies(header: &AddHeader, status: u16) -> bool {
    header.always || matches!(status, 200 | 201 | 204 | 206 | 301..=304 | 307 | 308)
}

/// `proxy_redirect`: appends the rewritten `url` if a prefix matches.
fn redirect(
    redirects: &[Redirect],
    scope: &RequestScope<'_>,
    url: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for redirect in redirects {
        from.clear();
        scope.write(&redirect.from, &mut from);
        let Some(rest) = url.strip_prefix(&from[..]) else { continue };
        scope.write(&redirect.to, &mut to);
        to.extend_from_slice(rest);
        if to.starts_with(b"/") {
            scope.write_origin(out);
        }
        out.extend(to.iter().filter(|&&byte| crate::http::fields::is_value_byte(byte)));
        return true;
    }
    false
}
