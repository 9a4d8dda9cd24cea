//! An operator, who promotes and drains servers over the control socket of the proxy, and looks how
//! they are.

use std::collections::VecDeque;
use std::time::Duration;

use switchover::address::Address;
use switchover::net::sim::SimNet;
use switchover::time::Time;

use super::ledger::{Ledger, back};
use super::line::{Come, Line};
use super::orders::Order;
use crate::common::setup::server_address;

/// An operator, one command after another.
#[derive(Default)]
pub(crate) struct Operator {
    orders: VecDeque<Order>,
    under_way: Option<Asked>,
    /// The server that was drained last, and when it is asked about again.
    watched: Option<(usize, Time)>,
    /// When all servers were last looked at.
    looked: Time,
}

/// A command under way.
struct Asked {
    errand: Errand,
    attempt: Try,
    line: Line,
    since: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Try {
    First,
    /// The one before it may have been carried out.
    Again,
}

#[derive(Clone, Copy)]
enum Errand {
    Order(Order),
    /// Is the drained server empty?
    Watch(usize),
    /// How are all servers?
    Look,
}

impl Operator {
    pub(crate) fn give(&mut self, order: Order) {
        self.orders.push_back(order);
    }

    /// Closes its connection.
    pub(crate) fn leave(&mut self, net: &SimNet) {
        if let Some(Asked { line, .. }) = self.under_way.take() {
            line.close(net);
        }
    }

    pub(crate) fn act(&mut self, net: &SimNet, ledger: &mut Ledger) {
        let now = net.world().now();
        let Some(asked) = &mut self.under_way else {
            if let Some(errand) = self.next(now, ledger) {
                self.ask(errand, Try::First, net);
            }
            return;
        };
        let (errand, attempt, since) = (asked.errand, asked.attempt, asked.since);
        match asked.line.next(net) {
            Come::Nothing if now - since < PATIENCE => return,
            Come::Nothing => ledger.accuse(now, format!("{} is not answered", errand.target())),
            // It stays open whether one that is told again has been carried out before.
            Come::Message(head, _) if attempt == Try::Again && head.status() == 409 => {}
            Come::Message(head, body) => {
                self.answered(errand, (head.status(), &body), since, now, ledger);
            }
            // Another proxy has come, or the network has failed: it is told again.
            Come::End | Come::Cut => {
                if !ledger.is_proxy_restarted_since(since) && !ledger.was_broken(&asked.line) {
                    ledger.accuse(now, format!("{} is cut off", errand.target()));
                }
                self.leave(net);
                return self.ask(errand, Try::Again, net);
            }
        }
        self.leave(net);
    }

    fn next(&mut self, now: Time, ledger: &mut Ledger) -> Option<Errand> {
        if let Some(order) = self.orders.pop_front() {
            ledger.orders.begin(order, now);
            return Some(Errand::Order(order));
        }
        if let Some((place, _)) = self.watched.take_if(|(_, due)| *due <= now) {
            return Some(Errand::Watch(place));
        }
        let is_due = now - self.looked >= BETWEEN_LOOKS;
        is_due.then(|| {
            self.looked = now;
            Errand::Look
        })
    }

    fn ask(&mut self, errand: Errand, attempt: Try, net: &SimNet) {
        let method = match errand {
            Errand::Order(_) => "POST",
            Errand::Watch(_) | Errand::Look => "GET",
        };
        let mut line = Line::dial(&control_address(), net);
        let target = errand.target();
        line.ask(&format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        self.under_way = Some(Asked { errand, attempt, line, since: net.world().now() });
    }

    fn answered(
        &mut self,
        errand: Errand,
        (status, body): (u16, &str),
        since: Time,
        now: Time,
        ledger: &mut Ledger,
    ) {
        match (errand, status) {
            (Errand::Look, 200) => judge_look(body, since, now, ledger),
            (Errand::Order(order), 200 | 202) => {
                ledger.orders.end(true, now);
                judge_done(order, since, now, ledger);
                if let Order::Drain(place) = order {
                    self.watched = Some((place, now + BETWEEN_LOOKS));
                    judge_empty(place, status, now, ledger);
                }
            }
            (Errand::Order(order), 409) => {
                ledger.orders.end(false, now);
                judge_refused(order, since, now, ledger);
            }
            (Errand::Watch(place), 200 | 202) => {
                judge_empty(place, status, now, ledger);
                self.watched = Some((place, now + BETWEEN_LOOKS));
            }
            (Errand::Watch(place), 409) => {
                if ledger.orders.drained(place).is_some() {
                    ledger.accuse(now, format!("{place} is said not to be drained"));
                }
            }
            (_, status) => {
                ledger.accuse(now, format!("{} is answered with {status}", errand.target()));
            }
        }
    }
}

impl Errand {
    fn target(self) -> String {
        let (path, place) = match self {
            Errand::Order(Order::Promote(place)) => ("promote", place),
            Errand::Order(Order::Drain(place)) | Errand::Watch(place) => ("drain", place),
            Errand::Look => return "/status".to_owned(),
        };
        format!("/{path}?server={}", server_address(place))
    }
}

/// Only a server that may be ready is promoted.
fn judge_done(order: Order, since: Time, now: Time, ledger: &mut Ledger) {
    let Order::Promote(place) = order else { return };
    let noticed = back(since, UNNOTICED);
    // A group that is not yet known to be Trino's is not checked.
    let is_checked = ledger.is_trinos && !ledger.is_proxy_restarted_since(noticed);
    if is_checked && since > Time::ZERO + UNNOTICED && ledger.was_gone(place, noticed, now) {
        ledger.accuse(now, format!("{place} is promoted, but it is out"));
    }
}

/// A server that is ready can be promoted, and drained if another one is.
fn judge_refused(order: Order, since: Time, now: Time, ledger: &mut Ledger) {
    let ready_since = back(since, ledger.taken_up);
    let is_ready = |place| ledger.was_ready(place, ready_since, now);
    let is_wrong = match order {
        Order::Promote(place) => is_ready(place),
        Order::Drain(place) => {
            let others = ledger.places().filter(|other| *other != place);
            others.filter(|other| !ledger.orders.may_be_drained(*other)).any(is_ready)
        }
    };
    if is_wrong {
        ledger.accuse(now, format!("{order:?} is refused"));
    }
}

/// What is shown of a server is how it is.
fn judge_look(shown: &str, since: Time, now: Time, ledger: &mut Ledger) {
    let (noticed, ready_since) = (back(since, UNNOTICED), back(since, ledger.taken_up));
    let is_checked = ledger.is_trinos && !ledger.is_proxy_restarted_since(noticed);
    for place in ledger.places().collect::<Vec<_>>() {
        let before = format!("\"address\":\"{}\",\"backup\":", server_address(place));
        let rest = shown.split_once(&before).map(|(_, rest)| rest);
        let state = rest.and_then(|rest| rest.split('"').nth(3)).unwrap_or("nothing");
        let was_gone =
            is_checked && since > Time::ZERO + UNNOTICED && ledger.was_gone(place, noticed, now);
        let is_wrong = match state {
            "ready" => was_gone || ledger.orders.drained(place).is_some_and(|done| done <= since),
            "starting" | "out" => ledger.was_ready(place, ready_since, now),
            "drained" => !ledger.orders.may_be_drained(place),
            _ => true,
        };
        if is_wrong {
            ledger.accuse(now, format!("{place} is shown as {state}"));
        }
    }
}

/// A drained server with a query that is still asked for is not empty.
fn judge_empty(place: usize, status: u16, now: Time, ledger: &mut Ledger) {
    let is_live = |number: &u32, owner: &str| {
        let process = ledger.process(owner).expect("its client has an answer");
        process.place == place
            && process.died.is_none()
            // It may go on elsewhere already, or wait for that.
            && ledger.submissions.of(*number).last().is_some_and(|it| {
                let has_rows = ledger.submissions.delivered.contains_key(number);
                it.process == owner && (has_rows || !ledger.may_be_lost(owner, it.at, now))
            })
            // TOLERATED: a proxy that begins anew may not know yet that the group is Trino's.
            && (ledger.is_trinos || !ledger.is_proxy_restarted_since(ledger.asked[number]))
    };
    let live = ledger.running.iter().find(|(number, owner)| is_live(number, owner));
    if status == 200
        && let Some((number, _)) = live
    {
        ledger.accuse(now, format!("{place} is said to be empty, but {number} runs there"));
    }
}

/// Where the proxy takes commands.
pub(crate) fn control_address() -> Address {
    Address::Unix("/run/control".into())
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
/// The time in which the proxy may not know that a server is out.
const UNNOTICED: Duration = Duration::from_secs(4);
