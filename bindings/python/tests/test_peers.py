"""Peers that were not written here, as clients and as upstreams: `websockets` and `aiohttp`; plain and under TLS."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
from functools import partial

import aiohttp
import pytest
import websockets
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve as websockets_serve

import wsproxy
import wsproxy.aio

from peer import LONG

if sys.version_info < (3, 11):
    # asyncio's TLS there leaves transports of the peers behind when their event loop ends.
    pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]
CLOSES = [(4001, "enough"), (1000, ""), (3000, "größe")]


class OnThread:
    """An upstream on an event loop of its own."""

    def __init__(self, serve):
        self._ready = threading.Event()
        self._serve = serve
        self.closes = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(LONG)

    async def _run(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self._serve(self) as port:
            self.port = port
            self._ready.set()
            await self._stop.wait()

    def close(self):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(LONG)


def with_websockets(context):
    async def echo(upstream, ws):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in ws:
                if message == "close":
                    await ws.close(4002, "so be it")
                else:
                    await ws.send(message)
        await ws.wait_closed()
        upstream.closes.append(ws.protocol.close_code)

    @contextlib.asynccontextmanager
    async def serve(upstream):
        async with websockets_serve(
            partial(echo, upstream), "localhost", 0, ssl=context, max_size=None, compression=None
        ) as server:
            yield server.sockets[0].getsockname()[1]

    return serve


def with_aiohttp(context):
    async def echo(upstream, request):
        ws = web.WebSocketResponse(max_msg_size=0)
        await ws.prepare(request)
        async for message in ws:
            if message.data == "close":
                await ws.close(code=4002, message=b"so be it")
            elif message.type is aiohttp.WSMsgType.TEXT:
                await ws.send_str(message.data)
            else:
                await ws.send_bytes(message.data)
        upstream.closes.append(ws.close_code)
        return ws

    @contextlib.asynccontextmanager
    async def serve(upstream):
        app = web.Application()
        app.router.add_get("/{any:.*}", partial(echo, upstream))
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "localhost", 0, ssl_context=context)
        await site.start()
        yield site._server.sockets[0].getsockname()[1]
        await runner.cleanup()

    return serve


@contextlib.contextmanager
def blocking_proxy(url, hook, config):
    with wsproxy.Server(url, hook, listen="127.0.0.1:0", config=config) as server:
        yield int(server.addresses[0].rpartition(":")[2])


@contextlib.contextmanager
def asyncio_proxy(url, hook, config):
    async def later(frame):
        await asyncio.sleep(0)
        return hook(frame)

    @contextlib.asynccontextmanager
    async def serve(_):
        server = await wsproxy.aio.start_server("localhost:0", url, later, config=config)
        async with server:
            yield server.sockets[0].getsockname()[1]

    running = OnThread(serve)
    yield running.port
    running.close()


@pytest.fixture(params=["ws", "wss"])
def use_tls(request, tls):
    return tls if request.param == "wss" else None


@pytest.fixture(params=[with_websockets, with_aiohttp])
def upstream(request, use_tls):
    upstream = OnThread(request.param(use_tls and use_tls.for_servers))
    upstream.in_kind = request.param is with_websockets  # aiohttp answers every close with 1000
    upstream.url = f"{'wss' if use_tls else 'ws'}://localhost:{upstream.port}"
    yield upstream
    upstream.close()


@pytest.fixture(params=[blocking_proxy, asyncio_proxy])
def front(request, upstream, use_tls):
    """The URL of a proxy whose hook looks at everything."""
    seen = []
    config = wsproxy.Config(**(use_tls.settings if use_tls else {}))
    with request.param(upstream.url, lambda frame: seen.append(frame.payload), config) as port:
        yield f"{'wss' if use_tls else 'ws'}://localhost:{port}/path"
    assert seen


async def closed(upstream, count):
    for _ in range(int(LONG / 0.01)):
        if len(upstream.closes) >= count:
            return upstream.closes
        await asyncio.sleep(0.01)
    raise AssertionError(f"the upstream has heard of {upstream.closes} only")


async def talk_with_websockets(url, upstream, context):
    async with connect(url, ssl=context, max_size=None) as ws:
        for size in SIZES:
            for message in ("é" * (size // 2) + "." * (size % 2), bytes(size)):
                await ws.send(message)
                assert await ws.recv() == message
        await ws.send(["a ", "fragmented ", "", "message"])
        assert await ws.recv() == "a fragmented message"
        await (await ws.ping(b"are you there"))
    for code, reason in CLOSES:
        ws = await connect(url, ssl=context)
        await ws.close(code, reason)
        assert ws.protocol.close_code == (code if upstream.in_kind else 1000)
    ws = await connect(url, ssl=context)
    await ws.send("close")
    with pytest.raises(websockets.ConnectionClosed):
        await ws.recv()
    assert (ws.protocol.close_code, ws.protocol.close_reason) == (4002, "so be it")
    codes = await closed(upstream, len(CLOSES) + 2)
    assert sorted(codes) == sorted([1000, 4002] + [code for code, _ in CLOSES])


async def talk_with_aiohttp(url, upstream, context):
    ssl = True if context is None else context
    async with aiohttp.ClientSession() as client:
        async with client.ws_connect(url, ssl=ssl, max_msg_size=0) as ws:
            for size in SIZES:
                await ws.send_str("." * size)
                assert await ws.receive_str() == "." * size
                await ws.send_bytes(bytes(size))
                assert await ws.receive_bytes() == bytes(size)
        for code, reason in CLOSES:
            ws = await client.ws_connect(url, ssl=ssl)
            await ws.close(code=code, message=reason.encode())
        ws = await client.ws_connect(url, ssl=ssl)
        await ws.send_str("close")
        message = await ws.receive()
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4002, "so be it")
        await ws.close()
    await asyncio.sleep(0.25)  # for TLS: https://docs.aiohttp.org/en/stable/client_advanced.html#graceful-shutdown
    codes = await closed(upstream, len(CLOSES) + 2)
    assert sorted(codes) == sorted([1000, 1000] + [code for code, _ in CLOSES])


@pytest.mark.parametrize("talk", [talk_with_websockets, talk_with_aiohttp])
def test_peers_talk_through_the_proxy(front, upstream, use_tls, talk):
    asyncio.run(talk(front, upstream, use_tls and use_tls.for_clients))
    gc.collect()  # what peers have left behind is theirs, and not the next test's
