//! The relay of one exchange: its beginning and end, one round through both directions, and its
//! deadlines. What a step leads to is in [`super::exchange`].

use super::asked::Asked;
use super::download::Download;
use super::ending::Ending;
use super::errand::Errand;
use super::exchange::Exchange;
use super::link::{Link, Origin};
use super::step::Step;
use super::transition::{DownloadState, ExchangeEvent};
use super::turn::{Over, Turn};
use super::upload::{RELAY_BUFFER, Upload};
use crate::config::model::HalfClose;
use crate::http::refusal::Refusal;
use crate::net::{Event, Net};
use crate::proxy::attempts::Attempts;
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::news::{News, Reach};
use crate::time::Time;
use crate::transport::dial::Dialled;
use crate::transport::pool::Connection;
use crate::transport::tunnel::{Direction, Tunnel};
use crate::upstream::group::{At, Pick, Verdict};
use crate::upstream::plan::Aim;
use crate::upstream::retry::Failure;

/// An exchange after both sides have agreed on another protocol.
pub struct Upgraded<N: Net> {
    /// The request.
    pub asked: Asked,
    /// The response sent so far.
    pub download: Download<N>,
    /// The attempts so far.
    pub attempts: Attempts,
    /// The connection to the server.
    pub connection: Connection<N>,
    /// The server, still without a verdict.
    pub pick: Pick,
    /// The tunnel between both sides.
    pub tunnel: Tunnel<N>,
}

impl<N: Net> Exchange<N> {
    /// An exchange that has not begun. `upload` holds what the client sent after the head.
    pub fn new(asked: Asked, upload: Upload<N>, now: Time) -> Exchange<N> {
        Exchange {
            asked,
            attempts: Attempts::default(),
            link: Link::None,
            upload,
            download: Download::new(now),
            ending: Ending::Keep,
        }
    }

    /// Begins with the request, or with its refusal.
    ///
    /// # Errors
    /// The exchange is already over.
    pub fn begin(
        &mut self,
        read: Result<(), Refusal>,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Over> {
        let turn = match read {
            Ok(()) => self.enter(client, context),
            Err(refusal) => Turn::refused(refusal),
        };
        self.turn(turn, client, context)
    }

    /// Handles an event that no pump reports.
    ///
    /// # Errors
    /// The exchange is over.
    pub fn react(
        &mut self,
        event: ExchangeEvent,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<(), Over> {
        self.turn(Turn::Event(event), client, context)
    }

    /// Acts on the report of a pump. Returns whether anything moved.
    #[inline(always)] // called several times a round, and rarely has more to do
    fn act(
        &mut self,
        step: Step,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Over> {
        match step {
            Step::Idle => Ok(false),
            Step::Moved => Ok(true),
            Step::Collected
            | Step::Head(_)
            | Step::Held
            | Step::Done
            | Step::Failed(_)
            | Step::Refused(_)
            | Step::ClientGone => self.turn(Turn::of(step), client, context).map(|()| true),
        }
    }

    /// Tries each direction once. Returns whether anything moved.
    ///
    /// # Errors
    /// The exchange is over.
    pub fn round(
        &mut self,
        client: &mut Client<N>,
        context: &mut Context<N>,
    ) -> Result<bool, Over> {
        let step = self.look_for_client(client, context);
        let mut moved = self.act(step, client, context)?;
        let step = self.connect(client, context);
        moved |= self.act(step, client, context)?;
        let step = self.send(client, context);
        moved |= self.act(step, client, context)?;
        let step = self.receive(client, context);
        moved |= self.act(step, client, context)?;
        let step = self.download.deliver(&mut client.socket, &mut context.io);
        moved |= self.act(step, client, context)?;
        if self.download.is_over() {
            return Err(Over::Ended(self.delivered(context)));
        }
        Ok(moved)
    }

    /// Finds out whether a client with a pending FIN has left. Then its late answer must not reach
    /// another client, and the server need not go on.
    fn look_for_client(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Step {
        if self.download.is_client_gone() {
            return Step::Idle;
        }
        if client.socket.is_broken() {
            return Step::ClientGone;
        }
        // A refusal is sent completely: the refused bytes came before the client's FIN.
        let is_refusal = self.ending == Ending::LingerBriefly;
        if !client.socket.is_ending() || !self.upload.is_received() || is_refusal {
            return Step::Idle;
        }
        match self.upload.look_for_end(&mut client.socket, &mut context.io) {
            true => Step::ClientGone,
            false => Step::Idle,
        }
    }

    /// Polls a connect under way.
    fn connect(&mut self, client: &Client<N>, context: &mut Context<N>) -> Step {
        let Link::Connecting { dial, .. } = &mut self.link else { return Step::Idle };
        match dial.poll(context.io.now) {
            Dialled::Pending => return Step::Idle,
            Dialled::Failed(failure) => return Step::Failed(failure),
            Dialled::Open => {}
        }
        if let Some((socket, pick)) = self.link.take() {
            let (opened, bind) = (context.io.now, self.asked.pass().bind);
            let connection = Connection { socket, requests: 1, opened, bind };
            self.open(connection, pick, Origin::Made, client, context);
        }
        Step::Moved
    }

    /// Moves the request to the server.
    fn send(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Step {
        let most = self.asked.settings().max_body;
        let (client, log, io) = (&mut client.socket, &mut self.attempts.log, &mut context.io);
        if let Link::Collecting = self.link {
            return self.upload.read_ahead(most, client, log, io);
        }
        if self.upload.is_over() {
            return Step::Idle;
        }
        if !self.upload.has_begun() && self.link.is_spoilt() {
            return Step::Failed(Failure::Closed);
        }
        let Link::Open { connection, .. } = &mut self.link else { return Step::Idle };
        self.upload.pump(most, client, &mut connection.socket, log, io)
    }

    /// Moves the response from the server.
    fn receive(&mut self, client: &Client<N>, context: &mut Context<N>) -> Step {
        if !self.link.is_readable() {
            return Step::Idle;
        }
        let (taker, limits) = (self.upload.taker(), self.asked.head_limits());
        let Link::Open { connection, .. } = &mut self.link else { return Step::Idle };
        let (sockets, attempts) =
            ((&mut connection.socket, &client.socket), &mut self.attempts.log);
        self.download.pump(taker, limits, sockets, attempts, &mut context.io)
    }

    /// What happens to the client's connection after the response is delivered.
    fn delivered(&mut self, context: &mut Context<N>) -> Ending {
        self.end_link(Verdict::Abandoned, context);
        if !self.upload.is_received() || context.servers.draining {
            self.ending.fall(Ending::Linger);
        }
        if self.download.is_client_gone() {
            self.ending.fall(Ending::ClientLeft);
        }
        if self.ending == Ending::Keep {
            self.upload.skip_ready(&mut context.io.buffers);
        }
        self.ending
    }

    /// When something must have happened at the latest.
    pub fn deadline(&self) -> Time {
        self.waits().map(|(deadline, _)| deadline).min().unwrap_or(Time::NEVER)
    }

    /// The event to handle if the deadline has passed.
    pub fn expired(&self, now: Time) -> Option<ExchangeEvent> {
        let first = self.waits().min_by_key(|&(deadline, _)| deadline);
        first.filter(|&(deadline, _)| deadline <= now).map(|(_, event)| event)
    }

    /// The deadlines that apply, each with the event that follows if it passes.
    fn waits(&self) -> impl Iterator<Item = (Time, ExchangeEvent)> {
        [self.wait_of_link(), self.wait_of_client()].into_iter().flatten()
    }

    fn wait_of_link(&self) -> Option<(Time, ExchangeEvent)> {
        let proxy = self.asked.proxy()?;
        let since = self.upload.since();
        match &self.link {
            Link::None => None,
            Link::Held { until, .. } => Some((*until, ExchangeEvent::WaitedTooLong)),
            Link::Connecting { dial, .. } => {
                Some((dial.deadline(), ExchangeEvent::Failed(Failure::ConnectTimedOut)))
            }
            Link::Open { .. } if self.upload.is_over() => {
                // While the client takes no bytes, the server is not read, so it is not timed.
                let since = self.download.since().max(since);
                let event = ExchangeEvent::Failed(Failure::ReadTimedOut);
                (!self.download.is_pending()).then_some((since + proxy.read_timeout, event))
            }
            Link::Open { .. } if self.upload.is_pending() => {
                Some((since + proxy.send_timeout, ExchangeEvent::Failed(Failure::SendTimedOut)))
            }
            Link::Open { .. } | Link::Collecting => {
                let timeout = self.asked.settings().body_timeout;
                Some((since + timeout, ExchangeEvent::Refused(Refusal::BodyTimedOut)))
            }
        }
    }

    fn wait_of_client(&self) -> Option<(Time, ExchangeEvent)> {
        let deadline = self.download.since() + self.asked.settings().send_timeout;
        self.download.is_pending().then_some((deadline, ExchangeEvent::ClientStalled))
    }

    /// Whether it waits for a server that is now out, and may move to another one, or for one that
    /// is now ready.
    pub fn is_moved_by(&self, news: &News) -> bool {
        if let Link::Held { group, .. } = &self.link {
            return match news {
                News::Ready(at) | News::ActiveMoved(at) | News::Back(at) => at.group == *group,
                News::Out { at, .. } | News::Gone(at) => {
                    at.group == *group && self.asked.direction.aim == Aim::Only(at.server)
                }
                News::Reloaded => true,
                News::Submitted(id) => {
                    matches!(self.asked.errand, Errand::Query { id: it, .. } if it == *id)
                }
                News::Drained(_) => false,
            };
        }
        let News::Out { at, reach } = news else { return false };
        match (&self.link, reach) {
            (Link::Connecting { pick, .. }, _) => pick.at == *at,
            (Link::Open { pick, .. }, Reach::Waiting) => {
                let waits = matches!(
                    self.download.state(),
                    DownloadState::Untouched | DownloadState::Awaited
                );
                pick.at == *at && waits && self.asked.may_leave(&self.upload)
            }
            (Link::Open { .. } | Link::Collecting | Link::Held { .. } | Link::None, _) => false,
        }
    }

    /// The event that follows from news that concern it.
    pub fn moved(&self) -> ExchangeEvent {
        match &self.link {
            Link::Held { .. } => ExchangeEvent::Woken,
            Link::None | Link::Collecting | Link::Connecting { .. } | Link::Open { .. } => {
                ExchangeEvent::Failed(Failure::MarkedDown)
            }
        }
    }

    /// Whether bytes of this server have come since then.
    pub fn has_heard(&self, at: At, since: Time) -> bool {
        self.link.server() == Some(at) && self.attempts.log.heard > since
    }

    /// Whether the client has sent the whole body.
    pub fn has_received(&self) -> bool {
        self.upload.is_received()
    }

    /// Notes an event of the server's socket.
    pub fn note_upstream(&mut self, event: &Event) {
        self.link.note(event);
    }

    /// Turns an exchange into a tunnel, after both sides agreed on another protocol. Buffered bytes
    /// go first.
    pub fn upgrade(mut self, context: &mut Context<N>) -> Upgraded<N> {
        let link = std::mem::replace(&mut self.link, Link::None);
        let Link::Open { connection, mut pick, .. } = link else {
            panic!("only a server that is connected can agree");
        };
        context.servers.succeed_early(&mut pick, &mut context.io);
        let (now, io) = (context.io.now, &mut context.io);
        let up = self.upload.take_flow(&mut io.buffers, now);
        self.upload.release(io);
        let (down, received) = self.download.take_flow(&mut io.buffers, now);
        let up = Direction::new(up);
        // The bytes after the server's head were counted as received when they were read.
        self.attempts.log.of_body(received as usize);
        let down = Direction::behind(down, 0);
        let tunnel = Tunnel::new(up, down, RELAY_BUFFER, HalfClose::Passed, now);
        let Exchange { asked, download, attempts, .. } = self;
        Upgraded { asked, download, attempts, connection, pick, tunnel }
    }

    /// Writes the log lines and returns all borrowed storage. The client gets its unused input
    /// back.
    pub fn finish(&mut self, client: &mut Client<N>, context: &mut Context<N>) {
        self.end_link(Verdict::Abandoned, context);
        self.attempts.log.ended(None, context.io.now);
        if self.download.status == 0 {
            self.download.status = CLIENT_LEFT;
        }
        self.asked.log(client, &self.attempts.log, self.download.answered(), context);
        client.input = self.upload.release(&mut context.io);
        self.download.release(&mut context.io);
        self.asked.release(context);
    }
}

/// The status in log lines if the client left before there was one. nginx's number.
const CLIENT_LEFT: u16 = 499;
