"""Find the model in a folder and say what it is, from names and first bytes; nothing is unpickled or imported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tiffin.errors import ConfigError, NotFoundError, UnsupportedError
from tiffin.models.formats import FORMATS
from tiffin.models.model import Model

_HEAD = 4096
_SKIPPED = {"venv", "node_modules", "__pycache__", "site-packages", "build", "dist"}


def read_model(path: Path) -> Model:
    """Say what the file or folder is; raises NotFoundError, or UnsupportedError that lists the formats there are."""
    if not path.exists():
        raise NotFoundError(f"no model at {path}", "set `[model] path` in tiffin.toml, relative to its folder")
    if found := _recognise(path):
        return found
    names = ", ".join(dict.fromkeys(format_.name for format_ in FORMATS))
    raise UnsupportedError(
        f"{path} is of no format known here",
        f'formats: {names}; for any other give `[model] predictor = "module:Class"`',
    )


def find_model(folder: Path) -> Model:
    """Find the one model in a folder; raises NotFoundError for none and ConfigError for several, naming them.

    A folder that is a model counts as one, whatever lies in it. Where there is nothing but what cannot be served,
    the UnsupportedError of the first is raised.
    """
    refused: list[UnsupportedError] = []
    found = list(_models(folder, refused))
    if not found:
        raise _nothing(folder, refused)
    if len(found) > 1:
        names = ", ".join(model.named.relative_to(folder).as_posix() for model in found if model.named)
        raise ConfigError(f"{folder} has {len(found)} models: {names}", "say which: `tiffin init --model FILE`")
    return found[0]


def _nothing(folder: Path, refused: list[UnsupportedError]) -> Exception:
    if refused:
        return refused[0]
    looked_for = sorted({name for format_ in FORMATS for name in (*format_.suffixes, format_.mark) if name})
    return NotFoundError(
        f"no model in {folder}",
        f"looked for {', '.join(looked_for)}; save one there, or write a class and "
        '`[model] predictor = "predict:Predictor"`',
    )


def _recognise(path: Path) -> Model | None:
    for format_ in FORMATS:
        if format_.mark:
            first = path / format_.mark
        elif path.suffix.lower() in format_.suffixes:
            first = path
        else:
            continue
        if first.is_file() and (model := format_.read(path, _head(first))):
            return model
    return None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _models(path: Path, refused: list[UnsupportedError], depth: int = 2) -> Iterator[Model]:
    """Models in a folder and its folders, two deep, in the order of their names."""
    try:
        model = _recognise(path)
    except UnsupportedError as error:
        refused.append(error)
        return
    if model:
        yield model
    elif path.is_dir() and depth >= 0:
        for child in sorted(path.iterdir()):
            if not _is_passed_over(child):
                yield from _models(child, refused, depth - 1)


def _is_passed_over(path: Path) -> bool:
    """Say whether this is hidden, an environment, or a way out of the folder."""
    if path.name.startswith(".") or path.name in _SKIPPED:
        return True
    return path.is_dir() and (path.is_symlink() or (path / "pyvenv.cfg").exists())
