//! Errors in reading files and nesting directives, and the limits of both.

use std::fmt;
use std::path::{Path, PathBuf};

/// Nesting depth of blocks; a real file needs five.
pub const DEPTH_LIMIT: usize = 32;
/// Nesting depth of included files.
pub const INCLUDE_LIMIT: usize = 16;
/// Total number of files; a file that is included many times multiplies its own `include`s.
pub const FILES_LIMIT: usize = 1000;
/// Bytes of one file: a thousand times the usual size.
pub const FILE_SIZE_LIMIT: u64 = 16 << 20;
/// Bytes of all files together; a file counts as often as it is included.
pub const TOTAL_SIZE_LIMIT: u64 = 32 << 20;

/// Why words do not form directives.
#[derive(Debug)]
pub enum TreeError {
    /// A `}` that closes nothing.
    StrayClose,
    /// A `;` or `{` in place of a name.
    NoName(char),
    /// A `{` that is never closed.
    OpenBlock,
    /// This directive is cut short by `}` or the end of the file.
    NoSemicolon(String),
    /// More than [`DEPTH_LIMIT`] nested blocks.
    TooDeep,
    /// `include` with a number of arguments other than one.
    IncludeForm,
    /// A file that includes itself, directly or through others.
    IncludesItself(PathBuf),
    /// More than [`INCLUDE_LIMIT`] nested files.
    IncludesTooDeep,
    /// More than [`FILES_LIMIT`] files.
    TooManyFiles,
    /// More than [`TOTAL_SIZE_LIMIT`] bytes in all files together.
    TooMuch,
    /// `include` in a text that was not read from a file.
    IncludeInText,
    /// A file larger than [`FILE_SIZE_LIMIT`].
    TooLarge(PathBuf),
    /// A main file that is an empty pipe.
    EmptyPipe(PathBuf),
    /// An included path that is a directory.
    Directory(PathBuf),
    /// An included path that is a pipe, socket or device.
    NotAFile(PathBuf),
    /// A file that cannot be read.
    Unreadable(PathBuf, std::io::Error),
}

impl TreeError {
    /// What to do about the error.
    pub fn help(&self) -> Option<String> {
        match self {
            TreeError::StrayClose => Some("remove it, or look for a \"{\" missing above".into()),
            TreeError::OpenBlock => Some("add the \"}\" that closes this block".into()),
            TreeError::NoSemicolon(_) => Some("end the directive with \";\"".into()),
            TreeError::IncludeForm => Some("write \"include FILE;\"".into()),
            TreeError::EmptyPipe(_) => {
                Some("a pipe can be read once: keep what is loaded again in a file".into())
            }
            TreeError::Directory(path) => {
                Some(format!("write \"include {};\"", path.join("*.conf").display()))
            }
            TreeError::NoName(_)
            | TreeError::TooDeep
            | TreeError::IncludesItself(_)
            | TreeError::IncludesTooDeep
            | TreeError::TooManyFiles
            | TreeError::TooMuch
            | TreeError::NotAFile(_)
            | TreeError::IncludeInText
            | TreeError::TooLarge(_)
            | TreeError::Unreadable(..) => None,
        }
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = Path::display;
        match self {
            TreeError::StrayClose => f.write_str("this \"}\" closes nothing"),
            TreeError::NoName(found) => {
                write!(f, "unexpected \"{found}\": a directive's name is expected here")
            }
            TreeError::OpenBlock => f.write_str("this \"{\" is never closed"),
            TreeError::NoSemicolon(name) => write!(f, "directive \"{name}\" is not ended by \";\""),
            TreeError::TooDeep => write!(f, "more than {DEPTH_LIMIT} blocks inside each other"),
            TreeError::IncludeForm => f.write_str("\"include\" takes one file or mask"),
            TreeError::IncludesItself(path) => write!(f, "\"{}\" includes itself", show(path)),
            TreeError::IncludesTooDeep => {
                write!(f, "more than {INCLUDE_LIMIT} files that include one another")
            }
            TreeError::TooManyFiles => write!(f, "more than {FILES_LIMIT} files are included"),
            TreeError::TooMuch => {
                write!(f, "all files together are larger than {TOTAL_SIZE_LIMIT} bytes")
            }
            TreeError::EmptyPipe(path) => {
                write!(f, "nothing is left in the pipe \"{}\"", show(path))
            }
            TreeError::Directory(path) => write!(f, "\"{}\" is a directory", show(path)),
            TreeError::NotAFile(path) => write!(f, "\"{}\" is not a regular file", show(path)),
            TreeError::IncludeInText => f.write_str("\"include\" works only in a file"),
            TreeError::TooLarge(path) => {
                write!(f, "\"{}\" is larger than {FILE_SIZE_LIMIT} bytes", show(path))
            }
            TreeError::Unreadable(path, reason) => {
                write!(f, "cannot read \"{}\": {reason}", show(path))
            }
        }
    }
}
