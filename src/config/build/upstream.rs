//! `upstream {}` blocks, and groups for addresses that `proxy_pass` names directly.

use std::time::Duration;

use crate::address::Address;
use crate::config::build::block::{Block, at, first, not_found, others, time, unsupported, within};
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::build::health;
use crate::config::build::pass_target::{PassTarget, Scheme};
use crate::config::build::proxy_tls::ProxyTls;
use crate::config::build::tls_error::TlsFault;
use crate::config::diagnostic::Fault;
use crate::config::model::{
    Announcements, GROUP_LIMIT, Group, GroupId, HealthCheck, Layer, RESUBMIT, STATEMENT_MEMORY,
    Server, Trino,
};
use crate::config::text::lexer::Word;
use crate::config::text::tree::Directive;
use crate::config::text::value::{self, Host, UnresolvedAddress, ValueError};

/// The groups found so far.
pub(super) struct Groups {
    /// The names and layers of all `upstream {}` blocks, also of those not read yet.
    names: Vec<(Layer, String)>,
    groups: Vec<Group>,
    /// Groups from an `upstream {}` block.
    blocks: Vec<GroupId>,
    /// The other groups, each with the address it stands for.
    implicit: Vec<(GroupId, UnresolvedAddress, Scheme)>,
    /// How each group that is named somewhere is spoken to.
    spoken: Vec<(GroupId, Option<ProxyTls>)>,
}

impl Groups {
    /// No groups yet, only the names of all `upstream {}` blocks.
    pub(super) fn new(http: Block<'_>, stream: Option<Block<'_>>) -> Groups {
        let names = names(http, stream);
        Groups {
            names,
            groups: Vec::new(),
            blocks: Vec::new(),
            implicit: Vec::new(),
            spoken: Vec::new(),
        }
    }

    /// All `upstream {}` blocks of `http {}` or `stream {}`.
    pub(super) fn read_blocks(&mut self, builder: &mut Builder, block: Block<'_>) {
        for directive in block.many("upstream") {
            let name = first(directive);
            let group = upstream(builder, directive);
            if self.block(builder.layer, &name.text).is_some() {
                let error = BuildError::DuplicateUpstream(name.text.clone());
                builder.faults.note(Fault::new(name.at, error));
                continue;
            }
            self.blocks.push(GroupId(self.groups.len()));
            self.groups.push(group);
        }
    }

    /// The group that a `proxy_pass` names.
    pub(super) fn group_of(
        &mut self,
        builder: &mut Builder,
        target: &PassTarget<'_>,
    ) -> Result<GroupId, Fault> {
        if let UnresolvedAddress::Inet(Host::Name(name), None) = &target.place
            && self.block(builder.layer, name).is_none()
            && builder.gaps.may_define(name)
        {
            // Its `upstream {}` was refused; the fault is reported there.
            let id = GroupId(self.groups.len());
            self.groups.push(Group::new(name, builder.layer));
            return Ok(id);
        }
        let found = self.find(builder, target);
        found.map_err(|fault| self.elsewhere(builder.layer, target).unwrap_or(fault))
    }

    /// The fault of a name whose `upstream {}` is in the other layer only.
    fn elsewhere(&self, here: Layer, target: &PassTarget<'_>) -> Option<Fault> {
        let UnresolvedAddress::Inet(Host::Name(name), None) = &target.place else { return None };
        let known =
            |(layer, known): &&(Layer, String)| *layer != here && known.eq_ignore_ascii_case(name);
        let (layer, name) = self.names.iter().find(known)?;
        let error = BuildError::UpstreamElsewhere { name: name.clone(), layer: *layer };
        Some(Fault::new(target.word.at, error))
    }

    /// The `upstream {}` block with that name.
    fn block(&self, layer: Layer, name: &str) -> Option<GroupId> {
        let mut blocks = self.blocks.iter().copied();
        blocks.find(|id| {
            let group = self.groups.get(id.0);
            group.is_some_and(|g| g.layer == layer && g.name.eq_ignore_ascii_case(name))
        })
    }

    /// The group that a `proxy_pass` names: a block with that name, or an implicit group.
    fn find(&mut self, builder: &mut Builder, target: &PassTarget<'_>) -> Result<GroupId, Fault> {
        let (word, layer) = (target.word, builder.layer);
        if let UnresolvedAddress::Inet(Host::Name(name), port) = &target.place {
            match (self.block(layer, name), port) {
                (Some(id), None) => return Ok(id),
                (Some(_), Some(_)) => return at(word, BuildError::UpstreamPort(name.clone())),
                (None, _) => {}
            }
        }
        let place = match (&target.place, layer) {
            (UnresolvedAddress::Inet(_, None), Layer::Stream) => {
                return at(word, BuildError::NoPort(target.authority.into()));
            }
            (UnresolvedAddress::Inet(host, port), Layer::Http | Layer::Stream) => {
                UnresolvedAddress::Inet(host.clone(), Some(port.unwrap_or(target.default_port())))
            }
            (UnresolvedAddress::Unix(path), Layer::Http | Layer::Stream) => {
                UnresolvedAddress::Unix(path.clone())
            }
        };
        let known = |(id, known, scheme): &&(GroupId, UnresolvedAddress, Scheme)| {
            let of_layer = self.groups.get(id.0).is_some_and(|group| group.layer == layer);
            *known == place && *scheme == target.scheme && of_layer
        };
        if let Some((id, ..)) = self.implicit.iter().find(known) {
            return Ok(*id);
        }
        let addresses = builder
            .resolve(&place)
            .ok_or_else(|| not_found(word, "proxy_pass", target.authority))?;
        if addresses.len() > GROUP_LIMIT {
            return at(word, BuildError::TooManyServers(target.authority.into()));
        }
        let mut group = Group::new(target.authority, layer);
        for address in addresses {
            group.servers.push(Server {
                name: target.authority.into(),
                address,
                tls: None,
                weight: 1,
                max_fails: MAX_FAILS,
                fail_timeout: FAIL_TIMEOUT,
                backup: false,
                down: false,
                max_connections: 0,
            });
        }
        let id = GroupId(self.groups.len());
        self.groups.push(group);
        self.implicit.push((id, place, target.scheme));
        Ok(id)
    }

    /// Notes that a location with this `proxy_connect_timeout` uses a group.
    pub(super) fn used(&mut self, id: GroupId, connect_timeout: Duration) {
        if let Some(group) = self.groups.get_mut(id.0) {
            group.check_timeout = group.check_timeout.max(connect_timeout);
        }
    }

    /// A group's servers are spoken to like this wherever it is named: over TLS, or not.
    pub(super) fn spoken_to(
        &mut self,
        builder: &mut Builder,
        id: GroupId,
        target: &PassTarget<'_>,
        tls: Option<&ProxyTls>,
    ) -> Result<(), Fault> {
        if let Some((_, before)) = self.spoken.iter().find(|(known, _)| *known == id) {
            let is_same = match (before, tls) {
                (Some(before), Some(tls)) => before.is_as(tls),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            let several = TlsFault::SeveralWays(target.authority.into());
            return if is_same { Ok(()) } else { at(target.word, BuildError::Tls(several)) };
        }
        self.spoken.push((id, tls.cloned()));
        let (Some(tls), Some(group)) = (tls, self.groups.get_mut(id.0)) else { return Ok(()) };
        let terms = Some(tls.terms(builder, (target.word, target.host()))?);
        group.servers.iter_mut().for_each(|server| server.tls.clone_from(&terms));
        Ok(())
    }

    /// All groups.
    pub(super) fn finish(mut self) -> Vec<Group> {
        for group in &mut self.groups {
            if group.check_timeout.is_zero() {
                group.check_timeout = CONNECT_TIMEOUT;
            }
        }
        self.groups
    }
}

fn upstream(builder: &mut Builder, directive: &Directive) -> Group {
    let name = first(directive);
    let block = Block::of(directive);
    let mut group = Group::new(&name.text, builder.layer);
    let outcome = server_lines(builder, block, name, &mut group.servers);
    builder.keep(outcome);
    builder.set(&mut group.keepalive, block.number("keepalive", 0, KEEPALIVE_LIMIT));
    let requests = block.number("keepalive_requests", 1, u64::MAX);
    builder.set(&mut group.keepalive_requests, requests);
    builder.set(&mut group.keepalive_time, block.time("keepalive_time"));
    builder.set(&mut group.keepalive_timeout, block.time("keepalive_timeout"));
    health::apply(builder, block, &mut group);
    group
}

fn server_lines(
    builder: &mut Builder,
    block: Block<'_>,
    name: &Word,
    servers: &mut Vec<Server>,
) -> Result<(), Fault> {
    let mut whole = block.is_whole();
    for line in block.many("server") {
        let line_servers = server_line(builder, line);
        match builder.keep(line_servers) {
            Some(mut more) => servers.append(&mut more),
            None => whole = false,
        }
        if servers.len() > GROUP_LIMIT {
            return at(first(line), BuildError::TooManyServers(name.text.clone()));
        }
    }
    if !whole {
        return Ok(());
    }
    if servers.is_empty() {
        return at(name, BuildError::NoServers(name.text.clone()));
    }
    if servers.iter().all(|server| server.backup) {
        return at(name, BuildError::OnlyBackups(name.text.clone()));
    }
    Ok(())
}

fn server_line(builder: &mut Builder, directive: &Directive) -> Result<Vec<Server>, Fault> {
    let word = first(directive);
    let mut model = Server {
        name: word.text.as_str().into(),
        // Replaced below by each address of the name.
        address: Address::Unix(Default::default()),
        tls: None,
        weight: 1,
        max_fails: MAX_FAILS,
        fail_timeout: FAIL_TIMEOUT,
        backup: false,
        down: false,
        max_connections: 0,
    };
    for parameter in others(directive) {
        server_parameter(parameter, &mut model)?;
    }
    let place = value::place(&word.text).map_err(|e| Fault::new(word.at, e))?;
    if matches!(place, UnresolvedAddress::Inet(_, Some(0))) {
        return Err(Fault::new(word.at, ValueError::Port("0".into())));
    }
    if builder.layer == Layer::Stream && matches!(place, UnresolvedAddress::Inet(_, None)) {
        return at(word, BuildError::NoPort(word.text.clone()));
    }
    let addresses =
        builder.resolve(&place).ok_or_else(|| not_found(word, "upstream", &word.text))?;
    Ok(addresses.into_iter().map(|address| Server { address, ..model.clone() }).collect())
}

/// The names of all `upstream {}` blocks.
fn names(http: Block<'_>, stream: Option<Block<'_>>) -> Vec<(Layer, String)> {
    let of = |layer, block: Block<'_>| {
        let blocks = block.many("upstream");
        blocks.map(move |block| (layer, first(block).text.clone())).collect::<Vec<_>>()
    };
    let stream = stream.map(|stream| of(Layer::Stream, stream)).unwrap_or_default();
    [of(Layer::Http, http), stream].concat()
}

fn server_parameter(word: &Word, server: &mut Server) -> Result<(), Fault> {
    let most = u64::from(u32::MAX);
    match word.text.split_once('=') {
        Some(("weight", n)) => {
            server.weight = within(word, value::number(n), "weight", 1, WEIGHT_LIMIT)?;
        }
        Some(("max_fails", n)) => {
            server.max_fails = within(word, value::number(n), "max_fails", 0, most)?;
        }
        Some(("max_conns", n)) => {
            server.max_connections = within(word, value::number(n), "max_conns", 0, most)?;
        }
        Some(("fail_timeout", wait)) => {
            server.fail_timeout = time(&Word { text: wait.into(), at: word.at })?;
        }
        Some(("slow_start" | "route" | "service", _)) => {
            return unsupported(word, "it is not implemented");
        }
        None if word.text == "backup" => server.backup = true,
        None if word.text == "down" => server.down = true,
        None if word.text == "resolve" => {
            return unsupported(word, "names are resolved when the file is loaded");
        }
        None if word.text == "drain" => return unsupported(word, "it is not implemented"),
        Some(_) | None => return at(word, BuildError::UnknownParameter(word.text.clone())),
    }
    Ok(())
}

impl Group {
    /// A group without servers, with nginx's defaults.
    fn new(name: &str, layer: Layer) -> Group {
        Group {
            name: name.into(),
            layer,
            servers: Vec::new(),
            keepalive: 32,
            keepalive_requests: 1000,
            keepalive_time: Duration::from_secs(3600),
            keepalive_timeout: Duration::from_secs(60),
            check_timeout: Duration::ZERO,
            trino: if layer == Layer::Http { Trino::Auto } else { Trino::Off },
            health_check: HealthCheck::ByMode,
            failback: None,
            queue: None,
            announcements: Announcements::All,
            resubmit: RESUBMIT,
            statement_memory: STATEMENT_MEMORY,
        }
    }
}

/// Default for `max_fails`.
const MAX_FAILS: u32 = 1;
/// Default for `fail_timeout`.
const FAIL_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of a background connection to a group that no location uses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// Limits a weight so that sums of weights cannot overflow.
const WEIGHT_LIMIT: u64 = 1_000_000;
/// The largest `keepalive`: idle connections per group.
const KEEPALIVE_LIMIT: u64 = 1_000_000;
