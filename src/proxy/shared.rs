//! The context of a worker, together with the storage for its exchanges.

use crate::net::Net;
use crate::proxy::context::Context;
use crate::proxy::http::exchange::Exchange;
use crate::recycle::Boxes;

/// What a session may use besides its own state.
pub struct Shared<N: Net> {
    /// The state that exchanges and tunnels use as well.
    pub context: Context<N>,
    /// Recycled boxes for exchanges.
    pub exchanges: Boxes<Exchange<N>>,
}
