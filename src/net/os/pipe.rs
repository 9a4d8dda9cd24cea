//! The system's pipes: `splice(2)` on Linux, nothing elsewhere.

use std::io;
use std::os::fd::BorrowedFd;

/// Both ends of a pipe.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct OsPipe {
    read: std::os::fd::OwnedFd,
    write: std::os::fd::OwnedFd,
}

/// A platform without pipes has none of these.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub enum OsPipe {}

#[cfg(target_os = "linux")]
impl OsPipe {
    pub(super) fn new() -> io::Result<OsPipe> {
        use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // The user's limit on pipe memory may be reached: a smaller pipe only takes more steps.
        let _ = fcntl_setpipe_size(&write, CAPACITY);
        Ok(OsPipe { read, write })
    }

    pub(super) fn fill(&mut self, from: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        Ok(rustix::pipe::splice(from, None, &self.write, None, most, flags())?)
    }

    pub(super) fn drain(&mut self, to: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        Ok(rustix::pipe::splice(&self.read, None, to, None, most, flags())?)
    }
}

#[cfg(not(target_os = "linux"))]
impl OsPipe {
    pub(super) fn new() -> io::Result<OsPipe> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn fill(&mut self, _: BorrowedFd<'_>, _: usize) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn drain(&mut self, _: BorrowedFd<'_>, _: usize) -> io::Result<usize> {
        match *self {}
    }
}

#[cfg(target_os = "linux")]
fn flags() -> rustix::pipe::SpliceFlags {
    rustix::pipe::SpliceFlags::MOVE | rustix::pipe::SpliceFlags::NONBLOCK
}

/// The requested capacity of a pipe in bytes; the kernel counts pages, even partly filled ones.
#[cfg(target_os = "linux")]
const CAPACITY: usize = 256 << 10;
