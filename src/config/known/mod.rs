//! The directives that are known: which there are, where they may stand, and what is said of others.

pub mod directives;
pub mod nearest;
pub mod unsupported;
