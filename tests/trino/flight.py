"""What is under way while the coordinators change places: rows read one page at a time, and a write."""

import threading
import time

# Too many rows to be read to the end here; most of the time the server waits for the client.
SQL = "select * from tpch.sf100.lineitem"

# A write that takes long and keeps little.
CUT_TABLE = "memory.default.cut"
WRITE = f"create table {CUT_TABLE} as select orderkey from tpch.sf100.lineitem where orderkey % 5000 = 0"

PAGE_ROWS = 2000
PAUSE_SECONDS = 0.05


class Flight:
    def __init__(self, clients, owner_port):
        self.clients = clients
        self.owner_port = owner_port
        self.cursor = clients.cursor()
        self.stopped = threading.Event()
        self.failure = None
        self.ended = None
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
        finally:
            self.ended = time.time()

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


class Write:
    """A table that is being made of many rows."""

    def __init__(self, clients):
        self.cursor = clients.cursor()
        self.failure = None
        self.ended = None
        self.thread = threading.Thread(target=self.make, daemon=True)
        self.thread.start()

    def make(self):
        try:
            self.cursor.execute(WRITE)
            self.cursor.fetchall()
            self.failure = "it came to its end"
        # Whatever the client throws is what its user gets.
        except Exception as why:  # pylint: disable=broad-except
            self.failure = f"{type(why).__name__}: {why}"
        finally:
            self.ended = time.time()

    def runs(self):
        if self.failure:
            raise RuntimeError(f"the write failed: {self.failure}")
        return self.cursor.query_id is not None and self.cursor.stats["state"] == "RUNNING"
