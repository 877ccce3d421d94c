"""What becomes of a frame is what the hook returns; and whatever it returns, both peers see a legal stream."""

from __future__ import annotations

import pytest

import wsproxy
from wsproxy import DROP, Close, Ends, Kind

from peer import BINARY, CONTINUATION, PING, TEXT, Heard


def on_text(fate):
    """Makes a hook that settles the client's text so, and forwards everything else."""

    def on_frame(frame):
        if frame.kind is Kind.TEXT and frame.side == "client":
            return fate(frame) if callable(fate) else fate
        return None

    return on_frame


def test_none_and_the_frame_itself_forward(scene):
    s = scene().start(lambda frame: frame if frame.kind is Kind.TEXT else None)
    s.client.send_text("a")
    s.client.send(BINARY, b"b")
    assert [s.upstream.hear(), s.upstream.hear()] == [Heard(TEXT, b"a"), Heard(BINARY, b"b")]
    s.close_normally()


@pytest.mark.parametrize(
    "payload", ["größer", "größer".encode(), bytearray("größer".encode()), memoryview("größer".encode())], ids=type
)
def test_str_and_bytes_of_any_kind_replace_the_payload(scenes, payload):
    s = scenes().start(on_text(payload))
    s.client.send_text("a")
    assert s.upstream.hear() == Heard(TEXT, "größer".encode())
    s.close_normally()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 70_000])
def test_payloads_may_become_shorter_and_longer(scene, size):
    s = scene().start(on_text("x" * size))
    s.client.send_text("before")
    assert s.upstream.hear_text() == "x" * size
    assert s.proxy.stats.client.replaced == 1
    s.close_normally()


def test_a_slice_of_the_view_replaces_the_payload(scenes):
    s = scenes().start(on_text(lambda frame: frame.view[2:4]))
    s.client.send_text("abcdef")
    assert s.upstream.hear_text() == "cd"
    s.close_normally()


def test_what_is_dropped_does_not_arrive(scene):
    s = scene().start(on_text(DROP))
    s.client.send_text("not this")
    s.client.send(BINARY, b"this")
    assert s.upstream.hear() == Heard(BINARY, b"this")
    assert s.proxy.stats.client.dropped == 1
    s.close_normally()


def test_a_dropped_first_fragment_leaves_its_type_to_the_next(scenes):
    s = scenes().start(lambda frame: DROP if frame.payload == b"1" else None)
    s.client.send(TEXT, "1", fin=False)
    s.client.send(CONTINUATION, "2", fin=False)
    s.client.send(CONTINUATION, "3")
    assert [s.upstream.hear(), s.upstream.hear()] == [Heard(TEXT, b"2", False), Heard(CONTINUATION, b"3")]
    s.close_normally()


def test_a_dropped_last_fragment_leaves_an_empty_one(scenes):
    s = scenes().start(lambda frame: DROP if frame.payload == b"2" else None)
    s.client.send(TEXT, "1", fin=False)
    s.client.send(CONTINUATION, "2")
    assert [s.upstream.hear(), s.upstream.hear()] == [Heard(TEXT, b"1", False), Heard(CONTINUATION, b"")]
    s.close_normally()


def hear_both_close(s):
    closes = s.client.hear_close(), s.upstream.answer_close()
    s.client.send_close(closes[0][0])
    s.upstream.close()
    return closes


def test_close_ends_the_session_with_the_same_for_both(scene):
    s = scene().start(on_text(Close(4001, "genug")))
    s.client.send_text("end it")
    assert hear_both_close(s) == ((4001, "genug"), (4001, "genug"))
    s.result()


def test_close_says_1000_by_default(scenes):
    s = scenes().start(on_text(Close()))
    s.client.send_text("end it")
    assert hear_both_close(s) == ((1000, ""), (1000, ""))
    s.result()


def test_ends_has_a_close_for_each_side(scene):
    s = scene().start(on_text(Ends(client=Close(1008, "not here"), upstream=Close(1001))))
    s.client.send_text("end it")
    assert hear_both_close(s) == ((1008, "not here"), (1001, ""))
    s.result()


def test_close_without_a_code_sends_none(scenes):
    s = scenes().start(on_text(Close(None)))
    s.client.send_text("end it")
    assert hear_both_close(s) == ((None, ""), (None, ""))
    s.result()


@pytest.mark.parametrize(("code", "sent"), [(1005, None), (1006, 1011), (1015, 1011), (2000, 1011)])
def test_codes_that_must_not_be_on_the_wire_are_mapped(scenes, code, sent):
    s = scenes().start(on_text(Close(code)))
    s.client.send_text("end it")
    assert hear_both_close(s) == ((sent, ""), (sent, ""))
    s.result()


def test_a_close_frame_may_cross_with_another_code_and_reason(scene):
    s = scene().start(lambda frame: frame.replace("why", code=4002) if frame.code == 4001 else None)
    s.client.send_close(4001, "because")
    assert s.upstream.answer_close() == (4002, "why")
    s.upstream.close()
    assert s.client.hear_close() == (4002, "")
    s.result()


def test_a_close_frame_may_lose_its_code(scenes):
    s = scenes().start(lambda frame: frame.replace(code=None) if frame.code == 4001 else None)
    s.client.send_close(4001, "because")
    assert s.upstream.answer_close() == (None, "")
    s.upstream.close()
    s.client.hear_close()
    s.result()


def test_the_reason_of_a_close_frame_is_its_payload(scenes):
    s = scenes().start(lambda frame: "another" if frame.kind is Kind.CLOSE and frame.reason else None)
    s.client.send_close(4001, "one")
    assert s.upstream.answer_close() == (4001, "another")
    s.upstream.close()
    s.client.hear_close()
    s.result()


def test_a_close_frame_may_be_dropped(scenes):
    s = scenes(close_timeout=0.2)
    s.start(lambda frame: DROP if frame.kind is Kind.CLOSE and frame.side == "client" else None)
    s.client.send_close(1000)
    s.upstream.send_text("still here")
    assert s.client.hear_text() == "still here"
    s.proxy.stop()
    assert s.upstream.hear_close() == (1001, "")
    s.upstream.close()
    s.outcome.get()


def test_replace_keeps_what_is_not_named(scenes):
    s = scenes().start(on_text(lambda frame: frame.replace()))
    s.client.send_text("the same")
    assert s.upstream.hear_text() == "the same"
    s.close_normally()


async def coroutine():
    return None


BAD = {
    "a number": 1,
    "true": True,
    "false": False,
    "a list": [],
    "a tuple": (1000, "bye"),
    "a class": lambda frame: Close,
    "bytes that are not UTF-8 for text": b"\xff",
    "a code for text": lambda frame: frame.replace(code=1000),
    "a reason that is too long": Close(1000, "x" * 124),
    "a reason without a code": Close(None, "why"),
    "a code beyond 16 bits": Close(70000),
    "a coroutine": lambda frame: coroutine(),
}


@pytest.mark.parametrize("fate", BAD.values(), ids=BAD.keys())
def test_what_is_no_fate_is_a_failed_hook(scenes, fate):
    s = scenes().start(on_text(fate))
    s.client.send_text("a")
    assert hear_both_close(s) == ((1011, ""), (1011, ""))
    with pytest.raises(wsproxy.HookError):
        s.result()


def test_another_frame_is_no_fate_of_this_one(scenes):
    frames = []

    def on_frame(frame):
        frames.append(frame)
        return frames[0]

    s = scenes().start(on_frame)
    s.client.send_text("a")
    assert s.upstream.hear_text() == "a"
    s.client.send_text("b")
    hear_both_close(s)
    with pytest.raises(wsproxy.HookError, match="another frame"):
        s.result()


@pytest.mark.parametrize("size", [126, 1000])
def test_a_ping_cannot_become_longer_than_control_frames_may_be(scenes, size):
    s = scenes().start(lambda frame: "x" * size if frame.kind is Kind.PING else None)
    s.client.send(PING, b"p")
    assert hear_both_close(s) == ((1011, ""), (1011, ""))
    with pytest.raises(wsproxy.HookError, match="125"):
        s.result()


def test_async_hooks_are_refused_where_nobody_awaits_them(scenes):
    s = scenes()
    s.start(coroutine)
    with pytest.raises(TypeError, match=r"wsproxy\.aio"):
        s.result()
