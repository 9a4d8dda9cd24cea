//! What every session needs to move bytes: the network, the time of the turn, tokens and storage.

use std::io;

use rustix::io::Errno;
use slab::Slab;

use super::pipe::Pipes;
use super::reserve::Reserve;
use super::socket::Socket;
use crate::buffer::BufferPool;
use crate::config::model::Server;
use crate::net::{Connect, Net, Token};
use crate::time::Time;
use crate::tls::Session;

/// Resources that all sessions of a worker share.
pub struct Io<N: Net> {
    /// The network.
    pub net: N,
    /// The time of this turn.
    pub now: Time,
    /// The owner of each token.
    pub owners: Slab<Owner>,
    /// Storage for buffers.
    pub buffers: BufferPool,
    /// Pipes for bulk bytes.
    pub pipes: Pipes<N>,
    /// Descriptors held back for a shortage.
    pub reserve: Reserve<N>,
    /// How bytes are moved.
    pub tuning: Tuning,
    /// Temporary storage for bytes that are converted or discarded; used within one call.
    pub scratch: Vec<u8>,
}

/// The recipient of a token's events. `u32`: there is one for each socket, so its size counts.
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
        /// The group's index in the newest configuration.
        group: u32,
        /// The connection's key in the group's pool.
        key: u32,
    },
    /// A background connection to a server, for a check.
    Check(u32),
    /// One that is kept for the next check.
    KeptCheck(u32),
    /// One for the copy of an announcement.
    Copy(u32),
    /// One for a kept statement.
    Submission(u32),
}

/// How bytes are moved; simulations choose other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Rounds in which one session may move bytes before the others get a turn.
    pub relay_rounds: usize,
    /// The least number of remaining bytes for which a message's body goes through a pipe.
    pub splice_from: u64,
}

impl Default for Tuning {
    fn default() -> Tuning {
        // Below 64 KiB the system calls for a pipe cost more than copying.
        Tuning { relay_rounds: 16, splice_from: 64 << 10 }
    }
}

impl<N: Net> Io<N> {
    /// Resources without sessions.
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
    /// Any error of the system; [`super::dial::failure_of`] finds what it says about the
    /// server.
    pub fn connect(&mut self, to: &Server, how: &Connect, owner: Owner) -> io::Result<Socket<N>> {
        let tls = to.tls.as_ref().map(Session::connecting).transpose()?;
        let mut stream = self.net.connect(&to.address, how)?;
        match self.watch(&mut stream, owner) {
            Ok(token) => Ok(Socket::connecting(stream, tls, token)),
            Err(_) => Err(Errno::NOMEM.into()),
        }
    }

    /// Registers a stream under a new token.
    ///
    /// # Errors
    /// Any error of the system.
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
    pub fn close(&mut self, mut socket: Socket<N>) {
        // What matters was said before, where an end could be waited for.
        let _ = socket.say_end();
        self.owners.remove(socket.token().0);
    }

    /// Refills the reserve of descriptors, if it is short and descriptors are available.
    pub fn fill_reserve(&mut self) {
        self.reserve.fill(&mut self.net);
    }

    /// Frees unused storage that many sessions had needed.
    pub fn give_back(&mut self) {
        self.owners.shrink_to_fit();
        self.buffers.give_back();
    }
}
