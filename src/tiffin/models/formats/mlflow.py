"""MLflow's model folder: a file `MLmodel` that names flavors, the model's own files, and what it needs.

Where the folder only wraps a file that a loader here reads, that file is served and MLflow stays out of the image;
any other is served by MLflow's `pyfunc`. Format: MLflow documentation, "MLflow Models", "Storage Format".
"""

from __future__ import annotations

import re
from pathlib import Path

from packaging.utils import canonicalize_name

from tiffin.config.plain_yaml import LARGEST, Value, read_yaml
from tiffin.errors import IntegrityError, UnsupportedError
from tiffin.models.distributions import ALTERNATIVES
from tiffin.models.formats import lightgbm, onnx, sklearn, skops, xgboost
from tiffin.models.formats.format import Format
from tiffin.models.model import Model

_MARK = "MLmodel"
_FLAVORS = {"sklearn": "pickled_model", "xgboost": "data", "lightgbm": "data", "onnx": "data"}
"""Flavors whose file may be served as it is -> the key that names it."""

_FILES = (*sklearn.FORMATS, *skops.FORMATS, *onnx.FORMATS, *xgboost.FORMATS, *lightgbm.FORMATS)
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_PATHS = frozenset({"data", "code", "path", "python_model", "model_path", "model_data", "pickled_model"})
"""Keys whose value is a path from the folder."""
_INSIDE = re.compile(r"(?!/|.*\.\.)[\w ./@+=-]*")
_HEAD = 4096


def _read(path: Path, head: bytes) -> Model | None:
    flavors = _table(_document(path / _MARK), "flavors")
    if not flavors:
        if b"flavors:" not in head:
            return None
        raise UnsupportedError(f"the flavors of {path / _MARK} cannot be read", "save the model again with MLflow")
    _check_paths(path / _MARK, flavors)
    lines = _single(_requirements(path))
    inner = _wrapped(path, flavors)
    if inner is None:
        return Model(format="mlflow", path=path, needs=() if lines else ("mlflow",), requirements=tuple(lines))
    kept = _kept(lines, inner)
    listed = {_name(line) for line in kept}
    return Model(
        format=inner.format,
        path=inner.path,
        source=path,
        beside=inner.beside,
        needs=tuple(need for need in inner.needs if listed.isdisjoint(_bringing(need))),
        trained_with=inner.trained_with,
        requirements=tuple(kept),
        packages=inner.packages,
    )


def _kept(lines: list[str], inner: Model) -> list[str]:
    """The lines that a file needs which is served without MLflow.

    MLflow lists what was imported while it tried the model: torch and pytest where skops was there. Only a pickle may
    need more than its format says.
    """
    if inner.format.startswith("sklearn"):
        return [line for line in lines if not _name(line).startswith("mlflow")]
    needed = {name for need in inner.needs for name in _bringing(need)}
    return [line for line in lines if _name(line) in needed]


def _bringing(need: str) -> set[str]:
    """The distributions of which one is enough."""
    return {need, *ALTERNATIVES.get(need, ())}


def _check_paths(mark: Path, flavors: dict[str, Value]) -> None:
    """Refuse names of files that are not in the folder: MLflow joins them to it and opens what comes out."""
    waiting: list[tuple[str, Value]] = list(flavors.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(key, inner) for inner in value]
        elif key in _PATHS and not _INSIDE.fullmatch(value):
            raise IntegrityError(f"{mark}: `{key}` leads out of the folder: {value[:200]!r}", "save the model again")


def _wrapped(path: Path, flavors: dict[str, Value]) -> Model | None:
    """The file that a flavor names, where it is in the folder, is of a format here, and brings no code of its own."""
    for flavor, key in _FLAVORS.items():
        said = _table(flavors, flavor)
        name = said.get(key)
        if not isinstance(name, str) or not name or said.get("code") or _table(flavors, "python_function").get("code"):
            continue
        file = path / name
        if Path(name).name != name or not file.is_file():
            continue
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
        for format_ in _FILES:
            if file.suffix.lower() in format_.suffixes and (model := format_.read(file, head)):
                return model
    return None


def _requirements(path: Path) -> list[str]:
    """The lines of requirements.txt, else the pip part of conda.yaml; options and comments are left out."""
    file = path / "requirements.txt"
    lines: list[str] = []
    if file.is_file():
        with file.open("rb") as opened:
            lines = opened.read(LARGEST).decode("utf-8", "replace").splitlines()
    elif (path / "conda.yaml").is_file():
        dependencies = _document(path / "conda.yaml").get("dependencies")
        for part in dependencies if isinstance(dependencies, list) else ():
            pip = part.get("pip") if isinstance(part, dict) else None
            lines += [line for line in pip if isinstance(line, str)] if isinstance(pip, list) else []
    return [line.strip() for line in lines if _NAME.match(line.strip())]


def _single(lines: list[str]) -> list[str]:
    """Leave out a distribution that brings what another, smaller one in the list brings already."""
    listed = {_name(line) for line in lines}
    doubled = {name for names in ALTERNATIVES.values() for name in [name for name in names if name in listed][1:]}
    return [line for line in lines if _name(line) not in doubled]


def _name(line: str) -> str:
    found = _NAME.match(line)
    return canonicalize_name(found[0]) if found else ""


def _document(file: Path) -> dict[str, Value]:
    document = read_yaml(file)
    return document if isinstance(document, dict) else {}


def _table(document: dict[str, Value], key: str) -> dict[str, Value]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


FORMATS = (Format(name="mlflow", mark=_MARK, read=_read),)
