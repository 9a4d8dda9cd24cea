//! Whether a request that failed at one server may be sent to the next.

use std::time::Duration;

use crate::config::model::NextUpstream;
use crate::tls::TlsFailure;

/// How an attempt failed before a response could be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No process listens there.
    Refused,
    /// The connect was not answered in time.
    ConnectTimedOut,
    /// The connect failed in another way: no route, no such path.
    Unreachable,
    /// The TLS handshake failed.
    Handshake(TlsFailure),
    /// No local port is free, or the address of `proxy_bind` is not a local one.
    NoLocalAddress,
    /// Another request found that the server does not answer.
    MarkedDown,
    /// The connection was reset before the response head.
    Reset,
    /// The connection was closed before the response head.
    Closed,
    /// The server accepted no byte of the request for too long.
    SendTimedOut,
    /// The whole request was sent, but no byte came back for too long.
    ReadTimedOut,
    /// The response is not HTTP, or ends before its end.
    BadResponse,
    /// A response with a listed status.
    Status(u16),
    /// A coordinator answered with this status that it cannot serve the request: it does not know
    /// the query, or takes no statements now. That is no failure of its own.
    Turned(u16),
}

impl Failure {
    /// Whether the failure counts against the server. (A status counts only if another attempt is
    /// made.)
    pub fn counts(self) -> bool {
        match self {
            Failure::Refused
            | Failure::ConnectTimedOut
            | Failure::Unreachable
            | Failure::Handshake(_)
            | Failure::Reset
            | Failure::Closed
            | Failure::SendTimedOut
            | Failure::ReadTimedOut
            | Failure::BadResponse => true,
            Failure::Status(status) => !matches!(status, 403 | 404),
            Failure::MarkedDown | Failure::NoLocalAddress | Failure::Turned(_) => false,
        }
    }

    /// The status for the client if no other server can be tried.
    pub fn status(self) -> u16 {
        match self {
            Failure::ConnectTimedOut
            | Failure::MarkedDown
            | Failure::SendTimedOut
            | Failure::ReadTimedOut => 504,
            Failure::Refused
            | Failure::Unreachable
            | Failure::Handshake(_)
            | Failure::NoLocalAddress
            | Failure::Reset
            | Failure::Closed
            | Failure::BadResponse => 502,
            Failure::Status(status) | Failure::Turned(status) => status,
        }
    }

    /// A description that follows the server's address.
    pub fn words(self) -> &'static str {
        match self {
            Failure::Refused => "refused the connection",
            Failure::ConnectTimedOut => "did not answer the connect in time",
            Failure::Unreachable => "cannot be reached",
            Failure::Handshake(why) => why.words(),
            Failure::NoLocalAddress => "cannot be connected to: no local address or port is free",
            Failure::MarkedDown => "was found down by another request",
            Failure::Reset => "reset the connection before a response",
            Failure::Closed => "closed the connection before a response",
            Failure::SendTimedOut => "took no more of the request in time",
            Failure::ReadTimedOut => "did not respond in time",
            Failure::BadResponse => "sent something that is not a response",
            Failure::Status(_) => "answered with a status listed in proxy_next_upstream",
            Failure::Turned(_) => "does not know the query or takes no statements now",
        }
    }

    fn is_listed(self, policy: &NextUpstream) -> bool {
        match self {
            Failure::Refused
            | Failure::Unreachable
            | Failure::Handshake(_)
            | Failure::NoLocalAddress
            | Failure::Reset
            | Failure::Closed => policy.error,
            Failure::ConnectTimedOut | Failure::SendTimedOut | Failure::ReadTimedOut => {
                policy.timeout
            }
            // The other request may have met either.
            Failure::MarkedDown => policy.error || policy.timeout,
            Failure::BadResponse => policy.invalid_header,
            Failure::Status(status) => policy.statuses.lists(status),
            // Only asked of requests to coordinators, which have to go on.
            Failure::Turned(_) => true,
        }
    }
}

/// The properties of a request that decide whether it may be repeated.
#[derive(Clone, Copy, Debug)]
pub struct Repeatable {
    /// Repeating it has the same effect as sending it once: RFC 9110, section 9.2.2.
    pub idempotent: bool,
    /// The failed server may have received bytes of it.
    pub sent: bool,
    /// Everything sent is still in the replay buffer.
    pub replayable: bool,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Attempts made, including the failed one.
    pub attempts: u32,
    /// Time since the first attempt began.
    pub elapsed: Duration,
}

/// Whether the request may move to another server. Asked only while no byte of a final response has
/// reached the client.
pub fn may_move(
    failure: Failure,
    request: Repeatable,
    progress: Progress,
    policy: &NextUpstream,
) -> bool {
    let tries_left = policy.tries == 0 || progress.attempts < policy.tries;
    let time_left = policy.timeout_after.is_none_or(|limit| progress.elapsed < limit);
    let harmless = request.idempotent || policy.non_idempotent;
    let repeatable = !request.sent || (harmless && request.replayable);
    failure.is_listed(policy) && tries_left && time_left && repeatable
}

/// Whether the request may be sent again to the same server on a new connection, after a pooled
/// connection turned out to be dead before any response byte.
pub fn may_resend(request: Repeatable, policy: &NextUpstream) -> bool {
    !request.sent || ((request.idempotent || policy.non_idempotent) && request.replayable)
}

/// Whether a method is idempotent. Unknown methods are not.
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"PUT" | b"DELETE" | b"OPTIONS")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::NextStatuses;

    const POLICY: NextUpstream = NextUpstream {
        error: true,
        timeout: true,
        statuses: NextStatuses { s503: true, ..NextUpstream::NEVER.statuses },
        ..NextUpstream::NEVER
    };
    const GET: Repeatable = Repeatable { idempotent: true, sent: true, replayable: true };
    const POST: Repeatable = Repeatable { idempotent: false, sent: true, replayable: true };
    const FIRST: Progress = Progress { attempts: 1, elapsed: Duration::ZERO };

    #[test]
    fn what_was_never_sent_always_moves() {
        let unsent = Repeatable { sent: false, replayable: false, ..POST };
        for failure in [Failure::Refused, Failure::ConnectTimedOut, Failure::MarkedDown] {
            assert!(may_move(failure, unsent, FIRST, &POLICY), "{failure:?}");
        }
    }

    #[test]
    fn a_sent_post_never_moves_unless_told_to() {
        assert!(!may_move(Failure::Reset, POST, FIRST, &POLICY));
        assert!(!may_move(Failure::ReadTimedOut, POST, FIRST, &POLICY));
        let told = NextUpstream { non_idempotent: true, ..POLICY };
        assert!(may_move(Failure::Reset, POST, FIRST, &told));
    }

    #[test]
    fn a_sent_get_moves_while_its_body_can_be_replayed() {
        assert!(may_move(Failure::Closed, GET, FIRST, &POLICY));
        let overflowed = Repeatable { replayable: false, ..GET };
        assert!(!may_move(Failure::Closed, overflowed, FIRST, &POLICY));
    }

    #[test]
    fn only_listed_failures_move() {
        assert!(!may_move(Failure::BadResponse, GET, FIRST, &POLICY));
        assert!(may_move(Failure::Status(503), GET, FIRST, &POLICY));
        assert!(!may_move(Failure::Status(500), GET, FIRST, &POLICY));
        let off = NextUpstream { error: false, timeout: false, ..POLICY };
        let unsent = Repeatable { sent: false, ..GET };
        assert!(!may_move(Failure::Refused, unsent, FIRST, &off));
    }

    #[test]
    fn tries_and_time_are_limits() {
        let two = NextUpstream { tries: 2, ..POLICY };
        assert!(may_move(Failure::Reset, GET, FIRST, &two));
        let second = Progress { attempts: 2, ..FIRST };
        assert!(!may_move(Failure::Reset, GET, second, &two));
        let limited = NextUpstream { timeout_after: Some(Duration::from_secs(1)), ..POLICY };
        let late = Progress { elapsed: Duration::from_secs(1), ..FIRST };
        assert!(may_move(Failure::Reset, GET, FIRST, &limited));
        assert!(!may_move(Failure::Reset, GET, late, &limited));
    }

    #[test]
    fn a_dead_pooled_connection_lets_a_post_go_again_only_if_nothing_was_written() {
        assert!(may_resend(GET, &POLICY));
        assert!(!may_resend(POST, &POLICY));
        assert!(may_resend(Repeatable { sent: false, ..POST }, &POLICY));
    }

    #[test]
    fn unknown_methods_are_not_idempotent() {
        for (method, expected) in [
            ("GET", true),
            ("DELETE", true),
            ("POST", false),
            ("PATCH", false),
            ("LOCK", false),
            ("get", false),
            ("FROB", false),
        ] {
            assert_eq!(is_idempotent(method.as_bytes()), expected, "{method}");
        }
    }
}
