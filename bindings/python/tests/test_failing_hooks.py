"""What a hook raises ends the session with 1011 on both sides and comes out of the call, with its traceback."""

from __future__ import annotations

import gc
import sys
import threading
import traceback
import weakref

import pytest

import wsproxy

from peer import BINARY, Ended, request
from scene import Outcome


class OwnError(Exception):
    pass


def fail_deeply(frame):
    raise OwnError("from the depth")


@pytest.mark.parametrize("policy", wsproxy.Policy)
@pytest.mark.parametrize("side", ["client", "upstream"])
def test_an_exception_comes_out_of_execute_with_its_traceback(scene, policy, side):
    def on_frame(frame):
        return fail_deeply(frame)

    s = scene(policy=policy).start(on_frame)
    getattr(s, side).send_text("a")
    assert s.client.hear_close() == (1011, "")
    assert s.upstream.hear_close() == (1011, "")
    s.client.send_close(1011)
    s.upstream.send_close(1011)
    s.upstream.close()
    with pytest.raises(OwnError, match="from the depth") as caught:
        s.result()
    names = [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["on_frame", "fail_deeply"] and "execute" in names


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError])
def test_exceptions_of_every_kind_come_out(scenes, kind):
    def on_frame(frame):
        raise kind("meant")

    s = scenes(close_timeout=0.1).start(on_frame)
    s.client.send_text("a")
    assert s.client.hear_close() == (1011, "")
    with pytest.raises(kind, match="meant"):
        s.result()


def test_only_the_first_exception_counts(scenes):
    seen = []

    def on_frame(frame):
        seen.append(frame)
        raise OwnError(len(seen))

    s = scenes(close_timeout=0.1).start(on_frame)
    for _ in range(5):
        s.client.send_text("a")
    with pytest.raises(OwnError, match="1"):
        s.result()
    assert len(seen) == 1


def test_an_exception_leaves_nothing_behind(scenes):
    class Big:
        pass

    big = Big()
    gone = weakref.ref(big)

    def on_frame(frame, big=big):
        raise OwnError

    s = scenes(close_timeout=0.1).start(on_frame)
    s.client.send_text("a")
    with pytest.raises(OwnError):
        s.result()
    s.outcome = None
    del on_frame, big
    gc.collect()
    assert gone() is None


def test_an_exception_of_the_handshake_hook_comes_out_of_connect(scenes):
    def on_handshake(handshake):
        raise OwnError("no")

    s = scenes()
    s.run(None, on_handshake=on_handshake)
    s.join_client().sock.sendall(request())
    assert s.client.read_head().startswith("HTTP/1.1 500 ")
    with pytest.raises(OwnError, match="no"):
        s.result()


def test_exceptions_under_load_all_come_out_and_hurt_nobody_else(scenes):
    broken = [scenes(close_timeout=1).start(lambda frame: fail_deeply(frame)) for _ in range(20)]
    sound = [scenes().start(lambda frame: None) for _ in range(5)]
    stop = threading.Event()

    def chat(s):
        count = 0
        while not stop.is_set() or count == 0:
            s.client.send_text(str(count))
            assert s.upstream.hear_text() == str(count)
            count += 1

    def flood(s):
        try:
            for _ in range(100):
                s.client.send(BINARY, b"x" * 1000)
        except (OSError, Ended):
            pass

    talks = [Outcome(lambda s=s: chat(s)) for s in sound]
    floods = [Outcome(lambda s=s: flood(s)) for s in broken]
    for s in broken:
        assert s.upstream.hear_close() == (1011, "")
        s.upstream.close()
        with pytest.raises(OwnError):
            s.result()
    stop.set()
    for call in talks + floods:
        call.get()
    for s in sound:
        s.close_normally()


def test_deep_recursion_in_a_hook_is_a_recursion_error_and_no_crash(scenes):
    def on_frame(frame):
        return on_frame(frame)

    s = scenes(close_timeout=0.1).start(on_frame)
    s.client.send_text("a")
    with pytest.raises(RecursionError):
        s.result()


@pytest.mark.parametrize("policy", wsproxy.Policy)
def test_hooks_may_switch_threads_all_the_time(scenes, policy):
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        s = scenes(policy=policy).start(lambda frame: frame.payload)
        for index in range(50):
            s.client.send_text(str(index))
            s.upstream.send_text(str(index))
            assert (s.upstream.hear_text(), s.client.hear_text()) == (str(index), str(index))
        s.close_normally()
    finally:
        sys.setswitchinterval(before)
