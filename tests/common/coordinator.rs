//! A server that behaves as a coordinator of Trino, as far as a proxy can tell.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use super::message::Message;
use super::upstream::{Connection, Upstream};

/// A coordinator. Its server can be stopped and started like any other.
pub struct Coordinator {
    server: Upstream,
    mind: Arc<Mutex<Mind>>,
}

/// What it knows and how it behaves, which a test may change.
pub struct Mind {
    /// What the ids of its queries end with.
    pub id: String,
    /// Whether `/v1/info` shows that, as from 477 on.
    pub shows_id: bool,
    pub starting: bool,
    /// How long it has run, as `/v1/info` puts it.
    pub uptime: String,
    pub version: String,
    /// `http-server.process-forwarded`.
    pub reads_forwarded: bool,
    /// The status of each answer to a statement.
    pub statement_status: u16,
    /// Whether answers are sent in chunks.
    pub chunked: bool,
    /// The answer to a poll, with `QUERY` for its id; none for one that says who gave it.
    pub page: &'static str,
    /// Bytes of it that are sent before the connection ends.
    pub page_cut: Option<usize>,
    /// The same of an answer to a statement.
    pub first_cut: Option<usize>,
    /// Whether answers to statements are held back.
    pub holds_statements: bool,
    /// Bytes of blanks in each answer to a statement.
    pub padding: usize,
    /// Statements received.
    pub statements: u32,
    /// Workers announced, in order; a `-` before those that left.
    pub workers: Vec<String>,
}

impl Coordinator {
    /// Runs, and is ready.
    pub fn new(id: &str) -> Coordinator {
        let mind = Arc::new(Mutex::new(Mind {
            id: id.to_owned(),
            shows_id: true,
            starting: false,
            uptime: "3.00d".to_owned(),
            version: "478".to_owned(),
            reads_forwarded: true,
            statement_status: 200,
            chunked: false,
            page: "",
            page_cut: None,
            first_cut: None,
            holds_statements: false,
            padding: 0,
            statements: 0,
            workers: Vec::new(),
        }));
        let of_server = Arc::clone(&mind);
        let server = Upstream::playing(move |connection| serve(connection, &of_server));
        Coordinator { server, mind }
    }

    pub fn mind(&self) -> MutexGuard<'_, Mind> {
        self.mind.lock().expect("no connection panics")
    }

    /// Ends its process and starts another one, with this id.
    pub fn restart(&mut self, id: &str) {
        self.server.stop();
        let mut mind = self.mind();
        mind.id = id.to_owned();
        mind.uptime = "0.01s".to_owned();
        drop(mind);
        self.server.start();
    }

    /// Requests that are no checks.
    pub fn asked(&self) -> Vec<Message> {
        let is_check = |request: &Message| request.field("User-Agent") == Some("switchover");
        self.server.requests().into_iter().filter(|request| !is_check(request)).collect()
    }
}

impl Deref for Coordinator {
    type Target = Upstream;

    fn deref(&self) -> &Upstream {
        &self.server
    }
}

impl DerefMut for Coordinator {
    fn deref_mut(&mut self) -> &mut Upstream {
        &mut self.server
    }
}

fn serve(connection: &mut Connection, mind: &Mutex<Mind>) -> io::Result<()> {
    while let Some(request) = connection.read_request()? {
        let mut answer = answer(&request, &mut mind.lock().expect("no connection panics"));
        let head = request.head_text();
        while head.starts_with("POST /v1/statement ")
            && mind.lock().expect("no connection panics").holds_statements
        {
            thread::sleep(Duration::from_millis(1));
        }
        let cut = match &mind.lock().expect("no connection panics") {
            mind if head.starts_with("GET /v1/statement/") => mind.page_cut,
            mind if head.starts_with("POST /v1/statement ") => mind.first_cut,
            _ => None,
        };
        if let Some(cut) = cut {
            answer.truncate(cut);
            connection.send(answer)?;
            return Ok(());
        }
        connection.send(answer)?;
    }
    Ok(())
}

fn answer(request: &Message, mind: &mut Mind) -> Vec<u8> {
    let head = request.head_text();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_forwarded = head.to_lowercase().contains("\r\nx-forwarded-");
    if is_forwarded && !mind.reads_forwarded {
        return response(406, "", mind);
    }
    match (method, path) {
        ("GET", "/v1/info") => response(200, &info(mind), mind),
        ("POST", "/v1/statement") if mind.starting => response(500, "", mind),
        ("POST", "/v1/statement") => {
            mind.statements += 1;
            let status = mind.statement_status;
            let body = if status == 200 { submitted(mind) } else { String::new() };
            response(status, &body, mind)
        }
        ("PUT" | "DELETE", path) if path.starts_with("/v1/announcement/") => {
            let sign = if method == "PUT" { "" } else { "-" };
            mind.workers.push(format!("{sign}{}", path.trim_start_matches("/v1/announcement/")));
            response(202, "", mind)
        }
        ("POST", "/v1/announce") => {
            mind.workers.push(request.text());
            response(202, "", mind)
        }
        (_, path) if path.starts_with("/v1/statement/") || path.starts_with("/v1/query/") => {
            let is_mine = path.split('/').any(|part| part.ends_with(&format!("_{}", mind.id)));
            match (is_mine, method) {
                (false, "DELETE") if path.starts_with("/v1/query/") => response(204, "", mind),
                (false, _) => response(404, "", mind),
                (true, "DELETE") => response(204, "", mind),
                (true, _) if path.ends_with("/transaction") => {
                    let field = format!("X-Trino-Started-Transaction-Id: of-{}", mind.id);
                    format!("HTTP/1.1 200 x\r\n{field}\r\nContent-Length: 0\r\n\r\n").into()
                }
                (true, "GET") if !mind.page.is_empty() => {
                    let id = path.split('/').find(|part| part.ends_with(&mind.id));
                    response(200, &mind.page.replace("QUERY", id.expect("it is mine")), mind)
                }
                (true, _) => response(200, &format!("{{\"by\":\"{}\"}}", mind.id), mind),
            }
        }
        _ => response(200, &mind.id, mind),
    }
}

fn info(mind: &Mind) -> String {
    let id =
        if mind.shows_id { format!("\"coordinatorId\":\"{}\",", mind.id) } else { String::new() };
    format!(
        "{{\"nodeVersion\":{{\"version\":\"{}\"}},\"environment\":\"test\",\"coordinator\":true,\
         {id}\"starting\":{},\"uptime\":\"{}\"}}",
        mind.version, mind.starting, mind.uptime
    )
}

fn submitted(mind: &Mind) -> String {
    let id = format!("20261124_103000_{:05}_{}", mind.statements, mind.id);
    let padding = " ".repeat(mind.padding);
    format!("{{{padding}\"id\":\"{id}\",\"nextUri\":\"http://a/v1/statement/queued/{id}/x/1\"}}")
}

fn response(status: u16, body: &str, mind: &Mind) -> Vec<u8> {
    if status == 204 {
        return b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    }
    if !mind.chunked {
        let length = body.len();
        return format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{body}").into();
    }
    let chunks: String = body
        .as_bytes()
        .chunks(11)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)))
        .collect();
    format!("HTTP/1.1 {status} x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").into()
}
