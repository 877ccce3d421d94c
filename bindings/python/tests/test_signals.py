"""Ctrl-C and other signals, and the thread that the main one leaves its session to."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

import wsproxy

from peer import frame
from scene import Outcome


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


def test_a_signal_that_does_not_end_the_wait_is_heard_all_the_same(program):
    # On another thread it ends no wait of the main thread, as one that comes just before the wait begins.
    p = program(
        """
s = session()
signal.signal(signal.SIGUSR1, lambda *_: s.proxy.abort())
def signal_here():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
threading.Thread(target=signal_here).start()
s.proxy.execute(lambda frame: None)
print("over")
"""
    )
    assert p.end() == ["over"]


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
