"""What a proxy answered, read from its access log."""

import collections
import re

# For `log_format`.
FORMAT = (
    "$msec $request_time $request_method $request_uri $status $request_length $bytes_sent $body_bytes_sent"
    " $upstream_addr|$upstream_header_time"
)

Answer = collections.namedtuple("Answer", "ended took method uri status asked sent body servers begun")


def answers(log, since=0.0, until=float("inf")):
    """Those that ended between two times of the Unix clock.

    `servers` are all that were tried; `begun` is when the head came of the only one's answer.
    """
    found = []
    with open(log) as file:
        for line in file:
            ended, took, method, uri, status, asked, sent, body, rest = line.rstrip("\n").split(" ", 8)
            ended, took = float(ended), float(took)
            servers, head = rest.split("|")
            if since <= ended <= until:
                begun = ended - took + float(head) if re.fullmatch(r"[\d.]+", head) else ended
                found.append(Answer(ended, took, method, uri, int(status), int(asked), int(sent), int(body),
                                    servers.split(", "), begun))
    return found


def is_statement(answer):
    """Whether a query was asked for, not its progress."""
    return answer.method == "POST" and answer.uri == "/v1/statement"


def longest(found):
    """The longest that a client waited for one answer about a query, in seconds."""
    return max((one.took for one in found if one.uri.startswith("/v1/statement")), default=0.0)


def sizes(log):
    """For each kind of request: how many, and the largest request, answer's head and answer's body."""
    kinds = {}
    for one in answers(log):
        if not 200 <= one.status < 300:
            continue
        parts = one.uri.split("/")
        kind = f"{one.method} /{'/'.join(parts[1:4] if parts[2:3] == ['statement'] else parts[1:3])}"
        count, *most = kinds.get(kind, (0, 0, 0, 0))
        kinds[kind] = (count + 1, *map(max, most, (one.asked, one.sent - one.body, one.body)))
    return kinds
