//! A worker of Trino, which announces itself to the proxy.

use std::time::Duration;

use switchover::net::sim::{Owner, Side, SimNet};
use switchover::time::Time;

use super::ledger::Ledger;
use super::line::{Come, Line};
use super::scenario::Release;
use crate::common::setup::proxy_address;

/// A worker.
pub(crate) struct Node {
    name: String,
    release: Release,
    every: Duration,
    due: Time,
    /// What it does if an announcement fails: it tries again, later and later.
    pause: Duration,
    line: Option<(Line, Time)>,
}

impl Node {
    pub(crate) fn new(place: usize, release: Release, every: Duration, due: Time) -> Node {
        let name = match release {
            Release::Old => format!("node{place}"),
            Release::New => format!("http://10.0.2.{place}:8080"),
        };
        Node { name, release, every, due, pause: FIRST_PAUSE, line: None }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn act(&mut self, net: &SimNet, ledger: &mut Ledger) {
        let now = net.world().now();
        if self.line.is_none() && self.due <= now {
            let end = net.world_mut().dial(Owner::Hand, &proxy_address());
            let mut line = Line::new(end, Side::Answers);
            line.ask(&self.request());
            self.line = Some((line, now));
        }
        let Some((line, since)) = &mut self.line else { return };
        let is_accepted = match line.next(net) {
            Come::Message(head, _) => head.status() == 202,
            Come::End => false,
            Come::Nothing if now - *since > PATIENCE => false,
            Come::Nothing => return,
        };
        self.due = match (is_accepted, self.release) {
            (true, _) => now + self.every,
            (false, Release::Old) => now + self.pause,
            (false, Release::New) => now + self.every,
        };
        match is_accepted {
            true => {
                ledger.announced.insert(self.name.clone(), now);
                ledger.announcements.push(now);
                self.pause = FIRST_PAUSE;
            }
            false => self.pause = (self.pause * 2).min(LONGEST_PAUSE),
        }
        self.leave(net);
    }

    /// Closes its connection.
    pub(crate) fn leave(&mut self, net: &SimNet) {
        if let Some((line, _)) = self.line.take() {
            line.close(net);
        }
    }

    fn request(&self) -> String {
        let name = &self.name;
        match self.release {
            Release::Old => {
                let body = format!(
                    "{{\"environment\":\"test\",\"nodeId\":\"{name}\",\"pool\":\"general\",\
                     \"location\":\"/x\",\"services\":[{{\"id\":\"1\",\"type\":\"trino\",\
                     \"properties\":{{\"coordinator\":\"false\"}}}}]}}"
                );
                format!(
                    "PUT /v1/announcement/{name} HTTP/1.1\r\nHost: a\r\n\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
            Release::New => format!(
                "POST /v1/announce HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\
                 Content-Length: {}\r\n\r\n{name}",
                name.len()
            ),
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(8);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
