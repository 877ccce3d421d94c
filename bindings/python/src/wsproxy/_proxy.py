"""One session with its verbs: `Proxy`, `connect`, `execute`.

Rules. A session goes one way, from new over connected to ended. Whatever fails leaves no connection open. Errors are
raised on the thread that called, and made on the one that failed, since the library keeps its words by thread.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, Callable, Optional, Protocol, Type, Union

from . import _abi, _lifetime
from ._config import Config, default
from ._errors import Error, InternalError, session_error
from ._frame import Payload, to_bytes
from ._handle import Handle
from ._handshake import OnHandshake, handshake_callback
from ._hooks import Kept, OnFrame, frame_callback
from ._interrupt import interruptible
from ._library import lib
from ._session import Session


class HasFileno(Protocol):
    """A socket, or whatever knows its descriptor."""

    def fileno(self) -> int: ...


Client = Union[int, HasFileno]
"""A client's connection: a socket or its descriptor."""


class Proxy(Session):
    """A session that the program drives: `connect`, then `execute`; best in a `with` block, which closes it."""

    def __init__(self, config: Optional[Config] = None) -> None:
        _lifetime.check_usable()
        self._config = config or default()
        pointer = lib.wsproxy_new(self._config._pointer)
        if not pointer:
            raise InternalError("the library cannot make a session")
        super().__init__(Handle("session", pointer, lib.wsproxy_free))

    def connect(
        self,
        client: Client,
        url: str,
        request_head: Optional[Payload] = None,
        *,
        upgraded: Optional[Payload] = None,
        on_handshake: Optional[OnHandshake] = None,
    ) -> None:
        """Does both handshakes: reads the client's request, asks `on_handshake` about it, connects to the upstream, and
        only then answers the client.

        `client` is a connected socket or its descriptor. It is duplicated: close your own, best as soon as this has
        returned. `url` is `ws://host[:port][/path]`, `wss://…` or `ws+unix:/socket[:/path]`; without a path the
        client's is used. `request_head` is what you have already read of the client's request; with `upgraded` you
        have done the client's handshake yourself, and it is what you have read since then (`b""` if nothing).

        Raises a subclass of `Error` when either handshake fails; the client has had its answer then, and nothing is
        left to do but to close the session. What `on_handshake` raises comes out of here, and the client is answered
        500.
        """
        self._prepare(request_head, upgraded)
        self._connect(lib.wsproxy_connect, descriptor(client), _url(url), on_handshake=on_handshake)

    def connect_upstream(self, url: str) -> None:
        """The upstream's half of `connect`. After a failure it may be called again, with another URL too."""
        self._connect(lib.wsproxy_connect_upstream, _url(url))

    def connect_client(
        self,
        client: Client,
        request_head: Optional[Payload] = None,
        *,
        upgraded: Optional[Payload] = None,
        on_handshake: Optional[OnHandshake] = None,
    ) -> None:
        """The client's half of `connect`: the client is answered at once."""
        self._prepare(request_head, upgraded)
        self._connect(lib.wsproxy_connect_client, descriptor(client), on_handshake=on_handshake)

    def execute(self, on_frame: Optional[OnFrame] = None) -> None:
        """Relays frames both ways and shows each to `on_frame`, until the session has ended. Once per session.

        What the hook returns is what becomes of the frame: `None` or the frame forwards it; `bytes` or `str` are
        sent in place of its payload; `DROP` drops it; a `Close` ends the session. What it raises ends the session too
        (1011 for both sides) and comes out of here, with its traceback.

        Returns after an orderly end: a closing handshake, a `Close`, `stop`, `drain` or `close`. Raises
        `ProtocolError`, `LimitExceeded`, `PeerGone`, `Timeout`, `TLSError` or `SystemFailure` otherwise; `error.fault`
        says whose fault it was.
        """
        kept = Kept()

        def execute(pointer: int) -> int:
            callback = frame_callback(on_frame, {pointer: self}, kept.keep)
            result: int = lib.wsproxy_execute(pointer, callback, None)
            return result

        self._run(execute, kept)

    def close(self) -> None:
        """Lets go of the session, in whatever state. One that runs is stopped with 1001."""
        with suppress(Error):
            if not self._handle.close():
                self._handle.ask(lib.wsproxy_stop, 1001, None, 0)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _prepare(self, head: Optional[Payload], upgraded: Optional[Payload]) -> None:
        if head is not None and upgraded is not None:
            raise ValueError("a client whose request was read was either upgraded or not")
        if head is not None:
            data = to_bytes(head)
            self._do(lib.wsproxy_set_client_head, data, len(data))
        if upgraded is not None:
            data = to_bytes(upgraded)
            self._do(lib.wsproxy_set_client_upgraded, data, len(data))

    def _connect(self, function: Any, *arguments: Any, on_handshake: Optional[OnHandshake] = None) -> None:
        kept = Kept()

        def connect(pointer: int) -> int:
            callback = handshake_callback(on_handshake, {pointer: self}, kept.keep)
            if on_handshake is not None:
                self._do(lib.wsproxy_set_on_handshake, callback, None)
            result: int = function(pointer, *arguments)
            return result

        self._run(connect, kept)

    def _run(self, call: Callable[[int], int], kept: Kept) -> None:
        """A call that blocks. What a hook has raised counts more than what the library says of it."""

        def run() -> None:
            with self._handle.use() as pointer, _lifetime.running(self._end_now):
                result = call(pointer)
                kept.reraise()
                if result != _abi.WSPROXY_OK:
                    raise session_error(pointer, result)

        interruptible(run, self._stop_now, self._end_now)

    def _stop_now(self) -> None:
        with suppress(Error):
            self.stop()

    def _end_now(self) -> None:
        with suppress(Error):
            self.abort()


def descriptor(client: Client) -> int:
    """The descriptor of a plain connection."""
    ssl = sys.modules.get("ssl")
    if ssl is not None and isinstance(client, ssl.SSLSocket):
        raise TypeError("a connection under Python's TLS cannot be handed over: see Config.client_certificate")
    return client if isinstance(client, int) else client.fileno()


def _url(url: str) -> bytes:
    if "\0" in url:
        raise ValueError("a NUL cannot stand in a URL")
    return url.encode()
