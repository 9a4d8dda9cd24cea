//! Random runs: trouble, then healing, then silence.

use std::ops::Range;
use std::time::Duration;

use switchover::net::sim::{Act, Ask, Condition, Manners, Outcome, Rng, SPEAKS_TLS, SimNet};

use super::model::{judge, tell};
use super::run::Run;
use super::scenario::Scenario;
use super::setup::{Setup, proxy_address};

/// Runs one seed; returns the hash of its trace.
///
/// # Errors
/// Everything that the proxy did wrong.
pub(crate) fn run_seed(seed: u64, show: bool) -> Result<u64, Vec<String>> {
    let mut scenario = Scenario::of(Rng::new(seed));
    // A separate generator, so that a seed without TLS runs as it does in a build without TLS.
    let mut covers = Rng::new(seed ^ 0x715);
    if SPEAKS_TLS && covers.one_in(3) {
        scenario.cover(seed, covers);
    }
    if SPEAKS_TLS && Rng::new(seed ^ 0x5715).one_in(3) {
        scenario.cover_servers(seed);
    }
    play(scenario, Rng::new(seed), show)
}

/// Plays a scenario, with `chance` for the network and the actors; returns the hash of its trace.
///
/// # Errors
/// Everything that the proxy did wrong.
pub(crate) fn play(scenario: Scenario, chance: Rng, show: bool) -> Result<u64, Vec<String>> {
    let mut net = SimNet::by(chance, scenario.faults.clone());
    if show {
        net.world_mut().trace.show();
        net.world_mut().tell(0, || format!("{scenario:#?}"));
    }
    for server in scenario.servers {
        net.add_server(server);
    }
    let mut run = Run::new(net, &scenario.setup);
    for client in scenario.clients {
        run.net().add_client(client);
    }
    for stranger in scenario.strangers {
        run.net().add_stranger(stranger);
    }
    for at in &scenario.setup.reloads {
        run.until(*at);
        run.net().world_mut().tell(52, || "the configuration is loaded anew".to_owned());
        run.worker.reload(scenario.setup.config()).expect("it listens already");
    }
    run.until_done(PATIENCE);
    let complaints = judge(run.net(), &scenario.setup);
    fail_on(complaints)?;
    heal(&mut run, &scenario.setup)?;
    silence(&mut run)?;
    let hash = run.net().world().trace.hash();
    Ok(hash)
}

/// Everything works again: every client is served, and every server receives requests.
fn heal(run: &mut Run, setup: &Setup) -> Result<(), Vec<String>> {
    let recovery = setup.fail_timeout + setup.connect_timeout * 2 + MARGIN;
    run.net().world_mut().tell(50, || "everything heals".to_owned());
    run.net().heal();
    let servers = setup.backups.len();
    for server in 0..servers {
        let slow = Act { delay: MARGIN, ..Act::plain(1000) };
        run.net().set_manners(server, Manners::Always(slow));
    }
    run.pass(recovery);
    leave(run);
    for server in 0..servers {
        run.net().set_manners(server, Manners::Always(Act::plain(1000)));
    }
    let primaries = setup.backups.iter().filter(|backup| !**backup).count();
    serve(run, 0..primaries)?;
    for alone in 0..servers {
        run.net().world_mut().tell(51, || format!("only server {alone} is there"));
        for other in (0..servers).filter(|other| *other != alone) {
            run.make(other, Condition::Dead);
        }
        run.pass(NEWS);
        serve(run, alone..alone + 1)?;
        for other in (0..servers).filter(|other| *other != alone) {
            run.make(other, Condition::Well);
        }
        run.pass(recovery);
    }
    Ok(())
}

/// A client leaves before its answer. If its request was a trial, the trial must not be lost.
fn leave(run: &mut Run) {
    let end = run.dial();
    run.send(end, "GET /left HTTP/1.1\r\nHost: a\r\n\r\n");
    run.pass(NEWS);
    run.net().world_mut().abort(end);
    run.pass(NEWS);
}

/// A few clients connect, and all of them are served by these servers.
fn serve(run: &mut Run, by: Range<usize>) -> Result<(), Vec<String>> {
    let first = run.net().clients().len();
    for client in 0..3 {
        let id = u32::try_from((first + client) * 10 + 100_000).expect("there are only a few");
        let post = Ask { method: "POST", ..Ask::get(id + 1) };
        run.client(vec![Ask::get(id), post]);
        run.until_done(PATIENCE);
    }
    let mut complaints = run.net().world().violations().to_vec();
    for client in &run.net().clients()[first..] {
        for exchange in client.exchanges() {
            let served = match exchange.outcome {
                Outcome::Whole(answer) => {
                    answer.status == 200
                        && answer.by.is_some_and(|(server, _)| by.contains(&(server as usize)))
                }
                Outcome::Unasked
                | Outcome::Waiting
                | Outcome::Cut(_)
                | Outcome::Closed
                | Outcome::Reset
                | Outcome::Left => false,
            };
            if !served {
                complaints.push(format!("after healing, not by {by:?}: {}", tell(exchange)));
            }
        }
    }
    fail_on(complaints)
}

/// All clients have left, so nothing may be left open or in use.
pub(crate) fn silence(run: &mut Run) -> Result<(), Vec<String>> {
    run.pass(SILENCE);
    let census = run.worker.census();
    let mut complaints = Vec::new();
    if census.sessions
        + census.idle_upstreams
        + census.buffers_held
        + census.alarms
        + census.pipes_out
        > 0
    {
        complaints.push(format!("left when all is silent: {census:?}"));
    }
    if census.tokens > 1 {
        complaints.push(format!("tokens besides the listener's: {census:?}"));
    }
    let held = run.net().world().worker_ends();
    if !held.is_empty() {
        complaints.push(format!("sockets left open: {held:?}"));
    }
    let dialled = run.net().world_mut().dial(switchover::net::sim::Owner::Hand, &proxy_address());
    run.pass(Duration::from_secs(1));
    if run.net().world().worker_ends().len() != 1 {
        complaints.push(format!("{dialled} was not accepted"));
    }
    run.worker.drain();
    if !run.worker.drained() || !run.net().world().worker_ends().is_empty() {
        complaints.push(format!("{dialled} outlives the draining"));
    }
    fail_on(complaints)
}

fn fail_on(complaints: Vec<String>) -> Result<(), Vec<String>> {
    if complaints.is_empty() { Ok(()) } else { Err(complaints) }
}

/// How long a run with trouble may take until every client is done.
const PATIENCE: Duration = Duration::from_secs(300);
/// Longer than every timeout of the setup.
const SILENCE: Duration = Duration::from_secs(100);
/// The time for the proxy to notice resets.
const NEWS: Duration = Duration::from_millis(100);
/// The longest time, besides its timeouts, until a server is known to work.
const MARGIN: Duration = Duration::from_secs(2);
