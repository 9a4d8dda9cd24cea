//! Which results of an exchange are allowed, given what went wrong around it.
//!
//! Knows nothing of how the proxy works, only what clients, servers and the network saw. The actors
//! check bytes as they arrive; this model checks results after the run.

use std::time::Duration;

use switchover::net::sim::{
    Answer, Client, Delivery, EndId, Exchange, IncidentKind, Leaves, Outcome, Pace, Server, SimNet,
    TroubleKind,
};
use switchover::time::Time;

use super::setup::Setup;

/// Everything wrong with a run; empty if nothing was.
pub(crate) fn judge(net: &SimNet, setup: &Setup) -> Vec<String> {
    let mut complaints: Vec<String> = net.world().violations().to_vec();
    let strange =
        |server: &Server| server.deliveries().iter().any(|got| got.id == Delivery::STRANGE);
    if net.strangers().is_empty() && net.servers().iter().any(strange) {
        complaints.push("a server got a request that nobody sent".to_owned());
    }
    if net.strangers().iter().any(|stranger| !stranger.is_gone()) {
        complaints.push("a stranger was not got rid of".to_owned());
    }
    let judge = Judge { net, setup };
    complaints.extend(judge.patience());
    for client in net.clients() {
        for exchange in client.exchanges() {
            if let Err(complaint) = judge.exchange(client, exchange) {
                complaints.push(format!("{complaint}: {}", tell(exchange)));
            }
            complaints.extend(judge.repetition(exchange));
            complaints.extend(judge.leaving(client, exchange));
        }
    }
    complaints
}

/// An exchange in one line.
pub(crate) fn tell(exchange: &Exchange) -> String {
    let Exchange { ask, outcome, asked, sent, over, end, before, .. } = exchange;
    let seconds = |at: Option<Time>| at.map(|at| at.as_nanos() as f64 / 1e9);
    format!(
        "{} {} {:?} {:?} {:?}, {before} before at {end:?}, asked {:?} sent {:?} over {:?}: {outcome:?}",
        ask.id,
        ask.method,
        ask.version,
        ask.body,
        ask.leaves,
        seconds(*asked),
        seconds(*sent),
        seconds(*over),
    )
}

struct Judge<'a> {
    net: &'a SimNet,
    setup: &'a Setup,
}

impl Judge<'_> {
    fn exchange(&self, client: &Client, exchange: &Exchange) -> Result<(), &'static str> {
        self.deadline(exchange)?;
        self.cut_request(exchange)?;
        self.misframed(exchange)?;
        self.old_age(client, exchange)?;
        match exchange.outcome {
            Outcome::Unasked => Err("was never asked"),
            Outcome::Waiting => Err("has no end"),
            Outcome::Left => Ok(()),
            Outcome::Whole(answer) => self.whole(client, exchange, answer),
            // The answer came early, and then the malformed request spoilt it.
            Outcome::Cut(_) | Outcome::Reset
                if exchange.ask.is_misframed() && exchange.answered.is_some() =>
            {
                Ok(())
            }
            Outcome::Cut(_) | Outcome::Reset if self.was_outlived(exchange) => Ok(()),
            Outcome::Cut(answer) => self.cut(client, exchange, answer),
            Outcome::Closed => self.closed(client, exchange),
            Outcome::Reset if self.answer_was_cut(exchange) || more_was_asked(client, exchange) => {
                Ok(())
            }
            Outcome::Reset => self.closed(client, exchange),
        }
    }

    fn whole(
        &self,
        client: &Client,
        exchange: &Exchange,
        answer: Answer,
    ) -> Result<(), &'static str> {
        let Some((server, attempt)) = answer.by else {
            return if answer.fake { Ok(()) } else { self.refusal(exchange, answer.status) };
        };
        let deliveries = self.net.servers()[server as usize].deliveries();
        let Some(delivery) =
            deliveries.get(attempt as usize).filter(|delivery| delivery.id == exchange.ask.id)
        else {
            return Err("is answered by somebody who never saw it");
        };
        // After a complete early answer, nothing waits for the rest of the request.
        if delivery.request_whole && self.came_too_late(client, exchange) {
            return Err("should have been called late");
        }
        self.order(server as usize, exchange)
    }

    /// Whether the client paused longer than allowed within its request, and the proxy had no other
    /// reason to start over.
    fn came_too_late(&self, client: &Client, exchange: &Exchange) -> bool {
        let Pace::Stalls { pause, .. } = client.plan().sends else { return false };
        let Some(stalled) = exchange.stalled else { return false };
        let limit = self.setup.header_timeout.max(self.setup.body_timeout);
        let (from, to) = span(exchange);
        let resumed = stalled + pause;
        resumed - stalled.max(self.turn_of(exchange)) >= limit + NOTICED
            && exchange.answered.is_some_and(|answered| answered >= resumed)
            && !self.net.servers().iter().any(|server| self.had_trouble(server, from, to, exchange))
    }

    /// A backup serves only while every primary is out, or may be believed to be.
    fn order(&self, by: usize, exchange: &Exchange) -> Result<(), &'static str> {
        let (from, to) = span(exchange);
        let unproven = |server: &Server| {
            self.had_trouble(server, from, to, exchange)
                || server.troubles().iter().any(|trouble| {
                    let counts = trouble.kind != TroubleKind::ClosedIdle;
                    counts && trouble.from <= to && !self.has_proven(server, trouble.until, from)
                })
                || self.net.world().incidents().iter().any(|incident| {
                    incident.machine == server.plan().at
                        && incident.at <= to
                        && !self.has_proven(server, incident.at, from)
                })
        };
        let primaries = self.net.servers().iter().zip(&self.setup.backups);
        let mut primaries = primaries.filter(|(_, backup)| !**backup).map(|(server, _)| server);
        if !self.setup.backups[by] || primaries.all(unproven) {
            return Ok(());
        }
        Err("went to a backup although a primary was there")
    }

    /// Whether a server fully served a request between two moments, and no request failed at it
    /// after that one began.
    fn has_proven(&self, server: &Server, since: Time, until: Time) -> bool {
        let exchanges = self.net.clients().iter().flat_map(|client| client.exchanges());
        let mut served = exchanges.filter(|exchange| match exchange.outcome {
            Outcome::Whole(answer) => answer.by.is_some_and(|(by, _)| by == server.plan().name),
            Outcome::Unasked
            | Outcome::Waiting
            | Outcome::Cut(_)
            | Outcome::Closed
            | Outcome::Reset
            | Outcome::Left => false,
        });
        // A trial that began before a reload proves nothing after it.
        let loaded = self.setup.reloads.iter().copied().filter(|at| *at < until).max();
        let since = since.max(loaded.unwrap_or(Time::ZERO)).max(self.given_up(server, until));
        served.any(|served| span(served).0 >= since && span(served).1 < until)
    }

    /// When the proxy last closed a connection to this server that was not established, or whose
    /// answer was incomplete. Exchanges that began earlier say nothing more about the server.
    fn given_up(&self, server: &Server, until: Time) -> Time {
        let world = self.net.world();
        let failed = |end: &EndId| {
            let Some(peer) = world.peer(*end) else { return true };
            let whole = |got: &&Delivery| got.end == peer && got.answer_whole;
            let heads = world.written(*end).windows(HOST.len()).filter(|at| *at == HOST);
            let (heads, whole) = (heads.count(), server.deliveries().iter().filter(whole).count());
            // Over TLS, only a server can tell what was sent, if it reads that.
            let covered = self.setup.covers.servers.is_some();
            heads > whole || (covered && (heads == 0 || !world.is_read(*end)))
        };
        let ends = world.worker_ends_of(&server.plan().at);
        let closed = ends.iter().filter(|end| failed(end)).filter_map(|end| world.closed(*end));
        closed.filter(|at| *at < until).max().unwrap_or(Time::ZERO)
    }

    /// Judges an answer of the proxy's own.
    fn refusal(&self, exchange: &Exchange, status: u16) -> Result<(), &'static str> {
        let (from, to) = span(exchange);
        match status {
            502 | 504 => {
                let excused = |server| self.had_trouble(server, from, to, exchange);
                let servers = self.net.servers();
                let excused = if exchange.ask.is_repeatable() && self.fits_replay(exchange) {
                    servers.iter().all(excused)
                } else {
                    servers.iter().any(excused)
                };
                if excused { Ok(()) } else { Err("failed although a server was there") }
            }
            400 if exchange.ask.is_misframed() => Ok(()),
            503 if self.made_room(exchange) => Ok(()),
            408 if to - from >= self.setup.header_timeout.min(self.setup.body_timeout) => Ok(()),
            408 => Err("was called late and was not"),
            _ => Err("got an answer that nothing explains"),
        }
    }

    /// Whether the whole request fits the replay buffer.
    fn fits_replay(&self, exchange: &Exchange) -> bool {
        exchange.ask.body_length() + HEAD < self.setup.replay_limit
    }

    /// Whether trouble at a server, or on the network to it, explains a failure in that time.
    fn had_trouble(&self, server: &Server, from: Time, to: Time, exchange: &Exchange) -> bool {
        // A server is out for `fail_timeout` after its last failure, and a failure may be noticed
        // as late as the connect timeout.
        let lasts = self.setup.fail_timeout + self.setup.connect_timeout + NOTICED;
        let relevant = |since: Time, until: Time| since <= to && until + lasts >= from;
        let may_go_again = exchange.ask.is_repeatable() && self.fits_replay(exchange);
        let own = server.troubles().iter().any(|trouble| {
            let matters = match trouble.kind {
                TroubleKind::Condition(_) | TroubleKind::Answer => true,
                TroubleKind::ClosedIdle => !may_go_again,
                TroubleKind::Unasked => !may_go_again || self.was_raced(trouble.end),
            };
            matters && relevant(trouble.from, trouble.until)
        });
        let world = self.net.world();
        own || world.incidents().iter().any(|incident| {
            let matters = match incident.kind {
                // Without a descriptor or a port, the proxy asks no other server.
                IncidentKind::NoDescriptor | IncidentKind::NoPort => true,
                IncidentKind::ConnectFailed | IncidentKind::AcceptAborted | IncidentKind::Reset => {
                    incident.machine == server.plan().at
                }
            };
            matters && relevant(incident.at, incident.at)
        })
    }

    fn was_raced(&self, end: Option<EndId>) -> bool {
        let world = self.net.world();
        end.and_then(|end| world.peer(end)).is_some_and(|worker| world.raced(worker))
    }

    fn cut(
        &self,
        client: &Client,
        exchange: &Exchange,
        answer: Answer,
    ) -> Result<(), &'static str> {
        if self.client_is_to_blame(client, exchange) || more_was_asked(client, exchange) {
            return Ok(());
        }
        let Some((server, attempt)) = answer.by else {
            // The client received the part of the answer that fitted its socket. When nothing else
            // can be closed, the proxy closes connections that are being answered.
            if self.made_room(exchange) {
                return Ok(());
            }
            return Err("was cut while the proxy itself answered");
        };
        let server = &self.net.servers()[server as usize];
        let Some(delivery) = server.deliveries().get(attempt as usize) else {
            return Err("is answered by somebody who never saw it");
        };
        let spoilt = !delivery.answer_whole
            || self.was_reset(delivery.end)
            || self.was_severed(server, exchange, span(exchange).1);
        if spoilt { Ok(()) } else { Err("was cut although its server told everything") }
    }

    /// Whether a reset may be the proxy's way to show that a server cut its answer.
    fn answer_was_cut(&self, exchange: &Exchange) -> bool {
        self.net.servers().iter().any(|server| {
            server.deliveries().iter().any(|delivery| {
                delivery.id == exchange.ask.id
                    && (!delivery.answer_whole
                        || self.was_reset(delivery.end)
                        || self.was_severed(server, exchange, span(exchange).1))
            })
        })
    }

    /// Whether packets to or from a server may have been lost since the exchange began.
    fn was_severed(&self, server: &Server, exchange: &Exchange, to: Time) -> bool {
        let (from, _) = span(exchange);
        server.troubles().iter().any(|trouble| {
            matches!(trouble.kind, TroubleKind::Condition(_))
                && trouble.from <= to
                && trouble.until + NOTICED >= from
        })
    }

    fn closed(&self, client: &Client, exchange: &Exchange) -> Result<(), &'static str> {
        let (_, to) = span(exchange);
        let began = exchange.asked.unwrap_or(to);
        let idle = exchange.before > 0
            && began - exchange.idle_since + NOTICED >= self.setup.keepalive_timeout;
        let slow = to - exchange.idle_since
            >= self.setup.header_timeout.min(self.setup.body_timeout)
            && exchange.sent.is_none_or(|sent| sent + NOTICED >= to);
        if exchange.after_last
            || idle
            || slow
            || self.made_room(exchange)
            || self.client_is_to_blame(client, exchange)
        {
            return Ok(());
        }
        Err("was closed without a word")
    }

    /// Whether the proxy lacked descriptors while it had no complete head of the exchange: then it
    /// may have made room for another client.
    fn made_room(&self, exchange: &Exchange) -> bool {
        let (from, to) = (exchange.idle_since, span(exchange).1);
        self.net.world().incidents().iter().any(|incident| {
            incident.kind == IncidentKind::NoDescriptor
                && incident.at <= to
                && incident.at + NOTICED >= from
        })
    }

    /// Whether the client or its own connection explains a bad end.
    fn client_is_to_blame(&self, client: &Client, exchange: &Exchange) -> bool {
        let dawdles = |pace: Pace| match pace {
            Pace::AtOnce => false,
            // The proxy discards what a slow client still sends only for a while, and reading
            // slowly can take longer.
            Pace::Drips { .. } => true,
            Pace::Stalls { pause, .. } => {
                pause + NOTICED >= self.setup.lingering_timeout.min(REFUSED_LINGER)
            }
        };
        self.half_closes(client, exchange)
            || dawdles(client.plan().reads)
            || exchange.end.is_some_and(|end| self.was_reset(end))
    }

    /// Whether the client sends its FIN on this connection before everything is answered: to the
    /// proxy, such a client has left.
    fn half_closes(&self, client: &Client, exchange: &Exchange) -> bool {
        !self.is_refused_first(client, exchange)
            && client
                .exchanges()
                .iter()
                .any(|other| other.end == exchange.end && other.ask.leaves.half_closes())
    }

    /// Whether the FIN came after a request that must be refused, and was not noticed before. Then
    /// it excuses nothing.
    fn is_refused_first(&self, client: &Client, exchange: &Exchange) -> bool {
        let answered = |other: &Exchange| matches!(other.outcome, Outcome::Whole(_));
        let mut before = client
            .exchanges()
            .iter()
            .filter(|other| other.end == exchange.end && other.before < exchange.before);
        exchange.ask.is_misframed() && exchange.sent.is_some() && before.all(answered)
    }

    /// Whether it ended just when `worker_shutdown_timeout` ended what began before a reload.
    fn was_outlived(&self, exchange: &Exchange) -> bool {
        let (from, to) = span(exchange);
        let ended = |at: &Time| self.setup.shutdown_timeout.map(|timeout| *at + timeout);
        let reloads = self.setup.reloads.iter().filter(|at| from <= **at);
        reloads.filter_map(ended).any(|end| to >= end && to <= end + NOTICED)
    }

    /// Exchanges that began before a reload do not outlive `worker_shutdown_timeout`.
    fn old_age(&self, client: &Client, exchange: &Exchange) -> Result<(), &'static str> {
        let Some(timeout) = self.setup.shutdown_timeout else { return Ok(()) };
        let Some(sent) = exchange.sent.filter(|_| client.plan().reads == Pace::AtOnce) else {
            return Ok(());
        };
        let began = sent.max(self.turn_of(exchange)) + NOTICED;
        let to = span(exchange).1;
        match self.setup.reloads.iter().find(|at| **at >= began) {
            Some(at) if to > *at + timeout + NOTICED => Err("outlived its configuration"),
            Some(_) | None => Ok(()),
        }
    }

    /// No server receives a complete malformed request.
    fn misframed(&self, exchange: &Exchange) -> Result<(), &'static str> {
        let mut deliveries = self.net.servers().iter().flat_map(|server| server.deliveries());
        let taken = |got: &Delivery| got.id == exchange.ask.id && got.request_whole;
        if exchange.ask.is_misframed() && deliveries.any(taken) {
            return Err("broke the rules, and a server took it for whole");
        }
        Ok(())
    }

    /// No server receives a complete request if the client's FIN cut it, and the proxy drops it at
    /// once.
    fn cut_request(&self, exchange: &Exchange) -> Result<(), &'static str> {
        let is_cut = matches!(exchange.ask.leaves, Leaves::EndsAfter(_)) && exchange.sent.is_none();
        if !is_cut {
            return Ok(());
        }
        let mut deliveries = self.net.servers().iter().flat_map(|server| server.deliveries());
        if deliveries.any(|delivery| delivery.id == exchange.ask.id && delivery.request_whole) {
            return Err("was cut by its client, and a server took it for whole");
        }
        let (from, to) = span(exchange);
        if to - from >= self.setup.header_timeout.min(self.setup.body_timeout) {
            return Err("was cut by its client, and a timeout had to end it");
        }
        Ok(())
    }

    /// Whether the network broke the connection that this end belongs to.
    fn was_reset(&self, end: EndId) -> bool {
        let world = self.net.world();
        let peer = world.peer(end);
        world.incidents().iter().any(|incident| {
            let spoils = match incident.kind {
                IncidentKind::Reset | IncidentKind::AcceptAborted => true,
                IncidentKind::ConnectFailed | IncidentKind::NoDescriptor | IncidentKind::NoPort => {
                    false
                }
            };
            spoils && (incident.end == Some(end) || incident.end == peer)
        })
    }

    /// When the proxy turned to this exchange: all earlier ones on its connection were over.
    fn turn_of(&self, exchange: &Exchange) -> Time {
        let all = self.net.clients().iter().flat_map(|client| client.exchanges());
        let before = all.filter(|it| it.end == exchange.end && it.before < exchange.before);
        before.filter_map(|it| it.over).fold(Time::ZERO, Time::max)
    }

    /// Once it is its turn, an exchange takes no longer than the sum of all timeouts that apply.
    fn deadline(&self, exchange: &Exchange) -> Result<(), &'static str> {
        let (Some(sent), Some(over)) = (exchange.sent, exchange.answered.or(exchange.over)) else {
            return Ok(());
        };
        let sent = sent.max(self.turn_of(exchange));
        let one = self.setup.connect_timeout + self.setup.read_timeout + self.setup.send_timeout;
        let tries = u32::try_from(self.net.servers().len()).expect("there are only a few") + 1;
        if over - sent > one * tries + SLOWNESS {
            return Err("took longer than all timeouts together");
        }
        Ok(())
    }

    /// An exchange that may not be repeated is written once, to one server at most; any other once
    /// to each server. Attempts on pooled connections, which may be dead, do not count.
    fn repetition(&self, exchange: &Exchange) -> Option<String> {
        let start = format!("{} /x/{} ", exchange.ask.method, exchange.ask.id);
        let world = self.net.world();
        let (mut times, mut again) = (0, false);
        for server in self.net.servers() {
            let mut fresh = 0;
            for end in world.worker_ends_of(&server.plan().at) {
                let written = world.written(end);
                times += written.windows(start.len()).filter(|at| *at == start.as_bytes()).count();
                fresh += usize::from(written.starts_with(start.as_bytes()));
            }
            again |= fresh > 1;
        }
        let too_often = again || (times > 1 && !exchange.ask.is_repeatable());
        too_often.then(|| format!("exchange {}: sent {times} times", exchange.ask.id))
    }

    /// A server is told at once that the client has left. If the client sent its FIN earlier, the
    /// network reports nothing until bytes are sent to it.
    fn leaving(&self, client: &Client, exchange: &Exchange) -> Option<String> {
        let left = exchange.left.filter(|_| exchange.sent.is_some())?;
        if self.half_closes(client, exchange) {
            return None;
        }
        let now = self.net.world().now();
        let unheard = |server: &&Server| {
            server.deliveries().iter().any(|delivery| {
                delivery.id == exchange.ask.id
                    && delivery.at < left
                    && delivery.request_whole
                    && !delivery.answer_whole
                    && delivery.closed.unwrap_or(now) > left + NOTICED
                    && !self.was_severed(server, exchange, left + NOTICED)
            })
        };
        let server = self.net.servers().iter().find(unheard)?.plan().name;
        Some(format!("server {server} was not told that {} had left", exchange.ask.id))
    }

    /// No wait exceeds the timeout that ends it.
    fn patience(&self) -> Vec<String> {
        let longest = self.net.world().longest();
        let checks = [
            ("a connect", longest.connect, self.setup.connect_timeout),
            ("a full socket", longest.stuck, self.setup.send_timeout),
        ];
        let late = checks.into_iter().filter(|(_, took, allowed)| *took > *allowed + INEXACT);
        late.map(|(what, took, _)| format!("{what} was waited for {took:?}")).collect()
    }
}

/// Whether the client sent more after this request. Bytes that arrive after an answer that closes
/// the connection may destroy it, unless the proxy lingers longer than nginx would: RFC 9112,
/// section 9.6.
fn more_was_asked(client: &Client, exchange: &Exchange) -> bool {
    client.exchanges().iter().any(|other| {
        other.end == exchange.end && other.before > exchange.before && other.asked.is_some()
    })
}

/// From the start of an exchange to its end.
fn span(exchange: &Exchange) -> (Time, Time) {
    let from = exchange.asked.unwrap_or(exchange.idle_since);
    (from, exchange.over.unwrap_or(Time::NEVER))
}

/// The longest time for news to cross the slowest link.
const NOTICED: Duration = Duration::from_millis(600);
/// How long bytes after a refused request are discarded.
const REFUSED_LINGER: Duration = Duration::from_secs(1);
/// How inexact a wait may be.
const INEXACT: Duration = Duration::from_millis(50);
/// The time for the largest request over the slowest link with the smallest buffers.
const SLOWNESS: Duration = Duration::from_secs(10);
/// Occurs once in every head that the proxy sends.
const HOST: &[u8] = b"\r\nHost: ";
/// More bytes than any request head as sent to a server.
const HEAD: usize = 400;
