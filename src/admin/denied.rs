//! Why a command is not carried out, with the remedy.

use std::fmt;

use super::json::Object;
use crate::upstream::group::{Refused, ServerState, Standing};

/// Why a command is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The path is no command's.
    Path,
    /// The command has another method.
    Method {
        /// That method.
        use_instead: &'static str,
    },
    /// The query names no server, or something else too.
    Query,
    /// No group has that name.
    NoUpstream {
        /// The name.
        upstream: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// No server has that name or address.
    NoServer {
        /// The name.
        server: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// The name has several addresses.
    SeveralAddresses {
        /// The name.
        server: String,
        /// Its addresses.
        addresses: Vec<String>,
    },
    /// Several groups have such a server.
    SeveralUpstreams {
        /// The name.
        server: String,
        /// Those groups.
        upstreams: Vec<String>,
    },
    /// The group refuses.
    Refused {
        /// The server.
        server: String,
        /// Its group.
        upstream: String,
        /// How the server stands.
        standing: Standing,
        /// The reason.
        why: Refused,
    },
    /// It is not drained.
    NotDrained {
        /// The server.
        server: String,
        /// Its group.
        upstream: String,
    },
}

impl Denied {
    /// The status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Denied::Path | Denied::NoUpstream { .. } | Denied::NoServer { .. } => 404,
            Denied::Method { .. } => 405,
            Denied::Query => 400,
            Denied::SeveralAddresses { .. }
            | Denied::SeveralUpstreams { .. }
            | Denied::Refused { .. }
            | Denied::NotDrained { .. } => 409,
        }
    }

    /// The answer as JSON.
    pub fn json(&self) -> String {
        let mut out = String::new();
        Object::write(&mut out, |object| object.text("error", &self.to_string()));
        out.push('\n');
        out
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Path => f.write_str(
                "there is no such command: GET /status, POST /promote?server=NAME and \
                 POST /drain?server=NAME are known",
            ),
            Denied::Method { use_instead } => write!(f, "this command takes {use_instead}"),
            Denied::Query => f.write_str(
                "the query names no server: write ?server=NAME or \
                             ?server=NAME&upstream=NAME, percent-encoded",
            ),
            Denied::NoUpstream { upstream, known } => {
                write!(f, "there is no upstream \"{upstream}\"; there are: {}", list(known))
            }
            Denied::NoServer { server, known } => {
                write!(f, "there is no server \"{server}\"; there are: {}", list(known))
            }
            Denied::SeveralAddresses { server, addresses } => write!(
                f,
                "\"{server}\" has several addresses: name one of them: {}",
                list(addresses)
            ),
            Denied::SeveralUpstreams { server, upstreams } => write!(
                f,
                "\"{server}\" is in several upstreams: choose one with --upstream: {}",
                list(upstreams)
            ),
            Denied::Refused { server, upstream, standing, why: Refused::NotReady } => {
                write!(f, "\"{server}\" of upstream \"{upstream}\" is not ready: ")?;
                not_ready(*standing, f)
            }
            Denied::Refused { server, upstream, why: Refused::LastOne, .. } => write!(
                f,
                "no other server of upstream \"{upstream}\" is ready to take the work of \
                 \"{server}\": bring one back first, or promote a drained one"
            ),
            Denied::NotDrained { server, upstream } => write!(
                f,
                "\"{server}\" of upstream \"{upstream}\" is not drained, or not any more: drain it"
            ),
        }
    }
}

fn not_ready(standing: Standing, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match standing.state {
        ServerState::Down => f.write_str("the file marks it \"down\": remove that word and reload"),
        ServerState::Starting => {
            f.write_str("it is starting: promote it once \"status\" shows it as ready")
        }
        ServerState::Out | ServerState::Drained | ServerState::Ready => {
            f.write_str("it is out")?;
            if let Some(lasting) = standing.lasting {
                write!(f, " for {} s", lasting.as_secs())?;
            }
            if let Some(why) = standing.why {
                write!(f, ", it {}", why.words())?;
            }
            f.write_str(": promote it once \"status\" shows it as ready")
        }
    }
}

/// Names, separated by commas; only as many as a line can hold.
fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        few if few.len() <= LISTED => few.join(", "),
        many => format!("{} and {} more", many[..LISTED].join(", "), many.len() - LISTED),
    }
}

/// Names that a message lists.
const LISTED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_lists_what_a_line_can_hold() {
        let names: Vec<String> = (0..22).map(|n| n.to_string()).collect();
        assert_eq!(list(&[]), "none");
        assert_eq!(list(&names[..2]), "0, 1");
        assert!(list(&names).ends_with("18, 19 and 2 more"));
    }
}
