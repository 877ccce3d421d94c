"""One session on an asyncio event loop: moves bytes between two transports and the library's event-loop face.

Theory. The face has no sockets and no clock: bytes go in, frames come out, fates go in, bytes come out. asyncio owns
the connections, TLS included. Everything happens in callbacks of the loop, and what came of one is worked off at once:
input, frames, output, then what the sides and the clock are to do next. A task is made only for hooks that have
something to await; their direction waits for them, the other one goes on.

Rules. A side whose transport is full is sent nothing more, so that the library knows, and holds the other side back. A
payload is copied before a hook is awaited: the session may end meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import inspect
from functools import partial
from typing import Any, Awaitable, Callable, Optional, Union

from . import _abi
from ._frame import SIDE_NUMBERS, Fate, Frame, Side
from ._hooks import Kept, Means, settle
from ._library import lib

OnFrame = Callable[[Frame], Union[Fate, Awaitable[Fate]]]
"""A hook on frames: a function or a coroutine function."""

Dial = Callable[[Callable[[], asyncio.Protocol]], Awaitable[Any]]
"""Connects the protocol that is made to the upstream that the library names."""

MOST_PARTS = 3
"""Of the output for a side."""
LINGER_SECONDS = 0.2
"""How long a connection that is over may take for what was written to it, and under TLS for the peer's goodbye."""
EARLY_BYTES = 1 << 16
"""How much a client may send before the upstream has agreed; it is read all the same, to notice that it leaves."""


class End(asyncio.Protocol):
    """The connection of one side."""

    other: End

    def __init__(self, side: Side, relay: Relay) -> None:
        self.number = SIDE_NUMBERS[side]
        self.transport: Any = None
        self.pending = bytearray()
        """What came although nothing was wanted: transports may hand over what they have read already."""
        self.how: Optional[bytes] = None
        """How the stream has ended, until the library was told; it hears of that behind what is pending."""
        self.is_full = False
        self.is_paused = False
        self.is_finished = False
        self.gone: asyncio.Future[None] = relay.loop.create_future()
        self.hooks: Optional[asyncio.Task[None]] = None
        """Awaits the hooks of this side, while one has something to await."""
        self._relay = relay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._relay.turn()

    def data_received(self, data: bytes) -> None:
        self._relay.received(self, data)

    def eof_received(self) -> bool:
        self._relay.ended(self, "closed the connection")
        return True  # what is to be sent still can be

    def connection_lost(self, error: Optional[Exception]) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
        self._relay.lost(self, "closed the connection" if error is None else f"lost ({error})")

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        self._relay.turn()

    def pause(self, paused: bool) -> None:
        """Whether to read nothing for now."""
        if paused is self.is_paused or self.transport is None or self.gone.done() or self.transport.is_closing():
            return
        self.is_paused = paused
        # Before Python 3.11 a TLS transport that is lost breaks, until it says a moment later that it is.
        with contextlib.suppress(AttributeError):
            (self.transport.pause_reading if paused else self.transport.resume_reading)()

    def finish(self) -> None:
        """Our half is over."""
        if not self.is_finished and self.transport is not None and not self.gone.done():
            self.is_finished = True
            if self.transport.can_write_eof():
                self.transport.write_eof()

    async def let_go(self) -> None:
        """Closes the connection."""
        if self.transport is None:
            return
        # Closed though it may be gone, as that is noted by this alone; and not every transport of TLS says that it is.
        for end in (self.transport.close, self.transport.abort):
            end()
            await asyncio.wait({self.gone}, timeout=LINGER_SECONDS)
            if self.gone.done():
                return


class Relay:
    """The session at `pointer`, which its owner keeps alive."""

    def __init__(self, session: Any, pointer: int, on_frame: Optional[OnFrame], dial: Dial) -> None:
        self.loop = asyncio.get_running_loop()
        self.kept = Kept()
        self.over: asyncio.Future[None] = self.loop.create_future()
        self.dial_error: Optional[BaseException] = None
        self.client, self.upstream = self._ends = End(Side.CLIENT, self), End(Side.UPSTREAM, self)
        self.client.other, self.upstream.other = self.upstream, self.client
        self._session = session
        self._pointer = pointer
        self._hook = on_frame
        self._dial = dial
        self._dialling: Optional[asyncio.Task[None]] = None
        self._parts = (_abi.wsproxy_bytes * MOST_PARTS)()
        self._parts_at = ctypes.byref(self._parts)
        self._timer: Optional[asyncio.TimerHandle] = None
        self._due = 0
        self._held: Optional[asyncio.Handle] = None
        self._is_open = False

    def tick(self) -> None:
        """Tells the time."""
        lib.wsproxy_pull_tick(self._pointer, int(self.loop.time() * 1000))

    def turn(self) -> None:
        """Works off whatever came, wherever."""
        if self.over.done():
            return
        try:
            self.tick()
            for end in self._ends:
                self._take(end)
            if not self._is_open:
                self._is_open = all(lib.wsproxy_pull_is_open(self._pointer, end.number) == 1 for end in self._ends)
            for end in self._ends:
                self._show(end)
            self._send()
            self._look_ahead(*self._ends)
        except Exception as error:
            self._break(error)

    def received(self, end: End, data: bytes) -> None:
        """The same for what came from one side, with fewer questions: this is the way of every frame."""
        if self.over.done():
            return
        if not self._is_open:
            end.pending += data
            return self.turn()
        try:
            self.tick()
            if end.pending or lib.wsproxy_pull_input(self._pointer, end.number, data, len(data)) != _abi.WSPROXY_OK:
                end.pending += data
                self._take(end)
            self._show(end)
            self._send()
            self._look_ahead(end)
        except Exception as error:
            self._break(error)

    def _break(self, error: Exception) -> None:
        """A bug, of this module or of a transport: it comes out of `execute`, and leaves no session hanging."""
        if not self.over.done():
            self.over.set_exception(error)

    def ended(self, end: End, how: str) -> None:
        """The stream of a side is over."""
        if end.how is None:
            end.how = how.encode()
            self.turn()

    def lost(self, end: End, how: str) -> None:
        """The connection of a side is gone, both ways."""
        end.is_full = False
        if not self.over.done():
            lib.wsproxy_pull_output_failed(self._pointer, end.number)
            self.ended(end, how)
            self.turn()

    def wake(self) -> None:
        """Has a turn come soon; from any thread."""
        if not self.over.done():
            self.loop.call_soon_threadsafe(self.turn)

    async def let_go(self) -> None:
        """Ends what is still there of it: hooks that are awaited are cancelled, and waited for."""
        self.over.cancel()
        for handle in (self._timer, self._held):
            if handle is not None:
                handle.cancel()
        tasks = [task for task in (self._dialling, self.client.hooks, self.upstream.hooks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(end.let_go() for end in self._ends), return_exceptions=True)

    def _take(self, end: End) -> None:
        """Tells the library what it did not want to know before, if it does now."""
        if end.pending and lib.wsproxy_pull_wants_input(self._pointer, end.number) == 1:
            data = bytes(end.pending)
            end.pending.clear()
            lib.wsproxy_pull_input(self._pointer, end.number, data, len(data))
        if end.how and not (end.pending and self._is_open):
            how, end.how = end.how, b""
            lib.wsproxy_pull_input_ended(self._pointer, end.number, how, len(how))

    def _show(self, end: End) -> None:
        """Shows frames until none is left, or one has to wait for its hook."""
        if self._hook is None:
            lib.wsproxy_pull_pass(self._pointer, end.number)
            return
        if end.hooks is not None:
            return
        address = lib.wsproxy_pull_frame(self._pointer, end.number)
        while address:
            try:
                frame, fate = self._ask(address)
                if fate is not None and inspect.isawaitable(fate):
                    end.hooks = self.loop.create_task(self._await(end, frame, fate))
                    return
                verdict = self._settle(end, frame, fate)
            except BaseException as error:
                self._fail(end, error)
                return
            address = lib.wsproxy_pull_verdict(self._pointer, end.number, verdict)

    def _ask(self, address: int) -> Any:
        """The frame, and what the hook says of it."""
        assert self._hook is not None
        frame = Frame(self._session, address)
        try:
            fate = self._hook(frame)
            if fate is not None and inspect.isawaitable(fate):
                _ = frame.payload  # for as long as it takes
            return frame, fate
        finally:
            frame._release()

    def _settle(self, end: End, frame: Frame, fate: Any) -> int:
        if fate is None:
            return _abi.WSPROXY_FORWARD
        functions = lib.wsproxy_pull_set_payload, lib.wsproxy_pull_set_code, lib.wsproxy_pull_set_end
        here = (partial(function, self._pointer, end.number) for function in functions)
        return settle(frame, fate, Means(self._pointer, *here))

    async def _await(self, end: End, frame: Frame, fate: Any) -> None:
        """Goes on with the frames of a side: one task for all that are there, as a task costs more than a frame."""
        try:
            while True:
                verdict = self._settle(end, frame, await fate if inspect.isawaitable(fate) else fate)
                address = lib.wsproxy_pull_verdict(self._pointer, end.number, verdict)
                if not address:
                    break
                if self._held is None:  # what is settled leaves with what follows, unless that has to wait
                    self._held = self.loop.call_soon(self._send_held)
                frame, fate = self._ask(address)
        except BaseException as error:
            if self.over.done():
                raise  # cancelled by `let_go`
            self._fail(end, error)
        end.hooks = None
        self.turn()

    def _fail(self, end: End, error: BaseException) -> None:
        self.kept.keep(self._session, error)
        lib.wsproxy_pull_fail(self._pointer, end.number, None, 0)

    def _send(self) -> None:
        """Hands what waits for the sides to their transports, and shows frames that had no room before."""
        if self._held is not None:
            self._held.cancel()
            self._held = None
        for end in self._ends:
            while self._flush(end) and self._has_more(end.other):
                self._show(end.other)

    def _has_more(self, end: End) -> bool:
        """Whether something of a side had to wait until now, when the other one has taken its bytes."""
        if end.pending:
            self._take(end)
            return True
        return bool(lib.wsproxy_pull_wants_input(self._pointer, end.number) != 1)

    def _send_held(self) -> None:
        self._held = None
        self.turn()

    def _flush(self, end: End) -> bool:
        """Whether anything was there to be sent, and could be."""
        if end.is_full:
            return False
        count = lib.wsproxy_pull_output(self._pointer, end.number, self._parts_at, MOST_PARTS)
        if count <= 0:
            return False
        if end.transport is None:
            if end is self.upstream and self._dialling is None:
                self._dialling = self.loop.create_task(self._connect())
            return False
        parts = [ctypes.string_at(part.data, part.len) for part in self._parts[:count]]
        output = parts[0] if count == 1 else b"".join(parts)
        lib.wsproxy_pull_wrote(self._pointer, end.number, len(output))
        end.transport.write(output)
        if lib.wsproxy_pull_wants_fin(self._pointer, end.number) == 1:
            end.finish()
        return True

    async def _connect(self) -> None:
        try:
            await self._dial(lambda: self.upstream)
        except OSError as error:  # those of TLS too
            self.dial_error = error
            self.ended(self.upstream, f"cannot be reached ({error})")

    def _look_ahead(self, *came: End) -> None:
        """What the sides and the clock are to do next."""
        for end in self._ends:
            if end in came or end.is_paused or end.pending:
                end.pause(len(end.pending) > self._spare(end))
        if lib.wsproxy_pull_is_over(self._pointer) == 1:
            if not self.over.done():
                self.over.set_result(None)
            return
        if self.client.is_full or self.upstream.is_full:
            self.tick()  # that output has begun to wait is noted by a tick only
        due = lib.wsproxy_pull_deadline(self._pointer)
        if due >= 0 and (self._timer is None or due < self._due):
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            self._timer = self.loop.call_at(due / 1000, self._on_time)

    def _spare(self, end: End) -> int:
        """How much of what comes from a side is to be kept here; -1: nothing is to be read."""
        if lib.wsproxy_pull_wants_input(self._pointer, end.number) == 1:
            return 0
        return -1 if self._is_open else EARLY_BYTES

    def _on_time(self) -> None:
        self._timer = None
        for end in self._ends:
            if not self.over.done() and lib.wsproxy_pull_wants_fin(self._pointer, end.number) == 1:
                end.finish()
        self.turn()


def buffered(reader: asyncio.StreamReader) -> bytes:
    """What a reader holds already: `read` returns that at once, and would wait otherwise."""
    reading = reader.read(1 << 30)
    try:
        reading.send(None)
    except StopIteration as done:
        data: bytes = done.value
        return data
    reading.close()
    return b""
