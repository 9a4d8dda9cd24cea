//! Where a client's address is taken from, and which peers are trusted to tell it.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::build::block::{Block, at, field_name, first, set};
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::diagnostic::Fault;
use crate::config::model::{RealIp, RealIpSource, Trusted};
use crate::config::text::lexer::Word;
use crate::config::text::tree::Directive;

/// Applies the directives of a block.
pub(super) fn apply(builder: &mut Builder, block: Block<'_>, real_ip: &mut RealIp) {
    set(&mut real_ip.trusted, trusted(builder, block));
    let source = block.word("real_ip_header").map(real_ip_source).transpose();
    builder.set(&mut real_ip.source, source);
    builder.set(&mut real_ip.recursive, block.switch("real_ip_recursive"));
}

/// The peers that a block trusts. `None` if it names none.
pub(super) fn trusted(builder: &mut Builder, block: Block<'_>) -> Option<Vec<Trusted>> {
    builder.list(block, "set_real_ip_from", |_, line| trusted_peer(line))
}

/// One `set_real_ip_from`.
fn trusted_peer(directive: &Directive) -> Result<Trusted, Fault> {
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

/// `real_ip_header`.
fn real_ip_source(word: &Word) -> Result<RealIpSource, Fault> {
    if word.text == "proxy_protocol" {
        return Ok(RealIpSource::ProxyProtocol);
    }
    field_name(word)?;
    Ok(RealIpSource::Field(word.text.to_ascii_lowercase().into()))
}
