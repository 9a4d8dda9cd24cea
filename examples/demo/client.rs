//! A client of Trino's protocol: posts a statement and follows `nextUri`.
//!
//! It retries as Trino's Python client does. JSON is searched, not parsed: both ends of it are ours.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Connection, Reply};

/// Pages that one query may have.
const PAGE_LIMIT: usize = 1000;

/// How often a request is sent while its answer is 502, 503 or 504.
const TRIES: u32 = 3;

/// The pause before another try.
const PAUSE: Duration = Duration::from_millis(100);

/// A result: column names and rows of text.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// The columns' names.
    pub(crate) columns: Vec<String>,
    /// The rows' cells.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Rows {
    /// Whether some cell is this text.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.rows.iter().flatten().any(|cell| cell == text)
    }
}

/// As Trino's command line prints it: centred names, a rule, left-aligned cells, and how many rows
/// there are.
impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.chain(self.columns.get(column)).map(String::len).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let names = self.columns.iter().zip(&widths);
        let names: Vec<String> = names.map(|(name, width)| format!(" {name:^width$} ")).collect();
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        writeln!(f, "{}\n{}", names.join("|").trim_end(), rule.join("+"))?;
        for row in &self.rows {
            let cells = row.iter().zip(&widths);
            let cells: Vec<String> =
                cells.map(|(cell, width)| format!(" {cell:<width$} ")).collect();
            writeln!(f, "{}", cells.join("|").trim_end())?;
        }
        write!(f, "({} rows)", self.rows.len())
    }
}

/// A wait for an answer, all tries included.
pub(crate) struct Wait {
    /// When it ended.
    pub(crate) ended: Instant,
    /// How long it took.
    pub(crate) time: Duration,
    /// Tries beyond the first.
    pub(crate) retries: u32,
}

/// One client. Its connection is kept from query to query.
pub(crate) struct Client {
    /// The server's address.
    at: SocketAddr,
    /// The connection, once there is one.
    connection: Option<Connection>,
    /// All waits so far.
    pub(crate) waits: Vec<Wait>,
    /// When the first rows of the last query came, if any did.
    pub(crate) first_rows: Option<Instant>,
}

impl Client {
    /// A client of this server.
    pub(crate) fn new(at: SocketAddr) -> Client {
        Client { at, connection: None, waits: Vec::new(), first_rows: None }
    }

    /// Runs a statement to its end.
    pub(crate) fn query(&mut self, sql: &str) -> io::Result<Rows> {
        let mut page = self.answer("POST", "/v1/statement", sql)?;
        let mut result = Rows::default();
        self.first_rows = None;
        for _ in 0..PAGE_LIMIT {
            if let Some((_, error)) = page.split_once("\"error\":{") {
                let plain = error.replace("\\\"", "'");
                let name = string_after(&plain, "errorName").unwrap_or_default();
                let message = string_after(&plain, "message").unwrap_or_default();
                return Err(io::Error::other(format!("{name}: {message}")));
            }
            if let Some(columns) = between(&page, "\"columns\":[", "],\"data\"") {
                let names = columns.split('{').filter_map(|column| string_after(column, "name"));
                result.columns = names.map(str::to_owned).collect();
            }
            if let Some(data) = between(&page, "\"data\":[[", "]],") {
                result.rows.extend(data.split("],[").map(cells));
                self.first_rows.get_or_insert_with(Instant::now);
            }
            let Some(next) = string_after(&page, "nextUri") else { return Ok(result) };
            // A nextUri that leads past the proxy would show here.
            let path = next
                .strip_prefix(&format!("http://{}", self.at))
                .ok_or_else(|| io::Error::other(format!("{next} is not at {}", self.at)))?
                .to_owned();
            page = self.answer("GET", &path, "")?;
        }
        Err(io::Error::other("too many pages"))
    }

    /// The body of the answer to a request, which must have status 200 in the end.
    fn answer(&mut self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let (began, mut retries) = (Instant::now(), 0);
        let reply = loop {
            let reply = self.try_once(method, path, body);
            let is_unavailable = reply.as_ref().is_ok_and(|one| (502..=504).contains(&one.status));
            if !is_unavailable || retries + 1 == TRIES {
                break reply;
            }
            retries += 1;
            thread::sleep(PAUSE);
        };
        let ended = Instant::now();
        self.waits.push(Wait { ended, time: ended - began, retries });
        match reply {
            Ok(Reply { status: 200, body }) => Ok(body),
            Ok(Reply { status, body }) => {
                Err(io::Error::other(format!("{method}: status {status}: {body}")))
            }
            Err(why) => Err(io::Error::new(why.kind(), format!("{method}: {why}"))),
        }
    }

    /// Sends a request over the kept connection, or a new one.
    fn try_once(&mut self, method: &str, path: &str, body: &str) -> io::Result<Reply> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.at)?,
        };
        let reply = connection.ask(method, path, body)?;
        self.connection = Some(connection).filter(Connection::is_open);
        Ok(reply)
    }
}

/// The cells of a row, without their quotes.
fn cells(row: &str) -> Vec<String> {
    row.split(',').map(|cell| cell.trim_matches('"').to_owned()).collect()
}

/// The text value of the first member of this name.
pub(crate) fn string_after<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    between(json, &format!("\"{name}\":\""), "\"")
}

/// What stands between the first `left` and the next `right`.
fn between<'a>(text: &'a str, left: &str, right: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(left)?;
    rest.split_once(right).map(|(inside, _)| inside)
}
