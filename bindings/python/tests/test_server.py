"""Servers: many clients, hooks around sessions, limits, draining."""

from __future__ import annotations

import contextlib
import contextvars
import socket
import threading
import time

import pytest

import wsproxy
from wsproxy import DROP, Config, Refuse, Server

from peer import BINARY, LONG, Peer, accept, request
from scene import Outcome


class Upstream:
    """Takes any number of sessions, which the test drives."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.listener.settimeout(LONG)
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}"

    def join(self):
        sock, _ = self.listener.accept()
        peer = Peer(sock, is_client=False)
        peer.sock.sendall(accept(peer.read_head()))
        return peer


@pytest.fixture
def upstream():
    upstream = Upstream()
    yield upstream
    upstream.listener.close()


def dial(address):
    host, _, port = address.rpartition(":")
    peer = Peer(socket.create_connection((host, int(port))), is_client=True)
    peer.sock.sendall(request())
    return peer


def pair(server, upstream):
    """A client, and what the upstream has of it."""
    client = dial(server.addresses[0])
    far = upstream.join()
    assert " 101 " in client.read_head()
    return client, far


def goodbye(client, far):
    client.send_close(1000)
    assert far.answer_close() == (1000, "")
    far.close()
    assert client.hear_close() == (1000, "")
    client.close()


def wait_until(what, condition):
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, f"not {what}"
        time.sleep(0.005)


def test_any_number_of_clients_are_served_at_once(upstream):
    def on_frame(frame):
        return frame.text.upper() if frame.kind == "text" and frame.side == "client" else None

    with Server(upstream.url, on_frame, listen="127.0.0.1:0") as server:
        pairs = [pair(server, upstream) for _ in range(20)]
        for index, (client, far) in enumerate(pairs):
            client.send_text(f"number {index}")
            assert far.hear_text() == f"NUMBER {index}"
            far.send_text("back")
            assert client.hear_text() == "back"
        assert server.stats.active == server.stats.accepted == 20
        for client, far in pairs:
            goodbye(client, far)
        wait_until("all are completed", lambda: server.stats.completed == 20)
        assert (server.stats.active, server.stats.failed, server.stats.refused) == (0, 0, 0)


def test_hooks_around_a_session_come_in_order_and_know_it(upstream):
    calls = []

    def on_open(session):
        session.state = {"number": session.number}
        calls.append(("open", session.state))

    def on_handshake(handshake):
        calls.append(("handshake", handshake.session.state))

    def on_frame(frame):
        calls.append((frame.kind.value, frame.session.state))

    def on_end(session, error):
        calls.append(("end", session.state, error, session.stats.client.frames["text"]))

    hooks = {"on_open": on_open, "on_handshake": on_handshake, "on_end": on_end}
    with Server(upstream.url, on_frame, listen="127.0.0.1:0", **hooks) as server:
        client, far = pair(server, upstream)
        client.send_text("a")
        far.hear_text()
        goodbye(client, far)
    state = {"number": 1}
    assert [call[:2] for call in calls[:3]] == [("open", state), ("handshake", state), ("text", state)]
    assert calls[-1] == ("end", state, None, 1)


def test_what_ended_a_session_is_told(upstream):
    ends = []

    class OwnError(Exception):
        pass

    def on_frame(frame):
        if frame.kind == "text":
            raise OwnError("meant")

    with Server(upstream.url, on_frame, listen="127.0.0.1:0", on_end=lambda *end: ends.append(end)) as server:
        client, far = pair(server, upstream)
        client.send_text("a")
        assert client.answer_close() == far.answer_close() == (1011, "")
        far.close()
        client.close()
        wait_until("it has ended", lambda: len(ends) == 1)
        client, far = pair(server, upstream)
        client.close()
        assert far.hear_close() == (1001, "")
        far.close()
        wait_until("it has ended", lambda: len(ends) == 2)
        wait_until("both are counted", lambda: server.stats.failed == 2)
    assert isinstance(ends[0][1], OwnError) and ends[0][1].__traceback__ is not None
    assert isinstance(ends[1][1], wsproxy.PeerGone) and ends[1][1].fault is wsproxy.Fault.CLIENT


def test_hooks_that_fail_are_logged_and_end_their_session_only(upstream, caplog):
    def fail(*_arguments):
        raise RuntimeError("meant")

    with Server(upstream.url, fail, listen="127.0.0.1:0", on_end=fail) as server:
        client, far = pair(server, upstream)
        other, other_far = pair(server, upstream)
        client.send_text("a")
        assert client.answer_close() == far.answer_close() == (1011, "")
        far.close()
        client.close()
        wait_until("it is told", lambda: len([r for r in caplog.records if r.exc_info]) == 2)
        other.close()
        other_far.hear_close()
        other_far.close()
    assert all(record.name == "wsproxy" for record in caplog.records)
    assert "RuntimeError: meant" in caplog.text


def test_an_open_hook_that_fails_turns_the_client_away(upstream):
    def on_open(session):
        raise RuntimeError("meant")

    with Server(upstream.url, listen="127.0.0.1:0", on_open=on_open) as server:
        assert dial(server.addresses[0]).rest().startswith(b"HTTP/1.1 500 ")


def test_a_handshake_hook_may_refuse_clients(upstream):
    with Server(upstream.url, listen="127.0.0.1:0", on_handshake=lambda _: Refuse(401, b"no")) as server:
        assert dial(server.addresses[0]).rest().startswith(b"HTTP/1.1 401 ")


def test_a_session_may_be_used_from_any_thread_and_is_closed_at_its_end(upstream):
    sessions = []
    with Server(upstream.url, lambda frame: None, listen="127.0.0.1:0", on_open=sessions.append) as server:
        client, far = pair(server, upstream)
        client.send_text("a")
        far.hear_text()
        sessions[0].send("client", "from outside")
        assert client.hear_text() == "from outside"
        sessions[0].stop(4000, "enough")
        assert client.answer_close() == far.answer_close() == (4000, "enough")
        far.close()
        client.close()
        wait_until("it has ended", lambda: server.stats.active == 0)
        with pytest.raises(wsproxy.StateError, match="closed"):
            sessions[0].send("client", "too late")


def test_thread_locals_and_contexts_last_as_long_as_a_session(upstream):
    local = threading.local()
    variable = contextvars.ContextVar("variable", default=0)
    seen = []

    def on_frame(frame):
        if frame.kind == "text":
            local.count = getattr(local, "count", 0) + 1
            variable.set(variable.get() + 1)
            seen.append((frame.session.number, local.count, variable.get()))

    with Server(upstream.url, on_frame, listen="127.0.0.1:0") as server:
        for _ in range(2):
            client, far = pair(server, upstream)
            for _ in range(3):
                client.send_text("a")
                far.hear_text()
            goodbye(client, far)
            wait_until("it has ended", lambda: server.stats.active == 0)
    assert seen == [(1, 1, 1), (1, 2, 2), (1, 3, 3), (2, 1, 1), (2, 2, 2), (2, 3, 3)]


def test_hooks_have_a_stack_that_fits_python(upstream):
    def on_frame(frame):
        return on_frame(frame)

    ends = []
    with Server(upstream.url, on_frame, listen="127.0.0.1:0", on_end=lambda *end: ends.append(end[1])) as server:
        client, far = pair(server, upstream)
        client.send_text("a")
        client.answer_close()
        far.answer_close()
        far.close()
        wait_until("it has ended", lambda: ends)
    assert isinstance(ends[0], RecursionError)


def test_whoever_is_one_too_many_is_answered_503(upstream):
    with Server(upstream.url, listen="127.0.0.1:0", max_connections=1) as server:
        peers = pair(server, upstream)
        assert dial(server.addresses[0]).rest().startswith(b"HTTP/1.1 503 ")
        wait_until("it is counted", lambda: server.stats.refused == 1)
        goodbye(*peers)


def test_a_drain_ends_sessions_between_messages(upstream):
    with Server(upstream.url, lambda frame: None, listen="127.0.0.1:0") as server:
        client, far = pair(server, upstream)
        client.send(BINARY, b"1", fin=False)
        far.hear()
        server.drain(4000, timeout=LONG)
        assert not server.wait(0.05)
        client.send(0, b"2")
        assert far.hear().payload == b"2"
        assert far.answer_close() == (4000, "")
        assert client.answer_close() == (4000, "")
        far.close()
        assert server.wait(LONG)
        with pytest.raises(OSError):
            dial(server.addresses[0]).read_head()


def test_a_drain_is_over_by_its_deadline(upstream):
    with Server(upstream.url, listen="127.0.0.1:0") as server:
        client, far = pair(server, upstream)
        server.drain(timeout=0.1)
        assert server.wait(LONG)
        assert client.hear_close() == far.hear_close() == (1001, "")


def test_a_server_may_listen_in_several_ways(upstream, tmp_path):
    path = f"unix:{tmp_path}/server.sock"
    with socket.create_server(("127.0.0.1", 0)) as own:
        expected = "{}:{}".format(*own.getsockname())
        server = Server(upstream.url, listen=["127.0.0.1:0", path, own])
    with server:
        assert server.addresses[1:] == [path, expected]
        client = dial(expected)
        far = upstream.join()
        client.read_head()
        goodbye(client, far)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path[len("unix:") :])
            client = Peer(sock, is_client=True)
            client.sock.sendall(request())
            far = upstream.join()
            client.read_head()
            goodbye(client, far)


def test_a_server_may_run_again(upstream):
    server = Server(upstream.url, lambda frame: DROP if frame.kind == "text" else None)
    for _ in range(2):
        server.listen("127.0.0.1:0")
        running = Outcome(server.run)
        client = dial(server.addresses[-1])
        far = upstream.join()
        client.read_head()
        client.send_text("dropped")
        goodbye(client, far)
        server.drain()
        running.get()
    server.close()


def test_clients_of_a_server_may_speak_tls(upstream, tls):
    with Server(upstream.url, listen="127.0.0.1:0", config=Config(**tls.settings)) as server:
        host, _, port = server.addresses[0].rpartition(":")
        sock = socket.create_connection((host, int(port)))
        client = Peer(tls.for_clients.wrap_socket(sock, server_hostname="localhost"), is_client=True)
        client.sock.sendall(request())
        far = upstream.join()
        client.read_head()
        goodbye(client, far)


def test_what_cannot_be_served_is_refused(upstream):
    with pytest.raises(wsproxy.ArgumentError):
        Server("ftp://nowhere")
    with pytest.raises(wsproxy.ArgumentError):
        Server(upstream.url, listen="nonsense")
    with pytest.raises(ValueError):
        Server(upstream.url, max_connections=-1)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(wsproxy.SystemFailure):
        Server(upstream.url, listen="{}:{}".format(*taken.getsockname()))
    server = Server(upstream.url)
    with pytest.raises(wsproxy.StateError, match="listen"):
        server.run()
    server.close()
    with pytest.raises(wsproxy.StateError, match="closed"):
        server.drain()


def test_a_server_that_is_started_twice_says_so(upstream):
    with Server(upstream.url, listen="127.0.0.1:0") as server, pytest.raises(wsproxy.StateError):
        server.start()


@pytest.mark.parametrize("policy", wsproxy.Policy)
def test_a_thousand_sessions_in_one_process(upstream, policy):
    texts = []

    def on_frame(frame):
        if frame.kind == "text":
            texts.append(frame.text)

    sessions = 1000 if policy is wsproxy.Policy.CALLER else 200
    config = Config(policy=policy, thread_stack_size=1 << 20)
    with Server(upstream.url, on_frame, listen="127.0.0.1:0", config=config) as server:
        pairs = [pair(server, upstream) for _ in range(sessions)]
        for client, _ in pairs:
            client.send_text("a")
        for _, far in pairs:
            assert far.hear_text() == "a"
        assert server.stats.active == sessions == len(texts)
        for client, far in pairs:
            goodbye(client, far)
        wait_until("all are completed", lambda: server.stats.completed == sessions)


def test_draining_while_hooks_are_at_work_loses_nothing(upstream):
    """A drain, from another thread, of sessions whose threads all want the GIL."""
    stop = threading.Event()
    with Server(upstream.url, lambda frame: frame.payload, listen="127.0.0.1:0") as server:
        pairs = [pair(server, upstream) for _ in range(8)]

        def flood(client):
            with contextlib.suppress(OSError):
                while not stop.is_set():
                    client.send(BINARY, b"x" * 100)

        def swallow(far):
            while far.hear().opcode != 8:
                pass
            far.send_close(1001)
            far.close()

        calls = [Outcome(lambda client=client: flood(client)) for client, _ in pairs]
        ends = [Outcome(lambda far=far: swallow(far)) for _, far in pairs]
        time.sleep(0.2)
        server.drain(timeout=LONG)
        for end in ends:
            end.get()
        stop.set()
        for client, _ in pairs:
            client.close()
        for call in calls:
            call.get()
        assert server.wait(LONG)
