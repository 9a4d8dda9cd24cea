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
use crate::proxy::news::News;
use crate::time::Time;
use crate::trino::coordinator::Ownership;
use crate::trino::kept::{Loss, PAUSE};
use crate::trino::ledger::Known;
use crate::trino::query_id::QueryId;
use crate::trino::rows::{AnswerScan, Carries, QueryError, QueryState};
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

/// What a request asks of a query that the ledger knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// The next part of its answer: no row of it was delivered, and its statement is kept.
    Undelivered,
    /// The last part, which says only once more that it has ended well.
    Acknowledges,
    /// Anything else.
    Other,
}

impl Asks {
    fn of(matter: Matter, known: Known<'_>, is_next: bool) -> Asks {
        match (matter, known) {
            (Matter::Poll, Known::Runs) => Asks::Undelivered,
            (Matter::Poll, Known::Finished) if is_next => Asks::Acknowledges,
            (_, _) => Asks::Other,
        }
    }
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
        Known::Runs | Known::Waits | Known::Moved(..) | Known::Finished | Known::Lost(_) => {
            match track((id, matter), request, (group, began), context) {
                Found::End(way) => return (way, Direction::default()),
                Found::Goes(tracked) => Some(Box::new(tracked)),
            }
        }
    };
    let current = tracked.as_ref().map_or(id, |tracked| tracked.current);
    let way = match owner(current, group, context) {
        Ownership::Alive(server) => {
            context.servers.trino(group).note_asked(server, now);
            return (Way::Ask, Direction { aim: Aim::Only(ServerId(server)), tracked });
        }
        Ownership::Dead(server) => {
            lost((current, matter), ServerId(server), request, (group, began), context)
        }
        // Its server is no longer in the file.
        Ownership::Unknown if tracked.as_ref().is_some_and(|it| it.asks == Asks::Undelivered) => {
            let (path, _) = request.path_and_query();
            match context.servers.ledger(group).lose(current, path, now) {
                Ok(()) => hold(began, now),
                Err(loss) => Way::Tell(Told::Lost { id: current, server: None, loss }),
            }
        }
        // One that waited, and that nobody has asked for in time.
        Ownership::Unknown
            if matter == Matter::Poll && context.servers.ledger(group).made_up(id) =>
        {
            Way::Tell(Told::Lost { id, server: None, loss: Loss::Waited })
        }
        Ownership::Unknown => {
            context.servers.trino(group).note_unknown(now);
            Way::Ask
        }
    };
    (way, Direction { aim: Aim::Active, tracked })
}

/// What follows from what the ledger knows of a query.
enum Found {
    /// No server is asked.
    End(Way),
    /// A server is asked.
    Goes(Tracked),
}

/// Looks up a query that the ledger knows.
fn track<N: Net>(
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
            context.servers.news.push(News::Submitted(id));
            Way::Tell(Told::Cancelled)
        }
        // What it goes by is known once it is submitted.
        (Known::Waits, Matter::Cancel) => {
            Way::Hold { until: began + REQUEST_HELD.min(timeout), place: Place::None }
        }
        (Known::Waits, Matter::Heartbeat) => Way::Refuse(Refusal::WaitedInVain),
        (Known::Lost(loss), Matter::Poll) if is_next => {
            let server = match owner(id, group, context) {
                Ownership::Alive(server) | Ownership::Dead(server) => Some(ServerId(server)),
                Ownership::Unknown => None,
            };
            Way::Tell(Told::Lost { id, server, loss })
        }
        (Known::Lost(_), Matter::Cancel) => Way::Tell(Told::Cancelled),
        (Known::Finished, Matter::Cancel) if is_next => {
            ledger.remove(id);
            return Found::Goes(Tracked { current: id, target: None, asks: Asks::Other });
        }
        // Only who asks at its paths may have its answer.
        (Known::Moved(..), Matter::Poll) if !is_next => {
            Way::Tell(Told::Lost { id, server: None, loss: Loss::NotKept })
        }
        (Known::Moved(..), _) => {
            let is_direct = is_next && matches!(matter, Matter::Poll | Matter::Cancel);
            let next = ledger.next(current).filter(|_| is_direct);
            let target = next.map_or_else(|| renamed(request, id, current), Box::from);
            let asks = Asks::of(matter, ledger.look(current), is_next);
            return Found::Goes(Tracked { current, target: Some(target), asks });
        }
        (known, _) => {
            let asks = Asks::of(matter, known, is_next);
            return Found::Goes(Tracked { current: id, target: None, asks });
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
        // One that is asked for its last answer again may not have had it.
        Matter::Poll if ledger.look(id) == Known::Finished && ledger.is_next(id, path) => {
            Way::Tell(Told::Finished(id))
        }
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
    let release = context.servers.trino(at.group).profiles.release(at.server.0);
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
    // What stands behind `data` or `stats` is known of a whole answer only.
    let is_whole = is_whole && scan.is_whole();
    let is_finished = scan.state() == Some(QueryState::Finished) && scan.error().is_none();
    let is_last = is_finished && release.is_some_and(|it| it >= DRAINED);
    if scan.carries() != Carries::NoRows || !is_whole {
        match scan.next_path().filter(|_| is_whole && is_last) {
            Some(next) => ledger.finished(id, next),
            None => ledger.remove(id),
        }
        return None;
    }
    let may_restart = match scan.error() {
        Some(QueryError::StartingUp) => true,
        Some(QueryError::NoNodes | QueryError::NodesEmpty) => is_new && ledger.may_run_twice(id),
        Some(QueryError::Other) | None => false,
    };
    if may_restart && ledger.restart(id, now, now + PAUSE) {
        return Some(hold(began, now));
    }
    if scan.has_update_type() {
        ledger.forbid(id);
    }
    match scan.next_path() {
        Some(_) if scan.error().is_some() => ledger.remove(id),
        Some(next) if is_last => ledger.finished(id, next),
        Some(next) => ledger.told_next(id, next),
        None => ledger.remove(id),
    }
    None
}

/// Lets a poll that began then wait. One that has waited for its server long enough is answered at
/// once.
pub fn hold(began: Time, now: Time) -> Way {
    Way::Hold { until: (began + POLL_HELD).max(now), place: Place::None }
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

/// From this version on, a query that is `FINISHED` has handed out all rows. Before, some may still be
/// to come.
const DRAINED: u32 = 391;
/// A coordinator that has been ready for so long has all of its workers.
const NEW: Duration = Duration::from_secs(30);
/// How long a poll waits before it is told to ask again: its client waits no longer for an answer,
/// unless its server took longer to be found out.
const POLL_HELD: Duration = Duration::from_secs(1);
/// How long any other request of Trino's waits: less than the timeouts of its clients.
pub const REQUEST_HELD: Duration = Duration::from_secs(20);
