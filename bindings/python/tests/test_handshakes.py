"""Both handshakes: how a client may be handed over, what reaches the upstream, refusals, and the handshake hook."""

from __future__ import annotations

import os
import socket
import ssl

import pytest

import wsproxy
from wsproxy import Config, Fault, Refuse

from peer import TEXT, Peer, accept, frame, header, request
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


def test_a_handshake_hook_sees_the_request_and_changes_what_goes_upstream(scenes, tls):
    seen = {}

    def on_handshake(handshake):
        seen.update(target=handshake.target, host=handshake.host, peer=handshake.peer, secure=handshake.secure)
        seen["headers"] = handshake.headers
        seen["cookie"] = handshake.header("COOKIE")
        seen["none"] = handshake.header("X-None")
        seen["session"] = handshake.session
        handshake.set_header("X-Set", "s")
        handshake.add_header("X-Both", "b")
        handshake.remove_header("Cookie")
        handshake.add_answer_header("Set-Cookie", "a=1")

    for use in (None, tls):
        s = scenes(use)
        s.run(None, on_handshake=on_handshake)
        s.join_client().sock.sendall(request("/t", Cookie="c=1", X_Both="a"))
        s.join_upstream()
        assert (seen["target"], seen["host"], seen["peer"]) == ("/t", "proxy.example", "127.0.0.1")
        assert (seen["secure"], seen["cookie"], seen["none"]) == (use is not None, "c=1", None)
        assert ("Cookie", "c=1") in seen["headers"] and seen["session"] is s.proxy
        assert header(s.request_head, "X-Set") == "s" and header(s.request_head, "Cookie") is None
        assert s.request_head.count("X-Both") == 2
        assert header(s.client.read_head(), "Set-Cookie") == "a=1"
        s.close_normally()


def test_a_handshake_hook_may_choose_the_upstream(scenes):
    s = scenes()
    url, s.url = s.url, f"ws://127.0.0.1:{closed_port()}"
    s.run(None, on_handshake=lambda handshake: handshake.set_upstream(url))
    s.join_client().sock.sendall(request())
    s.join_upstream()
    s.client.read_head()
    s.close_normally()


def test_a_handshake_hook_may_refuse(scenes):
    s = scenes()
    s.run(None, on_handshake=lambda handshake: Refuse(401, "sign in first\n", (("WWW-Authenticate", "Basic"),)))
    s.join_client().sock.sendall(request())
    answer = s.client.rest().decode()
    assert answer.startswith("HTTP/1.1 401 ") and answer.endswith("\r\n\r\nsign in first\n")
    assert header(answer, "WWW-Authenticate") == "Basic"
    with pytest.raises(wsproxy.HandshakeRefused) as caught:
        s.result()
    assert (caught.value.status, caught.value.fault) == (401, Fault.HOST)
    assert ("WWW-Authenticate", "Basic") in caught.value.headers


@pytest.mark.parametrize(
    "hook",
    [
        lambda handshake: True,
        lambda handshake: Refuse(200),
        lambda handshake: handshake.set_upstream("ftp://x"),
        lambda handshake: handshake.set_header("X", "a\r\nb"),
        lambda handshake: handshake.set_header("Upgrade", "other"),
    ],
)
def test_a_handshake_hook_that_fails_lets_nobody_in(scenes, hook):
    s = scenes()
    s.run(None, on_handshake=hook)
    s.join_client().sock.sendall(request())
    assert s.client.rest().startswith(b"HTTP/1.1 500 ")
    with pytest.raises(wsproxy.HookError):
        s.result()


def test_a_handshake_is_gone_with_its_hook(scenes):
    kept = []
    s = scenes().start(None, on_handshake=kept.append)
    with pytest.raises(ReferenceError):
        _ = kept[0].target
    assert "a client" in repr(kept[0])
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


def test_a_connection_under_pythons_tls_cannot_be_handed_over(scenes, tls):
    left, right = socket.socketpair()
    with left, right:
        secured = tls.for_servers.wrap_socket(left, server_side=True, do_handshake_on_connect=False)
        with secured, pytest.raises(TypeError, match="client_certificate"):
            scenes().proxy.connect(secured, "ws://localhost")


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


BAD_SETTINGS = [
    {"max_frame_size": 0},
    {"max_frame_size": -1},
    {"max_message_size": {"client": 1 << 70}},
    {"connect_timeout": 0},
    {"idle_timeout": -1},
    {"headers": {"A": "b\r\nC: d"}},
    {"headers": {"Upgrade": "a"}},
    {"http_proxy": "nonsense"},
    {"origins": ["nonsense"]},
    {"origins": ["https://a\0b"]},
    {"subprotocols": ["a b"]},
    {"thread_stack_size": 1},
    {"upstream_ca": b"nonsense"},
    {"upstream_ca": "/does/not/exist"},
]


@pytest.mark.parametrize("settings", BAD_SETTINGS, ids=str)
def test_settings_that_cannot_be_taken_are_refused_with_words(settings):
    with pytest.raises(ValueError) as caught:
        Config(**settings)
    assert str(caught.value)


def test_settings_are_a_value_without_secrets():
    import dataclasses

    config = Config(max_frame_size=10, headers={"Authorization": "secret"}, http_proxy="http://u:secret@proxy:1")
    assert "secret" not in repr(config) and "max_frame_size=10" in repr(config)
    assert config == dataclasses.replace(config) != dataclasses.replace(config, max_frame_size=11)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.max_frame_size = 11
    with pytest.raises(TypeError, match="sequence"):
        Config(origins="https://example.com")
    with pytest.raises(ValueError):
        Config(aggregate={"downstream": True})


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


# TLS


def test_an_upstream_that_nobody_vouches_for_is_refused(scenes, tls):
    for front in ("threads", "asyncio"):
        s = scenes(tls, front, upstream_ca=None)
        s.run()
        s.join_client().sock.sendall(request())
        sock, _ = s.listener.accept()
        with sock, pytest.raises((ssl.SSLError, OSError)):
            tls.for_servers.wrap_socket(sock, server_side=True).recv(1)
        assert s.client.rest().startswith(b"HTTP/1.1 502 ")
        with pytest.raises((wsproxy.TLSError, wsproxy.Unreachable)) as caught:
            s.result()
        assert "certificate" in str(caught.value)


def test_verification_is_off_only_when_it_is_turned_off(scenes, tls):
    for front in ("threads", "asyncio"):
        s = scenes(tls, front, upstream_ca=None, upstream_verify=False)
        s.start()
        s.close_normally()


def test_the_name_in_the_certificate_counts(scenes, tls):
    for front in ("threads", "asyncio"):
        s = scenes(tls, front, upstream_server_name="localhost")
        s.url = s.url.replace("localhost", "127.0.0.1")
        s.start()
        s.close_normally()
        s = scenes(tls, front, upstream_server_name="other.example")
        s.run()
        s.join_client().sock.sendall(request())
        sock, _ = s.listener.accept()
        with sock, pytest.raises((ssl.SSLError, OSError)):
            tls.for_servers.wrap_socket(sock, server_side=True).recv(1)
        assert s.client.rest().startswith(b"HTTP/1.1 502 ")
        with pytest.raises(wsproxy.Error):
            s.result()


def test_certificates_may_be_given_as_bytes(scenes, tls):
    from pathlib import Path

    read = {name: Path(getattr(tls, name)).read_bytes() for name in ("ca", "cert", "key")}
    s = scenes(tls, upstream_ca=read["ca"], client_certificate=(read["cert"], read["key"]))
    s.start()
    s.close_normally()


def test_clients_may_have_to_show_a_certificate(scenes, tls):
    s = scenes(tls, client_ca=tls.ca)
    s.run()
    with pytest.raises((ssl.SSLError, OSError)):
        s.join_client().sock.recv(1)
    with pytest.raises(wsproxy.TLSError):
        s.result()
    s = scenes(tls, client_ca=tls.ca)
    tls.for_clients.load_cert_chain(tls.cert, tls.key)
    s.start()
    s.close_normally()


def test_a_client_that_speaks_no_tls_is_refused(scenes, tls):
    s = scenes(tls)
    s.run()
    peer = Peer(s._client_sock, is_client=True)
    peer.sock.sendall(request())
    with pytest.raises(wsproxy.TLSError) as caught:
        s.result()
    assert caught.value.fault is Fault.CLIENT


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
