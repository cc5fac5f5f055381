"""scikit-learn, and whatever behaves like it, saved by joblib or pickle; read as bytes, never unpickled."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

from tiffin.models import pickles
from tiffin.models.formats.format import Format
from tiffin.models.model import Model


def _pickled(name: str) -> Callable[[Path, bytes], Model | None]:
    def read(path: Path, head: bytes) -> Model | None:
        if not (pickles.is_pickle(head) or head[:2] == b"\x1f\x8b" or head[:1] == b"\x78"):
            return None
        try:
            data = pickles.contents(path)
        except (OSError, EOFError, zlib.error):
            return None
        return read_pickled(name, path, data)

    return read


def read_pickled(name: str, path: Path, data: bytes) -> Model | None:
    """Say what an estimator's pickle needs; None where it names no scikit-learn."""
    needs = pickles.needs(data)
    if "scikit-learn" not in needs:
        return None
    version = pickles.sklearn_version(data)
    return Model(
        format=name,
        path=path,
        needs=needs,
        trained_with={"scikit-learn": version} if version else {},
        packages=("libgomp1",) if "lightgbm" in needs else (),
    )


FORMATS = (
    Format(name="sklearn-joblib", suffixes=(".joblib",), read=_pickled("sklearn-joblib")),
    Format(name="sklearn-pickle", suffixes=(".pkl", ".pickle"), read=_pickled("sklearn-pickle")),
)
