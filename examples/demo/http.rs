//! As much of HTTP/1.1 as clients, workers and stand-in coordinators need: no more than they send.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a client waits for the next bytes of an answer, as Trino's do.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client's connection, kept between requests.
pub(crate) struct Connection {
    /// What the server sends.
    reader: BufReader<TcpStream>,
    /// The server's address, and the `Host` of requests.
    host: SocketAddr,
    /// Whether the server takes another request.
    is_open: bool,
}

/// An answer.
pub(crate) struct Reply {
    /// Its status.
    pub(crate) status: u16,
    /// Its body.
    pub(crate) body: String,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(host: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { reader: BufReader::new(stream), host, is_open: true })
    }

    /// Whether the server takes another request, as far as its last answer says.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<Reply> {
        let (host, length) = (self.host, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Trino-User: demo\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.reader.get_mut().write_all(request.as_bytes())?;
        let head = Head::read(&mut self.reader)?.ok_or(ErrorKind::UnexpectedEof)?;
        let status = head.start.split(' ').nth(1).and_then(|code| code.parse().ok());
        self.is_open = head.field("connection") != Some("close");
        Ok(Reply {
            status: status.ok_or(ErrorKind::InvalidData)?,
            body: read_body(&mut self.reader, &head)?,
        })
    }
}

/// Gets the body of one answer, over a connection of its own.
pub(crate) fn get(at: SocketAddr, path: &str) -> io::Result<String> {
    Connection::open(at)?.ask("GET", path, "").map(|reply| reply.body)
}

/// The first line and the fields of a request or an answer.
pub(crate) struct Head {
    /// The first line.
    pub(crate) start: String,
    /// Lowercase names, and values.
    fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a head; `None` if the other side ends instead.
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

/// Reads one chunk; `false` after the last one.
fn read_chunk(from: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<bool> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let size = u64::from_str_radix(line.trim_end(), 16).map_err(|_| ErrorKind::InvalidData)?;
    from.take(size).read_to_end(body)?;
    from.read_line(&mut line)?;
    Ok(size > 0)
}
