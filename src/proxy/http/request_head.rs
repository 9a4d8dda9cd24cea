//! The request's head as the server of the current attempt gets it.

use crate::config::model::{ProxyPass, ProxyVersion};
use crate::http::connection::{Named, Options};
use crate::http::fields::Known;
use crate::http::framing::Framing;
use crate::http::head::Version;
use crate::http::rewrite::{Persistence, RequestOut, SetFields};
use crate::http::target::{escape, escape_argument, normalise};
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::http::exchange::Exchange;
use crate::proxy::http::link::Link;
use crate::proxy::http::route::{location_of, prefix};

impl<N: Net> Exchange<N> {
    /// Writes the head for the server of the current attempt, and puts the body back to its start.
    pub(in crate::proxy) fn render(&mut self, client: &Client<N>, context: &mut Context<N>) {
        self.upload.rewind(&mut context.io.buffers, context.io.now);
        let Some(proxy) = self.proxy() else { return };
        let mut set = std::mem::take(&mut context.scratch.set);
        let mut target = std::mem::take(&mut context.scratch.text);
        let mut out = std::mem::take(&mut context.scratch.head);
        set.clear();
        let scope = self.scope(client, context);
        for field in &proxy.set_headers {
            set.add(&field.name, |out| scope.write(&field.value, out));
        }
        target.clear();
        self.write_target(proxy, &mut target);
        let wish = Wish::of(&set);
        // A page in place of an error gets no body, so nobody waits for one.
        let waits = self.request.expects_continue && self.page.is_none();
        let expects = waits && proxy.version == ProxyVersion::Http11;
        let expect = expects
            && set.value(Known::Expect).is_none()
            && !(self.request.options.names_fields
                && Named::of(self.request.fields()).has(b"expect"));
        let upgrade = self.request.upgrade.filter(|_| wish.upgrade && self.page.is_none());
        let keeps = self.config.groups[proxy.group.0].keepalive > 0;
        let reusable = keeps && !wish.close && proxy.version == ProxyVersion::Http11;
        RequestOut {
            method: self.method(),
            target: &target,
            version: match proxy.version {
                ProxyVersion::Http10 => Version::Http10,
                ProxyVersion::Http11 => Version::Http11,
            },
            fields: self.request.fields(),
            options: self.request.options,
            set: &set,
            host: proxy.host.as_bytes(),
            framing: if self.page.is_some() { Framing::None } else { self.request.framing },
            expect,
            upgrade: upgrade.map(|place| self.request.at(place)),
            underscores: self.config.virtual_servers[self.site.server.0].limits.underscores,
            persistence: match (reusable, proxy.version) {
                (false, ProxyVersion::Http11) => Persistence::Close,
                (true, _) | (false, ProxyVersion::Http10) => Persistence::Implied,
            },
        }
        .write(&mut out);
        let asks_upgrade = upgrade.is_some();
        context.io.buffers.append(&mut self.upload.head, &out);
        out.clear();
        out.shrink_to(KEPT_SCRATCH);
        (context.scratch.head, context.scratch.text, context.scratch.set) = (out, target, set);
        self.download.asked_upgrade = asks_upgrade;
        if let Link::Open { reusable: may, .. } = &mut self.link {
            *may = reusable;
        }
        if waits && !expect && !self.download.continued {
            self.download.continued = true;
            self.download.say(b"HTTP/1.1 100 Continue\r\n\r\n", &mut context.io.buffers);
        }
    }

    fn method(&self) -> &[u8] {
        match (&self.page, self.request.is_head) {
            (Some(_), true) => b"HEAD",
            (Some(_), false) => b"GET",
            (None, _) => self.request.at(self.request.method),
        }
    }

    /// The target to ask for: the client's own bytes, unless `proxy_pass` has a URI.
    fn write_target(&self, proxy: &ProxyPass, out: &mut Vec<u8>) {
        let (path, query) = match &self.page {
            Some(page) => (&page.path[..], page.query.as_deref()),
            None => self.request.path_and_query(),
        };
        let prefix = location_of(&self.config, self.site).map(prefix);
        match (&proxy.uri, prefix) {
            (Some(uri), Some(prefix)) => {
                out.extend_from_slice(uri);
                let mut plain = Vec::new();
                let merge = self.config.virtual_servers[self.site.server.0].limits.merge_slashes;
                let path = if path.is_empty() { b"/" } else { path };
                match &self.page {
                    Some(page) => plain.extend_from_slice(&page.path),
                    // It was normalised once to find the location, so it can be.
                    None => drop(normalise(path, merge, &mut plain)),
                }
                let rest = plain.get(prefix.len()..).unwrap_or_default();
                // Behind a query the rest of the path is the end of an argument.
                if uri.contains(&b'?') {
                    escape_argument(rest, out);
                } else {
                    escape(rest, out);
                }
            }
            (None, _) | (Some(_), None) if self.page.is_some() => escape(path, out),
            (None, _) | (Some(_), None) => {
                out.extend_from_slice(self.request.missing);
                out.extend_from_slice(path);
            }
        }
        if let Some(query) = query {
            out.push(if out.contains(&b'?') { b'&' } else { b'?' });
            out.extend_from_slice(query);
        }
    }
}

/// What `proxy_set_header Connection` asks for.
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

/// Storage for heads that is kept from one to the next; what large ones took is given back.
pub const KEPT_SCRATCH: usize = 64 << 10;
