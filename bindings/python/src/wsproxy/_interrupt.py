"""Blocking calls on the main thread, which Ctrl-C ends.

Theory. Python runs signal handlers on its main thread only, between two bytecodes, and a main thread that is inside the
library runs none. So a call from the main thread is made on a thread of its own, in the same context (`contextvars`),
while the main thread waits where handlers run at once: as PEP 475 has it, a handler that returns changes nothing, and
one that raises, as that of Ctrl-C does, ends the call. First in an orderly way, then at once; and when even that takes
too long, because a hook does not return, the exception does not wait for it.
"""

from __future__ import annotations

import contextvars
import threading
from typing import Callable, Generic, List, TypeVar

ORDERLY_SECONDS = 0.04
"""How long peers may take for the closing handshake after Ctrl-C."""
AT_ONCE_SECONDS = 0.04
"""How long the call may take to return after that."""
LOOK_SECONDS = 1.0
"""How long the main thread waits in one piece. A signal that comes between Python's last look for one and the system call
that waits ends no wait: its handler would run when the call is over."""

T = TypeVar("T")


class _Work(Generic[T]):
    """A call on another thread, and what came of it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self.done = threading.Event()
        self._results: List[T] = []
        self._errors: List[BaseException] = []
        context = contextvars.copy_context()
        # A daemon, as an exit of the interpreter ends what runs in it and waits for that.
        self.thread = threading.Thread(target=context.run, args=(self._run,), name="wsproxy", daemon=True)

    def _run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:
            self._errors.append(error)
        finally:
            self.done.set()

    def result(self) -> T:
        if self._errors:
            try:
                raise self._errors.pop()
            finally:
                del self  # its frames are in the traceback, and would keep it
        return self._results[0]


def interruptible(call: Callable[[], T], stop: Callable[[], None], abort: Callable[[], None]) -> T:
    """Makes `call`; on the main thread so that signal handlers run meanwhile, and an exception of theirs ends it."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    work = _Work(call)
    try:
        work.thread.start()
        while not work.done.wait(LOOK_SECONDS):
            pass
    except BaseException:
        for end, seconds in ((stop, ORDERLY_SECONDS), (abort, AT_ONCE_SECONDS)):
            if work.thread.is_alive() and not work.done.is_set():
                end()
                work.done.wait(seconds)
        raise
    return work.result()
