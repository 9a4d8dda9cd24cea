//! Access log lines on their way to files. Gathered here, written elsewhere, in batches.

use std::path::{Path, PathBuf};
use std::time::Duration;

use time::OffsetDateTime;
use time::UtcOffset;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::config::model::AccessLog;
use crate::time::{Time, WallTime};

/// Lines that wait to be written, one batch a file.
#[derive(Debug, Default)]
pub struct AccessLines {
    batches: Vec<Batch>,
}

#[derive(Debug)]
struct Batch {
    path: PathBuf,
    /// Bytes that make a batch worth writing.
    enough: usize,
    /// How long a line may wait.
    patience: Duration,
    lines: Vec<u8>,
    /// When the first of the lines came.
    since: Time,
}

impl AccessLines {
    /// The place of a file's batch, new or known.
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

    /// Adds a line, which `write` appends without its newline.
    pub fn line(&mut self, place: usize, now: Time, write: impl FnOnce(&mut Vec<u8>)) {
        let batch = &mut self.batches[place];
        if batch.lines.is_empty() {
            batch.since = now;
        }
        write(&mut batch.lines);
        batch.lines.push(b'\n');
    }

    /// Batches that are large or old enough: to be written and emptied.
    pub fn due(&mut self, now: Time) -> impl Iterator<Item = (&Path, &mut Vec<u8>)> {
        self.batches.iter_mut().filter(move |batch| batch.due() <= now).map(Batch::hand_out)
    }

    /// All batches with lines: to be written and emptied.
    pub fn all(&mut self) -> impl Iterator<Item = (&Path, &mut Vec<u8>)> {
        self.batches.iter_mut().filter(|batch| !batch.lines.is_empty()).map(Batch::hand_out)
    }

    /// When a batch will be due.
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

/// Appends `$time_local`: `22/Nov/2026:20:05:23 +0000`.
pub fn time_local(at: WallTime, out: &mut Vec<u8>) {
    show(local(at), LOCAL, out);
}

/// Appends `$time_iso8601`: `2026-11-22T20:05:23+00:00`.
pub fn time_iso8601(at: WallTime, out: &mut Vec<u8>) {
    show(local(at), ISO8601, out);
}

/// Appends the value of a `Date` field. RFC 9110, section 5.6.7.
pub fn http_date(at: WallTime, out: &mut Vec<u8>) {
    show(utc(at), HTTP_DATE, out);
}

fn utc(at: WallTime) -> OffsetDateTime {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0));
    moment.unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn local(at: WallTime) -> OffsetDateTime {
    let moment = utc(at);
    UtcOffset::local_offset_at(moment).map_or(moment, |offset| moment.to_offset(offset))
}

fn show(moment: OffsetDateTime, format: &[BorrowedFormatItem<'_>], out: &mut Vec<u8>) {
    // Writing to memory does not fail, and the formats ask for nothing that is missing.
    let _ = moment.format_into(out, format);
}

const LOCAL: &[BorrowedFormatItem<'_>] = format_description!(
    "[day]/[month repr:short]/[year]:[hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
);
const ISO8601: &[BorrowedFormatItem<'_>] = format_description!(
    "[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory]:[offset_minute]"
);
const HTTP_DATE: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_form_that_http_wants() {
        let mut out = Vec::new();
        http_date(WallTime(784_111_777_000_000_000), &mut out);
        assert_eq!(out, b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

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
