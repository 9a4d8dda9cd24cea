//! The slips, in the order of the first file that each one changes.
//!
//! Each slip is an easy mistake in its place, named for what it gets wrong. A row is a file below
//! `src`, a text that occurs in it exactly once, and what the slip turns it into: an expression for
//! an expression, or statements for statements.
//!
//! This does not work if the slip is another match arm, or if its expression is unique only with
//! the text before it. Then the slipped text is used as it is, and `SLIP` in it is true if the slip
//! is planted.

/// One deliberate mistake.
pub(crate) struct Slip {
    pub(crate) name: &'static str,
    /// The wrong behaviour.
    pub(crate) wrong: &'static str,
    /// The file, the text as written, and the text as slipped.
    pub(crate) rows: &'static [(&'static str, &'static str, &'static str)],
}

pub(crate) const SLIPS: &[Slip] = &[
    Slip {
        name: "ChunkEndsEarly",
        wrong: "A chunk that lacks one byte counts as complete.",
        rows: &[("http/chunked.rs", "whole = left == 0", "whole = left <= u64::from(SLIP)")],
    },
    Slip {
        name: "CloseOverheard",
        wrong: "`Connection: close` is ignored.",
        rows: &[(
            "http/connection.rs",
            "Version::Http11 => !self.close",
            "Version::Http11 => SLIP || !self.close",
        )],
    },
    Slip {
        name: "HeadBodyAwaited",
        wrong: "The response to a HEAD is expected to have a body.",
        rows: &[("http/framing.rs", "bodiless = to_head", "bodiless = (to_head && !SLIP)")],
    },
    Slip {
        name: "NotModifiedBodyAwaited",
        wrong: "A 304 is expected to have a body.",
        rows: &[(
            "http/framing.rs",
            "matches!(head.status, 100..=199 | 204 | 304)",
            "matches!(head.status, 100..=199 | 204)",
        )],
    },
    Slip {
        name: "LengthOneMore",
        wrong: "A body with a length is read one byte too far.",
        rows: &[("http/framing.rs", "Body::Length(length)", "Body::Length(length + 1)")],
    },
    Slip {
        name: "HopByHopPassedOn",
        wrong: "Fields that `Connection` names are passed on.",
        rows: &[("http/rewrite.rs", "named.is_some_and(|named| named.has(name))", "false")],
    },
    Slip {
        name: "SameServerAgain",
        wrong: "A server that failed may be picked again for the same request.",
        rows: &[(
            "upstream/plan.rs",
            "self.tried.insert(pick.at.server);\n        self.tries += 1;",
            "if !SLIP { self.tried.insert(pick.at.server); }
             self.tries += 1;",
        )],
    },
    Slip {
        name: "OwnerNotChanged",
        wrong: "A connection taken from the pool keeps its entry there as the owner of its events.",
        rows: &[(
            "proxy/http/exchange.rs",
            "context.io.owners[token.0] = Owner::Upstream(client.facts.session)",
            "()",
        )],
    },
    Slip {
        name: "DeadPooledBlamed",
        wrong: "A dead pooled connection counts as a failure of its server.",
        rows: &[(
            "proxy/http/transition.rs",
            "matches!(event, ExchangeEvent::Failed(Failure::Reset | Failure::Closed))",
            "false",
        )],
    },
    Slip {
        name: "HalfSentConnectionPooled",
        wrong: "A connection on which half a request was sent goes to the pool.",
        rows: &[("proxy/http/exchange.rs", "self.upload.is_sent()", "true")],
    },
    Slip {
        name: "ReserveUnused",
        wrong: "The reserve of descriptors is given up, but not used.",
        rows: &[(
            "proxy/context.rs",
            "self.io.reserve.spend()",
            "self.io.reserve.spend() && false",
        )],
    },
    Slip {
        name: "RetriedAfterFirstByte",
        wrong: "The request is sent to another server after a reset within the response's body.",
        rows: &[(
            "proxy/http/transition.rs",
            "(ExchangeEvent::Failed(_) | ExchangeEvent::Refused(_), Body | Ended, _) => Reaction::Cut",
            "(ExchangeEvent::Failed(Failure::Reset), Body, _) if SLIP => Reaction::Retry(Failure::Reset),
             (ExchangeEvent::Failed(_) | ExchangeEvent::Refused(_), Body | Ended, _) => Reaction::Cut",
        )],
    },
    Slip {
        name: "LastChunkLost",
        wrong: "A body that ended with its connection is passed on without its last chunk.",
        rows: &[("proxy/http/download.rs", "*coding == Coding::Chunks", "false")],
    },
    Slip {
        name: "CutTakenForWhole",
        wrong: "A response that ends before its length counts as complete.",
        rows: &[(
            "proxy/http/download.rs",
            "Phase::Head(_) | Phase::Body(_) => Step::Failed(Failure::Closed)",
            "Phase::Body(_) if SLIP => Step::Done,
             Phase::Head(_) | Phase::Body(_) => Step::Failed(Failure::Closed)",
        )],
    },
    Slip {
        name: "SurplusPooled",
        wrong: "A connection with bytes after the response goes to the pool.",
        rows: &[("proxy/http/download.rs", "!self.flow.unread().is_empty()", "false")],
    },
    Slip {
        name: "ClosingConnectionPooled",
        wrong: "A connection that its server is about to close goes to the pool.",
        rows: &[(
            "proxy/http/download.rs",
            "{ passing.leaves }",
            "{ if SLIP { Left::Clean } else { passing.leaves } }",
        )],
    },
    Slip {
        name: "LeavingUnnoticed",
        wrong: "A client that leaves while it waits is not noticed.",
        rows: &[("proxy/http/relay.rs", "self.look_for_client(client, context)", "Step::Idle")],
    },
    Slip {
        name: "RefusedBodyReadOn",
        wrong: "A refusal within a body is not sent if the client has sent its FIN.",
        rows: &[(
            "proxy/http/exchange.rs",
            "Turn::Answer(OwnAnswer::page(refusal.status(), refusal.words()))",
            "if client.socket.is_ending() {
                 Turn::End(Over::Ended(Ending::ClientLeft))
             } else {
                 Turn::Answer(OwnAnswer::page(refusal.status(), refusal.words()))
             }",
        )],
    },
    Slip {
        name: "UnwantedBodyParsed",
        wrong: "The rest of an unused body is read as the next request.",
        rows: &[
            (
                "proxy/http/relay.rs",
                "if !self.upload.is_received() || context",
                "if (!SLIP && !self.upload.is_received()) || context",
            ),
            ("proxy/http/asked.rs", "upload.is_received();", "(SLIP || upload.is_received());"),
        ],
    },
    Slip {
        name: "CutEndsInOrder",
        wrong: "A cut response without framing ends with a FIN, like a complete one.",
        rows: &[("proxy/http/exchange.rs", "Ending::Reset", "Ending::Close")],
    },
    Slip {
        name: "ConnectTimeoutIgnored",
        wrong: "`proxy_connect_timeout` is ignored.",
        rows: &[(
            "proxy/http/relay.rs",
            "Some((dial.deadline(), ExchangeEvent::Failed(Failure::ConnectTimedOut)))",
            "None",
        )],
    },
    Slip {
        name: "BodyTimeoutIgnored",
        wrong: "`client_body_timeout` is ignored.",
        rows: &[(
            "proxy/http/relay.rs",
            "Some((since + timeout, ExchangeEvent::Refused(Refusal::BodyTimedOut)))",
            "None",
        )],
    },
    Slip {
        name: "SendTimeoutIgnored",
        wrong: "`send_timeout` is ignored.",
        rows: &[(
            "proxy/http/relay.rs",
            "self.download.since() + self.asked.settings().send_timeout",
            "Time::NEVER",
        )],
    },
    Slip {
        name: "ReadTimeoutWhileSending",
        wrong: "`proxy_read_timeout` runs while the request is still being sent.",
        rows: &[(
            "proxy/http/relay.rs",
            "if self.upload.is_over() => {",
            "if SLIP || self.upload.is_over() => {",
        )],
    },
    Slip {
        name: "AbortBlamedOnServer",
        wrong: "A client that leaves counts as a failure of its server.",
        rows: &[(
            "proxy/http/relay.rs",
            "Verdict::Abandoned, context);\n        self.attempts",
            "if SLIP { Verdict::Failed(Failure::Closed) } else { Verdict::Abandoned }, context);
             self.attempts",
        )],
    },
    Slip {
        name: "UpgradeLeftInOrder",
        wrong: "A server that was asked to switch protocols and has not yet is left with a FIN.",
        rows: &[("proxy/http/exchange.rs", "self.download.awaits_upgrade()", "false")],
    },
    Slip {
        name: "KeepaliveDeadlineKept",
        wrong: "`keepalive_timeout` runs from the accept, not from the last response.",
        rows: &[(
            "proxy/http/session.rs",
            "deadline = since + timeout",
            "deadline = if SLIP { client.facts.accepted } else { since } + timeout",
        )],
    },
    Slip {
        name: "RestOfInputForgotten",
        wrong: "Buffered pipelined requests wait for an event that never comes.",
        rows: &[(
            "proxy/http/session.rs",
            "self.stage = Stage::Idle { since, deadline, skipped: 0 };",
            "self.stage = Stage::Idle { since, deadline, skipped: 0 };
             if SLIP { return Some(Next::Wait) }",
        )],
    },
    Slip {
        name: "LingeringLeftOut",
        wrong: "The connection is closed right after the last response, with bytes of the client unread.",
        rows: &[(
            "proxy/http/session.rs",
            "settings.lingering_close == Lingering::Off",
            "settings.lingering_close != Lingering::Always",
        )],
    },
    Slip {
        name: "InterimTakenForFinal",
        wrong: "The first 1xx ends the exchange.",
        rows: &[("proxy/http/judge.rs", "head.status < 200", "false")],
    },
    Slip {
        name: "ContinueRepeated",
        wrong: "Each server's 100 is passed on, not only the first.",
        rows: &[(
            "proxy/http/judge.rs",
            "std::mem::replace(&mut self.download.continued, true)",
            "std::mem::replace(&mut self.download.continued, true) && false",
        )],
    },
    Slip {
        name: "InterimToOldClient",
        wrong: "1xx is passed on to HTTP/1.0 clients.",
        rows: &[("proxy/http/judge.rs", "self.asked.request.version == Version::Http11", "true")],
    },
    Slip {
        name: "ChunksToOldClient",
        wrong: "Chunks are passed on to HTTP/1.0 clients.",
        rows: &[("proxy/http/response_head.rs", "client == Version::Http10", "false")],
    },
    Slip {
        name: "OldOnesStay",
        wrong: "Exchanges that began with an old configuration may last forever.",
        rows: &[("proxy/servers.rs", "old.ends = io.now + timeout", "()")],
    },
    Slip {
        name: "PoolNeverExpires",
        wrong: "Idle connections to servers never expire.",
        rows: &[("proxy/servers.rs", "self.pool_at(place).remove_expired(io.now)", "None")],
    },
    Slip {
        name: "AlarmBelieved",
        wrong: "An alarm is acted on although its deadline has moved.",
        rows: &[("proxy/session.rs", "self.deadline() > shared.context.io.now", "false")],
    },
    Slip {
        name: "ReplayOverflowUnnoticed",
        wrong: "A body beyond the replay buffer's limit counts as kept, so the next server gets a part.",
        rows: &[("proxy/http/upload.rs", "self.forget(pool)", "()")],
    },
    Slip {
        name: "ReplayNotRewound",
        wrong: "A second attempt begins after the bytes that the first one sent.",
        rows: &[(
            "proxy/http/upload.rs",
            "self.resent = 0;\n        self.taker =",
            "if !SLIP { self.resent = 0; }\n        self.taker =",
        )],
    },
    Slip {
        name: "BufferNotReturned",
        wrong: "An exchange that ends does not return its replay buffer.",
        rows: &[(
            "proxy/http/upload.rs",
            "io.buffers.clear(&mut self.head);\n        self.replay.forget(&mut io.buffers);",
            "io.buffers.clear(&mut self.head);",
        )],
    },
    Slip {
        name: "TokenLeaked",
        wrong: "The token of a closed socket stays in use.",
        rows: &[("transport/io.rs", "self.owners.remove(socket.token().0);", "")],
    },
    Slip {
        name: "EndBehindShortReadLost",
        wrong: "A short read hides the known end of the stream.",
        rows: &[("transport/socket.rs", "self.end != PeerEnd::Unknown", "false")],
    },
    Slip {
        name: "WriteStopsWriting",
        wrong: "After each write, the next one waits for an event.",
        rows: &[(
            "transport/socket.rs",
            "retried(|| stream.write_vectored(from))",
            "retried(|| stream.write_vectored(from)).inspect(|_| self.writable = false)",
        )],
    },
    Slip {
        name: "TunnelCutInOrder",
        wrong: "A cut tunnel ends for its client with a FIN, like a complete one.",
        rows: &[("transport/tunnel.rs", "self.down.end != End::Told", "false")],
    },
    Slip {
        name: "BackupsFirst",
        wrong: "Backups are preferred to primaries.",
        rows: &[
            (
                "upstream/group.rs",
                "|it| !it.backup && usable(it) && !held(it)",
                "|it| it.backup == SLIP && usable(it) && !held(it)",
            ),
            (
                "upstream/group.rs",
                "|it| it.backup && usable(it) && !held(it)",
                "|it| it.backup != SLIP && usable(it) && !held(it)",
            ),
        ],
    },
    Slip {
        name: "TrialLeaked",
        wrong: "A trial whose client leaves is never released.",
        rows: &[("upstream/group.rs", "before.trial_abandoned()", "before")],
    },
    Slip {
        name: "TrialWithoutEnd",
        wrong: "A server that passes its trial stays on trial.",
        rows: &[(
            "upstream/health.rs",
            "Health::Trial { .. } => Health::FRESH",
            "Health::Trial { .. } => if SLIP { self } else { Health::FRESH }",
        )],
    },
    Slip {
        name: "TimeoutNeverMoves",
        wrong: "A timeout never moves a request to another server.",
        rows: &[("upstream/retry.rs", "policy.timeout\n", "false")],
    },
    Slip {
        name: "PostRepeated",
        wrong: "Every method may be repeated.",
        rows: &[(
            "upstream/retry.rs",
            r#"matches!(method, b"GET" | b"HEAD" | b"PUT" | b"DELETE" | b"OPTIONS")"#,
            "true",
        )],
    },
    Slip {
        name: "ChecksNeverBegin",
        wrong: "Servers that are out are never checked.",
        rows: &[("proxy/checks.rs", "context.servers.begin_check(context.io.now)", "None")],
    },
    Slip {
        name: "PauseWithoutEnd",
        wrong: "No deadline ends a pause in accepting.",
        rows: &[("worker/listeners.rs", "self.paused.unwrap_or(Time::NEVER)", "Time::NEVER")],
    },
    Slip {
        name: "DrainForgetsIdle",
        wrong: "Draining leaves idle clients connected.",
        rows: &[("worker/mod.rs", "self.sessions.evict(|session, _| session.may_go())", "()")],
    },
    Slip {
        name: "IdleEventsIgnored",
        wrong: "Events on an idle connection to a server leave it in the pool.",
        rows: &[("worker/mod.rs", "event.readable || event.read_closed || event.broken", "false")],
    },
    Slip {
        name: "AlarmNotSetAgain",
        wrong: "An alarm that has fired is not set again.",
        rows: &[("worker/sessions.rs", "entry.alarm = Time::NEVER", "()")],
    },
    Slip {
        name: "LargeHeadsStay",
        wrong: "Clients with large heads are kept when memory is used up.",
        rows: &[(
            "worker/room.rs",
            "while sessions.shared.context.io.buffers.is_exhausted()",
            "while !SLIP && sessions.shared.context.io.buffers.is_exhausted()",
        )],
    },
];
