//! The world: machines, connections, the order of happenings, and the worker's pending events, as
//! data. What travels is in `wire.rs`, which works on it.
//!
//! Only vectors, ordered maps and a single agenda decide the order, so that a seed determines all
//! of it.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::agenda::{Agenda, Happening, Wake};
use super::end::{ActorId, EndId, EndPhase, Endpoint, Fin, IdleArrival, Owner};
use super::faults::{Family, Faults};
use super::incident::{Blow, BlowKind, Coalescing, Incident, IncidentKind, Longest};
use super::rng::Rng;
#[cfg(not(feature = "tls"))]
use super::tls_absent::{TlsSide, Trust};
#[cfg(feature = "tls")]
use super::tls_side::{TlsSide, Trust};
use super::trace::Trace;
use super::undelivered::Undelivered;
use crate::address::Address;
use crate::net::Token;
use crate::time::Time;

/// Everything except the worker.
#[derive(Debug)]
pub struct World {
    /// The network's random decisions.
    pub rng: Rng,
    /// The faults that may occur.
    pub faults: Faults,
    /// The story so far.
    pub trace: Trace,
    pub(super) now: Time,
    pub(super) ends: Vec<Endpoint>,
    pub(super) machines: BTreeMap<Address, Machine>,
    agenda: Agenda,
    pub(super) undelivered: Undelivered,
    incidents: Vec<Incident>,
    violations: Vec<String>,
    /// Descriptors that the worker may hold at a time.
    descriptors: usize,
    /// The worker's pipes: two descriptors each.
    pub(super) pipes: usize,
    progress: u64,
    longest: Longest,
    pub(super) blow: Option<Blow>,
    pub(super) coalescing: Coalescing,
    /// Addresses at which TLS is spoken.
    covered: BTreeMap<Address, Trust>,
    /// What clients say there before TLS.
    preambles: BTreeMap<Address, Vec<u8>>,
    next_port: u16,
}

/// A machine that can be connected to.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) owner: Owner,
    pub(super) reach: Reach,
    /// Connections not accepted yet.
    pub(super) backlog: VecDeque<EndId>,
    backlog_limit: usize,
    /// The worker's token for its listener.
    token: Option<Token>,
}

impl Machine {
    pub(super) fn is_full(&self) -> bool {
        self.backlog.len() >= self.backlog_limit
    }
}

/// How a machine treats packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Connections are accepted.
    Listening,
    /// Connections are refused; existing ones continue.
    Refusing,
    /// All packets are lost without notice.
    Dark,
}

/// The result of a read by an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Number of bytes appended.
    Bytes(usize),
    /// No bytes now.
    Nothing,
    /// The orderly end.
    End,
    /// The connection failed.
    Broken,
}

impl World {
    pub(super) fn new(rng: Rng, faults: Faults) -> World {
        World {
            rng,
            faults,
            trace: Trace::new(),
            now: Time::ZERO,
            ends: Vec::new(),
            machines: BTreeMap::new(),
            agenda: Agenda::default(),
            undelivered: Undelivered::default(),
            incidents: Vec::new(),
            violations: Vec::new(),
            descriptors: usize::MAX,
            pipes: 0,
            progress: 0,
            longest: Longest::default(),
            blow: None,
            coalescing: Coalescing::AsItComes,
            covered: BTreeMap::new(),
            preambles: BTreeMap::new(),
            next_port: FIRST_PORT,
        }
    }

    /// The current time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Trouble caused by the network so far.
    pub fn incidents(&self) -> &[Incident] {
        &self.incidents
    }

    /// Violations by the worker that the network or actors have noticed.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Records a violation by the worker.
    pub fn accuse(&mut self, what: String) {
        self.trace.note(self.now, [1, 0, 0], || format!("VIOLATION {what}"));
        self.violations.push(what);
    }

    /// Adds a line to the trace, and `what` to its hash.
    pub fn tell(&mut self, what: usize, text: impl FnOnce() -> String) {
        self.trace.note(self.now, [2, what, 0], text);
    }

    /// Counts bytes moved, connections made and events delivered: a worker that takes turns while
    /// neither this number nor the time grows is spinning.
    pub fn progress(&self) -> u64 {
        self.progress
    }

    /// The longest durations that the worker has permitted.
    pub fn longest(&self) -> Longest {
        self.longest
    }

    /// The worker's connect at this end has finished, or was given up.
    pub(super) fn connect_ended(&mut self, id: EndId) {
        if self.end(id).owner == Owner::Worker {
            let took = self.now - self.end(id).dialled;
            self.longest.connect = self.longest.connect.max(took);
        }
    }

    /// The worker's pending write at this end found room, or is not needed any more. Over TLS it may
    /// have been one that no answer waits for, such as a ticket.
    pub(super) fn unstuck(&mut self, id: EndId) {
        if let Some(since) = self.end_mut(id).stuck.take()
            && !self.is_covered(&self.end(id).machine)
        {
            self.longest.stuck = self.longest.stuck.max(self.now - since);
        }
    }

    /// Plans a blow to some bytes before their connection exists.
    pub fn strike_bytes(&mut self, blow: Blow) {
        self.blow = Some(blow);
    }

    /// Sets which segments arrive together from now on.
    pub fn coalesce(&mut self, coalescing: Coalescing) {
        self.coalescing = coalescing;
    }

    /// From now on TLS is spoken at this address, which has this certificate and key in PEM; `rng`
    /// decides the habits of actors there. Nothing changes in a build without TLS.
    pub fn cover(&mut self, at: &Address, (certificate, key): (&[u8], &[u8]), rng: Rng) {
        if let Some(trust) = Trust::new(certificate, key, rng) {
            self.covered.insert(at.clone(), trust);
        }
    }

    /// Clients that speak TLS at this address say this before.
    pub fn precede(&mut self, at: &Address, preamble: &[u8]) {
        self.preambles.insert(at.clone(), preamble.to_vec());
    }

    /// What clients say before TLS at an address.
    pub(super) fn preamble(&self, at: &Address) -> &[u8] {
        self.preambles.get(at).map_or(&[], Vec::as_slice)
    }

    /// A client for an address, if TLS is spoken there.
    pub(super) fn tls_client(&mut self, at: &Address) -> Option<TlsSide> {
        self.covered.get_mut(at).map(Trust::client)
    }

    /// A server's side of a connection to an address, likewise.
    pub(super) fn tls_server(&mut self, at: &Address) -> Option<TlsSide> {
        self.covered.get_mut(at).map(Trust::server)
    }

    /// Whether the bytes at an address are those of TLS, which are never the same.
    pub(super) fn is_covered(&self, at: &Address) -> bool {
        self.covered.contains_key(at)
    }

    /// Bytes that each end has sent so far, in order of creation.
    pub fn sent(&self) -> Vec<usize> {
        self.ends.iter().map(|end| end.gone).collect()
    }

    /// Sets how many descriptors the worker may hold at a time: one per socket, two per pipe.
    pub fn limit_descriptors(&mut self, limit: usize) {
        self.descriptors = limit;
    }

    /// The ends that the worker holds.
    pub fn worker_ends(&self) -> Vec<EndId> {
        let ids = (0..self.ends.len()).map(EndId);
        ids.filter(|id| self.ends[id.0].owner == Owner::Worker && self.ends[id.0].held()).collect()
    }

    /// All ends, open or closed, of the worker's connections to this machine, in order.
    pub fn worker_ends_of(&self, machine: &Address) -> Vec<EndId> {
        let ids = (0..self.ends.len()).map(EndId);
        ids.filter(|id| self.end(*id).owner == Owner::Worker && self.end(*id).machine == *machine)
            .collect()
    }

    /// Everything the worker has written at this end, arrived or not. Over TLS, as much of that as an
    /// actor has read and decrypted.
    pub fn written(&self, end: EndId) -> &[u8] {
        &self.end(end).written
    }

    /// When the owner closed this end.
    pub fn closed(&self, end: EndId) -> Option<Time> {
        self.end(end).closed
    }

    /// Whether unsolicited bytes arrived so late on this end that the worker may have taken them
    /// for an answer.
    pub fn raced(&self, end: EndId) -> bool {
        self.end(end).idle == IdleArrival::Raced
    }

    /// Whether the peer has read everything that was written at this end.
    pub fn is_read(&self, id: EndId) -> bool {
        let end = self.end(id);
        end.outbox.is_empty() && end.peer.is_some_and(|peer| self.end(peer).taken == end.gone)
    }

    /// The other end of a connection.
    pub fn peer(&self, end: EndId) -> Option<EndId> {
        self.end(end).peer
    }

    /// The address of the other side.
    pub fn remote(&self, end: EndId) -> &Address {
        &self.end(end).remote
    }

    /// The address of this side.
    pub fn local(&self, end: EndId) -> &Address {
        &self.end(end).local
    }

    /// Opens an address owned by `owner`.
    pub fn machine(&mut self, at: &Address, owner: Owner) {
        self.place(at.clone(), owner, usize::MAX, None);
    }

    pub(super) fn place(
        &mut self,
        at: Address,
        owner: Owner,
        backlog_limit: usize,
        token: Option<Token>,
    ) {
        let machine = Machine {
            owner,
            reach: Reach::Listening,
            backlog: VecDeque::new(),
            backlog_limit,
            token,
        };
        self.machines.insert(at, machine);
    }

    pub(super) fn listener_token(&self, at: &Address) -> Option<Token> {
        self.machines.get(at).and_then(|machine| machine.token)
    }

    /// How a machine treats packets now.
    pub fn reach(&self, at: &Address) -> Reach {
        self.machines.get(at).map_or(Reach::Refusing, |machine| machine.reach)
    }

    /// Accepts a connection at a machine that is driven by hand.
    pub fn accepted(&mut self, at: &Address) -> Option<EndId> {
        self.machines.get_mut(at)?.backlog.pop_front()
    }

    /// Begins to connect. The owner learns the outcome like any other change.
    pub fn dial(&mut self, owner: Owner, to: &Address) -> EndId {
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), self.next_port);
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        let slow = self.faults.strike(Family::SlowLinks, &mut self.rng);
        let latency = if slow { SLOW } else { FAST };
        let latency = self.rng.duration(latency.0..=latency.1);
        let id = self.add_end(owner, Address::Inet(local), to.clone(), to.clone(), latency);
        self.end_mut(id).shakes = self.is_covered(to);
        self.trace.note(self.now, [4, id.0, 0], || format!("{id} dials {to} for {owner:?}"));
        self.plan(self.now + latency, Happening::Syn(id, 0));
        id
    }

    pub(super) fn add_end(
        &mut self,
        owner: Owner,
        local: Address,
        remote: Address,
        machine: Address,
        latency: Duration,
    ) -> EndId {
        let small = self.faults.strike(Family::SmallBuffers, &mut self.rng);
        let capacity = match (small, latency < SLOW.0) {
            (false, _) => BUFFER,
            (true, true) => self.rng.within(16..=64),
            // Bytes written by the worker count as sent, so they must not take seconds to arrive.
            (true, false) => self.rng.within(128..=512),
        };
        let cut = self.faults.strike(Family::ResetAfter, &mut self.rng);
        let reset_after = cut.then(|| self.rng.within(0..=RESET_WITHIN));
        let blow = self.blow.filter(|blow| blow.from.0 == self.ends.len());
        let blow = blow.filter(|blow| blow.kind == BlowKind::Reset).map(|blow| blow.after);
        let reset_after = blow.or(reset_after);
        self.ends.push(Endpoint {
            owner,
            peer: None,
            phase: EndPhase::Connecting,
            local,
            remote,
            machine,
            inbox: VecDeque::new(),
            fin_in: false,
            outbox: VecDeque::new(),
            fin_out: Fin::No,
            gone: 0,
            underway: 0,
            capacity,
            starved: false,
            dialled: self.now,
            stuck: None,
            closed: None,
            abortive: false,
            severed: false,
            latency,
            last_arrival: Time::ZERO,
            reset_after,
            token: None,
            idle: IdleArrival::Quiet,
            taken: 0,
            given: 0,
            spoilt_behind: None,
            shakes: false,
            written: Vec::new(),
        });
        EndId(self.ends.len() - 1)
    }

    /// A handshake is complete at this end.
    pub(super) fn shaken(&mut self, id: EndId) {
        if let Some(peer) = self.end(id).peer {
            self.end_mut(peer).shakes = false;
        }
    }

    /// The outcome of a connect; `None` while it continues.
    pub fn outcome(&self, end: EndId) -> Option<Result<(), ()>> {
        match self.end(end).phase {
            EndPhase::Connecting => None,
            EndPhase::Open => Some(Ok(())),
            EndPhase::Dead(_) | EndPhase::Closed => Some(Err(())),
        }
    }

    /// Whether the connection at this end was reset or failed.
    pub fn is_dead(&self, end: EndId) -> bool {
        matches!(self.end(end).phase, EndPhase::Dead(_))
    }

    /// Whether everything sent from this end has arrived at the other.
    pub fn flushed(&self, end: EndId) -> bool {
        self.end(end).outbox.is_empty() && self.end(end).underway == 0
    }

    /// From now on the network causes no trouble.
    pub(super) fn heal(&mut self) {
        self.faults.heal();
        for end in &mut self.ends {
            end.reset_after = None;
        }
    }

    /// Sets an alarm for an actor.
    pub fn alarm(&mut self, actor: ActorId, at: Time, key: u64) {
        self.plan(at.max(self.now), Happening::Wake(actor, Wake::Alarm(key)));
    }

    pub(super) fn plan(&mut self, at: Time, what: Happening) {
        self.agenda.add(at, what);
    }

    /// The next happening until `until`; advances the time to it.
    pub(super) fn next_happening(&mut self, until: Time) -> Option<Happening> {
        let (at, what) = self.agenda.take_until(until)?;
        self.now = self.now.max(at);
        Some(what)
    }

    pub(super) fn end(&self, id: EndId) -> &Endpoint {
        &self.ends[id.0]
    }

    pub(super) fn end_mut(&mut self, id: EndId) -> &mut Endpoint {
        &mut self.ends[id.0]
    }

    pub(super) fn incident(&mut self, machine: &Address, end: Option<EndId>, kind: IncidentKind) {
        self.trace.note(self.now, [5, kind as usize, 0], || format!("{kind:?} at {machine}"));
        let machine = machine.clone();
        self.incidents.push(Incident { at: self.now, machine, end, kind });
    }

    /// Descriptors that the worker holds now.
    pub fn descriptors_held(&self) -> usize {
        self.worker_ends().len() + 2 * self.pipes
    }

    /// Whether `more` descriptors would exceed the worker's limit.
    pub(super) fn lacks(&self, more: usize) -> bool {
        self.descriptors < usize::MAX && self.descriptors_held() + more > self.descriptors
    }

    pub(super) fn progressed(&mut self) {
        self.progress += 1;
    }
}

/// The range of latencies, of ordinary connections and of slow ones.
const FAST: (Duration, Duration) = (Duration::from_micros(20), Duration::from_micros(400));
const SLOW: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(30));
/// Bytes in a socket's buffer: few, so that bodies of a few kilobytes fill it.
const BUFFER: usize = 2048;
/// A connection that the network resets is reset within this many bytes.
const RESET_WITHIN: usize = 3000;
/// The first local port of connecting sockets.
const FIRST_PORT: u16 = 10_000;
