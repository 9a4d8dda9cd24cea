//! Why the proxy answers a request in place of a server, with a status, a reason for the client,
//! and a label for counting.

use super::framing::FramingError;
use super::head::HeadError;

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The head is not valid HTTP/1.x, or too long.
    Head(HeadError),
    /// The head did not come in time.
    HeadTimedOut,
    /// The head was still incomplete when other sessions needed room.
    NoRoomForHead,
    /// Buffer memory is used up, and this head is large.
    NoMemoryForHead,
    /// `CONNECT` or `TRACE`.
    Method,
    /// The target has none of the forms in RFC 9112, section 3.2.
    Target,
    /// A client that speaks no TLS came to a port where that is expected.
    PlainAtTls,
    /// A client that has to show a certificate has shown none.
    NoCertificate,
    /// Over TLS, a client asked for another server by name than in its request.
    Misdirected,
    /// HTTP/1.1 without `Host`.
    NoHost,
    /// An invalid `Host`.
    BadHost,
    /// More than one `Host`.
    SeveralHosts,
    /// The end of the body is ambiguous.
    Framing(FramingError),
    /// More connection options than are read.
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
    /// The body has no length, so it cannot be sent with HTTP/1.0.
    LengthRequired,
    /// Buffer memory is used up, and the response's head is large.
    NoMemoryForResponse,
    /// We lack descriptors or memory for a connection.
    NoResources,
    /// Every server is out or full.
    NoServer,
    /// No server became ready while the request waited.
    WaitedInVain,
    /// As many requests as may wait for a server do.
    QueueFull,
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
    /// The server's bytes are not a valid response.
    BadResponse,
    /// The server answered with a status that counts as a failure.
    ServerFailed(u16),
}

impl Refusal {
    /// The status for the client.
    pub fn status(self) -> u16 {
        self.row().0
    }

    /// The reason for the client.
    pub fn words(self) -> &'static str {
        self.row().1
    }

    /// A fixed label, for counting refusals by kind.
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
            Refusal::PlainAtTls => {
                (497, "A plain HTTP request was sent to a port for HTTPS.", "plain_at_tls")
            }
            Refusal::NoCertificate => (496, "A client certificate is required.", "no_certificate"),
            Refusal::Misdirected => {
                (421, "The connection was made for another server.", "misdirected")
            }
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
            Refusal::WaitedInVain => (503, "No server has become ready in time.", "waited_in_vain"),
            Refusal::QueueFull => {
                (503, "Too many requests wait for a server already.", "queue_full")
            }
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

    /// Whether the client's bytes or our lack of room are the reason. Then the rest of the request
    /// is not read, and the connection ends.
    pub fn ends_the_connection(self) -> bool {
        let waited = matches!(self, Refusal::WaitedInVain | Refusal::QueueFull);
        !waited && matches!(self.status(), 400..=499 | 501 | 503 | 505)
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
