//! Bytes that pass both ways unread, and so do the ends of either side: L4, and HTTP after 101.

use super::flow::{End, Flow};
use super::socket::Socket;
use crate::buffer::BufferPool;
use crate::config::model::HalfClose;
use crate::net::Net;
use crate::time::Time;

/// Both directions between a client and a server.
#[derive(Debug)]
pub struct Tunnel {
    /// Client to server.
    pub up: Flow,
    /// Server to client.
    pub down: Flow,
    /// Bytes that may be in hand in each direction.
    room: usize,
    half_close: HalfClose,
    /// The last time that bytes moved, in either direction.
    pub since: Time,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Both sides have said everything, or one has and that is enough.
    Whole,
    /// A connection broke. Who cannot know has to be told by a reset, or would take a part for
    /// the whole.
    Cut,
}

impl Tunnel {
    /// A tunnel in which nothing has moved but what the flows begin with.
    pub fn new(up: Flow, down: Flow, room: usize, half_close: HalfClose, now: Time) -> Tunnel {
        Tunnel { up, down, room, half_close, since: now }
    }

    /// Tries each direction once: whether anything moved, or how it ended.
    ///
    /// # Errors
    /// The tunnel is over: both sockets are to be closed.
    pub fn pass<N: Net>(
        &mut self,
        client: &mut Socket<N>,
        server: &mut Socket<N>,
        now: Time,
        pool: &mut BufferPool,
    ) -> Result<bool, Closed> {
        let up = self.up.pass(client, server, self.room, pool);
        let down = self.down.pass(server, client, self.room, pool);
        if up || down {
            self.since = now;
        }
        match self.closed() {
            Some(closed) => {
                // What a side was not told in order, it must see.
                if self.up.end() != End::Told && closed == Closed::Cut {
                    server.reset_on_close();
                }
                if self.down.end() != End::Told && closed == Closed::Cut {
                    client.reset_on_close();
                }
                Err(closed)
            }
            None => Ok(up || down),
        }
    }

    fn closed(&self) -> Option<Closed> {
        let (up, down) = (self.up.end(), self.down.end());
        let broken = |flow: &Flow| flow.end() == End::Broken && !flow.is_pending();
        if broken(&self.up) || broken(&self.down) || down == End::Refused {
            return Some(Closed::Cut);
        }
        match (up, down) {
            (End::Told, End::Told) => Some(Closed::Whole),
            // The server stopped listening, but may have answered before it did.
            (End::Refused, End::Told) => Some(Closed::Cut),
            (End::Told, _) | (_, End::Told) if self.half_close == HalfClose::EndsBoth => {
                Some(Closed::Whole)
            }
            _ => None,
        }
    }

    /// Gives all storage back.
    pub fn release(&mut self, pool: &mut BufferPool) {
        self.up.release(pool);
        self.down.release(pool);
    }
}
