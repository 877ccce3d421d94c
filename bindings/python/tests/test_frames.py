"""What a hook sees of frames, and that they cross."""

from __future__ import annotations

import pytest

import wsproxy
from wsproxy import Kind, Side

from peer import BINARY, CONTINUATION, PING, PONG, TEXT, Heard
from scene import collecting


def test_frames_cross_both_ways_and_are_shown(scene):
    seen = []
    s = scene().start(collecting(seen))
    s.client.send_text("to you")
    assert s.upstream.hear() == Heard(TEXT, b"to you")
    s.upstream.send(BINARY, b"\x00\xff")
    assert s.client.hear() == Heard(BINARY, b"\x00\xff")
    s.close_normally()
    assert seen[:2] == [("client", "text", True, b"to you"), ("upstream", "binary", True, b"\x00\xff")]
    assert [(side, kind) for side, kind, _, _ in seen[2:]] == [("client", "close"), ("upstream", "close")]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1 << 20])
def test_payloads_of_every_size_arrive_whole(scene, size):
    payload = bytes(i % 251 for i in range(min(size, 251))) * (size // 251 + 1)
    payload = payload[:size]
    seen = []
    s = scene().start(collecting(seen))
    s.client.send(BINARY, payload)
    assert s.upstream.hear() == Heard(BINARY, payload)
    s.upstream.send(BINARY, payload)
    assert s.client.hear() == Heard(BINARY, payload)
    assert [len(frame[3]) for frame in seen] == [size, size]
    s.close_normally()


def test_fragments_are_shown_one_by_one_with_control_frames_in_between(scene):
    seen = []
    s = scene().start(collecting(seen))
    s.client.send(TEXT, "a", fin=False)
    s.client.send(PING, "p")
    s.client.send(CONTINUATION, "b", fin=False)
    s.client.send(CONTINUATION, "c")
    heard = [s.upstream.hear() for _ in range(4)]
    assert heard == [Heard(TEXT, b"a", False), Heard(PING, b"p"), Heard(CONTINUATION, b"b", False), Heard(0, b"c")]
    assert [frame[1:] for frame in seen] == [
        ("text", False, b"a"),
        ("ping", True, b"p"),
        ("continuation", False, b"b"),
        ("continuation", True, b"c"),
    ]
    s.close_normally()


def test_aggregated_fragments_are_shown_as_one_message(scene):
    seen = []
    s = scene(aggregate=True).start(collecting(seen))
    s.client.send(TEXT, "grö", fin=False)
    s.client.send(PING, "p")
    s.client.send(CONTINUATION, "ße")
    assert s.upstream.hear() == Heard(PING, b"p")
    assert s.upstream.hear_text() == "größe"
    assert seen == [("client", "ping", True, b"p"), ("client", "text", True, "größe".encode())]
    s.close_normally()


def test_one_side_alone_may_be_aggregated(scene):
    s = scene(aggregate={"client": True}).start(collecting([]))
    for peer in (s.client, s.upstream):
        peer.send(BINARY, b"1", fin=False)
        peer.send(CONTINUATION, b"2")
    assert s.upstream.hear() == Heard(BINARY, b"12")
    assert [s.client.hear(), s.client.hear()] == [Heard(BINARY, b"1", False), Heard(CONTINUATION, b"2")]
    s.close_normally()


def test_pings_and_pongs_cross_end_to_end(scene):
    s = scene().start(lambda frame: None)
    s.client.send(PING, b"are you there")
    assert s.upstream.hear() == Heard(PING, b"are you there")
    s.upstream.send(PONG, b"are you there")
    assert s.client.hear() == Heard(PONG, b"are you there")
    s.close_normally()


def test_a_close_shows_code_and_reason_and_one_without_code_shows_none(scene):
    seen = []

    def on_frame(frame):
        seen.append((frame.side, frame.kind, frame.code, frame.reason))

    s = scene().start(on_frame)
    s.upstream.send_close(4001, "größe")
    assert s.client.hear_close() == (4001, "größe")
    s.client.send_close()
    assert s.upstream.hear_close() == (None, "")
    s.upstream.close()
    s.result()
    assert seen == [(Side.UPSTREAM, Kind.CLOSE, 4001, "größe"), (Side.CLIENT, Kind.CLOSE, None, "")]


def test_without_a_hook_frames_cross_too(scene):
    s = scene().start(None)
    s.client.send_text("unseen")
    assert s.upstream.hear_text() == "unseen"
    s.close_normally()


def test_a_frame_says_what_it_is(scenes):
    seen = []

    def on_frame(frame):
        seen.append((repr(frame), len(frame), bool(frame), bytes(frame.view), frame.session is s.proxy))
        if frame.kind is Kind.TEXT:
            assert (frame.text, frame.code, frame.reason) == ("tëxt", None, "")

    s = scenes()
    s.start(on_frame)
    s.client.send_text("tëxt")
    s.upstream.hear_text()
    assert seen == [("<text frame from the client, 5 bytes>", 5, True, "tëxt".encode(), True)]
    s.close_normally()


def test_sides_and_kinds_are_words(scenes):
    assert (Side.CLIENT, Kind.PING) == ("client", "ping")
    assert f"{Side.UPSTREAM} {Kind.TEXT:>6}" == "upstream   text"
    assert str(Kind.CLOSE) == "close"
    assert Side.CLIENT.other is Side.UPSTREAM and Side.UPSTREAM.other is Side.CLIENT


def test_a_frame_that_was_kept_knows_what_was_read_of_it_and_nothing_else(scenes):
    unread = []
    s = scenes()
    s.start(lambda frame: unread.append(frame))
    s.client.send_text("not read")
    s.upstream.hear_text()
    frame = unread[0]
    assert (frame.side, frame.kind, len(frame)) == ("client", "text", 8)
    with pytest.raises(ReferenceError):
        _ = frame.payload
    s.close_normally()


def test_what_was_read_of_a_kept_frame_stays(scenes):
    kept = []
    s = scenes()
    s.start(lambda frame: kept.append((frame, frame.payload, frame.view)))
    s.client.send_text("read")
    s.upstream.hear_text()
    frame, payload, view = kept[0]
    assert frame.payload is payload and bytes(view) == b"read"
    s.close_normally()


def test_frames_cannot_be_changed(scenes):
    errors = []

    def on_frame(frame):
        for name in ("payload", "code", "reason", "text", "view", "another"):
            try:
                setattr(frame, name, b"x")
            except AttributeError as error:
                errors.append(error)

    s = scenes()
    s.start(on_frame)
    s.client.send_text("as it is")
    assert s.upstream.hear_text() == "as it is"
    assert len(errors) == 6
    s.close_normally()


def test_frames_that_come_with_the_handshakes_are_shown(scenes):
    from peer import accept, frame, request

    seen = []
    s = scenes()
    s.run(collecting(seen))
    s.join_client().sock.sendall(request() + frame(TEXT, b"early", mask=b"abcd"))
    head = s.meet_upstream().read_head()
    s.upstream.sock.sendall(accept(head) + frame(TEXT, b"early too"))
    s.client.read_head()
    assert s.upstream.hear_text() == "early"
    assert s.client.hear_text() == "early too"
    assert sorted(frame[3] for frame in seen) == [b"early", b"early too"]
    s.close_normally()


@pytest.mark.parametrize("policy", wsproxy.Policy)
def test_hooks_run_where_the_policy_says(scenes, policy):
    import threading

    threads = []
    s = scenes(policy=policy)
    s.start(lambda frame: threads.append(threading.get_ident()))
    s.client.send_text("a")
    s.upstream.hear_text()
    s.close_normally()
    assert (set(threads) == {s.outcome.thread}) is (policy is wsproxy.Policy.CALLER)


def test_a_frame_that_comes_byte_by_byte_arrives_whole(scene):
    from peer import frame

    s = scene().start(collecting([]))
    for byte in frame(TEXT, "größe".encode(), mask=b"\x01\x02\x03\x04"):
        s.client.sock.sendall(bytes([byte]))
    assert s.upstream.hear_text() == "größe"
    s.close_normally()
