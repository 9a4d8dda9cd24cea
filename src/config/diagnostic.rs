//! How an error or a notice is shown: the place, the line with carets below it, the reason, help.

use std::fmt;

use super::build::error::{BuildError, Remark};
use super::files::Files;
use super::template::TemplateError;
use super::token::{Span, TokenError};
use super::tree::TreeError;
use super::value::ValueError;

/// What is wrong, whichever layer found it.
#[derive(Debug)]
pub enum Problem {
    /// The bytes are no words.
    Token(TokenError),
    /// The words are no directives.
    Tree(TreeError),
    /// A word does not say what it should.
    Value(ValueError),
    /// A value with variables cannot be compiled.
    Template(TemplateError),
    /// The directives make no configuration.
    Build(BuildError),
}

impl Problem {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Problem::Token(error) => error.help(),
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
            Problem::Token(error) => error.fmt(f),
            Problem::Tree(error) => error.fmt(f),
            Problem::Value(error) => error.fmt(f),
            Problem::Template(error) => error.fmt(f),
            Problem::Build(error) => error.fmt(f),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Problem {
        Problem::Token(error)
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
    /// Where.
    pub at: Span,
    /// What.
    pub problem: Box<Problem>,
}

impl Fault {
    /// A problem at a place.
    pub fn new(at: Span, problem: impl Into<Problem>) -> Fault {
        Fault { at, problem: Box::new(problem.into()) }
    }
}

impl From<(Span, TokenError)> for Fault {
    fn from((at, error): (Span, TokenError)) -> Fault {
        Fault::new(at, error)
    }
}

/// Why a configuration cannot be used. Its `Display` is the whole diagnostic, of several lines.
#[derive(Debug)]
pub struct ConfigError {
    /// What is wrong.
    pub problem: Box<Problem>,
    /// Where, unless it is the main file that cannot be read.
    place: Option<Place>,
}

impl ConfigError {
    pub(super) fn new(files: &Files, fault: Fault) -> ConfigError {
        ConfigError { place: Some(Place::new(files, fault.at)), problem: fault.problem }
    }

    pub(super) fn without_place(problem: Problem) -> ConfigError {
        ConfigError { problem: Box::new(problem), place: None }
    }
}

impl ConfigError {
    /// The same in one line, for logs: `REASON in FILE:LINE`.
    pub fn brief(&self) -> String {
        let place = self.place.as_ref().map(|p| format!(" in {}:{}", p.path, p.at.line));
        one_line(&format!("{}{}", self.problem, place.unwrap_or_default()))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", one_line(&self.problem.to_string()))?;
        if let Some(place) = &self.place {
            place.show(f)?;
        }
        if let Some(help) = self.problem.help() {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Something to know although it is no error: `MESSAGE in FILE:LINE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `Warn` where the file probably means something else than it does, otherwise `Info`.
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
struct Place {
    path: String,
    at: Span,
    line: String,
}

impl Place {
    fn new(files: &Files, at: Span) -> Place {
        let text = files.text(at.file);
        let line = text.split(|b| *b == b'\n').nth(at.line - 1).unwrap_or_default();
        let line = String::from_utf8_lossy(line).trim_end().to_string();
        Place { path: files.path(at.file).display().to_string(), at, line }
    }

    /// The place, the line, and carets below what is meant.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { line, column, width, .. } = self.at;
        // Of a very long line, only what stands around the place.
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

/// A text without bytes that could move a terminal's cursor or begin another line of a log.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { ' ' } else { printable(c) }).collect()
}

fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { '\u{fffd}' } else { c }
}

/// Characters shown of a line.
const LINE_SHOWN: usize = 160;
