"""`stats`: what containers use."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from tiffin.api.containers import engine_of
from tiffin.engine.spec import CanMeasure, Container, Status
from tiffin.errors import ConflictError, UnsupportedError
from tiffin.progress import parallel

SECONDS = 0.5
"""How long processors are watched."""


class StatsRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a container uses; `cpu` is in percent of one processor, `memory` in bytes."""

    name: str
    cpu: str
    memory: int
    pids: int


def stats(names: Sequence[str]) -> list[StatsRow]:
    """Measure the containers of these names, or all that run; raises ConflictError for one that does not."""
    engine = engine_of()
    found = [engine.find(name) for name in names] or [
        container for container in engine.list() if container.state().status is Status.RUNNING
    ]
    rows = parallel(lambda container: _row(container, needed=bool(names)), found, workers=len(found) or 1)
    return [row for row in rows if row]


def _row(container: Container, *, needed: bool) -> StatsRow | None:
    """Measure one; one that ends meanwhile has no row where nobody asked for it by name."""
    name = container.spec.name
    if not isinstance(container, CanMeasure):
        raise UnsupportedError(f"{name} is of an engine that does not measure", "use the engine's own `stats`")
    try:
        before, began = container.usage(), time.monotonic()
        time.sleep(SECONDS)
        after, seconds = container.usage(), time.monotonic() - began
    except ConflictError:
        if needed:
            raise
        return None
    percent = max(0.0, after.cpu_seconds - before.cpu_seconds) / seconds * 100
    return StatsRow(name=name, cpu=f"{percent:.1f} %", memory=after.memory, pids=after.processes)
