//! Connects a client to a server: attempts until one accepts, then a tunnel.
//!
//! Only a failure to connect moves the connection to another server, because bytes that were sent
//! may have taken effect. An upgraded exchange also becomes a `Passthrough`.

use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::buffer::Buffer;
use crate::config::model::{Config, Follows, StreamPass, StreamServerId, VirtualServerId};
use crate::http::h2_preface::LINE;
use crate::net::{Connect, Event, Net};
use crate::proxy::attempts::{Asker, Attempts, Begun, Terms};
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::http::asked::Asked;
use crate::proxy::http::download::Download;
use crate::proxy::http::h2c;
use crate::proxy::http::relay::Upgraded;
use crate::proxy::news::News;
use crate::proxy::next::{CloseReason, Next};
use crate::time::Time;
use crate::transport::dial::{Dial, Dialled};
use crate::transport::flow::Flow;
use crate::transport::io::Owner;
use crate::transport::proxy_protocol::header;
use crate::transport::socket::Socket;
use crate::transport::tunnel::{Closed, Direction, Tunnel};
use crate::upstream::group::{GroupAt, Pick, ServerId, Verdict};
use crate::upstream::plan::{Aim, Choice};
use crate::upstream::retry::{Failure, Repeatable};

/// A connection whose bytes pass unread.
pub struct Passthrough<N: Net> {
    /// The configuration that it began with, or later adopted.
    pub(super) config: Arc<Config>,
    pub(super) generation: u64,
    pub(super) carried: Carried<N>,
    course: Course<N>,
    /// The attempts at servers.
    pub(super) attempts: Attempts,
    /// When it began.
    pub(super) began: Time,
    /// `$status`.
    pub(super) status: u16,
    /// The client's address from the PROXY header, if the peer is trusted.
    pub(super) remote: Option<Address>,
    /// Bytes received from and sent to the client, set when the tunnel is over.
    pub(super) passed: Passed,
}

/// The kind of connection.
pub(super) enum Carried<N: Net> {
    /// A connection to a server of `stream {}`.
    Stream(StreamServerId),
    /// HTTP/2, through the `h2c_tunnel` of a virtual server.
    H2c(VirtualServerId),
    /// The other protocol after an upgrade, with the request and the response so far.
    Upgraded(Box<(Asked, Download<N>)>),
}

/// Byte counts of a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// From the client.
    pub received: u64,
    /// To the client.
    pub sent: u64,
}

enum Course<N: Net> {
    /// There is no server.
    Nowhere,
    /// The connection is being made.
    Connecting { dial: Dial<N>, pick: Pick },
    /// Bytes pass both ways.
    Open { socket: Socket<N>, pick: Pick, tunnel: Tunnel<N> },
}

impl<N: Net> Passthrough<N> {
    /// Starts looking for a server, for `stream {}`.
    pub fn stream(
        server: StreamServerId,
        remote: Option<Address>,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Passthrough<N> {
        Passthrough::begin(Carried::Stream(server), remote, client, context)
    }

    /// Starts looking for a server, for the `h2c_tunnel` of a virtual server.
    pub fn h2c(
        server: VirtualServerId,
        remote: Option<Address>,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Passthrough<N> {
        Passthrough::begin(Carried::H2c(server), remote, client, context)
    }

    fn begin(
        carried: Carried<N>,
        remote: Option<Address>,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Passthrough<N> {
        let mut passthrough = Passthrough {
            config: Arc::clone(context.servers.config()),
            generation: context.servers.generation(),
            carried,
            course: Course::Nowhere,
            attempts: Attempts::default(),
            began: context.io.now,
            status: 0,
            remote,
            passed: Passed::default(),
        };
        let terms = terms(&passthrough.config, passthrough.generation, &passthrough.carried);
        let choice = passthrough.attempts.first(&terms, Some(words), context);
        passthrough.follow(choice, client, context);
        passthrough
    }

    /// Continues an exchange after both sides agreed on another protocol.
    pub fn upgraded(upgraded: Upgraded<N>, now: Time) -> Passthrough<N> {
        let Upgraded { asked, download, attempts, connection, pick, tunnel } = upgraded;
        Passthrough {
            config: Arc::clone(&asked.config),
            generation: asked.generation,
            course: Course::Open { socket: connection.socket, pick, tunnel },
            attempts,
            began: now,
            status: download.status,
            remote: None,
            passed: Passed::default(),
            carried: Carried::Upgraded(Box::new((asked, download))),
        }
    }

    /// Dials the chosen server, and further ones if a connect fails at once.
    fn follow(&mut self, choice: Choice, client: &Client<N>, context: &mut Context<N>) {
        let mut choice = choice;
        while let Choice::Server(pick) = choice {
            let terms = terms(&self.config, self.generation, &self.carried);
            self.attempts.log.begin(terms.group.id, Some(pick.at.server), context.io.now);
            let owner = Owner::Upstream(client.facts.session);
            match self.attempts.dial(pick, &terms, owner, words, context) {
                Begun::Dialling(dial, pick) => {
                    self.course = Course::Connecting { dial, pick };
                    return;
                }
                Begun::Lacking => break,
                Begun::Failed(pick, failure) => {
                    choice = self.attempts.failed(pick, failure, UNSENT, &terms, words, context);
                }
            }
        }
        self.status = NO_SERVER;
    }

    /// Does everything that can be done now.
    pub fn run(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Next {
        for _ in 0..context.io.tuning.relay_rounds {
            let moved = match &self.course {
                Course::Nowhere => return Next::Close(CloseReason::Done),
                Course::Connecting { .. } if client.socket.is_broken() => {
                    return Next::Close(CloseReason::ClientLeft);
                }
                Course::Connecting { .. } => self.connect(client, context),
                Course::Open { .. } => match self.relay(client, context) {
                    Ok(moved) => moved,
                    // The tunnel has already armed the resets that show a cut.
                    Err(Closed::Whole | Closed::Cut) => return Next::Close(CloseReason::Done),
                },
            };
            if !moved {
                return Next::Wait;
            }
        }
        Next::Again
    }

    /// Polls a connect under way. Returns whether it ended.
    fn connect(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> bool {
        let Course::Connecting { dial, .. } = &mut self.course else { return false };
        match dial.poll(context.io.now) {
            Dialled::Pending => return false,
            Dialled::Open => self.open(client, context),
            Dialled::Failed(failure) => self.move_on(failure, client, context),
        }
        true
    }

    /// The server accepted. Without reading bytes, there is no better sign of success.
    fn open(&mut self, client: &mut Client<N>, context: &mut Context<N>) {
        let course = std::mem::replace(&mut self.course, Course::Nowhere);
        let (Course::Connecting { dial, mut pick }, Some(pass)) = (course, self.pass()) else {
            return;
        };
        let now = context.io.now;
        let (room, half_close, announces) = (pass.buffer, pass.half_close, pass.announces);
        context.servers.succeed_early(&mut pick, &mut context.io);
        self.attempts.log.connected(now);
        self.status = PASSED;
        let input = std::mem::take(&mut client.input);
        let received = input.len() as u64;
        let mut up = Flow::new(input, now);
        if let Some(version) = announces {
            let source = self.remote.as_ref().unwrap_or(&client.facts.peer);
            up.prepend(&header(version, source, &client.facts.local), &mut context.io.buffers);
        }
        let up = Direction::behind(up, received);
        let down = Direction::new(Flow::new(Buffer::default(), now));
        let tunnel = Tunnel::new(up, down, room, half_close, now);
        self.course = Course::Open { socket: dial.into_socket(), pick, tunnel };
    }

    fn relay(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Result<bool, Closed> {
        let Course::Open { socket, tunnel, .. } = &mut self.course else { return Ok(false) };
        let first = tunnel.down.received == 0;
        let moved = tunnel.pass(&mut client.socket, socket, &mut context.io)?;
        let is_answered = matches!(self.carried, Carried::Upgraded(_));
        if first && tunnel.down.received > 0 && !is_answered {
            self.attempts.log.first_byte(context.io.now);
        }
        Ok(moved)
    }

    /// The connect failed: tries another server if that is allowed.
    fn move_on(&mut self, failure: Failure, client: &Client<N>, context: &mut Context<N>) {
        let course = std::mem::replace(&mut self.course, Course::Nowhere);
        let Course::Connecting { dial, pick } = course else { return };
        let terms = terms(&self.config, self.generation, &self.carried);
        context.io.close(dial.into_socket());
        let choice = self.attempts.failed(pick, failure, UNSENT, &terms, words, context);
        self.follow(choice, client, context);
    }

    /// Notes an event of the server's socket.
    pub fn note_upstream(&mut self, event: &Event) {
        match &mut self.course {
            Course::Connecting { dial, .. } => dial.note(event),
            Course::Open { socket, .. } => socket.note(event),
            Course::Nowhere => {}
        }
    }

    /// When something must have happened at the latest.
    pub fn deadline(&self) -> Time {
        match &self.course {
            Course::Nowhere => Time::NEVER,
            Course::Connecting { dial, .. } => dial.deadline(),
            Course::Open { tunnel, .. } => tunnel.since + self.timeout(),
        }
    }

    /// Acts on the deadline, which has passed.
    pub fn expire(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Next {
        match &mut self.course {
            Course::Connecting { .. } => {
                self.move_on(Failure::ConnectTimedOut, client, context);
                self.run(client, context)
            }
            // A silent tunnel says nothing about the server.
            Course::Open { socket, tunnel, .. } => {
                tunnel.cut(&mut client.socket, socket);
                Next::Close(CloseReason::Done)
            }
            Course::Nowhere => Next::Close(CloseReason::Done),
        }
    }

    /// Whether a server's change moves this connection to another server.
    pub fn is_moved_by(&self, news: &News) -> bool {
        let (News::Out { at, .. } | News::Drained(at) | News::Back(at) | News::ActiveMoved(at)) =
            news
        else {
            return false;
        };
        let is_backup =
            |server: ServerId| self.config.groups[at.group.id.0].servers[server.0].backup;
        match (&self.course, news) {
            (Course::Connecting { pick, .. }, News::Out { .. }) => pick.at == *at,
            (Course::Open { .. }, _) if self.follows() == Follows::Server => false,
            (Course::Open { pick, .. }, News::Out { .. } | News::Drained(_)) => pick.at == *at,
            (Course::Open { pick, .. }, News::Back(_)) => {
                pick.at.group == at.group && is_backup(pick.at.server) && !is_backup(at.server)
            }
            (Course::Open { pick, .. }, News::ActiveMoved(_)) => {
                pick.at.group == at.group && pick.at.server != at.server
            }
            (Course::Connecting { pick, .. }, News::Drained(_)) => {
                self.follows() == Follows::Group && pick.at == *at
            }
            (_, News::Gone(_) | News::Ready(_) | News::Submitted(_) | News::Reloaded)
            | (Course::Connecting { .. }, News::Back(_) | News::ActiveMoved(_))
            | (Course::Nowhere, _) => false,
        }
    }

    /// Moves to another server. An open tunnel is closed, so that its owner reconnects.
    pub fn shift(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Next {
        match &self.course {
            Course::Connecting { .. } => {
                self.move_on(Failure::MarkedDown, client, context);
                self.run(client, context)
            }
            Course::Open { .. } | Course::Nowhere => Next::Close(CloseReason::Done),
        }
    }

    /// Moves to the newest configuration if that still leads to the same server, so that changes of
    /// the server reach it there. Returns whether it moved.
    pub fn adopt_newest(&mut self, client: &Client<N>, context: &mut Context<N>) -> bool {
        let (Course::Connecting { pick, .. } | Course::Open { pick, .. }) = &mut self.course else {
            return false;
        };
        let Some(virtual_server) = h2c::tunnel(client, context) else { return false };
        let carried = Carried::H2c(virtual_server);
        let config = Arc::clone(context.servers.config());
        let generation = context.servers.generation();
        let Some(pass) = pass(&config, &carried) else { return false };
        let group = GroupAt { generation, id: pass.group };
        let (old, new) = (&self.config.groups[pick.at.group.id.0], &config.groups[group.id.0]);
        // A group may name an address more than once.
        let renamed = |server: ServerId| {
            let address = &old.servers[server.0].address;
            let all = new.servers.iter().enumerate();
            all.filter(move |(_, server)| server.address == *address).map(|(id, _)| ServerId(id))
        };
        let (now, servers) = (context.io.now, context.servers.group(group));
        let Some(again) = renamed(pick.at.server).find_map(|id| servers.pick_again(id, now)) else {
            return false;
        };
        self.attempts.rebase(&again);
        let before = std::mem::replace(pick, again);
        context.servers.conclude(before, Verdict::Abandoned, &mut context.io);
        self.attempts.log.rename(|_, server| match server {
            Some(server) => renamed(server).next().map(|server| (group.id, Some(server))),
            None => Some((group.id, None)),
        });
        (self.config, self.generation, self.carried) = (config, generation, carried);
        true
    }

    /// Whether its owner reconnects when it is closed, so that nothing else is lost.
    pub fn is_recallable(&self) -> bool {
        self.follows() == Follows::Group
    }

    /// Why it must be closed if it began with this configuration or an older one; `None` if it did
    /// not.
    pub fn outlives(&mut self, generation: u64, client: &mut Client<N>) -> Option<CloseReason> {
        if self.generation > generation {
            return None;
        }
        match &mut self.course {
            Course::Open { socket, tunnel, .. } => tunnel.cut(&mut client.socket, socket),
            Course::Connecting { .. } => client.socket.reset_on_close(),
            Course::Nowhere => {}
        }
        Some(CloseReason::Done)
    }

    /// Writes the log lines and returns all borrowed storage.
    pub fn finish(mut self, client: &mut Client<N>, context: &mut Context<N>) {
        match std::mem::replace(&mut self.course, Course::Nowhere) {
            Course::Nowhere => {}
            Course::Connecting { dial, pick } => {
                context.io.close(dial.into_socket());
                context.servers.conclude(pick, Verdict::Abandoned, &mut context.io);
            }
            Course::Open { mut socket, pick, mut tunnel } => {
                // We close it, possibly in the middle of a message.
                if self.is_recallable() {
                    tunnel.cut(&mut client.socket, &mut socket);
                }
                self.account_for(&tunnel);
                tunnel.release(&mut context.io);
                context.io.close(socket);
                context.servers.conclude(pick, Verdict::Abandoned, &mut context.io);
            }
        }
        self.attempts.log.ended(None, context.io.now);
        if self.status == 0 {
            self.status = LEFT;
        }
        self.log(client, context);
        if let Carried::Upgraded(of) = self.carried {
            let (mut asked, mut download) = *of;
            download.release(&mut context.io);
            asked.release(context);
        }
    }

    fn account_for(&mut self, tunnel: &Tunnel<N>) {
        self.passed = Passed { received: tunnel.up.received, sent: tunnel.down.delivered };
        let log = &mut self.attempts.log;
        match &mut self.carried {
            Carried::Stream(_) => {}
            // It is logged as a request, so its first line does not count as body.
            Carried::H2c(_) => {
                log.body_received = tunnel.up.received.saturating_sub(LINE.len() as u64);
            }
            Carried::Upgraded(of) => {
                of.1.sent += tunnel.down.delivered;
                log.body_received += tunnel.up.received;
                log.of_body(tunnel.down.received as usize);
            }
        }
        log.sent(tunnel.up.delivered as usize);
        log.received(tunnel.down.received as usize, tunnel.since);
    }

    /// The directives for it; `None` if it began as a request.
    fn pass(&self) -> Option<&StreamPass> {
        pass(&self.config, &self.carried)
    }

    /// How long the tunnel may be silent.
    fn timeout(&self) -> Duration {
        match &self.carried {
            Carried::Upgraded(of) => of.0.pass().read_timeout,
            Carried::Stream(_) | Carried::H2c(_) => {
                self.pass().map_or(Duration::ZERO, |pass| pass.timeout)
            }
        }
    }

    /// What happens to it when another server of the group becomes active.
    fn follows(&self) -> Follows {
        self.pass().map_or(Follows::Server, |pass| pass.follows)
    }
}

/// The directives for a kind of connection; `None` if it began as a request.
fn pass<'a, N: Net>(config: &'a Config, carried: &Carried<N>) -> Option<&'a StreamPass> {
    match carried {
        Carried::Stream(id) => Some(&config.stream_servers[id.0].pass),
        Carried::H2c(id) => config.virtual_servers[id.0].h2c.as_ref().map(|tunnel| &tunnel.pass),
        Carried::Upgraded(_) => None,
    }
}

/// How to connect to the servers of the group.
fn terms<'a, N: Net>(config: &'a Config, generation: u64, carried: &Carried<N>) -> Terms<'a> {
    let pass = pass(config, carried).expect("an upgraded exchange has its server");
    Terms {
        config,
        group: GroupAt { generation, id: pass.group },
        next: &pass.next,
        how: Connect { bind: pass.bind, keepalive: pass.socket_keepalive },
        timeout: pass.connect_timeout,
        asker: Asker::Connection,
        aim: Aim::Active,
    }
}

/// The client as log lines name it, and what happens to it without a server.
fn words() -> (String, String) {
    ("a client".to_owned(), "is closed".to_owned())
}

/// No byte is sent to a server before the tunnel opens.
const UNSENT: Repeatable = Repeatable { idempotent: true, sent: false, replayable: true };
/// `$status` if a server accepted the connection.
const PASSED: u16 = 200;
/// `$status` if the connection ended before a server accepted it. nginx's number.
const LEFT: u16 = 499;
/// `$status` if no server accepted the connection.
const NO_SERVER: u16 = 502;
