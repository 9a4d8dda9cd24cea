//! A client that runs queries, and judges what it is told of them.

use std::collections::VecDeque;
use std::time::Duration;

use switchover::net::sim::{Head, Owner, Side, SimNet};
use switchover::time::Time;

use super::ledger::{Ledger, Process, back};
use super::line::{Come, Line};
use super::scenario::{Aside, Kind, QueryPlan, Statement};
use crate::common::setup::proxy_address;

/// A client, one query after another.
pub(crate) struct Client {
    kind: Kind,
    has_forwarded: bool,
    plans: VecDeque<QueryPlan>,
    stage: Stage,
    /// The transaction that it has begun.
    transaction: Option<String>,
    line: Option<Line>,
}

enum Stage {
    /// No query runs; the next one begins when its plan says.
    Between,
    Running(Query),
}

struct Query {
    plan: QueryPlan,
    /// The transaction that its statement belongs to.
    transaction: Option<String>,
    id: Option<String>,
    /// What is asked next: of the proxy's own host.
    path: String,
    /// The last page.
    page: usize,
    asks: Matter,
    step: Step,
    tries: u32,
    /// When the first of them was made.
    first: Time,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matter {
    Statement,
    Poll,
    Aside(Aside),
}

enum Step {
    /// The next request is made then.
    Thinking(Time),
    /// It was made then.
    Asking(Time),
}

/// What became of a request.
enum Reply<'a> {
    Answer(&'a Head, &'a str),
    /// The connection ended.
    Broken,
    /// It ended in the middle of the answer.
    Cut,
    /// The network reset it.
    Reset,
    /// It was waited for too long.
    Nothing,
}

/// What follows for the query.
enum Next {
    Ask(Matter),
    Again,
    End,
}

impl Client {
    pub(crate) fn new(kind: Kind, has_forwarded: bool, plans: VecDeque<QueryPlan>) -> Client {
        let (stage, transaction) = (Stage::Between, None);
        Client { kind, has_forwarded, plans, stage, transaction, line: None }
    }

    /// Whether all its queries have ended.
    pub(crate) fn is_done(&self) -> bool {
        self.plans.is_empty() && matches!(self.stage, Stage::Between)
    }

    /// Closes its connection.
    pub(crate) fn leave(&mut self, net: &SimNet) {
        if let Some(line) = self.line.take() {
            line.close(net);
        }
    }

    pub(crate) fn act(&mut self, net: &SimNet, ledger: &mut Ledger) {
        let now = net.world().now();
        if matches!(self.stage, Stage::Between)
            && self.plans.front().is_some_and(|plan| plan.starts <= now)
            && let Some(plan) = self.plans.pop_front()
        {
            if plan.statement == Statement::Commit && self.transaction.is_none() {
                return;
            }
            self.stage = Stage::Running(Query {
                plan,
                transaction: self.transaction.clone(),
                id: None,
                path: String::new(),
                page: 0,
                asks: Matter::Statement,
                step: Step::Thinking(now),
                tries: 0,
                first: now,
            });
        }
        let Stage::Running(query) = &mut self.stage else { return };
        let since = match query.step {
            Step::Thinking(until) if until <= now => {
                // A connection that was closed meanwhile is not used.
                if self.line.as_mut().is_none_or(|line| !matches!(line.next(net), Come::Nothing)) {
                    let end = net.world_mut().dial(Owner::Hand, &proxy_address());
                    let old = self.line.replace(Line::new(end, Side::Answers));
                    old.into_iter().for_each(|line| line.close(net));
                }
                let request = query.request(self.has_forwarded);
                self.line.as_mut().expect("just made").ask(&request);
                query.step = Step::Asking(now);
                if query.tries == 0 {
                    query.first = now;
                    ledger.asked.entry(query.plan.number).or_insert(now);
                }
                query.tries += 1;
                return;
            }
            Step::Thinking(_) => return,
            Step::Asking(since) => since,
        };
        let line = self.line.as_mut().expect("it was asked");
        let come = line.next(net);
        let reply = match &come {
            Come::Message(head, body) => Reply::Answer(head, body),
            Come::End | Come::Cut if ledger.was_broken(line) => Reply::Reset,
            Come::End => Reply::Broken,
            Come::Cut => Reply::Cut,
            Come::Nothing if now - since > query.asks.patience() => Reply::Nothing,
            Come::Nothing => return,
        };
        let keeps = matches!(&reply, Reply::Answer(head, _) if !head.connection("close"));
        let next = query.judge(&reply, since, now, ledger);
        if let Reply::Answer(head, _) = &reply {
            if let Some(id) = field(head, "x-trino-started-transaction-id") {
                self.transaction = Some(id.to_owned());
            }
            if field(head, "x-trino-clear-transaction-id").is_some() {
                self.transaction = None;
            }
        }
        let repeats = matches!(next, Next::Again) && self.kind.repeats(query, &reply, now);
        match next {
            Next::Ask(matter) => query.turn_to(matter, now),
            Next::Again if repeats => query.step = Step::Thinking(now + BETWEEN_TRIES),
            Next::Again | Next::End => {
                // Its transaction is given up with it.
                if matches!(next, Next::Again) {
                    self.transaction = None;
                }
                ledger.running.remove(&query.plan.number);
                self.stage = Stage::Between;
            }
        }
        if !keeps {
            self.leave(net);
        }
    }
}

impl Matter {
    /// How long a client may have to wait: what the rules allow, and a margin.
    fn patience(self) -> Duration {
        Duration::from_millis(match self {
            // Two servers that vanish, and the time in the queue.
            Matter::Statement => 27_000,
            Matter::Aside(Aside::CancelStage | Aside::Look | Aside::Cancel | Aside::Kill) => 27_000,
            // A server that vanishes, the time in the queue, and what the poll itself takes.
            Matter::Poll | Matter::Aside(Aside::Heartbeat) => 6_500,
        })
    }
}

impl Kind {
    /// Whether the request of this query is made again.
    fn repeats(self, query: &Query, reply: &Reply<'_>, now: Time) -> bool {
        let is_unavailable = match reply {
            Reply::Answer(head, _) => matches!(head.status(), 502..=504),
            Reply::Broken | Reply::Cut | Reply::Reset | Reply::Nothing => {
                query.asks != Matter::Statement
            }
        };
        is_unavailable
            && match self {
                Kind::Java => now - query.first < JAVA,
                Kind::Python => query.tries < 3,
                Kind::JavaScript => false,
            }
    }
}

impl Query {
    fn request(&self, has_forwarded: bool) -> String {
        let forwarded = if has_forwarded { "X-Forwarded-Proto: http\r\n" } else { "" };
        let id = self.id.as_deref().unwrap_or_default();
        let next = || self.path.clone();
        let (method, path) = match self.asks {
            Matter::Statement => ("POST", "/v1/statement".to_owned()),
            Matter::Poll => ("GET", next()),
            Matter::Aside(Aside::Heartbeat) => ("HEAD", next()),
            Matter::Aside(Aside::Cancel) => ("DELETE", next()),
            Matter::Aside(Aside::CancelStage) => {
                ("DELETE", format!("/v1/statement/executing/partialCancel/{id}/0/y/{}", self.page))
            }
            Matter::Aside(Aside::Look) => ("GET", format!("/v1/query/{id}")),
            Matter::Aside(Aside::Kill) => ("DELETE", format!("/v1/query/{id}")),
        };
        match self.asks {
            Matter::Statement => {
                let QueryPlan { number, statement, padding, .. } = &self.plan;
                let (words, padding) = (statement.words(), " ".repeat(*padding));
                let text = format!("{words} {number}{padding}");
                let length = text.len();
                let transaction = self.transaction.as_deref().unwrap_or("NONE");
                format!(
                    "POST /v1/statement HTTP/1.1\r\nHost: a\r\n{forwarded}X-Trino-User: x\r\n\
                     X-Trino-Transaction-Id: {transaction}\r\nContent-Length: {length}\r\n\r\n{text}"
                )
            }
            Matter::Poll | Matter::Aside(_) => {
                format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{forwarded}\r\n")
            }
        }
    }

    fn turn_to(&mut self, matter: Matter, now: Time) {
        let thinks = self.plan.thinks.pop_front().unwrap_or(Duration::ZERO);
        (self.asks, self.step, self.tries) = (matter, Step::Thinking(now + thinks), 0);
    }

    /// The process that runs it.
    fn owner(&self) -> &str {
        self.id.as_deref().map_or("", |id| &id[22..])
    }

    fn judge(&mut self, reply: &Reply<'_>, since: Time, now: Time, ledger: &mut Ledger) -> Next {
        match (self.asks, reply) {
            (Matter::Statement, Reply::Answer(head, text)) if head.status() == 200 => {
                self.submitted(text, since, now, ledger)
            }
            (Matter::Statement | Matter::Poll, Reply::Reset) => Next::Again,
            (Matter::Statement, reply) => {
                self.judge_refusal(reply, since, now, ledger);
                Next::Again
            }
            (Matter::Poll, Reply::Answer(head, text)) if head.status() == 200 => {
                self.polled(text, now, ledger)
            }
            (Matter::Poll, reply) => {
                let is_wrong = ledger.is_known(self.owner(), since)
                    || self.is_findable(reply, since, now, ledger);
                let is_wrong = is_wrong && !self.is_cut(reply, since, now, ledger);
                if is_wrong {
                    self.accuse(&format!("its poll {reply}"), now, ledger);
                }
                Next::Again
            }
            (Matter::Aside(aside), reply) => {
                if !matches!(reply, Reply::Reset) {
                    self.judge_aside(aside, reply, since, now, ledger);
                }
                match aside {
                    Aside::Heartbeat | Aside::CancelStage | Aside::Look => Next::Ask(Matter::Poll),
                    Aside::Cancel | Aside::Kill => Next::End,
                }
            }
        }
    }

    fn accuse(&self, what: &str, now: Time, ledger: &mut Ledger) {
        let (number, id) = (self.plan.number, self.id.as_deref().unwrap_or("no id"));
        ledger.accuse(now, format!("query {number} ({id}): {what}"));
    }

    fn is_owner_up(&self, since: Time, now: Time, ledger: &Ledger) -> bool {
        let Some(Process { place, died: None, .. }) = ledger.process(self.owner()) else {
            return false;
        };
        ledger.is_known(self.owner(), since) && ledger.was_up(place, back(since, UNNOTICED), now)
    }

    /// Whether an answer ends early because its server failed in the middle of it.
    fn is_cut(&self, reply: &Reply<'_>, since: Time, now: Time, ledger: &Ledger) -> bool {
        let owner = ledger.process(self.owner()).expect("it began");
        matches!(reply, Reply::Cut) && !ledger.was_up(owner.place, back(since, UNNOTICED), now)
    }

    /// Whether a query of an unknown coordinator has to be found, but is not.
    fn is_findable(&self, reply: &Reply<'_>, since: Time, now: Time, ledger: &Ledger) -> bool {
        let Some(owner) = ledger.process(self.owner()) else { return false };
        let is_unknown =
            matches!(reply, Reply::Answer(head, _) if matches!(head.status(), 404 | 410));
        // TOLERATED: one up to 476 that was out is not asked for some seconds more, and one that is
        // drained is not asked at all.
        let from = back(since, ledger.taken_up);
        let is_drained = ledger.orders.may_be_drained(owner.place);
        let may_be_asked = ledger.was_ready(owner.place, from, now) && !is_drained;
        is_unknown && owner.died.is_none() && may_be_asked
    }

    /// A statement waits until a server is ready, and fails only if none is.
    fn judge_refusal(&self, reply: &Reply<'_>, since: Time, now: Time, ledger: &mut Ledger) {
        if ledger.is_proxy_restarted_since(back(since, MARGIN)) {
            return;
        }
        let (waited, lag) = (now - since, ledger.taken_up);
        let status = match reply {
            Reply::Answer(head, _) => head.status(),
            Reply::Broken | Reply::Cut | Reply::Reset | Reply::Nothing => 0,
        };
        let may = match status {
            0 if matches!(reply, Reply::Cut) => {
                !ledger.places().all(|place| ledger.was_up(place, since, now))
            }
            502..=504 if waited + SECOND + MARGIN >= QUEUED.min(ledger.queue) => {
                !self.was_taken(lag, since, back(now, MARGIN), ledger)
            }
            _ => false,
        };
        if !may {
            self.accuse(&format!("its statement {reply} after {waited:?}"), now, ledger);
        }
    }

    /// Whether a server has taken such statements for so long between.
    fn was_taken(&self, time: Duration, from: Time, to: Time, ledger: &Ledger) -> bool {
        let any_took = ledger.any_took_for(time, from, to);
        let Some(transaction) = self.transaction.as_deref() else { return any_took };
        let Process { place, died, .. } = ledger.holder(transaction);
        let is_gone = died.is_some_and(|died| died < from)
            && ledger.answered_all(place, back(from, UNNOTICED), to);
        let holder_took = ledger.took_for(place, time, from, to);
        match ledger.is_held(transaction) {
            true if is_gone => any_took,
            true if died.is_none() => holder_took,
            // The proxy may know that the holder is gone, or not.
            true | false => any_took && holder_took,
        }
    }

    fn submitted(&mut self, text: &str, since: Time, now: Time, ledger: &mut Ledger) -> Next {
        ledger.answered.insert(self.plan.number);
        self.id = Some(value(text, "id").to_owned());
        ledger.running.insert(self.plan.number, self.owner().to_owned());
        // The answer shows the id, but not if the process before still counts as alive.
        if ledger.process(self.owner()).is_some_and(|owner| owner.began + UNNOTICED < now)
            && !ledger.is_proxy_restarted_since(since)
        {
            ledger.process_told(self.owner(), now);
        }
        if value(text, "of") != self.plan.number.to_string() {
            self.accuse(&format!("its statement is answered with {text}"), now, ledger);
        }
        self.judge_holder(now, ledger);
        self.path = next_path(text).to_owned();
        self.go_on()
    }

    /// A statement of a transaction goes to the process that has it.
    fn judge_holder(&self, now: Time, ledger: &mut Ledger) {
        let Some(id) = self.transaction.as_deref() else { return };
        let holder = ledger.holder(id);
        if !ledger.is_held(id) || holder.died.is_some() {
            return;
        }
        if ledger.process(self.owner()).is_none_or(|owner| owner.place != holder.place) {
            self.accuse(&format!("its transaction {id} is another's"), now, ledger);
        }
    }

    fn go_on(&mut self) -> Next {
        let due = self.plan.asides.iter().position(|(page, _)| *page == self.page);
        Next::Ask(match due {
            Some(place) => Matter::Aside(self.plan.asides.remove(place).1),
            None => Matter::Poll,
        })
    }

    fn polled(&mut self, text: &str, now: Time, ledger: &mut Ledger) -> Next {
        if Some(value(text, "id")) != self.id.as_deref() {
            self.accuse(&format!("its poll is answered with {text}"), now, ledger);
            return Next::End;
        }
        let (error, next) = (value(text, "errorName"), next_path(text));
        match (value(text, "of"), error) {
            ("", "REMOTE_HOST_GONE") => {
                self.judge_end(now, ledger);
                Next::End
            }
            ("", "") if !next.is_empty() => {
                self.judge_waiting(now, ledger);
                Next::Ask(Matter::Poll)
            }
            (of, "") if of == self.plan.number.to_string() => {
                let page = value(text, "page").parse().unwrap_or(usize::MAX);
                if page != self.page + 1 && page != self.page {
                    self.accuse(&format!("page {page} follows {}", self.page), now, ledger);
                }
                (self.page, self.path) = (page, next.to_owned());
                if next.is_empty() {
                    return Next::End;
                }
                self.go_on()
            }
            (_, _) if ledger.failing.contains(&self.plan.number) => Next::End,
            (_, _) => {
                self.accuse(&format!("its poll is answered with {text}"), now, ledger);
                Next::End
            }
        }
    }

    /// Only a query whose process is gone, or cannot be reached for minutes, is lost.
    fn judge_end(&self, now: Time, ledger: &mut Ledger) {
        let in_doubt = back(now, ledger.queue.saturating_sub(MARGIN));
        let is_lost = |owner: Process| {
            owner.died.is_some() || ledger.seemed_gone(owner.place, in_doubt, back(now, UNNOTICED))
        };
        if !ledger.process(self.owner()).is_some_and(is_lost) {
            self.accuse("it is told to be lost, but its owner lives", now, ledger);
        }
    }

    /// A query waits only while its owner does not answer, and is not known to be gone.
    fn judge_waiting(&self, now: Time, ledger: &mut Ledger) {
        let Some(owner) = ledger.process(self.owner()) else { return };
        let recent = back(now, UNNOTICED);
        if self.is_owner_up(recent, now, ledger) {
            self.accuse("it is told to wait, but its owner is well", now, ledger);
        }
        let is_gone =
            ledger.is_known(self.owner(), recent) && owner.died.is_some_and(|died| died < recent);
        let in_doubt = back(recent, ledger.queue);
        if recent - in_doubt == ledger.queue
            && ledger.is_known(self.owner(), in_doubt)
            && owner.died.is_none()
            && ledger.was_gone(owner.place, in_doubt, now)
        {
            self.accuse("it is told to wait, but has waited for too long", now, ledger);
        }
        if is_gone && ledger.answered_all(owner.place, recent, now) {
            self.accuse("it is told to wait, but its owner is gone", now, ledger);
        }
    }

    /// What is asked about a query reaches its owner if that is well, and is answered by it.
    fn judge_aside(
        &self,
        aside: Aside,
        reply: &Reply<'_>,
        since: Time,
        now: Time,
        ledger: &mut Ledger,
    ) {
        let Some(owner) = ledger.process(self.owner()) else { return };
        let status = match reply {
            Reply::Answer(head, _) => head.status(),
            Reply::Broken | Reply::Cut | Reply::Reset | Reply::Nothing => 0,
        };
        let (expected, has_come) = match aside {
            Aside::Heartbeat | Aside::Look => (200, true),
            Aside::CancelStage => (204, ledger.cut_down.contains(&self.plan.number)),
            Aside::Cancel | Aside::Kill => (204, ledger.cancelled.contains(&self.plan.number)),
        };
        let recent = back(since, UNNOTICED);
        let is_gone = ledger.is_known(self.owner(), recent)
            && owner.died.is_some_and(|died| died < recent)
            && ledger.answered_all(owner.place, recent, now);
        let is_due = self.is_owner_up(since, now, ledger);
        let is_answered = status == expected && has_come;
        // The end of a query that is gone is none the less acknowledged, and none waits for ever.
        let is_held = matches!(reply, Reply::Nothing);
        let is_unacknowledged = aside == Aside::Cancel && is_gone && status != expected;
        if is_due && !is_answered || is_unacknowledged || is_held {
            let at = if has_come { "its coordinator" } else { "no coordinator" };
            self.accuse(&format!("its {aside:?} reaches {at} and {reply}"), now, ledger);
        }
    }
}

impl std::fmt::Display for Reply<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reply::Answer(head, text) => write!(f, "gets {} {text}", head.status()),
            Reply::Broken => f.write_str("is not answered before the end"),
            Reply::Cut => f.write_str("is cut off"),
            Reply::Reset => f.write_str("is reset"),
            Reply::Nothing => f.write_str("gets no answer"),
        }
    }
}

/// The value of a field.
fn field<'a>(head: &'a Head, name: &str) -> Option<&'a str> {
    let field = head.fields.iter().find(|(it, _)| it == name);
    field.map(|(_, value)| value.as_str())
}

/// The value of a JSON member that is a string; empty without one.
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text.split_once(&format!("\"{name}\":\""));
    found.map_or("", |(_, rest)| rest.split('"').next().unwrap_or_default())
}

/// The path of `nextUri`; empty without one.
fn next_path(text: &str) -> &str {
    value(text, "nextUri").strip_prefix("http://a").unwrap_or_default()
}

const BETWEEN_TRIES: Duration = Duration::from_millis(300);
/// How long Java's client makes a request again.
const JAVA: Duration = Duration::from_secs(30);
/// Before a statement that each server has failed is sent again.
const SECOND: Duration = Duration::from_secs(1);
/// How long a request may wait in the queue.
const QUEUED: Duration = Duration::from_secs(20);
/// The time in which the proxy may not know of a change: an interval, two checks, and the time that
/// a poll waits.
const UNNOTICED: Duration = Duration::from_secs(5);
const MARGIN: Duration = Duration::from_millis(500);
