//! Every single fault, at every byte and every event of small talks that pass unread: `stream {}`,
//! `h2c_tunnel` and `Upgrade`.
//!
//! With a single fault, the affected connection is known, and so is the result: no change, another
//! server, or an end that is visible to each side that has not heard everything.

use std::time::Duration;

use switchover::net::sim::{
    Blow, BlowKind, Coalescing, EndId, Family, Faults, IncidentKind, Owner, Reach, Received, SimNet,
};
use switchover::worker::Tuning;

use crate::common::setup::{Covers, server_address};
use crate::play::{Kind, OTHER, Play, STEP, Talk};
use crate::speaker::{Doing, Leaves, Part, Pause, Speaker, Tempo};
use crate::tally::{CHANCES, Tally};

/// One client, and two servers, the second of which is a backup.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    name: String,
    kind: Kind,
    talk: Talk,
    reach: [Reach; 2],
    /// `proxy_buffer_size`.
    buffer: usize,
    /// Sockets hold a few dozen bytes, chosen by this seed, so that a side that stops reading has
    /// an effect.
    small: Option<u64>,
    /// Which segments arrive together.
    coalescing: Coalescing,
}

/// The faults put into a simulated world.
struct World {
    seed: u64,
    faults: Faults,
    blow: Option<Blow>,
    /// How much longer the talk may last.
    pause: Duration,
}

/// The expected result of a talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// This server and the client hear all of each other.
    Whole(usize),
    /// A connection breaks, visibly for each side that has not heard everything.
    Cut(Side),
    /// No server takes it.
    Nowhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// A talk that was played.
struct Played {
    play: Play,
    /// Bytes sent, by end.
    sent: Vec<usize>,
}

pub(crate) fn scenes() -> Vec<Scene> {
    let mut all: Vec<Scene> =
        [Kind::Stream, Kind::Http2, Kind::Upgrade].into_iter().flat_map(scenes_of).collect();
    let piped = Scene::new(Kind::Stream, "through pipes", Part::saying(40), Part::saying(60));
    all.push(Scene { buffer: 16, ..piped });
    all
}

pub(crate) fn scenes_of(kind: Kind) -> Vec<Scene> {
    let after = |awaits, says| Part { awaits, ..Part::saying(says) };
    let answered = kind.answer().len() + 40;
    let scene = |name, client, server| Scene::new(kind, name, client, server);
    let (short, long) = (Part::saying(30), Part::saying(40));
    let (much, more) = (Part::saying(170), Part::saying(180));
    let reach = [Reach::Refusing, Reach::Listening];
    vec![
        scene("the client speaks first", short, after(30, 40)),
        scene("the server speaks first", after(answered, 30), long),
        scene("both speak at once", short, long),
        scene("the client ends first", short, after(usize::MAX, 40)),
        scene("the server ends first", after(usize::MAX, 30), long),
        Scene { reach, ..scene("a refusal", short, long) },
        Scene { small: Some(1), ..scene("small sockets", much, more) },
        Scene { small: Some(7), ..scene("other small sockets", much, more) },
    ]
}

pub(crate) fn every_fault_of(scene: &Scene, tally: &mut Tally) {
    for coalescing in [Coalescing::Never, Coalescing::Always, Coalescing::WithEnd] {
        every_fault_beside(&Scene { coalescing, ..scene.clone() }, tally);
    }
}

fn every_fault_beside(scene: &Scene, tally: &mut Tally) {
    let home = scene.home();
    let plain = scene.check("no fault", World::of(scene), Expected::Whole(home), tally);
    for (end, &sent) in plain.sent.iter().enumerate() {
        let side = if end < 2 { Side::Client } else { Side::Server };
        for after in 0..=sent {
            let split = World::blow(scene, end, after, BlowKind::Split(LATER));
            let what = format!("split at {after} of #{end}");
            scene.check(&what, split, Expected::Whole(home), tally);
            let reset = World::blow(scene, end, after, BlowKind::Reset);
            let what = format!("reset after {after} of #{end}");
            scene.check(&what, reset, Expected::Cut(side), tally);
        }
    }
    reaches(scene, tally);
    if scene.small.is_none() {
        harmless_families(scene, tally);
        harmful_families(scene, tally);
    }
    leaves_unanswered(scene, tally);
    for side in [Side::Client, Side::Server] {
        ends(scene, side, tally);
        pauses(scene, side, tally);
    }
}

/// Servers that cannot be reached.
fn reaches(scene: &Scene, tally: &mut Tally) {
    let away = [Reach::Refusing, Reach::Dark];
    for primary in away {
        let reach = [primary, Reach::Listening];
        let what = format!("{reach:?}");
        let scene = Scene { reach, ..scene.clone() };
        scene.check(&what, World::of(&scene), Expected::Whole(1), tally);
        for backup in away {
            let reach = [primary, backup];
            let scene = Scene { reach, ..scene.clone() };
            scene.check(&format!("{reach:?}"), World::of(&scene), Expected::Nowhere, tally);
        }
    }
}

/// Faults that change nothing, each once at every chance it has.
fn harmless_families(scene: &Scene, tally: &mut Tally) {
    let families = [
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
    for family in families {
        for nth in 0.. {
            assert!(nth < CHANCES, "{}: {family:?} has chances without end", scene.name);
            let world = World { faults: Faults::once(family, nth), ..World::of(scene) };
            let what = format!("{family:?} at {nth}");
            let mut played = scene.check(&what, world, Expected::Whole(scene.home()), tally);
            if !played.play.worker.net().world().faults.is_spent(family) {
                break;
            }
        }
    }
}

/// Connections that cannot be made; the seed decides how they fail.
fn harmful_families(scene: &Scene, tally: &mut Tally) {
    for family in [Family::ConnectFailsAtOnce, Family::AcceptFails] {
        for (seed, nth) in (0..SEEDS).flat_map(|seed| [(seed, 0), (seed, 1)]) {
            let faults = Faults::once(family, nth);
            let mut played = scene.play(World { seed, faults, ..World::of(scene) });
            let incidents = played.play.worker.net().world().incidents().to_vec();
            let expected = match incidents.first() {
                None => Expected::Whole(scene.home()),
                Some(incident) => match incident.kind {
                    IncidentKind::NoDescriptor => Expected::Whole(scene.home()),
                    IncidentKind::ConnectFailed | IncidentKind::NoPort => {
                        let none_is_left = incident.machine == server_address(1);
                        if none_is_left { Expected::Nowhere } else { Expected::Whole(1) }
                    }
                    IncidentKind::AcceptAborted | IncidentKind::Reset => {
                        Expected::Cut(Side::Client)
                    }
                },
            };
            let what = format!("{family:?} at {nth} by seed {seed}: {expected:?}");
            tally.note(&scene.name, &what, scene.judge(&mut played.play, expected));
        }
    }
}

/// The client resets while the server has its opening. The reset may or may not overtake the
/// answer.
fn leaves_unanswered(scene: &Scene, tally: &mut Tally) {
    for (seed, steps) in (0..SEEDS).flat_map(|seed| (1..=8).map(move |steps| (seed, steps))) {
        let leaves = Leaves::ResetsUnanswered(STEP * steps);
        let resets = Part { leaves, ..scene.part(Side::Client) };
        // Slow links, so that the server sees one thing after the other.
        let faults = Faults::only(&[Family::SlowLinks]);
        let world = World { seed, faults, ..World::of(scene) };
        let what = format!("the client resets unanswered after {steps}, {seed}");
        scene.with(Side::Client, resets).check(&what, world, Expected::Cut(Side::Client), tally);
    }
}

/// One side ends after every byte that it says, with a FIN and with a reset.
fn ends(scene: &Scene, side: Side, tally: &mut Tally) {
    let opening = scene.opening(side);
    let part = scene.part(side);
    for after in 0..=opening + part.says {
        let says = after.saturating_sub(opening);
        let opens = if after < opening { after } else { usize::MAX };
        let is_open = after >= opening;
        let finishes = scene.with(side, Part { opens, says, ..part });
        let expected = match (is_open, side) {
            (true, _) => Expected::Whole(scene.home()),
            (false, Side::Client) => Expected::Nowhere,
            (false, Side::Server) => scene.elsewhere().map_or(Expected::Nowhere, Expected::Whole),
        };
        let what = format!("the {side:?} ends after {after}");
        finishes.check(&what, World::of(scene), expected, tally);
        let resets = Part { opens, leaves: Leaves::ResetsAfter(says), ..part };
        let resets = scene.with(side, resets);
        let expected = if is_open { Expected::Cut(side) } else { expected };
        for discards in [&[][..], &[Family::ResetDiscards]] {
            let world = World { faults: Faults::only(discards), ..World::of(scene) };
            let what = format!("the {side:?} resets after {after}, {discards:?}");
            resets.check(&what, world, expected, tally);
        }
    }
}

/// One side pauses, for less and for more than the proxy tolerates.
fn pauses(scene: &Scene, side: Side, tally: &mut Tally) {
    let part = scene.part(side);
    let hears = match side {
        Side::Client => scene.kind.answer().len() + scene.part(Side::Server).says,
        Side::Server => scene.part(Side::Client).says,
    };
    for (of, bytes) in [(Doing::Speaking, part.says), (Doing::Hearing, hears)] {
        for after in 0..=bytes {
            for (lasts, expected) in
                [(BRIEF, Expected::Whole(scene.home())), (LONG, Expected::Cut(side))]
            {
                let pause = Some(Pause { of, after, lasts });
                let world = World { pause: lasts, ..World::of(scene) };
                let what = format!("the {side:?} stops {of:?} at {after} for {lasts:?}");
                scene.with(side, Part { pause, ..part }).check(&what, world, expected, tally);
            }
        }
    }
}

impl World {
    fn of(scene: &Scene) -> World {
        let (seed, faults) = match scene.small {
            Some(seed) => (seed, Faults::only(&[Family::SmallBuffers])),
            None => (1, Faults::none()),
        };
        World { seed, faults, blow: None, pause: Duration::ZERO }
    }

    fn blow(scene: &Scene, from: usize, after: usize, kind: BlowKind) -> World {
        World { blow: Some(Blow { from: EndId(from), after, kind }), ..World::of(scene) }
    }
}

impl Scene {
    fn new(kind: Kind, name: &str, client: Part, server: Part) -> Scene {
        Scene {
            name: format!("{kind:?}, {name}"),
            kind,
            talk: Talk { client, servers: [server, server] },
            reach: [Reach::Listening; 2],
            buffer: 16 << 10,
            small: None,
            coalescing: Coalescing::AsItComes,
        }
    }

    /// The server that takes the talk if nothing else goes wrong.
    fn home(&self) -> usize {
        usize::from(self.reach[0] != Reach::Listening)
    }

    /// The server that takes the talk if the first one fails.
    fn elsewhere(&self) -> Option<usize> {
        (self.home() == 0).then_some(1)
    }

    fn part(&self, side: Side) -> Part {
        match side {
            Side::Client => self.talk.client,
            Side::Server => self.talk.servers[self.home()],
        }
    }

    fn with(&self, side: Side, part: Part) -> Scene {
        let mut scene = self.clone();
        match side {
            Side::Client => scene.talk.client = part,
            Side::Server => scene.talk.servers[self.home()] = part,
        }
        scene
    }

    /// Bytes that a side says before the talk proper.
    fn opening(&self, side: Side) -> usize {
        match side {
            Side::Client => self.kind.opening(0).len(),
            Side::Server => self.kind.answer().len(),
        }
    }

    fn check(&self, what: &str, world: World, expected: Expected, tally: &mut Tally) -> Played {
        let mut played = self.play(world);
        let what = format!("{what}, {:?}", self.coalescing);
        tally.note(&self.name, &what, self.judge(&mut played.play, expected));
        played
    }

    fn play(&self, world: World) -> Played {
        let net = SimNet::new(world.seed, world.faults);
        net.world_mut().coalesce(self.coalescing);
        for (place, reach) in self.reach.into_iter().enumerate() {
            net.world_mut().machine(&server_address(place), Owner::Hand);
            net.world_mut().set_reach(&server_address(place), reach);
        }
        if let Some(blow) = world.blow {
            net.world_mut().strike_bytes(blow);
        }
        let text = self.kind.text(self.buffer, SILENCE, Covers::default());
        let talks = vec![self.talk];
        let (tuning, covers) = (Tuning::default(), Covers::default());
        let mut play = Play::new(net, self.kind, &text, tuning, talks, Tempo::AtOnce, covers);
        play.begin();
        let limit = play.worker.now() + PATIENCE + world.pause;
        while play.worker.now() < limit && !play.is_over() {
            play.step();
        }
        if !play.is_over() {
            let (client, servers) = (&play.clients[0], play.servers.get(&0));
            let text = format!("is not over: {client:?}, {servers:?}, {:?}", play.worker.census());
            play.complaints.push(text);
        }
        let sent = play.worker.net().world().sent();
        play.leave();
        Played { play, sent }
    }

    fn judge(&self, play: &mut Play, expected: Expected) -> Vec<String> {
        let mut wrong = std::mem::take(&mut play.complaints);
        let servers = play.servers.remove(&0).unwrap_or_default();
        let places: Vec<usize> = servers.iter().map(|server| play.place(server.end())).collect();
        let client = &play.clients[0];
        // A server that breaks before its 101 was passed on has failed; after it, nothing is
        // repeated.
        let fails =
            self.kind == Kind::Upgrade && (places != [self.home()] || client.was_refused_in_http());
        wrong.extend(match expected {
            Expected::Cut(Side::Server) if fails => match self.elsewhere() {
                Some(place) => self.whole(client, &servers, &places, place),
                None => nowhere(client, &servers),
            },
            Expected::Cut(_) => self.cut(client, &servers),
            Expected::Whole(place) => self.whole(client, &servers, &places, place),
            Expected::Nowhere => nowhere(client, &servers),
        });
        wrong
    }

    /// The last server and the client heard everything, and no other server heard anything.
    fn whole(
        &self,
        client: &Speaker,
        servers: &[Speaker],
        places: &[usize],
        place: usize,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some((server, others)) = servers.split_last() else {
            return vec!["no server heard of it".to_owned()];
        };
        if places.last() != Some(&place) {
            wrong.push(format!("went to {places:?}"));
        }
        // Before its 101, one server may have failed.
        let abandoned = usize::from(self.kind == Kind::Upgrade && place != self.home());
        if others.len() > abandoned || others.iter().any(|other| !other.heard.is_empty()) {
            wrong.push("more than one server heard of it".to_owned());
        }
        wrong.extend(client.check(OTHER, self.talk.servers[place]));
        wrong.extend(server.check(0, self.talk.client));
        for (name, side) in [("client", client), ("server", server)] {
            if side.ended != Some(Received::End) {
                wrong.push(format!("the {name}'s end is {:?}", side.ended));
            }
        }
        wrong
    }

    /// At most one server heard anything, and neither side mistakes a part for the whole.
    fn cut(&self, client: &Speaker, servers: &[Speaker]) -> Vec<String> {
        let mut wrong = client.check(OTHER, self.part(Side::Server));
        match servers {
            [] => {}
            [server] => wrong.extend(server.check(0, self.talk.client)),
            _ => wrong.push("more than one server heard of it".to_owned()),
        }
        wrong
    }
}

/// No server heard anything, and the client heard at most a refusal.
fn nowhere(client: &Speaker, servers: &[Speaker]) -> Vec<String> {
    let mut wrong = Vec::new();
    if servers.iter().any(|server| !server.heard.is_empty()) {
        wrong.push("a server heard of it".to_owned());
    }
    if !client.heard.is_empty() && !client.was_refused_in_http() {
        wrong.push("it heard somebody, but nobody spoke".to_owned());
    }
    wrong
}

const PATIENCE: Duration = Duration::from_millis(2_500);
/// The timeout for silent tunnels, which is longer than that.
const SILENCE: Duration = Duration::from_secs(4);
/// The delay of the second part of a split segment.
const LATER: Duration = Duration::from_millis(5);
/// Pauses shorter and longer than every timeout.
const BRIEF: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(6);
/// Seeds for the ways in which connections fail to be made.
const SEEDS: u64 = 8;
