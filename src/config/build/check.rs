//! Checks that every directive is known, allowed in its context, well formed and not repeated.

use std::collections::HashSet;

use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::build::remark::Remark;
use crate::config::diagnostic::Fault;
use crate::config::known::directives::{self, Contexts, IN_STREAM, Kind, KnownDirective};
use crate::config::known::unsupported;
use crate::config::text::tree::Directive;

/// Checks the directives of the command line.
pub(super) fn main_only(builder: &mut Builder, directives: &mut [Directive]) {
    block(builder, directives, Contexts::MAIN);
    // These directives are checked again together with all others.
    builder.remarks.clear();
}

/// Checks a whole file.
pub(super) fn file(builder: &mut Builder, directives: &mut [Directive]) {
    let is_http = |directive: &Directive| directive.name == "http";
    let only_http = |directive: &Directive| {
        directives::find(&directive.name, Contexts::HTTP).is_some()
            && directives::find(&directive.name, Contexts::MAIN).is_none()
    };
    // A file with the contents of `http {}` but no `http {}` around them is a fragment for
    // inclusion.
    let fragment = !directives.iter().any(is_http) && directives.iter().any(only_http);
    let contexts = if fragment { Contexts::MAIN.or(Contexts::HTTP) } else { Contexts::MAIN };
    block(builder, directives, contexts);
}

fn block(builder: &mut Builder, directives: &mut [Directive], contexts: Contexts) {
    let passes_on = directives.iter().any(|directive| directive.name == "proxy_pass");
    let mut around = Around { contexts, seen: HashSet::new(), passes_on };
    for directive in directives {
        if !directive.sound {
            builder.gaps.add(directive);
            continue;
        }
        if let Err(fault) = check(builder, directive, &mut around) {
            builder.faults.note(fault);
            builder.gaps.add(directive);
            directive.sound = false;
        }
    }
}

fn check(
    builder: &mut Builder,
    directive: &mut Directive,
    around: &mut Around,
) -> Result<(), Fault> {
    // The contents are checked even if the block itself is misplaced.
    if directives::is_block(&directive.name)
        && let Some(inside) = &mut directive.block
    {
        block(builder, inside, contexts_inside(&directive.name, around.contexts));
    }
    let Some(known) = directives::find(&directive.name, around.contexts) else {
        return Err(not_here(directive, around.contexts));
    };
    let is_first = around.seen.insert(known.name);
    if let Err(fault) = form(directive, known) {
        let is_usable = directive.block.is_some() && directive.args.len() > known.most;
        if !is_usable || !directives::is_block(known.name) {
            return Err(fault);
        }
        builder.faults.note(fault);
    }
    match known.kind {
        Kind::Once | Kind::Block if !is_first => {
            let error = BuildError::Duplicate(directive.name.clone());
            return Err(Fault::new(directive.at, error));
        }
        Kind::Once | Kind::Many | Kind::Block | Kind::Blocks => {}
        Kind::Hint => {
            builder.remark(directive.at, Remark::Hint(known.name));
        }
        Kind::Only(word) => only(directive, word)?,
        Kind::Undone(reason) => {
            let off = matches!(directive.args.as_slice(), [word] if word.text == "off");
            if !off {
                let remark = Remark::Undone { name: known.name, reason };
                builder.remark(directive.at, remark);
            }
        }
        Kind::BesideProxyPass if !around.passes_on => {
            return Err(Fault::new(directive.at, BuildError::TryFiles));
        }
        Kind::BesideProxyPass => {
            let reason = "every request is passed on, files are not looked for";
            let remark = Remark::Undone { name: known.name, reason };
            builder.remark(directive.at, remark);
        }
    }
    Ok(())
}

/// What is known about the block that a directive stands in.
struct Around {
    contexts: Contexts,
    /// The directives that precede it.
    seen: HashSet<&'static str>,
    /// Whether the block also has a `proxy_pass`.
    passes_on: bool,
}

/// The contexts inside a block that stands in `around`.
fn contexts_inside(name: &str, around: Contexts) -> Contexts {
    match name {
        "events" => Contexts::EVENTS,
        "http" => Contexts::HTTP,
        "stream" => Contexts::STREAM,
        "upstream" if around == Contexts::STREAM => Contexts::STREAM_UPSTREAM,
        "upstream" => Contexts::UPSTREAM,
        "server" if around == Contexts::STREAM => Contexts::STREAM_SERVER,
        "server" => Contexts::SERVER,
        _ => Contexts::LOCATION,
    }
}

/// Why a directive is not allowed where it stands.
fn not_here(directive: &Directive, around: Contexts) -> Fault {
    let name = directive.name.clone();
    if let Some(reason) = unsupported::reason_in_stream(&name)
        && around.meets(IN_STREAM)
    {
        return Fault::new(directive.at, BuildError::NotInStream { name, reason });
    }
    let error = match (directives::contexts_of(&name), unsupported::reason(&name)) {
        (Some(allowed), _) => BuildError::Misplaced { name, allowed, around },
        (None, Some(reason)) => BuildError::Unsupported { what: name, reason },
        (None, None) => BuildError::UnknownDirective(name),
    };
    Fault::new(directive.at, error)
}

/// Checks that a directive has a block if it needs one, and the right number of arguments.
fn form(directive: &Directive, known: &KnownDirective) -> Result<(), Fault> {
    let name = || directive.name.clone();
    let error = match (known.kind, directive.block.is_some()) {
        (Kind::Block | Kind::Blocks, false) => BuildError::NeedsBlock(name()),
        (
            Kind::Once | Kind::Many | Kind::Only(_) | Kind::Undone(_) | Kind::BesideProxyPass,
            true,
        ) => BuildError::NoBlock(name()),
        (Kind::Block | Kind::Blocks, true)
        | (
            Kind::Once | Kind::Many | Kind::Only(_) | Kind::Undone(_) | Kind::BesideProxyPass,
            false,
        )
        | (Kind::Hint, true | false) => {
            let KnownDirective { least, most, .. } = *known;
            if (least..=most).contains(&directive.args.len()) {
                return Ok(());
            }
            BuildError::Arguments { name: name(), least, most }
        }
    };
    Err(Fault::new(directive.at, error))
}

/// Checks that a directive asks only for the behaviour we already have.
fn only(directive: &Directive, word: &'static str) -> Result<(), Fault> {
    match directive.args.as_slice() {
        [given] if given.text.eq_ignore_ascii_case(word) => Ok(()),
        given => {
            let given: Vec<&str> = given.iter().map(|arg| arg.text.as_str()).collect();
            let what = format!("{} {}", directive.name, given.join(" "));
            let reason = unsupported::reason(&directive.name).unwrap_or("it is not implemented");
            Err(Fault::new(directive.at, BuildError::Unsupported { what, reason }))
        }
    }
}
