"""What `tiffin top` shows for which keys: a pure function of rows and of what is looked at to lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tiffin.api.services.top import Row
from tiffin.cli.columns import Column, age, fitted, number, percent, printable, seconds, size

RED, YELLOW, BOLD, REVERSED, DIM, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[7m", "\x1b[2m", "\x1b[0m"


def revisions(row: Row) -> str:
    """The revisions of a service in a word: `4`, or with their shares `4:10% 3:90%`."""
    several = [one for one in row.revisions if one.weight or one.replicas]
    if len(several) <= 1:
        return str(several[0].number) if several else "-"
    return " ".join(f"{one.number}:{one.weight:.0f}%" for one in several)


SERVICES = (
    Column("SERVICE", lambda row: row.name),
    Column("REVISION", revisions, 80),
    Column("READY", lambda row: f"{row.ready}/{row.wanted}", 100),
    Column("REQ/S", lambda row: number(row.rate), 95),
    Column("ERR/S", lambda row: number(row.errors), 94),
    Column("P50", lambda row: seconds(row.p50), 30),
    Column("P99", lambda row: seconds(row.p99), 90),
    Column("WAIT", lambda row: str(row.waiting), 85),
    Column("BUSY", lambda row: str(row.in_flight - row.waiting), 60),
    Column("CPU", lambda row: percent(row.cpu), 88),
    Column("MEMORY", lambda row: size(row.memory), 87),
    Column("RESTARTS", lambda row: str(row.restarts), 50),
    Column("AGE", lambda row: age(row.age), 40),
)
REVISIONS = (
    Column("REVISION", lambda row: str(row.number)),
    Column("STATE", lambda row: row.state or "-", 40),
    Column("WEIGHT", lambda row: f"{row.weight:.0f}%", 100),
    Column("READY", lambda row: f"{row.ready}/{row.replicas}", 99),
    *(one for one in SERVICES if one.title in {"REQ/S", "ERR/S", "P50", "P99", "WAIT", "BUSY"}),
)
PARTS = (
    Column("REPLICA", lambda row: row.name),
    Column("REV", lambda row: str(row.revision or "-"), 80),
    Column("STATE", lambda row: row.stage, 100),
    Column("CPU", lambda row: percent(row.cpu), 90),
    Column("MEMORY", lambda row: size(row.memory), 89),
    Column("PROCS", lambda row: "-" if row.processes is None else str(row.processes), 40),
    Column("AGE", lambda row: age(row.age), 60),
    Column("WHY", lambda row: row.why, 20),
)
SORTS: dict[str, Callable[[Row], Any]] = {
    "name": lambda row: row.name,
    "requests": lambda row: -(row.rate or 0.0),
    "errors": lambda row: -(row.errors or 0.0),
    "latency": lambda row: -(row.p99 or 0.0),
    "waiting": lambda row: -row.waiting,
    "cpu": lambda row: -(row.cpu or 0.0),
    "memory": lambda row: -(row.memory or 0),
    "restarts": lambda row: -row.restarts,
    "age": lambda row: row.age,
}
LETTERS = {"n": "name", "r": "requests", "e": "errors", "l": "latency", "w": "waiting", "c": "cpu", "m": "memory"}
_BAD, _MOVING = {"failed", "degraded", "ended"}, {"progressing", "paused", "starting", "stopping"}


class Looking(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at: one service by name or all, sorted how, and which of them is marked."""

    service: str = ""
    stays: bool = False
    sort: str = "name"
    reverse: bool = False
    marked: str = ""


def ordered(rows: Sequence[Row], looking: Looking) -> list[Row]:
    """The rows in the order that is asked for; alike ones by name."""
    named = sorted(rows, key=lambda row: row.name)
    return sorted(named, key=SORTS[looking.sort], reverse=looking.reverse)


def pressed(looking: Looking, key: str, rows: Sequence[Row]) -> Looking | None:
    """What is looked at after a key; None where that ends it."""
    if key == "q":
        return None
    change = msgspec.structs.replace
    if key in LETTERS or key == "s":
        names = [*SORTS]
        sort = LETTERS.get(key) or names[(names.index(looking.sort) + 1) % len(names)]
        return change(looking, sort=sort, reverse=False)
    if key == "R":
        return change(looking, reverse=not looking.reverse)
    if looking.service:
        back = key in {"escape", "left", "h"} and not looking.stays
        return change(looking, service="", marked=looking.service) if back else looking
    return _moved(looking, key, [row.name for row in ordered(rows, looking)])


def _moved(looking: Looking, key: str, names: Sequence[str]) -> Looking:
    """Mark another service, or look into the one that is marked."""
    if not names:
        return looking
    place = names.index(looking.marked) if looking.marked in names else 0
    if key in {"enter", "right"}:
        return msgspec.structs.replace(looking, service=names[place])
    last = len(names) - 1
    steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page-up": -10, "page-down": 10, "home": -last, "end": last}
    place = min(max(place + steps.get(key, 0), 0), last)
    return msgspec.structs.replace(looking, marked=names[place])


def page(
    rows: Sequence[Row], looking: Looking, size_: tuple[int, int], trouble: str = "", *, colour: bool = True
) -> list[str]:
    """The lines of a whole screen of so many columns and lines; `trouble` says why there is nothing newer."""
    width, height = size_
    found = [row for row in rows if row.name == looking.service]
    body = _of_service(found[0], width) if found else _of_services(rows, looking, width)
    if looking.service and not found:
        body = [("", f"{looking.service} is not there any more" if not trouble else "")]
    services = "1 service" if len(rows) == 1 else f"{len(rows)} services"
    top = looking.service or f"{services}  by {looking.sort}{' reversed' if looking.reverse else ''}"
    lines = [(BOLD, top), *([(RED, trouble)] if trouble else []), *_window(body, looking, height - 2 - bool(trouble))]
    lines += [("", "")] * (height - 1 - len(lines))
    back = "" if looking.stays else "  Esc: all services"
    keys = (
        f"q: quit{back}" if looking.service else "q: quit  arrows, Enter: replicas  s: sort  R: reverse  n r e l w c m"
    )
    return [_line(style, text, width, colour=colour) for style, text in [*lines[: height - 1], (DIM, keys)]]


Styled = tuple[str, str]


def _of_services(rows: Sequence[Row], looking: Looking, width: int) -> list[Styled]:
    shown = ordered(rows, looking)
    title, *lines = fitted(SERVICES, shown, width - 2)
    marked = looking.marked if any(row.name == looking.marked for row in rows) else (shown[0].name if shown else "")
    return [
        (REVERSED, f"  {title}".ljust(width)),
        *(
            (BOLD + _style(row.phase), f"> {line}") if row.name == marked else (_style(row.phase), f"  {line}")
            for row, line in zip(shown, lines, strict=True)
        ),
    ]


def _of_service(row: Row, width: int) -> list[Styled]:
    """One service: how it is, its revisions, its front and replicas."""
    title, *revised = fitted(REVISIONS, row.revisions, width)
    heading, *parts = fitted(PARTS, row.parts, width)
    return [
        (_style(row.phase), f"{row.phase}: replicas {row.ready} ready, {row.wanted} wanted, {row.restarts} lost"),
        ("", row.address),
        *((YELLOW, printable(finding)) for finding in row.findings),
        ("", ""),
        (REVERSED, title.ljust(width)),
        *(("", line) for line in revised),
        ("", ""),
        (REVERSED, heading.ljust(width)),
        *((_style(part.stage), line) for part, line in zip(row.parts, parts, strict=True)),
    ]


def _window(body: Sequence[Styled], looking: Looking, height: int) -> Sequence[Styled]:
    """As much as fits, with what is marked in it and the titles above."""
    title, rows = body[:1], body[1:]
    room = max(height - 1, 1)
    marked = next((place for place, (_, text) in enumerate(rows) if text.startswith("> ")), 0)
    start = 0 if looking.service else max(min(marked - room // 2, len(rows) - room), 0)
    return [*title, *rows[start : start + room]]


def _style(word: str) -> str:
    return RED if word in _BAD else YELLOW if word in _MOVING else ""


def _line(style: str, text: str, width: int, *, colour: bool) -> str:
    cut = text[:width].rstrip() if style != REVERSED else text[:width]
    return f"{style}{cut}{PLAIN}" if colour and style else cut


def tables(rows: Sequence[Row], name: str, width: int, sort: str) -> list[str]:
    """What is printed where nothing is drawn: one table, or both of a service."""
    if name and rows:
        row = rows[0]
        return [*fitted(REVISIONS, row.revisions, width), "", *fitted(PARTS, row.parts, width)]
    return fitted(SERVICES, ordered(rows, Looking(sort=sort)), width)
