//! What all sessions of one worker share.

use super::context::Context;
use super::exchange::Exchange;
use crate::net::Net;
use crate::recycle::Boxes;

/// The context, and storage for what sessions make in it.
pub struct Shared<N: Net> {
    /// What exchanges and tunnels work with.
    pub context: Context<N>,
    /// Storage for exchanges.
    pub exchanges: Boxes<Exchange<N>>,
}
