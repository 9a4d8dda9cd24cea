//! Connecting: what a connect that failed says of the server.

use std::io::{Error, ErrorKind};

use crate::upstream::retry::Failure;

/// What a failed connect says of the server; none when the lack is ours.
pub fn failure_of_connect(error: &Error) -> Option<Failure> {
    let exhausted = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    if error.raw_os_error().is_some_and(|code| exhausted.contains(&code)) {
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
