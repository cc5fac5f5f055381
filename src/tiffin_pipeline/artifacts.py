"""What steps read and write: files and folders, each of a type, and how a part of a pipeline ended."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Annotated, Any, Dict, Iterator, NamedTuple, Optional, TypeVar, Union


class Artifact(os.PathLike[str]):
    """A file or folder that a step reads or writes; `open`, pandas and others take it as they take a path.

    `metadata` are facts about it that travel along: numbers, texts, lists and dicts.
    """

    def __init__(self, path: "Union[str, os.PathLike[str]]" = "", metadata: "Optional[Dict[str, Any]]" = None) -> None:
        """Take what lies at a path, or will."""
        self.path = Path(path)
        self.metadata: Dict[str, Any] = dict(metadata or {})

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return "%s(%r)" % (type(self).__name__, str(self.path))


class Dataset(Artifact):
    """Rows, images, texts: what models are trained and tested on."""


class Model(Artifact):
    """A trained model, in whatever format."""


class Metrics(Artifact):
    """Finite numbers by name, kept as a JSON object."""

    def __init__(self, path: "Union[str, os.PathLike[str]]" = "", metadata: "Optional[Dict[str, Any]]" = None) -> None:
        """Take what lies at a path, or will."""
        super().__init__(path, metadata)
        self._logged: Dict[str, float] = {}

    def log(self, name: str, value: float) -> None:
        """Set a number; raises ValueError where it is none, NaN, or infinite."""
        self._logged[name] = finite(name, value)

    def __getitem__(self, name: str) -> float:
        return self.read()[name]

    def __contains__(self, name: object) -> bool:
        return name in self.read()

    def __iter__(self) -> Iterator[str]:
        return iter(self.read())

    def read(self) -> Dict[str, float]:
        """All numbers: what was logged, or else what the file holds; raises ValueError for what is no number."""
        return dict(self._logged) or self._kept()

    def write(self) -> None:
        """Write what was logged as the file; a step that returns has this done."""
        if self._logged:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.read(), indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def _kept(self) -> Dict[str, float]:
        if not self.path.is_file():
            return {}
        try:
            numbers = json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError("%s is no JSON: %s" % (self.path.name, error)) from error
        if not isinstance(numbers, dict):
            raise ValueError("%s is no JSON object of numbers" % self.path.name)  # noqa: TRY004 - a file's content
        return {name: finite(name, value) for name, value in numbers.items()}


class Status(NamedTuple):
    """How what an `on_exit` stands around ended: `SUCCEEDED` or `FAILED`, and then why."""

    state: str
    error: str = ""


_T = TypeVar("_T")
OUTPUT = "tiffin_pipeline.Output"
Output = Annotated[_T, OUTPUT]
"""What a step writes, as in `Output[Dataset]`: a parameter of its function, which calls of it in a pipeline give."""


def finite(name: str, value: Any) -> float:
    """A metric's number; raises ValueError with its name where it is none."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise ValueError("metric `%s` is %r, which is no number" % (name, number))  # noqa: TRY004 - as for NaN
    if not math.isfinite(number):
        raise ValueError("metric `%s` is %s: a metric is a finite number" % (name, number))
    return number


def plain(value: Any) -> Any:
    """A number or truth value of numpy or torch as Python's own; everything else as it is."""
    item = getattr(value, "item", None)
    if (
        callable(item)
        and not isinstance(value, (bool, int, float, str, list, dict))
        and not getattr(value, "shape", ())
    ):
        return item()
    return value
