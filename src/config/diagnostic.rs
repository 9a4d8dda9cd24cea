//! How errors and notices are shown: place, source line with carets, reason, help.

use std::collections::HashSet;
use std::fmt;

use crate::config::build::error::BuildError;
use crate::config::build::remark::Remark;
use crate::config::model::template::TemplateError;
use crate::config::text::files::Files;
use crate::config::text::lexer::{LexerError, Span};
use crate::config::text::tree_error::TreeError;
use crate::config::text::value::ValueError;

/// What is wrong, from whichever layer found it.
#[derive(Debug)]
pub enum Problem {
    /// The bytes do not form words.
    Lexer(LexerError),
    /// The words do not form directives.
    Tree(TreeError),
    /// A word does not have the form its directive requires.
    Value(ValueError),
    /// A value with variables cannot be compiled.
    Template(TemplateError),
    /// The directives do not form a valid configuration.
    Build(BuildError),
}

impl Problem {
    /// What to do about the problem.
    pub fn help(&self) -> Option<String> {
        match self {
            Problem::Lexer(error) => error.help(),
            Problem::Tree(error) => error.help(),
            Problem::Value(error) => error.help(),
            Problem::Template(error) => error.help(),
            Problem::Build(error) => error.help(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Lexer(error) => error.fmt(f),
            Problem::Tree(error) => error.fmt(f),
            Problem::Value(error) => error.fmt(f),
            Problem::Template(error) => error.fmt(f),
            Problem::Build(error) => error.fmt(f),
        }
    }
}

impl From<LexerError> for Problem {
    fn from(error: LexerError) -> Problem {
        Problem::Lexer(error)
    }
}

impl From<TreeError> for Problem {
    fn from(error: TreeError) -> Problem {
        Problem::Tree(error)
    }
}

impl From<ValueError> for Problem {
    fn from(error: ValueError) -> Problem {
        Problem::Value(error)
    }
}

impl From<TemplateError> for Problem {
    fn from(error: TemplateError) -> Problem {
        Problem::Template(error)
    }
}

impl From<BuildError> for Problem {
    fn from(error: BuildError) -> Problem {
        Problem::Build(error)
    }
}

/// A problem and its place among the files being loaded.
#[derive(Debug)]
pub struct Fault {
    /// The place.
    pub at: Span,
    /// What is wrong there.
    pub problem: Box<Problem>,
}

impl Fault {
    /// A problem at a place.
    // Many callers: inlined, it would make the program larger for what happens once at most.
    #[cold]
    pub fn new(at: Span, problem: impl Into<Problem>) -> Fault {
        Fault { at, problem: Box::new(problem.into()) }
    }
}

impl From<(Span, LexerError)> for Fault {
    fn from((at, error): (Span, LexerError)) -> Fault {
        Fault::new(at, error)
    }
}

/// The faults of one load, which goes on after a fault so that one run shows them all.
#[derive(Debug, Default)]
pub struct FaultList {
    list: Vec<Fault>,
    /// Number of faults beyond [`FAULTS_KEPT`], which are only counted.
    beyond: usize,
}

impl FaultList {
    /// Adds a fault.
    #[cold]
    pub fn note(&mut self, fault: Fault) {
        if self.list.len() < FAULTS_KEPT {
            self.list.push(fault);
        } else {
            self.beyond += 1;
        }
    }

    /// Notes the fault if there is one, and returns `None` then.
    pub fn keep<T>(&mut self, outcome: Result<T, Fault>) -> Option<T> {
        outcome.map_err(|fault| self.note(fault)).ok()
    }

    /// Number of faults so far.
    pub fn count(&self) -> usize {
        self.list.len() + self.beyond
    }
}

/// Why a configuration cannot be used. Its `Display` is the whole diagnostic, several lines per
/// problem.
#[derive(Debug)]
pub struct ConfigError {
    /// The first problems in file order; never empty.
    shown: Vec<Diagnostic>,
    /// Number of problems that are not shown.
    more: usize,
}

impl ConfigError {
    /// Sorts the faults in file order, and keeps each once however often its file is included.
    pub(super) fn new(files: &Files, faults: FaultList) -> ConfigError {
        let FaultList { mut list, beyond } = faults;
        list.sort_by_cached_key(|fault| files.order(fault.at));
        let mut seen = HashSet::new();
        list.retain(|Fault { at, problem }| {
            let path = files.path(at.file).to_path_buf();
            seen.insert((path, at.line, at.column, problem.to_string()))
        });
        let more = list.len().saturating_sub(SHOWN) + beyond;
        let shown = list.into_iter().take(SHOWN);
        let shown = shown.map(|Fault { at, problem }| {
            let place = Some(SourceLine::new(files, at));
            Diagnostic { problem, place }
        });
        ConfigError { shown: shown.collect(), more }
    }

    pub(super) fn without_place(problem: Problem) -> ConfigError {
        let problem = Box::new(problem);
        ConfigError { shown: vec![Diagnostic { problem, place: None }], more: 0 }
    }

    /// The first problem.
    pub fn problem(&self) -> &Problem {
        &self.first().problem
    }

    /// The first problem in one line, for logs: `REASON in FILE:LINE, and 2 more errors`.
    pub fn brief(&self) -> String {
        let Diagnostic { problem, place } = self.first();
        let place = place.as_ref().map(|p| format!(" in {}:{}", p.path, p.at.line));
        let first = one_line(&format!("{problem}{}", place.unwrap_or_default()));
        match self.shown.len() - 1 + self.more {
            0 => first,
            others => format!("{first}, and {}", more_errors(others)),
        }
    }

    fn first(&self) -> &Diagnostic {
        self.shown.first().expect("an error has a problem")
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.shown.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{diagnostic}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n\nand {}", more_errors(more)),
        }
    }
}

impl std::error::Error for ConfigError {}

fn more_errors(number: usize) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} more error{ending}")
}

/// One problem as it is shown.
#[derive(Debug)]
struct Diagnostic {
    problem: Box<Problem>,
    /// The place. `None` if the main file itself cannot be read.
    place: Option<SourceLine>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", one_line(&self.problem.to_string()))?;
        if let Some(place) = &self.place {
            place.show(f)?;
        }
        if let Some(help) = self.problem.help() {
            write!(f, "\n  help: {}", one_line(&help))?;
        }
        Ok(())
    }
}

/// Something worth knowing that is not an error: `MESSAGE in FILE:LINE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `Warn` if the file probably does not do what its author intended, otherwise `Info`.
    pub level: log::Level,
    /// One line.
    pub text: String,
}

impl Notice {
    pub(super) fn new(files: &Files, (at, remark): (Option<Span>, Remark)) -> Notice {
        let place = at.map(|at| format!(" in {}:{}", files.path(at.file).display(), at.line));
        let text = format!("{remark}{}", place.unwrap_or_default());
        Notice { level: remark.level(), text: one_line(&text) }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A place with the text of its line.
#[derive(Debug)]
struct SourceLine {
    path: String,
    at: Span,
    line: String,
}

impl SourceLine {
    fn new(files: &Files, at: Span) -> SourceLine {
        let text = files.text(at.file);
        let line = text.split(|b| *b == b'\n').nth(at.line - 1).unwrap_or_default();
        let line = String::from_utf8_lossy(line).trim_end().to_string();
        SourceLine { path: files.path(at.file).display().to_string(), at, line }
    }

    /// Shows the place, the line, and carets below the span.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { line, column, width, .. } = self.at;
        // Of a very long line, only the part around the span.
        let cut = if column > LINE_SHOWN { column - LINE_SHOWN / 2 } else { 0 };
        let shown: String = self.line.chars().skip(cut).take(LINE_SHOWN).map(printable).collect();
        let indent = shown.chars().take(column - 1 - cut);
        let indent: String = indent.map(|c| if c == '\t' { c } else { ' ' }).collect();
        let room = shown.chars().count().saturating_sub(column - 1 - cut).max(1);
        let margin = " ".repeat(line.to_string().len());
        write!(f, "\n{margin}--> {}:{line}:{column}", self.path)?;
        write!(f, "\n{margin} |\n{line} | {shown}")?;
        write!(f, "\n{margin} | {indent}{}", "^".repeat(width.min(room)))
    }
}

/// Replaces bytes that could move a terminal's cursor or start a new log line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { ' ' } else { printable(c) }).collect()
}

fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { '\u{fffd}' } else { c }
}

/// Faults kept for sorting; a file with more is not a configuration at all.
const FAULTS_KEPT: usize = 1000;
/// Problems shown in full: about as many as a reader fixes before the next run.
const SHOWN: usize = 20;
/// Characters shown of a source line.
const LINE_SHOWN: usize = 160;
