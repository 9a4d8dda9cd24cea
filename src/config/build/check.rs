//! Whether every directive is known, allowed where it stands, well formed and not given twice.

use std::collections::HashSet;

use super::Placed;
use super::error::{BuildError, Remark};
use crate::config::diagnostic::Fault;
use crate::config::directives::{self, Contexts, KNOWN, Kind, Known};
use crate::config::nearest;
use crate::config::tree::Directive;
use crate::config::unsupported;

/// Checks directives of the command line.
pub(super) fn main_only(directives: &[Directive]) -> Result<(), Fault> {
    block(directives, Contexts::MAIN, &mut Vec::new())
}

/// Checks a whole file.
pub(super) fn file(directives: &[Directive], remarks: &mut Vec<Placed>) -> Result<(), Fault> {
    let is_http = |directive: &Directive| directive.name == "http";
    let only_http = |directive: &Directive| {
        directives::find(&directive.name, Contexts::HTTP).is_some()
            && directives::find(&directive.name, Contexts::MAIN).is_none()
    };
    // A file that holds what stands in `http {}`, without `http {}`, is its inside.
    let fragment = !directives.iter().any(is_http) && directives.iter().any(only_http);
    let contexts = if fragment { Contexts::MAIN.or(Contexts::HTTP) } else { Contexts::MAIN };
    block(directives, contexts, remarks)
}

fn block(
    directives: &[Directive],
    contexts: Contexts,
    remarks: &mut Vec<Placed>,
) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for directive in directives {
        let known = match directives::find(&directive.name, contexts) {
            Some(known) => known,
            None => return Err(not_here(directive)),
        };
        let first = seen.insert(directive.name.as_str());
        form(directive, known)?;
        match known.kind {
            Kind::Once | Kind::Block if !first => {
                let error = BuildError::Duplicate(directive.name.clone());
                return Err(Fault::new(directive.at, error));
            }
            Kind::Once | Kind::Many => {}
            Kind::Block | Kind::Blocks => {
                let inside = directive.block.as_deref().unwrap_or_default();
                block(inside, contexts_inside(known.name, contexts), remarks)?;
            }
            Kind::Hint => {
                remarks.push((Some(directive.at), Remark::Hint(directive.name.clone())));
            }
            Kind::Only(word) => only(directive, word)?,
        }
    }
    Ok(())
}

/// What may stand inside of a block that stands in `around`.
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

/// Why a directive cannot stand where it does.
fn not_here(directive: &Directive) -> Fault {
    let name = directive.name.clone();
    let error = match (directives::contexts_of(&name), unsupported::reason(&name)) {
        (Some(allowed), _) => BuildError::Misplaced { name, allowed },
        (None, Some(reason)) => BuildError::Unsupported { what: name, reason },
        (None, None) => {
            let nearest = nearest(&name, KNOWN.iter().map(|known| known.name));
            BuildError::UnknownDirective { name, nearest }
        }
    };
    Fault::new(directive.at, error)
}

/// Whether it has a block if it must, and the right number of arguments.
fn form(directive: &Directive, known: &Known) -> Result<(), Fault> {
    let name = || directive.name.clone();
    let error = match (known.kind, directive.block.is_some()) {
        (Kind::Block | Kind::Blocks, false) => BuildError::NeedsBlock(name()),
        (Kind::Once | Kind::Many | Kind::Only(_), true) => BuildError::NoBlock(name()),
        (Kind::Block | Kind::Blocks, true)
        | (Kind::Once | Kind::Many | Kind::Only(_), false)
        | (Kind::Hint, true | false) => {
            let Known { least, most, .. } = *known;
            if (least..=most).contains(&directive.args.len()) {
                return Ok(());
            }
            BuildError::Arguments { name: name(), least, most }
        }
    };
    Err(Fault::new(directive.at, error))
}

/// Whether a directive asks only for what is the case anyway.
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
