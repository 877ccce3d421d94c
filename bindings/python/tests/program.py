"""Programs that tests run in a process of their own: interpreters that are interrupted, forked, or left in the middle.

Rules: a program reads what it needs from `sys.argv`, prints what it has to say line by line, and is ended with the
test, by its process id.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, List, Optional

from peer import LONG

HERE = Path(__file__).resolve().parent

# `session` connects one whose peers answer no close; the program executes it where it likes.
PRELUDE = """
import os, signal, sys, threading, time
import wsproxy
from peer import *
from scene import Outcome, Scene

# Who starts the tests in the background has had Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def session(**settings):
    s = Scene(close_timeout=600, **settings)
    connecting = Outcome(lambda: s.proxy.connect(s.client_end, s.url))
    s.join_client().sock.sendall(request())
    s.join_upstream()
    connecting.get()
    s.client.read_head()
    return s
"""


class Program:
    """A process, its lines, and its end."""

    def __init__(self, *command: str, python: str = sys.executable, **options: Any) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
        environment.pop("PYTHONWARNINGS", None)
        self.process = subprocess.Popen(
            [python, "-X", "faulthandler", "-u", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, **options.pop("env", {})},
            **options,
        )
        self._lines: queue.Queue[Optional[str]] = queue.Queue()
        self.errors: List[str] = []
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        self.errors.extend(self.process.stderr or ())

    def line(self) -> str:
        """The next line that it prints."""
        line = self._lines.get(timeout=LONG)
        assert line is not None, "".join(self.errors)
        return line

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, status: int = 0) -> List[str]:
        """Its last lines, once it has ended with this status."""
        found = self.process.wait(LONG)
        for reader in self._readers:
            reader.join(LONG)
        assert found == status, (found, "".join(self.errors))
        return [line for line in iter(self._lines.get_nowait, None) if line is not None]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for reader in self._readers:
            reader.join(LONG)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
