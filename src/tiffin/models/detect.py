"""Find the model in a folder and say what it is, from names and first bytes; nothing is unpickled or imported."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from tiffin.errors import ConfigError, NotFoundError, UnsupportedError
from tiffin.models import pickles
from tiffin.models.model import Model

_HEAD = 4096
_SKIPPED = {"venv", "node_modules", "__pycache__", "site-packages", "build", "dist"}


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of model file: its usual suffixes, and the function that reads one (None: it is not of this format)."""

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Path, bytes], Model | None]


def _pickled(name: str) -> Callable[[Path, bytes], Model | None]:
    def read(path: Path, head: bytes) -> Model | None:
        if not (pickles.is_pickle(head) or head[:2] == b"\x1f\x8b" or head[:1] == b"\x78"):
            return None
        try:
            data = pickles.contents(path)
        except (OSError, EOFError, zlib.error):
            return None
        needs = pickles.needs(data)
        if "scikit-learn" not in needs:
            return None
        version = pickles.sklearn_version(data)
        trained_with = {"scikit-learn": version} if version else {}
        return Model(format=name, path=path, needs=needs, trained_with=trained_with)

    return read


def _onnx(path: Path, head: bytes) -> Model | None:
    """An ONNX file is a protobuf whose first field is `ir_version` (onnx.proto, ModelProto, field 1, a varint)."""
    if head[:1] == b"\x08" and len(head) > 2 and 1 <= head[1] <= 20:  # noqa: PLR2004 - ir_version of all releases
        return Model(format="onnx", path=path, needs=("onnxruntime",))
    return None


FORMATS = (
    Format(name="sklearn-joblib", suffixes=(".joblib",), read=_pickled("sklearn-joblib")),
    Format(name="sklearn-pickle", suffixes=(".pkl", ".pickle"), read=_pickled("sklearn-pickle")),
    Format(name="onnx", suffixes=(".onnx",), read=_onnx),
)
"""Every format, in the order they are asked."""


def read_model(path: Path) -> Model:
    """Say what the file is; raises NotFoundError, or UnsupportedError that lists the formats there are."""
    if not path.is_file():
        raise NotFoundError(f"no model at {path}", "set `[model] path` in tiffin.toml, relative to its folder")
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for format_ in FORMATS:
        if path.suffix.lower() in format_.suffixes and (model := format_.read(path, head)):
            return model
    raise UnsupportedError(
        f"{path} is of no format known here",
        f'formats: {", ".join(f.name for f in FORMATS)}; for any other give `[model] predictor = "module:Class"`',
    )


def find_model(folder: Path) -> Model:
    """Find the one model in a folder; raises NotFoundError for none and ConfigError for several, naming them."""
    suffixes = {suffix for format_ in FORMATS for suffix in format_.suffixes}
    found = []
    for path in sorted(_candidates(folder)):
        if path.suffix.lower() in suffixes:
            try:
                found.append(read_model(path))
            except UnsupportedError:
                continue
    if not found:
        raise NotFoundError(
            f"no model in {folder}",
            f"looked for {', '.join(sorted(suffixes))}; save one there, or write a class and "
            '`[model] predictor = "predict:Predictor"`',
        )
    if len(found) > 1:
        names = ", ".join(str(model.path.relative_to(folder)) for model in found if model.path)
        raise ConfigError(f"{folder} has {len(found)} models: {names}", "say which: `tiffin init --model FILE`")
    return found[0]


def _candidates(folder: Path, depth: int = 2) -> list[Path]:
    """Files of a folder and its folders, two deep, without hidden ones and environments."""
    found = []
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name in _SKIPPED:
            continue
        if path.is_file():
            found.append(path)
        elif depth and path.is_dir() and not path.is_symlink() and not (path / "pyvenv.cfg").exists():
            found += _candidates(path, depth - 1)
    return found
