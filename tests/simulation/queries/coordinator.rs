//! A coordinator of Trino, as far as a proxy can tell, and what it notices of the proxy.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use switchover::net::sim::{Head, Reach, Rng, SimNet};
use switchover::time::Time;

use super::ledger::{Arrival, Ledger, State, back};
use super::line::{Come, Line};
use super::page::{columns, data, rows_of};
use super::scenario::{Habits, Release, Statement};
use super::submissions::judge_submission;
use crate::common::setup::server_address;

/// A place at which one process after another runs.
pub(crate) struct Coordinator {
    pub(crate) place: usize,
    habits: Habits,
    process: Option<Process>,
    /// Processes that began here.
    count: usize,
    is_dark: bool,
    paused_until: Time,
    turning_until: Time,
    /// When the last process ended, if that had not said yet that it has started.
    died_starting: Option<Time>,
    /// When it answered 406. Whoever asked may have left before the answer, but not time and again.
    refusals: Vec<Time>,
    /// When it answered a check of this proxy first.
    checked: Option<Time>,
    lines: Vec<Served>,
    rng: Rng,
}

/// A connection of the proxy, and the parts of an answer that are due on it.
struct Served {
    line: Line,
    due: VecDeque<(Time, String)>,
}

/// One life of a coordinator.
pub(crate) struct Process {
    id: String,
    began: Time,
    /// When it says that it has started.
    ready: Time,
    /// When it knows itself as a worker.
    settled: Time,
    /// When it said that it is starting.
    told_starting: Option<Time>,
    /// Whether it said that it has started.
    told_ready: bool,
    /// Whether its workers were looked at after its start.
    was_examined: bool,
    queries: Vec<Query>,
    /// Transactions under way.
    transactions: BTreeSet<String>,
    /// When each worker announced itself last.
    pub(crate) nodes: BTreeMap<String, Time>,
    /// Workers that have taken their announcements back, which the proxy may not have said yet.
    withdrawn: BTreeSet<String>,
}

struct Query {
    number: u32,
    statement: Statement,
    transaction: Option<String>,
    /// The answers that it has, beside the first.
    pages: usize,
    /// Those of them that have no rows, the first ones.
    blank: usize,
    /// The answers behind them, which only acknowledge that it has ended.
    ends: usize,
    /// The last one that was asked for.
    page: usize,
    failure: Option<&'static str>,
}

/// How many answers a query has.
struct Pages {
    all: usize,
    /// Those without rows, the first ones.
    blank: usize,
    /// Those behind them.
    ends: usize,
}

impl Coordinator {
    pub(crate) fn new(place: usize, habits: Habits, rng: Rng) -> Coordinator {
        Coordinator {
            place,
            habits,
            process: None,
            count: 0,
            is_dark: false,
            paused_until: Time::ZERO,
            turning_until: Time::ZERO,
            died_starting: None,
            refusals: Vec::new(),
            checked: None,
            lines: Vec::new(),
            rng,
        }
    }

    pub(crate) fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// A process begins, which says for this long that it is starting.
    pub(crate) fn start(&mut self, starting: Duration, net: &SimNet, ledger: &mut Ledger) {
        let now = net.world().now();
        let letter = |number: usize| char::from(b"abcdefghijk"[number % 11]);
        let id = [letter(self.place), letter(self.count / 11), letter(self.count), 'x', 'x'];
        let id: String = id.iter().collect();
        ledger.process_began(&id, self.place, now);
        self.count += 1;
        let ready = now + starting;
        let settled = match (self.habits.release, self.count) {
            // The first ones have long run.
            (_, 1) | (Release::New, _) => ready,
            (Release::Old, _) => ready + SETTLING,
        };
        let began = if self.count == 1 { Time::ZERO } else { now };
        self.process = Some(Process {
            id,
            began,
            ready,
            settled,
            told_starting: None,
            told_ready: false,
            // TOLERATED: one that is starting like the one before it is not seen to be another.
            was_examined: self.count == 1
                || self.died_starting.is_some_and(|died| now - died < KNOWS / 2),
            queries: Vec::new(),
            transactions: BTreeSet::new(),
            nodes: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
        });
        self.reach(net);
    }

    /// Its process ends.
    pub(crate) fn die(&mut self, net: &SimNet, ledger: &mut Ledger) {
        if let Some(process) = self.process.take() {
            let now = net.world().now();
            ledger.process_died(&process.id, now);
            self.died_starting = (!process.told_ready).then_some(now);
        }
        self.paused_until = Time::ZERO;
        self.reach(net);
        let address = server_address(self.place);
        let waiting: Vec<Line> = std::iter::from_fn(|| Line::waiting(&address, net)).collect();
        let served = self.lines.drain(..).map(|served| served.line);
        served.chain(waiting).for_each(|line| line.abort(net));
    }

    /// Every packet to and from it is lost from now on, or none.
    pub(crate) fn vanish(&mut self, is_dark: bool, net: &SimNet) {
        self.is_dark = is_dark;
        self.refusals.clear();
        self.checked = None;
        if !is_dark {
            self.paused_until = self.paused_until.max(net.world().now());
        }
        self.reach(net);
    }

    /// It does nothing until then.
    pub(crate) fn pause(&mut self, until: Time) {
        self.paused_until = until;
        // The answer may be on its way, and come too late.
        self.refusals.clear();
        self.checked = None;
    }

    /// It answers 503 to each statement until then.
    pub(crate) fn turn_away(&mut self, until: Time) {
        self.turning_until = until;
    }

    fn reach(&self, net: &SimNet) {
        let reach = match (self.is_dark, &self.process) {
            (true, _) => Reach::Dark,
            (false, Some(_)) => Reach::Listening,
            (false, None) => Reach::Refusing,
        };
        net.world_mut().set_reach(&server_address(self.place), reach);
    }

    fn state(&self, now: Time, ledger: &Ledger) -> State {
        let settled = self.process.as_ref().map(|process| process.settled);
        State {
            answers: !self.is_dark && self.paused_until <= now,
            runs: self.process.is_some(),
            is_ready: settled.is_some_and(|settled| settled <= now),
            turns: self.turning_until > now,
            is_drained: ledger.orders.may_be_drained(self.place),
        }
    }

    pub(crate) fn act(&mut self, net: &SimNet, ledger: &mut Ledger) {
        let now = net.world().now();
        ledger.turn(self.place, self.state(now, ledger), now);
        while let Some(line) = Line::waiting(&server_address(self.place), net) {
            self.lines.push(Served { line, due: VecDeque::new() });
        }
        if self.paused_until > now {
            // As if something else spoke TLS for it: a system accepts connections in a pause, too.
            self.lines.iter_mut().for_each(|served| served.line.shake_hands(net));
            return;
        }
        for mut served in std::mem::take(&mut self.lines) {
            while served.due.front().is_some_and(|(due, _)| *due <= now)
                && let Some((_, part)) = served.due.pop_front()
            {
                served.line.say(part.as_bytes());
            }
            match served.line.next(net) {
                Come::Message(head, body) => {
                    net.world_mut().tell(self.place, || format!("{:?} {body}", head.start));
                    let is_left = served.line.is_left(net);
                    let (due, answer) = self.asked(&head, (&body, is_left), now, ledger);
                    match head.start[1].starts_with("/v1/statement") {
                        true => served.due.extend(self.parts(due, answer)),
                        false => served.due.push_back((due, answer)),
                    }
                    self.lines.push(served);
                }
                Come::Nothing => self.lines.push(served),
                Come::End | Come::Cut => served.line.close(net),
            }
        }
        self.examine(now, ledger);
    }

    /// A coordinator that has come back must soon know all workers that are known.
    fn examine(&mut self, now: Time, ledger: &mut Ledger) {
        let place = self.place;
        let Some(process) = &mut self.process else { return };
        if process.was_examined || now < process.began + KNOWS {
            return;
        }
        process.was_examined = true;
        // The proxy must have noticed that there is a new process.
        let is_new = process.told_starting.is_some_and(|told| told + KNOWS / 2 < now);
        let is_clear = ledger.was_up(place, process.began, now)
            && !ledger.is_proxy_new_since(back(process.began, LASTING));
        if !is_new || !is_clear || !self.habits.learns_all {
            return;
        }
        let late: Vec<String> = ledger
            .announced
            .iter()
            .filter(|(_, at)| **at < process.began && **at + LASTING > now)
            .filter(|(node, _)| !process.nodes.contains_key(*node))
            .filter(|(node, _)| !process.withdrawn.contains(*node))
            .map(|(node, _)| node.clone())
            .collect();
        if !late.is_empty() {
            ledger.accuse(now, format!("{} is back and does not know {late:?}", process.id));
        }
    }

    /// The parts in which an answer is given.
    fn parts(&mut self, due: Time, answer: String) -> Vec<(Time, String)> {
        if !self.habits.halts || !self.rng.one_in(3) {
            return vec![(due, answer)];
        }
        let (first, second) = answer.split_at(self.rng.within(1..=answer.len() - 1));
        let later = due + Duration::from_millis(self.rng.within(1..=HALT_MILLIS) as u64);
        vec![(due, first.to_owned()), (later, second.to_owned())]
    }

    /// The answer to a request, and when it is given. Its sender may have left.
    fn asked(
        &mut self,
        head: &Head,
        (body, is_left): (&str, bool),
        now: Time,
        ledger: &mut Ledger,
    ) -> (Time, String) {
        let Habits { release, reads_forwarded, chunked, .. } = self.habits;
        let place = self.place;
        // What was sent during a pause is read only now, and its sender may have given up.
        let is_fresh = !self.is_dark && self.paused_until + LATE < now && !is_left;
        let process = self.process.as_mut().expect("without one there is no connection");
        let [method, path, _] = &head.start;
        let has_forwarded = head.fields.iter().any(|(name, _)| name.starts_with("x-forwarded-"));
        let is_check = path == "/v1/info";
        let is_of_this_proxy = |at: Time| at > ledger.proxy[0] + LATE;
        if is_check && is_fresh && !self.checked.is_some_and(is_of_this_proxy) {
            self.checked = Some(now);
        }
        if has_forwarded && !reads_forwarded {
            let was_told = self.checked.is_some_and(|at| {
                is_of_this_proxy(at) && at + BODY < now && !ledger.was_reset(place, at, at + BODY)
            });
            // TOLERATED: a request that came before the group was Trino's may go on to the next server.
            let is_old = ledger.is_proxy_restarted_since(back(now, OUTDATED));
            if is_fresh && was_told && !is_check && !is_old && ledger.sets_forwarded {
                let what = format!("{} got X-Forwarded-… though it was checked", process.id);
                ledger.accuse(now, what);
            }
            if is_fresh && self.refusals.last().is_none_or(|last| *last + BODY < now) {
                self.refusals.push(now);
            }
            if let [first, _, _, ..] = self.refusals[..]
                && !ledger.is_proxy_restarted_since(first)
                && !ledger.was_reset(place, first, now)
            {
                ledger.accuse(now, format!("{} got X-Forwarded-… again", process.id));
            }
            return (now, answer(&Said::bare(406), chunked));
        }
        let (delay, said) = match (method.as_str(), path.as_str()) {
            ("GET", "/v1/info") => {
                // A proxy that was replaced meanwhile does not hear the answer.
                if is_fresh && release == Release::New {
                    ledger.process_says(&process.id, now);
                }
                (0, Said::text(process.info(release, now)))
            }
            ("POST", "/v1/statement") => {
                let submitted = Submitted::of(head, body);
                let Submitted { number, statement, .. } = submitted;
                let is_new = submitted.transaction.is_none();
                if is_fresh && is_new {
                    ledger.arrivals.push(Arrival { at: now, place, number });
                }
                if is_fresh {
                    judge_submission(number, (statement, is_new), place, now, ledger);
                }
                // TOLERATED: a statement of a transaction may follow it to the process that has replaced
                // the holder between two checks.
                if is_new {
                    process.judge_statement(number, now, ledger);
                }
                if is_fresh && is_new {
                    judge_drain(place, number, now, ledger);
                }
                let turns = self.turning_until > now;
                let is_refused = turns || process.ready > now && self.rng.one_in(2);
                let all = self.rng.within(1..=5);
                let (blank, ends) = (self.rng.within(0..=all - 1), self.rng.within(0..=1));
                let pages = Pages { all, blank, ends };
                if is_refused {
                    ledger.turned_away.insert(number, now);
                }
                match is_refused {
                    true => (0, Said::bare(503)),
                    false => (0, process.submit(submitted, pages, self.habits, now, ledger)),
                }
            }
            ("PUT" | "POST", path) if path.starts_with("/v1/announce") => {
                let node = path.strip_prefix("/v1/announcement/").unwrap_or(body);
                process.nodes.insert(node.to_owned(), now);
                (0, Said::bare(202))
            }
            ("DELETE", path) if path.starts_with("/v1/announcement/") => {
                let node = &path["/v1/announcement/".len()..];
                process.nodes.remove(node);
                process.withdrawn.insert(node.to_owned());
                (0, Said::bare(204))
            }
            (_, path) => {
                if is_fresh {
                    process.judge_stranger(method, path, now, ledger);
                }
                let said = process.ask((method, path), self.habits, is_fresh, now, ledger);
                // A poll waits for news of the query.
                let slow = method == "GET" && said.status == 200;
                (if slow { self.rng.within(0..=MOST_MILLIS) } else { 0 }, said)
            }
        };
        (now + Duration::from_millis(delay as u64), answer(&said, chunked))
    }
}

impl Process {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    fn info(&mut self, release: Release, now: Time) -> String {
        let starting = now < self.ready;
        if starting {
            self.told_starting.get_or_insert(now);
        }
        self.told_ready |= !starting;
        let id = match release {
            Release::Old => String::new(),
            Release::New => format!("\"coordinatorId\":\"{}\",", self.id),
        };
        let version = match release {
            Release::Old => 476,
            Release::New => 478,
        };
        // Those that run from the beginning have run for days before.
        let days = if self.began == Time::ZERO { 3 * 86_400 } else { 0 };
        let uptime = (now - self.began + Duration::from_secs(days)).as_secs_f64();
        format!(
            "{{\"nodeVersion\":{{\"version\":\"{version}\"}},\"environment\":\"test\",\
             \"coordinator\":true,{id}\"starting\":{starting},\"uptime\":\"{uptime:.2}s\"}}"
        )
    }

    /// A statement must not come to one that is known to take none yet.
    fn judge_statement(&self, number: u32, now: Time, ledger: &mut Ledger) {
        let place = ledger.process(&self.id).expect("it began").place;
        // One that was on its way already is not recalled.
        let on_its_way = |told: Time| ledger.asked[&number] <= told && now < told + BODY;
        let was_told = self.told_starting.is_some_and(|told| {
            told + LATE < now
                && !on_its_way(told)
                && !ledger.is_proxy_restarted_since(told)
                && !ledger.was_reset(place, told, told + LATE)
        });
        let is_settling = now < self.settled && self.settled > self.ready;
        if was_told && (now < self.ready || is_settling) {
            ledger.accuse(now, format!("{number} is sent to {}, which is starting", self.id));
        }
    }

    fn submit(
        &mut self,
        submitted: Submitted,
        Pages { all: pages, blank, ends }: Pages,
        habits: Habits,
        now: Time,
        ledger: &mut Ledger,
    ) -> Said {
        let Submitted { number, statement, transaction } = submitted;
        let stranger = transaction.as_deref().filter(|it| !self.transactions.contains(*it));
        let failure = match (now < self.ready, now < self.settled, stranger) {
            (true, _, _) => Some("SERVER_STARTING_UP"),
            (false, true, _) => Some("NO_NODES_AVAILABLE"),
            (false, false, Some(_)) => Some("UNKNOWN_TRANSACTION"),
            (false, false, None) => None,
        };
        // One whose holder lives must not come here.
        let is_held = |it: &str| ledger.is_held(it) && ledger.holder(it).died.is_none();
        if failure.is_some() && !stranger.is_some_and(is_held) {
            ledger.failing.insert(number);
        }
        let place = self.queries.len();
        ledger.submissions.note(number, (&self.id, &self.query_id(place)), failure, now);
        let page = 0;
        let query = Query { number, statement, transaction, pages, blank, ends, page, failure };
        self.queries.push(query);
        self.page(place, habits)
    }

    fn query_id(&self, place: usize) -> String {
        format!("20261124_103000_{place:05}_{}", self.id)
    }

    /// The answer about a query.
    fn ask(
        &mut self,
        (method, path): (&str, &str),
        habits: Habits,
        is_fresh: bool,
        now: Time,
        ledger: &mut Ledger,
    ) -> Said {
        let unknown = match habits.release {
            Release::Old => Said::bare(404),
            Release::New => Said::bare(410),
        };
        let mut parts = path.split('/').skip_while(|part| !is_id(part));
        let (id, slug, token) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if !id.ends_with(&self.id) {
            let is_killed = method == "DELETE" && path.starts_with("/v1/query/");
            return if is_killed { Said::bare(204) } else { unknown };
        }
        let place: usize = id[16..21].parse().expect("it was written here");
        if path.starts_with("/v1/statement/executing/2") && slug != Some(&format!("y{}", self.id)) {
            return unknown;
        }
        let query = &mut self.queries[place];
        match (method, token) {
            ("DELETE", _) if path.contains("/partialCancel/") => {
                ledger.cut_down.insert(query.number);
                Said::bare(204)
            }
            ("DELETE", _) => {
                ledger.cancelled.insert(query.number);
                Said::bare(204)
            }
            ("GET", Some(token)) => {
                let token: usize = token.parse().expect("it was written here");
                if token != query.page && token != query.page + 1 {
                    return unknown;
                }
                if is_fresh {
                    judge_begin(query.number, id, now, ledger);
                }
                query.page = token;
                if let (None, Statement::Begin) = (query.failure, query.statement) {
                    let id = format!("{:08x}-0000-4000-8000-0000000{}", query.number, self.id);
                    ledger.transactions.entry(id.clone()).or_insert(now);
                    query.transaction = Some(id.clone());
                    self.transactions.insert(id);
                }
                self.page(place, habits)
            }
            ("GET", None) => Said::text(format!("{{\"queryId\":\"{id}\"}}")),
            (_, _) => Said::bare(200),
        }
    }

    /// No request about another process's query may come here while that is known to run elsewhere.
    fn judge_stranger(&self, method: &str, path: &str, now: Time, ledger: &mut Ledger) {
        let Some(id) = path.split('/').find(|part| is_id(part)) else { return };
        let Some(owner) = ledger.process(&id[22..]) else { return };
        let here = ledger.process(&self.id).expect("it began").place;
        // A request that the proxy took before it knew the owner may have waited for another place.
        let taken = back(now, UNDER_WAY);
        if owner.place != here && owner.died.is_none() && ledger.is_known(&id[22..], taken) {
            ledger.accuse(now, format!("{} was asked to {method} {id}", self.id));
        }
    }

    /// The answer that a query has come to.
    fn page(&self, place: usize, habits: Habits) -> Said {
        let query = &self.queries[place];
        let Query { number, pages, ends, page, failure, statement, ref transaction, .. } = *query;
        let (id, process) = (self.query_id(place), &self.id);
        let next = page + 1;
        let next =
            format!("\"nextUri\":\"http://a/v1/statement/executing/{id}/y{process}/{next}\",");
        let (next, state) = match failure {
            Some(_) if page > 0 => ("", "FAILED"),
            _ if page < pages => (next.as_str(), "RUNNING"),
            _ if page < pages + ends => (next.as_str(), "FINISHED"),
            _ => ("", "FINISHED"),
        };
        let error = match failure {
            Some(name) if page > 0 => {
                let code = match name {
                    "SERVER_STARTING_UP" => 65_548,
                    "NO_NODES_AVAILABLE" => 65_541,
                    _ => 34,
                };
                format!(",\"error\":{{\"errorCode\":{code},\"errorName\":\"{name}\"}}")
            }
            _ => String::new(),
        };
        let kind = match statement {
            Statement::Insert if page > 0 => ",\"updateType\":\"INSERT\"",
            Statement::Create if page > 0 => ",\"updateType\":\"CREATE TABLE\"",
            Statement::Insert | Statement::Create => "",
            Statement::Select | Statement::Begin | Statement::Commit => "",
        };
        let fields = match (statement, transaction) {
            (Statement::Begin, Some(id)) => format!("X-Trino-Started-Transaction-Id: {id}\r\n"),
            (Statement::Commit, _) if page > 0 => "X-Trino-Clear-Transaction-Id: true\r\n".into(),
            (_, _) => String::new(),
        };
        let rows = query.rows(habits);
        let text = format!(
            "{{\"id\":\"{id}\",\"infoUri\":\"http://a/ui/query.html?{id}\",{next}{rows}\"stats\":\
             {{\"state\":\"{state}\"}}{error}{kind},\"of\":\"{number}\",\"page\":\"{page}\"}}"
        );
        Said { status: 200, fields, text }
    }
}

impl Query {
    /// The columns and the rows on its page.
    fn rows(&self, habits: Habits) -> String {
        let Query { number, pages, blank, page, failure, statement, .. } = *self;
        let all = rows_of(statement, number);
        // The last page without rows shows the columns already.
        if all == 0 || failure.is_some() || page == 0 || page < blank || page > pages {
            return String::new();
        }
        let columns = columns(number, habits.columns);
        if page == blank {
            return columns;
        }
        let (of, before) = ((pages - blank) as u32, (page - blank - 1) as u32);
        columns + &data(number, all * before / of..all * (before + 1) / of)
    }
}

/// A statement that has come.
struct Submitted {
    number: u32,
    statement: Statement,
    transaction: Option<String>,
}

impl Submitted {
    fn of(head: &Head, body: &str) -> Submitted {
        let statement = Statement::ALL.into_iter().find(|it| body.starts_with(it.words()));
        let number = body.split_whitespace().next_back().and_then(|word| word.parse().ok());
        let mut fields = head.fields.iter();
        let transaction =
            fields.find(|(name, id)| name == "x-trino-transaction-id" && id != "NONE");
        Submitted {
            number: number.expect("clients write nothing else"),
            statement: statement.expect("clients write nothing else"),
            transaction: transaction.map(|(_, id)| id.clone()),
        }
    }
}

/// What is answered.
struct Said {
    status: u16,
    /// Fields of the head, each with its line end.
    fields: String,
    text: String,
}

impl Said {
    fn bare(status: u16) -> Said {
        Said { status, fields: String::new(), text: String::new() }
    }

    fn text(text: String) -> Said {
        Said { status: 200, fields: String::new(), text }
    }
}

/// A query that goes on as another one is not polled any more. TOLERATED: a proxy that begins anew does
/// not know of that.
fn judge_begin(number: u32, id: &str, now: Time, ledger: &mut Ledger) {
    ledger.submissions.begin(number, id);
    if let Some(told) = ledger.submissions.is_replaced(number, id)
        && told + LATE < now
        && !ledger.is_proxy_restarted_since(told)
    {
        ledger.accuse(now, format!("{number} is asked for as {id}, but goes by another id"));
    }
}

/// No new statement may come to a place that was drained.
fn judge_drain(place: usize, number: u32, now: Time, ledger: &mut Ledger) {
    // One that was on its way already is not recalled, and may have waited for the place.
    let was_known = |since: Time| since < ledger.asked[&number] || since + UNDER_WAY < now;
    if ledger.orders.drained(place).is_some_and(was_known) {
        ledger.accuse(now, format!("{number} is sent to {place}, which is drained"));
    }
}

/// Whether this is the id of a query.
fn is_id(part: &str) -> bool {
    part.len() == "20261124_103000_00000_abcde".len() && part.starts_with("20261124_103000_")
}

fn answer(said: &Said, chunked: bool) -> String {
    let Said { status, fields, text } = said;
    if *status == 204 {
        return "HTTP/1.1 204 No Content\r\n\r\n".to_owned();
    }
    let head = format!("HTTP/1.1 {status} x\r\n{fields}");
    if !chunked || text.is_empty() {
        return format!("{head}Content-Length: {}\r\n\r\n{text}", text.len());
    }
    let middle = text.len() / 3;
    let [first, second] =
        [&text[..middle], &text[middle..]].map(|part| format!("{:x}\r\n{part}\r\n", part.len()));
    format!("{head}Transfer-Encoding: chunked\r\n\r\n{first}{second}0\r\n\r\n")
}

/// How long one up to 476 fails statements after it has started.
const SETTLING: Duration = Duration::from_millis(4500);
/// The longest that a poll takes.
const MOST_MILLIS: usize = 800;
/// The longest pause in the middle of an answer.
const HALT_MILLIS: usize = 500;
/// The time that a large body takes on a slow link.
const BODY: Duration = Duration::from_secs(1);
/// The time for the proxy to act on what it was told.
const LATE: Duration = Duration::from_millis(200);
/// The time that a request may wait for a place that does not answer.
const UNDER_WAY: Duration = Duration::from_secs(4);
/// The time until one that is back knows the workers.
const KNOWS: Duration = Duration::from_secs(3);
/// How long an announcement lasts, less a margin.
const LASTING: Duration = Duration::from_secs(28);
/// How long a request may go on that began before its group was Trino's.
const OUTDATED: Duration = Duration::from_secs(10);
