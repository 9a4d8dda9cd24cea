//! Remarks on directives that are valid.

use std::fmt;

use crate::address::Address;
use crate::config::model::ShortHeadLine;

/// What is worth knowing although it is not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Remark {
    /// A resource hint, which has no effect.
    Hint(&'static str),
    /// A setting that has no effect.
    Undone {
        /// The directive.
        name: &'static str,
        /// The reason.
        reason: &'static str,
    },
    /// A field that is set, hidden or passed on although the proxy writes it itself.
    Vain {
        /// The directive.
        directive: &'static str,
        /// The field.
        field: String,
        /// Why the directive has no effect.
        reason: &'static str,
    },
    /// `error_log` inside `http {}`.
    ErrorLogEverywhere,
    /// More than one worker requested; there is always one.
    OneWorker,
    /// Two servers with the same name on one address.
    ConflictingName(String, Address),
    /// A nested location that a sibling of its parent hides.
    HiddenLocation(String),
    /// `h2c_tunnel on` in a server with this location, whose rules the tunnel bypasses.
    TunnelPassesBy(String),
    /// A server listens where commands would be taken by default.
    ControlTaken(Address),
    /// `proxy_set_header Host $host` where URLs have to name the port.
    HostWithoutPort,
    /// Request heads are limited to short lines, in front of coordinators.
    ShortHeads(ShortHeadLine),
    /// Servers are reached over TLS, and may be anyone.
    Unverified,
    /// A certificate ends within so many days.
    Ends(String, i64),
    /// A certificate has ended.
    Ended(String),
    /// No certificate of a server is for this name of it.
    NotForName(String),
    /// No server at all.
    NothingToServe,
}

impl Remark {
    pub(in crate::config) fn level(&self) -> log::Level {
        match self {
            Remark::Hint(_) | Remark::ErrorLogEverywhere | Remark::OneWorker => log::Level::Info,
            Remark::Undone { .. }
            | Remark::Vain { .. }
            | Remark::ConflictingName(..)
            | Remark::HiddenLocation(_)
            | Remark::TunnelPassesBy(_)
            | Remark::ControlTaken(_)
            | Remark::HostWithoutPort
            | Remark::ShortHeads(_)
            | Remark::Unverified
            | Remark::Ends(..)
            | Remark::Ended(_)
            | Remark::NotForName(_)
            | Remark::NothingToServe => log::Level::Warn,
        }
    }

    /// Whether the remark is the same wherever it applies, so that showing it once is enough.
    pub(in crate::config) fn is_general(&self) -> bool {
        match self {
            Remark::Hint(_)
            | Remark::Undone { .. }
            | Remark::ErrorLogEverywhere
            | Remark::OneWorker
            | Remark::ControlTaken(_)
            | Remark::HostWithoutPort
            | Remark::ShortHeads(_)
            | Remark::Unverified
            | Remark::NothingToServe => true,
            Remark::Vain { .. }
            | Remark::ConflictingName(..)
            | Remark::HiddenLocation(_)
            | Remark::Ends(..)
            | Remark::Ended(_)
            | Remark::NotForName(_)
            | Remark::TunnelPassesBy(_) => false,
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::TunnelPassesBy(location) => write!(
                f,
                "\"h2c_tunnel\" carries connections past the rules of location \"{location}\""
            ),
            Remark::Hint(name) => write!(f, "\"{name}\" has no meaning for switchover"),
            Remark::Vain { directive, field, reason } => {
                write!(f, "\"{directive} {field}\" has no effect: {reason}")
            }
            Remark::Undone { name, reason } => write!(f, "\"{name}\" has no effect: {reason}"),
            Remark::HostWithoutPort => f.write_str(
                "with \"$host\" a coordinator does not learn the port, and the links in its answers \
                 lead to port 80: write \"$http_host\"",
            ),
            Remark::ShortHeads(short) => short.fmt(f),
            Remark::Ends(path, days) => write!(f, "certificate \"{path}\" ends in {days} days"),
            Remark::Ended(path) => write!(f, "certificate \"{path}\" has ended"),
            Remark::NotForName(name) => {
                write!(f, "no certificate of this server is for its name \"{name}\"")
            }
            Remark::Unverified => f.write_str(
                "servers are reached over TLS, but anyone may answer in their place: write \
                 \"proxy_ssl_trusted_certificate FILE\", or \"proxy_ssl_verify off\" if that is meant",
            ),
            Remark::ErrorLogEverywhere => {
                f.write_str("this \"error_log\" gets the messages of all servers")
            }
            Remark::OneWorker => f.write_str("switchover runs one worker process"),
            Remark::ConflictingName(name, at) => {
                write!(f, "conflicting server name \"{name}\" on {at}, ignored")
            }
            Remark::HiddenLocation(path) => {
                write!(f, "location \"{path}\" is never reached: another one serves these paths")
            }
            Remark::ControlTaken(at) => write!(
                f,
                "a server listens on {at}, where commands are taken by default: there are none; \
                 write \"control unix:PATH\", or \"control off\""
            ),
            Remark::NothingToServe => f.write_str("the configuration has no \"server {}\""),
        }
    }
}
