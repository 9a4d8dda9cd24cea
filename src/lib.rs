//! switchover: a failover proxy in front of a primary and its backups.

pub mod address;
pub mod buffer;
pub mod config;
pub mod http;
pub mod net;
pub mod process;
pub mod proxy;
pub mod time;
pub mod upstream;
pub mod worker;
