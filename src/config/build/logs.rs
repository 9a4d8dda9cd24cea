//! `log_format` and `access_log`.

use std::time::Duration;

use crate::config::build::block::{Block, at, first, others, time, unsupported, within};
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::diagnostic::Fault;
use crate::config::model::template::{Constants, Template};
use crate::config::model::{AccessLog, Escape, FormatId, Layer, LogFormat, LogId, LogTo};
use crate::config::text::tree::Directive;
use crate::config::text::value;

/// The log files and formats found so far.
pub(super) struct Logs {
    pub(super) files: Vec<AccessLog>,
    pub(super) formats: Vec<LogFormat>,
    /// Index of the first format of the layer being built.
    first: usize,
}

impl Logs {
    /// No files yet, and the format that `http {}` always has.
    pub(super) fn new(constants: &Constants) -> Logs {
        let line = Template::compile(COMBINED, Layer::Http, constants)
            .expect("the variables of the format are known");
        let combined = LogFormat { name: "combined".into(), escape: Escape::Default, line };
        Logs { files: Vec::new(), formats: vec![combined], first: 0 }
    }

    /// All formats of `http {}` or `stream {}`.
    pub(super) fn read_formats(&mut self, builder: &mut Builder, block: Block<'_>) {
        for directive in block.many("log_format") {
            let name = first(directive);
            let line = builder.keep(log_format(builder, directive));
            if self.find(&name.text).is_some() {
                let error = BuildError::DuplicateFormat(name.text.clone());
                builder.faults.note(Fault::new(name.at, error));
                continue;
            }
            // The name is known even if the line is wrong.
            let (escape, line) = line.unwrap_or((Escape::Default, Template::default()));
            let name = name.text.as_str().into();
            self.formats.push(LogFormat { name, escape, line });
        }
    }

    /// Formats added from now on belong to another layer.
    pub(super) fn begin_formats(&mut self) {
        self.first = self.formats.len();
    }

    /// The access logs of a level. `None` if the level has no `access_log`.
    pub(super) fn access_logs(
        &mut self,
        builder: &mut Builder,
        block: Block<'_>,
    ) -> Option<Vec<LogTo>> {
        let (mut logs, mut off) = (None, false);
        for directive in block.many("access_log") {
            let list = logs.get_or_insert_with(Vec::new);
            if first(directive).text != "off" {
                let log = self.access_log(builder, directive);
                list.extend(builder.keep(log).flatten());
                continue;
            }
            off = true;
            if let Some(word) = others(directive).first() {
                let error = BuildError::UnknownParameter(word.text.clone());
                builder.faults.note(Fault::new(word.at, error));
            }
        }
        // nginx: one `off` cancels all other logs of the level.
        if off { Some(Vec::new()) } else { logs }
    }

    /// One log. `None` if its format was refused.
    fn access_log(
        &mut self,
        builder: &Builder,
        directive: &Directive,
    ) -> Result<Option<LogTo>, Fault> {
        let path = first(directive);
        if path.text.starts_with("syslog:") {
            return unsupported(path, "access logs go to files");
        }
        if path.text.contains('$') {
            return unsupported(path, "a log's path cannot hold variables");
        }
        let mut log = AccessLog { path: builder.path(path), buffer: BUFFER, flush: FLUSH };
        let mut format = self.find("combined");
        for (place, word) in others(directive).iter().enumerate() {
            match word.text.split_once('=') {
                Some(("buffer", size)) => {
                    log.buffer = within(word, value::size(size), "buffer", 1, BUFFER_LIMIT)?;
                }
                Some(("flush", wait)) => {
                    let mut word = word.clone();
                    word.text = wait.into();
                    log.flush = time(&word)?;
                }
                Some(("if" | "gzip", _)) => {
                    return unsupported(word, "every request is logged as text");
                }
                None if word.text == "gzip" && place > 0 => {
                    return unsupported(word, "every request is logged as text");
                }
                None if place == 0 => {
                    format = self.find(&word.text);
                    if format.is_none() && builder.gaps.may_define(&word.text) {
                        return Ok(None);
                    }
                    if format.is_none() {
                        return at(word, BuildError::UnknownFormat(word.text.clone()));
                    }
                }
                Some(_) | None => return at(word, BuildError::UnknownParameter(word.text.clone())),
            }
        }
        let Some(format) = format else { return at(path, BuildError::FormatMissing) };
        let log = match self.files.iter().position(|known| known.path == log.path) {
            Some(index) if self.files.get(index) == Some(&log) => LogId(index),
            Some(_) => return at(path, BuildError::LogConflict(path.text.clone())),
            None => {
                self.files.push(log);
                LogId(self.files.len() - 1)
            }
        };
        Ok(Some(LogTo { log, format }))
    }

    /// The format of that name in the layer being built.
    fn find(&self, name: &str) -> Option<FormatId> {
        let mut formats = self.formats.iter().enumerate().skip(self.first);
        formats.find(|(_, format)| *format.name == *name).map(|(index, _)| FormatId(index))
    }
}

/// The escaping and the line of a `log_format`.
fn log_format(builder: &Builder, directive: &Directive) -> Result<(Escape, Template), Fault> {
    let mut pieces = others(directive);
    let mut escape = Escape::Default;
    if let [word, rest @ ..] = pieces
        && let Some(how) = word.text.strip_prefix("escape=")
    {
        escape = match how {
            "default" => Escape::Default,
            "json" => Escape::Json,
            "none" => Escape::None,
            other => {
                let allowed = "default, json, none";
                return at(word, BuildError::Choice { found: other.into(), allowed });
            }
        };
        pieces = rest;
    }
    let mut line = Template::default();
    for piece in pieces {
        line.parts.append(&mut builder.template(piece)?.parts);
    }
    Ok((escape, line))
}

/// nginx's `combined` format.
const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status \
     $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";
/// Default for `buffer=`, in bytes: a few dozen lines per write.
const BUFFER: usize = 16 << 10;
/// The largest `buffer=`, in bytes.
const BUFFER_LIMIT: u64 = 64 << 20;
/// Default for `flush=`: a person following the log should not notice the delay.
const FLUSH: Duration = Duration::from_millis(200);
