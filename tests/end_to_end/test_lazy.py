"""A machine that has nothing but a project and its lock builds on the layers that a registry has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from end_to_end.small import Downloads, blob, layers_of, run_tiffin, tiffin, write_project
from programs.registry import registry
from tiffin.packages.lock import FILENAME

pytestmark = pytest.mark.program("docker-registry")
NOWHERE = {
    **{f"UV_{name}": "http://127.0.0.1:9" for name in ("INDEX", "DEFAULT_INDEX", "INDEX_URL")},
    "PIP_INDEX_URL": "http://127.0.0.1:9",
    "HTTP_PROXY": "",
}
"""Where packages are not to be had."""


class Pushed(NamedTuple):
    """A project whose image is in a repository."""

    project: Path
    repository: str
    digest: str


@pytest.fixture
def pushed(downloads: Downloads, tmp_path: Path) -> Iterator[Pushed]:
    home, project = downloads.copy(tmp_path / "first"), write_project(tmp_path / "project")
    (project / FILENAME).write_bytes(downloads.lock.read_bytes())
    with registry() as address:
        repository = f"{address}/team/small"
        tiffin(home, "build", project)
        tiffin(home, "push", "small", f"{repository}:1")
        yield Pushed(project, repository, downloads.digest)


def here(home: Path, digest: str) -> set[str]:
    """What the layers of an image are called that lie on a machine."""
    return {title for title, layer in layers_of(home, digest) if blob(home, layer).exists()}


def test_an_edit_is_built_and_pushed_with_its_own_layers_alone(pushed: Pushed, tmp_path: Path) -> None:
    home, third = tmp_path / "second", tmp_path / "third"
    words = pushed.project / "parts" / "words.py"
    words.write_text(words.read_text() + "# edited\n")
    lazily = NOWHERE | {"TIFFIN_LAZY_FROM": pushed.repository}
    tiffin(home, "build", "--locked", pushed.project, **lazily)
    reference = tiffin(home, "push", "small", f"{pushed.repository}:2", **lazily)
    digest = reference.partition("@")[2]
    assert digest != pushed.digest
    assert {"weights", "code", "metadata"} <= here(home, digest)
    assert not {title for title in here(home, digest) if "bytecode" in title}, "nobody has read it"
    tiffin(third, "pull", f"{pushed.repository}:2", **NOWHERE)
    assert here(third, digest) == {title for title, _ in layers_of(third, digest)}


def test_a_release_elsewhere_takes_from_its_registry_what_the_lock_knows(pushed: Pushed, tmp_path: Path) -> None:
    with (pushed.project / "tiffin.toml").open("a") as file:
        file.write(f'[release]\npush = "{pushed.repository}"\ntags = ["latest"]\n')
    home = tmp_path / "runner"
    told = json.loads(tiffin(home, "release", pushed.project, "--json", **NOWHERE))
    assert {step["name"]: step["state"] for step in told["steps"]}["test"] == "done"
    assert here(home, told["image"]) == {title for title, _ in layers_of(home, told["image"])}, (
        "a container ran of them"
    )


def test_without_that_it_would_have_to_be_made_of_packages(pushed: Pushed, tmp_path: Path) -> None:
    done = run_tiffin(tmp_path / "second", "build", "--locked", pushed.project, **NOWHERE)
    assert done.returncode == 7
