//! The story of a run: always as a hash, and on request as readable lines.

use std::io::Write;

use crate::time::Time;

/// Collects what happened.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    output: Output,
}

#[derive(Debug)]
enum Output {
    Silent,
    Stderr,
}

impl Trace {
    pub(super) fn new() -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, output: Output::Silent }
    }

    /// From now on prints a line for each event to the standard error stream.
    pub fn show(&mut self) {
        self.output = Output::Stderr;
    }

    /// A hash that is equal for two runs if the same things happened at the same times.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Records one event: numbers for the hash, text for the reader.
    pub(super) fn note(&mut self, now: Time, what: [usize; 3], text: impl FnOnce() -> String) {
        self.mix(now.as_nanos());
        for number in what {
            self.mix(number as u64);
        }
        match self.output {
            Output::Silent => {}
            Output::Stderr => {
                let micros = now.as_nanos() / 1_000;
                let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
                // Not `eprintln`: the test harness would swallow it if the test passes.
                let _ = writeln!(std::io::stderr(), "{seconds:5}.{micros:06} {}", text());
            }
        }
    }

    fn mix(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
}

/// Bytes as a trace shows them: short, and on one line.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(EXCERPT)];
    let dots = if shown.len() < bytes.len() { "…" } else { "" };
    format!("\"{}{dots}\"", shown.escape_ascii())
}

/// Bytes of a segment that a trace line shows.
const EXCERPT: usize = 72;
