//! Keeps the house in order: who may use whom, that no files use each other in a circle, what may not
//! be written, how long a file may be.
//!
//! Reads the sources as text, without comments, strings and tests. What it forbids is in
//! the map in src/lib.rs; that it notices a breach is tested at the end.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module may use of the others, from the bottom up. Nobody may use `process`.
const LAYERS: [(&str, &str); 12] = [
    ("time", ""),
    ("address", ""),
    ("buffer", ""),
    ("recycle", ""),
    ("config", "time address"),
    ("http", "time address buffer"),
    ("upstream", "time address buffer config"),
    ("net", "time address config"),
    ("transport", "time address buffer config upstream net"),
    ("proxy", "time address buffer recycle config http upstream net transport"),
    ("worker", "time address buffer recycle config http upstream net transport proxy"),
    ("process", "time address buffer config http upstream net proxy worker"),
];

/// The parts of `config` that others than `process` may see.
const DATA: [&str; 2] = ["model", "template"];

/// What shared or hidden state is made of.
const FORBIDDEN: [&str; 5] = ["dyn ", "Rc<", "RefCell", "thread_local", "static "];

/// Where shared state may be: the simulated sockets share a world, and a logger is global.
const EXEMPT: [&str; 2] = ["src/net/sim/", "src/process/logger.rs"];

/// Lines of a file before its tests.
const LINES: usize = 500;

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
    breaches.extend(
        circles(&texts).map(|name| format!("{name}: is in a circle of files, or between two")),
    );
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

/// The files that are left when those that use no other one, and those that no other one uses, are
/// taken away again and again. Uses are paths from `crate` or `super`: what a folder's `mod.rs`
/// gathers from below it does not count.
fn circles(texts: &[(String, String)]) -> impl Iterator<Item = String> {
    let modules: Vec<Vec<String>> = texts.iter().map(|(name, _)| module(name)).collect();
    let file = |path: &[String]| {
        (1..=path.len())
            .rev()
            .find_map(|end| modules.iter().position(|module| *module == path[..end]))
    };
    let mut left: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (from, (name, text)) in texts.iter().enumerate() {
        let targets = all_uses(name, &code(text)).into_iter().filter_map(|path| file(&path));
        left.extend(targets.filter(|to| *to != from).map(|to| (from, to)));
    }
    loop {
        let users: BTreeSet<usize> = left.iter().map(|(from, _)| *from).collect();
        let used: BTreeSet<usize> = left.iter().map(|(_, to)| *to).collect();
        let before = left.len();
        left.retain(|(from, to)| used.contains(from) && users.contains(to));
        if left.len() == before {
            return users.into_iter().map(|file| texts[file].0.clone());
        }
    }
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
        let preceded = code[..at].chars().next_back();
        if preceded.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
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
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if word.is_empty() {
        return rest;
    }
    prefix.push(word.to_owned());
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
    text.split("#[cfg(test)]").next().unwrap_or(text)
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
    assert_eq!(check("src/time.rs", "// TODO: later").len(), 1);
    assert_eq!(check("src/time.rs", "// FIXME").len(), 1);
    assert_eq!(check("src/time.rs", "pub mod planted;").len(), 1);
    assert_eq!(breaches("src/time.rs", "use std::io;", &[]).len(), 1);
}

#[test]
fn a_circle_of_files_is_noticed() {
    let files = |uses: [(&str, &str); 4]| -> Vec<(String, String)> {
        uses.map(|(name, text)| (format!("src/{name}.rs"), text.to_owned())).to_vec()
    };
    let circle = files([
        ("a/mod", "pub use b::B;"),
        ("a/b", "use super::c::C;"),
        ("a/c", "use crate::{d::D, d};"),
        ("d", "fn f() { crate::a::b::f(); }"),
    ]);
    assert_eq!(circles(&circle).collect::<Vec<_>>(), ["src/a/b.rs", "src/a/c.rs", "src/d.rs"]);
    let line = files([
        ("a/mod", "pub use b::B;"),
        ("a/b", "use super::{A, c::C};"),
        ("a/c", "use super::super::d::D;"),
        ("d", "// crate::a::b\n#[cfg(test)]\nmod tests { use crate::a::b; }"),
    ]);
    assert_eq!(circles(&line).collect::<Vec<_>>(), [""; 0]);
}
