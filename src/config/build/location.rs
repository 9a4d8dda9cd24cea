//! `location {}` blocks, and how they answer.

use crate::config::build::block::{Block, NO_REGEX, at, first, others, status, unsupported};
use crate::config::build::builder::Builder;
use crate::config::build::error::BuildError;
use crate::config::build::remark::Remark;
use crate::config::build::settings::HttpLevel;
use crate::config::build::tables::Tables;
use crate::config::diagnostic::Fault;
use crate::config::model::template::Template;
use crate::config::model::{Action, Location, Matcher, Return};
use crate::config::text::lexer::Word;
use crate::config::text::tree::Directive;

/// All locations of a server, nested ones after their parents; adds to `tables` what they use.
pub(super) fn locations(
    builder: &mut Builder,
    tables: &mut Tables,
    server: Block<'_>,
    level: &HttpLevel,
) -> Vec<Location> {
    let mut locations = LocationList { builder, tables, list: Vec::new() };
    locations.read(server, None, level);
    locations.list
}

/// The locations of one server, as far as they are read.
struct LocationList<'b> {
    builder: &'b mut Builder,
    tables: &'b mut Tables,
    list: Vec<Location>,
}

impl LocationList<'_> {
    /// Reads the locations of a block, and those nested in them.
    fn read(&mut self, block: Block<'_>, parent: Option<&Matcher>, level: &HttpLevel) {
        let mut siblings = Vec::new();
        for directive in block.many("location") {
            match self.builder.keep(matcher(directive)) {
                Some(matcher) => siblings.push((directive, matcher)),
                None => self.refused(directive, level),
            }
        }
        for (directive, matcher) in &siblings {
            let word = pattern(directive);
            if self.builder.keep(fits(word, matcher, parent, &self.list)).is_none() {
                self.refused(directive, level);
                continue;
            }
            let first = self.list.len();
            self.location(directive, matcher, level);
            self.drop_hidden(word, matcher, &siblings, first);
        }
    }

    /// Looks for further faults inside a location whose own path is wrong.
    fn refused(&mut self, directive: &Directive, level: &HttpLevel) {
        let everything = Matcher::Prefix(Box::default());
        let list = std::mem::take(&mut self.list);
        self.location(directive, &everything, level);
        self.list = list;
    }

    fn location(&mut self, directive: &Directive, matcher: &Matcher, outer: &HttpLevel) {
        let block = Block::of(directive);
        let mut level = outer.clone();
        level.apply(self.builder, &mut self.tables.logs, block);
        // The URL must be valid even if no request uses it.
        let proxy = block.word("proxy_pass").and_then(|url| {
            let proxy = level.proxy.pass(self.builder, &mut self.tables.groups, url, matcher);
            self.builder.keep(proxy)
        });
        let action = match (answer(self.builder, block), proxy) {
            (Some(answer), _) => Action::Return(answer),
            (None, Some(proxy)) => Action::Proxy(Box::new(proxy)),
            (None, None) => Action::NotFound,
        };
        let settings = level.settings.clone();
        self.list.push(Location { matcher: matcher.clone(), action, settings });
        self.read(block, Some(matcher), &level);
    }

    /// Removes nested locations that nginx would never reach, because a sibling of their parent
    /// matches the same paths better.
    fn drop_hidden(
        &mut self,
        word: &Word,
        outer: &Matcher,
        siblings: &[(&Directive, Matcher)],
        first: usize,
    ) {
        let hides = |sibling: &Matcher, inner: &Location| match sibling {
            Matcher::Exact(_) => false,
            Matcher::Prefix(prefix) => {
                prefix.len() > path(outer).len() && path(&inner.matcher).starts_with(prefix)
            }
        };
        let mut index = first + 1;
        while let Some(inner) = self.list.get(index) {
            if siblings.iter().any(|(_, sibling)| hides(sibling, inner)) {
                self.builder.remark(word.at, Remark::HiddenLocation(shown(&inner.matcher)));
                self.list.remove(index);
            } else {
                index += 1;
            }
        }
    }
}

/// The first `return` of a block.
pub(super) fn answer(builder: &mut Builder, block: Block<'_>) -> Option<Return> {
    builder.list(block, "return", return_)?.into_iter().next()
}

fn return_(builder: &Builder, directive: &Directive) -> Result<Return, Fault> {
    let code = first(directive);
    let text = others(directive).first();
    let is_url =
        |text: &str| ["http://", "https://", "$scheme"].iter().any(|begin| text.starts_with(begin));
    if text.is_none() && !code.text.bytes().all(|b| b.is_ascii_digit()) {
        if !is_url(&code.text) {
            return at(code, BuildError::ReturnUrl(code.text.clone()));
        }
        return Ok(Return { status: 302, text: Some(builder.template(code)?) });
    }
    let text: Option<Template> = text.map(|word| builder.template(word)).transpose()?;
    Ok(Return { status: status(code, 200, 999)?, text })
}

fn pattern(directive: &Directive) -> &Word {
    directive.args.last().expect("the number of arguments is checked")
}

fn matcher(directive: &Directive) -> Result<Matcher, Fault> {
    let word = first(directive);
    let (modifier, path) = match others(directive).first() {
        Some(path) => (word.text.as_str(), path.text.as_str()),
        // nginx also takes the modifier and the path as one word.
        None => ["=", "^~", "~*", "~"]
            .iter()
            .find_map(|m| word.text.strip_prefix(*m).map(|path| (*m, path)))
            .unwrap_or(("", &word.text)),
    };
    match modifier {
        "" if path.starts_with('@') => unsupported(word, "locations have no names"),
        "=" => Ok(Matcher::Exact(path.as_bytes().into())),
        "" | "^~" => Ok(Matcher::Prefix(path.as_bytes().into())),
        "~" | "~*" => unsupported(word, NO_REGEX),
        other => at(word, BuildError::Choice { found: other.into(), allowed: "=, ^~" }),
    }
}

/// Checks that a location may stand where it does.
fn fits(
    word: &Word,
    matcher: &Matcher,
    parent: Option<&Matcher>,
    known: &[Location],
) -> Result<(), Fault> {
    inside_parent(word, matcher, parent)?;
    if known.iter().any(|known| known.matcher == *matcher) {
        return at(word, BuildError::DuplicateLocation(shown(matcher)));
    }
    Ok(())
}

/// Checks that a nested location begins with its parent's prefix.
fn inside_parent(word: &Word, inner: &Matcher, outer: Option<&Matcher>) -> Result<(), Fault> {
    match outer {
        None => Ok(()),
        Some(outer @ Matcher::Exact(_)) => at(word, BuildError::InsideExact(shown(outer))),
        Some(Matcher::Prefix(prefix)) if path(inner).starts_with(prefix) => Ok(()),
        Some(outer @ Matcher::Prefix(_)) => {
            let (inner, outer) = (shown(inner), shown(outer));
            at(word, BuildError::OutsideParent { inner, outer })
        }
    }
}

fn path(matcher: &Matcher) -> &[u8] {
    let (Matcher::Exact(path) | Matcher::Prefix(path)) = matcher;
    path
}

fn shown(matcher: &Matcher) -> String {
    String::from_utf8_lossy(path(matcher)).into_owned()
}
