"""When calls of the library may be made: not while the interpreter goes away, and not in a forked child.

Theory. A thread that is inside the library when the interpreter is torn down would be ended in the middle of foreign
code as soon as it asked for the GIL. So every call that may block or call back is registered here, and at exit all
of them are told to end and waited for. A hook that is at work is waited for too, as `concurrent.futures` does.

A child that was forked while sessions or servers existed has their memory without their threads and with their locks
as they happened to be: there, every call is refused, and nothing is freed.
"""

from __future__ import annotations

import atexit
import os
import threading
from contextlib import contextmanager
from typing import Callable, Iterator, Set

from . import _abi
from ._errors import StateError
from ._library import lib

EndNow = Callable[[], None]

# Reentrant: a garbage collection or a signal handler may come in between.
_changed = threading.Condition(threading.RLock())
_running: Set[EndNow] = set()
_alive = 0
_shutting_down = False
_forked = False


def check_process() -> None:
    """Raises where nothing of the library may be called."""
    if _forked:
        raise StateError("this process was forked while sessions existed: import wsproxy in a fresh process (spawn)")


def check_usable() -> None:
    """Raises where nothing may be begun."""
    check_process()
    if _shutting_down:
        raise StateError("the interpreter is shutting down")


def is_forked() -> bool:
    """Whether what exists belongs to the parent."""
    return _forked


def born() -> None:
    """A session or server exists from now on."""
    global _alive
    with _changed:
        _alive += 1


def gone() -> None:
    """One less."""
    global _alive
    with _changed:
        _alive -= 1


@contextmanager
def running(end_now: EndNow) -> Iterator[None]:
    """Around a call that blocks; `end_now` has it return soon, from another thread."""
    with _changed:
        check_usable()
        _running.add(end_now)
    try:
        yield
    finally:
        with _changed:
            _running.discard(end_now)
            _changed.notify_all()


@atexit.register
def _end_all() -> None:
    global _shutting_down
    with _changed:
        if _forked:
            return
        _shutting_down = True
        for end_now in list(_running):
            end_now()
        while _running:
            _changed.wait()
    lib.wsproxy_log(_abi.WSPROXY_LOG_OFF, _abi.wsproxy_log_callback(), None)


def _after_fork() -> None:
    global _forked, _changed
    _changed = threading.Condition(threading.RLock())
    _running.clear()
    _forked = _forked or _alive > 0


os.register_at_fork(after_in_child=_after_fork)
