"""The counters of sessions and servers, as values."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any, Dict, Optional

from . import _abi
from ._errors import InternalError
from ._frame import KIND_NUMBERS, SIDE_NUMBERS, Kind, Side
from ._library import lib

NO_CODE = 1005
"""Stands for a close frame without a code, as RFC 6455 section 7.4.1 has it."""


@dataclass(frozen=True)
class SideStats:
    """What has come from one side, and gone to it."""

    frames: Dict[Kind, int]
    """Frames that came from this side."""
    bytes: Dict[Kind, int]
    """Their payload bytes."""
    dropped: int
    """How many of them the hook dropped."""
    replaced: int
    """How many of them the hook changed."""
    sent_by_host: int
    """Frames that `send` sent to this side."""
    close_received: Optional[int]
    """The code of the close frame that came from this side; 1005 if it had none; `None` if none came."""
    close_sent: Optional[int]
    """The code of the close frame that went to this side, in the same way."""
    closed_first: bool
    """Whether the first close frame of the session came from this side."""


@dataclass(frozen=True)
class Stats:
    """The counters of a session."""

    client: SideStats
    upstream: SideStats


@dataclass(frozen=True)
class ServerStats:
    """The counters of a server."""

    accepted: int
    """Connections accepted, whatever became of them."""
    active: int
    """Sessions there are now, those in their handshakes included."""
    refused: int
    """Connections over the limit, answered 503."""
    dropped: int
    """Connections closed without an answer."""
    completed: int
    """Sessions that have ended in good order."""
    failed: int
    """Sessions that have ended with an error."""


def session_stats(pointer: int) -> Stats:
    """The counters of the session at `pointer`."""
    return Stats(_side(pointer, Side.CLIENT), _side(pointer, Side.UPSTREAM))


def _side(pointer: int, side: Side) -> SideStats:
    counted = _abi.wsproxy_side_stats()
    _fill(lib.wsproxy_stats(pointer, SIDE_NUMBERS[side], ctypes.byref(counted), ctypes.sizeof(counted)))
    return SideStats(
        frames={kind: counted.frames[number] for kind, number in KIND_NUMBERS.items()},
        bytes={kind: counted.bytes[number] for kind, number in KIND_NUMBERS.items()},
        dropped=counted.dropped,
        replaced=counted.replaced,
        sent_by_host=counted.sent_by_host,
        close_received=_code(counted.close_received),
        close_sent=_code(counted.close_sent),
        closed_first=counted.closed_first == 1,
    )


def server_stats(pointer: int) -> ServerStats:
    """The counters of the server at `pointer`."""
    counted = _abi.wsproxy_server_counters()
    _fill(lib.wsproxy_server_stats(pointer, ctypes.byref(counted), ctypes.sizeof(counted)))
    members: Any = {name: getattr(counted, name) for name in ServerStats.__dataclass_fields__}
    return ServerStats(**members)


def _fill(result: int) -> None:
    if result != _abi.WSPROXY_OK:
        raise InternalError("the library does not fill its counters")


def _code(number: int) -> Optional[int]:
    if number == 0:
        return None
    return NO_CODE if number == _abi.WSPROXY_CLOSE_ABSENT else number
