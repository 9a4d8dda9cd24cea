"""A query that is under way while the coordinators change places: rows read one page at a time."""

import threading
import time

# Too many rows to be read to the end here; most of the time the server waits for the client.
SQL = "select * from tpch.sf100.lineitem"

PAGE_ROWS = 2000
PAUSE_SECONDS = 0.05


class Flight:
    def __init__(self, clients, owner_port):
        self.clients = clients
        self.owner_port = owner_port
        self.cursor = clients.cursor()
        self.stopped = threading.Event()
        self.failure = None
        self.rows = 0
        self.last = time.time()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            self.cursor.execute(SQL)
            while not self.stopped.is_set():
                got = len(self.cursor.fetchmany(PAGE_ROWS))
                if got == 0:
                    self.failure = "it came to its end"
                    return
                self.rows += got
                self.last = time.time()
                self.stopped.wait(PAUSE_SECONDS)
        # Whatever the client throws is what its user gets.
        except Exception as why:  # pylint: disable=broad-except
            self.failure = f"{type(why).__name__}: {why}"

    def flies(self):
        return self.rows > 0 and self.failure is None and time.time() - self.last < 10

    def goes_on(self, seconds):
        """Whether more rows come within this time."""
        rows = self.rows
        end = time.monotonic() + seconds
        while self.failure is None and self.rows == rows and time.monotonic() < end:
            time.sleep(0.1)
        return self.failure is None and self.rows > rows

    def land(self):
        """Stops reading and cancels the query at its coordinator itself."""
        self.stopped.set()
        self.thread.join(60)
        if self.cursor.query_id is None:
            return
        try:
            self.clients.python(
                f"call system.runtime.kill_query('{self.cursor.query_id}', 'the experiment is over')",
                port=self.owner_port,
            )
        # It may be gone, or its coordinator with it.
        except Exception:  # pylint: disable=broad-except
            pass
