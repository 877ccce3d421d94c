"""Frames of the program's own."""

from __future__ import annotations

import contextlib
import threading

import pytest

import wsproxy
from wsproxy import Kind, Side

from peer import BINARY, CONTINUATION, PING, PONG, TEXT, Heard


def test_frames_go_to_either_side_and_are_not_shown(scene):
    seen = []
    s = scene().start(seen.append)
    s.exchange()
    seen.clear()
    s.proxy.send("client", "text")
    s.proxy.send(Side.UPSTREAM, b"binary")
    s.proxy.send("client", bytearray(b"p"), Kind.PING)
    s.proxy.send("client", memoryview(b"q"), "pong")
    s.proxy.send("client", b"as text", "text")
    heard = [s.client.hear() for _ in range(4)]
    assert sorted(heard) == [Heard(TEXT, b"as text"), Heard(TEXT, b"text"), Heard(PING, b"p"), Heard(PONG, b"q")]
    assert s.upstream.hear() == Heard(BINARY, b"binary")
    assert seen == []
    s.close_normally()
    assert s.proxy.stats.client.sent_by_host == 4


def test_data_waits_for_the_end_of_a_message(scene):
    s = scene().start(lambda frame: None)
    s.client.send(TEXT, "1", fin=False)
    assert s.upstream.hear() == Heard(TEXT, b"1", False)
    s.proxy.send("upstream", "own")
    s.client.send(CONTINUATION, "2")
    assert [s.upstream.hear(), s.upstream.hear()] == [Heard(CONTINUATION, b"2"), Heard(TEXT, b"own")]
    s.close_normally()


def test_sent_from_the_hook_it_goes_before_the_frame(scene):
    def on_frame(frame):
        if frame.kind is Kind.TEXT:
            frame.session.send(frame.side.other, "before")
            frame.session.send(frame.side, "back")

    s = scene().start(on_frame)
    s.client.send_text("it")
    assert [s.upstream.hear_text(), s.upstream.hear_text()] == ["before", "it"]
    assert s.client.hear_text() == "back"
    s.close_normally()


def test_any_number_of_threads_may_send(scene):
    s = scene().start(lambda frame: None)
    s.exchange()

    def send(number):
        for index in range(50):
            s.proxy.send("client", f"{number}-{index}")

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    heard = [s.client.hear_text() for _ in range(200)]
    for thread in threads:
        thread.join()
    for number in range(4):
        assert [text for text in heard if text.startswith(f"{number}-")] == [f"{number}-{i}" for i in range(50)]
    s.close_normally()


def test_what_cannot_be_sent_is_refused(scenes):
    s = scenes()
    with pytest.raises(wsproxy.StateError):
        s.proxy.send("client", "too early")
    s.start()
    for data, kind in [(b"", "close"), (b"", "continuation"), (b"x" * 126, "ping"), (b"\xff", "text")]:
        with pytest.raises(wsproxy.ArgumentError):
            s.proxy.send("client", data, kind)
    with pytest.raises(ValueError):
        s.proxy.send("both", "a")
    with pytest.raises(ValueError):
        s.proxy.send("client", "a", "message")
    s.close_normally()
    with pytest.raises(wsproxy.StateError):
        s.proxy.send("client", "too late")


def test_a_full_queue_says_so(scenes):
    s = scenes(send_queue=1000)
    entered, leave = threading.Event(), threading.Event()

    def on_frame(frame):
        entered.set()
        leave.wait(20)

    s.start(on_frame)
    s.client.send_text("block")
    assert entered.wait(20)
    with pytest.raises(wsproxy.QueueFull):
        for _ in range(100):
            s.proxy.send("client", b"x" * 100)
    leave.set()
    s.upstream.hear_text()
    s.proxy.stop()
    s.client.close()
    s.upstream.close()
    with contextlib.suppress(wsproxy.Error):
        s.result()


def test_counters_count(scene):
    def on_frame(frame):
        return {b"drop": wsproxy.DROP, b"replace": b"replaced"}.get(frame.payload)

    s = scene().start(on_frame)
    for text in ("drop", "replace", "keep"):
        s.client.send_text(text)
    s.upstream.send(BINARY, b"12345")
    s.client.send(PING, b"p")
    assert [s.upstream.hear().payload for _ in range(3)] == [b"replaced", b"keep", b"p"]
    s.client.hear()
    s.close_normally()
    client, upstream = s.proxy.stats.client, s.proxy.stats.upstream
    assert (client.frames["text"], client.frames[Kind.PING], client.bytes["text"]) == (3, 1, 15)
    assert (client.dropped, client.replaced, client.closed_first) == (1, 1, True)
    assert (upstream.frames["binary"], upstream.bytes["binary"], upstream.dropped) == (1, 5, 0)
    assert (client.close_received, client.close_sent) == (1000, 1000)
