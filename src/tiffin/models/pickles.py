"""What a pickle says of itself, read as bytes: nothing in it is ever run.

A pickle names the modules it imports as short strings before `STACK_GLOBAL` (protocol 4 and later) or after `GLOBAL`
(protocol 2 and 3). joblib puts raw array bytes between the opcodes, so a parser of opcodes stops early; the strings are
looked for by their framing instead. A false hit costs one package too many in a proposal that the user reads.
"""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

SCAN_LIMIT = 64 << 20
"""Bytes of a pickle that are looked at: names come first, arrays make the size."""

DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "pandas": "pandas",
    "numpy": "numpy",
    "scipy": "scipy",
    "imblearn": "imbalanced-learn",
    "category_encoders": "category-encoders",
    "catboost": "catboost",
    "joblib": "joblib",
}
"""Top-level module -> the distribution that brings it."""

_STRING = re.compile(rb"\x8c(.)([A-Za-z_][\w.]*)", re.DOTALL)
_GLOBAL = re.compile(rb"c([A-Za-z_][\w.]*)\n[\w.]+\n")
_VERSION = re.compile(rb"_sklearn_version\x94?\x8c.(\d+(?:\.\w+)+)", re.DOTALL)
_FITTED_ON_NAMES = b"feature_names_in_"


def is_pickle(head: bytes) -> bool:
    """Say whether these first bytes begin a pickle of protocol 2 or later."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5  # noqa: PLR2004 - protocol numbers


def contents(path: Path) -> bytes:
    """Return the pickle's first bytes, inflated where joblib compressed them."""
    with path.open("rb") as file:
        data = file.read(SCAN_LIMIT)
    if data[:2] == b"\x1f\x8b":
        with gzip.open(path) as inflated:
            return inflated.read(SCAN_LIMIT)
    if data[:1] == b"\x78" and not is_pickle(data):
        return zlib.decompressobj().decompress(data, SCAN_LIMIT)
    return data


def modules(data: bytes) -> set[str]:
    """The modules a pickle imports, such as `sklearn.pipeline`."""
    framed = {text[: length[0]] for length, text in _STRING.findall(data) if len(text) >= length[0]}
    return {name.decode() for name in framed | set(_GLOBAL.findall(data))}


def needs(data: bytes) -> tuple[str, ...]:
    """The distributions that bring the modules a pickle imports, sorted."""
    found = {DISTRIBUTIONS[top] for name in modules(data) if (top := name.partition(".")[0]) in DISTRIBUTIONS}
    if "scikit-learn" in found and _FITTED_ON_NAMES in data:
        found.add("pandas")
    return tuple(sorted(found - {"numpy", "scipy", "joblib"} or found))


def sklearn_version(data: bytes) -> str:
    """The scikit-learn that trained the model, empty where the pickle does not say."""
    found = _VERSION.search(data)
    return found[1].decode() if found else ""
