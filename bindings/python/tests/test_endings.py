"""How sessions end: closes, stop, drain, abort, peers that vanish, limits, broken protocol, deadlines."""

from __future__ import annotations

import socket
import threading
import time

import pytest

import wsproxy
from wsproxy import Fault

from peer import BINARY, CONTINUATION, PING, TEXT, Ended, Heard, frame
from scene import Outcome


@pytest.mark.parametrize("code", [None, 1000, 1001, 1011, 3000, 4999])
def test_closes_cross_with_their_codes(scene, code):
    s = scene().start(lambda frame: None)
    s.client.send_close(code)
    assert s.upstream.answer_close() == (code, "")
    s.upstream.close()
    assert s.client.hear_close() == (code, "")
    s.result()
    stats = s.proxy.stats
    assert stats.client.closed_first and not stats.upstream.closed_first
    assert stats.client.close_received == stats.upstream.close_sent == (1005 if code is None else code)


def answer_both(s):
    assert s.client.answer_close() == s.upstream.answer_close()
    s.upstream.close()
    s.client.close()


def test_stop_ends_with_a_close_for_both(scene):
    s = scene().start(lambda frame: None)
    s.proxy.stop(4000, "Schluß")
    assert s.client.answer_close() == (4000, "Schluß")
    assert s.upstream.answer_close() == (4000, "Schluß")
    s.upstream.close()
    s.result()


def test_stop_says_going_away_unless_told(scenes):
    s = scenes().start()
    s.proxy.stop()
    assert (s.client.answer_close(), s.upstream.answer_close()) == ((1001, ""), (1001, ""))
    s.upstream.close()
    s.result()


def test_the_hook_may_stop_its_own_session(scenes):
    s = scenes()
    s.start(lambda frame: s.proxy.stop(4000) if frame.kind == "text" else None)
    s.client.send_text("stop")
    assert s.client.answer_close() == (4000, "")
    while s.upstream.hear().opcode == TEXT:
        pass
    s.upstream.close()
    s.result()


def test_drain_waits_for_the_end_of_a_message(scene):
    s = scene().start(lambda frame: None)
    s.client.send(TEXT, "one ", fin=False)
    assert s.upstream.hear() == Heard(TEXT, b"one ", False)
    s.proxy.drain(4000, "later")
    s.client.send(CONTINUATION, "message")
    assert s.upstream.hear() == Heard(CONTINUATION, b"message")
    assert s.upstream.answer_close() == (4000, "later")
    s.upstream.close()
    assert s.client.answer_close() == (4000, "later")
    s.result()


def test_abort_waits_for_nobody(scene):
    s = scene().start(lambda frame: None)
    s.proxy.abort()
    s.result()
    assert s.client.hear_close() == (1001, "")


def test_close_while_it_runs_stops_it(scenes):
    s = scenes().start(lambda frame: None)
    s.exchange()
    s.proxy.close()
    answer_both(s)
    s.result()
    with pytest.raises(wsproxy.StateError):
        _ = s.proxy.stats


def test_the_hook_may_close_its_session(scenes):
    s = scenes()
    s.start(lambda frame: s.proxy.close())
    s.client.send_text("close")
    assert s.client.answer_close() == (1001, "")
    s.upstream.close()
    s.result()


def test_a_client_that_vanishes_is_told_of_as_1001(scene):
    s = scene().start(lambda frame: None)
    s.client.close()
    assert s.upstream.hear_close() == (1001, "")
    s.upstream.close()
    with pytest.raises(wsproxy.PeerGone) as caught:
        s.result()
    assert caught.value.fault is Fault.CLIENT and isinstance(caught.value, ConnectionError)


def test_an_upstream_that_vanishes_is_told_of_as_1011(scene):
    s = scene().start(lambda frame: None)
    s.upstream.close()
    assert s.client.answer_close() == (1011, "")
    s.client.close()
    with pytest.raises(wsproxy.PeerGone) as caught:
        s.result()
    assert caught.value.fault is Fault.UPSTREAM


BROKEN = {
    "reserved bits": (frame(TEXT, b"a", mask=b"abcd", rsv=4), 1002),
    "an unknown opcode": (frame(3, b"a", mask=b"abcd"), 1002),
    "no mask": (frame(TEXT, b"a"), 1002),
    "an orphan continuation": (frame(CONTINUATION, b"a", mask=b"abcd"), 1002),
    "a fragmented ping": (frame(PING, b"a", fin=False, mask=b"abcd"), 1002),
    "a close of one byte": (frame(8, b"a", mask=b"abcd"), 1002),
    "a close with 1006": (frame(8, b"\x03\xee", mask=b"abcd"), 1002),
    "text that is not UTF-8": (frame(TEXT, b"\xff", mask=b"abcd"), 1007),
}


@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_protocol_ends_the_session(scenes, sent, code):
    s = scenes().start(lambda frame: None)
    s.client.sock.sendall(sent)
    assert s.client.hear_close()[0] == code
    assert s.upstream.hear_close()[0] == 1001
    s.upstream.close()
    s.client.close()
    with pytest.raises(wsproxy.ProtocolError) as caught:
        s.result()
    assert caught.value.fault is Fault.CLIENT


def test_an_upstream_that_masks_is_refused(scene):
    s = scene().start(lambda frame: None)
    s.upstream.sock.sendall(frame(TEXT, b"a", mask=b"abcd"))
    assert s.upstream.hear_close()[0] == 1002
    assert s.client.answer_close()[0] == 1011
    s.upstream.close()
    s.client.close()
    with pytest.raises(wsproxy.ProtocolError) as caught:
        s.result()
    assert caught.value.fault is Fault.UPSTREAM


def test_text_is_not_checked_where_it_is_not_asked_for(scenes):
    s = scenes(check_utf8=False).start(lambda frame: None)
    s.client.send(TEXT, b"\xff")
    assert s.upstream.hear() == Heard(TEXT, b"\xff")
    s.close_normally()


def over_the_limit(s, send):
    send(s.client)
    assert s.client.hear_close()[0] == 1009
    while s.upstream.hear().opcode != 8:
        pass
    s.upstream.close()
    s.client.close()
    with pytest.raises(wsproxy.LimitExceeded) as caught:
        s.result()
    assert caught.value.fault is Fault.CLIENT


@pytest.mark.parametrize("aggregate", [False, True])
def test_a_frame_at_the_limit_passes_and_one_beyond_it_ends_the_session(scene, aggregate):
    s = scene(max_frame_size=100, aggregate=aggregate).start(lambda frame: None)
    s.client.send(BINARY, b"x" * 100)
    assert len(s.upstream.hear().payload) == 100
    over_the_limit(s, lambda client: client.send(BINARY, b"x" * 101))


@pytest.mark.parametrize("aggregate", [False, True])
def test_a_message_at_the_limit_passes_and_one_beyond_it_ends_the_session(scenes, aggregate):
    s = scenes(max_message_size={"client": 100}, aggregate=aggregate).start(lambda frame: None)

    def send(client, last):
        client.send(BINARY, b"x" * 60, fin=False)
        client.send(CONTINUATION, b"x" * last)

    send(s.client, 40)
    assert sum(len(s.upstream.hear().payload) for _ in range(1 if aggregate else 2)) == 100
    over_the_limit(s, lambda client: send(client, 41))


@pytest.mark.parametrize("aggregate", [False, True])
def test_fragments_are_counted_too(scenes, aggregate):
    def send(client):
        client.send(BINARY, b"", fin=False)
        client.send(CONTINUATION, b"", fin=False)
        client.send(CONTINUATION, b"", fin=False)

    over_the_limit(scenes(max_fragments=2, aggregate=aggregate).start(lambda frame: None), send)


def test_a_limit_of_one_side_does_not_hold_for_the_other(scenes):
    s = scenes(max_frame_size={wsproxy.Side.CLIENT: 10}).start(lambda frame: None)
    s.upstream.send(BINARY, b"x" * 1000)
    assert len(s.client.hear().payload) == 1000
    s.close_normally()


def test_a_silent_session_ends_by_its_idle_timeout(scene):
    s = scene(idle_timeout=0.15).start(lambda frame: None)
    assert s.client.hear_close()[0] == s.upstream.hear_close()[0] == 1001
    s.upstream.close()
    s.client.close()
    with pytest.raises(wsproxy.Timeout) as caught:
        s.result()
    assert isinstance(caught.value, TimeoutError)


def test_a_peer_that_does_not_answer_a_close_is_cut_off(scene):
    s = scene(close_timeout=0.15).start(lambda frame: None)
    s.proxy.stop()
    s.result()
    assert s.client.hear_close() == (1001, "")


def test_keepalive_pings_and_consumes_the_answers(scenes):
    s = scenes(keepalive_interval=0.05).start(lambda frame: None)
    ping = s.client.hear()
    assert ping.opcode == PING
    s.client.send(10, ping.payload)
    s.client.send_text("after the pong")
    while (heard := s.upstream.hear()).opcode == PING:
        pass
    assert heard == Heard(TEXT, b"after the pong")
    s.proxy.abort()
    s.result()


def test_a_reader_that_stops_holds_the_other_side_back_and_is_cut_off(scenes):
    s = scenes(write_timeout=1).start(lambda frame: None)
    s.client.sock.settimeout(0.5)
    sent = 0
    with pytest.raises(socket.timeout):
        while True:
            s.client.sock.sendall(frame(BINARY, bytes(1 << 16), mask=b"abcd"))
            sent += 1 << 16
    assert sent < 64 << 20
    assert s.upstream.hear().opcode == BINARY, "and nothing of it is lost"
    s.client.sock.settimeout(20)
    with pytest.raises(wsproxy.Timeout) as caught:
        s.result()
    assert caught.value.fault is Fault.UPSTREAM


def test_a_slow_hook_is_not_idleness(scenes):
    s = scenes(idle_timeout=0.2).start(lambda frame: time.sleep(0.5) if frame.kind == "text" else None)
    s.client.send_text("slow")
    assert s.upstream.hear_text() == "slow"
    s.close_normally()


def test_execute_before_connect_and_twice_are_errors_that_change_nothing(scenes):
    proxy = wsproxy.Proxy()
    with pytest.raises(wsproxy.StateError, match="not connected"):
        proxy.execute()
    proxy.close()
    s = scenes().start()
    s.exchange()  # it is under way, not only connected
    with pytest.raises(wsproxy.StateError):
        s.proxy.execute()
    s.close_normally()
    with pytest.raises(wsproxy.StateError):
        s.proxy.execute()


def test_a_session_that_was_never_executed_says_goodbye(scenes):
    from peer import request

    s = scenes()
    connecting = Outcome(lambda: s.proxy.connect(s.client_end, s.url))
    s.join_client().sock.sendall(request())
    s.join_upstream()
    connecting.get()
    s.client.read_head()
    s.proxy.close()
    assert s.client.hear_close()[0] == 1011
    assert s.upstream.hear_close()[0] == 1001


def test_a_with_block_closes_the_session(scenes):
    s = scenes()
    with s.proxy as proxy:
        assert proxy.stats.client.frames["text"] == 0
    with pytest.raises(wsproxy.StateError, match="closed"):
        s.proxy.stop()
    s.proxy.close()


def test_any_thread_may_stop_while_others_do(scenes):
    for _ in range(10):
        s = scenes(close_timeout=0.2).start(lambda frame: None)
        s.exchange()
        barrier = threading.Barrier(4)

        def end(verb, s=s, barrier=barrier):
            barrier.wait()
            for _ in range(20):
                try:
                    verb(s)
                except wsproxy.StateError:
                    return

        verbs = [
            lambda s: s.proxy.stop(),
            lambda s: s.proxy.abort(),
            lambda s: s.proxy.stats,
            lambda s: s.proxy.close(),
        ]
        calls = [Outcome(lambda verb=verb: end(verb)) for verb in verbs]
        for call in calls:
            call.get()
        s.result()
        with pytest.raises((Ended, ConnectionError)):
            while True:
                s.client.hear()
