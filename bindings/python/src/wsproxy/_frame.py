"""What a hook sees and what it may answer.

The one rule: **what the hook returns is what becomes of the frame**. The frame itself is read-only.

Theory: the C struct is read once, in one go; the payload is copied out when somebody asks for it, so that a hook
that does not look at payloads costs no copy. The struct is lent to the hook. A frame that is kept beyond it knows
what it has read until then.
"""

from __future__ import annotations

import enum
import struct
from ctypes import c_char, sizeof, string_at
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Optional, Union

from . import _abi

if TYPE_CHECKING:
    from ._session import Session


class _Word(str, enum.Enum):
    """An enumeration whose members are words, and print as such in every version of Python."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return str.__format__(self.value, spec)


class Side(_Word):
    """The two ends of a session."""

    CLIENT = "client"
    UPSTREAM = "upstream"

    @property
    def other(self) -> Side:
        """The side that a frame from this one goes to."""
        return Side.UPSTREAM if self is Side.CLIENT else Side.CLIENT


class Kind(_Word):
    """The type of a frame (RFC 6455 section 5.2)."""

    CONTINUATION = "continuation"
    TEXT = "text"
    BINARY = "binary"
    CLOSE = "close"
    PING = "ping"
    PONG = "pong"


SIDE_NUMBERS = {Side.CLIENT: _abi.WSPROXY_CLIENT, Side.UPSTREAM: _abi.WSPROXY_UPSTREAM}
KIND_NUMBERS = {
    Kind.CONTINUATION: _abi.WSPROXY_CONTINUATION,
    Kind.TEXT: _abi.WSPROXY_TEXT,
    Kind.BINARY: _abi.WSPROXY_BINARY,
    Kind.CLOSE: _abi.WSPROXY_CLOSE,
    Kind.PING: _abi.WSPROXY_PING,
    Kind.PONG: _abi.WSPROXY_PONG,
}
SIDES = {number: side for side, number in SIDE_NUMBERS.items()}
KINDS = {number: kind for kind, number in KIND_NUMBERS.items()}


class Drop(enum.Enum):
    """The type of `DROP`."""

    DROP = "drop"


DROP: Final = Drop.DROP
"""Returned by a hook: the frame is not sent."""


class Close(NamedTuple):
    """Returned by a hook: the session ends, and both sides get this close frame.

    Without a code (`None`) there is no reason either. Codes that must not be on the wire are mapped: 1005 to none,
    others to 1011.
    """

    code: Optional[int] = 1000
    reason: str = ""


class Ends(NamedTuple):
    """Returned by a hook: the session ends, and each side gets a close frame of its own."""

    client: Close
    upstream: Close


class Keep(enum.Enum):
    """The type of `KEEP`."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP
"""Stands for the code that the frame has."""


class Replacement(NamedTuple):
    """What `Frame.replace` makes, for the hook to return."""

    frame: Frame
    payload: Optional[bytes]
    code: Union[int, None, Keep]


Payload = Union[bytes, bytearray, memoryview, str]
"""What a payload may be given as. A `str` is sent as UTF-8."""

Fate = Union[None, "Frame", Payload, Drop, Close, Ends, Replacement]
"""What a hook on frames may return."""

# The members of wsproxy_frame in their order; `_AS_BYTES` is the struct as a buffer to read them from.
_unpack = struct.Struct("@iiiiPN").unpack_from
_AS_BYTES = c_char * sizeof(_abi.wsproxy_frame)


def to_bytes(data: Payload) -> bytes:
    """`data` as it goes on the wire."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    return bytes(data)


class Frame:
    """One frame, or one message where messages are aggregated. Lent to the hook until that returns."""

    __slots__ = ("session", "side", "kind", "fin", "_code", "_address", "_length", "_payload")

    session: Final[Session]
    """The session that it belongs to."""
    side: Final[Side]
    """The side that it came from."""
    kind: Final[Kind]
    """Its type."""
    fin: Final[bool]
    """Whether it is the last or only fragment of its message; `True` on control frames."""

    def __init__(self, session: Any, address: int) -> None:
        side, kind, fin, code, self._address, self._length = _unpack(_AS_BYTES.from_address(address))
        self.session = session
        self.side = SIDES[side]
        self.kind = KINDS[kind]
        self.fin = fin == 1
        self._code = code
        self._payload: Optional[bytes] = None

    @property
    def payload(self) -> bytes:
        """The payload, unmasked; of a close frame the reason. Copied when it is first asked for, inside the hook."""
        payload = self._payload
        if payload is None:
            if self._address is None:
                raise ReferenceError("the payload was not read inside the hook, and is gone with it")
            payload = self._payload = string_at(self._address, self._length)
        return payload

    @property
    def view(self) -> memoryview:
        """The payload for slicing without more copies. It shares the one copy that `payload` makes, and is good for as
        long as anybody holds it."""
        return memoryview(self.payload)

    @property
    def text(self) -> str:
        """The payload as text. A fragment may end inside a character: aggregate where that matters."""
        return self.payload.decode()

    @property
    def code(self) -> Optional[int]:
        """The code of a close frame; `None` if it has none, and on other frames."""
        return self._code if self._code > 0 else None

    @property
    def reason(self) -> str:
        """The reason of a close frame; empty on other frames."""
        return self.payload.decode("utf-8", "replace") if self.kind is Kind.CLOSE else ""

    def __len__(self) -> int:
        """The length of the payload, which is not copied for it."""
        return int(self._length)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{self.kind} frame from the {self.side}, {self._length} bytes>"

    def replace(self, payload: Optional[Payload] = None, *, code: Union[int, None, Keep] = KEEP) -> Replacement:
        """For the hook to return: this frame with another payload, and a close frame with another code.

        `code=None` takes the code of a close frame away, and with it the reason.
        """
        return Replacement(self, None if payload is None else to_bytes(payload), code)

    def _release(self) -> None:
        """The loan is over."""
        self._address = None
