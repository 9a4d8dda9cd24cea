//! The article's experiment in fifteen seconds: two coordinators, a worker, and the proxy between.
//!
//! `cargo run --release --example demo [-- --stay]`
//!
//! The coordinators are stand-ins that speak as much of Trino's protocol as a client can see. Each
//! one, and the proxy, is a process of its own (this program, started again with hidden
//! arguments), so that killing the primary is a real `kill -9`. `DEMO_PROXY=PROGRAM` runs another
//! proxy, as `PROGRAM -c FILE`, for comparison.

#![allow(clippy::disallowed_methods, reason = "an experiment takes real time")]

mod calendar;
mod client;
mod coordinator;
mod load;
mod process;
mod table;
mod worker;

use std::env;
use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use client::Rows;
use load::{Load, Report};
use process::{Scene, free_address};
use worker::Worker;

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let program = arguments.next();
    match arguments.next().as_deref().and_then(|word| word.to_str()) {
        Some(process::AS_COORDINATOR) => coordinator::main(arguments),
        Some(process::AS_PROXY) => switchover::process::run(program.into_iter().chain(arguments)),
        Some("--stay") => report(play(Ending::Stay)),
        None => report(play(Ending::Leave)),
        Some(other) => {
            eprintln!("demo: unknown argument {other}; there is only --stay");
            ExitCode::FAILURE
        }
    }
}

fn report(played: io::Result<()>) -> ExitCode {
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
    Leave,
    Stay,
}

/// How long the load runs undisturbed, before and after each change.
const CALM: Duration = Duration::from_secs(2);

/// How long a change may take to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

fn play(ending: Ending) -> io::Result<()> {
    let mut scene = Scene::set()?;
    let proxy = scene.proxy;
    let _worker = Worker::announcing_through(proxy, free_address()?);
    let before = nodes_once(proxy, "coordinator-1")?;
    println!("\n$ trino --server {proxy} --execute '{NODES}'\n{}", table::drawn(&before));

    let load = Load::start(proxy);
    thread::sleep(CALM);
    println!(
        "\n$ kill -9 {}        # coordinator-1, under 100 requests a second",
        scene.primary_id()
    );
    scene.kill_primary()?;
    let killed = Instant::now();
    let after = nodes_once(proxy, "coordinator-2")?;
    println!("\n$ trino --server {proxy} --execute '{NODES}'\n{}", table::drawn(&after));
    println!(
        "\nBoth nodes are there again {:.1} s after the kill.",
        killed.elapsed().as_secs_f64()
    );
    thread::sleep(CALM);

    println!("\n$ start coordinator-1 again");
    scene.start_primary()?;
    let started = Instant::now();
    nodes_once(proxy, "coordinator-1")?;
    println!("It serves again {:.1} s after its start.", started.elapsed().as_secs_f64());
    thread::sleep(CALM);
    print(&load.stop(killed));
    match ending {
        Ending::Leave => Ok(()),
        Ending::Stay => stay(&scene),
    }
}

const NODES: &str = "select * from system.runtime.nodes";

/// Asks for the nodes until this coordinator answers and knows the worker.
fn nodes_once(proxy: SocketAddr, coordinator: &str) -> io::Result<Rows> {
    let end = Instant::now() + PATIENCE;
    loop {
        match client::query(proxy, NODES) {
            Ok(rows) if rows.contains(coordinator) && rows.contains(worker::NAME) => {
                return Ok(rows);
            }
            Err(why) if Instant::now() > end => return Err(why),
            Ok(_) if Instant::now() > end => {
                return Err(io::Error::other(format!("{coordinator} and the worker never came")));
            }
            Ok(_) | Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn print(report: &Report) {
    println!("\nrequests                         {:>8}", report.requests);
    println!("failed                           {:>8}", report.failures.len());
    println!("first answer after the kill      {:>8.1} ms", millis(report.first_after_kill));
    println!("longest gap between answers      {:>8.1} ms", millis(report.longest_gap));
    println!("slowest request                  {:>8.1} ms", millis(report.slowest));
    println!("told 502, 503 or 504, asked again{:>8}", report.asked_again);
    println!("told that the server is starting {:>8}", report.starting);
    for why in report.failures.iter().take(5) {
        println!("  {why}");
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn stay(scene: &Scene) -> io::Result<()> {
    let proxy = scene.proxy;
    println!("\nEverything runs on. Try, in another terminal:");
    println!("  curl http://{proxy}/v1/info");
    println!(
        "  curl -H 'X-Trino-User: me' -d '{NODES}' http://{proxy}/v1/statement # then its nextUri"
    );
    println!("  trino --server http://{proxy} --execute '{NODES}'");
    println!(
        "  kill -9 {}                                       # the primary",
        scene.primary_id()
    );
    println!("Its file is {}. Enter ends it all.", scene.file().display());
    io::stdin().lock().read_line(&mut String::new()).map(drop)
}
