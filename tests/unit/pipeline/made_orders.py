"""Orders as a workbench leaves them behind, for tests of what is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tiffin.pipeline.graph import Command, Place, Port, Step
from tiffin.pipeline.keeping.content import Contents
from tiffin.pipeline.keeping.kept import KeptResults
from tiffin.pipeline.workbench import FILES, VALUES, Order
from tiffin.store.layout import LayoutStore
from tiffin.store.records import Records

STEP = Step(
    name="fit",
    does=Command(argv=("fit",)),
    outputs={"model": Port(type="Model"), "accuracy": Port(type="float"), "scores": Port(type="Metrics")},
    place=Place(file="pipeline.py", line=12),
)
DOCUMENT = json.dumps({"format": "1", "outputs": {name: port.type for name, port in STEP.outputs.items()}}).encode()
Content = bytes | str | Callable[[Path], object] | None
"""What a step leaves at a name: a file's bytes, a value's text, whatever is made there, or nothing."""


def make_order(folder: Path, step: Step = STEP, **left: Content) -> Order:
    """Leave behind in a new folder what `STEP` gives, but where something else is said."""
    for kind in (FILES, VALUES):
        (folder / kind).mkdir(parents=True)
    usual: dict[str, Content] = {"model": b"weights", "scores": b'{"a": 1.5}', "accuracy": "0.9"}
    for name, content in (usual | left).items():
        if isinstance(content, str):
            (folder / VALUES / name).write_text(content)
        elif isinstance(content, bytes):
            (folder / FILES / name).write_bytes(content)
        elif content is not None:
            content(folder / FILES / name)
    return Order(run="1", task="fit", attempt=2, step=step, values={}, inputs={}, folder=folder)


def folder_of(**files: bytes) -> Callable[[Path], None]:
    """Make a folder with these files."""

    def write(path: Path) -> None:
        path.mkdir()
        for name, data in files.items():
            (path / name).write_bytes(data)

    return write


def kept_in(folder: Path) -> KeptResults:
    """Have results in a home of this folder."""
    store = LayoutStore(folder / "data", pruned=True)
    return KeptResults(store, Contents(Records(folder / "cache" / "records" / "contents")))
