"""skops: a zip of arrays and of a `schema.json` that names every type in the model.

Format: skops documentation, "Secure persistence"; the schema is written by `skops.io._persist`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiffin.models.archives import json_member, tables
from tiffin.models.formats.format import Format
from tiffin.models.model import Model
from tiffin.models.pickles import DISTRIBUTIONS

_FITTED_ON_NAMES = "feature_names_in_"
_RELEASE = re.compile(r"\d+(\.\w+)+")


def _read(path: Path, head: bytes) -> Model | None:
    schema = json_member(path, "schema.json") if head[:2] == b"PK" else None
    if schema is None or "__module__" not in schema:
        return None
    needs = {DISTRIBUTIONS[top] for name in _modules(schema) if (top := name.partition(".")[0]) in DISTRIBUTIONS}
    if any(_FITTED_ON_NAMES in node for node in tables(schema)):
        needs.add("pandas")
    trained_with = {"skops": str(schema.get("_skops_version", "")), "scikit-learn": _sklearn_version(schema)}
    return Model(
        format="skops",
        path=path,
        needs=tuple(sorted({"skops", "scikit-learn"} | (needs - {"numpy", "scipy", "joblib"}))),
        trained_with={name: version for name, version in trained_with.items() if _RELEASE.fullmatch(version)},
        packages=("libgomp1",) if "lightgbm" in needs else (),
    )


def _modules(schema: dict[str, Any]) -> Iterator[str]:
    return (module for node in tables(schema) if isinstance(module := node.get("__module__"), str))


def _sklearn_version(schema: dict[str, Any]) -> str:
    """The state of every estimator has the version it was fitted with, as JSON within the JSON."""
    for node in tables(schema):
        said = node.get("_sklearn_version")
        if isinstance(said, dict):
            return str(said.get("content", "")).strip('"')
    return ""


FORMATS = (Format(name="skops", suffixes=(".skops",), read=_read),)
