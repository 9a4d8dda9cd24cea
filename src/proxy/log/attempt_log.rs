//! The attempts of one exchange and their results: the `$upstream_…` variables.

use std::time::Duration;

use super::format::show;
use crate::config::model::{Config, GroupId};
use crate::time::Time;
use crate::upstream::group::ServerId;

/// The attempts of one exchange.
#[derive(Debug, Default)]
pub struct AttemptLog {
    /// Earlier attempts, in order; usually there are none.
    earlier: Vec<Attempt>,
    /// The current attempt, or the last one.
    current: Option<Attempt>,
    /// Bytes of the request's body received from the client.
    pub body_received: u64,
    /// When bytes last came from the server of the current attempt.
    pub heard: Time,
}

/// One attempt at one server.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The group. An error page may belong to another group than the request.
    pub group: GroupId,
    /// The server; `None` if none could be picked.
    pub server: Option<ServerId>,
    /// When it began.
    pub began: Time,
    /// The status of the response, or the status that stands for the failure.
    pub status: Option<u16>,
    /// How long the connect took.
    pub connect: Option<Duration>,
    /// The time until the response head was complete.
    pub header: Option<Duration>,
    /// The time until the attempt ended.
    pub response: Option<Duration>,
    /// Bytes of the response's body received.
    pub length: u64,
    /// Bytes sent to the server.
    pub sent: u64,
    /// Bytes received from the server.
    pub received: u64,
}

impl AttemptLog {
    /// Begins a new attempt.
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
        self.heard = Time::ZERO;
    }

    /// Gives groups and servers the ids that `renamed` returns, and drops attempts for which it
    /// returns `None`.
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

    /// The current attempt, or the last one.
    pub fn current(&mut self) -> Option<&mut Attempt> {
        self.current.as_mut()
    }

    /// Counts bytes sent to the server.
    pub fn sent(&mut self, count: usize) {
        if let Some(attempt) = self.current() {
            attempt.sent += count as u64;
        }
    }

    /// The server of the current attempt, or of the last one.
    pub fn server(&self) -> Option<ServerId> {
        self.current.as_ref()?.server
    }

    /// Counts bytes received from the server.
    pub fn received(&mut self, count: usize, now: Time) {
        self.heard = now;
        if let Some(attempt) = self.current() {
            attempt.received += count as u64;
        }
    }

    /// Counts received bytes that belong to the response's body.
    pub fn of_body(&mut self, count: usize) {
        if let Some(attempt) = self.current() {
            attempt.length += count as u64;
        }
    }

    /// The current attempt has connected.
    pub fn connected(&mut self, now: Time) {
        if let Some(attempt) = self.current() {
            attempt.connect = Some(now - attempt.began);
        }
    }

    /// The current attempt has received its first byte.
    pub fn first_byte(&mut self, now: Time) {
        if let Some(attempt) = self.current() {
            attempt.header = Some(now - attempt.began);
        }
    }

    /// The current attempt has received a response head.
    pub fn answered(&mut self, status: u16, now: Time) {
        if let Some(attempt) = self.current() {
            attempt.status = Some(status);
        }
        self.first_byte(now);
    }

    /// The current attempt is over. `failed_with` is its status if it has received none.
    pub fn ended(&mut self, failed_with: Option<u16>, now: Time) {
        if let Some(attempt) = self.current() {
            attempt.status = attempt.status.or(failed_with);
            attempt.response = attempt.response.or(Some(now - attempt.began));
        }
    }
}

/// Appends one value per attempt, or `-` if it has none.
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

/// Appends the address of an attempt's server, or the group's name if there was no server.
pub fn server_of(config: &Config, attempt: &Attempt, out: &mut Vec<u8>) {
    let group = &config.groups[attempt.group.0];
    match attempt.server {
        Some(server) => show(&group.servers[server.0].address, out),
        None => out.extend_from_slice(group.name.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_the_server_before_are_no_life_of_the_next_one() {
        let (mut log, later) = (AttemptLog::default(), Time::from_nanos(9));
        log.begin(GroupId(0), Some(ServerId(0)), Time::ZERO);
        log.received(1, later);
        assert_eq!(log.heard, later);
        log.begin(GroupId(0), Some(ServerId(1)), later);
        assert_eq!(log.heard, Time::ZERO);
    }
}
