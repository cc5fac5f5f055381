"""`logs`: what a container wrote, and which part of it; the words are docker's."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from tiffin.api.containers.verbs import engine_of
from tiffin.engine.spec import Container, LogLine
from tiffin.errors import ConfigError

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|s))+")
_PART = re.compile(r"([0-9.]+)(h|ms|m|s)")
_SECONDS = re.compile(r"[0-9]{1,11}(?:\.[0-9]+)?")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of a log are wanted: those since a time, and of those that are there at most the last `tail`."""

    since: datetime | None = None
    tail: int | None = None

    @classmethod
    def of(cls, *, since: str, tail: str, now: float | None = None) -> Part:
        """Read both as they are typed; raises ConfigError for one that cannot be read."""
        if tail != "all" and not tail.isdecimal():
            raise ConfigError(f"not a number of lines: {tail!r}", "write it as `--tail 100`, or `all`")
        return cls(
            since=parse_time(since, time.time() if now is None else now) if since else None,
            tail=None if tail == "all" else int(tail),
        )


def logs(name: str, *, follow: bool = False, part: Part | None = None) -> Iterator[LogLine]:
    """What a container wrote, line by line; `follow` goes on until it ends."""
    return lines(engine_of().find(name), part or Part(), follow=follow)


def lines(container: Container, part: Part, *, follow: bool = False) -> Iterator[LogLine]:
    """A part of a container's log; what is written while this looks is always in it."""
    wanted = (line for line in container.logs(follow=follow) if is_since(line, part))
    if part.tail is None:
        return wanted
    there = sum(is_since(line, part) for line in container.logs())
    return itertools.islice(wanted, max(0, there - part.tail), None)


def parse_time(text: str, now: float) -> datetime:
    """Read a time as docker does: RFC 3339 or a part of it, Unix seconds, or how long ago, `90s` or `1h30m`."""
    if _DURATION.fullmatch(text):
        ago = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        return datetime.fromtimestamp(max(0.0, now - ago), UTC)
    if _SECONDS.fullmatch(text):
        return datetime.fromtimestamp(float(text), UTC)
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise ConfigError(f"not a time: {text!r}", "write it as `10m`, or `2026-01-31T12:00:00Z`") from None


def is_since(line: LogLine, part: Part) -> bool:
    """Say whether a line belongs to a part of a log."""
    return part.since is None or datetime.fromisoformat(line.time) >= part.since
