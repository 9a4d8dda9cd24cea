//! `listen`: one socket per address, however many servers share it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::address::Address;
use crate::config::build::block::{
    Block, at, first, not_found, others, switch, time, unsupported, within,
};
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::build::remark::Remark;
use crate::config::diagnostic::{Fault, FaultList};
use crate::config::known::directives::HTTP1;
use crate::config::model::{Layer, Listen, Serves, StreamServerId, TcpKeepalive, VirtualServerId};
use crate::config::text::lexer::{Span, Word};
use crate::config::text::tree::Directive;
use crate::config::text::value::{self, Host, UnresolvedAddress};

/// The sockets found so far.
#[derive(Default)]
pub(super) struct Listens {
    list: Vec<KnownListen>,
}

/// A socket, and what earlier `listen` directives set for it.
struct KnownListen {
    listen: Listen,
    at: Span,
    options: SocketOptions,
    claim: Claim,
}

/// Whether a `listen` gave options of the socket itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SocketOptions {
    None,
    Given,
}

/// How the default server was chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    First,
    Named,
}

impl KnownListen {
    fn new(address: Address, serves: Serves, at: Span) -> KnownListen {
        let listen = Listen::new(address, serves);
        KnownListen { listen, at, options: SocketOptions::None, claim: Claim::First }
    }
}

impl Listens {
    /// Adds the addresses that one server of `http {}` listens on.
    pub(super) fn add_server(
        &mut self,
        builder: &mut Builder,
        block: Block<'_>,
        server_at: Span,
        server: VirtualServerId,
    ) {
        let serves = Serves::Http { servers: vec![server], default: server };
        // If a `listen` was refused, the address is unknown.
        if block.one("listen").is_none() && block.is_whole() {
            let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 80);
            let all = KnownListen::new(Address::Inet(any), serves.clone(), server_at);
            builder.keep(self.add(all));
        }
        for line in block.many("listen") {
            let added = self.listen(builder, line, &serves);
            builder.keep(added);
        }
    }

    /// Adds the addresses that one server of `stream {}` listens on.
    pub(super) fn add_stream_server(
        &mut self,
        builder: &mut Builder,
        block: Block<'_>,
        server_at: Span,
        server: StreamServerId,
    ) {
        if block.one("listen").is_none() && block.is_whole() {
            builder.faults.note(Fault::new(server_at, BuildError::NoListen));
        }
        for line in block.many("listen") {
            let added = self.listen(builder, line, &Serves::Stream(server));
            builder.keep(added);
        }
    }

    fn listen(
        &mut self,
        builder: &mut Builder,
        line: &Directive,
        serves: &Serves,
    ) -> Result<(), Fault> {
        let word = first(line);
        let place = value::listen_place(&word.text).map_err(|e| Fault::new(word.at, e))?;
        let place = match place {
            UnresolvedAddress::Inet(Host::Any, port) => {
                UnresolvedAddress::Inet(Host::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port)
            }
            place @ (UnresolvedAddress::Inet(Host::Ip(_) | Host::Name(_), _)
            | UnresolvedAddress::Unix(_)) => place,
        };
        if builder.layer == Layer::Stream && matches!(place, UnresolvedAddress::Inet(_, None)) {
            return at(word, BuildError::NoPort(word.text.clone()));
        }
        let addresses =
            builder.resolve(&place).ok_or_else(|| not_found(word, "listen", &word.text))?;
        for address in addresses {
            let mut found = KnownListen::new(address, serves.clone(), word.at);
            for parameter in others(line) {
                match parameter.text.as_str() {
                    "http2" if cfg!(feature = "tls") => builder.remark(parameter.at, NO_HTTP2),
                    _ => option(parameter, &mut found)?,
                }
            }
            self.add(found)?;
        }
        Ok(())
    }

    fn add(&mut self, new: KnownListen) -> Result<(), Fault> {
        let address = new.listen.address.clone();
        let known = self.list.iter_mut().find(|known| known.listen.address == address);
        let Some(known) = known else {
            self.list.push(new);
            return Ok(());
        };
        // Connections are not read before they are passed on, so one server must take them all.
        let (
            Serves::Http { servers, default },
            Serves::Http { servers: more, default: new_default },
        ) = (&mut known.listen.serves, new.listen.serves.clone())
        else {
            return Err(Fault::new(new.at, BuildError::AddressInUse(address)));
        };
        if servers.ends_with(&more) {
            return Err(Fault::new(new.at, BuildError::DuplicateListen(address)));
        }
        match (known.claim, new.claim) {
            (Claim::Named, Claim::Named) => {
                return Err(Fault::new(new.at, BuildError::DuplicateDefault(address)));
            }
            (Claim::First, Claim::Named) => {
                *default = new_default;
                known.claim = Claim::Named;
            }
            (Claim::First | Claim::Named, Claim::First) => {}
        }
        servers.extend(more);
        match (known.options, new.options) {
            (SocketOptions::Given, SocketOptions::Given) => {
                return Err(Fault::new(new.at, BuildError::DuplicateListenOptions(address)));
            }
            (SocketOptions::None, SocketOptions::Given) => {
                let Listen { serves, proxy_protocol, tls, .. } = known.listen.clone();
                known.listen = Listen { serves, proxy_protocol, tls, ..new.listen.clone() };
                known.options = SocketOptions::Given;
            }
            (SocketOptions::None | SocketOptions::Given, SocketOptions::None) => {}
        }
        // One server's `proxy_protocol` and `ssl` apply to the whole socket, as in nginx.
        known.listen.proxy_protocol |= new.listen.proxy_protocol;
        known.listen.tls |= new.listen.tls;
        Ok(())
    }

    /// The sockets found so far.
    pub(super) fn so_far(&self) -> impl Iterator<Item = &Listen> {
        self.list.iter().map(|found| &found.listen)
    }

    /// All sockets, none of which prevents another from being bound.
    pub(super) fn finish(self, faults: &mut FaultList) -> Vec<Listen> {
        for narrow in &self.list {
            let covers = |wide: &&KnownListen| {
                let both_reuse = narrow.listen.reuse_port && wide.listen.reuse_port;
                covers(&wide.listen, &narrow.listen) && !both_reuse
            };
            if let Some(wide) = self.list.iter().find(covers) {
                let (narrow_address, wide) = (&narrow.listen.address, &wide.listen.address);
                let error = BuildError::ListenOverlap(narrow_address.clone(), wide.clone());
                faults.note(Fault::new(narrow.at, error));
            }
        }
        self.list.into_iter().map(|found| found.listen).collect()
    }
}

/// Whether one socket's address includes another's.
fn covers(wide: &Listen, narrow: &Listen) -> bool {
    let (Address::Inet(w), Address::Inet(n)) = (&wide.address, &narrow.address) else {
        return false;
    };
    let family = w.is_ipv4() == n.is_ipv4() || (w.is_ipv6() && !wide.ipv6_only);
    w != n && w.port() == n.port() && w.port() != 0 && w.ip().is_unspecified() && family
}

fn option(word: &Word, found: &mut KnownListen) -> Result<(), Fault> {
    match word.text.as_str() {
        "default_server" | "default" => {
            if matches!(found.listen.serves, Serves::Stream(_)) {
                return at(word, BuildError::StreamDefault);
            }
            found.claim = Claim::Named;
            return Ok(());
        }
        "http2" => return unsupported(word, "HTTP/1.1 is spoken here"),
        "ssl" if cfg!(feature = "tls") => {
            found.listen.tls = true;
            return Ok(());
        }
        "ssl" => return unsupported(word, "this build has no TLS"),
        "quic" | "spdy" => return unsupported(word, "HTTP/1.1 is spoken here"),
        "proxy_protocol" => {
            found.listen.proxy_protocol = true;
            return Ok(());
        }
        "udp" => return unsupported(word, "connections are passed on, datagrams are not"),
        "deferred" => return unsupported(word, "it is not implemented"),
        "bind" => {}
        "reuseport" => found.listen.reuse_port = true,
        text => match text.split_once('=') {
            Some((name, value)) => valued_option(word, name, value, &mut found.listen)?,
            None => return at(word, BuildError::UnknownParameter(word.text.clone())),
        },
    }
    found.options = SocketOptions::Given;
    Ok(())
}

fn valued_option(word: &Word, name: &str, value: &str, listen: &mut Listen) -> Result<(), Fault> {
    let buffer = |name| within(word, value::size(value), name, 1, BUFFER_LIMIT).map(Some);
    match name {
        "backlog" => {
            listen.backlog = within(word, value::number(value), "backlog", 1, i32::MAX as u64)?;
        }
        "rcvbuf" => listen.receive_buffer = buffer("rcvbuf")?,
        "sndbuf" => listen.send_buffer = buffer("sndbuf")?,
        "ipv6only" => listen.ipv6_only = switch(&Word { text: value.into(), at: word.at })?,
        "so_keepalive" => listen.keepalive = Some(keepalive(word, value)?),
        "fastopen" | "setfib" | "accept_filter" | "multipath" => {
            return unsupported(word, "it is not implemented");
        }
        _ => return at(word, BuildError::UnknownParameter(word.text.clone())),
    }
    Ok(())
}

/// `on`, `off` or `[IDLE]:[INTERVAL]:[COUNT]`.
fn keepalive(word: &Word, value: &str) -> Result<TcpKeepalive, Fault> {
    if !value.contains(':') {
        let on = TcpKeepalive::On { idle: None, interval: None, count: None };
        let is_on = switch(&Word { text: value.into(), at: word.at })?;
        return Ok(if is_on { on } else { TcpKeepalive::Off });
    }
    let pieces: Vec<&str> = value.split(':').collect();
    let (idle, interval, count) = match pieces.as_slice() {
        [idle, interval, count] if value != "::" => (*idle, *interval, *count),
        [idle, interval] => (*idle, *interval, ""),
        _ => return at(word, BuildError::UnknownParameter(word.text.clone())),
    };
    let duration = |text: &str| -> Result<Option<Duration>, Fault> {
        if text.is_empty() {
            Ok(None)
        } else {
            time(&Word { text: text.into(), at: word.at }).map(Some)
        }
    };
    let count = match count {
        "" => None,
        text => Some(within(word, value::number(text), "so_keepalive", 1, 127)?),
    };
    Ok(TcpKeepalive::On { idle: duration(idle)?, interval: duration(interval)?, count })
}

/// Clients that offer HTTP/2 offer HTTP/1.1 as well.
const NO_HTTP2: Remark = Remark::Undone { name: "http2", reason: HTTP1 };
/// The largest socket buffer, in bytes.
const BUFFER_LIMIT: u64 = 1 << 30;
