//! Remarks on directives that are right for most servers and wrong for coordinators of Trino.

use crate::address::Address;
use crate::config::build::block::{Block, first, second};
use crate::config::build::builder::Builder;
use crate::config::build::remark::Remark;
use crate::config::model::{
    Config, Group, HeadLimits, Layer, Serves, ShortHeadLine, Trino, VirtualServerId,
};
use crate::config::text::lexer::Word;
use crate::config::text::tree::Directive;

/// Adds the remarks on all locations that pass requests on.
pub(super) fn remark_on_coordinators(builder: &mut Builder, http: Block<'_>, config: &Config) {
    let servers = http.many("server").zip(&config.virtual_servers).enumerate();
    for (index, (directive, server)) in servers {
        let block = Block::of(directive);
        let around = Around {
            groups: &config.groups,
            limits: &server.limits,
            has_other_port: has_other_port(config, VirtualServerId(index)),
            host: host(block, host(http, None)),
        };
        locations(builder, block, &around);
    }
}

/// What applies to a location.
struct Around<'t> {
    groups: &'t [Group],
    limits: &'t HeadLimits,
    /// Whether the server listens on a port that URLs have to name.
    has_other_port: bool,
    /// The value of `proxy_set_header Host`.
    host: Option<&'t Word>,
}

fn locations(builder: &mut Builder, block: Block<'_>, outer: &Around<'_>) {
    for directive in block.many("location") {
        let inner = Block::of(directive);
        let around = Around { host: host(inner, outer.host), ..*outer };
        if let Some(pass) = inner.word("proxy_pass") {
            location(builder, directive, pass, &around);
        }
        locations(builder, inner, &around);
    }
}

fn location(builder: &mut Builder, directive: &Directive, pass: &Word, around: &Around<'_>) {
    let Some(group) = group(around.groups, pass) else { return };
    let is_hostname = |word: &&Word| matches!(word.text.as_str(), "$host" | "${host}");
    if let Some(host) = around.host.filter(is_hostname)
        && around.has_other_port
        && group.trino != Trino::Off
    {
        builder.remark(host.at, Remark::HostWithoutPort);
    }
    let path = directive.args.last().map_or("", |word| word.text.as_str());
    let is_trinos = match group.trino {
        Trino::On => true,
        Trino::Auto => path.starts_with("/v1/statement"),
        Trino::Off => false,
    };
    let short = ShortHeadLine::of(around.limits.large_buffer_size);
    if let Some(short) = short.filter(|_| is_trinos) {
        builder.remark(pass.at, Remark::ShortHeads(short));
    }
}

/// The `Host` that a level sets. One that sets any field inherits none.
fn host<'t>(block: Block<'t>, outer: Option<&'t Word>) -> Option<&'t Word> {
    if block.one("proxy_set_header").is_none() {
        return outer;
    }
    let all = block.many("proxy_set_header");
    let is_host = |directive: &&Directive| first(directive).text.eq_ignore_ascii_case("host");
    all.filter(is_host).last().map(second)
}

/// The group that requests are passed to.
fn group<'t>(groups: &'t [Group], pass: &Word) -> Option<&'t Group> {
    let rest = pass.text.split_once("://")?.1;
    let name = rest.split('/').next()?;
    groups.iter().find(|group| group.layer == Layer::Http && *group.name == *name)
}

/// Whether a server listens on a port that URLs have to name.
fn has_other_port(config: &Config, server: VirtualServerId) -> bool {
    config.listens.iter().any(|listen| {
        let is_its = match &listen.serves {
            Serves::Http { servers, .. } => servers.contains(&server),
            Serves::Stream(_) => false,
        };
        let port = match &listen.address {
            Address::Inet(address) => Some(address.port()),
            Address::Unix(_) => None,
        };
        is_its && port.is_some_and(|port| port != HTTP && port != HTTPS)
    })
}

/// Ports that URLs need not name.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;
