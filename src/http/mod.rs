//! HTTP/1.1 as bytes in, meaning out. No sockets, no clock, no configuration.

pub mod answer;
pub mod chunked;
pub mod connection;
pub mod fields;
pub mod framing;
pub mod h2_preface;
pub mod head;
pub mod refusal;
pub mod rewrite;
pub mod target;
