"""What may be asked of a session from anywhere: the end, frames of the host's, counters."""

from __future__ import annotations

from operator import index
from typing import Any, Optional

from . import _abi
from ._errors import ArgumentError, session_error
from ._frame import KIND_NUMBERS, SIDE_NUMBERS, Kind, Payload, Side, to_bytes
from ._handle import Handle
from ._library import lib
from ._stats import Stats, session_stats

GOING_AWAY = 1001


def close_code(code: Optional[int]) -> int:
    """A code as the library takes it; ctypes would cut a larger number without a word."""
    if code is None:
        return _abi.WSPROXY_CLOSE_ABSENT
    if not 0 <= index(code) <= 0xFFFF:
        raise ArgumentError(f"{code} is no close code")
    return code


class Session:
    """A client, an upstream, and what crosses between them.

    All methods and properties may be used from any thread and inside hooks, at any time.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self.state: Any = None
        """Whatever the program keeps with this session; the library does not look at it."""

    def send(self, to: Side, data: Payload, kind: Optional[Kind] = None) -> None:
        """Sends a frame of the program's own to one side, which the hook is not shown.

        A `str` goes as text and everything else as binary, unless `kind` says what: text, binary, ping or pong. Data
        waits for the end of a message under way; sent from inside the hook, it goes before the frame that the hook
        is looking at. Never blocks. Raises `QueueFull` when too much waits for that side already, and `StateError`
        when the session is not connected or has ended.
        """
        if kind is None:
            kind = Kind.TEXT if isinstance(data, str) else Kind.BINARY
        payload = to_bytes(data)
        self._do(lib.wsproxy_send, SIDE_NUMBERS[Side(to)], KIND_NUMBERS[Kind(kind)], payload, len(payload))

    def stop(self, code: Optional[int] = GOING_AWAY, reason: str = "") -> None:
        """Ends the session in an orderly way: both sides get this close frame, and the session is over within the close
        timeout. Handshakes under way are given up. The first call counts. Never blocks."""
        words = reason.encode()
        self._do(lib.wsproxy_stop, close_code(code), words, len(words))

    def drain(self, code: Optional[int] = GOING_AWAY, reason: str = "") -> None:
        """The same between messages: nobody gets the close frame in the middle of a message, and nothing that the hook
        has let pass is lost. Handshakes are completed first. Never blocks, and has no time limit of its own."""
        words = reason.encode()
        self._do(lib.wsproxy_drain, close_code(code), words, len(words))

    def abort(self) -> None:
        """Ends the session now: nobody's answer is waited for. Never blocks."""
        self._do(lib.wsproxy_abort)

    @property
    def stats(self) -> Stats:
        """What has crossed so far."""
        stats: Stats = self._handle.ask(session_stats)
        return stats

    @property
    def subprotocol(self) -> Optional[str]:
        """The subprotocol that the upstream chose, if any."""
        name: Optional[bytes] = self._handle.ask(lib.wsproxy_subprotocol)
        return None if name is None else name.decode()

    def _do(self, function: Any, *arguments: Any) -> None:
        self._handle.ask(_checked, function, *arguments)


def _checked(pointer: int, function: Any, *arguments: Any) -> None:
    """One call, and what it refused: both under the lock of the handle, on this thread."""
    result = function(pointer, *arguments)
    if result != _abi.WSPROXY_OK:
        raise session_error(pointer, result)
