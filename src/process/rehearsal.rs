//! Tries a start without disturbing a running process: for `-t`, and to find what would fail once
//! the process has changed its user.
//!
//! Nothing is created, written or listened on.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use socket2::{Domain, Socket, Type};

use super::error::ProcessError;
use super::pid;
use super::port::{STDERR, STDOUT};
use super::system::{self, Ids};
use crate::address::Address;
use crate::config::model::{Config, Listen, LogSink, PidFile, Purpose, StateFile, User};
use crate::worker::{ListenError, no_commands};

/// Problems that a start would meet.
#[derive(Debug, Default)]
pub(super) struct Rehearsal {
    /// Problems that prevent a start.
    pub(super) errors: Vec<ProcessError>,
    /// What the operator should know although it is not an error.
    pub(super) warnings: Vec<String>,
}

impl Rehearsal {
    /// Tries a configuration.
    pub(super) fn of(config: &Config) -> Rehearsal {
        let mut rehearsal = Rehearsal::default();
        rehearsal.try_files(config);
        rehearsal.try_addresses(config);
        rehearsal.try_user(config);
        rehearsal
    }

    fn try_files(&mut self, config: &Config) {
        for path in logs(config) {
            if let Err(reason) = writable(path) {
                self.errors.push(ProcessError::Open { path: path.into(), reason });
            }
        }
        match &config.process.pid {
            PidFile::Off => {}
            PidFile::Default(path) => {
                if let Err(reason) = writable_at_once(path) {
                    let path = path.display();
                    let warning =
                        format!("cannot write \"{path}\": {reason}; \"-s\" will not work");
                    self.warnings.push(warning);
                }
            }
            PidFile::At(path) => {
                if let Err(reason) = writable_at_once(path) {
                    self.errors.push(ProcessError::Open { path: path.clone(), reason });
                }
            }
        }
    }

    fn try_addresses(&mut self, config: &Config) {
        for listen in &config.listens {
            let address = || listen.address.clone();
            match try_bind(listen) {
                Ok(()) => {}
                // Probably in use by the process that is to load this configuration.
                Err(e) if e.kind() == ErrorKind::AddrInUse => {
                    if !runs(&config.process.pid) {
                        let reason = "in use, and no process of the pid file runs";
                        self.warnings.push(format!("{} is {reason}", address()));
                    }
                }
                Err(reason) if listen.purpose == Purpose::CommandsIfPossible => {
                    self.warnings.push(no_commands(&listen.address, &reason));
                }
                Err(reason) => {
                    let error = ListenError { address: address(), reason };
                    self.errors.push(ProcessError::Listen(error));
                }
            }
        }
    }

    fn try_user(&mut self, config: &Config) {
        let Some(user) = &config.process.user else { return };
        if !system::is_root() {
            return self.warnings.push(USER_IGNORED.into());
        }
        match Permitted::of(user) {
            Ok(permitted) => self.warnings.extend(permitted.warnings(config)),
            Err(error) => self.errors.push(error),
        }
    }
}

/// What another user may do with files, judged by owners and modes. (Root cannot ask the system on
/// another user's behalf; access control lists may permit more.)
pub(super) struct Permitted<'a> {
    user: &'a User,
    pub(super) ids: Ids,
    groups: Vec<u32>,
}

impl Permitted<'_> {
    /// Looks the user up.
    ///
    /// # Errors
    /// There is no such user or group.
    pub(super) fn of(user: &User) -> Result<Permitted<'_>, ProcessError> {
        let failed = |reason| ProcessError::User { name: user.name.clone(), reason };
        let ids = system::find_ids(&user.name, user.group.as_deref()).map_err(failed)?;
        let groups = system::groups(&user.name, ids).map_err(failed)?;
        Ok(Permitted { user, ids, groups })
    }

    /// What would fail once the process runs as that user.
    pub(super) fn warnings(&self, config: &Config) -> Vec<String> {
        let mut warnings = Vec::new();
        let name = &self.user.name;
        for path in logs(config) {
            let (log, directory) = (path.display(), directory(path).display());
            if !self.reaches(path) {
                warnings.push(format!(
                    "user \"{name}\" may not enter \"{directory}\": \"{log}\" cannot be opened again \
                     after a rotation; let that user pass (chmod o+x), or move the log"
                ));
            } else if !self.creates(path) {
                warnings.push(format!(
                    "user \"{name}\" may not create files in \"{directory}\": after a rotation, \
                     \"{log}\" is only opened again if it was made for that user before the signal \
                     (logrotate: create 0640 {name}); or let the directory be that user's"
                ));
            }
        }
        if let PidFile::At(path) | PidFile::Default(path) = &config.process.pid
            && !self.creates(path)
        {
            let (file, directory) = (path.display(), directory(path).display());
            warnings.push(format!(
                "user \"{name}\" may not remove files in \"{directory}\": \"{file}\" stays when the \
                 process ends"
            ));
        }
        if let StateFile::At(path) | StateFile::Default(path) = &config.process.state
            && !self.creates(path)
        {
            let (file, directory) = (path.display(), directory(path).display());
            warnings.push(format!(
                "user \"{name}\" may not create files in \"{directory}\": \"{file}\" cannot be written, \
                 promotions and drains do not survive a restart"
            ));
        }
        warnings
    }

    fn reaches(&self, path: &Path) -> bool {
        let Ok(path) = fs::canonicalize(directory(path)) else { return true };
        path.ancestors().all(|above| fs::metadata(above).is_ok_and(|found| self.may(&found, 1)))
    }

    fn creates(&self, path: &Path) -> bool {
        let directory = directory(path);
        self.reaches(path) && fs::metadata(directory).is_ok_and(|found| self.may(&found, 3))
    }

    /// Whether the user's class has all of these permission bits: 1 to enter, 2 to write.
    fn may(&self, found: &Metadata, bits: u32) -> bool {
        let class = if found.uid() == self.ids.user {
            6
        } else if found.gid() == self.ids.group || self.groups.contains(&found.gid()) {
            3
        } else {
            0
        };
        self.ids.user == 0 || (found.mode() >> class) & bits == bits
    }
}

/// The paths of all logs except the standard streams.
fn logs(config: &Config) -> impl Iterator<Item = &Path> {
    let errors = config.process.error_logs.iter().filter_map(|log| match &log.to {
        LogSink::File(path) => Some(path.as_path()),
        LogSink::Stderr => None,
    });
    let access = config.access_logs.iter().map(|log| log.path.as_path());
    let streams = [Path::new(STDOUT), Path::new(STDERR)];
    errors.chain(access).filter(move |path| !streams.contains(path))
}

/// Like [`writable`], without blocking on a FIFO that has no reader.
fn writable_at_once(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.file_type().is_fifo() => Err(rustix::io::Errno::NXIO.into()),
        Ok(_) | Err(_) => writable(path),
    }
}

/// Whether a file can be written, or created if it is missing.
fn writable(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(found) if found.file_type().is_socket() => Err(rustix::io::Errno::NXIO.into()),
        Ok(_) => Ok(accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS)?),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let rights = Access::WRITE_OK | Access::EXEC_OK;
            Ok(accessat(CWD, directory(path), rights, AtFlags::EACCESS)?)
        }
        Err(reason) => Err(reason),
    }
}

fn directory(path: &Path) -> &Path {
    let parent = path.parent().unwrap_or(path);
    if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
}

/// Binds as a listener would, and releases the address at once. A socket that does not listen does
/// not occupy it.
fn try_bind(at: &Listen) -> io::Result<()> {
    match &at.address {
        Address::Inet(address) => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                socket.set_only_v6(at.ipv6_only)?;
            }
            if at.reuse_port {
                socket.set_reuse_port(true)?;
            }
            socket.bind(&(*address).into())
        }
        Address::Unix(path) => match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => Ok(()),
            // Only a socket is removed to make room.
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => writable(path),
        },
    }
}

/// Whether the process of the pid file runs; assumed if there is no pid file.
fn runs(pid_file: &PidFile) -> bool {
    let (PidFile::Default(path) | PidFile::At(path)) = pid_file else { return true };
    pid::read_pid(path).is_ok_and(|pid| match system::kill(pid, 0) {
        Ok(()) => true,
        Err(reason) => reason.kind() == ErrorKind::PermissionDenied,
    })
}

/// The warning about a `user` that has no effect.
pub(super) const USER_IGNORED: &str = "\"user\" is ignored: only root can become another user";

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_can_be_written_where_it_is_or_where_it_can_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| writable(&dir.path().join(name)).map_err(|reason| reason.kind());
        assert_eq!(at("new"), Ok(()));
        assert!(!dir.path().join("new").exists());
        fs::write(dir.path().join("old"), "x").unwrap();
        assert_eq!(at("old"), Ok(()));
        assert_eq!(at("none/new"), Err(ErrorKind::NotFound));
        assert_eq!(at(""), Err(ErrorKind::IsADirectory));
        assert_eq!(at("old/new"), Err(ErrorKind::NotADirectory));
        let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        assert!(at("socket").is_err());
    }

    #[test]
    fn rights_are_those_of_the_class_that_a_user_is_in() {
        let dir = tempfile::tempdir().unwrap();
        let found = fs::metadata(dir.path()).unwrap();
        let (owner, group) = (found.uid(), found.gid());
        let user = User { name: "a".into(), group: None };
        let may = |mode, ids: (u32, u32), groups: &[u32], bits| {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            let ids = Ids { user: ids.0, group: ids.1 };
            let permitted = Permitted { user: &user, ids, groups: groups.into() };
            permitted.may(&fs::metadata(dir.path()).unwrap(), bits)
        };
        let stranger = (owner + 1, group + 1);
        assert!(may(0o755, stranger, &[], 1) && !may(0o755, stranger, &[], 3));
        assert!(may(0o770, (owner + 1, group), &[], 3) && !may(0o707, (owner + 1, group), &[], 3));
        assert!(may(0o730, stranger, &[group], 3) && !may(0o730, stranger, &[group + 2], 1));
        assert!(may(0o703, stranger, &[], 3));
        assert!(owner == 0 || !may(0o077, (owner, group + 1), &[group], 1));
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    }
}
