//! System calls that std lacks, as far as they concern the process itself.

use std::ffi::CString;
use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Group, Pid, Uid, User};

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
    Uid::effective().is_root()
}

/// Sends a signal to a process; 0 only asks whether there is such a process.
///
/// # Errors
/// No such process, or not ours to signal.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    let signal = match signal {
        0 => None,
        number => Some(Signal::try_from(number)?),
    };
    Ok(nix::sys::signal::kill(Pid::from_raw(pid), signal)?)
}

/// The numbers of a user and its own group, or of another group.
///
/// # Errors
/// No such user or group.
pub fn find_ids(user: &str, group: Option<&str>) -> io::Result<Ids> {
    let found = User::from_name(user).map_err(absent)?.ok_or(io::ErrorKind::NotFound)?;
    let group = match group {
        None => found.gid,
        Some(group) => Group::from_name(group).map_err(absent)?.ok_or(io::ErrorKind::NotFound)?.gid,
    };
    Ok(Ids { user: found.uid.as_raw(), group: group.as_raw() })
}

/// All groups that the user is in, by number.
///
/// # Errors
/// Whatever the system says.
pub fn groups(user: &str, ids: Ids) -> io::Result<Vec<u32>> {
    let groups = nix::unistd::getgrouplist(&CString::new(user)?, Gid::from_raw(ids.group))?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

/// What some systems say of a name that their databases lack.
fn absent(reason: Errno) -> io::Error {
    match reason == Errno::ENOENT || reason == Errno::ESRCH {
        true => io::ErrorKind::NotFound.into(),
        false => reason.into(),
    }
}

/// Becomes that user for good, with all its groups.
///
/// # Errors
/// Not permitted.
pub fn become_user(name: &str, ids: Ids) -> io::Result<()> {
    let name = CString::new(name)?;
    let group = Gid::from_raw(ids.group);
    nix::unistd::initgroups(&name, group)?;
    nix::unistd::setgid(group)?;
    // Last, as after it nothing else is permitted.
    Ok(nix::unistd::setuid(Uid::from_raw(ids.user))?)
}

/// Descriptors that are open now; some that a process has at the least, where the system does not tell.
pub fn open_descriptors() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(8, |open| open.count() as u64)
}

/// Raises the limit on open descriptors to `want`, the hard limit too where that is permitted.
/// Returns what it is afterwards.
///
/// # Errors
/// Whatever the system says.
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
