//! Sockets, pools, pipes, and the unread transfer between two sockets. Knows nothing of HTTP.

pub mod dial;
pub mod flow;
pub mod io;
pub mod pipe;
pub mod pool;
pub mod proxy_protocol;
pub mod reserve;
pub mod socket;
pub mod tunnel;
