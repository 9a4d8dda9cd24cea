//! What is noted of an answer that is passed on: that a coordinator has taken a statement.

use super::asked::Asked;
use super::errand::Errand;
use super::queue::Requester;
use super::upload::Upload;
use crate::config::model::Resubmit;
use crate::net::Net;
use crate::proxy::context::Context;
use crate::trino::known::Known;
use crate::trino::rows::AnswerScan;
use crate::upstream::group::At;

/// Notes what the answer to a statement says: up to 476 this is the only place where the coordinator's
/// id shows. The statement is kept.
pub(super) fn note<N: Net>(
    asked: &Asked,
    upload: &Upload<N>,
    (scan, at): (&AnswerScan, At),
    Requester { client, attempts }: Requester<'_, N>,
    context: &mut Context<N>,
) {
    let now = context.io.now;
    let Some(id) = scan.id().filter(|_| asked.errand == Errand::Statement) else { return };
    // An id that is in use is another query's.
    if context.servers.ledger(at.group).look(id) != Known::Nothing {
        return;
    }
    context.servers.each(at, |at, served| served.trino.runs(at.server.0, id, now));
    let group = &asked.config.groups[at.group.id.0];
    let is_kept = group.resubmit != Resubmit::Off && !asked.is_in_transaction();
    let Some(next) = scan.next_path().filter(|_| is_kept) else { return };
    let Some(statement) = asked.statement(upload, client, attempts, context) else { return };
    let (ledger, limit) = (context.servers.ledger(at.group), group.statement_memory);
    if ledger.keep(id, next.into(), statement, limit, now) > 0 {
        let what = "trino_statement_memory is full: queries whose statements are dropped are not run again";
        context.limited_log.seldom.tell(now, log::Level::Warn, what);
    }
}
