"""The hook on frames between Python and the C line.

Rules. Nothing that a hook raises may get lost: ctypes would print it and go on. It is kept, 0 is returned, which the
library takes for a failed hook (1011 for both sides), and whoever runs the session raises it. What is done per frame is
one `Frame`, one call, and one look at what came back.

Theory: ctypes makes a small function of machine code for each callback, which has to outlive every call. It is held by
the Python frame that is inside the library all the while.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any, Callable, List, Mapping, NamedTuple, Optional

from . import _abi
from ._errors import ArgumentError, HookError
from ._frame import DROP, KEEP, Close, Ends, Fate, Frame, Payload, Replacement, to_bytes
from ._library import lib
from ._session import close_code

OnFrame = Callable[[Frame], Fate]
"""A hook on frames."""

Fail = Callable[[Any, BaseException], None]
"""Told of what a hook has raised, and in which session."""


def not_async(hook: Optional[Callable[..., Any]]) -> None:
    """Refuses a hook that would only make coroutines."""
    if inspect.iscoroutinefunction(hook):
        raise TypeError("the hook is a coroutine function: those are for wsproxy.aio")


class Kept:
    """The first exception of the hooks of a call."""

    __slots__ = ("_errors",)

    def __init__(self) -> None:
        self._errors: List[BaseException] = []

    def keep(self, _session: Any, error: BaseException) -> None:
        if not self._errors:
            self._errors.append(error)

    def reraise(self) -> None:
        """Raises it, if there is one, with the traceback that it has."""
        if self._errors:
            raise self._errors.pop()


def frame_callback(hook: Optional[OnFrame], sessions: Mapping[int, Any], fail: Fail) -> Any:
    """The C function for `hook`; `sessions` says which session a pointer is."""
    if hook is None:
        return _abi.wsproxy_on_frame()
    not_async(hook)
    forward, drop = _abi.WSPROXY_FORWARD, _abi.WSPROXY_DROP

    def on_frame(pointer: int, address: int, _userdata: object) -> int:
        session = sessions[pointer]
        try:
            frame = Frame(session, address)
            try:
                fate = hook(frame)
                if fate is None or fate is frame:
                    return forward
                if fate is DROP:
                    return drop
                return settle(frame, fate, means_of(pointer, address))
            finally:
                frame._release()
        except BaseException as error:
            fail(session, error)
            return 0

    return _abi.wsproxy_on_frame(on_frame)


class Means(NamedTuple):
    """The functions that change the frame that is looked at."""

    pointer: int
    set_payload: Callable[..., int]
    set_code: Callable[..., int]
    set_end: Callable[..., int]

    def heed(self, result: int) -> None:
        """Raises what was refused."""
        if result != _abi.WSPROXY_OK:
            raise HookError(lib.wsproxy_error(self.pointer).decode("utf-8", "replace"))


def means_of(pointer: int, address: int) -> Means:
    """Those for a frame that is lent to a callback."""
    functions = lib.wsproxy_frame_set_payload, lib.wsproxy_frame_set_code, lib.wsproxy_frame_set_end
    return Means(pointer, *(partial(function, address) for function in functions))


def settle(frame: Frame, fate: Any, means: Means) -> int:
    """Carries out a fate, and says which in the words of the C line."""
    if fate is None or fate is frame:
        return _abi.WSPROXY_FORWARD
    if fate is DROP:
        return _abi.WSPROXY_DROP
    if isinstance(fate, (bytes, str, bytearray, memoryview)):
        return _replace(fate, means)
    if isinstance(fate, Close):
        return _end(_abi.WSPROXY_BOTH, fate, means)
    if isinstance(fate, Ends):
        _end(_abi.WSPROXY_CLIENT, fate.client, means)
        return _end(_abi.WSPROXY_UPSTREAM, fate.upstream, means)
    if isinstance(fate, Replacement) and fate.frame is frame:
        if fate.code is not KEEP:
            means.heed(means.set_code(_code(fate.code)))
        return _abi.WSPROXY_FORWARD if fate.payload is None else _replace(fate.payload, means)
    if inspect.iscoroutine(fate):
        fate.close()
        raise HookError("the hook returned a coroutine: those are for wsproxy.aio")
    raise HookError(f"the hook returned {_described(fate)}, which is no fate of the frame")


def _described(fate: Any) -> str:
    if isinstance(fate, (Frame, Replacement)):
        return "another frame"
    return f"an object of type {type(fate).__name__}"


def _replace(payload: Payload, means: Means) -> int:
    data = to_bytes(payload)
    means.heed(means.set_payload(data, len(data)))
    return _abi.WSPROXY_FORWARD


def _end(side: int, close: Close, means: Means) -> int:
    reason = close.reason.encode()
    means.heed(means.set_end(side, _code(close.code), reason, len(reason)))
    return _abi.WSPROXY_END


def _code(code: Any) -> int:
    try:
        return close_code(code)
    except (ArgumentError, TypeError) as error:
        raise HookError(str(error)) from None
