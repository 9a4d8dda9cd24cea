//! One side of a talk through the proxy, driven by hand: what it says, and what it has heard.

use std::time::Duration;

use switchover::net::sim::{Channel, EndId, Received, Rng, SimNet, World};
use switchover::time::Time;

/// The script of one side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Bytes of its opening that it sends. If it sends less than all, it says nothing else.
    pub(crate) opens: usize,
    /// Bytes that it hears before it speaks, unless an end or a refusal comes first.
    pub(crate) awaits: usize,
    pub(crate) says: usize,
    pub(crate) pause: Option<Pause>,
    pub(crate) leaves: Leaves,
}

/// How a side ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// With a FIN, once everything is said.
    Finishes,
    /// With a FIN that TLS does not announce, after saying this many bytes.
    CutsAfter(usize),
    /// With a reset, after saying this many bytes.
    ResetsAfter(usize),
    /// With a reset, this long after its opening, whether or not the opening was answered.
    ResetsUnanswered(Duration),
}

/// One long pause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub(crate) of: Doing,
    /// Bytes before the pause.
    pub(crate) after: usize,
    pub(crate) lasts: Duration,
}

/// The two activities of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Speaking,
    Hearing,
}

impl Part {
    /// Leaves with a FIN instead of a reset in half of all cases.
    pub(crate) fn cut_now_and_then(&mut self, rng: &mut Rng) {
        if let Leaves::ResetsAfter(count) = self.leaves
            && rng.one_in(2)
        {
            self.leaves = Leaves::CutsAfter(count);
        }
    }

    /// Says this many bytes at once, then sends its FIN.
    pub(crate) fn saying(says: usize) -> Part {
        let leaves = Leaves::Finishes;
        Part { opens: usize::MAX, awaits: 0, says, pause: None, leaves }
    }
}

/// How much each side does at a time.
#[derive(Debug)]
pub(crate) enum Tempo {
    /// Random amounts.
    Random(Rng),
    /// As much as possible; the FIN goes with the last bytes.
    AtOnce,
}

impl Tempo {
    fn portion(&mut self) -> usize {
        match self {
            Tempo::Random(rng) => rng.pick(&[1, 100, 5000, 50_000]),
            Tempo::AtOnce => usize::MAX,
        }
    }

    /// How many bytes are heard now; `None` if the side does not listen.
    fn hearing(&mut self) -> Option<usize> {
        match self {
            Tempo::Random(rng) => rng.one_in(2).then(|| rng.pick(&[1, 100, 100_000])),
            Tempo::AtOnce => Some(usize::MAX),
        }
    }

    /// Steps until the next client connects.
    pub(crate) fn steps_between(&mut self) -> usize {
        match self {
            Tempo::Random(rng) => rng.within(0..=8),
            Tempo::AtOnce => 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Speaker {
    channel: Channel,
    part: Part,
    /// The unsent rest of its opening. The first `skips` bytes it hears answer an opening.
    opening: Vec<u8>,
    skips: usize,
    /// Whether it sends its opening behind these bytes.
    pub(crate) waits: bool,
    said: usize,
    pub(crate) heard: Vec<u8>,
    /// When its pause ends, once it has begun.
    resumes: Option<Time>,
    finished: bool,
    /// A send failed.
    refused: bool,
    /// How the other side ended: with a FIN or with a break.
    pub(crate) ended: Option<Received>,
}

impl Speaker {
    pub(crate) fn new(channel: Channel, part: Part, mut opening: Vec<u8>, skips: usize) -> Speaker {
        let is_cut = part.opens < opening.len();
        opening.truncate(part.opens);
        Speaker {
            channel,
            part: if is_cut { Part { awaits: 0, says: 0, ..part } } else { part },
            opening,
            skips: if is_cut { 0 } else { skips },
            waits: false,
            said: 0,
            heard: Vec::new(),
            resumes: None,
            finished: false,
            refused: false,
            ended: None,
        }
    }

    /// Its end of the connection.
    pub(crate) fn end(&self) -> EndId {
        self.channel.end()
    }

    /// Says and hears as much as the tempo and the network allow.
    pub(crate) fn act(&mut self, name: usize, net: &mut SimNet, tempo: &mut Tempo) {
        let mut world = net.world_mut();
        if self.ended == Some(Received::Broken) || world.outcome(self.end()).is_none() {
            return;
        }
        self.channel.flush(&mut world);
        self.speak(name, &mut world, tempo);
        if self.ended.is_none()
            && let Some(most) = tempo.hearing()
        {
            self.hear(most, &mut world);
        }
    }

    fn speak(&mut self, name: usize, world: &mut World, tempo: &mut Tempo) {
        let portion = tempo.portion();
        if !self.opening.is_empty() && (!self.waits || self.heard.len() >= self.skips) {
            let count = self.channel.send(&self.opening, world);
            self.opening.drain(..count);
            self.refused |= count == 0 && world.is_dead(self.end());
        }
        let all = match self.part.leaves {
            Leaves::Finishes => self.part.says,
            Leaves::CutsAfter(count) | Leaves::ResetsAfter(count) => count,
            Leaves::ResetsUnanswered(after) => return self.leave_unanswered(after, world),
        };
        if !self.may_speak(world.now()) {
            return;
        }
        let wants = (self.up_to_pause(Doing::Speaking, all) - self.said).min(portion);
        if wants > 0 {
            let bytes: Vec<u8> = (self.said..self.said + wants).map(|at| byte(name, at)).collect();
            let mut count = self.channel.send(&bytes, world);
            // One record after the other; without TLS, everything that fits is sent at once.
            while count > 0 && count < wants && self.channel.is_covered() {
                match self.channel.send(&bytes[count..], world) {
                    0 => break,
                    more => count += more,
                }
            }
            self.said += count;
            // In this case the send was the call that reported the reset.
            self.refused |= count == 0 && world.is_dead(self.end());
            if matches!(tempo, Tempo::Random(_)) || !self.may_speak(world.now()) {
                return;
            }
        }
        // A client whose FIN precedes the 101 would be treated as gone.
        if self.said == all && !self.finished && self.heard.len() >= self.skips {
            self.leave(world);
        }
    }

    fn may_speak(&mut self, now: Time) -> bool {
        self.opening.is_empty()
            && (self.heard.len() >= self.part.awaits
                || self.ended.is_some()
                || self.was_refused_in_http())
            && !self.is_pausing(Doing::Speaking, self.said, now)
    }

    fn leave_unanswered(&mut self, after: Duration, world: &mut World) {
        let now = world.now();
        if self.opening.is_empty()
            && now >= *self.resumes.get_or_insert(now + after)
            && !self.finished
        {
            self.leave(world);
        }
    }

    fn leave(&mut self, world: &mut World) {
        self.finished = true;
        match self.part.leaves {
            Leaves::Finishes => self.channel.finish(world),
            Leaves::CutsAfter(_) => {
                world.close(self.end());
                self.ended = Some(Received::Broken);
            }
            Leaves::ResetsAfter(_) | Leaves::ResetsUnanswered(_) => {
                world.abort(self.end());
                self.ended = Some(Received::Broken);
            }
        }
    }

    fn hear(&mut self, most: usize, world: &mut World) {
        let shakes = self.channel.is_shaking();
        if !shakes && self.is_pausing(Doing::Hearing, self.heard.len(), world.now()) {
            return;
        }
        let left = self.up_to_pause(Doing::Hearing, usize::MAX).saturating_sub(self.heard.len());
        let most = if shakes { usize::MAX } else { left.min(most) };
        match self.channel.receive(&mut self.heard, most, world) {
            Received::Bytes(_) | Received::Nothing => {}
            Received::End if !self.refused => self.ended = Some(Received::End),
            Received::End | Received::Broken => self.ended = Some(Received::Broken),
        }
    }

    /// Whether it has reached its long pause, and the pause is not over.
    fn is_pausing(&mut self, doing: Doing, done: usize, now: Time) -> bool {
        let Some(pause) = self.part.pause else { return false };
        // A record may bring more than was to be heard before.
        let reached = pause.of == doing && pause.after <= done;
        reached && now < *self.resumes.get_or_insert(now + pause.lasts)
    }

    /// The number of bytes, out of `all`, that it may reach before a pause.
    fn up_to_pause(&self, doing: Doing, all: usize) -> usize {
        let pause = self.part.pause.filter(|pause| pause.of == doing && self.resumes.is_none());
        pause.map_or(all, |pause| pause.after.min(all))
    }

    /// What it heard, without the answer to its opening.
    pub(crate) fn words(&self) -> &[u8] {
        self.heard.get(self.skips..).unwrap_or_default()
    }

    /// Whether it was told in HTTP that no server was reached. A broken connection may end the
    /// answer early.
    pub(crate) fn was_refused_in_http(&self) -> bool {
        let seen = self.heard.len().min(REFUSAL.len());
        let whole = seen == REFUSAL.len() || (seen > 0 && self.ended == Some(Received::Broken));
        whole && self.heard[..seen] == REFUSAL[..seen]
    }

    /// Whether it knows how its connection ended, and has nothing left to do.
    pub(crate) fn is_over(&self) -> bool {
        let hears_nothing = self.ended == Some(Received::Broken) || self.refused;
        self.ended.is_some() && (self.finished || hears_nothing)
    }

    /// Whether it heard only what the other side said, and an orderly end only after all of it.
    pub(crate) fn check(&self, other: usize, part: Part) -> Vec<String> {
        let whole = part.leaves == Leaves::Finishes && self.words().len() == part.says;
        let seems = self.ended == Some(Received::End) && !whole;
        let seems = seems.then(|| format!("a part of {} bytes looks whole", self.words().len()));
        self.misheard(other).into_iter().chain(seems).collect()
    }

    /// Whether it heard something that the other side did not say.
    pub(crate) fn misheard(&self, other: usize) -> Option<String> {
        let words = self.words();
        let at = (0..words.len()).find(|&at| words[at] != byte(other, at))?;
        Some(format!("byte {at} is of something else"))
    }
}

/// The start of every answer that reports the lack of a server.
const REFUSAL: &[u8] = b"HTTP/1.1 50";

/// The byte at a place of what the side with this name says.
fn byte(name: usize, at: usize) -> u8 {
    u8::try_from((at * 7 + at / 251 + name * 31) % 256).expect("below 256")
}
