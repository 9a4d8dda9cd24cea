"""The table at the end: summary.py FILE.json…, one column for each version and proxy.

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


def queries(phase):
    """Queries asked and failed in a phase, of each round."""
    return lambda rounds: "; ".join(
        f"{one[f'{phase}_asked']}, {one[f'{phase}_failed']}" for one in rounds if f"{phase}_asked" in one) or "-"


def count(key):
    return lambda rounds: ", ".join(str(one[key]) for one in rounds if key in one) or "-"


def time(key):
    return lambda rounds: spread(rounds, key)


def answer(*keys):
    """Yes or no, of each round and key."""
    return lambda rounds: ", ".join(
        "yes" if one[key] else "no" for one in rounds for key in keys if key in one) or "-"


COLUMNS = [
    ("queued while there is no coordinator: answered", count("queued")),
    ("wrong passwords refused", count("refused")),
    ("status of a password without TLS", count("plain")),
    ("kill: asked, failed", queries("failover")),
    ("longest wait", time("failover_longest")),
    ("B knew the worker", answer("known")),
    ("first query after the kill", time("first")),
    ("worker listed", time("worker")),
    ("query over both nodes", time("distributed")),
    ("reads under way at the kill", count("dashboard_cut")),
    ("of all reads, failed or wrong", count("dashboard_wrong")),
    ("return: asked, failed", queries("failback")),
    ("longest wait", time("failback_longest")),
    ("statements to A while starting", count("starting")),
    ("A listens", time("back_open")),
    ("A is ready", time("back_ready")),
    ("A serves, after that", time("back_first")),
    ("with the worker", time("back_worker")),
    ("promotions: asked, failed", queries("promotion")),
    ("longest wait", time("promotion_longest")),
    ("stop: asked, failed", queries("stop")),
    ("asked meanwhile", count("stop_meanwhile")),
    ("longest wait", time("stop_longest")),
    ("longest until a new query was taken", time("stop_taken")),
    ("longest query of these", time("stop_query")),
    ("long query survives return, promotions, stop",
     answer("failback_flight", "promotion_flight", "stop_flight")),
    ("one query of each client, killed before rows: answered", count("moved")),
]


FORWARDED = "failed without process-forwarded"


def main():
    columns = []
    for path in sys.argv[1:]:
        with open(path) as file:
            notes = json.load(file)
        for proxy in dict.fromkeys(one["proxy"] for one in notes["rounds"]):
            rounds = [one for one in notes["rounds"] if one["proxy"] == proxy]
            columns.append([f"{notes['version']} {proxy}", *(value(rounds) for _, value in COLUMNS)])
            refused = notes.get("forwarded", {}).get(proxy, "-")
            columns[-1].append(f"{refused}")
    table = list(zip(["", *(title for title, _ in COLUMNS), FORWARDED], *columns))
    table = [row for row in table if set(row[1:]) != {"-"}]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    print()
    for number, row in enumerate(table):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


if __name__ == "__main__":
    main()
