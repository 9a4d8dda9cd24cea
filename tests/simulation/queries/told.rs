//! What the client of a query is told of it, and whether that is true.

use std::time::Duration;

use switchover::time::Time;

use super::client::{Before, Matter, Next, Query, Reply};
use super::ledger::{Ledger, Process, back};
use super::page::{columns, columns_on, next_path, rows_of, rows_on, value};
use super::scenario::Aside;
use super::submissions::DOUBT;

impl Query {
    pub(super) fn judge(
        &mut self,
        reply: &Reply<'_>,
        since: Time,
        now: Time,
        ledger: &mut Ledger,
    ) -> Next {
        match (self.asks, reply) {
            (Matter::Statement, Reply::Answer(head, text)) if head.status() == 200 => {
                self.submitted(text, since, now, ledger)
            }
            (Matter::Statement | Matter::Poll, Reply::Reset) => Next::Again,
            (Matter::Statement, reply) => {
                self.judge_refusal(reply, since, now, ledger);
                Next::Again
            }
            (Matter::Poll, Reply::Answer(head, text)) if head.status() == 200 => {
                self.polled(text, since, now, ledger)
            }
            (Matter::Poll, reply) => {
                let is_wrong = ledger.is_known(self.owner(), since)
                    || self.is_queued(ledger) && !self.is_proxy_another(ledger)
                    || self.is_findable(reply, since, now, ledger);
                let is_wrong = is_wrong && !self.is_cut(reply, since, now, ledger);
                if is_wrong {
                    self.accuse(&format!("its poll {reply}"), now, ledger);
                }
                Next::Again
            }
            (Matter::Aside(aside), reply) => {
                if !matches!(reply, Reply::Reset) {
                    self.judge_aside(aside, reply, since, now, ledger);
                }
                match aside {
                    Aside::Heartbeat | Aside::CancelStage | Aside::Look | Aside::Repeat => {
                        Next::Ask(Matter::Poll)
                    }
                    Aside::Cancel | Aside::Kill => Next::End,
                }
            }
        }
    }

    pub(super) fn accuse(&self, what: &str, now: Time, ledger: &mut Ledger) {
        let (number, id) = (self.plan.number, self.id.as_deref().unwrap_or("no id"));
        ledger.accuse(now, format!("query {number} ({id}): {what}"));
    }

    /// Whether it has no id but the proxy's own.
    pub(super) fn is_queued(&self, ledger: &Ledger) -> bool {
        self.id.is_some() && ledger.process(self.owner()).is_none()
    }

    pub(super) fn is_owner_up(&self, since: Time, now: Time, ledger: &Ledger) -> bool {
        let Some(Process { place, died: None, .. }) = ledger.process(self.owner()) else {
            return false;
        };
        ledger.is_known(self.owner(), since) && ledger.was_up(place, back(since, UNNOTICED), now)
    }

    /// Whether the process that ran it is known to be gone since `recent`.
    pub(super) fn is_owner_gone(&self, recent: Time, now: Time, ledger: &Ledger) -> bool {
        let Some(owner) = ledger.process(self.owner()) else { return false };
        ledger.is_known(self.owner(), recent)
            && owner.died.is_some_and(|died| died < recent)
            && ledger.answered_all(owner.place, recent, now)
    }

    /// Whether its owner may have been out for as long as it may be in doubt.
    fn is_owner_doubted(&self, now: Time, ledger: &Ledger) -> bool {
        let owner = ledger.process(self.owner());
        let from = back(now, DOUBT.min(ledger.queue));
        owner.is_some_and(|owner| ledger.seemed_gone(owner.place, from, now))
    }

    /// Whether it has waited for another server in vain while its client was away. TOLERATED: that its
    /// owner is out may be noticed late, and then the wait ends later.
    fn has_waited_unseen(&self, ledger: &Ledger) -> bool {
        let end = self.doubted + ledger.queue;
        self.may_move()
            && end < self.present
            && !ledger.any_took_for(ledger.taken_up, self.doubted, end)
    }

    /// Whether the proxy may submit it again if its owner is lost.
    fn may_move(&self) -> bool {
        let is_fresh = self.page == 0;
        self.rows == 0 && (self.plan.statement.may_run_twice() || is_fresh)
    }

    /// Whether it has to. TOLERATED: a poll that is made again may be one that was answered.
    fn must_move(&self, ledger: &Ledger) -> bool {
        // A poll that its first owner never got may have been sent.
        let mut before = self.before.iter();
        let is_first = before.all(|it| ledger.submissions.find(self.plan.number, &it.id).is_none());
        self.may_move()
            && self.transaction.is_none()
            && self.plan.statement.may_run_twice()
            && is_first
            && self.is_first_try()
            && self.columns.is_none()
            && !self.is_proxy_another(ledger)
    }

    /// Whether the proxy that passed its statement on has ended: the answer may have been on its way.
    pub(super) fn is_proxy_another(&self, ledger: &Ledger) -> bool {
        ledger.is_proxy_restarted_since(back(self.submitted, SECOND))
    }

    fn is_first_try(&self) -> bool {
        self.tries == 1 && !self.is_repeated
    }

    /// Whether an answer ends early because its server failed in the middle of it. The first one with
    /// rows must not, as the query may run again until it is whole.
    fn is_cut(&self, reply: &Reply<'_>, since: Time, now: Time, ledger: &Ledger) -> bool {
        let Some(owner) = ledger.process(self.owner()) else { return false };
        let is_held = self.transaction.is_none()
            && self.rows == 0
            && self.is_first_try()
            && !self.is_proxy_another(ledger);
        matches!(reply, Reply::Cut)
            && !is_held
            && !ledger.was_up(owner.place, back(since, UNNOTICED), now)
    }

    /// Whether a query of an unknown coordinator has to be found, but is not.
    fn is_findable(&self, reply: &Reply<'_>, since: Time, now: Time, ledger: &Ledger) -> bool {
        let Some(owner) = ledger.process(self.owner()) else { return false };
        let is_unknown =
            matches!(reply, Reply::Answer(head, _) if matches!(head.status(), 404 | 410));
        // A place that was out may not be known to be back.
        let from = back(since, ledger.taken_up);
        let may_be_asked = ledger.was_ready(owner.place, from, now);
        is_unknown && owner.died.is_none() && may_be_asked
    }

    /// A statement is always answered, and one of a transaction waits until its server is ready.
    fn judge_refusal(&self, reply: &Reply<'_>, since: Time, now: Time, ledger: &mut Ledger) {
        if ledger.is_proxy_restarted_since(back(since, MARGIN)) {
            return;
        }
        let (waited, lag) = (now - since, ledger.taken_up);
        let status = match reply {
            Reply::Answer(head, _) => head.status(),
            Reply::Broken | Reply::Cut | Reply::Reset | Reply::Nothing => 0,
        };
        let may = match status {
            // The server of its transaction may turn it away.
            503 if self.transaction.is_some()
                && ledger.turned_away.get(&self.plan.number).is_some_and(|at| *at >= since) =>
            {
                true
            }
            502..=504 if waited + SECOND + MARGIN >= QUEUED.min(ledger.queue) => {
                self.transaction.is_some() && !self.was_taken(lag, since, back(now, MARGIN), ledger)
            }
            _ => false,
        };
        if !may {
            self.accuse(&format!("its statement {reply} after {waited:?}"), now, ledger);
        }
    }

    /// Whether a server has taken such statements for so long between.
    fn was_taken(&self, time: Duration, from: Time, to: Time, ledger: &Ledger) -> bool {
        let any_took = ledger.any_took_for(time, from, to);
        let Some(transaction) = self.transaction.as_deref() else { return any_took };
        let Process { place, died, .. } = ledger.holder(transaction);
        let is_gone = died.is_some_and(|died| died < from)
            && ledger.answered_all(place, back(from, UNNOTICED), to);
        let holder_took = ledger.took_for(place, time, from, to);
        match ledger.is_held(transaction) {
            true if is_gone => any_took,
            true if died.is_none() => holder_took,
            // The proxy may know that the holder is gone, or not.
            true | false => any_took && holder_took,
        }
    }

    fn submitted(&mut self, text: &str, since: Time, now: Time, ledger: &mut Ledger) -> Next {
        self.id = Some(value(text, "id").to_owned());
        self.path = next_path(text).to_owned();
        self.submitted = now;
        if self.is_queued(ledger) {
            return self.queued(text, since, now, ledger);
        }
        if value(text, "of") != self.plan.number.to_string() {
            self.accuse(&format!("its statement is answered with {text}"), now, ledger);
        }
        self.runs(since, now, ledger);
        self.judge_holder(now, ledger);
        self.go_on(ledger)
    }

    /// A coordinator has it, as its client knows by now.
    fn runs(&mut self, since: Time, now: Time, ledger: &mut Ledger) {
        let (number, id) = (self.plan.number, self.id.as_deref().unwrap_or_default());
        ledger.submissions.tell(number, id, now);
        ledger.running.insert(number, self.owner().to_owned());
        // The answer shows the id, but not if the process before still counts as alive.
        if ledger.process(self.owner()).is_some_and(|owner| owner.began + UNNOTICED < now)
            && !ledger.is_proxy_restarted_since(since)
        {
            ledger.process_told(self.owner(), now);
        }
    }

    /// Its client is told to wait for a coordinator: none may have been there for it.
    fn queued(&mut self, text: &str, since: Time, now: Time, ledger: &mut Ledger) -> Next {
        let is_queued = value(text, "state") == "QUEUED" && value(text, "of").is_empty();
        // One whose transaction is gone goes to any server.
        let is_held = self
            .transaction
            .as_deref()
            .is_some_and(|it| ledger.is_held(it) && ledger.holder(it).died.is_none());
        if !is_queued || self.path.is_empty() || is_held {
            self.accuse(&format!("its statement is answered with {text}"), now, ledger);
        }
        if ledger.any_takes(back(since, ledger.taken_up), now) {
            self.accuse("it is queued, but a server takes statements", now, ledger);
        }
        if self.plan.leaves {
            return self.leave(now, ledger);
        }
        self.go_on(ledger)
    }

    fn leave(&self, now: Time, ledger: &mut Ledger) -> Next {
        ledger.submissions.left.insert(self.plan.number, now);
        Next::Leave
    }

    /// A statement of a transaction goes to the process that has it.
    fn judge_holder(&self, now: Time, ledger: &mut Ledger) {
        let Some(id) = self.transaction.as_deref() else { return };
        let holder = ledger.holder(id);
        if !ledger.is_held(id) || holder.died.is_some() {
            return;
        }
        if ledger.process(self.owner()).is_none_or(|owner| owner.place != holder.place) {
            self.accuse(&format!("its transaction {id} is another's"), now, ledger);
        }
    }

    fn go_on(&mut self, ledger: &Ledger) -> Next {
        let is_queued = self.is_queued(ledger);
        // No coordinator has a stage of it, or can tell of it.
        let may = |aside| !is_queued || !matches!(aside, Aside::CancelStage | Aside::Look);
        let page = self.page;
        let due = self.plan.asides.iter().position(|(at, aside)| *at == page && may(*aside));
        Next::Ask(match due {
            Some(place) => Matter::Aside(self.plan.asides.remove(place).1),
            None => Matter::Poll,
        })
    }

    fn polled(&mut self, text: &str, since: Time, now: Time, ledger: &mut Ledger) -> Next {
        let is_same = Some(value(text, "id")) == self.id.as_deref();
        let (error, next) = (value(text, "errorName"), next_path(text));
        match (value(text, "of"), error) {
            ("", "REMOTE_HOST_GONE") if is_same => {
                self.judge_end(value(text, "message"), now, ledger);
                Next::End
            }
            ("", "") if is_same && !next.is_empty() => {
                self.path = next.to_owned();
                self.waiting = self.waiting.min(since);
                if self.is_owner_doubted(now, ledger) {
                    self.doubted = self.doubted.min(now);
                }
                let died = ledger.process(self.owner()).and_then(|owner| owner.died);
                if let Some(died) = died {
                    self.missed = self.missed.min(died.max(since));
                }
                match self.is_queued(ledger) {
                    true => self.judge_queueing(now, ledger),
                    false => self.judge_waiting(now, ledger),
                }
                Next::Ask(Matter::Poll)
            }
            // Only the acknowledgement was left.
            ("", "") if is_same && self.state == "FINISHED" => {
                self.judge_rows_of_all(now, ledger);
                Next::End
            }
            (of, _) if of != self.plan.number.to_string() => {
                self.accuse(&format!("its poll is answered with {text}"), now, ledger);
                Next::End
            }
            (_, "") if !is_same => self.moved(text, since, now, ledger),
            (_, "") => self.went_on(text, now, ledger),
            (_, error) => {
                self.judge_failure(error, now, ledger);
                Next::End
            }
        }
    }

    /// A page of its own has come.
    fn went_on(&mut self, text: &str, now: Time, ledger: &mut Ledger) -> Next {
        let next = next_path(text);
        let page = value(text, "page").parse().unwrap_or(usize::MAX);
        if page != self.page + 1 {
            self.accuse(&format!("page {page} follows {}", self.page), now, ledger);
        }
        self.rows_before = self.rows;
        self.judge_rows(text, now, ledger);
        self.came = now;
        (self.page, self.path) = (page, next.to_owned());
        (self.waiting, self.doubted, self.missed) = (Time::NEVER, Time::NEVER, Time::NEVER);
        self.is_repeated = false;
        self.state = value(text, "state").to_owned();
        if next.is_empty() {
            self.judge_rows_of_all(now, ledger);
            return Next::End;
        }
        self.go_on(ledger)
    }

    /// Each row comes once, in order, and under the columns that were shown.
    fn judge_rows(&mut self, text: &str, now: Time, ledger: &mut Ledger) {
        if let Some(columns) = columns_on(text)
            && self.columns.get_or_insert_with(|| columns.to_owned()) != columns
            // A proxy that has begun since knows nothing of the columns before.
            && !ledger.is_proxy_restarted_since(ledger.asked[&self.plan.number])
        {
            self.accuse("its columns change", now, ledger);
        }
        for row in rows_on(text) {
            if row != (self.plan.number, self.rows) {
                self.accuse(&format!("after {} rows, {row:?}", self.rows), now, ledger);
            }
            self.rows += 1;
        }
        if self.rows > 0 {
            ledger.submissions.delivered.entry(self.plan.number).or_insert(now);
        }
    }

    fn judge_rows_of_all(&self, now: Time, ledger: &mut Ledger) {
        if self.rows != rows_of(self.plan.statement, self.plan.number) {
            self.accuse(&format!("it ends well with {} rows", self.rows), now, ledger);
        }
    }

    /// Its poll is answered with another query, which was made of the same statement.
    fn moved(&mut self, text: &str, since: Time, now: Time, ledger: &mut Ledger) -> Next {
        let (number, old) = (self.plan.number, self.id.take().unwrap_or_default());
        let is_repeated = std::mem::take(&mut self.is_repeated);
        self.id = Some(value(text, "id").to_owned());
        let submission = ledger.submissions.find(number, &old);
        let may = submission.is_none_or(|it| {
            let is_lost = ledger.may_be_lost(&it.process, it.at, now);
            let may = self.plan.statement.may_run_twice() || !it.has_run();
            let is_alone = self.transaction.is_none() || it.failure.is_some();
            is_alone && self.rows == 0 && may && (is_lost || it.failure.is_some())
        });
        let is_first = value(text, "page") == "0";
        let is_known = ledger.submissions.find(number, value(text, "id")).is_some();
        if !may || !is_first || !is_known {
            self.accuse(&format!("it goes on instead of {old} with {text}"), now, ledger);
        }
        let path = std::mem::replace(&mut self.path, next_path(text).to_owned());
        self.before.push(Before { id: old, path, text: text.to_owned(), at: now, is_repeated });
        (self.page, self.submitted) = (0, now);
        (self.waiting, self.doubted, self.missed) = (Time::NEVER, Time::NEVER, Time::NEVER);
        self.runs(since, now, ledger);
        match self.plan.doubts && self.before.len() == 1 {
            true => Next::Ask(Matter::Aside(Aside::Repeat)),
            false => self.go_on(ledger),
        }
    }

    /// It is failed by its own coordinator. One that was starting never began it.
    fn judge_failure(&self, error: &str, now: Time, ledger: &mut Ledger) {
        let is_kept = self.transaction.is_none()
            && !self.is_proxy_another(ledger)
            && ledger.submissions.of(self.plan.number).len() <= FREE;
        if !ledger.failing.contains(&self.plan.number) || error == "SERVER_STARTING_UP" && is_kept {
            self.accuse(&format!("it fails with {error}"), now, ledger);
        }
    }

    /// Only a query whose process is gone, or cannot be reached for minutes, is lost, unless it may
    /// run again.
    fn judge_end(&self, why: &str, now: Time, ledger: &mut Ledger) {
        if self.is_finished(ledger) {
            self.accuse(&format!("it is lost, but has ended well: {why}"), now, ledger);
        }
        if self.is_queued(ledger) {
            return self.judge_end_of_wait(why, now, ledger);
        }
        let in_doubt = back(now, ledger.queue.saturating_sub(MARGIN));
        let is_lost = |owner: Process| {
            let in_doubt = match self.may_move() {
                true => in_doubt.max(back(now, DOUBT.saturating_sub(MARGIN))),
                false => in_doubt,
            };
            owner.died.is_some() || ledger.seemed_gone(owner.place, in_doubt, back(now, UNNOTICED))
        };
        // A coordinator that could not begin it has it wait for another one.
        let (number, id) = (self.plan.number, self.id.as_deref().unwrap_or_default());
        let has_waited = ledger.submissions.find(number, id).is_some_and(|it| {
            let end = it.at + ledger.queue;
            it.failure.is_some() && end < now && !ledger.any_took_for(ledger.taken_up, it.at, end)
        });
        let has_waited = has_waited || {
            let end = back(now, SECOND);
            let since = self.waiting.max(back(now, ledger.queue));
            self.may_move()
                && self.waiting < back(now, ledger.queue)
                && !ledger.any_took_for(ledger.taken_up, since, end)
        };
        let has_waited = has_waited || self.has_waited_unseen(ledger);
        let is_other = |owner: Process| {
            let own = columns(self.plan.number, ledger.columns[owner.place]);
            match self.columns.as_deref() {
                Some(told) => columns_on(&own) != Some(told),
                None => self.before.iter().any(|it| it.is_repeated),
            }
        };
        let may = |owner: Process| is_lost(owner) || is_other(owner) && !self.before.is_empty();
        if !has_waited && !ledger.process(self.owner()).is_some_and(may) {
            self.accuse(&format!("it is lost, but its owner lives: {why}"), now, ledger);
        }
        // It has to wait for a server before that, once its owner is given up. It moves when it is
        // asked for.
        let is_early = self.waiting == Time::NEVER || {
            let doubted = self.waiting + DOUBT.min(ledger.queue);
            let owner = ledger.process(self.owner()).expect("its client has an answer");
            let from = owner.died.map_or(doubted, |_| self.missed.min(doubted));
            let end = (from + ledger.queue).min(back(now, SECOND));
            ledger.any_took_for(ledger.taken_up, from.max(self.present), end)
        };
        if self.must_move(ledger) && is_early {
            self.accuse(&format!("it is lost, but may run again: {why}"), now, ledger);
        }
    }

    /// Whether the proxy has to know that only the acknowledgement is left. TOLERATED: it looks at the
    /// first rows alone, and a poll that is made again may have been answered.
    fn is_finished(&self, ledger: &Ledger) -> bool {
        self.state == "FINISHED"
            && self.rows_before == 0
            && self.transaction.is_none()
            && self.is_first_try()
            && !self.is_proxy_another(ledger)
            // It has to know the version of the coordinator.
            && !ledger.is_proxy_new_since(back(self.came, UNNOTICED))
    }

    /// A statement that no coordinator took waits as long as it may.
    fn judge_end_of_wait(&self, why: &str, now: Time, ledger: &mut Ledger) {
        let may = now - self.submitted + MARGIN >= ledger.queue
            && !ledger.any_took_for(ledger.taken_up, self.submitted, self.submitted + ledger.queue);
        if !may && !self.is_proxy_another(ledger) {
            self.accuse(&format!("it is lost, but could be submitted: {why}"), now, ledger);
        }
    }

    /// A statement waits only while no server takes it.
    fn judge_queueing(&self, now: Time, ledger: &mut Ledger) {
        if self.is_proxy_another(ledger) {
            return;
        }
        if ledger.any_took_for(ledger.taken_up, self.submitted, back(now, SECOND)) {
            self.accuse("it is told to wait, but a server takes statements", now, ledger);
        }
        // A submission may be under way when the time is over.
        if now - self.submitted > ledger.queue + SECOND * 2 + UNNOTICED {
            self.accuse("it is told to wait, but has waited for too long", now, ledger);
        }
    }

    /// A query waits only while its owner does not answer, and is not known to be gone, or until it is
    /// submitted again.
    fn judge_waiting(&self, now: Time, ledger: &mut Ledger) {
        let Some(owner) = ledger.process(self.owner()) else { return };
        let recent = back(now, UNNOTICED);
        let (number, id) = (self.plan.number, self.id.as_deref().unwrap_or_default());
        let is_failed = ledger.submissions.find(number, id).is_some_and(|it| it.failure.is_some());
        let made = ledger.submissions.find(number, id).map_or(self.submitted, |it| it.at);
        let may_be_lost = ledger.may_be_lost(self.owner(), made, now);
        let is_moving = self.may_move() && (is_failed || may_be_lost);
        if self.is_owner_up(recent, now, ledger) && !is_moving {
            self.accuse("it is told to wait, but its owner is well", now, ledger);
        }
        let in_doubt = back(recent, ledger.queue);
        if recent - in_doubt == ledger.queue
            && ledger.is_known(self.owner(), in_doubt)
            && owner.died.is_none()
            && ledger.was_gone(owner.place, in_doubt, now)
            && !is_moving
        {
            self.accuse("it is told to wait, but has waited for too long", now, ledger);
        }
        let is_gone = self.is_owner_gone(recent, now, ledger);
        // A submission that a reset has cut is made again a second later.
        let was_reset = |place| ledger.was_reset(place, back(now, SECOND * 2), now);
        let is_late = ledger.any_took_for(ledger.taken_up, self.missed, back(now, SECOND))
            && !ledger.places().any(was_reset);
        if is_gone && (!self.may_move() || is_late) {
            let (rows, page) = (self.rows, self.page);
            let what =
                format!("it is told to wait, but its owner is gone ({rows} rows, page {page})");
            self.accuse(&what, now, ledger);
        }
        let doubted = back(recent, DOUBT.min(ledger.queue) + ledger.taken_up + SECOND);
        if self.must_move(ledger)
            && doubted > self.submitted
            && self.waiting < back(recent, ledger.taken_up)
            && ledger.is_known(self.owner(), doubted)
            && ledger.was_gone(owner.place, doubted, now)
            && ledger.any_takes(back(recent, ledger.taken_up), now)
        {
            self.accuse("it is told to wait, but may run again", now, ledger);
        }
    }
}

/// Before a statement that each server has failed is sent again.
const SECOND: Duration = Duration::from_secs(1);
/// How long a request of a transaction may wait in the queue.
const QUEUED: Duration = Duration::from_secs(20);
/// The time in which the proxy may not know of a change: an interval, two checks, and the time that
/// a poll waits.
const UNNOTICED: Duration = Duration::from_secs(5);
const MARGIN: Duration = Duration::from_millis(500);
/// How often a query that does not begin is submitted.
const FREE: usize = 5;
