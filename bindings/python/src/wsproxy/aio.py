"""The same for asyncio: sessions on the running event loop, with hooks that may be coroutines.

    async def handle(reader, writer):
        await wsproxy.aio.execute(reader, writer, "wss://upstream.example/", on_frame)

    server = await asyncio.start_server(handle, "127.0.0.1", 9000)

The hook's rule is that of `wsproxy.Proxy.execute`; a coroutine function is awaited, and meanwhile its direction waits,
while the other one and every other session go on. TLS is asyncio's, for clients and upstreams alike.
"""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
from typing import Any, Callable, Mapping, Optional, Tuple, Union

from . import _abi, _lifetime
from ._config import Config, default
from ._contexts import client_context, upstream_context
from ._errors import Error, InternalError, StateError, Unsupported, session_error
from ._frame import Payload, to_bytes
from ._handle import Handle
from ._library import lib
from ._log import logger
from ._relay import OnFrame, Relay, buffered
from ._session import Session

Listen = Union[str, socket.socket]
"""Where to listen."""

__all__ = ["OnFrame", "Proxy", "execute", "serve", "start_server"]

HAPPY_EYEBALLS_SECONDS = 0.25
"""After which the next address of a name is tried too (RFC 8305 section 5)."""


class Proxy(Session):
    """One session on the running event loop. What it has besides `execute` may be used from any thread."""

    def __init__(self, config: Optional[Config] = None) -> None:
        _lifetime.check_usable()
        self._config = config or default()
        if self._config.http_proxy is not None:
            raise Unsupported("asyncio knows no way through an HTTP proxy")
        pointer = lib.wsproxy_new(self._config._pointer)
        if not pointer:
            raise InternalError("the library cannot make a session")
        super().__init__(Handle("session", pointer, lib.wsproxy_free))
        self._relay: Optional[Relay] = None
        self._ssl: Optional[tls.SSLContext] = None

    async def execute(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        url: str,
        on_frame: Optional[OnFrame] = None,
        *,
        request_head: Optional[Payload] = None,
        upgraded: Optional[Payload] = None,
        headers: Optional[Mapping[str, str]] = None,
        ssl: Optional[tls.SSLContext] = None,
    ) -> None:
        """Does both handshakes and relays until the session has ended, once; raises what `connect` and `execute` of
        `wsproxy.Proxy` raise, and what the hook does.

        `reader` and `writer` are the client's, as `asyncio.start_server` hands them over. They are the session's from
        now on, and closed when it has ended. `request_head` is what was read of the client's request before; with
        `upgraded` its handshake was done before, and that was read since. `headers` are set in the request that goes
        upstream. `ssl` is for `wss://`: without it the configuration says whom to trust. When the task is cancelled,
        the session is aborted.
        """
        if self._relay is not None:
            raise StateError("the session was executed before")
        self._ssl = ssl
        with self._handle.use() as pointer:
            relay = self._relay = Relay(self, pointer, on_frame, self._dial)
            try:
                relay.tick()
                self._prepare(writer, headers or {}, request_head, upgraded)
                self._do(lib.wsproxy_pull_connect, url.encode())
                _take_over(reader, writer, relay)
                await asyncio.shield(relay.over)
            except asyncio.CancelledError:
                lib.wsproxy_abort(pointer)
                relay.turn()
                raise
            finally:
                await relay.let_go()
            relay.kept.reraise()
            result = lib.wsproxy_pull_result(pointer)
            if result != _abi.WSPROXY_OK:
                raise session_error(pointer, result) from relay.dial_error

    def _prepare(
        self,
        writer: asyncio.StreamWriter,
        headers: Mapping[str, str],
        head: Optional[Payload],
        upgraded: Optional[Payload],
    ) -> None:
        if head is not None and upgraded is not None:
            raise ValueError("a client whose request was read was either upgraded or not")
        for function, data in ((lib.wsproxy_set_client_head, head), (lib.wsproxy_set_client_upgraded, upgraded)):
            if data is not None:
                given = to_bytes(data)
                self._do(function, given, len(given))
        peer = writer.get_extra_info("peername")
        if isinstance(peer, tuple):
            secure = writer.get_extra_info("ssl_object") is not None
            self._do(lib.wsproxy_pull_set_peer, str(peer[0]).partition("%")[0].encode(), int(secure))
        for name, value in headers.items():
            self._do(lib.wsproxy_pull_set_header, name.encode("latin-1"), value.encode("latin-1"))

    async def _dial(self, factory: Callable[[], asyncio.Protocol]) -> Any:
        host, port, options = self._upstream()
        loop = asyncio.get_running_loop()
        if host.startswith("/"):
            return await loop.create_unix_connection(factory, host, **options)
        return await loop.create_connection(factory, host, port, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS, **options)

    def _upstream(self) -> Tuple[str, int, Mapping[str, Any]]:
        host = self._handle.ask(lib.wsproxy_pull_upstream_host).decode()
        port = self._handle.ask(lib.wsproxy_pull_upstream_port)
        if self._handle.ask(lib.wsproxy_pull_upstream_is_secure) != 1:
            return host, port, {}
        context = self._ssl or upstream_context(self._config)
        return host, port, {"ssl": context, "server_hostname": self._config.upstream_server_name or host}

    def _do(self, function: Any, *arguments: Any) -> None:
        super()._do(function, *arguments)
        if self._relay is not None:
            self._relay.wake()


def _take_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, relay: Relay) -> None:
    """Moves a client's connection from its streams to the session."""
    transport: Any = writer.transport
    end = relay.client
    end.pending += buffered(reader)
    transport.set_protocol(end)
    transport.resume_reading()  # a full reader has stopped that
    end.connection_made(transport)
    if reader.at_eof():
        relay.ended(end, "closed the connection")


async def execute(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    url: str,
    on_frame: Optional[OnFrame] = None,
    *,
    config: Optional[Config] = None,
    **options: Any,
) -> None:
    """One session from beginning to end; see `Proxy.execute` for the options."""
    await Proxy(config).execute(reader, writer, url, on_frame, **options)


async def start_server(
    listen: Listen,
    upstream: str,
    on_frame: Optional[OnFrame] = None,
    *,
    config: Optional[Config] = None,
    headers: Optional[Mapping[str, str]] = None,
) -> asyncio.AbstractServer:
    """A server of asyncio's whose clients are connected to `upstream`. With `Config.client_certificate` they speak TLS.

    `listen` is `"host:port"`, `"unix:/path"`, or a socket that listens already. What becomes of a session that fails
    is logged.
    """
    settings = config or default()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Proxy(settings).execute(reader, writer, upstream, on_frame, headers=headers)
        except Error as error:
            logger.info("a session has ended: %s", error)
        except Exception:
            logger.exception("a hook failed")

    secure = client_context(settings)
    if not isinstance(listen, str):
        return await asyncio.start_server(handle, sock=listen, ssl=secure)
    if listen.startswith("unix:"):
        return await asyncio.start_unix_server(handle, listen[len("unix:") :], ssl=secure)
    host, _, port = listen.rpartition(":")
    return await asyncio.start_server(handle, host.strip("[]"), int(port), ssl=secure)


async def serve(
    listen: Listen,
    upstream: str,
    on_frame: Optional[OnFrame] = None,
    *,
    config: Optional[Config] = None,
    headers: Optional[Mapping[str, str]] = None,
) -> None:
    """Serves until the task is cancelled, as Ctrl-C does under `asyncio.run`; see `start_server`."""
    server = await start_server(listen, upstream, on_frame, config=config, headers=headers)
    async with server:
        await server.serve_forever()
