//! The article's experiment with queries: two coordinators, a worker, and the proxy between.
//!
//! `cargo run --release --example demo [-- --stay]`
//!
//! 20 clients run queries while the primary is killed and returns, and the backup is promoted. It
//! fails if a query is lost that need not be. The coordinators are stand-ins that speak as much of
//! Trino's protocol as a client can see. Each one, and the proxy, is a process of its own (this
//! program, started again with hidden arguments), so that killing the primary is a real `kill -9`.
//! `DEMO_PROXY=PROGRAM` runs another proxy, as `PROGRAM -p DIRECTORY -c FILE`, for comparison.

#![allow(clippy::disallowed_methods, reason = "an experiment takes real time")]

mod client;
mod coordinator;
mod discovery;
mod http;
mod load;
mod process;
mod query;
mod report;
mod worker;

use std::env;
use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use client::{Client, Rows};
use load::{CLIENTS, LONG, Load};
use process::{Port, Scene};
use query::NODES;
use report::{Phase, Report, Span, Switch};
use worker::Worker;

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let program = arguments.next();
    match arguments.next().as_deref().and_then(|word| word.to_str()) {
        Some(process::AS_COORDINATOR) => coordinator::main(arguments),
        Some(process::AS_PROXY) => switchover::process::run(program.into_iter().chain(arguments)),
        Some("--stay") => exit(play(Ending::Stay)),
        None => exit(play(Ending::Leave)),
        Some(other) => {
            eprintln!("demo: unknown argument {other}; there is only --stay");
            ExitCode::FAILURE
        }
    }
}

/// Says what went wrong, if anything did.
fn exit(played: io::Result<()>) -> ExitCode {
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("demo: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What happens when the experiment is over.
#[derive(Clone, Copy)]
enum Ending {
    /// All processes end.
    Leave,
    /// They stay for the reader to try things.
    Stay,
}

/// How long the clients go on after each change.
const CALM: Duration = Duration::from_secs(4);

/// How long a change may take to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The time between two looks at who is active.
const INTERVAL: Duration = Duration::from_millis(50);

/// Plays all phases under load, and judges what the clients saw.
fn play(ending: Ending) -> io::Result<()> {
    let mut scene = Scene::set()?;
    let worker_port = Port::reserve()?;
    let _worker = Worker::announcing_through(scene.proxy(), worker_port.address);
    let nodes = nodes_once(scene.proxy(), "coordinator-1")?.rows;
    println!("$ trino --server {} --execute '{NODES}'\n{nodes}", scene.proxy());

    let mut report = Report::default();
    let load = Load::start(scene.proxy());
    let performed = perform(&mut scene, &mut report);
    let log = load.stop();
    println!("\n{}", report.table(&log));
    performed?;
    let faults = report.faults(&log);
    if !faults.is_empty() {
        return Err(io::Error::other(faults.join("; ")));
    }
    match ending {
        Ending::Leave => Ok(()),
        Ending::Stay => stay(&scene),
    }
}

/// All phases, one after the other.
fn perform(scene: &mut Scene, report: &mut Report) -> io::Result<()> {
    println!("\n{CLIENTS} clients send queries, {LONG} of them long ones.");
    report.phase(Phase { name: "steady", began: Instant::now(), switch: Switch::None });
    thread::sleep(CALM);

    let known = http::get(scene.backup(), "/v1/service/trino/general")?;
    if !known.contains(worker::NAME) {
        report.fault("coordinator-2 did not know the worker when it was needed");
    }
    println!(
        "\n$ curl http://{}/v1/service/trino/general   # coordinator-2\n{known}",
        scene.backup()
    );
    report.phase(kill(scene)?);
    let nodes = nodes_once(scene.proxy(), "coordinator-2")?.rows;
    println!("\n$ trino --server {} --execute '{NODES}'\n{nodes}", scene.proxy());
    thread::sleep(CALM);

    report.phase(bring_back(scene)?);
    thread::sleep(CALM);

    report.phase(promote(scene)?);
    thread::sleep(CALM);
    Ok(())
}

/// The primary dies.
fn kill(scene: &mut Scene) -> io::Result<Phase> {
    println!("\n$ kill -9 {}   # coordinator-1", scene.primary_id());
    let before = Instant::now();
    scene.kill_primary()?;
    let switch = Switch::Death(Span { before, after: Instant::now() });
    Ok(Phase { name: "kill of coordinator-1", began: before, switch })
}

/// The primary is started again, and becomes active when it has proved itself.
fn bring_back(scene: &mut Scene) -> io::Result<Phase> {
    println!("\n$ start coordinator-1 again");
    let began = Instant::now();
    scene.start_primary()?;
    let span = nodes_once(scene.proxy(), "coordinator-1")?.span;
    println!("It is active again {:.1} s after its start.", (span.after - began).as_secs_f64());
    Ok(Phase { name: "return of coordinator-1", began, switch: Switch::Handover(span) })
}

/// The backup becomes active while the primary is well, as before planned maintenance.
fn promote(scene: &Scene) -> io::Result<Phase> {
    println!("\n$ switchover promote {} -c trino.conf   # coordinator-2", scene.backup());
    let before = Instant::now();
    let status = scene.promotion(scene.backup())?.status()?;
    if !status.success() {
        return Err(io::Error::other(format!("the promotion failed: {status}")));
    }
    let after = nodes_once(scene.proxy(), "coordinator-2")?.span.after;
    let switch = Switch::Handover(Span { before, after });
    Ok(Phase { name: "promotion of coordinator-2", began: before, switch })
}

/// A list of nodes.
struct Nodes {
    /// The list.
    rows: Rows,
    /// When the coordinator that answered became active.
    span: Span,
}

/// Asks for the nodes until this coordinator answers and knows the worker.
fn nodes_once(proxy: SocketAddr, coordinator: &str) -> io::Result<Nodes> {
    let mut client = Client::new(proxy);
    let mut before = Instant::now();
    let end = before + PATIENCE;
    loop {
        let asked = Instant::now();
        match client.query(NODES) {
            Ok(rows) if rows.contains(coordinator) && rows.contains(worker::NAME) => {
                return Ok(Nodes { rows, span: Span { before, after: Instant::now() } });
            }
            Err(why) if asked > end => return Err(why),
            Ok(_) if asked > end => {
                return Err(io::Error::other(format!("{coordinator} and the worker never came")));
            }
            Ok(_) => before = asked,
            Err(_) => {}
        }
        thread::sleep(INTERVAL);
    }
}

/// Waits for Enter.
fn stay(scene: &Scene) -> io::Result<()> {
    let proxy = scene.proxy();
    println!("Everything runs on. Try, in another terminal:");
    println!("  curl http://{proxy}/v1/info");
    println!(
        "  curl -H 'X-Trino-User: me' -d '{NODES}' http://{proxy}/v1/statement # then its nextUri"
    );
    println!("  trino --server http://{proxy} --execute '{NODES}'");
    println!(
        "  kill -9 {}                                       # the primary",
        scene.primary_id()
    );
    println!("  {:?} # the primary", scene.promotion(scene.primary())?);
    println!("Its file is {}. Enter ends it all.", scene.file().display());
    io::stdin().lock().read_line(&mut String::new()).map(drop)
}
