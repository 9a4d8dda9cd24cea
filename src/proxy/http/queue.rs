//! Requests that wait until a server is ready: whether one may, for how long, and what it is told
//! in the end.

use std::hash::BuildHasher;

use super::asked::{Asked, STATEMENT_LIMIT};
use super::errand::Errand;
use super::own_answer::{self, OwnAnswer};
use super::query;
use super::transition::UploadState;
use super::upload::Upload;
use super::variables::Answered;
use super::way::{Told, Way};
use crate::config::model::Resubmit;
use crate::http::refusal::Refusal;
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::proxy::log::format::id_stamp;
use crate::proxy::log::limited_log::Topic;
use crate::trino::decision::Matter;
use crate::trino::kept::{Loss, PAUSE};
use crate::trino::sql;
use crate::upstream::group::{At, GroupAt, ServerId};
use crate::upstream::plan::Aim;

/// Lets a request wait in its group's queue, or refuses it: with `otherwise`, if there is no queue, or
/// no need to wait.
pub fn enter<N: Net>(
    asked: &Asked,
    upload: &Upload<N>,
    otherwise: Refusal,
    requester: Requester<'_, N>,
    context: &mut Context<N>,
) -> Way {
    let now = context.io.now;
    let Some(queue) = context.servers.group(asked.group()).queue() else {
        return Way::Refuse(otherwise);
    };
    if can_be_queued(asked, upload, context) {
        return queued(asked, upload, requester, context);
    }
    let group = context.servers.group(asked.group());
    let is_lost = match asked.direction.aim {
        Aim::Active => !group.has_ready(now),
        Aim::Only(server) => group.is_out(server),
    };
    if !is_lost || asked.upload_state(upload) == UploadState::Spent {
        return Way::Refuse(otherwise);
    }
    if is_released(asked, upload, context) {
        return Way::Ask;
    }
    let until = match asked.errand {
        Errand::Query { matter: Matter::Heartbeat, .. } => {
            return Way::Refuse(Refusal::WaitedInVain);
        }
        Errand::Query { matter: Matter::Poll, .. } => {
            return match given_up(asked, context) {
                Some(server) => asked.lost(server, context),
                None => query::hold(asked.started, now),
            };
        }
        Errand::Plain => asked.started + queue.timeout,
        Errand::Statement
        | Errand::Query { .. }
        | Errand::Announcement
        | Errand::Withdrawal
        | Errand::Other => asked.started + queue.timeout.min(query::REQUEST_HELD),
    };
    if until < now {
        return Way::Refuse(Refusal::WaitedInVain);
    }
    query::queue_up(until, asked.group(), context)
}

/// The client of a request, and the attempts for it so far.
pub struct Requester<'a, N: Net> {
    /// The client.
    pub client: &'a Client<N>,
    /// The attempts.
    pub attempts: &'a AttemptLog,
}

/// Whether a statement can be answered before a server has it.
pub fn can_be_queued<N: Net>(asked: &Asked, upload: &Upload<N>, context: &mut Context<N>) -> bool {
    let head = asked.request.head.bytes().len();
    asked.errand == Errand::Statement
        && asked.direction.aim == Aim::Active
        && asked.page.is_none()
        && upload.kept_body().is_some_and(|body| body.len() + head <= STATEMENT_LIMIT)
        && context.servers.group(asked.group()).queue().is_some()
}

/// Whether the holder of a statement's transaction was found to be gone while it was asked: any server
/// may have the statement.
fn is_released<N: Net>(asked: &Asked, upload: &Upload<N>, context: &mut Context<N>) -> bool {
    let kills = || upload.text(asked.request.framing).is_some_and(|it| sql::killed(&it).is_some());
    asked.errand == Errand::Statement
        && asked.direction.aim != Aim::Active
        && asked.is_in_transaction()
        && asked.holder_of_transaction(context).is_none()
        // It may be aimed at the server of the query that it kills, and is again.
        && !kills()
}

/// Keeps a statement until a server takes it.
fn queued<N: Net>(
    asked: &Asked,
    upload: &Upload<N>,
    Requester { client, attempts }: Requester<'_, N>,
    context: &mut Context<N>,
) -> Way {
    let now = context.io.now;
    let open = context.servers.ledger(asked.group()).open();
    let group = context.servers.group(asked.group());
    if !group.has_place(open) {
        return Way::Refuse(Refusal::QueueFull);
    }
    // If a server is well, it has just failed the statement.
    let from = if group.has_ready(now) { now + PAUSE } else { now };
    let Some(statement) = asked.statement(upload, client, attempts, context) else {
        return Way::Refuse(Refusal::WaitedInVain);
    };
    let limit = asked.config.groups[asked.group().id.0].statement_memory;
    if !context.servers.ledger(asked.group()).has_room(statement.request.len(), limit) {
        return Way::Refuse(Refusal::QueueFull);
    }
    let mut stamp = [0; 15];
    id_stamp(context.io.net.wall(now), &mut stamp);
    let GroupAt { generation, id: group } = asked.group();
    let ledger = context.servers.ledger(asked.group());
    let id = ledger.make_up(&stamp);
    // Another group may make up the same id.
    let secret = |part: u8| context.keys.hash_one((part, id.as_bytes(), generation, group.0));
    let path = format!("/v1/statement/queued/{id}/x{:016x}{:016x}/1", secret(0), secret(1));
    let path: Box<[u8]> = path.into_bytes().into();
    ledger.queue(id, path.clone(), statement, (now, from));
    let waiting = ledger.open();
    context.limited_log.write(now, Topic::Servers, log::Level::Warn, || {
        let name = &asked.config.groups[group.0].name;
        format!("upstream \"{name}\": query {id} waits for a coordinator, {waiting} wait in all")
    });
    Way::Tell(Told::Waits(id, path))
}

/// Ends the wait of a request: a poll is told to ask again, or what became of its query.
pub fn ended<N: Net>(asked: &Asked, context: &mut Context<N>) -> Way {
    let Errand::Query { id, matter: Matter::Poll } = asked.errand else {
        return Way::Refuse(Refusal::WaitedInVain);
    };
    if let Some(server) = given_up(asked, context) {
        return asked.lost(server, context);
    }
    let (path, _) = asked.request.path_and_query();
    Way::Tell(Told::Waits(id, path.into()))
}

/// The server that runs the query that is polled, if it has been out for so long that it is waited for
/// no more.
fn given_up<N: Net>(asked: &Asked, context: &mut Context<N>) -> Option<ServerId> {
    let ((current, _), Aim::Only(server)) = (asked.query()?, asked.direction.aim) else {
        return None;
    };
    let (now, at) = (context.io.now, asked.group());
    let doubt = match asked.config.groups[at.id.0].resubmit {
        Resubmit::On { doubt } => Some(doubt),
        Resubmit::Off => None,
    };
    let timeout = query::timeout(at, context);
    let patience = context.servers.ledger(at).patience(current, doubt, timeout)?;
    (context.servers.group(at).out_for(server, now) >= patience).then_some(server)
}

/// What the client of a query is told.
pub fn told<N: Net>(
    told: Told,
    asked: &Asked,
    Requester { client, attempts }: Requester<'_, N>,
    context: &mut Context<N>,
) -> OwnAnswer {
    let lost = match told {
        Told::Lost { server, loss, .. } => {
            let server = server.map(|server| At { group: asked.group(), server });
            words_of(loss, server.map(|at| asked.server_words(Some(at))))
        }
        Told::Waits(..) | Told::Finished(_) | Told::Moved(_) | Told::Cancelled => String::new(),
    };
    if let Told::Lost { id, .. } = told {
        context.limited_log.write(context.io.now, Topic::Servers, log::Level::Warn, || {
            let name = &asked.config.groups[asked.group().id.0].name;
            format!("upstream \"{name}\": query {id} is lost: {lost}")
        });
    }
    let scope = asked.scope(client, attempts, Answered::default(), context);
    match told {
        Told::Lost { id, .. } => own_answer::lost(id, &lost, &scope),
        Told::Waits(id, path) => own_answer::waiting(id, &path, &scope),
        Told::Finished(id) => own_answer::finished(id, &scope),
        Told::Moved(answer) => OwnAnswer::json(200, answer.into_vec()),
        Told::Cancelled => OwnAnswer::json(204, Vec::new()),
    }
}

/// What the client of a lost query reads.
fn words_of(loss: Loss, server: Option<String>) -> String {
    let lost = match server {
        Some(server) if loss == Loss::Differs => {
            format!("Another coordinator runs this query ({server}).")
        }
        Some(server) => format!("The coordinator that ran this query is gone ({server})."),
        None => "No coordinator has taken this query.".to_owned(),
    };
    let look = "run it again yourself, but look first whether it took effect if it changes data";
    match loss {
        Loss::NotKept => format!(
            "{lost} The query was not run again, because a part of its answer may have been \
             delivered: {look}."
        ),
        Loss::MayHaveChanged => {
            format!("{lost} The query was not run again, because it may have changed data: {look}.")
        }
        Loss::Repeated => format!(
            "{lost} The query had been run again once already, and is not run a third time: a query \
             that takes down coordinators should be found before it is run again."
        ),
        Loss::Denied(200) => format!(
            "{lost} Another coordinator took the query, but its answer cannot be used: run it again \
             yourself."
        ),
        Loss::Denied(status) => format!(
            "{lost} Another coordinator did not take the query, but answered with {status}: run it \
             again yourself."
        ),
        Loss::Differs => format!(
            "{lost} The query was run again, but its answer has other columns now: run it again \
             yourself."
        ),
        Loss::Waited => {
            format!("{lost} It has waited for one as long as it may: run it again later.")
        }
    }
}
