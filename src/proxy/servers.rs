//! The groups of every configuration in use, their idle connections, and the effects of verdicts.

use std::sync::Arc;

use slab::Slab;

use crate::admin::work::Work;
use crate::config::model::{self, Config, GroupId, Listen, LogId, ShortHeadLine};
use crate::net::Net;
use crate::proxy::forwarded::ForwardedFields;
use crate::proxy::generation::{Generation, Seen};
use crate::proxy::log::access_log::AccessLines;
use crate::proxy::log::changes;
use crate::proxy::log::limited_log::ServerWords;
use crate::proxy::news::{News, Reach};
use crate::proxy::served::Served;
use crate::time::Time;
use crate::transport::io::{Io, Owner};
use crate::transport::pool::{Connection, Pool};
use crate::transport::socket::{Moved, Socket};
use crate::trino::cluster::Cluster;
use crate::trino::ledger::Ledger;
use crate::trino::profile::Profiles;
use crate::trino::query_id::CoordinatorId;
use crate::upstream::group::{At, Change, Forwarded, Group, GroupAt, Pick, Verdict, Workers};
use crate::upstream::retry::Failure;

/// The configurations in use, and their servers.
pub struct Servers<N: Net> {
    /// Oldest first. An older configuration stays while an exchange uses it.
    generations: Vec<Generation<N>>,
    /// The ledgers of all groups.
    ledgers: Slab<Ledger>,
    /// For each listener, the `listen` of the newest configuration that it serves.
    pub listens: Vec<Option<usize>>,
    /// Changes of servers in this turn that concern sessions.
    pub news: Vec<News>,
    /// Servers that were out and are there again, in this turn.
    pub returned: Vec<At>,
    /// Promotions and drains may have changed since they were last written down.
    pub deeds_changed: bool,
    /// Shutting down: no new request is accepted, and no connection is kept.
    pub draining: bool,
}

impl<N: Net> Servers<N> {
    /// Holds no configuration until [`Servers::adopt`] brings the first.
    pub fn new() -> Servers<N> {
        Servers {
            generations: Vec::new(),
            ledgers: Slab::new(),
            listens: Vec::new(),
            news: Vec::new(),
            returned: Vec::new(),
            deeds_changed: false,
            draining: false,
        }
    }

    /// Makes `config` the newest. Servers inherit what is known about their addresses; idle
    /// connections are closed.
    pub fn adopt(&mut self, config: Arc<Config>, access_lines: &mut AccessLines, io: &mut Io<N>) {
        self.close_idle(io);
        let generation = self.generations.last().map_or(0, |old| old.id + 1);
        let mut groups = Vec::with_capacity(config.groups.len());
        let forwarded = ForwardedFields::of_groups(&config);
        for ((index, model), forwarded) in config.groups.iter().enumerate().zip(forwarded) {
            let at = GroupAt { generation, id: GroupId(index) };
            let ledger = match self.generations.last().and_then(|old| old.ledger_of(model)) {
                Some(kept) => kept,
                None => self.ledgers.insert(Ledger::new(own_id(io))),
            };
            if model.resubmit == model::Resubmit::Off {
                self.ledgers[ledger].drop_kept();
            }
            let mut served = Served::new(at, model, forwarded, ledger, io.now);
            if let Some(old) = self.generations.last() {
                served.inherit(model, old.config.groups.iter().zip(&old.groups), io.now);
            }
            groups.push(served);
        }
        if let Some(old) = self.generations.last_mut()
            && let Some(timeout) = old.config.process.shutdown_timeout
        {
            old.ends = io.now + timeout;
        }
        let logs = config.access_logs.iter().map(|log| access_lines.open(log)).collect();
        let seen = if config.reads_response_heads() { Seen::ByValues } else { Seen::Never };
        let (id, ends) = (generation, Time::NEVER);
        self.generations.push(Generation { id, config, groups, logs, seen, ends });
        self.news.push(News::Reloaded);
        self.deeds_changed = true;
        self.retire();
    }

    /// Drops configurations that no exchange uses any more.
    pub fn retire(&mut self) {
        let newest = self.generation();
        self.generations.retain(|generation| {
            let used = generation.groups.iter().any(|served| served.group.attempts() > 0);
            generation.id == newest || used || Arc::strong_count(&generation.config) > 1
        });
        let generations = &self.generations;
        self.ledgers.retain(|place, _| {
            let groups = generations.iter().flat_map(|generation| &generation.groups);
            groups.into_iter().any(|served| served.ledger == place)
        });
    }

    /// A replaced configuration whose `worker_shutdown_timeout` is over: its sessions must be
    /// closed. Each configuration is returned once.
    pub fn outlived(&mut self, now: Time) -> Option<u64> {
        let over = self.generations.iter_mut().find(|generation| generation.ends <= now)?;
        over.ends = Time::NEVER;
        Some(over.id)
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

    /// What a listener serves; `None` if the newest configuration dropped it.
    pub fn listen(&self, listener: u32) -> Option<&Listen> {
        self.listens[listener as usize].map(|index| &self.newest().config.listens[index])
    }

    /// A group.
    pub fn group(&mut self, at: GroupAt) -> &mut Group {
        &mut self.find(at.generation).groups[at.id.0].group
    }

    /// The idle connections of a group.
    pub fn pool(&mut self, at: GroupAt) -> &mut Pool<N> {
        &mut self.find(at.generation).groups[at.id.0].pool
    }

    /// What is known of a group's coordinators.
    pub fn trino(&mut self, at: GroupAt) -> &mut Cluster {
        &mut self.find(at.generation).groups[at.id.0].trino
    }

    /// The statements of a group.
    pub fn ledger(&mut self, at: GroupAt) -> &mut Ledger {
        let place = self.find(at.generation).groups[at.id.0].ledger;
        &mut self.ledgers[place]
    }

    /// The same server in the newest configuration, if that still has it.
    pub fn newest_of(&self, at: At) -> Option<At> {
        let its = self.generations.iter().rfind(|known| known.id == at.group.generation)?;
        self.newest().same(&its.config, at)
    }

    /// The groups of the newest configuration.
    pub fn groups(&self) -> impl Iterator<Item = GroupAt> + use<N> {
        let generation = self.generation();
        (0..self.newest().groups.len()).map(move |id| GroupAt { generation, id: GroupId(id) })
    }

    /// What the coordinators of a group say of themselves, and the names of the group's servers.
    pub fn profiles(&mut self, at: GroupAt) -> (&mut Profiles, &model::Group) {
        let generation = self.find(at.generation);
        (&mut generation.groups[at.id.0].trino.profiles, &generation.config.groups[at.id.0])
    }

    /// Treats a group as Trino's from now on. Returns whether it is.
    pub fn become_trinos(&mut self, at: GroupAt) -> bool {
        if self.group(at).become_trinos() {
            let config = &self.find(at.generation).config;
            let name = &config.groups[at.id.0].name;
            log::info!(
                "upstream \"{name}\": it is asked for queries, so its servers are treated as \
                 coordinators of Trino (\"trino off\" prevents that)"
            );
            let limit = config.head_line_towards(at.id);
            if let Some(short) = limit.and_then(ShortHeadLine::of) {
                log::warn!("upstream \"{name}\": {short}");
            }
        }
        self.group(at).is_trinos()
    }

    /// The place of a log's batch in the access lines.
    pub fn log_place(&mut self, generation: u64, log: LogId) -> usize {
        self.find(generation).logs[log.0]
    }

    /// Whether a log line or a field may use fields of the response.
    pub fn seen(&mut self, generation: u64) -> Seen {
        self.find(generation).seen
    }

    /// Counts an attempt as a success now; what happens on its connection later says nothing about
    /// health.
    pub fn succeed_early(&mut self, pick: &mut Pick, io: &mut Io<N>) {
        if let Some(change) = self.group(pick.at.group).succeed_early(pick) {
            self.announce(pick.at, change, io);
        }
    }

    /// Ends an attempt with a verdict, and announces what that changes.
    pub fn conclude(&mut self, pick: Pick, verdict: Verdict, io: &mut Io<N>) {
        let at = pick.at;
        if verdict == Verdict::Failed(Failure::Refused) {
            self.process_began(at, io.now);
        }
        if let Some(change) = self.group(at.group).conclude(pick, verdict, io.now) {
            self.announce(at, change, io);
        }
    }

    /// The `X-Forwarded-…` fields that the check of a server carries, as requests to it do.
    pub fn fields_of_check(&mut self, at: At) -> Vec<u8> {
        let generation = self.find(at.group.generation);
        let Served { group, forwarded, .. } = &generation.groups[at.group.id.0];
        let mut fields = Vec::new();
        if group.is_trinos() && group.forwarded(at.server) == Forwarded::Sent {
            let model = &generation.config.groups[at.group.id.0];
            forwarded.write(&model.servers[at.server.0].address, &mut fields);
        }
        fields
    }

    /// Sends a coordinator no `X-Forwarded-…` field any more, because it has refused one.
    pub fn withhold_forwarded(&mut self, at: At) {
        let is_news = self.group(at.group).withhold_forwarded(at.server);
        self.each(at, |at, served| {
            served.group.withhold_forwarded(at.server);
        });
        if is_news {
            let group = &self.find(at.group.generation).config.groups[at.group.id.0];
            let (name, server) = (&group.name, ServerWords(&group.servers[at.server.0]));
            log::warn!(
                "upstream \"{name}\": {server} answers 406 to X-Forwarded-… fields and gets none \
                 any more; \"http-server.process-forwarded=true\" in its configuration lets it \
                 read them"
            );
        }
    }

    /// The process at a server's address began at this moment, or later, or there is none: what
    /// waits for queries of those before need not wait longer.
    pub fn process_began(&mut self, at: At, moment: Time) {
        if self.trino(at.group).process_began(at.server.0, moment) {
            self.news.push(News::Gone(at));
            // It has to hear of the workers again.
            if self.group(at.group).is_there(at.server) {
                self.returned.push(at);
            }
        }
    }

    /// Logs a change of a server and what follows from it, and acts on both.
    pub fn announce(&mut self, at: At, change: Change, io: &mut Io<N>) {
        self.act_on(at, change, io);
        self.look(at.group, io);
    }

    /// Calls `act` for a server in each configuration in use: requests of older ones learn what
    /// newer ones know of it, and the other way round.
    pub fn each(&mut self, at: At, mut act: impl FnMut(At, &mut Served<N>)) {
        let config = Arc::clone(&self.find(at.group.generation).config);
        for generation in &mut self.generations {
            if let Some(at) = generation.same(&config, at) {
                act(at, &mut generation.groups[at.group.id.0]);
            }
        }
    }

    /// Lets requests of older configurations know how a server is in the newest one, where it is
    /// checked.
    fn teach(&mut self, at: At) {
        let Some((newest, older)) = self.generations.split_last_mut() else { return };
        if at.group.generation != newest.id {
            return;
        }
        let served = &newest.groups[at.group.id.0];
        for generation in older {
            if let Some(same) = generation.same(&newest.config, at) {
                let group = &mut generation.groups[same.group.id.0].group;
                group.follow(same.server, &served.group, at.server);
            }
        }
    }

    /// Announces the changes of a group that follow from others, or from the clock.
    pub fn look(&mut self, group: GroupAt, io: &mut Io<N>) {
        if self.group(group).is_trinos() {
            let is_in_use = self.trino(group).roster.is_in_use(io.now);
            let workers = if is_in_use { Workers::Some } else { Workers::None };
            self.group(group).note_workers(workers);
        }
        while let Some((server, change)) = self.group(group).look(io.now) {
            self.act_on(At { group, server }, change, io);
        }
        while let Some(server) = self.group(group).begin_look(io.now) {
            let at = At { group, server };
            if self.work(at, io.now).is_empty() {
                let change = self.group(group).emptied(server);
                self.act_on(at, change, io);
            }
        }
    }

    /// What a server still has to do, that of older configurations included.
    pub fn work(&mut self, at: At, now: Time) -> Work {
        let (mut in_flight, mut asked) = (0, None);
        self.each(at, |at, served| {
            in_flight += served.group.attempts_at(at.server);
            let latest = asked.max(Some(served.trino.asked(at.server.0)));
            asked = latest.filter(|_| served.group.is_trinos());
        });
        Work::new(in_flight, asked.map(|asked| now - asked))
    }

    /// Announces what the clock alone has changed.
    pub fn look_at_clock(&mut self, io: &mut Io<N>) {
        let generation = self.generation();
        for index in 0..self.newest().groups.len() {
            self.look(GroupAt { generation, id: GroupId(index) }, io);
        }
    }

    fn act_on(&mut self, at: At, change: Change, io: &mut Io<N>) {
        self.teach(at);
        let config = Arc::clone(&self.find(at.group.generation).config);
        let model = &config.groups[at.group.id.0];
        let workers = self.trino(at.group).roster.count(io.now);
        changes::tell(change, at.server, model, workers, io.now);
        match change {
            Change::WentDown { .. } => {
                let Served { group, pool, .. } =
                    &mut self.find(at.group.generation).groups[at.group.id.0];
                if group.is_lost() {
                    log::error!("upstream \"{}\": no server is left", model.name);
                }
                while let Some(idle) = pool.remove_one_of(at.server) {
                    io.close(idle.socket);
                }
                let checked = self.group(at.group).checks().is_some();
                let reach = if checked { Reach::Waiting } else { Reach::Connecting };
                let mut news = std::mem::take(&mut self.news);
                self.each(at, |at, _| news.push(News::Out { at, reach }));
                self.news = news;
            }
            Change::OnTrial | Change::Ready => self.news.push(News::Ready(at)),
            Change::CameBack => {
                self.returned.push(at);
                self.news.push(News::Ready(at));
                if self.group(at.group).is_unheld(at.server, io.now) {
                    self.news.push(News::Back(at));
                }
            }
            Change::Starting => self.returned.push(at),
            Change::Drained => {
                self.deeds_changed = true;
                self.news.push(News::Drained(at));
            }
            Change::Emptied => {}
            Change::Returned => self.news.push(News::Back(at)),
            Change::BecameActive { .. } => {
                self.deeds_changed = true;
                self.news.push(News::ActiveMoved(at));
            }
        }
    }

    /// Keeps a connection for another request. Closes it instead if it is unfit, or if the server
    /// sent anything beyond its response.
    pub fn keep(&mut self, at: At, mut idle: Connection<N>, io: &mut Io<N>) {
        let stale = at.group.generation != self.generation() || self.draining;
        let Served { group: servers, pool, .. } =
            &mut self.find(at.group.generation).groups[at.group.id.0];
        let unfit = stale || servers.is_out(at.server) || !pool.accepts(&idle, io.now);
        if unfit || !is_silent(&mut idle.socket) {
            return io.close(idle.socket);
        }
        let token = idle.socket.token();
        let (key, surplus) = pool.put(idle, at.server, io.now);
        io.owners[token.0] = Owner::Idle { group: at.group.id.0 as u32, key: key as u32 };
        if let Some(surplus) = surplus {
            io.close(surplus.socket);
        }
    }

    /// Closes an idle connection after an event on it: the server closed it, or sent bytes unasked.
    pub fn drop_idle(&mut self, group: u32, key: u32, io: &mut Io<N>) {
        if let Some(idle) = self.pool_at(group as usize).remove(key as usize) {
            io.close(idle.socket);
        }
    }

    /// Closes idle connections that have expired.
    pub fn expire_idle(&mut self, io: &mut Io<N>) {
        for place in 0..self.newest().groups.len() {
            while let Some(idle) = self.pool_at(place).remove_expired(io.now) {
                io.close(idle.socket);
            }
        }
    }

    /// Closes all idle connections. Only the newest configuration has any.
    pub fn close_idle(&mut self, io: &mut Io<N>) {
        let groups = self.generations.last().map_or(0, |newest| newest.groups.len());
        for place in 0..groups {
            while let Some(idle) = self.pool_at(place).remove_any() {
                io.close(idle.socket);
            }
        }
    }

    /// Closes spare pipes or one idle connection to make room. Returns whether there were any.
    pub fn close_one_idle(&mut self, io: &mut Io<N>) -> bool {
        if io.pipes.close_spare() {
            return true;
        }
        let groups = self.newest().groups.len();
        let idle = (0..groups).find_map(|place| self.pool_at(place).remove_any());
        idle.map(|idle| io.close(idle.socket)).is_some()
    }

    fn pool_at(&mut self, place: usize) -> &mut Pool<N> {
        &mut self.generations.last_mut().expect("there is always one").groups[place].pool
    }

    /// The number of idle connections to servers.
    pub fn idle(&self) -> usize {
        self.newest().groups.iter().map(|served| served.pool.len()).sum()
    }

    /// When the next idle connection expires, a check is due, a server may change by the clock, or
    /// the sessions of an old configuration are to be closed.
    pub fn next_alarm(&self, now: Time) -> Time {
        let newest = &self.newest().groups;
        let times = newest.iter().map(|Served { group, pool, .. }| {
            group.next_check().min(group.next_look(now)).min(pool.next_expiry())
        });
        // What is due already waits for a server.
        let due = newest.iter().filter_map(|served| self.ledgers[served.ledger].due());
        let times = times.chain(due.filter(|due| *due > now));
        let ends = self.generations.iter().map(|old| old.ends);
        times.chain(ends).min().unwrap_or(Time::NEVER)
    }

    /// A server of the newest configuration that is due for a check.
    pub fn begin_check(&mut self, now: Time) -> Option<At> {
        let newest = self.generations.last_mut().expect("there is always one");
        let generation = newest.id;
        newest.groups.iter_mut().enumerate().find_map(|(index, served)| {
            let server = served.group.begin_check(now)?;
            Some(At { group: GroupAt { generation, id: GroupId(index) }, server })
        })
    }
}

/// What stands for a coordinator in ids of our own: two proxies have begun at two moments.
fn own_id<N: Net>(io: &Io<N>) -> CoordinatorId {
    CoordinatorId::of_number(io.net.wall(io.now).0 / 1000)
}

/// Whether a server has sent nothing beyond its response. A socket known to be drained needs no
/// read.
pub fn is_silent<N: Net>(socket: &mut Socket<N>) -> bool {
    !socket.is_readable() || matches!(socket.read(&mut [0; 1]), Moved::Wait)
}

impl<N: Net> Default for Servers<N> {
    fn default() -> Servers<N> {
        Servers::new()
    }
}
