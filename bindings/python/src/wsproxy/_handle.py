"""A pointer of the library's that is freed once, when nobody uses it any more.

Rules. Questions and requests that never block run under the handle's lock; calls that block only count themselves.
`close` frees at once, or leaves that to the last of those. The lock is reentrant: signal handlers and log handlers
may call in between.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Any, Callable, Iterator

from . import _lifetime
from ._errors import StateError


class Handle:
    """A session or a server of the library's."""

    __slots__ = ("_pointer", "_free", "_name", "_lock", "_users", "_closing")

    def __init__(self, name: str, pointer: int, free: Callable[[int], Any]) -> None:
        self._name = name
        self._pointer = pointer
        self._free = free
        self._lock = threading.RLock()
        self._users = 0
        self._closing = False
        _lifetime.born()

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A call that never blocks."""
        _lifetime.check_process()
        with self._lock:
            return function(self._open(), *arguments)

    @contextmanager
    def use(self) -> Iterator[int]:
        """The pointer, for a call that may block: it is not freed before that is over."""
        _lifetime.check_usable()
        with self._lock:
            pointer = self._open()
            self._users += 1
        try:
            yield pointer
        finally:
            with self._lock:
                self._users -= 1
                if self._closing:
                    self.close()

    def close(self) -> bool:
        """Frees, or has the last user do so; `False` if that is to come."""
        with self._lock:
            self._closing = True
            if self._users:
                return False
            pointer, self._pointer = self._pointer, 0
        if pointer:
            _lifetime.gone()
            self._free(pointer)
        return True

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def _open(self) -> int:
        if not self._pointer:
            raise StateError(f"the {self._name} is closed")
        return self._pointer

    def __del__(self) -> None:
        if not _lifetime.is_forked():
            self.close()
