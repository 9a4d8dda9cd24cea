//! Files of certificates and keys, read once at load.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A source of such files.
#[derive(Debug)]
pub(in crate::config) enum Pems {
    /// The file system.
    System,
    /// These files only.
    Fixed(HashMap<PathBuf, Vec<u8>>),
}

impl Pems {
    /// The contents of a file.
    ///
    /// # Errors
    /// It cannot be read, is no file, or too large.
    pub(in crate::config) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self {
            Pems::Fixed(known) => known.get(path).cloned().ok_or(io::ErrorKind::NotFound.into()),
            Pems::System => {
                // Opening a pipe without a writer would block.
                let found = fs::metadata(path)?;
                if !found.is_file() || found.len() > LIMIT {
                    return Err(io::Error::other("it is no file, or larger than a megabyte"));
                }
                fs::read(path)
            }
        }
    }
}

/// The largest file of certificates, in bytes.
const LIMIT: u64 = 1 << 20;
