"""Fixtures: scenes that are closed at the end, over plain connections and under TLS, and programs that are ended."""

from __future__ import annotations

from typing import Any, Callable, Iterator, List, Optional

import pytest

from program import PRELUDE, Program
from scene import Scene, Tls


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def scenes() -> Iterator[Callable[..., Scene]]:
    """Makes scenes: plain ones on the blocking API, unless told."""
    made: List[Scene] = []

    def make(tls: Optional[Tls] = None, front: str = "threads", **settings: Any) -> Scene:
        made.append(Scene(tls, front, **settings))
        return made[-1]

    yield make
    for scene in made:
        scene.close()


@pytest.fixture(params=["ws", "wss", "ws-asyncio", "wss-asyncio"])
def scene(request: pytest.FixtureRequest, scenes: Callable[..., Scene], tls: Tls) -> Callable[..., Scene]:
    """Makes scenes, in each run of the test of another kind: plain and under TLS, on threads and on an event loop."""
    scheme, _, front = request.param.partition("-")

    def make(**settings: Any) -> Scene:
        return scenes(tls if scheme == "wss" else None, front or "threads", **settings)

    return make


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    """Runs programs of this code, behind the prelude."""
    programs: List[Program] = []

    def run(code: str, *arguments: str, **options: Any) -> Program:
        programs.append(Program("-c", PRELUDE + code, *arguments, **options))
        return programs[-1]

    yield run
    for one in programs:
        one.close()
