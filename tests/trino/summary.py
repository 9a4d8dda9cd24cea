"""The table at the end: summary.py FILE.json…, one column for each version and proxy."""

import json
import statistics
import sys


def spread(values, digits=1):
    """The middle one, and the least and the greatest."""
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    low, middle, high = min(values), statistics.median(values), max(values)
    if low == high:
        return f"{middle:.{digits}f}"
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def of(rounds, key):
    return [one.get(key) for one in rounds if key in one]


def failed(rounds, phase):
    """Failed queries of each round, of how many were asked in all."""
    each = "+".join(str(count) for count in of(rounds, f"{phase}_failed"))
    return f"{each} of {sum(of(rounds, f'{phase}_asked'))}" if each else "-"


ROWS = [
    ("first query succeeds, s after the kill", lambda rounds: spread(of(rounds, "first"), 2)),
    ("worker is listed, s after the kill", lambda rounds: spread(of(rounds, "worker"))),
    ("query over both nodes ends, s after the kill", lambda rounds: spread(of(rounds, "distributed"))),
    ("queries failed by the kill", lambda rounds: failed(rounds, "failover")),
    ("returning coordinator listens, s after its start", lambda rounds: spread(of(rounds, "back_open"))),
    ("it is ready, s after its start", lambda rounds: spread(of(rounds, "back_ready"))),
    ("it serves, s after it was ready", lambda rounds: spread(of(rounds, "back_first"))),
    ("worker is listed, s after it was ready", lambda rounds: spread(of(rounds, "back_worker"))),
    ("queries failed by the return", lambda rounds: failed(rounds, "failback")),
    ("long queries that survive the return",
     lambda rounds: f"{sum(of(rounds, 'survived'))} of {len(of(rounds, 'survived'))}"),
]


def main():
    columns = []
    for path in sys.argv[1:]:
        with open(path) as file:
            notes = json.load(file)
        for proxy in dict.fromkeys(one["proxy"] for one in notes["rounds"]):
            rounds = [one for one in notes["rounds"] if one["proxy"] == proxy]
            columns.append((f"{notes['version']} {proxy}", rounds))
    table = [["", *(title for title, _ in columns)]]
    table += [[name, *(value(rounds) for _, rounds in columns)] for name, value in ROWS]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    print()
    for number, row in enumerate(table):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


if __name__ == "__main__":
    main()
