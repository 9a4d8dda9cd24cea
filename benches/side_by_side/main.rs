//! Side by side with nginx and HAProxy: what the same work costs each of them.
//!
//! `cargo bench --bench side_by_side` builds the release binary, runs all programs in turn, round
//! after round, and prints a table. Times are ratios of what the processes spent on a processor in
//! the same round; the machine's speed, and most of what else runs on it, falls out. The column
//! "floor" is what a forwarder spends that parses nothing and copies bytes: what the kernel alone costs
//! a proxy without pipes (see `floor.rs`). Words behind `--` choose rows by a part of their name.
//! Without the feature `tls` there are no rows about TLS (see `tls.rs`).

#![allow(clippy::disallowed_methods, reason = "what is measured is time")]

mod count;
mod floor;
mod load;
mod memory;
mod origin;
mod proxy;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
#[path = "../../tests/common/trusting.rs"]
mod trusting;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use load::{Load, Then, Work};
use proxy::{ALL, Program, Proxy};
#[cfg(feature = "tls")]
use tls::Handshake;
use wire::Through;

/// Bytes of a bulk body.
pub(crate) const BULK: u64 = 64 << 20;
/// The word that makes a forwarder of this program: [`floor`].
pub(crate) const FLOOR: &str = "--floor";
/// How often every program is measured.
const ROUNDS: usize = 5;
/// How long a program works before it is measured, and while it is.
const WARM: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_millis(1500);

/// A row of the table.
struct Row {
    name: &'static str,
    work: Work,
}

const ROWS: [Row; 11] = [
    row("small GET", Through::Http, GET, 0, 64),
    row("Trino poll", Through::Http, POLL, 0, 64),
    row("Trino poll, to coordinators", Through::Http, POLL_OF_QUERY, 0, 64),
    short_poll("short Trino poll, before the first rows", POLL_OF_KEPT),
    short_poll("short Trino poll, after them", POLL_OF_FORGOTTEN),
    row("POST, 2 KiB", Through::Http, POST, 2048, 64),
    row("download, 64 MiB", Through::Http, DOWNLOAD, 0, 4),
    row("upload, 64 MiB", Through::Http, UPLOAD, BULK, 4),
    row("one sequential connection", Through::Http, GET, 0, 1),
    row("stream, small GET", Through::Stream, GET, 0, 64),
    row("stream, download, 64 MiB", Through::Stream, DOWNLOAD, 0, 4),
];

const FRESH: Row = Row { name: "one connection a request", work: anew(Through::Http) };

/// Rows of a build with TLS.
#[cfg(feature = "tls")]
const TLS: &[Row] = &[
    row("TLS, small GET", Through::Tls(Handshake::Ecdsa), GET, 0, 64),
    row("TLS, download, 64 MiB", Through::Tls(Handshake::Ecdsa), DOWNLOAD, 0, 4),
    row("TLS, upload, 64 MiB", Through::Tls(Handshake::Ecdsa), UPLOAD, BULK, 4),
    Row { name: "TLS, full handshake, ECDSA", work: anew(Through::Tls(Handshake::Ecdsa)) },
    Row { name: "TLS, full handshake, RSA", work: anew(Through::Tls(Handshake::Rsa)) },
    Row { name: "TLS, resumed handshake", work: anew(Through::Tls(Handshake::Resumed)) },
];
#[cfg(not(feature = "tls"))]
const TLS: &[Row] = &[];

/// A connection for each request.
const fn anew(through: Through) -> Work {
    Work { through, first: b"", request: CLOSE, body: 0, connections: 16, then: Then::Anew }
}

const fn row(
    name: &'static str,
    through: Through,
    request: &'static [u8],
    body: u64,
    connections: usize,
) -> Row {
    let work = Work { through, first: b"", request, body, connections, then: Then::Again };
    Row { name, work }
}

/// Polls without rows, once a statement is submitted.
const fn short_poll(name: &'static str, request: &'static [u8]) -> Row {
    let Row { name, work } = row(name, Through::Http, request, 0, 64);
    Row { name, work: Work { first: STATEMENT, ..work } }
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let Some((FLOOR, path)) = words.first().map(String::as_str).zip(words.get(1)) {
        return floor::run(path);
    }
    let chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    build()?;
    #[cfg(feature = "tls")]
    tls::certify()?;
    let origin = origin::start()?;
    println!("{}", about());
    println!("| Processor time, ratio to nginx | switchover | HAProxy | floor | median answer |");
    println!("|---|---|---|---|---|");
    for row in ROWS.iter().chain([&FRESH]).chain(TLS).filter(|row| chosen(row.name)) {
        println!("{}", times(row, origin)?);
    }
    println!("\n| Counted, a request | switchover | nginx | HAProxy |\n|---|---|---|---|");
    let is_small = |row: &&Row| row.work.request != DOWNLOAD && row.work.body != BULK;
    let counted =
        || ROWS.iter().filter(|row| row.work.through == Through::Http).chain(TLS).filter(is_small);
    for row in counted().chain([&FRESH]) {
        let name = format!("system calls, {}", row.name);
        if chosen(&name) {
            let each = ALL.map(|program| count::system_calls(program, origin, row.work));
            println!("{}", counts(&name, each, 1)?);
        }
    }
    for row in counted().filter(|row| row.name.contains("GET") || row.name.contains("poll")) {
        let name = format!("user instructions, {}", row.name);
        if chosen(&name) {
            let each = ALL.map(|program| count::instructions(program, origin, row.work));
            println!("{}", counts(&name, each, 0)?);
        }
    }
    if chosen("memory") {
        println!("\n| Memory | switchover | nginx | HAProxy |\n|---|---|---|---|");
        memory::print(origin)?;
    }
    if chosen("start") {
        println!("\n| Start | switchover | nginx | HAProxy |\n|---|---|---|---|");
        println!("{}", starts(origin)?);
        println!("| size of the program, MB | {} |", ALL.map(size).join(" | "));
    }
    Ok(())
}

/// Builds the binary as it is released.
fn build() -> io::Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let features = if cfg!(feature = "tls") { "tls" } else { "" };
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--bin", "switchover"])
        .args(["--no-default-features", "--features", features])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    assert!(status.success(), "the binary does not build");
    Ok(())
}

/// Where cargo puts what it builds: above the directory of this program's own.
pub(crate) fn target() -> PathBuf {
    let own = std::env::current_exe().expect("we run");
    own.ancestors().nth(3).expect("target/release/deps/side_by_side").to_owned()
}

/// When and with what this was measured.
fn about() -> String {
    let date = Command::new("date").args(["-u", "+%F %R UTC"]).output();
    let date = date.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    let versions = ALL.map(|program| format!("{} {}", program.name(), program.version()));
    format!("{}; {}; {ROUNDS} rounds\n", date.unwrap_or_default(), versions.join(", "))
}

/// One row: each program and the floor in turn, round after round.
fn times(row: &Row, origin: SocketAddr) -> io::Result<String> {
    let mut ratios = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let (ours, median) = cost(row, Program::Switchover, origin)?;
        let (nginx, nginx_median) = cost(row, Program::Nginx, origin)?;
        let (haproxy, _) = cost(row, Program::Haproxy, origin)?;
        // The forwarder speaks no TLS.
        let speaks = matches!(row.work.through, Through::Http | Through::Stream);
        let (floor, _) = if speaks { cost(row, Program::Floor, origin)? } else { NOT_MEASURED };
        let round = [ours / nginx, haproxy / nginx, floor / nginx, median / nginx_median];
        ratios.iter_mut().zip(round).for_each(|(ratios, ratio)| ratios.push(ratio));
    }
    Ok(format!("| {} | {} |", row.name, ratios.map(spread).join(" | ")))
}

/// Processor time a request, or a byte where they are many, and what a request took, in seconds.
fn cost(row: &Row, program: Program, origin: SocketAddr) -> io::Result<(f64, f64)> {
    let proxy = Proxy::start(program, origin)?;
    let mut load = Load::begin(&proxy, row.work)?;
    load.go_on(WARM)?;
    let before = proxy.processor_time();
    let done = load.go_on(MEASURED)?;
    let spent = (proxy.processor_time() - before).as_secs_f64();
    // Few bulk bodies end within the time: their bytes are what counts.
    let is_bulk = row.work.body == BULK || row.work.request == DOWNLOAD;
    let amount = if is_bulk { done.bytes } else { done.requests };
    Ok((spent / amount as f64, done.median.as_secs_f64()))
}

/// Waits for events; a signal in between brings none.
pub(crate) fn wait(
    poll: &mut mio::Poll,
    events: &mut mio::Events,
    most: Option<Duration>,
) -> io::Result<()> {
    match poll.poll(events, most) {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => {
            events.clear();
            Ok(())
        }
        waited => waited,
    }
}

/// The median, and the smallest and the largest.
fn spread(mut values: Vec<f64>) -> String {
    if values.iter().any(|value| value.is_nan()) {
        return "–".to_owned();
    }
    values.sort_unstable_by(f64::total_cmp);
    let (median, last) = (values[values.len() / 2], values.len() - 1);
    format!("{median:.2} ({:.2}–{:.2})", values[0], values[last])
}

fn counts(name: &str, each: [io::Result<Option<f64>>; 3], digits: usize) -> io::Result<String> {
    let mut line = format!("| {name} |");
    for count in each {
        match count? {
            Some(count) => line += &format!(" {count:.digits$} |"),
            None => line += " cannot be counted here |",
        }
    }
    Ok(line)
}

/// The shortest of some starts: what else runs only makes them longer.
fn starts(origin: SocketAddr) -> io::Result<String> {
    let mut line = "| to the first accepted connection, ms |".to_owned();
    for program in ALL {
        let mut shortest = Duration::MAX;
        for _ in 0..STARTS {
            shortest = shortest.min(Proxy::start(program, origin)?.started_in);
        }
        line += &format!(" {:.1} |", shortest.as_secs_f64() * 1e3);
    }
    Ok(line)
}

fn size(program: Program) -> String {
    let bytes = std::fs::metadata(program.path()).map_or(0, |file| file.len());
    format!("{:.2}", bytes as f64 / 1e6)
}

const STARTS: usize = 20;
/// Stands for a cost and a time that there are not.
const NOT_MEASURED: (f64, f64) = (f64::NAN, f64::NAN);

const GET: &[u8] = b"GET /small HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\n\
    Accept: */*\r\n\r\n";
const CLOSE: &[u8] = b"GET /small HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\n\
    Accept: */*\r\nConnection: close\r\n\r\n";
const POST: &[u8] = b"POST /small HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\n\
    Content-Type: text/plain\r\nContent-Length: 2048\r\n\r\n";
const DOWNLOAD: &[u8] = b"GET /bulk HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";
const UPLOAD: &[u8] =
    b"PUT /small HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 67108864\r\n\r\n";

/// What Trino's clients send while they fetch results from this path, 1.5 KB of it.
macro_rules! poll {
    ($path:literal) => {
        concat!(
            "GET ",
            $path,
            " HTTP/1.1\r\nHost: localhost:8080\r\n\
    User-Agent: trino-python-client/0.336.0\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\n\
    Connection: keep-alive\r\nX-Trino-Catalog: hive\r\nX-Trino-Schema: web\r\n\
    X-Trino-Source: dashboards\r\nX-Trino-User: alice\r\nX-Trino-Timezone: Europe/Zurich\r\n\
    X-Trino-Client-Capabilities: PARAMETRIC_DATETIME,SESSION_AUTHORIZATION\r\n\
    X-Trino-Client-Tags: reporting,nightly,team-analytics\r\n\
    X-Trino-Transaction-Id: NONE\r\n\
    X-Trino-Session: query_max_run_time=2h,query_max_execution_time=1h,join_distribution_type=\
    PARTITIONED,task_concurrency=16,writer_count=4,spill_enabled=true,optimize_hash_generation=\
    true,push_aggregation_through_outer_join=true,distributed_sort=true,query_priority=5\r\n\
    X-Trino-Role: hive=ROLE%7Banalyst%7D,system=ROLE%7Bpublic%7D\r\n\
    X-Trino-Extra-Credential: token=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsIml\
    hdCI6MTUxNjIzOTAyMiwiZ3JvdXBzIjpbImFuYWx5c3RzIiwicmVwb3J0aW5nIiwibmlnaHRseSJdfQ.c2lnbmF0dXJl\
    LXRoYXQtaXMtbm90LXJlYWxseS1vbmU\r\n\
    X-Trino-Prepared-Statement: report=SELECT%20region%2C%20sum%28amount%29%20AS%20total%20FROM%2\
    0sales%20WHERE%20day%20%3D%20%3F%20GROUP%20BY%20region%20ORDER%20BY%20total%20DESC%20LIMIT%20\
    100&inventory=SELECT%20item%2C%20count%28%2A%29%20FROM%20stock%20WHERE%20warehouse%20%3D%20%3\
    F%20AND%20quantity%20%3E%200%20GROUP%20BY%20item\r\n\r\n"
        )
        .as_bytes()
    };
}

/// A poll, as a group sees it that is not Trino's.
const POLL: &[u8] = poll!("/chunked");
/// A statement, which the server takes as the query of [`POLL_OF_KEPT`].
const STATEMENT: &[u8] = b"POST /v1/statement HTTP/1.1\r\nHost: localhost:8080\r\n\
    X-Trino-User: alice\r\nContent-Length: 8\r\n\r\nSELECT 1";
/// A poll of a query of which no rows were delivered, and one of another query that is not kept.
const POLL_OF_KEPT: &[u8] = poll!("/v1/statement/executing/20261130_103000_00002_abcde/y1/1");
const POLL_OF_FORGOTTEN: &[u8] = poll!("/v1/statement/executing/20261130_103000_00003_abcde/y1/1");
/// A poll of a query of which rows were delivered: it makes the group Trino's.
const POLL_OF_QUERY: &[u8] = poll!("/v1/statement/executing/20261130_103000_00001_abcde/y1/1");
