//! What all sessions of one worker share.

use crate::net::Net;
use crate::proxy::context::Context;
use crate::proxy::http::exchange::Exchange;
use crate::recycle::Boxes;

/// The context, and storage for what sessions make in it.
pub struct Shared<N: Net> {
    /// What exchanges and tunnels work with.
    pub context: Context<N>,
    /// Storage for exchanges.
    pub exchanges: Boxes<Exchange<N>>,
}
