"""LightGBM's own text files, which begin with the line `tree` and then `version=v4` or an earlier one."""

from __future__ import annotations

import re
from pathlib import Path

from tiffin.models.formats.format import Format
from tiffin.models.model import Model

_BEGINS = re.compile(rb"tree\r?\nversion=v\d+\r?\n")


def _read(path: Path, head: bytes) -> Model | None:
    if not _BEGINS.match(head):
        return None
    # its wheels link the system's OpenMP, which no wheel brings
    return Model(format="lightgbm", path=path, needs=("lightgbm",), packages=("libgomp1",))


FORMATS = (Format(name="lightgbm", suffixes=(".txt", ".lgb", ".model"), read=_read),)
