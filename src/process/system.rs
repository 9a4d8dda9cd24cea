//! System calls that std lacks: the only unsafe code of the program.
#![allow(unsafe_code)]

use std::ffi::{CString, NulError};
use std::io;

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
}

/// Whether the process may become any user.
pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Leaves the terminal and the foreground; streams go to `/dev/null`, the directory stays.
/// Must be called while there is one thread.
///
/// # Errors
/// When the system cannot fork.
pub fn daemonize() -> io::Result<()> {
    // SAFETY: only forks and moves descriptors 0 to 2; no other thread holds a lock.
    check(unsafe { libc::daemon(1, 0) })
}

/// Sends a signal to a process.
///
/// # Errors
/// No such process, or not ours to signal.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes two numbers.
    check(unsafe { libc::kill(pid, signal) })
}

/// The numbers of a user and its own group, or of another group.
///
/// # Errors
/// No such user or group.
pub fn find_ids(user: &str, group: Option<&str>) -> io::Result<Ids> {
    let user = c_string(user)?;
    // SAFETY: the name ends with zero; the answer is read before anything else can replace it,
    // as there is one thread.
    let mut ids = unsafe {
        let found = libc::getpwnam(user.as_ptr());
        let found = found.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ids { user: found.pw_uid, group: found.pw_gid }
    };
    if let Some(group) = group {
        let group = c_string(group)?;
        // SAFETY: as above.
        let found = unsafe { libc::getgrnam(group.as_ptr()).as_ref().map(|found| found.gr_gid) };
        ids.group = found.ok_or(io::ErrorKind::NotFound)?;
    }
    Ok(ids)
}

/// Becomes that user for good, with all its groups.
///
/// # Errors
/// Not permitted.
pub fn become_user(name: &str, ids: Ids) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: the name ends with zero; the calls take it and numbers. The user comes last, as
    // after it nothing else is permitted.
    unsafe {
        check(libc::initgroups(name.as_ptr(), ids.group))?;
        check(libc::setgid(ids.group))?;
        check(libc::setuid(ids.user))
    }
}

/// Raises the limit on open descriptors to `want`, the hard limit too where that is permitted.
/// Returns what it is afterwards.
///
/// # Errors
/// Whatever the system says.
pub fn raise_descriptor_limit(want: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes into a struct of its type.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    if limit.rlim_cur >= want {
        return Ok(limit.rlim_cur);
    }
    let raised = libc::rlimit { rlim_cur: want, rlim_max: limit.rlim_max.max(want) };
    // SAFETY: reads from a struct of its type.
    if check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) }).is_ok() {
        return Ok(want);
    }
    let raised = libc::rlimit { rlim_cur: want.min(limit.rlim_max), rlim_max: limit.rlim_max };
    // SAFETY: reads from a struct of its type.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) })?;
    Ok(raised.rlim_cur)
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_: NulError| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name() {
        assert_eq!(find_ids("root", None).unwrap(), Ids { user: 0, group: 0 });
        assert_eq!(find_ids("root", Some("root")).unwrap().group, 0);
        assert_eq!(find_ids("no such user", None).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(find_ids("a\0b", None).is_err());
    }

    #[test]
    fn a_limit_that_is_high_enough_stays() {
        assert!(raise_descriptor_limit(1).unwrap() >= 1);
    }

    #[test]
    fn a_process_that_does_not_exist_cannot_be_signalled() {
        assert!(kill(i32::MAX, 0).is_err());
    }
}
