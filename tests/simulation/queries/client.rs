//! A client that runs queries. What it is told of them is judged by [`super::told`].

use std::collections::VecDeque;
use std::time::Duration;

use switchover::net::sim::{Head, SimNet};
use switchover::time::Time;

use super::ledger::Ledger;
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
    Running(Box<Query>),
}

/// A query under way.
pub(crate) struct Query {
    pub(super) plan: QueryPlan,
    /// The transaction that its statement belongs to.
    pub(super) transaction: Option<String>,
    pub(super) id: Option<String>,
    /// Those that it had before.
    pub(super) before: Vec<Before>,
    /// When it got its id.
    pub(super) submitted: Time,
    /// What is asked next: of the proxy's own host.
    pub(super) path: String,
    /// Since when it is asked for without getting on.
    pub(super) waiting: Time,
    /// Since when it is asked for without long pauses.
    pub(super) present: Time,
    /// When it was told to wait first after its owner was out for as long as it may be in doubt.
    pub(super) doubted: Time,
    /// Since when it is asked for though its owner is gone.
    pub(super) missed: Time,
    /// The last page.
    pub(super) page: usize,
    /// The state that it showed.
    pub(super) state: String,
    /// The columns that were shown.
    pub(super) columns: Option<String>,
    /// When it came.
    pub(super) came: Time,
    /// How many rows have come.
    pub(super) rows: u32,
    /// How many of them came before the last page.
    pub(super) rows_before: u32,
    pub(super) asks: Matter,
    step: Step,
    pub(super) tries: u32,
    /// Whether the next page was asked for again: it may have been answered before.
    pub(super) is_repeated: bool,
    /// When the first of them was made.
    first: Time,
}

/// A query that goes by another id now.
pub(crate) struct Before {
    pub(super) id: String,
    /// Where it was asked for last.
    pub(super) path: String,
    /// The answer to that.
    pub(super) text: String,
    /// When that came.
    pub(super) at: Time,
    /// Whether it was asked for again: columns may have come that were not shown.
    pub(super) is_repeated: bool,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matter {
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
pub(crate) enum Reply<'a> {
    Answer(&'a Head, &'a str),
    /// The connection ended.
    Broken,
    /// It ended in the middle of the answer, or does not get on.
    Cut,
    /// The network reset it.
    Reset,
    /// It was waited for too long.
    Nothing,
}

/// What follows for the query.
pub(crate) enum Next {
    Ask(Matter),
    Again,
    End,
    /// Its client is gone.
    Leave,
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
            self.stage = Stage::Running(Box::new(Query {
                plan,
                transaction: self.transaction.clone(),
                id: None,
                before: Vec::new(),
                submitted: now,
                path: String::new(),
                waiting: Time::NEVER,
                present: now,
                doubted: Time::NEVER,
                missed: Time::NEVER,
                page: 0,
                state: String::new(),
                columns: None,
                came: now,
                rows: 0,
                rows_before: 0,
                asks: Matter::Statement,
                step: Step::Thinking(now),
                tries: 0,
                is_repeated: false,
                first: now,
            }));
        }
        let Stage::Running(query) = &mut self.stage else { return };
        let since = match query.step {
            Step::Thinking(until) if until <= now => {
                // A connection that was closed meanwhile is not used.
                if self.line.as_mut().is_none_or(|line| !matches!(line.next(net), Come::Nothing)) {
                    let old = self.line.replace(Line::dial(&proxy_address(), net));
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
                query.is_repeated |= query.tries > 1 && query.asks == Matter::Poll;
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
            Come::Nothing if now - since <= query.patience() => return,
            Come::Nothing if line.is_begun() => Reply::Cut,
            Come::Nothing => Reply::Nothing,
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
            Next::Again | Next::End | Next::Leave => {
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
    /// How long a client may have to wait: what the rules allow, and a margin.
    fn patience(&self) -> Duration {
        Duration::from_millis(match self.asks {
            // Several servers that vanish.
            Matter::Statement if self.transaction.is_none() => 12_000,
            // Two servers that vanish, and the time in the queue.
            Matter::Statement => 27_000,
            Matter::Aside(Aside::CancelStage | Aside::Look | Aside::Cancel | Aside::Kill) => 27_000,
            // A server that vanishes, the time in the queue, and what the poll itself takes.
            Matter::Poll | Matter::Aside(Aside::Heartbeat | Aside::Repeat) => 6_500,
        })
    }

    fn request(&self, has_forwarded: bool) -> String {
        let forwarded = if has_forwarded { "X-Forwarded-Proto: http\r\n" } else { "" };
        let id = self.id.as_deref().unwrap_or_default();
        let next = || self.path.clone();
        let (method, path) = match self.asks {
            Matter::Statement => ("POST", "/v1/statement".to_owned()),
            Matter::Poll => ("GET", next()),
            Matter::Aside(Aside::Heartbeat) => ("HEAD", next()),
            // The answer that brought another id may have been lost.
            Matter::Aside(Aside::Cancel) if self.plan.doubts && self.page == 0 => {
                ("DELETE", self.before.last().map_or_else(next, |before| before.path.clone()))
            }
            Matter::Aside(Aside::Cancel) => ("DELETE", next()),
            Matter::Aside(Aside::CancelStage) => {
                ("DELETE", format!("/v1/statement/executing/partialCancel/{id}/0/y/{}", self.page))
            }
            Matter::Aside(Aside::Look) => ("GET", format!("/v1/query/{}", self.first_id())),
            Matter::Aside(Aside::Kill) => ("DELETE", format!("/v1/query/{}", self.first_id())),
            Matter::Aside(Aside::Repeat) => {
                ("GET", self.before.last().map_or_else(next, |before| before.path.clone()))
            }
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
        if thinks > PAUSE {
            self.present = now + thinks;
        }
    }

    /// The process that runs it.
    pub(super) fn owner(&self) -> &str {
        self.id.as_deref().map_or("", |id| &id[22..])
    }

    /// The id that it had first.
    pub(super) fn first_id(&self) -> &str {
        let first = self.before.first().map(|before| &*before.id);
        first.or(self.id.as_deref()).unwrap_or_default()
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

const BETWEEN_TRIES: Duration = Duration::from_millis(300);
/// A longer one is a long pause.
const PAUSE: Duration = Duration::from_secs(1);
/// How long Java's client makes a request again.
const JAVA: Duration = Duration::from_secs(30);
