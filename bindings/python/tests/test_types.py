"""The types that the package promises."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import wsproxy

PROGRAM = """
    import asyncio
    import socket

    import wsproxy
    import wsproxy.aio

    def on_frame(frame: wsproxy.Frame) -> wsproxy.Fate:
        if frame.kind is wsproxy.Kind.CLOSE:
            return frame.replace("bye", code=4000)
        if frame.side == "client":
            return frame.text.upper()
        return wsproxy.DROP if len(frame) > 10 else wsproxy.Close(1008, "no")

    async def later(frame: wsproxy.Frame) -> wsproxy.Fate:
        await asyncio.sleep(0)
        return None

    def on_end(session: wsproxy.Session, error: "BaseException | None") -> None:
        reveal_type(session.stats.client.frames)

    def run(sock: socket.socket) -> None:
        with wsproxy.Proxy(wsproxy.Config(max_frame_size={"client": 10}, aggregate=True)) as proxy:
            proxy.connect(sock, "ws://localhost", on_handshake=lambda handshake: wsproxy.Refuse(401))
            proxy.execute(on_frame)
        wsproxy.serve("127.0.0.1:0", "ws://localhost", on_frame, on_end=on_end)

    async def main(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wsproxy.aio.execute(reader, writer, "ws://localhost", later)
        await wsproxy.aio.serve("127.0.0.1:0", "ws://localhost", on_frame)
"""


def mypy(*arguments, folder):
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), *arguments]
    home = Path(wsproxy.__file__).parents[1]
    # Where it is installed mypy finds it by itself.
    environment = os.environ if home.name == "site-packages" else {**os.environ, "MYPYPATH": str(home)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def test_the_package_passes_mypy_strict(tmp_path):
    done = mypy("-p", "wsproxy", folder=tmp_path)
    assert done.returncode == 0, done.stdout


def test_a_program_with_the_right_types_passes_and_one_with_wrong_ones_does_not(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    done = mypy(str(program), folder=tmp_path)
    assert done.returncode == 0 and "dict[wsproxy._frame.Kind, " in done.stdout, done.stdout
    program.write_text("import wsproxy\nwsproxy.Config(max_frame_size='a')\nwsproxy.Proxy().execute(lambda frame: 7)\n")
    done = mypy(str(program), folder=tmp_path)
    assert done.returncode == 1, done.stdout
    assert "program.py:2: error" in done.stdout and "program.py:3: error" in done.stdout, done.stdout


def test_the_package_says_that_it_has_types():
    assert Path(wsproxy.__file__).with_name("py.typed").exists()


def test_everything_public_is_documented():
    for name in wsproxy.__all__:
        thing = getattr(wsproxy, name)
        assert name in ("DROP", "Fate") or thing.__doc__, name
        if isinstance(thing, type) and thing.__module__.startswith("wsproxy"):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    assert value.__doc__, f"{name}.{member}"
