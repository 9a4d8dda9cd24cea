"""Dashboards: reads of some seconds and of no time at all, with answers that are known beforehand.

Each of them may run twice, so that none is lost with its coordinator before its first row is there.
"""

import threading
import time

# Aggregations of some seconds, and what tools ask in between; the last one is EXECUTE IMMEDIATE.
READS = (
    # Cents: sums of floating point differ in their last digits from one run to the next.
    ("select count(*), sum(cast(totalprice * 100 as bigint)), max(custkey) from tpch.sf1.orders", None),
    ("select returnflag, linestatus, count(*) from tpch.tiny.lineitem, tpch.tiny.nation"
     " group by 1, 2 order by 1, 2", None),
    ("show schemas from tpch", None),
    ("describe tpch.tiny.orders", None),
    ("explain select 1", None),
    ("select count(*) from tpch.sf1.orders where orderkey > ?", (100,)),
)

CLIENTS = 4


class Dashboard:
    def __init__(self, clients):
        self.clients = clients
        self.stopped = threading.Event()
        self.wanted = [self.ask(read) for read in READS]
        # When each read began and ended, and what was wrong with it.
        self.done = []
        self.threads = [
            threading.Thread(target=self.look, args=(number,), daemon=True) for number in range(CLIENTS)
        ]
        for thread in self.threads:
            thread.start()

    def ask(self, read):
        sql, parameters = read
        cursor = self.clients.cursor()
        cursor.execute(sql, parameters) if parameters else cursor.execute(sql)
        return cursor.fetchall()

    def look(self, number):
        while not self.stopped.is_set():
            place = number % len(READS)
            began, wrong = time.time(), None
            try:
                rows = self.ask(READS[place])
                if rows != self.wanted[place]:
                    wrong = f"{READS[place][0]}: {rows}, not {self.wanted[place]}"
            # Whatever the client throws is what its user gets.
            except Exception as why:  # pylint: disable=broad-except
                wrong = f"{type(why).__name__}: {why}"
            self.done.append((began, time.time(), wrong))
            number += 1

    def under_way(self, moment):
        """Reads that had begun then, and were not at their end."""
        return [one for one in self.done if one[0] < moment < one[1]]

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join(120)
