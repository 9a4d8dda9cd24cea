//! Where a request about a query goes: to the coordinator that runs it, or to the one that runs what
//! it goes by now; or what its client is told instead.

use std::time::Duration;

use super::link::Place;
use super::request::Request;
use super::way::{Told, Way};
use crate::http::refusal::Refusal;
use crate::net::Net;
use crate::proxy::context::Context;
use crate::proxy::news::News;
use crate::time::Time;
use crate::trino::coordinator::Ownership;
use crate::trino::decision::{Asks, Decision, Matter};
use crate::trino::known::{Known, Path};
use crate::trino::query_id::QueryId;
use crate::trino::rows::AnswerScan;
use crate::trino::weighing::{self, Answerer, Weighed};
use crate::upstream::group::{At, GroupAt, ServerId};
use crate::upstream::plan::Aim;

/// Where a request goes.
#[derive(Debug, Default)]
pub struct Direction {
    /// The servers that may answer it.
    pub aim: Aim,
    /// The query that it asks for, if the ledger knows that.
    pub tracked: Option<Box<Tracked>>,
}

impl Direction {
    /// Towards these servers, with what the client asks for.
    pub fn to(aim: Aim) -> Direction {
        Direction { aim, tracked: None }
    }

    /// The query of which no row was delivered, if it is polled and its statement is kept.
    pub fn undelivered(&self) -> Option<QueryId> {
        let tracked = self.tracked.as_ref().filter(|tracked| tracked.asks == Asks::Undelivered);
        tracked.map(|tracked| tracked.current)
    }

    /// Whether what follows may depend on the answer: it is kept back until it is whole.
    pub fn is_followed(&self) -> bool {
        self.tracked.as_ref().is_some_and(|tracked| tracked.asks != Asks::Other)
    }

    /// What is asked for in place of the client's target.
    pub fn target(&self) -> Option<&[u8]> {
        self.tracked.as_ref()?.target.as_deref()
    }
}

/// A query that the ledger knows.
#[derive(Debug)]
pub struct Tracked {
    /// The id that it goes by.
    pub current: QueryId,
    /// What is asked for in place of the client's target, if it goes by another id than it did.
    target: Option<Box<[u8]>>,
    asks: Asks,
}

/// Finds out where a request about a query goes, and what follows for it.
pub fn direct<N: Net>(
    (id, matter): (QueryId, Matter),
    request: &Request,
    (group, began): (GroupAt, Time),
    context: &mut Context<N>,
) -> (Way, Direction) {
    let now = context.io.now;
    // Most queries have delivered rows: nothing more is known of them.
    let tracked = match context.servers.ledger(group).look(id) {
        Known::Nothing => None,
        Known::Forgotten
        | Known::Runs
        | Known::Waits
        | Known::Moved(..)
        | Known::Finished
        | Known::Lost(_) => match track((id, matter), request, group, context) {
            Ok(tracked) => Some(Box::new(tracked)),
            Err(decision) => {
                let way = carry_out(decision, id, request, (group, began), context);
                return (way, Direction::default());
            }
        },
    };
    let (current, asks) =
        tracked.as_ref().map_or((id, Asks::Other), |tracked| (tracked.current, tracked.asks));
    let owner = owner(current, group, context);
    let decision = Decision::by_owner(matter, asks, owner);
    let way = carry_out(decision, current, request, (group, began), context);
    let aim = match owner {
        Ownership::Alive(server) => {
            context.servers.trino(group).note_asked(server, now);
            Aim::Only(ServerId(server))
        }
        Ownership::Unknown if way == Way::Ask => {
            context.servers.trino(group).note_unknown(now);
            Aim::Active
        }
        Ownership::Unknown | Ownership::Dead(_) => Aim::Active,
    };
    (way, Direction { aim, tracked })
}

/// Looks up a query that the ledger knows, and takes note that it is asked for.
///
/// # Errors
/// No coordinator is asked: what follows instead.
fn track<N: Net>(
    (id, matter): (QueryId, Matter),
    request: &Request,
    group: GroupAt,
    context: &mut Context<N>,
) -> Result<Tracked, Decision> {
    let now = context.io.now;
    let (path, _) = request.path_and_query();
    let timeout = timeout(group, context);
    let ledger = context.servers.ledger(group);
    ledger.give_up_overdue(id, timeout, now);
    let (at, current) = (ledger.path(id, path), ledger.current(id));
    if at == Path::Next {
        ledger.asked(current, now);
    }
    let decision = Decision::by_stage(matter, ledger.look(id), at);
    let asks = Asks::of(matter, ledger.look(current), at);
    let target = (current != id && decision.is_none()).then(|| {
        let is_direct = at == Path::Next && matches!(matter, Matter::Poll | Matter::Cancel);
        let next = ledger.next(current).filter(|_| is_direct);
        next.map_or_else(|| renamed(request, id, current), Box::from)
    });
    // What is cancelled is not submitted again.
    if matter == Matter::Cancel && at == Path::Next {
        ledger.remove(current);
    }
    match decision {
        Some(decision) => Err(decision),
        None => Ok(Tracked { current, target, asks }),
    }
}

/// What follows when the process at this server that ran a query is gone, or will not answer in time.
pub fn lost<N: Net>(
    (id, matter): (QueryId, Matter),
    server: ServerId,
    request: &Request,
    (group, began): (GroupAt, Time),
    context: &mut Context<N>,
) -> Way {
    let ledger = context.servers.ledger(group);
    let at = ledger.path(id, request.path_and_query().0);
    let asks = Asks::of(matter, ledger.look(id), at);
    let decision = Decision::by_owner(matter, asks, Ownership::Dead(server.0));
    carry_out(decision, id, request, (group, began), context)
}

/// Carries out what is decided about a query.
fn carry_out<N: Net>(
    decision: Decision,
    id: QueryId,
    request: &Request,
    (group, began): (GroupAt, Time),
    context: &mut Context<N>,
) -> Way {
    let now = context.io.now;
    let (path, _) = request.path_and_query();
    let loss = match decision {
        Decision::Ask => return Way::Ask,
        Decision::Hold => return hold(began, now),
        Decision::Wait => {
            let until = began + REQUEST_HELD.min(timeout(group, context));
            return queue_up(until, group, context);
        }
        Decision::Refuse => return Way::Refuse(Refusal::WaitedInVain),
        Decision::Finished => return Way::Tell(Told::Finished(id)),
        Decision::Moved(answer) => return Way::Tell(Told::Moved(answer)),
        Decision::Cancelled => {
            // Others may wait for what becomes of it.
            context.servers.news.push(News::Submitted(id));
            return Way::Tell(Told::Cancelled);
        }
        Decision::Resubmit => match context.servers.ledger(group).lose(id, path, now) {
            Ok(()) => return hold(began, now),
            Err(loss) => loss,
        },
        Decision::Lost(loss) => loss,
    };
    let server = match owner(id, group, context) {
        Ownership::Alive(server) | Ownership::Dead(server) => Some(ServerId(server)),
        Ownership::Unknown => None,
    };
    Way::Tell(Told::Lost { id, server, loss })
}

/// Weighs an answer to a poll of `id` that is kept back, and takes note of it. Returns what follows
/// if it must not be passed on.
pub fn weigh<N: Net>(
    id: QueryId,
    held: (&AnswerScan, bool),
    (at, began): (At, Time),
    context: &mut Context<N>,
) -> Option<Way> {
    let now = context.io.now;
    let ready = context.servers.group(at.group).standing(at.server, now).lasting;
    let release = context.servers.trino(at.group).profiles.release(at.server.0);
    let answerer = Answerer { release, ready };
    match weighing::weigh(context.servers.ledger(at.group), id, held, answerer, now) {
        Weighed::Passes => None,
        Weighed::Waits => Some(hold(began, now)),
        Weighed::Lost(loss) => Some(Way::Tell(Told::Lost { id, server: Some(at.server), loss })),
    }
}

/// Lets a poll that began then wait. One that has waited for its server long enough is answered at
/// once.
pub fn hold(began: Time, now: Time) -> Way {
    Way::Hold { until: (began + POLL_HELD).max(now), place: Place::None }
}

/// Lets a request wait in the queue of its group, if that has a place.
pub fn queue_up<N: Net>(until: Time, group: GroupAt, context: &mut Context<N>) -> Way {
    let others = context.servers.ledger(group).open();
    let group = context.servers.group(group);
    if !group.has_place(others) {
        return Way::Refuse(Refusal::QueueFull);
    }
    group.enter_queue();
    Way::Hold { until, place: Place::Taken }
}

/// How long a query of a group may wait.
pub fn timeout<N: Net>(group: GroupAt, context: &mut Context<N>) -> Duration {
    context.servers.group(group).queue().map_or(Duration::ZERO, |queue| queue.timeout)
}

/// Finds out where a query runs.
pub fn owner<N: Net>(id: QueryId, group: GroupAt, context: &mut Context<N>) -> Ownership {
    context.servers.trino(group).coordinators.owner(id.coordinator())
}

/// The target of the request with another id in place of this one.
fn renamed(request: &Request, id: QueryId, new: QueryId) -> Box<[u8]> {
    let (path, query) = request.path_and_query();
    let mut target = path.to_vec();
    if let Some(query) = query {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    rename(&mut target, id, new);
    target.into()
}

/// Replaces the first `id` in a text, if it is there.
pub fn rename(text: &mut [u8], id: QueryId, new: QueryId) {
    if let Some(at) = memchr::memmem::find(text, id.as_bytes()) {
        text[at..at + id.as_bytes().len()].copy_from_slice(new.as_bytes());
    }
}

/// How long a poll waits before it is told to ask again: its client waits no longer for an answer,
/// unless its server took longer to be found out.
const POLL_HELD: Duration = Duration::from_secs(1);
/// How long any other request of Trino's waits: less than the timeouts of its clients.
pub const REQUEST_HELD: Duration = Duration::from_secs(20);
