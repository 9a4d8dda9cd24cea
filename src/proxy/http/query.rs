//! Where a request about a query goes: to the coordinator that runs it, or to the one that runs what
//! it goes by now; or what its client is told instead.

use std::time::Duration;

use super::errand::Matter;
use super::link::Place;
use super::request::Request;
use super::way::{Told, Way};
use crate::http::refusal::Refusal;
use crate::net::Net;
use crate::proxy::context::Context;
use crate::time::Time;
use crate::trino::coordinator::Ownership;
use crate::trino::kept::Loss;
use crate::trino::ledger::Known;
use crate::trino::query_id::QueryId;
use crate::trino::rows::{AnswerScan, Carries, QueryError, QueryState};
use crate::trino::submitted;
use crate::upstream::group::{At, GroupAt, ServerId};
use crate::upstream::plan::Aim;

/// Where a request about a query goes.
#[derive(Debug)]
pub struct Direction {
    /// What follows for it.
    pub way: Way,
    /// The servers that may answer it.
    pub aim: Aim,
    /// The target in place of its own: the query goes by another id.
    pub instead: Option<Box<[u8]>>,
    /// The query, if it is polled, no row of it was delivered, and its statement is kept.
    pub undelivered: Option<QueryId>,
}

impl Direction {
    fn of(way: Way) -> Direction {
        Direction { way, aim: Aim::Active, instead: None, undelivered: None }
    }
}

/// Finds out where a request about a query goes.
pub fn direct<N: Net>(
    (id, matter): (QueryId, Matter),
    request: &Request,
    (group, began): (GroupAt, Time),
    context: &mut Context<N>,
) -> Direction {
    let now = context.io.now;
    let ledger = context.servers.ledger(group);
    let (mut current, mut instead, mut undelivered) = (id, None, None);
    // Most queries have delivered rows: nothing more is known of them.
    if ledger.look(id) != Known::Nothing {
        match known((id, matter), request, (group, began), context) {
            Found::End(way) => return Direction::of(way),
            Found::Goes(as_query, target) => (current, instead) = (as_query, target),
        }
        let ledger = context.servers.ledger(group);
        if matter == Matter::Poll && ledger.look(current) == Known::Runs {
            undelivered = Some(current);
        }
    }
    match owner(current, group, context) {
        Owner::Alive(server) => {
            context.servers.trino(group).note_asked(server.0, now);
            Direction { way: Way::Ask, aim: Aim::Only(server), instead, undelivered }
        }
        Owner::Gone(server) => {
            let way = lost((current, matter), server, request, (group, began), context);
            Direction { way, aim: Aim::Active, instead, undelivered }
        }
        // Its server is no longer in the file.
        Owner::Unknown if undelivered.is_some() => {
            let (path, _) = request.path_and_query();
            Direction::of(match context.servers.ledger(group).lose(current, path, now) {
                Ok(()) => hold(began, now),
                Err(loss) => Way::Tell(Told::Lost { id: current, server: None, loss }),
            })
        }
        // One that waited, and that nobody has asked for in time.
        Owner::Unknown if matter == Matter::Poll && context.servers.ledger(group).made_up(id) => {
            Direction::of(Way::Tell(Told::Lost { id, server: None, loss: Loss::Waited }))
        }
        Owner::Unknown => Direction { way: Way::Ask, aim: Aim::Active, instead, undelivered },
    }
}

/// What follows from what the ledger knows of a query.
enum Found {
    /// No server is asked.
    End(Way),
    /// It goes by this id, and is asked for at this target if that is not the request's own.
    Goes(QueryId, Option<Box<[u8]>>),
}

/// Looks up a query of which the ledger knows something.
fn known<N: Net>(
    (id, matter): (QueryId, Matter),
    request: &Request,
    (group, began): (GroupAt, Time),
    context: &mut Context<N>,
) -> Found {
    let now = context.io.now;
    let (path, _) = request.path_and_query();
    let queue = context.servers.group(group).queue();
    let timeout = queue.map_or(Duration::ZERO, |queue| queue.timeout);
    let ledger = context.servers.ledger(group);
    ledger.give_up_overdue(id, timeout, now);
    let (is_next, current) = (ledger.is_next(id, path), ledger.current(id));
    if is_next {
        ledger.asked(current, now);
    }
    Found::End(match (ledger.look(id), matter) {
        (Known::Moved(_, answer), Matter::Poll) if is_next && !answer.is_empty() => {
            Way::Tell(Told::Moved(answer.into()))
        }
        (Known::Waits, Matter::Poll) if is_next => hold(began, now),
        (Known::Waits, Matter::Cancel) if is_next => {
            ledger.remove(id);
            Way::Tell(Told::Cancelled)
        }
        // What it goes by is known once it is submitted.
        (Known::Waits, Matter::Cancel) => hold(began, now),
        (Known::Waits, Matter::Heartbeat) => Way::Refuse(Refusal::WaitedInVain),
        (Known::Lost(loss), Matter::Poll) if is_next => {
            let server = owner(id, group, context).server();
            Way::Tell(Told::Lost { id, server, loss })
        }
        (Known::Lost(_), Matter::Cancel) => Way::Tell(Told::Cancelled),
        (Known::Moved(..), Matter::Cancel) if is_next => {
            let next = ledger.next(current).map(Box::from);
            return Found::Goes(current, next.or_else(|| Some(renamed(request, id, current))));
        }
        (Known::Moved(..), _) => return Found::Goes(current, Some(renamed(request, id, current))),
        (Known::Nothing | Known::Runs | Known::Finished | Known::Waits | Known::Lost(_), _) => {
            return Found::Goes(id, None);
        }
    })
}

/// What follows when the process at this server that ran a query is gone, or will not answer in time.
pub fn lost<N: Net>(
    (id, matter): (QueryId, Matter),
    server: ServerId,
    request: &Request,
    (group, began): (GroupAt, Time),
    context: &mut Context<N>,
) -> Way {
    let (path, _) = request.path_and_query();
    let now = context.io.now;
    let ledger = context.servers.ledger(group);
    match matter {
        Matter::Poll if ledger.look(id) == Known::Finished => Way::Tell(Told::Finished(id)),
        Matter::Poll => match ledger.lose(id, path, now) {
            Ok(()) => hold(began, now),
            Err(loss) => Way::Tell(Told::Lost { id, server: Some(server), loss }),
        },
        Matter::Cancel => {
            if ledger.is_next(id, path) {
                ledger.remove(id);
            }
            Way::Tell(Told::Cancelled)
        }
        Matter::Heartbeat => Way::Refuse(Refusal::WaitedInVain),
        Matter::Other => Way::Ask,
    }
}

/// Weighs an answer to a poll of `id` that is kept back, and takes note of it. Returns what follows
/// if it must not be passed on.
pub fn weigh<N: Net>(
    id: QueryId,
    (scan, is_whole): (&AnswerScan, bool),
    (at, began): (At, Time),
    context: &mut Context<N>,
) -> Option<Way> {
    let now = context.io.now;
    let standing = context.servers.group(at.group).standing(at.server, now);
    let is_new = standing.lasting.is_some_and(|lasting| lasting < NEW);
    let ledger = context.servers.ledger(at.group);
    // It goes on elsewhere: whatever this coordinator still says reaches nobody.
    if matches!(ledger.look(id), Known::Waits | Known::Moved(..)) {
        return Some(hold(began, now));
    }
    if let Some(columns) = scan.columns()
        && !ledger.see_columns(id, columns)
    {
        ledger.give_up(id, Loss::Differs);
        let server = Some(at.server);
        return Some(Way::Tell(Told::Lost { id, server, loss: Loss::Differs }));
    }
    // What follows behind `stats` is known of a whole answer only.
    if scan.carries() != Carries::NoRows || !is_whole || !scan.is_whole() {
        ledger.remove(id);
        return None;
    }
    let may_restart = match scan.error() {
        Some(QueryError::StartingUp) => true,
        Some(QueryError::NoNodes | QueryError::NodesEmpty) => is_new && ledger.may_move(id),
        Some(QueryError::Other) | None => false,
    };
    if may_restart && ledger.restart(id, now, now + PAUSE) {
        return Some(hold(began, now));
    }
    if scan.has_update_type() {
        ledger.forbid(id);
    }
    match scan.next_uri().and_then(submitted::path) {
        Some(_) if scan.error().is_some() => ledger.remove(id),
        Some(next) => {
            ledger.told_next(id, next);
            if scan.state() == Some(QueryState::Finished) {
                ledger.finished(id);
            }
        }
        None => ledger.remove(id),
    }
    None
}

/// Lets a poll that began then wait. One that has waited for its server long enough is answered at
/// once.
pub fn hold(began: Time, now: Time) -> Way {
    Way::Hold { until: (began + POLL_HELD).max(now), place: Place::None }
}

/// Where a query runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// At this server.
    Alive(ServerId),
    /// Nowhere: the process at this server that ran it is gone.
    Gone(ServerId),
    /// It is not known.
    Unknown,
}

impl Owner {
    fn server(self) -> Option<ServerId> {
        match self {
            Owner::Alive(server) | Owner::Gone(server) => Some(server),
            Owner::Unknown => None,
        }
    }
}

/// Finds out where a query runs.
pub fn owner<N: Net>(id: QueryId, group: GroupAt, context: &mut Context<N>) -> Owner {
    match context.servers.trino(group).coordinators.owner(id.coordinator()) {
        Ownership::Alive(server) => Owner::Alive(ServerId(server)),
        Ownership::Dead(server) => Owner::Gone(ServerId(server)),
        Ownership::Unknown => Owner::Unknown,
    }
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

/// A coordinator that has been ready for so long has all of its workers.
const NEW: Duration = Duration::from_secs(30);
/// How long a poll waits before it is told to ask again: its client waits no longer for an answer,
/// unless its server took longer to be found out.
const POLL_HELD: Duration = Duration::from_secs(1);
/// Before a statement is submitted again that a coordinator could not begin.
const PAUSE: Duration = crate::trino::kept::PAUSE;
