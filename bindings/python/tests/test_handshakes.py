"""Both handshakes: how a client may be handed over, what reaches the upstream, and refusals."""

from __future__ import annotations

import os
import socket

import pytest

import wsproxy
from wsproxy import Config, Fault

from peer import TEXT, accept, frame, header, request
from scene import Outcome


def test_the_target_and_the_headers_of_the_client_go_upstream(scene):
    s = scene(headers={"Authorization": "Bearer t"}, add_headers=[("X-Twice", "2")], remove_headers=["Cookie"])
    s.run()
    s.join_client().sock.sendall(request("/chat?x=1", Cookie="c", X_Twice="1", Authorization="mine"))
    s.join_upstream(X_Answer="yes")
    assert s.request_head.startswith("GET /chat?x=1 HTTP/1.1\r\n")
    assert header(s.request_head, "Authorization") == "Bearer t"
    assert header(s.request_head, "Cookie") is None
    assert s.request_head.count("X-Twice") == 2
    assert header(s.client.read_head(), "X-Answer") == "yes"
    s.close_normally()


def test_a_target_in_the_url_is_used_as_it_stands(scene):
    s = scene()
    s.url += "/fixed?y=2"
    s.run()
    s.join_client().sock.sendall(request("/chat"))
    s.join_upstream()
    assert s.request_head.startswith("GET /fixed?y=2 HTTP/1.1\r\n")
    s.client.read_head()
    s.close_normally()


@pytest.mark.parametrize("cut", [0, 1, 50, 10_000])
def test_a_head_may_have_been_read_before(scenes, cut):
    for front in ("threads", "asyncio"):
        s = scenes(front=front)
        head = request()
        s.run(request_head=head[:cut])
        s.join_client().sock.sendall(head[cut:])
        s.join_upstream()
        assert " 101 " in s.client.read_head()
        s.close_normally()


def test_a_client_may_have_been_upgraded_before(scenes):
    for front in ("threads", "asyncio"):
        s = scenes(front=front, subprotocols=["p"])
        s.run(upgraded=frame(TEXT, b"early", mask=b"abcd"))
        s.join_client()
        s.join_upstream()
        assert header(s.request_head, "Sec-WebSocket-Protocol") == "p"
        assert s.upstream.hear_text() == "early"
        s.close_normally()


def test_a_client_is_either_upgraded_or_not(scenes):
    with pytest.raises(ValueError, match="either"):
        scenes().proxy.connect(0, "ws://localhost", b"", upgraded=b"")


@pytest.mark.parametrize("first", ["client", "upstream"])
def test_the_halves_may_be_called_in_either_order(scenes, first):
    s = scenes()

    def connect():
        halves = [lambda: s.proxy.connect_client(s.client_end), lambda: s.proxy.connect_upstream(s.url)]
        for half in halves if first == "client" else reversed(halves):
            half()
        s.proxy.execute()

    s.outcome = Outcome(connect)
    s.join_client().sock.sendall(request())
    s.join_upstream()
    assert " 101 " in s.client.read_head()
    s.close_normally()


def test_the_subprotocol_is_the_upstreams_choice(scene):
    s = scene()
    s.run()
    s.join_client().sock.sendall(request(Sec_WebSocket_Protocol="a, b"))
    s.join_upstream(Sec_WebSocket_Protocol="b")
    assert header(s.client.read_head(), "Sec-WebSocket-Protocol") == "b"
    assert s.proxy.subprotocol == "b"
    s.close_normally()


def test_without_a_subprotocol_there_is_none(scenes):
    s = scenes().start()
    assert s.proxy.subprotocol is None
    s.close_normally()


def test_a_refusal_of_the_upstream_reaches_client_and_program(scene):
    s = scene()
    s.run()
    s.join_client().sock.sendall(request())
    s.meet_upstream().read_head()
    s.upstream.sock.sendall(
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nWWW-Authenticate: Basic\r\nX-Two: 1\r\nX-Two: 2\r\n\r\nno"
    )
    answer = s.client.rest()
    assert answer.startswith(b"HTTP/1.1 401 ") and answer.endswith(b"\r\n\r\nno")
    with pytest.raises(wsproxy.HandshakeRefused) as caught:
        s.result()
    error = caught.value
    assert (error.status, error.fault) == (401, Fault.UPSTREAM)
    assert error.headers == (("WWW-Authenticate", "Basic"), ("X-Two", "1"), ("X-Two", "2"))
    assert isinstance(error, wsproxy.HandshakeError) and "401" in str(error)


def test_after_a_refusal_another_upstream_may_be_tried(scenes):
    s = scenes()
    s.outcome = Outcome(lambda: s.proxy.connect_client(s.client_end))
    s.join_client().sock.sendall(request())
    s.outcome.get()
    trying = Outcome(lambda: s.proxy.connect_upstream(s.url))
    s.meet_upstream().read_head()
    s.upstream.sock.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n")
    with pytest.raises(wsproxy.HandshakeRefused) as caught:
        trying.get()
    assert caught.value.headers == (("Retry-After", "1"),)
    s.upstream.close()
    trying = Outcome(lambda: s.proxy.connect_upstream(s.url))
    s.join_upstream()
    trying.get()
    s.outcome = Outcome(s.proxy.execute)
    s.client.read_head()
    s.close_normally()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_an_upstream_that_cannot_be_reached_is_502(scene):
    s = scene()
    s.url = f"{s.url.partition(':')[0]}://127.0.0.1:{closed_port()}"
    s.run()
    s.join_client().sock.sendall(request())
    assert s.client.rest().startswith(b"HTTP/1.1 502 ")
    with pytest.raises(wsproxy.Unreachable) as caught:
        s.result()
    assert (caught.value.status, caught.value.fault) == (502, Fault.UPSTREAM)
    assert isinstance(caught.value, ConnectionError)


def test_an_upstream_that_does_not_answer_is_504(scene):
    s = scene(connect_timeout=1)
    s.run()
    s.join_client().sock.sendall(request())
    silent, _ = s.listener.accept()
    with silent:
        answer = s.client.rest()
    assert answer.startswith(b"HTTP/1.1 504 ")
    with pytest.raises(wsproxy.Timeout) as caught:
        s.result()
    assert caught.value.status == 504


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (request().replace(b"Version: 13", b"Version: 8"), 426),
        (b"nonsense\r\n\r\n", 400),
    ],
)
def test_what_is_no_handshake_is_answered_and_raised(scene, sent, status):
    s = scene()
    s.run()
    s.join_client().sock.sendall(sent)
    assert s.client.rest().startswith(f"HTTP/1.1 {status} ".encode())
    with pytest.raises(wsproxy.BadRequest) as caught:
        s.result()
    assert (caught.value.status, caught.value.fault) == (status, Fault.CLIENT)


def test_a_client_that_sends_nothing_is_let_go(scene):
    s = scene(connect_timeout=1)
    s.run()
    s.join_client()
    assert s.client.rest().startswith(b"HTTP/1.1 408 ")
    with pytest.raises(wsproxy.Timeout):
        s.result()


def test_a_client_that_leaves_during_the_handshake_is_gone(scene):
    s = scene()
    s.run()
    s.join_client().sock.sendall(request())
    s.meet_upstream().read_head()
    s.client.close()
    with pytest.raises(wsproxy.PeerGone) as caught:
        s.result()
    assert caught.value.fault is Fault.CLIENT


def test_stop_gives_a_handshake_up(scene):
    s = scene()
    s.run()
    s.join_client().sock.sendall(request())
    s.meet_upstream().read_head()
    s.proxy.stop()
    assert s.client.rest().startswith(b"HTTP/1.1 503 ")
    with pytest.raises(wsproxy.Stopped):
        s.result()


def test_origins_may_be_restricted(scene):
    s = scene(origins=["https://example.com"])
    s.run()
    s.join_client().sock.sendall(request(Origin="https://evil.example"))
    assert s.client.rest().startswith(b"HTTP/1.1 403 ")
    with pytest.raises(wsproxy.BadRequest):
        s.result()


def test_the_upstream_is_told_of_the_client_if_wanted(scene):
    s = scene(forwarded=wsproxy.Forwarded.X | wsproxy.Forwarded.RFC7239)
    s.run()
    s.join_client().sock.sendall(request())
    s.join_upstream()
    assert header(s.request_head, "X-Forwarded-For") == "127.0.0.1"
    assert header(s.request_head, "X-Forwarded-Proto") == ("https" if s.tls else "http")
    assert "for=127.0.0.1" in header(s.request_head, "Forwarded")
    s.client.read_head()
    s.close_normally()


def test_any_object_with_a_descriptor_is_a_client(scenes):
    for convert in (lambda sock: sock, lambda sock: sock.fileno()):
        s = scenes()
        s.client_end.settimeout(5)  # sets the descriptor to non-blocking mode
        s.outcome = Outcome(lambda s=s, convert=convert: s.proxy.connect(convert(s.client_end), s.url))
        s.join_client().sock.sendall(request())
        s.join_upstream()
        s.outcome.get()
        os.fstat(s.client_end.fileno())  # is still open
        s.outcome = Outcome(lambda s=s: s.proxy.execute(None))
        s.client.read_head()
        s.close_normally()


def test_bad_arguments_change_nothing(scenes):
    s = scenes()
    for url in ("http://a", "ws://", "nonsense"):
        with pytest.raises(wsproxy.ArgumentError):
            s.proxy.connect(s.client_end, url)
    with pytest.raises(ValueError, match="NUL"):
        s.proxy.connect(s.client_end, "ws://a\0b")
    with pytest.raises(wsproxy.ArgumentError):
        s.proxy.connect(12345, "ws://localhost")
    s.start()
    s.close_normally()


def test_a_unix_socket_may_be_the_upstream(scenes, tmp_path):
    path = str(tmp_path / "up.sock")
    for front in ("threads", "asyncio"):
        s = scenes(front=front)
        s.listener.close()
        s.listener = socket.socket(socket.AF_UNIX)
        s.listener.settimeout(20)
        s.listener.bind(path + front)
        s.listener.listen()
        s.url = f"ws+unix:{path}{front}"
        s.start()
        s.close_normally()


def test_an_http_proxy_is_asked_for_the_way(scenes):
    s = scenes()
    s.proxy = wsproxy.Proxy(Config(http_proxy=f"http://user:pass@127.0.0.1:{s.listener.getsockname()[1]}"))
    s.url = "ws://far.example:1234"
    s.run()
    s.join_client().sock.sendall(request())
    connect = s.meet_upstream().read_head()
    assert connect.startswith("CONNECT far.example:1234 HTTP/1.1")
    assert header(connect, "Proxy-Authorization") == "Basic dXNlcjpwYXNz"
    s.upstream.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    s.upstream.sock.sendall(accept(s.upstream.read_head()))
    s.client.read_head()
    s.close_normally()
