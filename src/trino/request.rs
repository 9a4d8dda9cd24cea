//! What a request asks of Trino, by its method, path and query.
//!
//! Sees a path as it was sent: one that is escaped, has parameters, or empty or dotted segments is
//! not read, because Trino might read it differently. JAX-RS ignores a slash at the end of a path,
//! and so does this.

use super::query_id::QueryId;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// Submits a statement: `POST /v1/statement`.
    Statement,
    /// Asks for the next part of an answer: a GET of `nextUri`.
    Poll(QueryId),
    /// Keeps a query alive: a HEAD of `nextUri`.
    Heartbeat(QueryId),
    /// Ends a query: a DELETE of `nextUri`, or of `/v1/query/{id}`.
    Cancel(QueryId),
    /// Ends a stage of a query: a DELETE of `partialCancelUri`.
    CancelStage(QueryId),
    /// Names a query in another way: its owner has to answer.
    Query(QueryId),
    /// Announces a worker: `PUT /v1/announcement/{node}`.
    Announcement {
        /// The worker's id.
        node: &'a [u8],
    },
    /// Takes the announcement of a worker back: `DELETE /v1/announcement/{node}`.
    Withdrawal {
        /// The worker's id.
        node: &'a [u8],
    },
    /// Announces a worker by the URI in its body: `POST /v1/announce`, from 477 on.
    UriAnnouncement,
    /// Anything else.
    Other,
}

impl<'a> Purpose<'a> {
    /// Reads a request in origin form, its path without its query.
    pub fn of(method: &[u8], path: &'a [u8], query: Option<&[u8]>) -> Purpose<'a> {
        let read = match path {
            [b'/', b'v', b'1', b'/', rest @ ..] => Segments::of(rest).map(|it| of_v1(method, it)),
            [b'/', b'u', b'i', b'/', rest @ ..] => Segments::of(rest).map(|it| of_ui(it, query)),
            [..] => None,
        };
        read.unwrap_or(Purpose::Other)
    }

    /// The query that the request names.
    pub fn query(self) -> Option<QueryId> {
        match self {
            Purpose::Poll(id)
            | Purpose::Heartbeat(id)
            | Purpose::Cancel(id)
            | Purpose::CancelStage(id)
            | Purpose::Query(id) => Some(id),
            Purpose::Statement
            | Purpose::Announcement { .. }
            | Purpose::Withdrawal { .. }
            | Purpose::UriAnnouncement
            | Purpose::Other => None,
        }
    }
}

/// Whether nothing but Trino has such a path: `/v1/statement` and what is below it,
/// `/v1/announcement/{node}`, `/v1/announce`.
pub fn is_trinos(path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(b"/v1/") else { return false };
    Segments::of(rest).is_some_and(|segments| match segments.shape() {
        ([b"statement", ..], _)
        | ([b"announcement", _], Extent::Whole)
        | ([b"announce"], Extent::Whole) => true,
        (_, Extent::Whole | Extent::Front) => false,
    })
}

/// The first segments of a path, behind its first one.
struct Segments<'a> {
    front: [&'a [u8]; SEGMENTS],
    /// How many there are in all.
    count: usize,
}

/// How much of a path there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// All of its segments.
    Whole,
    /// Those that could mean something; more follow.
    Front,
}

impl<'a> Segments<'a> {
    /// Splits the path at its slashes; `None` if it may be read in more than one way.
    fn of(path: &'a [u8]) -> Option<Segments<'a>> {
        if memchr::memchr3(b'%', b';', b'\\', path).is_some() {
            return None;
        }
        let mut segments = Segments { front: [b""; SEGMENTS], count: 0 };
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let mut from = 0;
        for end in memchr::memchr_iter(b'/', path).chain([path.len()]) {
            let segment = &path[from..end];
            if matches!(segment, b"" | b"." | b"..") {
                return None;
            }
            if let Some(place) = segments.front.get_mut(segments.count) {
                *place = segment;
            }
            segments.count += 1;
            from = end + 1;
        }
        Some(segments)
    }

    fn shape(&self) -> (&[&'a [u8]], Extent) {
        let extent = if self.count > SEGMENTS { Extent::Front } else { Extent::Whole };
        (&self.front[..self.count.min(SEGMENTS)], extent)
    }
}

/// Reads what stands behind `/v1/`.
fn of_v1<'a>(method: &[u8], segments: Segments<'a>) -> Purpose<'a> {
    match (method, segments.shape()) {
        (b"POST", ([b"statement"], Extent::Whole)) => Purpose::Statement,
        (b"POST", ([b"announce"], Extent::Whole)) => Purpose::UriAnnouncement,
        (method, ([b"announcement", node], Extent::Whole)) if node.len() <= NODE => match method {
            b"PUT" => Purpose::Announcement { node },
            b"DELETE" => Purpose::Withdrawal { node },
            _ => Purpose::Other,
        },
        (
            b"DELETE",
            ([b"statement", b"executing", b"partialCancel", id, _, _, _], Extent::Whole),
        ) => named(id, Purpose::CancelStage),
        (_, ([b"statement", b"executing", b"partialCancel", id, ..], _)) => {
            named(id, Purpose::Query)
        }
        (method, ([b"statement", b"queued" | b"executing", id, _, _], Extent::Whole)) => {
            match method {
                b"GET" => named(id, Purpose::Poll),
                b"HEAD" => named(id, Purpose::Heartbeat),
                b"DELETE" => named(id, Purpose::Cancel),
                _ => named(id, Purpose::Query),
            }
        }
        (b"DELETE", ([b"query", id], Extent::Whole)) => named(id, Purpose::Cancel),
        (_, ([b"statement", b"queued" | b"executing", id, ..] | [b"query", id, ..], _)) => {
            named(id, Purpose::Query)
        }
        _ => Purpose::Other,
    }
}

/// Reads what stands behind `/ui/`.
fn of_ui<'a>(segments: Segments<'a>, query: Option<&[u8]>) -> Purpose<'a> {
    match segments.shape() {
        ([b"api", b"query", id, ..], _) => named(id, Purpose::Query),
        ([b"api", b"worker", _, b"task", task, ..], _) => match QueryId::parse_front(task) {
            Some((id, [b'.', ..])) => Purpose::Query(id),
            Some(_) | None => Purpose::Other,
        },
        ([page] | [b"legacy", page], Extent::Whole) if page.ends_with(b".html") => {
            let query = query.unwrap_or_default();
            let end = memchr::memchr(b'&', query).unwrap_or(query.len());
            named(&query[..end], Purpose::Query)
        }
        _ => Purpose::Other,
    }
}

fn named<'a>(id: &[u8], purpose: fn(QueryId) -> Purpose<'a>) -> Purpose<'a> {
    QueryId::parse(id).map_or(Purpose::Other, purpose)
}

/// Segments that could mean something: `statement/executing/partialCancel/{id}/{stage}/{slug}/{token}`.
const SEGMENTS: usize = 7;
/// Bytes of a worker's id: `node.id` is a UUID where it is not configured.
const NODE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "20211202_151305_00000_3cki7";

    /// The purpose in short: the id as `ID`.
    fn purpose(method: &str, target: &str) -> String {
        let target = target.replace("ID", ID);
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.as_bytes())),
            None => (&target[..], None),
        };
        let purpose = Purpose::of(method.as_bytes(), path.as_bytes(), query);
        let node = |node| String::from_utf8_lossy(node).into_owned();
        if let Purpose::Announcement { node: of } = purpose {
            format!("Announcement {}", node(of))
        } else if let Purpose::Withdrawal { node: of } = purpose {
            format!("Withdrawal {}", node(of))
        } else {
            assert_eq!(purpose.query().is_some(), format!("{purpose:?}").contains(ID));
            format!("{purpose:?}").replace(ID, "ID")
        }
    }

    #[test]
    fn requests_have_a_purpose() {
        for (method, target, expected) in [
            ("POST", "/v1/statement", "Statement"),
            ("POST", "/v1/statement/", "Statement"),
            ("POST", "/v1/statement?targetResultSize=1MB", "Statement"),
            ("GET", "/v1/statement/queued/ID/x1/1", "Poll(ID)"),
            ("GET", "/v1/statement/executing/ID/x1/1", "Poll(ID)"),
            ("GET", "/v1/statement/executing/ID/x1/1/", "Poll(ID)"),
            ("GET", "/v1/statement/executing/ID/x1/1?targetResultSize=1MB", "Poll(ID)"),
            ("HEAD", "/v1/statement/executing/ID/x1/1", "Heartbeat(ID)"),
            ("DELETE", "/v1/statement/queued/ID/x1/1", "Cancel(ID)"),
            ("DELETE", "/v1/statement/executing/partialCancel/ID/0/x1/1", "CancelStage(ID)"),
            ("GET", "/v1/query/ID", "Query(ID)"),
            ("GET", "/v1/query/ID?pretty", "Query(ID)"),
            ("DELETE", "/v1/query/ID", "Cancel(ID)"),
            ("PUT", "/v1/query/ID/killed", "Query(ID)"),
            ("PUT", "/v1/query/ID/preempted", "Query(ID)"),
            ("GET", "/ui/api/query/ID", "Query(ID)"),
            ("PUT", "/ui/api/query/ID/killed", "Query(ID)"),
            ("GET", "/ui/query.html?ID", "Query(ID)"),
            ("GET", "/ui/stage.html?ID&a=b", "Query(ID)"),
            ("GET", "/ui/legacy/embedded_plan.html?ID", "Query(ID)"),
            ("GET", "/ui/api/worker/n-1/task/ID.0.1.0", "Query(ID)"),
            ("PUT", "/v1/announcement/n-1", "Announcement n-1"),
            ("PUT", "/v1/announcement/n-1/", "Announcement n-1"),
            ("DELETE", "/v1/announcement/n-1", "Withdrawal n-1"),
            ("POST", "/v1/announce", "UriAnnouncement"),
        ] {
            assert_eq!(purpose(method, target), expected, "{method} {target}");
        }
    }

    /// A resource that a later Trino adds below a query is its owner's too.
    #[test]
    fn a_path_of_another_shape_still_names_its_query() {
        for (method, target) in [
            ("POST", "/v1/statement/executing/ID/x1/1"),
            ("GET", "/v1/statement/executing/ID"),
            ("GET", "/v1/statement/queued/ID/x1/1/2/3/4/5/6"),
            ("GET", "/v1/statement/executing/partialCancel/ID/0/x1/1"),
            ("DELETE", "/v1/statement/executing/partialCancel/ID/0/x1"),
            ("DELETE", "/v1/statement/executing/partialCancel/ID/0/x1/1/2"),
            ("GET", "/v1/query/ID/a/b/c/d/e/f/g/h"),
            ("GET", "/ui/api/query/ID/a/b/c/d/e/f/g"),
        ] {
            assert_eq!(purpose(method, target), "Query(ID)", "{method} {target}");
        }
    }

    #[test]
    fn other_requests_are_left_alone() {
        for (method, target) in [
            ("GET", "/"),
            ("GET", ""),
            ("OPTIONS", "*"),
            ("GET", "/v1"),
            ("GET", "/v1/"),
            ("GET", "/v1/info"),
            ("HEAD", "/v1/statement"),
            ("GET", "/v1/statement"),
            ("post", "/v1/statement"),
            ("POST", "/V1/statement"),
            ("POST", "/v1/statement//"),
            ("POST", "//v1/statement"),
            ("POST", "/v1//statement"),
            ("POST", "/v1/./statement"),
            ("POST", "/v1/query/../statement"),
            ("POST", "/v1/statement;a=b"),
            ("POST", "/v1/%73tatement"),
            ("POST", "/v1/statements"),
            ("POST", "/x/v1/statement"),
            ("GET", "/v1/query"),
            ("GET", "/v1/query/"),
            ("GET", "/v1/query/ID2"),
            ("GET", "/v1/query/ID;a"),
            ("GET", "/v1/query/ID/.."),
            ("GET", "/v1/query/%32ID"),
            ("GET", "/v1/query/ID%20"),
            ("GET", "/v1/statement/executing/ID/../1"),
            ("GET", "/v1/statement/executing/ID//1"),
            ("GET", "/v1/statement/executing/ID/%2e%2e/1"),
            ("GET", "/v1/statement/executing\\ID/x1/1"),
            ("GET", "/v1/statement/running/ID/x1/1"),
            ("GET", "/v1/statement/executing/partialcancel/ID/x1/1"),
            ("GET", "/v1/statement/executing/0/x1/1"),
            ("GET", "/v1/spooled/download/ID"),
            ("GET", "/ui/api/query"),
            ("GET", "/ui/query.html"),
            ("GET", "/ui/query.html?a=ID"),
            ("GET", "/ui/query.html?ID="),
            ("GET", "/ui/a/query.html?ID"),
            ("GET", "/ui/query.htm?ID"),
            ("GET", "/query.html?ID"),
            ("GET", "/ui/api/worker/n-1/task/ID"),
            ("GET", "/ui/api/worker/n-1/task/IDx.0.1.0"),
            ("GET", "/ui/api/worker/n-1/ID.0.1.0"),
            ("GET", "/v1/announcement/n-1"),
            ("POST", "/v1/announcement/n-1"),
            ("PUT", "/v1/announcement"),
            ("PUT", "/v1/announcement/"),
            ("PUT", "/v1/announcement/n/1"),
            ("PUT", "/v1/announcement/n%2d1"),
            ("PUT", "/v1/announce"),
            ("POST", "/v1/announce/n"),
        ] {
            assert_eq!(purpose(method, target), "Other", "{method} {target}");
        }
        let long = format!("/v1/announcement/{}", "n".repeat(NODE + 1));
        assert_eq!(purpose("PUT", &long), "Other");
        assert_ne!(purpose("PUT", &long[..long.len() - 1]), "Other");
    }

    #[test]
    fn some_paths_are_trinos_alone() {
        for path in [
            "/v1/statement",
            "/v1/statement/",
            "/v1/statement/executing/a/b/c",
            "/v1/statement/a/b/c/d/e/f/g/h/i",
            "/v1/announcement/n",
            "/v1/announce",
        ] {
            assert!(is_trinos(path.as_bytes()), "{path}");
        }
        for path in [
            "/",
            "/v1/",
            "/v1/statements",
            "/v1/statement;a",
            "/v1/statement//a",
            "/v1/statement/../a",
            "/v1/statemen%74",
            "/v2/statement",
            "/a/v1/statement",
            "/v1/announcement",
            "/v1/announcement/n/1",
            "/v1/announce/n",
            "/v1/query/20211202_151305_00000_3cki7",
            "/ui/",
            "/v1/info",
        ] {
            assert!(!is_trinos(path.as_bytes()), "{path}");
        }
    }
}
