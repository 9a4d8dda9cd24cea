//! The two layers: requests and connections.

/// What is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Requests: `http {}`.
    Http,
    /// Connections: `stream {}`.
    Stream,
}

impl Layer {
    /// The name of its block.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Http => "http",
            Layer::Stream => "stream",
        }
    }
}
