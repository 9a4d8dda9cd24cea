//! What a request asks of a group of coordinators, and so where it must go.

use super::request::Request;
use crate::config::model::NextUpstream;
use crate::http::fields::Fields;
use crate::net::Net;
use crate::proxy::accepted::Kind;
use crate::proxy::context::Context;
use crate::trino::announcement::{Announced, announced_uri};
use crate::trino::decision::Matter;
use crate::trino::query_id::QueryId;
use crate::trino::request::{Purpose, is_trinos};
use crate::trino::statement::Repeat;
use crate::upstream::group::GroupAt;

/// What a request asks of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Errand {
    /// Anything, of a group that is not Trino's.
    #[default]
    Plain,
    /// To run a statement.
    Statement,
    /// Something about a query.
    Query {
        /// The query.
        id: QueryId,
        /// What about it.
        matter: Matter,
    },
    /// To know a worker.
    Announcement,
    /// To forget one.
    Withdrawal,
    /// Anything else, of coordinators.
    Other,
}

impl Errand {
    /// Reads a request to a group, which may make the group Trino's.
    pub fn of<N: Net>(request: &Request, group: GroupAt, context: &mut Context<N>) -> Errand {
        let (path, query) = request.path_and_query();
        let of_trino = context.servers.group(group).is_trinos()
            || is_trinos(path) && context.servers.become_trinos(group);
        if !of_trino {
            return Errand::Plain;
        }
        let about = |id, matter| Errand::Query { id, matter };
        match Purpose::of(request.at(request.method), path, query) {
            Purpose::Statement => Errand::Statement,
            Purpose::Poll(id) => about(id, Matter::Poll),
            Purpose::Heartbeat(id) => about(id, Matter::Heartbeat),
            Purpose::Cancel(id) => about(id, Matter::Cancel),
            Purpose::CancelStage(id) | Purpose::Query(id) => about(id, Matter::Other),
            Purpose::Announcement { .. } | Purpose::UriAnnouncement => Errand::Announcement,
            Purpose::Withdrawal { .. } => Errand::Withdrawal,
            Purpose::Other => Errand::Other,
        }
    }

    /// When it may go to another server: what Trino does with such requests tells, rather than
    /// `proxy_next_upstream`. `None` to follow that.
    pub fn next_upstream(self) -> Option<&'static NextUpstream> {
        match self {
            // It only registers a query, which ends by itself if no client asks for it.
            Errand::Statement => Some(&ALWAYS),
            Errand::Query { .. } => Some(&FAILURES),
            Errand::Plain | Errand::Announcement | Errand::Withdrawal | Errand::Other => None,
        }
    }

    /// What is announced of which worker, if that is for all coordinators: the announcement of a
    /// coordinator is not.
    pub fn announced<'a>(request: &'a Request, body: &'a [u8]) -> Option<(&'a [u8], Kind)> {
        let (path, query) = request.path_and_query();
        match Purpose::of(request.at(request.method), path, query) {
            Purpose::Announcement { node } => {
                (Announced::read(body) == Announced::Worker).then_some((node, Kind::Arrival))
            }
            Purpose::Withdrawal { node } => Some((node, Kind::Departure)),
            Purpose::UriAnnouncement => Some((announced_uri(body)?, Kind::Arrival)),
            Purpose::Statement
            | Purpose::Poll(_)
            | Purpose::Heartbeat(_)
            | Purpose::Cancel(_)
            | Purpose::CancelStage(_)
            | Purpose::Query(_)
            | Purpose::Other => None,
        }
    }
}

/// The transaction of a statement; `NONE` for none. Trino's clients may use the names of Presto.
pub const TRANSACTION: [&[u8]; 2] = [b"x-trino-transaction-id", b"x-presto-transaction-id"];
/// The transaction that a statement has started.
pub const STARTED: [&[u8]; 2] =
    [b"x-trino-started-transaction-id", b"x-presto-started-transaction-id"];

/// Whether an answer changes its client's session: the statement is not only a query.
pub fn changes_session(fields: Fields<'_>) -> bool {
    fields.iter().any(|field| {
        let name = field.name.to_ascii_lowercase();
        let rest = name.strip_prefix(b"x-trino-").or_else(|| name.strip_prefix(b"x-presto-"));
        rest.is_some_and(|rest| CHANGES.iter().any(|change| rest.starts_with(change)))
    })
}

/// How fields go on that change a session.
const CHANGES: [&[u8]; 6] =
    [b"set-", b"clear-", b"started-", b"added-", b"deallocated-", b"reset-"];
/// Whether a statement may run twice. Its text has to be in UTF-8.
pub fn repeat_of(text: &[u8], fields: Fields<'_>) -> Repeat {
    match is_readable(fields) {
        true => Repeat::of(text, fields.find_all(&PREPARED)),
        false => Repeat::Once,
    }
}

fn is_readable(fields: Fields<'_>) -> bool {
    fields.find_all(&[b"content-type"]).all(|value| {
        let value = value.to_ascii_lowercase();
        let charset = memchr::memmem::find(&value, b"charset").map(|at| &value[at + 7..]);
        charset.is_none_or(|rest| {
            let is_between = |byte: &u8| matches!(byte, b'=' | b'"' | b' ' | b'\t');
            let name = rest.iter().position(|byte| !is_between(byte)).unwrap_or(rest.len());
            rest[name..].starts_with(b"utf-8")
        })
    }) && fields.find(&[b"content-encoding"]).is_none()
}

/// Statements that a client has prepared, which it sends along.
const PREPARED: [&[u8]; 2] = [b"x-trino-prepared-statement", b"x-presto-prepared-statement"];

/// Failures of a connection, and all that say that the server cannot take a statement now. 500 is
/// one only while the server starts.
const ALWAYS: NextUpstream = NextUpstream { non_idempotent: true, ..FAILURES };

/// Failures of a connection.
const FAILURES: NextUpstream =
    NextUpstream { error: true, timeout: true, invalid_header: true, ..NextUpstream::NEVER };
