"""A small project of dbt's, whose coordinator is killed in the middle of `dbt run`.

At the kill one model reads, as dbt does before it builds, and another one writes its table.
"""

import json
import os
import shutil
import subprocess
import time

from process import await_that, tail

# How long dbt may take, and how long until both long models are under way.
DBT_SECONDS = 240
LONG_SECONDS = 120

# What becomes of each model at the kill: the writing one fails, what depends on it is skipped.
KILLED = {
    "orders_view": "success", "priorities": "success", "long_read": "success", "after_read": "success",
    "long_table": "error", "after_table": "skipped",
}

# The long statements, by words of theirs.
LONG_READ = "suppkey >"
LONG_WRITE = "long_table"

RUNNING = ("select query from system.runtime.queries where state = 'RUNNING'"
           " and query not like '%runtime.queries%'")


class Dbt:
    def __init__(self, play, program):
        self.play = play
        self.program = program
        self.directory = f"{play.directory}/dbt"
        self.log = f"{play.directory}/dbt.log"
        shutil.copytree(f"{os.path.dirname(os.path.abspath(__file__))}/dbt", self.directory)

    def start(self):
        environment = {
            **os.environ, "PROXY_PORT": str(self.play.port), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }
        with open(self.log, "ab") as out:
            return subprocess.Popen(
                [self.program, "run", "--project-dir", self.directory, "--profiles-dir", self.directory],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.directory, env=environment,
            )

    def results(self):
        """Of each model: what became of it, and why."""
        with open(f"{self.directory}/target/run_results.json") as file:
            return {
                one["unique_id"].split(".")[-1]: (one["status"], one["message"] or "")
                for one in json.load(file)["results"]
            }

    def run(self, meanwhile=lambda child: None):
        child = self.start()
        try:
            meanwhile(child)
            child.wait(DBT_SECONDS)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        try:
            return self.results()
        except OSError as why:
            raise RuntimeError(f"dbt left no results: {tail(self.log)}") from why

    def are_under_way(self, child):
        play = self.play
        if child.poll() is not None:
            raise RuntimeError(f"dbt has ended: {tail(self.log)}")
        running = [row[0] for row in play.clients.python(RUNNING, port=play.cluster.ports["a"])[0]]
        return all(any(word in sql for sql in running) for word in (LONG_READ, LONG_WRITE))

    def kill(self, child):
        await_that("a long read and a long write of dbt's run", lambda: self.are_under_way(child),
                   LONG_SECONDS, 0.2)
        self.play.cluster.kill("a")
        self.killed = time.time()
        self.play.say("kill -9 of a, while dbt reads and writes")

    def play_out(self):
        play = self.play
        results = self.run(self.kill)
        play.say(f"dbt has ended {time.time() - self.killed:.1f} s after the kill")
        states = {model: state for model, (state, _) in results.items()}
        play.notes["dbt"] = {"killed": states}
        play.expect(f"the write fails, what needs it is skipped, all else is built: {states}", states == KILLED)
        words = results["long_table"][1]
        play.expect("the write ends with the truth",
                    "REMOTE_HOST_GONE" in words and "may have changed data" in words)
        play.say(f"  {' '.join(words.split())[:400]}")
        states = {model: state for model, (state, _) in self.run().items()}
        play.notes["dbt"]["again"] = states
        play.expect(f"a second run builds all: {states}",
                    set(states) == set(KILLED) and set(states.values()) == {"success"})
        [[lines]] = play.clients.python("select lines from iceberg.shop.after_table")[0]
        [[read]] = play.clients.python("select lines from iceberg.shop.after_read")[0]
        play.expect(f"both count the same lines: {lines} and {read}", lines == read > 0)
