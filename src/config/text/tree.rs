//! Words become nested directives. Accepts any name; interprets only `include`.

use std::path::{Path, PathBuf};

use crate::config::diagnostic::{Fault, FaultList};
use crate::config::text::files::Files;
use crate::config::text::lexer::{Lexeme, Lexer, Span, Word};
use crate::config::text::tree_error::{DEPTH_LIMIT, INCLUDE_LIMIT, TreeError};

/// `NAME ARG …;` or `NAME ARG … { … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Word>,
    /// The contents of its braces, if it has braces.
    pub block: Option<Vec<Directive>>,
    /// The place of its name.
    pub at: Span,
    /// Whether the model may use it. Refused directives stay in place, so that the settings they
    /// would have made are not reported as missing.
    pub sound: bool,
}

impl Directive {
    /// A placeholder for directives that could not be read.
    fn unread(at: Span) -> Directive {
        Directive { name: String::new(), args: Vec::new(), block: None, at, sound: false }
    }

    /// Whether it is a placeholder for unread directives.
    pub fn is_unread(&self) -> bool {
        !self.sound && self.name.is_empty()
    }
}

/// Reads the file with the given index and all files it includes. A syntax error ends only the
/// reading of its own file. Faults are noted, and unreadable text leaves a directive that is not
/// sound.
pub fn parse(files: &mut Files, file: usize, faults: &mut FaultList) -> Vec<Directive> {
    let mut parser = Parser { files, including: vec![file], faults, full: false };
    let mut directives = Vec::new();
    parser.file(file, 0, &mut directives);
    directives
}

struct Parser<'f> {
    files: &'f mut Files,
    /// The files being read, outermost first.
    including: Vec<usize>,
    faults: &'f mut FaultList,
    /// Whether a limit on all files together is reached: no other file is read.
    full: bool,
}

/// What ends a list of directives.
#[derive(Clone, Copy)]
enum Ends {
    AtEndOfFile,
    /// At the `}` of the block that was opened here.
    AtBrace(Span),
}

impl Parser<'_> {
    fn file(&mut self, file: usize, depth: usize, into: &mut Vec<Directive>) {
        let text = self.files.text(file);
        let read = self.list(&mut Lexer::new(file, &text), depth, Ends::AtEndOfFile, into);
        self.faults.keep(read);
    }

    fn list(
        &mut self,
        lexer: &mut Lexer<'_>,
        depth: usize,
        ends: Ends,
        into: &mut Vec<Directive>,
    ) -> Result<(), Fault> {
        loop {
            let read = self.directive(lexer, depth, ends, into);
            match read {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(fault) => {
                    into.push(Directive::unread(fault.at));
                    return Err(fault);
                }
            }
        }
    }

    /// Reads one directive. Returns whether there was one before the end of the list.
    fn directive(
        &mut self,
        lexer: &mut Lexer<'_>,
        depth: usize,
        ends: Ends,
        into: &mut Vec<Directive>,
    ) -> Result<bool, Fault> {
        let name = match (lexer.lexeme()?, ends) {
            (Some(Lexeme::Word(word)), _) => word,
            (Some(Lexeme::Close(_)), Ends::AtBrace(_)) => return Ok(false),
            (Some(Lexeme::Close(at)), Ends::AtEndOfFile) => {
                return Err(Fault::new(at, TreeError::StrayClose));
            }
            (Some(Lexeme::Semicolon(at)), _) => {
                return Err(Fault::new(at, TreeError::NoName(';')));
            }
            (Some(Lexeme::Open(at)), _) => return Err(Fault::new(at, TreeError::NoName('{'))),
            (None, Ends::AtEndOfFile) => return Ok(false),
            (None, Ends::AtBrace(open)) => return Err(Fault::new(open, TreeError::OpenBlock)),
        };
        let (name, at) = (name.text, name.at);
        let mut args = Vec::new();
        let (block, whole) = loop {
            match lexer.lexeme()? {
                Some(Lexeme::Word(word)) => args.push(word),
                Some(Lexeme::Semicolon(_)) => break (None, Ok(true)),
                Some(Lexeme::Open(at)) if depth >= DEPTH_LIMIT => {
                    return Err(Fault::new(at, TreeError::TooDeep));
                }
                Some(Lexeme::Open(at)) => {
                    let mut block = Vec::new();
                    let whole = self.list(lexer, depth + 1, Ends::AtBrace(at), &mut block);
                    break (Some(block), whole.map(|()| true));
                }
                Some(Lexeme::Close(_)) | None => {
                    return Err(Fault::new(at, TreeError::NoSemicolon(name)));
                }
            }
        };
        let directive = Directive { name, args, block, at, sound: true };
        if directive.name == "include" {
            self.include(&directive, depth, into);
        } else {
            into.push(directive);
        }
        whole
    }

    fn include(&mut self, directive: &Directive, depth: usize, into: &mut Vec<Directive>) {
        let included = self.matching(directive).and_then(|(at, paths)| {
            for path in paths {
                let file = self.open(at, &path)?;
                self.including.push(file);
                self.file(file, depth, into);
                self.including.pop();
            }
            Ok(())
        });
        if self.faults.keep(included).is_none() {
            into.push(Directive::unread(directive.at));
        }
    }

    /// The files that an `include` names, and the place of its argument.
    fn matching(&self, directive: &Directive) -> Result<(Span, Vec<PathBuf>), Fault> {
        let (Some(mask), 1, None) =
            (directive.args.first(), directive.args.len(), &directive.block)
        else {
            return Err(Fault::new(directive.at, TreeError::IncludeForm));
        };
        if self.full {
            return Ok((mask.at, Vec::new()));
        }
        let paths = self.files.matching(&mask.text).map_err(|e| Fault::new(mask.at, e))?;
        Ok((mask.at, paths))
    }

    fn open(&mut self, at: Span, path: &Path) -> Result<usize, Fault> {
        if self.including.iter().any(|file| self.files.is(*file, path)) {
            return Err(Fault::new(at, TreeError::IncludesItself(path.into())));
        }
        if self.including.len() > INCLUDE_LIMIT {
            return Err(Fault::new(at, TreeError::IncludesTooDeep));
        }
        let read = self.files.read(path, at);
        self.full |= matches!(read, Err(TreeError::TooManyFiles | TreeError::TooMuch));
        read.map_err(|e| Fault::new(at, e))
    }
}
