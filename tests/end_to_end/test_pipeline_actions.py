"""What tiffin does in a pipeline itself: an image is built of the model that a step gave, and its model found again."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from end_to_end.small import Downloads, blob, layers_of, write_project
from tiffin.api.images.trust import generate_key
from tiffin.api.machine.home import Home
from tiffin.api.pipelines.actions import Actions, Bound, OnlyPresent, project_digest
from tiffin.errors import UnsupportedError
from tiffin.oci.digest import Digest
from tiffin.pipeline.graph import Action, Port, Step
from tiffin.pipeline.keeping.key import key_document, key_of
from tiffin.pipeline.workbench import FILES, VALUES, Ended, Input, Order
from unit.pipeline.memory_bench import MemoryBench
from unit.pipeline.memory_results import MemoryResults

TEXT = Port(type="str")
OUTPUTS = {
    "build": {"image": TEXT},
    "sign": {"reference": TEXT},
    "push": {"reference": TEXT},
    "deploy": {"address": TEXT, "service": TEXT},
    "champion": {"model": Port(type="Model", optional=True), "image": TEXT},
}


def step_of(name: str) -> Step:
    return Step(name=name, does=Action(name=name), outputs=OUTPUTS[name])


class Project:
    """The small project with a home that has what it needs, and actions on it."""

    def __init__(self, folder: Path, downloads: Downloads) -> None:
        self.folder = write_project(folder / "small")
        shutil.copy(downloads.lock, self.folder)
        self.home = Home.of({"TIFFIN_HOME": str(downloads.copy(folder / "home"))})
        self.bound = Bound(folder=self.folder, home=self.home, engine="embedded")
        self.actions = Actions(MemoryBench(), self.bound)
        self.said = list[str]()
        self._orders = folder / "orders"

    def do(self, name: str, model: Path | None = None, **values: Any) -> tuple[Ended, Path]:
        """Have an action done; gives how it ended, and the folder with what it gave."""
        folder = self._orders / f"{name}-{len(list(self._orders.glob('*')))}"
        folder.mkdir(parents=True)
        given = Input(digest=Digest.of(b""), path=model, name="weights", type="Model") if model else None
        inputs = {"model": (given,)} if given else {}
        order = Order(run="1", task=name, attempt=1, step=step_of(name), values=values, inputs=inputs, folder=folder)
        return self.actions.do(order, self.said.append, threading.Event()), folder

    def gave(self, name: str, output: str, model: Path | None = None, **values: Any) -> str:
        ended, folder = self.do(name, model, **values)
        assert ended == Ended(), self.said
        return (folder / VALUES / output).read_text()


@pytest.fixture
def project(tmp_path: Path, downloads: Downloads) -> Project:
    return Project(tmp_path, downloads)


def test_an_image_has_the_model_that_a_step_gave(project: Project, tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    trained.mkdir()
    (trained / "more.txt").write_text("41\n")
    (trained / "more.bin").write_bytes(b"\x00" * 1000)
    config = project.folder / "tiffin.toml"
    config.write_text(config.read_text().replace('"parts/*.py"]', '"parts/*.py", "weights/*.txt"]'))
    image = project.gave("build", "image", trained)
    other = project.gave("build", "image", project.folder / "weights")
    home = project.home.data.parent
    mine, theirs = (dict(layers_of(home, name.partition("@")[2])) for name in (image, other))
    assert {title for title in mine if mine[title] != theirs.get(title)} == {"weights"}
    ended, folder = project.do("champion", image=image)
    assert ended == Ended()
    found = folder / FILES / "model"
    assert sorted(path.name for path in found.iterdir()) == ["more.bin", "more.txt"]
    assert (found / "more.txt").read_text() == "41\n"
    assert (folder / VALUES / "image").read_text() == image
    _a_signature_lies_beside_it(project, image, tmp_path)
    _what_was_deleted_is_built_again(project, other)


def _a_signature_lies_beside_it(project: Project, image: str, folder: Path) -> None:
    generate_key(str(folder / "team"), b"")
    assert project.gave("sign", "reference", image=image, key=str(folder / "team.key")) == image


def _what_was_deleted_is_built_again(project: Project, image: str) -> None:
    results = MemoryResults(project.folder.parent / "results")
    document = key_document(step_of("build"), {"tiffin": "1"}, {}, {})
    folder = project.folder.parent / "kept"
    (folder / VALUES).mkdir(parents=True)
    (folder / FILES).mkdir()
    (folder / VALUES / "image").write_text(image)
    order = Order(run="1", task="build", attempt=1, step=step_of("build"), values={}, inputs={}, folder=folder)
    results.keep(document, order, Ended(), 0.1)
    present = OnlyPresent(results, project.home)
    assert present.find(key_of(document)) is not None
    blob(project.home.data.parent, image.partition("@")[2]).unlink()
    assert present.find(key_of(document)) is None


def test_where_nothing_is_deployed_there_is_no_champion(project: Project) -> None:
    ended, folder = project.do("champion", image="nothing-of-that-name")
    assert ended == Ended()
    assert not list((folder / FILES).iterdir())
    assert any("there is no champion" in line for line in project.said)


def test_an_action_that_is_refused_says_why_and_what_to_do(project: Project) -> None:
    ended, _ = project.do("deploy", image="small", to="nowhere")
    assert ended.exit_code == 4
    assert ended.reason == "tiffin.toml here has no environment 'nowhere'"
    assert project.said[-1].startswith("hint: ")
    ended, _ = project.do("sign", image="small")
    assert "not told which key" in ended.reason
    ended, _ = project.do("push", image="small", to="small")
    assert "names no registry" in ended.reason


def test_an_image_is_known_by_all_that_it_is_made_of_but_the_model(project: Project) -> None:
    def known() -> Digest:
        return project_digest(project.bound)

    before = known()
    (project.folder / "weights" / "more.txt").write_text("7\n")
    assert known() == before
    (project.folder / "parts" / "words.py").write_text("def count(text): return 1\n")
    edited = known()
    assert edited != before
    config = project.folder / "tiffin.toml"
    config.write_text(config.read_text() + "max-batch = 8\n")
    assert known() not in {before, edited}


def test_other_steps_are_left_to_the_bench_and_unknown_actions_refused(project: Project) -> None:
    assert project.actions.identity(step_of("push")) == project.actions.identity(step_of("deploy"))
    with pytest.raises(UnsupportedError, match="no 'publish' in a pipeline"):
        project.actions.identity(Step(name="publish", does=Action(name="publish")))
