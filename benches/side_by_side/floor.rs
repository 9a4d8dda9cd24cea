//! The floor: a forwarder that parses nothing, and so costs little but what the kernel does.
//!
//! Every client gets a connection to the server for as long as it stays, from a pool if there is one.
//! Bytes are copied: one read and one write a message and direction, nothing registered twice. It
//! relies on the load: nobody leaves before its answer is whole, and who says that its request is the
//! last one gets an answer that one read brings.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};

/// A connection to the server, and the client that has it now.
struct Pair {
    client: Option<End>,
    server: End,
}

/// One connection.
struct End {
    stream: TcpStream,
    /// A read may bring something.
    readable: bool,
    /// What it sent last asks to be closed behind the answer.
    closing: bool,
    /// Bytes that it has not taken yet.
    held: Vec<u8>,
}

struct Forwarder {
    registry: Registry,
    server: SocketAddr,
    pairs: Vec<Pair>,
    /// Those without a client.
    pool: Vec<usize>,
    buffer: Vec<u8>,
}

/// Serves until it is killed, where the file at `path` says: on its first addresses, for the last.
pub(crate) fn run(path: &str) -> io::Result<()> {
    let text = fs::read_to_string(path)?;
    let addresses = text.split_whitespace().map(|word| word.parse().expect("an address"));
    let mut at: Vec<SocketAddr> = addresses.collect();
    let server = at.pop().expect("the server's");
    let mut poll = Poll::new()?;
    let mut listeners = at.into_iter().map(TcpListener::bind).collect::<io::Result<Vec<_>>>()?;
    for (place, listener) in listeners.iter_mut().enumerate() {
        // What is accepted inherits it.
        socket2::SockRef::from(&*listener).set_tcp_nodelay(true)?;
        poll.registry().register(listener, Token(LISTENERS + place), Interest::READABLE)?;
    }
    let registry = poll.registry().try_clone()?;
    let (buffer, mut events) = (vec![0; BUFFER], Events::with_capacity(1024));
    let mut forwarder = Forwarder { registry, server, pairs: vec![], pool: vec![], buffer };
    loop {
        super::wait(&mut poll, &mut events, None)?;
        for event in &events {
            let Token(token) = event.token();
            match token.checked_sub(LISTENERS) {
                Some(place) => forwarder.accept(&listeners[place])?,
                None => forwarder.note(token, event.is_readable()),
            }
        }
    }
}

impl Forwarder {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        while let Ok((stream, _)) = listener.accept() {
            let key = match self.pool.pop() {
                Some(key) => key,
                None => self.connect()?,
            };
            self.pairs[key].client = Some(End::new(stream, key * 2, &self.registry)?);
            // Its request is mostly there already.
            self.note(key * 2, true);
        }
        Ok(())
    }

    fn connect(&mut self) -> io::Result<usize> {
        // On loopback it stands at once.
        let stream = std::net::TcpStream::connect(self.server)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let key = self.pairs.len();
        let server = End::new(TcpStream::from_std(stream), key * 2 + 1, &self.registry)?;
        self.pairs.push(Pair { client: None, server });
        Ok(key)
    }

    /// Moves what an event makes possible. Even tokens are clients', odd ones servers'.
    fn note(&mut self, token: usize, readable: bool) {
        let (key, buffer) = (token / 2, &mut self.buffer);
        let Pair { client: place, server } = &mut self.pairs[key];
        let Some(client) = place else { return };
        let end = if token.is_multiple_of(2) { &mut *client } else { &mut *server };
        end.readable |= readable;
        let moved = pass(client, server, buffer).and_then(|()| pass(server, client, buffer));
        if moved.is_err() {
            *place = None;
            self.pool.push(key);
        }
    }
}

impl End {
    fn new(mut stream: TcpStream, token: usize, registry: &Registry) -> io::Result<End> {
        registry.register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        Ok(End { stream, readable: false, closing: false, held: Vec::new() })
    }
}

/// Moves what there is; an error when either end is over.
fn pass(from: &mut End, to: &mut End, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        let count = if to.held.is_empty() { 0 } else { taken(to.stream.write(&to.held))? };
        to.held.drain(..count);
        if !to.held.is_empty() || !from.readable {
            return Ok(());
        }
        let count = match from.stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            read => taken(read)?,
        };
        // A short read has taken all there was.
        from.readable = count == buffer.len();
        from.closing = buffer[..count].ends_with(LAST);
        let sent = if count > 0 { taken(to.stream.write(&buffer[..count]))? } else { 0 };
        to.held.extend_from_slice(&buffer[sent..count]);
        if count > 0 && to.closing && to.held.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

/// How many bytes moved: none where that has to wait.
fn taken(moved: io::Result<usize>) -> io::Result<usize> {
    match moved {
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(0),
        moved => moved,
    }
}

const BUFFER: usize = 64 << 10;
/// What the last request of a client ends with.
const LAST: &[u8] = b"\r\nConnection: close\r\n\r\n";
/// The tokens of listeners are those from here on.
const LISTENERS: usize = usize::MAX / 2;
