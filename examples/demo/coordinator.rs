//! A stand-in for a Trino coordinator: what a client, a worker and a proxy can see of one.
//!
//! Queries, announcements and nodes live in memory and die with the process, as Trino's do. A query
//! asked for at another coordinator than the one that made it is not found. Statuses, fields and
//! texts are those of Trino 435; what later versions added is there beside it. It takes
//! announcements from any sender, where a real one demands the cluster's secret.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::BuildHasher;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{self, ExitCode};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use switchover::http::answer::reason;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::discovery::{VERSION, Workers, row};
use crate::http::{Head, read_body};
use crate::query::{Content, Page, Query, json};

/// How long it answers before it is ready.
const STARTING_TIME: Duration = Duration::from_secs(1);

/// Queries remembered; the oldest are forgotten first.
const QUERY_LIMIT: usize = 1000;

/// Runs one coordinator: its name and its address are the arguments.
pub(crate) fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut word = || arguments.next().and_then(|word| word.into_string().ok());
    let (Some(name), Some(Ok(at))) = (word(), word().map(|at| at.parse())) else {
        return ExitCode::FAILURE;
    };
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(0);
    });
    match TcpListener::bind(at) {
        Ok(listener) => Arc::new(Coordinator::new(name, at)).serve(&listener),
        Err(why) => {
            eprintln!("{name}: {at}: {why}");
            ExitCode::FAILURE
        }
    }
}

/// A coordinator, shared by the threads that serve its connections.
struct Coordinator {
    /// Its node id.
    name: String,
    /// Where it listens.
    at: SocketAddr,
    /// Five characters that end every query id, chosen once a process.
    mark: String,
    /// When its process began.
    started: Instant,
    /// What changes.
    state: Mutex<State>,
}

/// What a coordinator forgets when its process ends.
#[derive(Default)]
struct State {
    /// Queries so far.
    made: usize,
    /// The latest ones, by id.
    queries: BTreeMap<String, Query>,
    /// The workers it heard of.
    workers: Workers,
}

/// A status and a body of some type.
struct Answer {
    /// The status.
    status: u16,
    /// The value of `Content-Type`.
    kind: &'static str,
    /// The body.
    body: String,
}

impl Answer {
    /// JSON, with status 200.
    fn json(body: String) -> Answer {
        Answer { status: 200, kind: "application/json", body }
    }

    /// Plain text.
    fn text(status: u16, body: &str) -> Answer {
        Answer { status, kind: "text/plain", body: body.to_owned() }
    }
}

impl Coordinator {
    /// A coordinator whose process begins now.
    fn new(name: String, at: SocketAddr) -> Coordinator {
        Coordinator {
            name,
            at,
            mark: random_mark(),
            started: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// Serves each connection in a thread of its own, for good.
    fn serve(self: &Arc<Self>, listener: &TcpListener) -> ExitCode {
        for stream in listener.incoming().flatten() {
            let coordinator = Arc::clone(self);
            thread::spawn(move || coordinator.converse(&stream));
        }
        ExitCode::FAILURE
    }

    /// Answers requests until the peer leaves.
    fn converse(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(head) = Head::read(&mut reader)? {
            let body = read_body(&mut reader, &head)?;
            let Answer { status, kind, body } = self.answer(&head, &body);
            let fields = match status {
                204 => String::new(),
                202 => "Content-Length: 0\r\n".to_owned(),
                _ => format!(
                    "Content-Type: {kind}\r\nX-Content-Type-Options: nosniff\r\nContent-Length: {}\r\n",
                    body.len()
                ),
            };
            let shown = if head.start.starts_with("HEAD ") { "" } else { &body };
            let text = format!(
                "HTTP/1.1 {status} {}\r\nDate: {}\r\n{fields}\r\n{shown}",
                reason(status),
                now(DATE)
            );
            let mut stream = stream;
            stream.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    /// What each request gets.
    fn answer(&self, head: &Head, body: &str) -> Answer {
        let mut words = head.start.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let host = head.field("host").unwrap_or_default();
        match (method, parts.as_slice()) {
            ("GET" | "HEAD", ["v1", "info"]) => Answer::json(self.info()),
            ("GET" | "HEAD", ["v1", "status"]) => Answer::json("{}".to_owned()),
            ("POST", ["v1", "statement"]) if head.field("x-trino-user").is_none() => Answer::text(
                401,
                "Basic authentication or X-Trino-Original-User or X-Trino-User must be sent",
            ),
            ("POST", ["v1", "statement"]) if body.is_empty() => {
                Answer::text(400, "SQL statement is empty")
            }
            ("POST", ["v1", "statement"]) => self.made_query(host, body),
            (_, ["v1", "statement", _, id, ..]) if !self.knows(id) => {
                Answer::text(404, "Query not found")
            }
            ("GET" | "HEAD", ["v1", "statement", "queued", id, slug, _]) => {
                Answer::json(self.first_page(host, id, slug))
            }
            ("GET" | "HEAD", ["v1", "statement", "executing", id, slug, number]) => {
                let number = number.parse().unwrap_or_default();
                Answer::json(self.page(host, id, slug, number))
            }
            ("DELETE", ["v1", "statement", ..]) => Answer::text(204, ""),
            ("GET", ["v1", "query", id]) if !self.knows(id) => Answer::text(410, "HTTP 410 Gone"),
            ("GET", ["v1", "query", id]) => Answer::json(format!(r#"{{"queryId":"{id}"}}"#)),
            ("PUT", ["v1", "announcement", node]) => {
                self.state().workers.announced(node, body);
                Answer::text(202, "")
            }
            ("DELETE", ["v1", "announcement", node]) => {
                self.state().workers.left(node);
                Answer::text(202, "")
            }
            ("POST", ["v1", "announce"]) => {
                self.state().workers.announced_uri(body);
                Answer::text(202, "")
            }
            ("GET", ["v1", "service", "trino", "general"]) => {
                Answer::json(self.state().workers.services())
            }
            (_, _) => Answer::text(404, "HTTP 404 Not Found"),
        }
    }

    /// The answer to `GET /v1/info`.
    fn info(&self) -> String {
        let uptime = self.started.elapsed().as_secs_f64();
        format!(
            r#"{{"nodeId":"{}","state":"ACTIVE","nodeVersion":{{"version":"{VERSION}"}},"environment":"demo","coordinator":true,"coordinatorId":"{}","starting":{},"uptime":"{uptime:.2}s"}}"#,
            self.name,
            self.mark,
            self.is_starting()
        )
    }

    /// Whether it is too young to run queries.
    fn is_starting(&self) -> bool {
        self.started.elapsed() < STARTING_TIME
    }

    /// Registers a query, even while starting: its first page tells that it cannot run.
    fn made_query(&self, host: &str, sql: &str) -> Answer {
        let mut state = self.state();
        let id = format!("{}_{:05}_{}", now(QUERY_TIME), state.made, self.mark);
        state.made += 1;
        state.queries.insert(id.clone(), Query::parse(sql));
        while state.queries.len() > QUERY_LIMIT {
            state.queries.pop_first();
        }
        let next = format!("queued/{id}/y{}/1", self.mark);
        Answer::json(json(host, &id, Some(&next), &Content::Queued))
    }

    /// The answer to the first poll, which starts the query.
    fn first_page(&self, host: &str, id: &str, slug: &str) -> String {
        if self.is_starting() {
            return json(host, id, None, &Content::Starting);
        }
        json(host, id, Some(&format!("executing/{id}/{slug}/0")), &Content::Queued)
    }

    /// A page of an executing query, after the time that the query takes for it.
    fn page(&self, host: &str, id: &str, slug: &str, number: u64) -> String {
        let nodes = self.nodes();
        let query = self.state().queries.get(id).copied().unwrap_or(Query::Nodes);
        let Page { content, hold } = query.page(number, &nodes);
        thread::sleep(hold);
        let next = format!("executing/{id}/{slug}/{}", number + 1);
        let is_last = matches!(content, Content::Finished);
        json(host, id, Some(next.as_str()).filter(|_| !is_last), &content)
    }

    /// Whether a query is one of its own.
    fn knows(&self, id: &str) -> bool {
        self.state().queries.contains_key(id)
    }

    /// The rows of `system.runtime.nodes`: this coordinator and the workers it heard of.
    fn nodes(&self) -> Vec<String> {
        let mut nodes = vec![row(&self.name, &format!("http://{}", self.at), VERSION, true)];
        nodes.extend(self.state().workers.rows());
        nodes
    }

    /// What changes, for a moment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the lock")
    }
}

/// As in `20211202_151305`.
const QUERY_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]_[hour][minute][second]");

/// As in `Thu, 02 Dec 2021 15:13:05 GMT`.
const DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// The date and time, in UTC.
fn now(format: &[BorrowedFormatItem<'_>]) -> String {
    OffsetDateTime::now_utc().format(format).expect("both formats suit every date")
}

/// Five random characters.
fn random_mark() -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    // The standard library's hash keys are random enough to tell two processes apart.
    let mut random = RandomState::new().hash_one(process::id());
    let letter = |_| {
        let at = usize::try_from(random % LETTERS.len() as u64).expect("fewer than 32");
        random /= LETTERS.len() as u64;
        char::from(LETTERS[at])
    };
    (0..5).map(letter).collect()
}
