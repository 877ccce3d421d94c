"""README.md is true: every program in it runs as printed, and does what the words around it say.

Only the two addresses are put where there is room. The upstream echoes, and tells what it was asked.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import threading
from pathlib import Path

import pytest
import websockets
from test_server import wait_until
from websockets.sync.client import connect
from websockets.sync.server import serve

from peer import LONG
from program import Program

README = Path(__file__).resolve().parents[1] / "README.md"


def blocks(language):
    """The blocks of code, each with the heading that it stands under."""
    heading = ""
    found = []
    for part in re.split(r"^(#+ [^\n]*|```\w+\n.*?^```)$", README.read_text(), flags=re.S | re.M):
        if part.startswith("#"):
            heading = part.lstrip("# ")
        elif part.startswith(f"```{language}\n"):
            found.append((heading, part[len(language) + 4 : -3]))
    return found


PROGRAMS = blocks("python")


class Upstream:
    def __init__(self, context=None):
        self.requests = []
        self.server = serve(
            self._echo, "localhost", 0, process_request=self._asked, ssl=context, max_size=None, compression=None
        )
        self.port = self.server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def _asked(self, _connection, request):
        self.requests.append(request)

    @staticmethod
    def _echo(ws):
        with contextlib.suppress(websockets.ConnectionClosed):
            for message in ws:
                ws.send(message)

    def close(self):
        self.server.shutdown()
        self._thread.join(LONG)


@pytest.fixture
def upstream():
    upstream = Upstream()
    yield upstream
    upstream.close()


def placed(code, upstream, port=0):
    """`code` with the two addresses where there is room, and the port that clients are to use."""
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    code = code.replace("127.0.0.1:9000", f"127.0.0.1:{port}").replace('"127.0.0.1", 9000', f'"127.0.0.1", {port}')
    return re.sub(r"(127\.0\.0\.1|localhost):9001", f"localhost:{upstream.port}", code), port


@pytest.fixture
def start(upstream, tmp_path):
    programs = []

    def run(*command, to=None):
        port = 0
        words = []
        for word in command:
            text, port = placed(word, to or upstream, port)
            words.append(text)
        programs.append(Program(*words, cwd=tmp_path))
        programs[-1].url = f"ws://127.0.0.1:{port}"
        programs[-1].port = port
        return programs[-1]

    yield run
    for program in programs:
        program.close()


def listens(program):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", program.port)):
        return True
    assert program.process.poll() is None, "".join(program.errors)
    return False


@contextlib.contextmanager
def client(program, **options):
    wait_until("it listens", lambda: listens(program))
    with connect(program.url, **options) as ws:
        yield ws


def first_example(program, upstream):
    with client(program) as ws:
        ws.send(b"dropped")
        ws.send("hello")
        assert ws.recv() == "hello"
    seen = [program.line() for _ in range(3)]
    assert seen == [
        "binary from the client: 7 bytes",
        "text from the client: 5 bytes",
        "text from the upstream: 5 bytes",
    ]


def server_in_a_with_block(program, upstream):
    assert program.line().startswith("listening on 127.0.0.1:")
    with client(program) as ws:
        ws.send(["my c", "at"])
        assert ws.recv() == "my dog"
    wait_until("it is completed", lambda: len(upstream.requests) == 1)
    with client(program) as ws:
        program.signal(signal.SIGTERM)
        with pytest.raises(websockets.ConnectionClosedOK) as caught:
            ws.recv()
        assert caught.value.rcvd.code == 1001
    assert program.end()[-1].endswith("sessions went well")


def state_of_a_session(program, upstream):
    with client(program) as ws:
        ws.send("one")
        assert ws.recv() == "one"
        ws.send("how many?")
        assert ws.recv() == "2 so far"
        ws.send("enough")
        with pytest.raises(websockets.ConnectionClosed) as caught:
            while True:
                ws.recv()
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4000, "as you wish")
    # The test's own looks at the port are sessions too.
    lines = []
    while not lines or not lines[-1].endswith("18 bytes, in good order"):
        lines.append(program.line())


def one_proxy(program, upstream):
    for _ in range(int(LONG / 0.05)):
        with contextlib.suppress(OSError), connect(program.url) as ws:
            ws.send("héllo")
            assert ws.recv() == "héllo"
            break
        threading.Event().wait(0.05)
    lines = program.end()
    assert lines[0] == "<text frame from the client, 6 bytes>"
    assert lines[-1] == "6 bytes of text from the client"


def redaction(program, upstream):
    with client(program) as ws:
        ws.send(json.dumps({"user": "u", "password": "p"}))
        assert json.loads(ws.recv()) == {"user": "u", "password": "***"}
        ws.send(['{"a":', " 1}"])
        assert ws.recv() == '{"a": 1}'
        ws.send("no JSON")
        with pytest.raises(websockets.ConnectionClosed) as caught:
            ws.recv()
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1007, "JSON only")


def size_limits(program, upstream):
    with client(program) as ws:
        ws.send(bytes(1001))
        assert ws.recv() == "pictures may have 1000 bytes"
        ws.send(bytes(1000))
        assert ws.recv() == bytes(1000)
        ws.send("x" * 100_001)
        with pytest.raises(websockets.ConnectionClosed) as caught:
            ws.recv()
        assert caught.value.rcvd.code == 1009


def authorization(program, upstream):
    with client(program, additional_headers={"X-Key": "s3cret"}) as ws:
        ws.send("a")
        assert ws.recv() == "a"
    headers = upstream.requests[0].headers
    assert headers["Authorization"] == "Bearer token-of-alice" and "X-Key" not in headers
    with pytest.raises(websockets.InvalidStatus) as caught, client(program):
        pass
    assert (caught.value.response.status_code, caught.value.response.body) == (401, b"who are you?\n")


def recording(program, upstream, folder):
    with client(program) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"

    def records():
        texts = [file.read_text() for file in folder.glob("session-*.jsonl")]
        return [json.loads(line) for text in texts for line in text.splitlines()]

    wait_until("it is recorded", lambda: len(records()) == 4)
    shown = [(record["from"], record["kind"], record["payload"]) for record in records()]
    assert shown[:2] == [("client", "text", "aGVsbG8="), ("upstream", "text", "aGVsbG8=")]
    assert [record[:2] for record in shown[2:]] == [("client", "close"), ("upstream", "close")]


def with_socketserver(program, upstream):
    with client(program) as first, client(program) as second:
        for ws in (first, second):
            ws.send("hello")
            assert ws.recv() == "HELLO"


def with_asyncio(program, upstream):
    with client(program) as first, client(program) as second:
        first.send("abc")
        second.send("def")
        assert (first.recv(), second.recv()) == ("cba", "fed")


CHECKS = [
    ("wsproxy: libwsproxy from Python", first_example),
    ("Tutorial", server_in_a_with_block),
    ("Tutorial", state_of_a_session),
    ("Tutorial", one_proxy),
    ("redact a field in JSON messages", redaction),
    ("enforce a size limit", size_limits),
    ("add an auth header upstream", authorization),
    ("record a session to a file", recording),
    ("use it with `socketserver`", with_socketserver),
    ("use it with asyncio", with_asyncio),
    ("speak TLS", None),
]


def test_every_program_of_the_readme_is_run():
    assert [heading for heading, _ in PROGRAMS] == [heading for heading, _ in CHECKS]


@pytest.mark.parametrize("index", range(len(CHECKS) - 1), ids=lambda index: CHECKS[index][1].__name__)
def test_a_program_of_the_readme_does_what_is_said(index, start, upstream, tmp_path):
    check = CHECKS[index][1]
    program = start("-c", PROGRAMS[index][1])
    check(*(program, upstream, tmp_path) if check is recording else (program, upstream))


def test_the_program_with_tls_speaks_it_on_both_legs(start, tls, tmp_path):
    for name, file in (("chain.pem", tls.cert), ("key.pem", tls.key), ("authority.pem", tls.ca)):
        (tmp_path / name).write_bytes(Path(file).read_bytes())
    upstream = Upstream(tls.for_servers)
    program = start("-c", PROGRAMS[-1][1], to=upstream)
    wait_until("it listens", lambda: listens(program))
    with connect(f"wss://localhost:{program.port}", ssl=tls.for_clients) as ws:
        ws.send("secret")
        assert ws.recv() == "secret"
    upstream.close()


def test_the_command_of_the_readme_shows_frames(start):
    line = next(block for heading, block in blocks("sh") if heading == "The command").strip()
    words = line.split()
    assert words[0] == "python"
    program = start(*words[1:])
    assert program.line().startswith("listening on ")
    with client(program) as ws:
        ws.send("shown")
        assert ws.recv() == "shown"
    lines = []
    while not lines or "shown" not in lines[-1]:
        lines.append(program.line())
    assert "client → upstream text" in lines[-1]


def test_what_the_readme_says_of_errors_is_so():
    import wsproxy

    table = README.read_text().split("## Errors")[1].split("## Reference")[0]
    named = set(re.findall(r"`([A-Z]\w+)`", table)) - {"ConnectionError", "TimeoutError", "ValueError", "RuntimeError"}
    errors = {name for name in wsproxy.__all__ if isinstance(getattr(wsproxy, name), type)}
    errors = {name for name in errors if issubclass(getattr(wsproxy, name), wsproxy.Error)}
    assert named == errors - {"Error", "HandshakeError"}
    for line in table.splitlines():
        for name, also in re.findall(r"`(\w+)` \(also a `(\w+)`\)", line):
            assert issubclass(getattr(wsproxy, name), getattr(__import__("builtins"), also))
