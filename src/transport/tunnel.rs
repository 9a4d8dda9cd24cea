//! Bytes and ends that pass both ways unread: L4, and HTTP after 101.

use super::flow::{End, Flow};
use super::io::Io;
use super::socket::Socket;
use crate::config::model::HalfClose;
use crate::net::Net;
use crate::time::Time;

/// Both directions between a client and a server.
pub struct Tunnel<N: Net> {
    /// Client to server.
    pub up: Flow<N>,
    /// Server to client.
    pub down: Flow<N>,
    /// Bytes that may be buffered in each direction.
    room: usize,
    half_close: HalfClose,
    /// When bytes last moved in either direction.
    pub since: Time,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Both directions have ended, or one has and that suffices.
    Whole,
    /// A connection broke. A reset tells the other side, which would otherwise take a part for the
    /// whole.
    Cut,
}

impl<N: Net> Tunnel<N> {
    /// A tunnel in which nothing has moved except the bytes its flows begin with.
    pub fn new(
        up: Flow<N>,
        down: Flow<N>,
        room: usize,
        half_close: HalfClose,
        now: Time,
    ) -> Tunnel<N> {
        Tunnel { up, down, room, half_close, since: now }
    }

    /// Tries each direction once. Returns whether anything moved.
    ///
    /// # Errors
    /// How the tunnel ended: both sockets must be closed.
    pub fn pass(
        &mut self,
        client: &mut Socket<N>,
        server: &mut Socket<N>,
        io: &mut Io<N>,
    ) -> Result<bool, Closed> {
        let up = self.up.pass(client, server, self.room, io);
        let down = self.down.pass(server, client, self.room, io);
        if up || down {
            self.since = io.now;
        }
        match self.closed() {
            Some(closed) => {
                if closed == Closed::Cut {
                    self.cut(client, server);
                }
                Err(closed)
            }
            None => Ok(up || down),
        }
    }

    /// Arms resets before both sockets are closed: a direction that has not ended in order must
    /// show as cut, or a part would be taken for the whole.
    pub fn cut(&self, client: &mut Socket<N>, server: &mut Socket<N>) {
        if self.up.end() != End::Told {
            server.reset_on_close();
        }
        if self.down.end() != End::Told {
            client.reset_on_close();
        }
    }

    fn closed(&self) -> Option<Closed> {
        let (up, down) = (self.up.end(), self.down.end());
        let broken = |flow: &Flow<N>| flow.end() == End::Broken && !flow.is_pending();
        if broken(&self.up) || broken(&self.down) || down == End::Refused {
            return Some(Closed::Cut);
        }
        match (up, down) {
            (End::Told, End::Told) => Some(Closed::Whole),
            // The server stopped reading, but may have answered before that.
            (End::Refused, End::Told) => Some(Closed::Cut),
            (End::Told, _) | (_, End::Told) if self.half_close == HalfClose::EndsBoth => {
                Some(Closed::Whole)
            }
            (End::Open | End::Seen | End::Told | End::Broken | End::Refused, _) => None,
        }
    }

    /// Returns all storage.
    pub fn release(&mut self, io: &mut Io<N>) {
        self.up.release(io);
        self.down.release(io);
    }
}
