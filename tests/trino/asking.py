"""A client's process: one statement asked, its rows read as they come."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time

# As much of its output is kept, from its end.
KEPT_BYTES = 1 << 16

# While it is read slowly, this much at a time, so that the statement stays in the middle of its rows.
PIECE_BYTES = 1 << 14
PAUSE_SECONDS = 0.1

# As much of what it said is told.
SAID_CHARACTERS = 2000

# Lines and columns of a terminal.
SIZE = (40, 132)

# What a terminal does not print: colours, movements of the cursor.
CONTROLS = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>]|\([A-Z0-9])|\r")


class Asking:
    def __init__(self, name, argv, terminal=False, slowly=False):
        self.name = name
        self.slowly = threading.Event()
        if slowly:
            self.slowly.set()
        self.tabs = 0
        self.output = b""
        self.ended = None
        if terminal:
            self.source, ends = pty.openpty()
            fcntl.ioctl(ends, termios.TIOCSWINSZ, struct.pack("4H", *SIZE, 0, 0))
        else:
            self.source, ends = os.pipe()
        self.child = subprocess.Popen(
            argv, stdin=ends if terminal else subprocess.DEVNULL, stdout=ends, stderr=ends,
            env={**os.environ, "TERM": "xterm", "PYTHONDONTWRITEBYTECODE": "1"},
        )
        os.close(ends)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while True:
            try:
                piece = os.read(self.source, PIECE_BYTES)
            # That is how a terminal ends.
            except OSError:
                piece = b""
            if not piece:
                break
            # There is a tab between the cells of a row, and nowhere else.
            self.tabs += piece.count(b"\t")
            self.output = (self.output + piece)[-KEPT_BYTES:]
            if self.slowly.is_set() and self.has_rows:
                time.sleep(PAUSE_SECONDS)
        self.child.wait()
        self.ended = time.time()
        os.close(self.source)

    @property
    def has_rows(self):
        return self.tabs > 0

    @property
    def text(self):
        return CONTROLS.sub("", self.output.decode(errors="replace"))

    @property
    def rows(self):
        """The lines that are rows."""
        return [line for line in self.text.split("\n") if "\t" in line]

    @property
    def failure(self):
        """What it said at its end, if that was no success."""
        if self.ended is None:
            return "it has not ended"
        if self.child.returncode == 0:
            return None
        # What is kept may begin in the middle of a row.
        lines = self.text.split("\n")[1 if len(self.output) == KEPT_BYTES else 0:]
        return " ".join(line.strip() for line in lines if "\t" not in line)[-SAID_CHARACTERS:]

    def end(self):
        if self.child.poll() is None:
            self.child.kill()
        self.thread.join(10)
