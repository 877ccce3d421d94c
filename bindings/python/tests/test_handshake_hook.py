"""The handshake hook: what it sees, what it may change and choose, and that it may refuse."""

from __future__ import annotations

import pytest

import wsproxy
from wsproxy import Fault, Refuse

from peer import header, request
from test_handshakes import closed_port


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
