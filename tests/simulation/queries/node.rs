//! A worker of Trino, which announces itself to the proxy, and may take that back.

use std::time::Duration;

use switchover::net::sim::SimNet;
use switchover::time::Time;

use super::ledger::Ledger;
use super::line::{Come, Line};
use super::scenario::{NodePlan, Release};
use crate::common::setup::proxy_address;

/// A worker.
pub(crate) struct Node {
    name: String,
    release: Release,
    plan: NodePlan,
    /// When it makes its next request.
    due: Time,
    /// What it does if an announcement fails: it tries again, later and later.
    pause: Duration,
    line: Option<(Line, Request, Time)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Announcement,
    Withdrawal,
}

impl Node {
    pub(crate) fn new(place: usize, release: Release, plan: NodePlan) -> Node {
        let name = match release {
            Release::Old => format!("node{place}"),
            Release::New => format!("http://10.0.2.{place}:8080"),
        };
        Node { name, release, plan, due: plan.first, pause: FIRST_PAUSE, line: None }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is taking its announcement back.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.line, Some((_, Request::Withdrawal, _)))
    }

    pub(crate) fn act(&mut self, net: &SimNet, ledger: &mut Ledger) {
        let now = net.world().now();
        if self.line.is_none() && self.due <= now {
            let mut line = Line::dial(&proxy_address(), net);
            let request = match self.plan.leaves <= now {
                true => Request::Withdrawal,
                false => Request::Announcement,
            };
            line.ask(&self.request(request));
            self.line = Some((line, request, now));
        }
        let Some((line, request, since)) = &mut self.line else { return };
        let is_accepted = match line.next(net) {
            Come::Message(head, _) => matches!(head.status(), 202 | 204),
            Come::End | Come::Cut => false,
            Come::Nothing if now - *since > PATIENCE => false,
            Come::Nothing => return,
        };
        let every = self.plan.every;
        self.due = match (is_accepted, *request, self.release) {
            (true, Request::Withdrawal, _) => Time::NEVER,
            (true, Request::Announcement, _) | (false, _, Release::New) => now + every,
            (false, _, Release::Old) => now + self.pause,
        };
        match (is_accepted, *request) {
            (true, Request::Announcement) => {
                ledger.announced.insert(self.name.clone(), now);
                ledger.announcements.push(now);
                self.pause = FIRST_PAUSE;
            }
            (true, Request::Withdrawal) => {
                ledger.announced.remove(&self.name);
                let is_last = self.pause == FIRST_PAUSE;
                ledger.withdrawn.insert(self.name.clone(), is_last.then_some(now));
            }
            (false, _) => self.pause = (self.pause * 2).min(LONGEST_PAUSE),
        }
        self.leave(net);
    }

    /// Closes its connection.
    pub(crate) fn leave(&mut self, net: &SimNet) {
        if let Some((line, _, _)) = self.line.take() {
            line.close(net);
        }
    }

    fn request(&self, request: Request) -> String {
        let name = &self.name;
        if request == Request::Withdrawal {
            return format!("DELETE /v1/announcement/{name} HTTP/1.1\r\nHost: a\r\n\r\n");
        }
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
