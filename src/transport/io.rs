//! What every session moves bytes with: the network, the time of the turn, tokens and storage.

use std::io;

use rustix::io::Errno;
use slab::Slab;

use super::pipe::Pipes;
use super::reserve::Reserve;
use super::socket::Socket;
use crate::address::Address;
use crate::buffer::BufferPool;
use crate::net::{Connect, Net, Token};
use crate::planted::{self, Bug};
use crate::time::Time;

/// The floor that a worker's sessions stand on.
pub struct Io<N: Net> {
    /// The network.
    pub net: N,
    /// The time of this turn.
    pub now: Time,
    /// Whose events are whose.
    pub owners: Slab<Owner>,
    /// Storage for buffers.
    pub buffers: BufferPool,
    /// Pipes for bulk bytes.
    pub pipes: Pipes<N>,
    /// Descriptors for when there are no others.
    pub reserve: Reserve<N>,
    /// How bytes are moved.
    pub tuning: Tuning,
    /// Storage for bytes that are wanted in another form, or not at all; used within one call.
    pub scratch: Vec<u8>,
}

/// Who gets the events of a token: by keys of half the width of `usize`, for there is one for each
/// socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A listening socket.
    Listener(u32),
    /// A session's client.
    Client(u32),
    /// A session's server.
    Upstream(u32),
    /// An idle connection to a server.
    Idle {
        /// Of which of the newest configuration's groups.
        group: u32,
        /// Its key in the group's pool.
        key: u32,
    },
    /// A background connection to a server that was out.
    Check(u32),
}

/// How bytes are moved: what simulations choose otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Rounds one session may move bytes before the others get a turn.
    pub relay_rounds: usize,
    /// A message's bytes go through a pipe while so many of them are still to come.
    pub splice_from: u64,
}

impl Default for Tuning {
    fn default() -> Tuning {
        // Below 64 KiB the calls for a pipe cost more than the copy.
        Tuning { relay_rounds: 16, splice_from: 64 << 10 }
    }
}

impl<N: Net> Io<N> {
    /// A floor with nothing on it.
    pub fn new(mut net: N) -> Io<N> {
        let mut reserve = Reserve::default();
        reserve.fill(&mut net);
        Io {
            net,
            reserve,
            now: Time::ZERO,
            owners: Slab::new(),
            buffers: BufferPool::default(),
            pipes: Pipes::default(),
            tuning: Tuning::default(),
            scratch: Vec::new(),
        }
    }

    /// Begins to connect.
    ///
    /// # Errors
    /// As the system says; [`super::dial::failure_of_connect`] tells what that says of the server.
    pub fn connect(&mut self, to: &Address, how: &Connect, owner: Owner) -> io::Result<Socket<N>> {
        let mut stream = self.net.connect(to, how)?;
        match self.watch(&mut stream, owner) {
            Ok(token) => Ok(Socket::connecting(stream, token)),
            Err(_) => Err(Errno::NOMEM.into()),
        }
    }

    /// Registers a stream under a new token.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn watch(&mut self, stream: &mut N::Stream, owner: Owner) -> io::Result<Token> {
        let token = Token(self.owners.insert(owner));
        match self.net.watch(stream, token) {
            Ok(()) => Ok(token),
            Err(e) => {
                self.owners.remove(token.0);
                Err(e)
            }
        }
    }

    /// Closes a socket and frees its token.
    pub fn close(&mut self, socket: Socket<N>) {
        if !planted::is(Bug::TokenLeaked) {
            self.owners.remove(socket.token().0);
        }
    }

    /// Fills the reserve of descriptors, if it is short and there are any.
    pub fn fill_reserve(&mut self) {
        self.reserve.fill(&mut self.net);
    }

    /// Gives back storage that many sessions took and none uses any more.
    pub fn give_back(&mut self) {
        self.owners.shrink_to_fit();
        self.buffers.give_back();
    }
}
