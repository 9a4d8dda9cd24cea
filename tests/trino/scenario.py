"""The article, played on real Trino: scenario.py VERSION HOME JAVA CLASSES SWITCHOVER DIRECTORY.

Two coordinators, a worker that knows only the proxy, and the proxy with the article's file. In
rounds, first with switchover, then with nginx in its place, and under load: the active coordinator
is killed, comes back, the other one is promoted, and the active one is stopped for a while; the
cluster stays the same. Prints what happened when and leaves the numbers in DIRECTORY/VERSION.json.
What docs/trino.md promises of switchover is checked: a breach is told, the play goes on, and its
exit status is 1. nginx is only measured. ROUNDS=n plays n rounds (3), PROXIES names the proxies
(switchover,nginx).
"""

import json
import os
import signal
import sys
import time

from answers import answers, is_statement, longest, sizes
from clients import NODES, Clients, active
from cluster import FORWARDED_REFUSED, Cluster, speaks_h2c
from dashboard import Dashboard
from flight import Flight, Write
from load import Load, reason
from process import await_that, free_ports, leave_on_signals, tail
from proxies import LARGE_HEADS, Proxy, nginx

# How long the load runs undisturbed before and after each change.
CALM_SECONDS = 3

# How long a change may take to be seen by clients.
SEEN_SECONDS = 120

# Queries that the backup has answered before anything is measured.
WARM_QUERIES = 20

# How long a worker gets whose announcements cannot pass.
HOPELESS_SECONDS = 25

# How long the active coordinator is stopped.
STOP_SECONDS = 15

# How long a new query may wait for a coordinator: two checks of 1 s, half a second apart, and its answer.
TAKEN_SECONDS = 3

# The longest that a client may wait for an answer.
LONGEST_SECONDS = 3

# Queries through a coordinator that refuses X-Forwarded-….
WITHHELD_QUERIES = 10

# A query of several stages; two active nodes are demanded below, so that the worker is one of them.
DISTRIBUTED = "select orderpriority, count(*) from tpch.tiny.orders group by 1 order by 1"
BOTH_NODES = {"required_workers_count": "2"}

TABLE = "memory.default.nations"

# Too large for nginx's default buffers; the Python client takes no line above 64 KB.
STATEMENT_BYTES = 60_000

HTTP_1 = "internal-communication.http2.enabled=false"


class Play:
    """The scene: cluster, clients, clock, and what was noted."""

    def __init__(self, version, home, java, classes, switchover, directory):
        self.version = version
        self.switchover = switchover
        self.directory = directory
        *ports, self.port = free_ports(4)
        self.cluster = Cluster(version, home, java, classes, directory, ports, self.port)
        self.clients = Clients(java, classes, home, version, self.port)
        self.began = time.time()
        self.proxy = None
        self.load = None
        self.flight = None
        self.worker_extra = None
        self.breaches = 0
        self.notes = {"version": version, "rounds": []}

    def say(self, text):
        lines = text.rstrip("\n").split("\n")
        print(f"{time.time() - self.began:7.1f}  {lines[0]}", flush=True)
        for line in lines[1:]:
            print(f"         {line}", flush=True)

    def expect(self, what, holds):
        """A promise of switchover's."""
        if not self.proxy.is_nginx:
            self.breaches += not holds
            self.say(f"  {'so' if holds else 'NOT SO'}: {what}")

    def end(self):
        for one in (self.load, self.proxy, self.cluster):
            if one is not None:
                one.end()

    # The parts of the play, in order.

    def whole(self, rounds, proxies):
        cluster = self.cluster
        h2c = speaks_h2c(self.version)
        self.notes["h2c"] = h2c
        self.say(f"Trino {self.version}: coordinators at {cluster.ports['a']} and {cluster.ports['b']},"
                 f" worker at {cluster.ports['worker']}, proxy at {self.port}")
        if self.version >= FORWARDED_REFUSED:
            self.forwarded(proxies)
        cluster.start("a")
        cluster.start("b")
        began = time.time()
        for name in ("a", "b"):
            cluster.await_ready(name)
        self.say(f"both coordinators are ready after {time.time() - began:.1f} s")
        # The first queries of a Java process are slow; all proxies shall find the same backup.
        for _ in range(WARM_QUERIES):
            self.clients.python(NODES, port=cluster.ports["b"])
        for name in proxies:
            program = self.program(name)
            if program is None:
                self.say(f"{name} is not installed: no comparison")
                continue
            self.with_proxy(name, program, h2c, h2c and name != "nginx", rounds)

    def program(self, name):
        return nginx() if name == "nginx" else self.switchover

    def with_proxy(self, name, program, h2c, tunnels, rounds):
        self.say(f"======== {name} ========")
        self.proxy = Proxy(name, program, self.directory, self.port, self.cluster)
        if h2c and not tunnels:
            self.hopeless_worker(name)
        self.worker([HTTP_1] if h2c and not tunnels else [])
        for number in range(1, rounds + 1):
            self.say(f"-------- {name}, round {number} --------")
            noted = {"proxy": name, "http2": tunnels}
            self.notes["rounds"].append(noted)
            if number == 1:
                self.three_clients("a")
                self.distributed("a")
                self.table("a")
            self.failover(noted)
            if number == 1:
                self.three_clients("b")
                self.distributed("b")
                self.table("b")
            self.failback(noted)
            self.promotion(noted)
            self.stop(noted)
        self.expect("no request was answered 406",
                    all(one.status != 406 for one in answers(self.proxy.access_log)))
        self.large_heads()
        self.proxy.extra += LARGE_HEADS
        self.proxy.prefer("a", "b")
        time.sleep(CALM_SECONDS)
        self.say(f"with {LARGE_HEADS}")
        self.expect("a prepared statement passes in heads", self.large_heads())
        self.sizes(name)
        self.proxy.end()

    def forwarded(self, proxies):
        """A coordinator that was not told about X-Forwarded-…."""
        self.cluster.start("a", without=("http-server.process-forwarded",))
        self.cluster.await_ready("a")
        self.notes["forwarded"] = {}
        for name in proxies:
            program = self.program(name)
            if program is not None:
                self.notes["forwarded"][name] = self.withheld(name, program)
        self.cluster.kill("a")

    def withheld(self, name, program):
        """Queries that fail without http-server.process-forwarded."""
        self.proxy = Proxy(f"{name}-forwarded", program, self.directory, self.port, self.cluster)
        failures = [why for why in (self.failure(NODES) for _ in range(WITHHELD_QUERIES)) if why]
        refused = sum(one.status == 406 for one in answers(self.proxy.access_log))
        self.say(f"without http-server.process-forwarded, through {name}: queries asked {WITHHELD_QUERIES},"
                 f" failed {len(failures)}; answers with 406: {refused}")
        if failures:
            self.say(f"  {reason(failures[0])}")
        self.expect("none fails, and none is answered 406", not failures and refused == 0)
        self.proxy.end()
        return len(failures)

    def failure(self, sql):
        """Why a query fails, or nothing."""
        try:
            self.clients.python(sql)
        # Whatever the client throws is what its user gets.
        except Exception as why:  # pylint: disable=broad-except
            return str(why)
        return None

    def hopeless_worker(self, name):
        """A worker as it comes, whose announcements are HTTP/2: it is never seen."""
        if "worker" in self.cluster.nodes:
            self.cluster.kill("worker")
            await_that("a has forgotten the worker", lambda: self.alone("a"), SEEN_SECONDS, 1)
        self.cluster.start("worker")
        await_that("the worker listens", lambda: self.cluster.is_open("worker"), SEEN_SECONDS)
        end = time.time() + HOPELESS_SECONDS
        while time.time() < end:
            assert self.alone("a"), "HTTP/2 announcements came through"
            time.sleep(1)
        self.say(f"a worker that announces itself over HTTP/2 is not seen through {name}"
                 f" in {HOPELESS_SECONDS} s; with {HTTP_1}:")

    def worker(self, extra):
        """Has a worker so configured, and waits until it is listed at the active coordinator."""
        if self.worker_extra != extra:
            if "worker" in self.cluster.nodes:
                self.cluster.kill("worker")
            self.cluster.start("worker", extra)
            self.cluster.await_ready("worker")
            self.worker_extra = extra
        ready = time.time()
        self.listed("a", "worker")
        self.say(f"the worker is listed after {time.time() - ready:.1f} s")

    def listed(self, *nodes):
        def there():
            try:
                rows, _ = self.clients.python(NODES)
            # The coordinator may still be starting.
            except Exception:  # pylint: disable=broad-except
                return False
            return active(rows) == list(nodes)

        await_that(f"{nodes} are listed", there, SEEN_SECONDS, 0.25)

    def alone(self, name):
        """Whether a coordinator, asked behind the proxy's back, knows itself alone."""
        rows, _ = self.clients.python(NODES, port=self.cluster.ports[name])
        return [row[0] for row in rows] == [name]

    def three_clients(self, coordinator):
        """The nodes table through each client."""
        self.listed(coordinator, "worker")
        table = self.clients.cli(NODES)
        self.say(f"$ trino --server {self.clients.url()} --execute '{NODES}'\n{table}")
        want = [coordinator, "worker"]
        clients = {
            "the command line": lambda: active(
                line.split("\t") for line in self.clients.cli(NODES, "TSV").splitlines()
            ),
            "Python": lambda: active(self.clients.python(NODES)[0]),
            "JDBC": lambda: active(self.clients.jdbc(NODES)),
        }
        # On a busy machine the coordinator loses sight of the worker now and then.
        for client, nodes in clients.items():
            await_that(f"{client} sees {want}", lambda: nodes() == want, SEEN_SECONDS, 1)
        self.say(f"command line, Python and JDBC all see {want}")

    def distributed(self, coordinator):
        """A query that waits for two nodes, and where its tasks ran."""
        want = [coordinator, "worker"]
        # On a busy machine the coordinator loses sight of the worker now and then.
        await_that(f"tasks run on {want}", lambda: self.nodes_used() == want, SEEN_SECONDS, 1)
        self.say(f"a query over both nodes: its tasks ran on {want}")

    def nodes_used(self):
        """Where the tasks of a query over both nodes ran."""
        rows, query = self.clients.python(DISTRIBUTED, properties=BOTH_NODES)
        assert sum(row[1] for row in rows) == 15000, rows
        # Tasks of other queries come and go; these stay for a while after their end.
        tasks, _ = self.clients.python(
            f"select distinct node_id from system.runtime.tasks where query_id = '{query}' order by 1"
        )
        return [row[0] for row in tasks]

    def table(self, coordinator):
        """A table of the memory connector: its rows are on the nodes, its name at the coordinator."""
        if "memory" not in self.cluster.catalogs():
            return self.say("no table in memory is tried: there is no plugin for it")
        self.clients.python(f"create table {TABLE} as select * from tpch.tiny.nation",
                            properties=BOTH_NODES)
        rows, _ = self.clients.python(f"select count(*), count(distinct nationkey) from {TABLE}")
        [[count, nations]] = rows
        assert nations == 25, rows
        self.clients.python(f"drop table {TABLE}")
        if count > nations:
            self.say(f"  the worker still held {count - nations} rows of a table of the other coordinator's")
        self.say(f"a table in memory is made, read and dropped through {coordinator}")

    def start_load(self):
        self.load = Load(self.clients)
        await_that("all clients are served", self.load.asks_with_all, SEEN_SECONDS)
        time.sleep(CALM_SECONDS)

    def stop_load(self, noted, phase, change):
        time.sleep(CALM_SECONDS)
        self.load.stop()
        failed = self.load.failed()
        asked = len(self.load.queries)
        noted[f"{phase}_asked"] = asked
        noted[f"{phase}_failed"] = len(failed)
        for client in ("python", "jdbc"):
            noted[f"{phase}_failed_{client}"] = sum(query.client == client for query in failed)
        noted[f"{phase}_longest"] = longest(answers(self.proxy.access_log, change))
        self.say(f"queries asked {asked}, failed {len(failed)};"
                 f" longest wait for an answer {noted[f'{phase}_longest']:.1f} s")
        told = {}
        for query in failed:
            when = "in flight" if query.began < change else "asked later"
            key = (query.client, when, reason(query.failure))
            told[key] = told.get(key, 0) + 1
        for (client, when, why), count in sorted(told.items()):
            self.say(f"  {count:3} {client}, {when}: {why}")
        noted[f"{phase}_failures"] = [[*key, count] for key, count in sorted(told.items())]
        queries = self.load.queries
        self.load = None
        return queries

    def fly(self, owner):
        """Starts the long query, which this coordinator has to run."""
        self.flight = Flight(self.clients, self.cluster.ports[owner])
        await_that("the long query has rows", self.flight.flies, SEEN_SECONDS)

    def land(self, noted, phase):
        goes_on = self.flight.goes_on(SEEN_SECONDS)
        noted[f"{phase}_flight"] = goes_on
        self.say("the long query goes on" if goes_on
                 else f"the long query ended after {self.flight.rows} rows: {reason(self.flight.failure or 'it hangs')}")
        self.expect("the long query goes on", goes_on)
        self.flight.land()

    def failover(self, noted):
        self.listed("a", "worker")
        self.known(noted)
        self.fly("a")
        dashboard = Dashboard(self.clients)
        self.start_load()
        time.sleep(CALM_SECONDS)
        write = self.write()
        killed = time.time()
        self.cluster.kill("a")
        self.say("kill -9 of coordinator a, under load, while it serves dashboards and a long query"
                 + (", and writes a table" if write else ""))
        load = self.load
        noted["first"] = await_that("a query succeeds", lambda: load.first(killed, "b"), SEEN_SECONDS)
        self.say(f"the first query succeeds after {noted['first']:.2f} s, through b")
        noted["worker"] = await_that(
            "the worker is listed at b", lambda: load.first(killed, "b", "worker"), SEEN_SECONDS)
        self.say(f"the worker is listed at b after {noted['worker']:.2f} s")
        rows, _ = self.clients.python(DISTRIBUTED, properties=BOTH_NODES)
        assert sum(row[1] for row in rows) == 15000, rows
        noted["distributed"] = time.time() - killed
        self.say(f"a query over both nodes succeeds after {noted['distributed']:.2f} s")
        dashboard.stop()
        self.judge_lost(noted, write, killed)
        self.judge_dashboard(noted, dashboard, killed)
        queries = self.stop_load(noted, "failover", killed)
        self.expect("no query fails that is asked after the kill",
                    not any(one.failure for one in queries if one.began >= killed))
        self.expect(f"no client waits longer than {LONGEST_SECONDS} s for an answer",
                    noted["failover_longest"] <= LONGEST_SECONDS)

    def known(self, noted):
        """Whether b knows the worker."""
        if self.proxy.is_nginx or noted["http2"]:
            # An announcement is good for 30 s: what b heard in the round before shall not help it.
            await_that("b has forgotten the worker", lambda: self.alone("b"), SEEN_SECONDS, 1)
        else:
            noted["known"] = not self.alone("b")
            self.expect("b knows the worker before it is needed", noted["known"])

    def write(self):
        """A write that is in the middle of its rows, where there is a plugin that writes."""
        if "memory" not in self.cluster.catalogs():
            return None
        write = Write(self.clients)
        await_that("the write runs", write.runs, SEEN_SECONDS)
        return write

    def judge_lost(self, noted, write, killed):
        """How soon what cannot go on elsewhere has ended."""
        for what, one in (("long query", self.flight), ("write", write)):
            if one is None:
                continue
            one.thread.join(SEEN_SECONDS)
            took = (one.ended or time.time()) - killed
            noted[f"lost_{what.replace(' ', '_')}"] = took
            self.say(f"the {what} has ended {took:.1f} s after the kill: {reason(one.failure or 'it hangs', 400)}")
            self.expect(f"the {what} ends within {LONGEST_SECONDS} s", took <= LONGEST_SECONDS)
        if write is not None:
            self.expect("the write ends with the truth",
                        "REMOTE_HOST_GONE" in (write.failure or "") and "may have changed data" in write.failure)

    def judge_dashboard(self, noted, dashboard, killed):
        """Reads go on elsewhere; what had delivered rows ends with the truth."""
        cut = dashboard.under_way(killed)
        wrong = [one for one in dashboard.done if one[2]]
        noted["dashboard_cut"], noted["dashboard_wrong"] = len(cut), len(wrong)
        self.say(f"reads of dashboards: {len(dashboard.done)}, of them under way at the kill {len(cut)},"
                 f" failed or wrong {len(wrong)}")
        for one in wrong[:3]:
            self.say(f"  {reason(one[2], 1000)}")
        self.expect("reads were under way at the kill", len(cut) > 0)
        self.expect("no read fails, and each has its answer", not wrong)
        failure = self.flight.failure or "it goes on"
        noted["flight_end"] = failure
        # A page that was being sent is cut short.
        self.expect("the long query ends with the truth",
                    "may have been delivered" in failure and "REMOTE_HOST_GONE" in failure
                    or "IncompleteRead" in failure)
        self.flight.stopped.set()
        self.flight = None

    def failback(self, noted):
        self.fly("b")
        self.start_load()
        started = time.time()
        self.cluster.start("a")
        self.say("coordinator a starts again, under load, while b serves a long query")
        await_that("a listens", lambda: self.cluster.is_open("a"), SEEN_SECONDS)
        noted["back_open"] = time.time() - started
        self.cluster.await_ready("a")
        ready = time.time()
        noted["back_ready"] = ready - started
        self.say(f"a listens after {noted['back_open']:.1f} s and is ready after {noted['back_ready']:.1f} s")
        load = self.load
        first = await_that("a serves again", lambda: load.first(started, "a"), SEEN_SECONDS)
        noted["back_first"] = first - noted["back_ready"]
        self.say(f"a serves again {noted['back_first']:.2f} s after it was ready")
        both = await_that(
            "the worker is listed at a", lambda: load.first(started, "a", "worker"), SEEN_SECONDS)
        noted["back_worker"] = both - noted["back_ready"]
        self.say(f"the worker is listed at a {noted['back_worker']:.2f} s after that one was ready")
        # The worker may have been listed by an answer of the old life: this one waits for it.
        self.listed("a", "worker")
        self.stop_load(noted, "failback", started)
        noted["starting"] = self.statements_to("a", started, ready)
        self.say(f"while it was starting a was sent {noted['starting']} statements")
        self.expect("a coordinator that is starting gets no query", noted["starting"] == 0)
        self.expect("the return costs no query", noted["failback_failed"] == 0)
        self.land(noted, "failback")

    def statements_to(self, name, since, until):
        """How many statements were sent there, by the answers that came in this time."""
        server = self.proxy.address(name)
        return sum(
            is_statement(one) and server in one.servers
            for one in answers(self.proxy.access_log, since, until)
        )

    def promotion(self, noted):
        """b takes new queries, then a again; with nginx by another file, which costs what it costs."""
        self.fly("a")
        self.start_load()
        load = self.load
        began = time.time()
        self.proxy.promote("b", "a")
        promoted = time.time()
        self.say("b is promoted, under load, while a serves a long query")
        await_that("b serves", lambda: load.first(promoted, "b"), SEEN_SECONDS)
        time.sleep(CALM_SECONDS)
        elsewhere = self.statements_to("a", promoted + 0.1, time.time())
        self.proxy.promote("a", "b")
        back = time.time()
        self.say("a is promoted")
        await_that("a serves", lambda: load.first(back, "a"), SEEN_SECONDS)
        self.stop_load(noted, "promotion", began)
        self.expect("new queries go to the promoted one alone", elsewhere == 0)
        self.expect("the promotions cost no query", noted["promotion_failed"] == 0)
        self.land(noted, "promotion")
        self.listed("a", "worker")

    def stop(self, noted):
        """a stands still, as in a long garbage collection, and goes on."""
        self.fly("a")
        self.start_load()
        load = self.load
        self.await_page()
        stopped = time.time()
        self.cluster.signal("a", signal.SIGSTOP)
        self.say("coordinator a is stopped (SIGSTOP), under load, while it serves a long query")
        for _ in range(STOP_SECONDS):
            load.newcomer()
            time.sleep(1)
        self.cluster.signal("a", signal.SIGCONT)
        resumed = time.time()
        self.say(f"coordinator a goes on (SIGCONT) after {resumed - stopped:.1f} s")
        noted["stop_flight_moves"] = self.flight.goes_on(SEEN_SECONDS)
        first = await_that("a serves again", lambda: load.first(resumed, "a"), SEEN_SECONDS)
        self.say(f"a serves again {first:.2f} s after that")
        queries = self.stop_load(noted, "stop", stopped)
        self.judge_stop(noted, queries, stopped, resumed)
        self.land(noted, "stop")
        self.listed("a", "worker")

    def await_page(self):
        """Waits until the long query's client has a page: it asks for the next one a little later."""
        since = time.time()
        await_that("a page comes", lambda: any(
            self.flight.cursor.query_id in one.uri for one in answers(self.proxy.access_log, since)
        ), SEEN_SECONDS, 0.01)

    def judge_stop(self, noted, queries, stopped, resumed):
        meanwhile = [one for one in queries if stopped <= one.began < resumed]
        noted["stop_meanwhile"] = len(meanwhile)
        noted["stop_query"] = max((one.ended - one.began for one in meanwhile), default=0.0)
        polls = [one for one in answers(self.proxy.access_log, stopped, resumed)
                 if self.flight.cursor.query_id in one.uri]
        # With nginx the answers come once a goes on.
        answered = answers(self.proxy.access_log, stopped, resumed + CALM_SECONDS)
        # What had begun before cannot come from elsewhere.
        begun = [one for one in answered if one.begun < stopped]
        noted["stop_begun"] = len(begun)
        noted["stop_longest"] = longest(one for one in answered if one not in begun)
        noted["stop_taken"] = longest(filter(is_statement, answered))
        self.say(f"asked while a stood still: {len(meanwhile)}, the longest of them took {noted['stop_query']:.1f} s;"
                 f" answers to the long query's polls: {len(polls)}; answers that had begun: {len(begun)};"
                 f" longest wait for another one {noted['stop_longest']:.1f} s")
        self.expect("the stop costs no query", noted["stop_failed"] == 0)
        self.expect("queries asked meanwhile run on b",
                    meanwhile and all("b" in one.nodes for one in meanwhile))
        self.expect(f"new queries are taken within {TAKEN_SECONDS} s", noted["stop_taken"] <= TAKEN_SECONDS)
        self.expect(f"no client waits longer than {LONGEST_SECONDS} s for an answer",
                    noted["stop_longest"] <= LONGEST_SECONDS)
        self.expect("the long query's polls are answered meanwhile", len(polls) >= STOP_SECONDS // 2)

    def large_heads(self):
        """A prepared statement travels in heads: in an answer's first, then in each request's."""
        cursor = self.clients.cursor()
        # Hexadecimal digits of noise: they shrink to half of it where heads are compressed.
        sql = f"prepare large from select length('{os.urandom(STATEMENT_BYTES // 2).hex()}')"
        for what, text in (("an answer", sql), ("a request", "execute large")):
            try:
                cursor.execute(text)
                cursor.fetchall()
                told = "passes"
            # Whatever the client throws is what its user gets.
            except Exception as why:  # pylint: disable=broad-except
                told = f"fails: {reason(str(why))[:80]}"
            self.say(f"with {STATEMENT_BYTES} bytes of a prepared statement in its head, {what} {told}")
            if told != "passes":
                return False
        return True

    def sizes(self, name):
        """The largest messages of each kind, from the proxy's access log."""
        kinds = sizes(self.proxy.access_log)
        self.say("largest messages, in bytes: request, answer's head, answer's body")
        for kind, (count, asked, head, body) in sorted(kinds.items()):
            self.say(f"  {kind:36} {count:6} times {asked:8} {head:8} {body:9}")
        self.notes.setdefault("sizes", {})[name] = kinds


def main():
    leave_on_signals()
    version, home, java, classes, switchover, directory = sys.argv[1:]
    rounds = int(os.environ.get("ROUNDS", "3"))
    proxies = os.environ.get("PROXIES", "switchover,nginx").split(",")
    play = Play(int(version), home, java, classes, switchover, directory)
    try:
        play.whole(rounds, proxies)
    # Clients, nodes and proxies fail in many ways; all of them end the play.
    except Exception as why:  # pylint: disable=broad-except
        play.say(f"FAILED: {type(why).__name__}: {why}")
        if play.proxy is not None:
            play.say(tail(play.proxy.error_log))
        sys.exit(1)
    finally:
        play.end()
        with open(f"{directory}/{version}.json", "w") as file:
            json.dump(play.notes, file, indent=1)
    if play.breaches:
        play.say(f"FAILED: {play.breaches} promises are broken, see NOT SO")
        sys.exit(1)


if __name__ == "__main__":
    main()
