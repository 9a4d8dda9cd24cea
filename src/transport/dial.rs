//! Connecting: what a failed connect says about the server.

use std::io::{Error, ErrorKind};

use rustix::io::Errno;

use crate::upstream::retry::Failure;

/// The failure to hold against the server; `None` if we lack descriptors, ports or memory.
pub fn failure_of_connect(error: &Error) -> Option<Failure> {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    if Errno::from_io_error(error).is_some_and(|code| exhausted.contains(&code)) {
        return None;
    }
    if error.kind() == ErrorKind::AddrNotAvailable {
        return Some(Failure::NoLocalAddress);
    }
    let refused = error.kind() == ErrorKind::ConnectionRefused;
    let timed_out = error.kind() == ErrorKind::TimedOut;
    Some(match (refused, timed_out) {
        (true, _) => Failure::Refused,
        (_, true) => Failure::ConnectTimedOut,
        (false, false) => Failure::Unreachable,
    })
}
