//! Why a request is answered by the proxy instead of a server: its status, the words for the
//! client, and the name under which it is counted.

use super::framing::FramingError;
use super::head::HeadError;

/// A request that is not served any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The head is not HTTP/1.1, or too long.
    Head(HeadError),
    /// The head did not come in time.
    HeadTimedOut,
    /// Sessions that are still sending a head make room for others.
    NoRoomForHead,
    /// Buffers are used up, and this head is large.
    NoMemoryForHead,
    /// `CONNECT` or `TRACE`.
    Method,
    /// The target is none of the forms that RFC 9112, section 3.2, knows.
    Target,
    /// HTTP/1.1 without `Host`.
    NoHost,
    /// A `Host` that is no host.
    BadHost,
    /// More than one `Host`.
    SeveralHosts,
    /// It is not certain where the body ends.
    Framing(FramingError),
    /// More connection options than are looked at.
    ConnectionTooLong,
    /// An expectation other than `100-continue`.
    Expectation,
    /// The path leads above the root.
    OutOfTree,
    /// The body is larger than `client_max_body_size`.
    BodyTooLarge,
    /// The body's chunks are malformed.
    BadChunks,
    /// The body did not come in time.
    BodyTimedOut,
    /// A body without a length cannot go to a server of HTTP/1.0.
    LengthRequired,
    /// Buffers are used up, and the response's head is large.
    NoMemoryForResponse,
    /// We lack descriptors, ports or memory for a connection.
    NoResources,
    /// Every server is out or full.
    NoServer,
    /// No server accepted a connection.
    Unreachable,
    /// No server accepted a connection in time.
    ConnectTimedOut,
    /// The server closed the connection without a response.
    ClosedEarly,
    /// The server did not take the request in time.
    SendTimedOut,
    /// The server did not respond in time.
    ReadTimedOut,
    /// What the server sent is not a response.
    BadResponse,
    /// The server answered with a status that stands for a failure.
    ServerFailed(u16),
}

impl Refusal {
    /// The status for the client.
    pub fn status(self) -> u16 {
        self.row().0
    }

    /// The reason, for the client.
    pub fn words(self) -> &'static str {
        self.row().1
    }

    /// The name under which it is counted.
    pub fn label(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Refusal::Head(error) => (error.status(), words_of_head(error), "bad_head"),
            Refusal::HeadTimedOut => {
                (408, "The request head did not come in time.", "head_timed_out")
            }
            Refusal::NoRoomForHead => {
                (503, "The proxy has no room for a head that comes slowly.", "no_room_for_head")
            }
            Refusal::NoMemoryForHead => {
                (503, "The proxy has no memory for a head of this size now.", "no_memory_for_head")
            }
            Refusal::Method => (405, "This method is not served here.", "method"),
            Refusal::Target => (400, "bad request target", "bad_target"),
            Refusal::NoHost => (400, "no Host", "no_host"),
            Refusal::BadHost => (400, "bad Host", "bad_host"),
            Refusal::SeveralHosts => (400, "more than one Host", "several_hosts"),
            Refusal::Framing(error) => {
                (error.status(), "The body's length is not certain.", "ambiguous_length")
            }
            Refusal::ConnectionTooLong => {
                (431, "The Connection field is too long.", "connection_too_long")
            }
            Refusal::Expectation => (417, "Only 100-continue can be expected.", "expectation"),
            Refusal::OutOfTree => (400, "The path leads out of the tree.", "out_of_tree"),
            Refusal::BodyTooLarge => (413, "The body is larger than allowed.", "body_too_large"),
            Refusal::BadChunks => (400, "The body is not made of chunks.", "bad_chunks"),
            Refusal::BodyTimedOut => (408, "The body did not come in time.", "body_timed_out"),
            Refusal::LengthRequired => (
                411,
                "A body without a length cannot be passed on with proxy_http_version 1.0.",
                "length_required",
            ),
            Refusal::NoMemoryForResponse => (
                503,
                "The proxy has no memory for a response head of this size now.",
                "no_memory_for_response",
            ),
            Refusal::NoResources => {
                (502, "No connection can be made: the proxy is out of resources.", "no_resources")
            }
            Refusal::NoServer => (502, "No server can take this request now.", "no_server"),
            Refusal::Unreachable => (502, "No server could be reached.", "unreachable"),
            Refusal::ConnectTimedOut => (504, "No server could be reached.", "connect_timed_out"),
            Refusal::ClosedEarly => {
                (502, "The server closed the connection without a response.", "closed_early")
            }
            Refusal::SendTimedOut => {
                (504, "The server did not take the request in time.", "send_timed_out")
            }
            Refusal::ReadTimedOut => (504, "The server did not respond in time.", "read_timed_out"),
            Refusal::BadResponse => {
                (502, "The server sent something that is not a response.", "bad_response")
            }
            Refusal::ServerFailed(status) => (status, "The server failed.", "server_failed"),
        }
    }

    /// Whether it is for what the client sent, or for our own lack of room: then what follows the
    /// request is not read, and the connection ends.
    pub fn ends_the_connection(self) -> bool {
        matches!(self.status(), 400..=499 | 501 | 503 | 505)
    }
}

fn words_of_head(error: HeadError) -> &'static str {
    match error {
        HeadError::Malformed => "malformed request head",
        HeadError::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
        HeadError::FirstLineTooLong => "request line too long",
        HeadError::TooLarge => "request head too large",
        HeadError::EmptyLines => "too many empty lines before the request",
    }
}
