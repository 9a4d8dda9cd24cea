//! The files of one load: the main one, included ones, and masks that match several.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::config::text::lexer::Span;
use crate::config::text::tree_error::{FILE_SIZE_LIMIT, FILES_LIMIT, TOTAL_SIZE_LIMIT, TreeError};

/// A configuration file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path it was read from, or the name of a text.
    pub path: PathBuf,
    /// The whole contents; not necessarily UTF-8.
    pub text: Arc<Vec<u8>>,
}

/// All files read so far, and the base directory for included ones.
#[derive(Debug)]
pub struct Files {
    list: Vec<SourceFile>,
    /// The `include` that named each file; `None` for files named on the command line.
    included_at: Vec<Option<Span>>,
    /// Bytes of all files together.
    size: u64,
    /// Base of relative `include` paths; `None` if nothing may be included.
    base: Option<PathBuf>,
}

impl Files {
    /// No files yet.
    pub fn new(base: Option<PathBuf>) -> Files {
        Files { list: Vec::new(), included_at: Vec::new(), size: 0, base }
    }

    /// Adds a text that is not a file; returns its index.
    pub fn add_text(&mut self, name: &str, text: &[u8]) -> usize {
        self.add(name.into(), text.to_vec(), None)
    }

    /// Reads the main file, which may also be a pipe or a device; returns its index.
    ///
    /// # Errors
    /// If the file cannot be read or is too large, or if it is an empty pipe.
    pub fn read_main(&mut self, path: &Path) -> Result<usize, TreeError> {
        let text = contents(path, OFlags::empty())?;
        let is_pipe = || fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
        if text.is_empty() && is_pipe() {
            return Err(TreeError::EmptyPipe(path.into()));
        }
        Ok(self.add(path.into(), text, None))
    }

    /// Reads a file that an `include` names; returns its index.
    ///
    /// # Errors
    /// If the path is not a regular file, cannot be read, is too large or exceeds the number of
    /// files.
    pub fn read(&mut self, path: &Path, include: Span) -> Result<usize, TreeError> {
        if self.list.len() >= FILES_LIMIT {
            return Err(TreeError::TooManyFiles);
        }
        // Checked before opening: opening a pipe without a writer would block.
        let found = fs::metadata(path);
        let found = found.map_err(|reason| TreeError::Unreadable(path.into(), reason))?;
        if found.is_dir() {
            return Err(TreeError::Directory(path.into()));
        }
        if !found.is_file() {
            return Err(TreeError::NotAFile(path.into()));
        }
        // Some regular files of procfs block when read.
        let text = contents(path, OFlags::NONBLOCK)?;
        if self.size + text.len() as u64 > TOTAL_SIZE_LIMIT {
            return Err(TreeError::TooMuch);
        }
        Ok(self.add(path.into(), text, Some(include)))
    }

    fn add(&mut self, path: PathBuf, text: Vec<u8>, include: Option<Span>) -> usize {
        self.size += text.len() as u64;
        self.included_at.push(include);
        self.list.push(SourceFile { path, text: Arc::new(text) });
        self.list.len() - 1
    }

    /// The contents of a file.
    pub fn text(&self, file: usize) -> Arc<Vec<u8>> {
        self.list.get(file).map(|f| Arc::clone(&f.text)).unwrap_or_default()
    }

    /// The path a file was read from.
    pub fn path(&self, file: usize) -> &Path {
        self.list.get(file).map_or(Path::new("?"), |f| &f.path)
    }

    /// A sort key for places in reading order, where included files stand in place of their
    /// `include`: lines and columns, from the outermost file inwards.
    pub fn order(&self, at: Span) -> Vec<(usize, usize)> {
        let mut order = vec![(at.line, at.column)];
        let mut file = at.file;
        while let Some(include) = self.included_at.get(file).copied().flatten() {
            order.push((include.line, include.column));
            file = include.file;
        }
        // Directives of the command line come after the main file.
        order.push((file, 0));
        order.reverse();
        order
    }

    /// Whether `path` leads to that file.
    pub fn is(&self, file: usize, path: &Path) -> bool {
        match (fs::canonicalize(self.path(file)), fs::canonicalize(path)) {
            (Ok(one), Ok(other)) => one == other,
            (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
        }
    }

    /// The paths that an `include` names: a single one, or all that match the mask, sorted.
    ///
    /// # Errors
    /// If nothing may be included.
    pub fn matching(&self, mask: &str) -> Result<Vec<PathBuf>, TreeError> {
        let base = self.base.as_ref().ok_or(TreeError::IncludeInText)?;
        let full = base.join(mask);
        if !mask.contains(['*', '?', '[']) {
            return Ok(vec![full]);
        }
        let pattern = pattern(base, mask);
        // A malformed pattern, such as an open bracket, is taken as a name.
        let Ok(found) = glob::glob_with(&pattern, AS_IN_A_SHELL) else { return Ok(vec![full]) };
        let mut found: Vec<PathBuf> = found.flatten().collect();
        found.sort_unstable();
        Ok(found)
    }

    /// All files, in reading order.
    pub fn into_list(self) -> Vec<SourceFile> {
        self.list
    }
}

/// Reads a file, up to the size limit.
fn contents(path: &Path, flags: OFlags) -> Result<Vec<u8>, TreeError> {
    let unreadable = |reason| TreeError::Unreadable(path.into(), reason);
    let mut text = Vec::new();
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
    // Pipes and devices report no size, and some never end.
    file.take(FILE_SIZE_LIMIT + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_SIZE_LIMIT {
        return Err(TreeError::TooLarge(path.into()));
    }
    Ok(text)
}

/// A pattern for `mask` below `base`. Special characters of `base` are escaped; `**` means `*`.
fn pattern(base: &Path, mask: &str) -> String {
    let mut mask = mask.to_owned();
    while mask.contains("**") {
        mask = mask.replace("**", "*");
    }
    if Path::new(&mask).is_absolute() {
        return mask;
    }
    let base = glob::Pattern::escape(&base.to_string_lossy());
    Path::new(&base).join(mask).to_string_lossy().into_owned()
}

/// A star does not match `/`; hidden files match only with an explicit dot.
const AS_IN_A_SHELL: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_fit_as_in_a_shell() {
        for (mask, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[0-9]*", "10-x", true),
            ("[!0-9]*", "10-x", false),
            ("[ab", "[ab", true),
            ("*a*b*", "xxaxxbxx", true),
            ("**", "a", true),
            ("**", "b/a", false),
            ("*/a", "b/a", true),
        ] {
            // The directory is not part of the mask, even if it looks like one.
            let dir = tempfile::Builder::new().prefix("[x]*").tempdir().unwrap();
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            let found = Files::new(Some(dir.path().into())).matching(mask).unwrap();
            assert_eq!(found.contains(&path), expected, "{mask} {name}");
        }
    }

    #[test]
    fn a_mask_names_its_files_sorted_and_not_the_hidden_ones() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".c.conf", "d.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let files = Files::new(Some(dir.path().into()));
        let found = files.matching("*.conf").unwrap();
        assert_eq!(found, [dir.path().join("a.conf"), dir.path().join("b.conf")]);
        assert_eq!(files.matching("none/*.conf").unwrap(), [] as [PathBuf; 0]);
    }
}
