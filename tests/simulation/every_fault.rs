//! Every single fault, at every byte and every event of small exchanges.
//!
//! At each byte of each connection, the segment is split, the network resets, the client leaves,
//! sends its FIN, stops sending or stops reading, and the server closes, resets or hangs. Each
//! event, read, write, wait, connect and accept has each of its faults once. All of this is
//! repeated with segments that arrive one by one, together, and together with the FIN. The model of
//! the random runs judges. A fault that only changes when bytes are seen, such as a split, must not
//! change the result.

use std::time::Duration;

use switchover::net::sim::{
    Act, Blow, BlowKind, Coalescing, Condition, Delivery, EndId, Family, Fate, Faults, Leaves,
    Pace, SimNet, Then,
};

use super::common::model::judge;
use super::common::run::{Run, plain_server};
use super::common::seeds::silence;
use super::common::setup::Setup;
use super::scenes::Scene;
use super::tally::{CHANCES, Tally};

/// The result of a run, except for timing.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    outcomes: Vec<String>,
    deliveries: Vec<Vec<u32>>,
}

impl Tally {
    /// Plays a scene. If `same` is given, the result must equal it.
    fn play(&mut self, scene: &Scene, what: &str, world: World, same: Option<&Told>) -> Seen {
        let setup = Setup { covers: scene.covers, ..Setup::new(1, 1) };
        let mut net = SimNet::new(1, world.faults);
        net.world_mut().coalesce(scene.coalescing);
        if let Some(blow) = world.blow {
            net.world_mut().strike_bytes(blow);
        }
        for place in 0..2 {
            net.add_server(plain_server(place));
        }
        net.set_manners(0, scene.manners());
        net.set_condition(0, scene.condition);
        let mut run = Run::new(net, &setup);
        for client in &scene.clients {
            run.net().add_client(client.clone());
        }
        run.until_done(PATIENCE);
        let mut complaints = judge(run.net(), &setup);
        let result = result(run.net());
        if same.is_some_and(|same| *same != result) {
            complaints.push(format!("changed the result to {result:?}"));
        }
        let seen = {
            let seen = run.net().world();
            let spent = world.family.is_some_and(|family| seen.faults.is_spent(family));
            Seen { sent: seen.sent(), spent, result }
        };
        run.net().heal();
        complaints.extend(silence(&mut run).err().unwrap_or_default());
        self.note(scene.name, &format!("{what}, {:?}", scene.coalescing), complaints);
        seen
    }
}

/// The faults put into a simulated world.
struct World {
    faults: Faults,
    family: Option<Family>,
    blow: Option<Blow>,
}

/// The observations of a run.
struct Seen {
    sent: Vec<usize>,
    /// The family of faults had its chance.
    spent: bool,
    result: Told,
}

impl World {
    fn quiet() -> World {
        World { faults: Faults::none(), family: None, blow: None }
    }

    fn blow(from: usize, after: usize, kind: BlowKind) -> World {
        World { blow: Some(Blow { from: EndId(from), after, kind }), ..World::quiet() }
    }
}

fn result(net: &SimNet) -> Told {
    let exchanges = net.clients().iter().flat_map(|client| client.exchanges());
    // How much of a refused request reaches a server depends on how it arrives.
    let asks = net.clients().iter().flat_map(|client| &client.plan().asks);
    let refused: Vec<u32> = asks.filter(|ask| ask.is_misframed()).map(|ask| ask.id).collect();
    let counts = |got: &&Delivery| got.request_whole || !refused.contains(&got.id);
    let ids = |server: usize| {
        let deliveries = net.servers()[server].deliveries().iter();
        deliveries.filter(counts).map(|got| got.id).collect()
    };
    Told {
        outcomes: exchanges.map(|exchange| format!("{:?}", exchange.outcome)).collect(),
        deliveries: (0..net.servers().len()).map(ids).collect(),
    }
}

pub(crate) fn every_fault_of(scene: &Scene, tally: &mut Tally) {
    let mut same = None;
    for coalescing in [Coalescing::Never, Coalescing::Always, Coalescing::WithEnd] {
        let scene = Scene { coalescing, ..scene.clone() };
        let plain = tally.play(&scene, "no fault", World::quiet(), same.as_ref());
        every_fault_beside(&scene, &plain, tally);
        same.get_or_insert(plain.result);
    }
}

/// Every single fault in addition to the plain run.
fn every_fault_beside(scene: &Scene, plain: &Seen, tally: &mut Tally) {
    for (end, &sent) in plain.sent.iter().enumerate() {
        for after in (1..sent).step_by(scene.stride) {
            let what = format!("split at {after} of #{end}");
            let world = World::blow(end, after, BlowKind::Split(LATER));
            tally.play(scene, &what, world, Some(&plain.result));
        }
        for after in (0..=sent).step_by(scene.stride) {
            let what = format!("reset after {after} of #{end}");
            tally.play(scene, &what, World::blow(end, after, BlowKind::Reset), None);
        }
    }
    families(scene, plain, tally);
    for condition in [Condition::Refusing, Condition::Dark, Condition::Dead, Condition::Hanging] {
        let scene = Scene { condition, ..scene.clone() };
        tally.play(&scene, &format!("{condition:?}"), World::quiet(), None);
    }
    let most = plain.sent.iter().copied().max().unwrap_or_default();
    for after in (0..=most).step_by(scene.stride) {
        for (what, scene) in at_byte(scene, after) {
            tally.play(&scene, &format!("{what} {after}"), World::quiet(), None);
        }
    }
}

/// Faults of these families, each once at every chance it has.
fn families(scene: &Scene, plain: &Seen, tally: &mut Tally) {
    let harmless = [
        Family::PartialReads,
        Family::PartialWrites,
        Family::SpuriousEvents,
        Family::DoubledEvents,
        Family::BatchedEvents,
        Family::SplitBatches,
        Family::NarrowEvents,
        Family::InexactWaits,
        Family::SmallBuffers,
    ];
    let harmful = [Family::ConnectFailsAtOnce, Family::AcceptFails, Family::IdleCloses];
    let harmless = harmless.map(|family| (family, Some(&plain.result)));
    for (family, same) in harmless.into_iter().chain(harmful.map(|family| (family, None))) {
        for nth in 0.. {
            assert!(nth < CHANCES, "{}: {family:?} has chances without end", scene.name);
            let world =
                World { faults: Faults::once(family, nth), family: Some(family), blow: None };
            if !tally.play(scene, &format!("{family:?} at {nth}"), world, same).spent {
                break;
            }
        }
    }
}

/// The scene with each fault of a client or server at that byte.
fn at_byte(scene: &Scene, after: usize) -> Vec<(&'static str, Scene)> {
    let mut all = Vec::new();
    for fate in
        [Fate::Cut { after, reset: false }, Fate::Cut { after, reset: true }, Fate::Hangs { after }]
    {
        // Without other framing, the FIN ends the body and cuts nothing.
        let cuts = scene.act.then != Then::Closes || fate != Fate::Cut { after, reset: false };
        if cuts && scene.act.fate == Fate::Whole {
            all.push((
                "a server's fate at",
                Scene { act: Act { fate, ..scene.act.clone() }, ..scene.clone() },
            ));
        }
    }
    for leaves in [Leaves::AfterSending(after), Leaves::AfterReceiving(after)] {
        let mut scene = scene.clone();
        scene.clients[0].asks[0].leaves = leaves;
        all.push(("its client leaves at", scene));
    }
    let mut ends = scene.clone();
    ends.clients[0].asks[0].leaves = Leaves::EndsAfter(after);
    all.push(("its client sends its FIN at", ends));
    let stalls = Pace::Stalls { after, pause: STALL };
    let (mut sends, mut reads) = (scene.clone(), scene.clone());
    sends.clients[0].sends = stalls;
    reads.clients[0].reads = stalls;
    all.push(("its client stops sending at", sends));
    all.push(("its client stops reading at", reads));
    all
}

const PATIENCE: Duration = Duration::from_secs(300);
/// The delay of the second part of a split segment.
const LATER: Duration = Duration::from_millis(5);
/// Longer than every timeout for a silent client.
const STALL: Duration = Duration::from_secs(9);
