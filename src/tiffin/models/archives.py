"""What a model that is a zip says of itself: names of members, and small JSON documents; nothing is extracted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiffin.errors import IntegrityError
from tiffin.models.zips import BROKEN, opened_zip

DOCUMENT_LIMIT = 32 << 20
"""Bytes of a document inside a model that are read; a larger one is not believed."""
_MOST_VALUES = 2_000_000
"""Values of a document: each becomes an object, so that 32 MiB of brackets would take a gibibyte."""

_NO_DOCUMENT = (*BROKEN, KeyError, IntegrityError, RecursionError)


def member_names(path: Path) -> tuple[str, ...]:
    """The names of a zip's members; empty for what is no zip, or one that says two things."""
    try:
        with path.open("rb") as file, opened_zip(file) as archive:
            return tuple(archive.namelist())
    except _NO_DOCUMENT:
        return ()


def json_member(path: Path, name: str) -> dict[str, Any] | None:
    """The JSON object in one member of a zip; None where there is no such thing."""
    try:
        with path.open("rb") as file, opened_zip(file) as archive, archive.open(name) as member:
            return json_object(member.read(DOCUMENT_LIMIT + 1))
    except _NO_DOCUMENT:
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
    if len(data) > DOCUMENT_LIMIT or data.count(b",") + data.count(b"[") + data.count(b"{") > _MOST_VALUES:
        return None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def tables(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object in a JSON document, itself first, however deep."""
    waiting: list[Any] = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
