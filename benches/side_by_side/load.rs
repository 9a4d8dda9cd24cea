//! The clients: so many connections on one thread, each with one request after another.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::proxy::Proxy;
use crate::wire::{Offer, Through, Wire};

/// What every connection does.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) through: Through,
    /// What is asked for once before all else, on a connection of its own; nothing if empty.
    pub(crate) first: &'static [u8],
    /// What is asked for, over and over.
    pub(crate) request: &'static [u8],
    /// Bytes of body behind it.
    pub(crate) body: u64,
    /// Connections at a time.
    pub(crate) connections: usize,
    /// What follows an answer.
    pub(crate) then: Then,
}

/// What a connection does when it has its answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The same again.
    Again,
    /// The same, on a new connection.
    Anew,
    /// Nothing.
    Rest,
}

/// What came of it.
pub(crate) struct Done {
    pub(crate) requests: u64,
    /// Bytes, both ways.
    pub(crate) bytes: u64,
    /// The median of what a request took.
    pub(crate) median: Duration,
}

struct Client {
    stream: Wire,
    sent: (usize, u64),
    answer: Answer,
    began: Instant,
}

/// How far an answer is.
enum Answer {
    Head(Vec<u8>),
    /// So many bytes are still to come.
    Length(u64),
    /// Up to the last chunk: the last bytes that came.
    Chunks([u8; 5]),
    Whole,
}

/// Connections at work.
pub(crate) struct Load {
    to: SocketAddr,
    offer: Offer,
    work: Work,
    poll: Poll,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    took: Vec<Duration>,
    bytes: u64,
}

impl Load {
    /// Connects, and sends the first requests.
    pub(crate) fn begin(proxy: &Proxy, work: Work) -> io::Result<Load> {
        let (to, offer) = (proxy.address(work.through), Offer::of(work.through));
        if !work.first.is_empty() {
            ask_once(to, work.first)?;
        }
        let poll = Poll::new()?;
        let (buffer, took) = (vec![0; BUFFER], Vec::new());
        let mut load = Load { to, offer, work, poll, clients: Vec::new(), buffer, took, bytes: 0 };
        for key in 0..work.connections {
            let client = load.connect(key)?;
            load.clients.push(client);
            load.run(key)?;
        }
        Ok(load)
    }

    fn connect(&self, key: usize) -> io::Result<Client> {
        // Blocking until it stands, so that no backlog overflows.
        let stream = std::net::TcpStream::connect(self.to)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(key), both)?;
        let answer = Answer::Head(Vec::new());
        let stream = self.offer.over(stream);
        Ok(Client { stream, sent: (0, 0), answer, began: Instant::now() })
    }

    /// Goes on for so long.
    pub(crate) fn go_on(&mut self, time: Duration) -> io::Result<Done> {
        let end = Instant::now() + time;
        let mut events = Events::with_capacity(1024);
        self.took.clear();
        self.bytes = 0;
        while Instant::now() < end {
            super::wait(&mut self.poll, &mut events, Some(Duration::from_millis(10)))?;
            for event in &events {
                self.run(event.token().0)?;
            }
        }
        self.took.sort_unstable();
        let median = self.took.get(self.took.len() / 2).copied().unwrap_or_default();
        Ok(Done { requests: self.took.len() as u64, bytes: self.bytes, median })
    }

    /// Goes on until so many answers have come at least; how many there are.
    pub(crate) fn until_answered(&mut self, answers: usize) -> io::Result<usize> {
        let end = Instant::now() + PATIENCE;
        let mut events = Events::with_capacity(1024);
        while self.took.len() < answers {
            assert!(Instant::now() < end, "no answers come");
            super::wait(&mut self.poll, &mut events, Some(Duration::from_millis(10)))?;
            for event in &events {
                self.run(event.token().0)?;
            }
        }
        Ok(self.took.len())
    }

    /// Sends and reads as far as it goes.
    fn run(&mut self, key: usize) -> io::Result<()> {
        loop {
            self.bytes += self.clients[key].send(&self.work, &self.buffer)?;
            self.bytes += self.clients[key].read(&mut self.buffer)?;
            let Answer::Whole = self.clients[key].answer else { return Ok(()) };
            let now = Instant::now();
            self.took.push(now - self.clients[key].began);
            match self.work.then {
                Then::Again => {}
                Then::Anew => self.clients[key] = self.connect(key)?,
                Then::Rest => {
                    self.clients[key].answer = Answer::Head(Vec::new());
                    return Ok(());
                }
            }
            let client = &mut self.clients[key];
            (client.sent, client.answer, client.began) = ((0, 0), Answer::Head(Vec::new()), now);
        }
    }
}

/// Asks once, and waits for the answer.
fn ask_once(to: SocketAddr, request: &[u8]) -> io::Result<()> {
    let mut stream = std::net::TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let (mut answer, mut buffer) = (Answer::Head(Vec::new()), [0; 4096]);
    while !matches!(answer, Answer::Whole) {
        match stream.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => answer.take(&buffer[..count]),
        }
    }
    Ok(())
}

impl Client {
    /// Sends what is left of a request, as far as it goes; how much that was.
    fn send(&mut self, work: &Work, buffer: &[u8]) -> io::Result<u64> {
        let mut bytes_sent = 0;
        while self.sent.0 < work.request.len() || self.sent.1 < work.body {
            let of_head = self.sent.0 < work.request.len();
            let piece = (work.body - self.sent.1).min(buffer.len() as u64) as usize;
            // A small body goes with its head, as clients send it.
            let joined;
            let bytes = match of_head {
                true if work.body <= SMALL_BODY => {
                    joined = [&work.request[self.sent.0..], &buffer[..piece]].concat();
                    &joined[..]
                }
                true => &work.request[self.sent.0..],
                false => &buffer[..piece],
            };
            match self.stream.write(bytes) {
                Ok(count) => {
                    let head = count.min(work.request.len() - self.sent.0);
                    self.sent = (self.sent.0 + head, self.sent.1 + (count - head) as u64);
                    bytes_sent += count as u64;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(bytes_sent)
    }

    /// Reads until the answer is whole, or as far as it goes; how much that was.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<u64> {
        let mut bytes = 0;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    bytes += count as u64;
                    self.answer.take(&buffer[..count]);
                    if let Answer::Whole = self.answer {
                        return Ok(bytes);
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(bytes),
                Err(e) => return Err(e),
            }
        }
    }
}

impl Answer {
    fn take(&mut self, bytes: &[u8]) {
        match self {
            Answer::Head(head) => {
                head.extend_from_slice(bytes);
                let Some(end) = head.windows(4).position(|end| end == b"\r\n\r\n") else { return };
                let (head, behind) = head.split_at(end + 4);
                let (mut next, behind) = (Answer::of(head), behind.to_vec());
                next.take(&behind);
                *self = next;
            }
            Answer::Length(left) => {
                *left -= bytes.len() as u64;
                if *left == 0 {
                    *self = Answer::Whole;
                }
            }
            Answer::Chunks(last) => {
                let tail = &bytes[bytes.len().saturating_sub(last.len())..];
                last.rotate_left(tail.len());
                let start = last.len() - tail.len();
                last[start..].copy_from_slice(tail);
                if last == b"0\r\n\r\n" {
                    *self = Answer::Whole;
                }
            }
            Answer::Whole => assert!(bytes.is_empty(), "bytes behind the answer"),
        }
    }

    fn of(head: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        if text.starts_with("http/1.1 101") {
            return Answer::Length(0);
        }
        assert!(text.starts_with("http/1.1 200"), "{text}");
        match text.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()) {
            Some(length) => Answer::Length(length.parse().expect("a number")),
            None => Answer::Chunks([0; 5]),
        }
    }
}

const BUFFER: usize = 256 << 10;
/// A body that fits into the first write.
const SMALL_BODY: u64 = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(60);
