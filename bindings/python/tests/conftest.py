"""Fixtures: scenes that are closed at the end, over plain connections and under TLS."""

from __future__ import annotations

from typing import Any, Callable, Iterator, List, Optional

import pytest

from scene import Scene, Tls


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["ws", "wss"])
def leg(request: pytest.FixtureRequest, tls: Tls) -> Optional[Tls]:
    """Whether both legs are under TLS."""
    return tls if request.param == "wss" else None


@pytest.fixture
def scenes() -> Iterator[Callable[..., Scene]]:
    """Makes scenes, plain unless told."""
    made: List[Scene] = []

    def make(tls: Optional[Tls] = None, **settings: Any) -> Scene:
        made.append(Scene(tls, **settings))
        return made[-1]

    yield make
    for scene in made:
        scene.close()


@pytest.fixture
def scene(scenes: Callable[..., Scene], leg: Optional[Tls]) -> Callable[..., Scene]:
    """Makes scenes, plain in one run of the test and under TLS in another."""

    def make(**settings: Any) -> Scene:
        return scenes(leg, **settings)

    return make
