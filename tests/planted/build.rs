//! Copies `src` with the slips of the tables in it, and fails where the text of a slip is not, or
//! not only once, where the table says: it has to follow the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io, process};

#[path = "query_slips.rs"]
mod query_slips;
#[path = "slips.rs"]
mod slips;
#[path = "tls_slips.rs"]
mod tls_slips;

use query_slips::QUERY_SLIPS;
use slips::{SLIPS, Slip};
use tls_slips::TLS_SLIPS;

/// What stands in a slipped text for the question whether the slip is made.
const QUESTION: &str = "SLIP";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=slips.rs");
    println!("cargo::rerun-if-changed=tls_slips.rs");
    println!("cargo::rerun-if-changed=query_slips.rs");
    println!("cargo::rerun-if-changed=../../src");
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    let (out, copy) = (Path::new(&out), Path::new(&out).join("src"));
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    copy_all(Path::new("../../src"), &copy)?;
    let mut wrong = Vec::new();
    for (file, places) in by_file() {
        let path = copy.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => fs::write(path, slipped(file, &text, &places, &mut wrong))?,
            Err(e) => wrong.push(format!("{}: src/{file} cannot be read: {e}", places[0].name)),
        }
    }
    for what in &wrong {
        println!("cargo::error={what}");
    }
    if !wrong.is_empty() {
        process::exit(1);
    }
    let root = copy.join("lib.rs");
    let text = fs::read_to_string(&root)?;
    fs::write(root, includable(&text))?;
    fs::write(out.join("bugs.rs"), bugs())
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_all(&from, &to)?;
        } else {
            fs::write(to, fs::read(from)?)?;
        }
    }
    Ok(())
}

/// A row of the table, without its file.
struct Place {
    name: &'static str,
    written: &'static str,
    slipped: &'static str,
}

fn all() -> impl Iterator<Item = &'static Slip> {
    SLIPS.iter().chain(of_tls()).chain(QUERY_SLIPS)
}

/// The slips about TLS, if this build has it.
fn of_tls() -> &'static [Slip] {
    if env::var_os("CARGO_FEATURE_TLS").is_some() { TLS_SLIPS } else { &[] }
}

fn by_file() -> BTreeMap<&'static str, Vec<Place>> {
    let mut files: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
    for slip in all() {
        for &(file, written, slipped) in slip.rows {
            files.entry(file).or_default().push(Place { name: slip.name, written, slipped });
        }
    }
    files
}

/// The text of a file with its slips in it; `wrong` is told of those that have no place.
fn slipped(file: &str, text: &str, places: &[Place], wrong: &mut Vec<String>) -> String {
    let mut found = Vec::new();
    for place in places {
        let Place { name, written, .. } = place;
        match text.match_indices(written).collect::<Vec<_>>()[..] {
            [(at, _)] => found.push((at, place)),
            [] => wrong.push(format!("{name}: src/{file} does not hold {written:?}")),
            ref all => wrong.push(format!("{name}: src/{file} has {} of {written:?}", all.len())),
        }
    }
    found.sort_by_key(|(at, _)| *at);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, Place { name, written, slipped }) in found {
        if at < done {
            wrong.push(format!("{name}: {written:?} of src/{file} is another slip's as well"));
            continue;
        }
        let question = format!("crate::planted::is(crate::planted::Bug::{name})");
        out.push_str(&text[done..at]);
        out.push_str(&match slipped.contains(QUESTION) {
            true => slipped.replace(QUESTION, &question),
            false => format!("if {question} {{ {slipped} }} else {{ {written} }}"),
        });
        done = at + written.len();
    }
    out.push_str(&text[done..]);
    out
}

/// The root without what may stand in no file that is included.
fn includable(root: &str) -> String {
    let inner = |line: &&str| line.starts_with("//!") || line.starts_with("#![");
    root.lines().filter(|line| !inner(line)).fold(String::new(), |text, line| text + line + "\n")
}

/// The names of all slips, as a type.
fn bugs() -> String {
    let (mut variants, mut names) = (String::new(), String::new());
    for slip in all() {
        // Writing to a string does not fail.
        let _ = writeln!(variants, "    /// {}\n    {},", slip.wrong, slip.name);
        let _ = writeln!(names, "        Bug::{},", slip.name);
    }
    format!(
        "/// A slip, named by what it gets wrong.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq)]\n\
         pub enum Bug {{\n{variants}}}\n\n\
         impl Bug {{\n    /// All of them.\n    pub const ALL: [Bug; {}] = [\n{names}    ];\n\n\
         \x20   /// Whether it is in what the proxy does for queries.\n\
         \x20   pub fn is_of_queries(self) -> bool {{\n        self as usize >= {queries}\n    }}\n\n\
         \x20   /// Whether it is in what the proxy does for TLS.\n\
         \x20   pub fn is_of_tls(self) -> bool {{\n        \
         ({}..{queries}).contains(&(self as usize))\n    }}\n}}\n",
        all().count(),
        SLIPS.len(),
        queries = SLIPS.len() + of_tls().len(),
    )
}
