"""What a model that is a zip says of itself: names of members, and small JSON documents; nothing is extracted."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

DOCUMENT_LIMIT = 32 << 20
"""Bytes of a document inside a model that are read; a larger one is not believed."""

_BROKEN = (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, RecursionError)
"""What zipfile and json raise for files that are no zip, are encrypted, cut off, or absurdly nested."""


def member_names(path: Path) -> tuple[str, ...]:
    """The names of a zip's members; empty for what is no zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(archive.namelist())
    except _BROKEN:
        return ()


def json_member(path: Path, name: str) -> dict[str, Any] | None:
    """The JSON object in one member of a zip; None where there is no such thing."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            return json_object(file.read(DOCUMENT_LIMIT + 1))
    except (*_BROKEN, KeyError):
        return None


def json_file(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where there is no such thing."""
    try:
        with path.open("rb") as file:
            return json_object(file.read(DOCUMENT_LIMIT + 1))
    except OSError:
        return None


def json_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object that these bytes are; None for anything else."""
    if len(data) > DOCUMENT_LIMIT:
        return None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
