//! Random talks over connections that pass unread, and what must hold for each whatever the network
//! does.

use std::time::Duration;

use switchover::net::sim::{
    Family, Faults, IncidentKind, Owner, Reach, Received, Rng, SPEAKS_TLS, SimNet,
};
use switchover::worker::Tuning;

use crate::common::setup::{Covers, server_address};
use crate::play::{Kind, OTHER, Play, Talk};
use crate::speaker::{Doing, Leaves, Part, Pause, Tempo};

/// Plays one seed; returns everything that the proxy did wrong.
pub(crate) fn run(seed: u64, show: bool) -> Vec<String> {
    let (mut play, restless) = random(seed, show);
    play.begin();
    for _ in 0..STEPS * play.pace {
        play.step();
    }
    for talk in 0..play.talks.len() {
        judge(&mut play, talk, restless);
    }
    play.leave();
    play.complaints
}

/// A play, and whether the primary's state changes during it, which closes the tunnels that follow
/// it.
fn random(seed: u64, show: bool) -> (Play, bool) {
    let mut rng = Rng::new(seed ^ 0x5eed);
    let faults = Faults::random(&mut rng);
    let most = if faults.has(Family::SmallBuffers) { 3000 } else { 40_000 };
    let net = SimNet::new(seed, faults);
    for place in 0..2 {
        net.world_mut().machine(&server_address(place), Owner::Hand);
    }
    if show {
        net.world_mut().trace.show();
    }
    let reach = rng.pick(&[Reach::Listening, Reach::Refusing, Reach::Dark]);
    net.world_mut().set_reach(&server_address(0), reach);
    let kind = rng.pick(&[Kind::Stream, Kind::Stream, Kind::Http2, Kind::Upgrade]);
    // A separate generator, so that pauses do not change the rest of a seed's run.
    let mut pauses = Rng::new(seed ^ 0x5eed_517e);
    let silent = pauses.one_in(3);
    let patience = if silent { IMPATIENT } else { SILENCE };
    let (kind, covers) = cover(kind, seed);
    let text = kind.text(rng.pick(&[64, 4096, 16384]), patience, covers);
    let tuning = Tuning { relay_rounds: rng.pick(&[1, 16]), ..Tuning::default() };
    let mut part = || {
        let says = rng.pick(&[0, 1, 50, 1000, most]);
        let reset = rng.one_in(6);
        let leaves = if reset { Leaves::ResetsAfter(says / 2) } else { Leaves::Finishes };
        let pause = (silent && pauses.one_in(4)).then(|| Pause {
            of: pauses.pick(&[Doing::Speaking, Doing::Hearing]),
            after: pauses.within(0..=says),
            lasts: PAUSE,
        });
        Part { leaves, pause, ..Part::saying(says) }
    };
    let mut talk = || {
        let (client, server) = (part(), part());
        Talk { client, servers: [server, server] }
    };
    let mut talks: Vec<Talk> = (0..4).map(|_| talk()).collect();
    // Over TLS, a FIN that is not announced is a break as well.
    let mut cuts = Rng::new(seed ^ 0x5eed_0c07);
    for Talk { client, servers } in &mut talks {
        for part in [client].into_iter().filter(|_| covers.clients.is_some()) {
            part.cut_now_and_then(&mut cuts);
        }
        for part in servers.iter_mut().filter(|_| covers.servers.is_some()) {
            part.cut_now_and_then(&mut cuts);
        }
    }
    let play = Play::new(net, kind, &text, tuning, talks, Tempo::Random(rng), covers);
    (play, reach != Reach::Listening)
}

/// Where TLS is spoken in this run. It has a generator of its own, so that a seed without it runs as
/// in a build without TLS.
fn cover(kind: Kind, seed: u64) -> (Kind, Covers) {
    let mut rng = Rng::new(seed ^ 0x5eed_0715);
    let mut some = || (SPEAKS_TLS && kind != Kind::Http2 && rng.one_in(3)).then_some(seed);
    let covers = Covers { clients: some(), servers: some() };
    let kind = if kind == Kind::Stream && covers.servers.is_some() { Kind::Covered } else { kind };
    (kind, covers)
}

/// Checks what must hold for a talk, whatever happened.
fn judge(play: &mut Play, talk: usize, restless: bool) {
    let Talk { client: client_part, servers: [server_part, _] } = play.talks[talk];
    let incidents = play.worker.net().world().incidents().to_vec();
    let (client, servers) = (&play.clients[talk], play.servers.get(&talk));
    let servers = servers.map_or(&[][..], Vec::as_slice);
    let mut wrong = Vec::new();
    // A request whose server broke before its 101 may go to another server; later bytes may not.
    let heard = servers.iter().filter(|it| play.kind != Kind::Upgrade || !it.heard.is_empty());
    let heard = heard.count();
    if heard > 1 {
        wrong.push(format!("{heard} servers heard of it"));
    }
    let troubled = incidents.iter().any(|incident| {
        // A reset strikes one connection, and only the network knows which one.
        matches!(
            incident.kind,
            IncidentKind::Reset
                | IncidentKind::AcceptAborted
                | IncidentKind::NoPort
                | IncidentKind::ConnectFailed
                | IncidentKind::NoDescriptor
        )
    });
    // A server that resets before its 101 has failed, and is out for other talks.
    let fails = |talk: &Talk| talk.servers[0].leaves != Leaves::Finishes;
    let troubled = match play.kind {
        Kind::Stream | Kind::Covered => troubled,
        Kind::Http2 => troubled || restless,
        Kind::Upgrade => troubled || play.talks.iter().any(fails),
    };
    let resets = [client_part, server_part].iter().any(|part| part.leaves != Leaves::Finishes);
    let pauses = [client_part, server_part].iter().any(|part| part.pause.is_some());
    // A client that no server took may have been told so in HTTP.
    // A server that speaks first does not know yet to whom.
    let heard = if play.kind == Kind::Covered { client.words() } else { &client.heard };
    if servers.is_empty() && !client.was_refused_in_http() && !heard.is_empty() {
        wrong.push("it heard somebody, but nobody spoke".to_owned());
    }
    if !servers.is_empty() && !client.was_refused_in_http() {
        wrong.extend(client.check(OTHER + talk, server_part));
    }
    for server in servers {
        let abandoned = play.kind == Kind::Upgrade && server.heard.is_empty();
        if abandoned && servers.len() > 1 {
            continue;
        }
        wrong.extend(server.check(talk, client_part));
        if !troubled && !resets && !pauses {
            for (name, side) in [("client", client), ("server", server)] {
                if side.ended != Some(Received::End) {
                    wrong.push(format!("the {name}'s end is {:?}", side.ended));
                }
            }
        }
    }
    if servers.is_empty() && !troubled && !resets {
        wrong.push("no server heard of it though the backup was there".to_owned());
    }
    for what in wrong {
        play.complaints.push(format!("talk {talk} {:?}: {what}", play.talks[talk]));
    }
}

/// Enough steps to say everything, and for every timeout but that for silence to pass.
const STEPS: u32 = 2_000;
/// The timeouts for silent tunnels: longer than the whole run, and shorter than a pause.
const SILENCE: Duration = Duration::from_secs(60);
const IMPATIENT: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_secs(6);
