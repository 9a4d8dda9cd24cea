//! Turns directives into the model: contexts, defaults, inheritance, cross-checks.
//!
//! First every directive is checked against the table of known ones; then builders pick out what
//! they need and rely on its form. A fault is noted where it is found, and building goes on as if
//! the directive were absent, so that one load finds all faults.

mod block;
mod check;
pub(in crate::config) mod error;
mod http;
mod listen;
mod location;
mod logs;
mod process;
mod proxy;
mod server;
mod stream;
mod upstream;
mod vain;

use std::path::PathBuf;

use super::diagnostic::{Fault, FaultList};
use super::files::Files;
use super::lexer::{Span, Word};
use super::model::{Config, Layer, LogSink};
use super::names::Names;
use super::template::{Constants, Template};
use super::tree;
use block::Block;
use check::{Findings, Gaps};
use error::Remark;

/// What a configuration depends on besides its text.
pub(super) struct Surroundings {
    pub(super) prefix: PathBuf,
    pub(super) error_log: LogSink,
    pub(super) names: Names,
    pub(super) constants: Constants,
}

/// A remark, and its place if it has one.
pub(super) type Placed = (Option<Span>, Remark);

/// State that the builders share while one configuration is built.
struct Builder {
    around: Surroundings,
    /// The layer being built.
    layer: Layer,
    remarks: Vec<Placed>,
    faults: FaultList,
    gaps: Gaps,
    /// The names and layers of all `upstream {}` blocks.
    upstream_names: Vec<(Layer, String)>,
    groups: upstream::Groups,
    logs: logs::Logs,
}

/// Builds the model of a main file, with directives from the command line.
pub(super) fn build(
    files: &mut Files,
    main: usize,
    extra: Option<usize>,
    around: Surroundings,
) -> Result<(Config, Vec<Placed>), FaultList> {
    let mut found = Findings::default();
    let mut directives = match extra {
        Some(extra) => tree::parse(files, extra, &mut found.faults),
        None => Vec::new(),
    };
    found.main_only(&mut directives);
    directives.append(&mut tree::parse(files, main, &mut found.faults));
    found.file(&mut directives);

    let main = Block(&directives);
    let http = main.one("http").map_or(main, Block::of);
    let mut builder = Builder {
        around,
        layer: Layer::Http,
        remarks: found.remarks,
        faults: found.faults,
        gaps: found.gaps,
        upstream_names: upstream::names(http, main.one("stream").map(Block::of)),
        groups: upstream::Groups::default(),
        logs: logs::Logs::new(),
    };
    let process = builder.process(main);
    let mut listens = listen::Listens::default();
    let virtual_servers = builder.http(http, &mut listens);
    builder.layer = Layer::Stream;
    let stream_servers = match main.one("stream").map(Block::of) {
        Some(stream) => builder.stream(stream, &mut listens),
        None => Vec::new(),
    };
    let listens = listens.finish(&mut builder.faults);
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
        groups: builder.groups.finish(),
        access_logs: builder.logs.files,
        log_formats: builder.logs.formats,
    };
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

impl Builder {
    fn remark(&mut self, at: Span, remark: Remark) {
        self.remarks.push((Some(at), remark));
    }

    /// Notes the fault if there is one, and returns `None` then.
    fn keep<T>(&mut self, outcome: Result<T, Fault>) -> Option<T> {
        self.faults.keep(outcome)
    }

    /// Replaces an inherited value if the level sets a valid one.
    fn set<T>(&mut self, inherited: &mut T, here: Result<Option<T>, Fault>) {
        if let Some(Some(here)) = self.keep(here) {
            *inherited = here;
        }
    }

    /// A value with variables.
    fn template(&self, word: &Word) -> Result<Template, Fault> {
        Template::compile(&word.text, self.layer, &self.around.constants)
            .map_err(|e| Fault::new(word.at, e))
    }

    /// A path relative to the prefix.
    fn path(&self, word: &Word) -> PathBuf {
        self.around.prefix.join(&word.text)
    }
}
