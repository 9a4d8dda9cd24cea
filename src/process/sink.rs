//! Log lines on their way out of the process. Lines without room wait, up to a limit; lines beyond
//! the limit are counted, and reported once there is room again.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::ProcessError;
use super::port::Port;
use crate::time::Time;

/// One log.
#[derive(Debug)]
pub struct Sink {
    path: PathBuf,
    port: Port,
    /// Waiting lines; the first may have been written in part.
    waiting: Vec<u8>,
    /// Lines dropped since the log last worked.
    lost: u64,
    /// The last byte written: another file may take over only after the end of a line.
    last: u8,
    /// When to write again at the earliest.
    again: Time,
    state: SinkState,
    change: Option<SinkChange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SinkState {
    Works,
    /// The failure is reported.
    Fails,
}

/// A change of a log's state.
#[derive(Debug)]
pub enum SinkChange {
    /// The log takes no more lines.
    Fails(io::Error),
    /// The log takes lines again.
    Works {
        /// Lines dropped meanwhile.
        lost: u64,
    },
}

impl SinkChange {
    /// The message to the operator about the log at `path`.
    pub fn line(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            SinkChange::Fails(reason) if reason.kind() == ErrorKind::WouldBlock => {
                format!("\"{path}\" has no room for more lines: they are lost")
            }
            SinkChange::Fails(reason) => format!("cannot write to \"{path}\": {reason}"),
            SinkChange::Works { lost: 0 } => format!("\"{path}\" can be written to again"),
            SinkChange::Works { lost: 1 } => {
                format!("1 line was lost that \"{path}\" had no room for")
            }
            SinkChange::Works { lost } => {
                format!("{lost} lines were lost that \"{path}\" had no room for")
            }
        }
    }
}

impl Sink {
    /// Opens a log: see [`Port::open`].
    ///
    /// # Errors
    /// Any error of the system, with the path.
    pub fn open(path: &Path) -> Result<Sink, ProcessError> {
        Ok(Sink {
            path: path.into(),
            port: open_port(path)?,
            waiting: Vec::new(),
            lost: 0,
            last: b'\n',
            again: Time::ZERO,
            state: SinkState::Works,
            change: None,
        })
    }

    /// Reopens the path, which may lead to another file now. Lines that the old file has no room
    /// for go to the new one.
    ///
    /// # Errors
    /// Like [`Sink::open`]; the log stays as it was.
    pub fn reopen(&mut self) -> Result<(), ProcessError> {
        self.flush_now(Time::ZERO);
        let new = open_port(&self.path)?;
        self.change_to(new);
        Ok(())
    }

    fn change_to(&mut self, new: Port) {
        let is_other = self.port.change_to(new);
        self.again = Time::ZERO;
        if is_other && self.last != b'\n' {
            // The rest of a line that began in another file is not a whole line.
            let rest = memchr::memchr(b'\n', &self.waiting);
            self.waiting.drain(..rest.map_or(self.waiting.len(), |end| end + 1));
            self.last = b'\n';
            self.lost += 1;
            self.state = SinkState::Fails;
        }
    }

    /// Continues where an earlier sink of the same path stopped.
    pub fn take_over(&mut self, earlier: Sink) {
        let new = std::mem::replace(self, earlier);
        self.change_to(new.port);
    }

    /// Whether no line waits and no lost line is unreported.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.lost == 0
    }

    /// The path of the log.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line, with its newline, to the waiting ones; [`Sink::flush`] writes them.
    pub fn push(&mut self, line: &[u8], now: Time) {
        if self.waiting.len() + line.len() > WAITING_LIMIT {
            return self.write(line, now);
        }
        self.keep(line);
    }

    /// Writes lines after those that wait.
    pub fn write(&mut self, lines: &[u8], now: Time) {
        self.flush(now);
        if !self.waiting.is_empty() || now < self.again {
            return self.keep(lines);
        }
        let (written, outcome) = write(&self.port, lines);
        let (taken, rest) = lines.split_at(written);
        self.last = taken.last().copied().unwrap_or(self.last);
        // A line that was begun is finished, however long it is.
        let begun = match taken.last() {
            None | Some(b'\n') => 0,
            Some(_) => memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1),
        };
        let (begun, rest) = rest.split_at(begun);
        self.waiting.extend_from_slice(begun);
        self.keep(rest);
        self.note(outcome, now);
    }

    /// Writes waiting lines, unless there was no room a moment ago.
    pub fn flush(&mut self, now: Time) {
        if now >= self.again {
            self.flush_now(now);
        }
    }

    /// Writes waiting lines for the last time; gives a reader a moment to make room.
    pub fn finish(&mut self) {
        self.flush_now(Time::ZERO);
        for _ in 0..LAST_ROUNDS {
            if self.waiting.is_empty() || !self.port.has_room(LAST_WAIT).is_ok_and(|room| room) {
                break;
            }
            self.flush_now(Time::ZERO);
        }
        self.port.finish();
    }

    /// When to retry waiting lines.
    pub fn next_try(&self) -> Time {
        if self.waiting.is_empty() { Time::NEVER } else { self.again }
    }

    /// The latest change of the log's state since the last call.
    pub fn change(&mut self) -> Option<SinkChange> {
        self.change.take()
    }

    fn flush_now(&mut self, now: Time) {
        if self.waiting.is_empty() {
            return;
        }
        let (written, outcome) = write(&self.port, &self.waiting);
        self.last = self.waiting.drain(..written).next_back().unwrap_or(self.last);
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_CAPACITY {
            self.waiting = Vec::new();
        }
        self.note(outcome, now);
    }

    fn note(&mut self, outcome: io::Result<()>, now: Time) {
        let Err(reason) = outcome else {
            if self.state == SinkState::Fails {
                self.state = SinkState::Works;
                self.change = Some(SinkChange::Works { lost: std::mem::take(&mut self.lost) });
            }
            return;
        };
        self.again = now + AGAIN;
        let kind = reason.kind();
        if matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) {
            // There may never be a reader again, so no line waits for one.
            self.lost += lines(&self.waiting);
            self.waiting.clear();
        } else if kind == ErrorKind::WouldBlock && self.lost == 0 {
            // A reader that is a little late is not a failure.
            return;
        }
        self.fail(reason);
    }

    fn fail(&mut self, reason: io::Error) {
        if self.state == SinkState::Works {
            self.state = SinkState::Fails;
            self.change = Some(SinkChange::Fails(reason));
        }
    }

    /// Lets as many lines wait as fit. Once a line is lost, all later ones are too, until none
    /// waits: the log then has a single gap, and its end is reported in place.
    fn keep(&mut self, more: &[u8]) {
        let room = match self.lost == 0 || self.waiting.is_empty() {
            true => WAITING_LIMIT.saturating_sub(self.waiting.len()),
            false => 0,
        };
        let fits = match more.get(..room) {
            None => more.len(),
            Some(most) => memchr::memrchr(b'\n', most).map_or(0, |end| end + 1),
        };
        let (kept, lost) = more.split_at(fits);
        self.waiting.extend_from_slice(kept);
        if !lost.is_empty() {
            self.lost += lines(lost);
            self.fail(ErrorKind::WouldBlock.into());
        }
    }
}

fn open_port(path: &Path) -> Result<Port, ProcessError> {
    Port::open(path).map_err(|reason| ProcessError::Open { path: path.into(), reason })
}

/// Writes as much as there is room for; returns how much, and what stopped it.
fn write(port: &Port, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match port.write(rest) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(reason) if reason.kind() == ErrorKind::Interrupted => {}
            Err(reason) => return (written, Err(reason)),
        }
    }
    (written, Ok(()))
}

fn lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Bytes that may wait for one log: some thousand lines, a second of a busy access log.
const WAITING_LIMIT: usize = 256 << 10;
/// Storage that a log keeps while no line waits, in bytes.
const KEPT_CAPACITY: usize = 16 << 10;
/// How long to wait after a log had no room.
const AGAIN: Duration = Duration::from_millis(100);
/// How many times, and how long each, the end of the process waits for a reader.
const LAST_ROUNDS: usize = 10;
const LAST_WAIT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    use crate::process::system::open_flags;

    /// A FIFO without a reader, and its sink.
    fn fifo() -> (tempfile::TempDir, Sink) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        // Not by running `mkfifo`: a forked child briefly holds the pipes of other threads' tests.
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        let sink = Sink::open(&path).unwrap();
        (dir, sink)
    }

    /// A line with this number, so long that few fill a pipe.
    fn line(number: usize) -> Vec<u8> {
        format!("{number:0100}\n").into_bytes()
    }

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    /// Reads everything while the sink flushes; returns the numbers of the lines.
    fn read_all(sink: &mut Sink, path: &Path) -> Vec<usize> {
        let flags = open_flags(OFlags::NONBLOCK);
        let mut reader = File::options().read(true).custom_flags(flags).open(path).unwrap();
        let mut text = Vec::new();
        let mut now = at(1000);
        loop {
            let end = reader.read_to_end(&mut text).unwrap_err();
            assert_eq!(end.kind(), ErrorKind::WouldBlock);
            if sink.waiting.is_empty() {
                break;
            }
            sink.flush(now);
            now = now + AGAIN;
        }
        let text = String::from_utf8(text).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn a_line_that_was_begun_elsewhere_is_counted_and_not_torn() {
        let (dir, mut sink) = fifo();
        let path = dir.path().join("fifo");
        // In pieces of which a pipe's size is no multiple.
        for number in 0..2000 {
            sink.write(&line(number), at(0));
        }
        assert!(!sink.waiting.is_empty());
        // A few bytes of room: the next line is begun, and its rest waits.
        let flags = open_flags(OFlags::NONBLOCK);
        let mut reader = File::options().read(true).custom_flags(flags).open(&path).unwrap();
        reader.read_exact(&mut [0; 4200]).unwrap();
        sink.flush(at(1000));
        assert_ne!(sink.last, b'\n');
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        sink.reopen().unwrap();
        sink.flush(at(2000));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().all(|line| line.len() == 100), "{:?}", text.lines().next());
        assert!(matches!(sink.change(), Some(SinkChange::Works { lost: 1.. })));
    }

    #[test]
    fn what_finds_no_room_waits_within_bounds_and_the_rest_is_counted() {
        for batch in [1, 7, 1000] {
            let (dir, mut sink) = fifo();
            let count = 6000;
            let all: Vec<Vec<u8>> = (0..count).map(line).collect();
            for lines in all.chunks(batch) {
                match lines {
                    [one] => sink.push(one, at(0)),
                    many => sink.write(&many.concat(), at(0)),
                }
            }
            sink.flush(at(1));
            assert!(sink.waiting.len() <= WAITING_LIMIT, "{}", sink.waiting.len());
            assert!(matches!(sink.change, Some(SinkChange::Fails(_))));
            assert_eq!(sink.next_try(), at(100));
            let lost = usize::try_from(sink.lost).unwrap();
            let numbers = read_all(&mut sink, &dir.path().join("fifo"));
            // Exactly the counted lines are missing, all at the end.
            assert_eq!(numbers, (0..count - lost).collect::<Vec<usize>>());
            let Some(SinkChange::Works { lost: told }) = sink.change else { panic!() };
            assert_eq!((told, sink.lost, sink.next_try()), (lost as u64, 0, Time::NEVER));
            assert!(lost > 1000, "{lost}");
        }
    }

    #[test]
    fn a_full_disk_is_tried_again_now_and_then_and_told_once() {
        let mut sink = Sink::open(Path::new("/dev/full")).unwrap();
        sink.push(b"1\n", at(0));
        sink.flush(at(0));
        assert!(matches!(sink.change.take(), Some(SinkChange::Fails(_))));
        sink.push(b"2\n", at(50));
        sink.flush(at(50));
        sink.flush(at(100));
        assert_eq!((sink.next_try(), sink.waiting.as_slice()), (at(200), &b"1\n2\n"[..]));
        assert!(sink.change.is_none());
        sink.finish();
    }

    #[test]
    fn a_line_longer_than_all_that_may_wait_is_written_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut sink = Sink::open(&path).unwrap();
        let long = [vec![b'x'; WAITING_LIMIT], b"\n".to_vec()].concat();
        sink.push(b"1\n", at(0));
        sink.push(&long, at(0));
        assert_eq!(std::fs::read(&path).unwrap(), [b"1\n", &long[..]].concat());
    }

    #[test]
    fn without_a_reader_nothing_waits() {
        let (mut sink, path) = (Sink::open(Path::new("/dev/null")).unwrap(), "/proc/self/fd");
        let (reader, writer) = std::io::pipe().unwrap();
        let path = format!("{path}/{}", writer.as_raw_fd());
        sink.port = Port::write_only(Path::new(&path)).unwrap();
        drop(reader);
        for round in 0..3 {
            sink.push(b"1\n2\n", at(round * 100));
            sink.flush(at(round * 100));
            assert_eq!((sink.next_try(), sink.lost), (Time::NEVER, 2 * (round + 1)));
        }
        assert!(matches!(sink.change, Some(SinkChange::Fails(_))));
    }
}
