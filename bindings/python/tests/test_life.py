"""Interpreters around sessions: exit, fork, garbage collection, and threads."""

from __future__ import annotations

import os
import gc
import threading
import time
import weakref

import pytest

import wsproxy

from peer import LONG, frame, request
from scene import Outcome


@pytest.mark.parametrize("policy", wsproxy.Policy)
def test_the_interpreter_exits_while_sessions_run(program, policy):
    p = program(
        """
for number in range(5):
    s = session(policy=wsproxy.Policy[sys.argv[1]])
    threading.Thread(target=s.proxy.execute, args=(lambda frame: frame.payload,), daemon=True).start()
    def flood(s=s):
        while True:
            s.client.send(BINARY, b"x" * 1000)
    def swallow(s=s):
        while True:
            s.upstream.hear()
    threading.Thread(target=flood, daemon=True).start()
    threading.Thread(target=swallow, daemon=True).start()
time.sleep(0.3)
print("leaving")
threading.excepthook = lambda *_: None  # the peers see their connections go
""",
        policy.name,
    )
    assert p.end() == ["leaving"]
    assert not [line for line in p.errors if "Fatal" in line or "panicked" in line], p.errors


def test_the_interpreter_exits_while_a_server_runs(program):
    p = program(
        """
from test_server import Upstream, pair
upstream = Upstream()
server = wsproxy.Server(upstream.url, lambda frame: None, listen="127.0.0.1:0")
server.start()
pairs = [pair(server, upstream) for _ in range(3)]
print("leaving")
"""
    )
    assert p.end() == ["leaving"]


def test_exit_waits_for_a_hook_that_is_at_work(program):
    p = program(
        """
s = session()
entered = threading.Event()
def on_frame(frame):
    entered.set()
    time.sleep(0.5)
    print("hook done")
threading.Thread(target=s.proxy.execute, args=(on_frame,), daemon=True).start()
s.client.send_text("a")
entered.wait()
print("leaving")
threading.excepthook = lambda *_: None
"""
    )
    assert p.end() == ["leaving", "hook done"]


def test_nothing_begins_while_the_interpreter_exits(program):
    p = program(
        """
import atexit
def late():
    try:
        wsproxy.Proxy()
    except wsproxy.StateError as error:
        print(error)
atexit._run_exitfuncs()
late()
"""
    )
    assert p.end() == ["the interpreter is shutting down"]


def test_a_child_of_a_process_with_sessions_may_not_use_them(program):
    p = program(
        """
s = session()
pid = os.fork()
if pid == 0:
    for call in (wsproxy.Proxy, s.proxy.execute, s.proxy.stop, lambda: s.proxy.stats):
        try:
            call()
        except wsproxy.StateError as error:
            os.write(1, str(error).split(":")[0].encode() + b"\\n")
    s.proxy.close()
    s = None
    import gc
    gc.collect()
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
s.proxy.stop()
s.client.close()
s.upstream.close()
print("the parent goes on")
"""
    )
    assert p.end() == ["this process was forked while sessions existed"] * 4 + ["7", "the parent goes on"]


def test_a_child_of_a_process_without_sessions_is_free(program):
    p = program(
        """
s = session()
s.proxy.close()
s.close()
pid = os.fork()
if pid == 0:
    s = session()
    s.proxy.close()
    print("child")
    sys.exit(0)
os.waitpid(pid, 0)
print("parent")
"""
    )
    assert p.end() == ["child", "parent"]


@pytest.mark.parametrize("policy", wsproxy.Policy)
def test_no_callback_is_collected_while_the_library_may_call_it(scenes, policy):
    stop = threading.Event()

    def collect():
        while not stop.is_set():
            gc.collect(0)
            _ = [[] for _ in range(100)]

    before = gc.get_threshold()
    gc.set_threshold(1)
    collecting = Outcome(collect)
    try:
        running = []
        for _ in range(4):
            s = scenes(policy=policy)
            # Nothing of the test holds these hooks.
            s.start(lambda frame: frame.payload + b"!" if frame.kind == "text" else None, on_handshake=lambda _: None)
            running.append(s)
        for index in range(30):
            for s in running:
                s.client.send_text(str(index))
                assert s.upstream.hear_text() == f"{index}!"
        for s in running:
            s.close_normally()
    finally:
        gc.set_threshold(*before)
        stop.set()
        collecting.get()


def test_a_session_that_is_forgotten_is_freed(scenes):
    s = scenes()

    def connect():
        proxy = wsproxy.Proxy()
        proxy.connect(s.client_end, s.url)
        return weakref.ref(proxy)

    connecting = Outcome(connect)
    s.join_client().sock.sendall(request())
    s.join_upstream()
    gone = connecting.get()
    gc.collect()
    assert gone() is None
    s.client.read_head()
    s.client.hear_close()
    s.upstream.hear_close()


def test_sessions_leave_neither_memory_objects_nor_descriptors_behind(scenes):
    def one():
        s = scenes().start(lambda frame: frame.payload)
        s.client.send_text("a")
        s.upstream.hear_text()
        s.close_normally()
        s.close()

    def standing():
        gc.collect()
        return len(os.listdir("/proc/self/fd")), sum(isinstance(o, wsproxy.Session) for o in gc.get_objects())

    for _ in range(3):
        one()
    fds, _ = standing()
    for _ in range(30):
        one()
    assert standing()[0] <= fds


def test_a_session_is_stopped_from_another_thread_while_its_hook_waits(scenes):
    entered, leave = threading.Event(), threading.Event()

    def on_frame(frame):
        entered.set()
        leave.wait(LONG)

    s = scenes(close_timeout=0.1).start(on_frame)
    s.client.send_text("a")
    assert entered.wait(LONG)
    s.proxy.abort()
    assert not s.outcome.is_over
    leave.set()
    s.result()


def test_the_gil_is_free_while_a_session_waits(scenes):
    s = scenes().start(lambda frame: None)
    began = time.monotonic()
    count = 0
    while time.monotonic() - began < 0.05:
        count += 1
    assert count > 1000 and not s.outcome.is_over
    s.close_normally()
