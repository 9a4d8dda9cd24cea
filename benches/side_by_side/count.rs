//! Counts that no clock takes part in: system calls by strace, instructions by callgrind.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::load::{Load, Work};
use crate::proxy::{Program, Proxy, signal};

/// System calls a request; none where strace is missing or may not look.
pub(crate) fn system_calls(
    program: Program,
    origin: SocketAddr,
    work: Work,
) -> io::Result<Option<f64>> {
    let proxy = Proxy::start(program, origin)?;
    let mut load = Load::begin(&proxy, work)?;
    load.go_on(Duration::from_millis(500))?;
    let id = proxy.id().to_string();
    let strace =
        Command::new("strace").args(["-f", "-c", "-p", &id]).stderr(Stdio::piped()).spawn();
    let Ok(mut strace) = strace else { return Ok(None) };
    let mut said = BufReader::new(strace.stderr.take().expect("piped"));
    let mut line = String::new();
    said.read_line(&mut line)?;
    let attached = line.contains("attached");
    let requests = if attached { load.go_on(Duration::from_secs(2))?.requests } else { 0 };
    signal("INT", strace.id())?;
    let mut table = String::new();
    said.read_to_string(&mut table)?;
    strace.wait()?;
    let total = table.lines().find(|line| line.ends_with("total"));
    // Share of time, seconds, time a call, calls, errors if there were any, and the word.
    let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok());
    Ok(calls.filter(|_| requests > 0).map(|calls| calls / requests as f64))
}

/// Instructions a request, without the kernel's; none where valgrind is missing.
pub(crate) fn instructions(
    program: Program,
    origin: SocketAddr,
    work: Work,
) -> io::Result<Option<f64>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Ok(None);
    }
    // What the start and the end take falls out of the difference.
    let few = collected(program, origin, work, REQUESTS)?;
    let many = collected(program, origin, work, REQUESTS * 3)?;
    let difference = |(few, at_first), (many, at_last): (usize, u64)| {
        (at_last - at_first) as f64 / (many - few) as f64
    };
    Ok(few.zip(many).map(|(few, many)| difference(few, many)))
}

/// Answers, and the instructions that a whole run with so many took.
fn collected(
    program: Program,
    origin: SocketAddr,
    work: Work,
    requests: usize,
) -> io::Result<Option<(usize, u64)>> {
    let words = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let proxy = Proxy::start_under(&words, program, origin)?;
    let mut load = Load::begin(&proxy, work)?;
    let answers = load.until_answered(requests)?;
    drop(load);
    let said = proxy.end()?;
    let line = said.lines().find_map(|line| line.split_once("Collected : "));
    Ok(line.and_then(|(_, count)| Some((answers, count.trim().parse().ok()?))))
}

const REQUESTS: usize = 2000;
