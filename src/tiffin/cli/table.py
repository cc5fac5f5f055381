"""Tables for people, JSON for programs: the same rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Any

import click
import msgspec

from tiffin.cli.amounts import human_size
from tiffin.oci.documents import encode

_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
"""A digest, of which people read the first twelve digits."""
_SIZES = {"size", "memory", "packed", "unpacked", "wasted"}
"""Columns of bytes."""


def show(rows: Sequence[msgspec.Struct], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows as a table of these columns, or whole as JSON."""
    if as_json:
        click.echo(encode(list(rows)))
        return
    cells = [[column.upper().replace("_", " ") for column in columns]]
    cells += [[_cell(column, getattr(row, column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(column: str, value: Any) -> str:
    if column in _SIZES:
        return human_size(value)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    return _DIGEST.sub(r"\1", str(value))
