//! What requests leave in the logs.

pub mod access_log;
pub mod attempt_log;
pub mod format;
pub mod limited_log;
