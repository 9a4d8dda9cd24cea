//! `stream {}`: connections that are relayed without being read.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::Builder;
use super::error::BuildError;
use super::listen::Listens;
use super::proxy::{NEVER, Target, bind};
use super::scope::{Scope, at, first, set, switch};
use crate::config::diagnostic::Fault;
use crate::config::model::{
    Follows, HalfClose, LogTo, NextUpstream, ProxyPass, ProxyProtocol, StreamPass, StreamServer,
    StreamServerId, Trusted,
};
use crate::config::token::Word;
use crate::config::tree::Directive;

/// Settings that `stream {}` hands down to its servers.
#[derive(Clone)]
struct Level {
    pass: StreamPass,
    header_timeout: Duration,
    trusted: Vec<Trusted>,
    tcp_nodelay: bool,
    access_logs: Vec<LogTo>,
}

impl Builder {
    /// All servers of `stream {}`; adds the sockets they listen on to `listens`.
    pub(super) fn stream(&mut self, stream: Scope<'_>, listens: &mut Listens) -> Vec<StreamServer> {
        self.begin_formats();
        self.log_formats(stream);
        self.upstreams(stream);
        let mut outer = Level::default();
        self.stream_settings(stream, &mut outer);
        let mut servers = Vec::new();
        for directive in stream.many("server") {
            let id = StreamServerId(servers.len());
            self.stream_listens(Scope::of(directive), directive.at, id, listens);
            servers.push(self.stream_server(directive, outer.clone()));
        }
        servers
    }

    fn stream_server(&mut self, directive: &Directive, mut level: Level) -> StreamServer {
        let scope = Scope::of(directive);
        self.stream_settings(scope, &mut level);
        let group = match scope.word("proxy_pass") {
            Some(word) => {
                Target::of_address(word).and_then(|target| self.group_of(&target)).map(Some)
            }
            None if scope.is_whole() => Err(Fault::new(directive.at, BuildError::NoPass)),
            None => Ok(None),
        };
        self.set(&mut level.pass.group, group);
        self.groups.used(level.pass.group, level.pass.connect_timeout);
        StreamServer {
            pass: level.pass,
            header_timeout: level.header_timeout,
            trusted: level.trusted,
            tcp_nodelay: level.tcp_nodelay,
            access_logs: level.access_logs,
        }
    }

    fn stream_settings(&mut self, scope: Scope<'_>, level: &mut Level) {
        let pass = &mut level.pass;
        self.set(&mut pass.connect_timeout, scope.time("proxy_connect_timeout"));
        self.set(&mut pass.timeout, scope.time("proxy_timeout"));
        self.set(&mut pass.buffer, scope.size("proxy_buffer_size", 1, BUFFER_LIMIT));
        if let Some(on) = self.keep(scope.switch("proxy_next_upstream")).flatten() {
            (pass.next.error, pass.next.timeout) = (on, on);
        }
        self.limits_of_next(scope, &mut pass.next);
        let half_close = |on| if on { HalfClose::Passed } else { HalfClose::EndsBoth };
        let passed = scope.switch("proxy_half_close").map(|on| on.map(half_close));
        self.set(&mut pass.half_close, passed);
        self.set(&mut pass.announces, scope.word("proxy_protocol").map(announces).transpose());
        self.set(&mut pass.bind, scope.one("proxy_bind").map(bind).transpose());
        self.set(&mut pass.socket_keepalive, scope.switch("proxy_socket_keepalive"));
        self.set(&mut level.header_timeout, scope.time("proxy_protocol_timeout"));
        set(&mut level.trusted, self.list(scope, "set_real_ip_from", Builder::trusted));
        self.set(&mut level.tcp_nodelay, scope.switch("tcp_nodelay"));
        set(&mut level.access_logs, self.access_logs(scope));
    }

    /// One `set_real_ip_from`.
    pub(super) fn trusted(&self, directive: &Directive) -> Result<Trusted, Fault> {
        let word = first(directive);
        if word.text == "unix:" {
            return Ok(Trusted::Unix);
        }
        let net: Option<IpNet> =
            word.text.parse().ok().or_else(|| word.text.parse::<IpAddr>().ok().map(IpNet::from));
        match net {
            Some(net) => Ok(Trusted::Net(net.trunc())),
            None => at(word, BuildError::Network(word.text.clone())),
        }
    }
}

/// `on`, `off`, and our own `v1` and `v2`.
fn announces(word: &Word) -> Result<Option<ProxyProtocol>, Fault> {
    match word.text.as_str() {
        "v1" => Ok(Some(ProxyProtocol::V1)),
        "v2" => Ok(Some(ProxyProtocol::V2)),
        text if text.eq_ignore_ascii_case("on") || text.eq_ignore_ascii_case("off") => {
            Ok(switch(word)?.then_some(ProxyProtocol::V1))
        }
        other => at(word, BuildError::Choice { found: other.into(), allowed: "on, off, v1, v2" }),
    }
}

/// Relays connections where a location's requests would go.
pub(super) fn tunnel_of(proxy: &ProxyPass) -> StreamPass {
    StreamPass {
        group: proxy.group,
        connect_timeout: proxy.connect_timeout,
        timeout: proxy.read_timeout,
        buffer: BUFFER,
        next: proxy.next,
        half_close: HalfClose::Passed,
        announces: None,
        bind: proxy.bind,
        socket_keepalive: proxy.socket_keepalive,
        follows: Follows::Group,
    }
}

impl Default for Level {
    /// nginx's defaults, and ours where they differ on purpose.
    fn default() -> Level {
        Level {
            pass: StreamPass {
                // Replaced once `proxy_pass` is read.
                group: crate::config::model::GroupId(usize::MAX),
                connect_timeout: Duration::from_secs(60),
                timeout: Duration::from_secs(600),
                buffer: BUFFER,
                next: NextUpstream { error: true, timeout: true, ..NEVER },
                // nginx: off, which discards what the other side still sends.
                half_close: HalfClose::Passed,
                announces: None,
                bind: None,
                socket_keepalive: false,
                follows: Follows::Server,
            },
            header_timeout: Duration::from_secs(30),
            trusted: Vec::new(),
            tcp_nodelay: true,
            access_logs: Vec::new(),
        }
    }
}

/// Default for `proxy_buffer_size`, in bytes.
const BUFFER: usize = 16 << 10;
/// The largest `proxy_buffer_size`, in bytes.
const BUFFER_LIMIT: u64 = 1 << 20;
