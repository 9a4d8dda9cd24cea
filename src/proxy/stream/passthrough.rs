//! A client's connection on its way to a server: attempts until one accepts, then a tunnel.
//!
//! Only a failure to connect moves it to another server: bytes that were sent may have been acted on.

use std::sync::Arc;

use crate::address::Address;
use crate::buffer::Buffer;
use crate::config::model::{Config, Follows, StreamPass, StreamServerId, VirtualServerId};
use crate::http::h2_preface::LINE;
use crate::net::{Connect, Event, Net};
use crate::proxy::client::Client;
use crate::proxy::context::Context;
use crate::proxy::http::attempt::verdict_of;
use crate::proxy::http::route::tunnel_of;
use crate::proxy::log::attempt_log::AttemptLog;
use crate::proxy::log::limited_log::{Named, Topic};
use crate::proxy::next::{CloseReason, Next};
use crate::proxy::servers::News;
use crate::time::Time;
use crate::transport::dial::failure_of_connect;
use crate::transport::flow::Flow;
use crate::transport::io::Owner;
use crate::transport::proxy_protocol::header;
use crate::transport::socket::Socket;
use crate::transport::tunnel::{Closed, Tunnel};
use crate::upstream::group::{Pick, ServerId, Tried, Verdict};
use crate::upstream::retry::{Failure, Progress, Repeatable, may_move};

/// A connection that is passed on.
pub struct Passthrough<N: Net> {
    /// The configuration that it began with.
    pub(in crate::proxy) config: Arc<Config>,
    generation: u64,
    route: Route,
    pub(in crate::proxy) stage: Stage<N>,
    tried: Tried,
    tries: u32,
    /// What was tried.
    pub(in crate::proxy) attempts: AttemptLog,
    /// When the first attempt began.
    pub(in crate::proxy) began: Time,
    /// `$status`.
    pub(in crate::proxy) status: u16,
    /// The client's address, where somebody speaks for it.
    pub(in crate::proxy) remote: Option<Address>,
    /// Bytes that came from the client and went to it, once the tunnel is over.
    pub(in crate::proxy) passed: Passed,
}

/// Which part of the configuration sends it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A server of `stream {}`.
    Stream(StreamServerId),
    /// The `h2c_tunnel` of a virtual server.
    H2c(VirtualServerId),
}

/// Bytes that passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// From the client.
    pub received: u64,
    /// To the client.
    pub sent: u64,
}

pub(in crate::proxy) enum Stage<N: Net> {
    /// No server accepts it.
    Nowhere,
    /// The connect has not come to its end.
    Connecting { socket: Socket<N>, pick: Pick, deadline: Time },
    /// Bytes pass.
    Open { socket: Socket<N>, pick: Pick, tunnel: Tunnel<N> },
}

impl<N: Net> Passthrough<N> {
    /// Begins to look for a server.
    pub fn new(
        route: Route,
        remote: Option<Address>,
        client: &Client<N>,
        context: &mut Context<N>,
    ) -> Passthrough<N> {
        let mut passthrough = Passthrough {
            config: Arc::clone(context.servers.config()),
            generation: context.servers.generation(),
            route,
            stage: Stage::Nowhere,
            tried: Tried::default(),
            tries: 0,
            attempts: AttemptLog::default(),
            began: context.io.now,
            status: 0,
            remote,
            passed: Passed::default(),
        };
        let pick = passthrough.pick(context);
        passthrough.attempt(pick, client, context);
        passthrough
    }

    /// How it is passed on.
    fn pass(&self) -> &StreamPass {
        pass(&self.config, self.route)
    }

    /// Which part of the configuration sends it on.
    pub(in crate::proxy) fn route(&self) -> Route {
        self.route
    }

    /// The number of the configuration that it began with.
    pub(in crate::proxy) fn generation(&self) -> u64 {
        self.generation
    }

    fn pick(&self, context: &mut Context<N>) -> Option<Pick> {
        let now = context.io.now;
        context.servers.group(self.generation, self.pass().group).0.pick(self.tried, now)
    }

    /// Tries `pick`, and others after it while they fail at once.
    fn attempt(&mut self, pick: Option<Pick>, client: &Client<N>, context: &mut Context<N>) {
        let group = self.pass().group;
        let mut next = pick;
        if next.is_none() {
            self.attempts.begin(group, None, context.io.now);
            self.tell_nobody(context);
        }
        while let Some(pick) = next {
            self.tried.insert(pick.server);
            self.tries += 1;
            self.attempts.begin(group, Some(pick.server), context.io.now);
            let how = Connect { bind: self.pass().bind, keepalive: self.pass().socket_keepalive };
            let address = &self.config.groups[group.0].servers[pick.server.0].address;
            match context.connect(address, &how, Owner::Upstream(client.facts.session)) {
                Ok(socket) => {
                    let deadline = context.io.now + self.pass().connect_timeout;
                    self.stage = Stage::Connecting { socket, pick, deadline };
                    return;
                }
                Err(e) => next = self.failed(failure_of_connect(&e), pick, context),
            }
        }
        self.status = NO_SERVER;
    }

    /// Blames the server, and picks another one if that is allowed. A lack of our own is no
    /// reason to go elsewhere.
    fn failed(
        &mut self,
        failure: Option<Failure>,
        pick: Pick,
        context: &mut Context<N>,
    ) -> Option<Pick> {
        let Some(failure) = failure else {
            context.limited_log.write(context.io.now, Topic::Resources, log::Level::Error, || {
                "no descriptor or memory for a connection to a server".to_owned()
            });
            self.conclude(pick, Verdict::Abandoned, context);
            return None;
        };
        let progress = Progress { attempts: self.tries, elapsed: context.io.now - self.began };
        let untouched = Repeatable { idempotent: true, sent: false, replayable: true };
        let may = may_move(failure, untouched, progress, &self.pass().next);
        let next = if may { self.pick(context) } else { None };
        self.tell(pick.server, failure, next.as_ref(), context);
        self.conclude(pick, verdict_of(failure), context);
        self.attempts.ended(None, context.io.now);
        next
    }

    fn conclude(&self, pick: Pick, verdict: Verdict, context: &mut Context<N>) {
        let (generation, group) = (self.generation, self.pass().group);
        context.servers.conclude(generation, group, pick, verdict, &mut context.io);
    }

    /// Does everything that can be done now.
    pub fn run(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Next {
        for _ in 0..context.io.tuning.relay_rounds {
            let moved = match &self.stage {
                Stage::Nowhere => return Next::Close(CloseReason::Done),
                Stage::Connecting { .. } if client.socket.is_broken() => {
                    return Next::Close(CloseReason::ClientLeft);
                }
                Stage::Connecting { .. } => self.connect(client, context),
                Stage::Open { .. } => match self.relay(client, context) {
                    Ok(moved) => moved,
                    // Who has to see a reset gets one by the tunnel's own doing.
                    Err(Closed::Whole | Closed::Cut) => return Next::Close(CloseReason::Done),
                },
            };
            if !moved {
                return Next::Wait;
            }
        }
        Next::Again
    }

    /// Looks after a connect under way. Whether it came to its end.
    fn connect(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> bool {
        let Stage::Connecting { socket, .. } = &mut self.stage else { return false };
        match socket.connected() {
            Ok(false) => false,
            Ok(true) => {
                self.open(client, context);
                true
            }
            Err(e) => {
                self.move_on(
                    failure_of_connect(&e).or(Some(Failure::Unreachable)),
                    client,
                    context,
                );
                true
            }
        }
    }

    /// The server accepted: that is all that can be asked of it here.
    fn open(&mut self, client: &mut Client<N>, context: &mut Context<N>) {
        let Stage::Connecting { socket, mut pick, .. } =
            std::mem::replace(&mut self.stage, Stage::Nowhere)
        else {
            return;
        };
        let (generation, group) = (self.generation, self.pass().group);
        context.servers.succeed_early(generation, group, &mut pick, &mut context.io);
        self.attempts.connected(context.io.now);
        self.status = PASSED;
        let mut up = Flow::beginning_with(std::mem::take(&mut client.input));
        if let Some(version) = self.pass().announces {
            let source = self.remote.as_ref().unwrap_or(&client.facts.peer);
            up.prepend(&header(version, source, &client.facts.local), &mut context.io.buffers);
        }
        let (pass, down) = (self.pass(), Flow::beginning_with(Buffer::default()));
        let tunnel = Tunnel::new(up, down, pass.buffer, pass.half_close, context.io.now);
        self.stage = Stage::Open { socket, pick, tunnel };
    }

    fn relay(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Result<bool, Closed> {
        let Stage::Open { socket, tunnel, .. } = &mut self.stage else { return Ok(false) };
        let first = tunnel.down.received == 0;
        let moved = tunnel.pass(&mut client.socket, socket, &mut context.io)?;
        if first && tunnel.down.received > 0 {
            self.attempts.first_byte(context.io.now);
        }
        Ok(moved)
    }

    /// The attempt failed: tries elsewhere if that is allowed.
    fn move_on(&mut self, failure: Option<Failure>, client: &Client<N>, context: &mut Context<N>) {
        let Stage::Connecting { socket, pick, .. } =
            std::mem::replace(&mut self.stage, Stage::Nowhere)
        else {
            return;
        };
        context.io.close(socket);
        match self.failed(failure, pick, context) {
            Some(next) => self.attempt(Some(next), client, context),
            None => self.status = NO_SERVER,
        }
    }

    /// Notes an event of the server's socket.
    pub fn note_upstream(&mut self, event: &Event) {
        match &mut self.stage {
            Stage::Connecting { socket, .. } | Stage::Open { socket, .. } => socket.note(event),
            Stage::Nowhere => {}
        }
    }

    /// The moment by which something has to have happened.
    pub fn deadline(&self) -> Time {
        match &self.stage {
            Stage::Nowhere => Time::NEVER,
            Stage::Connecting { deadline, .. } => *deadline,
            Stage::Open { tunnel, .. } => tunnel.since + self.pass().timeout,
        }
    }

    /// Acts on the deadline, which has passed.
    pub fn expire(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Next {
        match &mut self.stage {
            Stage::Connecting { .. } => {
                self.move_on(Some(Failure::ConnectTimedOut), client, context);
                self.run(client, context)
            }
            // Silence is nobody's failure.
            Stage::Open { socket, tunnel, .. } => {
                tunnel.cut(&mut client.socket, socket);
                Next::Close(CloseReason::Done)
            }
            Stage::Nowhere => Next::Close(CloseReason::Done),
        }
    }

    /// Whether what happened to a server concerns this connection.
    pub fn is_moved_by(&self, news: &News) -> bool {
        let group = self.pass().group;
        let (News::Out(at) | News::Back(at)) = news;
        if at.generation != self.generation || at.group != group {
            return false;
        }
        let servers = &self.config.groups[group.0].servers;
        let is_backup = |server: ServerId| servers[server.0].backup;
        match (&self.stage, news) {
            (Stage::Connecting { pick, .. }, News::Out(_)) => pick.server == at.server,
            (Stage::Open { .. }, _) if self.pass().follows == Follows::Server => false,
            (Stage::Open { pick, .. }, News::Out(_)) => pick.server == at.server,
            (Stage::Open { pick, .. }, News::Back(_)) => {
                is_backup(pick.server) && !is_backup(at.server)
            }
            (Stage::Connecting { .. }, News::Back(_)) | (Stage::Nowhere, _) => false,
        }
    }

    /// Goes elsewhere: by itself while nothing was sent, else by being closed.
    pub fn shift(&mut self, client: &mut Client<N>, context: &mut Context<N>) -> Next {
        match &self.stage {
            Stage::Connecting { .. } => {
                self.move_on(Some(Failure::MarkedDown), client, context);
                self.run(client, context)
            }
            Stage::Open { .. } | Stage::Nowhere => Next::Close(CloseReason::Done),
        }
    }

    /// Goes over to the newest configuration, where the connection would go to its server too:
    /// there it hears of what happens to the server. Whether it did.
    pub fn adopt_newest(&mut self, client: &Client<N>, context: &mut Context<N>) -> bool {
        let (Stage::Connecting { pick, .. } | Stage::Open { pick, .. }) = &mut self.stage else {
            return false;
        };
        let listen = context.servers.listen(client.facts.listener);
        let tunnel = listen.and_then(|listen| tunnel_of(context.servers.config(), listen));
        let Some(virtual_server) = tunnel else { return false };
        let (config, generation) =
            (Arc::clone(context.servers.config()), context.servers.generation());
        let old_pass = pass(&self.config, self.route);
        let route = Route::H2c(virtual_server);
        let group = pass(&config, route).group;
        let (old, new) = (&self.config.groups[old_pass.group.0], &config.groups[group.0]);
        // A group may name an address more than once.
        let renamed = |server: ServerId| {
            let address = &old.servers[server.0].address;
            let all = new.servers.iter().enumerate();
            all.filter(move |(_, server)| server.address == *address).map(|(id, _)| ServerId(id))
        };
        let (now, servers) = (context.io.now, &mut context.servers.group(generation, group).0);
        let Some(again) = renamed(pick.server).find_map(|id| servers.pick_again(id, now)) else {
            return false;
        };
        let server = again.server;
        let before = std::mem::replace(pick, again);
        let (old, io) = (self.generation, &mut context.io);
        context.servers.conclude(old, old_pass.group, before, Verdict::Abandoned, io);
        self.attempts.rename(|_, server| match server {
            Some(server) => renamed(server).next().map(|server| (group, Some(server))),
            None => Some((group, None)),
        });
        self.tried = Tried::default();
        self.tried.insert(server);
        (self.config, self.generation, self.route) = (config, generation, route);
        true
    }

    /// Whether its owner is told by its end to come again, and nothing else is lost.
    pub fn is_recallable(&self) -> bool {
        self.pass().follows == Follows::Group
    }

    /// Why it is to be closed if it began with this configuration or an older one: `None` if not.
    pub fn outlives(&mut self, generation: u64, client: &mut Client<N>) -> Option<CloseReason> {
        if self.generation > generation {
            return None;
        }
        match &mut self.stage {
            Stage::Open { socket, tunnel, .. } => tunnel.cut(&mut client.socket, socket),
            Stage::Connecting { .. } => client.socket.reset_on_close(),
            Stage::Nowhere => {}
        }
        Some(CloseReason::Done)
    }

    /// Writes the log lines and gives everything back that is not its own.
    pub fn finish(mut self, client: &mut Client<N>, context: &mut Context<N>) {
        let is_recallable = self.is_recallable();
        match std::mem::replace(&mut self.stage, Stage::Nowhere) {
            Stage::Nowhere => {}
            Stage::Connecting { socket, pick, .. } => {
                context.io.close(socket);
                self.conclude(pick, Verdict::Abandoned, context);
            }
            Stage::Open { mut socket, pick, mut tunnel } => {
                // Closed by us, perhaps in the middle of what was being said.
                if is_recallable {
                    tunnel.cut(&mut client.socket, &mut socket);
                }
                self.account_for(&tunnel);
                tunnel.release(&mut context.io);
                context.io.close(socket);
                self.conclude(pick, Verdict::Abandoned, context);
            }
        }
        self.attempts.ended(None, context.io.now);
        if self.status == 0 {
            self.status = LEFT;
        }
        self.log(client, context);
    }

    fn account_for(&mut self, tunnel: &Tunnel<N>) {
        self.passed = Passed { received: tunnel.up.received, sent: tunnel.down.delivered };
        // Of a connection that is logged as a request, all but the line that it begins with.
        self.attempts.body_received = tunnel.up.received.saturating_sub(LINE.len() as u64);
        if let Some(attempt) = self.attempts.current() {
            attempt.sent = tunnel.up.delivered;
            attempt.received = tunnel.down.received;
        }
    }

    /// Tells the operator what happened at a server, and what becomes of the connection.
    fn tell(
        &self,
        server: ServerId,
        failure: Failure,
        next: Option<&Pick>,
        context: &mut Context<N>,
    ) {
        if failure == Failure::MarkedDown && next.is_some() {
            return context.limited_log.count(context.io.now);
        }
        let group = &self.config.groups[self.pass().group.0];
        let level = if next.is_some() { log::Level::Info } else { log::Level::Warn };
        context.limited_log.write(context.io.now, Topic::Servers, level, || {
            let (at, words) = (Named(&group.servers[server.0]), failure.words());
            let becomes = match next {
                Some(next) => format!("moves to {}", Named(&group.servers[next.server.0])),
                None => "is closed".to_owned(),
            };
            format!("upstream \"{}\": {at} {words}; a client {becomes}", group.name)
        });
    }

    /// Tells the operator that no server can be picked at all.
    fn tell_nobody(&self, context: &mut Context<N>) {
        let name = &self.config.groups[self.pass().group.0].name;
        context.limited_log.write(context.io.now, Topic::Servers, log::Level::Warn, || {
            format!("upstream \"{name}\": no server can take it; a client is closed")
        });
    }
}

/// How connections are passed on that take this route.
fn pass(config: &Config, route: Route) -> &StreamPass {
    match route {
        Route::Stream(id) => &config.stream_servers[id.0].pass,
        Route::H2c(id) => {
            let pass = config.virtual_servers[id.0].h2c.as_ref();
            pass.expect("only servers that have a tunnel route to it")
        }
    }
}

/// `$status` of a connection that was passed on.
const PASSED: u16 = 200;
/// `$status` of a connection that ended before a server had accepted it. nginx's number.
const LEFT: u16 = 499;
/// `$status` of a connection that no server accepted.
const NO_SERVER: u16 = 502;
