"""Clients that ask for the nodes again and again, and what became of each query.

One uses the Python client, one JDBC. Every query that fails is counted: the client has then made
all the repeats that it makes by itself.
"""

import re
import subprocess
import threading
import time

from clients import NODES, active

PYTHON_CLIENTS = 1
JDBC_CLIENTS = 1
PAUSE_SECONDS = 0.2

# How long the last query of a client may take once the load is stopped.
LAST_SECONDS = 90


class Query:
    """One query: when it was asked, by which client, and the nodes it saw or why it failed."""

    def __init__(self, client, began, ended, nodes, failure):
        self.client = client
        self.began = began
        self.ended = ended
        self.nodes = nodes
        self.failure = failure


class Load:
    def __init__(self, clients):
        self.clients = clients
        self.queries = []
        self.stopped = threading.Event()
        self.jdbc = [
            subprocess.Popen(
                clients.jdbc_load(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True,
            )
            for _ in range(JDBC_CLIENTS)
        ]
        self.threads = [threading.Thread(target=self.ask, daemon=True) for _ in range(PYTHON_CLIENTS)]
        self.threads += [
            threading.Thread(target=self.read, args=(child,), daemon=True) for child in self.jdbc
        ]
        for thread in self.threads:
            thread.start()

    def ask(self):
        while not self.stopped.is_set():
            self.once()
            self.stopped.wait(PAUSE_SECONDS)

    def once(self):
        began = time.time()
        nodes, failure = (), None
        try:
            rows, _ = self.clients.python(NODES)
            nodes = tuple(active(rows))
        # Whatever the client throws is what its user gets.
        except Exception as why:  # pylint: disable=broad-except
            failure = f"{type(why).__name__}: {why}"
        self.queries.append(Query("python", began, time.time(), nodes, failure))

    def newcomer(self):
        """One more client, for one query: the other ones may be waiting for an answer."""
        self.threads.append(threading.Thread(target=self.once, daemon=True))
        self.threads[-1].start()

    def read(self, child):
        for line in child.stdout:
            began, ended, outcome = line.rstrip("\n").split("\t", 2)
            failure = outcome[1:] if outcome.startswith("!") else None
            nodes = () if failure else tuple(outcome.split(","))
            self.queries.append(Query("jdbc", int(began) / 1000, int(ended) / 1000, nodes, failure))

    def asks_with_all(self):
        """Whether every kind of client has been served."""
        return {query.client for query in self.queries if not query.failure} == {"python", "jdbc"}

    def first(self, since, *nodes):
        """Seconds from `since` to the first answer, to a query asked later, that lists all these."""
        ends = [
            query.ended for query in list(self.queries)
            if query.began >= since and not query.failure and set(nodes) <= set(query.nodes)
        ]
        return min(ends) - since if ends else None

    def failed(self):
        return [query for query in list(self.queries) if query.failure]

    def stop(self):
        """Lets each client finish its query, and ends."""
        self.stopped.set()
        for thread in self.threads[:PYTHON_CLIENTS]:
            thread.join(LAST_SECONDS)
        for child in self.jdbc:
            child.stdin.close()
            child.wait()
        for thread in self.threads:
            thread.join(LAST_SECONDS)

    def end(self):
        """Ends at once; harmless when it has ended."""
        self.stopped.set()
        for child in self.jdbc:
            if child.poll() is None:
                child.kill()
            child.wait()


def reason(failure, characters=200):
    """The beginning of a failure, without what differs from query to query."""
    words = ["…" if "/v1/" in word or word.count("_") >= 3 else word for word in failure.split()]
    text = re.sub(r"(statusCode=\d+), headers=\{.*?\}", r"\1", " ".join(words))
    return text[:characters]
