//! `http {}`: log formats and groups first, then the servers that refer to them.

use crate::config::build::block::Block;
use crate::config::build::builder::Builder;
use crate::config::build::server;
use crate::config::build::settings::HttpLevel;
use crate::config::build::tables::Tables;
use crate::config::model::VirtualServer;

/// All virtual servers; adds to `tables` what they use.
pub(super) fn virtual_servers(
    builder: &mut Builder,
    tables: &mut Tables,
    http: Block<'_>,
) -> Vec<VirtualServer> {
    tables.logs.read_formats(builder, http);
    tables.groups.read_blocks(builder, http);
    let mut level = HttpLevel::default();
    level.apply_head_limits(builder, http);
    level.tls.apply(builder, http);
    level.apply(builder, &mut tables.logs, http);
    server::servers(builder, tables, http, &level)
}
