//! The server behind all proxies: answers by path, from memory, on one thread.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::thread;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

/// What a path is answered with.
#[derive(Clone, Copy)]
enum Answer {
    /// A head, and so many bytes.
    Body(&'static [u8], u64),
    /// All of it.
    Whole(&'static [u8]),
    /// Nothing, ever.
    Never,
}

struct Connection {
    stream: TcpStream,
    /// The head being read.
    head: Vec<u8>,
    /// Bytes of the request's body that are still to come, and the answer to it.
    body: Option<(u64, Answer)>,
    /// What of an answer is still to be sent: of its head, and of its body.
    sending: (&'static [u8], u64),
}

/// Starts to serve on a thread that ends with the process.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listener.local_addr()?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    thread::spawn(move || {
        let mut connections = Slab::new();
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; BUFFER];
        loop {
            super::wait(&mut poll, &mut events, None).expect("epoll works");
            for event in &events {
                match event.token() {
                    LISTENER => accept(&listener, &poll, &mut connections),
                    Token(key) => {
                        let ended = connections.get_mut(key).map(|it| it.run(&mut buffer).is_err());
                        if ended == Some(true) {
                            connections.remove(key);
                        }
                    }
                }
            }
        }
    });
    Ok(address)
}

fn accept(listener: &TcpListener, poll: &Poll, connections: &mut Slab<Connection>) {
    while let Ok((mut stream, _)) = listener.accept() {
        let entry = connections.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(entry.key()), both).expect("epoll works");
        stream.set_nodelay(true).expect("a TCP socket");
        entry.insert(Connection { stream, head: Vec::new(), body: None, sending: (&[], 0) });
    }
}

impl Connection {
    /// Does everything that can be done now; an error when the connection is over.
    fn run(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            self.send(buffer)?;
            if !self.sending.0.is_empty() || self.sending.1 > 0 {
                return Ok(());
            }
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.take(&buffer[..count]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        if self.body.is_none() {
            let known = self.head.len();
            self.head.extend_from_slice(bytes);
            let from = known.saturating_sub(3);
            let Some(at) = self.head[from..].windows(4).position(|end| end == b"\r\n\r\n") else {
                return;
            };
            bytes = &bytes[from + at + 4 - known..];
            self.body = Some((length(&self.head), answer(&self.head)));
            self.head.clear();
        }
        let Some((left, answer)) = &mut self.body else { return };
        *left = left.saturating_sub(bytes.len() as u64);
        if *left == 0 {
            self.sending = match answer {
                Answer::Body(head, body) => (head, *body),
                Answer::Whole(answer) => (answer, 0),
                Answer::Never => (&[], 0),
            };
            self.body = None;
        }
    }

    fn send(&mut self, buffer: &[u8]) -> io::Result<()> {
        while !self.sending.0.is_empty() || self.sending.1 > 0 {
            let (head, body) = &mut self.sending;
            let piece = (*body).min(buffer.len() as u64) as usize;
            let bytes: &[u8] = if head.is_empty() { &buffer[..piece] } else { head };
            match self.stream.write(bytes) {
                Ok(count) if head.is_empty() => *body -= count as u64,
                Ok(count) => *head = &head[count..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// The number behind `Content-Length`.
fn length(head: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = text.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    value.map_or(0, |value| value.parse().expect("a number"))
}

fn answer(head: &[u8]) -> Answer {
    let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    match path {
        b"/chunked" => Answer::Whole(CHUNKED),
        b"/bulk" => Answer::Body(BULK_HEAD, super::BULK),
        b"/slow" => Answer::Never,
        b"/upgrade" => Answer::Whole(UPGRADED),
        b"/v1/statement" => Answer::Whole(WITHOUT_ROWS),
        path if path.ends_with(b"_00002_abcde/y1/1") || path.ends_with(b"_00003_abcde/y1/1") => {
            Answer::Whole(WITHOUT_ROWS)
        }
        path if path.starts_with(b"/v1/statement/") => Answer::Whole(CHUNKED),
        _ => Answer::Whole(SMALL),
    }
}

const SMALL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
const BULK_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n";
const UPGRADED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n";

/// 8 KiB in two chunks, under a head as Trino sends it.
const CHUNKED: &[u8] = &{
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\n\
        Content-Type: application/json\r\nVary: Accept-Encoding\r\n\
        X-Content-Type-Options: nosniff\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut bytes = [b'x'; HEAD.len() + 2 * (0x1000 + 8) + 5];
    put(&mut bytes, 0, HEAD);
    put(&mut bytes, HEAD.len(), b"1000\r\n");
    put(&mut bytes, HEAD.len() + 6 + 0x1000, b"\r\n1000\r\n");
    put(&mut bytes, HEAD.len() + 14 + 0x2000, b"\r\n0\r\n\r\n");
    bytes
};

/// An answer without rows, of the size that Trino's have; its query is asked for at one path.
const WITHOUT_ROWS: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\n\
    Content-Type: application/json\r\nVary: Accept-Encoding\r\n\
    X-Content-Type-Options: nosniff\r\nContent-Length: 797\r\n\r\n\
    {\"id\":\"20261130_103000_00002_abcde\",\
    \"infoUri\":\"http://localhost:8080/ui/query.html?20261130_103000_00002_abcde\",\
    \"nextUri\":\"http://localhost:8080/v1/statement/executing/20261130_103000_00002_abcde/y1/1\",\
    \"stats\":{\"state\":\"RUNNING\",\"queued\":false,\"scheduled\":true,\"nodes\":2,\"totalSplits\":64,\
    \"queuedSplits\":48,\"runningSplits\":12,\"completedSplits\":4,\"cpuTimeMillis\":2212,\
    \"wallTimeMillis\":3110,\"queuedTimeMillis\":1,\"elapsedTimeMillis\":1216,\"processedRows\":1048576,\
    \"processedBytes\":9437184,\"physicalInputBytes\":9437184,\"physicalWrittenBytes\":0,\
    \"peakMemoryBytes\":1048576,\"spilledBytes\":0,\"rootStage\":{\"stageId\":\"0\",\
    \"state\":\"RUNNING\",\"done\":false,\"nodes\":1,\"totalSplits\":16,\"queuedSplits\":0,\
    \"runningSplits\":16,\"completedSplits\":0,\"cpuTimeMillis\":12,\"subStages\":[]},\
    \"progressPercentage\":6.25},\"warnings\":[]}";

const fn put(bytes: &mut [u8], at: usize, part: &[u8]) {
    let mut place = 0;
    while place < part.len() {
        bytes[at + place] = part[place];
        place += 1;
    }
}

const LISTENER: Token = Token(usize::MAX);
const BUFFER: usize = 256 << 10;
