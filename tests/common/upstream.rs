//! A server that runs a script on every connection and records every byte received.

use std::fmt;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{SockRef, Socket};
use tempfile::TempDir;

use super::message::{Framing, Message, Reader, Tape};
use super::port::Port;
use super::wire::Wire;
use super::{PATIENCE, ok};

/// What a server does on one connection. An error only ends the connection.
type Play = dyn Fn(&mut Connection) -> io::Result<()> + Send + Sync;

pub struct Upstream {
    place: Place,
    play: Arc<Play>,
    seen: Arc<Seen>,
    stage: Stage,
}

enum Place {
    Tcp(Port),
    Unix(PathBuf, TempDir),
}

enum Stage {
    /// Connections are refused.
    Stopped,
    /// Connections are accepted and played.
    Running { stop: Listening, thread: JoinHandle<()> },
    /// SYNs are dropped: `_crowd` fills the listener's queue, and nothing is accepted.
    Blackhole { listener: Socket, _crowd: Vec<TcpStream> },
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What was seen here, and a signal for tests that wait for it.
#[derive(Default)]
struct Seen {
    events: Mutex<Events>,
    changed: Condvar,
}

#[derive(Default)]
struct Events {
    tapes: Vec<Tape>,
    requests: Vec<Message>,
    open: Vec<Weak<Wire>>,
}

impl Upstream {
    /// Plays `play` with each connection.
    pub fn playing(
        play: impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Upstream {
        Upstream::playing_at(Place::Tcp(Port::reserve()), play)
    }

    /// Plays `play` with each connection, on `[::1]`.
    pub fn playing_v6(
        play: impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Upstream {
        Upstream::playing_at(Place::Tcp(Port::reserve_v6()), play)
    }

    /// Plays `play` with each connection, on a unix socket.
    pub fn playing_unix(
        play: impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Upstream {
        let directory = TempDir::new().expect("a temporary directory");
        Upstream::playing_at(Place::Unix(directory.path().join("server"), directory), play)
    }

    fn playing_at(
        place: Place,
        play: impl Fn(&mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Upstream {
        let mut upstream =
            Upstream { place, play: Arc::new(play), seen: Arc::default(), stage: Stage::Stopped };
        upstream.start();
        upstream
    }

    /// Answers every complete request with these bytes and keeps the connection.
    pub fn answering(bytes: impl Into<Vec<u8>>) -> Upstream {
        let bytes = bytes.into();
        Upstream::playing(move |connection| connection.answer_all(&bytes))
    }

    /// Answers every request with a 200 whose body is this name.
    pub fn named(name: &str) -> Upstream {
        Upstream::answering(ok(name))
    }

    /// Answers one complete request with these bytes and closes in order.
    pub fn answering_and_closing(bytes: impl Into<Vec<u8>>) -> Upstream {
        let bytes = bytes.into();
        Upstream::playing(move |connection| {
            connection.read_request()?;
            connection.send(&bytes)
        })
    }

    /// Answers one complete request with these bytes and resets the connection.
    pub fn answering_and_resetting(bytes: impl Into<Vec<u8>>) -> Upstream {
        let bytes = bytes.into();
        Upstream::playing(move |connection| {
            connection.read_request()?;
            connection.send(&bytes)?;
            connection.reset();
            Ok(())
        })
    }

    /// Resets each connection after one complete request.
    pub fn resetting() -> Upstream {
        Upstream::answering_and_resetting(Vec::new())
    }

    /// Reads requests and never answers.
    pub fn silent() -> Upstream {
        Upstream::playing(|connection| {
            while connection.read_request()?.is_some() {}
            Ok(())
        })
    }

    /// Refuses connections until it is started; then answers as [`Upstream::named`].
    pub fn refusing(name: &str) -> Upstream {
        let mut upstream = Upstream::named(name);
        upstream.stop();
        upstream
    }

    /// Drops SYNs until it is started; then answers as [`Upstream::named`].
    pub fn blackholed(name: &str) -> Upstream {
        let mut upstream = Upstream::refusing(name);
        upstream.fall_silent();
        upstream
    }

    /// Accepts connections, again or for the first time.
    pub fn start(&mut self) {
        let (stop, accepting) =
            match (&self.place, std::mem::replace(&mut self.stage, Stage::Stopped)) {
                (_, Stage::Running { .. }) => panic!("runs already"),
                (Place::Tcp(port), Stage::Stopped) => listening_tcp(port.listen(128)),
                (_, Stage::Blackhole { listener, .. }) => listening_tcp(listener),
                (Place::Unix(path, _), Stage::Stopped) => listening_unix(path),
            };
        let (play, seen) = (Arc::clone(&self.play), Arc::clone(&self.seen));
        let thread = thread::spawn(move || accept_all(&accepting, &play, &seen));
        self.stage = Stage::Running { stop, thread };
    }

    /// Closes every connection, as a killed process would, and refuses new ones.
    pub fn stop(&mut self) {
        if let Stage::Running { stop, thread } = std::mem::replace(&mut self.stage, Stage::Stopped)
        {
            // On Linux, shutting a listening socket down wakes a blocked accept.
            match &stop {
                Listening::Tcp(listener) => SockRef::from(listener).shutdown(Shutdown::Both),
                Listening::Unix(listener) => SockRef::from(listener).shutdown(Shutdown::Both),
            }
            .expect("a listening socket");
            thread.join().expect("accepting never panics");
        }
        for wire in self.seen.events().open.drain(..).filter_map(|wire| wire.upgrade()) {
            wire.shutdown(Shutdown::Both);
        }
        if let Place::Unix(path, _) = &self.place {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Stops, and from then on neither accepts nor refuses connections: SYNs are dropped.
    pub fn fall_silent(&mut self) {
        self.stop();
        let Place::Tcp(port) = &self.place else { panic!("unix sockets cannot drop SYNs") };
        let listener = port.listen(0);
        let mut crowd = Vec::new();
        // A connect that times out shows that the queue is full.
        while let Ok(stream) =
            TcpStream::connect_timeout(&port.address(), Duration::from_millis(50))
        {
            crowd.push(stream);
            assert!(crowd.len() < 16, "the queue of a listener with backlog 0 has no end");
        }
        self.stage = Stage::Blackhole { listener, _crowd: crowd };
    }

    /// Its address as in a `server` directive, which `Display` prints as well.
    pub fn address(&self) -> String {
        match &self.place {
            Place::Tcp(port) => port.address().to_string(),
            Place::Unix(path, _) => format!("unix:{}", path.display()),
        }
    }

    /// The socket address of a TCP server.
    pub fn socket_address(&self) -> SocketAddr {
        match &self.place {
            Place::Tcp(port) => port.address(),
            Place::Unix(..) => panic!("a unix socket has none"),
        }
    }

    /// All complete requests so far, in the order of their completion.
    pub fn requests(&self) -> Vec<Message> {
        self.seen.events().requests.clone()
    }

    pub fn connections(&self) -> usize {
        self.seen.events().tapes.len()
    }

    /// Every byte received, connection by connection.
    pub fn received(&self) -> Vec<Vec<u8>> {
        let tapes = self.seen.events().tapes.clone();
        tapes.iter().map(|tape| tape.lock().expect("no reader panics").clone()).collect()
    }

    /// Whether no byte was ever received.
    pub fn got_nothing(&self) -> bool {
        self.received().iter().all(Vec::is_empty)
    }

    /// Waits for the `n`th complete request, counted from 1, and returns it.
    pub fn wait_for_request(&self, n: usize) -> Message {
        let enough = |events: &Events| events.requests.len() >= n;
        self.wait_for("a request", enough).requests[n - 1].clone()
    }

    /// Waits until this many connections have been accepted.
    pub fn wait_for_connections(&self, n: usize) {
        drop(self.wait_for("a connection", |events| events.tapes.len() >= n));
    }

    /// Waits until no connection is open.
    pub fn wait_until_left_alone(&self) {
        drop(self.wait_for("all connections to close", |events| events.open.is_empty()));
    }

    fn wait_for(&self, what: &str, reached: impl Fn(&Events) -> bool) -> MutexGuard<'_, Events> {
        let events = self.seen.events();
        let (events, wait) = self
            .seen
            .changed
            .wait_timeout_while(events, PATIENCE, |events| !reached(events))
            .expect("no player panics");
        if wait.timed_out() {
            // Unlock first: a poisoned lock would turn a failure into an abort.
            drop(events);
            panic!("the server waited in vain for {what}");
        }
        events
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address())
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Seen {
    fn events(&self) -> MutexGuard<'_, Events> {
        self.events.lock().expect("no player panics")
    }

    fn change(&self, change: impl FnOnce(&mut Events)) {
        change(&mut self.events());
        self.changed.notify_all();
    }
}

fn listening_tcp(socket: Socket) -> (Listening, Listening) {
    socket.listen(128).expect("a bound socket");
    let listener = TcpListener::from(socket);
    (Listening::Tcp(listener.try_clone().expect("descriptors are left")), Listening::Tcp(listener))
}

fn listening_unix(path: &Path) -> (Listening, Listening) {
    let listener = UnixListener::bind(path).expect("a free path");
    (
        Listening::Unix(listener.try_clone().expect("descriptors are left")),
        Listening::Unix(listener),
    )
}

fn accept_all(listening: &Listening, play: &Arc<Play>, seen: &Arc<Seen>) {
    loop {
        let accepted = match listening {
            Listening::Tcp(listener) => listener.accept().map(|(stream, _)| Wire::tcp(stream)),
            Listening::Unix(listener) => listener.accept().map(|(stream, _)| Wire::unix(stream)),
        };
        let Ok(wire) = accepted else { return };
        let (wire, tape) = (Arc::new(wire), Tape::default());
        let open = Arc::downgrade(&wire);
        seen.change(|events| {
            events.tapes.push(Arc::clone(&tape));
            events.open.push(Weak::clone(&open));
        });
        let reader = Reader::new(Arc::clone(&wire), tape);
        let mut connection = Connection { wire, reader, seen: Arc::clone(seen) };
        let play = Arc::clone(play);
        thread::spawn(move || {
            let _ = play(&mut connection);
            let seen = Arc::clone(&connection.seen);
            // It is closed only when this has returned, though it is not held any more before that.
            drop(connection);
            seen.change(|events| events.open.retain(|wire| !wire.ptr_eq(&open)));
        });
    }
}

/// One connection as a script sees it. Dropping it closes the connection.
pub struct Connection {
    wire: Arc<Wire>,
    reader: Reader,
    seen: Arc<Seen>,
}

impl Connection {
    /// Reads a complete request and records it; `None` if the proxy closes instead.
    ///
    /// # Errors
    /// A request cut short or malformed.
    pub fn read_request(&mut self) -> io::Result<Option<Message>> {
        let request = self.reader.request()?;
        if let Some(request) = &request {
            self.seen.change(|events| events.requests.push(request.clone()));
        }
        Ok(request)
    }

    /// Reads only a request's head, and records it without its body.
    ///
    /// # Errors
    /// A head cut short or malformed.
    pub fn read_head(&mut self) -> io::Result<Message> {
        let head = self.reader.head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.seen.change(|events| events.requests.push(head.clone()));
        Ok(head)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// A body cut short.
    pub fn read_body(&mut self, framing: Framing) -> io::Result<Vec<u8>> {
        self.reader.body(framing)
    }

    /// Reads some bytes; 0 at the end.
    ///
    /// # Errors
    /// The connection failed.
    pub fn read_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reader.some(into)
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The proxy has left.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        (&*self.wire).write_all(bytes.as_ref())
    }

    /// Answers each request with these bytes until the proxy closes.
    ///
    /// # Errors
    /// The proxy closes within a request.
    pub fn answer_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        while self.read_request()?.is_some() {
            self.send(bytes)?;
        }
        Ok(())
    }

    /// Sends back what it receives, until the proxy closes.
    ///
    /// # Errors
    /// The connection failed.
    pub fn echo(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; 256 << 10];
        loop {
            match self.read_some(&mut bytes)? {
                0 => return Ok(()),
                count => self.send(&bytes[..count])?,
            }
        }
    }

    /// Waits for the proxy to close, whatever it sends until then.
    ///
    /// # Errors
    /// The proxy does not close.
    pub fn wait_for_end(&mut self) -> io::Result<()> {
        self.reader.rest().map(drop)
    }

    /// The reader, for bodies read piece by piece.
    pub fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Makes the closing of this connection a reset.
    pub fn reset(&self) {
        self.wire.reset_on_close();
    }

    /// Sends a FIN, and can still read.
    pub fn finish_sending(&self) {
        self.wire.shutdown(Shutdown::Write);
    }
}
