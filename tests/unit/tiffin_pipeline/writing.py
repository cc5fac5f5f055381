"""Pipelines that a test writes as its user would, in a file, and their graphs."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import msgspec

from tiffin.pipeline.graph import Graph
from tiffin.pipeline.meaning.check import check
from tiffin_pipeline.errors import PipelineError
from tiffin_pipeline.loading import find

STEPS = """\
from typing import List, NamedTuple, Optional
from tiffin_pipeline import *

@step
def split(rows: Dataset, train: Output[Dataset], test: Output[Dataset], share: float = 0.2) -> None: ...
@step
def fit(train: Dataset, model: Output[Model], depth: int = 4) -> None: ...
@step
def score(model: Model, test: Dataset, scores: Output[Metrics]) -> float: ...
@step
def ship(model: Model) -> None: ...
@step
def complain(score: float) -> str: ...
@step
def choose(models: List[Model], best: Output[Model]) -> None: ...
@step
def listed() -> list: ...
@step
def passed() -> bool: ...
@step
def tell(how: Status, text: str = "") -> None: ...

"""
_numbers = count(1)


def module_of(text: str, folder: Path) -> ModuleType:
    """The module of a file `pipeline.py` with this text."""
    path = folder / "pipeline.py"
    path.write_text(text)
    module = ModuleType(f"pipeline_{next(_numbers)}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    exec(compile(text, path, "exec"), vars(module))  # noqa: S102 - a test wrote it
    return module


def document(text: str, folder: Path) -> dict[str, Any]:
    """The document of the only pipeline of a text."""
    return find(module_of(text, folder)).trace(str(folder))


def written(body: str, folder: Path, arguments: str = "rows: Dataset") -> Graph:
    """The graph of a pipeline with this body over the steps above, which can be run."""
    text = STEPS + f"@pipeline\ndef retrain({arguments}):\n" + indented(body)
    graph = msgspec.convert(document(text, folder), Graph)
    check(graph)
    return graph


def refused(text: str, folder: Path) -> PipelineError:
    """What is said of a text that cannot be a pipeline; its place is relative, as `pipeline.py:3`."""
    try:
        find(module_of(text, folder)).trace(str(folder))
    except PipelineError as error:
        return error
    raise AssertionError("nothing was refused")


def indented(body: str) -> str:
    """A body as it stands in a function."""
    return "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
