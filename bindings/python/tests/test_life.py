"""Interpreters around sessions: Ctrl-C, other signals, exit, fork, garbage collection."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref

import pytest

import wsproxy

from peer import LONG, request
from program import Program
from scene import Outcome

# `session` connects one whose peers answer no close; the program executes it where it likes.
PRELUDE = """
import os, signal, sys, threading, time
import wsproxy
from peer import *
from scene import Outcome, Scene

# Who starts the tests in the background has had Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def session(**settings):
    s = Scene(close_timeout=600, **settings)
    connecting = Outcome(lambda: s.proxy.connect(s.client_end, s.url))
    s.join_client().sock.sendall(request())
    s.join_upstream()
    connecting.get()
    s.client.read_head()
    return s
"""


@pytest.fixture
def program():
    programs = []

    def run(code, *arguments, **options):
        programs.append(Program("-c", PRELUDE + code, *arguments, **options))
        return programs[-1]

    yield run
    for one in programs:
        one.close()


@pytest.mark.parametrize("policy", wsproxy.Policy)
def test_ctrl_c_ends_execute_at_once_although_no_peer_answers(program, policy):
    p = program(
        """
s = session(policy=wsproxy.Policy[sys.argv[1]])
began = time.monotonic()
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    s.proxy.execute(lambda frame: None)
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - began - 0.3 < 5)
print(s.client.hear_close(), s.upstream.hear_close())
""",
        policy.name,
    )
    assert p.end() == ["interrupted True", "(1001, '') (1001, '')"]


def test_ctrl_c_ends_execute_although_a_hook_does_not_return(program):
    p = program(
        """
leave = threading.Event()
s = session()
s.client.send_text("a")
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    s.proxy.execute(lambda frame: leave.wait(60))
except KeyboardInterrupt:
    print("interrupted")
leave.set()
"""
    )
    assert p.end() == ["interrupted"]


def test_ctrl_c_ends_connect(program):
    p = program(
        """
s = Scene(connect_timeout=600)
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    s.proxy.connect(s.client_end, s.url)
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    assert p.end() == ["interrupted"]


def test_ctrl_c_ends_serve_and_says_goodbye(program):
    p = program(
        """
from test_server import Upstream, dial
upstream = Upstream()
def visit():
    client = dial(front)
    far = upstream.join()
    client.read_head()
    client.send_text("a")
    far.hear_text()
    os.kill(os.getpid(), signal.SIGINT)
    print(client.hear_close(), far.hear_close())
import socket
listener = socket.create_server(("127.0.0.1", 0))
front = "127.0.0.1:%d" % listener.getsockname()[1]
visiting = Outcome(visit)
try:
    wsproxy.serve(listener, upstream.url, lambda frame: None)
except KeyboardInterrupt:
    print("interrupted")
visiting.get()
"""
    )
    assert sorted(p.end()) == ["(1001, '') (1001, '')", "interrupted"]


def test_signal_handlers_run_while_execute_does_and_change_nothing(program):
    p = program(
        """
seen = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: seen.set())
s = session()
def talk():
    os.kill(os.getpid(), signal.SIGUSR1)
    print("handled", seen.wait(20))
    s.client.send_text("still here")
    print(s.upstream.hear_text())
    s.proxy.abort()
talking = Outcome(talk)
s.proxy.execute(lambda frame: None)
talking.get()
"""
    )
    assert p.end() == ["handled True", "still here"]


def test_a_signal_handler_may_stop_the_session(program):
    p = program(
        """
s = session()
signal.signal(signal.SIGTERM, lambda *_: s.proxy.stop(4000, "told to"))
threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
answering = Outcome(lambda: (s.client.answer_close(), s.upstream.answer_close(), s.upstream.close()))
s.proxy.execute(lambda frame: None)
print(answering.get()[:2])
"""
    )
    assert p.end() == ["((4000, 'told to'), (4000, 'told to'))"]


def test_what_a_hook_raises_comes_out_on_the_main_thread_too(program):
    p = program(
        """
import contextvars, traceback
variable = contextvars.ContextVar("variable")
variable.set("seen")
def on_frame(frame):
    raise RuntimeError(variable.get())
s = session()
s.client.send_text("a")
closing = Outcome(lambda: (s.client.answer_close(), s.upstream.answer_close(), s.upstream.close()))
try:
    s.proxy.execute(on_frame)
except RuntimeError as error:
    print(error, traceback.extract_tb(error.__traceback__)[-1].name)
"""
    )
    assert p.end() == ["seen on_frame"]


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


def test_only_the_main_thread_has_a_thread_made_for_it(program):
    p = program(
        """
names = []
s = session()
s.client.send_text("a")
def end():
    s.upstream.hear_text()
    s.proxy.abort()
ending = Outcome(end)
s.proxy.execute(lambda frame: names.append(threading.current_thread().name))
print(names)
"""
    )
    assert p.end() == ["['wsproxy']"]


def test_what_is_left_of_signals_is_what_was_there(program):
    p = program(
        """
before = signal.getsignal(signal.SIGINT), signal.set_wakeup_fd(-1)
s = session()
threading.Timer(0.1, s.proxy.abort).start()
s.proxy.execute()
print(before == (signal.getsignal(signal.SIGINT), signal.set_wakeup_fd(-1)))
"""
    )
    assert p.end() == ["True"]
