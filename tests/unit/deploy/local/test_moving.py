"""A service goes on with another engine: its workers are replaced one after the other."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from programs.waiting import until
from tiffin.deploy.local.target import LocalTarget
from tiffin.deploy.service import Data
from tiffin.deploy.target import Phase
from tiffin.errors import ConflictError, UnsupportedError
from unit.deploy.local.stage import Play, service, supervised


@pytest.fixture
def play() -> Play:
    return Play()


def running(play: Play, engine: str = "") -> int:
    return len(play.engine_called(engine).list())


def test_it_moves_there_keeps_its_place_and_moves_back(tmp_path: Path, play: Play) -> None:
    with supervised(tmp_path, play):
        target = LocalTarget(tmp_path, play.engine, play.engine_called)
        target.apply(service(replicas=2))
        moved = target.move("iris", "other")
        assert (moved.phase, moved.ready) == (Phase.AVAILABLE, 2)
        assert (running(play), running(play, "other")) == (0, 2)
        assert [(one.number, one.engine, one.why) for one in moved.revisions[:1]] == [(2, "other", "moved to other")]
        changed = service(replicas=2)
        changed = msgspec.structs.replace(changed, template=msgspec.structs.replace(changed.template, env={"A": "1"}))
        assert target.apply(changed).revisions[0].engine == "other", "a deployment does not move it"
        assert running(play) == 0
        assert any("hello" in line.text for _, line in target.logs("iris"))
        assert target.move("iris", "memory").ready == 2
        assert (running(play), running(play, "other")) == (2, 0)
        target.delete("iris")


def test_the_next_supervisor_finds_what_another_engine_runs(tmp_path: Path, play: Play) -> None:
    target = LocalTarget(tmp_path, play.engine, play.engine_called)
    with supervised(tmp_path, play):
        target.apply(service())
        target.move("iris", "other")
        before = {one.id for one in play.engine_called("other").list()}
    with supervised(tmp_path, play):
        until(lambda: target.status("iris").ready == 1)
        assert {one.id for one in play.engine_called("other").list()} == before
        target.delete("iris")


def test_what_cannot_move_says_why(tmp_path: Path, play: Play) -> None:
    with supervised(tmp_path, play):
        target = LocalTarget(tmp_path, play.engine, play.engine_called)
        made = service()
        data = (Data(name="rows", path="/data", source="rows"),)
        target.apply(msgspec.structs.replace(made, template=msgspec.structs.replace(made.template, data=data)))
        with pytest.raises(ConflictError, match="memory runs iris already"):
            target.move("iris", "memory")
        with pytest.raises(UnsupportedError, match="volumes, which each engine has of its own: rows"):
            target.move("iris", "other")
        target.delete("iris")
