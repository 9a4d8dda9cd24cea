//! Sockets, pools, pipes and what passes between two sockets unread. Knows no HTTP.

pub mod dial;
pub mod flow;
pub mod io;
pub mod pipe;
pub mod pool;
pub mod proxy_protocol;
pub mod reserve;
pub mod socket;
pub mod tunnel;
