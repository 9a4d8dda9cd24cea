"""The table at the end: summary.py FILE.json…, one line for each version and proxy.

Times are the middle one of the rounds, with the least and the greatest; counts stand for each round.
"""

import json
import statistics
import sys


def spread(rounds, key):
    values = [one[key] for one in rounds if key in one]
    if not values:
        return "-"
    low, middle, high = min(values), statistics.median(values), max(values)
    if len(values) == 1:
        return f"{middle:.1f} s"
    return f"{middle:.1f} s ({low:.1f}-{high:.1f})"


def counts(rounds, key):
    return ", ".join(str(one[key]) for one in rounds if key in one) or "-"


def survivors(rounds):
    known = [one["survived"] for one in rounds if "survived" in one]
    return f"{sum(known)} of {len(known)}"


COLUMNS = [
    ("first query after the kill", lambda rounds: spread(rounds, "first")),
    ("worker listed", lambda rounds: spread(rounds, "worker")),
    ("query over both nodes", lambda rounds: spread(rounds, "distributed")),
    ("queries the kill failed", lambda rounds: counts(rounds, "failover_failed")),
    ("queries the return failed", lambda rounds: counts(rounds, "failback_failed")),
    ("long queries that survive it", survivors),
    ("A listens", lambda rounds: spread(rounds, "back_open")),
    ("A is ready", lambda rounds: spread(rounds, "back_ready")),
    ("A serves, after that", lambda rounds: spread(rounds, "back_first")),
    ("with the worker", lambda rounds: spread(rounds, "back_worker")),
]


def main():
    table = [["Trino", "proxy", *(title for title, _ in COLUMNS)]]
    for path in sys.argv[1:]:
        with open(path) as file:
            notes = json.load(file)
        for proxy in dict.fromkeys(one["proxy"] for one in notes["rounds"]):
            rounds = [one for one in notes["rounds"] if one["proxy"] == proxy]
            table.append([str(notes["version"]), proxy, *(value(rounds) for _, value in COLUMNS)])
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    print()
    for number, row in enumerate(table):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


if __name__ == "__main__":
    main()
