"""Tables that fit: columns as wide as what is in them; where there is no room, those go that are worth least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tiffin.cli.amounts import human_size

UNKNOWN = "-"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WHOLE, _MANY = 10, 100_000
_SLOW = 10.0
_SHORTEST = 8
"""Characters of a name at least, where columns after it can go instead."""


class Column(NamedTuple):
    """One column: its title, what is in it, and how late it is left out; the first one is never."""

    title: str
    cell: Callable[[Any], str]
    worth: int = 0


def fitted(columns: Sequence[Column], rows: Sequence[Any], width: int) -> list[str]:
    """The table's lines, the titles first: the first column to the left, the others to the right."""
    cells = {column: [column.title, *(printable(column.cell(row)) for row in rows)] for column in columns}
    widths = {column: max(map(len, texts)) for column, texts in cells.items()}
    first, *rest = columns
    kept = set(rest)
    while kept and min(widths[first], _SHORTEST) + sum(widths[one] + 1 for one in kept) > width:
        kept.remove(min(kept, key=lambda one: (one.worth, -rest.index(one))))
    shown = [one for one in rest if one in kept]
    room = max(width - sum(widths[one] + 1 for one in shown), 1)
    names = min(widths[first], room)
    return [
        " ".join(
            [_cut(cells[first][line], names).ljust(names), *(cells[one][line].rjust(widths[one]) for one in shown)]
        )
        for line in range(len(rows) + 1)
    ]


def printable(text: str) -> str:
    """A cell on one line, which commands no terminal."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def number(value: float | None) -> str:
    """A number of something in four or five characters."""
    if value is None:
        return UNKNOWN
    if value >= _MANY:
        return f"{value / 1000:.0f}k"
    return f"{value:.0f}" if value >= _WHOLE or value == int(value) else f"{value:.1f}"


def seconds(value: float | None) -> str:
    """How long something took."""
    if value is None:
        return UNKNOWN
    if value >= 1:
        return f"{value:.1f}s" if value < _SLOW else f"{value:.0f}s"
    milliseconds = value * 1000
    return f"{milliseconds:.0f}ms" if milliseconds >= _WHOLE else f"{milliseconds:.1f}ms"


def age(value: float) -> str:
    """How long something has been there, as kubectl says it."""
    if value < 2 * _MINUTE:
        return f"{value:.0f}s"
    if value < 2 * _HOUR:
        return f"{value / _MINUTE:.0f}m"
    return f"{value / _HOUR:.0f}h" if value < 2 * _DAY else f"{value / _DAY:.0f}d"


def percent(value: float | None) -> str:
    """A share of a processor."""
    return UNKNOWN if value is None else f"{value:.0f}%"


def size(value: int | None) -> str:
    """Bytes, without the space that people write."""
    return UNKNOWN if value is None else human_size(value).replace(" ", "")
