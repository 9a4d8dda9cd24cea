//! Keeps the house in order: what may use what, that no files use each other in a circle, over how
//! many files a type may spread, what may not be written, how long a file may be.
//!
//! Reads the sources as text, without comments, strings and tests. What it forbids is in
//! the map in src/lib.rs; that it notices a breach is tested at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may use of the others, from the bottom up. No module may use `process`.
const LAYERS: [(&str, &str); 15] = [
    ("time", ""),
    ("address", ""),
    ("buffer", ""),
    ("recycle", ""),
    ("tls", ""),
    ("config", "time address tls"),
    ("http", "time address buffer"),
    ("trino", "time address buffer"),
    ("upstream", "time address buffer tls config"),
    ("admin", "time address config upstream"),
    ("net", "time address config"),
    ("transport", "time address buffer tls config upstream net"),
    ("proxy", "time address buffer recycle tls config http trino upstream admin net transport"),
    ("worker", "time address buffer recycle config http upstream admin net transport proxy"),
    ("process", "time address buffer config http upstream admin net proxy worker"),
];

/// The part of `config` that others than `process` may see.
const DATA: [&str; 1] = ["model"];

/// What shared or hidden state is made of.
const FORBIDDEN: [&str; 5] = ["dyn ", "Rc<", "RefCell", "thread_local", "static "];

/// Where shared state may be: the simulated sockets share a world, and a logger is global.
const EXEMPT: [&str; 2] = ["src/net/sim/", "src/process/logger.rs"];

/// Lines of a file before its tests.
const LINES: usize = 500;

/// Files that may hold `impl`s of one type: it has to be read in one or two places.
const HOMES: usize = 2;

/// Names of methods that common types of std have too: a call says nothing about the one file in
/// `src` that defines such a method.
const OF_STD: [&str; 15] = [
    "contains", "flush", "front", "hash", "insert", "join", "keys", "or", "port", "replace",
    "skip", "split", "truncate", "values", "wait",
];

#[test]
fn every_source_file_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = sources(&root.join("src"));
    assert!(files.len() > 10, "the sources are not where they were");
    let read = |file: &PathBuf| fs::read_to_string(file).expect("a source file can be read");
    let texts: Vec<(String, String)> = files
        .iter()
        .map(|file| {
            let name = file.strip_prefix(root).expect("it is below the root");
            (name.to_string_lossy().into_owned(), read(file))
        })
        .collect();
    let traits: Vec<String> = texts.iter().flat_map(|(_, text)| traits(&code(text))).collect();
    let mut breaches: Vec<String> =
        texts.iter().flat_map(|(name, text)| breaches(name, text, &traits)).collect();
    let codes = codes(&texts);
    breaches.extend(circles(&codes));
    breaches.extend(scattered(&codes));
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

fn sources(below: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(below)
        .expect("the directory can be read")
        .map(|entry| entry.expect("the entry can be read").path())
        .collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            files.append(&mut sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") && !is_test(&entry) {
            files.push(entry);
        }
    }
    files
}

/// Whether all of a file is tests: `tests.rs`, or in a directory `tests`.
fn is_test(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem == "tests")
        || file.parent().is_some_and(|parent| parent.ends_with("tests"))
}

/// Everything that a file does wrong, as lines for a reader.
fn breaches(name: &str, text: &str, traits: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    let code = code(text);
    if !text.starts_with("//!") {
        wrong.push("does not begin by saying what it is".to_owned());
    }
    for word in ["TODO", "FIXME"] {
        if text.contains(word) {
            wrong.push(format!("holds a {word}"));
        }
    }
    if text.contains("planted") {
        wrong.push("knows of slips, which `tests/planted` puts into a copy".to_owned());
    }
    let lines = before_tests(text).lines().count();
    if lines > LINES {
        wrong.push(format!("has {lines} lines before its tests"));
    }
    if !EXEMPT.iter().any(|exempt| name.starts_with(exempt)) {
        for word in FORBIDDEN {
            if has_word(&code, word) {
                wrong.push(format!("uses `{}`", word.trim_end()));
            }
        }
    }
    wrong.extend(uses(name, &code).iter().filter_map(|path| layering(name, path)));
    wrong.extend(generics(&code, traits));
    wrong.into_iter().map(|what| format!("{name}: {what}")).collect()
}

/// The complaint about a use of a crate-level path, if it goes the wrong way.
fn layering(name: &str, path: &[String]) -> Option<String> {
    let from = module(name).first().cloned()?;
    let to = path.first()?.as_str();
    if from == "main" || from == "lib" || from == to {
        return None;
    }
    let (_, allowed) = LAYERS.iter().find(|(module, _)| *module == from)?;
    let written = path.join("::");
    if !LAYERS.iter().any(|(module, _)| *module == to) {
        return None;
    }
    if !allowed.split(' ').any(|module| module == to) {
        return Some(format!("`{from}` must not use `{written}`"));
    }
    let part = path.get(1).map_or("", String::as_str);
    let data_only = to == "config" && from != "process" && !DATA.contains(&part);
    data_only.then(|| format!("`{from}` may use the data of `config` only, not `{written}`"))
}

/// The uses between files that lead back to the file they come from. Uses are paths, from `crate`,
/// `super` or a module of the file itself, and calls of methods. What a `mod.rs` gathers from below it
/// with `pub use` is no use of its own unless its code names it again; a use of it is one of where it
/// comes from.
fn circles(codes: &[(&str, String)]) -> Vec<String> {
    let modules = Modules::of(codes);
    let methods = methods(codes);
    let mut edges: BTreeMap<(usize, usize), BTreeSet<String>> = BTreeMap::new();
    for (from, (name, code)) in codes.iter().enumerate() {
        let own = child_uses(name, code).into_iter().filter_map(|(path, gathers)| {
            (!gathers || path.last().is_some_and(|last| is_repeated(code, last))).then_some(path)
        });
        let paths = all_uses(name, code).into_iter().chain(own);
        let by_path = paths.filter_map(|path| Some((modules.file(&path)?, path.join("::"))));
        let by_call =
            calls(code).filter_map(|call| Some((*methods.get(call)?, format!(".{call}()"))));
        for (to, what) in by_path.chain(by_call).filter(|(to, _)| *to != from) {
            edges.entry((from, to)).or_default().insert(what);
        }
    }
    let back = |from: usize, to: usize| {
        let (mut seen, mut ahead) = (BTreeSet::new(), vec![from]);
        while let Some(file) = ahead.pop() {
            if seen.insert(file) {
                ahead.extend(edges.range((file, 0)..(file + 1, 0)).map(|((_, to), _)| *to));
            }
        }
        seen.contains(&to)
    };
    let in_circle = edges.iter().filter(|((from, to), _)| back(*to, *from));
    let tell = |((from, to), what): (&(usize, usize), &BTreeSet<String>)| {
        let what: Vec<&str> = what.iter().map(String::as_str).collect();
        let (from, to) = (codes[*from].0, codes[*to].0);
        format!("{from}: is in a circle: it uses {to} ({})", what.join(", "))
    };
    in_circle.map(tell).collect()
}

/// The code of every file, by its name.
fn codes(texts: &[(String, String)]) -> Vec<(&str, String)> {
    texts.iter().map(|(name, text)| (name.as_str(), code(text))).collect()
}

/// Where paths lead.
struct Modules {
    /// The module of each file.
    all: Vec<Vec<String>>,
    /// What a file gathers from the modules below it: as which path, and from which.
    gathered: BTreeMap<Vec<String>, Vec<String>>,
}

impl Modules {
    fn of(codes: &[(&str, String)]) -> Modules {
        let all = codes.iter().map(|(name, _)| module(name)).collect();
        let gathered = codes.iter().flat_map(|(name, code)| {
            let uses = child_uses(name, code).into_iter();
            uses.filter_map(|(path, gathers)| {
                let mut shown = module(name);
                shown.push(path.last().filter(|_| gathers)?.clone());
                Some((shown, path))
            })
        });
        Modules { gathered: gathered.collect(), all }
    }

    /// The file in which a path ends.
    fn file(&self, path: &[String]) -> Option<usize> {
        let mut ends = (1..=path.len()).rev();
        // A function may be gathered from a module of its own name.
        let gathered = |end: usize| {
            let shown = &path[..end];
            self.gathered.get(shown).filter(|from| !from.starts_with(shown))
        };
        if let Some(from) = ends.clone().find_map(gathered) {
            return self.file(from);
        }
        ends.find_map(|end| self.all.iter().position(|module| *module == path[..end]))
    }
}

/// Methods that one file alone defines, in a block that implements no trait, and the place of the
/// file.
fn methods(codes: &[(&str, String)]) -> BTreeMap<String, usize> {
    let mut found: BTreeMap<String, Option<usize>> = BTreeMap::new();
    for (file, (_, code)) in codes.iter().enumerate() {
        for block in blocks(code) {
            for name in methods_of(block.body) {
                let home = Some(file).filter(|_| block.is_inherent);
                found
                    .entry(name.to_owned())
                    .and_modify(|known| *known = known.filter(|_| *known == home))
                    .or_insert(home);
            }
        }
    }
    let known = found.into_iter().filter_map(|(name, file)| Some((name, file?)));
    known.filter(|(name, _)| !OF_STD.contains(&name.as_str())).collect()
}

/// Names of the functions of a block that take `self`.
fn methods_of(body: &str) -> impl Iterator<Item = &str> {
    body.match_indices("fn ").filter_map(|(at, keyword)| {
        let (name, rest) = word(&body[at + keyword.len()..]);
        let parameters = after_generics(rest).strip_prefix('(')?.trim_start();
        let receiver = parameters.trim_start_matches('&');
        let receiver = match receiver.strip_prefix('\'') {
            Some(lifetime) => word(lifetime).1.trim_start(),
            None => receiver,
        };
        let receiver = receiver.strip_prefix("mut ").unwrap_or(receiver);
        (word(receiver).0 == "self").then_some(name)
    })
}

/// Names of the methods that code calls: `.name(`, `.name::<T>(` and `Self::name`.
fn calls(code: &str) -> impl Iterator<Item = &str> {
    let by_dot = code.match_indices('.').filter_map(|(at, _)| {
        let (name, rest) = word(&code[at + 1..]);
        let rest = rest.strip_prefix("::").map_or(rest, after_generics);
        (rest.starts_with('(') && !code[..at].ends_with('.')).then_some(name)
    });
    let by_type =
        code.match_indices("Self::").map(|(at, prefix)| word(&code[at + prefix.len()..]).0);
    by_dot.chain(by_type)
}

/// Types whose `impl`s stand in more than [`HOMES`] files. A type is known by its name and the file
/// that defines it; what is defined in no file of ours does not count.
fn scattered(codes: &[(&str, String)]) -> Vec<String> {
    let modules = Modules::of(codes);
    let mut definitions: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (file, (_, code)) in codes.iter().enumerate() {
        for keyword in ["struct ", "enum ", "union "] {
            for (at, _) in code.match_indices(keyword).filter(|(at, _)| starts_word(code, *at)) {
                definitions.entry(word(&code[at + keyword.len()..]).0).or_default().push(file);
            }
        }
    }
    let mut homes: BTreeMap<(&str, usize), BTreeSet<&str>> = BTreeMap::new();
    for (file, (name, code)) in codes.iter().enumerate() {
        for implemented in blocks(code).into_iter().filter_map(|block| block.of) {
            let defined = match definitions.get(implemented).map(Vec::as_slice) {
                None => continue,
                Some([one]) => Some(*one),
                Some(several) if several.contains(&file) => Some(file),
                Some(_) => all_uses(name, code)
                    .iter()
                    .find(|path| path.last().is_some_and(|last| last == implemented))
                    .and_then(|path| modules.file(path)),
            };
            if let Some(defined) = defined {
                homes.entry((implemented, defined)).or_default().insert(name);
            }
        }
    }
    let wide = homes.into_iter().filter(|(_, homes)| homes.len() > HOMES);
    wide.map(|((name, file), homes)| {
        let homes: Vec<&str> = homes.into_iter().collect();
        format!("{}: `{name}` has `impl`s in {}", codes[file].0, homes.join(", "))
    })
    .collect()
}

/// A block of methods.
struct Block<'a> {
    /// The name of the type; `None` for the definition of a trait.
    of: Option<&'a str>,
    /// Whether no trait is implemented or defined.
    is_inherent: bool,
    body: &'a str,
}

/// All `impl` blocks and definitions of traits.
fn blocks(code: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    for keyword in ["impl", "trait"] {
        for (at, _) in code.match_indices(keyword) {
            // Not in a signature, where something other than an item stands before it.
            let before = code[..at].trim_end();
            let starts = before.is_empty()
                || before.ends_with(['{', '}', ';', ']', ')'])
                || matches!(last_word(before), "pub" | "unsafe");
            let text = &code[at + keyword.len()..];
            let ends = text.starts_with(|c: char| c == '<' || c.is_whitespace());
            let Some((header, rest)) = text.split_once('{').filter(|_| starts && ends) else {
                continue;
            };
            let header = after_generics(header);
            let header = split_at_word(header, "where").map_or(header, |(header, _)| header);
            let (of, is_inherent) = match split_at_word(header, "for") {
                _ if keyword == "trait" => (None, false),
                Some((_, of)) => (Some(type_name(of)), false),
                None => (Some(type_name(header)), true),
            };
            found.push(Block { of, is_inherent, body: &rest[..length_of_body(rest)] });
        }
    }
    found
}

/// The length of what stands before the brace that closes a block.
fn length_of_body(text: &str) -> usize {
    let mut depth = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The last name of the path that a type begins with: `A` in `&'a mut b::A<C>`.
fn type_name(text: &str) -> &str {
    let path = text.split(['<', '(', '[']).next().unwrap_or(text);
    last_word(path.trim_end())
}

/// What follows generic parameters or arguments, if the text begins with any.
fn after_generics(text: &str) -> &str {
    let Some(inside) = text.trim_start().strip_prefix('<') else { return text };
    let mut depth = 1_usize;
    let mut before = '<';
    for (at, c) in inside.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if !matches!(before, '-' | '=') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &inside[at + 1..];
        }
        before = c;
    }
    ""
}

/// The word that the text begins with, and what follows it.
fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len()))
}

/// What stands before and behind the first such word, with a space behind it.
fn split_at_word<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let mut places = text.match_indices(word).map(|(at, _)| (at, &text[at + word.len()..]));
    places
        .find(|(at, rest)| starts_word(text, *at) && rest.starts_with(char::is_whitespace))
        .map(|(at, rest)| (&text[..at], rest))
}

/// Whether the word stands in the code more than once.
fn is_repeated(code: &str, name: &str) -> bool {
    let places = code.match_indices(name).filter(|(at, _)| starts_word(code, *at));
    places.filter(|(at, _)| word(&code[*at..]).0 == name).count() > 1
}

fn starts_word(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The module path of a file: `src/proxy/http.rs` is `proxy`, `http`.
fn module(name: &str) -> Vec<String> {
    let path = name.trim_start_matches("src/").trim_end_matches(".rs");
    let parts = path.split('/').filter(|part| *part != "mod");
    parts.map(str::to_owned).collect()
}

/// All paths that the code takes from the root of the crate, by `crate::` or enough `super::`.
/// Groups are taken apart: `crate::{a::b, c}` is two paths.
fn uses(name: &str, code: &str) -> Vec<Vec<String>> {
    let own = module(name);
    all_uses(name, code).into_iter().filter(|path| path.first() != own.first()).collect()
}

/// All paths that the code takes by `crate::` or `super::`, written from the root of the crate.
fn all_uses(name: &str, code: &str) -> Vec<Vec<String>> {
    let own = module(name);
    let mut found = Vec::new();
    for (at, root) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        let is_visibility = code[..at].ends_with("(in ");
        if !starts_word(code, at) || code[..at].ends_with(':') || is_visibility {
            continue;
        }
        let mut rest = &code[at + root.len()..];
        let mut climbed = usize::from(root == "super::");
        while let Some(further) = rest.strip_prefix("super::") {
            rest = further;
            climbed += 1;
        }
        let climbed = if root == "crate::" { own.len() } else { climbed.min(own.len()) };
        paths(rest, &mut own[..own.len() - climbed].to_vec(), &mut found);
    }
    found
}

/// The paths into modules that the file itself declares, written from the root of the crate, and
/// whether `pub use` gathers them.
fn child_uses(name: &str, code: &str) -> Vec<(Vec<String>, bool)> {
    let declared = code.match_indices("mod ").filter(|(at, _)| starts_word(code, *at));
    let mut found = Vec::new();
    for (child, rest) in declared.map(|(at, keyword)| word(&code[at + keyword.len()..])) {
        if !rest.starts_with(';') {
            continue;
        }
        let start = format!("{child}::");
        for (at, _) in code.match_indices(&start).filter(|(at, _)| starts_word(code, *at)) {
            let before = code[..at].trim_end();
            if before.ends_with("::") {
                continue;
            }
            let before = before.strip_suffix("use").map(str::trim_end);
            let gathers = before.is_some_and(|it| it.ends_with(')') || last_word(it) == "pub");
            let mut here = Vec::new();
            paths(&code[at..], &mut module(name), &mut here);
            found.extend(here.into_iter().map(|path| (path, gathers)));
        }
    }
    found
}

/// Reads one path or group of paths; returns what follows it.
fn paths<'a>(text: &'a str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = paths(rest, prefix, found).trim_start();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let (name, rest) = word(text);
    if name.is_empty() {
        return rest;
    }
    prefix.push(name.to_owned());
    let rest = match rest.strip_prefix("::") {
        Some(more) if more.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '{') => {
            paths(more, prefix, found)
        }
        Some(_) | None => {
            found.push(prefix.clone());
            rest
        }
    };
    prefix.pop();
    rest
}

/// The traits that a file defines.
fn traits(code: &str) -> Vec<String> {
    let mut words = code.split_whitespace();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if word == "trait"
            && let Some(name) = words.next()
        {
            let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
            found.push(name[..end].to_owned());
        }
    }
    found
}

/// Parameters bound to a trait of ours, but `N: Net`.
fn generics(code: &str, traits: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in traits {
        for (at, _) in code.match_indices(name.as_str()) {
            let after = code[at + name.len()..].chars().next().unwrap_or(' ');
            let before = code[..at].trim_end();
            if after.is_alphanumeric() || after == '_' || after == ':' {
                continue;
            }
            let anonymous = before.ends_with("impl")
                && !code[at..]
                    .trim_start_matches(|c: char| c.is_alphanumeric())
                    .trim_start()
                    .starts_with("for ");
            let bound = before.strip_suffix(':').filter(|before| !before.ends_with(':'));
            let parameter = bound.map(last_word).unwrap_or_default();
            let associated = bound.is_some_and(|bound| {
                last_word(bound[..bound.len() - parameter.len()].trim_end()) == "type"
            });
            let is_type = parameter.starts_with(|c: char| c.is_uppercase());
            if anonymous || (is_type && !associated && (parameter, name.as_str()) != ("N", "Net")) {
                wrong.push(format!("binds a parameter `{parameter}` to `{name}`"));
            }
        }
    }
    wrong
}

fn last_word(text: &str) -> &str {
    let start = text.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |at| at + 1);
    &text[start..]
}

/// Whether the word stands in the code by itself, and not as a lifetime.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '\'')
    })
}

fn before_tests(text: &str) -> &str {
    // A module of tests in a file of its own ends nothing.
    let is_elsewhere = |rest: &str| rest.trim_start().starts_with("mod tests;");
    let mut marks = text.match_indices("#[cfg(test)]");
    let end = marks.find(|(at, mark)| !is_elsewhere(&text[at + mark.len()..]));
    end.map_or(text, |(at, _)| &text[..at])
}

/// The code before the tests, without comments, strings and characters.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = before_tests(text);
    while let Some(c) = rest.chars().next() {
        let skipped = literal_or_comment(rest, &code);
        if skipped > 0 {
            code.push(' ');
            rest = &rest[skipped..];
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    code
}

/// The length of the literal or comment that `text` begins with; 0 if it begins with neither.
fn literal_or_comment(text: &str, before: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    if text.starts_with('"') {
        return quoted(text);
    }
    let inside_a_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if text.starts_with('r') && !inside_a_word {
        let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
        if text[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = 2 + hashes;
            return text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len());
        }
    }
    // A character, not a lifetime: something closes it at once.
    let mut chars = text.char_indices();
    match (chars.next(), chars.next(), chars.next()) {
        (Some((_, '\'')), Some((_, '\\')), Some(_)) => text[3..].find('\'').map_or(0, |at| at + 4),
        (Some((_, '\'')), Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// The length of the string that `text` begins with.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The complaints about a file of that name that says what it is and holds `rest`.
#[cfg(test)]
fn check(name: &str, rest: &str) -> Vec<String> {
    let traits = ["Net".to_owned(), "Stream".to_owned()];
    breaches(name, &format!("//! A file.\n{rest}"), &traits)
}

#[test]
fn a_use_of_a_layer_above_is_noticed_however_it_is_written() {
    for code in [
        "use crate::worker::Worker;",
        "use crate::{time::Time, worker::Worker};",
        "use crate::{\n    time::Time,\n    worker::Worker,\n};",
        "fn f() { crate::worker::run(); }",
        "use super::super::worker::Worker;",
        "use crate::process::run;",
        "use crate::config::build::build;",
        "use crate::config::parse_text;",
    ] {
        assert_eq!(check("src/proxy/flow.rs", code).len(), 1, "{code}");
    }
    for code in [
        "use crate::http::head::Head;",
        "use crate::config::model::Config;",
        "use super::session::Session;",
        "use crate::net::{Net, Stream};",
        "// crate::worker is not used here\nconst A: &str = \"crate::worker\";",
        "#[cfg(test)]\nmod tests { use crate::worker::Worker; }",
    ] {
        assert_eq!(check("src/proxy/flow.rs", code), Vec::<String>::new(), "{code}");
    }
    assert_eq!(check("src/http/head.rs", "use crate::config::model::Config;").len(), 1);
    assert_eq!(check("src/http/head.rs", "use crate::net::Net;").len(), 1);
    assert_eq!(check("src/upstream/group.rs", "use crate::net::Net;").len(), 1);
    assert_eq!(check("src/config/tree.rs", "use crate::http::head::Head;").len(), 1);
    assert_eq!(check("src/process/run.rs", "use crate::config::parse;"), Vec::<String>::new());
    assert_eq!(check("src/main.rs", "use crate::process::run;"), Vec::<String>::new());
}

#[test]
fn shared_and_hidden_state_is_noticed() {
    for code in [
        "fn f(a: &dyn Fn()) {}",
        "use std::rc::Rc; struct A(Rc<u8>);",
        "struct A(std::cell::RefCell<u8>);",
        "static A: u8 = 0;",
        "pub static A: u8 = 0;",
        "thread_local! { }",
    ] {
        assert_eq!(check("src/proxy/flow.rs", code).len(), 1, "{code}");
        assert_eq!(check("src/net/sim/world.rs", code), Vec::<String>::new(), "{code}");
        assert_eq!(check("src/process/logger.rs", code), Vec::<String>::new(), "{code}");
    }
    let innocent = "fn f(a: &'static str) -> char { '\"' } // dyn Rc< static \n/* RefCell */";
    assert_eq!(check("src/proxy/flow.rs", innocent), Vec::<String>::new());
}

#[test]
fn parameters_bound_to_our_traits_are_noticed_but_for_the_one() {
    for code in [
        "fn f<S: Stream>(s: S) {}",
        "struct A<M: Net>(M);",
        "fn f(s: impl Stream) {}",
        "fn f<S>(s: S) where S: Stream {}",
    ] {
        assert_eq!(check("src/proxy/flow.rs", code).len(), 1, "{code}");
    }
    for code in [
        "struct A<N: Net>(N);",
        "impl<N: Net> A<N> {}",
        "impl Net for OsNet {}",
        "impl Stream for OsStream {}",
        "trait Net { type Stream: Stream; }",
        "fn f(s: impl Iterator<Item = u8>, net: NetAddress) {}",
    ] {
        assert_eq!(check("src/net/os.rs", code), Vec::<String>::new(), "{code}");
    }
}

#[test]
fn files_that_are_long_unfinished_unexplained_or_know_of_slips_are_noticed() {
    let long = "\n".repeat(LINES);
    assert_eq!(check("src/time.rs", &long).len(), 1);
    assert_eq!(check("src/time.rs", &format!("#[cfg(test)]{long}")), Vec::<String>::new());
    assert_eq!(check("src/time.rs", &format!("#[cfg(test)]\nmod tests;{long}")).len(), 1);
    assert_eq!(check("src/time.rs", "// TODO: later").len(), 1);
    assert_eq!(check("src/time.rs", "// FIXME").len(), 1);
    assert_eq!(check("src/time.rs", "pub mod planted;").len(), 1);
    assert_eq!(breaches("src/time.rs", "use std::io;", &[]).len(), 1);
}

/// Files with these texts.
fn files(texts: &[(&str, &str)]) -> Vec<(String, String)> {
    texts.iter().map(|(name, text)| (format!("src/{name}.rs"), (*text).to_owned())).collect()
}

/// The pairs of files that are in a circle.
fn pairs(texts: &[(&str, &str)]) -> Vec<String> {
    let told = circles(&codes(&files(texts))).into_iter();
    let pair = |told: &str| {
        let (from, to) = told.split_once(": is in a circle: it uses ")?;
        Some(format!("{from} {}", to.split_once(' ')?.0).replace("src/", "").replace(".rs", ""))
    };
    told.map(|told| pair(&told).expect("a circle is told so")).collect()
}

#[test]
fn a_circle_of_files_is_noticed() {
    let mut texts = [
        ("a/mod", "pub(in crate::d) mod b; mod c; pub use b::B;"),
        ("a/b", "use super::c::C;"),
        ("a/c", "use crate::{d::D, d};"),
        ("d", "fn f() { crate::a::b::f(); }"),
        ("e", "use crate::d::D;"),
    ];
    assert_eq!(pairs(&texts), ["a/b a/c", "a/c d", "d a/b"]);
    texts[3].1 = "// crate::a::b\n#[cfg(test)]\nmod tests { use crate::a::b; }";
    assert_eq!(pairs(&texts), [""; 0]);
}

#[test]
fn a_circle_of_a_folder_with_its_own_file_is_noticed() {
    let below = ("a/b", "use super::A;");
    for own in [
        "mod b; use b::B;",
        "mod b; fn f() { b::f(); }",
        "mod b; use b::{self, B};",
        "mod b; pub use b::{C, B}; fn f(b: &B) {}",
    ] {
        assert_eq!(pairs(&[("a/mod", own), below]), ["a/mod a/b", "a/b a/mod"], "{own}");
    }
    let gathers = "mod b; mod c; pub use b::B; pub(super) use c::{C, D}; struct Bare;";
    for own in [gathers, "use c::b::B;"] {
        assert_eq!(pairs(&[("a/mod", own), below]), [""; 0], "{own}");
    }
    let siblings = [("a/mod", gathers), ("a/b", "use super::{E, D};"), ("a/c", "use crate::a::B;")];
    assert_eq!(pairs(&siblings), ["a/b a/c", "a/c a/b"]);
}

#[test]
fn a_circle_of_calls_is_noticed() {
    let below = ("b", "impl<'a, N: Net> B<N> { pub(crate) fn below<T>(&'a mut self, t: T) {} }");
    for call in ["self.b.below(1)", "b\n.below::<Vec<u8>>(v)", "Self::below(b, 1)"] {
        let above = format!("use crate::b::B; impl A {{ fn above(mut self) {{ {call}; }} }}");
        let upwards = format!("{} fn f(a: A) {{ a.above(); }}", below.1);
        assert_eq!(pairs(&[("a", &above), ("b", &upwards)]), ["a b", "b a"], "{call}");
        assert_eq!(pairs(&[("a", &above), below]), [""; 0], "{call}");
    }
    let by_call_alone = "impl A { fn above(self) { self.below(1); } }";
    let upwards = "impl A { fn below(&self) { self.above() } }";
    assert_eq!(pairs(&[("a", by_call_alone), ("b", upwards)]), ["a b", "b a"]);
    // Defined twice, by a trait, without `self`, by std too, or not called.
    let above = "impl A { fn above(&self) {} } fn f() { b.below(1) }";
    for upwards in [
        "impl A { fn below(&self) { self.above() } } impl Net for B { fn above(&self) {} }",
        "trait B { fn below(&self) { a.above() } }",
        "impl From<A> for B { fn below(self) { a.above() } }",
        "impl B { fn below(a: A) { a.above() } }",
        "impl A { fn below(&self) { self.above; 0..above(); above() } }",
    ] {
        assert_eq!(pairs(&[("a", above), ("b", upwards)]), [""; 0], "{upwards}");
    }
    let replace = "impl A { fn replace(&self) { self.below() } }";
    let of_std = "impl A { fn below(&self) { text.replace() } }";
    assert_eq!(pairs(&[("a", replace), ("b", of_std)]), [""; 0]);
}

#[test]
fn a_type_in_more_than_two_files_is_noticed() {
    let of_three = |third| {
        let second = "use crate::a::A; impl fmt::Display for A<'_> {}";
        scattered(&codes(&files(&[
            ("a", "pub struct A<'a>; impl<'a> A<'a> {}"),
            ("b", second),
            ("c", third),
        ])))
    };
    for third in [
        "impl crate::a::A<'_> {}",
        "impl<F: Fn(u8) -> bool, const N: usize> A<F, N>\nwhere F: Copy {}",
        "impl<'a> Iterator\n    for &'a mut A<'a> {}",
        "impl From<for<'b> fn(&'b B)> for A\nwhere\n    B: Copy,\n{}",
        "fn f() {}\n#[allow(unused)]\nimpl From<B> for A<'_> {}",
    ] {
        assert_eq!(of_three(third), ["src/a.rs: `A` has `impl`s in src/a.rs, src/b.rs, src/c.rs"]);
    }
    for third in [
        "#[derive(Debug)] struct A; impl A {}",
        "impl From<A> for Vec<u8> {}",
        "fn f(a: impl A) -> impl A {}",
        "// impl A {}\n#[cfg(test)]\nmod tests { impl A {} }",
    ] {
        assert_eq!(of_three(third), [""; 0], "{third}");
    }
}
