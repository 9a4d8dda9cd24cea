//! The two layers: requests and connections.

/// What is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Requests: `http {}`.
    Http,
    /// Connections: `stream {}`.
    Stream,
}
