//! Where log lines leave the process. Nothing here waits unless it is told for how long: a reader
//! that is slow, a disk that is full or a terminal that is stopped must cost lines, not time.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::net::{SendFlags, send};

/// An open log.
#[derive(Debug)]
pub struct Port {
    file: File,
    way: Way,
    /// Where `file` is a pipe to a thread that writes on.
    relay: Option<Relay>,
}

/// A thread that writes what comes through a pipe to a terminal that is another user's. Such a terminal
/// can neither be opened again nor asked how much it takes: only the thread waits for it.
#[derive(Debug)]
struct Relay {
    place: (u64, u64),
    /// Closed once all is written.
    done: Receiver<()>,
}

/// How a write is kept from waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Writing to a file never waits for a reader; pipes, terminals and devices were opened with `O_NONBLOCK`.
    Plain,
    /// A socket, sent to with `MSG_DONTWAIT`.
    Send,
    /// Others share the open description and its flags, and it cannot be opened again: `poll` has to
    /// find room first.
    Ask,
}

impl Port {
    /// Opens a log for appending; creates a file where there is nothing. The standard streams are
    /// meant by their paths even where they cannot be opened by them (sockets, other owners).
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open(path: &Path) -> io::Result<Port> {
        match path.to_str() {
            Some(STDOUT) => return Port::standard(io::stdout().as_fd()),
            Some(STDERR) => return Port::standard(io::stderr().as_fd()),
            Some(_) | None => {}
        }
        let mut options = OpenOptions::new();
        options.append(true).mode(0o644).custom_flags(flags());
        // The reader of a FIFO may come and go: held open for reading as well, the FIFO can be opened
        // before there is a reader, and is not broken after it.
        match std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
            true => options.read(true),
            false => options.create(true),
        };
        Ok(Port { file: options.open(path)?, way: Way::Plain, relay: None })
    }

    /// A standard stream. Setting `O_NONBLOCK` on it would set it for every process that has inherited
    /// the same open description, a shell for example: a pipe or terminal is opened again instead.
    fn standard(stream: BorrowedFd<'_>) -> io::Result<Port> {
        let file = File::from(stream.try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        if kind.is_file() {
            return Ok(Port { file, way: Way::Plain, relay: None });
        }
        if kind.is_socket() {
            return Ok(Port { file, way: Way::Send, relay: None });
        }
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // This fails for another user's terminal, and for a pipe without a reader.
        match Port::write_only(Path::new(&path)) {
            Ok(port) => Ok(port),
            Err(_) if file.is_terminal() => Port::relayed(file),
            Err(_) => Ok(Port { file, way: Way::Ask, relay: None }),
        }
    }

    /// A terminal that only a thread may wait for.
    fn relayed(mut terminal: File) -> io::Result<Port> {
        let found = terminal.metadata()?;
        let (mut from, to) = io::pipe()?;
        let (writes, done) = mpsc::channel::<()>();
        std::thread::Builder::new().spawn(move || {
            // Not `io::copy`: a splice that waits for the terminal would keep the pipe locked.
            let mut bytes = [0; PIECE];
            while let Ok(count @ 1..) = from.read(&mut bytes)
                && terminal.write_all(&bytes[..count]).is_ok()
            {}
            drop(writes);
        })?;
        let file = File::from(OwnedFd::from(to));
        rustix::fs::fcntl_setfl(&file, OFlags::NONBLOCK)?;
        let relay = Some(Relay { place: (found.dev(), found.ino()), done });
        Ok(Port { file, way: Way::Plain, relay })
    }

    /// Ends it. Where a thread writes on, it gets a moment to do so.
    pub fn finish(&mut self) {
        if let Some(relay) = self.relay.take()
            && let Ok(nowhere) = File::options().write(true).open("/dev/null")
        {
            self.file = nowhere;
            // An error either way: closed, which is what is waited for, or too late.
            let _ = relay.done.recv_timeout(LAST_MOMENT);
        }
    }

    /// A pipe, terminal or device, opened for us alone.
    pub(super) fn write_only(path: &Path) -> io::Result<Port> {
        let file = OpenOptions::new().write(true).custom_flags(flags()).open(path)?;
        Ok(Port { file, way: Way::Plain, relay: None })
    }

    /// Becomes that new port, but for a stream that is the same and can only be asked for room now:
    /// after a change of user, the standard streams may not be ours to open again. Whether it is
    /// another place that is written to now.
    pub fn change_to(&mut self, new: Port) -> bool {
        let same = matches!((self.place(), new.place()), (Some(a), Some(b)) if a == b);
        if !(same && self.way == Way::Plain && new.is_shared()) {
            *self = new;
        }
        !same
    }

    /// Whether others share the open description, so that its flags are not ours to set.
    fn is_shared(&self) -> bool {
        self.way == Way::Ask || self.relay.is_some()
    }

    /// The device and inode of what is written to in the end.
    fn place(&self) -> Option<(u64, u64)> {
        match &self.relay {
            Some(relay) => Some(relay.place),
            None => self.file.metadata().ok().map(|found| (found.dev(), found.ino())),
        }
    }

    /// Writes some of these bytes, as far as there is room for them now.
    ///
    /// # Errors
    /// `WouldBlock` where there is none; whatever else the system says.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.way {
            Way::Plain => (&self.file).write(bytes),
            Way::Send => {
                Ok(send(&self.file, piece(bytes), SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
            }
            Way::Ask => match self.has_room(Duration::ZERO)? {
                true => (&self.file).write(piece(bytes)),
                false => Err(io::ErrorKind::WouldBlock.into()),
            },
        }
    }

    /// Waits until there is room, or for this long.
    ///
    /// # Errors
    /// `BrokenPipe` where there is no reader any more; whatever else the system says.
    pub fn has_room(&self, patience: Duration) -> io::Result<bool> {
        let mut ports = [PollFd::new(&self.file, PollFlags::OUT)];
        let patience = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        poll(&mut ports, Some(&patience))?;
        let [port] = ports;
        let found = port.revents();
        if found.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(found.contains(PollFlags::OUT))
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether the standard error stream is the journal's, which takes priorities and knows the time
/// (sd-daemon(3)): `JOURNAL_STREAM` names its device and inode. It is inherited by processes that
/// write elsewhere, so that the numbers decide.
pub fn stderr_is_journal() -> bool {
    let Some(named) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().and_then(metadata);
    stderr.is_ok_and(|found| *named == *format!("{}:{}", found.dev(), found.ino()))
}

fn metadata(stream: OwnedFd) -> io::Result<std::fs::Metadata> {
    File::from(stream).metadata()
}

/// What a pipe takes whole where `poll` finds room: whole lines, as long as one fits.
fn piece(bytes: &[u8]) -> &[u8] {
    let Some(most) = bytes.get(..PIECE) else { return bytes };
    match memchr::memrchr(b'\n', most) {
        Some(end) => most.get(..=end).unwrap_or(most),
        None => most,
    }
}

/// Neither opening nor writing waits, and a terminal does not become the process's own.
fn flags() -> i32 {
    i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0)
}

/// The standard output stream, as a path.
pub const STDOUT: &str = "/dev/stdout";
/// The standard error stream, as a path.
pub const STDERR: &str = "/dev/stderr";
/// What a thread gets to write the last lines to a terminal.
const LAST_MOMENT: Duration = Duration::from_millis(100);
/// `PIPE_BUF`: what is written to a pipe in one piece.
const PIECE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes until there is no room; tells how much went in.
    fn fill(port: &Port) -> usize {
        let mut total = 0;
        loop {
            match port.write(&[b'x'; 1000]) {
                Ok(n) => total += n,
                Err(e) => {
                    assert_eq!(e.kind(), io::ErrorKind::WouldBlock, "{e}");
                    return total;
                }
            }
        }
    }

    #[test]
    fn a_full_pipe_has_no_room_and_its_other_owners_keep_their_flags() {
        let (mut reader, writer) = io::pipe().unwrap();
        let port = Port::standard(writer.as_fd()).unwrap();
        assert_eq!(port.way, Way::Plain);
        let total = fill(&port);
        assert!(!port.has_room(Duration::ZERO).unwrap());
        let shared = rustix::fs::fcntl_getfl(&writer).unwrap();
        assert!(!shared.contains(OFlags::NONBLOCK));
        let mut taken = vec![0; total];
        reader.read_exact(&mut taken).unwrap();
        assert!(port.has_room(Duration::ZERO).unwrap());
        drop(reader);
        assert_eq!(port.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_pipe_that_cannot_be_opened_again_is_asked_for_room() {
        let (reader, writer) = io::pipe().unwrap();
        let port = Port { file: File::from(OwnedFd::from(writer)), way: Way::Ask, relay: None };
        assert!(fill(&port) > 8 * PIECE);
        drop(reader);
        assert_eq!(port.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn only_a_thread_waits_for_another_users_terminal() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut port = Port::relayed(File::from(OwnedFd::from(writer))).unwrap();
        assert!(fill(&port) > 8 * PIECE);
        port.finish();
        // What the thread has taken arrives once there is a reader.
        let mut taken = vec![0; 8 * PIECE];
        reader.read_exact(&mut taken).unwrap();
    }

    #[test]
    fn a_port_of_our_own_stays_where_the_same_stream_cannot_be_opened_again() {
        let asking = |pipe: &io::PipeWriter| Port {
            file: File::from(OwnedFd::from(pipe.try_clone().unwrap())),
            way: Way::Ask,
            relay: None,
        };
        let ((_one, a), (_other, b)) = (io::pipe().unwrap(), io::pipe().unwrap());
        let mut port = Port::standard(a.as_fd()).unwrap();
        port.change_to(asking(&a));
        assert_eq!(port.way, Way::Plain);
        port.change_to(asking(&b));
        assert_eq!(port.way, Way::Ask);
    }

    #[test]
    fn a_full_socket_has_no_room() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let port = Port::standard(ours.as_fd()).unwrap();
        assert_eq!(port.way, Way::Send);
        let mut taken = vec![0; fill(&port)];
        theirs.read_exact(&mut taken).unwrap();
        assert_eq!(port.write(b"a\n").unwrap(), 2);
        drop((ours, theirs));
        assert_eq!(port.write(b"a\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_fifo_takes_lines_before_and_after_its_reader() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let port = Port::open(&path).unwrap();
        assert_eq!(port.write(b"1\n").unwrap(), 2);
        let mut reader = File::open(&path).unwrap();
        let mut line = [0; 2];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"1\n");
        drop(reader);
        assert_eq!(port.write(b"2\n").unwrap(), 2);
    }

    #[test]
    fn pieces_are_whole_lines_where_that_is_possible() {
        assert_eq!(piece(b"a\nb"), b"a\nb");
        let two = [vec![b'x'; 3000], b"\n".to_vec(), vec![b'y'; 3000]].concat();
        assert_eq!(piece(&two).len(), 3001);
        assert_eq!(piece(&[b'x'; 5000]).len(), PIECE);
    }
}
