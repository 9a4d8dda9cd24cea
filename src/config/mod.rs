//! Configuration: bytes → words → tree → model. Knows nothing of sockets.

pub mod model;
pub mod template;
