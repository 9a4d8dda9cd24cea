//! A stand-in for a Trino coordinator: what a client, a worker and a proxy can see of one.
//!
//! Queries, announcements and nodes live in memory and die with the process, as Trino's do. A query
//! asked for at another coordinator than the one that made it is not found. Statuses, fields and
//! texts are those of Trino 435; what later versions added is there beside it. It trusts everybody:
//! a real one takes announcements only from who knows the cluster's secret.

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

use crate::calendar::Utc;
use crate::client::{self, Head, string_after};
use crate::load::STARTING;

/// How long it answers before it is ready.
const STARTING_TIME: Duration = Duration::from_secs(1);

/// How long an announcement is good for.
const ANNOUNCEMENT_TIME: Duration = Duration::from_secs(30);

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

struct Coordinator {
    name: String,
    at: SocketAddr,
    /// Five characters in every query id, chosen once a process.
    mark: String,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    made: usize,
    queries: BTreeMap<String, String>,
    workers: BTreeMap<String, Announced>,
}

struct Announced {
    uri: String,
    version: String,
    at: Instant,
}

/// A column as Trino describes it, for clients that read the type's name and those that read its
/// signature.
fn column(name: &str, kind: &str, arguments: &str) -> String {
    format!(
        r#"{{"name":"{name}","type":"{kind}","typeSignature":{{"rawType":"{kind}","arguments":[{arguments}]}}}}"#
    )
}

/// A status and a body of some type.
struct Answer {
    status: u16,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn json(body: String) -> Answer {
        Answer { status: 200, kind: "application/json", body }
    }

    fn text(status: u16, body: &str) -> Answer {
        Answer { status, kind: "text/plain", body: body.to_owned() }
    }
}

/// What there is to know of a query's progress: nothing but its state ever changes here.
fn stats(state: &str) -> String {
    let (queued, scheduled) = (state == "QUEUED", state == "RUNNING" || state == "FINISHED");
    format!(
        r#""stats":{{"state":"{state}","queued":{queued},"scheduled":{scheduled},"nodes":0,"totalSplits":0,"queuedSplits":0,"runningSplits":0,"completedSplits":0,"cpuTimeMillis":0,"wallTimeMillis":0,"queuedTimeMillis":0,"elapsedTimeMillis":0,"processedRows":0,"processedBytes":0,"physicalInputBytes":0,"physicalWrittenBytes":0,"peakMemoryBytes":0,"spilledBytes":0}}"#
    )
}

impl Coordinator {
    fn new(name: String, at: SocketAddr) -> Coordinator {
        Coordinator {
            name,
            at,
            mark: random_mark(),
            started: Instant::now(),
            state: Mutex::default(),
        }
    }

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
            let body = client::read_body(&mut reader, &head)?;
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
                Utc::now().date_field()
            );
            let mut stream = stream;
            stream.write_all(text.as_bytes())?;
        }
        Ok(())
    }

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
            ("GET" | "HEAD", ["v1", "statement", "executing", id, slug, "0"]) => {
                let rows = self.result(id);
                Answer::json(self.page(
                    host,
                    id,
                    &format!("executing/{id}/{slug}/1"),
                    &rows,
                    "RUNNING",
                ))
            }
            ("GET" | "HEAD", ["v1", "statement", "executing", id, ..]) => {
                Answer::json(self.page(host, id, "", "", "FINISHED"))
            }
            ("DELETE", ["v1", "statement", ..]) => Answer::text(204, ""),
            ("GET", ["v1", "query", id]) if !self.knows(id) => Answer::text(410, "HTTP 410 Gone"),
            ("GET", ["v1", "query", id]) => Answer::json(format!(r#"{{"queryId":"{id}"}}"#)),
            ("PUT", ["v1", "announcement", node]) => self.announced(node, body),
            ("DELETE", ["v1", "announcement", node]) => {
                self.state().workers.remove(*node);
                Answer::text(202, "")
            }
            ("GET", ["v1", "service", "trino", "general"]) => Answer::json(self.services()),
            ("POST", ["v1", "announce"]) => self.announced_uri(body),
            (_, _) => Answer::text(404, "HTTP 404 Not Found"),
        }
    }

    fn info(&self) -> String {
        let uptime = self.started.elapsed().as_secs_f64();
        format!(
            r#"{{"nodeId":"{}","state":"ACTIVE","nodeVersion":{{"version":"{VERSION}"}},"environment":"demo","coordinator":true,"coordinatorId":"{}","starting":{},"uptime":"{uptime:.2}s"}}"#,
            self.name,
            self.mark,
            self.is_starting()
        )
    }

    fn is_starting(&self) -> bool {
        self.started.elapsed() < STARTING_TIME
    }

    /// Registers a query, even while starting: that it cannot be run is told by its first page.
    fn made_query(&self, host: &str, sql: &str) -> Answer {
        let mut state = self.state();
        let id = format!("{}_{:05}_{}", Utc::now().in_query_id(), state.made, self.mark);
        state.made += 1;
        state.queries.insert(id.clone(), sql.to_owned());
        while state.queries.len() > QUERY_LIMIT {
            state.queries.pop_first();
        }
        let next = format!("queued/{id}/y{}/1", self.mark);
        Answer::json(self.page(host, &id, &next, "", "QUEUED"))
    }

    fn first_page(&self, host: &str, id: &str, slug: &str) -> String {
        if self.is_starting() {
            let error = format!(
                r#""error":{{"message":"Trino server is still initializing","errorCode":65548,"errorName":"{STARTING}","errorType":"INTERNAL_ERROR"}},"#
            );
            return self.page(host, id, "", &error, "FAILED");
        }
        self.page(host, id, &format!("executing/{id}/{slug}/0"), "", "QUEUED")
    }

    fn knows(&self, id: &str) -> bool {
        self.state().queries.contains_key(id)
    }

    /// One page of an answer. The next one's place is told as the client reached us: by its Host.
    fn page(&self, host: &str, id: &str, next: &str, content: &str, state: &str) -> String {
        let next = match next {
            "" => String::new(),
            path => format!(r#""nextUri":"http://{host}/v1/statement/{path}","#),
        };
        format!(
            r#"{{"id":"{id}","infoUri":"http://{host}/ui/query.html?{id}",{next}{content}{},"warnings":[]}}"#,
            stats(state)
        )
    }

    fn result(&self, id: &str) -> String {
        let sql = self.state().queries.get(id).cloned().unwrap_or_default();
        if !sql.contains("system.runtime.nodes") {
            return format!(r#""columns":[{}],"data":[[1]],"#, column("_col0", "integer", ""));
        }
        let unbounded = r#"{"kind":"LONG","value":2147483647}"#;
        let columns = [
            column("node_id", "varchar", unbounded),
            column("http_uri", "varchar", unbounded),
            column("node_version", "varchar", unbounded),
            column("coordinator", "boolean", ""),
            column("state", "varchar", unbounded),
        ];
        format!(r#""columns":[{}],"data":[{}],"#, columns.join(","), self.nodes().join(","))
    }

    /// The rows of `system.runtime.nodes`: this coordinator and the workers it heard of.
    fn nodes(&self) -> Vec<String> {
        let row = |name: &str, uri: &str, version: &str, coordinator: bool| {
            format!(r#"["{name}","{uri}","{version}",{coordinator},"active"]"#)
        };
        let mut rows = vec![row(&self.name, &format!("http://{}", self.at), VERSION, true)];
        let mut state = self.state();
        state.workers.retain(|_, worker| worker.at.elapsed() < ANNOUNCEMENT_TIME);
        rows.extend(
            state
                .workers
                .iter()
                .map(|(name, worker)| row(name, &worker.uri, &worker.version, false)),
        );
        rows
    }

    fn announced(&self, node: &str, body: &str) -> Answer {
        let property = |name| string_after(body, name).unwrap_or_default().to_owned();
        let worker = Announced {
            uri: property("http"),
            version: property("node_version"),
            at: Instant::now(),
        };
        self.state().workers.insert(node.to_owned(), worker);
        Answer::text(202, "")
    }

    /// As from 477 on: the body is the worker's address. A real coordinator then asks the worker who
    /// it is; here it goes by its address.
    fn announced_uri(&self, body: &str) -> Answer {
        let uri = body.trim().to_owned();
        let version = VERSION.to_owned();
        let worker = Announced { uri: uri.clone(), version, at: Instant::now() };
        self.state().workers.insert(uri, worker);
        Answer::text(202, "")
    }

    fn services(&self) -> String {
        let state = self.state();
        let one = |(name, worker): (&String, &Announced)| {
            format!(
                r#"{{"nodeId":"{name}","type":"trino","properties":{{"http":"{}"}}}}"#,
                worker.uri
            )
        };
        let services: Vec<String> = state.workers.iter().map(one).collect();
        format!(r#"{{"environment":"demo","services":[{}]}}"#, services.join(","))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}

/// The version that this stand-in claims to be.
pub(crate) const VERSION: &str = "435";

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
