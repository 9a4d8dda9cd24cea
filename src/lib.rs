//! switchover: a failover proxy in front of a primary and its backups.

pub mod address;
pub mod config;
pub mod net;
pub mod process;
pub mod time;
pub mod worker;
