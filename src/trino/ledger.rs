//! The statements of a group that may still have to be submitted, and what became of their queries.
//!
//! A statement is kept from its submission until rows of its answer are delivered, its query ends, or
//! it is not asked for any more. A query that was submitted again goes by two ids: the old one stands
//! for the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::kept::{Loss, Statement};
use super::known::{Known, Path};
use super::query_id::{CoordinatorId, QueryId};
use super::rows::Columns;
use super::stage::{Again, Begun, Entry, FREE, Stage};
use super::statement::Repeat;
use crate::time::Time;

/// What is known of the queries of one group.
#[derive(Debug)]
pub struct Ledger {
    queries: BTreeMap<QueryId, Entry>,
    /// Statements to submit, and from when on: never, while they are being submitted.
    waiting: BTreeSet<(Time, QueryId)>,
    /// Queries that were submitted again, though their coordinators may still run them.
    orphans: Vec<QueryId>,
    /// Bytes of all statements.
    bytes: usize,
    /// How many ids were made up so far, and what they end with.
    counted: u32,
    own: CoordinatorId,
    /// When entries that are not asked for any more were last looked for.
    swept: Time,
}

impl Ledger {
    /// Knows of no query. Ids that it makes up end with `own`.
    pub fn new(own: CoordinatorId) -> Ledger {
        Ledger {
            queries: BTreeMap::new(),
            waiting: BTreeSet::new(),
            orphans: Vec::new(),
            bytes: 0,
            counted: 0,
            own,
            swept: Time::ZERO,
        }
    }

    /// What is known of a query.
    pub fn look(&self, id: QueryId) -> Known<'_> {
        match self.queries.get(&id).map(|entry| &entry.stage) {
            None if self.made_up(id) => Known::Forgotten,
            None => Known::Nothing,
            Some(Stage::Runs { .. }) => Known::Runs,
            Some(Stage::Waits { .. }) => Known::Waits,
            Some(Stage::Moved { to, answer }) => Known::Moved(*to, answer),
            Some(Stage::Finished) => Known::Finished,
            Some(Stage::Lost(loss)) => Known::Lost(*loss),
        }
    }

    /// The id that a query goes by now: it may have been submitted again several times.
    pub fn current(&self, id: QueryId) -> QueryId {
        let mut current = id;
        // One that was queued may have moved as often as it may, and once more.
        for _ in 0..FREE + 2 {
            let Known::Moved(to, _) = self.look(current) else { break };
            current = to;
        }
        current
    }

    /// A client asks for a query.
    pub fn asked(&mut self, id: QueryId, now: Time) {
        if let Some(entry) = self.queries.get_mut(&id) {
            entry.asked = now;
        }
    }

    /// The coordinator of a query is asked for it, and may begin it now.
    pub fn begun(&mut self, id: QueryId) {
        if let Some(Entry { stage: Stage::Runs { begun, .. }, .. }) = self.queries.get_mut(&id) {
            *begun = Begun::Maybe;
        }
    }

    /// How many statements wait to be submitted, or are being submitted.
    pub fn open(&self) -> usize {
        self.waiting.len()
    }

    /// Which path of a query this is.
    pub fn path(&self, id: QueryId, path: &[u8]) -> Path {
        match self.queries.get(&id).is_some_and(|entry| entry.is_asked_at(path)) {
            true => Path::Next,
            false => Path::Other,
        }
    }

    /// The path of the next poll of a query.
    pub fn next(&self, id: QueryId) -> Option<&[u8]> {
        self.queries.get(&id).map(|entry| &*entry.next)
    }

    /// The client of a query was told to ask here next.
    pub fn told_next(&mut self, id: QueryId, next: &[u8]) {
        if let Some(entry) = self.queries.get_mut(&id).filter(|entry| *entry.next != *next) {
            entry.before = std::mem::replace(&mut entry.next, next.into());
        }
    }

    /// Keeps a statement that a coordinator has taken as this query. Those of at most `limit` bytes
    /// are kept in all: the oldest go first. Returns how many went.
    pub fn keep(
        &mut self,
        id: QueryId,
        next: Box<[u8]>,
        statement: Statement,
        limit: usize,
        now: Time,
    ) -> usize {
        self.insert(id, next, statement, Again::default(), now);
        self.make_room(limit)
    }

    /// Takes a statement that no coordinator takes yet; it is to be submitted from `from` on.
    /// Until then its query goes by an id of [`Ledger::make_up`], and is asked for at `next`.
    pub fn queue(
        &mut self,
        id: QueryId,
        next: Box<[u8]>,
        statement: Statement,
        (now, from): (Time, Time),
    ) {
        self.bytes += statement.request.len();
        let stage = Stage::Waits { statement, since: now, from };
        self.replace(id, Entry::new(stage, next, now, Again::default()));
        self.waiting.insert((from, id));
    }

    /// An id for a query that no coordinator has given one; `stamp` is the time as ids begin with it.
    pub fn make_up(&mut self, stamp: &[u8; 15]) -> QueryId {
        let number = self.counted;
        self.counted = number.wrapping_add(1);
        QueryId::made_up(stamp, number, self.own)
    }

    /// Whether an id was made up here.
    pub fn made_up(&self, id: QueryId) -> bool {
        id.coordinator() == self.own
    }

    fn insert(
        &mut self,
        id: QueryId,
        next: Box<[u8]>,
        statement: Statement,
        again: Again,
        now: Time,
    ) {
        self.bytes += statement.request.len();
        let stage = Stage::Runs { statement, begun: Begun::No };
        self.replace(id, Entry::new(stage, next, now, again));
    }

    fn replace(&mut self, id: QueryId, entry: Entry) {
        self.remove(id);
        self.queries.insert(id, entry);
    }

    /// Whether a statement of so many bytes may wait, of at most `limit` bytes in all: those that run
    /// make room.
    pub fn has_room(&mut self, bytes: usize, limit: usize) -> bool {
        self.make_room(limit.saturating_sub(bytes));
        self.bytes + bytes <= limit
    }

    /// Drops all statements that run: they are not to be submitted again.
    pub fn drop_kept(&mut self) {
        self.make_room(0);
    }

    /// Drops the oldest statements that run, until the others have at most `limit` bytes.
    fn make_room(&mut self, limit: usize) -> usize {
        let mut dropped = 0;
        while self.bytes > limit {
            let runs = |(_, entry): &(&QueryId, &Entry)| matches!(entry.stage, Stage::Runs { .. });
            let Some(id) = self.queries.iter().find(runs).map(|(id, _)| *id) else { break };
            self.remove(id);
            dropped += 1;
        }
        dropped
    }

    /// Forgets a query: rows of it are delivered, it has ended, or it was cancelled.
    pub fn remove(&mut self, id: QueryId) {
        let Some(entry) = self.queries.remove(&id) else { return };
        match entry.stage {
            Stage::Runs { statement, .. } => self.bytes -= statement.request.len(),
            Stage::Waits { statement, from, .. } => {
                self.bytes -= statement.request.len();
                self.waiting.remove(&(from, id));
            }
            Stage::Moved { .. } | Stage::Finished | Stage::Lost(_) => {}
        }
    }

    /// The statement of a query may not run a second time, as its answer shows.
    pub fn forbid(&mut self, id: QueryId) {
        if let Some(Entry { stage: Stage::Runs { statement, .. }, .. }) = self.queries.get_mut(&id)
            && statement.repeat == Repeat::Twice
        {
            statement.repeat = Repeat::Once;
        }
    }

    /// The answer of a query has these columns. Returns whether its client may be told: none was told
    /// others.
    pub fn see_columns(&mut self, id: QueryId, columns: Columns) -> bool {
        let Some(Entry { stage: Stage::Runs { statement, .. }, .. }) = self.queries.get_mut(&id)
        else {
            return true;
        };
        *statement.columns.get_or_insert(columns) == columns
    }

    /// The client of a query is told that it has ended well, and to ask once more, here.
    pub fn finished(&mut self, id: QueryId, next: &[u8]) {
        self.told_next(id, next);
        self.settle(id, Stage::Finished);
    }

    /// The coordinator of a query has lost it, which was asked for at `path`: it is to be submitted
    /// again.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn lose(&mut self, id: QueryId, path: &[u8], now: Time) -> Result<(), Loss> {
        let entry = self.queries.get_mut(&id).filter(|entry| entry.is_asked_at(path));
        let Some(entry) = entry else { return Err(Loss::NotKept) };
        entry.asked = now;
        let loss = match &entry.stage {
            Stage::Runs { begun: Begun::No, .. } if entry.may_begin_again() => {
                entry.again.free += 1;
                None
            }
            Stage::Runs { statement, .. } if statement.repeat != Repeat::Twice => {
                Some(Loss::MayHaveChanged)
            }
            Stage::Runs { .. } if entry.again.counted > 0 => Some(Loss::Repeated),
            Stage::Runs { .. } => {
                entry.again.counted += 1;
                None
            }
            Stage::Waits { .. } | Stage::Moved { .. } | Stage::Finished => return Ok(()),
            Stage::Lost(loss) => return Err(*loss),
        };
        if let Some(loss) = loss {
            self.give_up(id, loss);
            return Err(loss);
        }
        self.wait(id, now, now);
        Ok(())
    }

    /// A coordinator could not begin a query: its statement is to be submitted again from `from` on,
    /// unless that was done too often. Returns whether it is.
    pub fn restart(&mut self, id: QueryId, now: Time, from: Time) -> bool {
        let Some(entry) = self.queries.get_mut(&id) else { return false };
        if !entry.may_begin_again() {
            return false;
        }
        entry.again.free += 1;
        self.wait(id, now, from);
        true
    }

    /// Lets the statement of a query wait.
    fn wait(&mut self, id: QueryId, now: Time, from: Time) {
        let Some(entry) = self.queries.get_mut(&id) else { return };
        if let Some(statement) = entry.stage.take_statement() {
            entry.stage = Stage::Waits { statement, since: now, from };
            self.waiting.insert((from, id));
        }
    }

    /// How long the coordinator of a query may be out until it is waited for no more: for `doubt`, if the
    /// query can go on without it, or else for `timeout`. `None` if the query waits for another one.
    pub fn patience(
        &self,
        id: QueryId,
        doubt: Option<Duration>,
        timeout: Duration,
    ) -> Option<Duration> {
        let known = self.look(id);
        if matches!(known, Known::Waits | Known::Moved(..)) {
            return None;
        }
        // One that has ended well needs nothing of its server.
        let goes_on = known == Known::Finished || self.may_move(id);
        Some(doubt.filter(|_| goes_on).map_or(timeout, |doubt| doubt.min(timeout)))
    }

    /// Whether a query is submitted again if its coordinator is lost.
    fn may_move(&self, id: QueryId) -> bool {
        let Some(entry) = self.queries.get(&id) else { return false };
        match &entry.stage {
            Stage::Runs { begun: Begun::No, .. } => entry.may_begin_again(),
            Stage::Runs { statement, .. } => {
                statement.repeat == Repeat::Twice && entry.again.counted == 0
            }
            Stage::Waits { .. } | Stage::Moved { .. } | Stage::Finished | Stage::Lost(_) => false,
        }
    }

    /// Whether the statement of a query that runs may run a second time.
    pub fn may_run_twice(&self, id: QueryId) -> bool {
        matches!(self.stage(id), Some(Stage::Runs { statement, .. })
            if statement.repeat == Repeat::Twice)
    }

    /// A query cannot go on: its statement is dropped, and its client will be told why.
    pub fn give_up(&mut self, id: QueryId, loss: Loss) {
        self.settle(id, Stage::Lost(loss));
    }

    /// Puts a query into a stage in which its statement is not needed any more.
    fn settle(&mut self, id: QueryId, stage: Stage) {
        let Some(entry) = self.queries.get_mut(&id) else { return };
        let (next, before) = (std::mem::take(&mut entry.next), std::mem::take(&mut entry.before));
        // The last answer of one that has ended well stands at its own path alone.
        let before = if let Stage::Finished = stage { Box::default() } else { before };
        let asked = entry.asked;
        self.replace(id, Entry { before, ..Entry::new(stage, next, asked, Again::default()) });
    }

    /// Gives up a query if it has waited for longer than `timeout`. Returns whether it has.
    pub fn give_up_overdue(&mut self, id: QueryId, timeout: Duration, now: Time) -> bool {
        let is_overdue = matches!(self.stage(id), Some(Stage::Waits { since, from, .. })
            if now - *since > timeout && *from != Time::NEVER);
        if is_overdue {
            self.give_up(id, Loss::Waited);
        }
        is_overdue
    }

    /// From when on a statement is to be submitted.
    pub fn due(&self) -> Option<Time> {
        self.waiting.first().map(|(from, _)| *from).filter(|from| *from != Time::NEVER)
    }

    /// Takes up the next statement that is due. One that has waited for `timeout`, or that is
    /// not asked for any more, is given up. Returns its query and the whole request.
    pub fn begin(&mut self, timeout: Duration, now: Time) -> Option<(QueryId, &[u8])> {
        let id = loop {
            let &(from, id) = self.waiting.first()?;
            if from > now {
                return None;
            }
            if self.queries.get(&id)?.is_left(now) {
                match self.made_up(id) {
                    true => self.remove(id),
                    false => self.give_up(id, Loss::Waited),
                }
            } else if !self.give_up_overdue(id, timeout, now) {
                break id;
            }
        };
        self.postpone(id, Time::NEVER);
        Some((id, self.waiting(id)?))
    }

    /// The whole request of a query that waits.
    pub fn waiting(&self, id: QueryId) -> Option<&[u8]> {
        match self.stage(id)? {
            Stage::Waits { statement, .. } => Some(&statement.request),
            Stage::Runs { .. } | Stage::Moved { .. } | Stage::Finished | Stage::Lost(_) => None,
        }
    }

    /// A statement that waits is to be submitted from `from` on: no coordinator has taken it.
    pub fn postpone(&mut self, id: QueryId, from: Time) {
        let Some(entry) = self.queries.get_mut(&id) else { return };
        if let Stage::Waits { from: before, .. } = &mut entry.stage {
            self.waiting.remove(&(*before, id));
            self.waiting.insert((from, id));
            *before = from;
        }
    }

    /// A coordinator has taken the statement of `id`: it runs as `new`, is asked for at `next`, and
    /// this was the answer. Returns how often it was submitted, and for how long it has waited; `None`
    /// if it was not waiting.
    pub fn submitted(
        &mut self,
        id: QueryId,
        (new, next): (QueryId, Box<[u8]>),
        answer: Box<[u8]>,
        now: Time,
    ) -> Option<(u32, Duration)> {
        let entry = self.queries.get_mut(&id)?;
        let Stage::Waits { from, since, .. } = entry.stage else { return None };
        let statement = entry.stage.take_statement()?;
        let again = entry.again;
        entry.stage = Stage::Moved { to: new, answer };
        self.waiting.remove(&(from, id));
        self.bytes -= statement.request.len();
        if !self.made_up(id) {
            self.orphans.push(id);
        }
        self.insert(new, next, statement, again, now);
        Some((again.counted + again.free + 1, now - since))
    }

    /// Takes out the paths at which queries can be cancelled that this coordinator still runs, though
    /// they go on elsewhere.
    pub fn take_orphans(&mut self, coordinator: CoordinatorId) -> Vec<Box<[u8]>> {
        let is_its = |id: &QueryId| id.coordinator() == coordinator;
        if !self.orphans.iter().any(is_its) {
            return Vec::new();
        }
        let (its, others) = self.orphans.iter().partition(|id| is_its(id));
        self.orphans = others;
        let its: Vec<QueryId> = its;
        its.into_iter().filter_map(|id| self.next(id).map(Box::from)).collect()
    }

    /// Forgets what was not asked for in a long time.
    pub fn sweep(&mut self, now: Time) {
        if now - self.swept < SWEEP {
            return;
        }
        self.swept = now;
        let mut old = Vec::new();
        let mut surplus = self.queries.len().saturating_sub(ENTRIES);
        for (id, entry) in &mut self.queries {
            match &mut entry.stage {
                Stage::Moved { answer, .. } if now - entry.asked > ABANDONED => {
                    *answer = Box::default();
                    if now - entry.asked > ALIAS || surplus > 0 {
                        surplus = surplus.saturating_sub(1);
                        old.push(*id);
                    }
                }
                Stage::Waits { from, .. } => {
                    if *from != Time::NEVER && entry.is_left(now) {
                        old.push(*id);
                    }
                }
                Stage::Moved { .. } => {}
                Stage::Finished => {
                    if now - entry.asked > ABANDONED || surplus > 0 {
                        surplus = surplus.saturating_sub(1);
                        old.push(*id);
                    }
                }
                Stage::Runs { .. } | Stage::Lost(_) => {
                    if now - entry.asked > ABANDONED {
                        old.push(*id);
                    }
                }
            }
        }
        for id in old {
            self.remove(id);
        }
        // Their coordinators have given them up by now.
        let queries = &self.queries;
        self.orphans.retain(|id| queries.get(id).is_some_and(|it| now - it.asked < ABANDONED));
    }

    fn stage(&self, id: QueryId) -> Option<&Stage> {
        self.queries.get(&id).map(|entry| &entry.stage)
    }
}

/// Trino gives up a query that is not asked for in five minutes: `query.client.timeout`.
const ABANDONED: Duration = Duration::from_secs(300);
/// How long an old id stands for a new one: clients may cancel by it in the end.
const ALIAS: Duration = Duration::from_secs(86_400);
/// Queries of which something is known: beyond that the oldest aliases go, and those that have ended.
const ENTRIES: usize = 20_000;
/// Between two looks for entries that are not asked for any more.
const SWEEP: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    const STAMP: &[u8; 15] = b"20261130_103000";
    const MINUTE: Duration = Duration::from_secs(60);

    fn id(number: u32) -> QueryId {
        QueryId::made_up(STAMP, number, CoordinatorId::of_number(7))
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn statement(repeat: Repeat) -> Statement {
        let request = Zeroizing::new(Box::from(&b"POST"[..]));
        Statement { request, repeat, columns: None }
    }

    fn ledger() -> Ledger {
        Ledger::new(CoordinatorId::of_number(0))
    }

    /// How query 1 may be.
    #[derive(Clone, Copy, Debug)]
    enum Before {
        Unknown,
        Fresh(Repeat),
        Begun(Repeat),
        /// It was submitted again as this query, and has begun.
        Again,
        Waits,
        Submitting,
        Moved,
        Finished,
        Lost,
    }

    impl Before {
        const ALL: [Before; 13] = [
            Before::Unknown,
            Before::Fresh(Repeat::Twice),
            Before::Fresh(Repeat::Once),
            Before::Fresh(Repeat::InTransaction),
            Before::Begun(Repeat::Twice),
            Before::Begun(Repeat::Once),
            Before::Begun(Repeat::InTransaction),
            Before::Again,
            Before::Waits,
            Before::Submitting,
            Before::Moved,
            Before::Finished,
            Before::Lost,
        ];

        fn build(self) -> Ledger {
            let mut ledger = ledger();
            let next = || Box::from(&b"/1"[..]);
            let repeat = match self {
                Before::Unknown => return ledger,
                Before::Fresh(repeat) | Before::Begun(repeat) => repeat,
                Before::Waits | Before::Submitting | Before::Moved => Repeat::Twice,
                Before::Again | Before::Finished | Before::Lost => Repeat::Twice,
            };
            if let Before::Again = self {
                ledger.keep(id(0), next(), statement(repeat), 1000, at(0));
                ledger.begun(id(0));
                ledger.lose(id(0), b"/1", at(0)).unwrap();
                ledger.begin(MINUTE, at(0)).unwrap();
                ledger.submitted(id(0), (id(1), next()), Box::default(), at(0));
                ledger.begun(id(1));
                return ledger;
            }
            ledger.keep(id(1), next(), statement(repeat), 1000, at(0));
            match self {
                Before::Begun(_) => ledger.begun(id(1)),
                Before::Finished => ledger.finished(id(1), b"/1"),
                Before::Lost => ledger.give_up(id(1), Loss::Denied(401)),
                Before::Waits | Before::Submitting | Before::Moved => {
                    ledger.lose(id(1), b"/1", at(0)).unwrap();
                }
                Before::Unknown | Before::Fresh(_) | Before::Again => {}
            }
            if matches!(self, Before::Submitting | Before::Moved) {
                assert_eq!(ledger.begin(MINUTE, at(0)), Some((id(1), &b"POST"[..])));
            }
            if let Before::Moved = self {
                ledger.submitted(id(1), (id(2), next()), Box::from(&b"{}"[..]), at(0));
            }
            ledger
        }
    }

    /// Whether query 1 is asked for at this path.
    fn is_next(ledger: &Ledger, path: &[u8]) -> bool {
        ledger.path(id(1), path) == Path::Next
    }

    /// What is known of query 1, in a word.
    fn known(ledger: &Ledger) -> String {
        match ledger.look(id(1)) {
            Known::Moved(..) => "Moved".to_owned(),
            known @ (Known::Nothing
            | Known::Forgotten
            | Known::Runs
            | Known::Waits
            | Known::Finished
            | Known::Lost(_)) => format!("{known:?}"),
        }
    }

    #[test]
    fn every_event_in_every_state() {
        type Event = (&'static str, fn(&mut Ledger), &'static str);
        let table: [Event; 9] = [
            (
                "nothing",
                |_| {},
                "Nothing Runs Runs Runs Runs Runs Runs Runs Waits Waits Moved Finished Lost(Denied(401))",
            ),
            (
                "lose",
                |it| _ = it.lose(id(1), b"/1", at(1)),
                "Nothing Waits Waits Lost(MayHaveChanged) Waits Lost(MayHaveChanged) Lost(MayHaveChanged) Lost(Repeated) Waits Waits Moved Finished Lost(Denied(401))",
            ),
            (
                "lose, elsewhere",
                |it| _ = it.lose(id(1), b"/2", at(1)),
                "Nothing Runs Runs Runs Runs Runs Runs Runs Waits Waits Moved Finished Lost(Denied(401))",
            ),
            (
                "forbid, lose",
                |it| {
                    it.forbid(id(1));
                    _ = it.lose(id(1), b"/1", at(1))
                },
                "Nothing Waits Waits Lost(MayHaveChanged) Lost(MayHaveChanged) Lost(MayHaveChanged) Lost(MayHaveChanged) Lost(MayHaveChanged) Waits Waits Moved Finished Lost(Denied(401))",
            ),
            (
                "restart",
                |it| _ = it.restart(id(1), at(1), at(2)),
                "Nothing Waits Waits Runs Waits Waits Runs Waits Waits Waits Moved Finished Lost(Denied(401))",
            ),
            (
                "remove",
                |it| it.remove(id(1)),
                "Nothing Nothing Nothing Nothing Nothing Nothing Nothing Nothing Nothing Nothing Nothing Nothing Nothing",
            ),
            (
                "give up",
                |it| it.give_up(id(1), Loss::Differs),
                "Nothing Lost(Differs) Lost(Differs) Lost(Differs) Lost(Differs) Lost(Differs) Lost(Differs) Lost(Differs) Lost(Differs) Lost(Differs) Lost(Differs) Lost(Differs) Lost(Differs)",
            ),
            (
                "overdue",
                |it| _ = it.give_up_overdue(id(1), MINUTE, at(61)),
                "Nothing Runs Runs Runs Runs Runs Runs Runs Lost(Waited) Waits Moved Finished Lost(Denied(401))",
            ),
            (
                "abandoned",
                |it| it.sweep(at(301)),
                "Nothing Nothing Nothing Nothing Nothing Nothing Nothing Nothing Nothing Waits Moved Nothing Nothing",
            ),
        ];
        for (name, event, expected) in table {
            let after = Before::ALL.map(|before| {
                let mut ledger = before.build();
                event(&mut ledger);
                known(&ledger)
            });
            assert_eq!(after.join(" "), expected, "{name}");
        }
    }

    #[test]
    fn patience_is_short_where_a_query_can_go_on() {
        let patience = Before::ALL.map(|before| {
            let ledger = before.build();
            let patience = |doubt: Option<u64>| {
                let patience = ledger.patience(id(1), doubt.map(Duration::from_secs), MINUTE);
                patience.map_or("-".to_owned(), |it| it.as_secs().to_string())
            };
            [patience(Some(10)), patience(Some(90)), patience(None)].join("/")
        });
        let expected = "60/60/60 10/60/60 10/60/60 60/60/60 10/60/60 60/60/60 60/60/60 60/60/60 \
            -/-/- -/-/- -/-/- 10/60/60 60/60/60";
        assert_eq!(patience.join(" "), expected);
    }

    #[test]
    fn all_that_is_counted_is_given_back() {
        for before in Before::ALL {
            let mut ledger = before.build();
            for number in 0..3 {
                ledger.remove(id(number));
            }
            assert_eq!((ledger.bytes, ledger.open(), ledger.due()), (0, 0, None), "{before:?}");
        }
    }

    #[test]
    fn the_oldest_statements_make_room_but_not_those_that_wait() {
        let mut ledger = ledger();
        for number in 0..4 {
            ledger.keep(id(number), Box::default(), statement(Repeat::Twice), 16, at(0));
        }
        ledger.lose(id(0), b"", at(0)).unwrap();
        let keep = |ledger: &mut Ledger, number, limit| {
            ledger.keep(id(number), Box::default(), statement(Repeat::Twice), limit, at(0))
        };
        assert_eq!(keep(&mut ledger, 4, 16), 1);
        assert_eq!((ledger.look(id(0)), ledger.look(id(1))), (Known::Waits, Known::Nothing));
        assert!(ledger.has_room(4, 12), "two of those that run make room");
        assert_eq!(keep(&mut ledger, 5, 0), 2, "nor is the new one kept");
        assert_eq!(ledger.look(id(0)), Known::Waits);
        assert!(!ledger.has_room(4, 7));
    }

    #[test]
    fn a_query_that_never_begins_is_not_submitted_for_ever() {
        let mut ledger = ledger();
        ledger.keep(id(0), Box::default(), statement(Repeat::Once), 1000, at(0));
        for number in 0..5 {
            ledger.lose(id(number), b"", at(0)).unwrap();
            ledger.begin(MINUTE, at(0)).unwrap();
            let to = (id(number + 1), Box::default());
            ledger.submitted(id(number), to, Box::default(), at(0));
        }
        assert_eq!(ledger.current(id(0)), id(5));
        assert_eq!(ledger.lose(id(5), b"", at(0)), Err(Loss::MayHaveChanged));
    }

    #[test]
    fn statements_are_submitted_when_due_and_wanted() {
        let mut ledger = ledger();
        let first = ledger.make_up(STAMP);
        ledger.queue(first, Box::default(), statement(Repeat::Once), (at(0), at(1)));
        assert_eq!(ledger.begin(MINUTE, at(0)), None);
        assert_eq!(ledger.due(), Some(at(1)));
        assert_eq!(ledger.begin(MINUTE, at(1)).map(|(id, _)| id), Some(first));
        assert_eq!((ledger.due(), ledger.open()), (None, 1));
        ledger.postpone(first, at(9));
        assert_eq!(ledger.begin(MINUTE, at(8)), None);
        // It is not asked for any more.
        assert_eq!(ledger.begin(MINUTE, at(40)), None);
        assert_eq!((ledger.look(first), ledger.open()), (Known::Forgotten, 0));
        let second = ledger.make_up(STAMP);
        assert_ne!(first, second);
        ledger.queue(second, Box::default(), statement(Repeat::Once), (at(40), at(40)));
        ledger.asked(second, at(101));
        assert_eq!(ledger.begin(MINUTE, at(101)), None);
        assert_eq!(ledger.look(second), Known::Lost(Loss::Waited));
    }

    #[test]
    fn columns_that_differ_from_those_before_are_noticed() {
        let columns = |text: &str| {
            let mut scan = super::super::rows::AnswerScan::default();
            scan.feed(format!("{{\"columns\":[{text}],\"stats\":{{}}}}").as_bytes());
            scan.columns().unwrap()
        };
        let mut ledger = Before::Begun(Repeat::Twice).build();
        assert!(ledger.see_columns(id(1), columns("1")));
        ledger.lose(id(1), b"/1", at(0)).unwrap();
        ledger.begin(MINUTE, at(0)).unwrap();
        ledger.submitted(id(1), (id(2), Box::default()), Box::default(), at(0));
        assert!(ledger.see_columns(id(2), columns("1")));
        assert!(!ledger.see_columns(id(2), columns("2")));
        assert!(ledger.see_columns(id(3), columns("2")), "nothing is known of it");
    }

    #[test]
    fn a_poll_whose_answer_was_lost_on_the_way_is_asked_again() {
        let mut ledger = Before::Begun(Repeat::Twice).build();
        ledger.told_next(id(1), b"/2");
        assert_eq!([&b"/1"[..], b"/2", b"/3"].map(|it| is_next(&ledger, it)), [true, true, false]);
        ledger.told_next(id(1), b"/3");
        // The same answer once more changes nothing.
        ledger.told_next(id(1), b"/3");
        assert_eq!(ledger.lose(id(1), b"/1", at(1)), Err(Loss::NotKept));
        assert_eq!(ledger.lose(id(1), b"/2", at(1)), Ok(()));
        ledger.give_up(id(1), Loss::Waited);
        assert!(is_next(&ledger, b"/2"), "it may be told why there too");
    }

    #[test]
    fn a_query_that_has_moved_once_still_may_run_twice_where_it_has_not_begun() {
        let ledger = Before::Again.build();
        assert!(ledger.may_run_twice(id(1)) && !ledger.may_move(id(1)));
        assert!(!Before::Begun(Repeat::Once).build().may_run_twice(id(1)));
        assert!(!Before::Waits.build().may_run_twice(id(1)));
    }

    #[test]
    fn a_query_whose_client_has_left_reads_the_truth_when_it_asks_again() {
        let mut ledger = Before::Waits.build();
        assert_eq!(ledger.begin(MINUTE, at(31)), None);
        assert_eq!((ledger.look(id(1)), ledger.open()), (Known::Lost(Loss::Waited), 0));
    }

    #[test]
    fn a_query_that_has_ended_well_is_asked_for_at_its_next_path_alone() {
        let mut ledger = Before::Begun(Repeat::Twice).build();
        ledger.finished(id(1), b"/2");
        assert_eq!([&b"/1"[..], b"/2"].map(|it| is_next(&ledger, it)), [false, true]);
        assert_eq!((ledger.bytes, ledger.look(id(1))), (0, Known::Finished));
        ledger.finished(id(2), b"/2");
        assert_eq!(ledger.look(id(2)), Known::Nothing, "it was not kept");
    }

    #[test]
    fn those_that_have_ended_well_are_forgotten_beyond_a_number() {
        let mut ledger = ledger();
        for number in 0..ENTRIES as u32 + 3 {
            ledger.keep(id(number), Box::default(), statement(Repeat::Twice), 1 << 20, at(0));
            ledger.finished(id(number), b"/2");
        }
        ledger.sweep(at(20));
        assert_eq!(ledger.queries.len(), ENTRIES);
        assert_eq!((ledger.look(id(2)), ledger.look(id(3))), (Known::Nothing, Known::Finished));
        ledger.sweep(at(320));
        assert_eq!(ledger.queries.len(), 0);
    }

    #[test]
    fn a_statement_is_never_shown() {
        let shown = format!("{:?}", Before::Fresh(Repeat::Twice).build());
        assert!(shown.contains("4 bytes") && !shown.contains("POST"), "{shown}");
    }
}
