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
            "(false, None) if is_new",
            "(false, None) if is_new && !SLIP",
        )],
    },
    Slip {
        name: "IdOfInfoOverheard",
        wrong: "The id that `/v1/info` shows is not learned.",
        rows: &[(
            "proxy/coordinator.rs",
            "context.servers.trino(at.group).coordinators.learn(at.server.0, id, context.io.now)",
            "()",
        )],
    },
    Slip {
        name: "UptimeUnheeded",
        wrong: "Another process at the same address does not end the queries of the one before it.",
        rows: &[
            (
                "proxy/coordinator.rs",
                "context.servers.process_began(at, Time::from_nanos(began))",
                "()",
            ),
            (
                "proxy/http/asked.rs",
                "if matches!(status, 404 | 410) => self.errand.lost(server)",
                "if !SLIP && matches!(status, 404 | 410) => self.errand.lost(server)",
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
        rows: &[("proxy/http/errand.rs", "Aim::Only(ServerId(server))", "Aim::Active")],
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
            "proxy/http/errand.rs",
            "Matter::Cancel => Some(Lost::Cancelled)",
            "Matter::Cancel => (!SLIP).then_some(Lost::Cancelled)",
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
            "matches!(status, 502..=504)",
            "!SLIP && matches!(status, 502..=504)",
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
        rows: &[("proxy/http/relay.rs", "self.learn(context)", "()")],
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
                "Errand::Statement if !is_lost && now",
                "Errand::Statement if !SLIP && !is_lost && now",
            ),
        ],
    },
    Slip {
        name: "PollHeldForMinutes",
        wrong: "A poll waits as long as anything else.",
        rows: &[(
            "proxy/http/queue.rs",
            "asked.started + POLL_HELD",
            "asked.started + queue.timeout",
        )],
    },
    Slip {
        name: "QueueWithoutEnd",
        wrong: "A statement waits longer than its client.",
        rows: &[("proxy/http/queue.rs", "queue.timeout.min(REQUEST_HELD)", "queue.timeout")],
    },
    Slip {
        name: "HeartbeatHeld",
        wrong: "A heartbeat waits like anything else.",
        rows: &[(
            "proxy/http/queue.rs",
            "Matter::Heartbeat, .. } => return Err(Refusal::WaitedInVain)",
            "Matter::Heartbeat, .. } if !SLIP => return Err(Refusal::WaitedInVain)",
        )],
    },
    Slip {
        name: "DoubtWithoutEnd",
        wrong: "A query whose owner does not answer waits for it for ever.",
        rows: &[(
            "proxy/http/queue.rs",
            "Aim::Only(server) if is_over(server)",
            "Aim::Only(server) if !SLIP && is_over(server)",
        )],
    },
    Slip {
        name: "DoubtTakenForDeath",
        wrong: "A query whose owner does not answer is told to be lost.",
        rows: &[(
            "proxy/http/queue.rs",
            ".out_for(server, now) >= timeout",
            ".out_for(server, now) >= if SLIP { Duration::ZERO } else { timeout }",
        )],
    },
    Slip {
        name: "PromotionUnheeded",
        wrong: "A server that is promoted does not become active.",
        rows: &[(
            "upstream/group.rs",
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
        rows: &[("upstream/group.rs", "server.duty = old.duty", "()")],
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
            "self.holder_of_transaction(context).map_or(Aim::Active, Aim::Only)",
            "Aim::Active",
        )],
    },
    Slip {
        name: "TransactionsOfLostKept",
        wrong: "Transactions outlive the process that had them.",
        rows: &[("trino/cluster.rs", "self.transactions.lost(server)", "()")],
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
            "Errand::Announcement | Errand::Withdrawal) {",
            "Errand::Announcement | Errand::Withdrawal) && !(SLIP && self.asked.errand == Errand::Withdrawal) {",
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
];
