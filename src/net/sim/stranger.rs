//! A stranger: sends arbitrary bytes, reads whatever comes, and never hangs up.
//!
//! The meaning of its bytes is unknown, so it checks only what holds for every answer. Whether the
//! proxy gets rid of it is checked elsewhere.

use super::agenda::Wake;
use super::end::{ActorId, EndId, Owner};
use super::pace::{Pace, Throttle};
use super::reader::{Reader, Side};
use super::world::{Received, World};
use crate::address::Address;
use crate::time::Time;

/// The plan of a stranger.
#[derive(Clone, Debug)]
pub struct StrangerPlan {
    /// The proxy's address.
    pub to: Address,
    /// When it connects.
    pub starts: Time,
    /// What it sends. Must not resemble a well-behaved client's bytes: see [`disguise`].
    pub bytes: Vec<u8>,
    /// How it sends.
    pub sends: Pace,
    /// What it does after sending everything.
    pub then: Parting,
}

/// What a stranger does after sending everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// It waits until the connection is closed.
    Stays,
    /// It sends its FIN, and waits.
    Finishes,
    /// It resets the connection.
    Resets,
}

/// A stranger.
#[derive(Debug)]
pub struct Stranger {
    plan: StrangerPlan,
    id: ActorId,
    throttle: Throttle,
    state: Visit,
    /// `None` if the end of an answer cannot be recognised.
    reader: Option<Reader>,
}

#[derive(Clone, Copy, Debug)]
enum Visit {
    Away,
    There { end: EndId, sent: usize },
    Gone,
}

/// Changes everything that servers would take for a well-behaved client's request.
pub fn disguise(bytes: &mut [u8]) {
    for (at, length) in [("/x/", 3), ("x-hop", 5)] {
        for start in 0..(bytes.len() + 1).saturating_sub(length) {
            let found = &mut bytes[start..start + length];
            if found.eq_ignore_ascii_case(at.as_bytes()) {
                found[1] = b'_';
            }
        }
    }
}

impl Stranger {
    pub(super) fn new(plan: StrangerPlan, id: ActorId) -> Stranger {
        // Without a body, the answer to a HEAD has no recognisable end.
        let heads = plan.bytes.windows(4).any(|four| four == b"HEAD");
        // And that to a handshake is not in HTTP.
        let shakes = plan.bytes.first() == Some(&HANDSHAKE);
        let reader = (!heads && !shakes).then(|| Reader::new(Side::Answers));
        Stranger { throttle: Throttle::new(plan.sends), plan, id, state: Visit::Away, reader }
    }

    /// Whether it has come and gone.
    pub fn is_gone(&self) -> bool {
        matches!(self.state, Visit::Gone)
    }

    pub(super) fn start(&mut self, world: &mut World) {
        world.alarm(self.id, self.plan.starts, STEP);
    }

    pub(super) fn wake(&mut self, why: Wake, world: &mut World) {
        match (why, self.state) {
            (Wake::Alarm(STEP), Visit::Away) => {
                let end = world.dial(Owner::Actor(self.id), &self.plan.to);
                self.state = Visit::There { end, sent: 0 };
            }
            (Wake::Alarm(SEND), Visit::There { .. }) => self.throttle.resume(),
            (Wake::Accepted(_) | Wake::End(_) | Wake::Raced(_) | Wake::Alarm(_), _) => {}
        }
        self.step(world);
    }

    fn step(&mut self, world: &mut World) {
        let Visit::There { end, .. } = self.state else { return };
        match world.outcome(end) {
            None => {}
            Some(Err(())) => self.leave(end, world),
            Some(Ok(())) => {
                self.read(end, world);
                self.send(world);
            }
        }
    }

    fn read(&mut self, end: EndId, world: &mut World) {
        let mut bytes = Vec::new();
        let state = loop {
            match world.receive(end, &mut bytes, usize::MAX) {
                Received::Bytes(_) => {}
                other @ (Received::Nothing | Received::End | Received::Broken) => break other,
            }
        };
        if let Some(reader) = &mut self.reader {
            reader.push(&bytes);
            loop {
                match reader.next(false) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(flaw) => {
                        world.accuse(format!("an answer to a stranger has {}", flaw.0));
                        self.reader = None;
                        break;
                    }
                }
            }
        }
        if state != Received::Nothing {
            self.leave(end, world);
        }
    }

    fn send(&mut self, world: &mut World) {
        let Visit::There { end, mut sent } = self.state else { return };
        while sent < self.plan.bytes.len() {
            let most = (self.plan.bytes.len() - sent).min(self.throttle.credit());
            let bytes = &self.plan.bytes[sent..sent + most];
            let count = if most > 0 { world.send(end, bytes) } else { 0 };
            if count == 0 {
                break;
            }
            self.throttle.spend(count);
            sent += count;
        }
        self.state = Visit::There { end, sent };
        if sent < self.plan.bytes.len() {
            if let Some(pause) = self.throttle.pause() {
                world.alarm(self.id, world.now() + pause, SEND);
            }
            return;
        }
        match self.plan.then {
            Parting::Stays => {}
            Parting::Finishes => world.finish(end),
            Parting::Resets => {
                self.state = Visit::Gone;
                world.abort(end);
            }
        }
    }

    fn leave(&mut self, end: EndId, world: &mut World) {
        self.state = Visit::Gone;
        world.close(end);
    }
}

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 22;
/// Kinds of alarms.
const STEP: u64 = 0;
const SEND: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disguised_stranger_is_taken_for_nobody_else() {
        let mut bytes = b"GET /x/1/x/x/ HTTP/1.1\r\nX-HOP: a\r\n/x".to_vec();
        disguise(&mut bytes);
        assert_eq!(bytes, b"GET /_/1/_/_/ HTTP/1.1\r\nX_HOP: a\r\n/x");
        let mut short = b"/x".to_vec();
        disguise(&mut short);
        assert_eq!(short, b"/x");
    }
}
