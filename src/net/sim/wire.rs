//! The wire: how bytes, FINs and resets travel between the ends of a connection, and what is done
//! at an end that sends any: writing, reading, closing.

use std::io::{self, ErrorKind};
use std::time::Duration;

use rustix::io::Errno;

use super::agenda::{Happening, Segment, Wake, describe};
use super::end::{ActorId, EndId, EndPhase, Fin, IdleArrival, Owner};
use super::events;
use super::faults::Family;
use super::incident::{BlowKind, Coalescing, IncidentKind};
use super::undelivered::Cause;
use super::world::{Reach, Received, World};
use crate::address::Address;

impl World {
    /// Carries out a happening of the agenda.
    pub(super) fn happen(&mut self, what: Happening) {
        match what {
            Happening::Syn(from, nth) => self.syn(from, nth),
            Happening::Arrival(to, segment) => self.arrive(to, segment),
            Happening::Window(from) => self.transmit(from),
            Happening::Stir(id, cause) => events::notify(self, id, cause),
            Happening::Wake(..) => unreachable!("the network wakes the actors itself"),
        }
    }

    fn syn(&mut self, from: EndId, nth: u32) {
        if self.end(from).phase != EndPhase::Connecting {
            return;
        }
        let to = self.end(from).machine.clone();
        let full = self.machines.get(&to).is_some_and(|machine| machine.is_full());
        match self.reach(&to) {
            Reach::Listening if !full => self.establish(from),
            Reach::Refusing => {
                let at = self.now + self.end(from).latency;
                self.plan(at, Happening::Arrival(from, Segment::Refused));
            }
            // The system retries after 1, 3, 7 … seconds.
            Reach::Dark | Reach::Listening => {
                let at = self.now + FIRST_RETRANSMISSION * (1 << nth.min(6));
                self.plan(at, Happening::Syn(from, nth + 1));
            }
        }
    }

    fn establish(&mut self, from: EndId) {
        let (local, remote, latency) = {
            let end = self.end(from);
            (end.remote.clone(), end.local.clone(), end.latency)
        };
        let owner = self.machines[&local].owner;
        // Belongs to the system until it is accepted.
        let holder = if owner == Owner::Worker { Owner::Hand } else { owner };
        let id = self.add_end(holder, local.clone(), remote, local.clone(), latency);
        self.end_mut(id).phase = EndPhase::Open;
        self.end_mut(id).peer = Some(from);
        self.end_mut(from).peer = Some(id);
        self.trace.note(self.now, [10, from.0, id.0], || format!("{from} reaches {local} as {id}"));
        self.dispatch(id, Segment::SynAck);
        match owner {
            Owner::Actor(actor) => self.plan(self.now, Happening::Wake(actor, Wake::Accepted(id))),
            Owner::Worker | Owner::Hand => {
                let machine = self.machines.get_mut(&local).expect("it was reached");
                machine.backlog.push_back(id);
                if let Some(token) = self.listener_token(&local) {
                    events::notify_listener(self, token);
                }
            }
        }
    }

    /// Changes how a machine treats packets.
    pub fn set_reach(&mut self, at: &Address, reach: Reach) {
        self.trace.note(self.now, [3, reach as usize, 0], || format!("{at} is now {reach:?}"));
        let machine = self.machines.get_mut(at).expect("the test has made this machine");
        let was = std::mem::replace(&mut machine.reach, reach);
        if was == Reach::Dark && reach != Reach::Dark {
            self.revive(at);
        }
    }

    /// Packets sent while the machine was dark are lost; it no longer knows these connections.
    fn revive(&mut self, at: &Address) {
        let lost: Vec<EndId> = (0..self.ends.len())
            .map(EndId)
            .filter(|id| self.end(*id).severed && self.end(*id).machine == *at)
            .collect();
        for id in lost {
            self.end_mut(id).severed = false;
            self.break_end(id, ErrorKind::ConnectionReset);
        }
    }

    /// Sends as much of an end's outbox as the other end has room for.
    pub(super) fn transmit(&mut self, from: EndId) {
        if matches!(self.end(from).phase, EndPhase::Connecting | EndPhase::Dead(_)) {
            return;
        }
        let Some(to) = self.end(from).peer else { return };
        loop {
            let window = match self.end(to).phase {
                EndPhase::Connecting | EndPhase::Open => {
                    let taken = self.end(to).inbox.len() + self.end(from).underway;
                    self.end(to).capacity.saturating_sub(taken)
                }
                // Bytes sent there only trigger a reset.
                EndPhase::Dead(_) | EndPhase::Closed => usize::MAX,
            };
            let count = self.end(from).outbox.len().min(window);
            if count == 0 {
                break;
            }
            let small = self.faults.strike(Family::Fragments, &mut self.rng);
            let most = if small { self.rng.within(1..=40) } else { SEGMENT };
            let most = most.min(self.bytes_before_split(from));
            let bytes: Vec<u8> = self.end_mut(from).outbox.drain(..count.min(most)).collect();
            self.end_mut(from).underway += bytes.len();
            self.end_mut(from).gone += bytes.len();
            self.dispatch(from, Segment::Data(bytes));
        }
        if self.end(from).outbox.is_empty() && self.end(from).fin_out == Fin::Queued {
            self.end_mut(from).fin_out = Fin::Sent;
            self.dispatch(from, Segment::Fin);
        }
    }

    /// How many bytes fit into a segment before a planned split. The segment after the split is
    /// delayed.
    fn bytes_before_split(&mut self, from: EndId) -> usize {
        let Some(blow) = self.blow.filter(|blow| blow.from == from) else { return usize::MAX };
        let BlowKind::Split(pause) = blow.kind else { return usize::MAX };
        let gone = self.end(from).gone;
        if gone == blow.after {
            let now = self.now;
            let end = self.end_mut(from);
            end.last_arrival = end.last_arrival.max(now) + pause;
        }
        if gone < blow.after { blow.after - gone } else { usize::MAX }
    }

    /// Sends a segment to the peer of `from`; it arrives after all earlier ones, or together with
    /// the last.
    fn dispatch(&mut self, from: EndId, segment: Segment) {
        let jitter = self.end(from).latency / 4;
        let travels = self.end(from).latency + self.rng.duration(Duration::ZERO..=jitter);
        let (alone, last) = (self.now + travels, self.end(from).last_arrival);
        let joins = match self.coalescing {
            Coalescing::AsItComes | Coalescing::Never => false,
            Coalescing::Always => last > self.now,
            Coalescing::WithEnd => last > self.now && matches!(segment, Segment::Fin),
        };
        let at = match self.coalescing {
            _ if joins => last,
            Coalescing::AsItComes => alone.max(last),
            Coalescing::Never | Coalescing::Always | Coalescing::WithEnd => alone.max(last + APART),
        };
        self.end_mut(from).last_arrival = at;
        if let Some(to) = self.end(from).peer {
            self.plan(at, Happening::Arrival(to, segment));
        }
    }

    fn arrive(&mut self, to: EndId, segment: Segment) {
        let machine = self.end(to).machine.clone();
        let severed = self.end(to).severed;
        if severed || self.reach(&machine) == Reach::Dark {
            self.sever(to);
            return;
        }
        let weight = if self.is_covered(&machine) { segment.length() } else { segment.weight() };
        self.trace
            .note(self.now, [11, to.0, weight], || format!("{to} gets {}", describe(&segment)));
        match segment {
            Segment::Data(bytes) => self.arrive_data(to, bytes),
            Segment::Fin => {
                let end = self.end_mut(to);
                if end.phase == EndPhase::Open {
                    end.fin_in = true;
                    events::notify(self, to, Cause::Readable);
                }
            }
            Segment::Reset => self.arrive_reset(to),
            Segment::SynAck => {
                let end = self.end_mut(to);
                if end.phase == EndPhase::Connecting {
                    end.phase = EndPhase::Open;
                    self.connect_ended(to);
                    events::notify(self, to, Cause::Writable);
                } else if let Some(peer) = self.end(to).peer {
                    // Given up meanwhile: the other side gets a reset.
                    self.break_end(peer, ErrorKind::ConnectionReset);
                }
            }
            Segment::Refused => {
                if self.end(to).phase == EndPhase::Connecting {
                    self.break_end(to, ErrorKind::ConnectionRefused);
                }
            }
        }
    }

    fn sever(&mut self, id: EndId) {
        for id in [Some(id), self.end(id).peer].into_iter().flatten() {
            let end = self.end_mut(id);
            // How far a handshake has come cannot be known any more.
            (end.severed, end.shakes) = (true, false);
        }
    }

    fn arrive_data(&mut self, to: EndId, mut bytes: Vec<u8>) {
        let from = self.end(to).peer.expect("bytes come from somewhere");
        let whole = bytes.len();
        let allowed = self.end(from).reset_after.unwrap_or(usize::MAX);
        bytes.truncate(allowed);
        if let Some(left) = &mut self.end_mut(from).reset_after {
            *left = left.saturating_sub(whole);
        }
        self.end_mut(from).underway -= whole;
        match self.end(to).phase {
            EndPhase::Open if !self.end(to).fin_in => {
                self.end_mut(to).inbox.extend(&bytes);
                events::notify(self, to, Cause::Readable);
            }
            EndPhase::Connecting | EndPhase::Open | EndPhase::Dead(_) => {}
            EndPhase::Closed => {
                self.end_mut(to).outbox.clear();
                self.dispatch(to, Segment::Reset);
            }
        }
        self.relieve(from);
        self.transmit(from);
        if allowed <= whole {
            self.cut(from, to);
        }
    }

    /// Resets the connection on both sides.
    fn cut(&mut self, from: EndId, to: EndId) {
        self.end_mut(from).reset_after = None;
        let machine = self.end(to).machine.clone();
        let dialler = if self.end(from).local == machine { to } else { from };
        self.incident(&machine, Some(dialler), IncidentKind::Reset);
        self.break_end(to, ErrorKind::ConnectionReset);
        self.break_end(from, ErrorKind::ConnectionReset);
    }

    fn arrive_reset(&mut self, to: EndId) {
        if self.faults.has(Family::ResetDiscards) {
            self.end_mut(to).inbox.clear();
        }
        // On Linux a reset after an orderly end is a broken pipe.
        let reason =
            if self.end(to).fin_in { ErrorKind::BrokenPipe } else { ErrorKind::ConnectionReset };
        self.break_end(to, reason);
    }

    /// Breaks the connection as seen from this end.
    pub(super) fn break_end(&mut self, id: EndId, reason: ErrorKind) {
        self.unstuck(id);
        let end = self.end_mut(id);
        match end.phase {
            EndPhase::Dead(_) | EndPhase::Closed => end.outbox.clear(),
            EndPhase::Connecting | EndPhase::Open => {
                end.phase = EndPhase::Dead(Some(reason));
                end.outbox.clear();
                events::notify(self, id, Cause::Both);
            }
        }
    }

    /// Notifies a writer that waits for room, once there is enough.
    fn relieve(&mut self, id: EndId) {
        let end = self.end_mut(id);
        if end.starved && end.phase == EndPhase::Open && end.has_roomy_outbox() {
            end.starved = false;
            self.unstuck(id);
            events::notify(self, id, Cause::Writable);
        }
    }

    /// Tells the peer that bytes were read here.
    pub(super) fn announce_window(&mut self, reader: EndId) {
        let Some(writer) = self.end(reader).peer else { return };
        if !self.end(writer).outbox.is_empty() {
            let at = self.now + self.end(reader).latency;
            self.plan(at, Happening::Window(writer));
        }
    }

    /// Writes as much as fits; returns the number of bytes written.
    pub fn send(&mut self, end: EndId, bytes: &[u8]) -> usize {
        let Ok(count) = self.end_mut(end).room_for(bytes.len()) else { return 0 };
        let sender = self.end_mut(end);
        sender.outbox.extend(&bytes[..count]);
        sender.given += count;
        self.transmit(end);
        count
    }

    /// Reads at most `most` bytes and appends them.
    pub fn receive(&mut self, end: EndId, into: &mut Vec<u8>, most: usize) -> Received {
        let mut buffer = vec![0; most.min(self.end(end).inbox.len().max(1))];
        match self.end_mut(end).read(&mut buffer) {
            Ok(0) => Received::End,
            Ok(count) => {
                into.extend_from_slice(&buffer[..count]);
                self.announce_window(end);
                Received::Bytes(count)
            }
            Err(ErrorKind::WouldBlock) => Received::Nothing,
            Err(_) => Received::Broken,
        }
    }

    /// Sends the FIN; reading stays possible.
    pub fn finish(&mut self, id: EndId) {
        if self.end(id).fin_out == Fin::No {
            self.end_mut(id).fin_out = Fin::Queued;
            self.transmit(id);
        }
    }

    /// Takes the first connection that waits at an address of the worker, if no fault strikes.
    pub(super) fn take_waiting(&mut self, at: &Address) -> io::Result<EndId> {
        let Some(machine) = self.machines.get_mut(at) else {
            return Err(ErrorKind::NotConnected.into());
        };
        let Some(&first) = machine.backlog.front() else {
            return Err(ErrorKind::WouldBlock.into());
        };
        let fails = self.faults.strike(Family::AcceptFails, &mut self.rng);
        let aborted = fails && self.rng.one_in(2);
        if self.lacks(1) || (fails && !aborted) {
            self.incident(at, None, IncidentKind::NoDescriptor);
            return Err(Errno::MFILE.into());
        }
        self.progressed();
        self.machines.get_mut(at).expect("just seen").backlog.pop_front();
        if aborted {
            let dialler = self.end(first).peer;
            self.incident(at, dialler, IncidentKind::AcceptAborted);
            self.abort(first);
            return Err(ErrorKind::ConnectionAborted.into());
        }
        self.end_mut(first).owner = Owner::Worker;
        Ok(first)
    }

    /// Closes the end. As on Linux, unread bytes turn the close into a reset.
    pub fn close(&mut self, id: EndId) {
        self.trace.note(self.now, [12, id.0, 0], || format!("{id} is closed"));
        events::forget(self, id);
        let now = self.now;
        let end = self.end_mut(id);
        end.closed = Some(now);
        let was = std::mem::replace(&mut end.phase, EndPhase::Closed);
        self.unstuck(id);
        if was == EndPhase::Connecting || self.end(id).shakes {
            self.connect_ended(id);
        }
        let end = self.end_mut(id);
        match was {
            EndPhase::Connecting | EndPhase::Dead(_) | EndPhase::Closed => {}
            EndPhase::Open if end.abortive || !end.inbox.is_empty() => {
                end.outbox.clear();
                end.inbox.clear();
                self.dispatch(id, Segment::Reset);
            }
            EndPhase::Open => self.finish(id),
        }
    }

    /// Closes with a reset.
    pub fn abort(&mut self, id: EndId) {
        self.end_mut(id).abortive = true;
        self.close(id);
    }

    /// Closes a connection from the server's side, if it is idle. Returns whether it was. Once
    /// notified, the worker must not use it again.
    pub fn close_idle(&mut self, id: EndId) -> bool {
        let idle = self.is_idle(id);
        if idle {
            self.tell(13, || format!("{id} is closed while idle"));
            self.strike_idle(id);
            self.close(id);
        }
        idle
    }

    /// Sends unsolicited bytes on a connection, if it is idle. They arrive at once, so that only
    /// events can be late. Returns whether it was idle.
    pub fn send_unsolicited(&mut self, id: EndId, bytes: &[u8]) -> bool {
        let Some(peer) = self.end(id).peer.filter(|_| self.is_idle(id)) else { return false };
        self.trace.note(self.now, [14, id.0, bytes.len()], || format!("{id} sends unasked"));
        self.end_mut(peer).inbox.extend(bytes);
        self.strike_idle(id);
        events::notify(self, peer, Cause::Readable);
        true
    }

    /// Marks everything this end sends after the next `count` bytes as unsolicited.
    pub(super) fn spoil_behind(&mut self, id: EndId, count: usize) {
        let behind = self.end(id).given + count;
        if let Some(peer) = self.end(id).peer {
            self.end_mut(peer).spoilt_behind = Some((behind, usize::MAX));
        }
    }

    /// The owner of the other end knows of unsolicited bytes once it has read the next `count` bytes.
    pub(super) fn spoilt_within(&mut self, id: EndId, count: usize) {
        let within = self.end(id).given + count;
        if let Some(peer) = self.end(id).peer
            && let Some((_, told)) = &mut self.end_mut(peer).spoilt_behind
        {
            *told = within;
        }
    }

    /// Whether nothing is underway in either direction, and both ends are open.
    pub fn is_idle(&self, id: EndId) -> bool {
        let quiet = |id: EndId| {
            let end = self.end(id);
            end.phase == EndPhase::Open
                && end.inbox.is_empty()
                && end.outbox.is_empty()
                && end.underway == 0
                && end.fin_out == Fin::No
                && !end.severed
        };
        quiet(id) && self.end(id).peer.is_some_and(quiet)
    }

    fn strike_idle(&mut self, id: EndId) {
        if let Some(peer) = self.end(id).peer
            && self.end(peer).owner == Owner::Worker
        {
            self.end_mut(peer).idle = IdleArrival::Untold;
        }
    }

    /// Called when the worker writes: the peer may have just closed an idle connection.
    pub(super) fn race(&mut self, id: EndId) {
        let Some(peer) = self.end(id).peer else { return };
        let reused = self.end(id).taken > 0 && self.is_idle(id);
        if let Owner::Actor(actor @ ActorId::Server(_)) = self.end(peer).owner
            && reused
            && self.faults.strike(Family::IdleCloses, &mut self.rng)
        {
            self.plan(self.now, Happening::Wake(actor, Wake::Raced(peer)));
        }
    }

    /// Called when the worker writes: reports a use of a connection that the worker knew to be
    /// spoilt.
    pub(super) fn judge_write(&mut self, id: EndId) {
        match self.end(id).idle {
            IdleArrival::Quiet
                if self.end(id).spoilt_behind.is_some_and(|(at, _)| self.end(id).taken >= at) =>
            {
                self.end_mut(id).idle = IdleArrival::Raced;
            }
            IdleArrival::Quiet | IdleArrival::Raced => {}
            IdleArrival::Untold => self.end_mut(id).idle = IdleArrival::Raced,
            // It may be the announcement of the end.
            IdleArrival::Told if self.is_covered(&self.end(id).machine) => {}
            IdleArrival::Told => self.used_again(id),
        }
    }

    fn used_again(&mut self, id: EndId) {
        self.accuse(format!(
            "{id} was used again after the worker had been told that it is spoilt"
        ));
    }

    /// Notes what an actor has read inside TLS.
    pub(super) fn overhear(&mut self, at: EndId, plain: &[u8]) {
        let Some(from) = self.end(at).peer else { return };
        if self.end(from).idle == IdleArrival::Told {
            self.used_again(from);
        }
        self.end_mut(from).written.extend_from_slice(plain);
    }
}

/// The difference between two moments that are to be distinct.
const APART: Duration = Duration::from_micros(1);
/// Bytes of a full segment.
const SEGMENT: usize = 1460;
/// How long the system waits before it retries a connect; doubles each time.
const FIRST_RETRANSMISSION: Duration = Duration::from_secs(1);
