"""`python -m wsproxy`."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import sys
import textwrap

import pytest
from test_server import Upstream, dial, wait_until

from wsproxy import __main__ as command
from wsproxy import _view

from peer import BINARY, CONTINUATION, LONG, PING, TEXT
from program import Program


@pytest.fixture
def upstream():
    upstream = Upstream()
    yield upstream
    upstream.listener.close()


@pytest.fixture
def run(upstream, tmp_path):
    (tmp_path / "hooks.py").write_text(
        textwrap.dedent(
            """
            import wsproxy

            def shout(frame):
                if frame.payload == b"drop":
                    return wsproxy.DROP
                if frame.payload == b"end":
                    return wsproxy.Close(4001, "bye")
                if frame.payload == b"fail":
                    raise RuntimeError("meant")
                return frame.text.upper() if frame.kind == "text" else None

            async def later(frame):
                pass

            class Hooks:
                @staticmethod
                def inner(frame):
                    return None

            nothing = None
            """
        )
    )
    programs = []

    def start(*flags, **options):
        arguments = ["-m", "wsproxy", "--listen", "127.0.0.1:0", "--upstream", upstream.url, *flags]
        programs.append(Program(*arguments, cwd=tmp_path, **options))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


def listens(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return False
    return True


def visit(address, upstream):
    client = dial(address)
    far = upstream.join()
    assert " 101 " in client.read_head()
    return client, far


def talk(client, far):
    client.send_text("hellö \x1b[31m")
    far.hear()
    far.send(BINARY, bytes(range(100)))
    client.hear()
    client.send(TEXT, "é".encode()[:1], fin=False)
    client.send(PING, b"p")
    client.send(CONTINUATION, "é".encode()[1:])
    for _ in range(3):
        far.hear()
    client.send_close(1000, "done")
    far.answer_close()
    far.close()
    client.hear_close()


def test_frames_are_shown_line_by_line(run, upstream):
    program = run("--print")
    address = program.line().removeprefix("listening on ")
    talk(*visit(address, upstream))
    lines = [program.line() for _ in range(9)]
    assert "\x1b" not in "".join(lines), "no colours where there is no terminal, and no peer's either"
    assert "#1 a client has connected" in lines[0]
    assert "#1 client → upstream text" in lines[1] and lines[1].endswith("12  hellö \\x1b[31m")
    assert "client ← upstream binary" in lines[2] and lines[2].endswith("100  " + bytes(range(40)).hex() + "…")
    assert "1+ \ufffd" in lines[3]
    assert "ping" in lines[4] and "continuation" in lines[5]
    assert "close" in lines[6] and lines[6].endswith("4  1000 done")
    assert "#1 has ended: in good order" in lines[8]


def test_frames_are_shown_as_json(run, upstream):
    program = run("--json", "--hook", "hooks:shout")
    first = json.loads(program.line())
    assert first["event"] == "listening"
    client, far = visit(first["address"], upstream)
    client.send_text("a\nb")
    assert far.hear_text() == "A\nB"
    client.send_text("drop")
    client.send(BINARY, b"\x00")
    far.hear()
    client.send_text("end")
    assert client.answer_close() == far.answer_close() == (4001, "bye")
    far.close()
    events = [json.loads(program.line()) for _ in range(6)]
    for event in events:
        assert event.pop("time") and event.pop("session") == 1
    shown = {"event": "frame", "from": "client", "fin": True}
    assert events == [
        {"event": "open"},
        {**shown, "kind": "text", "size": 3, "fate": "replaced", "text": "a\nb"},
        {**shown, "kind": "text", "size": 4, "fate": "dropped", "text": "drop"},
        {**shown, "kind": "binary", "size": 1, "fate": "forwarded", "base64": "AA=="},
        {**shown, "kind": "text", "size": 3, "fate": "ended", "text": "end"},
        {"event": "end", "error": None},
    ]


def test_a_hook_that_fails_is_shown_and_ends_its_session_only(run, upstream):
    program = run("--json", "--hook", "hooks:shout")
    address = json.loads(program.line())["address"]
    client, far = visit(address, upstream)
    client.send_text("fail")
    assert client.answer_close() == far.answer_close() == (1011, "")
    far.close()
    events = [json.loads(program.line()) for _ in range(3)]
    assert events[1]["fate"] == "failed" and events[2]["error"] == "RuntimeError: meant"
    client, far = visit(address, upstream)
    client.send_text("another")
    assert far.hear_text() == "ANOTHER"
    client.close()
    far.hear_close()
    far.close()
    program.signal(signal.SIGTERM)
    program.end()
    assert "RuntimeError: meant\n" in program.errors


def test_without_a_view_nothing_is_shown(run, upstream):
    program = run("--hook", "hooks:Hooks.inner")
    talk(*visit(program.line().removeprefix("listening on "), upstream))
    program.signal(signal.SIGINT)
    assert program.end() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_a_second_one_cuts_off(run, upstream, number):
    program = run()
    address = program.line().removeprefix("listening on ")
    client, far = visit(address, upstream)
    client.send(TEXT, "1", fin=False)
    far.hear()
    program.signal(number)
    wait_until("it listens no more", lambda: not listens(address))
    client.send(CONTINUATION, "2")
    assert far.hear().payload == b"2"
    assert client.hear_close() == far.hear_close() == (1001, "")
    program.signal(number)
    program.end()


def test_frames_are_coloured_on_a_terminal(run, upstream):
    main, other = pty.openpty()
    program = run("--print", env={"TERM": "xterm"})
    program.close()
    import subprocess

    arguments = ["-u", "-m", "wsproxy", "--listen", "127.0.0.1:0", "--upstream", upstream.url, "--print"]
    with subprocess.Popen([sys.executable, *arguments], stdout=other, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(other)
        shown = b""
        while b"\n" not in shown:
            shown += os.read(main, 4096)
        client, far = visit(shown.decode().split("listening on ")[1].split()[0], upstream)
        client.send_text("colour")
        far.hear()
        while b"colour" not in shown:
            shown += os.read(main, 4096)
        assert b"\x1b[32mtext" in shown
        process.send_signal(signal.SIGTERM)
        client.answer_close()
        far.answer_close()
        far.close()
    os.close(main)


def test_a_reader_that_goes_away_ends_the_command(run, upstream):
    import subprocess

    arguments = ["-u", "-m", "wsproxy", "--listen", "127.0.0.1:0", "--upstream", upstream.url, "--json"]
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        address = json.loads(process.stdout.readline())["address"]
        process.stdout.close()
        client = dial(address)
        client.sock.settimeout(LONG)
        assert process.wait(LONG) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--hook", "hooks:none"], "hooks"),
        (["--hook", "no_such_module:f"], "no_such_module"),
        (["--hook", "hooks:nothing"], "not callable"),
        (["--hook", "hooks:later"], "wsproxy.aio"),
        (["--tls-cert", "a"], "go together"),
        (["--tls-ca", "/does/not/exist"], "exist"),
        (["--origin", "nonsense"], "origin"),
        (["--listen", "nonsense"], "nonsense"),
        (["--max-connections", "x"], "invalid int"),
    ],
)
def test_wrong_flags_end_it_with_status_2_and_words(run, flags, words):
    program = run(*flags)
    assert program.end(2) == []
    assert words in "".join(program.errors)


def test_it_has_help_and_a_version(capsys):
    for flag, words in (("--help", "--upstream"), ("--version", "wsproxy 0.")):
        with pytest.raises(SystemExit) as caught:
            command.main([flag])
        assert caught.value.code == 0 and words in capsys.readouterr().out


def test_nothing_of_a_peer_reaches_the_terminal_as_it_is():
    assert _view.printable("a\x1b]0;\x07\u202eé\n") == "a\\x1b]0;\\x07\\u202eé\\n"
