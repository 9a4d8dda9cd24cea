//! The operating system's network: mio and socket2, and the only clock that the program reads.

mod listen;
mod pipe;
mod stream;

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::Interest;
use mio::event::Source;

pub use listen::{OsListener, SocketFile};
pub use pipe::OsPipe;
pub use stream::OsStream;

use super::{Accepted, Connect, Event, Net, Token};
use crate::address::Address;
use crate::config::model::Listen;
use crate::time::{Time, WallTime};

/// mio's poll, and the process's clock.
#[derive(Debug)]
pub struct OsNet {
    poll: mio::Poll,
    ready: mio::Events,
    started: Instant,
    /// Wall time at `Time::ZERO`, measured regularly because the wall clock may be set.
    wall_at_zero: u64,
    wall_measured: Time,
    outside: bool,
}

impl OsNet {
    /// A network without sockets whose time begins now.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    #[allow(clippy::disallowed_methods)] // this file is where the clock is read
    pub fn new() -> io::Result<OsNet> {
        let mut net = OsNet {
            poll: mio::Poll::new()?,
            ready: mio::Events::with_capacity(EVENTS_AT_ONCE),
            started: Instant::now(),
            wall_at_zero: 0,
            wall_measured: Time::ZERO,
            outside: false,
        };
        net.measure_wall(Time::ZERO);
        Ok(net)
    }

    /// Registers a source that is not one of the worker's sockets (signals). Its events only end
    /// the wait: see [`OsNet::outside`].
    ///
    /// # Errors
    /// Any error of the system.
    pub fn watch_outside(&mut self, source: &mut impl Source) -> io::Result<()> {
        self.poll.registry().register(source, OUTSIDE, Interest::READABLE)
    }

    /// Whether the source of [`OsNet::watch_outside`] has had an event since the last call.
    pub fn outside(&mut self) -> bool {
        std::mem::take(&mut self.outside)
    }

    #[allow(clippy::disallowed_methods)] // this file is where the clock is read
    fn measure_wall(&mut self, now: Time) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let wall = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
        self.wall_at_zero = wall.saturating_sub(now.as_nanos());
        self.wall_measured = now;
    }

    #[allow(clippy::disallowed_methods)] // this file is where the clock is read
    fn now(&self) -> Time {
        Time::ZERO + Instant::now().duration_since(self.started)
    }
}

impl Net for OsNet {
    type Listener = OsListener;
    type Stream = OsStream;
    type Pipe = OsPipe;

    fn listen(&mut self, at: &Listen, token: Token) -> io::Result<OsListener> {
        let mut listener = OsListener::bind(at)?;
        listener.register(self.poll.registry(), mio::Token(token.0))?;
        Ok(listener)
    }

    fn accept(&mut self, from: &OsListener) -> io::Result<Accepted<OsStream>> {
        from.accept()
    }

    fn connect(&mut self, to: &Address, how: &Connect) -> io::Result<OsStream> {
        OsStream::connect(to, how)
    }

    fn pipe(&mut self) -> io::Result<OsPipe> {
        OsPipe::new()
    }

    fn watch(&mut self, stream: &mut OsStream, token: Token) -> io::Result<()> {
        stream.register(self.poll.registry(), mio::Token(token.0))
    }

    fn poll(&mut self, events: &mut Vec<Event>, until: Time) -> io::Result<Time> {
        events.clear();
        let timeout = (until < Time::NEVER).then(|| round_up(until - self.now()));
        match self.poll.poll(&mut self.ready, timeout) {
            Ok(()) => {}
            // A signal interrupted the wait: the caller finds no events and polls again.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.ready.clear(),
            Err(e) => return Err(e),
        }
        for event in &self.ready {
            if event.token() == OUTSIDE {
                self.outside = true;
                continue;
            }
            // A hangup alone may be the end of a unix socket, or an orderly end of both directions.
            let broken = event.is_error();
            let closed = event.is_read_closed() && event.is_write_closed();
            events.push(Event {
                token: Token(event.token().0),
                readable: event.is_readable() || broken || closed,
                writable: event.is_writable() || broken || closed,
                read_closed: event.is_read_closed(),
                broken,
                urgent: event.is_priority(),
            });
        }
        let now = self.now();
        if now - self.wall_measured > WALL_AGE {
            self.measure_wall(now);
        }
        Ok(now)
    }

    fn wall(&self, at: Time) -> WallTime {
        WallTime(self.wall_at_zero.saturating_add(at.as_nanos()))
    }
}

/// Rounds up to epoll's unit, milliseconds, so that a deadline has passed when the wait ends.
fn round_up(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

/// The token of sources other than the worker's sockets.
const OUTSIDE: mio::Token = mio::Token(usize::MAX);
/// Events taken from the system in one wait.
const EVENTS_AT_ONCE: usize = 1024;
/// How long a measured offset between both clocks is used.
const WALL_AGE: Duration = Duration::from_secs(1);
