//! A stand-in for a Trino coordinator: what a client, a worker and a proxy can see of one.
//!
//! Queries, announcements and nodes live in memory and die with the process, as Trino's do. A query
//! asked for at another coordinator than the one that made it is not found.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::BuildHasher;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{self, ExitCode};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use switchover::http::answer::reason;

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

/// A status and a JSON text.
type Answer = (u16, String);

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
            let (status, json) = self.answer(&head, &body);
            let length = if status == 204 {
                String::new()
            } else {
                format!("Content-Length: {}\r\n", json.len())
            };
            let shown = if head.start.starts_with("HEAD ") { "" } else { &json };
            let text = format!(
                "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\n{length}\r\n{shown}",
                reason(status)
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
            ("GET" | "HEAD", ["v1", "info"]) => (200, self.info()),
            ("GET" | "HEAD", ["v1", "status"]) => (200, "{}".to_owned()),
            ("POST", ["v1", "statement"]) => self.made_query(host, body),
            (_, ["v1", "statement", _, id, ..]) if !self.knows(id) => {
                (404, "\"Query not found\"".to_owned())
            }
            ("GET" | "HEAD", ["v1", "statement", "queued", id, slug, _]) => {
                (200, self.page(host, id, &format!("executing/{id}/{slug}/0"), "RUNNING", ""))
            }
            ("GET" | "HEAD", ["v1", "statement", "executing", id, slug, "0"]) => {
                let rows = self.result(id);
                (200, self.page(host, id, &format!("executing/{id}/{slug}/1"), "RUNNING", &rows))
            }
            ("GET" | "HEAD", ["v1", "statement", "executing", id, ..]) => {
                (200, self.page(host, id, "", "FINISHED", ""))
            }
            ("DELETE", ["v1", "statement", ..]) => (204, String::new()),
            ("PUT", ["v1", "announcement", node]) => self.announced(node, body),
            ("DELETE", ["v1", "announcement", node]) => {
                self.state().workers.remove(*node);
                (204, String::new())
            }
            ("GET", ["v1", "service", "trino", "general"]) => (200, self.services()),
            (_, _) => (404, "\"Not found\"".to_owned()),
        }
    }

    fn info(&self) -> String {
        let uptime = self.started.elapsed().as_secs_f64();
        format!(
            r#"{{"nodeVersion":{{"version":"{VERSION}"}},"environment":"demo","coordinator":true,"starting":{},"uptime":"{uptime:.2}s"}}"#,
            self.is_starting()
        )
    }

    fn is_starting(&self) -> bool {
        self.started.elapsed() < STARTING_TIME
    }

    fn made_query(&self, host: &str, sql: &str) -> Answer {
        let mut state = self.state();
        let id = format!("{}_{:05}_{}", utc_now(), state.made, self.mark);
        state.made += 1;
        if self.is_starting() {
            return (
                200,
                format!(
                    r#"{{"id":"{id}","error":{{"message":"Trino server is still initializing","errorCode":5,"errorName":"{STARTING}"}}}}"#
                ),
            );
        }
        state.queries.insert(id.clone(), sql.to_owned());
        while state.queries.len() > QUERY_LIMIT {
            state.queries.pop_first();
        }
        (200, self.page(host, &id, &format!("queued/{id}/y{}/1", self.mark), "QUEUED", ""))
    }

    fn knows(&self, id: &str) -> bool {
        self.state().queries.contains_key(id)
    }

    /// One page of an answer. The next one's place is told as the client reached us: by its Host.
    fn page(&self, host: &str, id: &str, next: &str, state: &str, rows: &str) -> String {
        let next = match next {
            "" => String::new(),
            path => format!(r#""nextUri":"http://{host}/v1/statement/{path}","#),
        };
        format!(
            r#"{{"id":"{id}","infoUri":"http://{host}/ui/query.html?{id}",{next}{rows}"stats":{{"state":"{state}"}}}}"#
        )
    }

    fn result(&self, id: &str) -> String {
        let sql = self.state().queries.get(id).cloned().unwrap_or_default();
        if !sql.contains("system.runtime.nodes") {
            return format!(r#""columns":[{}],"data":[[1]],"#, column("_col0", "integer", ""));
        }
        let names = ["node_id", "http_uri", "node_version", "coordinator", "state"];
        let unbounded = r#"{"kind":"LONG","value":2147483647}"#;
        let columns: Vec<String> =
            names.iter().map(|name| column(name, "varchar", unbounded)).collect();
        format!(r#""columns":[{}],"data":[{}],"#, columns.join(","), self.nodes().join(","))
    }

    /// The rows of `system.runtime.nodes`: this coordinator and the workers it heard of.
    fn nodes(&self) -> Vec<String> {
        let row = |name: &str, uri: &str, version: &str, coordinator: &str| {
            format!(r#"["{name}","{uri}","{version}","{coordinator}","active"]"#)
        };
        let mut rows = vec![row(&self.name, &format!("http://{}", self.at), VERSION, "true")];
        let mut state = self.state();
        state.workers.retain(|_, worker| worker.at.elapsed() < ANNOUNCEMENT_TIME);
        rows.extend(
            state
                .workers
                .iter()
                .map(|(name, worker)| row(name, &worker.uri, &worker.version, "false")),
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
        (202, String::new())
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

/// As in `20211202_151305`.
fn utc_now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, in eras of 400 years, have no leap day in their middle.
    let day = days + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year + u64::from(month < 3);
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    format!(
        "{year:04}{month:02}{day:02}_{:02}{:02}{:02}",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}
