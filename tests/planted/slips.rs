//! The slips, sorted by the first file that each one is in.
//!
//! Each is one that is easily made at its place, and is named by what it gets wrong. A row is a file
//! below `src`, a text that stands in it exactly once, and what a slip makes of it: an expression in
//! place of an expression, or statements in place of statements.
//!
//! Where the slip is another arm, or its expression is told from others only by what stands before
//! it, that does not serve. Then `SLIP` stands in the slipped text for the question whether the slip
//! is made, and the slipped text is put in as it is.

/// One slip.
pub(crate) struct Slip {
    pub(crate) name: &'static str,
    /// What it gets wrong.
    pub(crate) wrong: &'static str,
    /// File, text as written, text as slipped.
    pub(crate) rows: &'static [(&'static str, &'static str, &'static str)],
}

pub(crate) const SLIPS: &[Slip] = &[
    Slip {
        name: "ChunkEndsEarly",
        wrong: "A chunk of which one byte is missing is taken for whole.",
        rows: &[("http/chunked.rs", "whole = left == 0", "whole = left <= u64::from(SLIP)")],
    },
    Slip {
        name: "CloseOverheard",
        wrong: "`Connection: close` is overheard.",
        rows: &[(
            "http/connection.rs",
            "Version::Http11 => !self.close",
            "Version::Http11 => SLIP || !self.close",
        )],
    },
    Slip {
        name: "HeadBodyAwaited",
        wrong: "The answer to a HEAD is taken to have a body.",
        rows: &[("http/framing.rs", "bodiless = to_head", "bodiless = (to_head && !SLIP)")],
    },
    Slip {
        name: "NotModifiedBodyAwaited",
        wrong: "A 304 is taken to have a body.",
        rows: &[(
            "http/framing.rs",
            "matches!(head.status, 100..=199 | 204 | 304)",
            "matches!(head.status, 100..=199 | 204)",
        )],
    },
    Slip {
        name: "LengthOneMore",
        wrong: "A body with a length is one byte longer than it says.",
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
            "let pick = group.pick(self.tried, now)?;\n        self.tried.insert(pick.at.server);",
            "let pick = group.pick(self.tried, now)?;
             if !SLIP { self.tried.insert(pick.at.server); }",
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
        wrong: "A pooled connection that turns out dead is a failure of its server.",
        rows: &[(
            "proxy/http/transition.rs",
            "matches!(event, ExchangeEvent::Failed(Failure::Reset | Failure::Closed))",
            "false",
        )],
    },
    Slip {
        name: "HalfSentConnectionPooled",
        wrong: "A connection with half a request on it goes to the pool.",
        rows: &[("proxy/http/exchange.rs", "self.upload.is_sent()", "true")],
    },
    Slip {
        name: "ReserveUnused",
        wrong: "The reserve of descriptors is given up, and nothing made of it.",
        rows: &[(
            "proxy/context.rs",
            "self.io.reserve.spend()",
            "self.io.reserve.spend() && false",
        )],
    },
    Slip {
        name: "RetriedAfterFirstByte",
        wrong: "A server that resets within the body has its request sent to another.",
        rows: &[(
            "proxy/http/transition.rs",
            "(ExchangeEvent::Failed(_) | ExchangeEvent::Refused(_), Body | Ended, _) => Reaction::Cut",
            "(ExchangeEvent::Failed(Failure::Reset), Body, _) if SLIP => Reaction::Retry(Failure::Reset),
             (ExchangeEvent::Failed(_) | ExchangeEvent::Refused(_), Body | Ended, _) => Reaction::Cut",
        )],
    },
    Slip {
        name: "LastChunkLost",
        wrong: "A body that ended with its connection is passed on without the last chunk.",
        rows: &[("proxy/http/download.rs", "*coding == Coding::Chunks", "false")],
    },
    Slip {
        name: "CutTakenForWhole",
        wrong: "An answer that ends before its length is taken for a whole one.",
        rows: &[(
            "proxy/http/download.rs",
            "Phase::Head(_) | Phase::Body(_) => Step::Failed(Failure::Closed)",
            "Phase::Body(_) if SLIP => Step::Done,
             Phase::Head(_) | Phase::Body(_) => Step::Failed(Failure::Closed)",
        )],
    },
    Slip {
        name: "SurplusPooled",
        wrong: "A connection with octets behind the answer goes to the pool.",
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
        wrong: "A client that has left while it waited is not noticed.",
        rows: &[("proxy/http/relay.rs", "self.look_for_client(client, context)", "Step::Idle")],
    },
    Slip {
        name: "RefusedBodyReadOn",
        wrong: "A request that was refused within its body is read on, up to its client's end.",
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
        wrong: "The rest of a body that nobody wanted is read as the next request.",
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
        wrong: "A cut answer without framing ends like a whole one, by FIN.",
        rows: &[("proxy/http/exchange.rs", "Ending::Reset", "Ending::Close")],
    },
    Slip {
        name: "ConnectTimeoutIgnored",
        wrong: "`proxy_connect_timeout` is not looked at.",
        rows: &[(
            "proxy/http/relay.rs",
            "Some((dial.deadline(), ExchangeEvent::Failed(Failure::ConnectTimedOut)))",
            "None",
        )],
    },
    Slip {
        name: "BodyTimeoutIgnored",
        wrong: "`client_body_timeout` is not looked at.",
        rows: &[(
            "proxy/http/relay.rs",
            "Some((since + timeout, ExchangeEvent::Refused(Refusal::BodyTimedOut)))",
            "None",
        )],
    },
    Slip {
        name: "SendTimeoutIgnored",
        wrong: "`send_timeout` is not looked at.",
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
        wrong: "A client that leaves is counted as a failure of its server.",
        rows: &[(
            "proxy/http/relay.rs",
            "Verdict::Abandoned, context);\n        self.attempts",
            "if SLIP { Verdict::Failed(Failure::Closed) } else { Verdict::Abandoned }, context);
             self.attempts",
        )],
    },
    Slip {
        name: "UpgradeLeftInOrder",
        wrong: "A server that was asked to switch, and has not yet, is left by FIN.",
        rows: &[("proxy/http/exchange.rs", "self.download.awaits_upgrade()", "false")],
    },
    Slip {
        name: "KeepaliveDeadlineKept",
        wrong: "`keepalive_timeout` runs from when the client came, not from its last answer.",
        rows: &[(
            "proxy/http/session.rs",
            "deadline = shared.context.io.now + timeout",
            "deadline = if SLIP { client.facts.accepted } else { shared.context.io.now } + timeout",
        )],
    },
    Slip {
        name: "RestOfInputForgotten",
        wrong: "Pipelined bytes in hand wait for an event that does not come.",
        rows: &[(
            "proxy/http/session.rs",
            "self.stage = Stage::Idle { deadline, skipped: 0 };",
            "self.stage = Stage::Idle { deadline, skipped: 0 };
             if SLIP { return Some(Next::Wait) }",
        )],
    },
    Slip {
        name: "LingeringLeftOut",
        wrong: "After the last answer the connection is closed at once, over the client's unread bytes.",
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
        wrong: "1xx is passed on to clients that do not know it.",
        rows: &[("proxy/http/judge.rs", "self.asked.request.version == Version::Http11", "true")],
    },
    Slip {
        name: "ChunksToOldClient",
        wrong: "Chunks are passed on to clients that do not know them.",
        rows: &[("proxy/http/response_head.rs", "client == Version::Http10", "false")],
    },
    Slip {
        name: "OldOnesStay",
        wrong: "What began with an old configuration may go on for ever.",
        rows: &[("proxy/servers.rs", "old.ends = io.now + timeout", "()")],
    },
    Slip {
        name: "PoolNeverExpires",
        wrong: "Idle connections to servers are never too old.",
        rows: &[("proxy/servers.rs", "self.pool_at(place).remove_expired(io.now)", "None")],
    },
    Slip {
        name: "AlarmBelieved",
        wrong: "An alarm is believed although its deadline has moved.",
        rows: &[("proxy/session.rs", "self.deadline() > shared.context.io.now", "false")],
    },
    Slip {
        name: "ReplayOverflowUnnoticed",
        wrong: "A body beyond the replay buffer's limit still counts as kept: the next server gets a part.",
        rows: &[("proxy/http/upload.rs", "self.forget(pool)", "()")],
    },
    Slip {
        name: "ReplayNotRewound",
        wrong: "A second attempt begins behind the bytes that the first one has sent.",
        rows: &[(
            "proxy/http/upload.rs",
            "self.resent = 0;\n        self.taker =",
            "if !SLIP { self.resent = 0; }\n        self.taker =",
        )],
    },
    Slip {
        name: "BufferNotReturned",
        wrong: "An exchange that ends does not give the replay buffer back.",
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
        wrong: "A short read hides the end that is known to stand behind it.",
        rows: &[("transport/socket.rs", "self.end != PeerEnd::Unknown", "false")],
    },
    Slip {
        name: "WriteStopsWriting",
        wrong: "After a write the next one waits for an event.",
        rows: &[(
            "transport/socket.rs",
            "retried(|| self.stream.write_vectored(from))",
            "retried(|| self.stream.write_vectored(from)).inspect(|_| self.writable = false)",
        )],
    },
    Slip {
        name: "TunnelCutInOrder",
        wrong: "A tunnel that is cut ends for its client like a whole one, by FIN.",
        rows: &[("transport/tunnel.rs", "self.down.end != End::Told", "false")],
    },
    Slip {
        name: "BackupsFirst",
        wrong: "A backup that serves is never left again.",
        rows: &[
            (
                "upstream/group.rs",
                "|server| !server.backup && usable(server)",
                "|server| server.backup == SLIP && usable(server)",
            ),
            (
                "upstream/group.rs",
                "|server| server.backup && usable(server)",
                "|server| server.backup != SLIP && usable(server)",
            ),
        ],
    },
    Slip {
        name: "TrialLeaked",
        wrong: "A trial whose client leaves is never given back.",
        rows: &[("upstream/group.rs", "before.trial_abandoned()", "before")],
    },
    Slip {
        name: "TrialWithoutEnd",
        wrong: "A server on trial is never taken back.",
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
        wrong: "Servers that are out are never looked at again.",
        rows: &[("proxy/probe.rs", "context.servers.begin_check(context.io.now)", "None")],
    },
    Slip {
        name: "PauseWithoutEnd",
        wrong: "When accepting pauses, nothing is set to end the pause.",
        rows: &[("worker/listeners.rs", "self.paused.unwrap_or(Time::NEVER)", "Time::NEVER")],
    },
    Slip {
        name: "DrainForgetsIdle",
        wrong: "Draining leaves idle clients as they are.",
        rows: &[("worker/mod.rs", "self.sessions.evict(|session, _| session.may_go())", "()")],
    },
    Slip {
        name: "IdleEventsIgnored",
        wrong: "Whatever comes on an idle connection to a server leaves it in the pool.",
        rows: &[("worker/mod.rs", "event.readable || event.read_closed || event.broken", "false")],
    },
    Slip {
        name: "AlarmNotSetAgain",
        wrong: "An alarm that has rung is not set again.",
        rows: &[("worker/sessions.rs", "entry.alarm = Time::NEVER", "()")],
    },
    Slip {
        name: "LargeHeadsStay",
        wrong: "Clients with large heads stay when memory is used up.",
        rows: &[(
            "worker/room.rs",
            "while sessions.shared.context.io.buffers.is_exhausted()",
            "while !SLIP && sessions.shared.context.io.buffers.is_exhausted()",
        )],
    },
];
