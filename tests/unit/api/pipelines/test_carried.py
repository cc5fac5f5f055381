"""What a pipeline image has of a project: what its pipeline can read, and nothing that nobody named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.api.building.projects import Checkout
from tiffin.api.pipelines.carried import carried
from tiffin.layers.entry import Kind
from tiffin.layers.unpack import unpack_layer
from tiffin.layers.write import write_layer
from tiffin.pipeline.graph import Graph, Port
from tiffin.pipeline.keeping.folders import digest_of, look
from tiffin.progress import Event, Noted, listening
from tiffin.store.memory import MemoryStore

PROJECT = """
name = "iris"

[model]
path = "model.joblib"
training-data = "train.csv"

[python]
requirements = "requirements.txt"

[image]
include = ["*.py", "shop/**/*.py"]

[[check]]
request = "checks/one.json"

[pipeline]
include = ["queries/*.sql"]
watch = ["data", "registry.test/team/base:1", "/mnt/far"]

[pipeline.arguments]
extra = "extra.csv"
"""
NAMED = {
    "tiffin.toml", "pylock.tiffin.toml", "requirements.txt", "train.csv", "checks/one.json", "pipeline.py",
    "predict.py", "shop/rows.py", "queries/rows.sql", "data/one.csv", "data/deep/two.csv", "data/.hidden",
    "extra.csv", "rows.csv",
}  # fmt: skip
OTHERS = {
    "model.joblib", "team.key", ".env", "notes.ipynb", "checks/two.json", "shop/__pycache__/rows.pyc",
    "queries/readme.md", ".git/config",
}  # fmt: skip
GRAPH = Graph(
    name="retrain",
    body=(),
    parameters={
        "rows": Port(type="Dataset", default="rows.csv"),
        "extra": Port(type="Dataset"),
        "given": Port(type="Dataset", optional=True),
        "word": Port(type="str", default="notes.ipynb"),
    },
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMED | OTHERS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "tiffin.toml").write_text(PROJECT)
    return tmp_path


def read(folder: Path) -> tuple[set[str], list[str]]:
    """The paths of what is carried, and what is said meanwhile."""
    events: list[Event] = []
    with listening(events.append):
        entries = carried(Checkout.of(folder), GRAPH, "/pipeline")
    files = {entry.path.removeprefix("pipeline/"): entry for entry in entries if entry.kind is Kind.FILE}
    return set(files), [event.message for event in events if isinstance(event, Noted)]


def test_it_has_what_the_pipeline_reads_and_nothing_else(folder: Path) -> None:
    assert read(folder)[0] == NAMED


def test_data_that_lies_elsewhere_or_is_not_there_is_told(folder: Path) -> None:
    (folder / "rows.csv").unlink()
    found, said = read(folder)
    assert found == NAMED - {"rows.csv"}
    assert [line.partition(" ")[0] for line in said] == ["/mnt/far", "rows.csv"]
    assert all("mount it where the pipeline is run" in line for line in said)


def test_data_is_known_by_the_digest_that_it_has_here(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (folder / "data" / "empty").mkdir()
    (folder / "data" / "latest").symlink_to("one.csv")
    (folder / "data" / "one.csv").chmod(0o755)
    store, there = MemoryStore(), tmp_path_factory.mktemp("there")
    layer = write_layer(carried(Checkout.of(folder), GRAPH, "/pipeline"), store)
    with store.open(layer.descriptor) as blob:
        unpack_layer(blob, layer.descriptor.media_type, there, layer.diff_id)
    assert digest_of(look(there / "pipeline" / "data")) == digest_of(look(folder / "data"))
