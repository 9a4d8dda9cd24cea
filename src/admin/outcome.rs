//! What an operator is told about a command that was carried out.

use super::json::Object;
use super::snapshot::{self, GroupShown};
use super::work::Work;

/// The outcome of a command.
#[derive(Debug)]
pub enum CarriedOut {
    /// `status`.
    Status(Vec<GroupShown>),
    /// `promote`.
    Promoted {
        /// The server.
        server: String,
        /// Its group.
        upstream: String,
    },
    /// `drain`, or the question whether it has ended.
    Drained {
        /// The server.
        server: String,
        /// Its group.
        upstream: String,
        /// What it still has to do.
        work: Work,
    },
}

impl CarriedOut {
    /// The status of the answer: 202 (Accepted) for a drained server that is not empty yet.
    pub fn status(&self) -> u16 {
        match self {
            CarriedOut::Drained { work, .. } if !work.is_empty() => 202,
            CarriedOut::Status(_) | CarriedOut::Promoted { .. } | CarriedOut::Drained { .. } => 200,
        }
    }

    /// The answer as JSON.
    pub fn json(&self) -> String {
        let mut out = String::new();
        match self {
            CarriedOut::Status(groups) => return snapshot::json(groups),
            CarriedOut::Promoted { server, upstream } => Object::write(&mut out, |object| {
                object.text("promoted", server);
                object.text("upstream", upstream);
            }),
            CarriedOut::Drained { server, upstream, work } => Object::write(&mut out, |object| {
                object.text("drained", server);
                object.text("upstream", upstream);
                work.write(object);
                object.flag("empty", work.is_empty());
            }),
        }
        out.push('\n');
        out
    }

    /// The answer for people.
    pub fn text(&self) -> String {
        match self {
            CarriedOut::Status(groups) => snapshot::table(groups),
            CarriedOut::Promoted { server, upstream } => {
                format!("\"{server}\" of upstream \"{upstream}\" is active\n")
            }
            CarriedOut::Drained { server, upstream, work } if work.is_empty() => {
                format!("\"{server}\" of upstream \"{upstream}\" is drained and empty\n")
            }
            CarriedOut::Drained { server, upstream, work } => format!(
                "\"{server}\" of upstream \"{upstream}\" is drained: it takes no new work, {work}\n"
            ),
        }
    }
}
