"""The table of a relay: which revisions there are of a service, what share each gets, where its replicas listen.

It is JSON, written by the supervisor; unknown keys are others' (a front of models reads the same file).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STATES = ("open", "closing", "asleep")


class TableError(ValueError):
    """A table that cannot be used; its text says where and why."""


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """Where a replica is reached; `pid` is a process in its network, where it listens on `inner`.

    One that is `draining` gets no more connections.
    """

    host: str
    port: int
    pid: int = 0
    inner: int = 0
    draining: bool = False


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How to hear whether a replica is ready, and lives: HTTP paths; where there is none, its port is open."""

    ready: str = ""
    live: str = ""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """What is wanted of a revision: its share of new connections, its state, its replicas by name.

    `drain_seconds` is how long its connections may take to finish, where that is not what the table says.
    """

    weight: float = 0.0
    state: str = "open"
    probe: Probe = Probe()
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    drain_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """All of it; seconds are how long a connection may wait for a replica, and how long one may take to finish."""

    service: str
    revisions: Mapping[str, Revision]
    poke: str = ""
    samples: bool = False
    wakes: bool = False
    queue: int = 1024
    wait_seconds: float = 600.0
    drain_seconds: float = 10.0


def read(path: Path) -> Table:
    """Read a table; raises TableError."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: {error}") from error
    return parse(found)


def parse(found: Any) -> Table:
    """Check a table; raises TableError."""
    table = _object(found, "the table")
    revisions = _object(table.get("revisions", {}), "revisions")
    return Table(
        service=_text(table, "service", "the table"),
        revisions={name: _revision(one, f"revisions.{name}") for name, one in revisions.items()},
        poke=str(table.get("poke", "")),
        samples=bool(table.get("samples", False)),
        wakes=bool(table.get("wakes", False)),
        queue=int(_number(table, "queue", "the table", 1024)),
        wait_seconds=_number(table, "wait_seconds", "the table", 600.0),
        drain_seconds=_number(table, "drain_seconds", "the table", 10.0),
    )


def _revision(found: Any, where: str) -> Revision:
    one = _object(found, where)
    state = one.get("state", "open")
    if state not in STATES:
        raise TableError(f"{where}.state is one of {', '.join(STATES)}, not {state!r}")
    probe = _object(one.get("probe", {}), f"{where}.probe")
    upstreams = _object(one.get("upstreams", {}), f"{where}.upstreams")
    return Revision(
        weight=_number(one, "weight", where, 0.0),
        state=state,
        probe=Probe(ready=str(probe.get("ready", "")), live=str(probe.get("live", ""))),
        upstreams={name: _upstream(it, f"{where}.upstreams.{name}") for name, it in upstreams.items()},
        drain_seconds=_number(one, "drain_seconds", where, 0.0) if "drain_seconds" in one else None,
    )


def _upstream(found: Any, where: str) -> Upstream:
    one = _object(found, where)
    return Upstream(
        host=_text(one, "host", where),
        port=int(_number(one, "port", where, 0)),
        pid=int(_number(one, "pid", where, 0)),
        inner=int(_number(one, "inner", where, 0)),
        draining=bool(one.get("draining", False)),
    )


def _object(found: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise TableError(f"{where} is no object")
    return found


def _text(found: Mapping[str, Any], key: str, where: str) -> str:
    if not isinstance(found.get(key), str):
        raise TableError(f"{key} of {where} is no text")
    return str(found[key])


def _number(found: Mapping[str, Any], key: str, where: str, default: float) -> float:
    value = found.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise TableError(f"{key} of {where} is no number from 0 on")
    return float(value)
