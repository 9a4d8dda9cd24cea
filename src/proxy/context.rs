//! What sessions work with and none of them owns: the network, the servers, idle connections,
//! storage for buffers.

use std::hash::RandomState;
use std::io;
use std::sync::Arc;

use slab::Slab;

use super::attempt::failure_of_connect;
use super::client::{Client, Facts};
use super::complaints::{Complaints, Named};
use super::exchange::Exchange;
use super::journal::Journal;
use super::pipes::{Pipes, Policy};
use super::pool::{Connection, Pool};
use super::session::Session;
use super::socket::Socket;
use super::spare::{Boxes, Vectors};
use crate::address::Address;
use crate::buffer::{Buffer, BufferPool};
use crate::config::model::{self, Config, GroupId, Listen, Location, LocationSettings, LogId};
use crate::http::fields::Place;
use crate::http::rewrite::SetFields;
use crate::net::{Accepted, Connect, Net, Token};
use crate::planted::{self, Bug};
use crate::time::Time;
use crate::upstream::group::{Change, Group, Pick, ServerId, Verdict};

/// Shared by all sessions of one worker.
pub struct Context<N: Net> {
    /// The network.
    pub net: N,
    /// The time of this turn.
    pub now: Time,
    /// Whose events are whose.
    pub owners: Slab<Owner>,
    /// Storage for buffers.
    pub buffers: BufferPool,
    /// Pipes for bulk bytes.
    pub pipes: Pipes<N>,
    /// Access log lines.
    pub journal: Journal,
    /// Storage that is used within one call and empty between calls.
    pub scratch: Scratch,
    /// Storage for exchanges.
    pub exchanges: Boxes<Exchange<N>>,
    /// Storage for the places of fields.
    pub places: Vectors<Place>,
    /// What happened to servers in this turn that makes sessions go elsewhere.
    pub shifts: Vec<Shift>,
    /// No new request is accepted, and no connection kept.
    pub draining: bool,
    /// How sessions move bytes.
    pub tuning: Tuning,
    /// What became of requests whose server failed, told within limits.
    pub complaints: Complaints,
    /// Connections accepted so far.
    accepted: u64,
    /// Make request ids unguessable and different in every process.
    pub keys: RandomState,
    /// The newest configuration last; older ones while exchanges use them.
    generations: Vec<Generation<N>>,
    /// Which of the newest configuration's `listens` each listener serves now.
    pub listens: Vec<Option<usize>>,
}

/// Who gets the events of a token: by keys of half the width of `usize`, for there is one for each
/// socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A listening socket.
    Listener(u32),
    /// A session's client.
    Client(u32),
    /// A session's server.
    Upstream(u32),
    /// An idle connection to a server.
    Idle {
        /// Of which of the newest configuration's groups.
        group: u32,
        /// Its key in the group's pool.
        key: u32,
    },
    /// A background connection to a server that was out.
    Check(u32),
}

/// A change of a server that makes sessions go elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Of which configuration.
    pub generation: u64,
    /// Of which group.
    pub group: GroupId,
    /// Which one.
    pub server: ServerId,
    /// What it is now.
    pub standing: Standing,
}

/// What a server is after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Down: who still connects to it moves on.
    Out,
    /// Up again: who made do with a backup comes back.
    Back,
}

/// Reused storage.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A head being written.
    pub head: Vec<u8>,
    /// Fields to set in it.
    pub set: SetFields,
    /// Fields of an answer of our own.
    pub own: SetFields,
    /// A path or a value being made.
    pub text: Vec<u8>,
    /// Bytes read that are wanted in another form.
    pub bulk: Vec<u8>,
    /// Where the fields of a response's head stand.
    pub places: Vec<Place>,
}

/// One configuration at work.
struct Generation<N: Net> {
    id: u64,
    config: Arc<Config>,
    groups: Vec<(Group, Pool<N>)>,
    /// The journal's place for each log.
    logs: Vec<usize>,
    keeps_response_heads: bool,
}

impl<N: Net> Context<N> {
    /// A context whose first configuration is `config`.
    pub fn new(net: N, config: Arc<Config>) -> Context<N> {
        let mut context = Context {
            net,
            now: Time::ZERO,
            owners: Slab::new(),
            buffers: BufferPool::default(),
            pipes: Pipes::default(),
            journal: Journal::default(),
            scratch: Scratch::default(),
            exchanges: Boxes::default(),
            places: Vectors::default(),
            shifts: Vec::new(),
            draining: false,
            tuning: Tuning::default(),
            complaints: Complaints::default(),
            accepted: 0,
            keys: RandomState::new(),
            generations: Vec::new(),
            listens: Vec::new(),
        };
        context.adopt(config);
        context
    }

    /// Makes `config` the newest. What is known about servers is taken over by address; idle
    /// connections are closed.
    pub fn adopt(&mut self, config: Arc<Config>) {
        self.close_idle();
        self.buffers.set_limit(config.process.buffer_memory);
        let policy = if config.process.splice { Policy::Splice } else { Policy::Copy };
        self.pipes.set_policy(policy);
        let mut groups: Vec<_> =
            config.groups.iter().map(|g| (Group::new(g), Pool::new(g))).collect();
        if let Some(old) = self.generations.last() {
            for (model, (group, _)) in config.groups.iter().zip(&mut groups) {
                let is_same =
                    |known: &model::Group| known.name == model.name && known.layer == model.layer;
                let same = old.config.groups.iter().position(is_same);
                match same {
                    Some(same) => group.inherit(&old.groups[same].0, self.now),
                    None => old.groups.iter().for_each(|(old, _)| group.inherit(old, self.now)),
                }
            }
        }
        let id = self.generations.last().map_or(0, |old| old.id + 1);
        let logs = config.access_logs.iter().map(|log| self.journal.open(log)).collect();
        let keeps_response_heads = config.reads_response_heads();
        self.generations.push(Generation { id, config, groups, logs, keeps_response_heads });
        self.retire();
    }

    /// Forgets configurations that no exchange uses any more.
    pub fn retire(&mut self) {
        let newest = self.generation();
        self.generations.retain(|generation| {
            let used = generation.groups.iter().any(|(group, _)| group.active() > 0);
            generation.id == newest || used || Arc::strong_count(&generation.config) > 1
        });
    }

    /// The newest configuration.
    pub fn config(&self) -> &Arc<Config> {
        &self.newest().config
    }

    /// The newest configuration's number.
    pub fn generation(&self) -> u64 {
        self.newest().id
    }

    fn newest(&self) -> &Generation<N> {
        self.generations.last().expect("there is always one")
    }

    fn find(&mut self, generation: u64) -> &mut Generation<N> {
        let found = self.generations.iter_mut().rfind(|known| known.id == generation);
        found.expect("kept while in use")
    }

    /// What a listener serves now; none when the configuration has dropped it.
    pub fn listen(&self, listener: u32) -> Option<&Listen> {
        self.listens[listener as usize].map(|index| &self.newest().config.listens[index])
    }

    /// A group and its idle connections.
    pub fn group(&mut self, generation: u64, group: GroupId) -> &mut (Group, Pool<N>) {
        &mut self.find(generation).groups[group.0]
    }

    /// The journal's place for a log.
    pub fn log_place(&mut self, generation: u64, log: LogId) -> usize {
        self.find(generation).logs[log.0]
    }

    /// Whether a log line or a field may ask for fields of the response.
    pub fn keeps_response_heads(&mut self, generation: u64) -> bool {
        self.find(generation).keeps_response_heads
    }

    /// A session with a client that was just accepted; none when it cannot be registered.
    pub fn admit(
        &mut self,
        accepted: Accepted<N::Stream>,
        listener: u32,
        session: u32,
    ) -> Option<Session<N>> {
        let Accepted { mut stream, peer, local } = accepted;
        self.listen(listener)?;
        let token = self.watch(&mut stream, Owner::Client(session)).ok()?;
        self.accepted += 1;
        let facts = Facts {
            session,
            number: self.accepted,
            peer,
            local,
            announced: None,
            listener,
            accepted: self.now,
            requests: 0,
        };
        let socket = Socket::new(stream, token);
        let client = Client { socket, input: Buffer::default(), nodelay: true, facts };
        Some(Session::new(client, self.listen(listener).expect("looked at first"), self))
    }

    /// Begins to connect to a server: at the expense of an idle connection, if there is no room.
    ///
    /// # Errors
    /// As the system says; a lack of our own is one that says nothing of the server.
    pub fn connect(&mut self, to: &Address, how: &Connect, owner: Owner) -> io::Result<Socket<N>> {
        let mut connected = self.net.connect(to, how);
        // An idle connection to another server is worth less than this one.
        if connected.as_ref().is_err_and(|e| failure_of_connect(e).is_none())
            && self.close_one_idle()
        {
            connected = self.net.connect(to, how);
        }
        let mut stream = connected?;
        match self.watch(&mut stream, owner) {
            Ok(token) => Ok(Socket::connecting(stream, token)),
            Err(_) => Err(io::Error::from_raw_os_error(libc::ENOMEM)),
        }
    }

    /// Notes that a server has done all that was to be seen of it, though its attempt goes on.
    pub fn prove(&mut self, generation: u64, group: GroupId, pick: &mut Pick) {
        if let Some(change) = self.group(generation, group).0.prove(pick) {
            self.announce(generation, group, pick.server, change);
        }
    }

    /// Registers a stream under a new token.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn watch(&mut self, stream: &mut N::Stream, owner: Owner) -> io::Result<Token> {
        let token = Token(self.owners.insert(owner));
        match self.net.watch(stream, token) {
            Ok(()) => Ok(token),
            Err(e) => {
                self.owners.remove(token.0);
                Err(e)
            }
        }
    }

    /// Closes a socket and frees its token.
    pub fn close(&mut self, socket: Socket<N>) {
        if !planted::is(Bug::TokenLeaked) {
            self.owners.remove(socket.token().0);
        }
    }

    /// Gives back what many sessions took and nobody uses.
    pub fn give_back(&mut self) {
        self.owners.shrink_to_fit();
        self.buffers.give_back();
    }

    /// Ends an attempt, and sees to what its verdict changes.
    pub fn conclude(&mut self, generation: u64, group: GroupId, pick: Pick, verdict: Verdict) {
        let (now, server) = (self.now, pick.server);
        let change = self.group(generation, group).0.conclude(pick, verdict, now);
        if let Some(change) = change {
            self.announce(generation, group, server, change);
        }
    }

    /// Tells the operator of a change, and acts on it.
    pub fn announce(&mut self, generation: u64, group: GroupId, server: ServerId, change: Change) {
        let config = Arc::clone(&self.find(generation).config);
        let model = &config.groups[group.0];
        let (name, at) = (&model.name, Named(&model.servers[server.0]));
        match change {
            Change::WentDown { why, until } => {
                let wait = until - self.now;
                let why = why.words();
                log::warn!("upstream \"{name}\": {at} {why}: it is down, next look in {wait:?}");
                if self.group(generation, group).0.is_lost() {
                    log::error!("upstream \"{name}\": no server is left");
                }
                let standing = Standing::Out;
                self.shifts.push(Shift { generation, group, server, standing });
                while let Some(idle) = self.group(generation, group).1.remove_one_of(server) {
                    self.close(idle.socket);
                }
            }
            Change::OnTrial => {
                log::warn!(
                    "upstream \"{name}\": {at} accepts connections, the next request tries it"
                );
            }
            Change::CameBack => {
                log::warn!("upstream \"{name}\": {at} is up again");
                let standing = Standing::Back;
                self.shifts.push(Shift { generation, group, server, standing });
            }
        }
    }

    /// Keeps a connection for another request, or closes it.
    pub fn keep(&mut self, generation: u64, group: GroupId, server: ServerId, idle: Connection<N>) {
        let now = self.now;
        let stale = generation != self.generation() || self.draining;
        let (servers, pool) = self.group(generation, group);
        if stale || servers.is_out(server) || !pool.accepts(&idle, now) {
            return self.close(idle.socket);
        }
        let token = idle.socket.token();
        let (key, surplus) = pool.put(idle, server, now);
        self.owners[token.0] = Owner::Idle { group: group.0 as u32, key: key as u32 };
        if let Some(surplus) = surplus {
            self.close(surplus.socket);
        }
    }

    /// Closes an idle connection that something happened on.
    pub fn drop_idle(&mut self, group: u32, key: u32) {
        if let Some(idle) = self.pool_at(group as usize).remove(key as usize) {
            self.close(idle.socket);
        }
    }

    /// Closes idle connections whose time is up.
    pub fn expire_idle(&mut self) {
        if planted::is(Bug::PoolNeverExpires) {
            return;
        }
        let now = self.now;
        for place in 0..self.newest().groups.len() {
            while let Some(idle) = self.pool_at(place).remove_expired(now) {
                self.close(idle.socket);
            }
        }
    }

    /// Closes all idle connections. (Only the newest configuration has any.)
    pub fn close_idle(&mut self) {
        let groups = self.generations.last().map_or(0, |newest| newest.groups.len());
        for place in 0..groups {
            while let Some(idle) = self.pool_at(place).remove_any() {
                self.close(idle.socket);
            }
        }
    }

    /// Closes pipes or a connection that nobody uses, to make room. Whether there were any.
    pub fn close_one_idle(&mut self) -> bool {
        if self.pipes.close_spare() {
            return true;
        }
        let groups = self.newest().groups.len();
        let idle = (0..groups).find_map(|place| self.pool_at(place).remove_any());
        idle.map(|idle| self.close(idle.socket)).is_some()
    }

    fn pool_at(&mut self, place: usize) -> &mut Pool<N> {
        &mut self.generations.last_mut().expect("there is always one").groups[place].1
    }

    /// Idle connections to servers.
    pub fn idle(&self) -> usize {
        self.newest().groups.iter().map(|(_, pool)| pool.len()).sum()
    }

    /// When a connection will have idled for too long, or a server is due for a look.
    pub fn next_alarm(&self) -> Time {
        let newest = &self.newest().groups;
        let times = newest.iter().map(|(group, pool)| group.next_check().min(pool.next_expiry()));
        times
            .min()
            .unwrap_or(Time::NEVER)
            .min(self.journal.next_due())
            .min(self.complaints.next_due())
    }

    /// A server of the newest configuration that is due for a background connection.
    pub fn begin_check(&mut self) -> Option<(GroupId, ServerId)> {
        let now = self.now;
        let newest = self.generations.last_mut().expect("there is always one");
        newest.groups.iter_mut().enumerate().find_map(|(index, (group, _))| {
            group.begin_check(now).map(|server| (GroupId(index), server))
        })
    }
}

/// How sessions move bytes: what simulations choose otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Rounds one session may move bytes before the others get a turn.
    pub relay_rounds: usize,
    /// A message's bytes go through a pipe while so many of them are still to come.
    pub splice_from: u64,
}

impl Default for Tuning {
    fn default() -> Tuning {
        // Below 64 KiB the calls for a pipe cost more than the copy.
        Tuning { relay_rounds: 16, splice_from: 64 << 10 }
    }
}

/// Settings of a site's location, or of its virtual server outside of all.
pub fn settings(config: &Config, site: super::route::Site) -> &LocationSettings {
    match location(config, site) {
        Some(location) => &location.settings,
        None => &config.virtual_servers[site.server.0].outside,
    }
}

/// The location at `index` of a virtual server; none outside of all.
pub fn location(config: &Config, site: super::route::Site) -> Option<&Location> {
    site.location.map(|index| &config.virtual_servers[site.server.0].locations[index])
}
