//! Loads a configuration: the one place that reads files and resolves names.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use super::build::{self, Surroundings};
use super::diagnostic::{ConfigError, Notice};
use super::model;
use super::model::template::Constants;
use super::text::files::{Files, SourceFile};
use super::text::names::Names;
use super::text::pems::Pems;

/// What to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The configuration to read.
    pub main: Main,
    /// The base of relative paths of logs and the pid file.
    pub prefix: PathBuf,
    /// Directives of the main context from the command line (`-g`).
    pub extra: Option<String>,
    /// The error log if there is no `error_log`.
    pub error_log: model::LogSink,
}

/// Where the configuration is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Main {
    /// A file; `include` paths are relative to its directory.
    File(PathBuf),
    /// A text with a name for messages; it cannot include files.
    Text {
        /// Its name in messages.
        name: String,
        /// The text itself.
        text: String,
    },
}

/// The result of a load.
#[derive(Debug)]
pub struct Loaded {
    /// The model.
    pub config: model::Config,
    /// The files read, the main file first.
    pub files: Vec<SourceFile>,
    /// What the operator should know although it is not an error.
    pub notices: Vec<Notice>,
}

/// Reads, checks and resolves a configuration. One that is no file has no pid file and no control
/// socket unless it names them. Blocks while names are resolved.
///
/// # Errors
/// All faults found, with their places.
pub fn load(source: &Source) -> Result<Loaded, ConfigError> {
    let base = match &source.main {
        Main::File(path) => Some(path.parent().unwrap_or(Path::new("")).to_path_buf()),
        Main::Text { .. } => None,
    };
    let mut files = Files::new(base.clone());
    let main = match &source.main {
        Main::File(path) => {
            files.read_main(path).map_err(|e| ConfigError::without_place(e.into()))?
        }
        Main::Text { name, text } => files.add_text(name, text.as_bytes()),
    };
    let extra = source.extra.as_ref().map(|text| files.add_text("command line", text.as_bytes()));
    let around = Surroundings {
        prefix: source.prefix.clone(),
        error_log: source.error_log.clone(),
        names: Names::system(),
        base: base.unwrap_or_else(|| source.prefix.clone()),
        pems: Pems::System,
        now: Some(OffsetDateTime::now_utc().unix_timestamp()),
        constants: Constants { hostname: hostname() },
    };
    let mut loaded = finish(files, main, extra, around)?;
    if let Main::Text { .. } = &source.main {
        loaded.config.process.omit_default_files();
    }
    build::listen_for_commands(&mut loaded.config);
    Ok(loaded)
}

/// Builds a configuration from a text without touching the file system or resolving any name but
/// `localhost`: for tests, benchmarks and fuzzing.
///
/// # Errors
/// All faults found, with their places.
pub fn parse_text(name: &str, text: &[u8]) -> Result<Loaded, ConfigError> {
    parse_text_beside(name, text, &[])
}

/// Like [`parse_text`], with files of certificates and keys: their names in the text, and what they
/// hold.
///
/// # Errors
/// All faults found, with their places.
pub fn parse_text_beside(
    name: &str,
    text: &[u8],
    pems: &[(&str, &[u8])],
) -> Result<Loaded, ConfigError> {
    let prefix = PathBuf::from("/prefix");
    let pems = pems.iter().map(|(name, bytes)| (prefix.join(name), bytes.to_vec()));
    let mut files = Files::new(None);
    let main = files.add_text(name, text);
    let around = Surroundings {
        prefix: prefix.clone(),
        error_log: model::LogSink::Stderr,
        names: Names::Fixed(HashMap::new()),
        pems: Pems::Fixed(pems.collect()),
        base: prefix,
        now: None,
        constants: Constants { hostname: "localhost".into() },
    };
    finish(files, main, None, around)
}

fn finish(
    mut files: Files,
    main: usize,
    extra: Option<usize>,
    around: Surroundings,
) -> Result<Loaded, ConfigError> {
    match build::build(&mut files, main, extra, around) {
        Ok((config, remarks)) => {
            let mut notices: Vec<Notice> =
                remarks.into_iter().map(|r| Notice::new(&files, r)).collect();
            // A file may be included many times, and repeat its notices.
            let mut said = HashSet::new();
            notices.retain(|notice| said.insert(notice.text.clone()));
            Ok(Loaded { config, files: files.into_list(), notices })
        }
        Err(faults) => Err(ConfigError::new(&files, faults)),
    }
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_lowercase()
}
