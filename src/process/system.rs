//! System calls that std lacks, and flags in the form that std takes.

use std::ffi::CString;
use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Group, Pid, Uid, User};
use rustix::fs::OFlags;

/// A user and a group, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
}

/// Whether the process may change to any user.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Sends a signal to a process; 0 only checks that the process exists.
///
/// # Errors
/// There is no such process, or it may not be signalled.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    let signal = match signal {
        0 => None,
        number => Some(Signal::try_from(number)?),
    };
    Ok(nix::sys::signal::kill(Pid::from_raw(pid), signal)?)
}

/// The numeric ids of a user and of its own or another group.
///
/// # Errors
/// There is no such user or group.
pub fn find_ids(user: &str, group: Option<&str>) -> io::Result<Ids> {
    let found = User::from_name(user).map_err(absent)?.ok_or(io::ErrorKind::NotFound)?;
    let group = match group {
        None => found.gid,
        Some(group) => Group::from_name(group).map_err(absent)?.ok_or(io::ErrorKind::NotFound)?.gid,
    };
    Ok(Ids { user: found.uid.as_raw(), group: group.as_raw() })
}

/// All groups of the user, as numbers.
///
/// # Errors
/// Any error of the system.
pub fn groups(user: &str, ids: Ids) -> io::Result<Vec<u32>> {
    let groups = nix::unistd::getgrouplist(&CString::new(user)?, Gid::from_raw(ids.group))?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

/// Some systems report a missing name with these errors.
fn absent(reason: Errno) -> io::Error {
    match reason == Errno::ENOENT || reason == Errno::ESRCH {
        true => io::ErrorKind::NotFound.into(),
        false => reason.into(),
    }
}

/// Changes to the user permanently, with all its groups.
///
/// # Errors
/// Not permitted.
pub fn become_user(name: &str, ids: Ids) -> io::Result<()> {
    let name = CString::new(name)?;
    let group = Gid::from_raw(ids.group);
    nix::unistd::initgroups(&name, group)?;
    nix::unistd::setgid(group)?;
    // Last: after it nothing else is permitted.
    Ok(nix::unistd::setuid(Uid::from_raw(ids.user))?)
}

/// The number of open descriptors; the usual minimum if the system does not report it.
pub fn open_descriptors() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(8, |open| open.count() as u64)
}

/// Flags for [`std::os::unix::fs::OpenOptionsExt::custom_flags`].
pub(super) fn open_flags(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).expect("the system takes them as an int")
}

/// Raises the limit on open descriptors to `want`, and the hard limit if permitted. Returns the
/// resulting limit.
///
/// # Errors
/// Any error of the system.
pub fn raise_descriptor_limit(want: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= want {
        return Ok(soft);
    }
    if setrlimit(Resource::RLIMIT_NOFILE, want, hard.max(want)).is_ok() {
        return Ok(want);
    }
    let raised = want.min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, raised, hard)?;
    Ok(raised)
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
