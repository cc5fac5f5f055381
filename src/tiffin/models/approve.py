"""Whether a model's file may go into an image: it is whole, and runs nothing but what its framework needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tiffin.errors import DeniedError, IntegrityError
from tiffin.models.allowed_imports import AllowedImports
from tiffin.models.archives import json_member
from tiffin.models.keras_config import keras_uses
from tiffin.models.onnx_file import external_files
from tiffin.models.pickle_machine import Use
from tiffin.models.pickle_scan import Found, Scan, scan_file
from tiffin.models.safetensors import check_safetensors
from tiffin.models.saved_model import saved_model_uses
from tiffin.models.skops_schema import skops_uses

_SHOWN = 5


def approve(path: Path, format_: str, allowed: AllowedImports) -> None:
    """Raise DeniedError, naming each import, for a model file that would import what is not allowed.

    Raises IntegrityError for a file that is damaged or cannot be followed to its end.
    """
    scan = _SCANS.get(_reads(path, format_), _pickles)(path, format_)
    if scan is None:
        return
    if refused := scan.refused(allowed):
        raise DeniedError(
            f"{path} would run code when it is loaded: " + _listed(f"{one.use.what} ({one.place})" for one in refused),
            _hint([one.use.what for one in refused if one.use.named]),
        )
    if scan.broken:
        raise IntegrityError(f"{path} cannot be followed as a pickle: {scan.broken}", "save the model again")


def _reads(path: Path, format_: str) -> str:
    """Say who reads a file: the loader of its format, else whoever reads files of its name."""
    if path.name == "saved_model.pb":
        return "tensorflow"
    return format_ if format_.startswith("sklearn") else path.suffix.lower()


def _pickles(path: Path, format_: str) -> Scan | None:
    return scan_file(path, format_)


def _safetensors(path: Path, _: str) -> Scan:
    check_safetensors(path)
    return _scan("safetensors", ())


def _onnx(path: Path, _: str) -> Scan:
    external_files(path)
    return _scan("onnx", ())


def _tensorflow(path: Path, _: str) -> Scan:
    return _scan("tensorflow", saved_model_uses(path))


def _keras(path: Path, _: str) -> Scan:
    return _of_document("keras", path, "config.json", keras_uses)


def _skops(path: Path, _: str) -> Scan:
    return _of_document("skops", path, "schema.json", skops_uses)


def _of_document(kind: str, path: Path, name: str, uses: Callable[..., Iterator[Use]]) -> Scan:
    document = json_member(path, name)
    if document is None:
        raise IntegrityError(f"{path} has no {name} that can be read", "save the model again")
    return _scan(kind, uses(document))


def _scan(kind: str, uses: Iterable[Use]) -> Scan:
    found = {use.what: Found(use=use) for use in uses}
    return Scan(kind=kind, found=tuple(found.values()))


_SCANS: dict[str, Callable[[Path, str], Scan | None]] = {
    ".safetensors": _safetensors,
    ".onnx": _onnx,
    ".keras": _keras,
    ".skops": _skops,
    "tensorflow": _tensorflow,
}


def _listed(items: Iterator[str]) -> str:
    shown = list(items)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _hint(names: list[str]) -> str:
    if not names:
        return "no framework writes such a file: do not load it; save the model again where it was trained"
    listed = ", ".join(f'"{name}"' for name in names)
    told = f"load it only if you know who made it; names of your own go under [model]: allow-imports = [{listed}]"
    if any(name.startswith("cloudpickle.") for name in names):
        return f'cloudpickle put code into it: keep that in a file, for MLflow by `python_model="file.py"`; or {told}'
    return told
