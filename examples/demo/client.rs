//! A client of Trino's protocol: posts a statement and follows `nextUri`.
//!
//! JSON is searched, not parsed: both ends of it are ours.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pages one query may have.
const PAGE_LIMIT: usize = 100;

/// A result: column names and rows of text.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Rows {
    /// Whether some cell is this text.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.rows.iter().flatten().any(|cell| cell == text)
    }
}

/// Runs a statement to its end.
pub(crate) fn query(at: SocketAddr, sql: &str) -> io::Result<Rows> {
    let mut connection = Connection::open(at)?;
    let (mut status, mut page) = connection.ask("POST", "/v1/statement", sql)?;
    let mut result = Rows::default();
    for _ in 0..PAGE_LIMIT {
        if status != 200 || page.contains("\"error\":") {
            return Err(io::Error::other(format!("status {status}: {page}")));
        }
        if let Some(columns) = between(&page, "\"columns\":[", "],\"data\"") {
            result.columns = columns
                .split('{')
                .filter_map(|one| string_after(one, "name"))
                .map(str::to_owned)
                .collect();
        }
        if let Some(data) = between(&page, "\"data\":[[", "]],") {
            result.rows.extend(data.split("],[").map(cells));
        }
        let Some(next) = string_after(&page, "nextUri") else { return Ok(result) };
        // A nextUri that leads past the proxy would show here.
        let own = format!("http://{at}");
        let path = next
            .strip_prefix(&own)
            .ok_or_else(|| io::Error::other(format!("{next} is not at {at}")))?
            .to_owned();
        (status, page) = connection.ask("GET", &path, "")?;
    }
    Err(io::Error::other("too many pages"))
}

fn cells(row: &str) -> Vec<String> {
    row.split(',').map(|cell| cell.trim_matches('"').to_owned()).collect()
}

/// Gets one answer's body.
pub(crate) fn get(at: SocketAddr, path: &str) -> io::Result<String> {
    Connection::open(at)?.ask("GET", path, "").map(|(_, body)| body)
}

/// One connection that is kept between requests.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    host: SocketAddr,
}

impl Connection {
    pub(crate) fn open(at: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { reader: BufReader::new(stream), host: at })
    }

    /// Sends a request and reads the status and body of its answer.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> io::Result<(u16, String)> {
        let (host, length) = (self.host, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Trino-User: demo\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.reader.get_mut().write_all(request.as_bytes())?;
        let head = Head::read(&mut self.reader)?.ok_or(ErrorKind::UnexpectedEof)?;
        let status = head
            .start
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or(ErrorKind::InvalidData)?;
        Ok((status, read_body(&mut self.reader, &head)?))
    }
}

/// A request's or an answer's first line and fields.
pub(crate) struct Head {
    pub(crate) start: String,
    fields: Vec<(String, String)>,
}

impl Head {
    /// Reads one, or none where the peer ends instead.
    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Option<Head>> {
        let mut start = String::new();
        if from.read_line(&mut start)? == 0 {
            return Ok(None);
        }
        let mut fields = Vec::new();
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) => {
                    fields.push((name.to_ascii_lowercase(), value.trim().to_owned()))
                }
                None => return Ok(Some(Head { start: start.trim_end().to_owned(), fields })),
            }
        }
    }

    /// The value of a field, by its lowercase name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the body that a head announces.
pub(crate) fn read_body(from: &mut impl BufRead, head: &Head) -> io::Result<String> {
    let mut body = Vec::new();
    if head.field("transfer-encoding").is_some() {
        while read_chunk(from, &mut body)? {}
    } else if let Some(length) = head.field("content-length") {
        let length = length.parse().map_err(|_| ErrorKind::InvalidData)?;
        if from.take(length).read_to_end(&mut body)? as u64 != length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    String::from_utf8(body).map_err(|_| ErrorKind::InvalidData.into())
}

fn read_chunk(from: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<bool> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let size = u64::from_str_radix(line.trim_end(), 16).map_err(|_| ErrorKind::InvalidData)?;
    from.take(size).read_to_end(body)?;
    from.read_line(&mut line)?;
    Ok(size > 0)
}

/// The text value of the first member of this name.
pub(crate) fn string_after<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    between(json, &format!("\"{name}\":\""), "\"")
}

fn between<'a>(text: &'a str, left: &str, right: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(left)?;
    rest.split_once(right).map(|(inside, _)| inside)
}
