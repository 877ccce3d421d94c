"""What the command shows of frames: a line for people, coloured on a terminal, or a JSON object for programs.

Rules. A line is one write, whatever threads the hooks run on. What a peer has sent never reaches the terminal but as
printable characters. A reader that goes away ends the showing, not the sessions.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from datetime import datetime
from typing import Any, Callable, Dict, Optional, TextIO

from ._frame import DROP, Close, Ends, Frame, Kind, Replacement, Side
from ._server import ServerSession

LONGEST = 80
"""Of a payload, in characters, in a line for people."""

_COLOURS = {
    Kind.TEXT: "32",
    Kind.BINARY: "36",
    Kind.CONTINUATION: "36",
    Kind.CLOSE: "31",
    Kind.PING: "90",
    Kind.PONG: "90",
}
_FAILED = "1;31"
_CHANGED = "33"

FORWARDED = "forwarded"
FAILED = "failed"


def fate_in_words(frame: Frame, fate: Any) -> str:
    """What the hook has made of a frame."""
    if fate is None or fate is frame:
        return FORWARDED
    if fate is DROP:
        return "dropped"
    if isinstance(fate, (Close, Ends)):
        return "ended"
    if isinstance(fate, (bytes, str, bytearray, memoryview, Replacement)):
        return "replaced"
    return FAILED


class View:
    """A stream that lines are written to."""

    def __init__(self, stream: Optional[TextIO] = None) -> None:
        self.stream = stream or sys.stdout
        self.on_gone: Callable[[], None] = lambda: None
        """Called when nobody reads any more."""
        self._lock = threading.Lock()
        self._open = True

    def write(self, line: str) -> None:
        """Writes a line, whole."""
        with self._lock:
            if not self._open:
                return
            try:
                self.stream.write(line + "\n")
                self.stream.flush()
                return
            except (BrokenPipeError, ValueError):
                self._open = False
        self.on_gone()

    def listening(self, address: str) -> None:
        """The server listens there."""
        self.write(f"listening on {address}")

    def opened(self, session: ServerSession) -> None:
        """A client has connected."""

    def ended(self, session: ServerSession, error: Optional[BaseException]) -> None:
        """A session is over."""

    def frame(self, frame: Frame, fate: str) -> None:
        """A frame came, and the hook has made this of it."""


class Lines(View):
    """For people."""

    def __init__(self, stream: Optional[TextIO] = None) -> None:
        super().__init__(stream)
        self._colours = self.stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def opened(self, session: ServerSession) -> None:
        self.write(f"{_clock()} #{session.number} a client has connected")

    def ended(self, session: ServerSession, error: Optional[BaseException]) -> None:
        how = "in good order" if error is None else _words(error)
        self.write(f"{_clock()} #{session.number} has ended: {printable(how)}")

    def frame(self, frame: Frame, fate: str) -> None:
        arrow = "→" if frame.side is Side.CLIENT else "←"
        kind = self._coloured(f"{frame.kind:<12}", _COLOURS[frame.kind])
        size = f"{len(frame):>7}{' ' if frame.fin else '+'}"
        mark = "" if fate == FORWARDED else self._coloured(f"{fate} ", _FAILED if fate == FAILED else _CHANGED)
        line = f"{_clock()} #{number_of(frame)} client {arrow} upstream {kind} {size} {mark}{_content(frame)}"
        self.write(line.rstrip())

    def _coloured(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text


class Objects(View):
    """For programs: one JSON object per line, with whole payloads."""

    def listening(self, address: str) -> None:
        self._object("listening", address=address)

    def opened(self, session: ServerSession) -> None:
        self._object("open", session=session.number)

    def ended(self, session: ServerSession, error: Optional[BaseException]) -> None:
        self._object("end", session=session.number, error=None if error is None else _words(error))

    def frame(self, frame: Frame, fate: str) -> None:
        facts = {"from": frame.side.value, "kind": frame.kind.value, "fin": frame.fin, "size": len(frame)}
        self._object("frame", session=number_of(frame), **facts, fate=fate, **_payload(frame))

    def _object(self, event: str, **facts: Any) -> None:
        time = datetime.now().astimezone().isoformat(timespec="milliseconds")
        self.write(json.dumps({"event": event, "time": time, **facts}, ensure_ascii=False))


def number_of(frame: Frame) -> int:
    """Of the frame's session, in its server."""
    return int(getattr(frame.session, "number", 0))


def _clock() -> str:
    return datetime.now().strftime("%H:%M:%S.%f")[:-3]


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _content(frame: Frame) -> str:
    """The beginning of a payload, for people."""
    if frame.kind is Kind.CLOSE:
        return f"{frame.code or 'no code'} {printable(frame.reason)}"
    beginning = frame.payload[: 4 * LONGEST]
    if frame.kind is Kind.BINARY:
        shown, whole = beginning[: LONGEST // 2].hex(), len(frame) <= LONGEST // 2
    else:
        text = beginning.decode("utf-8", "replace")
        shown, whole = printable(text[:LONGEST]), len(frame) <= len(beginning) and len(text) <= LONGEST
    return shown if whole else shown + "…"


def _payload(frame: Frame) -> Dict[str, Any]:
    """A whole payload, for programs: as text where it is some."""
    if frame.kind is Kind.CLOSE:
        return {"code": frame.code, "reason": frame.reason}
    if frame.kind is not Kind.BINARY:
        try:
            return {"text": frame.text}
        except UnicodeDecodeError:
            pass  # a fragment that was cut inside a character, or a later one of a binary message
    return {"base64": base64.b64encode(frame.payload).decode()}


def printable(text: str) -> str:
    """`text` without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
