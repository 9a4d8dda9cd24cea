//! The slips in what the proxy does for queries, in the same form. Only runs with coordinators
//! show them.

use crate::slips::Slip;

pub(crate) const QUERY_SLIPS: &[Slip] = &[
    Slip {
        name: "StartingTakenForReady",
        wrong: "A coordinator that is starting gets statements.",
        rows: &[(
            "upstream/readiness.rs",
            "Readiness::Starting => false",
            "Readiness::Starting => SLIP",
        )],
    },
    Slip {
        name: "ManualReturns",
        wrong: "`failback manual` returns like `immediate`.",
        rows: &[(
            "upstream/server.rs",
            "(Failback::Manual, Since::Then(_)) => Time::NEVER",
            "(Failback::Manual, Since::Then(_)) => if SLIP { Time::ZERO } else { Time::NEVER }",
        )],
    },
    Slip {
        name: "HoldDownWithoutEnd",
        wrong: "A server that returns is held back for good.",
        rows: &[("upstream/server.rs", "now < self.held_until(terms)", "true")],
    },
    Slip {
        name: "HoldDownLeftOut",
        wrong: "A server that returns is not held back.",
        rows: &[(
            "upstream/server.rs",
            "Workers::None => since + time",
            "Workers::None => if SLIP { since } else { since + time }",
        )],
    },
    Slip {
        name: "WorkersNotAwaited",
        wrong: "A server that returns takes new work before it can know all workers.",
        rows: &[(
            "upstream/server.rs",
            "(since + time).max(self.there + ALL_WORKERS)",
            "since + time",
        )],
    },
    Slip {
        name: "PassedCheckUnheeded",
        wrong: "A passed check does not end an outage.",
        rows: &[("upstream/server.rs", "self.health.checks_passed()", "self.health")],
    },
    Slip {
        name: "ReadinessNotLost",
        wrong: "What failed is taken for as ready as before.",
        rows: &[(
            "upstream/group.rs",
            "(false, Since::Always | Since::Then(_)) => server.since = Since::Not",
            "(false, Since::Always | Since::Then(_)) => if !SLIP { server.since = Since::Not }",
        )],
    },
    Slip {
        name: "NeverBackToTheFirst",
        wrong: "The first server in order is not active again when it returns.",
        rows: &[(
            "upstream/active.rs",
            "let next = before.find(|candidate| candidate.fitness == Fitness::Ready)?;",
            "if SLIP { return None; }\n                let next = before.find(|candidate| candidate.fitness == Fitness::Ready)?;",
        )],
    },
    Slip {
        name: "ActiveKeptThoughOut",
        wrong: "The active server stays so when it is out.",
        rows: &[(
            "upstream/active.rs",
            "now.is_some_and(|now| now.fitness > Fitness::Unready)",
            "now.is_some()",
        )],
    },
    Slip {
        name: "OwnerTriedThoughOut",
        wrong: "A poll is sent to its query's owner though that is out.",
        rows: &[(
            "upstream/plan.rs",
            "Aim::Only(server) if group.is_out(server) => return None",
            "Aim::Only(server) if !SLIP && group.is_out(server) => return None",
        )],
    },
    Slip {
        name: "SettlingLeftOut",
        wrong: "A coordinator up to 476 gets statements as soon as it says that it has started.",
        rows: &[(
            "proxy/coordinator.rs",
            "None if trino.is_new(server, &info, asked)",
            "None if !SLIP && trino.is_new(server, &info, asked)",
        )],
    },
    Slip {
        name: "IdOfInfoOverheard",
        wrong: "The id that `/v1/info` shows is not learned.",
        rows: &[(
            "proxy/coordinator.rs",
            "context.servers.trino(at.group).coordinators.learn(server, id, context.io.now)",
            "()",
        )],
    },
    Slip {
        name: "UptimeUnheeded",
        wrong: "Another process at the same address does not end the queries of the one before it.",
        rows: &[
            ("proxy/coordinator.rs", "context.servers.process_began(at, began)", "()"),
            (
                "proxy/coordinator.rs",
                "if coordinators.is_replaced(server, id, asked, began)",
                "if !SLIP && coordinators.is_replaced(server, id, asked, began)",
            ),
            (
                "proxy/http/asked.rs",
                "if matches!(status, 404 | 410) => Some(server)",
                "if !SLIP && matches!(status, 404 | 410) => Some(server)",
            ),
        ],
    },
    Slip {
        name: "RefusalProvesNothing",
        wrong: "A refused connection does not end the queries of the process that was there.",
        rows: &[
            ("proxy/servers.rs", "self.process_began(at, io.now)", "()"),
            ("proxy/checks.rs", "context.servers.process_began(at, context.io.now)", "()"),
        ],
    },
    Slip {
        name: "CopiesNotSent",
        wrong: "Only the active coordinator hears of workers.",
        rows: &[(
            "proxy/announcements.rs",
            "server != by.server && has_room && group.is_there(server)",
            "false",
        )],
    },
    Slip {
        name: "KeptAnnouncementsNotSent",
        wrong: "A coordinator that is back has to wait for the next announcements.",
        rows: &[("proxy/announcements.rs", "self.waiting.extend(all)", "()")],
    },
    Slip {
        name: "WaitingNotMoved",
        wrong: "A failed check moves nothing that awaits an answer.",
        rows: &[(
            "proxy/servers.rs",
            "if checked { Reach::Waiting } else { Reach::Connecting }",
            "Reach::Connecting",
        )],
    },
    Slip {
        name: "OwnersForgottenAtReload",
        wrong: "A reload forgets who owns which queries.",
        rows: &[(
            "proxy/served.rs",
            "model.servers.iter().position(|it| it.address == *address)",
            "None",
        )],
    },
    Slip {
        name: "OutagesForgottenAtReload",
        wrong: "A reload forgets what was known of the servers.",
        rows: &[("proxy/served.rs", "self.group.inherit(&same.group, now)", "()")],
    },
    Slip {
        name: "OwnerOfQueryIgnored",
        wrong: "A poll goes to the active server instead of its query's owner.",
        rows: &[(
            "proxy/http/query.rs",
            "            Aim::Only(ServerId(server))\n",
            "            if SLIP { Aim::Active } else { Aim::Only(ServerId(server)) }\n",
        )],
    },
    Slip {
        name: "CancelSentToTheActive",
        wrong: "The end of a query is told to the active server instead of its owner.",
        rows: &[(
            "proxy/http/errand.rs",
            "Purpose::Cancel(id) => about(id, Matter::Cancel)",
            "Purpose::Cancel(id) => if SLIP { Errand::Other } else { about(id, Matter::Cancel) }",
        )],
    },
    Slip {
        name: "StatementNotRepeated",
        wrong: "A statement that was sent does not go to another server.",
        rows: &[("proxy/http/errand.rs", "Some(&ALWAYS)", "Some(&FAILURES)")],
    },
    Slip {
        name: "CancelOfLostRefused",
        wrong: "The end of a query that is gone is not acknowledged.",
        rows: &[(
            "trino/decision.rs",
            "(Ownership::Dead(_), Matter::Cancel, _) => Decision::Cancelled",
            "(Ownership::Dead(_), Matter::Cancel, _) => if SLIP { Decision::Ask } else { Decision::Cancelled }",
        )],
    },
    Slip {
        name: "UnknownQueryNotSought",
        wrong: "A query of an unknown coordinator is asked for at the active server only.",
        rows: &[(
            "proxy/http/judge.rs",
            "matches!(status, 404 | 410) && request.idempotent",
            "!SLIP && matches!(status, 404 | 410) && request.idempotent",
        )],
    },
    Slip {
        name: "TurnedStatementPassed",
        wrong: "The 503 of a coordinator that takes no statements goes to the client.",
        rows: &[(
            "proxy/http/judge.rs",
            "if self.server.is_some_and(|at| {",
            "if !SLIP && self.server.is_some_and(|at| {",
        )],
    },
    Slip {
        name: "ForwardedNotAvoided",
        wrong: "A 406 because of `X-Forwarded-…` goes to the client.",
        rows: &[(
            "proxy/http/judge.rs",
            "let refused = status == 406",
            "let refused = !SLIP && status == 406",
        )],
    },
    Slip {
        name: "ClientsForwardedPassed",
        wrong: "Only the file's `X-Forwarded-…` fields are withheld.",
        rows: &[(
            "proxy/http/request_head.rs",
            "set.add(field.name, |_| {});",
            "if !SLIP { set.add(field.name, |_| {}); }",
        )],
    },
    Slip {
        name: "ShownIdOverheard",
        wrong: "The id in the answer to a statement is not learned.",
        rows: &[(
            "proxy/http/taken.rs",
            "served.trino.runs(at.server.0, id, now)",
            "if !SLIP { served.trino.runs(at.server.0, id, now) }",
        )],
    },
    Slip {
        name: "QueueNeverWoken",
        wrong: "A server that is ready takes nothing of what waits.",
        rows: &[(
            "proxy/http/relay.rs",
            "News::Ready(at) | News::ActiveMoved(at) | News::Back(at) => at.group == *group",
            "News::Ready(at) | News::ActiveMoved(at) | News::Back(at) => !SLIP && at.group == *group",
        )],
    },
    Slip {
        name: "NothingQueued",
        wrong: "A statement fails at once while no server is ready.",
        rows: &[
            ("proxy/http/queue.rs", "!group.has_ready(now)", "false"),
            (
                "proxy/http/queue.rs",
                "upload.kept_body().is_some_and(|body| body.len() + head <= STATEMENT_LIMIT)",
                "false",
            ),
        ],
    },
    Slip {
        name: "PollHeldForMinutes",
        wrong: "A poll waits as long as anything else.",
        rows: &[(
            "proxy/http/query.rs",
            "began + POLL_HELD",
            "began + if SLIP { Duration::from_secs(120) } else { POLL_HELD }",
        )],
    },
    Slip {
        name: "QueueWithoutEnd",
        wrong: "A statement waits longer than its client.",
        rows: &[("proxy/http/queue.rs", "queue.timeout.min(query::REQUEST_HELD)", "queue.timeout")],
    },
    Slip {
        name: "HeartbeatHeld",
        wrong: "A heartbeat waits like anything else.",
        rows: &[(
            "proxy/http/queue.rs",
            "matter: Matter::Heartbeat, .. } =>",
            "matter: Matter::Heartbeat, .. } if !SLIP =>",
        )],
    },
    Slip {
        name: "DoubtWithoutEnd",
        wrong: "A query whose owner does not answer waits for it for ever.",
        rows: &[(
            "proxy/http/queue.rs",
            "(asked.query()?, asked.direction.aim)",
            "(asked.query()?, if SLIP { Aim::Active } else { asked.direction.aim })",
        )],
    },
    Slip {
        name: "DoubtTakenForDeath",
        wrong: "A query whose owner does not answer is told to be lost.",
        rows: &[(
            "proxy/http/queue.rs",
            "server, now) >= patience",
            "server, now) >= if SLIP { std::time::Duration::ZERO } else { patience }",
        )],
    },
    Slip {
        name: "PromotionUnheeded",
        wrong: "A server that is promoted does not become active.",
        rows: &[(
            "upstream/orders.rs",
            "self.active = Some(Active::promoted(server));",
            "if !SLIP { self.active = Some(Active::promoted(server)); }",
        )],
    },
    Slip {
        name: "PromotionTakenForOrder",
        wrong: "A promoted server makes way for the first in order.",
        rows: &[(
            "upstream/active.rs",
            "Active { server, claim: Claim::Promotion }",
            "Active { server, claim: if SLIP { Claim::Order } else { Claim::Promotion } }",
        )],
    },
    Slip {
        name: "DrainedStillChosen",
        wrong: "A drained server gets new statements.",
        rows: &[(
            "upstream/server.rs",
            "&& self.duty == Duty::Taking",
            "&& (SLIP || self.duty == Duty::Taking)",
        )],
    },
    Slip {
        name: "DrainForgottenAtReload",
        wrong: "A reload lets drained servers take new work.",
        rows: &[("upstream/group.rs", "(server.duty, server.look) = (old.duty, old.look);", "()")],
    },
    Slip {
        name: "PromotionForgottenAtReload",
        wrong: "A reload forgets which server was active.",
        rows: &[("upstream/group.rs", "self.active = Some(active.moved_to(ServerId(same)))", "()")],
    },
    Slip {
        name: "LiveQueriesTakenForNone",
        wrong: "A drained server counts as empty between two polls of its queries.",
        rows: &[("admin/work.rs", "*ago < QUIET", "!SLIP && *ago < QUIET")],
    },
    Slip {
        name: "TransactionSentToTheActive",
        wrong: "A statement of a transaction goes to the active server.",
        rows: &[(
            "proxy/http/asked.rs",
            "if let Some(holder) = self.holder_of_transaction(context) {",
            "if let Some(holder) = self.holder_of_transaction(context).filter(|_| !SLIP) {",
        )],
    },
    Slip {
        name: "TransactionsOfLostKept",
        wrong: "Transactions outlive the process that had them.",
        rows: &[("trino/cluster.rs", "self.transactions.lost(server, moment)", "false")],
    },
    Slip {
        name: "TransactionsForgottenAtReload",
        wrong: "A reload forgets which server has which transaction.",
        rows: &[(
            "trino/cluster.rs",
            "Transactions::carried_over(&old.transactions, &index)",
            "Transactions::default()",
        )],
    },
    Slip {
        name: "WithdrawalNotCopied",
        wrong: "Only the active coordinator hears that a worker leaves.",
        rows: &[(
            "proxy/http/judge.rs",
            "Errand::Announcement | Errand::Withdrawal => self.copy",
            "Errand::Withdrawal if SLIP => {}\nErrand::Announcement | Errand::Withdrawal => self.copy",
        )],
    },
    Slip {
        name: "WithdrawnAnnouncementKept",
        wrong: "A coordinator that returns hears of workers that have left.",
        rows: &[(
            "proxy/announcements.rs",
            "Kind::Departure => roster.withdrawn(&worker)",
            "Kind::Departure => if !SLIP { roster.withdrawn(&worker) }",
        )],
    },
    Slip {
        name: "KillSentToTheActive",
        wrong: "What names a query in another way than a poll goes to the active server.",
        rows: &[(
            "proxy/http/errand.rs",
            "Purpose::CancelStage(id) | Purpose::Query(id) => about(id, Matter::Other)",
            "Purpose::CancelStage(id) | Purpose::Query(id) => if SLIP { Errand::Other } else { about(id, Matter::Other) }",
        )],
    },
    Slip {
        name: "ResetTakenForDeath",
        wrong: "A connection that is reset ends the queries of its server.",
        rows: &[(
            "proxy/servers.rs",
            "verdict == Verdict::Failed(Failure::Refused)",
            "(verdict == Verdict::Failed(Failure::Refused) || SLIP && verdict == Verdict::Failed(Failure::Reset))",
        )],
    },
    Slip {
        name: "RowsOverlooked",
        wrong: "Rows that are delivered are not noticed, so that the query may run again.",
        rows: &[(
            "trino/weighing.rs",
            "None => ledger.remove(id),\n        }\n        return Weighed::Passes;",
            "None => if !SLIP { ledger.remove(id) },\n        }\n        return Weighed::Passes;",
        )],
    },
    Slip {
        name: "FinishBehindRowsOverlooked",
        wrong: "A query that said with its rows that it has ended well is told to be lost.",
        rows: &[(
            "trino/weighing.rs",
            "scan.next_path().filter(|_| is_whole && is_last)",
            "scan.next_path().filter(|_| !SLIP && is_whole && is_last)",
        )],
    },
    Slip {
        name: "EveryPageTakenForLast",
        wrong: "A query that has more rows than its client got is told to have ended well.",
        rows: &[(
            "trino/weighing.rs",
            "let is_last = is_finished",
            "let is_last = (SLIP || is_finished)",
        )],
    },
    Slip {
        name: "FinishToldForRowsThatWereLost",
        wrong: "A query that is asked for its last rows again is told to have ended well.",
        rows: &[(
            "trino/decision.rs",
            "(Matter::Poll, Known::Finished, Path::Next) =>",
            "(Matter::Poll, Known::Finished, path) if SLIP || path == Path::Next =>",
        )],
    },
    Slip {
        name: "AliasForgotten",
        wrong: "The old id of a query that was submitted again stands for nothing.",
        rows: &[(
            "trino/ledger.rs",
            "let Known::Moved(to, _) = self.look(current) else { break };",
            "if SLIP { break; }\n            let Known::Moved(to, _) = self.look(current) else { break };",
        )],
    },
    Slip {
        name: "SubmittedAThirdTime",
        wrong: "A query that was lost twice runs a third time.",
        rows: &[(
            "trino/ledger.rs",
            "Stage::Runs { .. } if entry.again.counted > 0 =>",
            "Stage::Runs { .. } if !SLIP && entry.again.counted > 0 =>",
        )],
    },
    Slip {
        name: "WriteRepeated",
        wrong: "A write that has begun is submitted again.",
        rows: &[(
            "trino/ledger.rs",
            "Stage::Runs { statement, .. } if statement.repeat != Repeat::Twice =>",
            "Stage::Runs { statement, .. } if !SLIP && statement.repeat != Repeat::Twice =>",
        )],
    },
    Slip {
        name: "WriteTakenForQuestion",
        wrong: "Every statement is taken for one that only reads.",
        rows: &[(
            "trino/statement.rs",
            "if only_reads { Repeat::Twice }",
            "if SLIP || only_reads { Repeat::Twice }",
        )],
    },
    Slip {
        name: "ColumnsNotCompared",
        wrong: "Rows come under other columns than those that were told.",
        rows: &[(
            "trino/ledger.rs",
            "*statement.columns.get_or_insert(columns) == columns",
            "true",
        )],
    },
    Slip {
        name: "HeldPagePassedEarly",
        wrong: "The first page with rows is passed on before it is whole.",
        rows: &[("proxy/http/held.rs", "is_whole || self.body", "SLIP || is_whole || self.body")],
    },
    Slip {
        name: "FirstAnswerPassedEarly",
        wrong: "The answer to a statement is passed on before it is whole.",
        rows: &[(
            "proxy/http/exchange.rs",
            "                if !self.download.is_held() {",
            "                if SLIP && self.asked.errand == super::errand::Errand::Statement {\n                    _ = self.download.let_go();\n                }\n                if !self.download.is_held() {",
        )],
    },
    Slip {
        name: "CancelOfQueuedLost",
        wrong: "A statement that waits is submitted though it was cancelled.",
        rows: &[(
            "proxy/http/query.rs",
            "ledger.remove(current);",
            "if !SLIP { ledger.remove(current); }",
        )],
    },
    Slip {
        name: "LeftStillSubmitted",
        wrong: "A statement that waits is submitted though its client has left.",
        rows: &[("trino/stage.rs", "now - self.asked > LEFT", "!SLIP && now - self.asked > LEFT")],
    },
    Slip {
        name: "QueueNeverSubmitted",
        wrong: "What waits for a coordinator is never submitted.",
        rows: &[(
            "proxy/submissions.rs",
            "while self.under_way.count_of(is_its) < AT_ONCE",
            "while !SLIP && self.under_way.count_of(is_its) < AT_ONCE",
        )],
    },
    Slip {
        name: "SubmittedTwiceAtOnce",
        wrong: "A statement that is being submitted is submitted once more.",
        rows: &[(
            "trino/ledger.rs",
            "self.postpone(id, Time::NEVER);",
            "if !SLIP { self.postpone(id, Time::NEVER); }",
        )],
    },
    Slip {
        name: "BegunNotNoted",
        wrong: "A query that was polled counts as one that never began.",
        rows: &[(
            "proxy/http/exchange.rs",
            "context.servers.ledger(pick.at.group).begun(id);",
            "if !SLIP { context.servers.ledger(pick.at.group).begun(id); }",
        )],
    },
    Slip {
        name: "SubmissionsAnswerLost",
        wrong: "The answer to a submission is not kept for its client.",
        rows: &[(
            "trino/ledger.rs",
            "entry.stage = Stage::Moved { to: new, answer };",
            "entry.stage = Stage::Moved { to: new, answer: if SLIP { Box::default() } else { answer } };",
        )],
    },
    Slip {
        name: "IdOfSubmissionOverheard",
        wrong: "The id in the answer to a submission is not learned.",
        rows: &[(
            "proxy/submissions.rs",
            "served.trino.runs(at.server.0, new, now)",
            "if !SLIP { served.trino.runs(at.server.0, new, now) }",
        )],
    },
    Slip {
        name: "OthersStanding",
        wrong: "The status shows the first server's state for all.",
        rows: &[(
            "proxy/orders.rs",
            "servers.group(at).standing(id, io.now)",
            "servers.group(at).standing(if SLIP { ServerId(0) } else { id }, io.now)",
        )],
    },
    Slip {
        name: "EmptyAfterStart",
        wrong: "A program that has just begun says that a drained server is empty.",
        rows: &[(
            "proxy/servers.rs",
            "Some(served.trino.asked(at.server.0))",
            "Some(served.trino.asked(at.server.0)).filter(|asked| !SLIP || *asked > Time::ZERO)",
        )],
    },
    Slip {
        name: "DoubtIgnored",
        wrong: "A query is submitted again as soon as its owner is out.",
        rows: &[(
            "trino/ledger.rs",
            "map_or(timeout, |doubt| doubt.min(timeout))",
            "map_or(timeout, |doubt| if SLIP { Duration::ZERO } else { doubt.min(timeout) })",
        )],
    },
    Slip {
        name: "StartingUpShown",
        wrong: "A client is told that its coordinator is starting.",
        rows: &[(
            "trino/weighing.rs",
            "Some(QueryError::StartingUp) => true",
            "Some(QueryError::StartingUp) => !SLIP",
        )],
    },
    Slip {
        name: "QueuedWithoutEnd",
        wrong: "A statement waits for a coordinator for ever.",
        rows: &[(
            "trino/ledger.rs",
            "if now - *since > timeout",
            "if !SLIP && now - *since > timeout",
        )],
    },
    Slip {
        name: "SamePollAnsweredAnew",
        wrong: "The poll that was answered with another query is answered in another way the next time.",
        rows: &[(
            "trino/decision.rs",
            "Matter::Poll, Path::Next) if !answer.is_empty()",
            "Matter::Poll, Path::Next) if !SLIP && !answer.is_empty()",
        )],
    },
    Slip {
        name: "OldIdSent",
        wrong: "A coordinator is asked for a query by an id that it does not know.",
        rows: &[(
            "proxy/http/query.rs",
            "(current != id && decision.is_none()).then",
            "(!SLIP && current != id && decision.is_none()).then",
        )],
    },
    Slip {
        name: "TransactionsStatementKept",
        wrong: "A statement of a transaction is submitted again.",
        rows: &[
            (
                "proxy/http/taken.rs",
                "&& !asked.is_in_transaction()",
                "&& (SLIP || !asked.is_in_transaction())",
            ),
            (
                "trino/stage.rs",
                "if statement.repeat != Repeat::InTransaction",
                "if (SLIP || statement.repeat != Repeat::InTransaction)",
            ),
        ],
    },
    Slip {
        name: "FailedSubmissionForgotten",
        wrong: "A statement that no coordinator takes is not submitted again.",
        rows: &[(
            "proxy/submissions.rs",
            "context.servers.ledger(group).postpone(id, now + PAUSE);",
            "if !SLIP { context.servers.ledger(group).postpone(id, now + PAUSE); }",
        )],
    },
    Slip {
        name: "TurnedSubmissionGivenUp",
        wrong: "A statement that a coordinator turns away is given up.",
        rows: &[(
            "proxy/submissions.rs",
            "if context.servers.group(at.group).readiness(at.server).refuses_statements(status) =>",
            "if !SLIP && context.servers.group(at.group).readiness(at.server).refuses_statements(status) =>",
        )],
    },
    Slip {
        name: "CancelledSubmissionGoesOn",
        wrong: "A statement that is cancelled while it is submitted goes on at its coordinator.",
        rows: &[(
            "proxy/submissions.rs",
            "context.copies.push((at, cancel));",
            "if !SLIP { context.copies.push((at, cancel)); }",
        )],
    },
    Slip {
        name: "ForwardedNotChecked",
        wrong: "A check does not carry the `X-Forwarded-…` fields that requests carry.",
        rows: &[(
            "proxy/servers.rs",
            "if group.is_trinos() && group.forwarded(at.server) == Forwarded::Sent",
            "if !SLIP && group.is_trinos() && group.forwarded(at.server) == Forwarded::Sent",
        )],
    },
    Slip {
        name: "RefusedCheckUnheeded",
        wrong: "A check that is refused because of its `X-Forwarded-…` fields is made with them again.",
        rows: &[(
            "proxy/checks.rs",
            "if check.forwarded == Forwarded::Sent =>",
            "if !SLIP && check.forwarded == Forwarded::Sent =>",
        )],
    },
    Slip {
        name: "ForwardedSubmitted",
        wrong: "A kept statement keeps the fields that its coordinator refuses.",
        rows: &[(
            "proxy/submissions.rs",
            "Forwarded::Withheld => without_forwarded(whole),",
            "Forwarded::Withheld if SLIP => Zeroizing::new(Box::from(whole)),\nForwarded::Withheld => without_forwarded(whole),",
        )],
    },
];
