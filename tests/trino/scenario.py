"""The article, played on real Trino: scenario.py VERSION HOME JAVA CLASSES SWITCHOVER DIRECTORY.

Two coordinators, a worker that knows only the proxy, and the proxy with the article's file. The
active coordinator is killed and brought back, in rounds, first with switchover, then with nginx in
its place, then with switchover as docs/trino.md advises; the cluster stays the same. Prints what
happened when, fails where it should not have happened, and leaves the numbers in
DIRECTORY/VERSION.json. ROUNDS=n plays n rounds (3), PROXIES names the proxies
(switchover,nginx,advised).
"""

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request

from clients import NODES, Clients, active
from cluster import FORWARDED_REFUSED, Cluster, speaks_h2c
from flight import Flight
from load import Load
from process import await_that, free_ports, leave_on_signals, tail
from proxies import ADVICE, ADVICE_IN_LOCATION, Proxy, nginx

# How long the load runs undisturbed before and after each change.
CALM_SECONDS = 3

# How long a change may take to be seen by clients.
SEEN_SECONDS = 120

# Queries that the backup has answered before anything is measured.
WARM_QUERIES = 20

# How long a worker gets whose announcements cannot pass.
HOPELESS_SECONDS = 25

# A query of several stages; two active nodes are demanded below, so that the worker is one of them.
DISTRIBUTED = "select orderpriority, count(*) from tpch.tiny.orders group by 1 order by 1"
BOTH_NODES = {"required_workers_count": "2"}

TABLE = "memory.default.nations"

# Too large for nginx's default buffers; the Python client takes no line above 64 KB.
STATEMENT_BYTES = 60_000

H2C = "h2c_tunnel on;"
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
        self.notes = {"version": version, "rounds": []}

    def say(self, text):
        lines = text.rstrip("\n").split("\n")
        print(f"{time.time() - self.began:7.1f}  {lines[0]}", flush=True)
        for line in lines[1:]:
            print(f"         {line}", flush=True)

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
            self.forwarded_is_withheld()
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
            program = nginx() if name == "nginx" else self.switchover
            if program is None:
                self.say(f"{name} is not installed: no comparison")
                continue
            self.with_proxy(name, program, h2c, h2c and name != "nginx", rounds)

    def with_proxy(self, name, program, h2c, tunnels, rounds):
        self.say(f"======== {name} ========")
        self.proxy = Proxy(name, program, self.directory, self.port, self.cluster,
                           (H2C if tunnels else "") + (ADVICE if name == "advised" else ""),
                           ADVICE_IN_LOCATION if name == "advised" else "")
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
            if name == "advised":
                self.swap(noted)
            else:
                self.failback(noted)
        self.large_heads()
        self.sizes(name)
        self.proxy.end()

    def forwarded_is_withheld(self):
        """A coordinator that was not told about X-Forwarded-... serves nevertheless."""
        self.cluster.start("a", without=("http-server.process-forwarded",))
        self.cluster.await_ready("a")
        self.proxy = Proxy("withheld", self.switchover, self.directory, self.port, self.cluster)
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/statement", data=b"select 1",
            headers={"X-Trino-User": "article"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, text = answer.status, ""
        except urllib.error.HTTPError as why:
            status, text = why.code, why.read().decode(errors="replace")
        text = " ".join(text.split())
        self.say(f"without http-server.process-forwarded, the article's file gets: {text[:130]}")
        assert status == 200, "a coordinator that refuses X-Forwarded-For still gets it"
        self.notes["forwarded"] = status
        self.proxy.end()
        self.cluster.kill("a")

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
        """Starts the worker and waits until it is listed at the active coordinator."""
        if "worker" in self.cluster.nodes:
            self.cluster.kill("worker")
        self.cluster.start("worker", extra)
        self.cluster.await_ready("worker")
        ready = time.time()
        self.listed("a", "worker")
        self.say(f"the worker is listed {time.time() - ready:.1f} s after it was ready")

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
        self.say(f"$ trino --server http://127.0.0.1:{self.port} --execute '{NODES}'\n{table}")
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
        rows, query = self.clients.python(DISTRIBUTED, properties=BOTH_NODES)
        assert sum(row[1] for row in rows) == 15000, rows
        # Tasks of other queries come and go; these stay for a while after their end.
        tasks, _ = self.clients.python(
            f"select distinct node_id from system.runtime.tasks where query_id = '{query}' order by 1"
        )
        nodes = [row[0] for row in tasks]
        assert nodes == [coordinator, "worker"], f"tasks ran on {nodes}"
        self.say(f"a query over both nodes: {len(rows)} rows; its tasks ran on {nodes}")

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
        self.say(f"queries asked {asked}, failed {len(failed)}")
        told = {}
        for query in failed:
            when = "in flight" if query.began < change else "asked later"
            key = (query.client, when, reason(query.failure))
            told[key] = told.get(key, 0) + 1
        for (client, when, why), count in sorted(told.items()):
            self.say(f"  {count:3} {client}, {when}: {why}")
        noted[f"{phase}_failures"] = [[*key, count] for key, count in sorted(told.items())]
        self.load = None

    def failover(self, noted):
        self.listed("a", "worker")
        if noted["proxy"] == "nginx" or noted["http2"]:
            # An announcement is good for 30 s: what b heard in the round before shall not help it.
            await_that("b has forgotten the worker", lambda: self.alone("b"), SEEN_SECONDS, 1)
        else:
            await_that("b knows the worker", lambda: not self.alone("b"), SEEN_SECONDS, 1)
            self.say("b knows the worker before it is needed")
        self.start_load()
        killed = time.time()
        self.cluster.kill("a")
        self.say("kill -9 of coordinator a, under load")
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
        self.stop_load(noted, "failover", killed)

    def failback(self, noted):
        self.flight = Flight(self.clients, self.cluster.ports["b"])
        await_that("the long query has rows", self.flight.flies, SEEN_SECONDS)
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
        self.judge_flight(noted)

    def swap(self, noted):
        """The return as it is advised: b becomes the primary by a reload, and a waits as backup."""
        self.flight = Flight(self.clients, self.cluster.ports["b"])
        await_that("the long query has rows", self.flight.flies, SEEN_SECONDS)
        self.start_load()
        started = time.time()
        self.proxy.prefer("b", "a")
        self.cluster.start("a")
        self.say("b is made the primary; coordinator a starts again, under load, as the backup")
        self.cluster.await_ready("a")
        noted["back_ready"] = time.time() - started
        self.say(f"a is ready after {noted['back_ready']:.1f} s")
        self.stop_load(noted, "failback", started)
        assert noted["failback_failed"] == 0, "queries failed although nothing moved"
        self.judge_flight(noted)
        # For the next round only: with nothing under way, moving back costs nothing.
        self.proxy.prefer("a", "b")
        self.listed("a", "worker")

    def judge_flight(self, noted):
        noted["survived"] = self.flight.flies()
        self.say("the long query goes on" if noted["survived"]
                 else f"the long query ended after {self.flight.rows} rows: {reason(self.flight.failure or 'it hangs')}")
        self.flight.land()

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
                return

    def sizes(self, name):
        """The largest messages of each kind, from the proxy's access log."""
        kinds = {}
        with open(self.proxy.access_log) as file:
            for line in file:
                method, uri, status, asked, sent, body, _ = line.split(" ", 6)
                if not status.startswith("2"):
                    continue
                parts = uri.split("/")
                kind = f"{method} /{'/'.join(parts[1:4] if parts[2] == 'statement' else parts[1:3])}"
                count, *largest = kinds.get(kind, (0, 0, 0, 0))
                now = (int(asked), int(sent) - int(body), int(body))
                kinds[kind] = (count + 1, *map(max, largest, now))
        self.say("largest messages, in bytes: request, answer's head, answer's body")
        for kind, (count, asked, head, body) in sorted(kinds.items()):
            self.say(f"  {kind:36} {count:6} times {asked:8} {head:8} {body:9}")
        self.notes.setdefault("sizes", {})[name] = kinds


def reason(failure):
    """A failure without what differs from query to query."""
    words = ["…" if "/v1/" in word or word.count("_") >= 3 else word for word in failure.split()]
    text = re.sub(r"(statusCode=\d+), headers=\{.*?\}", r"\1", " ".join(words))
    return text[:200]


def main():
    leave_on_signals()
    version, home, java, classes, switchover, directory = sys.argv[1:]
    rounds = int(os.environ.get("ROUNDS", "3"))
    proxies = os.environ.get("PROXIES", "switchover,nginx,advised").split(",")
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


if __name__ == "__main__":
    main()
