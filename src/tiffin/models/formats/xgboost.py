"""XGBoost's own files, as JSON or as Universal Binary JSON.

Format: XGBoost documentation, "Introduction to Model IO"; both hold the same object, which begins with `learner` and
ends with `version`.
"""

from __future__ import annotations

import re
from pathlib import Path

from tiffin.models.formats.format import Format
from tiffin.models.model import Model

_JSON_BEGINS = re.compile(rb'\s*\{\s*("learner"\s*:\s*\{|"version"\s*:\s*\[)')
_JSON_VERSION = re.compile(rb'"version"\s*:\s*\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]')
_UBJ_BEGINS = re.compile(rb"\{L\0{7}\x07(learner|version)")
_UBJ_VERSION = b"L\0\0\0\0\0\0\0\x07version[#L\0\0\0\0\0\0\0\x03"
_ENDS = 4096


def _read_json(path: Path, head: bytes) -> Model | None:
    if not _JSON_BEGINS.match(head):
        return None
    found = _JSON_VERSION.search(head) or _JSON_VERSION.search(_last_bytes(path))
    return _model(path, ".".join(part.decode() for part in found.groups()) if found else "")


def _read_ubj(path: Path, head: bytes) -> Model | None:
    if not _UBJ_BEGINS.match(head):
        return None
    return _model(path, _ubj_version(head) or _ubj_version(_last_bytes(path)))


def _model(path: Path, version: str) -> Model:
    return Model(format="xgboost", path=path, needs=("xgboost",), trained_with={"xgboost": version} if version else {})


def _ubj_version(data: bytes) -> str:
    """The three integers after the key: each a type mark and its bytes, big-endian."""
    _, found, rest = data.partition(_UBJ_VERSION)
    sizes = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8}
    numbers: list[str] = []
    for _ in range(3):
        size = sizes.get(rest[:1], 0)
        if not found or not size:
            return ""
        numbers.append(str(int.from_bytes(rest[1 : 1 + size], "big")))
        rest = rest[1 + size :]
    return ".".join(numbers)


def _last_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _ENDS))
        return file.read()


FORMATS = (
    Format(name="xgboost", suffixes=(".ubj",), read=_read_ubj),
    Format(name="xgboost", suffixes=(".json",), read=_read_json),
)
