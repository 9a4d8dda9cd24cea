//! A simulated network: one seed decides every byte, delay and failure of a run.
//!
//! The whole world runs inside [`Net::poll`], so that a worker runs in it unchanged. Only here may
//! sockets share a world: `Stream` has no access to the network. Not part of the program: compiled
//! for tests, fuzzing and benchmarks only.

#![allow(clippy::disallowed_types)] // the sockets of a world share it

use std::cell::{Ref, RefCell, RefMut};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;

use super::{Accepted, Connect, Event, Net, Token};
use crate::address::Address;
use crate::config::model::Listen;
use crate::time::{Time, WallTime};

mod act;
mod agenda;
mod ask;
mod channel;
mod client;
mod client_line;
mod end;
mod events;
mod faults;
mod incident;
mod pace;
mod pipe;
mod reader;
mod record;
mod rng;
mod server;
mod server_line;
mod service;
mod stranger;
mod stream;
mod text;
#[cfg(not(feature = "tls"))]
mod tls_absent;
#[cfg(feature = "tls")]
mod tls_side;
mod trace;
mod undelivered;
mod wire;
mod world;

pub use act::{Act, AnswerFraming, Fate, Then};
pub use agenda::Wake;
pub use ask::{Answer, Ask, Body, Exchange, Leaves, Outcome, Version};
pub use channel::Channel;
pub use client::{Client, ClientPlan};
pub use end::{ActorId, EndId, Owner};
pub use faults::{Family, Faults};
pub use incident::{Blow, BlowKind, Coalescing, Incident, IncidentKind, Longest};
pub use pace::Pace;
pub use pipe::SimPipe;
pub use reader::{BodyEnd, Flaw, Head, Piece, Reader, Side};
pub use record::{Condition, Delivery, Manners, ServerPlan, Trouble, TroubleKind};
pub use rng::{Rng, Script};
pub use server::Server;
pub use stranger::{Parting, Stranger, StrangerPlan, disguise};
pub use stream::SimStream;
pub use text::Text;
pub use trace::Trace;
pub use world::{Reach, Received, World};

use agenda::Happening;
use undelivered::Cause;

/// The network and all actors in it.
#[derive(Debug)]
pub struct SimNet {
    world: Rc<RefCell<World>>,
    /// When it was created: the zero of its worker's clock.
    began: Time,
    clients: Vec<Client>,
    servers: Vec<Server>,
    strangers: Vec<Stranger>,
}

impl SimNet {
    /// An empty world at time zero.
    pub fn new(seed: u64, faults: Faults) -> SimNet {
        SimNet::by(Rng::new(seed), faults)
    }

    /// Like [`SimNet::new`], with a given generator for the network; the actors' is forked from it.
    pub fn by(chance: Rng, faults: Faults) -> SimNet {
        SimNet::within(Rc::new(RefCell::new(World::new(chance, faults))))
    }

    /// The same world for another worker, which comes after the one of this network. Its clock begins
    /// at zero. Actors stay with this one.
    pub fn successor(&self) -> SimNet {
        SimNet::within(Rc::clone(&self.world))
    }

    fn within(world: Rc<RefCell<World>>) -> SimNet {
        let began = world.borrow().now;
        SimNet { world, began, clients: Vec::new(), servers: Vec::new(), strangers: Vec::new() }
    }

    /// When it was created, on the world's clock.
    pub fn began(&self) -> Time {
        self.began
    }

    /// The world, for inspection.
    pub fn world(&self) -> Ref<'_, World> {
        self.world.borrow()
    }

    /// The world, for actions by hand.
    pub fn world_mut(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }

    /// Adds a client, which connects when its plan says.
    pub fn add_client(&mut self, plan: ClientPlan) {
        let world = &mut *self.world.borrow_mut();
        let id = ActorId::Client(self.clients.len());
        let mut client = Client::new(plan, id, world.rng.fork());
        client.start(world);
        self.clients.push(client);
    }

    /// Adds a server, which listens from now on.
    pub fn add_server(&mut self, plan: ServerPlan) {
        let world = &mut *self.world.borrow_mut();
        let id = ActorId::Server(self.servers.len());
        let mut server = Server::new(plan, id, world.rng.fork());
        server.start(world);
        self.servers.push(server);
    }

    /// Adds a stranger, which connects when its plan says.
    pub fn add_stranger(&mut self, plan: StrangerPlan) {
        let world = &mut *self.world.borrow_mut();
        let mut stranger = Stranger::new(plan, ActorId::Stranger(self.strangers.len()));
        stranger.start(world);
        self.strangers.push(stranger);
    }

    /// All strangers, in the order in which they were added.
    pub fn strangers(&self) -> &[Stranger] {
        &self.strangers
    }

    /// All clients, in the order in which they were added.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// All servers, in the order in which they were added.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Changes a server's condition from now on.
    pub fn set_condition(&mut self, server: usize, condition: Condition) {
        self.servers[server].set_condition(condition, &mut self.world.borrow_mut());
    }

    /// Changes how a server answers from now on.
    pub fn set_manners(&mut self, server: usize, manners: Manners) {
        self.servers[server].set_manners(manners);
    }

    /// Ends all faults and trouble: from now on every server is well.
    pub fn heal(&mut self) {
        let world = &mut *self.world.borrow_mut();
        world.heal();
        for server in &mut self.servers {
            server.heal(world);
        }
    }

    fn happen(&mut self, what: Happening) {
        let world = &mut *self.world.borrow_mut();
        match what {
            Happening::Wake(ActorId::Client(client), why) => self.clients[client].wake(why, world),
            Happening::Wake(ActorId::Server(server), why) => self.servers[server].wake(why, world),
            Happening::Wake(ActorId::Stranger(stranger), why) => {
                self.strangers[stranger].wake(why, world);
            }
            Happening::Syn(..)
            | Happening::Arrival(..)
            | Happening::Window(_)
            | Happening::Stir(..) => world.happen(what),
        }
    }

    fn stream(&self, end: EndId) -> SimStream {
        SimStream::new(Rc::clone(&self.world), end)
    }

    /// When this wait really ends: sometimes earlier or later than requested.
    fn inexact(&self, until: Time) -> Time {
        let world = &mut *self.world.borrow_mut();
        if until == Time::NEVER || !world.faults.strike(Family::InexactWaits, &mut world.rng) {
            return until;
        }
        if world.rng.one_in(2) {
            world.now.max(until) + world.rng.duration(Duration::ZERO..=OVERSLEPT)
        } else {
            world.now + (until - world.now) / 2
        }
    }
}

impl Net for SimNet {
    type Listener = SimListener;
    type Stream = SimStream;
    type Pipe = SimPipe;

    fn listen(&mut self, at: &Listen, token: Token) -> io::Result<SimListener> {
        let world = &mut *self.world.borrow_mut();
        if world.machines.contains_key(&at.address) {
            return Err(ErrorKind::AddrInUse.into());
        }
        world.place(at.address.clone(), Owner::Worker, at.backlog as usize, Some(token));
        Ok(SimListener { world: Rc::clone(&self.world), at: at.address.clone(), token })
    }

    fn accept(&mut self, from: &SimListener) -> io::Result<Accepted<SimStream>> {
        let id = self.world.borrow_mut().take_waiting(&from.at)?;
        let world = self.world.borrow();
        let (peer, local) = (world.remote(id).clone(), world.local(id).clone());
        Ok(Accepted { stream: self.stream(id), peer, local })
    }

    fn connect(&mut self, to: &Address, _how: &Connect) -> io::Result<SimStream> {
        let world = &mut *self.world.borrow_mut();
        if world.lacks(1) {
            world.incident(to, None, IncidentKind::NoDescriptor);
            return Err(Errno::MFILE.into());
        }
        if world.faults.strike(Family::ConnectFailsAtOnce, &mut world.rng) {
            let reasons = [Errno::NETUNREACH, Errno::ADDRNOTAVAIL, Errno::CONNREFUSED];
            let reason = world.rng.pick(&reasons);
            let kind = if reason == Errno::ADDRNOTAVAIL {
                IncidentKind::NoPort
            } else {
                IncidentKind::ConnectFailed
            };
            world.incident(to, None, kind);
            return Err(reason.into());
        }
        let end = world.dial(Owner::Worker, to);
        world.progressed();
        Ok(self.stream(end))
    }

    fn pipe(&mut self) -> io::Result<SimPipe> {
        let capacity = {
            let world = &mut *self.world.borrow_mut();
            if world.lacks(2) {
                return Err(Errno::MFILE.into());
            }
            let small = world.faults.strike(Family::SmallBuffers, &mut world.rng);
            if small { world.rng.within(1..=64) } else { PIPE_CAPACITY }
        };
        Ok(SimPipe::new(capacity, Rc::clone(&self.world)))
    }

    fn watch(&mut self, stream: &mut SimStream, token: Token) -> io::Result<()> {
        let world = &mut *self.world.borrow_mut();
        let id = stream.end();
        let end = world.end_mut(id);
        assert!(end.token.is_none(), "{id} is registered twice");
        end.token = Some(token);
        if end.readable() || end.writable() {
            events::notify(world, id, Cause::Both);
        }
        world
            .trace
            .note(world.now, [20, id.0, token.0], || format!("{id} is watched as {token:?}"));
        Ok(())
    }

    fn poll(&mut self, events: &mut Vec<Event>, until: Time) -> io::Result<Time> {
        events.clear();
        let until = self.inexact(self.began + until.since(Time::ZERO));
        loop {
            let (next, deadline) = {
                let world = &mut *self.world.borrow_mut();
                let deadline = until.min(events::deliver_at(world)).max(world.now);
                (world.next_happening(deadline), deadline)
            };
            match next {
                Some(what) => self.happen(what),
                None => {
                    let world = &mut *self.world.borrow_mut();
                    // A wait for nothing would never end in production; in a test it returns.
                    if deadline < Time::NEVER {
                        world.now = deadline;
                    }
                    events::deliver(world, events);
                    return Ok(Time::ZERO + world.now.since(self.began));
                }
            }
        }
    }

    fn wall(&self, at: Time) -> WallTime {
        WallTime(WALL_AT_ZERO + self.began.as_nanos() + at.as_nanos())
    }
}

/// A listening socket of the worker.
#[derive(Debug)]
pub struct SimListener {
    world: Rc<RefCell<World>>,
    at: Address,
    token: Token,
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let world = &mut *self.world.borrow_mut();
        events::forget_listener(world, self.token);
        let machine = world.machines.remove(&self.at).expect("it was placed by `listen`");
        for waiting in machine.backlog {
            world.abort(waiting);
        }
    }
}

/// Whether simulated clients can speak TLS.
pub const SPEAKS_TLS: bool = cfg!(feature = "tls");
/// Capacity of a pipe without faults.
const PIPE_CAPACITY: usize = 64 << 10;
/// How much longer than requested a wait may last.
const OVERSLEPT: Duration = Duration::from_millis(3);
/// The wall clock at time zero: 2026-01-01 00:00 UTC.
const WALL_AT_ZERO: u64 = 1_767_225_600_000_000_000;

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;
    use crate::config::model::{Serves, StreamServerId};
    use crate::net::Stream;

    const A: Token = Token(1);
    const LISTENER: Token = Token(9);

    fn address(port: u16) -> Address {
        Address::Inet(([10, 0, 0, 9], port).into())
    }

    fn listen() -> Listen {
        Listen::new(address(80), Serves::Stream(StreamServerId(0)))
    }

    /// All events of the next second.
    fn wait(net: &mut SimNet) -> Vec<Event> {
        let until = net.world().now() + Duration::from_secs(1);
        let mut all = Vec::new();
        let mut batch = Vec::new();
        while net.poll(&mut batch, until).expect("simulated waits do not fail") < until {
            all.append(&mut batch);
        }
        all.append(&mut batch);
        all
    }

    /// A connected and watched stream of the worker, and the other end, held by hand.
    fn pair(net: &mut SimNet) -> (SimStream, EndId) {
        net.world_mut().machine(&address(1), Owner::Hand);
        let mut stream = net.connect(&address(1), &Connect::default()).unwrap();
        net.watch(&mut stream, A).unwrap();
        let connected = wait(net);
        assert!(connected.iter().any(|event| event.token == A && event.writable));
        assert!(stream.connected().unwrap());
        let peer = net.world_mut().accepted(&address(1)).expect("just connected");
        (stream, peer)
    }

    fn quiet() -> SimNet {
        SimNet::new(1, Faults::none())
    }

    fn read(stream: &mut SimStream) -> Result<Vec<u8>, ErrorKind> {
        let mut buffer = [0; 9000];
        let count = stream.read(&mut buffer).map_err(|error| error.kind())?;
        Ok(buffer[..count].to_vec())
    }

    fn write(stream: &mut SimStream, bytes: &[u8]) -> Result<usize, ErrorKind> {
        stream.write_vectored(&[IoSlice::new(bytes)]).map_err(|error| error.kind())
    }

    #[test]
    fn one_edge_comes_for_new_bytes_and_none_while_they_wait() {
        let mut net = quiet();
        let (mut stream, peer) = pair(&mut net);
        assert_eq!(read(&mut stream), Err(ErrorKind::WouldBlock));
        net.world_mut().send(peer, b"hello");
        let events = wait(&mut net);
        assert_eq!(events.len(), 1);
        assert!(events[0].readable && !events[0].read_closed);
        assert_eq!(wait(&mut net), []);
        assert_eq!(read(&mut stream).unwrap(), b"hello");
        assert_eq!(wait(&mut net), []);
    }

    #[test]
    fn a_fin_is_an_edge_and_an_end_behind_the_bytes() {
        let mut net = quiet();
        let (mut stream, peer) = pair(&mut net);
        net.world_mut().send(peer, b"last");
        net.world_mut().close(peer);
        let events = wait(&mut net);
        assert!(events.iter().any(|event| event.read_closed && !event.broken));
        assert_eq!(read(&mut stream).unwrap(), b"last");
        assert_eq!(read(&mut stream).unwrap(), b"");
    }

    #[test]
    fn a_full_send_buffer_blocks_and_an_edge_comes_with_the_room() {
        let mut net = quiet();
        let (mut stream, peer) = pair(&mut net);
        let mut taken = 0;
        loop {
            match write(&mut stream, &[7; 1000]) {
                Ok(count) => taken += count,
                Err(ErrorKind::WouldBlock) => {
                    // The peer's receive buffer takes its share.
                    let told = wait(&mut net).iter().any(|event| event.writable);
                    if !told {
                        break;
                    }
                }
                Err(kind) => panic!("{kind}"),
            }
        }
        assert_eq!(wait(&mut net), []);
        let mut received = Vec::new();
        net.world_mut().receive(peer, &mut received, usize::MAX);
        assert!(wait(&mut net).iter().any(|event| event.writable));
        assert!(received.len() < taken);
    }

    #[test]
    fn bytes_arrive_whole_and_in_order_under_every_fault_that_loses_none() {
        let harmless = [
            Family::PartialReads,
            Family::PartialWrites,
            Family::Fragments,
            Family::SmallBuffers,
            Family::SlowLinks,
            Family::SpuriousEvents,
            Family::DoubledEvents,
            Family::BatchedEvents,
            Family::SplitBatches,
            Family::NarrowEvents,
            Family::InexactWaits,
        ];
        let sent: Vec<u8> = (0..5000_u32).map(|n| (n % 251) as u8).collect();
        for seed in 0..50 {
            let mut net = SimNet::new(seed, Faults::only(&harmless));
            let (mut stream, peer) = pair(&mut net);
            let (mut echoed, mut given, mut back) = (Vec::new(), 0, Vec::new());
            let mut pending: Vec<u8> = Vec::new();
            // Readiness as a worker tracks it: set by events, cleared by `WouldBlock` only.
            let (mut readable, mut writable) = (true, true);
            while back.len() < sent.len() {
                given += net.world_mut().send(peer, &sent[given..]);
                while let Received::Bytes(_) = net.world_mut().receive(peer, &mut back, 100) {}
                let mut events = Vec::new();
                let until = net.world().now() + Duration::from_millis(50);
                net.poll(&mut events, until).unwrap();
                readable |= events.iter().any(|event| event.readable);
                writable |= events.iter().any(|event| event.writable);
                while readable {
                    match read(&mut stream) {
                        Ok(bytes) => pending.extend(bytes),
                        Err(ErrorKind::WouldBlock) => readable = false,
                        Err(kind) => panic!("{kind}"),
                    }
                }
                while writable && !pending.is_empty() {
                    match write(&mut stream, &pending) {
                        Ok(count) => echoed.extend(pending.drain(..count)),
                        Err(ErrorKind::WouldBlock) => writable = false,
                        Err(kind) => panic!("{kind}"),
                    }
                }
                assert!(net.world().now() < Time::ZERO + Duration::from_secs(600), "{seed} hangs");
            }
            assert_eq!(echoed, sent, "seed {seed}");
            assert_eq!(back, sent, "seed {seed}");
        }
    }

    #[test]
    fn closing_with_unread_bytes_resets_and_the_error_is_told_once() {
        let mut net = quiet();
        let (mut stream, peer) = pair(&mut net);
        write(&mut stream, b"never read").unwrap();
        wait(&mut net);
        net.world_mut().close(peer);
        assert!(wait(&mut net).iter().any(|event| event.broken));
        assert_eq!(write(&mut stream, b"more"), Err(ErrorKind::ConnectionReset));
        assert_eq!(write(&mut stream, b"more"), Err(ErrorKind::BrokenPipe));
        assert_eq!(read(&mut stream).unwrap(), b"", "as on Linux: the write took the error");
    }

    #[test]
    fn a_refused_connect_is_told_as_an_event_and_by_connected() {
        let mut net = quiet();
        let mut stream = net.connect(&address(7), &Connect::default()).unwrap();
        net.watch(&mut stream, A).unwrap();
        assert!(!stream.connected().unwrap());
        let events = wait(&mut net);
        assert!(events[0].writable && events[0].broken);
        assert_eq!(stream.connected().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_dark_machine_answers_nothing_and_forgets_what_it_missed() {
        let mut net = quiet();
        let (mut stream, _) = pair(&mut net);
        net.world_mut().set_reach(&address(1), Reach::Dark);
        write(&mut stream, b"lost").unwrap();
        let mut second = net.connect(&address(1), &Connect::default()).unwrap();
        net.watch(&mut second, Token(2)).unwrap();
        assert_eq!(wait(&mut net), []);
        net.world_mut().set_reach(&address(1), Reach::Listening);
        let events = wait(&mut net);
        assert!(events.iter().any(|event| event.token == A && event.broken));
        wait(&mut net);
        assert!(second.connected().unwrap(), "the system tries to connect again by itself");
    }

    #[test]
    fn a_listener_gives_each_connection_once() {
        let mut net = quiet();
        let listener = net.listen(&listen(), LISTENER).unwrap();
        assert!(net.listen(&listen(), A).is_err());
        let client = net.world_mut().dial(Owner::Hand, &address(80));
        assert_eq!(wait(&mut net).len(), 1);
        let mut accepted = net.accept(&listener).unwrap();
        assert_eq!(accepted.peer, *net.world().local(client));
        assert_eq!(net.accept(&listener).unwrap_err().kind(), ErrorKind::WouldBlock);
        net.world_mut().send(client, b"early");
        wait(&mut net);
        net.watch(&mut accepted.stream, A).unwrap();
        let events = wait(&mut net);
        assert!(events[0].readable && events[0].writable, "what is ready is told at once");
    }

    #[test]
    fn a_connection_waits_while_there_is_no_descriptor() {
        let mut net = quiet();
        let listener = net.listen(&listen(), LISTENER).unwrap();
        net.world_mut().limit_descriptors(0);
        net.world_mut().dial(Owner::Hand, &address(80));
        wait(&mut net);
        let error = net.accept(&listener).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()));
        assert_eq!(wait(&mut net), [], "and no edge tells when there is one again");
        net.world_mut().limit_descriptors(1);
        assert!(net.accept(&listener).is_ok());
    }

    #[test]
    fn dropping_a_listener_refuses_those_who_come_and_resets_those_who_wait() {
        let mut net = quiet();
        let listener = net.listen(&listen(), LISTENER).unwrap();
        let waiting = net.world_mut().dial(Owner::Hand, &address(80));
        wait(&mut net);
        drop(listener);
        let late = net.world_mut().dial(Owner::Hand, &address(80));
        assert_eq!(wait(&mut net), []);
        assert!(net.world().is_dead(waiting));
        assert_eq!(net.world().outcome(late), Some(Err(())));
    }

    #[test]
    fn the_network_resets_both_sides_after_some_bytes() {
        let mut reset = 0;
        for seed in 0..40 {
            let mut net = SimNet::new(seed, Faults::only(&[Family::ResetAfter]));
            let (mut stream, peer) = pair(&mut net);
            for _ in 0..5 {
                let _ = write(&mut stream, &[1; 1000]);
                wait(&mut net);
                net.world_mut().receive(peer, &mut Vec::new(), usize::MAX);
                wait(&mut net);
            }
            if net.world().incidents().iter().any(|i| i.kind == IncidentKind::Reset) {
                reset += 1;
                assert!(net.world().is_dead(peer));
                let errors = [read(&mut stream).is_err(), write(&mut stream, b"x").is_err()];
                assert!(errors.contains(&true));
            }
        }
        assert!(reset > 3, "{reset}");
    }

    #[test]
    fn using_a_connection_that_is_known_to_be_spoilt_is_a_violation() {
        let mut net = quiet();
        let (mut stream, peer) = pair(&mut net);
        assert!(net.world_mut().send_unsolicited(peer, b"HTTP/1.1 200 OK\r\n\r\n"));
        wait(&mut net);
        write(&mut stream, b"GET / HTTP/1.1\r\n").unwrap();
        assert_eq!(net.world().violations().len(), 1);
    }

    #[test]
    fn octets_that_come_before_they_can_be_told_are_a_race() {
        let mut net = quiet();
        let (mut stream, peer) = pair(&mut net);
        assert!(net.world_mut().send_unsolicited(peer, b"x"));
        write(&mut stream, b"GET / HTTP/1.1\r\n").unwrap();
        assert!(net.world().raced(stream.end()));
        assert!(net.world().violations().is_empty());
    }

    #[test]
    fn spurious_events_come_though_nothing_is_there() {
        let mut net = SimNet::new(5, Faults::only(&[Family::SpuriousEvents]));
        let (mut stream, _) = pair(&mut net);
        let told = (0..200).flat_map(|_| wait(&mut net)).filter(|event| event.readable).count();
        assert!(told > 0);
        assert_eq!(read(&mut stream), Err(ErrorKind::WouldBlock));
    }

    #[test]
    fn the_same_seed_tells_the_same_story() {
        let story = |seed| {
            let mut net = SimNet::new(seed, Faults::only(&Family::ALL));
            net.world_mut().machine(&address(1), Owner::Hand);
            let mut stream = net.connect(&address(1), &Connect::default());
            if let Ok(stream) = &mut stream {
                net.watch(stream, A).unwrap();
                wait(&mut net);
                let _ = write(stream, b"some bytes");
                wait(&mut net);
            }
            drop(stream);
            wait(&mut net);
            net.world().trace.hash()
        };
        assert_eq!(story(4), story(4));
        assert_ne!(story(4), story(5));
    }
}
