//! A background request: dials, asks, and reads a bounded answer.

use std::io::IoSlice;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::address::Address;
use crate::config::model::Server;
use crate::http::chunked::Keep;
use crate::http::connection::Options;
use crate::http::framing::{self, Body};
use crate::http::head::{self, HeadLimits, HeadScan};
use crate::net::{Connect, Event, Net};
use crate::time::Time;
use crate::transport::dial::{Dial, Dialled};
use crate::transport::io::{Io, Owner};
use crate::transport::socket::{Moved, Socket};
use crate::upstream::retry::Failure;

/// A background request under way.
pub struct Probe<N: Net> {
    line: Line<N>,
    /// It may hold credentials.
    request: Zeroizing<Box<[u8]>>,
    /// How much of it is written.
    written: usize,
    reading: Reading,
    /// When the answer must be whole.
    deadline: Time,
}

enum Line<N: Net> {
    Dialling(Dial<N>),
    Open(Socket<N>, Origin),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Made,
    /// Kept from an earlier request: the server may have closed it meanwhile.
    Kept,
}

/// How much of the answer is read.
#[derive(Default)]
struct Reading {
    /// Bytes that are not interpreted yet.
    input: Vec<u8>,
    scan: HeadScan,
    /// The head, once it is whole.
    begun: Option<Begun>,
}

struct Begun {
    status: u16,
    rest: Body,
    persistent: bool,
    body: Vec<u8>,
}

/// How a background request has ended.
pub enum Probed {
    /// The connection is open, and nothing is asked on it.
    Open,
    /// It is answered.
    Answered(Answer),
    /// A kept connection had ended: ask again on a new one.
    Stale,
    /// There is no answer.
    Failed(Failure),
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status; `None` if it is no HTTP.
    pub status: Option<u16>,
    /// Its body; `None` if it is too long.
    pub body: Option<Vec<u8>>,
    /// Whether the connection can carry another request.
    pub reusable: bool,
}

impl<N: Net> Probe<N> {
    /// Begins with a new connection; the whole request may take `timeout`. If it is empty, the server
    /// only has to accept the connection.
    ///
    /// # Errors
    /// As [`Dial::begin`].
    pub fn dial(
        to: &Server,
        request: Zeroizing<Box<[u8]>>,
        timeout: Duration,
        owner: Owner,
        io: &mut Io<N>,
    ) -> Result<Probe<N>, Option<Failure>> {
        let dial = Dial::begin(to, &Connect::default(), timeout, owner, io)?;
        Ok(Probe::new(Line::Dialling(dial), request, io.now + timeout))
    }

    /// Begins on a connection that was kept.
    pub fn ask(
        socket: Socket<N>,
        request: Zeroizing<Box<[u8]>>,
        timeout: Duration,
        now: Time,
    ) -> Probe<N> {
        let mut probe = Probe::new(Line::Open(socket, Origin::Kept), request, now + timeout);
        // No event will announce that there is room.
        probe.write();
        probe
    }

    fn new(line: Line<N>, request: Zeroizing<Box<[u8]>>, deadline: Time) -> Probe<N> {
        Probe { line, request, written: 0, reading: Reading::default(), deadline }
    }

    /// Notes an event of its socket.
    pub fn note(&mut self, event: &Event) {
        match &mut self.line {
            Line::Dialling(dial) => dial.note(event),
            Line::Open(socket, _) => socket.note(event),
        }
    }

    /// When it times out.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// The socket: to be kept if the answer says so, else to be closed.
    pub fn into_socket(self) -> Socket<N> {
        match self.line {
            Line::Dialling(dial) => dial.into_socket(),
            Line::Open(socket, _) => socket,
        }
    }

    /// What is sent, for sending it again.
    pub fn request(&self) -> Zeroizing<Box<[u8]>> {
        self.request.clone()
    }

    /// Does everything that can be done now. Returns how it has ended; `None` if it goes on.
    pub fn poll(mut self, now: Time) -> (Probe<N>, Option<Probed>) {
        if let Line::Dialling(mut dial) = self.line {
            let dialled = dial.poll(now);
            self.line = match dialled {
                Dialled::Open => Line::Open(dial.into_socket(), Origin::Made),
                Dialled::Pending | Dialled::Failed(_) => Line::Dialling(dial),
            };
            match dialled {
                Dialled::Open if self.request.is_empty() => return (self, Some(Probed::Open)),
                Dialled::Open => {}
                Dialled::Pending => return (self, None),
                Dialled::Failed(failure) => return (self, Some(Probed::Failed(failure))),
            }
        }
        let probed = self.talk(now);
        (self, probed)
    }

    fn write(&mut self) {
        let Line::Open(socket, _) = &mut self.line else { return };
        while self.written < self.request.len() {
            match socket.write(&[IoSlice::new(&self.request[self.written..])]) {
                Moved::Bytes(count) => self.written += count,
                Moved::Wait => break,
                // The server may have answered before it closed; a read will show.
                Moved::End | Moved::Failed(_) => break,
            }
        }
    }

    fn talk(&mut self, now: Time) -> Option<Probed> {
        self.write();
        let Line::Open(socket, origin) = &mut self.line else { return None };
        let untouched = self.reading.is_untouched();
        match self.reading.read(socket) {
            Some(Read::Whole(answer)) => Some(Probed::Answered(answer)),
            Some(Read::Lost(_)) if untouched && *origin == Origin::Kept => Some(Probed::Stale),
            Some(Read::Lost(failure)) => Some(Probed::Failed(failure)),
            None if self.deadline <= now && self.written < self.request.len() => {
                Some(Probed::Failed(Failure::SendTimedOut))
            }
            None if self.deadline <= now => Some(Probed::Failed(Failure::ReadTimedOut)),
            None => None,
        }
    }
}

enum Read {
    Whole(Answer),
    Lost(Failure),
}

impl Reading {
    fn is_untouched(&self) -> bool {
        self.input.is_empty() && self.begun.is_none()
    }

    /// Reads what has arrived, within the limits.
    fn read<N: Net>(&mut self, socket: &mut Socket<N>) -> Option<Read> {
        let mut piece = [0; PIECE];
        while socket.is_readable() {
            match socket.read(&mut piece) {
                Moved::Bytes(count) => self.input.extend_from_slice(&piece[..count]),
                Moved::Wait => return None,
                Moved::End => return Some(self.end()),
                Moved::Failed(_) => return Some(Read::Lost(Failure::Reset)),
            }
            if let Some(answer) = self.digest() {
                return Some(Read::Whole(answer));
            }
        }
        None
    }

    /// Interprets the bytes so far. An answer, once it is whole or known to be useless.
    fn digest(&mut self) -> Option<Answer> {
        if self.begun.is_none() {
            let length = match self.scan.end(&self.input, LIMITS) {
                Ok(None) => return None,
                Ok(Some(length)) => length,
                Err(_) => return Some(Answer::USELESS),
            };
            match begun(&self.input[..length]) {
                Some(begun) if begun.status >= 200 => self.begun = Some(begun),
                Some(_) | None => return Some(Answer::USELESS),
            }
            self.input.drain(..length);
        }
        let begun = self.begun.as_mut()?;
        let Ok(scan) = begun.rest.scan(&mut self.input, Keep::Data) else {
            return Some(Answer { status: Some(begun.status), body: None, reusable: false });
        };
        begun.body.extend_from_slice(&self.input[..scan.kept]);
        self.input.drain(..scan.consumed);
        let too_long = begun.body.len() > LIMIT;
        if too_long || begun.rest.is_done() {
            let body = (!too_long).then(|| std::mem::take(&mut begun.body));
            let reusable = begun.persistent && !too_long && self.input.is_empty();
            return Some(Answer { status: Some(begun.status), body, reusable });
        }
        None
    }

    /// The server has sent all that it will.
    fn end(&mut self) -> Read {
        match &mut self.begun {
            Some(Begun { status, rest: Body::UntilClose, body, .. }) => Read::Whole(Answer {
                status: Some(*status),
                body: Some(std::mem::take(body)),
                reusable: false,
            }),
            Some(_) | None => Read::Lost(Failure::Closed),
        }
    }
}

/// Reads a head.
fn begun(bytes: &[u8]) -> Option<Begun> {
    let mut places = Vec::new();
    let head = head::parse_response(bytes, &mut places).ok()?;
    let options = Options::of(head.fields).ok()?;
    let rest = Body::new(framing::of_response(&head, false).ok()?);
    let persistent = options.persistent(head.version);
    Some(Begun { status: head.status, rest, persistent, body: Vec::new() })
}

/// A request of our own to a server.
pub fn request(method: &str, target: &[u8], server: &Address) -> Zeroizing<Box<[u8]>> {
    request_with(method, target, server, b"")
}

/// A request of our own to a server, with more fields.
pub fn request_with(
    method: &str,
    target: &[u8],
    server: &Address,
    fields: &[u8],
) -> Zeroizing<Box<[u8]>> {
    let host = host_of(server);
    let rest = format!(
        " HTTP/1.1\r\nHost: {host}\r\nUser-Agent: switchover\r\nAccept: application/json\r\n"
    );
    let parts = [method.as_bytes(), b" ", target, rest.as_bytes(), fields, b"\r\n"];
    Zeroizing::new(parts.concat().into())
}

/// The `Host` of a request of our own.
pub fn host_of(server: &Address) -> String {
    match server {
        Address::Inet(address) => address.to_string(),
        Address::Unix(_) => "localhost".to_owned(),
    }
}

impl Answer {
    /// One that is no HTTP.
    const USELESS: Answer = Answer { status: None, body: None, reusable: false };
}

/// The longest head, and the longest body, in bytes.
const LIMIT: usize = 16 << 10;
const LIMITS: HeadLimits = HeadLimits { line: LIMIT, total: LIMIT };
/// Bytes read at a time.
const PIECE: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: &[u8]) -> Option<Answer> {
        let mut reading = Reading { input: bytes.to_vec(), ..Reading::default() };
        let whole = reading.digest();
        let mut pieces = Reading::default();
        let split = bytes.iter().find_map(|&byte| {
            pieces.input.push(byte);
            pieces.digest()
        });
        // Whether bytes follow the answer shows only in one piece.
        let same = |answer: &Answer| (answer.status, answer.body.clone());
        assert_eq!(whole.as_ref().map(same), split.as_ref().map(same));
        whole
    }

    fn good(status: u16, body: &[u8], reusable: bool) -> Option<Answer> {
        Some(Answer { status: Some(status), body: Some(body.to_vec()), reusable })
    }

    #[test]
    fn answers_are_read_in_any_pieces() {
        let table: [(&[u8], Option<Answer>); 8] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", good(200, b"hi", true)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!", good(200, b"hi", false)),
            (
                b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
                good(503, b"hi", true),
            ),
            (
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                good(200, b"", false),
            ),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", None),
            (b"HTTP/1.1 200 OK\r\n\r\nall", None),
            (b"HTTP/1.1 100 Continue\r\n\r\n", Some(Answer::USELESS)),
            (b"SSH-2.0-x\r\n\r\n", Some(Answer::USELESS)),
        ];
        for (bytes, expected) in table {
            assert_eq!(answer(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn an_answer_without_a_length_ends_with_the_connection() {
        let mut reading = Reading::default();
        reading.input.extend_from_slice(b"HTTP/1.0 200 OK\r\n\r\nall");
        assert_eq!(reading.digest(), None);
        let Read::Whole(answer) = reading.end() else { panic!("it is whole") };
        assert_eq!(Some(answer), good(200, b"all", false));
    }

    #[test]
    fn long_heads_and_bodies_are_given_up() {
        let long = "a".repeat(LIMIT + 1);
        let head = format!("HTTP/1.1 200 OK\r\nA: {long}");
        assert_eq!(answer(head.as_bytes()), Some(Answer::USELESS));
        let body = format!("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n{long}");
        let status = Some(200);
        let expected = Answer { status, body: None, reusable: false };
        assert_eq!(answer(body.as_bytes()), Some(expected));
    }
}
