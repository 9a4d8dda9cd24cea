//! Where log lines leave the process. Nothing here blocks unless given a duration: a slow reader, a
//! full disk or a stopped terminal must cost lines, not time.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::retry_on_intr;
use rustix::net::{SendFlags, send};

use super::system::open_flags;

/// An open log.
#[derive(Debug)]
pub struct Port {
    file: File,
    mode: WriteMode,
}

/// How a write is kept from blocking.
#[derive(Debug)]
enum WriteMode {
    /// Files never wait for a reader; pipes, terminals and devices are opened with `O_NONBLOCK`.
    Plain,
    /// A socket, sent to with `MSG_DONTWAIT`.
    Send,
    /// Other processes share the open description and its flags, and it cannot be reopened: `poll`
    /// must report room first.
    Ask,
    /// A pipe of our own, which a thread copies.
    Relayed(Relay),
}

/// A thread that copies a pipe to another user's terminal. Such a terminal can neither be reopened
/// nor asked how much it takes, so only the thread waits for it.
#[derive(Debug)]
struct Relay {
    place: (u64, u64),
    /// A pipe whose other end the thread closes once everything is written.
    done: PipeReader,
}

impl Port {
    /// Opens a log for appending, and creates a missing file. The paths of the standard streams
    /// mean those streams, even if they cannot be opened by path (sockets, other owners).
    ///
    /// # Errors
    /// Any error of the system.
    pub fn open(path: &Path) -> io::Result<Port> {
        match path.to_str() {
            Some(STDOUT) => return Port::standard(io::stdout().as_fd()),
            Some(STDERR) => return Port::standard(io::stderr().as_fd()),
            Some(_) | None => {}
        }
        let mut options = OpenOptions::new();
        options.append(true).mode(0o644).custom_flags(open_flags(FLAGS));
        // The reader of a FIFO may come and go. Opening the FIFO for reading as well works without
        // a reader, and keeps it intact after the reader leaves.
        match std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
            true => options.read(true),
            false => options.create(true),
        };
        Ok(Port { file: options.open(path)?, mode: WriteMode::Plain })
    }

    /// A standard stream. `O_NONBLOCK` on the stream itself would affect every process that shares
    /// the open description, such as a shell; so a pipe or terminal is reopened instead.
    fn standard(stream: BorrowedFd<'_>) -> io::Result<Port> {
        let file = File::from(stream.try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        if kind.is_file() {
            return Ok(Port { file, mode: WriteMode::Plain });
        }
        if kind.is_socket() {
            return Ok(Port { file, mode: WriteMode::Send });
        }
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // This fails for another user's terminal, and for a pipe without a reader.
        match Port::write_only(Path::new(&path)) {
            Ok(port) => Ok(port),
            Err(_) if file.is_terminal() => Port::relayed(file),
            Err(_) => Ok(Port { file, mode: WriteMode::Ask }),
        }
    }

    /// A terminal that only a thread may wait for.
    fn relayed(mut terminal: File) -> io::Result<Port> {
        let found = terminal.metadata()?;
        let (mut from, to) = io::pipe()?;
        let (done, writes) = io::pipe()?;
        std::thread::Builder::new().spawn(move || {
            // `io::copy` would splice, and hold the pipe's lock while it waits for the terminal.
            let mut bytes = [0; PIECE];
            while let Ok(count @ 1..) = from.read(&mut bytes)
                && terminal.write_all(&bytes[..count]).is_ok()
            {}
            drop(writes);
        })?;
        let file = File::from(OwnedFd::from(to));
        rustix::fs::fcntl_setfl(&file, OFlags::NONBLOCK)?;
        let relay = Relay { place: (found.dev(), found.ino()), done };
        Ok(Port { file, mode: WriteMode::Relayed(relay) })
    }

    /// Ends the log. A relay thread gets a moment to write the rest.
    pub fn finish(&mut self) {
        if let WriteMode::Relayed(relay) = &self.mode
            && let Ok(nowhere) = File::options().write(true).open("/dev/null")
        {
            self.file = nowhere;
            // Whether the thread is done or the time is over, the log ends.
            let _ = wait(relay.done.as_fd(), PollFlags::IN, LAST_MOMENT);
            self.mode = WriteMode::Plain;
        }
    }

    /// Opens a pipe, terminal or device with an open description of our own.
    pub(super) fn write_only(path: &Path) -> io::Result<Port> {
        let file = OpenOptions::new().write(true).custom_flags(open_flags(FLAGS)).open(path)?;
        Ok(Port { file, mode: WriteMode::Plain })
    }

    /// Replaces this port by `new`, except if both are the same stream and only this port can be
    /// written without `poll`: after a change of user, the standard streams may not be reopened.
    /// Returns whether the destination changed.
    pub fn change_to(&mut self, new: Port) -> bool {
        let same = matches!((self.place(), new.place()), (Some(a), Some(b)) if a == b);
        if !(same && self.is_plain() && new.is_shared()) {
            *self = new;
        }
        !same
    }

    /// Whether other processes share the open description, so that its flags must not be changed.
    fn is_shared(&self) -> bool {
        matches!(self.mode, WriteMode::Ask | WriteMode::Relayed(_))
    }

    /// Whether it is written like a file, without flags or `poll`.
    fn is_plain(&self) -> bool {
        matches!(self.mode, WriteMode::Plain | WriteMode::Relayed(_))
    }

    /// The device and inode of the final destination.
    fn place(&self) -> Option<(u64, u64)> {
        match &self.mode {
            WriteMode::Relayed(relay) => Some(relay.place),
            WriteMode::Plain | WriteMode::Send | WriteMode::Ask => {
                self.file.metadata().ok().map(|found| (found.dev(), found.ino()))
            }
        }
    }

    /// Writes as many of the bytes as there is room for now.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room; any other error of the system.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.mode {
            WriteMode::Plain | WriteMode::Relayed(_) => (&self.file).write(bytes),
            WriteMode::Send => {
                Ok(send(&self.file, piece(bytes), SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
            }
            WriteMode::Ask => match self.has_room(Duration::ZERO)? {
                true => (&self.file).write(piece(bytes)),
                false => Err(io::ErrorKind::WouldBlock.into()),
            },
        }
    }

    /// Waits for room, at most for `patience`.
    ///
    /// # Errors
    /// `BrokenPipe` if there is no reader any more; any other error of the system.
    pub fn has_room(&self, patience: Duration) -> io::Result<bool> {
        let found = wait(self.file.as_fd(), PollFlags::OUT, patience)?;
        if found.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(found.contains(PollFlags::OUT))
    }
}

/// Waits for an event, at most for `patience`, and returns what has happened.
fn wait(file: BorrowedFd<'_>, event: PollFlags, patience: Duration) -> io::Result<PollFlags> {
    let mut files = [PollFd::new(&file, event)];
    let patience = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    };
    retry_on_intr(|| poll(&mut files, Some(&patience)))?;
    let [file] = files;
    Ok(file.revents())
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether standard error is connected to the journal, which takes priorities and adds the time
/// (sd-daemon(3)): `JOURNAL_STREAM` names its device and inode. Child processes with another stderr
/// inherit the variable, so the numbers are compared.
pub fn stderr_is_journal() -> bool {
    let Some(named) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().and_then(metadata);
    stderr.is_ok_and(|found| *named == *format!("{}:{}", found.dev(), found.ino()))
}

fn metadata(stream: OwnedFd) -> io::Result<std::fs::Metadata> {
    File::from(stream).metadata()
}

/// The part that a pipe takes whole if `poll` reports room: whole lines, if one fits.
fn piece(bytes: &[u8]) -> &[u8] {
    let Some(most) = bytes.get(..PIECE) else { return bytes };
    match memchr::memrchr(b'\n', most) {
        Some(end) => most.get(..=end).unwrap_or(most),
        None => most,
    }
}

/// The standard output stream, as a path.
pub const STDOUT: &str = "/dev/stdout";
/// The standard error stream, as a path.
pub const STDERR: &str = "/dev/stderr";
/// Opening and writing do not block, and a terminal does not become the controlling terminal.
const FLAGS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);
/// How long a relay thread may take to write the last lines.
const LAST_MOMENT: Duration = Duration::from_millis(100);
/// `PIPE_BUF`: the most bytes that a pipe takes in one piece.
const PIECE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes until there is no room; returns the number of bytes written.
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
        assert!(matches!(port.mode, WriteMode::Plain));
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
        let port = Port { file: File::from(OwnedFd::from(writer)), mode: WriteMode::Ask };
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
            mode: WriteMode::Ask,
        };
        let ((_one, a), (_other, b)) = (io::pipe().unwrap(), io::pipe().unwrap());
        let mut port = Port::standard(a.as_fd()).unwrap();
        port.change_to(asking(&a));
        assert!(matches!(port.mode, WriteMode::Plain));
        port.change_to(asking(&b));
        assert!(matches!(port.mode, WriteMode::Ask));
    }

    #[test]
    fn a_full_socket_has_no_room() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let port = Port::standard(ours.as_fd()).unwrap();
        assert!(matches!(port.mode, WriteMode::Send));
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
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
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
