//! Sessions: the only code that reads and writes streams.

pub mod account;
pub mod admit;
pub mod answers;
pub mod attempt;
pub mod client;
pub mod complaints;
pub mod context;
pub mod download;
pub mod exchange;
pub mod http;
pub mod journal;
pub mod pool;
pub mod render;
pub mod request;
pub mod response;
pub mod route;
pub mod session;
pub mod socket;
pub mod tunnel;
pub mod upload;
pub mod variables;
