"""A container of a pipeline image builds what it trained: without packages, a compiler or a sandbox."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.small import Downloads, blob, layers_of, tiffin, write_project
from programs.registry import registry
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.image import keep_pipeline_image
from tiffin.packages.lock import FILENAME, read_lock, with_layers, write_lock

pytestmark = pytest.mark.program("docker-registry")
NOWHERE = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9", "UV_FIND_LINKS": "", "TIFFIN_DEBIAN_MIRROR": "http://127.0.0.1:9"}
STEPS = """
from tiffin_pipeline import Dataset, Model, Output, build, pipeline, push, step

@step
def fit(more: Dataset, model: Output[Model]) -> None:
    model.path.mkdir()
    (model.path / "more.txt").write_text(more.path.read_text())
    (model.path / "rest.txt").write_text("of several files")

@pipeline
def retrain(more: Dataset = "more.txt", to: str = "{repository}:2"):
    pushed = push(build(fit(more).model).image, to=to)
    return {{"reference": pushed.reference}}
"""


@pytest.fixture
def repository() -> Iterator[str]:
    with registry() as address:
        yield f"{address}/team/small"


@pytest.fixture
def carried(downloads: Downloads, tmp_path: Path, repository: str) -> Path:
    """A home with the pipeline image of a project that nobody has built, which is in the repository, too."""
    home, folder = downloads.copy(tmp_path / "home"), write_project(tmp_path / "project")
    write_lock(with_layers(read_lock(downloads.lock), {}), folder / FILENAME)
    (folder / "more.txt").write_text("40\n")
    (folder / "pipeline.py").write_text(STEPS.format(repository=repository))
    keep_pipeline_image(folder, Home.of({"TIFFIN_HOME": str(home)}))
    tiffin(home, "push", "small:pipeline", f"{repository}:pipeline")
    return home


def run_here(home: Path, state: Path, **more: str) -> str:
    """Run the pipeline in one container with the machine's network; gives the reference of what it pushed."""
    state.mkdir()
    state.chmod(0o777)
    variables = {"TIFFIN_HOME": "/var/lib/tiffin", **NOWHERE, **more}
    words = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
    name = f"small-{secrets.token_hex(4)}"
    options = ["--rm", "--name", name, "--network", "host", "-v", f"{state}:/var/lib/tiffin:rw", *words]
    said = tiffin(home, "run", *options, "small:pipeline", "--", "pipeline", "run", "--here")
    return said.partition("reference ")[2].split()[0]


def test_it_makes_the_layers_of_the_model_alone(carried: Path, tmp_path: Path, repository: str) -> None:
    state = tmp_path / "state"
    digest = run_here(carried, state, TIFFIN_LAZY_FROM=repository).partition("@")[2]
    here = {title for title, layer in layers_of(state, digest) if blob(state, layer).exists()}
    assert here == {"weights", "code", "metadata"}


def test_what_it_pushed_answers_elsewhere(carried: Path, tmp_path: Path, repository: str) -> None:
    reference = run_here(carried, tmp_path / "state", TIFFIN_LAZY_FROM=repository)
    home, name = tmp_path / "elsewhere", f"small-{secrets.token_hex(4)}"
    tiffin(home, "run", "-d", "--name", name, reference)
    try:
        assert "42" in tiffin(home, "predict", name, '["two words"]')
    finally:
        tiffin(home, "rm", "-f", name)
