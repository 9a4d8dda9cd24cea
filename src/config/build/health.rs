//! The directives of an `upstream {}` that begin with `trino`, `health_check`, `failback` and `queue`.

use std::time::Duration;

use crate::config::build::block::{Block, at, first, others, time, within};
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::diagnostic::Fault;
use crate::config::model::{
    Announcements, Asks, CheckRules, Failback, Group, HealthCheck, INFO, Layer, Queue, RESUBMIT,
    Resubmit, Trino,
};
use crate::config::text::lexer::Word;
use crate::config::text::tree::Directive;
use crate::config::text::value;

/// Applies the directives of a group's block.
pub(super) fn apply(builder: &mut Builder, block: Block<'_>, group: &mut Group) {
    builder.set(&mut group.trino, block.word("trino").map(trino).transpose());
    let layer = builder.layer;
    let check = block.one("health_check").map(|directive| health_check(directive, layer));
    builder.set(&mut group.health_check, check.transpose());
    let back = block.word("failback").map(failback).transpose();
    builder.set(&mut group.failback, back.map(|back| back.map(Some)));
    let to = block.word("trino_announcements").map(announcements).transpose();
    builder.set(&mut group.announcements, to);
    let again = block.one("trino_resubmit").map(resubmit).transpose();
    builder.set(&mut group.resubmit, again);
    let memory = block.size("trino_statement_memory", 0, MEMORY_LIMIT);
    builder.set(&mut group.statement_memory, memory);
    let queue = block.one("queue").map(queue).transpose();
    builder.set(&mut group.queue, queue.map(|queue| queue.map(Some)));
}

fn announcements(word: &Word) -> Result<Announcements, Fault> {
    match word.text.as_str() {
        "all" => Ok(Announcements::All),
        "active" => Ok(Announcements::Active),
        other => at(word, BuildError::Choice { found: other.into(), allowed: "all, active" }),
    }
}

fn resubmit(directive: &Directive) -> Result<Resubmit, Fault> {
    let switched = first(directive);
    let is_on = match switched.text.as_str() {
        "on" => true,
        "off" => false,
        other => {
            return at(switched, BuildError::Choice { found: other.into(), allowed: "on, off" });
        }
    };
    let mut rules = if is_on { RESUBMIT } else { Resubmit::Off };
    for word in others(directive) {
        match (word.text.split_once('='), &mut rules) {
            (Some(("doubt", text)), Resubmit::On { doubt }) => {
                *doubt = time(&Word { text: text.into(), at: word.at })?;
            }
            (Some(("doubt", _)), Resubmit::Off) => {
                return at(word, BuildError::OffBesides("trino_resubmit"));
            }
            (Some(_) | None, _) => {
                return at(word, BuildError::UnknownParameter(word.text.clone()));
            }
        }
    }
    Ok(rules)
}

fn trino(word: &Word) -> Result<Trino, Fault> {
    match word.text.as_str() {
        "auto" => Ok(Trino::Auto),
        "on" => Ok(Trino::On),
        "off" => Ok(Trino::Off),
        other => at(word, BuildError::Choice { found: other.into(), allowed: "auto, on, off" }),
    }
}

fn health_check(directive: &Directive, layer: Layer) -> Result<HealthCheck, Fault> {
    if let [word] = &directive.args[..]
        && word.text == "off"
    {
        return Ok(HealthCheck::Off);
    }
    let mut rules = CheckRules::of(match layer {
        Layer::Http => Asks::Uri(INFO.into()),
        Layer::Stream => Asks::Connection,
    });
    for word in &directive.args {
        parameter(word, &mut rules)?;
    }
    Ok(HealthCheck::On(rules))
}

fn parameter(word: &Word, rules: &mut CheckRules) -> Result<(), Fault> {
    let of = |text: &str| Word { text: text.into(), at: word.at };
    match word.text.split_once('=') {
        Some(("interval", text)) => rules.interval = positive(&of(text), "interval")?,
        Some(("timeout", text)) => rules.timeout = positive(&of(text), "timeout")?,
        Some(("fails", n)) => rules.fails = within(word, value::number(n), "fails", 1, MOST)?,
        Some(("passes", n)) => rules.passes = within(word, value::number(n), "passes", 1, MOST)?,
        Some(("uri", uri)) if is_target(uri) => rules.asks = Asks::Uri(uri.as_bytes().into()),
        Some(("uri", uri)) => return at(word, BuildError::CheckUri(uri.into())),
        None if word.text == "off" => return at(word, BuildError::OffBesides("health_check")),
        Some(_) | None => return at(word, BuildError::UnknownParameter(word.text.clone())),
    }
    Ok(())
}

fn failback(word: &Word) -> Result<Failback, Fault> {
    match (word.text.as_str(), word.text.strip_prefix("after=")) {
        ("immediate", _) => Ok(Failback::Immediate),
        ("manual", _) => Ok(Failback::Manual),
        (_, Some(wait)) => Ok(Failback::After(time(&Word { text: wait.into(), at: word.at })?)),
        (other, None) => {
            let allowed = "immediate, after=TIME, manual";
            at(word, BuildError::Choice { found: other.into(), allowed })
        }
    }
}

fn queue(directive: &Directive) -> Result<Queue, Fault> {
    let length = first(directive);
    let length = within(length, value::number(&length.text), "queue", 0, QUEUE_LIMIT)?;
    let mut queue = Queue { length, timeout: QUEUE_TIMEOUT };
    for word in others(directive) {
        match word.text.split_once('=') {
            Some(("timeout", text)) => {
                queue.timeout = positive(&Word { text: text.into(), at: word.at }, "timeout")?;
            }
            Some(_) | None => return at(word, BuildError::UnknownParameter(word.text.clone())),
        }
    }
    Ok(queue)
}

/// A time above zero.
fn positive(word: &Word, name: &'static str) -> Result<Duration, Fault> {
    let time = time(word)?;
    if time.is_zero() {
        return at(word, BuildError::NoTime(name));
    }
    Ok(time)
}

/// Whether a text can be the target of a request: a path, and a query if there is one.
fn is_target(uri: &str) -> bool {
    uri.starts_with('/') && uri.len() <= URI_LIMIT && uri.bytes().all(|b| b.is_ascii_graphic())
}

/// The largest `trino_statement_memory`: what a worker can have at all.
const MEMORY_LIMIT: u64 = 1 << 40;
/// The largest `fails` and `passes`.
const MOST: u64 = 1000;
/// The longest `uri`, in bytes: a check's request is written in one piece.
const URI_LIMIT: usize = 2048;
/// The largest `queue`.
const QUEUE_LIMIT: u64 = 1_000_000;
/// How long a request waits in a `queue` without `timeout`; nginx's default.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);
