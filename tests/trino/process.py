"""Processes that end with their owner, ports from the kernel, and waits that have a bound."""

import os
import signal
import socket
import subprocess
import sys
import time


class Process:
    """One child process; its output goes to a file."""

    def __init__(self, argv, log, cwd=None):
        self.log = log
        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd
            )

    @property
    def pid(self):
        return self.child.pid

    def runs(self):
        return self.child.poll() is None

    def end(self, how=signal.SIGKILL):
        """Sends the signal and waits; insists after a while. Harmless when it has ended."""
        if self.runs():
            self.child.send_signal(how)
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
        self.child.wait()


class Waited(Exception):
    """Something did not become true in time."""


def await_that(what, condition, seconds, interval=0.1):
    """Polls until the condition holds; returns what it gave."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Waited(f"after {seconds} s still not so: {what}")
        time.sleep(interval)


def free_ports(count):
    """Loopback ports that nobody uses at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def leave_on_signals():
    """Makes the usual signals run the `finally` blocks, which end the children."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def tail(path, lines=15):
    """The last lines of a file, for a message."""
    if not os.path.exists(path):
        return f"({path} does not exist)"
    with open(path, errors="replace") as file:
        return "".join(file.readlines()[-lines:])
