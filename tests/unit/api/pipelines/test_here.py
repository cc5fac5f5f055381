"""The bench that is this very container: what its image says of it, and what its kernel cannot keep from a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.api.machine.container import PipelineImage
from tiffin.api.machine.home import Home
from tiffin.api.pipelines import here
from tiffin.api.pipelines.here import here_bench, refuse_others
from tiffin.errors import UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.oci.documents import encode
from tiffin.pipeline.benches.confinement import Confinement
from tiffin.pipeline.graph import Action, Command, Function, Graph, Step
from tiffin.progress import Event, Noted, listening

SAID = PipelineImage(environment=Digest.of(b"environment"), language=Digest.of(b"language"), variables={"PATH": "/bin"})
FIT = Step(name="fit", does=Function(module="pipeline", name="fit"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiffin.toml").write_text('name = "iris"\n')
    (tmp_path / "pipeline.py").write_text("def fit(): ...\n")
    (tmp_path / "pipeline.json").write_bytes(encode(SAID))
    return tmp_path


def known(folder: Path) -> tuple[dict[str, str], list[str]]:
    """What a step is known by there, and what is told when the bench is made."""
    home, told = Home(data=folder / "data", cache=folder / "cache"), list[Event]()
    with listening(told.append):
        bench = here_bench(folder, home, ("pipeline.py",), folder / "pipeline.json")
    return bench.identity(FIT), [event.message for event in told if isinstance(event, Noted)]


def test_a_step_is_known_by_the_environment_that_the_image_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "kernel", lambda: Confinement(landlock=7, architecture="amd64"))
    identity, told = known(folder)
    assert identity.keys() == {"environment", "code"}
    assert (identity["environment"], told) == (SAID.environment, [])


def test_that_it_is_not_confined_is_told_once_and_known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "kernel", Confinement)
    identity, told = known(folder)
    assert identity["unconfined"] == "landlock-0"
    assert told == ["steps are not confined here, and known by that: files: the kernel has no Landlock"]


def test_a_pipeline_with_a_step_that_needs_another_image_is_refused_and_one_with_actions_is_not() -> None:
    build = Step(name="build", does=Action(name="build"))
    other = Step(name="other", does=Command(argv=("x",), image="registry.test/other:1"))
    refuse_others(Graph(name="retrain", body=(), steps={"fit": FIT, "build": build}))
    with pytest.raises(UnsupportedError, match="the step 'other' has an image of its own"):
        refuse_others(Graph(name="retrain", body=(), steps={"fit": FIT, "other": other}))


def test_outside_of_a_pipeline_image_there_is_none(folder: Path) -> None:
    (folder / "pipeline.json").unlink()
    with pytest.raises(UnsupportedError, match="`--here` is for a container of a pipeline image, and this is none"):
        known(folder)
