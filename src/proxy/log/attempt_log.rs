//! What was tried for a request and what came of it: the `$upstream_…` variables.

use std::time::Duration;

use super::format::show;
use crate::config::model::{Config, GroupId};
use crate::time::Time;
use crate::upstream::group::ServerId;

/// All attempts of one exchange.
#[derive(Debug, Default)]
pub struct AttemptLog {
    /// Those that failed, in order: hardly ever any.
    earlier: Vec<Attempt>,
    /// The attempt that is being made, or the last one.
    current: Option<Attempt>,
    /// Bytes of the request's body that came from the client.
    pub body_received: u64,
}

/// One attempt at one server.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The group that was asked: another one for the page that takes an error's place.
    pub group: GroupId,
    /// The server; none where no server could be picked.
    pub server: Option<ServerId>,
    /// When it began.
    pub began: Time,
    /// The response's status, or the one that stands for the failure.
    pub status: Option<u16>,
    /// How long the connect took.
    pub connect: Option<Duration>,
    /// How long the response head took.
    pub header: Option<Duration>,
    /// How long all of it took.
    pub response: Option<Duration>,
    /// Bytes of the response's body.
    pub length: u64,
    /// Bytes sent to the server.
    pub sent: u64,
    /// Bytes received from it.
    pub received: u64,
}

impl AttemptLog {
    /// A new attempt begins.
    pub fn begin(&mut self, group: GroupId, server: Option<ServerId>, now: Time) {
        let attempt = Attempt {
            group,
            server,
            began: now,
            status: None,
            connect: None,
            header: None,
            response: None,
            length: 0,
            sent: 0,
            received: 0,
        };
        self.earlier.extend(self.current.replace(attempt));
    }

    /// Names groups and servers anew as `renamed` has them; forgets attempts at those it does not
    /// know any more.
    pub fn rename(
        &mut self,
        renamed: impl Fn(GroupId, Option<ServerId>) -> Option<(GroupId, Option<ServerId>)>,
    ) {
        let rename = |mut attempt: Attempt| {
            (attempt.group, attempt.server) = renamed(attempt.group, attempt.server)?;
            Some(attempt)
        };
        self.earlier = std::mem::take(&mut self.earlier).into_iter().filter_map(rename).collect();
        self.current = self.current.take().and_then(rename);
    }

    /// The attempts in order.
    pub fn iter(&self) -> impl Iterator<Item = &Attempt> {
        self.earlier.iter().chain(&self.current)
    }

    /// The attempt that is being made.
    pub fn current(&mut self) -> Option<&mut Attempt> {
        self.current.as_mut()
    }

    /// Bytes went to the server of the current attempt.
    pub fn sent(&mut self, count: usize) {
        if let Some(attempt) = self.current() {
            attempt.sent += count as u64;
        }
    }

    /// Bytes came from the server of the current attempt.
    pub fn received(&mut self, count: usize) {
        if let Some(attempt) = self.current() {
            attempt.received += count as u64;
        }
    }

    /// So many bytes of these belong to the response's body.
    pub fn of_body(&mut self, count: usize) {
        if let Some(attempt) = self.current() {
            attempt.length += count as u64;
        }
    }

    /// The current attempt has its connection.
    pub fn connected(&mut self, now: Time) {
        if let Some(attempt) = self.current() {
            attempt.connect = Some(now - attempt.began);
        }
    }

    /// The first byte has come in the current attempt.
    pub fn first_byte(&mut self, now: Time) {
        if let Some(attempt) = self.current() {
            attempt.header = Some(now - attempt.began);
        }
    }

    /// The current attempt has a response head.
    pub fn answered(&mut self, status: u16, now: Time) {
        if let Some(attempt) = self.current() {
            attempt.status = Some(status);
        }
        self.first_byte(now);
    }

    /// The current attempt is over.
    pub fn ended(&mut self, failed_with: Option<u16>, now: Time) {
        if let Some(attempt) = self.current() {
            attempt.status = attempt.status.or(failed_with);
            attempt.response = attempt.response.or(Some(now - attempt.began));
        }
    }
}

/// Appends one value an attempt, `-` where it has none.
pub fn each<'a, T>(
    attempts: &'a AttemptLog,
    out: &mut Vec<u8>,
    value: impl Fn(&'a Attempt) -> Option<T>,
    write: impl Fn(T, &mut Vec<u8>),
) -> Option<()> {
    let mut found = None;
    for attempt in attempts.iter() {
        if found.is_some() {
            out.extend_from_slice(b", ");
        }
        match value(attempt) {
            Some(value) => write(value, out),
            None => out.push(b'-'),
        }
        found = Some(());
    }
    found
}

/// Appends the address of an attempt's server; the group's name where there was none.
pub fn server_of(config: &Config, attempt: &Attempt, out: &mut Vec<u8>) {
    let group = &config.groups[attempt.group.0];
    match attempt.server {
        Some(server) => show(&group.servers[server.0].address, out),
        None => out.extend_from_slice(group.name.as_bytes()),
    }
}
