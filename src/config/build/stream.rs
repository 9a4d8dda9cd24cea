//! `stream {}`: connections that are relayed without being read.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::Builder;
use super::block::{Block, at, first, set, switch};
use super::error::BuildError;
use super::listen::Listens;
use super::proxy::{NEVER, PassTarget, bind};
use crate::config::diagnostic::Fault;
use crate::config::lexer::Word;
use crate::config::model::{
    Follows, HalfClose, LogTo, NextUpstream, ProxyPass, ProxyProtocol, StreamPass, StreamServer,
    StreamServerId, Trusted,
};
use crate::config::tree::Directive;

/// Settings that `stream {}` hands down to its servers.
#[derive(Clone)]
struct StreamLevel {
    pass: StreamPass,
    header_timeout: Duration,
    trusted: Vec<Trusted>,
    tcp_nodelay: bool,
    access_logs: Vec<LogTo>,
}

impl Builder {
    /// All servers of `stream {}`; adds the sockets they listen on to `listens`.
    pub(super) fn stream(&mut self, stream: Block<'_>, listens: &mut Listens) -> Vec<StreamServer> {
        self.begin_formats();
        self.log_formats(stream);
        self.upstreams(stream);
        let mut outer = StreamLevel::default();
        self.stream_settings(stream, &mut outer);
        let mut servers = Vec::new();
        for directive in stream.many("server") {
            let id = StreamServerId(servers.len());
            self.stream_listens(Block::of(directive), directive.at, id, listens);
            servers.push(self.stream_server(directive, outer.clone()));
        }
        servers
    }

    fn stream_server(&mut self, directive: &Directive, mut level: StreamLevel) -> StreamServer {
        let block = Block::of(directive);
        self.stream_settings(block, &mut level);
        let group = match block.word("proxy_pass") {
            Some(word) => {
                PassTarget::of_address(word).and_then(|target| self.group_of(&target)).map(Some)
            }
            None if block.is_whole() => Err(Fault::new(directive.at, BuildError::NoPass)),
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

    fn stream_settings(&mut self, block: Block<'_>, level: &mut StreamLevel) {
        let pass = &mut level.pass;
        self.set(&mut pass.connect_timeout, block.time("proxy_connect_timeout"));
        self.set(&mut pass.timeout, block.time("proxy_timeout"));
        self.set(&mut pass.buffer, block.size("proxy_buffer_size", 1, BUFFER_LIMIT));
        if let Some(on) = self.keep(block.switch("proxy_next_upstream")).flatten() {
            (pass.next.error, pass.next.timeout) = (on, on);
        }
        self.limits_of_next(block, &mut pass.next);
        let half_close = |on| if on { HalfClose::Passed } else { HalfClose::EndsBoth };
        let passed = block.switch("proxy_half_close").map(|on| on.map(half_close));
        self.set(&mut pass.half_close, passed);
        self.set(&mut pass.announces, block.word("proxy_protocol").map(announces).transpose());
        self.set(&mut pass.bind, block.one("proxy_bind").map(bind).transpose());
        self.set(&mut pass.socket_keepalive, block.switch("proxy_socket_keepalive"));
        self.set(&mut level.header_timeout, block.time("proxy_protocol_timeout"));
        set(&mut level.trusted, self.list(block, "set_real_ip_from", Builder::trusted));
        self.set(&mut level.tcp_nodelay, block.switch("tcp_nodelay"));
        set(&mut level.access_logs, self.access_logs(block));
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

impl Default for StreamLevel {
    /// nginx's defaults, and ours where they differ on purpose.
    fn default() -> StreamLevel {
        StreamLevel {
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
