"""What the supervisor remembers, and what it says of a file that it cannot use."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import msgspec
import pytest

from tiffin.deploy.local.seen import Desired
from tiffin.deploy.local.state import Kept, Loss, State, kept_images
from tiffin.deploy.service import Service, Template
from tiffin.errors import ConflictError, FullError, IntegrityError, NotFoundError, UnavailableError
from tiffin.oci.digest import Digest

TEMPLATE = Template(image="iris", digest=Digest.of(b"iris"), ports={"http": 8080})
OTHER = msgspec.structs.replace(TEMPLATE, digest=Digest.of(b"iris 2"))


def kept(name: str = "iris", template: Template = TEMPLATE) -> Kept:
    service = Service(name=name, template=template)
    return Kept(service=service, desired=Desired(revision=1, replicas=2), port=8080, token="secret")  # noqa: S106 - of a test


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "deploy.sqlite"


def test_services_revisions_and_events_are_there_when_it_is_opened_again(file: Path) -> None:
    state = State(file)
    state.keep(kept())
    first = state.revision("iris", TEMPLATE, "iris:1")
    second = state.revision("iris", OTHER, "iris:2")
    state.note("iris", "rollout", "revision 2 began", {"replicas": 2})
    state.close()
    again = State(file)
    assert again.services() == {"iris": kept()}
    assert [one.number for one in again.history("iris")] == [2, 1]
    assert again.history("iris") == [second, first]
    (event,) = again.events("iris")
    assert (event.kind, event.numbers) == ("rollout", {"replicas": 2})
    assert again.events("other") == again.events("iris", after=event.id) == []


def test_the_same_template_is_the_same_revision(file: Path) -> None:
    state = State(file)
    assert [state.revision("iris", one, "").number for one in (TEMPLATE, OTHER, TEMPLATE)] == [1, 2, 1]


def test_old_revisions_are_forgotten_but_those_that_are_needed(file: Path) -> None:
    state = State(file)
    for number in range(5):
        state.revision("iris", msgspec.structs.replace(TEMPLATE, env={"N": str(number)}), "")
    state.trim("iris", 2, needed=[1])
    assert [one.number for one in state.history("iris")] == [5, 4, 1]
    assert state.revision("iris", OTHER, "").number == 6


def test_a_lost_replica_is_noted_once(file: Path) -> None:
    state = State(file)
    state.keep(kept())
    loss = Loss(container="c1", revision=1, time=time.time(), why="exit code 3", log=("no module x",))
    assert state.lose("iris", loss)
    assert not state.lose("iris", loss)
    assert state.losses("iris") == [loss]
    state.forget("iris")
    assert state.losses("iris") == []
    with pytest.raises(NotFoundError, match="no service is called iris"):
        state.find("iris")


def test_images_of_kept_revisions_are_needed(file: Path) -> None:
    assert kept_images(file) == set()
    state = State(file)
    state.keep(kept())
    state.revision("iris", TEMPLATE, "")
    state.revision("iris", OTHER, "")
    assert kept_images(file) == {TEMPLATE.digest, OTHER.digest}


def test_a_file_of_something_else_is_told_with_what_to_do(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(IntegrityError, match="is damaged") as told:
        State(file)
    assert "mv" in (told.value.hint or "")


def test_a_file_of_a_newer_tiffin_is_left_alone(file: Path) -> None:
    State(file).close()
    database = sqlite3.connect(file)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ConflictError, match="version 99"):
        State(file)


def test_a_file_that_another_process_holds_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiffin.deploy.local.state.BUSY_SECONDS", 0.01)
    state = State(file)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="is locked"):
        state.keep(kept())
    other.execute("ROLLBACK")
    other.close()
    state.keep(kept())


def fill(state: State) -> None:
    for number in range(1000):
        state.note("iris", "test", "x" * 1000, {"n": number})


def test_a_full_disk_leaves_what_was_there(file: Path) -> None:
    state = State(file)
    state.keep(kept())
    (pages,) = state._database.execute("PRAGMA page_count").fetchone()
    state._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(FullError, match="no room"):
        fill(state)
    assert state.services() == {"iris": kept()}
    state._database.execute("PRAGMA max_page_count = 100000")
    state.note("iris", "test", "there is room again")
