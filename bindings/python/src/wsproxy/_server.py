"""The accept loop: `Server`, and `serve` for the common case.

Rules. Hooks run on the threads of the clients, several at once: what they share they have to guard. What a hook raises
ends its session (1011 for both sides), goes to the log and to `on_end`, and never ends the server.

Theory. The clients' threads are the library's. Python makes a thread state for a foreign thread when it first comes
in, and throws it away when the callback returns. Here each of them keeps its state from the open hook to the end hook:
that saves the making of it for every frame, and `threading.local` and `contextvars` last as long as the session.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Type, Union

from . import _abi, _lifetime
from ._config import Config, count, default, milliseconds
from ._errors import Error, InternalError, StateError, check, error_of, session_error
from ._handle import Handle
from ._handshake import OnHandshake, handshake_callback
from ._hooks import OnFrame, frame_callback, not_async
from ._interrupt import ORDERLY_SECONDS, interruptible
from ._library import lib
from ._log import logger
from ._proxy import HasFileno, descriptor
from ._session import GOING_AWAY, Session, close_code
from ._stats import ServerStats, server_stats

Listen = Union[str, int, HasFileno]
"""Where to listen: `"host:port"`, `"unix:/path"`, or a socket that listens already, or its descriptor."""

OnOpen = Callable[["ServerSession"], None]
OnEnd = Callable[["ServerSession", Optional[BaseException]], None]

_ensure = ctypes.pythonapi.PyGILState_Ensure
_ensure.restype = ctypes.c_int
_release = ctypes.pythonapi.PyGILState_Release
_release.argtypes = [ctypes.c_int]
_release.restype = None


class ServerSession(Session):
    """The session of a server's client. It belongs to the server, and is over when the end hook has returned."""

    def __init__(self, pointer: int, server: Server) -> None:
        super().__init__(Handle("session", pointer, lambda _pointer: None))
        self.server = server
        """The server that it belongs to."""
        self.number = next(server._numbers)
        """Its number among the sessions of that server, from 1."""
        self._failure: Optional[BaseException] = None
        self._gil = _ensure()  # see above: never let go of before `_over`

    def _over(self) -> None:
        self._handle.close()
        _release(self._gil)


class Server:
    """Listens, and serves each client on a thread of its own.

    upstream: where every client is connected to that the handshake hook sends nowhere else.
    on_frame: the hook on frames, as `Proxy.execute` takes it.
    on_handshake: the hook on handshakes, as `Proxy.connect` takes it.
    on_open: called with each session before its request is read; what it raises turns the client away with 500.
    on_end: called with each session as the last thing, and with what ended it: an exception, or `None`.
    max_connections: sessions at once; whoever comes then is answered 503.

    In a `with` block it runs in the background, and is drained at the end of the block.
    """

    def __init__(
        self,
        upstream: str,
        on_frame: Optional[OnFrame] = None,
        *,
        listen: Union[Listen, Sequence[Listen]] = (),
        config: Optional[Config] = None,
        on_handshake: Optional[OnHandshake] = None,
        on_open: Optional[OnOpen] = None,
        on_end: Optional[OnEnd] = None,
        max_connections: Optional[int] = None,
    ) -> None:
        _lifetime.check_usable()
        for hook in (on_frame, on_handshake, on_open, on_end):
            not_async(hook)
        self._on_frame, self._on_handshake = on_frame, on_handshake
        self._on_open, self._on_end = on_open, on_end
        self._config = config or default()
        self._numbers = itertools.count(1)
        self._sessions: Dict[int, ServerSession] = {}
        self._background: Optional[_Background] = None
        pointer = lib.wsproxy_server_new(self._config._pointer)
        if not pointer:
            raise InternalError("the library cannot make a server")
        self._handle = Handle("server", pointer, lib.wsproxy_server_free)
        self._do(lib.wsproxy_server_set_upstream, upstream.encode())
        if max_connections is not None:
            self._do(lib.wsproxy_server_set_max_connections, count(max_connections))
        for place in [listen] if isinstance(listen, (str, int)) or hasattr(listen, "fileno") else listen:
            self.listen(place)

    def listen(self, place: Listen) -> str:
        """Listens there too, and says where that is: `"127.0.0.1:8080"`, with the port that it really has. A socket is
        duplicated: close your own."""
        if isinstance(place, str):
            self._do(lib.wsproxy_server_listen, place.encode())
        else:
            self._do(lib.wsproxy_server_listen_fd, descriptor(place))
        return self.addresses[-1]

    @property
    def addresses(self) -> List[str]:
        """Where it listens, or has listened."""
        at = (self._handle.ask(lib.wsproxy_server_address, index) for index in itertools.count())
        return [address.decode() for address in itertools.takewhile(lambda address: address is not None, at)]

    def run(self) -> None:
        """Serves until it is drained and every session has ended. Then it listens nowhere."""

        def run() -> None:
            with self._handle.use() as pointer, _lifetime.running(self._end_now):
                callbacks = self._callbacks(pointer)
                result = lib.wsproxy_server_run(pointer, callbacks[0], None)
                if result != _abi.WSPROXY_OK:
                    raise error_of(result, lib.wsproxy_server_error(pointer))

        interruptible(run, self._stop_now, self._end_now)

    def start(self) -> None:
        """Runs in the background."""
        if self._background is not None:
            raise StateError("the server was started before")
        self._background = _Background(self.run)

    def drain(self, code: Optional[int] = GOING_AWAY, timeout: float = 10.0) -> None:
        """Ends `run` without hurting anybody: it stops accepting, lets handshakes under way finish, sends both sides of
        every session a close frame between messages, and cuts off what is left after `timeout` seconds. Never blocks.
        May be called again: the earliest deadline counts."""
        self._do(lib.wsproxy_server_drain, close_code(code), milliseconds(timeout))

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Waits until a server that was started has ended; `False` if it still runs. Raises what ended it."""
        return self._background is None or self._background.wait(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Drains, waits, and lets go of the server."""
        if self._background is not None and not self._handle.is_closed:
            with suppress(StateError):
                self.drain(timeout=timeout)
            self._background.wait(None)
        self._handle.close()

    @property
    def stats(self) -> ServerStats:
        """What it has done so far."""
        stats: ServerStats = self._handle.ask(server_stats)
        return stats

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close(timeout=10.0 if kind is None else 0.0)

    def _callbacks(self, pointer: int) -> Tuple[Any, ...]:
        """The C functions of one run; whoever runs holds them."""
        on_handshake = handshake_callback(self._on_handshake, self._sessions, self._failed)
        on_open = _abi.wsproxy_on_open(self._opened)
        on_end = _abi.wsproxy_on_end(self._ended)
        lib.wsproxy_server_set_on_handshake(pointer, on_handshake)
        lib.wsproxy_server_set_on_open(pointer, on_open)
        lib.wsproxy_server_set_on_end(pointer, on_end)
        return frame_callback(self._on_frame, self._sessions, self._failed), on_handshake, on_open, on_end

    def _opened(self, pointer: int, _userdata: object) -> int:
        session = self._sessions[pointer] = ServerSession(pointer, self)
        try:
            if self._on_open is not None:
                self._on_open(session)
            return _abi.WSPROXY_ACCEPT
        except BaseException as error:
            self._failed(session, error)
            return 0

    def _ended(self, pointer: int, result: int, _userdata: object) -> None:
        session = self._sessions.pop(pointer)
        try:
            if self._on_end is not None:
                failure = session._failure
                if failure is None and result != _abi.WSPROXY_OK:
                    failure = session_error(pointer, result)
                self._on_end(session, failure)
        except BaseException as error:
            self._failed(session, error)
        finally:
            session._over()

    def _failed(self, session: ServerSession, error: BaseException) -> None:
        session._failure = error
        logger.error("a hook failed", exc_info=error)

    def _stop_now(self) -> None:
        with suppress(Error):
            self.drain(timeout=ORDERLY_SECONDS)

    def _end_now(self) -> None:
        with suppress(Error):
            self.drain(timeout=0)

    def _do(self, function: Any, *arguments: Any) -> None:
        self._handle.ask(_checked, function, *arguments)


def _checked(pointer: int, function: Any, *arguments: Any) -> None:
    check(function(pointer, *arguments), lambda: lib.wsproxy_server_error(pointer))


class _Background:
    """A run on a thread of its own, and what ended it."""

    def __init__(self, run: Callable[[], None]) -> None:
        self._run = run
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._keep, name="wsproxy-server", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self._error = error

    def wait(self, timeout: Optional[float]) -> bool:
        self._thread.join(timeout)
        error, self._error = self._error, None
        if error is not None:
            raise error
        return not self._thread.is_alive()


def serve(
    listen: Union[Listen, Sequence[Listen]],
    upstream: str,
    on_frame: Optional[OnFrame] = None,
    *,
    config: Optional[Config] = None,
    on_handshake: Optional[OnHandshake] = None,
    on_open: Optional[OnOpen] = None,
    on_end: Optional[OnEnd] = None,
    max_connections: Optional[int] = None,
) -> None:
    """Serves until Ctrl-C, or until a signal handler raises; see `Server` for what may be given."""
    server = Server(
        upstream,
        on_frame,
        listen=listen,
        config=config,
        on_handshake=on_handshake,
        on_open=on_open,
        on_end=on_end,
        max_connections=max_connections,
    )
    try:
        server.run()
    finally:
        server.close()
