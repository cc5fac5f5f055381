"""A pipeline in a terminal: a line a task, in the order in which they can run, with what each waits for. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tiffin.pipeline.pictures.frames import Frame, State
from tiffin.pipeline.pictures.words import state_of, told

_SIGNS: dict[State | None, str] = {
    None: "○",
    "waiting": "○",
    "running": "◐",
    "done": "●",
    "kept": "●",
    "skipped": "·",
    "failed": "✗",
    "stopped": "✗",
}
_COLOURS: dict[State | None, str] = {
    "running": "\x1b[33m",
    "done": "\x1b[32m",
    "kept": "\x1b[36m",
    "skipped": "\x1b[2m",
    "failed": "\x1b[31m",
    "stopped": "\x1b[31m",
}
_PLAIN = "\x1b[0m"


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    state: State | None = None
    words: str = ""
    after: str = ""
    why: str = ""
    is_task: bool = True


def lines(frame: Frame, *, colour: bool = False) -> list[str]:
    """Draw a pipeline; the words say all that colours do."""
    rows = list(_rows(frame, "  "))
    tasks = [_cells(row) for row in rows if row.is_task]
    widths = [max(map(len, cells)) for cells in zip(*tasks, strict=True)]
    return [frame.title, *(_line(row, widths, colour=colour) for row in rows)]


def _rows(frame: Frame, indent: str) -> Iterator[_Row]:
    for one in _sorted(frame.inner):
        after = f"← {', '.join(one.after)}" if one.after else ""
        if one.kind == "task":
            state, words = state_of(one.marks), told(one.marks)
            why = next((mark.why for mark in one.marks if mark.why), "")
            name = f"{indent}{_SIGNS[state]} {one.title}"
            yield _Row(name=name, state=state, words=words, after=after, why=why)
        elif one.kind == "branches":
            yield from _rows(one, indent)
        else:
            yield _Row(name=f"{indent}◇ {one.title}", after=after, is_task=False)
            yield from _rows(one, indent + "  ")


def _sorted(frames: tuple[Frame, ...]) -> list[Frame]:
    """Siblings so that each comes below what it waits for, else as they were written."""
    left, placed, ordered = list(frames), set[str](), []
    while left:
        first = next((one for one in left if placed.issuperset(one.after)), left[0])
        ordered.append(first)
        placed.add(first.name)
        left.remove(first)
    return ordered


def _cells(row: _Row) -> tuple[str, str, str]:
    return row.name, row.words, row.after


def _line(row: _Row, widths: list[int], *, colour: bool) -> str:
    if not row.is_task:
        return f"{row.name}  {row.after}".rstrip()
    cells = [cell.ljust(width) for cell, width in zip(_cells(row), widths, strict=True) if width]
    text = "  ".join([*cells, row.why]).rstrip()
    paint = _COLOURS.get(row.state, "") if colour else ""
    return f"{paint}{text}{_PLAIN}" if paint else text
