//! `stream {}`: connections that are relayed without being read.

use std::time::Duration;

use crate::config::build::block::{Block, at, set, switch};
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::build::logs::Logs;
use crate::config::build::pass_target::PassTarget;
use crate::config::build::proxy::{bind, limits_of_next};
use crate::config::build::proxy_tls::ProxyTls;
use crate::config::build::real_ip;
use crate::config::build::tables::Tables;
use crate::config::build::tls::{self, TlsLevel};
use crate::config::build::tls_error::TlsFault;
use crate::config::diagnostic::Fault;
use crate::config::model::{
    Follows, GroupId, HalfClose, LogTo, NextUpstream, PrereadLimits, ProxyPass, ProxyProtocol,
    StreamPass, StreamServer, StreamServerId, Trusted,
};
use crate::config::text::lexer::Word;
use crate::config::text::tree::Directive;

/// Settings that `stream {}` hands down to its servers.
#[derive(Clone)]
struct StreamLevel {
    pass: StreamPass,
    header_timeout: Duration,
    tls: TlsLevel,
    speaks_tls: bool,
    proxy_tls: ProxyTls,
    handshake_timeout: Duration,
    prereads: bool,
    preread: PrereadLimits,
    trusted: Vec<Trusted>,
    tcp_nodelay: bool,
    access_logs: Vec<LogTo>,
}

impl StreamLevel {
    /// Applies the settings of a block.
    fn apply(&mut self, builder: &mut Builder, logs: &mut Logs, block: Block<'_>) {
        let pass = &mut self.pass;
        builder.set(&mut pass.connect_timeout, block.time("proxy_connect_timeout"));
        builder.set(&mut pass.timeout, block.time("proxy_timeout"));
        builder.set(&mut pass.buffer, block.size("proxy_buffer_size", 1, BUFFER_LIMIT));
        if let Some(on) = builder.keep(block.switch("proxy_next_upstream")).flatten() {
            (pass.next.error, pass.next.timeout) = (on, on);
        }
        limits_of_next(builder, block, &mut pass.next);
        let half_close = |on| if on { HalfClose::Passed } else { HalfClose::EndsBoth };
        let passed = block.switch("proxy_half_close").map(|on| on.map(half_close));
        builder.set(&mut pass.half_close, passed);
        builder.set(&mut pass.announces, block.word("proxy_protocol").map(announces).transpose());
        builder.set(&mut pass.bind, block.one("proxy_bind").map(bind).transpose());
        builder.set(&mut pass.socket_keepalive, block.switch("proxy_socket_keepalive"));
        builder.set(&mut self.header_timeout, block.time("proxy_protocol_timeout"));
        self.tls.apply(builder, block);
        self.proxy_tls.apply(builder, block);
        builder.set(&mut self.speaks_tls, block.switch("proxy_ssl"));
        if cfg!(feature = "tls") {
            builder.set(&mut self.handshake_timeout, block.time("ssl_handshake_timeout"));
        }
        builder.set(&mut self.prereads, block.switch("ssl_preread"));
        builder.set(&mut self.preread.timeout, block.time("preread_timeout"));
        builder.set(&mut self.preread.size, block.size("preread_buffer_size", 1, BUFFER_LIMIT));
        set(&mut self.trusted, real_ip::trusted(builder, block));
        builder.set(&mut self.tcp_nodelay, block.switch("tcp_nodelay"));
        set(&mut self.access_logs, logs.access_logs(builder, block));
    }
}

/// All servers of `stream {}`; adds to `tables` what they use.
pub(super) fn servers(
    builder: &mut Builder,
    tables: &mut Tables,
    stream: Block<'_>,
) -> Vec<StreamServer> {
    tables.logs.begin_formats();
    tables.logs.read_formats(builder, stream);
    tables.groups.read_blocks(builder, stream);
    let mut outer = StreamLevel::default();
    outer.apply(builder, &mut tables.logs, stream);
    let mut servers = Vec::new();
    for directive in stream.many("server") {
        let id = StreamServerId(servers.len());
        tables.listens.add_stream_server(builder, Block::of(directive), directive.at, id);
        servers.push(server(builder, tables, directive, outer.clone()));
    }
    servers
}

fn server(
    builder: &mut Builder,
    tables: &mut Tables,
    directive: &Directive,
    mut level: StreamLevel,
) -> StreamServer {
    let block = Block::of(directive);
    level.apply(builder, &mut tables.logs, block);
    let group = match block.word("proxy_pass") {
        Some(word) => pass(builder, tables, &level, word).map(Some),
        None if block.is_whole() => Err(Fault::new(directive.at, BuildError::NoPass)),
        None => Ok(None),
    };
    builder.set(&mut level.pass.group, group);
    tables.groups.used(level.pass.group, level.pass.connect_timeout);
    let tls = match tls::listens(block) {
        true => level.tls.terms(builder, directive.at, &[]),
        false => None,
    };
    StreamServer {
        preread: level.prereads.then_some(level.preread),
        tls,
        handshake_timeout: level.handshake_timeout,
        pass: level.pass,
        header_timeout: level.header_timeout,
        trusted: level.trusted,
        tcp_nodelay: level.tcp_nodelay,
        access_logs: level.access_logs,
    }
}

/// The group of `proxy_pass`.
fn pass(
    builder: &mut Builder,
    tables: &mut Tables,
    level: &StreamLevel,
    word: &Word,
) -> Result<GroupId, Fault> {
    let target = PassTarget::of_address(word)?;
    let group = tables.groups.group_of(builder, &target)?;
    let tls = level.speaks_tls.then_some(&level.proxy_tls);
    if tls.is_some() && level.pass.announces.is_some() {
        return at(word, BuildError::Tls(TlsFault::HeaderBeforeTls));
    }
    tables.groups.spoken_to(builder, group, &target, tls)?;
    Ok(group)
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
                group: GroupId(usize::MAX),
                connect_timeout: Duration::from_secs(60),
                timeout: Duration::from_secs(600),
                buffer: BUFFER,
                next: NextUpstream { error: true, timeout: true, ..NextUpstream::NEVER },
                // nginx: off, which discards what the other side still sends.
                half_close: HalfClose::Passed,
                announces: None,
                bind: None,
                socket_keepalive: false,
                follows: Follows::Server,
            },
            header_timeout: Duration::from_secs(30),
            tls: TlsLevel::default(),
            speaks_tls: false,
            proxy_tls: ProxyTls::default(),
            handshake_timeout: Duration::from_secs(60),
            prereads: false,
            preread: PrereadLimits { timeout: Duration::from_secs(30), size: BUFFER },
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
