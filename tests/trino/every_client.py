"""Every client through kills, on real Trino: every_client.py VERSION HOME JAVA CLASSES SWITCHOVER DIRECTORY.

Go, JavaScript, the command line with its progress display, SQLAlchemy, Python and JDBC ask at once: while
no coordinator is up; before a kill, with and without rows delivered; and before all coordinators go. Then
dbt builds tables and views, and its coordinator is killed in the middle. What docs/trino.md promises is
checked, as in scenario.py. SCENES names some of the scenes (queued,moved,lost,dark,dbt).
"""

import json
import os
import re
import subprocess
import sys
import time

from answers import answers, longest
from asking import Asking
from dbt_project import Dbt
from flight import WRITE
from process import await_that, leave_on_signals, tail
from proxies import Proxy
from scenario import LONGEST_SECONDS, SEEN_SECONDS, Play

# Known beforehand, and quick.
QUICK = "select nationkey, name from tpch.tiny.nation where nationkey < 3 order by 1"
QUICK_ROWS = ["0\tALGERIA", "1\tARGENTINA", "2\tBRAZIL"]

# Some seconds of work, and all rows at its end.
SLOW = ("select returnflag, linestatus, count(*), sum(partkey) from tpch.\"sf0.5\".lineitem"
        " group by 1, 2 order by 1, 2")

# Rows come from its beginning on, unless Trino holds them until its end to be able to retry it.
FROM_ROWS = "from tpch.\"sf0.5\".lineitem where orderkey % 97 = 0"
ROWS = f"select orderkey, rpad(comment, 300, 'x') {FROM_ROWS}"
RETRY = ("retry_policy", "QUERY")

# Too many rows to be read to the end, and so wide that a page has few.
ENDLESS = "select orderkey, rpad(comment, 3000, 'x') from tpch.sf100.lineitem"

# How long no coordinator is there, and how long a client may take to ask.
DARK_SECONDS = 20
ASKING_SECONDS = 60

# How soon a client knows that its query is lost; its page has to be read to the end, and it has to end.
LOST_SECONDS = 3

GONE = "The coordinator that ran this query is gone"


class EveryClient(Play):
    def __init__(self, version, home, java, classes, switchover, directory):
        super().__init__(version, home, java, classes, switchover, directory)
        self.asking = []
        self.made = f"{os.path.dirname(home)}/clients"
        self.share(home)
        server = f"127.0.0.1:{self.port}"
        python = f"{self.made}/venv/bin/python"
        ask = f"{os.path.dirname(os.path.abspath(__file__))}/ask.py"
        # The command of each, but for the statement.
        self.commands = {
            "Go": [f"{self.made}/ask", server],
            "JavaScript": ["node", f"{self.made}/js/ask.js", server],
            **in_java(self.clients),
            "SQLAlchemy": [python, ask, "sqlalchemy", server],
            "Python": [python, ask, "dbapi", server],
        }

    def share(self, home):
        """Adds the catalog whose tables and views outlive coordinators: its metadata are files."""
        if not os.path.isdir(f"{home}/shared/iceberg"):
            return
        os.symlink(f"{home}/shared/iceberg", f"{self.own_plugins(home)}/iceberg")
        warehouse = f"{self.directory}/warehouse"
        os.makedirs(warehouse)
        self.cluster.settings["iceberg"] = [
            "iceberg.catalog.type=TESTING_FILE_METASTORE", "hive.metastore.catalog.dir=local:///",
            "fs.local.enabled=true", f"local.location={warehouse}",
        ]

    def own_plugins(self, home):
        """A directory of this play's own, with the plugins that all plays have."""
        plugins = f"{self.directory}/plugins"
        os.makedirs(plugins)
        for name in os.listdir(f"{home}/plugin"):
            os.symlink(f"{home}/plugin/{name}", f"{plugins}/{name}")
        self.cluster.plugins = plugins
        return plugins

    def end(self):
        for one in self.asking:
            one.end()
        super().end()

    def ask(self, name, sql, slowly=False, session=()):
        one = Asking(name, [*self.commands[name], sql, *session], terminal=name == "command line", slowly=slowly)
        self.asking.append(one)
        return one

    def ask_all(self, sql, slowly=False):
        """Has all ask at about the same time: those in Java, which start slowly, first."""
        began = time.time()
        java = [name for name in self.commands if name in ("command line", "JDBC")]
        asked = [self.ask(name, sql, slowly) for name in java]
        await_that("the clients in Java ask", lambda: len(self.polled("queued", began)) >= len(asked),
                   ASKING_SECONDS, 0.02)
        return asked + [self.ask(name, sql, slowly) for name in self.commands if name not in java]

    def polled(self, kind, since):
        """The ids of queries that were polled there."""
        return {
            one.uri.split("/")[4] for one in answers(self.proxy.access_log, since)
            if one.uri.startswith(f"/v1/statement/{kind}/")
        }

    def await_end(self, asked):
        await_that("all clients have ended", lambda: all(one.ended for one in asked), SEEN_SECONDS)

    def judge_rows(self, scene, asked, wanted, since):
        for one in asked:
            right = one.failure is None and one.rows == wanted
            self.noted(scene, one, right, since)
            self.expect(f"{one.name} has the right answer, {one.ended - since:.1f} s after the change", right)
            if not right:
                self.say(f"    {one.failure or one.rows[-5:]}")
        wait = longest(answers(self.proxy.access_log, since))
        self.expect(f"no client waits longer than {LONGEST_SECONDS} s for an answer: {wait:.1f} s",
                    wait <= LONGEST_SECONDS)

    def noted(self, scene, one, right, since):
        self.notes.setdefault(scene, {})[one.name] = {"right": right, "seconds": round(one.ended - since, 2)}

    def restore(self):
        """Both coordinators, a active, and the worker."""
        for name in ("a", "b"):
            if not self.cluster.nodes[name].runs():
                self.cluster.start(name)
        for name in ("a", "b"):
            self.cluster.await_ready(name)
        self.listed("a", "worker")
        self.warm()

    def warm(self):
        """A cold coordinator takes seconds for its first query."""
        for name in ("a", "b"):
            self.clients.python(QUICK, port=self.cluster.ports[name])

    # The scenes, in order.

    def whole(self, scenes):
        self.proxy = Proxy("switchover", self.switchover, self.directory, self.port, self.cluster)
        self.say(f"Trino {self.version}, behind switchover at {self.port}")
        self.versions()
        self.queued("queued" in scenes)
        for scene in ("moved", "lost", "dark", "dbt"):
            if scene in scenes:
                self.restore()
                self.say(f"-------- {scene} --------")
                getattr(self, scene)()

    def versions(self):
        with open(f"{os.path.dirname(os.path.abspath(__file__))}/go/go.mod") as file:
            go = re.search(r"trino-go-client v(\S+)", file.read()).group(1)
        with open(f"{self.made}/js/package.json") as file:
            js = json.load(file)["dependencies"]["trino-client"]
        cli = subprocess.run(
            [self.clients.java, "-jar", f"{self.clients.home}/trino-cli.jar", "--version"],
            check=True, capture_output=True, text=True, timeout=60,
        ).stdout.strip()
        self.notes["clients"] = {"Go": go, "JavaScript": js, "command line": cli, "JDBC": str(self.version)}
        self.say(f"clients: {self.notes['clients']}, and requirements.txt")

    def queued(self, played):
        """No coordinator has been there yet; then all nodes start."""
        began = time.time()
        asked = self.ask_all(QUICK) if played else []
        await_that("all clients are told that they are queued",
                   lambda: len(self.polled("queued", began)) == len(asked), ASKING_SECONDS)
        started = time.time()
        if played:
            self.say(f"-------- queued --------\n{len(asked)} statements wait; no coordinator was ever there")
        for name in ("a", "b", "worker"):
            self.cluster.start(name)
        if played:
            self.await_end(asked)
            self.progress(asked, "QUEUED")
            self.judge_rows("queued", asked, QUICK_ROWS, started)

    def progress(self, asked, *states):
        """What the command line's display showed."""
        for one in asked:
            if one.name == "command line":
                shown = [state for state in ("QUEUED", "PLANNING", "STARTING", "RUNNING", "FINISHED")
                         if state in one.text]
                self.expect(f"the command line shows {states} in its progress: {shown}",
                            all(state in shown for state in states))

    def moved(self):
        """Killed before the first row."""
        wanted = ["\t".join(map(str, row)) for row in self.clients.python(SLOW)[0]]
        [[many]] = self.clients.python(f"select count(*) {FROM_ROWS}")[0]
        held, free = self.ask("Python", ROWS, session=RETRY), self.ask("Python", ROWS)
        asked, killed = self.kill_running(("a",))
        self.expect("with retry_policy=QUERY no row was delivered, nor had it ended",
                    not held.has_rows and held.ended is None)
        self.expect("without it rows were delivered", free.has_rows)
        self.await_end([held, free, *asked])
        right = held.failure is None and held.tabs == many
        self.notes["retry_policy=QUERY"] = right
        self.expect(f"with retry_policy=QUERY a query of {many} rows moves, too", right)
        if not right:
            self.say(f"    {held.failure or held.tabs} of {many} rows")
        self.expect("each was under way at the kill", all(one.ended > killed for one in asked))
        self.progress(asked, "RUNNING", "FINISHED")
        self.judge_rows("moved", asked, wanted, killed)

    def kill_running(self, owners):
        began = time.time()
        asked = self.ask_all(SLOW)
        await_that("all clients' queries run",
                   lambda: len(self.polled("executing", began)) >= len(asked), ASKING_SECONDS, 0.02)
        time.sleep(1)
        killed = time.time()
        # The owner last: its queries shall not begin elsewhere in between.
        for name in reversed(owners):
            self.cluster.kill(name)
        self.say(f"kill -9 of {' and '.join(owners)}, {len(asked)} queries run; with rows:"
                 f" {[one.name for one in asked if one.has_rows]}")
        return asked, killed

    def lost(self):
        """Killed after rows were delivered, and in the middle of a write."""
        began = time.time()
        asked = self.ask_all(ENDLESS, slowly=True)
        await_that("all clients have rows", lambda: all(one.has_rows for one in asked), ASKING_SECONDS)
        writes = []
        if "memory" in self.cluster.catalogs():
            running = len(self.polled("executing", began))
            writes = [self.ask("Python", WRITE)]
            await_that("the write runs", lambda: len(self.polled("executing", began)) == running + len(writes),
                       ASKING_SECONDS)
        time.sleep(1)
        killed = time.time()
        self.cluster.kill("a")
        for one in asked:
            one.slowly.clear()
        self.say(f"kill -9 of a, {len(asked)} clients read rows, {len(writes)} writes")
        self.await_end(asked + writes)
        for one, why in [(one, "may have been delivered") for one in asked] + [
                (one, "may have changed data") for one in writes]:
            took = one.ended - killed
            failure = one.failure or "no error"
            told = GONE in failure and why in failure
            # The command line names no error.
            told = told and (one.name == "command line" or "REMOTE_HOST_GONE" in failure or "65558" in failure)
            what = "write" if one in writes else "rows"
            self.noted("lost " + what, one, told, killed)
            self.expect(f"{one.name}, {what}: ends with the truth", told)
            # It prints what it has read, as fast as its terminal is read, before it asks for more.
            if one.name == "command line":
                self.say(f"  {one.name}, {what}: ends after {took:.1f} s")
            else:
                self.expect(f"{one.name}, {what}: ends within {LOST_SECONDS} s: {took:.1f} s", took <= LOST_SECONDS)
            self.say(f"    {failure[-400:]}")

    def dark(self):
        """Both coordinators are killed; 20 s later one is back."""
        wanted = ["\t".join(map(str, row)) for row in self.clients.python(SLOW)[0]]
        asked, killed = self.kill_running(("a", "b"))
        time.sleep(DARK_SECONDS)
        self.expect("no client has given up", not any(one.ended for one in asked))
        back = time.time()
        self.cluster.start("a")
        self.say(f"a starts again, {back - killed:.1f} s after the kill")
        self.await_end(asked)
        self.judge_rows("dark", asked, wanted, back)

    def dbt(self):
        """Killed in the middle of `dbt run`."""
        if "iceberg" not in self.cluster.catalogs():
            return self.say("dbt is not tried: there is no catalog whose tables outlive a coordinator")
        Dbt(self, f"{self.made}/venv/bin/dbt").play_out()


def in_java(clients):
    """The commands of these, but for the statement."""
    return {
        "command line": [*clients.command_line(), "--progress", "--output-format", "TSV", "--execute"],
        "JDBC": [clients.java, "-XX:TieredStopAtLevel=1", "-cp", clients.jdbc_path, "Ask", clients.jdbc_server()],
    }


def main(kind, words, of, notes):
    """Plays what words of the environment name, or all of it, and leaves the notes in this file."""
    leave_on_signals()
    version, home, java, classes, switchover, directory = sys.argv[1:]
    play = kind(int(version), home, java, classes, switchover, directory)
    try:
        play.whole(os.environ.get(words, of).split(","))
    # Clients, nodes and proxies fail in many ways; all of them end the play.
    except Exception as why:  # pylint: disable=broad-except
        play.say(f"FAILED: {type(why).__name__}: {why}")
        for one in play.asking:
            if one.ended is None or one.failure:
                play.say(f"  {one.name}: {one.failure}")
        if play.proxy is not None:
            play.say(tail(play.proxy.error_log))
        sys.exit(1)
    finally:
        play.end()
        with open(f"{directory}/{version}.{notes}", "w") as file:
            json.dump(play.notes, file, indent=1)
    if play.breaches:
        play.say(f"FAILED: {play.breaches} promises are broken, see NOT SO")
        sys.exit(1)


if __name__ == "__main__":
    main(EveryClient, "SCENES", "queued,moved,lost,dark,dbt", "clients.json")
