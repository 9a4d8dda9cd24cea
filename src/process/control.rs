//! Commands to a running process, over its control socket.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{Timespec, poll};

use crate::admin::percent::encode;
use crate::config::model::Control;

/// A command of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// `promote`.
    Promote(Named),
    /// `drain`.
    Drain(Named, Patience),
    /// `status`.
    Status(Form),
}

/// The server that a command names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name in the file, or its address.
    pub server: String,
    /// `--upstream`.
    pub upstream: Option<String>,
}

/// Whether to wait for the end of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Return at once.
    None,
    /// `--wait`.
    UntilEmpty,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// `--json`.
    Json,
}

/// Why a command was not carried out.
#[derive(Debug)]
pub enum ControlError {
    /// `control off`, or a configuration without a file.
    Off,
    /// The socket cannot be reached, or breaks off.
    Socket {
        /// Its path.
        path: PathBuf,
        /// The reason.
        reason: io::Error,
    },
    /// The process refuses, in its own words.
    Denied(String),
    /// What answers is not this program.
    Strange(PathBuf),
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlError::Off => f.write_str(
                "this configuration has no control socket: write \"control unix:PATH;\" and reload, \
                 or without a file add -g 'control unix:PATH;'",
            ),
            ControlError::Socket { path, reason } => {
                let remedy = remedy(reason.kind());
                write!(f, "cannot use \"{}\": {reason}: {remedy}", path.display())
            }
            ControlError::Denied(words) => f.write_str(words),
            ControlError::Strange(path) => {
                let path = path.display();
                write!(f, "what answers at \"{path}\" is not switchover: correct \"control\"")
            }
        }
    }
}

fn remedy(kind: ErrorKind) -> &'static str {
    if matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused) {
        "is switchover running? -c and -p must be those it was started with"
    } else if kind == ErrorKind::PermissionDenied {
        "run this as the user that started switchover, or as root"
    } else if matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut) {
        "the process does not answer: see its log"
    } else {
        "see the log of the process"
    }
}

/// Carries out a command; `say` prints each part of the answer as it becomes known.
///
/// # Errors
/// The process cannot be reached, or refuses.
pub fn carry_out(
    order: &Order,
    control: &Control,
    mut say: impl FnMut(&str),
) -> Result<(), ControlError> {
    let path = match control {
        Control::Default(path) | Control::At(path) => path,
        Control::Off => return Err(ControlError::Off),
    };
    match order {
        Order::Status(form) => say(&ask(path, "GET", "/status", *form)?.text),
        Order::Promote(named) => {
            let target = format!("/promote?{}", query(named));
            say(&ask(path, "POST", &target, Form::Text)?.text);
        }
        Order::Drain(named, patience) => {
            let target = format!("/drain?{}", query(named));
            let mut answer = ask(path, "POST", &target, Form::Text)?;
            say(&answer.text);
            while answer.status == ACCEPTED && *patience == Patience::UntilEmpty {
                // A signal may end the pause early, which does no harm.
                let _ = poll(&mut [], Some(&PAUSE));
                answer = ask(path, "GET", &target, Form::Text)?;
                if answer.status != ACCEPTED {
                    say(&answer.text);
                }
            }
        }
    }
    Ok(())
}

fn query(named: &Named) -> String {
    let server = format!("server={}", encode(&named.server));
    match &named.upstream {
        Some(upstream) => format!("{server}&upstream={}", encode(upstream)),
        None => server,
    }
}

/// A successful answer.
struct Reply {
    status: u16,
    text: String,
}

/// One request on a connection of its own.
fn ask(path: &Path, method: &str, target: &str, form: Form) -> Result<Reply, ControlError> {
    let accept = match form {
        Form::Text => "text/plain",
        Form::Json => "application/json",
    };
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: switchover\r\nAccept: {accept}\r\n\
         Connection: close\r\nContent-Length: 0\r\n\r\n"
    );
    let bytes = exchange(path, request.as_bytes())
        .map_err(|reason| ControlError::Socket { path: path.into(), reason })?;
    let strange = || ControlError::Strange(path.into());
    let whole = String::from_utf8(bytes).map_err(|_| strange())?;
    let (head, body) = whole.split_once("\r\n\r\n").ok_or_else(strange)?;
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    match status.ok_or_else(strange)? {
        status @ (200 | ACCEPTED) => Ok(Reply { status, text: body.to_owned() }),
        _ => Err(ControlError::Denied(body.trim_end().to_owned())),
    }
}

fn exchange(path: &Path, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer)?;
    Ok(answer)
}

/// The status of a drain that has not ended.
const ACCEPTED: u16 = 202;
/// How long the process may be silent.
const TIMEOUT: Duration = Duration::from_secs(5);
/// More than a status needs, in bytes.
const LARGEST: u64 = 64 << 20;
/// Between two looks at a server that is not empty.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_to_do() {
        let path = || PathBuf::from("/run/a.sock");
        let socket = |kind: ErrorKind| ControlError::Socket { path: path(), reason: kind.into() };
        for (error, words) in [
            (ControlError::Off, "write \"control unix:PATH;\" and reload"),
            (socket(ErrorKind::NotFound), "is switchover running?"),
            (socket(ErrorKind::ConnectionRefused), "is switchover running?"),
            (socket(ErrorKind::PermissionDenied), "or as root"),
            (socket(ErrorKind::WouldBlock), "does not answer: see its log"),
            (socket(ErrorKind::ConnectionReset), "see the log"),
            (ControlError::Strange(path()), "correct \"control\""),
        ] {
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
