"""An ONNX file walked without loading it: whole, and which files beside it have its tensors.

onnx.proto: a tensor's bytes may be in another file, "relative to the directory where the model file is". Loaders were
led astray by such names (CVE-2022-25882, CVE-2024-27318, CVE-2024-5187, CVE-2025-51480), so that only plain ones pass.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path, PurePosixPath

from tiffin.errors import IntegrityError
from tiffin.models.protobuf import Field, Walk

_TENSOR, _EXTERNAL = "tensor", "external"
_TABLE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: _TENSOR, 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {13: _EXTERNAL},
    _EXTERNAL: {},
}
_KEY, _VALUE = 1, 2
_OPERATORS = 8
"""A model's field that every exporter writes behind the graph."""
_LONGEST = 4096


def external_files(path: Path) -> tuple[Path, ...]:
    """The files beside an ONNX file that have its tensors, sorted.

    Raises IntegrityError for a file that is cut off or damaged, and for names that lead elsewhere or to nothing.
    """
    found: set[str] = set()
    parts: set[int] = set()
    with closing(Walk.of(path)) as walk:
        try:
            for kind, fields in walk.messages(_TABLE, "model"):
                if kind == _EXTERNAL:
                    found.update(_location(walk, fields))
                elif kind == "model":
                    parts.update(field.number for field in fields)
            if _OPERATORS not in parts:
                raise IntegrityError("it does not say which operators it needs")  # noqa: TRY301 - named below, as all
        except IntegrityError as error:
            raise IntegrityError(f"{path} is no whole ONNX file: {error.message}", "export the model again") from None
    return tuple(_beside(path, name) for name in sorted(found))


def _location(walk: Walk, fields: list[Field]) -> list[str]:
    """What the pair of this message says, where its key is `location`."""
    keys = [walk.text(field) for field in fields if field.number == _KEY]
    values = [walk.text(field) for field in fields if field.number == _VALUE and field.is_bytes]
    return values if "location" in keys else []


def _beside(path: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    odd = not parts or name.startswith("/") or ".." in parts or any(c in name for c in "\\:\0") or len(name) >= _LONGEST
    if odd:
        raise IntegrityError(
            f"{path}: a tensor is in {name[:200]!r}, which is not beside the model",
            "save model and data in one folder: `onnx.save(model, path, save_as_external_data=True)`",
        )
    file = path.parent / name
    if not file.is_file() or not file.resolve().is_relative_to(path.parent.resolve()):
        raise IntegrityError(
            f"{path}: a tensor is in {name[:200]!r}, which is no file there", "copy it beside the model"
        )
    return file
