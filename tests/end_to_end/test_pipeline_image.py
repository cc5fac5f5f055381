"""A project's pipeline in one container of its own image: the same results, under the same keys, as in many."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from end_to_end.small import Downloads, run_tiffin, write_project
from tiffin.api.images.verbs import find_image
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.image import keep_pipeline_image
from tiffin.errors import UnsupportedError

PROJECT = """
name = "carried"

[model]
path = "model.joblib"

[python]
dependencies = ["six"]

[pipeline]
watch = ["rows"]
settle-seconds = 0
"""
STEPS = """
from tiffin_pipeline import Dataset, Metrics, Model, Output, pipeline, step

@step
def fit(rows: Dataset, model: Output[Model], scores: Output[Metrics], depth: int = 4) -> float:
    import os
    import six
    print("fits with", sorted(os.environ))
    (table,) = rows.path.iterdir()
    model.path.write_text(table.read_text() * depth)
    scores.log("accuracy", 0.5)
    return depth / 2

@step
def fail(half: float) -> None:
    raise ValueError(half)

@pipeline
def retrain(rows: Dataset = "rows", depth: int = 4):
    return {"half": fit(rows=rows, depth=depth).output}

@step
def look() -> dict:
    import socket
    from pathlib import Path

    found = {}
    for path in ("/pipeline/tiffin.toml", "/opt/tiffin/pipeline.json", "/var/lib/tiffin", "/proc/1/environ"):
        try:
            found[path] = bool(list(Path(path).iterdir()) if Path(path).is_dir() else Path(path).read_bytes())
        except OSError as error:
            found[path] = error.strerror
    for path in ("/tmp/x", "/var/lib/tiffin/x", "/var/lib/tiffin/data/x", "x"):
        try:
            found[path] = Path(path).write_text("x")
        except OSError as error:
            found[path] = "refused"
    try:
        socket.socket(socket.AF_INET)
    except OSError as error:
        found["socket"] = error.strerror
    return found

@pipeline
def looking():
    return {"found": look().output}

@pipeline
def broken():
    fail(half=0.5)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "rows").mkdir(parents=True)
    (folder / "rows" / "table.csv").write_text("row\n")
    (folder / "team.key").write_text("a secret")
    (folder / "tiffin.toml").write_text(PROJECT.replace("[pipeline]\n", '[pipeline]\nname = "retrain"\n'))
    (folder / "pipeline.py").write_text(STEPS)
    return folder


@pytest.fixture
def own(home: Path) -> Home:
    return Home(data=home / "data", cache=home / "cache")


class Inside:
    """Containers of the pipeline image, and the folder that they keep their state in."""

    def __init__(self, home: Path, state: Path, name: str = "carried") -> None:
        self._home, self._state, self._name = home, state, name
        state.mkdir(exist_ok=True)
        for folder, _, _ in os.walk(state):  # the container's user may be another one
            Path(folder).chmod(0o777)

    def tiffin(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        options = ["--rm", "--name", f"{self._name}-{secrets.token_hex(4)}", "-v", f"{self._state}:/var/lib/tiffin:rw"]
        variables = ["-e", "TIFFIN_HOME=/var/lib/tiffin", "-e", "PASSWORD=secret"]
        return run_tiffin(
            self._home, "run", *options, *variables, f"{self._name}:pipeline", "--", "pipeline", *arguments
        )

    def ran(self, *arguments: str) -> dict[str, Any]:
        done = self.tiffin("run", "--here", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def inside(home: Path, own: Home, folder: Path, tmp_path: Path) -> Inside:
    keep_pipeline_image(folder, own)
    return Inside(home, tmp_path / "state")


def test_it_gives_what_containers_give_under_the_same_keys(home: Path, inside: Inside, folder: Path) -> None:
    there = inside.ran()
    here = json.loads(run_tiffin(home, "pipeline", "run", folder, "--json").stdout)
    for name in ("key", "values", "artifacts", "document"):
        assert there["tasks"]["fit"][name] == here["tasks"]["fit"][name], name
    assert there["outputs"] == here["outputs"] == {"half": 2.0}


def test_what_was_done_is_kept_and_another_value_is_done_anew(inside: Inside) -> None:
    assert "cached" not in inside.ran()["tasks"]["fit"]
    assert inside.ran()["tasks"]["fit"]["cached"] is True
    assert "cached" not in inside.ran("-p", "depth=5")["tasks"]["fit"]


def test_a_step_finds_the_variables_of_its_environment_and_no_others(inside: Inside) -> None:
    inside.ran()
    said = inside.tiffin("logs", "fit").stdout
    assert "fits with" in said
    assert "PASSWORD" not in said
    assert "TIFFIN_HOME" not in said


def test_what_a_step_raises_is_told_by_the_lines_of_the_project(inside: Inside) -> None:
    done = inside.tiffin("run", "--here", "--name", "broken")
    assert done.returncode == 10, done.stderr
    said = inside.tiffin("logs", "fail", "--name", "broken").stdout
    line = STEPS.split("\n").index("    raise ValueError(half)") + 1
    assert f'File "/pipeline/pipeline.py", line {line}, in fail' in said


def test_a_step_sees_neither_the_project_nor_tiffins_state_and_has_no_network(inside: Inside) -> None:
    found = inside.ran("--name", "looking")["outputs"]["found"]
    written = {"/tmp/x", "/var/lib/tiffin/x", "/var/lib/tiffin/data/x", "x"}
    assert {path: found.pop(path) for path in written} == dict.fromkeys(written, "refused")
    assert found.pop("socket") == "Operation not permitted"
    assert set(found.values()) == {"Permission denied"}, found
    assert len(found) == 4


def test_it_watches_once(inside: Inside) -> None:
    first, second = (inside.tiffin("watch", "--here", "--once", "--exit-code") for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 20), first.stderr + second.stderr


def test_the_same_project_makes_the_same_image_and_an_edit_another(own: Home, folder: Path, tmp_path: Path) -> None:
    first = keep_pipeline_image(folder, own).descriptor.digest
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    assert keep_pipeline_image(elsewhere, own).descriptor.digest == first
    (elsewhere / "pipeline.py").write_text(STEPS + "\n# edited\n")
    assert keep_pipeline_image(elsewhere, own).descriptor.digest != first
    assert find_image(own.store, "carried:pipeline").descriptor.digest != first


def test_a_step_with_an_image_of_its_own_is_refused_with_its_line(own: Home, folder: Path) -> None:
    steps = STEPS.replace("@step\ndef fail", '@step(image="registry.test/other:1")\ndef fail')
    (folder / "pipeline.py").write_text(steps)
    with pytest.raises(UnsupportedError, match=r"pipeline\.py:\d+: the step 'fail' has an image of its own") as caught:
        keep_pipeline_image(folder, own, "broken")
    assert "--to kubeflow" in str(caught.value.hint)


def test_here_is_refused_outside_of_such_an_image(home: Path, folder: Path) -> None:
    done = run_tiffin(home, "pipeline", "run", folder, "--here")
    assert done.returncode == UnsupportedError.exit_status
    assert "`--here` is for a container of a pipeline image, and this is none" in done.stderr
    assert "hint: leave it out" in done.stderr


BUILDS = """
from tiffin_pipeline import Dataset, Model, Output, build, pipeline, step

@step
def fit(words: Dataset, model: Output[Model]) -> None:
    model.path.mkdir()
    (model.path / "more.txt").write_text(str(len(words.path.read_text().split())))

@pipeline
def retrain(words: Dataset = "words.txt"):
    return {"image": build(model=fit(words=words).model).image}
"""


def test_it_builds_the_image_that_is_built_here_without_a_right_or_a_network(
    downloads: Downloads, tmp_path: Path
) -> None:
    folder = write_project(tmp_path / "small")
    shutil.copyfile(downloads.lock, folder / downloads.lock.name)
    (folder / "pipeline.py").write_text(BUILDS)
    (folder / "words.txt").write_text("three more words")
    home = downloads.copy(tmp_path / "home")
    keep_pipeline_image(folder, Home(data=home / "data", cache=home / "cache"))
    there = Inside(home, downloads.copy(tmp_path / "state"), "small").ran()
    here = json.loads(run_tiffin(home, "pipeline", "run", folder, "--json").stdout)
    assert there["outputs"] == here["outputs"]
    assert there["outputs"]["image"].startswith("small@sha256:")
