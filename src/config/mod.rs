//! Configuration: bytes → words → tree → model. Knows nothing of sockets.
//!
//! Only loading has contact with the outside: it reads files and resolves names. Anything not
//! understood is an error that shows its place; nothing is ignored.

pub mod diagnostic;
pub mod known;
pub mod load;
pub mod model;
pub mod text;

mod build;
#[cfg(test)]
mod tests;

pub use build::error::BuildError;
pub use diagnostic::{ConfigError, Fault, Notice, Problem};
pub use load::{Loaded, Main, Source, load, parse_text, parse_text_beside};
pub use text::files::SourceFile;
