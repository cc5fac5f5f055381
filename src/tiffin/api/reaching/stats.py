"""`stats`: what containers use, and the replicas of services."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec

from tiffin.api.containers.verbs import engine_of
from tiffin.api.machine.home import Home
from tiffin.api.services.targets import LOCAL, Where, place_of
from tiffin.api.services.verbs import is_service
from tiffin.engine.spec import CanMeasure, Container, Engine, Status
from tiffin.errors import ConflictError, NotFoundError, UnsupportedError
from tiffin.progress import parallel

NAME = "app.kubernetes.io/name"
SECONDS = 0.5
"""How long processors are watched."""


class StatsRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a container uses; `cpu` is in percent of one processor, `memory` in bytes."""

    name: str
    cpu: str
    memory: int
    pids: int


def stats(names: Sequence[str]) -> list[StatsRow]:
    """Measure the containers of these names, the replicas of services by these names, or all that run.

    Raises ConflictError for a container that is named and does not run.
    """
    engine = engine_of()
    meant = [one for name in names for one in _meant(engine, name)] if names else _running(engine.list())
    rows = parallel(lambda one: _row(one[0], needed=one[1]), meant, workers=len(meant) or 1)
    return [row for row in rows if row]


def following(names: Sequence[str]) -> Iterator[list[StatsRow]]:
    """Measure again and again; replicas that come are measured, too."""
    while True:
        yield stats(names)


def _meant(engine: Engine, name: str) -> list[tuple[Container, bool]]:
    """The container of a name, which has to run, or else the replicas of a service of this machine that do."""
    from tiffin.api.services.up import this_machine

    try:
        return [(engine.find(name), True)]
    except NotFoundError:
        replicas = this_machine(Home.of()).replicas(name)
        if not replicas and not is_service(name, Where()):
            raise
    if not replicas and place_of(name, Where(), Home.of()).target != LOCAL:
        raise UnsupportedError(
            f"{name} is in a cluster, which measures its pods", f"`kubectl top pods -l {NAME}={name}`"
        )
    return _running(replicas)


def _running(containers: Sequence[Container]) -> list[tuple[Container, bool]]:
    """Those that run, which may end meanwhile."""
    return [(one, False) for one in containers if one.state().status is Status.RUNNING]


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
