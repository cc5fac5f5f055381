"""Real fronts with real workers on loopback ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest

from unit.tiffin_serve.fronts import Serve, Server, start, train
from unit.tiffin_serve.routed import Place


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start fronts that are stopped at the end of the test."""
    servers: list[Server] = []

    def begin(model: dict[str, str], **more: Any) -> Server:
        servers.append(start(tmp_path, model, **more))
        return servers[-1]

    yield begin
    for server in servers:
        server.end()


@pytest.fixture
def predictor(tmp_path: Path, serve: Serve) -> Callable[..., Server]:
    """Serve a class of the user's own, given as source text."""

    def begin(source: str, **more: Any) -> Server:
        (tmp_path / "own.py").write_text(source)
        return serve({"format": "python", "predictor": "own:Predictor"}, **more)

    return begin


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One served scikit-learn model for every test that only asks."""
    folder = tmp_path_factory.mktemp("iris")
    joblib.dump(train(), folder / "model.joblib")
    model = {"format": "sklearn-joblib", "path": str(folder / "model.joblib")}
    server = start(folder, model, serve={"max_body_bytes": 100_000, "header_seconds": 3})
    yield server.ready()
    assert server.stop() == 0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder of a service with several revisions, whose front and workers end with the test."""
    found = Place(tmp_path)
    yield found
    found.end()
