"""A supervisor that is played to, and this machine as a target."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tiffin.deploy.local import tended
from tiffin.deploy.local.target import LocalTarget
from unit.deploy.local.stage import Play, supervised


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def play() -> Play:
    return Play()


@pytest.fixture
def target(data: Path, play: Play, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalTarget]:
    monkeypatch.setattr(tended, "IDLE_SECONDS", 0.5)  # threads have no process whose end could be heard
    with supervised(data, play):
        target = LocalTarget(data, play.engine)
        yield target
        for status in target.list():
            target.delete(status.name)
