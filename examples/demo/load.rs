//! Many small requests at a steady pace, each one's time and fate kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{Connection, string_after};

/// Clients, each with a connection of its own.
const CLIENTS: u32 = 10;

/// The time between two requests of one client: together 100 a second.
const INTERVAL: Duration = Duration::from_millis(100);

/// One request in so many is a POST.
const POST_EVERY: u32 = 5;

/// How often a client asks again. Trino's do so for 30 s or more.
const REPEATS: u32 = 3;

/// What a coordinator says while it starts, with status 200.
pub(crate) const STARTING: &str = "SERVER_STARTING_UP";

/// A load that is running.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Request>>>,
}

struct Request {
    began: Instant,
    ended: Instant,
    asked_again: u32,
    fate: Fate,
}

enum Fate {
    Served,
    Starting,
    /// 502, 503 or 504: the only right answer to a POST that was under way when its server died.
    Unavailable(String),
    Failed(String),
}

impl Fate {
    fn is_answer(&self) -> bool {
        match self {
            Fate::Served | Fate::Starting => true,
            Fate::Unavailable(_) | Fate::Failed(_) => false,
        }
    }

    fn is_unavailable(&self) -> bool {
        match self {
            Fate::Unavailable(_) => true,
            Fate::Served | Fate::Starting | Fate::Failed(_) => false,
        }
    }

    fn is_starting(&self) -> bool {
        match self {
            Fate::Starting => true,
            Fate::Served | Fate::Unavailable(_) | Fate::Failed(_) => false,
        }
    }
}

/// What became of all requests.
pub(crate) struct Report {
    pub(crate) requests: usize,
    pub(crate) failures: Vec<String>,
    /// Answered 502, 503 or 504 and asked again, as Trino's own clients do.
    pub(crate) asked_again: u32,
    /// Answered that the server is starting: Trino's way to say no with status 200.
    pub(crate) starting: usize,
    /// From the kill to the first answer to a request sent after it.
    pub(crate) first_after_kill: Duration,
    pub(crate) longest_gap: Duration,
    pub(crate) slowest: Duration,
}

impl Load {
    /// Begins: 100 requests a second, 20 of them POSTs.
    pub(crate) fn start(at: SocketAddr) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |n| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || send_all(at, n, &stop))
        };
        Load { clients: (0..CLIENTS).map(client).collect(), stop }
    }

    /// Ends, and tells what happened around the kill.
    pub(crate) fn stop(self, killed: Instant) -> Report {
        self.stop.store(true, Ordering::SeqCst);
        let all: Vec<Request> = self
            .clients
            .into_iter()
            .flat_map(|client| client.join().expect("clients never panic"))
            .collect();
        let mut served: Vec<Instant> = all
            .iter()
            .filter(|request| request.fate.is_answer())
            .map(|request| request.ended)
            .collect();
        served.sort();
        let asked_after =
            all.iter().filter(|request| request.began > killed && request.fate.is_answer());
        let first = asked_after.map(|request| request.ended).min();
        let gaps = served.windows(2).map(|pair| pair[1] - pair[0]);
        Report {
            requests: all.len(),
            asked_again: all.iter().map(|request| request.asked_again).sum(),
            starting: all.iter().filter(|request| request.fate.is_starting()).count(),
            first_after_kill: first.map_or(Duration::MAX, |at| at - killed),
            longest_gap: gaps.max().unwrap_or_default(),
            slowest: all
                .iter()
                .map(|request| request.ended - request.began)
                .max()
                .unwrap_or_default(),
            failures: all.into_iter().filter_map(Request::failure).collect(),
        }
    }
}

impl Request {
    fn failure(self) -> Option<String> {
        match self.fate {
            Fate::Served | Fate::Starting => None,
            Fate::Unavailable(why) | Fate::Failed(why) => Some(why),
        }
    }
}

fn send_all(at: SocketAddr, client: u32, stop: &AtomicBool) -> Vec<Request> {
    let mut done = Vec::new();
    let mut connection = None;
    let mut due = Instant::now() + INTERVAL * client / CLIENTS;
    for n in client.. {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due += INTERVAL;
        if stop.load(Ordering::SeqCst) {
            break;
        }
        done.push(send(at, &mut connection, n.is_multiple_of(POST_EVERY)));
    }
    done
}

fn send(at: SocketAddr, kept: &mut Option<Connection>, post: bool) -> Request {
    let began = Instant::now();
    let mut asked_again = 0;
    loop {
        let fate = send_once(at, kept, post);
        if asked_again == REPEATS || !fate.is_unavailable() {
            return Request { began, ended: Instant::now(), asked_again, fate };
        }
        asked_again += 1;
    }
}

fn send_once(at: SocketAddr, kept: &mut Option<Connection>, post: bool) -> Fate {
    let connection = match kept.take().map_or_else(|| Connection::open(at), Ok) {
        Ok(connection) => kept.insert(connection),
        Err(why) => return Fate::Failed(format!("connect: {why}")),
    };
    let (what, method, path, body) = if post {
        ("a query", "POST", "/v1/statement", "select 1")
    } else {
        ("GET", "GET", "/v1/info", "")
    };
    let mut asked = connection.ask(method, path, body);
    // A POST only registers a query. What it comes to is told by its first page.
    if let Ok((200, registered)) = &asked
        && let Some(next) = string_after(registered, "nextUri")
        && let Some(path) = next.strip_prefix(&format!("http://{at}"))
    {
        let path = path.to_owned();
        asked = connection.ask("GET", &path, "");
    }
    let fate = match asked {
        Ok((200, answer)) if answer.contains(STARTING) => return Fate::Starting,
        Ok((200, _)) => return Fate::Served,
        Ok((status @ 502..=504, _)) => Fate::Unavailable(format!("{what}: status {status}")),
        Ok((status, text)) => Fate::Failed(format!("{what}: status {status}: {text}")),
        Err(why) => Fate::Failed(format!("{what}: {why}")),
    };
    *kept = None;
    fate
}
