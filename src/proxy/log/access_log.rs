//! Access log lines, gathered in batches that the caller writes to files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::model::AccessLog;
use crate::time::Time;

/// Lines that wait to be written, one batch per file.
#[derive(Debug, Default)]
pub struct AccessLines {
    batches: Vec<Batch>,
}

#[derive(Debug)]
struct Batch {
    path: PathBuf,
    /// Bytes that make a batch due at once.
    enough: usize,
    /// How long a line may wait.
    patience: Duration,
    lines: Vec<u8>,
    /// When the first line was added.
    since: Time,
}

impl AccessLines {
    /// The place of the batch for a file, which is created if needed.
    pub fn open(&mut self, log: &AccessLog) -> usize {
        let known = self.batches.iter().position(|batch| batch.path == log.path);
        let place = known.unwrap_or_else(|| {
            self.batches.push(Batch {
                path: log.path.clone(),
                enough: 0,
                patience: Duration::ZERO,
                lines: Vec::new(),
                since: Time::NEVER,
            });
            self.batches.len() - 1
        });
        self.batches[place].enough = log.buffer;
        self.batches[place].patience = log.flush;
        place
    }

    /// Adds a line; `write` appends its text, without the newline.
    pub fn line(&mut self, place: usize, now: Time, write: impl FnOnce(&mut Vec<u8>)) {
        let batch = &mut self.batches[place];
        if batch.lines.is_empty() {
            batch.since = now;
        }
        write(&mut batch.lines);
        batch.lines.push(b'\n');
    }

    /// Batches that are due, because of their size or age. The caller writes and empties them.
    pub fn due(&mut self, now: Time) -> impl Iterator<Item = (&Path, &mut Vec<u8>)> {
        self.batches.iter_mut().filter(move |batch| batch.due() <= now).map(Batch::hand_out)
    }

    /// All batches that have lines. The caller writes and empties them.
    pub fn all(&mut self) -> impl Iterator<Item = (&Path, &mut Vec<u8>)> {
        self.batches.iter_mut().filter(|batch| !batch.lines.is_empty()).map(Batch::hand_out)
    }

    /// When the next batch is due.
    pub fn next_due(&self) -> Time {
        self.batches.iter().map(Batch::due).min().unwrap_or(Time::NEVER)
    }
}

impl Batch {
    fn due(&self) -> Time {
        if self.lines.is_empty() {
            Time::NEVER
        } else if self.lines.len() >= self.enough {
            Time::ZERO
        } else {
            self.since + self.patience
        }
    }

    fn hand_out(&mut self) -> (&Path, &mut Vec<u8>) {
        (&self.path, &mut self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_due_when_it_is_large_or_old() {
        let mut access_lines = AccessLines::default();
        let log = AccessLog { path: "a".into(), buffer: 10, flush: Duration::from_nanos(5) };
        let place = access_lines.open(&log);
        assert_eq!(access_lines.open(&log), place);
        let at = Time::from_nanos;
        access_lines.line(place, at(1), |out| out.extend_from_slice(b"abc"));
        assert_eq!((access_lines.next_due(), access_lines.due(at(5)).count()), (at(6), 0));
        access_lines.line(place, at(2), |out| out.extend_from_slice(b"defghi"));
        assert_eq!(
            access_lines.due(at(2)).map(|(_, lines)| std::mem::take(lines)).next().unwrap(),
            b"abc\ndefghi\n"
        );
        assert_eq!(access_lines.next_due(), Time::NEVER);
    }
}
