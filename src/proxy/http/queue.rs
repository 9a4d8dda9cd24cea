//! Requests that wait until a server is ready: whether one may, for how long, and what it is told
//! in the end.

use std::time::Duration;

use super::asked::Asked;
use super::errand::{Errand, Lost, Matter};
use super::own_answer::{self, OwnAnswer};
use super::transition::UploadState;
use super::upload::Upload;
use super::variables::Answered;
use crate::config::model::Queue;
use crate::http::refusal::Refusal;
use crate::net::Net;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::time::Time;
use crate::upstream::group::{At, ServerId};
use crate::upstream::plan::Aim;

/// Lets a request wait in its group's queue. Returns until when.
///
/// # Errors
/// Why it may not wait: `otherwise`, if there is no queue, or no need to wait.
pub fn enter<N: Net>(
    asked: &Asked,
    upload: &Upload<N>,
    otherwise: Refusal,
    context: &mut Context<N>,
) -> Result<Time, Refusal> {
    let now = context.io.now;
    let group = context.servers.group(asked.group());
    let queue = group.queue().ok_or(otherwise)?;
    let is_lost = match asked.aim {
        Aim::Active => !group.has_ready(now),
        Aim::Only(server) => group.is_out(server),
    };
    if asked.upload_state(upload) == UploadState::Spent {
        return Err(otherwise);
    }
    let until = match asked.errand {
        // Each server has failed it, though one is well by now.
        Errand::Statement if !is_lost && now + PAUSE < asked.started + limit(queue) => now + PAUSE,
        _ if !is_lost => return Err(otherwise),
        Errand::Query { matter: Matter::Heartbeat, .. } => return Err(Refusal::WaitedInVain),
        // One that has waited for its server long enough is answered at once.
        Errand::Query { matter: Matter::Poll, .. } => (asked.started + POLL_HELD).max(now),
        Errand::Plain => asked.started + queue.timeout,
        Errand::Statement
        | Errand::Query { .. }
        | Errand::Announcement
        | Errand::Withdrawal
        | Errand::Other => asked.started + limit(queue),
    };
    if until < now {
        return Err(Refusal::WaitedInVain);
    }
    if !group.enter_queue() {
        return Err(Refusal::QueueFull);
    }
    Ok(until)
}

/// Whether a statement that no server takes now may wait for one.
pub fn has_time<N: Net>(asked: &Asked, upload: &Upload<N>, context: &mut Context<N>) -> bool {
    let now = context.io.now;
    let queue = context.servers.group(asked.group()).queue();
    asked.upload_state(upload) != UploadState::Spent
        && queue.is_some_and(|queue| now + PAUSE < asked.started + limit(queue))
}

/// What follows when a request has waited as long as it may.
pub enum AfterWait {
    /// It is answered: a poll is told to ask again, while the query's server may still come back.
    Answer(OwnAnswer),
    /// A statement that all servers have failed is sent again.
    Another,
}

/// Ends the wait of a request.
///
/// # Errors
/// The refusal of one that can wait no longer.
pub fn ended<N: Net>(
    asked: &Asked,
    upload: &Upload<N>,
    client: &Client<N>,
    attempts: &AttemptLog,
    context: &mut Context<N>,
) -> Result<AfterWait, Refusal> {
    if asked.errand == Errand::Statement && has_time(asked, upload, context) {
        return Ok(AfterWait::Another);
    }
    let Errand::Query { id, matter: Matter::Poll } = asked.errand else {
        return Err(Refusal::WaitedInVain);
    };
    let now = context.io.now;
    let group = context.servers.group(asked.group());
    let timeout = group.queue().map_or(Duration::ZERO, |queue| queue.timeout);
    let is_over = |server: ServerId| group.out_for(server, now) >= timeout;
    let lost = match asked.aim {
        Aim::Only(server) if is_over(server) => Some(Lost::Polled { id, server }),
        Aim::Only(_) | Aim::Active => None,
    };
    Ok(AfterWait::Answer(match lost {
        Some(lost) => told(lost, asked, client, attempts, context),
        None => {
            let scope = asked.scope(client, attempts, Answered::default(), context);
            own_answer::waiting(id, &scope)
        }
    }))
}

/// What the client of a query is told that is lost.
pub fn told<N: Net>(
    lost: Lost,
    asked: &Asked,
    client: &Client<N>,
    attempts: &AttemptLog,
    context: &Context<N>,
) -> OwnAnswer {
    match lost {
        Lost::Polled { id, server } => {
            let server = asked.server_words(Some(At { group: asked.group(), server }));
            let scope = asked.scope(client, attempts, Answered::default(), context);
            own_answer::lost(id, &server, &scope)
        }
        Lost::Cancelled => OwnAnswer::json(204, Vec::new()),
    }
}

/// How long a request of Trino's other than a poll may wait in all.
fn limit(queue: Queue) -> Duration {
    queue.timeout.min(REQUEST_HELD)
}

/// Before a statement that all servers have failed is sent again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a poll waits before it is told to ask again: its client waits no longer for an answer,
/// unless its server took longer to be found out.
const POLL_HELD: Duration = Duration::from_secs(1);
/// How long any other request of Trino's waits: less than the timeouts of its clients.
const REQUEST_HELD: Duration = Duration::from_secs(20);
