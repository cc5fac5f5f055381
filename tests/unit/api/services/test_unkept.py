"""Services that nobody keeps are told of: an empty list would say that there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from end_to_end.small import run_tiffin
from tiffin.api.machine.home import Home
from tiffin.api.services.targets import Where
from tiffin.api.services.verbs import services
from tiffin.deploy.local.places import DATABASE
from tiffin.deploy.local.state import State
from unit.deploy.local.test_state import kept


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("TIFFIN_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Home.of()


def recorded(home: Home, *names: str) -> None:
    state = State(home.data / DATABASE)
    for name in names:
        state.keep(kept(name))
    state.close()


def test_services_without_a_supervisor_are_named_and_the_status_is_that_of_a_failure(home: Home) -> None:
    recorded(home, "iris", "wine")
    done = run_tiffin(home.data.parent, "status", "--json")
    assert done.returncode != 0
    assert json.loads(done.stdout) == []
    assert "iris, wine: nobody keeps services on this machine: no supervisor runs" in done.stderr
    assert "hint: `tiffin up` starts one" in done.stderr


@pytest.mark.parametrize("names", [None, ()])
def test_where_there_are_none_there_is_nothing_to_say(home: Home, names: tuple[str, ...] | None) -> None:
    if names is not None:
        recorded(home, *names)
    assert services(Where()) == ([], None)
