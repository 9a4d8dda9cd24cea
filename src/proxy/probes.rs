//! Background requests under way, each with its purpose.

use std::time::Duration;

use slab::Slab;
use zeroize::Zeroizing;

use super::probe::{Probe, Probed};
use crate::config::model::Server;
use crate::net::{Event, Net};
use crate::time::Time;
use crate::transport::io::{Io, Owner};
use crate::transport::socket::Socket;
use crate::upstream::retry::Failure;

/// Requests of one kind. `T` is what else is known of each.
pub struct Probes<N: Net, T> {
    all: Slab<(Probe<N>, T)>,
    /// What owns the socket of the request with this key.
    owner: fn(u32) -> Owner,
}

/// A request that has ended.
pub struct Ended<N: Net, T> {
    /// The request, whose socket is to be kept or closed.
    pub probe: Probe<N>,
    /// What has become of it.
    pub probed: Probed,
    /// What else is known of it.
    pub purpose: T,
}

impl<N: Net, T> Probes<N, T> {
    /// None; `owner` makes the owner of a socket from a request's key.
    pub fn new(owner: fn(u32) -> Owner) -> Probes<N, T> {
        Probes { all: Slab::new(), owner }
    }

    /// The number of requests under way.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// When the next one times out.
    pub fn deadline(&self) -> Time {
        let deadlines = self.all.iter().map(|(_, (probe, _))| probe.deadline());
        deadlines.min().unwrap_or(Time::NEVER)
    }

    /// Notes an event of a request's socket.
    pub fn note(&mut self, key: u32, event: &Event) {
        if let Some((probe, _)) = self.all.get_mut(key as usize) {
            probe.note(event);
        }
    }

    /// Begins one on a new connection; it may take `timeout`. If `request` is empty, the server only
    /// has to accept the connection.
    ///
    /// # Errors
    /// As [`Probe::dial`], with the purpose.
    pub fn dial(
        &mut self,
        to: &Server,
        request: Zeroizing<Box<[u8]>>,
        timeout: Duration,
        purpose: T,
        io: &mut Io<N>,
    ) -> Result<(), (Option<Failure>, T)> {
        let entry = self.all.vacant_entry();
        let owner = (self.owner)(entry.key() as u32);
        match Probe::dial(to, request, timeout, owner, io) {
            Ok(probe) => {
                entry.insert((probe, purpose));
                Ok(())
            }
            Err(failure) => Err((failure, purpose)),
        }
    }

    /// Begins one on a connection that was kept; it may take `timeout`.
    pub fn ask(
        &mut self,
        socket: Socket<N>,
        request: Zeroizing<Box<[u8]>>,
        timeout: Duration,
        purpose: T,
        io: &mut Io<N>,
    ) {
        let token = socket.token();
        let key = self.all.insert((Probe::ask(socket, request, timeout, io.now), purpose));
        io.owners[token.0] = (self.owner)(key as u32);
    }

    /// Does everything that can be done now for the requests with this key and later ones, until one
    /// has ended: takes it out, and moves `from` behind it.
    pub fn next_ended(&mut self, from: &mut usize, now: Time) -> Option<Ended<N, T>> {
        while *from < self.all.capacity() {
            let key = *from;
            *from += 1;
            let Some((probe, purpose)) = self.all.try_remove(key) else { continue };
            let (probe, probed) = probe.poll(now);
            if let Some(probed) = probed {
                return Some(Ended { probe, probed, purpose });
            }
            // The slot that was freed last is taken first.
            let again = self.all.insert((probe, purpose));
            assert_eq!(again, key, "a request keeps its key");
        }
        None
    }

    /// How many have a purpose that fits.
    pub fn count_of(&self, fits: impl Fn(&T) -> bool) -> usize {
        self.all.iter().filter(|(_, (_, purpose))| fits(purpose)).count()
    }

    /// Takes out one whose purpose fits, whatever has become of it.
    pub fn take(&mut self, mut fits: impl FnMut(&T) -> bool) -> Option<(Probe<N>, T)> {
        let fitting = self.all.iter().find(|(_, (_, purpose))| fits(purpose));
        let key = fitting.map(|(key, _)| key)?;
        self.all.try_remove(key)
    }
}
