//! Sessions: the only code that reads and writes streams.

pub mod accepted;
pub mod announcements;
pub mod attempts;
pub mod checks;
pub mod client;
pub mod context;
mod coordinator;
pub mod forwarded;
pub mod generation;
pub mod http;
pub mod log;
pub mod news;
pub mod next;
pub mod opening;
pub mod orders;
pub mod probe;
pub mod probes;
pub mod served;
pub mod servers;
pub mod session;
pub mod shared;
pub mod stream;
pub mod submissions;
