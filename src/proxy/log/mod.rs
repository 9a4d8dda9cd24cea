//! The logs about requests: access log, attempt log, and limited log.

pub mod access_log;
pub mod attempt_log;
pub mod changes;
pub mod format;
pub mod limited_log;
pub mod of_tls;
pub mod seldom;
