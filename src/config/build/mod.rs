//! Turns directives into the model: contexts, defaults, inheritance, cross-checks.
//!
//! First every directive is checked against the table of known ones; then builders pick out what
//! they need and rely on its form. A fault is noted where it is found, and building goes on as if
//! the directive were absent, so that one load finds all faults.

mod block;
mod builder;
mod check;
mod control;
pub(in crate::config) mod error;
mod health;
mod http;
mod lints;
mod listen;
mod location;
mod logs;
mod pass_target;
mod process;
mod proxy;
mod proxy_tls;
mod real_ip;
pub(in crate::config) mod remark;
mod server;
mod settings;
mod stream;
mod tables;
mod tls;
mod tls_error;
mod upstream;
mod vain;

use crate::config::diagnostic::FaultList;
use crate::config::model::{Config, Layer};
use crate::config::text::files::Files;
use crate::config::text::tree;
use block::Block;
use builder::{Builder, Placed};
use remark::Remark;
use tables::Tables;

pub(super) use builder::Surroundings;
pub(super) use control::listen_for_commands;

/// Builds the model of a main file, with directives from the command line.
pub(super) fn build(
    files: &mut Files,
    main: usize,
    extra: Option<usize>,
    around: Surroundings,
) -> Result<(Config, Vec<Placed>), FaultList> {
    let mut builder = Builder::new(around);
    let mut directives = match extra {
        Some(extra) => tree::parse(files, extra, &mut builder.faults),
        None => Vec::new(),
    };
    check::main_only(&mut builder, &mut directives);
    directives.append(&mut tree::parse(files, main, &mut builder.faults));
    check::file(&mut builder, &mut directives);

    let main = Block(&directives);
    let http = main.one("http").map_or(main, Block::of);
    let stream = main.one("stream").map(Block::of);
    let mut tables = Tables::new(http, stream, &builder.around.constants);
    let mut process = process::process(&mut builder, main);
    let virtual_servers = http::virtual_servers(&mut builder, &mut tables, http);
    builder.layer = Layer::Stream;
    let stream_servers = match stream {
        Some(stream) => stream::servers(&mut builder, &mut tables, stream),
        None => Vec::new(),
    };
    let listens = tables.listens.finish(&mut builder.faults);
    control::keep_apart(&mut builder, main, &mut process.control, &listens);
    if builder.faults.count() > 0 {
        return Err(builder.faults);
    }
    if virtual_servers.is_empty() && stream_servers.is_empty() {
        builder.remarks.push((None, Remark::NothingToServe));
    }
    let config = Config {
        process,
        listens,
        virtual_servers,
        stream_servers,
        groups: tables.groups.finish(),
        access_logs: tables.logs.files,
        log_formats: tables.logs.formats,
    };
    lints::remark_on_coordinators(&mut builder, http, &config);
    let mut remarks = builder.remarks;
    remarks.sort_by_cached_key(|(at, _)| at.map(|at| files.order(at)));
    Ok((config, each_once(remarks)))
}

/// Drops remarks that repeat an earlier one.
fn each_once(remarks: Vec<Placed>) -> Vec<Placed> {
    let mut kept: Vec<Placed> = Vec::new();
    for (at, remark) in remarks {
        let is_said = remark.is_general() && kept.iter().any(|(_, said)| *said == remark);
        if !is_said {
            kept.push((at, remark));
        }
    }
    kept
}
