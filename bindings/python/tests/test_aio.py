"""What only asyncio has: hooks that are awaited, tasks that are cancelled, a loop that goes on meanwhile.

The tests of sessions run on this front too (`scene`); these are the others.
"""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

import wsproxy
import wsproxy.aio
from wsproxy import DROP, Close, Kind

from peer import BINARY, PING, TEXT, Heard, frame, request


@pytest.fixture
def loop_scene(scenes):
    return lambda **settings: scenes(front="asyncio", **settings)


@pytest.mark.parametrize("wait", [0, 0.002])
def test_hooks_may_be_coroutines_and_the_order_is_kept(loop_scene, wait):
    async def on_frame(frame):
        await asyncio.sleep(wait)
        if frame.kind is Kind.TEXT:
            return DROP if frame.payload == b"7" else frame.payload + b"!"
        return None

    s = loop_scene().start(on_frame)
    for index in range(20):
        s.client.send_text(str(index))
    assert [s.upstream.hear_text() for _ in range(19)] == [f"{index}!" for index in range(20) if index != 7]
    s.close_normally()


def test_a_direction_that_awaits_does_not_hold_the_other_one_up(loop_scene):
    release = []

    async def on_frame(frame):
        if frame.payload == b"wait":
            loop, event = asyncio.get_running_loop(), asyncio.Event()
            release.append(lambda: loop.call_soon_threadsafe(event.set))
            await event.wait()

    s = loop_scene().start(on_frame)
    s.client.send_text("wait")
    for index in range(5):
        s.upstream.send_text(str(index))
        assert s.client.hear_text() == str(index)
    release[0]()
    assert s.upstream.hear_text() == "wait"
    s.close_normally()


def test_what_is_settled_leaves_while_a_later_hook_is_awaited(loop_scene):
    async def on_frame(frame):
        if frame.payload == b"slow":
            await asyncio.sleep(0.3)

    s = loop_scene().start(on_frame)
    s.client.sock.sendall(b"".join(frame(TEXT, text, mask=b"abcd") for text in (b"slow", b"fast", b"slow")))
    assert [s.upstream.hear_text(), s.upstream.hear_text()] == ["slow", "fast"]
    began = time.monotonic()
    assert s.upstream.hear_text() == "slow"
    assert time.monotonic() - began > 0.1
    s.close_normally()


def test_what_a_coroutine_raises_comes_out(loop_scene):
    class OwnError(Exception):
        pass

    async def on_frame(frame):
        await asyncio.sleep(0)
        raise OwnError("meant")

    s = loop_scene().start(on_frame)
    s.client.send_text("a")
    assert s.client.answer_close() == s.upstream.answer_close() == (1011, "")
    s.upstream.close()
    with pytest.raises(OwnError, match="meant"):
        s.result()


def test_a_coroutine_may_end_the_session(loop_scene):
    async def on_frame(frame):
        await asyncio.sleep(0)
        return Close(4001, "bye") if frame.kind is Kind.TEXT else None

    s = loop_scene().start(on_frame)
    s.client.send_text("a")
    assert s.client.answer_close() == s.upstream.answer_close() == (4001, "bye")
    s.upstream.close()
    s.result()


def test_a_payload_lasts_as_long_as_its_hook_though_the_session_ends(loop_scene):
    seen = []

    async def on_frame(frame):
        try:
            await asyncio.sleep(60)
        finally:
            seen.append(frame.payload)

    s = loop_scene(close_timeout=0.1).start(on_frame)
    s.client.send_text("kept")
    s.client.send(PING, b"1")
    s.upstream.send(PING, b"2")
    time.sleep(0.05)
    s.proxy.abort()
    s.result()
    assert b"kept" in seen


def test_a_cancelled_task_aborts_the_session(loop_scene):
    s = loop_scene()
    tasks = []

    async def on_frame(frame):
        tasks[0].cancel()

    execute = s._execute

    async def keeping(*arguments, **options):
        tasks.append(asyncio.current_task())
        await execute(*arguments, **options)

    s._execute = keeping
    s.start(on_frame)
    s.client.send_text("a")
    with pytest.raises(asyncio.CancelledError):
        s.result()
    while s.upstream.hear().opcode == TEXT:
        pass
    assert s.client.hear_close() == (1001, "")


def test_the_loop_goes_on_while_sessions_do(tls):
    from test_peers import OnThread, with_websockets
    from websockets.asyncio.client import connect

    upstream = OnThread(with_websockets(None))

    async def main():
        server = await wsproxy.aio.start_server("127.0.0.1:0", f"ws://localhost:{upstream.port}", lambda frame: None)
        url = "ws://{}:{}".format(*server.sockets[0].getsockname())
        clients = [await connect(url) for _ in range(50)]
        for index, client in enumerate(clients):
            await client.send(str(index))
        assert [await client.recv() for client in clients] == [str(index) for index in range(50)]
        for client in clients:
            await client.close()
        server.close()
        await server.wait_closed()

    asyncio.run(main())
    upstream.close()


def test_a_reader_that_stops_holds_the_other_side_back(loop_scene):
    s = loop_scene(write_timeout=1).start(lambda frame: None)
    s.client.sock.settimeout(0.5)
    sent = 0
    with pytest.raises(socket.timeout):
        while True:
            s.client.sock.sendall(frame(BINARY, bytes(1 << 16), mask=b"abcd"))
            sent += 1 << 16
    assert sent < 64 << 20
    s.client.sock.settimeout(20)
    with pytest.raises(wsproxy.Timeout) as caught:
        s.result()
    assert caught.value.fault is wsproxy.Fault.UPSTREAM


def test_much_that_comes_at_once_waits_its_turn(loop_scene):
    async def on_frame(frame):
        await asyncio.sleep(0)

    s = loop_scene().start(on_frame)
    from scene import Outcome

    payloads = [bytes([index]) * 200_000 for index in range(30)]
    sending = Outcome(lambda: [s.client.send(BINARY, payload) for payload in payloads])
    time.sleep(0.2)
    assert [s.upstream.hear() for _ in payloads] == [Heard(BINARY, payload) for payload in payloads]
    sending.get()
    s.close_normally()


def test_what_comes_in_the_turn_in_which_a_hook_begins_to_wait_is_not_forgotten(loop_scene):
    """As under TLS, where transports hand over record by record what they have read at once."""

    async def on_frame(frame):
        await asyncio.sleep(0)

    s = loop_scene()
    parts = [
        frame(TEXT, b"1", fin=False, mask=b"abcd"),
        frame(0, b"2", fin=False, mask=b"abcd"),
        frame(0, b"3", mask=b"abcd"),
    ]
    s.start(on_frame)
    s.exchange()
    end = s.proxy._relay.client

    def hand_over():
        for part in parts:
            end.data_received(part)

    for _ in range(20):
        s.proxy._relay.loop.call_soon_threadsafe(hand_over)
        assert [s.upstream.hear().payload for _ in parts] == [b"1", b"2", b"3"]
    s.client.send_text("and reading goes on")
    assert s.upstream.hear_text() == "and reading goes on"
    s.close_normally()


def test_a_header_may_be_set_for_one_session(loop_scene):
    from peer import header

    s = loop_scene()
    s.run(None, headers={"Authorization": "Bearer one"})
    s.join_client().sock.sendall(request(Authorization="other"))
    s.join_upstream()
    assert header(s.request_head, "Authorization") == "Bearer one"
    s.client.read_head()
    s.close_normally()


def test_a_session_is_executed_once(loop_scene):
    s = loop_scene().start()
    s.close_normally()
    with pytest.raises(wsproxy.StateError, match="before"):
        asyncio.run(s.proxy.execute(None, None, s.url))


def test_what_asyncio_cannot_do_is_said():
    with pytest.raises(wsproxy.Unsupported):
        wsproxy.aio.Proxy(wsproxy.Config(http_proxy="http://127.0.0.1:1"))


@pytest.mark.parametrize("kind", ["tcp", "unix", "socket"])
def test_a_server_may_listen_in_several_ways_and_is_cancelled(kind, tmp_path):
    import socket

    own = socket.create_server(("127.0.0.1", 0))
    listen = {"tcp": "[::1]:0", "unix": f"unix:{tmp_path}/s", "socket": own}[kind]

    async def main():
        task = asyncio.create_task(wsproxy.aio.serve(listen, "ws://localhost:1"))
        await asyncio.sleep(0.1)
        if kind != "tcp":
            sock = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
            sock.setblocking(False)
            where = f"{tmp_path}/s" if kind == "unix" else own.getsockname()
            await asyncio.get_running_loop().sock_connect(sock, where)
            reader, writer = await asyncio.open_connection(sock=sock)
            writer.write(request())
            assert (await reader.read()).startswith(b"HTTP/1.1 502 ")
            writer.close()
            await writer.wait_closed()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    own.close()
